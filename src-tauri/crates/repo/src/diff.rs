//! Differences between two states, for reading.

use crate::open::UserRepo;
use crate::run_tree::{RunTree, TreeError};
use atelier_protocol::view::DiffView;

/// The newer side of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tip<'a> {
    /// A commit.
    Commit(&'a str),
    /// The files of the tree as they are now.
    Files,
}

impl RunTree {
    /// What changed from the commit `from` to `tip`.
    pub fn diff(&self, from: &str, tip: Tip<'_>) -> Result<DiffView, TreeError> {
        let _ = tip;
        Err(TreeError::NoCommit { commit: from.to_owned() })
    }
}

impl UserRepo {
    /// What changed between two commits of the user's repository, such as those of a run whose tree is gone.
    pub fn diff(&self, from: &str, to: &str) -> Result<DiffView, TreeError> {
        let _ = to;
        Err(TreeError::NoCommit { commit: from.to_owned() })
    }
}
