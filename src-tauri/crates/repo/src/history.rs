//! What earlier commits say and which files they touched, for the search index.
//!
//! Merges say nothing of their own and are left out. Files are called by the names they have at HEAD: where a commit
//! moved a file, older commits count for the new name. Nothing is written and no content is read.

use crate::fault::git;
use crate::open::{OpenError, UserRepo};
use git2::{Commit, ObjectType, Oid, Repository, Sort, Tree};
use std::collections::{HashMap, HashSet};

/// An earlier commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its id, in hex.
    pub id: String,
    /// When it was committed, in milliseconds since 1970.
    pub at_ms: i64,
    /// Its whole message.
    pub message: String,
    /// The files it touched, by their names at HEAD; those that are gone by their last name.
    pub paths: Vec<String>,
}

/// The past of HEAD, or what came to it since a commit that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// HEAD.
    pub head: String,
    /// Newest first.
    pub commits: Vec<Told>,
    /// Files that were moved by these commits: from, to.
    pub moved: Vec<(String, String)>,
    /// Whether this takes the place of what was known, instead of standing before it.
    pub whole: bool,
}

/// A commit that changes more files says little about each; how many it changed is not even counted further.
const MOST_CHANGES: usize = 20_000;

impl UserRepo {
    /// The newest `most` commits of HEAD's past that change at most `wide` files. With a `known` commit that HEAD
    /// descends from, only what is newer than that.
    pub fn history(&self, known: Option<&str>, most: usize, wide: usize) -> Result<History, OpenError> {
        let repo = self.repo()?;
        let head = self.head_of(&repo)?.1;
        let known = known.and_then(|id| Oid::from_str(id).ok());
        let known = known.filter(|known| {
            *known == head || repo.graph_descendant_of(head, *known).unwrap_or(false) // gone after a rebase and gc
        });
        let read = || -> Result<History, git2::Error> {
            let mut walk = repo.revwalk()?;
            // By time alone a series that was rebased within one second would be told in any order, and moves with it.
            walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME)?;
            walk.push(head)?;
            if let Some(known) = known {
                walk.hide(known)?;
            }
            let mut names = Names::default();
            let mut commits = Vec::new();
            for id in walk.take(most) {
                let commit = repo.find_commit(id?)?;
                if commit.parent_count() > 1 {
                    continue;
                }
                let changes = changes(&repo, &commit)?;
                let paths: Vec<String> = changes.touched.iter().map(|path| names.now(path)).collect();
                for (from, to) in changes.moved {
                    names.moved(from, &to);
                }
                if !paths.is_empty() && paths.len() <= wide {
                    let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
                    let at_ms = commit.time().seconds().saturating_mul(1000);
                    commits.push(Told { id: commit.id().to_string(), at_ms, message, paths });
                }
            }
            let mut moved: Vec<(String, String)> = names.now.into_iter().collect();
            moved.sort();
            Ok(History { head: head.to_string(), commits, moved, whole: known.is_none() })
        };
        Ok(read().map_err(git("reading the history"))?)
    }
}

/// What files are called now. Commits are read newest first.
#[derive(Default)]
struct Names {
    now: HashMap<String, String>,
}

impl Names {
    fn now(&self, path: &str) -> String {
        self.now.get(path).cloned().unwrap_or_else(|| path.to_owned())
    }
    fn moved(&mut self, from: String, to: &str) {
        let now = self.now(to);
        if now != from {
            self.now.insert(from, now);
        }
    }
}

/// What a commit changed against its parent.
#[derive(Default)]
struct Changes {
    touched: Vec<String>,
    moved: Vec<(String, String)>,
}

fn changes(repo: &Repository, commit: &Commit<'_>) -> Result<Changes, git2::Error> {
    let new = commit.tree()?;
    let old = match commit.parent_count() {
        0 => None,
        // The parent of a shallow clone's oldest commit is not there.
        _ => match commit.parent(0).and_then(|parent| parent.tree()) {
            Ok(tree) => Some(tree),
            Err(_) => return Ok(Changes::default()),
        },
    };
    let mut found = Compared::default();
    found.compare(repo, old.as_ref(), Some(&new), &mut Vec::new())?;
    Ok(found.changes())
}

#[derive(Default)]
struct Compared {
    changed: Vec<String>,
    added: Vec<(String, Oid)>,
    removed: Vec<(String, Oid)>,
}

