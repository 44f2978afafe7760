//! Syncing the log: full appends are answered and told once the disk has them, while the writer goes on.
//!
//! The writer commits without waiting for the disk and hands the answers of full appends over to threads that sync the
//! log and then send them. What was committed after a full append is told after it, so that passes here too. Whatever was
//! committed before a sync began is on the disk when it ends, so one sync answers everyone up to its begin. There are
//! two threads, so that who comes during a sync need not wait for its end before its own begins.
//!
//! SQLite itself syncs the log before it moves pages into the database, and the database before it writes over the log.
//! Once a sync fails nobody knows what is on the disk, and a second one may lie: nothing is answered with success after
//! that. Each thread has opened the log itself, because the system reports a failed write once to each that did.

use crate::append::Receipt;
use crate::error::AppendError;
use crate::feed::{Feed, News};
use crate::turns;
use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
#[cfg(test)]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Syncs that may be under way at one time.
const THREADS: usize = 2;

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

/// The threads that sync.
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    line: Mutex<Line>,
    /// Somebody came, or nobody will come any more.
    changed: Condvar,
    /// Held by the thread that tells and answers, so that it is done in order.
    turn: Mutex<()>,
    /// How many are not told yet.
    waiting: AtomicUsize,
    feed: Arc<Feed>,
    ended: Ended,
    #[cfg(test)]
    syncs: AtomicU64,
}

/// Those who wait, in the order of their commits.
#[derive(Default)]
struct Line {
    waiting: VecDeque<Committed>,
    /// How many have left the line.
    left: usize,
    /// For how many of all who ever came a sync has begun.
    begun: usize,
    closed: bool,
}

enum Next {
    /// A sync, for all up to this one.
    Sync { reached: usize },
    /// Nobody who waits needs one.
    Leave,
}

impl Line {
    /// What is to be done next, if anything.
    fn next(&mut self) -> Option<Next> {
        let mut fresh = self.waiting.iter().skip(self.begun.saturating_sub(self.left));
        if fresh.any(|append| append.answer.is_some()) {
            self.begun = self.left + self.waiting.len();
            return Some(Next::Sync { reached: self.begun });
        }
        // They came when those before them were just leaving.
        (self.begun <= self.left && !self.waiting.is_empty()).then_some(Next::Leave)
    }

    /// Takes out those up to `reached`, and whoever behind them waits for nobody's sync.
    fn leave(&mut self, reached: usize) -> Vec<Committed> {
        let synced = reached.saturating_sub(self.left);
        let free = self.waiting.iter().skip(synced).take_while(|append| append.answer.is_none()).count();
        let gone: Vec<Committed> = self.waiting.drain(..synced + free).collect();
        self.left += gone.len();
        gone
    }
}

impl Syncer {
    /// Starts to sync the log at `log`, which must be there.
    pub fn start(log: &Path, feed: Arc<Feed>, ended: Ended) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            line: Mutex::default(),
            changed: Condvar::new(),
            turn: Mutex::default(),
            waiting: AtomicUsize::new(0),
            feed,
            ended,
            #[cfg(test)]
            syncs: AtomicU64::new(0),
        });
        let mut syncer = Self { shared, threads: Vec::new() };
        for _ in 0..THREADS {
            // Written by SQLite alone; Windows syncs only what may be written.
            let log = File::options().read(true).write(true).open(log)?;
            let shared = Arc::clone(&syncer.shared);
            let thread = std::thread::Builder::new().name("journal-sync".into()).spawn(move || shared.work(&log))?;
            syncer.threads.push(thread);
        }
        Ok(syncer)
    }

    /// Whether something waits to be told, so that what is committed now must not be told before it.
    pub fn is_busy(&self) -> bool {
        self.shared.waiting.load(Ordering::Acquire) > 0
    }

    /// Answers and tells of these once everything that is committed now is on the disk.
    pub fn settle(&self, batch: Vec<Committed>) {
        if batch.is_empty() {
            return;
        }
        self.shared.waiting.fetch_add(batch.len(), Ordering::Relaxed);
        lock(&self.shared.line).waiting.extend(batch);
        self.shared.changed.notify_one();
    }

    /// How many syncs were begun.
    #[cfg(test)]
    pub fn syncs(&self) -> u64 {
        self.shared.syncs.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// One thread's work, until the line is closed and everyone in it has a sync.
    fn work(&self, log: &File) {
        turns::short_and_soon();
        while let Some(next) = self.next() {
            let reached = match next {
                Next::Sync { reached } => {
                    self.sync(log);
                    reached
                }
                Next::Leave => 0,
            };
            let _turn = lock(&self.turn);
            let gone = lock(&self.line).leave(reached);
            let count = gone.len();
            for append in gone {
                settle(append, &self.feed, self.ended.get());
            }
            self.waiting.fetch_sub(count, Ordering::Release);
        }
    }

    fn sync(&self, log: &File) {
        #[cfg(test)]
        self.syncs.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = log.sync_data() {
            let reason = format!("the log cannot be synced: {error}");
            let _ = self.ended.set(AppendError::Failed { reason });
        }
    }

    /// Waits until there is something to do.
    fn next(&self) -> Option<Next> {
        let mut line = lock(&self.line);
        loop {
            if let Some(next) = line.next() {
                return Some(next);
            }
            if line.closed {
                return None;
            }
            line = self.changed.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
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
        lock(&self.shared.line).closed = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Whatever became of the thread that held it last.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
