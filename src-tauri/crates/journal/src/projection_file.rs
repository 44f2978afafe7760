//! The file of the projections: rows, how far each projection has come, and snapshots.
//!
//! It follows from the journal and is never repaired: what does not fit the journal, is of another version or cannot
//! be read is thrown away and made anew. `projections` says for each its version, its last event and the hash of that
//! event's envelope, so that a journal that lost its last events to a power loss is noticed. It is written in WAL mode
//! with `synchronous=NORMAL`: no commit waits for the disk, and a power loss leaves an older state, never a torn one.
//! A batch is written only where the file is as far as it was thought to be, so that nothing is folded twice.

use crate::chain::genesis;
use crate::error::{ProjectionError, ReadError};
use crate::projection::{KeyedRow, Order, Projection, ProjectionState, Rows};
use crate::reader::{self, Readers};
use atelier_protocol::{Hash, Seq};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// "Atlp": tells the file from any other SQLite file.
const APPLICATION: i32 = 0x4174_6c70;
/// Raised when the tables change; another version is thrown away.
const SCHEMA: u32 = 1;
/// Pages of the log that are gathered before they go into the file.
const CHECKPOINT_PAGES: u32 = 4_000;

/// Events and bytes of payload folded in one transaction.
const BATCH_EVENTS: usize = 4_096;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of rows held at the same time; a batch ends early when it holds more.
const HELD_BYTES: usize = 8 * 1024 * 1024;

const TABLES: &str = "
    CREATE TABLE projections (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        version INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        hash TEXT NOT NULL
    ) STRICT;
    CREATE TABLE rows (
        projection INTEGER NOT NULL,
        key TEXT NOT NULL,
        row BLOB NOT NULL,
        PRIMARY KEY (projection, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE snapshots (
        id INTEGER PRIMARY KEY,
        run TEXT NOT NULL,
        kind TEXT NOT NULL,
        version INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        envelope TEXT NOT NULL,
        hash TEXT NOT NULL,
        bytes BLOB NOT NULL,
        UNIQUE (run, kind)
    ) STRICT;";

/// The file, open for writing.
pub(crate) struct ProjectionFile {
    pub connection: Connection,
    tracks: Vec<Track>,
}

/// One projection and how far it has come.
struct Track {
    projection: Arc<dyn Projection>,
    id: i64,
    seq: Seq,
}

/// Why the file could not be read or written.
#[derive(Debug)]
pub(crate) enum FileError {
    /// The journal cannot be read.
    Journal(ReadError),
    /// The file itself.
    File(rusqlite::Error),
}

impl From<rusqlite::Error> for FileError {
    fn from(error: rusqlite::Error) -> Self {
        FileError::File(error)
    }
}

impl From<FileError> for ProjectionError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Journal(error) => error.into(),
            FileError::File(error) => error.into(),
        }
    }
}

impl FileError {
    /// Whether the file must be made anew.
    pub fn is_damage(&self) -> bool {
        matches!(self, FileError::File(error) if is_damage(error))
    }
}

pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
        // A row of another shape than the tables have.
        || matches!(error, rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..))
}

impl ProjectionFile {
    /// Opens the file, made anew where it is none or cannot be used.
    pub fn open(path: &Path, projections: &[Arc<dyn Projection>]) -> Result<Self, FileError> {
        match Self::try_open(path, projections) {
            Err(error) if error.is_damage() => {
                tracing::warn!(path = %path.display(), ?error, "projections are made anew");
                remove(path)?;
                Self::try_open(path, projections)
            }
            opened => opened,
        }
    }

