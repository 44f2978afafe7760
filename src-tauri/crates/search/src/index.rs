//! The index of one project: opened by one process, kept up to date, asked by any number of threads.
//!
//! What was committed is whole: every commit holds the words of all files of one moment. Definitions and history come
//! after the words and are named as missing until they are there. Changed files that are not committed yet are read
//! for each answer.

use crate::error::IndexError;
use crate::folder::Folder;
use crate::keeper::{self, Pending};
use crate::opening::{self, Opened};
use crate::past::{Past, PastCommit};
use crate::store::{Backlog, Content, Fields, Marks};
use crate::writing::{Changes, Writing};
use atelier_protocol::Hash;
use atelier_protocol::view::{IndexPart, IndexView, WatchView};
use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tantivy::IndexReader;

/// Files left out that are named; the rest are counted.
const NAMED: usize = 200;
const LOCK_FILE: &str = "owner.lock";

/// The index of one project. One process at a time; any number of threads.
pub struct Index {
    pub(crate) shared: Arc<Shared>,
    /// Started by the first change that is told of.
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// What the index's own thread works on too.
pub(crate) struct Shared {
    pub dir: PathBuf,
    pub inner: tantivy::Index,
    pub reader: IndexReader,
    pub fields: Fields,
    pub backlog: Arc<Backlog>,
    pub writing: Mutex<Writing>,
    /// The paths of the files by their numbers.
    pub names: RwLock<HashMap<u64, Arc<str>>>,
    /// Files whose definitions are still to be found.
    pub unparsed: AtomicUsize,
    pub past: Mutex<Arc<Past>>,
    /// The project's HEAD, as far as somebody said.
    head: Mutex<Option<String>>,
    pub pending: Pending,
    /// How often what is known of the files was written.
    pub written: AtomicU64,
    /// `None` until the first refresh.
    last: Mutex<Option<IndexView>>,
    /// Held as long as the index is open; behind everything else, so that it is given back last.
    _owned: Owned,
}

/// The lock on an index's folder.
struct Owned(File);

impl Owned {
    fn take(dir: &Path) -> Result<Self, IndexError> {
        let file = File::options().create(true).write(true).truncate(false).open(dir.join(LOCK_FILE));
        let file = file.map_err(IndexError::storage("opening the index's lock", dir))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(IndexError::Busy { dir: dir.to_owned() }),
            Err(TryLockError::Error(error)) => Err(IndexError::storage("locking the index", dir)(error)),
        }
    }
}

impl Drop for Owned {
    /// Lets go at once: closing the file does not, as long as a process that another thread is just starting still holds
    /// a copy of it.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("dir", &self.shared.dir).finish_non_exhaustive()
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.shared.pending.stop();
        if let Some(keeper) = lock(&self.keeper).take() {
            let _ = keeper.join();
        }
    }
}

impl Index {
    /// Opens the index in `dir`, which is made if needed. What cannot be read there, or was written by another
    /// version, is deleted and the index starts empty. The folder holds nothing else.
    pub fn open(dir: &Path) -> Result<Self, IndexError> {
        fs::create_dir_all(dir).map_err(IndexError::storage("making the index's folder", dir))?;
        let owned = Owned::take(dir)?;
        let backlog = Arc::new(Backlog::default());
        let Opened { inner, reader, writing, past, committed } = opening::open(dir, &backlog)?;
        let last = committed.then(|| view(&writing, Changes::default(), 0));
        let names = writing.entries.iter().map(|(path, known)| (known.id, path.clone())).collect();
        let unparsed = AtomicUsize::new(writing.unparsed().count());
        let shared = Shared {
            dir: dir.to_owned(),
            inner,
            reader,
            fields: Fields::new().1,
            backlog,
            writing: Mutex::new(writing),
            names: RwLock::new(names),
            unparsed,
            past: Mutex::new(Arc::new(past)),
            head: Mutex::default(),
            pending: Pending::default(),
            written: AtomicU64::default(),
            last: Mutex::new(last),
            _owned: owned,
        };
        Ok(Self { shared: Arc::new(shared), keeper: Mutex::default() })
    }

    /// What the last refresh found, and what is missing now; an index that was opened with content reports that content.
    pub fn status(&self) -> Result<IndexView, IndexError> {
        self.shared.status()
    }

    /// Brings the index to the state of the folder `root` and says what that took. Definitions in many new files are
    /// left to [`Index::complete`].
    ///
    /// Searches go on meanwhile, on the state before. Where it fails, that state stays.
    pub fn refresh(&self, root: &Path) -> Result<IndexView, IndexError> {
        let begun = Instant::now();
        let folder = Folder::open(root).map_err(|source| IndexError::Root { root: root.to_owned(), source })?;
        let told = self.shared.pending.now();
        self.shared.write(|writing| {
            let changes = self.shared.reconcile(writing, &folder)?;
            let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.shared.refreshed(view(writing, changes, ms));
            Ok(())
        })?;
        self.shared.pending.done(&told);
        self.status()
    }

