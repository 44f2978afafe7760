//! A git tree as a flat list of files.

use crate::fault::{Fault, git};
use git2::{ObjectType, Oid, Repository, Tree};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// A plain file.
pub(crate) const FILE: u32 = 0o100_644;
/// A file that may be run.
pub(crate) const PROGRAM: u32 = 0o100_755;
/// A symbolic link.
pub(crate) const LINK: u32 = 0o120_000;
/// The commit of a submodule.
pub(crate) const SUBMODULE: u32 = 0o160_000;

/// Files in all listings that are kept: some 20 MB.
const MOST_KEPT: usize = 200_000;

/// What a git tree says about one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// One of the modes above.
    pub(crate) mode: u32,
    /// The blob, or a submodule's commit.
    pub(crate) id: Oid,
}

/// Path to entry.
pub(crate) type Listing = BTreeMap<Vec<u8>, Entry>;

/// The files, links and submodules of a tree.
pub(crate) fn listing(repo: &Repository, tree: &Tree<'_>) -> Result<Listing, Fault> {
    let mut all = Listing::new();
    list_into(repo, tree, &mut Vec::new(), &mut all).map_err(git("reading a tree"))?;
    Ok(all)
}

/// The same, kept for those who ask again: a run's files are compared with its last checkpoint after every command. What
/// has an id never changes.
pub(crate) fn kept_listing(repo: &Repository, tree: &Tree<'_>) -> Result<Arc<Listing>, Fault> {
    static KEPT: Mutex<VecDeque<(Oid, Arc<Listing>)>> = Mutex::new(VecDeque::new());
    let kept = || KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, listing)) = kept().iter().find(|(id, _)| *id == tree.id()) {
        return Ok(Arc::clone(listing));
    }
    let listing = Arc::new(listing(repo, tree)?);
    let mut kept = kept();
    kept.push_back((tree.id(), Arc::clone(&listing)));
    while kept.iter().map(|(_, listing)| listing.len()).sum::<usize>() > MOST_KEPT {
        kept.pop_front();
    }
    Ok(listing)
}

/// libgit2's own walk hands out folder names as UTF-8 only; names need not be.
fn list_into(repo: &Repository, tree: &Tree<'_>, folder: &mut Vec<u8>, all: &mut Listing) -> Result<(), git2::Error> {
    let depth = folder.len();
    for entry in tree {
        folder.extend_from_slice(entry.name_bytes());
        if entry.kind() == Some(ObjectType::Tree) {
            folder.push(b'/');
            list_into(repo, &repo.find_tree(entry.id())?, folder, all)?;
        } else {
            all.insert(folder.clone(), Entry { mode: plain_mode(entry.filemode()), id: entry.id() });
        }
        folder.truncate(depth);
    }
    Ok(())
}

/// Old histories hold modes such as 100664, which stand for 100644.
pub(crate) fn plain_mode(raw: i32) -> u32 {
    match u32::try_from(raw).unwrap_or(0) {
        mode if mode & 0o170_000 == LINK => LINK,
        mode if mode & 0o170_000 == SUBMODULE => SUBMODULE,
        mode if mode & 0o100 != 0 => PROGRAM,
        _ => FILE,
    }
}

/// The trees and blobs of `new` that are not at the same place in `old`.
pub(crate) fn new_objects(repo: &Repository, old: Option<&Tree<'_>>, new: &Tree<'_>) -> Result<HashSet<Oid>, Fault> {
    let mut found = HashSet::new();
    collect_new(repo, old, new, &mut found).map_err(git("comparing trees"))?;
    Ok(found)
}

fn collect_new(
    repo: &Repository,
    old: Option<&Tree<'_>>,
    new: &Tree<'_>,
    found: &mut HashSet<Oid>,
) -> Result<(), git2::Error> {
    if old.is_some_and(|old| old.id() == new.id()) || !found.insert(new.id()) {
        return Ok(());
    }
    for entry in new {
        let before = old.and_then(|old| old.get_name_bytes(entry.name_bytes()));
        if before.as_ref().is_some_and(|b| b.id() == entry.id()) {
            continue;
        }
        match entry.kind() {
            Some(ObjectType::Tree) => {
                let before = match before.filter(|b| b.kind() == Some(ObjectType::Tree)) {
                    Some(before) => Some(repo.find_tree(before.id())?),
                    None => None,
                };
                collect_new(repo, before.as_ref(), &repo.find_tree(entry.id())?, found)?;
            }
            Some(ObjectType::Blob) => {
                found.insert(entry.id());
            }
            _ => {} // a submodule's commit is in another repository
        }
    }
    Ok(())
}
