//! Records the files of a run's tree, and puts them back.
//!
//! Each checkpoint is a commit on the private branch, by a fixed author, so that the same files, label and time give the
//! same id. Objects and branch are synced before it returns.

use crate::fault::git;
use crate::listing::{Listing, SUBMODULE, kept_listing, listing, new_objects};
use crate::open::FALLBACK;
use crate::run_tree::{BRANCH, RunTree, TreeError, find_commit, ref_target};
use crate::settled::Settled;
use crate::{diff, pack, put, scan};
use atelier_protocol::event::Checkpoint;
use git2::{Commit, Oid, Repository, Signature, Time};
use std::path::Path;

impl RunTree {
    /// Commits the files that are there and not ignored, and syncs the git directory. Where nothing changed since the
    /// last checkpoint, that one is returned.
    pub fn checkpoint(&self, label: &str, at_ms: u64) -> Result<Checkpoint, TreeError> {
        let repo = self.repo()?;
        pack::hold_in_memory(&repo)?;
        let head = self.head(&repo)?;
        let tree = self.record(&repo, &head)?;
        let commit = if tree == head.tree_id() {
            head.id()
        } else {
            let seconds = i64::try_from(at_ms / 1000).unwrap_or(i64::MAX);
            let doing = || git("recording a checkpoint");
            let who = Signature::new(FALLBACK.0, FALLBACK.1, &Time::new(seconds, 0)).map_err(doing())?;
            let files = repo.find_tree(tree).map_err(doing())?;
            let commit = repo.commit(None, &who, &who, label, &files, &[&head]).map_err(doing())?;
            let new = new_objects(&repo, Some(&head.tree().map_err(doing())?), &files)?;
            pack::write(&repo, new.into_iter().chain([commit]), &self.objects())?;
            self.unlock(BRANCH)?;
            repo.reference_matching(BRANCH, commit, true, head.id(), "checkpoint").map_err(doing())?;
            self.sync_ref(BRANCH)?;
            commit
        };
        let base = repo.find_commit(self.base_id()).map_err(git("reading the base"))?;
        let files = diff::changes(&repo, base.tree_id(), tree)?.into_iter().map(|change| change.file).collect();
        Ok(Checkpoint { commit: commit.to_string(), tree: tree.to_string(), files })
    }

    /// The id of the git tree of a commit.
    pub fn tree_of(&self, commit: &str) -> Result<String, TreeError> {
        let repo = self.repo()?;
        let commit = repo.find_commit(find_commit(&repo, commit)?).map_err(git("reading a commit"))?;
        Ok(commit.tree_id().to_string())
    }

    /// The id of the git tree that a checkpoint would have now.
    pub fn tree_id(&self) -> Result<String, TreeError> {
        Ok(self.present(&self.repo()?)?.to_string())
    }

    /// Keeps the present files under `refs/atelier/<name>` of the private repository and gives the commit that holds them.
    /// What is kept there already stays and is given, so that a second call after a crash knows the files of the first.
    pub fn keep_as(&self, name: &str) -> Result<String, TreeError> {
        let repo = self.repo()?;
        let reference = format!("refs/atelier/{name}");
        if let Some(kept) = ref_target(&repo, &reference)? {
            return Ok(kept.to_string());
        }
        let files = self.present(&repo)?;
        let head = self.head(&repo)?;
        let commit = match files == head.tree_id() {
            true => head.id(),
            false => record_beside(&repo, &head, files, name, &self.objects())?,
        };
        self.unlock(&reference)?;
        repo.reference(&reference, commit, false, name).map_err(git("keeping the present files"))?;
        self.sync_ref(&reference)?;
        Ok(commit.to_string())
    }

    /// Makes every file that is not ignored byte for byte as in `commit`, where the private branch is afterwards too.
    /// Ignored files (build caches) and anything called `.git` are left alone. Repeating it after a crash finishes it.
    /// What is there and recorded nowhere is kept first, under `refs/atelier/before/<commit>` of the private repository.
    pub fn reset_to(&self, commit: &str) -> Result<(), TreeError> {
        self.put_files(commit)?;
        let repo = self.repo()?;
        self.unlock(BRANCH)?;
        repo.reference(BRANCH, find_commit(&repo, commit)?, true, "reset").map_err(git("moving the run's branch"))?;
        Ok(self.sync_ref(BRANCH)?)
    }

