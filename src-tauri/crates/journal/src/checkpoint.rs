//! Moving the log's pages into the database, off the append path.
//!
//! A thread with a connection of its own moves what is there while the writer goes on, and again what came meanwhile,
//! until that is little; the writer then moves the rest, so that the log can begin anew. Every append waits for what
//! the writer moves. Moving is what SQLite does safely at any time: a crash in the middle leaves a log that is moved again.

use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

/// Pages in the log above which they are moved.
const PAGES: u32 = 16_000;

/// Pages that the writer may move: a fraction of a millisecond, and a sync of the database.
const FEW: u32 = 64;

/// The thread that moves pages.
pub(crate) struct Checkpointer {
    begin: Option<SyncSender<()>>,
    moved: Arc<AtomicBool>,
    pages: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Takes over from SQLite's own rule, which would move pages within a commit of `writer`.
    pub fn start(path: &Path, writer: &mut Connection) -> rusqlite::Result<Self> {
        let pages = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&pages);
        writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, count: i32| {
            counted.store(count.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        }))?;
        let connection = crate::store::writable(path)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        // Without a place to wait: what is asked for while it is at work would be done when nobody needs it any more.
        let (begin, asked) = mpsc::sync_channel(0);
        let moved = Arc::new(AtomicBool::new(false));
        let (done, written) = (Arc::clone(&moved), Arc::clone(&pages));
        let thread = std::thread::Builder::new().name("journal-checkpoint".into()).spawn(move || {
            while asked.recv().is_ok() {
                match catch_up(&connection, &written) {
                    Ok(()) => done.store(true, Ordering::Release),
                    // The log only grows meanwhile; the next commit asks again.
                    Err(error) => tracing::warn!(%error, "the journal's log could not be moved into its database"),
                }
            }
        });
        Ok(Self { begin: Some(begin), moved, pages, thread: thread.ok() })
    }

    /// After a commit of `writer`: sees to it that the log does not grow for ever.
    pub fn after_commit(&self, writer: &Connection) {
        if self.pages.load(Ordering::Relaxed) < PAGES {
            // The log has begun anew by itself; what was moved says nothing of the pages that come now.
            self.moved.store(false, Ordering::Relaxed);
            return;
        }
        if self.moved.swap(false, Ordering::Acquire) {
            if let Err(error) = checkpoint(writer) {
                tracing::warn!(%error, "the journal's log could not begin anew");
            }
        } else if let Some(begin) = &self.begin {
            // Refused while it is at work.
            let _ = begin.try_send(());
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.begin = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Moves pages until few of those `written` are left, or no fewer than before: then readers hold them.
fn catch_up(connection: &Connection, written: &AtomicU32) -> rusqlite::Result<()> {
    let mut before = u32::MAX;
    loop {
        let moved = checkpoint(connection)?;
        let left = written.load(Ordering::Relaxed).saturating_sub(moved);
        if left <= FEW || left >= before {
            return Ok(());
        }
        before = left;
    }
}

/// Moves what can be moved now. Returns how many of the log's pages are in the database then.
fn checkpoint(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2))
}