impl Compared {
    fn compare(
        &mut self,
        repo: &Repository,
        old: Option<&Tree<'_>>,
        new: Option<&Tree<'_>>,
        folder: &mut Vec<u8>,
    ) -> Result<(), git2::Error> {
        let depth = folder.len();
        let tree = |id: Oid, kind: Option<ObjectType>| match kind {
            Some(ObjectType::Tree) => repo.find_tree(id).map(Some),
            _ => Ok(None),
        };
        for entry in new.into_iter().flat_map(Tree::iter) {
            if self.changed.len() + self.added.len() + self.removed.len() > MOST_CHANGES {
                return Ok(());
            }
            let before = old.and_then(|old| old.get_name_bytes(entry.name_bytes()));
            if before.as_ref().is_some_and(|before| before.id() == entry.id()) {
                continue;
            }
            folder.extend_from_slice(entry.name_bytes());
            let (is, was) = (entry.kind(), before.as_ref().and_then(git2::TreeEntry::kind));
            let was_tree = before.as_ref().map(|before| tree(before.id(), was)).transpose()?.flatten();
            let is_tree = tree(entry.id(), is)?;
            if was_tree.is_some() || is_tree.is_some() {
                folder.push(b'/');
                self.compare(repo, was_tree.as_ref(), is_tree.as_ref(), folder)?;
                folder.pop();
            }
            if let Ok(path) = std::str::from_utf8(folder) {
                match (is, was) {
                    (Some(ObjectType::Blob), Some(ObjectType::Blob)) => self.changed.push(path.to_owned()),
                    (Some(ObjectType::Blob), _) => self.added.push((path.to_owned(), entry.id())),
                    (_, Some(ObjectType::Blob)) => {
                        self.removed.extend(before.as_ref().map(|before| (path.to_owned(), before.id())));
                    }
                    _ => {}
                }
            }
            folder.truncate(depth);
        }
        for entry in old.into_iter().flat_map(Tree::iter) {
            if new.is_some_and(|new| new.get_name_bytes(entry.name_bytes()).is_some()) {
                continue;
            }
            folder.extend_from_slice(entry.name_bytes());
            match tree(entry.id(), entry.kind())? {
                Some(gone) => {
                    folder.push(b'/');
                    self.compare(repo, Some(&gone), None, folder)?;
                }
                None => {
                    if let (Ok(path), Some(ObjectType::Blob)) = (std::str::from_utf8(folder), entry.kind()) {
                        self.removed.push((path.to_owned(), entry.id()));
                    }
                }
            }
            folder.truncate(depth);
        }
        Ok(())
    }

    /// A file that went and one that came are one where their content is the same, or where their name is and no
    /// other file of that name came or went.
    fn changes(self) -> Changes {
        let Self { changed, added, removed } = self;
        let mut moved = Vec::new();
        if !added.is_empty() && !removed.is_empty() {
            let by_content = sole(added.iter().map(|(path, id)| (*id, path)));
            let by_name = sole(added.iter().map(|(path, _)| (name(path), path)));
            let from_content = sole(removed.iter().map(|(path, id)| (*id, path)));
            let from_name = sole(removed.iter().map(|(path, _)| (name(path), path)));
            for (from, id) in &removed {
                let same = by_content.get(id).filter(|_| from_content.get(id).is_some_and(Option::is_some));
                let alike = by_name.get(name(from)).filter(|_| from_name.get(name(from)).is_some_and(Option::is_some));
                if let Some(to) = same.copied().flatten().or_else(|| alike.copied().flatten()) {
                    moved.push((from.clone(), to.clone()));
                }
            }
        }
        let went = {
            let left: HashSet<&String> = moved.iter().map(|(from, _)| from).collect();
            removed.iter().map(|(path, _)| path).filter(|path| !left.contains(path)).cloned().collect::<Vec<_>>()
        };
        let touched = changed.into_iter().chain(added.into_iter().map(|(path, _)| path)).chain(went).collect();
        Changes { touched, moved }
    }
}

/// What there is one of; `None` where there are several.
fn sole<'a, K: std::hash::Hash + Eq>(all: impl Iterator<Item = (K, &'a String)>) -> HashMap<K, Option<&'a String>> {
    let mut found = HashMap::new();
    for (key, path) in all {
        found.entry(key).and_modify(|sole| *sole = None).or_insert(Some(path));
    }
    found
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
