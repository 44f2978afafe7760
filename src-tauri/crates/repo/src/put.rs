//! Writes files of a commit into a run's tree, byte for byte.
//!
//! Whatever an agent left in the way (a link in place of a folder, a folder in place of a file) is removed and never
//! followed, so nothing outside the tree can be written. Not for the user's work tree: there filters apply.

use crate::fault::{Fault, git, io};
use crate::listing::{Entry, FILE, LINK, Listing, PROGRAM, SUBMODULE};
use crate::paths;
use crate::run_tree::TreeError;
use git2::Repository;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Threads that write the files of a new tree.
const MOST_THREADS: usize = 4;

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
    Ok(write_new(&place, entry.mode, blob.content()).map_err(io("writing", &place))?)
}

/// Puts all `files` below `root`, a new and empty folder that nobody else knows. Plain files are written by several threads,
/// each with a repository of its own; links and submodules come last, so that no file is written through one.
pub(crate) fn put_all(
    open: impl Fn() -> Result<Repository, Fault> + Sync,
    root: &Path,
    files: &Listing,
) -> Result<(), TreeError> {
    let (plain, special): (Vec<_>, Vec<_>) = files.iter().partition(|(_, entry)| matches!(entry.mode, FILE | PROGRAM));
    let mut made: &[u8] = b"";
    for (path, _) in &plain {
        let folder = paths::parents(path).next().unwrap_or_default();
        if folder != made
            && let Some(relative) = paths::to_os(path)
        {
            make_parents(root, &relative)?;
            made = folder;
        }
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let share = plain.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let write = |part: &[(&Vec<u8>, &Entry)]| -> Result<(), TreeError> {
            let repo = open()?;
            part.iter().try_for_each(|(path, entry)| put_new(&repo, root, path, **entry))
        };
        let parts: Vec<_> = plain.chunks(share).map(|part| scope.spawn(move || write(part))).collect();
        parts.into_iter().try_for_each(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let repo = open()?;
    special.into_iter().try_for_each(|(path, entry)| put(&repo, root, path, *entry))
}

/// Writes a plain file in a folder that is there, where nothing is.
fn put_new(repo: &Repository, root: &Path, path: &[u8], entry: Entry) -> Result<(), TreeError> {
    let Some(relative) = paths::to_os(path) else { return put(repo, root, path, entry) };
    let place = root.join(relative);
    let blob = repo.find_blob(entry.id).map_err(git("reading a file's content"))?;
    match write_new(&place, entry.mode, blob.content()) {
        // Two names that this file system does not tell apart.
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => put(repo, root, path, entry),
        other => Ok(other.map_err(io("writing", &place))?),
    }
}

/// `create_new` follows no link.
fn write_new(place: &Path, mode: u32, content: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(if mode == PROGRAM { 0o777 } else { 0o666 }); // less the umask
    }
    options.open(place)?.write_all(content)
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
