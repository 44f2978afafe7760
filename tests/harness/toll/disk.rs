//! A disk that forgets: what may be on it after a power cut, given a record of changes and syncs.
//!
//! What is sure is what was synced: a file's data by a sync of that file, names by a sync of their folder. Of the rest a
//! seed decides: a file keeps all, none, a prefix or any pages of what was written since its last sync; a folder
//! keeps a prefix of its changes of names. A rename between two folders happens in both or in neither.
//! This allows more than journalling file systems do; a program that is right here is right on all of them.

use super::seed::Seed;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

const PAGE: usize = 4096;

/// One entry of a record, as the library of faults writes it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What happened.
    pub op: u8,
    a: u64,
    b: u64,
    /// The first text or data.
    pub one: Vec<u8>,
    two: Vec<u8>,
}

/// Reads a record.
pub fn entries(mut bytes: &[u8]) -> Vec<Entry> {
    let mut all = Vec::new();
    let long = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
    let short = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default()) as usize;
    while bytes.len() >= 25 {
        let (one, two) = (short(bytes, 17), short(bytes, 21));
        let Some(texts) = bytes.get(25..25 + one + two) else { break };
        all.push(Entry {
            op: bytes[0],
            a: long(bytes, 1),
            b: long(bytes, 9),
            one: texts[..one].to_vec(),
            two: texts[one..].to_vec(),
        });
        bytes = &bytes[25 + one + two..];
    }
    all
}

#[derive(Debug, Clone)]
enum Data {
    Write(usize, Vec<u8>),
    Cut(usize),
}

#[derive(Debug, Clone)]
enum Names {
    Add(Vec<u8>, usize),
    Remove(Vec<u8>),
    /// From this folder, under a name, to another folder's name.
    MoveOut {
        name: Vec<u8>,
        to: usize,
        as_name: Vec<u8>,
        what: usize,
    },
    /// The other half, which decides.
    MoveIn {
        name: Vec<u8>,
        what: usize,
        from: usize,
        was: Vec<u8>,
    },
    /// Within this folder.
    Move {
        from: Vec<u8>,
        to: Vec<u8>,
        what: usize,
    },
}

#[derive(Debug, Clone)]
enum Node {
    File { sure: Vec<u8>, since: Vec<Data> },
    Folder { sure: BTreeMap<Vec<u8>, usize>, since: Vec<Names>, now: BTreeMap<Vec<u8>, usize> },
    Link(Vec<u8>),
}

/// The disk.
#[derive(Debug, Clone)]
pub struct Disk {
    root: Vec<u8>,
    nodes: Vec<(Node, u32)>,
    inodes: HashMap<u64, usize>,
    /// Changes of files whose making was not seen: the record would be blind there.
    pub unseen: Vec<String>,
}

impl Disk {
    /// A disk with what is below `root` now, all of it sure.
    #[expect(clippy::expect_used, reason = "a harness fails loudly")]
    pub fn of(root: &Path) -> Disk {
        let mut disk = Disk { root: bytes(root), nodes: Vec::new(), inodes: HashMap::new(), unseen: Vec::new() };
        disk.take_in(root).expect("the folder can be read");
        disk
    }

