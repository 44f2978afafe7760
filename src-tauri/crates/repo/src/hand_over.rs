//! Publishes a run's commits as branch `atelier/<run>` of the user's repository.
//!
//! The commits are made in the private repository, by the user's configured identity, and copied as one pack: first
//! objects, synced, then the branch. Nothing else in the user's repository changes. Commits are not signed and no hooks
//! run.

use crate::accept::has;
use crate::diff::{Change, changes};
use crate::durable;
use crate::fault::{Fault, git};
use crate::listing::{Entry, listing, new_objects};
use crate::message::Message;
use crate::open::{OpenError, UserRepo, author};
use crate::pack;
use crate::plan::plan_commits;
use crate::reviewed::{Checks, ReviewProof, ReviewedPatch};
use crate::run_tree::{RunTree, TreeError, find_commit, ref_target};
use crate::scan::index_entry;
use crate::settled::Settled;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Commit, FileChange, Reviewer};
use atelier_protocol::ids::RunId;
use git2::{Index, Oid, Repository};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Why a run could not be handed over.
#[derive(Debug, thiserror::Error)]
pub enum HandOverError {
    /// The run changed nothing.
    #[error("the run changed nothing")]
    NothingChanged,
    /// The checkpoint is not one of this tree.
    #[error("the reviewed state is not one of this run")]
    OtherRun,
    /// The branch is at another commit.
    #[error("the branch `{branch}` exists already, at {at}")]
    BranchElsewhere {
        /// The branch.
        branch: String,
        /// Where it is.
        at: String,
    },
    /// A branch of the user takes the name that the run's branch needs as a folder.
    #[error("the branch `{taken}` takes the name that `{branch}` needs")]
    NameTaken {
        /// The run's branch.
        branch: String,
        /// The user's branch.
        taken: String,
    },
    /// The user's repository cannot be worked on.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The run's tree cannot be used.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The disk or git failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl HandOverError {
    /// What could not be done, and what the user can do next.
    pub fn problem(&self) -> Problem {
        let (code, hint) = match self {
            HandOverError::NothingChanged => (Code::NothingChanged, "Say more precisely what is to be changed."),
            HandOverError::OtherRun => (Code::WrongState, "Resume the run so that its files are checked and reviewed."),
            HandOverError::BranchElsewhere { .. } => {
                (Code::Indeterminate, "Rename or delete that branch with git, then resume the run.")
            }
            HandOverError::NameTaken { .. } => {
                (Code::GitFailed, "Rename that branch with `git branch -m`, then resume the run.")
            }
            HandOverError::Open(error) => return error.problem(),
            HandOverError::Tree(error) => return error.problem(),
            HandOverError::Fault(fault) => return fault.problem(),
        };
        Problem::new(code, format!("The run cannot be handed over: {self}."), hint)
    }
}

/// A hand-over that is planned: its commits exist in the run's private repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOver {
    branch: String,
    tip: String,
    commits: Vec<Commit>,
    dir: PathBuf,
}

impl HandOver {
    /// One that was performed before and is to be again: its commits are in the private repository in `dir`.
    pub(crate) fn again(run: &RunId, tip: &str, dir: &Path) -> HandOver {
        HandOver { branch: branch_of(run), tip: tip.to_owned(), commits: Vec::new(), dir: dir.to_owned() }
    }

    /// The branch, `atelier/<run>`.
    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// The commit it will be at.
    pub fn tip(&self) -> &str {
        &self.tip
    }

    /// The commits, oldest first.
    pub fn commits(&self) -> &[Commit] {
        &self.commits
    }
}

/// The branch on which a run is handed over.
pub fn branch_of(run: &RunId) -> String {
    format!("atelier/{run}")
}

