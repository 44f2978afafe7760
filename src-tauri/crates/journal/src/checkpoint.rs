//! Moving the log's pages into the database, off the append path.
//!
//! A thread with a connection of its own moves what is there while the writer goes on; the writer then moves the few
//! pages that came meanwhile, so that the log can begin anew. Moving is what SQLite does safely at any time: a crash
//! in the middle leaves a log that is moved again.

use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

/// Pages in the log above which they are moved.
const PAGES: u32 = 4_000;

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
        let (begin, asked) = mpsc::sync_channel(1);
        let moved = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&moved);
        let thread = std::thread::Builder::new().name("journal-checkpoint".into()).spawn(move || {
            while asked.recv().is_ok() {
                match checkpoint(&connection) {
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
            return;
        }
        if self.moved.swap(false, Ordering::Acquire) {
            if let Err(error) = checkpoint(writer) {
                tracing::warn!(%error, "the journal's log could not begin anew");
            }
        } else if let Some(begin) = &self.begin {
            // Full: it is at work already.
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

fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}