    fn take_in(&mut self, path: &Path) -> std::io::Result<usize> {
        let found = fs::symlink_metadata(path)?;
        let at = self.nodes.len();
        self.inodes.insert(found.ino(), at);
        self.nodes.push((Node::Link(Vec::new()), found.permissions().mode()));
        let node = if found.is_dir() {
            let mut names = BTreeMap::new();
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                names.insert(bytes(Path::new(&entry.file_name())), self.take_in(&entry.path())?);
            }
            Node::Folder { sure: names.clone(), since: Vec::new(), now: names }
        } else if found.is_symlink() {
            Node::Link(bytes(&fs::read_link(path)?))
        } else {
            Node::File { sure: fs::read(path)?, since: Vec::new() }
        };
        self.nodes[at].0 = node;
        Ok(at)
    }

    /// Makes one recorded change.
    pub fn change(&mut self, entry: &Entry) {
        match entry.op {
            b'C' => self.made(entry),
            b'W' => self.data(entry.a, Data::Write(usize::try_from(entry.b).unwrap_or(0), entry.one.clone())),
            b'T' => self.data(entry.a, Data::Cut(usize::try_from(entry.b).unwrap_or(0))),
            b'M' => {
                if let Some(at) = self.inodes.get(&entry.a) {
                    self.nodes[*at].1 = u32::try_from(entry.b).unwrap_or(0o644);
                }
            }
            b'S' => {
                if let Some(at) = self.inodes.get(&entry.a).copied() {
                    self.sync(at);
                }
            }
            b'A' => (0..self.nodes.len()).for_each(|at| self.sync(at)),
            b'R' => self.renamed(&entry.one, &entry.two),
            b'L' => {
                if let (Some((from, old)), Some((to, new))) = (self.parent(&entry.one), self.parent(&entry.two))
                    && let Some(what) = self.child(from, &old)
                {
                    self.name(to, Names::Add(new, what));
                }
            }
            b'U' => {
                if let Some((folder, name)) = self.parent(&entry.one) {
                    self.name(folder, Names::Remove(name));
                }
            }
            _ => {}
        }
    }

    fn made(&mut self, entry: &Entry) {
        let mode = u32::try_from(entry.b).unwrap_or(0);
        let node = match mode & 0o170_000 {
            0o040_000 => Node::Folder { sure: BTreeMap::new(), since: Vec::new(), now: BTreeMap::new() },
            0o120_000 => Node::Link(entry.two.clone()),
            _ => Node::File { sure: Vec::new(), since: Vec::new() },
        };
        let at = self.nodes.len();
        self.nodes.push((node, mode));
        self.inodes.insert(entry.a, at);
        match self.parent(&entry.one) {
            Some((folder, name)) => self.name(folder, Names::Add(name, at)),
            None => self.unseen.push(format!("made {}", String::from_utf8_lossy(&entry.one))),
        }
    }

    fn data(&mut self, inode: u64, change: Data) {
        match self.inodes.get(&inode).map(|at| &mut self.nodes[*at].0) {
            Some(Node::File { since, .. }) => since.push(change),
            _ => self.unseen.push(format!("a write to inode {inode}")),
        }
    }

    fn renamed(&mut self, from: &[u8], to: &[u8]) {
        let (Some((old_folder, old)), Some((new_folder, new))) = (self.parent(from), self.parent(to)) else { return };
        let Some(what) = self.child(old_folder, &old) else {
            return self.unseen.push(format!("rename of {}", String::from_utf8_lossy(from)));
        };
        if old_folder == new_folder {
            self.name(old_folder, Names::Move { from: old, to: new, what });
        } else {
            self.name(new_folder, Names::MoveIn { name: new.clone(), what, from: old_folder, was: old.clone() });
            self.name(old_folder, Names::MoveOut { name: old, to: new_folder, as_name: new, what });
        }
    }

    fn name(&mut self, folder: usize, change: Names) {
        if let Node::Folder { since, now, .. } = &mut self.nodes[folder].0 {
            apply(now, &change);
            since.push(change);
        }
    }

    fn child(&self, folder: usize, name: &[u8]) -> Option<usize> {
        match &self.nodes[folder].0 {
            Node::Folder { now, .. } => now.get(name).copied(),
            _ => None,
        }
    }

    /// The folder that holds a path now, and its name in it.
    fn parent(&self, path: &[u8]) -> Option<(usize, Vec<u8>)> {
        let path = String::from_utf8_lossy(path.strip_prefix(self.root.as_slice())?).into_owned();
        let mut parts: Vec<&std::ffi::OsStr> = Vec::new();
        for part in Path::new(&path).components() {
            match part {
                Component::Normal(name) => parts.push(name),
                Component::ParentDir => drop(parts.pop()),
                _ => {}
            }
        }
        let name = parts.pop()?;
        let folder = parts.into_iter().try_fold(0, |folder, part| self.child(folder, &bytes(Path::new(part))))?;
        Some((folder, bytes(Path::new(name))))
    }

    fn sync(&mut self, at: usize) {
        let mut elsewhere = Vec::new();
        match &mut self.nodes[at].0 {
            Node::File { sure, since } => since.drain(..).for_each(|change| write(sure, &change)),
            Node::Folder { sure, since, .. } => {
                for change in since.drain(..) {
                    apply(sure, &change);
                    match change {
                        Names::MoveOut { to, as_name, what, .. } => elsewhere.push((to, Some((as_name, what)), None)),
                        Names::MoveIn { from, was, what, .. } => elsewhere.push((from, None, Some((was, what)))),
                        _ => {}
                    }
                }
            }
            Node::Link(_) => {}
        }
        // The other half of a rename is on the disk with this one.
        for (folder, come, gone) in elsewhere {
            let Node::Folder { sure, since, .. } = &mut self.nodes[folder].0 else { continue };
            if let Some((name, what)) = come {
                let pending = since.iter().position(
                    |change| matches!(change, Names::MoveIn { name: n, what: w, .. } if *n == name && *w == what),
                );
                if let Some(pending) = pending {
                    since.remove(pending);
                    sure.insert(name, what);
                }
            }
            if let Some((name, what)) = gone {
                let pending = since.iter().position(
                    |change| matches!(change, Names::MoveOut { name: n, what: w, .. } if *n == name && *w == what),
                );
                if let Some(pending) = pending {
                    since.remove(pending);
                    sure.remove(&name);
                }
            }
        }
    }

    /// Names that are not in `root` as the record says: calls that it did not see. Caches, which other processes fill, and
    /// sockets do not count.
    pub fn blind_to(&self, root: &Path) -> Vec<String> {
        let mut blind = self.unseen.clone();
        self.compare(0, root, &mut blind);
        blind
    }

    fn compare(&self, at: usize, path: &Path, blind: &mut Vec<String>) {
        let Node::Folder { now, .. } = &self.nodes[at].0 else { return };
        let mut there = BTreeMap::new();
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let kind = entry.file_type();
            if kind.is_ok_and(|kind| kind.is_dir() || kind.is_file() || kind.is_symlink()) {
                there.insert(bytes(Path::new(&entry.file_name())), entry.path());
            }
        }
        for name in there.keys().chain(now.keys()).filter(|name| there.contains_key(*name) != now.contains_key(*name)) {
            blind.push(path.join(os(name)).to_string_lossy().into_owned());
        }
        for (name, path) in there.iter().filter(|(name, _)| name.as_slice() != b"cache") {
            if let Some(child) = now.get(name) {
                self.compare(*child, path, blind);
            }
        }
    }

    /// What is on the disk when the power goes now, written to `root` anew.
    #[expect(clippy::expect_used, reason = "a harness fails loudly")]
    pub fn after_power_cut(&self, root: &Path, seed: &mut Seed) {
        let mut folders: HashMap<usize, BTreeMap<Vec<u8>, usize>> = HashMap::new();
        let mut moved: Vec<(usize, Vec<u8>, usize)> = Vec::new();
        for (at, (node, _)) in self.nodes.iter().enumerate() {
            let Node::Folder { sure, since, .. } = node else { continue };
            let mut names = sure.clone();
            let kept = match seed.below(4) {
                0 => 0,
                1 => since.len(),
                _ => seed.index(since.len() + 1),
            };
            for change in &since[..kept] {
                match change {
                    Names::MoveOut { .. } => {} // its other half decides
                    Names::MoveIn { from, was, what, .. } => {
                        apply(&mut names, change);
                        moved.push((*from, was.clone(), *what));
                    }
                    _ => apply(&mut names, change),
                }
            }
            folders.insert(at, names);
        }
        for (folder, name, what) in moved {
            if let Some(names) = folders.get_mut(&folder)
                && names.get(&name) == Some(&what)
            {
                names.remove(&name);
            }
        }
        let _ = fs::remove_dir_all(root);
        self.lay_out(0, root, &folders, &mut HashMap::new(), seed).expect("the disk can be laid out");
    }

    fn lay_out(
        &self,
        at: usize,
        path: &Path,
        folders: &HashMap<usize, BTreeMap<Vec<u8>, usize>>,
        files: &mut HashMap<usize, PathBuf>,
        seed: &mut Seed,
    ) -> std::io::Result<()> {
        let (node, mode) = &self.nodes[at];
        if let Some(there) = files.get(&at) {
            // A second name of the same file.
            return fs::hard_link(there, path);
        }
        match node {
            Node::Folder { .. } => {
                fs::create_dir_all(path)?;
                for (name, child) in folders.get(&at).into_iter().flatten() {
                    self.lay_out(*child, &path.join(os(name)), folders, files, seed)?;
                }
            }
            Node::Link(target) => return std::os::unix::fs::symlink(os(target), path),
            Node::File { sure, since } => {
                fs::write(path, survived(sure, since, seed))?;
                files.insert(at, path.to_owned());
            }
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777))
    }
}