/// The reference of a branch.
pub(crate) fn branch_ref(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

impl UserRepo {
    /// Makes the commits in the run's private repository. The same patch, message, time and identity give the same
    /// commits, so after a crash planning again gives the same plan.
    ///
    /// Trailers `Atelier-Run`, `Atelier-Checks` (their names, or `unchecked`) and `Atelier-Review` are added where the
    /// message has none of that key.
    pub fn plan_hand_over(
        &self,
        tree: &RunTree,
        patch: &ReviewedPatch,
        message: &Message,
        at_ms: u64,
    ) -> Result<HandOver, HandOverError> {
        let repo = tree.repo()?;
        pack::hold_in_memory(&repo)?;
        let doing = || git("making the run's commits");
        let point = patch.checkpoint();
        let reviewed = repo.find_commit(find_commit(&repo, &point.commit)?).map_err(doing())?;
        let base = repo.find_commit(tree.base_id()).map_err(doing())?;
        let descends =
            reviewed.id() == base.id() || repo.graph_descendant_of(reviewed.id(), base.id()).unwrap_or(false);
        if reviewed.tree_id().to_string() != point.tree || !descends {
            return Err(HandOverError::OtherRun);
        }
        let all = changes(&repo, base.tree_id(), reviewed.tree_id())?;
        if all.is_empty() {
            return Err(HandOverError::NothingChanged);
        }
        let branch = branch_of(tree.run());
        self.refuse_taken(&self.repo()?, &branch)?;
        let who = author(&self.repo()?, at_ms)?;
        let mut parent = base;
        let mut made = BTreeSet::new();
        let mut commits = Vec::new();
        for (text, files) in
            steps(&repo, &all, &with_evidence(message, tree.run(), patch), &parent, reviewed.tree_id())?
        {
            let files = repo.find_tree(files).map_err(doing())?;
            let id = repo.commit(None, &who, &who, &text, &files, &[&parent]).map_err(doing())?;
            made.insert(id);
            made.extend(new_objects(&repo, Some(&parent.tree().map_err(doing())?), &files)?);
            parent = repo.find_commit(id).map_err(doing())?;
            commits.push(Commit { id: id.to_string(), subject: text.lines().next().unwrap_or_default().to_owned() });
        }
        pack::write(&repo, made, &tree.objects())?;
        let tip = parent.id();
        tree.unlock("refs/atelier/hand-over")?;
        repo.reference("refs/atelier/hand-over", tip, true, "hand over").map_err(doing())?;
        Ok(HandOver { branch, tip: tip.to_string(), commits, dir: tree.dir().to_owned() })
    }

    /// Copies the commits to the user's repository, syncs them and makes the branch. Does nothing where the branch is at
    /// the tip already; refused where it is elsewhere.
    pub fn perform_hand_over(&self, plan: &HandOver) -> Result<(), HandOverError> {
        self.publish(plan, &mut |_| Ok(()))
    }

    /// Where the branch of a run is; `None` where there is none.
    pub fn handed_over_at(&self, run: &RunId) -> Result<Option<String>, Fault> {
        Ok(ref_target(&self.repo()?, &branch_ref(&branch_of(run)))?.map(|at| at.to_string()))
    }

    /// Whether the branch has `tip`; the user may have committed on top of it.
    pub fn settle_hand_over(&self, branch: &str, tip: &str) -> Settled {
        let found = self.repo().and_then(|repo| {
            let at = ref_target(&repo, &branch_ref(branch))?;
            Ok((at, at.zip(Oid::from_str(tip).ok()).is_some_and(|(at, tip)| has(&repo, at, tip))))
        });
        match found {
            Ok((Some(_), true)) => Settled::Landed,
            Ok((Some(at), false)) => Settled::Unknown(format!("the branch `{branch}` is at {at}")),
            Ok((None, _)) => Settled::NotLanded,
            Err(e) => Settled::Unknown(e.to_string()),
        }
    }

    /// `pass` is told before each act and can stop there, which is how tests stand in for a crash.
    pub(crate) fn publish(
        &self,
        plan: &HandOver,
        pass: &mut dyn FnMut(&'static str) -> Result<(), Fault>,
    ) -> Result<(), HandOverError> {
        let user = self.repo()?;
        let name = branch_ref(&plan.branch);
        let tree = RunTree::open(&plan.dir)?;
        let private = tree.repo()?;
        let tip = find_commit(&private, &plan.tip)?;
        match ref_target(&user, &name)? {
            Some(at) if at == tip => return Ok(durable::sync_ref(self.common_dir(), &name)?),
            Some(at) => {
                return Err(HandOverError::BranchElsewhere { branch: plan.branch.clone(), at: at.to_string() });
            }
            None => self.refuse_taken(&user, &plan.branch)?,
        }
        pass("pack")?;
        self.copy_commits(&private, tree.base_id(), tip)?;
        pass("branch")?;
        // A handle from before may not know the new pack.
        let user = self.repo()?;
        durable::unlock(self.common_dir(), &name)?;
        user.reference(&name, tip, false, "atelier: hand-over").map_err(git("making the run's branch"))?;
        Ok(durable::sync_ref(self.common_dir(), &name)?)
    }

    /// Writes what is new in `base..tip` as one pack into the user's object folder. The base itself is kept there by the
    /// keep-ref.
    pub(crate) fn copy_commits(&self, private: &Repository, base: Oid, tip: Oid) -> Result<(), HandOverError> {
        let doing = || git("copying the run's commits");
        let mut commit = private.find_commit(tip).map_err(doing())?;
        let mut ids = BTreeSet::new();
        while commit.id() != base {
            let parent = commit.parent(0).map_err(doing())?;
            let (old, new) = (parent.tree().map_err(doing())?, commit.tree().map_err(doing())?);
            ids.insert(commit.id());
            ids.extend(new_objects(private, Some(&old), &new)?);
            commit = parent;
        }
        Ok(pack::write(private, ids, &self.common_dir().join("objects"))?)
    }

    /// A branch `atelier` would stand where the folder of the runs' branches has to be.
    fn refuse_taken(&self, user: &Repository, branch: &str) -> Result<(), HandOverError> {
        let taken = branch.split('/').next().unwrap_or_default();
        match ref_target(user, &branch_ref(taken))? {
            Some(_) => Err(HandOverError::NameTaken { branch: branch.to_owned(), taken: taken.to_owned() }),
            None => Ok(()),
        }
    }
}

/// Message and git tree of each commit. The last tree is that of the checkpoint; a step that would change nothing (its
/// files went with an earlier one, as where a file takes the place of a folder) is left out.
fn steps(
    repo: &Repository,
    all: &[Change],
    message: &Message,
    base: &git2::Commit<'_>,
    last: Oid,
) -> Result<Vec<(String, Oid)>, HandOverError> {
    let doing = || git("making the run's commits");
    let files: Vec<FileChange> = all.iter().map(|change| change.file.clone()).collect();
    let planned = plan_commits(&files, message);
    let mut index = Index::new().map_err(doing())?;
    for (path, entry) in listing(repo, &base.tree().map_err(doing())?)? {
        index.add(&index_entry(&path, entry)).map_err(doing())?;
    }
    let mut made = Vec::new();
    let mut before = base.tree_id();
    let count = planned.len();
    for (place, commit) in planned.into_iter().enumerate() {
        for change in commit.changes.iter().filter_map(|place| all.get(*place)) {
            apply(&mut index, change).map_err(doing())?;
        }
        let tree = if place + 1 == count { last } else { index.write_tree_to(repo).map_err(doing())? };
        if tree != before {
            made.push((commit.message, tree));
            before = tree;
        }
    }
    Ok(made)
}

fn apply(index: &mut Index, change: &Change) -> Result<(), git2::Error> {
    let gone = change.old_path.as_ref().or((change.new.is_none()).then_some(&change.path));
    if let Some(path) = gone.and_then(|path| crate::paths::to_os(path)) {
        match index.remove(&path, 0) {
            Err(e) if e.code() == git2::ErrorCode::NotFound => {} // a file took the place of its folder
            other => other?,
        }
    }
    match change.new {
        Some(Entry { mode, id }) => index.add(&index_entry(&change.path, Entry { mode, id })),
        None => Ok(()),
    }
}

/// The message with what a later reader must know: which run, and whether anything was checked.
fn with_evidence(message: &Message, run: &RunId, patch: &ReviewedPatch) -> Message {
    let checks = match patch.checks() {
        Checks::Passed(all) => {
            let mut names: Vec<&str> = Vec::new();
            for check in all {
                if !names.contains(&check.name.as_str()) {
                    names.push(&check.name);
                }
            }
            names.join(", ")
        }
        Checks::NoneDeclared | Checks::Failed => "unchecked".to_owned(),
    };
    let review = match patch.review() {
        ReviewProof::ByRole(review) => match &review.by {
            Reviewer::Role { role } => role.to_string(),
            Reviewer::User => "user".to_owned(),
        },
        ReviewProof::ByUser => "user".to_owned(),
        ReviewProof::NotRequired { rule } => format!("not required: {rule}"),
    };
    let mut message = message.clone();
    for (key, value) in [("Atelier-Run", run.to_string()), ("Atelier-Checks", checks), ("Atelier-Review", review)] {
        if !message.trailers.iter().any(|(given, _)| given.eq_ignore_ascii_case(key)) {
            message.trailers.push((key.to_owned(), value));
        }
    }
    message
}
