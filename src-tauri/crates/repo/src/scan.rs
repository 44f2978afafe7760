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
use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Oid, Repository, Tree};
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

/// Files up to this size are read in one piece and held in memory with the rest of a checkpoint.
const ONE_PIECE: u64 = 16 << 20;

/// The files that are there, with their content in `repo`. `tracked` are those of the last checkpoint.
pub(crate) fn scan(tree: &RunTree, repo: &Repository, tracked: &Listing) -> Result<Listing, TreeError> {
    let kept = repo.odb().map_err(git("reading objects"))?;
    let mut seen = Seen::open(&tree.seen_file());
    let mut found = Listing::new();
    for (path, entry) in tracked.iter().filter(|(_, entry)| entry.mode == SUBMODULE) {
        found.insert(path.clone(), *entry);
    }
    for (path, stat) in places(tree, tracked)? {
        let before = tracked.get(&path);
        let Some(mode) = mode_of(&stat, before) else { continue };
        // Content that was only looked at was never kept.
        let there = |id: &Oid| before.is_some_and(|entry| entry.id == *id) || kept.exists(*id);
        let id = match seen.content(&path, mode, &stat).filter(there) {
            Some(id) => id,
            None => {
                let Some(relative) = paths::to_os(&path) else { continue };
                let place = tree.root().join(relative);
                store(tree, repo, &place, mode, &stat).map_err(|fault| unreadable(&path, fault))?
            }
        };
        seen.note(&path, mode, &stat, id);
        found.insert(path, Entry { mode, id });
    }
    seen.keep();
    Ok(found)
}

/// Writes the git tree of `files`, most of which are as in the tree `before`, whose listing is `tracked`: only folders with a
/// difference are written.
pub(crate) fn write_tree_over(
    repo: &Repository,
    before: &Tree<'_>,
    tracked: &Listing,
    files: &Listing,
) -> Result<Oid, TreeError> {
    let mut update = TreeUpdateBuilder::new();
    let mut same = true;
    for path in tracked.keys().filter(|path| !files.contains_key(*path)) {
        same = false;
        update.remove(path.as_slice());
    }
    for (path, entry) in files.iter().filter(|(path, entry)| tracked.get(*path) != Some(entry)) {
        same = false;
        let mode = match entry.mode {
            PROGRAM => FileMode::BlobExecutable,
            LINK => FileMode::Link,
            SUBMODULE => FileMode::Commit,
            _ => FileMode::Blob,
        };
        update.upsert(path.as_slice(), entry.id, mode);
    }
    if same {
        return Ok(before.id());
    }
    // It takes no file in the place of a folder nor a folder in that of a file; then all is written anew.
    update.create_updated(repo, before).or_else(|_| write_tree(repo, files))
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

/// An index entry with the file's stat data, as git keeps it; `None` where the system has none that can be trusted.
pub(crate) fn stat_entry(path: &[u8], mode: u32, stat: &Metadata, id: Oid) -> Option<git2::IndexEntry> {
    #[cfg(unix)]
    {
        use git2::IndexTime;
        use std::os::unix::fs::MetadataExt;
        // git keeps the low 32 bits of each.
        let low = |number: u64| u32::try_from(number & 0xffff_ffff).unwrap_or(0);
        let time = |seconds: i64, nanos: i64| {
            IndexTime::new(i32::try_from(seconds).unwrap_or(0), u32::try_from(nanos).unwrap_or(0))
        };
        Some(git2::IndexEntry {
            ctime: time(stat.ctime(), stat.ctime_nsec()),
            mtime: time(stat.mtime(), stat.mtime_nsec()),
            dev: low(stat.dev()),
            ino: low(stat.ino()),
            uid: stat.uid(),
            gid: stat.gid(),
            file_size: low(stat.size()),
            ..index_entry(path, Entry { mode, id })
        })
    }
    #[cfg(not(unix))]
    {
        let _ = (path, mode, stat, id);
        None
    }
}

/// What stands at the paths that count: not ignored, or tracked. Folders are read on one thread, and on another the file
/// system is asked about what is in them.
fn places(tree: &RunTree, tracked: &Listing) -> Result<BTreeMap<Vec<u8>, Metadata>, TreeError> {
    let rules = tree.repo()?;
    rules.set_workdir(tree.root(), false).map_err(git("reading the ignore rules"))?;
    let mut found = std::thread::scope(|scope| {
        let (paths, asked) = mpsc::channel();
        let stats = scope.spawn(move || stats(tree.root(), asked));
        walk(tree, tracked, &rules, &paths)?;
        drop(paths);
        stats.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    // Those in folders that a rule names, or behind what took a folder's place.
    for path in tracked.iter().filter(|(_, entry)| entry.mode != SUBMODULE).map(|(path, _)| path) {
        if found.contains_key(path) {
            continue;
        }
        let Some(relative) = paths::to_os(path) else { continue };
        if let Some(stat) = paths::look(tree.root(), &relative).map_err(io("reading", &tree.root().join(&relative)))? {
            found.insert(path.clone(), stat);
        }
    }
    Ok(found)
}

/// Sends the paths that count, as they stand in the folders.
fn walk(tree: &RunTree, tracked: &Listing, rules: &Repository, files: &mpsc::Sender<Vec<u8>>) -> Result<(), TreeError> {
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
            // A tracked file counts whatever a rule says of it, and asking takes longer than anything else here.
            let counts = !kind.is_dir() && tracked.contains_key(&path);
            if !counts && rules.is_path_ignored(relative.join(&name)).map_err(git("reading the ignore rules"))? {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
            } else {
                let _ = files.send(path); // nobody listens any more where one could not be read
            }
        }
    }
    Ok(())
}

/// What the file system says of these files.
fn stats(root: &Path, files: mpsc::Receiver<Vec<u8>>) -> Result<BTreeMap<Vec<u8>, Metadata>, TreeError> {
    let mut found = BTreeMap::new();
    for path in files {
        let Some(relative) = paths::to_os(&path) else { continue };
        let place = root.join(relative);
        match fs::symlink_metadata(&place) {
            Ok(stat) => drop(found.insert(path, stat)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {} // removed in this moment
            Err(e) => return Err(unreadable(&path, io("reading", &place)(e))),
        }
    }
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
