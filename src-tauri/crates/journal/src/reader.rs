//! Reading the history: rows, what is in them, and a few read connections off the async threads.
//!
//! A payload is checked against its hash whenever it is read. What is whole but cannot be decoded was written by
//! another build and is reported as such, never skipped. Nothing here writes.

use crate::blobs::Blobs;
use crate::chain::Link;
use crate::error::{BlobError, ReadError};
use crate::pool::{Ending, Pool};
use atelier_protocol::{Envelope, Event, Hash, RunId, Seq, StepId, StoreId};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Rows above which half of them are decoded on a thread of their own.
const WORTH_A_THREAD: usize = 512;

const COLUMNS: &str = "seq, at_ms, kind, v, run, step, cause, trace, payload, key_id, payload_hash, prev_hash";

/// One row of the event table as it is stored.
#[derive(Clone)]
pub(crate) struct Row {
    pub seq: Seq,
    pub at_ms: u64,
    pub kind: String,
    pub v: u32,
    pub run: Option<String>,
    pub step: Option<String>,
    pub cause: Option<Seq>,
    pub trace: Option<String>,
    pub payload: Option<Vec<u8>>,
    pub key_id: Option<String>,
    pub payload_hash: Hash,
    pub prev_hash: Hash,
}

impl Row {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        // What is no hash becomes one that fits nothing, so that the walk over the chain can name the event. Before
        // the fourth schema it was a text.
        let hash = |index: usize| -> rusqlite::Result<Hash> {
            let bytes = row.get_ref(index)?.as_bytes().map_err(rusqlite::Error::from)?;
            let known = match <[u8; 32]>::try_from(bytes) {
                Ok(bytes) => Some(Hash::from_bytes(bytes)),
                Err(_) => std::str::from_utf8(bytes).ok().and_then(Hash::parse),
            };
            Ok(known.unwrap_or_else(|| Hash::of(bytes)))
        };
        Ok(Self {
            seq: Seq(row.get::<_, i64>(0)?.unsigned_abs()),
            at_ms: row.get::<_, i64>(1)?.unsigned_abs(),
            kind: row.get(2)?,
            v: row.get(3)?,
            run: row.get(4)?,
            step: row.get(5)?,
            cause: row.get::<_, Option<i64>>(6)?.map(|cause| Seq(cause.unsigned_abs())),
            trace: row.get(7)?,
            payload: row.get(8)?,
            key_id: row.get(9)?,
            payload_hash: hash(10)?,
            prev_hash: hash(11)?,
        })
    }

    pub fn link<'a>(&'a self, store: &'a str) -> Link<'a> {
        Link {
            seq: self.seq,
            store,
            at_ms: self.at_ms,
            kind: &self.kind,
            v: self.v,
            run: self.run.as_deref(),
            step: self.step.as_deref(),
            cause: self.cause,
            trace: self.trace.as_deref(),
            key_id: self.key_id.as_deref(),
            payload_hash: &self.payload_hash,
            prev_hash: &self.prev_hash,
        }
    }

    /// The payload's bytes as stored, from the row or its blob, checked against their hash.
    pub fn payload_bytes(&self, blobs: &Blobs) -> Result<std::borrow::Cow<'_, [u8]>, ReadError> {
        let damaged = |reason: String| ReadError::Damaged { seq: self.seq, reason };
        match &self.payload {
            Some(payload) if Hash::of(payload) == self.payload_hash => Ok(payload.into()),
            Some(_) => Err(damaged("its payload does not have the hash that was recorded".into())),
            None => match blobs.get(&self.payload_hash) {
                Ok(Some(bytes)) => Ok(bytes.into()),
                Ok(None) => Err(damaged(format!("its payload, {}, is missing", self.payload_hash))),
                Err(error @ BlobError::Io { .. }) => Err(ReadError::Failed { reason: error.to_string() }),
                Err(error) => Err(damaged(error.to_string())),
            },
        }
    }

    /// The envelope with its event.
    pub fn decode(self, store: &StoreId, blobs: &Blobs) -> Result<Envelope, ReadError> {
        if let Some(key) = self.key_id {
            return Err(ReadError::Sealed { seq: self.seq, key });
        }
        let payload = self.payload_bytes(blobs)?;
        let newer = || ReadError::Newer { seq: self.seq, kind: self.kind.clone(), v: self.v };
        // The payload is whole, so what cannot be decoded was written by a build that knows more.
        let event = decode_event(&self.kind, self.v, &payload).ok_or_else(newer)?;
        if self.v > event.version() {
            return Err(newer());
        }
        let run = match &self.run {
            None => None,
            Some(run) => Some(
                run.parse::<RunId>()
                    .map_err(|error| ReadError::Damaged { seq: self.seq, reason: error.to_string() })?,
            ),
        };
        Ok(Envelope {
            seq: self.seq,
            store: store.clone(),
            at_ms: self.at_ms,
            v: self.v,
            run,
            step: self.step.map(StepId::new),
            cause: self.cause,
            trace: self.trace,
            event,
            payload_hash: self.payload_hash,
            prev_hash: self.prev_hash,
        })
    }
}

