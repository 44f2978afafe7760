//! Salvaging a damaged store: everything that can still be read goes into a new one, the old one stays as it is.
//!
//! Events are looked for page by page, without the tree that leads to them. One is taken where its payload has the hash
//! that it recorded and nothing in the chain speaks against its envelope. In the place of a lost event stands a notice
//! that says so, so that every number still means the same event. From the first such notice on the new store is
//! chained anew; before it the hashes are those of the old one. Blobs are taken where their content is what they are
//! named. The result is a store that can be opened, beside `report.json`.

use crate::backup::{self, Unfinished};
use crate::blobs::Blobs;
use crate::carve::{self, Pages, Place, Value};
use crate::chain::{Link, genesis};
use crate::error::CopyError;
use crate::reader::{self, Row};
use crate::{schema, store};
use atelier_protocol::event::NewEvent;
use atelier_protocol::{Code, Event, Hash, Problem, Seq, StoreId};
use rusqlite::{Connection, Transaction, params};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Stretches of lost events that the report names one by one.
const STRETCHES: usize = 1_000;
/// Events written in one transaction.
const BATCH: u64 = 10_000;

/// What was saved from a damaged store, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Salvaged {
    /// The store.
    pub store: String,
    /// The last event that was found, or that the store said is its last.
    pub last: Seq,
    /// Whether the store still said which event is its last; if not, events behind the last one found may be lost too.
    pub end_is_known: bool,
    /// Events that were saved.
    pub saved: u64,
    /// Of them, those whose envelope nothing confirms, because the event after them is lost.
    pub unconfirmed: u64,
    /// Events that were lost, a notice in the place of each.
    pub lost: u64,
    /// Which: first and last number of each stretch; the first thousand stretches.
    pub lost_stretches: Vec<(Seq, Seq)>,
    /// Used keys that were saved.
    pub keys: u64,
    /// Whether these are certainly all; if not, something that is done once may be done again.
    pub keys_are_all: bool,
    /// Consumers whose place was saved; `None` where the places could not be read, so that each begins anew.
    pub consumers: Option<u64>,
    /// Blobs that were saved.
    pub blobs: u64,
    /// Their size.
    pub blob_bytes: u64,
    /// Names of blobs whose content is not what they are named. They stay in the old store.
    pub damaged_blobs: Vec<String>,
}

/// Copies everything that can be read of the store in `dir` into the folder `to`, which must not exist yet. `dir` is
/// only read; nobody may own the store meanwhile.
pub async fn salvage(dir: PathBuf, to: PathBuf) -> Result<Salvaged, CopyError> {
    let ending = |_| CopyError::Io { path: PathBuf::new(), reason: "the program is ending".into() };
    tokio::task::spawn_blocking(move || Salvage::of(&dir, &to)).await.map_err(ending)?
}

/// What the pages hold, by what they are.
#[derive(Default)]
struct Found {
    /// By number, the pages and cells that hold such an event.
    events: BTreeMap<u64, Vec<(Place, usize)>>,
    /// Name, epoch, last number and its envelope's hash.
    head: Option<(String, i64, u64, String)>,
    keys: BTreeMap<(String, String), i64>,
}

struct Salvage {
    pages: Pages,
    found: Found,
    blobs: Blobs,
    store: StoreId,
    report: Salvaged,
}

impl Salvage {
    fn of(dir: &Path, to: &Path) -> Result<Salvaged, CopyError> {
        let database = store::file(dir);
        let io = |error: std::io::Error| CopyError::io(&database, &error);
        let mut pages = Pages::open(&database, &store::log(dir)).map_err(io)?;
        let found = look(&mut pages).map_err(io)?;
        let name = match &found.head {
            Some((name, ..)) => name.clone(),
            // A store's folder has its name.
            None => dir.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        };
        let report = Salvaged { store: name.clone(), end_is_known: found.head.is_some(), ..Salvaged::default() };
        let mut salvage = Self { pages, found, blobs: Blobs::of_store(dir), store: StoreId::new(name), report };
        let copy = Unfinished::begin(to)?;
        salvage.write(dir, copy.folder())?;
        let copied = backup::blobs(&salvage.blobs, &Blobs::of_store(copy.folder()))?;
        let mut report = salvage.report;
        (report.blobs, report.blob_bytes, report.damaged_blobs) = (copied.count, copied.bytes, copied.damaged);
        let path = copy.folder().join("report.json");
        let text = serde_json::to_vec_pretty(&report).unwrap_or_default();
        fs::write(&path, text).map_err(|error| CopyError::io(&path, &error))?;
        copy.finish()?;
        Ok(report)
    }