    /// Works on what is still missing of the files, for about `time`; whether all of it is there now. A search that
    /// comes meanwhile is not held up, a refresh is.
    pub fn complete(&self, root: &Path, time: Duration) -> Result<bool, IndexError> {
        let until = Instant::now() + time;
        if self.shared.unparsed.load(Ordering::Relaxed) == 0 {
            return Ok(true);
        }
        let folder = Folder::open(root).map_err(|source| IndexError::Root { root: root.to_owned(), source })?;
        self.shared.write(|writing| self.shared.parse(writing, &folder, until))
    }

    /// Says that files of the folder were written, moved or removed, each by its path in the folder with `/`. They are
    /// searchable at once: until they are in the index, which takes a moment, every search reads them.
    pub fn changed(&self, root: &Path, paths: impl IntoIterator<Item = String>) -> Result<(), IndexError> {
        let folder = Folder::open(root).map_err(|source| IndexError::Root { root: root.to_owned(), source })?;
        self.shared.pending.add(&folder, paths);
        let mut keeper = lock(&self.keeper);
        if keeper.is_none() {
            let shared = Arc::clone(&self.shared);
            let started =
                std::thread::Builder::new().name("index keeper".to_owned()).spawn(move || keeper::keep(&shared));
            *keeper = Some(started.map_err(IndexError::storage("starting the index's thread", &self.shared.dir))?);
        }
        Ok(())
    }

    /// Takes the messages of earlier commits into account from now on, in place of those given before. The newest come
    /// first; the first 4,000 that touch at most 20 files count. They are kept with the index, up to the commit `head`.
    pub fn remember(&self, head: &str, commits: impl IntoIterator<Item = PastCommit>) -> Result<(), IndexError> {
        self.shared.keep_past(Past::of(Some(head.to_owned()), commits))
    }

    /// The same for commits that follow on those given before. `moved` are files that they gave other names: from, to.
    pub fn remember_newer(
        &self,
        head: &str,
        commits: impl IntoIterator<Item = PastCommit>,
        moved: &[(String, String)],
    ) -> Result<(), IndexError> {
        let before = self.shared.past();
        self.shared.keep_past(before.followed_by(Some(head.to_owned()), commits, moved))
    }

    /// The commit that the known history reaches to.
    pub fn remembered(&self) -> Option<String> {
        self.shared.past().head.clone()
    }

    /// Says which commit the project is at. Until the history reaches to it, answers say that the history is missing. A
    /// project that is at none has no past: what was known of one is forgotten.
    pub fn at_head(&self, head: Option<String>) {
        if head.is_none()
            && self.remembered().is_some()
            && let Err(error) = self.shared.keep_past(Past::default())
        {
            tracing::warn!(%error, "what earlier commits said is still found, though there are none");
        }
        *lock(&self.shared.head) = head;
    }

    /// The files that were mostly changed together with the one at `path`, the likeliest first: path, and the share of
    /// the changes to `path` that were with it, 0 to 1. At most `most`.
    pub fn changed_with(&self, path: &str, most: usize) -> Vec<(String, f32)> {
        let past = self.shared.past();
        let mut found: Vec<(String, f32)> = past.neighbours(path).into_iter().map(|(p, s)| (p.to_owned(), s)).collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        found.truncate(most);
        found
    }

    /// The files of the folder whose path is `wanted`, also those that are left out, each with its marks: while these are
    /// the same, so is the file. As of the last refresh and everything that was told of since.
    pub fn files(&self, root: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<(String, String)>, IndexError> {
        let folder = Folder::open(root).map_err(|source| IndexError::Root { root: root.to_owned(), source })?;
        self.shared.settle(&folder)?;
        self.shared.write(|writing| Ok(files(writing, wanted)))
    }

    /// The same as of the last commit; `None` while something is being written.
    pub fn files_now(&self, wanted: impl Fn(&str) -> bool) -> Option<Vec<(String, String)>> {
        self.shared.writing.try_lock().ok().map(|writing| files(&writing, wanted))
    }

    /// A number that is another one as soon as [`Index::files_now`] may give something else.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Acquire)
    }

    /// The parts that the index keeps its documents in. Few of them make fast searches.
    pub fn segments(&self) -> usize {
        self.shared.reader.searcher().segment_readers().len()
    }
}

impl Shared {
    pub(crate) fn status(&self) -> Result<IndexView, IndexError> {
        let mut view = lock(&self.last).clone().ok_or(IndexError::NotReady)?;
        let past = self.past();
        view.pending = u32::try_from(self.pending.len()).unwrap_or(u32::MAX);
        view.commits = u32::try_from(past.commits.len()).unwrap_or(u32::MAX);
        view.head.clone_from(&past.head);
        view.missing = self.missing(&past);
        Ok(view)
    }

