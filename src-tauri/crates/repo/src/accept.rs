//! Brings a run's commits to the user's branch: finding out how, and asking afterwards whether it happened.
//!
//! Text filters (line ends, `ident`) apply to the user's files as with git. External filters such as LFS are never run:
//! where a file of the run has one, the accept is refused. Commits are not signed and no hooks run.

use crate::fault::{Fault, git};
use crate::hand_over::{branch_of, branch_ref};
use crate::landing::Landing;
use crate::listing::new_objects;
use crate::open::{OpenError, UserRepo, author};
use crate::pack;
use crate::paths::shown;
use crate::run_tree::ref_target;
use crate::settled::Settled;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::AcceptMode;
use atelier_protocol::ids::RunId;
use git2::{Commit, Oid, Repository};

/// An accept that is planned. Everything it needs is in the user's repository, so it can be put together again from
/// the journal after a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    /// The run.
    pub run: RunId,
    /// The user's branch; `HEAD` where it is detached.
    pub branch: String,
    /// The commit it is at.
    pub from: String,
    /// The commit it will be at.
    pub to: String,
    /// How.
    pub mode: AcceptMode,
}

/// Why a run could not be accepted. Nothing was changed, unless it is a [`Fault`] in the middle: then performing the same
/// accept again finishes it.
#[derive(Debug, thiserror::Error)]
pub enum AcceptRefusal {
    /// The user's branch and the run changed the same lines.
    #[error("your branch and the run changed the same places in {} file(s)", paths.len())]
    Conflict {
        /// The files.
        paths: Vec<String>,
    },
    /// The user's uncommitted changes touch files of the run.
    #[error("your uncommitted changes touch {} file(s) of the run", paths.len())]
    Dirty {
        /// The files.
        paths: Vec<String>,
    },
    /// Files of the run need an external filter, such as LFS.
    #[error("{} file(s) of the run need a filter program", paths.len())]
    Filtered {
        /// The files.
        paths: Vec<String>,
    },
    /// The branch has the commits already.
    #[error("your branch has these commits already")]
    AlreadyThere,
    /// The branch moved or another one was checked out since the plan was made.
    #[error("`{branch}` is no longer where it was ({found})")]
    Moved {
        /// The branch of the plan.
        branch: String,
        /// What was found.
        found: String,
    },
    /// There is no such commit in the user's repository.
    #[error("the commit {commit} is not in the repository")]
    NoCommit {
        /// The commit.
        commit: String,
    },
    /// The repository cannot be worked on now.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The disk or git failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl AcceptRefusal {
    /// What could not be done, and what the user can do next.
    pub fn problem(&self) -> Problem {
        let none: &[String] = &[];
        let (code, hint, paths) = match self {
            AcceptRefusal::Conflict { paths } => (
                Code::AcceptConflict,
                "Merge the run's branch by hand (`git merge atelier/<run>`) and resolve the conflicts, start the run again \
                 from where your branch is now, or discard it.",
                paths.as_slice(),
            ),
            AcceptRefusal::Dirty { paths } => {
                (Code::AcceptDirty, "Commit or stash your changes in these files, then accept again.", paths.as_slice())
            }
            AcceptRefusal::Filtered { paths } => (
                Code::UnsupportedRepository,
                "Merge the run's branch with git (`git merge atelier/<run>`), which runs the filters.",
                paths.as_slice(),
            ),
            AcceptRefusal::AlreadyThere => (Code::WrongState, "There is nothing left to do.", none),
            AcceptRefusal::Moved { .. } => (Code::WrongState, "Look at your branch, then accept again.", none),
            AcceptRefusal::NoCommit { .. } => (Code::WrongState, "Hand the run over again.", none),
            AcceptRefusal::Open(error) => return error.problem(),
            AcceptRefusal::Fault(fault) => return fault.problem(),
        };
        Problem::new(code, format!("The run cannot be accepted: {self}."), hint).with_details(paths.iter().cloned())
    }
}

impl UserRepo {
    /// Finds out how the commit `tip` of `run` comes to the branch that is checked out: by fast-forward where possible,
    /// else by a merge commit, which is made here (unreachable until the accept is performed).
    /// Where uncommitted changes and the run touch the same files, it is refused with their list.
    pub fn plan_accept(&self, run: &RunId, tip: &str, at_ms: u64) -> Result<Accept, AcceptRefusal> {
        let repo = self.repo()?;
        self.release_index(run)?;
        self.refuse_busy(&repo)?;
        let doing = || git("planning the accept");
        let (branch, from) = self.head_of(&repo)?;
        let none = || AcceptRefusal::NoCommit { commit: tip.to_owned() };
        let tip = repo.find_commit(Oid::from_str(tip).map_err(|_| none())?).map_err(|_| none())?;
        let (to, mode) = if from == tip.id() || repo.graph_descendant_of(from, tip.id()).map_err(doing())? {
            return Err(AcceptRefusal::AlreadyThere);
        } else if repo.graph_descendant_of(tip.id(), from).map_err(doing())? {
            (tip.id(), AcceptMode::FastForward)
        } else {
            (self.merge(&repo, run, from, &tip, at_ms)?, AcceptMode::Merge)
        };
        let change = Landing::between(&repo, from, to)?;
        change.refuse_filters(&repo)?;
        change.refuse_dirty(&repo, self.root())?;
        Ok(Accept {
            run: run.clone(),
            branch: branch.unwrap_or_else(|| HEAD.to_owned()),
            from: from.to_string(),
            to: to.to_string(),
            mode,
        })
    }

