//! Removes what a run left: its branch, keep-ref and tree; and brings it back.
//!
//! Before the tree goes, what it holds is recorded in the run's own repository, which is put aside in the data folder.
//! Afterwards the user's references, reflogs, configuration, index and files are what they were before the run, down to
//! folders that would be left empty. Objects that nothing refers to any more are git's to collect.

use crate::accept::has;
use crate::fault::{Fault, git, io};
use crate::hand_over::{HandOver, HandOverError, branch_of, branch_ref};
use crate::listing::listing;
use crate::open::{OpenError, UserRepo};
use crate::paths::remove_all;
use crate::run_tree::{BRANCH, RunTree, TreeError, TreeSpec, find_commit, keep_ref, open_private, ref_target};
use crate::settled::Settled;
use crate::{durable, put};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::ids::RunId;
use git2::{ErrorCode, Oid, Repository};
use std::fs;
use std::path::{Path, PathBuf};

/// What is to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discard {
    /// The run.
    pub run: RunId,
    /// The commit its branch must be at; `None` where it was not handed over.
    pub tip: Option<String>,
    /// The folder of its tree; `None` where none was made.
    pub dir: Option<PathBuf>,
    /// The time in the record of what the tree holds, milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// Why it was not removed.
#[derive(Debug, thiserror::Error)]
pub enum DiscardError {
    /// The branch is not where the run left it, so the user works on it.
    #[error("the branch `{branch}` is at {at}, not where the run left it")]
    BranchElsewhere {
        /// The branch.
        branch: String,
        /// Where it is.
        at: String,
    },
    /// The branch is checked out.
    #[error("the branch `{branch}` is checked out")]
    CheckedOut {
        /// The branch.
        branch: String,
    },
    /// The tree holds work that is nowhere else.
    #[error("the working copy at {} holds work that is on no branch", dir.display())]
    WorkWouldBeLost {
        /// The tree's folder.
        dir: PathBuf,
    },
    /// What the run held was not kept, or is gone.
    #[error("what the run held is not there any more ({what})")]
    NotKept {
        /// What is missing.
        what: String,
    },
    /// The branch cannot be made again.
    #[error(transparent)]
    Publish(#[from] Box<HandOverError>),
    /// The repository cannot be worked on.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The run's tree cannot be used.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The disk or git failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl DiscardError {
    /// What could not be done, and what the user can do next.
    pub fn problem(&self) -> Problem {
        let (code, hint) = match self {
            DiscardError::BranchElsewhere { .. } => {
                (Code::WrongState, "Rename that branch to keep its commits, or delete it with git, then discard again.")
            }
            DiscardError::CheckedOut { .. } => (Code::WrongState, "Check out another branch, then discard again."),
            DiscardError::WorkWouldBeLost { .. } => (Code::WrongState, "Discard the run where its work is not wanted."),
            DiscardError::NotKept { .. } => (Code::WrongState, "Start the run again for the same goal."),
            DiscardError::Publish(error) => return error.problem(),
            DiscardError::Open(error) => return error.problem(),
            DiscardError::Tree(error) => return error.problem(),
            DiscardError::Fault(fault) => return fault.problem(),
        };
        Problem::new(code, format!("The run's traces cannot be removed: {self}."), hint)
    }
}

impl UserRepo {
    /// Removes branch, keep-ref and tree, whatever the tree holds. What is gone already is fine; so repeating it after a
    /// crash finishes it. Refused before anything is removed where the branch is not at the tip or is checked out.
    pub fn perform_discard(&self, plan: &Discard) -> Result<(), DiscardError> {
        let repo = self.repo()?;
        let branch = branch_of(&plan.run);
        match (ref_target(&repo, &branch_ref(&branch))?, &plan.tip) {
            (Some(at), tip) if tip.as_deref() != Some(at.to_string().as_str()) => {
                return Err(DiscardError::BranchElsewhere { branch, at: at.to_string() });
            }
            (Some(_), _) if self.is_checked_out(&branch)? => return Err(DiscardError::CheckedOut { branch }),
            (Some(_), _) => self.remove_ref(&repo, &branch_ref(&branch))?,
            (None, _) => {}
        }
        self.remove_keep_ref(&plan.run)?;
        let staged = self.git_dir().join(format!("atelier-accept-{}", plan.run));
        remove_all(&staged).map_err(io("removing", &staged))?; // of an accept that was given up half-way
        match &plan.dir {
            Some(dir) => Ok(set_aside(dir, plan.at_ms)?),
            None => Ok(()),
        }
    }

    /// Brings back what a discard removed: keep-ref, tree and, where `tip` is given, the branch. What is back already is
    /// fine, so repeating it after a crash finishes it.
    pub fn perform_restore(&self, spec: &TreeSpec, tip: Option<&str>) -> Result<(), DiscardError> {
        if spec.dir.join(KEPT).exists() || spec.dir.join("repo").exists() {
            self.take_up(spec)?;
        }
        let Some(tip) = tip else { return Ok(()) };
        self.perform_again(&spec.run, &spec.dir, tip)
    }

