//! Changes that were told of: what is not in the index yet, and the thread that puts it there.
//!
//! tantivy makes a commit searchable, not a document, and a commit costs the same for one file as for fifty: so
//! changes are gathered for a moment and committed together. Until then a search reads these files itself.

use crate::folder::Folder;
use crate::index::{Shared, lock};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long changes are gathered.
const GATHERED: Duration = Duration::from_millis(150);
/// How long definitions are looked for before others have their turn.
const SLICE: Duration = Duration::from_millis(500);
/// How long it waits after it failed, such as on a full disk.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

/// Changes that are not in the index yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    told: Mutex<Told>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct Told {
    folder: Option<Folder>,
    /// When each path was told of last, by a count.
    paths: HashMap<String, u64>,
    count: u64,
    stop: bool,
}

/// Paths as they were told of at some moment.
pub(crate) struct Batch {
    paths: HashMap<String, u64>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = String> {
        self.paths.keys().cloned()
    }
}

impl Pending {
    pub(crate) fn add(&self, folder: &Folder, paths: impl IntoIterator<Item = String>) {
        let mut told = lock(&self.told);
        told.folder = Some(folder.clone());
        for path in paths {
            told.count += 1;
            let count = told.count;
            told.paths.insert(path.trim_matches('/').to_owned(), count);
        }
        self.woken.notify_all();
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.told).paths.len()
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        lock(&self.told).paths.keys().cloned().collect()
    }

    /// Whether nothing waits, nor the end.
    fn is_idle(&self) -> bool {
        let told = lock(&self.told);
        told.paths.is_empty() && !told.stop
    }

    /// What is waiting now.
    pub(crate) fn now(&self) -> Batch {
        Batch { paths: lock(&self.told).paths.clone() }
    }

    /// A batch is in the index. What was told of again since then is not.
    pub(crate) fn done(&self, batch: &Batch) {
        lock(&self.told).paths.retain(|path, count| batch.paths.get(path) != Some(count));
    }

    pub(crate) fn stop(&self) {
        lock(&self.told).stop = true;
        self.woken.notify_all();
    }

    /// Waits for changes, then a moment for more; `None` where it is to end.
    fn gathered(&self, moment: Duration) -> Option<(Folder, Batch)> {
        let told = lock(&self.told);
        let idle = |told: &mut Told| told.paths.is_empty() && !told.stop;
        let told = self.woken.wait_while(told, idle).unwrap_or_else(PoisonError::into_inner);
        let on = |told: &mut Told| !told.stop;
        let (told, _) = self.woken.wait_timeout_while(told, moment, on).unwrap_or_else(PoisonError::into_inner);
        if told.stop {
            return None;
        }
        Some((told.folder.clone()?, Batch { paths: told.paths.clone() }))
    }
}

/// Finds the definitions in what was just put in, where that was much at once, as long as nothing else is to be done.
fn complete(shared: &Shared, folder: &Folder) {
    while shared.unparsed.load(Ordering::Relaxed) > 0 && shared.pending.is_idle() {
        if let Err(error) = shared.write(|writing| shared.parse(writing, folder, Instant::now() + SLICE)) {
            tracing::warn!(%error, "definitions in changed files must wait");
            return;
        }
    }
}

/// Puts changes into the index until it is told to end.
pub(crate) fn keep(shared: &Shared) {
    let mut moment = GATHERED;
    while let Some((folder, batch)) = shared.pending.gathered(moment) {
        moment = GATHERED;
        let paths: Vec<String> = batch.paths().collect();
        let done = shared.write(|writing| {
            if !shared.is_ready() {
                return Ok(false); // the first refresh takes everything in; a part of it is no index
            }
            let changes = shared.follow(writing, &folder, &paths)?;
            shared.recount(writing, changes);
            Ok(true)
        });
        match done {
            Ok(true) => {
                shared.pending.done(&batch);
                complete(shared, &folder);
            }
            Ok(false) => moment = AFTER_FAILURE,
            Err(error) => {
                tracing::warn!(%error, "changed files could not be put into the index; searches read them");
                moment = AFTER_FAILURE;
            }
        }
    }
}