    /// Performs it: files, then the index, then the branch. Only what the run changed is written; everything else that is
    /// uncommitted or staged stays as it is. Performing it again after a crash at any point finishes it.
    pub fn perform_accept(&self, plan: &Accept) -> Result<(), AcceptRefusal> {
        self.land(plan, &mut |_| Ok(()))
    }

    /// Whether the branch has the commits.
    pub fn settle_accept(&self, plan: &Accept) -> Settled {
        let found = self.repo().and_then(|repo| {
            self.release_index(&plan.run)?;
            self.release_branch(plan)?;
            let at = ref_target(&repo, &plan.reference())?;
            let later = at.zip(Oid::from_str(&plan.to).ok()).is_some_and(|(at, to)| has(&repo, at, to));
            Ok((at, later))
        });
        match found {
            Ok((Some(at), _)) if at.to_string() == plan.from => Settled::NotLanded,
            Ok((_, true)) => Settled::Landed,
            Ok((Some(at), false)) => Settled::Unknown(format!("`{}` is at {at}", plan.branch)),
            Ok((None, false)) => Settled::Unknown(format!("there is no `{}`", plan.branch)),
            Err(e) => Settled::Unknown(e.to_string()),
        }
    }

    /// The merge commit of the user's branch and the run's, or the files in which they conflict.
    fn merge(
        &self,
        repo: &Repository,
        run: &RunId,
        from: Oid,
        tip: &Commit<'_>,
        at_ms: u64,
    ) -> Result<Oid, AcceptRefusal> {
        let doing = || git("merging");
        pack::hold_in_memory(repo)?;
        let ours = repo.find_commit(from).map_err(doing())?;
        let mut merged = repo.merge_commits(&ours, tip, None).map_err(doing())?;
        if merged.has_conflicts() {
            let mut paths = std::collections::BTreeSet::new();
            for conflict in merged.conflicts().map_err(doing())? {
                let conflict = conflict.map_err(doing())?;
                let sides = [conflict.our, conflict.their, conflict.ancestor];
                paths.extend(sides.iter().flatten().next().map(|entry| shown(&entry.path)));
            }
            return Err(AcceptRefusal::Conflict { paths: paths.into_iter().collect() });
        }
        let tree = repo.find_tree(merged.write_tree_to(repo).map_err(doing())?).map_err(doing())?;
        let who = author(repo, at_ms)?;
        let text = format!("Merge {}: {}\n", branch_of(run), self.subject(repo, from, tip)?);
        let id = repo.commit(None, &who, &who, &text, &tree, &[&ours, tip]).map_err(doing())?;
        let new = new_objects(repo, ours.tree().ok().as_ref(), &tree)?;
        pack::write(repo, new.into_iter().chain([id]), &self.common_dir().join("objects"))?;
        Ok(id)
    }

    /// What the run did, in one line: its first commit says it.
    fn subject(&self, repo: &Repository, from: Oid, tip: &Commit<'_>) -> Result<String, Fault> {
        let doing = || git("reading the run's commits");
        let mut walk = repo.revwalk().map_err(doing())?;
        walk.push(tip.id()).and_then(|()| walk.hide(from)).map_err(doing())?;
        let first = walk.filter_map(Result::ok).last().unwrap_or(tip.id());
        let commit = repo.find_commit(first).map_err(doing())?;
        Ok(commit.summary_bytes().map(shown).unwrap_or_default())
    }
}

/// What a detached HEAD is called in a plan.
pub(crate) const HEAD: &str = "HEAD";

impl Accept {
    /// The reference that moves.
    pub(crate) fn reference(&self) -> String {
        if self.branch == HEAD { HEAD.to_owned() } else { branch_ref(&self.branch) }
    }
}

/// Whether the history of `at` has the commit `wanted`.
pub(crate) fn has(repo: &Repository, at: Oid, wanted: Oid) -> bool {
    at == wanted || repo.graph_descendant_of(at, wanted).unwrap_or(false)
}
