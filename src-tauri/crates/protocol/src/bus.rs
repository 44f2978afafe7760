//! Messages, jobs, votes and objects as plain values: what travels over the bus and what is kept by it.
//!
//! All of it is recorded in the same history as the runs. A message names its topic and what the topic promises;
//! a consumer's place is kept beside the history. Nothing here delivers anything.

use crate::ids::Seq;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What a topic promises about the delivery of its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// Delivered once or not at all: a handler that fails is not tried again.
    AtMostOnce,
    /// Delivered until a handler has taken it: after a crash perhaps again.
    AtLeastOnce,
    /// What the handler records in the store is there exactly once, however often it was delivered.
    ExactlyOnce,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Message {
    /// The topic, such as `run/failed`: names separated by `/`.
    pub topic: String,
    /// What the topic promises.
    pub guarantee: Guarantee,
    /// The sender: a role, a door, an object.
    pub from: String,
    /// The only receiver meant; `None` is everyone who listens.
    pub to: Option<String>,
    /// Messages with the same key and topic are the same message, posted once.
    pub key: Option<String>,
    /// The message it answers.
    pub reply_to: Option<Seq>,
    /// Ties a question and its answers together.
    pub correlation: Option<String>,
    /// What it says.
    #[ts(type = "unknown")]
    pub body: serde_json::Value,
}

/// How urgent a run or a job is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// When nothing else is to be done.
    Low,
    /// In its turn.
    #[default]
    Normal,
    /// Before the others of its project.
    High,
}

/// Work that waits in a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// The queue, which says who works on it.
    pub queue: String,
    /// How urgent it is.
    pub priority: Priority,
    /// Not before this time, milliseconds since 1970 UTC.
    pub due_ms: u64,
    /// Queued again so long after each end; `None` is once.
    pub every_ms: Option<u64>,
    /// Attempts before it is laid aside as dead.
    pub most_attempts: u32,
    /// What is to be done.
    #[ts(type = "unknown")]
    pub body: serde_json::Value,
}

/// How an attempt at a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum JobEnd {
    /// Done.
    Done,
    /// Not done; tried again at that time.
    Again {
        /// Why not.
        reason: String,
        /// When, milliseconds since 1970 UTC.
        due_ms: u64,
    },
    /// Not done, and laid aside.
    Dead {
        /// Why.
        reason: String,
    },
    /// Taken back by the user.
    Cancelled,
}

/// A vote about a dangerous act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "vote", rename_all = "snake_case")]
pub enum Vote {
    /// Nothing speaks against it.
    Clear,
    /// It must not happen.
    Alarm {
        /// Why.
        reason: String,
    },
}

/// What came of a barrier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum BarrierVerdict {
    /// Everyone voted, and nobody against it.
    Open,
    /// It was stopped.
    Stopped {
        /// By whom, or by whose silence.
        by: String,
        /// Why.
        reason: String,
    },
}

/// Where an object is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Lifecycle {
    /// It was made.
    Created,
    /// Its first state is being set.
    Initialising,
    /// It handles a message.
    Active,
    /// It has nothing to do.
    Idle,
    /// It leaves memory.
    Hibernating,
    /// It comes back from the store.
    Waking,
    /// It moves to a newer template.
    Updating,
    /// It ends for good.
    Terminating,
}
