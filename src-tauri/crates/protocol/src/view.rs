//! What a screen shows of a run, in full and in a list, as plain values.
//!
//! How a run's view is made from its events is `fold`'s part; nothing here computes. What a screen shows besides runs has
//! files of its own, which are re-exported here.

pub use crate::delivery::*;
pub use crate::diff::*;
use crate::error::Problem;
use crate::event::{
    Answer, Ask, Base, Check, Checkpoint, CommentView, Commit, Compaction, ContextMismatch, Cost, FlowRef, Fork, Hold,
    Outcome, Output, Parent, Priority, Review, Route, Spec, Stacked, StepPhase, StepResult, Summary, ToolCall, Usage,
    Verdict,
};
pub use crate::found::{
    Found, FoundBy, FoundElsewhere, Hit, HitKind, IndexPart, IndexView, Licence, MeaningView, Origin, OtherProject,
    WatchView,
};
use crate::ids::{ApprovalId, CallId, RoleId, RunId, Seq, StepId};
pub use crate::project::*;
pub use crate::server::*;
pub use crate::state::{Illegal, RunState};
pub use crate::store::*;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What became of a run's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "disposition", rename_all = "snake_case")]
pub enum Disposition {
    /// Nothing yet.
    Pending,
    /// On the user's branch.
    Accepted {
        /// The commit the branch moved to.
        commit: String,
    },
    /// Thrown away.
    Discarded,
}

impl Disposition {
    /// By the commit by which the run is on the user's branch.
    pub fn of_accept(commit: Option<&String>) -> Disposition {
        match commit {
            Some(commit) => Disposition::Accepted { commit: commit.clone() },
            None => Disposition::Pending,
        }
    }
}

/// One run in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct RunView {
    /// The run.
    pub id: RunId,
    /// What the user typed.
    pub goal: String,
    /// The flow it follows.
    pub flow: FlowRef,
    /// The user's state it started from.
    pub base: Base,
    /// The run it works for.
    pub parent: Option<Parent>,
    /// The run it continues another way.
    pub forked: Option<Fork>,
    /// The run it stands on.
    #[serde(default)]
    pub on: Option<Stacked>,
    /// How urgent it is.
    pub priority: Priority,
    /// Where it is.
    pub state: RunState,
    /// What became of its result.
    pub disposition: Disposition,
    /// When it began, milliseconds since 1970 UTC.
    pub started_at_ms: u64,
    /// When something last happened.
    pub updated_at_ms: u64,
    /// The number of its last event.
    pub last_seq: Seq,
    /// Runs that work or worked for it, in the order they began.
    pub children: Vec<ChildView>,
    /// Since when nothing it made was accepted, where that was noticed.
    pub stalled: Option<Stall>,
    /// Why it failed, while what its steps did is being undone.
    pub compensating: Option<Problem>,
    /// The requirements.
    pub spec: Option<Spec>,
    /// Its steps in the order they began.
    pub steps: Vec<StepView>,
    /// Every question, in order.
    pub approvals: Vec<ApprovalView>,
    /// Every check, in order.
    pub checks: Vec<Check>,
    /// Whether it was found that there is nothing to check with.
    pub checks_missing: bool,
    /// The reviews, in order.
    pub reviews: Vec<Review>,
    /// The last recorded state of its tree.
    pub checkpoint: Option<Checkpoint>,
    /// The branch in the user's repository.
    pub branch: Option<String>,
    /// The commits on it, oldest first.
    pub commits: Vec<Commit>,
    /// What it cost so far.
    pub cost: Cost,
    /// What is wrong, where it is parked, failed or cancelled.
    pub problem: Option<Problem>,
    /// Things to know that stop nothing.
    pub notices: Vec<Problem>,
    /// What the user remarked on its changes.
    #[serde(default)]
    pub comments: Vec<CommentView>,
}

/// One step in one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct StepView {
    /// Its id, name and round.
    pub id: StepId,
    /// The role that performs it.
    pub role: Option<RoleId>,
    /// What it is for.
    pub title: String,
    /// What the role is told at the start.
    pub brief: String,
    /// Whether it plans or works.
    pub phase: StepPhase,
    /// How what it does is undone when a later step fails.
    pub undo: Option<String>,
    /// How it was undone.
    pub undone: Option<String>,
    /// How it ended; `None` while it is under way.
    pub result: Option<StepResult>,
    /// When it began.
    pub started_at_ms: u64,
    /// When it ended.
    pub ended_at_ms: Option<u64>,
    /// What was said and done, in order.
    pub items: Vec<Item>,
}

