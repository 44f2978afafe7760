//! Moving the log's pages into the database, off the append path.
//!
//! A thread with a connection of its own moves a few pages at a time while the writer goes on: many at once would keep
//! the disk busy for so long that appends wait for it. When the log is long, it goes on until little is left; the writer
//! then moves the rest, so that the log can begin anew. Every append waits for what the writer moves. Moving is what
//! SQLite does safely at any time: a crash in the middle leaves a log that is moved again.

use crate::aside::Aside;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Pages in the log above which it is to begin anew.
const PAGES: u32 = 16_000;

/// Pages that are moved at a time: some milliseconds of the disk, two syncs among them.
const SOME: u32 = 512;

/// Pages that the writer may move: a fraction of a millisecond, and a sync of the database.
const FEW: u32 = 64;

/// Knows when to move pages.
pub(crate) struct Checkpointer {
    /// The thread that moves them; without one the log grows until it is closed.
    thread: Option<Aside>,
    log: Arc<Log>,
}

/// What is known of the log.
#[derive(Default)]
struct Log {
    /// The pages in it.
    pages: AtomicU32,
    /// How many of them are in the database.
    moved: AtomicU32,
    /// Set once that is nearly all of a long log.
    nearly: AtomicBool,
}

impl Checkpointer {
    /// Takes over from SQLite's own rule, which would move pages within a commit of `writer`.
    pub fn start(path: &Path, writer: &mut Connection) -> rusqlite::Result<Self> {
        let log = Arc::new(Log::default());
        let counted = Arc::clone(&log);
        writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, count: i32| {
            counted.pages.store(count.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        }))?;
        let connection = crate::store::writable(path)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        let known = Arc::clone(&log);
        let thread = Aside::start("journal-checkpoint", move || {
            if let Err(error) = known.catch_up(&connection) {
                // The log only grows meanwhile; the next commit asks again.
                tracing::warn!(%error, "the journal's log could not be moved into its database");
            }
        });
        Ok(Self { thread: thread.ok(), log })
    }

    /// The pages in the log.
    pub fn pages(&self) -> u32 {
        self.log.pages.load(Ordering::Relaxed)
    }

    /// After a commit of `writer`: sees to it that the log does not grow for ever.
    pub fn after_commit(&self, writer: &Connection) {
        let log = &self.log;
        let (pages, moved) = (log.pages.load(Ordering::Relaxed), log.moved.load(Ordering::Acquire));
        if pages < moved {
            // The log has begun anew by itself; what was moved says nothing of the pages that come now.
            log.moved.store(0, Ordering::Relaxed);
            log.nearly.store(false, Ordering::Relaxed);
        } else if pages >= PAGES && log.nearly.swap(false, Ordering::Acquire) {
            if let Err(error) = checkpoint(writer) {
                tracing::warn!(%error, "the journal's log could not begin anew");
            }
        } else if pages - moved >= SOME
            && let Some(thread) = &self.thread
        {
            thread.ask();
        }
    }
}

impl Log {
    /// Moves what is there; of a long log until few pages are left, or no fewer than before: then readers hold them.
    fn catch_up(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut before = u32::MAX;
        loop {
            let moved = checkpoint(connection)?;
            self.moved.store(moved, Ordering::Release);
            let pages = self.pages.load(Ordering::Relaxed);
            let left = pages.saturating_sub(moved);
            if pages < PAGES {
                return Ok(());
            }
            if left <= FEW || left >= before {
                self.nearly.store(true, Ordering::Release);
                return Ok(());
            }
            before = left;
        }
    }
}

/// Moves what can be moved now. Returns how many of the log's pages are in the database then.
fn checkpoint(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2))
}
