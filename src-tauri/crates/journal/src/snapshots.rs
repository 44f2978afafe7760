//! Snapshots: what was folded from a run's events, kept so that the next fold need not begin at the first one.
//!
//! Caches, each with the hash of its bytes and that of the envelope it was made at; one that does not fit is none.
//! Their number is bounded by their bytes: those kept longest ago go first.

use atelier_protocol::{Hash, RunId, Seq};
use rusqlite::{Connection, OptionalExtension, params};

/// Bytes of one snapshot.
pub(crate) const LARGEST: usize = 64 * 1024 * 1024;
/// Bytes of all snapshots of a store.
const ALL: i64 = 128 * 1024 * 1024;

/// A snapshot to keep.
pub(crate) struct Snapshot<'a> {
    pub run: &'a RunId,
    pub kind: &'a str,
    pub version: u32,
    pub seq: Seq,
    /// Hash of the envelope `seq`.
    pub envelope: Hash,
    pub bytes: &'a [u8],
}

/// A snapshot that is as it was kept.
pub(crate) struct Kept {
    pub seq: Seq,
    pub envelope: Hash,
    pub bytes: Vec<u8>,
}

impl Snapshot<'_> {
    pub fn put(&self, connection: &Connection) -> rusqlite::Result<()> {
        let change = connection.unchecked_transaction()?;
        let seq = i64::try_from(self.seq.0).unwrap_or(i64::MAX);
        // Replaced, not updated: the number says which was kept last.
        change
            .prepare_cached(
                "INSERT OR REPLACE INTO snapshots (run, kind, version, seq, envelope, hash, bytes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                self.run.as_str(),
                self.kind,
                self.version,
                seq,
                self.envelope.as_str(),
                Hash::of(self.bytes).as_str(),
                self.bytes
            ])?;
        let mut all: i64 = change
            .prepare_cached("SELECT coalesce(sum(length(bytes)), 0) FROM snapshots")?
            .query_row([], |row| row.get(0))?;
        while all > ALL {
            let (id, bytes): (i64, i64) = change
                .prepare_cached("SELECT id, length(bytes) FROM snapshots ORDER BY id LIMIT 1")?
                .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            change.prepare_cached("DELETE FROM snapshots WHERE id = ?1")?.execute([id])?;
            all -= bytes;
        }
        change.commit()
    }
}

/// The snapshot of a run, where it is of this version and as it was kept.
pub(crate) fn get(connection: &Connection, run: &RunId, kind: &str, version: u32) -> rusqlite::Result<Option<Kept>> {
    let found: Option<(i64, String, String, Vec<u8>)> = connection
        .prepare_cached(
            "SELECT seq, envelope, hash, bytes FROM snapshots WHERE run = ?1 AND kind = ?2 AND version = ?3",
        )?
        .query_row(params![run.as_str(), kind, version], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    Ok(found.and_then(|(seq, envelope, hash, bytes)| {
        let envelope = Hash::parse(&envelope)?;
        (Hash::of(&bytes).as_str() == hash).then_some(Kept { seq: Seq(seq.unsigned_abs()), envelope, bytes })
    }))
}
