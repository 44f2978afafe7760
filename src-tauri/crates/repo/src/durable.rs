//! Makes what was written survive a power loss, where the caller must be able to rely on it.

use crate::fault::{Fault, io};
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