    fn try_open(path: &Path, projections: &[Arc<dyn Projection>]) -> Result<Self, FileError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let number = |name: &str| change.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        if (number("application_id")?, number("user_version")?) != (i64::from(APPLICATION), i64::from(SCHEMA)) {
            empty(&change)?;
            change.execute_batch(TABLES)?;
            change.pragma_update(None, "application_id", APPLICATION)?;
            change.pragma_update(None, "user_version", SCHEMA)?;
        }
        change.commit()?;
        forget_others(&connection, projections)?;
        let mut tracks = Vec::with_capacity(projections.len());
        for projection in projections {
            tracks.push(track(&connection, Arc::clone(projection))?);
        }
        Ok(Self { connection, tracks })
    }

    /// Throws away what does not fit the journal.
    pub fn fit(&mut self, journal: &Connection, store: &str) -> Result<(), FileError> {
        for index in 0..self.tracks.len() {
            let Track { id, seq, .. } = self.tracks[index];
            let said: String =
                self.connection.query_row("SELECT hash FROM projections WHERE id = ?1", [id], |row| row.get(0))?;
            if hash_at(journal, store, seq).map_err(FileError::Journal)?.is_none_or(|hash| hash.as_str() != said) {
                self.clear(index)?;
            }
        }
        Ok(())
    }

    /// Makes a projection anew from the first event on, as soon as it is advanced.
    pub fn rebuild(&mut self, name: &str) -> rusqlite::Result<()> {
        match self.tracks.iter().position(|track| track.projection.name() == name) {
            Some(index) => self.clear(index),
            None => Ok(()),
        }
    }

    fn clear(&mut self, index: usize) -> rusqlite::Result<()> {
        let track = &mut self.tracks[index];
        let change = self.connection.unchecked_transaction()?;
        change.execute("DELETE FROM rows WHERE projection = ?1", [track.id])?;
        change.execute(
            "UPDATE projections SET version = ?2, seq = 0, hash = ?3 WHERE id = ?1",
            params![track.id, track.projection.version(), genesis().as_str()],
        )?;
        change.commit()?;
        track.seq = Seq::ZERO;
        Ok(())
    }

    /// The last event that is in every projection.
    pub fn reached(&self) -> Seq {
        self.tracks.iter().map(|track| track.seq).min().unwrap_or(Seq(u64::MAX))
    }

    /// Folds one batch into each group of projections that has come equally far, those that are nearest to the end
    /// first: one that is made anew does not hold the others up.
    pub fn advance(&mut self, journal: &Connection, readers: &Readers) -> Result<Seq, FileError> {
        let mut places: Vec<Seq> = self.tracks.iter().map(|track| track.seq).collect();
        places.sort_unstable();
        places.dedup();
        for seq in places.into_iter().rev() {
            self.advance_from(seq, journal, readers)?;
        }
        Ok(self.reached())
    }

    /// Takes over what somebody else did to the file: whoever owned the store before may follow it for a moment more.
    fn look_again(&mut self) -> rusqlite::Result<()> {
        for place in &mut self.tracks {
            *place = track(&self.connection, Arc::clone(&place.projection))?;
        }
        Ok(())
    }

    fn advance_from(&mut self, seq: Seq, journal: &Connection, readers: &Readers) -> Result<(), FileError> {
        let end = Seq(u64::MAX);
        let rows = reader::rows(journal, None, seq, end, BATCH_EVENTS, BATCH_BYTES).map_err(FileError::Journal)?;
        let change = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        if stored(&change, &self.tracks)? != self.tracks.iter().map(|track| Some(track.seq)).collect::<Vec<_>>() {
            drop(change);
            return Ok(self.look_again()?);
        }
        let mut group: Vec<&mut Track> = self.tracks.iter_mut().filter(|track| track.seq == seq).collect();
        let mut held = Held { change: &change, rows: HashMap::new(), bytes: 0 };
        // Only the hash of the last envelope is kept; a batch that ends early takes it from the event behind.
        let end_hash = rows.last().map(|row| row.link(readers.store().as_str()).hash());
        let events = reader::decode(rows, readers.store(), readers.blobs()).map_err(FileError::Journal)?;
        let mut folded = 0;
        for event in &events {
            for track in &group {
                for key in track.projection.keys(event) {
                    held.fold(track, key, event)?;
                }
            }
            folded += 1;
            if held.bytes > HELD_BYTES {
                break;
            }
        }
        let behind = events.get(folded).map(|event| event.prev_hash.clone());
        let (Some(reached), Some(hash)) = (events[..folded].last().map(|event| event.seq), behind.or(end_hash)) else {
            return Ok(());
        };
        held.write()?;
        for track in &group {
            change.prepare_cached("UPDATE projections SET seq = ?2, hash = ?3 WHERE id = ?1")?.execute(params![
                track.id,
                number(reached),
                hash.as_str()
            ])?;
        }
        change.commit()?;
        group.iter_mut().for_each(|track| track.seq = reached);
        Ok(())
    }
}

