//! Who commits: whoever appends, where nobody else is at it.
//!
//! An append is put in the queue, and who put it there commits what stands in it. Where somebody is at that already,
//! that one commits this too. So an append that comes alone costs no change of threads, which takes longer than the
//! commit and has to wait for a processor where others work, and those that come together go together. Nobody commits for
//! others longer than [`TURN`]; a thread does what is left then, and closes the database in the end.
//!
//! A commit does not wait for the disk (`writer`), but where a long log begins anew (`checkpoint`), so it may run on a
//! thread of the runtime; it keeps one of them at most. A full append that nobody else is waited for is synced on its
//! caller's thread too (`sync`), after the writer is back for others, and where the runtime has other threads for its
//! other tasks.

use crate::error::AppendError;
use crate::sync::{Due, lock};
use crate::turns;
use crate::writer::{Queued, Writer};
use atelier_protocol::Class;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// A group closes at so many events, or so many bytes of payload.
const GROUP_EVENTS: usize = 256;
const GROUP_BYTES: usize = 1024 * 1024;

/// How long an append may be held up by committing others: a few commits.
const TURN: Duration = Duration::from_micros(200);

/// The appends that wait to be committed, and the writer for whoever commits them.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    /// There is something for the thread.
    wanted: Condvar,
    ended: CancellationToken,
}

struct Waiting {
    appends: VecDeque<Queued>,
    writer: Place,
    /// No more come.
    closed: bool,
}

/// Where the writer is.
enum Place {
    Here(Box<Writer>),
    /// With somebody who commits, and looks at the queue again before bringing it back.
    AtWork,
    /// It broke off.
    Gone,
}

impl Waiting {
    /// Takes the writer where it is here.
    fn writer(&mut self) -> Option<Box<Writer>> {
        match std::mem::replace(&mut self.writer, Place::AtWork) {
            Place::Here(writer) => Some(writer),
            elsewhere => {
                self.writer = elsewhere;
                None
            }
        }
    }

    /// Whether there is something to do that nobody else does.
    fn is_for_the_thread(&self) -> bool {
        match self.writer {
            Place::Here(_) => self.closed || !self.appends.is_empty(),
            Place::AtWork => false,
            Place::Gone => true,
        }
    }

    /// Takes out those that are committed next.
    fn group(&mut self) -> Option<Vec<Queued>> {
        let (mut count, mut events, mut bytes) = (0, 0, 0);
        for append in &self.appends {
            if events >= GROUP_EVENTS || bytes >= GROUP_BYTES {
                break;
            }
            count += 1;
            events += append.work.events.len();
            bytes += append.bytes;
        }
        (count > 0).then(|| self.appends.drain(..count).collect())
    }
}

impl Queue {
    /// An empty queue for `writer`, and its thread, which ends when the queue is closed.
    pub fn start(writer: Writer) -> std::io::Result<Arc<Self>> {
        let queue = Arc::new(Self {
            waiting: Mutex::new(Waiting {
                appends: VecDeque::new(),
                writer: Place::Here(Box::new(writer)),
                closed: false,
            }),
            wanted: Condvar::new(),
            ended: CancellationToken::new(),
        });
        let own = Arc::clone(&queue);
        std::thread::Builder::new().name("journal-writer".into()).spawn(move || own.work())?;
        Ok(queue)
    }

    /// Sees to it that an append is committed and answered, now or soon.
    pub fn append(&self, append: Queued) -> Result<(), AppendError> {
        let may_wait = append.work.class() == Class::Full && Due::may_be_paid_here();
        let mut waiting = lock(&self.waiting);
        if waiting.closed {
            return Err(AppendError::Closed);
        }
        waiting.appends.push_back(append);
        let writer = waiting.writer();
        drop(waiting);
        if let Some(due) = writer.and_then(|writer| self.commit_for(TURN, writer, may_wait)) {
            due.pay();
        }
        Ok(())
    }

    /// Takes no more appends; the thread commits those that are in the queue and closes the database.
    pub fn close(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.closed = true;
        self.tell(&waiting);
    }

    /// Cancelled once the database is closed.
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// Commits what stands in the queue until it is empty, for about so long, or until a sync is left to who commits. Only
    /// that of the first group may be, which has one's own append, and only where that one `may_wait`.
    fn commit_for(&self, time: Duration, mut writer: Box<Writer>, mut may_wait: bool) -> Option<Due> {
        let since = Instant::now();
        let mut due = None;
        loop {
            let mut waiting = lock(&self.waiting);
            // Looked at and left under one lock, so that nobody is forgotten who comes at this moment.
            let group = if due.is_none() && since.elapsed() < time { waiting.group() } else { None };
            let Some(group) = group else {
                waiting.writer = Place::Here(writer);
                self.tell(&waiting);
                return due;
            };
            drop(waiting);
            // A writer that breaks off takes no caller with it.
            match catch_unwind(AssertUnwindSafe(|| writer.commit(group, std::mem::take(&mut may_wait)))) {
                Ok(left) => due = left,
                Err(_) => {
                    drop(writer);
                    self.give_up();
                    return None;
                }
            }
        }
    }

    /// Tells those who wait that it is closed, since nobody is left who could commit them.
    fn give_up(&self) {
        let mut waiting = lock(&self.waiting);
        (waiting.writer, waiting.closed) = (Place::Gone, true);
        waiting.appends.clear();
        self.tell(&waiting);
    }

    fn tell(&self, waiting: &Waiting) {
        if waiting.is_for_the_thread() {
            self.wanted.notify_one();
        }
    }

    /// The thread's work, until the queue is closed and empty.
    fn work(&self) {
        let _ended = self.ended.clone().drop_guard();
        turns::short_and_soon();
        loop {
            let waiting = self.wanted.wait_while(lock(&self.waiting), |waiting| !waiting.is_for_the_thread());
            let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
            let over = waiting.appends.is_empty();
            let Some(writer) = waiting.writer() else { return };
            drop(waiting);
            if over {
                return writer.close();
            }
            let _ = self.commit_for(Duration::MAX, writer, false);
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
