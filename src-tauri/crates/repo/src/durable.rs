//! Makes what was written survive a power loss, where the caller must be able to rely on it.

use crate::fault::{Fault, io};
use atelier_protocol::mutant::{self, Mutant};
use std::fs::{self, File};
use std::path::Path;

/// Waits until a file's content is on the disk.
pub(crate) fn sync_file(path: &Path) -> Result<(), Fault> {
    // Windows syncs only handles that may write.
    let file = if cfg!(windows) { File::options().write(true).open(path) } else { File::open(path) };
    file.and_then(|f| f.sync_all()).map_err(io("syncing", path))
}

/// Waits until a folder's list of names is on the disk. Windows has no such call; there it does nothing.
pub(crate) fn sync_dir(path: &Path) -> Result<(), Fault> {
    if cfg!(windows) {
        return Ok(());
    }
    File::open(path).and_then(|f| f.sync_all()).map_err(io("syncing", path))
}

/// Has libgit2 sync what it writes before it gives it its name: without that a power loss can leave an empty reference
/// where a branch was.
pub(crate) fn sync_git() {
    if mutant::is(Mutant::RefBeforeObjects) {
        return;
    }
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let option = libgit2_sys::GIT_OPT_ENABLE_FSYNC_GITDIR as std::ffi::c_int;
        #[expect(unsafe_code, reason = "git2 has no safe call for this option")]
        // SAFETY: the option takes one int, and libgit2 is initialised by git2 before the first repository is opened.
        unsafe {
            libgit2_sys::init();
            libgit2_sys::git_libgit2_opts(option, 1 as std::ffi::c_int);
        }
    });
}

/// Waits until every file below `folder` is on the disk, with its name. Linux does it for the whole file system in one
/// call; one for each of thousands of files takes many times as long.
pub fn sync_tree(folder: &Path) -> Result<(), Fault> {
    #[cfg(target_os = "linux")]
    if sync_file_system(folder)? {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(io("reading", folder))? {
        let entry = entry.map_err(io("reading", folder))?;
        let kind = entry.file_type().map_err(io("reading", folder))?;
        if kind.is_dir() {
            sync_tree(&entry.path())?;
        } else if kind.is_file() {
            sync_file(&entry.path())?;
        }
    }
    sync_dir(folder)
}

/// Whether the file system that `folder` is on could be synced as a whole (syncfs(2); since Linux 5.8 it says when
/// something could not be written).
#[cfg(target_os = "linux")]
fn sync_file_system(folder: &Path) -> Result<bool, Fault> {
    use std::os::fd::AsRawFd;
    let open = File::open(folder).map_err(io("reading", folder))?;
    // By way of libc, as every other call that syncs: tests that cut the power watch them there.
    #[expect(unsafe_code, reason = "std has no safe call for it")]
    // SAFETY: the descriptor is open for as long as the call takes.
    let done = unsafe { libc::syncfs(open.as_raw_fd()) };
    if done == 0 {
        return Ok(true);
    }
    let error = std::io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS) => Ok(false), // as where a filter of system calls does not know it
        _ => Err(io("syncing", folder)(error)),
    }
}

/// Makes a folder and those above it that are missing, and waits until the name of each is on the disk.
pub(crate) fn make_dir(path: &Path) -> Result<(), Fault> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(path).map_err(io("making", path))?;
    missing.into_iter().filter_map(Path::parent).try_for_each(sync_dir)
}

/// Waits until the loose reference `name` of the git directory `common` is on the disk.
pub(crate) fn sync_ref(common: &Path, name: &str) -> Result<(), Fault> {
    let file = common.join(name);
    if file.exists() {
        sync_file(&file)?;
    }
    // Folders on the way may be new as well.
    for folder in file.ancestors().skip(1) {
        if folder.exists() {
            sync_dir(folder)?;
        }
        if folder == common.join("refs") || folder == common {
            break;
        }
    }
    Ok(())
}

/// Removes the lock that a killed process of ours left on a reference that nobody else writes.
pub(crate) fn unlock(common: &Path, name: &str) -> Result<(), Fault> {
    let lock = common.join(format!("{name}.lock"));
    match fs::remove_file(&lock) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("removing", &lock)(error)),
        _ => Ok(()),
    }
}

/// Waits until an object that has a file of its own in the folder `objects` is on the disk.
pub(crate) fn sync_loose(objects: &Path, id: git2::Oid) -> Result<(), Fault> {
    let hex = id.to_string();
    let folder = objects.join(&hex[..2]);
    let file = folder.join(&hex[2..]);
    if file.exists() {
        sync_file(&file)?;
        sync_dir(&folder)?;
    }
    Ok(())
}

/// Writes a small file completely and syncs it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    fs::write(path, bytes).map_err(io("writing", path))?;
    sync_file(path)
}
