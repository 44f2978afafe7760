//! Finds the files of a run's tree and brings their content into the private repository.
//!
//! An own walk instead of git's status: what is called `.git`, at any depth, is not looked at, so a repository that an
//! agent plants is neither read nor mistaken for a submodule. Ignore rules are git's own (`.gitignore` files of the
//! tree and the private `info/exclude`); tracked files count even where a rule names them.

use crate::fault::{Fault, git, io};
use crate::listing::{Entry, FILE, LINK, Listing, PROGRAM, SUBMODULE};
use crate::run_tree::{RunTree, TreeError};
use crate::seen::Seen;
use crate::{durable, paths};
use git2::{Oid, Repository};
use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::path::{Path, PathBuf};

/// Files up to this size are read in one piece and held in memory with the rest of a checkpoint.
const ONE_PIECE: u64 = 16 << 20;

/// The files that are there, with their content in `repo`. `tracked` are those of the last checkpoint.
pub(crate) fn scan(tree: &RunTree, repo: &Repository, tracked: &Listing) -> Result<Listing, TreeError> {
    let kept = repo.odb().map_err(git("reading objects"))?;
    let places = places(tree, tracked)?;
    let mut seen = Seen::open(&tree.seen_file());
    let mut found = Listing::new();
    for (path, entry) in tracked.iter().filter(|(_, entry)| entry.mode == SUBMODULE) {
        found.insert(path.clone(), *entry);
    }
    for path in places {
        let Some(relative) = paths::to_os(&path) else { continue };
        let place = tree.root().join(&relative);
        let Some(stat) = paths::look(tree.root(), &relative).map_err(io("reading", &place))? else { continue };
        let Some(mode) = mode_of(&stat, tracked.get(&path)) else { continue };
        // Content that was only looked at was never kept.
        let id = match seen.content(&path, mode, &stat).filter(|id| kept.exists(*id)) {
            Some(id) => id,
            None => store(tree, repo, &place, mode, &stat).map_err(|fault| unreadable(&path, fault))?,
        };
        seen.note(&path, mode, &stat, id);
        found.insert(path, Entry { mode, id });
    }
    seen.keep();
    Ok(found)
}

/// Writes the git tree of a listing.
pub(crate) fn write_tree(repo: &Repository, files: &Listing) -> Result<Oid, TreeError> {
    let mut index = git2::Index::new().map_err(git("writing a tree"))?;
    for (path, entry) in files {
        index.add(&index_entry(path, *entry)).map_err(|e| TreeError::Unrecordable {
            path: paths::shown(path),
            why: format!("git does not take it ({})", e.message()),
        })?;
    }
    Ok(index.write_tree_to(repo).map_err(git("writing a tree"))?)
}

/// An index entry without stat data.
pub(crate) fn index_entry(path: &[u8], entry: Entry) -> git2::IndexEntry {
    let zero = git2::IndexTime::new(0, 0);
    git2::IndexEntry {
        ctime: zero,
        mtime: zero,
        dev: 0,
        ino: 0,
        mode: entry.mode,
        uid: 0,
        gid: 0,
        file_size: 0,
        id: entry.id,
        flags: 0,
        flags_extended: 0,
        path: path.to_vec(),
    }
}

