//! A run that stands on another one: what it stands on, how it follows when that moves, and why it could not.

use crate::error::Problem;
use crate::evidence::{Checkpoint, Commit};
use crate::ids::RunId;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The run that another one stands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Stacked {
    /// The run below.
    pub run: RunId,
    /// Paths that are others in the base than in the user's folder, because runs below change them.
    pub paths: Vec<String>,
    /// Why it does not stand on what the run below is now.
    #[serde(default)]
    pub held: Option<HeldBase>,
}

/// A move of the run below that could not be followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct HeldBase {
    /// The commit that the run below is at.
    pub to: String,
    /// Why not; the details are the files where both changed the same places.
    pub problem: Problem,
}

/// A run's changes put on another base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Rebase {
    /// The commit it stood on.
    pub from: String,
    /// The commit it stands on.
    pub to: String,
    /// Paths that are others in the base than in the user's folder.
    pub paths: Vec<String>,
    /// The state of its tree on the new base; `None` where it has no tree yet.
    pub checkpoint: Option<Checkpoint>,
    /// The commit its branch was at; `None` where it is not handed over.
    pub was: Option<String>,
    /// Its commits on the new base, oldest first; none where it is not handed over.
    pub commits: Vec<Commit>,
}
