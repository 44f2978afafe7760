//! What leaves when a run's commits are pushed to another repository, as it is shown before.

use crate::evidence::{Commit, FileChange};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What is to be pushed, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Push {
    /// The remote, as the user's git configuration names it.
    pub remote: String,
    /// Its address, without a password.
    pub url: String,
    /// Host and port, where it is another machine.
    pub host: Option<String>,
    /// The branch there.
    pub to: String,
    /// The commit.
    pub tip: String,
    /// The commits that the remote is not known to have, oldest first.
    pub commits: Vec<Commit>,
    /// The files in which they differ from what the remote is known to have, or from nothing.
    pub files: Vec<FileChange>,
}

/// A push as it is shown: what it sends, and what of it should perhaps not leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct PushView {
    /// What it sends.
    #[serde(flatten)]
    #[ts(flatten)]
    pub push: Push,
    /// Where it adds what looks like a key or personal data: path, line, kind.
    pub keys: Vec<String>,
}
