//! The operations of a project: what a step, a hand-over, an accept or a discard changed, and how it is taken back.
//!
//! An operation changes one place and says what that held before and after, so that taking it back is the same kind of
//! operation the other way round. Operations are read off the history; they are named by the number of an event.

use crate::error::Problem;
use crate::evidence::FileChange;
use crate::ids::{RunId, Seq};
use crate::review::AcceptMode;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What an operation changed: one place, what it held before and what it holds after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "place", rename_all = "snake_case")]
pub enum Change {
    /// The files of the run's private tree.
    Tree {
        /// The commit before, in the run's private repository.
        from: String,
        /// The commit after.
        to: String,
    },
    /// The branch `atelier/<run>` in the user's repository.
    Published {
        /// The branch.
        branch: String,
        /// Where it was; `None` where there was none.
        from: Option<String>,
        /// Where it is; `None` where there is none.
        to: Option<String>,
    },
    /// The user's branch, with the files and the index.
    Branch {
        /// The branch; `HEAD` where it is detached.
        branch: String,
        /// The commit it was at.
        from: String,
        /// The commit it is at.
        to: String,
        /// How it got there.
        mode: AcceptMode,
    },
    /// Branch, keep-ref and tree of the run.
    Traces {
        /// The commit its branch is at while it is there; `None` where it was not handed over.
        tip: Option<String>,
        /// Whether they are gone after it.
        gone: bool,
    },
}

/// An operation that is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Undo {
    /// The operation.
    pub operation: Seq,
    /// What is changed for it.
    pub change: Change,
    /// The files that it changes, in the run's tree or in the user's work tree.
    pub files: Vec<FileChange>,
    /// The commit by which the run is on the user's branch after it; `None` where it is not.
    pub accepted: Option<String>,
}

/// A kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// A step changed the run's tree: by edits, or by commands.
    Step,
    /// The run's commits were published as a branch.
    HandOver,
    /// The run came to the user's branch.
    Accept,
    /// The run's branch and tree were removed.
    Discard,
    /// Another operation was taken back.
    Undo,
}

/// An operation as the log shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct OperationView {
    /// Its number: that of the event that tells of it.
    pub operation: Seq,
    /// The run.
    pub run: RunId,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// Its kind.
    pub kind: OperationKind,
    /// What it did, in a few words.
    pub title: String,
    /// What it changed.
    pub change: Change,
    /// The operation that it took back.
    pub undoes: Option<Seq>,
    /// The operation that took it back and is in force.
    pub undone_by: Option<Seq>,
    /// What taking it back would do now; only where that was asked for.
    pub preview: Option<UndoPreview>,
}

/// What taking an operation back would do now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "preview", rename_all = "snake_case")]
pub enum UndoPreview {
    /// It can be taken back.
    Possible {
        /// What would change.
        change: Change,
        /// Exactly these files change; nothing else does.
        files: Vec<FileChange>,
    },
    /// It cannot.
    Refused {
        /// Why, and what can be done.
        problem: Problem,
    },
}