    fn write(&mut self, dir: &Path, to: &Path) -> Result<(), CopyError> {
        let path = store::file(to);
        let refused = |error: rusqlite::Error| CopyError::from_sqlite(&path, &error);
        store::make(&path, &self.store, schema::SCHEMA).map_err(refused)?;
        let mut connection = Connection::open(&path).map_err(refused)?;
        connection.pragma_update(None, "synchronous", "OFF").map_err(refused)?;
        self.write_events(&mut connection, &path)?;
        let change = connection.transaction().map_err(refused)?;
        change.execute_batch(schema::FROM_EVENTS).map_err(refused)?;
        let old = scratch(dir, to);
        let written = self.write_marks(&change, old.as_deref()).map_err(refused);
        for file in ["old.db", "old.db-wal", "old.db-shm"] {
            let _ = fs::remove_file(to.join(file));
        }
        written?;
        change.commit().map_err(refused)?;
        connection.close().map_err(|(_, error)| refused(error))?;
        File::options()
            .read(true)
            .write(true)
            .open(&path)
            .and_then(|file| file.sync_all())
            .map_err(|error| CopyError::io(&path, &error))
    }

    /// Writes each event, or a notice in its place, in order.
    fn write_events(&mut self, connection: &mut Connection, path: &Path) -> Result<(), CopyError> {
        let refused = |error: rusqlite::Error| CopyError::from_sqlite(path, &error);
        let last = self.last();
        self.report.last = Seq(last);
        let (mut head_hash, mut at_ms) = (genesis(), 0);
        // The event, and the two behind it that speak for or against it.
        let mut window: VecDeque<Vec<Row>> = VecDeque::new();
        let mut next = 1;
        while next <= last {
            let change = connection.transaction().map_err(refused)?;
            let end = (next + BATCH).min(last + 1);
            while next < end {
                while window.len() < 3 {
                    let rows = self.rows(next + window.len() as u64).map_err(|error| CopyError::io(path, &error))?;
                    window.push_back(rows);
                }
                let row = self.chosen(&window, next);
                window.pop_front();
                at_ms = row.as_ref().map_or(at_ms, |row| row.at_ms);
                let row = match row {
                    Some(row) => row,
                    None => notice(Seq(next), at_ms).map_err(|reason| CopyError::Damaged { reason })?,
                };
                head_hash = insert(&change, &self.store, &row, &head_hash).map_err(refused)?;
                next += 1;
            }
            let epoch = self.found.head.as_ref().map_or(0, |(_, epoch, ..)| *epoch);
            change
                .execute(
                    "UPDATE store SET epoch = ?1, head_seq = ?2, head_hash = ?3",
                    params![epoch, (end - 1).cast_signed(), head_hash.as_str()],
                )
                .map_err(refused)?;
            change.commit().map_err(refused)?;
        }
        Ok(())
    }

    /// The last number there is. A row whose number was damaged may claim any.
    fn last(&self) -> u64 {
        let said = self.found.head.as_ref().map_or(0, |(_, _, seq, _)| *seq);
        let plausible = (2 * self.found.events.len() as u64 + 10_000).max(said);
        self.found.events.range(..=plausible).next_back().map_or(said, |(seq, _)| (*seq).max(said))
    }

    /// The different rows that claim a number and have the payload they recorded.
    fn rows(&mut self, seq: u64) -> std::io::Result<Vec<Row>> {
        let mut rows: Vec<Row> = Vec::new();
        for (place, index) in self.found.events.get(&seq).cloned().unwrap_or_default() {
            let (page, is_first) = (self.pages.read(place)?, self.pages.is_first(place));
            let cells = carve::cells(&page, is_first);
            let Some(cell) = cells.get(index) else { continue };
            for newest in [true, false] {
                let row = self.pages.values(cell, newest)?.and_then(|values| row(seq, values));
                let Some(row) = row.filter(|row| row.payload_bytes(&self.blobs).is_ok()) else { continue };
                let hash = row.link(self.store.as_str()).hash();
                if rows.iter().all(|known| known.link(self.store.as_str()).hash() != hash) {
                    rows.push(row);
                }
                break;
            }
        }
        Ok(rows)
    }

