//! The one writer: commits queued appends in groups and answers each.
//!
//! Appends that wait together are committed together; nothing waits for company (`queue`). No commit waits for the disk:
//! an append of class normal is answered once it is committed, which survives a killed process but not a power loss; one
//! of class full is answered and told once the log is synced (`sync`), and with it every earlier commit. An append is
//! whole or absent. Each group first checks that the epoch in the store is still ours.

use crate::ahead::Ahead;
use crate::append::{Mark, Receipt};
use crate::checkpoint::Checkpointer;
use crate::error::AppendError;
use crate::feed::Feed;
use crate::group::{Encoded, Group, Placed};
use crate::owner::StoreLock;
use crate::reader;
use crate::reserve::{self, Reserve};
use crate::store;
use crate::sync::{Answer, Committed, Due, Ended, Syncer};
use atelier_protocol::event::NewEvent;
use atelier_protocol::mutant::{self, Mutant};
use atelier_protocol::ports::Clock;
use atelier_protocol::{Class, Event, Hash, RunId, Seq, StoreId};
use rusqlite::{Connection, DropBehavior, ErrorCode, Transaction, TransactionBehavior};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

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
    pub fn class(&self) -> Class {
        let events = self.events.iter().map(|event| event.new.event.class()).max();
        // With events the marks are as durable as those: they come and go together.
        events.or_else(|| self.marks.iter().map(Mark::class).max()).unwrap_or(Class::Full)
    }
}

/// The writing end of a store. Holds the lock as long as it lives.
pub(crate) struct Writer {
    connection: Connection,
    store: StoreId,
    clock: Arc<dyn Clock>,
    feed: Arc<Feed>,
    epoch: u32,
    head: Seq,
    head_hash: Hash,
    shapes: HashSet<(String, u32)>,
    checkpointer: Checkpointer,
    ahead: Ahead,
    syncer: Syncer,
    reserve: Reserve,
    /// Set once nothing can be written any more.
    ended: Ended,
    /// Dropped after the connection: fields are dropped in order.
    _lock: Arc<StoreLock>,
}

impl Writer {
    /// Takes the store in `dir` over: raises the epoch and appends who owns it now.
    pub fn take_over(
        mut connection: Connection,
        dir: &Path,
        store: StoreId,
        door: &str,
        clock: Arc<dyn Clock>,
        lock: Arc<StoreLock>,
    ) -> Result<Self, AppendError> {
        let taken = raise_epoch(&connection, &store, door, clock.now_ms())?;
        let unusable = |error: std::io::Error| AppendError::Failed { reason: error.to_string() };
        let ended = Ended::default();
        let Taken { epoch, head, head_hash, shapes } = taken;
        let feed = Arc::new(Feed::new(head));
        let syncer = Syncer::start(&store::log(dir), Arc::clone(&feed), Arc::clone(&ended)).map_err(unusable)?;
        let ahead = Ahead::start(&store::log(dir)).map_err(unusable)?;
        let checkpointer = Checkpointer::start(&store::file(dir), &mut connection).map_err(failed)?;
        Ok(Self {
            connection,
            store,
            clock,
            feed,
            epoch,
            head,
            head_hash,
            shapes,
            checkpointer,
            ahead,
            syncer,
            reserve: Reserve::of_store(dir),
            ended,
            _lock: lock,
        })
    }

    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    pub fn feed(&self) -> Arc<Feed> {
        Arc::clone(&self.feed)
    }

    /// Answers everyone and closes the database.
    pub fn close(self) {
        let Self { connection, checkpointer, ahead, syncer, _lock, .. } = self;
        // Everyone is answered, and nobody else moves pages.
        drop((syncer, checkpointer, ahead));
        // So that a copy of the database file alone is the whole history. What fails here is done on opening.
        let _ = connection.pragma_update(None, "wal_checkpoint", "TRUNCATE");
        drop((connection, _lock));
    }