/// Where the file says that the tracks are; `None` for one that it does not know any more.
fn stored(connection: &Connection, tracks: &[Track]) -> rusqlite::Result<Vec<Option<Seq>>> {
    let mut statement = connection.prepare_cached("SELECT seq FROM projections WHERE id = ?1")?;
    let mut seq = |track: &Track| {
        statement
            .query_row([track.id], |row| row.get::<_, i64>(0))
            .optional()
            .map(|seq| seq.map(|n| Seq(n.unsigned_abs())))
    };
    tracks.iter().map(&mut seq).collect()
}

/// Rows that a batch has touched, written once at its end.
struct Held<'a> {
    change: &'a Transaction<'a>,
    rows: HashMap<(i64, String), Option<Vec<u8>>>,
    bytes: usize,
}

impl Held<'_> {
    fn fold(&mut self, track: &Track, key: String, event: &atelier_protocol::Envelope) -> rusqlite::Result<()> {
        let place = (track.id, key);
        let size = |row: &Option<Vec<u8>>| row.as_ref().map_or(0, Vec::len);
        let before = match self.rows.remove(&place) {
            Some(row) => {
                self.bytes -= size(&row) + place.1.len();
                row
            }
            None => get(self.change, track.id, &place.1)?,
        };
        let after = track.projection.fold(&place.1, before.as_deref(), event);
        self.bytes += size(&after) + place.1.len();
        self.rows.insert(place, after);
        Ok(())
    }

    fn write(&mut self) -> rusqlite::Result<()> {
        let mut put =
            self.change.prepare_cached("INSERT OR REPLACE INTO rows (projection, key, row) VALUES (?1, ?2, ?3)")?;
        let mut remove = self.change.prepare_cached("DELETE FROM rows WHERE projection = ?1 AND key = ?2")?;
        // In order, so that pages are filled one after the other.
        let mut rows: Vec<_> = self.rows.drain().collect();
        rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for ((id, key), row) in rows {
            match row {
                Some(row) => put.execute(params![id, key, row])?,
                None => remove.execute(params![id, key])?,
            };
        }
        Ok(())
    }
}

/// Finds or makes the place of a projection.
fn track(connection: &Connection, projection: Arc<dyn Projection>) -> rusqlite::Result<Track> {
    let (name, version) = (projection.name(), projection.version());
    let find = |connection: &Connection| {
        connection
            .query_row("SELECT id, seq, version FROM projections WHERE name = ?1", [name], |row| {
                Ok((row.get::<_, i64>(0)?, Seq(row.get::<_, i64>(1)?.unsigned_abs()), row.get::<_, u32>(2)?))
            })
            .optional()
    };
    match find(connection)? {
        Some((id, seq, known)) if known == version => return Ok(Track { projection, id, seq }),
        Some((id, ..)) => {
            connection.execute("DELETE FROM rows WHERE projection = ?1", [id])?;
            connection.execute("DELETE FROM projections WHERE id = ?1", [id])?;
        }
        None => {}
    }
    connection.execute(
        "INSERT INTO projections (name, version, seq, hash) VALUES (?1, ?2, 0, ?3)",
        params![name, version, genesis().as_str()],
    )?;
    Ok(Track { projection, id: connection.last_insert_rowid(), seq: Seq::ZERO })
}