    /// The row for the number, of those in the window's front; counted in the report.
    fn chosen(&mut self, window: &VecDeque<Vec<Row>>, seq: u64) -> Option<Row> {
        let hash = |row: &Row| row.link(self.store.as_str()).hash();
        let empty = Vec::new();
        let at = |index: usize| window.get(index).unwrap_or(&empty);
        let head =
            |seq: u64| self.found.head.as_ref().filter(|(.., last, _)| *last == seq).map(|(.., hash)| hash.as_str());
        // What speaks for a row: the envelope behind it, or what the store says of its end.
        let confirms = |behind: &[Row], seq: u64, row: &Row| {
            behind.iter().any(|next| next.prev_hash == hash(row)) || head(seq) == Some(hash(row).as_str())
        };
        let confirmed = at(0).iter().find(|row| confirms(at(1), seq, row));
        // Where the next envelope is itself confirmed, what it says is true: this row is not the one that was written.
        let witness = at(1).iter().any(|next| confirms(at(2), seq + 1, next));
        // Nobody speaks for it, so it must at least be an event.
        let plausible = |row: &&Row| !witness && (*row).clone().decode(&self.store, &self.blobs).is_ok();
        let row = confirmed.or_else(|| at(0).iter().find(plausible)).cloned();
        match (&row, confirmed.is_some()) {
            (None, _) => self.lose(seq),
            (Some(_), confirmed) => {
                self.report.saved += 1;
                self.report.unconfirmed += u64::from(!confirmed);
            }
        }
        row
    }

    fn lose(&mut self, seq: u64) {
        self.report.lost += 1;
        let stretches = &mut self.report.lost_stretches;
        if let Some((_, last)) = stretches.last_mut().filter(|(_, last)| last.0 + 1 == seq) {
            *last = Seq(seq);
        } else if stretches.len() < STRETCHES {
            stretches.push((Seq(seq), Seq(seq)));
        }
    }

    fn write_marks(&mut self, change: &Transaction<'_>, old: Option<&Path>) -> rusqlite::Result<()> {
        // What SQLite can still read of them is certain; what only the pages show is better than nothing. It reads a
        // copy: even opening a database to read it may change its log.
        let old = old.and_then(|old| reader::connect(old).ok());
        let keys = old.as_ref().and_then(|old| all(old, "SELECT scope, key, seq FROM keys", 2).ok());
        self.report.keys_are_all = keys.is_some();
        let mut put = change.prepare("INSERT OR IGNORE INTO keys (scope, key, seq) VALUES (?1, ?2, ?3)")?;
        let carved = self.found.keys.iter().map(|((scope, key), seq)| (vec![scope.clone(), key.clone()], *seq));
        for (names, seq) in keys.into_iter().flatten().chain(carved) {
            self.report.keys += put.execute(params![names[0], names[1], seq])? as u64;
        }
        let consumers = old.as_ref().and_then(|old| all(old, "SELECT consumer, seq FROM offsets", 1).ok());
        self.report.consumers = consumers.as_ref().map(|consumers| consumers.len() as u64);
        let mut put = change.prepare("INSERT INTO offsets (consumer, seq) VALUES (?1, ?2)")?;
        for (names, seq) in consumers.into_iter().flatten() {
            put.execute(params![names[0], seq])?;
        }
        Ok(())
    }
}

/// A copy of the old database with its log, where SQLite may look at it.
fn scratch(dir: &Path, to: &Path) -> Option<PathBuf> {
    let copy = to.join("old.db");
    fs::copy(store::file(dir), &copy).ok()?;
    if store::log(dir).exists() {
        fs::copy(store::log(dir), to.join("old.db-wal")).ok()?;
    }
    Some(copy)
}

/// Every row of a query: so many names, then a number.
fn all(connection: &Connection, sql: &str, width: usize) -> rusqlite::Result<Vec<(Vec<String>, i64)>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let names = (0..width).map(|index| row.get(index)).collect::<rusqlite::Result<_>>()?;
        Ok((names, row.get(width)?))
    })?;
    rows.collect()
}

