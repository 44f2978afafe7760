//! What is done outside the store, and what the world says of it.
//!
//! Each effect is recorded as intended before it is performed and as settled after; which of both must survive a power
//! loss is decided here, beside the kinds.

use crate::error::Problem;
use crate::event::Class;
use crate::hash::Hash;
use crate::ids::RunId;
use crate::review::AcceptMode;
use crate::stack::Rebase;
use crate::undo::Undo;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Something that is done outside the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Make the run's private tree.
    MakeTree {
        /// The commit it starts at.
        base: String,
    },
    /// Write or delete a file in the run's tree.
    WriteFile {
        /// Its path.
        path: String,
        /// The content before; `None` where there is no file.
        before: Option<Hash>,
        /// The content after; `None` deletes it.
        after: Option<Hash>,
    },
    /// Run a command in the run's tree.
    RunCommand {
        /// The check's name.
        name: String,
        /// Program and arguments.
        argv: Vec<String>,
        /// The tree it runs on.
        tree: String,
    },
    /// Publish the commits as a branch of the user's repository.
    HandOver {
        /// The branch.
        branch: String,
        /// The commit it will be at.
        tip: String,
    },
    /// Bring the commits to the user's branch.
    Accept {
        /// The branch; `HEAD` where it is detached.
        branch: String,
        /// Where it is.
        from: String,
        /// Where it will be.
        to: String,
        /// How.
        mode: AcceptMode,
    },
    /// Remove the branch, the keep-ref and the tree.
    Discard {
        /// The branch, where it was handed over.
        branch: Option<String>,
        /// The commit it must be at to be removed.
        tip: Option<String>,
    },
    /// Take an operation back, because the user wants it so.
    Undo {
        /// Which, and what is to change.
        undo: Undo,
    },
    /// Put the run on another base: its tree, its branch, and what keeps the base.
    Rebase {
        /// From where to where.
        rebase: Box<Rebase>,
    },
    /// Push the run's commits to another repository, because the user wants it so.
    Push {
        /// The remote.
        remote: String,
        /// Its address, without a password.
        url: String,
        /// The branch there.
        to: String,
        /// The commit.
        tip: String,
    },
    /// Put the run's tree back to a checkpoint, to undo a step.
    RestoreTree {
        /// The checkpoint's commit.
        commit: String,
    },
    /// Take a branch that was handed over out of the user's repository again, to undo a step.
    RemoveBranch {
        /// The branch.
        branch: String,
        /// The commit it must be at to be removed.
        tip: String,
    },
    /// Start a process that stays while the run works.
    StartProcess {
        /// Its name in the flow.
        name: String,
        /// Program and arguments.
        argv: Vec<String>,
    },
    /// End a process that was started.
    EndProcess {
        /// Its name in the flow.
        name: String,
    },
    /// Make the tree of a forked run: the state another run's tree had.
    ForkTree {
        /// The run it is taken from.
        from: RunId,
        /// The checkpoint's commit in that run's tree.
        commit: String,
    },
}

impl Effect {
    /// Whether it is done to a run as a whole (by the user, or because the run below moved): a new owner settles it first.
    pub fn decides(&self) -> bool {
        matches!(
            self,
            Effect::Accept { .. }
                | Effect::Discard { .. }
                | Effect::Undo { .. }
                | Effect::Push { .. }
                | Effect::Rebase { .. }
        )
    }

    /// How durable its intent must be: full where the world cannot be asked afterwards.
    pub fn class(&self) -> Class {
        match self {
            Effect::Accept { .. }
            | Effect::Discard { .. }
            | Effect::Undo { .. }
            | Effect::Push { .. }
            | Effect::HandOver { .. }
            | Effect::Rebase { .. }
            | Effect::RemoveBranch { .. } => Class::Full,
            // A command is confined to the tree, which is put back to its checkpoint before a repeat.
            Effect::MakeTree { .. }
            | Effect::WriteFile { .. }
            | Effect::RunCommand { .. }
            | Effect::RestoreTree { .. }
            | Effect::StartProcess { .. }
            | Effect::EndProcess { .. }
            | Effect::ForkTree { .. } => Class::Normal,
        }
    }
}

/// What the world says about an effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum EffectOutcome {
    /// It is done.
    Landed,
    /// It is not done.
    NotLanded {
        /// Why not; `None` where it was interrupted before it began.
        problem: Option<Problem>,
    },
    /// It cannot be known.
    Unknown {
        /// What was found.
        found: String,
    },
}
