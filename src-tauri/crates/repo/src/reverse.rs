//! Takes back what an operation changed, in a run's tree or on the user's branch, and leaves everything that came after it.
//!
//! A three-way merge: from what the operation left behind to what was before it, applied to what is there now. Where nothing
//! came after, the state before is there again to the byte. What later changes touched too is refused by name.
//! The present state of a tree is recorded before it is changed, so nothing is lost by taking back.

use crate::accept::{Accept, AcceptRefusal, HEAD, conflicting, has};
use crate::diff;
use crate::fault::{Fault, git};
use crate::landing::Landing;
use crate::listing::new_objects;
use crate::open::{FALLBACK, UserRepo, author};
use crate::pack;
use crate::run_tree::{RunTree, TreeError, find_commit};
use atelier_protocol::event::{AcceptMode, Checkpoint, FileChange};
use atelier_protocol::ids::RunId;
use git2::{Oid, Repository, Signature, Time};

/// What taking a tree's change back leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reversal {
    /// The state of the tree before, recorded.
    pub present: Checkpoint,
    /// The commit it is to be put to.
    pub to: String,
    /// The files that change.
    pub files: Vec<FileChange>,
}

/// The user's branch with an accept taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    /// The way there, performed and asked about as an accept.
    pub accept: Accept,
    /// The files of the user's work tree that change.
    pub files: Vec<FileChange>,
}

impl RunTree {
    /// The files that taking back the change between two checkpoints would change now. Nothing is recorded.
    pub fn preview_reversal(&self, from: &str, to: &str) -> Result<Vec<FileChange>, TreeError> {
        let repo = self.repo()?;
        let present = self.present(&repo)?;
        let without = reversed(&repo, present, from, to)?;
        files_between(&repo, present, without)
    }

    /// Records the present files and the state without the change between two checkpoints. The files stay as they are;
    /// [`RunTree::reset_to`] changes them.
    pub fn plan_reversal(&self, from: &str, to: &str, label: &str, at_ms: u64) -> Result<Reversal, TreeError> {
        let present = self.checkpoint("before taking back", at_ms)?;
        let repo = self.repo()?;
        pack::hold_in_memory(&repo)?;
        let head = repo.find_commit(find_commit(&repo, &present.commit)?).map_err(git("reading a checkpoint"))?;
        let without = reversed(&repo, head.tree_id(), from, to)?;
        let files = files_between(&repo, head.tree_id(), without)?;
        let doing = || git("recording a state");
        let seconds = i64::try_from(at_ms / 1000).unwrap_or(i64::MAX);
        let who = Signature::new(FALLBACK.0, FALLBACK.1, &Time::new(seconds, 0)).map_err(doing())?;
        let tree = repo.find_tree(without).map_err(doing())?;
        let commit = repo.commit(None, &who, &who, label, &tree, &[&head]).map_err(doing())?;
        let new = new_objects(&repo, head.tree().ok().as_ref(), &tree)?;
        pack::write(&repo, new.into_iter().chain([commit]), &self.objects())?;
        Ok(Reversal { present, to: commit.to_string(), files })
    }
}

impl UserRepo {
    /// What taking an accept of `run` off the branch would change now. Nothing is written.
    pub fn preview_withdrawal(&self, run: &RunId, done: &Accept) -> Result<Withdrawal, AcceptRefusal> {
        Ok(self.withdrawal(run, done, 0)?.1)
    }

    /// Finds out how the change from `done.from` to `done.to` leaves the user's branch: where the branch is there still it
    /// goes back, else by one commit on top of what the user did since, which is made here.
    pub fn plan_withdrawal(&self, run: &RunId, done: &Accept, at_ms: u64) -> Result<Withdrawal, AcceptRefusal> {
        let (repo, plan) = self.withdrawal(run, done, at_ms)?;
        if plan.accept.mode == AcceptMode::Revert {
            let commit =
                |id: &str| Oid::from_str(id).and_then(|id| repo.find_commit(id)).map_err(git("reading a commit"));
            let (from, to) = (commit(&plan.accept.from)?, commit(&plan.accept.to)?);
            let new = new_objects(&repo, from.tree().ok().as_ref(), &to.tree().map_err(git("reading a commit"))?)?;
            pack::write(&repo, new.into_iter().chain([to.id()]), &self.common_dir().join("objects"))?;
        }
        Ok(plan)
    }

