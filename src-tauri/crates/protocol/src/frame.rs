//! What a subscriber of a store receives: recorded events, and drafts on their way to becoming one.

use crate::error::Problem;
use crate::event::Envelope;
use crate::ids::{CallId, RunId, Seq, StepId};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What a subscriber of a store receives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "frame", content = "value", rename_all = "snake_case")]
pub enum Frame {
    /// A recorded event.
    Event(Box<Envelope>),
    /// Streamed, unrecorded text.
    Draft(Draft),
    /// Everything up to here was stored before the subscription; what follows is live.
    CaughtUp(Seq),
    /// Another process, or this one, owns the store now.
    Owner {
        /// The owner's epoch.
        epoch: u32,
        /// Whether this process is the owner.
        mine: bool,
    },
    /// The subscription cannot go on.
    Lost(Problem),
}

/// Streamed, unrecorded text on its way to becoming an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Draft {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
    /// The call.
    pub call: CallId,
    /// What the model is doing.
    pub phase: Phase,
    /// Text that came since the last draft of this call and phase.
    pub text: String,
}

/// What a model is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The server loads the model.
    Loading,
    /// The server reads the prompt.
    Reading,
    /// Thinking aloud.
    Thinking,
    /// Answering.
    Answering,
}
