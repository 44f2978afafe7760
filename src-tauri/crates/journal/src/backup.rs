//! Copies of a store: one of its database before it is brought up to date, and one of everything when asked for.
//!
//! A copy is as of one moment, although the store goes on meanwhile. It appears whole or not at all: it is made under
//! another name, synced and renamed. A copy of a whole store is a store itself and can take its place.

use crate::blobs::{Blobs, sync_folder};
use crate::error::{CopyError, OpenError};
use crate::reader;
use atelier_protocol::Seq;
use rusqlite::Connection;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Copies from before a migration that are kept; the oldest go first.
const KEPT: usize = 3;

/// What a copy of a store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackUp {
    /// The last event in it.
    pub last: Seq,
    /// Size of its database.
    pub bytes: u64,
    /// Blobs in it, and their size.
    pub blobs: u64,
    /// Size of the blobs.
    pub blob_bytes: u64,
    /// Names of blobs that were damaged already and are not in it.
    pub damaged_blobs: Vec<String>,
}

/// Copies the database into `backup/` before its schema changes. Older copies go, all but the last few.
pub(crate) fn before_migration(dir: &Path, connection: &Connection, version: usize) -> Result<(), OpenError> {
    let folder = dir.join("backup");
    let refused = |error: CopyError| OpenError::Io { path: folder.clone(), reason: error.to_string() };
    fs::create_dir_all(&folder).map_err(|error| OpenError::io(&folder, &error))?;
    let head = reader::head(connection).map_err(|error| refused(CopyError::from_sqlite(&folder, &error)))?;
    let copy = folder.join(format!("journal-{version}-{}.db", head.seq));
    // A migration that broke off may have made it already; the history up to that event is the same.
    if !copy.exists() {
        database(connection, &copy).map_err(refused)?;
    }
    if let Err(error) = thin_out(&folder) {
        tracing::warn!(%error, "older copies of the journal could not be removed");
    }
    Ok(())
}

/// Removes all but the newest copies.
fn thin_out(folder: &Path) -> io::Result<()> {
    let mut copies = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("journal-") && name.ends_with(".db") {
            copies.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    copies.sort();
    let surplus = copies.len().saturating_sub(KEPT);
    copies.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
}

/// Copies a database as it is at this moment, synced.
fn database(connection: &Connection, to: &Path) -> Result<(), CopyError> {
    let part = to.with_extension("part");
    remove_if_there(&part).map_err(|error| CopyError::io(&part, &error))?;
    let name = part.to_str().ok_or_else(|| CopyError::io(&part, &io::Error::other("its path is no text")))?;
    let copied = connection.execute("VACUUM INTO ?1", [name]).map_err(|error| CopyError::from_sqlite(to, &error));
    let finished = copied.and_then(|_| {
        let sync = File::options().read(true).write(true).open(&part).and_then(|file| file.sync_all());
        sync.and_then(|()| fs::rename(&part, to)).map_err(|error| CopyError::io(to, &error))
    });
    if finished.is_err() {
        let _ = fs::remove_file(&part);
    }
    finished?;
    let folder = to.parent().unwrap_or(Path::new("."));
    sync_folder(folder).map_err(|error| CopyError::io(folder, &error))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A folder that is filled under another name and appears at the end; what is unfinished is removed.
pub(crate) struct Unfinished {
    part: PathBuf,
    to: PathBuf,
    finished: bool,
}

impl Unfinished {
    pub fn begin(to: &Path) -> Result<Self, CopyError> {
        if to.exists() {
            return Err(CopyError::Exists { path: to.to_owned() });
        }
        let mut part = to.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        if part.exists() {
            fs::remove_dir_all(&part).map_err(|error| CopyError::io(&part, &error))?;
        }
        fs::create_dir_all(&part).map_err(|error| CopyError::io(&part, &error))?;
        Ok(Self { part, to: to.to_owned(), finished: false })
    }

    pub fn folder(&self) -> &Path {
        &self.part
    }

    pub fn finish(mut self) -> Result<(), CopyError> {
        sync_folder(&self.part)
            .and_then(|()| fs::rename(&self.part, &self.to))
            .and_then(|()| sync_folder(self.to.parent().unwrap_or(Path::new("."))))
            .map_err(|error| CopyError::io(&self.to, &error))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_dir_all(&self.part);
        }
    }
}

/// What copying blobs brought.
#[derive(Debug, Default)]
pub(crate) struct CopiedBlobs {
    pub count: u64,
    pub bytes: u64,
    pub damaged: Vec<String>,
}

/// Copies every blob that is as its name says. Blobs are there before the events that name them, so a copy of them
/// that is made after one of the database has all that it names.
pub(crate) fn blobs(from: &Blobs, to: &Blobs) -> Result<CopiedBlobs, CopyError> {
    let mut copied = CopiedBlobs::default();
    from.each(|path, hash| {
        match hash.as_ref().map(|hash| from.get(hash)) {
            Some(Ok(Some(bytes))) => {
                to.put(&bytes)?;
                copied.count += 1;
                copied.bytes += bytes.len() as u64;
            }
            // Removed meanwhile, because nothing names it.
            Some(Ok(None)) => {}
            _ => copied.damaged.push(path.file_name().unwrap_or_default().to_string_lossy().into_owned()),
        }
        Ok::<_, CopyError>(())
    })?;
    Ok(copied)
}

/// Copies a whole store, as of now.
pub(crate) fn whole(connection: &Connection, from: &Blobs, to: &Path) -> Result<BackUp, CopyError> {
    let copy = Unfinished::begin(to)?;
    let file = crate::store::file(copy.folder());
    database(connection, &file)?;
    let head = reader::connect(&file).and_then(|connection| reader::head(&connection));
    let last = head.map_err(|error| CopyError::from_sqlite(&file, &error))?.seq;
    let bytes = fs::metadata(&file).map_err(|error| CopyError::io(&file, &error))?.len();
    let copied = blobs(from, &Blobs::of_store(copy.folder()))?;
    copy.finish()?;
    Ok(BackUp { last, bytes, blobs: copied.count, blob_bytes: copied.bytes, damaged_blobs: copied.damaged })
}