/// The envelopes of rows, in order; many rows on as many threads as help.
pub(crate) fn decode(mut rows: Vec<Row>, store: &StoreId, blobs: &Blobs) -> Result<Vec<Envelope>, ReadError> {
    let one_by_one =
        |rows: Vec<Row>| rows.into_iter().map(|row| row.decode(store, blobs)).collect::<Result<Vec<_>, _>>();
    if rows.len() < WORTH_A_THREAD {
        return one_by_one(rows);
    }
    let behind = rows.split_off(rows.len() / 2);
    let (first, second) = std::thread::scope(|scope| {
        let second = scope.spawn(|| one_by_one(behind));
        (one_by_one(rows), second.join())
    });
    let mut envelopes = first?;
    envelopes.extend(second.map_err(|_| ReadError::Failed { reason: "events could not be decoded".into() })??);
    Ok(envelopes)
}

fn decode_event(kind: &str, v: u32, payload: &[u8]) -> Option<Event> {
    if v < atelier_protocol::upcast::newest(kind) {
        let payload = atelier_protocol::upcast::upcast(kind, v, serde_json::from_slice(payload).ok()?);
        return serde_json::from_value(serde_json::json!({"kind": kind, "payload": payload})).ok();
    }
    let mut json = Vec::with_capacity(payload.len() + kind.len() + 32);
    json.extend_from_slice(b"{\"kind\":");
    serde_json::to_writer(&mut json, kind).ok()?;
    json.extend_from_slice(b",\"payload\":");
    json.extend_from_slice(payload);
    json.push(b'}');
    serde_json::from_slice(&json).ok()
}

/// Rows after `after` up to `upto`, in order: at most `limit`, and none more once they hold `bytes` bytes.
pub(crate) fn rows(
    connection: &Connection,
    run: Option<&RunId>,
    after: Seq,
    upto: Seq,
    limit: usize,
    bytes: usize,
) -> Result<Vec<Row>, ReadError> {
    let sql = match run {
        None => format!("SELECT {COLUMNS} FROM events WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3"),
        Some(_) => format!(
            "SELECT {COLUMNS} FROM of_run CROSS JOIN events ON seq = event
             WHERE id = (SELECT id FROM runs WHERE run = ?4) AND event > ?1 AND event <= ?2 ORDER BY event LIMIT ?3"
        ),
    };
    let (after, upto, limit) = (number(after.0), number(upto.0), number(limit as u64));
    let mut statement = connection.prepare_cached(&sql).map_err(failed)?;
    let mut found = match run {
        None => statement.query(params![after, upto, limit]),
        Some(run) => statement.query(params![after, upto, limit, run.as_str()]),
    }
    .map_err(failed)?;
    let (mut rows, mut held) = (Vec::new(), 0);
    while held < bytes
        && let Some(row) = found.next().map_err(failed)?
    {
        let row = Row::read(row).map_err(failed)?;
        held += row.payload.as_ref().map_or(0, Vec::len);
        rows.push(row);
    }
    Ok(rows)
}

/// Numbers of events outside runs of one of these kinds, after `after`, at most `limit`, in order.
fn numbers_of_kinds(connection: &Connection, kinds: &[String], after: Seq, limit: usize) -> rusqlite::Result<Vec<i64>> {
    // One kind at a time: the index is in order of numbers only within a kind.
    let sql = "SELECT seq FROM events WHERE run IS NULL AND kind = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let mut numbers = Vec::new();
    for kind in kinds {
        let found = statement.query_map(params![kind, number(after.0), number(limit as u64)], |row| row.get(0))?;
        numbers.extend(found.collect::<rusqlite::Result<Vec<i64>>>()?);
    }
    numbers.sort_unstable();
    numbers.dedup();
    numbers.truncate(limit);
    Ok(numbers)
}

