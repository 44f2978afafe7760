//! The precondition of a hand-over, as a type.
//!
//! A [`ReviewedPatch`] exists only where checks, review and approval speak about the very tree of the checkpoint.
//! It says nothing about how those were made; a review never stands in for a check.

use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Answer, Check, Checkpoint, Review, Reviewer};
use atelier_protocol::ids::ApprovalId;

/// What the checks of a tree say.
#[derive(Debug, Clone, PartialEq)]
pub enum Checks {
    /// At least one check, each with exit code zero when it ran last; in the order they ran.
    Passed(Vec<Check>),
    /// At least one failed.
    Failed,
    /// None is declared or detected.
    NoneDeclared,
}

/// Who has looked at the tree.
#[derive(Debug, Clone, PartialEq)]
pub enum ReviewProof {
    /// A role approved it.
    ByRole(Review),
    /// The user looked at it and said yes; the approval is the proof.
    ByUser,
    /// A rule of the flow says that nobody has to.
    NotRequired {
        /// The rule, in words.
        rule: String,
    },
}

/// A checkpoint that may be handed over.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviewedPatch {
    checkpoint: Checkpoint,
    checks: Checks,
    review: ReviewProof,
    approval: ApprovalId,
}

/// Why a checkpoint may not be handed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreviewed {
    /// A check failed.
    #[error("a check of this state failed")]
    ChecksFailed,
    /// It was said that checks passed, but none was given.
    #[error("no check was recorded for this state")]
    NoCheck,
    /// A check among the passed ones did not pass.
    #[error("the check `{name}` did not pass")]
    CheckNotPassed {
        /// The check.
        name: String,
    },
    /// A check ran on another state of the files.
    #[error("the check `{name}` ran on another state of the files")]
    CheckOfOtherTree {
        /// The check.
        name: String,
    },
    /// The review looked at another state of the files.
    #[error("the review looked at another state of the files")]
    ReviewOfOtherTree,
    /// The reviewing role rejected it.
    #[error("the review rejects this state")]
    ReviewRejected,
    /// The review given as a role's is not by a role.
    #[error("the review is not by a role")]
    ReviewNotByRole,
    /// Nothing was checked, so the user has to look.
    #[error("nothing was checked, so the user has to review it")]
    UserMustReview,
}

impl Unreviewed {
    /// What could not be done, and what the user can do next.
    pub fn problem(&self) -> Problem {
        let (code, hint) = match self {
            Unreviewed::ChecksFailed | Unreviewed::CheckNotPassed { .. } => {
                (Code::ChecksFailed, "Resume the run so that the failure is mended, or discard it.")
            }
            Unreviewed::ReviewRejected => (
                Code::ReviewRejected,
                "Read the reviewer's notes; resume the run to have them worked in, or discard it.",
            ),
            Unreviewed::UserMustReview => (
                Code::NeedsApproval,
                "Read the changes and approve them, or declare a check in `.atelier/project.yaml`.",
            ),
            Unreviewed::NoCheck
            | Unreviewed::CheckOfOtherTree { .. }
            | Unreviewed::ReviewOfOtherTree
            | Unreviewed::ReviewNotByRole => {
                (Code::WrongState, "Resume the run so that this state is checked and reviewed.")
            }
        };
        Problem::new(code, format!("The changes cannot be handed over: {self}."), hint)
    }
}

impl ReviewedPatch {
    /// Proves that `checkpoint` may be handed over: everything given speaks about its tree, no check failed,
    /// a role's review approves, and where nothing was checked the user reviewed it.
    pub fn new(
        checkpoint: &Checkpoint,
        checks: Checks,
        review: ReviewProof,
        approval: ApprovalId,
    ) -> Result<ReviewedPatch, Unreviewed> {
        match &checks {
            Checks::Failed => return Err(Unreviewed::ChecksFailed),
            Checks::NoneDeclared if review != ReviewProof::ByUser => return Err(Unreviewed::UserMustReview),
            Checks::NoneDeclared => {}
            Checks::Passed(all) if all.is_empty() => return Err(Unreviewed::NoCheck),
            Checks::Passed(all) => {
                for check in all {
                    if check.tree != checkpoint.tree {
                        return Err(Unreviewed::CheckOfOtherTree { name: check.name.clone() });
                    }
                }
                // A check that ran again counts as it ended last, as it does on screen (`RunView::checks_of`).
                let is_last = |at: usize, name: &str| !all.iter().skip(at + 1).any(|later| later.name == name);
                let failed = all.iter().enumerate().find(|(at, check)| !check.passed() && is_last(*at, &check.name));
                if let Some((_, check)) = failed {
                    return Err(Unreviewed::CheckNotPassed { name: check.name.clone() });
                }
            }
        }
        if let ReviewProof::ByRole(given) = &review {
            if given.tree != checkpoint.tree {
                return Err(Unreviewed::ReviewOfOtherTree);
            }
            if !matches!(given.by, Reviewer::Role { .. }) {
                return Err(Unreviewed::ReviewNotByRole);
            }
            if given.answer != Answer::Approve {
                return Err(Unreviewed::ReviewRejected);
            }
        }
        Ok(ReviewedPatch { checkpoint: checkpoint.clone(), checks, review, approval })
    }

    /// The state that was reviewed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// What the checks said.
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// Who looked at it.
    pub fn review(&self) -> &ReviewProof {
        &self.review
    }

    /// The user's yes.
    pub fn approval(&self) -> &ApprovalId {
        &self.approval
    }
}
