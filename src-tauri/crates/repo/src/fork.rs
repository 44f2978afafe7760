//! The tree of a run that continues another one: a checkpoint of that one with some files changed.
//!
//! Reads the other run's private repository and leaves it, and its files, as they are. What is taken over is copied, so
//! that the fork does not depend on a tree that may be discarded.

use crate::fault::git;
use crate::listing::{Entry, FILE, Listing, listing, new_objects};
use crate::open::UserRepo;
use crate::run_tree::{RunTree, TreeError, TreeSpec, find_commit};
use crate::{pack, scan};
use git2::{ObjectType, Oid, Repository};
use std::collections::BTreeMap;
use std::path::Path;

/// Files by path in the project, with `/`: their content, `None` where there is no such file.
pub type Files = BTreeMap<String, Option<Vec<u8>>>;

/// Where a fork's tree begins.
pub(crate) struct Origin {
    repo: Repository,
    pub(crate) commit: Oid,
    pub(crate) files: Listing,
}

impl UserRepo {
    /// Makes the tree of a fork as [`UserRepo::make_tree`] makes one: `commit` of the private repository of `from`, with
    /// `files` in place of what is there. [`UserRepo::settle_tree`] says whether it landed.
    pub fn fork_tree(
        &self,
        spec: &TreeSpec,
        from: &RunTree,
        commit: &str,
        files: &Files,
    ) -> Result<RunTree, TreeError> {
        let repo = from.repo()?;
        pack::hold_in_memory(&repo)?;
        let commit = find_commit(&repo, commit)?;
        let listing = changed(&repo, commit, files)?;
        self.make(spec, Some(&Origin { repo, commit, files: listing }))
    }
}

impl Origin {
    pub(crate) fn repo(&self) -> &Repository {
        &self.repo
    }

    /// Copies the commits since `base`, with what is new in each, to the object folder `objects`.
    pub(crate) fn copy_since(&self, base: Oid, objects: &Path) -> Result<(), TreeError> {
        copy_since(&self.repo, self.commit, base, objects)
    }
}

/// Copies the commits from `base` to `tip`, with what is new in each, to the object folder `objects`.
pub(crate) fn copy_since(repo: &Repository, tip: Oid, base: Oid, objects: &Path) -> Result<(), TreeError> {
    copy_behind(repo, [tip], [base], objects)
}

/// Copies the commits behind `tips` that are not behind `known`, with what is new in each, as one pack.
pub(crate) fn copy_behind(
    repo: &Repository,
    tips: impl IntoIterator<Item = Oid>,
    known: impl IntoIterator<Item = Oid>,
    objects: &Path,
) -> Result<(), TreeError> {
    let doing = || git("copying checkpoints");
    let mut walk = repo.revwalk().map_err(doing())?;
    tips.into_iter().try_for_each(|tip| walk.push(tip)).map_err(doing())?;
    known.into_iter().try_for_each(|at| walk.hide(at)).map_err(doing())?;
    let mut ids = Vec::new();
    for id in walk {
        let commit = repo.find_commit(id.map_err(doing())?).map_err(doing())?;
        let before = commit.parent(0).and_then(|parent| parent.tree()).ok();
        ids.extend(new_objects(repo, before.as_ref(), &commit.tree().map_err(doing())?)?);
        ids.push(commit.id());
    }
    Ok(pack::write(repo, ids, objects)?)
}

impl RunTree {
    /// A file's content in a checkpoint, or in the base; `None` where there is no such file.
    pub fn file_at(&self, commit: &str, path: &str) -> Result<Option<Vec<u8>>, TreeError> {
        let repo = self.repo()?;
        let tree = repo.find_commit(find_commit(&repo, commit)?).and_then(|c| c.tree());
        let tree = tree.map_err(git("reading a checkpoint"))?;
        let Ok(entry) = tree.get_path(Path::new(path)) else { return Ok(None) };
        if entry.kind() != Some(ObjectType::Blob) {
            return Ok(None);
        }
        let blob = repo.find_blob(entry.id()).map_err(git("reading a file's content"))?;
        Ok(Some(blob.content().to_vec()))
    }

    /// The id that the tree of `commit` would have with these files in it. Nothing is written.
    pub fn tree_with(&self, commit: &str, files: &Files) -> Result<String, TreeError> {
        let repo = self.repo()?;
        pack::hold_in_memory(&repo)?;
        let commit = find_commit(&repo, commit)?;
        let before = repo.find_commit(commit).and_then(|c| c.tree()).map_err(git("reading a checkpoint"))?;
        let tracked = listing(&repo, &before)?;
        Ok(scan::write_tree_over(&repo, &before, &tracked, &changed(&repo, commit, files)?)?.to_string())
    }
}

/// The files of a commit with `files` in their place, which `repo` holds in memory only.
fn changed(repo: &Repository, commit: Oid, files: &Files) -> Result<Listing, TreeError> {
    let doing = || git("reading a checkpoint");
    let tree = repo.find_commit(commit).and_then(|c| c.tree()).map_err(doing())?;
    let mut all = listing(repo, &tree)?;
    for (path, content) in files {
        let key = path.clone().into_bytes();
        match content {
            None => drop(all.remove(&key)),
            Some(bytes) => {
                let id = repo.blob(bytes).map_err(doing())?;
                let mode = all.get(&key).map_or(FILE, |before| before.mode);
                all.insert(key, Entry { mode, id });
            }
        }
    }
    Ok(all)
}