fn survived(sure: &[u8], since: &[Data], seed: &mut Seed) -> Vec<u8> {
    let mut data = sure.to_vec();
    let way = seed.below(4);
    let prefix = seed.index(since.len() + 1);
    for (place, change) in since.iter().enumerate() {
        match (way, change) {
            (0, _) => {}
            (1, change) => write(&mut data, change),
            (2, change) if place < prefix => write(&mut data, change),
            (2, _) => {}
            (_, Data::Write(at, bytes)) => {
                for (n, page) in bytes.chunks(PAGE).enumerate() {
                    if seed.below(2) == 0 {
                        write(&mut data, &Data::Write(at + n * PAGE, page.to_vec()));
                    }
                }
            }
            (_, cut) if seed.below(2) == 0 => write(&mut data, cut),
            _ => {}
        }
    }
    data
}

fn write(data: &mut Vec<u8>, change: &Data) {
    match change {
        Data::Cut(length) => data.resize(*length, 0),
        Data::Write(at, bytes) => {
            let end = at + bytes.len();
            if data.len() < end {
                data.resize(end, 0);
            }
            data[*at..end].copy_from_slice(bytes);
        }
    }
}

fn apply(names: &mut BTreeMap<Vec<u8>, usize>, change: &Names) {
    match change {
        Names::Add(name, what) | Names::MoveIn { name, what, .. } => {
            names.insert(name.clone(), *what);
        }
        Names::Remove(name) | Names::MoveOut { name, .. } => {
            names.remove(name);
        }
        Names::Move { from, to, what } => {
            names.remove(from);
            names.insert(to.clone(), *what);
        }
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec()
}

fn os(bytes: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(op: u8, a: u64, b: u64, one: &str, two: &str) -> Entry {
        Entry { op, a, b, one: one.into(), two: two.into() }
    }

    /// A file written under another name and renamed: what it holds after any of many power cuts.
    fn found(sync_file: bool, sync_folder: bool) -> Vec<Option<Vec<u8>>> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        let mut disk = Disk::of(&root);
        let at = |name: &str| root.join(name).to_string_lossy().into_owned();
        let inode = fs::metadata(&root).unwrap().ino();
        disk.change(&entry(b'C', 7_000_001, 0o100_644, &at("new"), ""));
        disk.change(&entry(b'W', 7_000_001, 0, "whole", ""));
        if sync_file {
            disk.change(&entry(b'S', 7_000_001, 0, "", ""));
        }
        disk.change(&entry(b'R', 0, 0, &at("new"), &at("file")));
        if sync_folder {
            disk.change(&entry(b'S', inode, 0, "", ""));
        }
        assert_eq!(disk.unseen, [""; 0]);
        let mut all: Vec<Option<Vec<u8>>> = (0..50)
            .map(|seed| {
                disk.after_power_cut(&root, &mut Seed(seed));
                fs::read(root.join("file")).ok()
            })
            .collect();
        all.sort();
        all.dedup();
        all
    }

    #[test]
    fn two_names_of_a_file_stay_names_of_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir(&root).unwrap();
        let mut disk = Disk::of(&root);
        let at = |name: &str| root.join(name).to_string_lossy().into_owned();
        disk.change(&entry(b'C', 7_000_001, 0o100_644, &at("own"), ""));
        disk.change(&entry(b'L', 0, 0, &at("own"), &at("lock")));
        disk.change(&entry(b'S', fs::metadata(&root).unwrap().ino(), 0, "", ""));
        disk.after_power_cut(&root, &mut Seed(1));
        let inode = |name: &str| fs::metadata(at(name)).unwrap().ino();
        assert_eq!(inode("own"), inode("lock"));
    }

    #[test]
    fn only_what_was_synced_is_sure() {
        let whole = Some(b"whole".to_vec());
        assert_eq!(found(true, true), std::slice::from_ref(&whole));
        assert_eq!(found(true, false), [None, whole.clone()]);
        assert_eq!(found(false, true), [Some(Vec::new()), whole]);
    }
}
