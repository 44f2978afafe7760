//! Messages, jobs and objects with what is known of them: who took them, how often, and what came of it.
//!
//! Plain data, re-exported by [`crate::view`]. What is recorded of them is `bus`.

use crate::event::{Guarantee, Job, Lifecycle, Message};
use crate::ids::Seq;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A message with what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct MessageView {
    /// Its number.
    pub seq: Seq,
    /// When it was posted.
    pub at_ms: u64,
    /// The message.
    pub message: Message,
}

/// A topic and who listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TopicView {
    /// Its pattern, such as `run/*`.
    pub topic: String,
    /// What it promises.
    pub guarantee: Guarantee,
    /// Who listens, with the number each has come to.
    pub consumers: Vec<(String, Seq)>,
}

/// A message that was laid aside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct DeadView {
    /// The consumer that could not handle it.
    pub consumer: String,
    /// Why.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The message.
    pub message: MessageView,
}

/// A message that a consumer handled once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ReplayView {
    /// The message's number.
    pub message: Seq,
    /// Its topic.
    pub topic: String,
    /// What the consumer does about it, a line for each record it makes.
    pub does: Vec<String>,
    /// Whether that was recorded now; it is not where it was recorded before.
    pub applied: bool,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for its time or its turn.
    Waiting,
    /// A worker has it.
    Leased,
    /// It is done.
    Done,
    /// It was laid aside.
    Dead,
    /// It was taken back.
    Cancelled,
}

/// A job with what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct JobView {
    /// The job; `due_ms` is when it is tried next.
    pub job: Job,
    /// Where it is.
    pub state: JobState,
    /// Attempts begun.
    pub attempts: u32,
    /// Times it came to an end, for one that repeats.
    pub ends: u32,
    /// Why the last attempt failed.
    pub reason: Option<String>,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ObjectView {
    /// The object, as `kind/name`.
    pub object: String,
    /// Raised by one with each change; 1 for one that was only made.
    pub version: u64,
    /// Version of the state's schema.
    pub schema: u32,
    /// Where it is in its life.
    pub life: Lifecycle,
    /// Its state.
    #[ts(type = "unknown")]
    pub state: serde_json::Value,
    /// What the last message to it answered.
    #[ts(type = "unknown")]
    pub answer: serde_json::Value,
}
