//! The one writer: a thread that takes queued appends, commits them in groups, and answers each.
//!
//! Appends that wait together are committed together; nothing waits for company. A group closes at 256 events, 1 MiB
//! or 2 ms. A group with any event of class full is committed with `synchronous=FULL`, which syncs the log before
//! the commit returns and with it every earlier commit; any other with `NORMAL`, which survives a killed process but
//! not a power loss. An append is whole or absent. Each group first checks that the epoch in the store is still ours.

use crate::append::{Mark, Receipt};
use crate::error::AppendError;
use crate::feed::Feed;
use crate::group::{Encoded, Group};
use crate::owner::StoreLock;
use crate::reader;
use atelier_protocol::event::NewEvent;
use atelier_protocol::ports::Clock;
use atelier_protocol::{Class, Event, Hash, RunId, Seq, StoreId};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use std::collections::HashSet;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

const GROUP_EVENTS: usize = 256;
const GROUP_BYTES: usize = 1024 * 1024;
const GROUP_TIME: Duration = Duration::from_millis(2);

/// Above this a page could not hold the number.
const LAST_SEQ: u64 = (1 << 53) - 1;

/// An append on its way.
pub(crate) struct Queued {
    pub work: Work,
    pub bytes: usize,
    pub reply: oneshot::Sender<Result<Receipt, AppendError>>,
    pub room: OwnedSemaphorePermit,
}

/// What one append asks of the writer.
pub(crate) struct Work {
    pub events: Vec<Encoded>,
    pub expecting: Vec<(RunId, u64)>,
    pub marks: Vec<Mark>,
}

impl Work {
    /// How durable it must be before it is acknowledged.
    fn class(&self) -> Class {
        let events = self.events.iter().map(|event| event.new.event.class()).max();
        // With events the marks are as durable as those: they come and go together.
        events.or_else(|| self.marks.iter().map(Mark::class).max()).unwrap_or(Class::Full)
    }
}

/// What the writer is told.
pub(crate) enum Message {
    Append(Queued),
    /// Finish what was queued before, close the file and answer.
    Stop(oneshot::Sender<()>),
}

/// The writing end of a store. Lives on its own thread and holds the lock as long as it does.
pub(crate) struct Writer {
    connection: Connection,
    store: StoreId,
    clock: Arc<dyn Clock>,
    feed: Arc<Feed>,
    epoch: u32,
    head: Seq,
    head_hash: Hash,
    shapes: HashSet<(String, u32)>,
    syncs: Option<Class>,
    /// Set once nothing can be written any more.
    ended: Option<AppendError>,
    /// Dropped after the connection: fields are dropped in order.
    _lock: Arc<StoreLock>,
}

impl Writer {
    /// Takes the store over: raises the epoch and appends who owns it now.
    pub fn take_over(
        connection: Connection,
        store: StoreId,
        door: &str,
        clock: Arc<dyn Clock>,
        lock: Arc<StoreLock>,
    ) -> Result<Self, AppendError> {
        let mut writer = Self {
            connection,
            store,
            clock,
            feed: Arc::new(Feed::new(Seq::ZERO)),
            epoch: 0,
            head: Seq::ZERO,
            head_hash: Hash::of(b""),
            shapes: HashSet::new(),
            syncs: None,
            ended: None,
            _lock: lock,
        };
        writer.raise_epoch(door)?;
        writer.feed = Arc::new(Feed::new(writer.head));
        Ok(writer)
    }

    fn raise_epoch(&mut self, door: &str) -> Result<(), AppendError> {
        self.sync_for(Class::Full).map_err(failed)?;
        self.shapes = known_shapes(&self.connection).map_err(failed)?;
        let transaction = begin(&self.connection).map_err(failed)?;
        let head = reader::head(&transaction).map_err(failed)?;
        let epoch = epoch_in(&transaction).map_err(failed)? + 1;
        transaction.execute("UPDATE store SET epoch = ?1", [epoch]).map_err(failed)?;
        let mut group = Group::new(&transaction, &self.store, &self.shapes, self.clock.now_ms(), head.seq, head.hash);
        let event = Event::OwnerChanged { epoch, pid: std::process::id(), door: door.to_owned() };
        group.append(vec![Encoded::new(NewEvent::of_store(event))?], &[]).map_err(failed)?;
        group.finish().map_err(failed)?;
        let (head, head_hash, shapes) = (group.head, group.head_hash, group.shapes);
        transaction.commit().map_err(failed)?;
        (self.head, self.head_hash, self.epoch) = (head, head_hash, epoch);
        self.shapes.extend(shapes);
        Ok(())
    }

    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    pub fn feed(&self) -> Arc<Feed> {
        Arc::clone(&self.feed)
    }

    /// Starts the thread. It ends when it is told to stop or nobody can tell it anything any more.
    pub fn start(mut self, queue: mpsc::Receiver<Message>) -> std::io::Result<()> {
        std::thread::Builder::new().name("journal-writer".into()).spawn(move || {
            let stopped = self.run(&queue);
            // So that a copy of the database file alone is the whole history. What fails here is done on opening.
            let _ = self.connection.pragma_update(None, "wal_checkpoint", "TRUNCATE");
            drop(self);
            if let Some(stopped) = stopped {
                let _ = stopped.send(());
            }
        })?;
        Ok(())
    }