/// Something said or done in a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "item", rename_all = "snake_case")]
pub enum Item {
    /// A model's turn.
    Turn {
        /// The call.
        call: CallId,
        /// The role that speaks.
        role: RoleId,
        /// The model and why.
        route: Route,
        /// When it was asked.
        at_ms: u64,
        /// How it stands.
        state: TurnState,
        /// The answer.
        text: String,
        /// What it thought aloud.
        thinking: String,
        /// Tokens and times, when it is done.
        usage: Option<Usage>,
        /// What went wrong, when it failed.
        problem: Option<Problem>,
    },
    /// A tool call.
    Tool {
        /// The call.
        call: ToolCall,
        /// The policy's decision.
        verdict: Option<Verdict>,
        /// One line for people, when it is answered.
        line: Option<String>,
        /// Whether it worked.
        ok: Option<bool>,
        /// What the model was told.
        output: Option<Output>,
    },
    /// The model was told that its turn could not be used.
    Corrected {
        /// What it was told.
        message: String,
    },
    /// The next call waits or waited.
    Held {
        /// What for.
        hold: Hold,
        /// Until when at most, milliseconds since 1970 UTC.
        until_ms: u64,
    },
    /// Something was left out of the next prompt so that it fits.
    Compacted {
        /// What.
        compaction: Compaction,
    },
    /// The older part of the conversation is told in short from here on.
    Summarised {
        /// How, and what it stands for.
        summary: Box<Summary>,
    },
    /// The server's context is not what this side believes.
    Mismatched {
        /// The call.
        call: CallId,
        /// What does not agree.
        mismatch: ContextMismatch,
    },
    /// The user was asked.
    Asked {
        /// The question, found in `approvals`.
        approval: ApprovalId,
    },
    /// A check ran.
    Checked {
        /// Its place in `checks`.
        index: u32,
    },
    /// A child run was started, found in `children`.
    Called {
        /// The child.
        run: RunId,
    },
    /// Work went on after an interruption or a mended problem.
    Resumed {
        /// When.
        at_ms: u64,
    },
}

/// A run that works for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ChildView {
    /// The child.
    pub run: RunId,
    /// The step it works for.
    pub step: StepId,
    /// What it was told to do.
    pub goal: String,
    /// How it ended; `None` while it is open.
    pub outcome: Option<Outcome>,
}

/// A run that is active but gets nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Stall {
    /// Model turns since the last accepted artefact.
    pub turns: u32,
    /// Time since then, in milliseconds, when it was noticed.
    pub ms: u64,
    /// What the last accepted artefact was.
    pub last: String,
}

/// How a model's turn stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum TurnState {
    /// The model works on it.
    Open,
    /// It is complete.
    Done,
    /// It brought nothing usable.
    Failed,
}

/// A question to the user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ApprovalView {
    /// The question.
    pub id: ApprovalId,
    /// The run it holds up.
    pub run: RunId,
    /// What is asked.
    pub ask: Ask,
    /// When it was asked.
    pub asked_at_ms: u64,
    /// When silence counts as a rejection.
    pub expires_at_ms: u64,
    /// The answer.
    pub answer: Option<Answer>,
    /// What was written with it.
    pub note: String,
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct RunSummary {
    /// The run.
    pub id: RunId,
    /// What the user typed.
    pub goal: String,
    /// Where it is.
    pub state: RunState,
    /// What became of its result.
    pub disposition: Disposition,
    /// When it began.
    pub started_at_ms: u64,
    /// When something last happened.
    pub updated_at_ms: u64,
    /// The number of its last event: what a reader of the list knows of it.
    pub last_seq: Seq,
    /// Files changed so far.
    pub files: u32,
    /// The run it works for.
    pub parent: Option<RunId>,
    /// How urgent it is.
    pub priority: Priority,
    /// Questions that wait for the user.
    pub questions: u32,
    /// Whether it was noticed that it gets nowhere.
    pub stalled: bool,
    /// The run it stands on.
    #[serde(default)]
    pub on: Option<RunId>,
    /// Whether that one moved and this one could not follow.
    #[serde(default)]
    pub behind: bool,
}
