//! Keeps a project's index as its folder is: follows saves and HEAD, and says how.
//!
//! While somebody follows, a search of a large project need not look around first. Own writes are told at once, not found
//! out.

use crate::desk::Desk;
use crate::finding::complete_index;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::view::{IndexView, WatchView};
use atelier_repo::UserRepo;
use atelier_search::Index;
use atelier_watch::{Change, Options, Status, Watch};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Looking around that took less, in milliseconds, is done before every search all the same: it costs nothing and also
/// sees what was saved a moment ago.
const CHEAP_MS: u64 = 30;

/// How the folder is followed.
#[derive(Debug, Default)]
pub(crate) struct Following {
    watch: Mutex<Option<Watch>>,
    /// Somebody looked around after the watch began: what was saved before it is known too.
    covered: AtomicBool,
}

impl Desk {
    /// Follows the folder from now on. What was saved before is seen by whoever looks around next.
    pub(crate) fn follow_folder(&self) -> Result<(), Problem> {
        let index = self.index()?;
        let mut watching = self.watching.watch.lock().unwrap_or_else(PoisonError::into_inner);
        if watching.is_some() {
            return Ok(());
        }
        // A folder that is no repository may become one.
        let git = self.root.join(".git");
        let marks = UserRepo::open(&self.root)
            .map_or_else(|_| vec![git.join("HEAD"), git.join("logs").join("HEAD")], |repo| repo.head_files());
        let (root, busy) = (self.root.clone(), self.completing.clone());
        let tell = move |change: Change| follow(&index, &root, &busy, change);
        let watch = Watch::start(&self.root, Options { marks, ..Options::default() }, tell).map_err(|error| {
            Problem::new(Code::NoFolder, format!("{error}."), "See whether the folder still exists and may be read.")
        })?;
        *watching = Some(watch);
        Ok(())
    }

    /// How changes come to the index.
    pub(crate) fn watched(&self) -> WatchView {
        let watching = self.watching.watch.lock().unwrap_or_else(PoisonError::into_inner);
        match watching.as_ref().map(Watch::status) {
            None => WatchView::Off,
            Some(Status::Watching { folders }) => {
                WatchView::Watching { folders: u32::try_from(folders).unwrap_or(u32::MAX) }
            }
            Some(Status::Polling { every_ms, reason }) => WatchView::Polling { every_ms, reason },
            Some(Status::Gone) => WatchView::Gone,
        }
    }

    /// The index's state where it is kept up to date anyway, so that nobody need look around. Parts of it may be missing.
    pub(crate) fn kept(&self, index: &Index) -> Option<IndexView> {
        let watch = self.watched();
        let view = index.status().ok()?;
        let kept = matches!(watch, WatchView::Watching { .. })
            && self.watching.covered.load(Ordering::Acquire)
            && view.ms > CHEAP_MS;
        kept.then_some(IndexView { watch, ..view })
    }

    /// Looks around by `work`; where the folder is followed by then, nothing will be missed any more.
    pub(crate) fn covering<T>(&self, work: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
        let followed = self.watched() != WatchView::Off;
        let done = work()?;
        if followed {
            self.watching.covered.store(true, Ordering::Release);
        }
        Ok(done)
    }

    /// Tells the index what we wrote in the user's folder ourselves: it is searchable at once.
    pub(crate) fn wrote(&self, paths: impl IntoIterator<Item = String>) {
        let open = self.index.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(index) = open
            && let Err(error) = index.changed(&self.root, paths)
        {
            tracing::debug!(%error, "the index could not be told of what was written");
        }
    }
}

/// Brings a change into the index, on the watch's own thread.
fn follow(index: &Arc<Index>, root: &Path, busy: &Arc<AtomicBool>, change: Change) {
    let repo = change.marks.then(|| UserRepo::open(root).ok()).flatten();
    if change.marks {
        index.at_head(repo.as_ref().and_then(|repo| repo.head_commit().ok()));
    }
    let followed = match change.everything {
        true => index.refresh(root).map(drop),
        false => index.changed(root, change.paths),
    };
    if let Err(error) = followed {
        // A folder that is gone is waited for; the watch says so.
        tracing::debug!(%error, "a change could not be brought into the index");
    }
    if index.status().is_ok_and(|view| !view.missing.is_empty()) {
        // Definitions and history take longer; meanwhile changes go on being followed.
        let (index, root, busy) = (Arc::clone(index), root.to_owned(), Arc::clone(busy));
        let work = move || complete_index(&index, &root, repo.as_ref(), &busy);
        if let Err(error) = std::thread::Builder::new().name("index parts".to_owned()).spawn(work) {
            tracing::warn!(%error, "what the index lacks must wait");
        }
    }
}
