//! Paths as git has them (bytes with `/`) and as the system has them.
//!
//! Also the one way to look at a file below a root without following a link on the way to it.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// A git path as a relative path of this system; `None` where it cannot be one (not UTF-8 on Windows).
#[cfg(unix)]
pub(crate) fn to_os(path: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Some(PathBuf::from(OsStr::from_bytes(path)))
}

/// A git path as a relative path of this system; `None` where it cannot be one (not UTF-8 on Windows).
#[cfg(not(unix))]
pub(crate) fn to_os(path: &[u8]) -> Option<PathBuf> {
    Some(PathBuf::from(std::str::from_utf8(path).ok()?))
}

/// A file name as git has it.
#[cfg(unix)]
pub(crate) fn name_bytes(name: &OsStr) -> Option<&[u8]> {
    use std::os::unix::ffi::OsStrExt;
    Some(name.as_bytes())
}

/// A file name as git has it.
#[cfg(not(unix))]
pub(crate) fn name_bytes(name: &OsStr) -> Option<&[u8]> {
    name.to_str().map(str::as_bytes)
}

/// A git path for people: bytes that are not UTF-8 are shown as U+FFFD.
pub(crate) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// A number of files, for people.
pub(crate) fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// What stands at `relative` below `root`, where every folder on the way is a real one. `None` where there is nothing, or
/// where a link or file takes the place of a folder: following it could lead anywhere.
pub(crate) fn look(root: &Path, relative: &Path) -> io::Result<Option<Metadata>> {
    let mut place = root.to_owned();
    let mut parts = relative.components().peekable();
    while let Some(part) = parts.next() {
        place.push(part);
        let found = match fs::symlink_metadata(&place) {
            Ok(found) => found,
            Err(e) if is_nothing(&e) => return Ok(None),
            Err(e) => return Err(e),
        };
        if parts.peek().is_none() {
            return Ok(Some(found));
        }
        if !found.is_dir() {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Whether there is nothing at a place: no such name, or a file where a folder would have to be.
fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The folders above a git path, nearest first, without the root.
pub(crate) fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = path;
    std::iter::from_fn(move || {
        let at = rest.iter().rposition(|b| *b == b'/')?;
        rest = &rest[..at];
        Some(rest)
    })
}

/// Removes the folders above `relative` that have become empty, up to `root`.
pub(crate) fn remove_empty_parents(root: &Path, relative: &Path) {
    let mut above = relative.parent();
    while let Some(folder) = above.filter(|f| !f.as_os_str().is_empty()) {
        if fs::remove_dir(root.join(folder)).is_err() {
            return; // not empty, which is the usual end
        }
        above = folder.parent();
    }
}

/// Removes a file, link or folder with all it holds; folders that forbid it are made writable first.
pub(crate) fn remove_all(place: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(place) {
        Ok(found) => found,
        Err(e) if is_nothing(&e) => return Ok(()),
        Err(e) => return Err(e),
    };
    if !found.is_dir() {
        return remove_file(place);
    }
    match fs::remove_dir_all(place) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            // Build tools leave read-only folders (module caches); they are as much part of the tree as any.
            make_folders_writable(place)?;
            fs::remove_dir_all(place)
        }
        other => other,
    }
}

/// Removes a file or link; a read-only file on Windows must be made writable first.
pub(crate) fn remove_file(place: &Path) -> io::Result<()> {
    match fs::remove_file(place) {
        Err(e) if is_nothing(&e) => Ok(()),
        #[cfg(windows)]
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            let mut permissions = fs::symlink_metadata(place)?.permissions();
            permissions.set_readonly(false);
            fs::set_permissions(place, permissions)?;
            fs::remove_file(place)
        }
        other => other,
    }
}

fn make_folders_writable(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_folders_writable(&entry.path())?;
        }
        #[cfg(windows)]
        if entry.file_type()?.is_file() {
            let mut permissions = entry.metadata()?.permissions();
            permissions.set_readonly(false);
            fs::set_permissions(entry.path(), permissions)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parents_of_a_path_come_nearest_first() {
        let all: Vec<&[u8]> = parents(b"a/b/c.txt").collect();
        assert_eq!(all, [b"a/b".as_slice(), b"a"]);
        assert_eq!(parents(b"top").count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_on_the_way_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        fs::write(dir.path().join("real/file"), "x").unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
        assert!(look(dir.path(), Path::new("real/file")).unwrap().is_some());
        assert!(look(dir.path(), Path::new("link/file")).unwrap().is_none());
        assert!(look(dir.path(), Path::new("link")).unwrap().unwrap().is_symlink());
        assert!(look(dir.path(), Path::new("real/file/below")).unwrap().is_none());
    }
}