    /// Makes the branch of a run again that was taken out.
    pub fn perform_again(&self, run: &RunId, dir: &Path, tip: &str) -> Result<(), DiscardError> {
        if !dir.join("repo").exists() {
            return Err(DiscardError::NotKept { what: "its repository".to_owned() });
        }
        let again = HandOver::again(run, tip, dir);
        Ok(self.perform_hand_over(&again).map_err(Box::new)?)
    }

    /// Whether all of it is back.
    pub fn settle_restore(&self, spec: &TreeSpec, tip: Option<&str>) -> Settled {
        if spec.dir.join(KEPT).exists() {
            return Settled::NotLanded;
        }
        match (spec.dir.join("repo").exists(), tip) {
            (false, None) => Settled::Landed, // there was nothing
            (false, Some(_)) => Settled::Unknown("the run's repository is gone".to_owned()),
            (true, None) => self.settle_tree(spec),
            (true, Some(tip)) => self.settle_hand_over(&branch_of(&spec.run), tip),
        }
    }

    /// Lays out the files anew from the repository that was put aside.
    fn take_up(&self, spec: &TreeSpec) -> Result<(), DiscardError> {
        let user = self.repo()?;
        let base = find_commit(&user, &spec.base)
            .map_err(|_| DiscardError::NotKept { what: format!("the commit {} it began at", spec.base) })?;
        self.keep(&user, spec, base)?;
        let (kept, part, tree) = (spec.dir.join(KEPT), spec.dir.join("part"), spec.dir.join("tree"));
        if kept.exists() {
            for old in [&part, &tree] {
                remove_all(old).map_err(io("removing", old))?; // of a restore that was interrupted
            }
            let files = part.join("tree");
            fs::create_dir_all(&files).map_err(io("making", &files))?;
            let private = open_private(&kept)?;
            let last =
                private.find_reference(BRANCH).and_then(|r| r.peel_to_tree()).map_err(git("reading what was kept"))?;
            for (path, entry) in listing(&private, &last)? {
                put::put(&private, &files, &path, entry)?;
            }
            spec.provide.iter().try_for_each(|one| one.put(self.root(), &files))?;
            durable::sync_tree(&files)?;
            fs::rename(&files, &tree).map_err(io("moving", &files))?;
            let repo = spec.dir.join("repo");
            fs::rename(&kept, &repo).map_err(io("moving", &kept))?;
            durable::sync_dir(&spec.dir)?;
        }
        Ok(remove_all(&part).map_err(io("removing", &part))?)
    }

    /// Whether branch, keep-ref and tree are gone.
    pub fn settle_discard(&self, plan: &Discard) -> Settled {
        let branch = branch_of(&plan.run);
        let found = self
            .repo()
            .and_then(|repo| Ok((ref_target(&repo, &branch_ref(&branch))?, ref_target(&repo, &keep_ref(&plan.run))?)));
        match found {
            Err(e) => Settled::Unknown(e.to_string()),
            Ok((Some(at), _)) if plan.tip.as_deref() != Some(at.to_string().as_str()) => {
                Settled::Unknown(format!("the branch `{branch}` is at {at}"))
            }
            Ok((None, None)) if plan.dir.as_deref().is_none_or(|dir| !has_tree(dir)) => Settled::Landed,
            Ok(_) => Settled::NotLanded,
        }
    }

    /// Takes the branch of a run out again, where it is at `tip` still. What is gone already is fine. The commits stay
    /// in the run's own repository.
    pub fn take_back(&self, run: &RunId, tip: &str) -> Result<(), DiscardError> {
        let repo = self.repo()?;
        let branch = branch_of(run);
        match ref_target(&repo, &branch_ref(&branch))? {
            None => Ok(()),
            Some(at) if at.to_string() != tip => Err(DiscardError::BranchElsewhere { branch, at: at.to_string() }),
            Some(_) if self.is_checked_out(&branch)? => Err(DiscardError::CheckedOut { branch }),
            Some(_) => Ok(self.remove_ref(&repo, &branch_ref(&branch))?),
        }
    }

    /// Whether the branch is gone.
    pub fn settle_take_back(&self, run: &RunId, tip: &str) -> Settled {
        let branch = branch_of(run);
        match self.repo().and_then(|repo| ref_target(&repo, &branch_ref(&branch))) {
            Ok(None) => Settled::Landed,
            Ok(Some(at)) if at.to_string() == tip => Settled::NotLanded,
            Ok(Some(at)) => Settled::Unknown(format!("the branch `{branch}` is at {at}")),
            Err(e) => Settled::Unknown(e.to_string()),
        }
    }

    /// Removes `refs/atelier/base/<run>`, for a run whose tree is gone.
    pub fn remove_keep_ref(&self, run: &RunId) -> Result<(), DiscardError> {
        Ok(self.remove_ref(&self.repo()?, &keep_ref(run))?)
    }

