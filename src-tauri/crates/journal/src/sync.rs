//! Syncing the log: full appends are answered and told once the disk has them, while the writer goes on.
//!
//! The writer commits without waiting for the disk, and hands the answers of full appends over to whoever syncs the log
//! and then sends them. What was committed after a full append is told after it, so that passes here too. Whatever was
//! committed before a sync began is on the disk when it ends, so one sync answers everyone up to its begin.
//!
//! Where nobody is waited for, whoever appended syncs: handing that over to a thread, and being woken by it, takes as
//! long as some syncs do. Everyone else is left to two threads, so that who comes during a sync need not wait for its end
//! before its own begins.
//!
//! SQLite itself syncs the log before it moves pages into the database, and the database before it writes over the log.
//! Once a sync fails nobody knows what is on the disk, and a second one may lie: nothing is answered with success after
//! that. Who syncs has opened the log itself, because the system reports a failed write once to each that did.

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
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Syncs that may be under way at one time, beside one of whoever appended.
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

/// A sync that is left to who appended, and the answers after it. Done where it is dropped, so that nobody waits in vain.
#[must_use = "it is done where it is dropped"]
pub(crate) struct Due {
    shared: Arc<Shared>,
    reached: usize,
}

struct Shared {
    /// For who appended, of whom one at a time syncs; each of the threads has its own.
    log: File,
    line: Mutex<Line>,
    /// Somebody came, or nobody will come any more.
    changed: Condvar,
    /// Held by whoever tells and answers, so that it is done in order.
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
        // Written by SQLite alone; Windows syncs only what may be written.
        let open = || File::options().read(true).write(true).open(log);
        let shared = Arc::new(Shared {
            log: open()?,
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
            let (shared, log) = (Arc::clone(&syncer.shared), open()?);
            let thread = std::thread::Builder::new().name("journal-sync".into()).spawn(move || shared.work(&log))?;
            syncer.threads.push(thread);
        }
        Ok(syncer)
    }

    /// Whether something waits to be told, so that what is committed now must not be told before it.
    pub fn is_busy(&self) -> bool {
        self.shared.waiting.load(Ordering::Acquire) > 0
    }

    /// Sees to it that these are answered and told once everything that is committed now is on the disk. Leaves the sync
    /// to who appended where that one `may_wait` and nobody else is waited for.
    pub fn settle(&self, batch: Vec<Committed>, may_wait: bool) -> Option<Due> {
        if batch.is_empty() {
            return None;
        }
        self.shared.waiting.fetch_add(batch.len(), Ordering::Relaxed);
        let mut line = lock(&self.shared.line);
        line.waiting.extend(batch);
        if may_wait
            && line.begun <= line.left
            && let Some(Next::Sync { reached }) = line.next()
        {
            return Some(Due { shared: Arc::clone(&self.shared), reached });
        }
        drop(line);
        self.shared.changed.notify_one();
        None
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
            self.leave(reached);
        }
    }

    /// Answers and tells of those up to `reached`, whose sync is over.
    fn leave(&self, reached: usize) {
        let _turn = lock(&self.turn);
        let gone = {
            let mut line = lock(&self.line);
            let gone = line.leave(reached);
            if line.closed {
                self.changed.notify_all();
            }
            gone
        };
        let count = gone.len();
        for append in gone {
            settle(append, &self.feed, self.ended.get());
        }
        self.waiting.fetch_sub(count, Ordering::Release);
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
            if line.closed && line.waiting.is_empty() {
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

impl Due {
    /// Whether this thread belongs to a runtime of many, which goes on while one of them waits for the disk.
    pub fn may_be_paid_here() -> bool {
        Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
    }

    /// Syncs on this thread of a runtime, whose other tasks go on elsewhere meanwhile. Futures that share the task of who
    /// appended wait too.
    pub fn pay(self) {
        tokio::task::block_in_place(|| drop(self));
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        self.shared.sync(&self.shared.log);
        self.shared.leave(self.reached);
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
        // The last may have left the line and not be answered.
        drop(lock(&self.shared.turn));
    }
}

/// Whatever became of the thread that held it last.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