    /// Commits appends as one group, and answers each, if need be once a sync is over. Gives the sync where it is left to
    /// who commits, which is only where that one `may_wait`.
    pub fn commit(&mut self, appends: Vec<Queued>, may_wait: bool) -> Option<Due> {
        let spent = self.reserve.is_spent() && !self.reserve.take_again();
        let mut appends = if spent { last_words(appends) } else { appends };
        let mut written = self.write(&appends);
        // What was kept back is for those that end something; everyone else is told.
        if matches!(written, Err(AppendError::DiskFull)) && self.reserve.give_back() {
            appends = last_words(appends);
            written = self.write(&appends);
        }
        match written {
            Ok(outcomes) => self.answer(appends, outcomes, may_wait),
            Err(error) => {
                refuse(appends, &error);
                None
            }
        }
    }

    /// Answers and tells what is committed: at once, or through the one who syncs. Told is in order.
    fn answer(
        &mut self,
        appends: Vec<Queued>,
        outcomes: Vec<Result<Placed, AppendError>>,
        may_wait: bool,
    ) -> Option<Due> {
        let mut later = Vec::new();
        for (Queued { work, bytes, reply, room }, outcome) in appends.into_iter().zip(outcomes) {
            match outcome {
                Ok(placed) => {
                    let class = work.class();
                    let answer = Answer { reply, receipt: placed.receipt(work.events, &self.store), room };
                    let news = self.feed.committed(&answer.receipt.events, bytes);
                    if class == Class::Full {
                        let news = match news {
                            Some(news) if mutant::is(Mutant::ToldBeforeSync) => {
                                self.feed.tell(news);
                                // Whoever follows has heard of it before the sync begins.
                                std::thread::sleep(Duration::from_millis(20));
                                None
                            }
                            news => news,
                        };
                        later.push(Committed { answer: Some(answer), news });
                        continue;
                    }
                    match news {
                        Some(news) if later.is_empty() && !self.syncer.is_busy() => self.feed.tell(news),
                        Some(news) => later.push(Committed { answer: None, news: Some(news) }),
                        None => {}
                    }
                    answer.done();
                }
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
            }
        }
        let is_synced = later.iter().any(|append| append.answer.is_some());
        let due = self.syncer.settle(later, may_wait);
        self.ahead.after_commit(self.checkpointer.pages(), is_synced);
        self.checkpointer.after_commit(&self.connection);
        due
    }

    /// Commits a group. Errors: of the group as a whole, none of which is in the store then.
    fn write(&mut self, appends: &[Queued]) -> Result<Vec<Result<Placed, AppendError>>, AppendError> {
        if appends.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(error) = self.ended.get() {
            return Err(error.clone());
        }
        match self.write_group(appends) {
            Ok(Written::Group { outcomes, head, head_hash, shapes }) => {
                (self.head, self.head_hash) = (head, head_hash);
                self.shapes.extend(shapes);
                Ok(outcomes)
            }
            Ok(Written::Fenced { theirs }) => {
                let error = AppendError::Fenced { ours: self.epoch, theirs };
                let _ = self.ended.set(error.clone());
                Err(error)
            }
            Err(error) => {
                let ends = ends_writing(&error);
                let error = failed(error);
                if ends {
                    let _ = self.ended.set(error.clone());
                }
                Err(error)
            }
        }
    }