/// The paths that count: not ignored, or tracked.
fn places(tree: &RunTree, tracked: &Listing) -> Result<BTreeSet<Vec<u8>>, TreeError> {
    let rules = tree.repo()?;
    rules.set_workdir(tree.root(), false).map_err(git("reading the ignore rules"))?;
    let mut found = BTreeSet::new();
    let mut folders = vec![Vec::new()];
    while let Some(folder) = folders.pop() {
        let Some(relative) = paths::to_os(&folder) else { continue };
        let place = tree.root().join(&relative);
        refuse_odd_rules(&place, &folder)?;
        for entry in fs::read_dir(&place).map_err(|e| unreadable(&folder, io("reading", &place)(e)))? {
            let entry = entry.map_err(io("reading", &place))?;
            let name = entry.file_name();
            let Some(bytes) = paths::name_bytes(&name) else {
                return Err(unrecordable(name.to_string_lossy().as_bytes(), "its name is not Unicode"));
            };
            if bytes.eq_ignore_ascii_case(b".git") {
                continue;
            }
            let mut path = folder.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(bytes);
            let kind = entry.file_type().map_err(io("reading", &place))?;
            if tracked.get(&path).is_some_and(|e| e.mode == SUBMODULE) {
                continue;
            }
            let ignored = rules.is_path_ignored(relative.join(&name)).map_err(git("reading the ignore rules"))?;
            if kind.is_dir() {
                if !ignored {
                    folders.push(path);
                }
            } else if !ignored {
                found.insert(path);
            }
        }
    }
    found.extend(tracked.iter().filter(|(_, e)| e.mode != SUBMODULE).map(|(path, _)| path.clone()));
    Ok(found)
}

/// Rules are read by opening `.gitignore`, which would wait for ever on a pipe.
fn refuse_odd_rules(folder: &Path, path: &[u8]) -> Result<(), TreeError> {
    match fs::metadata(folder.join(".gitignore")) {
        Ok(found) if !found.is_file() && !found.is_dir() => {
            Err(unrecordable(&[path, b"/.gitignore"].concat(), "it is not a plain file"))
        }
        _ => Ok(()),
    }
}

/// Removes what would make [`scan`] refuse, before files are put back.
pub(crate) fn remove_odd_rules(root: &Path) -> Result<(), Fault> {
    let mut folders = vec![PathBuf::from(root)];
    while let Some(folder) = folders.pop() {
        let rules = folder.join(".gitignore");
        if fs::metadata(&rules).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            paths::remove_file(&rules).map_err(io("removing", &rules))?;
        }
        for entry in fs::read_dir(&folder).map_err(io("reading", &folder))?.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

/// git's mode of a file; `None` for pipes, sockets and devices. A system without links or execute bits keeps what
/// the last checkpoint says.
fn mode_of(stat: &Metadata, tracked: Option<&Entry>) -> Option<u32> {
    if stat.is_symlink() {
        return Some(LINK);
    }
    if !stat.is_file() {
        return None;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = tracked;
        Some(if stat.permissions().mode() & 0o100 != 0 { PROGRAM } else { FILE })
    }
    #[cfg(not(unix))]
    Some(tracked.map_or(FILE, |entry| if matches!(entry.mode, PROGRAM | LINK) { entry.mode } else { FILE }))
}

fn store(tree: &RunTree, repo: &Repository, place: &Path, mode: u32, stat: &Metadata) -> Result<Oid, Fault> {
    let storing = || git("storing a file's content");
    if stat.is_symlink() && mode == LINK {
        let target = fs::read_link(place).map_err(io("reading", place))?;
        let bytes = paths::name_bytes(target.as_os_str()).unwrap_or_default();
        return repo.blob(bytes).map_err(storing());
    }
    if stat.len() <= ONE_PIECE {
        return repo.blob(&fs::read(place).map_err(io("reading", place))?).map_err(storing());
    }
    let mut file = File::open(place).map_err(io("reading", place))?;
    let to_disk = tree.repo()?;
    let mut writer = to_disk.blob_writer(None).map_err(storing())?; // no path, so no filter
    std::io::copy(&mut file, &mut writer).map_err(io("reading", place))?;
    let id = writer.commit().map_err(storing())?;
    durable::sync_loose(&tree.objects(), id)?;
    Ok(id)
}

fn unrecordable(path: &[u8], why: &str) -> TreeError {
    TreeError::Unrecordable { path: paths::shown(path), why: why.to_owned() }
}

fn unreadable(path: &[u8], fault: Fault) -> TreeError {
    match fault {
        Fault::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            unrecordable(path, "it may not be read")
        }
        other => other.into(),
    }
}
