//! Blobs: bytes kept under their own hash, in `blobs/ab/<64 hex digits>` beside the database.
//!
//! A blob is written, synced and renamed, and its folder synced, before anyone is told its hash, so an event never
//! names bytes that a crash can take. The same bytes are the same file. A blob is checked against its name whenever
//! it is read. A blob that is put again is young again, and nobody removes one while others are put: see `prune`.

use crate::error::BlobError;
use atelier_protocol::Hash;
use atelier_protocol::mutant::{self, Mutant};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

static NEXT_TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// The blob folder of a store.
#[derive(Debug, Clone)]
pub(crate) struct Blobs {
    root: PathBuf,
    /// Held by those who put, and alone by who removes.
    putting: Arc<RwLock<()>>,
}

impl Blobs {
    pub fn of_store(dir: &Path) -> Self {
        Self { root: dir.join("blobs"), putting: Arc::default() }
    }

    /// Shows every file to `see`, with the hash that its name is; `None` where it is another file's.
    pub fn each<E: From<BlobError>>(&self, mut see: impl FnMut(&Path, Option<Hash>) -> Result<(), E>) -> Result<(), E> {
        for folder in entries(&self.root)?.into_iter().filter(|path| path.is_dir() && *path != self.temporary()) {
            for file in entries(&folder)? {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                see(&file, Hash::parse(&format!("blake3:{name}")))?;
            }
        }
        Ok(())
    }

    /// Removes a file while nobody puts any, where `may` still says so; whether it did.
    pub fn remove_if(&self, path: &Path, may: impl Fn(&Path) -> bool) -> Result<bool, BlobError> {
        let _alone = self.putting.write().unwrap_or_else(PoisonError::into_inner);
        if !may(path) {
            return Ok(false);
        }
        fs::remove_file(path).map(|()| true).map_err(|error| failed(path, error))
    }

    /// Removes what a killed owner left half-written. Only the owner may call it, before it writes.
    pub fn sweep(&self) {
        match fs::remove_dir_all(self.temporary()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, "half-written blobs could not be removed");
            }
            _ => {}
        }
    }

    /// Keeps `bytes`; their hash is their name. Blocks until they are on the disk.
    pub fn put(&self, bytes: &[u8]) -> Result<Hash, BlobError> {
        if mutant::is(Mutant::BlobAfterEvent) {
            let (own, late) = (self.clone(), bytes.to_vec());
            std::thread::spawn(move || (std::thread::sleep(std::time::Duration::from_millis(50)), own.keep(&late)));
            return Ok(Hash::of(bytes));
        }
        self.keep(bytes)
    }

    fn keep(&self, bytes: &[u8]) -> Result<Hash, BlobError> {
        let _among_others = self.putting.read().unwrap_or_else(PoisonError::into_inner);
        let hash = Hash::of(bytes);
        let path = self.path(&hash)?;
        let folder = path.parent().unwrap_or(&self.root);
        // A file with other content is one that the disk damaged: it is replaced by the right one.
        let kept = matches!(fs::read(&path), Ok(found) if found == bytes);
        if kept {
            let touched =
                File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
            touched.map_err(|error| failed(&path, error))?;
        } else {
            let temporary = self.temporary().join(format!(
                "{}-{}",
                std::process::id(),
                NEXT_TEMPORARY.fetch_add(1, Ordering::Relaxed)
            ));
            self.write(&temporary, &path, bytes).map_err(|error| {
                let _ = fs::remove_file(&temporary);
                failed(&path, error)
            })?;
        }
        // Also where the file was there: who renamed it may not have come to sync the folder yet.
        sync_folder(folder).map_err(|error| failed(folder, error))?;
        Ok(hash)
    }

    fn write(&self, temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(self.temporary())?;
        let mut file = File::create_new(temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        if let Some(folder) = path.parent()
            && !folder.exists()
        {
            fs::create_dir_all(folder)?;
            sync_folder(&self.root)?;
            // The folder of all blobs may be as new.
            self.root.parent().map_or(Ok(()), sync_folder)?;
        }
        fs::rename(temporary, path)
    }

    /// The bytes of `hash`; `None` where there are none.
    pub fn get(&self, hash: &Hash) -> Result<Option<Vec<u8>>, BlobError> {
        let path = self.path(hash)?;
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BlobError::Io { path, reason: error.to_string() }),
        };
        let found = Hash::of(&bytes);
        if &found != hash { Err(BlobError::Damaged { hash: hash.clone(), found }) } else { Ok(Some(bytes)) }
    }

    fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// A hash may come from a socket unchecked; only 64 hex digits become a path.
    fn path(&self, hash: &Hash) -> Result<PathBuf, BlobError> {
        let hash = Hash::parse(hash.as_str()).ok_or_else(|| BlobError::NotAHash { text: hash.to_string() })?;
        let hex = hash.hex();
        Ok(self.root.join(hex.get(..2).unwrap_or_default()).join(hex))
    }
}

/// Paths in a folder, in order; none where there is no folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, BlobError> {
    let read = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|error| failed(folder, error))?,
    };
    let mut paths = Vec::new();
    for entry in read {
        paths.push(entry.map_err(|error| failed(folder, error))?.path());
    }
    paths.sort_unstable();
    Ok(paths)
}

fn failed(path: &Path, error: io::Error) -> BlobError {
    let path = path.to_owned();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => BlobError::DiskFull { path },
        _ => BlobError::Io { path, reason: error.to_string() },
    }
}

/// Makes the names in a folder survive a power loss.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_are_one_file_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::of_store(folder.path());
        let hash = blobs.put(b"text").unwrap();
        assert_eq!(blobs.put(b"text").unwrap(), hash);
        assert_eq!(blobs.get(&hash).unwrap(), Some(b"text".to_vec()));
        assert_eq!(blobs.get(&Hash::of(b"other")).unwrap(), None);
        let files = |sub: &str| fs::read_dir(folder.path().join("blobs").join(sub)).unwrap().count();
        assert_eq!((files(&hash.hex()[..2]), files("tmp")), (1, 0));
    }

    #[test]
    fn damaged_bytes_are_named_and_mended_by_putting_them_again() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::of_store(folder.path());
        let hash = blobs.put(b"text").unwrap();
        fs::write(blobs.path(&hash).unwrap(), b"txet").unwrap();
        assert!(matches!(blobs.get(&hash), Err(BlobError::Damaged { .. })));
        blobs.put(b"text").unwrap();
        assert_eq!(blobs.get(&hash).unwrap(), Some(b"text".to_vec()));
    }

    #[test]
    fn a_hash_that_is_a_path_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let hash: Hash = serde_json::from_str("\"blake3:../../secret\"").unwrap();
        assert!(matches!(Blobs::of_store(folder.path()).get(&hash), Err(BlobError::NotAHash { .. })));
    }

    #[test]
    fn what_a_killed_owner_left_half_written_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::of_store(folder.path());
        let hash = blobs.put(b"text").unwrap();
        fs::write(blobs.temporary().join("1-1"), b"te").unwrap();
        blobs.sweep();
        assert!(!blobs.temporary().exists());
        assert!(blobs.get(&hash).unwrap().is_some());
    }
}
