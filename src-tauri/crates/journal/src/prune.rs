//! Removing blobs that nothing names any more, and how much room a store takes.
//!
//! Retention: the history is never shortened, and a blob is kept as long as an event names it, or a blob that an event
//! names does. One that nothing names is kept for [`YOUNG`] after it was put last, because its event may be on its
//! way. Pruning happens only when it is asked for.

use crate::blobs::Blobs;
use crate::error::ReadError;
use crate::reader::{self, Readers};
use atelier_protocol::{Hash, Seq};
use rusqlite::Connection;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long a blob is kept although nothing names it.
const YOUNG: Duration = Duration::from_secs(60 * 60);
/// Bytes of blobs above which a store is said to be too large. Nothing is removed because of it.
pub(crate) const BLOB_LIMIT: u64 = 16 * 1024 * 1024 * 1024;
/// Rows looked at together, and their bytes.
const PAGE: usize = 512;
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// What a store takes on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Size of the database and its log.
    pub bytes: u64,
    /// How many blobs.
    pub blobs: u64,
    /// Size of the blobs.
    pub blob_bytes: u64,
    /// Size of blobs above which the user should look what is kept.
    pub blob_limit: u64,
}

/// What pruning removed, and what is there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Blobs that were removed.
    pub removed: u64,
    /// Their size.
    pub removed_bytes: u64,
    /// What the store takes now.
    pub usage: Usage,
}

pub(crate) fn usage(dir: &Path, blobs: &Blobs) -> Result<Usage, ReadError> {
    let size = |path: PathBuf| fs::metadata(path).map_or(0, |file| file.len());
    let mut usage = Usage {
        bytes: size(crate::store::file(dir)) + size(crate::store::log(dir)),
        blobs: 0,
        blob_bytes: 0,
        blob_limit: BLOB_LIMIT,
    };
    blobs.each(|path, _| {
        usage.blobs += 1;
        usage.blob_bytes += size(path.to_owned());
        Ok::<_, ReadError>(())
    })?;
    Ok(usage)
}

/// Removes what nothing names.
pub(crate) fn prune(connection: &Connection, readers: &Readers) -> Result<Pruned, ReadError> {
    let blobs = readers.blobs();
    let (mut unnamed, mut named) = (HashMap::new(), Vec::new());
    blobs.each(|path, hash| {
        match hash {
            Some(hash) if is_old(path) => drop(unnamed.insert(hash, path.to_owned())),
            // Young ones count as named, and so does what they name.
            Some(_) => named.push(path.to_owned()),
            None => {}
        }
        Ok::<_, ReadError>(())
    })?;
    strike_in_files(&mut unnamed, &mut named)?;
    let mut after = Seq::ZERO;
    while !unnamed.is_empty() {
        let rows = reader::rows(connection, None, after, Seq(u64::MAX), PAGE, PAGE_BYTES)?;
        let Some(last) = rows.last() else { break };
        after = last.seq;
        for row in &rows {
            match &row.payload {
                Some(payload) => strike(payload, &mut unnamed, &mut named),
                None => named.extend(unnamed.remove(&row.payload_hash)),
            }
        }
        // What a named blob names is named too: it may be a list of others.
        strike_in_files(&mut unnamed, &mut named)?;
    }
    let (mut removed, mut removed_bytes) = (0, 0);
    for path in unnamed.into_values() {
        let bytes = fs::metadata(&path).map_or(0, |file| file.len());
        // Looked at again with nobody putting blobs: it may have been put once more meanwhile.
        if blobs.remove_if(&path, is_old)? {
            removed += 1;
            removed_bytes += bytes;
        }
    }
    Ok(Pruned { removed, removed_bytes, usage: usage(readers.dir(), blobs)? })
}

fn is_old(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|file| file.modified());
    modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age >= YOUNG))
}

/// Takes the hashes in `text` from the unnamed ones; their files are yet to be looked into.
fn strike(text: &[u8], unnamed: &mut HashMap<Hash, PathBuf>, named: &mut Vec<PathBuf>) {
    const MARK: &[u8] = b"blake3:";
    let mut seen = HashSet::new();
    for (at, _) in text.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK) {
        let hash =
            text.get(at..at + MARK.len() + 64).and_then(|hash| std::str::from_utf8(hash).ok()).and_then(Hash::parse);
        if let Some(hash) = hash.filter(|hash| seen.insert(hash.clone())) {
            named.extend(unnamed.remove(&hash));
        }
    }
}

fn strike_in_files(unnamed: &mut HashMap<Hash, PathBuf>, named: &mut Vec<PathBuf>) -> Result<(), ReadError> {
    while let Some(path) = named.pop() {
        match fs::read(&path) {
            Ok(bytes) => strike(&bytes, unnamed, named),
            Err(error) => return Err(ReadError::Failed { reason: format!("{}: {error}", path.display()) }),
        }
    }
    Ok(())
}
