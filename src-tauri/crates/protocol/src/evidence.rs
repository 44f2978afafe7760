//! What speaks for a result: its tree and what changed in it, the checks and reviews of that tree, the commits.
//!
//! Plain data, re-exported by [`crate::event`]. A check or review counts for the tree it names and for no other.

use crate::ask::Answer;
use crate::call::Output;
use crate::egress::Reached;
use crate::ids::RoleId;
use crate::results::{Compared, TestResults};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A changed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FileChange {
    /// Its path in the project, with `/`.
    pub path: String,
    /// The path it had before, for renames.
    pub old_path: Option<String>,
    /// What happened to it.
    pub status: FileStatus,
    /// Lines added; `None` for binary files.
    pub insertions: Option<u32>,
    /// Lines removed; `None` for binary files.
    pub deletions: Option<u32>,
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// New.
    Added,
    /// Other content or mode.
    Modified,
    /// Gone.
    Deleted,
    /// Another path, perhaps other content.
    Renamed,
}

/// The recorded state of a run's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Checkpoint {
    /// The commit in the run's private repository.
    pub commit: String,
    /// The tree of that commit.
    pub tree: String,
    /// Files that differ from the base.
    pub files: Vec<FileChange>,
}

/// A command with its exit code and output: the evidence for "done".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The tree it ran on; empty for the command of a script step, which proves nothing about a tree.
    pub tree: String,
    /// The exit code; `None` where a signal or the time limit ended it.
    pub exit_code: Option<i32>,
    /// Whether the time limit ended it.
    pub timed_out: bool,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// Standard output and error, in the order they came.
    pub output: Output,
    /// What confined it.
    pub mechanism: Mechanism,
    /// What it said of its tests, where that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub tests: Option<TestResults>,
    /// The same check on the base, where it failed on both. Of the check on the base itself: its own tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub compared: Option<Compared>,
    /// What it reached through its way to the network, and what it was refused there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<Vec<Reached>>")]
    pub reached: Vec<Reached>,
}

impl Check {
    /// Whether it ran on the base, to tell which failures are new.
    pub fn is_of_base(&self) -> bool {
        self.compared.as_ref().is_some_and(|compared| compared.tree == self.tree)
    }

    /// Whether it is evidence that the tree is right: it passed, or each of its failures was there before.
    pub fn passed(&self) -> bool {
        let only_old = !self.is_of_base() && self.compared.as_ref().is_some_and(|compared| compared.new.is_empty());
        !self.timed_out && (self.exit_code == Some(0) || (only_old && self.exit_code.is_some()))
    }
}

/// What confines a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// bubblewrap: own namespaces, read-only root, no network but the way out that the user gave it.
    Bubblewrap,
    /// Landlock and seccomp: file rules and no sockets.
    Landlock,
    /// Nothing.
    None,
}

/// What the checks say about a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ChecksVerdict {
    /// At least one check, all with exit code zero.
    Passed,
    /// At least one failed.
    Failed,
    /// None is declared or detected.
    NoneDeclared,
}

/// What a reviewer said about a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Review {
    /// Who.
    pub by: Reviewer,
    /// Approve or reject.
    pub answer: Answer,
    /// What was found.
    pub notes: String,
    /// The tree that was looked at.
    pub tree: String,
}

/// Who reviews.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Reviewer {
    /// A role.
    Role {
        /// Which.
        role: RoleId,
    },
    /// The user.
    User,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Commit {
    /// Its id.
    pub id: String,
    /// Its first line.
    pub subject: String,
}