/// Throws away the rows of projections that there are no more.
fn forget_others(connection: &Connection, projections: &[Arc<dyn Projection>]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT id, name FROM projections")?;
    let known: Vec<(i64, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    for (id, _) in known.iter().filter(|(_, name)| projections.iter().all(|projection| projection.name() != name)) {
        connection.execute("DELETE FROM rows WHERE projection = ?1", [id])?;
        connection.execute("DELETE FROM projections WHERE id = ?1", [id])?;
    }
    Ok(())
}

/// Drops the tables of another schema.
fn empty(change: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut statement =
        change.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")?;
    let tables: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    tables.iter().try_for_each(|table| change.execute_batch(&format!("DROP TABLE \"{}\"", table.replace('"', "\"\""))))
}

/// Removes the file with its log.
pub(crate) fn remove(path: &Path) -> rusqlite::Result<()> {
    for end in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(end);
        if let Err(error) = std::fs::remove_file(&file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
            return Err(rusqlite::Error::SqliteFailure(code, Some(error.to_string())));
        }
    }
    Ok(())
}

/// The hash of an event's envelope; `None` where there is no such event.
pub(crate) fn hash_at(journal: &Connection, store: &str, seq: Seq) -> Result<Option<Hash>, ReadError> {
    if seq == Seq::ZERO {
        return Ok(Some(genesis()));
    }
    let rows = reader::rows(journal, None, Seq(seq.0 - 1), seq, 1, usize::MAX)?;
    Ok(rows.first().map(|row| row.link(store).hash()))
}

/// A row by its key.
fn get(connection: &Connection, id: i64, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT row FROM rows WHERE projection = ?1 AND key = ?2")?
        .query_row(params![id, key], |row| row.get(0))
        .optional()
}

fn id_of(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT id FROM projections WHERE name = ?1")?.query_row([name], |row| row.get(0))
}

/// A row of a projection by its key.
pub(crate) fn row(connection: &Connection, name: &str, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    get(connection, id_of(connection, name)?, key)
}

/// Rows of a projection in order.
pub(crate) fn list(connection: &Connection, name: &str, wanted: &Rows) -> rusqlite::Result<Vec<KeyedRow>> {
    let (compare, order) = match wanted.order {
        Order::Rising => (">", "ASC"),
        Order::Falling => ("<", "DESC"),
    };
    let behind = if wanted.after.is_some() { format!("AND key {compare} ?4") } else { "AND ?4 IS NULL".to_owned() };
    let sql = format!(
        "SELECT key, row FROM rows WHERE projection = ?1 AND key >= ?2 AND key < ?3 {behind} ORDER BY key {order} LIMIT ?5"
    );
    // No text that is written has this character, which is no character.
    let end = format!("{}\u{10ffff}", wanted.prefix);
    let id = id_of(connection, name)?;
    let limit = i64::try_from(wanted.limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement
        .query_map(params![id, wanted.prefix, end, wanted.after, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// A projection with the hash of its rows, as of one moment.
pub(crate) fn state(connection: &Connection, projection: &dyn Projection) -> rusqlite::Result<ProjectionState> {
    let moment = connection.unchecked_transaction()?;
    let (id, seq): (i64, i64) =
        moment.query_row("SELECT id, seq FROM projections WHERE name = ?1", [projection.name()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let mut statement = moment.prepare_cached("SELECT key, row FROM rows WHERE projection = ?1 ORDER BY key")?;
    let mut found = statement.query([id])?;
    let (mut hasher, mut rows) = (blake3::Hasher::new(), 0);
    while let Some(row) = found.next()? {
        for index in 0..2 {
            let bytes = row.get_ref(index)?.as_bytes().map_err(rusqlite::Error::from)?;
            hasher.update(&(bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        }
        rows += 1;
    }
    let hash = Hash::parse(&format!("blake3:{}", hasher.finalize().to_hex())).unwrap_or_else(genesis);
    Ok(ProjectionState {
        name: projection.name(),
        version: projection.version(),
        seq: Seq(seq.unsigned_abs()),
        rows,
        hash,
    })
}

fn number(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}