    /// Removes the tree in `dir` after proof that its files are those of `tip`, a commit that the user's branches keep. The
    /// run's repository is put aside, so that the tree can come back; ignored files, such as build caches, are gone.
    pub fn remove_tree(&self, dir: &Path, tip: &str) -> Result<(), DiscardError> {
        if has_tree(dir) && dir.join("repo").exists() {
            let repo = self.repo()?;
            let commit = find_commit(&repo, tip)?;
            let kept = is_kept(&repo, commit)?;
            let files = repo.find_commit(commit).map_err(git("reading the run's commits"))?.tree_id().to_string();
            if !kept || RunTree::open(dir)?.tree_id()? != files {
                return Err(DiscardError::WorkWouldBeLost { dir: dir.to_owned() });
            }
        }
        Ok(put_aside(dir)?)
    }

    /// Removes a reference with its log, and the folders that were made for it where they are empty now. Not by way of
    /// libgit2's branch call, which rewrites the configuration.
    fn remove_ref(&self, repo: &Repository, name: &str) -> Result<(), Fault> {
        durable::unlock(self.common_dir(), name)?;
        match repo.find_reference(name) {
            Ok(mut found) => found.delete().map_err(git("removing a reference"))?,
            Err(e) if e.code() == ErrorCode::NotFound => {}
            Err(e) => return Err(git("removing a reference")(e)),
        }
        let logs = self.common_dir().join("logs");
        let ours =
            ["refs/heads/atelier", "refs/atelier/base", "refs/atelier"].map(|folder| self.common_dir().join(folder));
        let of_logs = ["refs/heads/atelier", "refs/atelier/base", "refs/atelier", "refs/heads", "refs"];
        let of_logs = of_logs.map(|folder| logs.join(folder));
        // One that holds another run's stays, since only empty folders can be removed so.
        for folder in ours.iter().chain(&of_logs).chain([&logs]) {
            let _ = fs::remove_dir(folder);
        }
        durable::sync_ref(self.common_dir(), name)
    }

    /// Whether this or a linked work tree has the branch checked out.
    pub(crate) fn is_checked_out(&self, branch: &str) -> Result<bool, Fault> {
        let linked = self.common_dir().join("worktrees");
        let mut heads = vec![self.common_dir().join("HEAD"), self.git_dir().join("HEAD")];
        if linked.is_dir() {
            for entry in fs::read_dir(&linked).map_err(io("reading", &linked))?.flatten() {
                heads.push(entry.path().join("HEAD"));
            }
        }
        let wanted = format!("ref: {}", branch_ref(branch));
        Ok(heads.iter().any(|head| fs::read_to_string(head).is_ok_and(|text| text.trim_end() == wanted)))
    }
}

/// Whether a branch of the user or HEAD has the commit in its history.
fn is_kept(repo: &Repository, commit: Oid) -> Result<bool, Fault> {
    let doing = || git("looking for the commit on your branches");
    let head = repo.head().ok().and_then(|head| head.target());
    if head.is_some_and(|at| has(repo, at, commit)) {
        return Ok(true);
    }
    for branch in repo.branches(Some(git2::BranchType::Local)).map_err(doing())? {
        let (branch, _) = branch.map_err(doing())?;
        if branch.get().target().is_some_and(|at| has(repo, at, commit)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Records what the tree holds and puts it aside. What cannot be recorded (a pipe, a file that may not be read) does not
/// keep the run from being discarded: who asked for it was told.
fn set_aside(dir: &Path, at_ms: u64) -> Result<(), Fault> {
    if dir.join("repo").exists()
        && let Err(error) = RunTree::open(dir).and_then(|tree| tree.checkpoint("before the discard", at_ms))
    {
        tracing::warn!(dir = %dir.display(), %error, "what was not recorded yet is not kept");
    }
    put_aside(dir)
}

/// Puts the run's repository aside and removes the tree.
fn put_aside(dir: &Path) -> Result<(), Fault> {
    let (repo, kept, part) = (dir.join("repo"), dir.join(KEPT), dir.join("part"));
    if repo.exists() {
        remove_all(&kept).map_err(io("removing", &kept))?;
        fs::create_dir_all(&part).map_err(io("making", &part))?; // while it is there, what is left in `tree` is ours
        fs::rename(&repo, &kept).map_err(io("moving", &repo))?;
        durable::sync_dir(dir)?;
    }
    remove_dir(dir)
}

/// The name of the run's repository while it is put aside.
const KEPT: &str = "kept";

fn has_tree(dir: &Path) -> bool {
    ["repo", "tree", "part"].iter().any(|part| dir.join(part).exists())
}

/// Removes what `make_tree` has made in `dir`, and `dir` where nothing else is in it. The git directory is moved to `part`
/// first, so that half a tree is never taken for a whole one.
fn remove_dir(dir: &Path) -> Result<(), Fault> {
    let (repo, part) = (dir.join("repo"), dir.join("part"));
    if repo.exists() {
        remove_all(&part).map_err(io("removing", &part))?;
        fs::create_dir(&part).map_err(io("making", &part))?;
        let aside = part.join("repo");
        fs::rename(&repo, &aside).map_err(io("moving", &repo))?;
    }
    // `part` goes last: while it is there, what is left in `tree` is known to be ours.
    for old in [dir.join("tree"), part] {
        remove_all(&old).map_err(io("removing", &old))?;
    }
    let _ = fs::remove_dir(dir); // it may hold other things of the run, or be gone
    Ok(())
}