fn rows_of_kinds(connection: &Connection, kinds: &[String], after: Seq, limit: usize) -> rusqlite::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM events WHERE seq = ?1"))?;
    let numbers = numbers_of_kinds(connection, kinds, after, limit)?;
    numbers.into_iter().map(|seq| statement.query_row([seq], Row::read)).collect()
}

/// SQLite's integers are signed; ours stay below 2^53.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What a store says about its end.
pub(crate) struct Head {
    /// The store's name.
    pub store: String,
    /// Number of its last event.
    pub seq: Seq,
    /// Hash of that event's envelope.
    pub hash: Hash,
    /// Number of the last event that is in the table; the same as `seq` in a sound store.
    pub found: Seq,
}

/// Reads the end of the store, as of one moment.
pub(crate) fn head(connection: &Connection) -> rusqlite::Result<Head> {
    connection.query_row(
        "SELECT name, head_seq, head_hash, coalesce((SELECT max(seq) FROM events), 0) FROM store",
        [],
        |row| {
            let hash: String = row.get(2)?;
            Ok(Head {
                store: row.get(0)?,
                seq: Seq(row.get::<_, i64>(1)?.unsigned_abs()),
                hash: Hash::parse(&hash).unwrap_or_else(|| Hash::of(hash.as_bytes())),
                found: Seq(row.get::<_, i64>(3)?.unsigned_abs()),
            })
        },
    )
}

pub(crate) fn failed(error: rusqlite::Error) -> ReadError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ReadError::Broken { reason: error.to_string() },
        _ => ReadError::Failed { reason: error.to_string() },
    }
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        failed(error)
    }
}

/// Opens a database for reading only. It is never made.
pub(crate) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

/// The read connections of a store.
pub(crate) struct Readers {
    pool: Arc<Pool>,
    store: StoreId,
    blobs: Blobs,
}

impl Readers {
    pub fn new(path: PathBuf, store: StoreId, blobs: Blobs) -> Self {
        Self { pool: Arc::new(Pool::new(path)), store, blobs }
    }

    pub fn store(&self) -> &StoreId {
        &self.store
    }

    /// The store's folder.
    pub fn dir(&self) -> &Path {
        self.pool.path().parent().unwrap_or(Path::new(""))
    }

    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Runs `read` on a thread that may block, with a connection of its own.
    pub async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection, &Readers) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let readers = Arc::clone(self);
        let read = self.pool.with(move |connection| read(connection, &readers)).await;
        read.unwrap_or_else(|Ending| Err(ReadError::Failed { reason: "the program is ending".into() }))
    }

    pub async fn envelopes(
        self: &Arc<Self>,
        run: Option<RunId>,
        after: Seq,
        upto: Seq,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Envelope>, ReadError> {
        self.with(move |connection, readers| {
            let rows = rows(connection, run.as_ref(), after, upto, limit, bytes)?;
            decode(rows, &readers.store, &readers.blobs)
        })
        .await
    }

    pub async fn of_kinds(
        self: &Arc<Self>,
        kinds: Vec<String>,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Envelope>, ReadError> {
        self.with(move |connection, readers| {
            let rows = rows_of_kinds(connection, &kinds, after, limit).map_err(failed)?;
            decode(rows, &readers.store, &readers.blobs)
        })
        .await
    }

    pub async fn runs(self: &Arc<Self>) -> Result<Vec<RunId>, ReadError> {
        self.with(|connection, _| {
            let mut statement =
                connection.prepare_cached("SELECT run, first_seq FROM runs ORDER BY id").map_err(failed)?;
            let mut found = statement.query([]).map_err(failed)?;
            let mut runs = Vec::new();
            while let Some(row) = found.next().map_err(failed)? {
                let (run, seq): (String, i64) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
                let seq = Seq(seq.unsigned_abs());
                runs.push(run.parse::<RunId>().map_err(|e| ReadError::Damaged { seq, reason: e.to_string() })?);
            }
            Ok(runs)
        })
        .await
    }

    pub async fn version(self: &Arc<Self>, run: RunId) -> Result<u64, ReadError> {
        self.with(move |connection, _| version(connection, &run).map_err(failed)).await
    }
}

/// How many events a run has.
pub(crate) fn version(connection: &Connection, run: &RunId) -> rusqlite::Result<u64> {
    let events: Option<i64> = connection
        .prepare_cached("SELECT events FROM runs WHERE run = ?1")?
        .query_row([run.as_str()], |row| row.get(0))
        .optional()?;
    Ok(events.unwrap_or(0).unsigned_abs())
}
