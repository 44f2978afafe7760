//! Puts a run that stands on another one on what that one is now: its files, its commits, and what keeps its base.
//!
//! A three-way merge from the old base to the new one, applied to the run's files: so what the run changed is there once,
//! whatever way the run below went. What both changed in the same place is refused by name, and nothing is touched. Each
//! reference says by itself whether it was moved, so a half-performed rebase is finished by performing it again.

use crate::accept::{AcceptRefusal, conflicting, has};
use crate::diff;
use crate::discard::DiscardError;
use crate::durable;
use crate::fault::{Fault, git};
use crate::fork::copy_since;
use crate::hand_over::{HandOverError, branch_of, branch_ref};
use crate::listing::new_objects;
use crate::merge::{settle, unchecked, view};
use crate::open::{FALLBACK, UserRepo};
use crate::pack;
use crate::paths::{files, shown};
use crate::run_tree::{BASE, RunTree, TreeError, find_commit, keep_ref, open_private, ref_target};
use crate::settled::Settled;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Checkpoint, Commit, ConflictView, Resolution};
use atelier_protocol::ids::RunId;
use git2::{Index, Oid, Repository, Signature, Time, Tree};
use std::path::{Path, PathBuf};

/// A move to another base that is planned. Its commits exist in the run's private repository, so it can be put together
/// again from the journal after a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebase {
    /// The run.
    pub run: RunId,
    /// The folder of its tree.
    pub dir: PathBuf,
    /// The commit it stood on.
    pub from: String,
    /// The commit it is to stand on.
    pub to: String,
    /// The checkpoint its tree will be at.
    pub commit: String,
    /// Where its branch is and will be; `None` where it is not handed over.
    pub branch: Option<(String, String)>,
}

/// What a rebase leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebased {
    /// The way there.
    pub rebase: Rebase,
    /// The state of the tree before, recorded.
    pub present: Checkpoint,
    /// The state of the tree after it.
    pub checkpoint: Checkpoint,
    /// The commits of its branch after it, oldest first.
    pub commits: Vec<Commit>,
}

