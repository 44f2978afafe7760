//! The database file: its tables, how an older one is brought up to date, and what is refused.
//!
//! A store appears whole or not at all: it is made under another name and renamed, so an empty or unreadable file is
//! always damage. A damaged file and one of a newer version are named and left exactly as they are.

use crate::backup;
use crate::blobs::{Blobs, sync_folder};
use crate::chain::genesis;
use crate::error::{OpenError, ReadError};
use crate::reader;
use crate::schema::{self, SCHEMA};
use atelier_protocol::{Seq, StoreId};
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// "Atlr": tells a store from any other SQLite file.
const APPLICATION: i32 = 0x4174_6c72;

/// The database file of a store's folder.
pub(crate) fn file(dir: &Path) -> PathBuf {
    dir.join("journal.db")
}

/// The database's log.
pub(crate) fn log(dir: &Path) -> PathBuf {
    dir.join("journal.db-wal")
}

/// Opens the database for writing, made or brought up to date where needed. Only under the store's lock.
pub(crate) fn open(dir: &Path, store: &StoreId) -> Result<Connection, OpenError> {
    let path = file(dir);
    if !path.try_exists().map_err(|error| OpenError::io(&path, &error))? {
        create(dir, &path, store)?;
    }
    let examined = examine(dir, Some(store))?;
    if let Some(what) = examined.newer {
        return Err(OpenError::Newer { path, what });
    }
    if let Some(reason) = examined.damaged {
        return Err(OpenError::Damaged { path, reason });
    }
    let mut connection = writable(&path).map_err(|error| refused(&path, &error))?;
    let version = schema::version(&connection).map_err(|error| refused(&path, &error))?;
    if version < SCHEMA {
        backup::before_migration(dir, &connection, version)?;
        schema::migrate(&mut connection, version, SCHEMA).map_err(|error| refused(&path, &error))?;
    }
    Ok(connection)
}

/// Opens an existing database for writing, as every part of the owner does.
pub(crate) fn writable(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // In WAL mode a commit leaves syncing the log to the system (and to `sync`) where `synchronous` is NORMAL.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    // On macOS a plain fsync stops at the drive's cache. Elsewhere these two mean nothing.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    Ok(connection)
}

fn create(dir: &Path, path: &Path, store: &StoreId) -> Result<(), OpenError> {
    if log(dir).exists() {
        let reason = "the database is gone but its log is still there".to_owned();
        return Err(OpenError::Damaged { path: path.to_owned(), reason });
    }
    let unfinished = dir.join("journal.db.new");
    let io = |error: std::io::Error| OpenError::io(&unfinished, &error);
    let beside = ["-journal", "-wal", "-shm"].map(|end| dir.join(format!("journal.db.new{end}")));
    for left_over in beside.into_iter().chain([unfinished.clone()]) {
        match std::fs::remove_file(&left_over) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
    }
    // In the mode it is used in before it has its name: a change of mode under that name could leave a rollback journal
    // at a power loss, and with one the store cannot be looked at without writing to it.
    make(&unfinished, store, SCHEMA)
        .and_then(|()| writable(&unfinished))
        .and_then(|connection| connection.close().map_err(|(_, error)| error))
        .map_err(|error| refused(&unfinished, &error))?;
    std::fs::rename(&unfinished, path).and_then(|()| sync_folder(dir)).map_err(io)
}

/// Makes an empty store of a schema version.
pub(crate) fn make(path: &Path, store: &StoreId, schema: usize) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    schema::migrate(&mut connection, 0, 1)?;
    connection.execute(
        "INSERT INTO store (one, name, epoch, head_seq, head_hash) VALUES (1, ?1, 0, 0, ?2)",
        params![store.as_str(), genesis().as_str()],
    )?;
    schema::migrate(&mut connection, 1, schema)?;
    connection.close().map_err(|(_, error)| error)
}

/// What a look at a store's file found.
pub(crate) struct Examined {
    /// The store that is in it.
    pub store: StoreId,
    /// What in it this build does not know.
    pub newer: Option<String>,
    /// What is wrong with it; it may be read, as far as that goes, and must not be written.
    pub damaged: Option<String>,
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
    let schema = schema::version(&connection).map_err(sqlite)?;
    if schema > SCHEMA {
        let newer = Some(format!("schema {schema}, this version knows {SCHEMA}"));
        return Ok(Examined { store, newer, damaged: None });
    }
    if let Err(reason) = sound_end(&connection, &head, &store) {
        return Ok(Examined { store, newer: None, damaged: Some(reason) });
    }
    let newer = unknown_shape(&connection, schema, &store, &Blobs::of_store(dir)).map_err(sqlite)?;
    Ok(Examined { store, newer, damaged: None })
}

/// Whether the last event is the one that the store was left with.
fn sound_end(connection: &Connection, head: &reader::Head, store: &StoreId) -> Result<(), String> {
    if head.found != head.seq {
        return Err(format!("its last event is {}, {} was recorded as the last", head.found, head.seq));
    }
    let before = Seq(head.seq.0.saturating_sub(1));
    let last = reader::rows(connection, None, before, head.seq, 1, usize::MAX).map_err(|error| error.to_string())?;
    if last.first().map_or(genesis(), |row| row.link(store.as_str()).hash()) != head.hash {
        return Err(format!("event {} is not the one it was left with", head.seq));
    }
    Ok(())
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