    /// The same with the files alone: the private branch stays where it is.
    pub fn put_files(&self, commit: &str) -> Result<(), TreeError> {
        let repo = self.repo()?;
        let wanted = find_commit(&repo, commit)?;
        scan::remove_odd_rules(self.root())?;
        let files_of = |commit: Oid| -> Result<Listing, TreeError> {
            let tree = repo.find_commit(commit).and_then(|c| c.tree()).map_err(git("reading a checkpoint"))?;
            Ok(listing(&repo, &tree)?)
        };
        let target = files_of(wanted)?;
        // Files of either state are tracked: neither may stay or be missed because a rule names it.
        let mut tracked = files_of(self.head(&repo)?.id())?;
        tracked.extend(target.iter().map(|(path, entry)| (path.clone(), *entry)));
        pack::hold_in_memory(&repo)?;
        let present = scan::scan(self, &repo, &tracked)?;
        self.keep_present(&repo, &present, wanted)?;
        for path in present.keys().filter(|path| !target.contains_key(*path)) {
            put::take_away(self.root(), path)?;
        }
        for (path, entry) in &target {
            if present.get(path) != Some(entry) || entry.mode == SUBMODULE {
                put::put(&repo, self.root(), path, *entry)?;
            }
        }
        Ok(())
    }

    /// Whether every file that is not ignored is as in `commit`.
    pub fn settle_reset(&self, commit: &str) -> Settled {
        let found = || -> Result<bool, TreeError> {
            let repo = self.repo()?;
            let wanted = repo.find_commit(find_commit(&repo, commit)?).map_err(git("reading a checkpoint"))?.tree_id();
            Ok(wanted == self.present(&repo)? && self.head(&repo)?.id().to_string() == commit)
        };
        match found() {
            Ok(true) => Settled::Landed,
            Ok(false) => Settled::NotLanded, // putting files back is done again without harm
            Err(e) => Settled::Unknown(e.to_string()),
        }
    }

    /// Records files that are about to be replaced, unless they are as the last checkpoint or the wanted state.
    fn keep_present(&self, repo: &Repository, present: &Listing, wanted: Oid) -> Result<(), TreeError> {
        let doing = || git("recording the files before they are replaced");
        let head = self.head(repo)?;
        let id = scan::write_tree(repo, present)?;
        let wanted = repo.find_commit(wanted).map_err(doing())?.tree_id();
        if id == head.tree_id() || id == wanted {
            return Ok(());
        }
        let commit = record_beside(repo, &head, id, "before a reset", &self.objects())?;
        repo.reference(&format!("refs/atelier/before/{commit}"), commit, true, "before a reset").map_err(doing())?;
        Ok(())
    }

    /// The last checkpoint, or the base.
    pub(crate) fn head<'repo>(&self, repo: &'repo Repository) -> Result<Commit<'repo>, TreeError> {
        Ok(repo.find_reference(BRANCH).and_then(|r| r.peel_to_commit()).map_err(git("reading the last checkpoint"))?)
    }

    /// Brings the present files into the private repository; the id of their tree.
    fn record(&self, repo: &Repository, head: &Commit<'_>) -> Result<Oid, TreeError> {
        let before = head.tree().map_err(git("reading the last checkpoint"))?;
        let tracked = kept_listing(repo, &before)?;
        scan::write_tree_over(repo, &before, &tracked, &scan::scan(self, repo, &tracked)?)
    }

    /// The git tree of the present files, which `repo` holds in memory only.
    pub(crate) fn present(&self, repo: &Repository) -> Result<Oid, TreeError> {
        pack::hold_in_memory(repo)?;
        self.record(repo, &self.head(repo)?)
    }
}

/// Commits files after the last checkpoint, at its time, in the object folder `objects`: no branch moves.
pub(crate) fn record_beside(
    repo: &Repository,
    head: &Commit<'_>,
    files: Oid,
    label: &str,
    objects: &Path,
) -> Result<Oid, TreeError> {
    let doing = || git("recording files beside the checkpoints");
    let who = Signature::new(FALLBACK.0, FALLBACK.1, &head.time()).map_err(doing())?;
    let files = repo.find_tree(files).map_err(doing())?;
    let commit = repo.commit(None, &who, &who, label, &files, &[head]).map_err(doing())?;
    let new = new_objects(repo, head.tree().ok().as_ref(), &files)?;
    pack::write(repo, new.into_iter().chain([commit]), objects)?;
    Ok(commit)
}
