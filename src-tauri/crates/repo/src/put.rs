//! Writes files of a commit into a run's tree, byte for byte.
//!
//! Whatever an agent left in the way (a link in place of a folder, a folder in place of a file) is removed and never
//! followed, so nothing outside the tree can be written. Not for the user's work tree: there filters apply.

use crate::fault::{Fault, git, io};
use crate::listing::{Entry, LINK, PROGRAM, SUBMODULE};
use crate::paths;
use crate::run_tree::TreeError;
use git2::Repository;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Makes the file, link or (empty) submodule folder `path` below `root`.
pub(crate) fn put(repo: &Repository, root: &Path, path: &[u8], entry: Entry) -> Result<(), TreeError> {
    let relative = paths::to_os(path).ok_or_else(|| TreeError::Unrecordable {
        path: paths::shown(path),
        why: "this system cannot have a file of that name".into(),
    })?;
    let place = root.join(&relative);
    make_parents(root, &relative)?;
    if entry.mode == SUBMODULE {
        if !place.is_dir() || place.is_symlink() {
            paths::remove_all(&place).map_err(io("removing", &place))?;
            fs::create_dir(&place).map_err(io("making", &place))?;
        }
        return Ok(());
    }
    paths::remove_all(&place).map_err(io("removing", &place))?;
    let blob = repo.find_blob(entry.id).map_err(git("reading a file's content"))?;
    if entry.mode == LINK && cfg!(unix) {
        return Ok(link(blob.content(), &place)?);
    }
    // `create_new` follows no link.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(if entry.mode == PROGRAM { 0o777 } else { 0o666 }); // less the umask
    }
    options.open(&place).and_then(|mut file| file.write_all(blob.content())).map_err(io("writing", &place))?;
    Ok(())
}

/// Removes the file or link `path` below `root`, and folders that become empty by it.
pub(crate) fn take_away(root: &Path, path: &[u8]) -> Result<(), Fault> {
    let Some(relative) = paths::to_os(path) else { return Ok(()) };
    let place = root.join(&relative);
    if paths::look(root, &relative).map_err(io("reading", &place))?.is_some_and(|found| !found.is_dir()) {
        paths::remove_file(&place).map_err(io("removing", &place))?;
        paths::remove_empty_parents(root, &relative);
    }
    Ok(())
}

fn make_parents(root: &Path, relative: &Path) -> Result<(), Fault> {
    let mut folder = PathBuf::from(root);
    for part in relative.parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        match fs::symlink_metadata(&folder) {
            Ok(found) if found.is_dir() => continue,
            Ok(_) => paths::remove_file(&folder).map_err(io("removing", &folder))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(io("reading", &folder)(e)),
        }
        fs::create_dir(&folder).map_err(io("making", &folder))?;
    }
    Ok(())
}

#[cfg(unix)]
fn link(target: &[u8], place: &Path) -> Result<(), Fault> {
    use std::os::unix::ffi::OsStrExt;
    std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), place).map_err(io("linking", place))
}

#[cfg(not(unix))]
fn link(_target: &[u8], _place: &Path) -> Result<(), Fault> {
    Ok(()) // not called: a link is written as a file that holds its target, as git does without link support
}