/// Looks at every page.
fn look(pages: &mut Pages) -> std::io::Result<Found> {
    let mut found = Found::default();
    for place in pages.places() {
        let (page, is_first) = (pages.read(place)?, pages.is_first(place));
        for (index, cell) in carve::cells(&page, is_first).iter().enumerate() {
            let columns = cell.columns();
            match (cell.rowid, columns.as_slice()) {
                // Twelve columns, thirteen before the fourth schema; the number is the row's.
                (Some(seq), [0, ..]) if matches!(columns.len(), 12 | 13) && seq > 0 => {
                    found.events.entry(seq.unsigned_abs()).or_default().push((place, index));
                }
                (Some(1), [0, ..]) if columns.len() == 5 => head(pages.values(cell, true)?, &mut found),
                (None, [_, _, _]) => {
                    if let Some([Value::Text(scope), Value::Text(key), Value::Int(seq)]) =
                        pages.values(cell, true)?.as_deref()
                    {
                        found.keys.insert((scope.clone(), key.clone()), *seq);
                    }
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

/// The row of the table `store`; of several states the latest.
fn head(values: Option<Vec<Value>>, found: &mut Found) {
    if let Some([Value::Null, Value::Text(name), Value::Int(epoch), Value::Int(seq), Value::Text(hash)]) =
        values.as_deref()
    {
        let seq = seq.unsigned_abs();
        if Hash::parse(hash).is_some() && found.head.as_ref().is_none_or(|(.., known, _)| *known <= seq) {
            found.head = Some((name.clone(), *epoch, seq, hash.clone()));
        }
    }
}

/// A row of the table `events`.
fn row(seq: u64, values: Vec<Value>) -> Option<Row> {
    let mut values: VecDeque<Value> = values.into();
    if values.len() == 13 {
        // The name of the blob, which is the payload's hash.
        values.remove(9);
    }
    let mut next = || values.pop_front().unwrap_or(Value::Null);
    let _number = next();
    let int = |value: Value| match value {
        Value::Int(number) => Some(number.unsigned_abs()),
        _ => None,
    };
    let text = |value: Value| match value {
        Value::Null => Some(None),
        Value::Text(text) => Some(Some(text)),
        _ => None,
    };
    let hash = |value: Value| match value {
        Value::Blob(bytes) => Some(Hash::from_bytes(bytes.try_into().ok()?)),
        Value::Text(text) => Hash::parse(&text),
        _ => None,
    };
    Some(Row {
        seq: Seq(seq),
        at_ms: int(next())?,
        kind: text(next())??,
        v: u32::try_from(int(next())?).ok()?,
        run: text(next())?,
        step: text(next())?,
        cause: match next() {
            Value::Null => None,
            value => Some(Seq(int(value)?)),
        },
        trace: text(next())?,
        payload: match next() {
            Value::Null => None,
            Value::Blob(bytes) => Some(bytes),
            _ => return None,
        },
        key_id: text(next())?,
        payload_hash: hash(next())?,
        prev_hash: hash(next())?,
    })
}

/// What stands in the place of a lost event.
fn notice(seq: Seq, at_ms: u64) -> Result<Row, String> {
    let problem = Problem::new(
        Code::StoreDamaged,
        format!("Event {seq} was lost when the store was damaged."),
        "Look at the report of the salvage for what else was lost.",
    );
    let event = crate::group::Encoded::new(NewEvent::of_store(Event::Noticed { problem }));
    let event = event.map_err(|error| error.to_string())?;
    Ok(Row {
        seq,
        at_ms,
        v: event.new.event.version(),
        kind: event.kind,
        run: None,
        step: None,
        cause: None,
        trace: None,
        payload: Some(event.payload),
        key_id: None,
        payload_hash: event.payload_hash,
        prev_hash: genesis(),
    })
}

/// Writes a row behind the one whose envelope has `prev_hash`; gives its own envelope's hash.
fn insert(change: &Transaction<'_>, store: &StoreId, row: &Row, prev_hash: &Hash) -> rusqlite::Result<Hash> {
    change
        .prepare_cached(
            "INSERT INTO events
             (seq, at_ms, kind, v, run, step, cause, trace, payload, key_id, payload_hash, prev_hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            row.seq.0.cast_signed(),
            row.at_ms.cast_signed(),
            row.kind,
            row.v,
            row.run,
            row.step,
            row.cause.map(|cause| cause.0.cast_signed()),
            row.trace,
            row.payload,
            row.key_id,
            row.payload_hash.bytes(),
            prev_hash.bytes(),
        ])?;
    Ok(Link { prev_hash, ..row.link(store.as_str()) }.hash())
}