    fn write_group(&self, appends: &[Queued]) -> rusqlite::Result<Written> {
        if mutant::is(Mutant::AckBeforeCommit) && !self.connection.is_autocommit() {
            self.connection.execute_batch("COMMIT")?; // the group before
        }
        let mut transaction = begin(&self.connection)?;
        let theirs = epoch_in(&transaction)?;
        if theirs != self.epoch {
            return Ok(Written::Fenced { theirs });
        }
        let mut group =
            Group::new(&transaction, &self.store, &self.shapes, self.clock.now_ms(), self.head, self.head_hash.clone());
        let mut outcomes = Vec::with_capacity(appends.len());
        for Queued { work: Work { events, expecting, marks }, .. } in appends {
            outcomes.push(match group.refusal(expecting, marks)? {
                Some(refusal) => Err(refusal),
                None if group.head.0 + events.len() as u64 > LAST_SEQ => {
                    Err(AppendError::Failed { reason: "the store has no numbers left".into() })
                }
                None => Ok(group.append(events, marks)?),
            });
        }
        group.finish()?;
        let Group { head, head_hash, shapes, .. } = group;
        if mutant::is(Mutant::AckBeforeCommit) {
            transaction.set_drop_behavior(DropBehavior::Ignore);
        } else {
            transaction.commit()?;
        }
        Ok(Written::Group { outcomes, head, head_hash, shapes })
    }
}

/// Keeps the appends whose events are all last words; the others are told that the disk is full.
fn last_words(appends: Vec<Queued>) -> Vec<Queued> {
    let speaks = |append: &Queued| {
        let events = &append.work.events;
        !events.is_empty() && events.iter().all(|event| reserve::is_last_word(&event.new.event))
    };
    let (last, others) = appends.into_iter().partition(speaks);
    refuse(others, &AppendError::DiskFull);
    last
}

fn refuse(appends: Vec<Queued>, error: &AppendError) {
    for append in appends {
        let _ = append.reply.send(Err(error.clone()));
    }
}

/// Whether nobody knows any more what is on the disk, so that only a new owner may go on, by reading. A write that
/// failed before its commit was whole is none of this: SQLite takes it back, and the next may well succeed.
fn ends_writing(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi;
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => true,
            ErrorCode::SystemIoFailure => !matches!(
                failure.extended_code,
                ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHMSIZE | ffi::SQLITE_IOERR_LOCK
            ),
            _ => false,
        },
        _ => false,
    }
}

enum Written {
    Group { outcomes: Vec<Result<Placed, AppendError>>, head: Seq, head_hash: Hash, shapes: HashSet<(String, u32)> },
    Fenced { theirs: u32 },
}

/// What a new owner begins with.
struct Taken {
    epoch: u32,
    head: Seq,
    head_hash: Hash,
    shapes: HashSet<(String, u32)>,
}

fn raise_epoch(connection: &Connection, store: &StoreId, door: &str, now_ms: u64) -> Result<Taken, AppendError> {
    // Synced by SQLite, and with it the folder that the log was made in; all later syncs are the syncer's.
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    let mut known = known_shapes(connection).map_err(failed)?;
    let transaction = begin(connection).map_err(failed)?;
    let head = reader::head(&transaction).map_err(failed)?;
    let epoch = epoch_in(&transaction).map_err(failed)? + 1;
    transaction.execute("UPDATE store SET epoch = ?1", [epoch]).map_err(failed)?;
    let mut group = Group::new(&transaction, store, &known, now_ms, head.seq, head.hash);
    let event = Event::OwnerChanged { epoch, pid: std::process::id(), door: door.to_owned() };
    group.append(&[Encoded::new(NewEvent::of_store(event))?], &[]).map_err(failed)?;
    group.finish().map_err(failed)?;
    let Group { head, head_hash, shapes, .. } = group;
    transaction.commit().map_err(failed)?;
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    known.extend(shapes);
    Ok(Taken { epoch, head, head_hash, shapes: known })
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

fn is_short_of_room(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(failure, _) if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

fn failed(error: rusqlite::Error) -> AppendError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => AppendError::DiskFull,
        // The log's index could not grow, which is how a full disk shows there.
        Some(ErrorCode::SystemIoFailure) if is_short_of_room(&error) => AppendError::DiskFull,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            AppendError::Damaged { reason: error.to_string() }
        }
        _ => AppendError::Failed { reason: error.to_string() },
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
pub(crate) mod tests;

#[cfg(test)]
#[path = "power_tests.rs"]
mod power_tests;

#[cfg(test)]
#[path = "sync_tests.rs"]
mod sync_tests;
