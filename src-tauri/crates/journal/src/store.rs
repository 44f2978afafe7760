//! The database file: its tables, how an older one is brought up to date, and what is refused.
//!
//! A store appears whole or not at all: it is made under another name and renamed, so an empty or unreadable file is
//! always damage. A damaged file and one of a newer version are named and left exactly as they are.
//!
//! `store` has one row: the store's name, the epoch of its owner, and the number and envelope hash of its last event.
//! `events` is the history. A payload above [`SPILL`] bytes is kept as a blob, and `blob` names it.
//! `runs` (how many events each run has) and `shapes` (which kinds and versions occur) follow from `events` and are
//! written in the same transaction. `keys` and `offsets` are the marks of appends: what was done once, and how far each
//! consumer has come. They do not follow from `events`.

use crate::blobs::{Blobs, sync_folder};
use crate::chain::genesis;
use crate::error::{OpenError, ReadError};
use crate::reader;
use atelier_protocol::{Seq, StoreId};
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes above which a payload is kept as a blob.
pub(crate) const SPILL: usize = 16 * 1024;

/// "Atlr": tells a store from any other SQLite file.
const APPLICATION: i32 = 0x4174_6c72;

/// What each version of the schema adds to the one before. Steps are only ever added at the end.
const MIGRATIONS: &[&str] = &[
    "CREATE TABLE store (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        name TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        head_seq INTEGER NOT NULL,
        head_hash TEXT NOT NULL
    ) STRICT;
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        v INTEGER NOT NULL,
        run TEXT,
        step TEXT,
        cause INTEGER,
        trace TEXT,
        payload BLOB,
        blob TEXT,
        key_id TEXT,
        payload_hash TEXT NOT NULL,
        prev_hash TEXT NOT NULL,
        CHECK ((payload IS NULL) <> (blob IS NULL))
    ) STRICT;
    CREATE INDEX events_of_run ON events (run, seq) WHERE run IS NOT NULL;",
    "CREATE TABLE runs (
        run TEXT PRIMARY KEY,
        first_seq INTEGER NOT NULL,
        events INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX runs_by_start ON runs (first_seq);
    INSERT INTO runs SELECT run, min(seq), count(*) FROM events WHERE run IS NOT NULL GROUP BY run;
    CREATE TABLE shapes (
        kind TEXT NOT NULL,
        v INTEGER NOT NULL,
        first_seq INTEGER NOT NULL,
        PRIMARY KEY (kind, v)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO shapes SELECT kind, v, min(seq) FROM events GROUP BY kind, v;",
    "CREATE TABLE keys (
        scope TEXT NOT NULL,
        key TEXT NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (scope, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE offsets (
        consumer TEXT PRIMARY KEY,
        seq INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX events_of_store ON events (kind, seq) WHERE run IS NULL;",
];

/// The schema version of this build.
pub(crate) const SCHEMA: usize = MIGRATIONS.len();

/// The database file of a store's folder.
pub(crate) fn file(dir: &Path) -> PathBuf {
    dir.join("journal.db")
}

/// Opens the database for writing, made or brought up to date where needed. Only under the store's lock.
pub(crate) fn open(dir: &Path, store: &StoreId) -> Result<Connection, OpenError> {
    let path = file(dir);
    if !path.try_exists().map_err(|error| OpenError::io(&path, &error))? {
        create(dir, &path, store)?;
    }
    examine(dir, Some(store)).and_then(|examined| match examined.newer {
        Some(what) => Err(OpenError::Newer { path: path.clone(), what }),
        None => Ok(()),
    })?;
    let mut connection = writable(&path).map_err(|error| refused(&path, &error))?;
    let version = schema_version(&connection).map_err(|error| refused(&path, &error))?;
    migrate(&mut connection, version, SCHEMA).map_err(|error| refused(&path, &error))?;
    Ok(connection)
}

fn writable(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // In WAL mode a commit syncs the log where `synchronous` is FULL, and leaves it to the system where it is NORMAL.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // On macOS a plain fsync stops at the drive's cache. Elsewhere these two mean nothing.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    Ok(connection)
}

fn create(dir: &Path, path: &Path, store: &StoreId) -> Result<(), OpenError> {
    let log = dir.join("journal.db-wal");
    if log.exists() {
        let reason = "the database is gone but its log is still there".to_owned();
        return Err(OpenError::Damaged { path: path.to_owned(), reason });
    }
    let unfinished = dir.join("journal.db.new");
    let io = |error: std::io::Error| OpenError::io(&unfinished, &error);
    for left_over in [unfinished.clone(), dir.join("journal.db.new-journal")] {
        match std::fs::remove_file(&left_over) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
    }
    make(&unfinished, store, SCHEMA).map_err(|error| refused(&unfinished, &error))?;
    std::fs::rename(&unfinished, path).and_then(|()| sync_folder(dir)).map_err(io)
}

fn make(path: &Path, store: &StoreId, schema: usize) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    migrate(&mut connection, 0, 1)?;
    connection.execute(
        "INSERT INTO store (one, name, epoch, head_seq, head_hash) VALUES (1, ?1, 0, 0, ?2)",
        params![store.as_str(), genesis().as_str()],
    )?;
    migrate(&mut connection, 1, schema)?;
    connection.close().map_err(|(_, error)| error)
}

fn schema_version(connection: &Connection) -> rusqlite::Result<usize> {
    connection.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)).map(|version| version as usize)
}

