//! Reads and writes files of a project by their project paths.
//!
//! Nothing is read through a link that leaves the folder, nothing is written through a link at all, and a file is
//! there whole or not at all: content and name are on the disk before anybody is told that it was written.

use crate::policy;
use atelier_protocol::error::{Code, Problem};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The place of a project path under `root`, for reading. Refuses what leaves it, also through a link.
pub fn inside(root: &Path, path: &str) -> Result<PathBuf, String> {
    if let Some(why) = policy::leaves_project(path) {
        return Err(why);
    }
    let place = root.join(policy::clean(path));
    let real_root = root.canonicalize().map_err(|e| format!("the project's folder cannot be read: {e}"))?;
    let Ok(real) = place.canonicalize() else { return Err(format!("there is no `{path}`")) };
    match real.strip_prefix(&real_root) {
        Err(_) => Err(format!("`{path}` is a link that leaves the project")),
        Ok(within) if policy::is_git(&within.to_string_lossy()) => Err(format!("`{path}` is a link into `.git`")),
        Ok(within) if atelier_sensitive::is_for_keys(&within.to_string_lossy()) => {
            Err(format!("`{path}` leads to a file for keys, which are the user's alone"))
        }
        Ok(_) => Ok(place),
    }
}

/// The place of a project path under `root`, for writing. No part of it may be a link.
pub fn writable(root: &Path, path: &str) -> Result<PathBuf, String> {
    if let Some(why) = policy::leaves_project(path) {
        return Err(why);
    }
    let clean = policy::clean(path);
    if clean.is_empty() {
        return Err("the path is empty".to_owned());
    }
    let mut place = root.to_owned();
    for part in clean.split('/') {
        place.push(part);
        if place.symlink_metadata().is_ok_and(|meta| meta.file_type().is_symlink()) {
            return Err(format!("`{path}` goes through a link; links are not written through"));
        }
    }
    if place.is_dir() {
        return Err(format!("`{path}` is a folder"));
    }
    Ok(place)
}

/// The bytes of a file; `None` where there is none. A pipe or a device may never end and is not read.
pub fn read(place: &Path) -> Result<Option<Vec<u8>>, String> {
    match std::fs::metadata(place).and_then(|meta| meta.is_file().then(|| std::fs::read(place)).transpose()) {
        Ok(None) => Err("it is not a file".to_owned()),
        Ok(bytes) => Ok(bytes),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.to_string()),
    }
}

/// New content that lies beside its place: a full disk is found out before anything is changed.
pub struct Staged {
    new: PathBuf,
    place: PathBuf,
}

impl Staged {
    /// Writes `bytes` beside `place`, with the old file's permissions; a new file is readable by all.
    pub fn beside(place: &Path, bytes: &[u8]) -> std::io::Result<Self> {
        let folder = place.parent().unwrap_or(place);
        make_folder(folder)?;
        // Always the same name: what a killed process left there is replaced when its write is done again, and never
        // becomes a file of the run.
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let new = folder.join(format!(".{name}.atelier-new"));
        remove_left_over(&new)?;
        let mut file = std::fs::File::create_new(&new)?;
        let staged = Self { new, place: place.to_owned() };
        file.write_all(bytes)?;
        match std::fs::metadata(place) {
            Ok(old) => file.set_permissions(old.permissions())?,
            #[cfg(unix)]
            Err(_) => {
                use std::os::unix::fs::PermissionsExt;
                file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
            }
            #[cfg(not(unix))]
            Err(_) => {}
        }
        file.sync_all()?;
        Ok(staged)
    }

    /// Gives it other permissions than those of the file it replaces.
    pub fn set_permissions(&self, permissions: std::fs::Permissions) -> std::io::Result<()> {
        std::fs::set_permissions(&self.new, permissions)
    }

    /// Puts it in its place.
    pub fn put(self) -> std::io::Result<()> {
        std::fs::rename(&self.new, &self.place)?;
        sync_names(self.place.parent().unwrap_or(&self.place))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.new); // gone already where it was put in its place
    }
}

/// A file of a run's tree that could not be written.
pub(crate) fn problem(path: &str, error: &std::io::Error) -> Problem {
    let code = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Code::DiskFull,
        _ => Code::Io,
    };
    Problem::new(
        code,
        format!("`{path}` could not be written in the run's tree: {error}"),
        "Check free space and permissions of the data folder, then resume.",
    )
}

fn remove_left_over(place: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(place) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Removes a file. One that is gone already is fine.
pub fn remove(place: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(place) {
        Ok(()) => sync_names(place.parent().unwrap_or(place)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// Makes a folder and those above it that are missing; each new name is on the disk when it returns.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(folder);
    make_folder(above)?;
    match std::fs::create_dir(folder) {
        Ok(()) => sync_names(above),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}

/// Waits until a folder's list of names is on the disk. Windows has no such call.
fn sync_names(folder: &Path) -> std::io::Result<()> {
    if cfg!(windows) { Ok(()) } else { std::fs::File::open(folder)?.sync_all() }
}

#[cfg(test)]
mod tests {
    //! Mutants that turn it red: a link out of the project or to a file for keys that is read, a link that is written
    //! through; new content with another name each time, or without the old permissions.

    use super::*;

    #[cfg(unix)]
    #[test]
    fn links_that_leave_are_neither_read_nor_written_through() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(dir.path().join("src")).unwrap();
        std::fs::write(other.path().join("key"), "secret").unwrap();
        std::os::unix::fs::symlink(other.path(), dir.path().join("out")).unwrap();
        assert_eq!(inside(dir.path(), "out/key").unwrap_err(), "`out/key` is a link that leaves the project");
        std::fs::write(dir.path().join(".env"), "TOKEN=x").unwrap();
        std::os::unix::fs::symlink(".env", dir.path().join("notes.txt")).unwrap();
        assert!(inside(dir.path(), "notes.txt").unwrap_err().contains("a file for keys"));
        assert!(writable(dir.path(), "out/new").unwrap_err().contains("goes through a link"));
        assert!(writable(dir.path(), "src").unwrap_err().contains("is a folder"));
        assert_eq!(writable(dir.path(), "./src//new.rs").unwrap(), dir.path().join("src/new.rs"));
    }

    #[test]
    fn what_a_killed_write_left_is_gone_when_it_is_done_again() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("run.sh");
        let killed = Staged::beside(&place, b"half").unwrap();
        std::mem::forget(killed);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        Staged::beside(&place, b"whole").unwrap().put().unwrap();
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!((names.len(), std::fs::read(&place).unwrap()), (1, b"whole".to_vec()), "{names:?}");
    }

    #[cfg(unix)]
    #[test]
    fn new_content_keeps_the_old_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("deep/run.sh");
        Staged::beside(&place, b"one").unwrap().put().unwrap();
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
        Staged::beside(&place, b"two").unwrap().put().unwrap();
        assert_eq!(std::fs::read(&place).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(std::fs::read_dir(dir.path().join("deep")).unwrap().count(), 1, "nothing is left beside it");
        remove(&place).unwrap();
        remove(&place).unwrap();
        assert_eq!(std::fs::read_dir(dir.path().join("deep")).unwrap().count(), 0);
    }
}