/// Why a run cannot stand on another base. Nothing was changed, unless it is a [`Fault`] in the middle: then performing the
/// same rebase again finishes it.
#[derive(Debug, thiserror::Error)]
pub enum RebaseError {
    /// The run below and this one changed the same lines.
    #[error("both changed the same places in {}", files(paths.len()))]
    Conflict {
        /// The files.
        paths: Vec<String>,
    },
    /// What was said about a conflict does not fit.
    #[error(transparent)]
    Unfitting(#[from] AcceptRefusal),
    /// The run's branch is not where the run left it, or is checked out.
    #[error(transparent)]
    Branch(#[from] DiscardError),
    /// The run's commits cannot be copied.
    #[error(transparent)]
    Publish(#[from] Box<HandOverError>),
    /// The run's tree cannot be used.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The disk or git failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl RebaseError {
    /// What could not be done, and what the user can do next.
    pub fn problem(&self) -> Problem {
        match self {
            RebaseError::Conflict { paths } => Problem::new(
                Code::AcceptConflict,
                format!("The run does not fit on what the run below it is now: {self}."),
                "Look at both sides with `atelier runs conflicts` and say what is taken with `atelier runs rebase --resolve`.",
            )
            .with_details(paths.iter().cloned()),
            RebaseError::Unfitting(error) => error.problem(),
            RebaseError::Branch(error) => Problem::new(
                Code::WrongState,
                format!("The run cannot follow the run below it: {error}."),
                "Check out another branch, or put the run's branch back where it was; then try `atelier runs rebase`.",
            ),
            RebaseError::Publish(error) => error.problem(),
            RebaseError::Tree(error) => error.problem(),
            RebaseError::Fault(fault) => fault.problem(),
        }
    }
}

impl UserRepo {
    /// Makes a commit of the run in `dir` one that any run can stand on: its objects are copied to the user's object folder.
    /// What is there already is fine.
    pub fn lend(&self, dir: &Path, commit: &str) -> Result<(), TreeError> {
        let user = self.repo()?;
        if find_commit(&user, commit).is_ok() {
            return Ok(());
        }
        let kept = [dir.join("repo"), dir.join("kept")].into_iter().find(|place| place.join("HEAD").exists());
        let private = open_private(&kept.ok_or_else(|| TreeError::NoTree { dir: dir.to_owned() })?)?;
        let base = ref_target(&private, BASE)?.ok_or_else(|| TreeError::NoTree { dir: dir.to_owned() })?;
        let commit = find_commit(&private, commit)?;
        copy_since(&private, commit, base, &self.common_dir().join("objects"))
    }

    /// Finds out what the run in `tree` is on the base `to`. `handed` are the commits of its branch, oldest first. Everything
    /// that is made lies in the run's private repository; the files stay as they are.
    pub fn plan_rebase(
        &self,
        tree: &RunTree,
        to: &str,
        resolved: &[Resolution],
        handed: &[Commit],
        at_ms: u64,
    ) -> Result<Rebased, RebaseError> {
        let doing = || git("putting the run on another base");
        let run = tree.run().clone();
        let was = handed.last().map(|last| last.id.clone());
        if let Some(was) = &was {
            self.refuse_moved(&run, was, was)?;
        }
        let present = tree.checkpoint("before the base moved", at_ms)?;
        let repo = tree.repo()?;
        pack::hold_in_memory(&repo)?;
        let target = repo.find_commit(find_commit(&repo, to)?).map_err(doing())?;
        let head = repo.find_commit(find_commit(&repo, &present.commit)?).map_err(doing())?;
        let base = repo.find_commit(tree.base_id()).map_err(doing())?;
        let files = |commit: &git2::Commit<'_>| commit.tree_id();
        let mut merged = moved(&repo, files(&base), files(&target), files(&head))?;
        for resolution in resolved {
            settle(&repo, &mut merged, resolution)?;
        }
        if merged.has_conflicts() {
            return Err(RebaseError::Conflict { paths: conflicting(&merged)? });
        }
        let result = repo.find_tree(merged.write_tree_to(&repo).map_err(doing())?).map_err(doing())?;
        let seconds = i64::try_from(at_ms / 1000).unwrap_or(i64::MAX);
        let who = Signature::new(FALLBACK.0, FALLBACK.1, &Time::new(seconds, 0)).map_err(doing())?;
        // The second parent keeps what was recorded before.
        let commit = repo.commit(None, &who, &who, "on another base", &result, &[&target, &head]).map_err(doing())?;
        let mut made = new_objects(&repo, target.tree().ok().as_ref(), &result)?;
        made.insert(commit);
        let mut commits = Vec::new();
        for (id, text) in replayed(&repo, &target, handed, &result)? {
            made.insert(id);
            let (own, below) = (repo.find_commit(id).map_err(doing())?, target.tree().map_err(doing())?);
            made.extend(new_objects(&repo, Some(&below), &own.tree().map_err(doing())?)?);
            commits.push(Commit { id: id.to_string(), subject: text.lines().next().unwrap_or_default().to_owned() });
        }
        pack::write(&repo, made, &tree.objects())?;
        let changed = diff::changes(&repo, target.tree_id(), result.id())?;
        let checkpoint = Checkpoint {
            commit: commit.to_string(),
            tree: result.id().to_string(),
            files: changed.into_iter().map(|change| change.file).collect(),
        };
        let branch = was.zip(commits.last().map(|last| last.id.clone()));
        let (from, to) = (tree.base(), target.id().to_string());
        let rebase = Rebase { run, dir: tree.dir().to_owned(), from, to, commit: commit.to_string(), branch };
        Ok(Rebased { rebase, present, checkpoint, commits })
    }

    /// The files that the run in `tree` and the way from its base to the commit `to` both changed in the same place.
    pub fn rebase_conflicts(&self, tree: &RunTree, to: &str) -> Result<Vec<ConflictView>, RebaseError> {
        let repo = tree.repo()?;
        let present = tree.present(&repo)?;
        let files = |id: Oid| repo.find_commit(id).map(|commit| commit.tree_id()).map_err(git("reading a base"));
        let merged = moved(&repo, files(tree.base_id())?, files(find_commit(&repo, to)?)?, present)?;
        let mut all = Vec::new();
        for conflict in merged.conflicts().map_err(git("merging"))? {
            all.push(view(&repo, &conflict.map_err(git("merging"))?, ["the run below", "this run"])?);
        }
        all.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(all)
    }

    /// Performs it: the commits, what keeps the base, the files, and last the branch. Performing it again after a crash at any
    /// point finishes it. Refused before the first write where the run's branch is not where it was.
    pub fn perform_rebase(&self, plan: &Rebase) -> Result<(), RebaseError> {
        self.rebase(plan, &mut |_| Ok(()))
    }

    /// `pass` is told before each act and can stop there, which is how tests stand in for a crash.
    pub(crate) fn rebase(
        &self,
        plan: &Rebase,
        pass: &mut dyn FnMut(&'static str) -> Result<(), Fault>,
    ) -> Result<(), RebaseError> {
        let user = self.repo()?;
        let tree = RunTree::open(&plan.dir)?;
        let private = tree.repo()?;
        let to = find_commit(&private, &plan.to)?;
        if let Some((was, tip)) = &plan.branch {
            self.refuse_moved(&plan.run, was, tip)?;
            pass("pack")?;
            let tip = find_commit(&private, tip)?;
            self.copy_commits(&private, to, tip).map_err(Box::new)?;
        }
        pass("keep")?;
        let kept = keep_ref(&plan.run);
        durable::unlock(self.common_dir(), &kept)?;
        user.reference(&kept, to, true, "atelier: base of a run").map_err(git("writing a reference"))?;
        durable::sync_ref(self.common_dir(), &kept)?;
        pass("files")?;
        tree.reset_to(&plan.commit)?;
        pass("base")?;
        tree.unlock(BASE)?;
        private.reference(BASE, to, true, "rebase").map_err(git("moving the run's base"))?;
        durable::sync_ref(&plan.dir.join("repo"), BASE)?;
        if let Some((was, tip)) = &plan.branch {
            pass("branch")?;
            let name = branch_ref(&branch_of(&plan.run));
            let user = self.repo()?; // a handle from before may not know the new pack
            let (was, tip) = (find_commit(&user, was)?, find_commit(&user, tip)?);
            if ref_target(&user, &name)? != Some(tip) {
                durable::unlock(self.common_dir(), &name)?;
                user.reference_matching(&name, tip, true, was, "atelier: on another base")
                    .map_err(git("moving the run's branch"))?;
            }
            durable::sync_ref(self.common_dir(), &name)?;
        }
        Ok(())
    }

    /// Whether every reference is where the rebase puts it, and the files are those of its checkpoint.
    pub fn settle_rebase(&self, plan: &Rebase) -> Settled {
        let found = || -> Result<bool, TreeError> {
            let user = self.repo()?;
            let tree = RunTree::open(&plan.dir)?;
            let kept = ref_target(&user, &keep_ref(&plan.run))?.map(|at| at.to_string());
            Ok(kept.as_deref() == Some(plan.to.as_str()) && tree.base() == plan.to)
        };
        match found() {
            Err(e) => return Settled::Unknown(e.to_string()),
            Ok(false) => return Settled::NotLanded,
            Ok(true) => {}
        }
        let files = match RunTree::open(&plan.dir) {
            Ok(tree) => tree.settle_reset(&plan.commit),
            Err(e) => Settled::Unknown(e.to_string()),
        };
        match (files, &plan.branch) {
            (Settled::Landed, Some((was, tip))) => match self.settle_hand_over(&branch_of(&plan.run), tip) {
                // Where it was is not elsewhere.
                Settled::Unknown(_) if self.handed_over_at(&plan.run).is_ok_and(|at| at.as_ref() == Some(was)) => {
                    Settled::NotLanded
                }
                other => other,
            },
            (files, _) => files,
        }
    }

    /// Refused where the branch of a run is neither at `was` nor at `tip`, or is checked out.
    fn refuse_moved(&self, run: &RunId, was: &str, tip: &str) -> Result<(), DiscardError> {
        let branch = branch_of(run);
        match self.handed_over_at(run)? {
            Some(at) if at == was || at == tip => {}
            at => {
                let at = at.unwrap_or_else(|| "no commit".to_owned());
                return Err(DiscardError::BranchElsewhere { branch, at });
            }
        }
        if was != tip && self.handed_over_at(run)?.as_deref() == Some(tip) {
            return Ok(()); // only the end of it is left
        }
        if self.is_checked_out(&branch)? { Err(DiscardError::CheckedOut { branch }) } else { Ok(()) }
    }
}

/// The files `own` with what changed from the tree `from` to the tree `to`.
fn moved(repo: &Repository, from: Oid, to: Oid, own: Oid) -> Result<Index, Fault> {
    let doing = || git("putting the run on another base");
    let tree = |id: Oid| repo.find_tree(id).map_err(doing());
    repo.merge_trees(&tree(from)?, &tree(to)?, &tree(own)?, None).map_err(doing())
}

/// The commits on the new base, with their messages; the files of the last are `result`. Where one alone does not fit, all
/// of them become one. What is no longer the tree that was checked says so.
fn replayed(
    repo: &Repository,
    target: &git2::Commit<'_>,
    handed: &[Commit],
    result: &Tree<'_>,
) -> Result<Vec<(Oid, String)>, RebaseError> {
    let doing = || git("making the run's commits anew");
    let mut old = Vec::new();
    for commit in handed {
        old.push(repo.find_commit(find_commit(repo, &commit.id)?).map_err(doing())?);
    }
    let Some(last) = old.last() else { return Ok(Vec::new()) };
    let mut steps: Vec<(&git2::Commit<'_>, Oid)> = Vec::new();
    let mut now = target.tree_id();
    for (place, commit) in old.iter().enumerate() {
        let files = if place + 1 == old.len() {
            result.id()
        } else {
            // What it stands on itself: after a move that failed the run's base is another one.
            let below = commit.parent(0).map_err(doing())?.tree_id();
            let mut merged = moved(repo, below, now, commit.tree_id())?;
            if merged.has_conflicts() {
                steps = vec![(&old[0], result.id())];
                break;
            }
            merged.write_tree_to(repo).map_err(doing())?
        };
        // What the base has by now is no commit of the run's any more, but one there must be.
        if files != now || (place + 1 == old.len() && steps.is_empty()) {
            steps.push((commit, files));
        }
        now = files;
    }
    if let Some((_, files)) = steps.last_mut() {
        *files = result.id();
    }
    let same = last.tree_id() == result.id();
    let mut parent = repo.find_commit(target.id()).map_err(doing())?;
    let mut made = Vec::new();
    for (commit, files) in steps {
        let message = shown(commit.message_bytes());
        let message = if same { message } else { unchecked(&message) };
        let files = repo.find_tree(files).map_err(doing())?;
        let id =
            repo.commit(None, &commit.author(), &commit.committer(), &message, &files, &[&parent]).map_err(doing())?;
        parent = repo.find_commit(id).map_err(doing())?;
        made.push((id, message));
    }
    debug_assert!(has(repo, parent.id(), target.id()));
    Ok(made)
}