    fn withdrawal(&self, run: &RunId, done: &Accept, at_ms: u64) -> Result<(Repository, Withdrawal), AcceptRefusal> {
        let repo = self.repo()?;
        self.release_index(run)?;
        self.refuse_busy(&repo)?;
        pack::hold_in_memory(&repo)?;
        let (branch, at) = self.head_of(&repo)?;
        let branch = branch.unwrap_or_else(|| HEAD.to_owned());
        if branch != done.branch {
            let found = format!("`{branch}` is checked out");
            return Err(AcceptRefusal::Moved { branch: done.branch.clone(), found });
        }
        let known = |id: &str| {
            let none = || AcceptRefusal::NoCommit { commit: id.to_owned() };
            let id = Oid::from_str(id).map_err(|_| none())?;
            repo.find_commit(id).map(|commit| commit.id()).map_err(|_| none())
        };
        let (before, after) = (known(&done.from)?, known(&done.to)?);
        let (to, mode) = if at == after {
            (before, if has(&repo, before, after) { AcceptMode::FastForward } else { AcceptMode::Back })
        } else if has(&repo, before, after) {
            return Err(AcceptRefusal::AcceptAnew); // it was taken back; what is new on the branch may fit or not
        } else if has(&repo, at, after) {
            (self.revert(&repo, at, before, after, at_ms)?, AcceptMode::Revert)
        } else {
            return Err(AcceptRefusal::NotThere { branch });
        };
        let landing = Landing::between(&repo, at, to)?;
        landing.refuse_filters(&repo)?;
        landing.refuse_dirty(&repo, self.root())?;
        let tree = |id: Oid| repo.find_commit(id).map(|commit| commit.tree_id()).map_err(git("reading a commit"));
        let changed = diff::changes(&repo, tree(at)?, tree(to)?)?;
        let files = changed.into_iter().map(|change| change.file).collect();
        drop(landing);
        let accept = Accept { run: run.clone(), branch, from: at.to_string(), to: to.to_string(), mode };
        Ok((repo, Withdrawal { accept, files }))
    }

    /// The commit on top of `at` without what came between `before` and `after`; in memory only.
    fn revert(&self, repo: &Repository, at: Oid, before: Oid, after: Oid, at_ms: u64) -> Result<Oid, AcceptRefusal> {
        let doing = || git("taking the run's change back");
        let commit = |id: Oid| repo.find_commit(id).map_err(doing());
        let (head, before, after) = (commit(at)?, commit(before)?, commit(after)?);
        let left = without(repo, head.tree_id(), before.tree_id(), after.tree_id())?;
        let left = left.map_err(|paths| AcceptRefusal::BuiltUpon { paths })?;
        let tree = repo.find_tree(left).map_err(doing())?;
        if tree.id() == head.tree_id() {
            return Err(AcceptRefusal::NotThere { branch: "your branch".to_owned() });
        }
        let subject = crate::paths::shown(after.summary_bytes().unwrap_or_default());
        let text = format!("revert: {subject}\n\nThis takes back what {} brought.\n", after.id());
        let who = author(repo, at_ms)?;
        Ok(repo.commit(None, &who, &who, &text, &tree, &[&head]).map_err(doing())?)
    }
}

/// The tree of `present` without what changed from the commit `from` to the commit `to`.
fn reversed(repo: &Repository, present: Oid, from: &str, to: &str) -> Result<Oid, TreeError> {
    let tree_of = |id: &str| -> Result<Oid, TreeError> {
        let commit = repo.find_commit(find_commit(repo, id)?).map_err(git("taking a change back"))?;
        Ok(commit.tree_id())
    };
    without(repo, present, tree_of(from)?, tree_of(to)?)?.map_err(|paths| TreeError::BuiltUpon { paths })
}

/// The tree `present` without what changed from the tree `before` to the tree `after`; the files in which it is built upon
/// where it cannot be taken out.
fn without(repo: &Repository, present: Oid, before: Oid, after: Oid) -> Result<Result<Oid, Vec<String>>, Fault> {
    let doing = || git("taking a change back");
    let tree = |id: Oid| repo.find_tree(id).map_err(doing());
    let mut merged = repo.merge_trees(&tree(after)?, &tree(present)?, &tree(before)?, None).map_err(doing())?;
    if merged.has_conflicts() {
        return Ok(Err(conflicting(&merged)?));
    }
    Ok(Ok(merged.write_tree_to(repo).map_err(doing())?))
}

fn files_between(repo: &Repository, from: Oid, to: Oid) -> Result<Vec<FileChange>, TreeError> {
    let files: Vec<FileChange> = diff::changes(repo, from, to)?.into_iter().map(|change| change.file).collect();
    if files.is_empty() { Err(TreeError::NothingLeft) } else { Ok(files) }
}