    /// The texts of the last commit with the hashes of their files, in order.
    pub(crate) fn texts(&self) -> Vec<(Arc<str>, Hash)> {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let texts = writing.entries.iter().filter_map(|(path, known)| match &known.entry.content {
            Content::Hash(hash) => Some((path.clone(), Hash::parse(hash)?)),
            Content::Skipped(_) => None,
        });
        let mut texts: Vec<(Arc<str>, Hash)> = texts.collect();
        texts.sort_by(|a, b| a.0.cmp(&b.0));
        texts
    }

    /// How many files there are with words.
    pub(crate) fn files(&self) -> Result<u64, IndexError> {
        lock(&self.last).as_ref().map(|view| u64::from(view.files)).ok_or(IndexError::NotReady)
    }

    pub(crate) fn missing(&self, past: &Past) -> Vec<IndexPart> {
        let mut missing = Vec::new();
        if self.unparsed.load(Ordering::Relaxed) > 0 {
            missing.push(IndexPart::Symbols);
        }
        if lock(&self.head).as_ref().is_some_and(|head| past.head.as_ref() != Some(head)) {
            missing.push(IndexPart::History);
        }
        missing
    }

    pub(crate) fn past(&self) -> Arc<Past> {
        Arc::clone(&lock(&self.past))
    }

    fn keep_past(&self, past: Past) -> Result<(), IndexError> {
        let mut known = lock(&self.past);
        opening::write_past(&self.dir, &past)?;
        *known = Arc::new(past);
        Ok(())
    }

    pub(crate) fn is_ready(&self) -> bool {
        lock(&self.last).is_some()
    }

    fn refreshed(&self, view: IndexView) {
        *lock(&self.last) = Some(view);
    }

    /// Counts anew what is in the index, after files were put in or taken out.
    pub(crate) fn recount(&self, writing: &Writing, changes: Changes) {
        let ms = lock(&self.last).as_ref().map_or(0, |view| view.ms);
        self.refreshed(view(writing, changes, ms));
    }

    /// Does some writing, alone. Where it fails, everything that was not committed is forgotten.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&mut Writing) -> Result<T, IndexError>) -> Result<T, IndexError> {
        let forget = |writing: &mut Writing| {
            writing.forget(&self.backlog);
            self.unparsed.store(writing.unparsed().count(), Ordering::Relaxed);
        };
        let mut writing = self.writing.lock().unwrap_or_else(|poisoned| {
            let mut writing = poisoned.into_inner();
            forget(&mut writing);
            self.writing.clear_poison();
            writing
        });
        let done = work(&mut writing);
        // Also where it failed: what was learnt of a file on the way stays.
        self.written.fetch_add(1, Ordering::AcqRel);
        if done.is_err() {
            forget(&mut writing);
        }
        done
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The files whose path is wanted, with their marks. A file for keys is none.
fn files(writing: &Writing, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let named = writing.entries.iter().filter(|(path, _)| wanted(path) && !atelier_sensitive::is_for_keys(path));
    let mut files: Vec<(String, String)> = named
        .map(|(path, known)| {
            let Marks { len, mtime, ctime, inode } = known.entry.marks;
            (path.to_string(), format!("{len} {mtime} {ctime} {inode}"))
        })
        .collect();
    files.sort();
    files
}

fn view(writing: &Writing, changes: Changes, ms: u64) -> IndexView {
    let Changes { updated, removed, faults: mut skipped } = changes;
    let mut files = 0u32;
    for (path, known) in &writing.entries {
        match known.entry.content.skipped() {
            None => files = files.saturating_add(1),
            Some(reason) => skipped.push((path.to_string(), reason.to_owned())),
        }
    }
    skipped.sort();
    if skipped.len() > NAMED {
        let more = skipped.len() - NAMED;
        skipped.truncate(NAMED);
        skipped.push(("...".to_owned(), format!("{more} more files are left out")));
    }
    IndexView {
        files,
        updated,
        removed,
        skipped,
        ms,
        pending: 0,
        commits: 0,
        head: None,
        documents: 0,
        meaning: None,
        missing: Vec::new(),
        watch: WatchView::Off,
        unpacked: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_let_go_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let owned = Owned::take(folder.path()).unwrap();
        assert!(matches!(Owned::take(folder.path()), Err(IndexError::Busy { .. })));
        // As a process that is just being started holds one, until it becomes its own program.
        let copy = owned.0.try_clone().unwrap();
        drop(owned);
        Owned::take(folder.path()).unwrap();
        drop(copy);
    }
}
