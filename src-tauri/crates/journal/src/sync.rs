//! Syncing the log: full appends are answered and told once the disk has them, while the writer goes on.
//!
//! The writer commits without waiting for the disk and hands the answers of full appends to this thread, which syncs
//! the log and then sends them. What was committed after a full append is told after it, so that passes here too. Whatever was committed before a sync began is on the disk when it ends, so one sync
//! answers everyone who came while the sync before it was running. SQLite itself syncs the log before it moves pages
//! into the database, and the database before it writes over the log. Once a sync fails nobody knows what is on the
//! disk, and a second one may lie: nothing is answered with success after that.

use crate::append::Receipt;
use crate::error::AppendError;
use crate::feed::{Feed, News};
use std::fs::File;
use std::path::Path;
#[cfg(test)]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// A committed append whose turn to be told has not come.
pub(crate) struct Committed {
    /// Waits for a sync; `None` where it was answered when it was committed.
    pub answer: Option<Answer>,
    /// `None` where it has no events.
    pub news: Option<News>,
}

/// The thread that syncs.
pub(crate) struct Syncer {
    committed: Option<mpsc::Sender<Vec<Committed>>>,
    thread: Option<JoinHandle<()>>,
    waiting: Arc<AtomicUsize>,
    #[cfg(test)]
    syncs: Arc<AtomicU64>,
}

impl Syncer {
    /// Starts to sync the log at `log`, which must be there.
    pub fn start(log: &Path, feed: Arc<Feed>, ended: Ended) -> std::io::Result<Self> {
        // Written by SQLite alone; Windows syncs only what may be written.
        let log = File::options().read(true).write(true).open(log)?;
        let (committed, queue) = mpsc::channel::<Vec<Committed>>();
        let waiting = Arc::new(AtomicUsize::new(0));
        #[cfg(test)]
        let syncs = Arc::new(AtomicU64::new(0));
        let thread = std::thread::Builder::new().name("journal-sync".into()).spawn({
            let waiting = Arc::clone(&waiting);
            #[cfg(test)]
            let syncs = Arc::clone(&syncs);
            move || {
                while let Ok(mut batch) = queue.recv() {
                    // Everyone who came while the last sync was running.
                    batch.extend(queue.try_iter().flatten());
                    if batch.iter().any(|append| append.answer.is_some()) {
                        #[cfg(test)]
                        syncs.fetch_add(1, Ordering::Relaxed);
                        if let Err(error) = log.sync_data() {
                            let reason = format!("the log cannot be synced: {error}");
                            let _ = ended.set(AppendError::Failed { reason });
                        }
                    }
                    let count = batch.len();
                    for append in batch {
                        settle(append, &feed, ended.get());
                    }
                    waiting.fetch_sub(count, Ordering::Release);
                }
            }
        })?;
        Ok(Self {
            committed: Some(committed),
            thread: Some(thread),
            waiting,
            #[cfg(test)]
            syncs,
        })
    }

    /// Whether something waits to be told, so that what is committed now must not be told before it.
    pub fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Answers and tells of these once everything that is committed now is on the disk.
    pub fn settle(&self, batch: Vec<Committed>) {
        if let Some(committed) = self.committed.as_ref().filter(|_| !batch.is_empty()) {
            self.waiting.fetch_add(batch.len(), Ordering::Relaxed);
            let _ = committed.send(batch);
        }
    }

    /// How many syncs were begun.
    #[cfg(test)]
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }
}

/// Tells and answers; nothing is told any more once nobody knows what is on the disk.
fn settle(append: Committed, feed: &Feed, ended: Option<&AppendError>) {
    match ended {
        None => {
            if let Some(news) = append.news {
                feed.tell(news);
            }
            if let Some(answer) = append.answer {
                answer.done();
            }
        }
        Some(error) => {
            if let Some(answer) = append.answer {
                let _ = answer.reply.send(Err(error.clone()));
            }
        }
    }
}

impl Drop for Syncer {
    /// Waits until everyone is answered.
    fn drop(&mut self) {
        self.committed = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