    fn run(&mut self, queue: &mpsc::Receiver<Message>) -> Option<oneshot::Sender<()>> {
        while let Ok(message) = queue.recv() {
            let (mut group, mut events, mut bytes) = (Vec::new(), 0, 0);
            let since = Instant::now();
            let mut next = Some(message);
            let mut stop = None;
            while let Some(message) = next.take() {
                match message {
                    Message::Append(append) => {
                        events += append.work.events.len();
                        bytes += append.bytes;
                        group.push(append);
                    }
                    Message::Stop(stopped) => {
                        stop = Some(stopped);
                        break;
                    }
                }
                if events < GROUP_EVENTS && bytes < GROUP_BYTES && since.elapsed() < GROUP_TIME {
                    next = queue.try_recv().ok();
                }
            }
            if !group.is_empty() {
                self.commit(group);
            }
            if stop.is_some() {
                return stop;
            }
        }
        None
    }

    fn commit(&mut self, appends: Vec<Queued>) {
        let (work, waiting): (Vec<_>, Vec<_>) =
            appends.into_iter().map(|Queued { work, bytes, reply, room }| (work, (reply, bytes, room))).unzip();
        let outcomes = match self.ended.clone().map_or_else(|| self.write(work), Err) {
            Ok(outcomes) => outcomes,
            Err(error) => waiting.iter().map(|_| Err(error.clone())).collect(),
        };
        for ((reply, bytes, room), outcome) in waiting.into_iter().zip(outcomes) {
            if let Ok(receipt) = &outcome {
                self.feed.committed(&receipt.events, bytes);
            }
            drop(room);
            let _ = reply.send(outcome);
        }
    }

    fn write(&mut self, work: Vec<Work>) -> Result<Vec<Result<Receipt, AppendError>>, AppendError> {
        let class = work.iter().map(Work::class).max();
        let written = self.sync_for(class.unwrap_or(Class::Full)).and_then(|()| self.write_group(work));
        match written {
            Ok(Written::Group { outcomes, head, head_hash, shapes }) => {
                (self.head, self.head_hash) = (head, head_hash);
                self.shapes.extend(shapes);
                Ok(outcomes)
            }
            Ok(Written::Fenced { theirs }) => {
                let error = AppendError::Fenced { ours: self.epoch, theirs };
                self.ended = Some(error.clone());
                Err(error)
            }
            Err(error) => {
                let code = error.sqlite_error_code();
                let error = failed(error);
                // After a failed sync nobody knows what is on the disk, and a second sync may lie. A new owner reads
                // what is there. A full disk or a busy file is another matter: the next append may well succeed.
                if let Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) = code {
                    self.ended = Some(error.clone());
                }
                Err(error)
            }
        }
    }

    fn write_group(&self, work: Vec<Work>) -> rusqlite::Result<Written> {
        let transaction = begin(&self.connection)?;
        let theirs = epoch_in(&transaction)?;
        if theirs != self.epoch {
            return Ok(Written::Fenced { theirs });
        }
        let mut group =
            Group::new(&transaction, &self.store, &self.shapes, self.clock.now_ms(), self.head, self.head_hash.clone());
        let mut outcomes = Vec::with_capacity(work.len());
        for Work { events, expecting, marks } in work {
            outcomes.push(match group.refusal(&expecting, &marks)? {
                Some(refusal) => Err(refusal),
                None if group.head.0 + events.len() as u64 > LAST_SEQ => {
                    Err(AppendError::Failed { reason: "the store has no numbers left".into() })
                }
                None => Ok(group.append(events, &marks)?),
            });
        }
        group.finish()?;
        let Group { head, head_hash, shapes, .. } = group;
        transaction.commit()?;
        Ok(Written::Group { outcomes, head, head_hash, shapes })
    }

    /// Chooses between a commit that syncs the log and one that does not. Outside a transaction only.
    fn sync_for(&mut self, class: Class) -> rusqlite::Result<()> {
        if self.syncs != Some(class) {
            let synchronous = match class {
                Class::Full => "FULL",
                Class::Normal => "NORMAL",
            };
            self.connection.pragma_update(None, "synchronous", synchronous)?;
            self.syncs = Some(class);
        }
        Ok(())
    }
}

enum Written {
    Group { outcomes: Vec<Result<Receipt, AppendError>>, head: Seq, head_hash: Hash, shapes: HashSet<(String, u32)> },
    Fenced { theirs: u32 },
}

fn begin(connection: &Connection) -> rusqlite::Result<Transaction<'_>> {
    // Immediate: the epoch that is checked is the epoch that is written under.
    Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
}

fn epoch_in(transaction: &Transaction<'_>) -> rusqlite::Result<u32> {
    transaction.prepare_cached("SELECT epoch FROM store")?.query_row([], |row| row.get(0))
}

fn known_shapes(connection: &Connection) -> rusqlite::Result<HashSet<(String, u32)>> {
    let mut statement = connection.prepare("SELECT kind, v FROM shapes")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn failed(error: rusqlite::Error) -> AppendError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => AppendError::DiskFull,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            AppendError::Damaged { reason: error.to_string() }
        }
        _ => AppendError::Failed { reason: error.to_string() },
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
