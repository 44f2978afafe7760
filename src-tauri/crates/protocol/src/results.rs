//! What the output of a check says of its tests, and what it said of the base.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What test programs said of their tests. More than an exit code, never in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TestResults {
    /// How many passed, as far as the output says.
    pub passed: u32,
    /// How many failed.
    pub failed: u32,
    /// How many were left out.
    pub skipped: u32,
    /// The names of those that failed, sorted; fewer than `failed` where the output does not name all.
    pub failures: Vec<String>,
}

/// A failed check beside the same check on the base, where it failed as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Compared {
    /// The tree of the base.
    pub tree: String,
    /// How many of the failures were there before.
    pub old: u32,
    /// The names of those that were not.
    pub new: Vec<String>,
}
