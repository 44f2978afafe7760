//! Who owns a store: the lock file, and where the owner's socket is.
//!
//! The lock is the system's own lock on `<run_dir>/<store>.lock`; it goes when its process goes, however that ends.
//! The epoch in the store (see `writer`) guards against a lock that lies, such as one on a network disk.
//! The socket is named by a hash of the store's folder, so that two folders with a store of the same name differ.
//! It lies in a folder that only the user can enter; a left-over one may be removed by whoever holds the lock.

#[cfg(unix)]
use crate::blobs::sync_folder;
use crate::error::OpenError;
use atelier_protocol::{Hash, StoreId};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// The lock on a store. Dropping it lets the store go.
#[derive(Debug)]
pub struct StoreLock {
    file: File,
}

impl Drop for StoreLock {
    /// Lets go at once: closing the file does not, as long as a process that another thread is just starting still holds
    /// a copy of it.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl StoreLock {
    /// Takes the lock on a store that this process is not going to own; `None` as for an owner.
    pub fn hold(run_dir: &Path, store: &StoreId) -> Result<Option<Self>, OpenError> {
        private_folder(run_dir).map_err(|error| OpenError::io(run_dir, &error))?;
        Self::take(&lock_file(run_dir, store))
    }

    /// Takes the lock; `None` where another process, or another part of this one, holds it.
    pub(crate) fn take(path: &Path) -> Result<Option<Self>, OpenError> {
        let io = |error: std::io::Error| OpenError::io(path, &error);
        let file = File::options().create(true).truncate(false).write(true).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }
}

/// Where a store's lock and socket are.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub store: StoreId,
    pub lock: PathBuf,
    /// Path of the socket, or name of the pipe.
    pub socket: PathBuf,
}

impl Places {
    /// Makes the folders that are missing. The store's folder, so that its real path can be named by its hash.
    pub fn prepare(dir: &Path, run_dir: &Path, store: &StoreId) -> Result<Self, OpenError> {
        private_folder(run_dir).map_err(|error| OpenError::io(run_dir, &error))?;
        make_folder(dir).map_err(|error| OpenError::io(dir, &error))?;
        let real = dir.canonicalize().map_err(|error| OpenError::io(dir, &error))?;
        let key = Hash::of(real.as_os_str().as_encoded_bytes()).hex().get(..16).unwrap_or_default().to_owned();
        let socket = socket(run_dir, &key)
            .map_err(|reason| OpenError::Socket { store: store.to_string(), reason: reason.to_string() })?;
        Ok(Self { store: store.clone(), lock: lock_file(run_dir, store), socket })
    }
}

/// The lock file of a store, named by it where its name is a plain one.
fn lock_file(run_dir: &Path, store: &StoreId) -> PathBuf {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let text = store.as_str();
    let name = if !text.is_empty() && text.len() <= 64 && text.chars().all(plain) {
        text.to_owned()
    } else {
        Hash::of(text.as_bytes()).hex().to_owned()
    };
    run_dir.join(format!("{name}.lock"))
}

#[cfg(windows)]
fn socket(_run_dir: &Path, key: &str) -> std::io::Result<PathBuf> {
    Ok(PathBuf::from(format!(r"\\.\pipe\atelier-{key}")))
}

/// The address of a socket holds 108 bytes on Linux and 104 on macOS, the closing zero among them.
#[cfg(unix)]
const LONGEST_ADDRESS: usize = 100;

#[cfg(unix)]
fn socket(run_dir: &Path, key: &str) -> std::io::Result<PathBuf> {
    use std::os::unix::fs::MetadataExt;

    let near = run_dir.join(format!("{key}.sock"));
    if near.as_os_str().len() <= LONGEST_ADDRESS {
        return Ok(near);
    }
    // Not the environment's folders: a window and a command must come to the same place whatever theirs say.
    let user = fs::metadata(run_dir)?.uid();
    let folder = PathBuf::from(format!("/tmp/atelier-{user}"));
    private_folder(&folder)?;
    let found = fs::symlink_metadata(&folder)?;
    if !found.is_dir() || found.uid() != user {
        // Anyone can make a folder in /tmp, under any name.
        return Err(std::io::Error::other(format!("{} belongs to somebody else", folder.display())));
    }
    Ok(folder.join(format!("{key}.sock")))
}

#[cfg(unix)]
fn make_folder(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    // Those above it that are missing too: the name of each has to survive a power loss, or the store goes with it.
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    missing.into_iter().filter_map(Path::parent).try_for_each(sync_folder)
}

#[cfg(windows)]
fn make_folder(path: &Path) -> std::io::Result<()> {
    fs::create_dir_all(path)
}

/// Makes a folder that only the user can enter, or makes an existing one so.
fn private_folder(path: &Path) -> std::io::Result<()> {
    make_folder(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let found = fs::symlink_metadata(path)?;
        if found.is_dir() && found.permissions().mode() & 0o777 != 0o700 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_goes_with_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("home.lock");
        let lock = StoreLock::take(&path).unwrap();
        assert!(lock.is_some());
        assert!(StoreLock::take(&path).unwrap().is_none());
        // As a process that is just being started holds one, until it becomes its own program.
        let copy = lock.as_ref().unwrap().file.try_clone().unwrap();
        drop(lock);
        assert!(StoreLock::take(&path).unwrap().is_some());
        drop(copy);
    }

    #[test]
    fn a_store_has_one_socket_whatever_way_its_folder_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, run) = (folder.path().join("data/home"), folder.path().join("run"));
        let places = Places::prepare(&dir, &run, &StoreId::home()).unwrap();
        let again = Places::prepare(&folder.path().join("data/../data/home"), &run, &StoreId::home()).unwrap();
        assert_eq!(places.socket, again.socket);
        assert_eq!(places.lock, run.join("home.lock"));
        let other = Places::prepare(&folder.path().join("data/other"), &run, &StoreId::home()).unwrap();
        assert_ne!(places.socket, other.socket);
    }

    #[test]
    fn a_name_that_is_a_path_stays_in_the_run_folder() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let places = Places::prepare(folder.path(), &run, &StoreId::new("../../x")).unwrap();
        assert_eq!(places.lock.parent(), Some(run.as_path()));
    }

    #[cfg(unix)]
    #[test]
    fn the_socket_of_a_deep_run_folder_still_fits_an_address_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("a-long-name".repeat(12));
        let places = Places::prepare(folder.path(), &run, &StoreId::home()).unwrap();
        assert!(places.socket.as_os_str().len() <= LONGEST_ADDRESS, "{}", places.socket.display());
        for private in [run.as_path(), places.socket.parent().unwrap()] {
            assert_eq!(fs::metadata(private).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}
