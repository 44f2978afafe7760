//! What a run starts from, what it is to do, what it cost and how it ends, as plain values.
//!
//! Everything here is re-exported by [`crate::event`]; the split only keeps the list of events readable.

use crate::ask::AskKind;
use crate::error::Problem;
use crate::hash::Hash;
use crate::ids::{RunId, Seq, StepId};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Which definition a run follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FlowRef {
    /// The flow's id.
    pub id: String,
    /// Hash of the definition's text.
    pub hash: Hash,
}

/// The user's state a run starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Base {
    /// The commit.
    pub commit: String,
    /// The branch that was checked out; `None` where HEAD was detached.
    pub branch: Option<String>,
}

/// What the user granted with the start of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default)]
pub struct Grants {
    /// Kinds of questions answered yes beforehand.
    pub approve: Vec<AskKind>,
    /// Every other question is answered no.
    pub deny_asks: bool,
}

/// The run and step that a child run works for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Parent {
    /// The run that waits for it.
    pub run: RunId,
    /// The step that called it.
    pub step: StepId,
    /// The run at the top, whose tree all of them work in.
    pub root: RunId,
    /// How deep it is: 1 for a child of a run that the user started.
    pub depth: u8,
}

/// Where a fork leaves the run it continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Fork {
    /// The run.
    pub run: RunId,
    /// The last event that both have in common.
    pub at: Seq,
}

/// What a step is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum StepPhase {
    /// It finds out what is to be done.
    Planning,
    /// It does it.
    #[default]
    Working,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The user, now.
    User,
    /// The user, by a grant given before.
    Grant,
    /// Time ran out.
    Timeout,
    /// The owner process, by its own rules.
    Owner,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The commits are handed over.
    Done,
    /// It could not be done.
    Failed {
        /// Why, and what to do next.
        problem: Problem,
    },
    /// The user stopped or rejected it.
    Cancelled {
        /// Why.
        problem: Problem,
    },
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum StepResult {
    /// As wanted.
    Done,
    /// The work goes back to an earlier step.
    SentBack {
        /// What that step is told.
        reason: String,
    },
    /// It could not be done.
    Failed {
        /// Why.
        problem: Problem,
    },
}

/// What a run cost so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Cost {
    /// Requests to models.
    pub calls: u32,
    /// Prompt tokens; `None` where a server did not say.
    pub prompt_tokens: Option<u32>,
    /// Output tokens; `None` where a server did not say.
    pub output_tokens: Option<u32>,
    /// Time on local models, in milliseconds.
    pub local_ms: u64,
    /// Money in millionths of the currency; `None` where a price is unknown. Local models cost time, not money.
    pub micros: Option<u64>,
}

/// The requirements made from a goal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Spec {
    /// What is to be done, in one line.
    pub title: String,
    /// What it means, in a few sentences.
    pub summary: String,
    /// The requirements.
    pub requirements: Vec<Requirement>,
}

/// One requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Requirement {
    /// Its id, `R1`, `R2`, ...
    pub id: String,
    /// What must hold.
    pub text: String,
}