fn migrate(connection: &mut Connection, from: usize, to: usize) -> rusqlite::Result<()> {
    for (index, step) in MIGRATIONS.iter().enumerate().take(to).skip(from) {
        let change = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        change.execute_batch(step)?;
        change.pragma_update(None, "user_version", index as u32 + 1)?;
        change.commit()?;
    }
    Ok(())
}

/// What a look at a store's file found.
pub(crate) struct Examined {
    /// The store that is in it.
    pub store: StoreId,
    /// What in it this build does not know.
    pub newer: Option<String>,
}

/// Looks at the file without changing it: whether it is a store, the one asked for, whole, and known to this build.
pub(crate) fn examine(dir: &Path, wanted: Option<&StoreId>) -> Result<Examined, OpenError> {
    let path = file(dir);
    let damaged = |reason: &str| OpenError::Damaged { path: path.clone(), reason: reason.to_owned() };
    let sqlite = |error: rusqlite::Error| refused(&path, &error);
    let size = std::fs::metadata(&path).map_err(|error| OpenError::io(&path, &error))?.len();
    if size == 0 {
        return Err(damaged("the file is empty"));
    }
    let connection = reader::connect(&path).map_err(sqlite)?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(sqlite)?;
    if application != APPLICATION {
        return Err(damaged("the file is not a store of Atelier"));
    }
    let head = reader::head(&connection).map_err(sqlite)?;
    let store = StoreId::new(head.store.clone());
    if let Some(wanted) = wanted
        && *wanted != store
    {
        return Err(OpenError::OtherStore { path: path.clone(), found: store.to_string(), wanted: wanted.to_string() });
    }
    let schema = schema_version(&connection).map_err(sqlite)?;
    if schema > SCHEMA {
        return Ok(Examined { store, newer: Some(format!("schema {schema}, this version knows {SCHEMA}")) });
    }
    if head.found != head.seq {
        let reason = format!("its last event is {}, {} was recorded as the last", head.found, head.seq);
        return Err(damaged(&reason));
    }
    let last = reader::rows(&connection, None, Seq(head.seq.0.saturating_sub(1)), head.seq, 1, usize::MAX)
        .map_err(|error| damaged(&error.to_string()))?;
    if last.first().map_or(genesis(), |row| row.link(store.as_str()).hash()) != head.hash {
        return Err(damaged(&format!("event {} is not the one it was left with", head.seq)));
    }
    let newer = unknown_shape(&connection, schema, &store, &Blobs::of_store(dir)).map_err(sqlite)?;
    Ok(Examined { store, newer })
}

/// The first kind and version of event that this build cannot decode.
fn unknown_shape(
    connection: &Connection,
    schema: usize,
    store: &StoreId,
    blobs: &Blobs,
) -> rusqlite::Result<Option<String>> {
    let sql = if schema < 2 {
        "SELECT kind, v, min(seq) FROM events GROUP BY kind, v ORDER BY 3"
    } else {
        "SELECT kind, v, first_seq FROM shapes ORDER BY first_seq"
    };
    let mut statement = connection.prepare(sql)?;
    let mut shapes = statement.query([])?;
    while let Some(shape) = shapes.next()? {
        let seq = Seq(shape.get::<_, i64>(2)?.unsigned_abs());
        let sample = reader::rows(connection, None, Seq(seq.0.saturating_sub(1)), seq, 1, usize::MAX);
        // A sealed or damaged sample says nothing about its shape; whoever reads it is told.
        let Some(sample) = sample.ok().and_then(|rows| rows.into_iter().next()) else { continue };
        if let Err(ReadError::Newer { kind, v, .. }) = sample.decode(store, blobs) {
            return Ok(Some(format!("event `{kind}` version {v}")));
        }
    }
    Ok(None)
}

/// An error of SQLite while a store is opened. What is no trouble of the machine is damage.
fn refused(path: &Path, error: &rusqlite::Error) -> OpenError {
    let of_the_machine = matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::CannotOpen
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::FileLockingProtocolFailed
        )
    );
    let (path, reason) = (path.to_owned(), error.to_string());
    if of_the_machine { OpenError::Io { path, reason } } else { OpenError::Damaged { path, reason } }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
