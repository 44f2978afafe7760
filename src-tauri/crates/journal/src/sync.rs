//! Syncing the log: full appends are answered once the disk has them, while the writer goes on.
//!
//! The writer commits without waiting for the disk and hands the answers of full appends to this thread, which syncs
//! the log and then sends them. Whatever was committed before a sync began is on the disk when it ends, so one sync
//! answers everyone who came while the sync before it was running. SQLite itself syncs the log before it moves pages
//! into the database, and the database before it writes over the log. Once a sync fails nobody knows what is on the
//! disk, and a second one may lie: nothing is answered with success after that.

use crate::append::Receipt;
use crate::error::AppendError;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Set once nothing can be written any more, with the reason.
pub(crate) type Ended = Arc<OnceLock<AppendError>>;

/// An append that is committed and to be answered.
pub(crate) struct Answer {
    pub reply: oneshot::Sender<Result<Receipt, AppendError>>,
    pub receipt: Receipt,
    pub room: OwnedSemaphorePermit,
}

impl Answer {
    /// Answers that it is done.
    pub fn done(self) {
        drop(self.room);
        let _ = self.reply.send(Ok(self.receipt));
    }
}

/// The thread that syncs.
pub(crate) struct Syncer {
    answers: Option<mpsc::Sender<Vec<Answer>>>,
    thread: Option<JoinHandle<()>>,
    #[cfg(test)]
    syncs: Arc<AtomicU64>,
}

impl Syncer {
    /// Starts to sync the log at `log`, which must be there.
    pub fn start(log: &Path, ended: Ended) -> std::io::Result<Self> {
        // Written by SQLite alone; Windows syncs only what may be written.
        let log = File::options().read(true).write(true).open(log)?;
        let (answers, queue) = mpsc::channel::<Vec<Answer>>();
        let syncs = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&syncs);
        let thread = std::thread::Builder::new().name("journal-sync".into()).spawn(move || {
            while let Ok(mut waiting) = queue.recv() {
                // Everyone who came while the last sync was running.
                waiting.extend(queue.try_iter().flatten());
                counted.fetch_add(1, Ordering::Relaxed);
                if let Err(error) = log.sync_data() {
                    let _ = ended.set(AppendError::Failed { reason: format!("the log cannot be synced: {error}") });
                }
                for answer in waiting {
                    match ended.get() {
                        None => answer.done(),
                        Some(error) => {
                            let _ = answer.reply.send(Err(error.clone()));
                        }
                    }
                }
            }
        })?;
        Ok(Self {
            answers: Some(answers),
            thread: Some(thread),
            #[cfg(test)]
            syncs,
        })
    }

    /// Sends these once everything that is committed now is on the disk.
    pub fn answer(&self, waiting: Vec<Answer>) {
        if let Some(answers) = self.answers.as_ref().filter(|_| !waiting.is_empty()) {
            let _ = answers.send(waiting);
        }
    }

    /// How many syncs were begun.
    #[cfg(test)]
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }
}

impl Drop for Syncer {
    /// Waits until everyone is answered.
    fn drop(&mut self) {
        self.answers = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
