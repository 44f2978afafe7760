//! An event with its place in the history, and one that is about to get a place.
//!
//! Re-exported by [`crate::event`]. Numbers and hashes are given by the journal; nothing here makes them.

use crate::event::Event;
use crate::hash::Hash;
use crate::ids::{RunId, Seq, StepId, StoreId};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// One recorded event with its place in the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Envelope {
    /// Its number in the store.
    pub seq: Seq,
    /// The store it belongs to.
    pub store: StoreId,
    /// When it was appended, milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// The version of the payload's shape.
    pub v: u32,
    /// The run it belongs to.
    pub run: Option<RunId>,
    /// The step it belongs to.
    pub step: Option<StepId>,
    /// The event that led to it.
    pub cause: Option<Seq>,
    /// A label that ties events of one outside request together.
    pub trace: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
    /// Hash of the payload's bytes as stored.
    pub payload_hash: Hash,
    /// Hash of the envelope before this one.
    pub prev_hash: Hash,
}

/// An event that is about to be appended.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// The run it belongs to.
    pub run: Option<RunId>,
    /// The step it belongs to.
    pub step: Option<StepId>,
    /// The event that led to it.
    pub cause: Option<Seq>,
    /// A label that ties events of one outside request together.
    pub trace: Option<String>,
    /// What happened.
    pub event: Event,
}

impl NewEvent {
    /// An event of the store itself, outside any run.
    pub fn of_store(event: Event) -> Self {
        Self { run: None, step: None, cause: None, trace: None, event }
    }
    /// An event of a run.
    pub fn of_run(run: &RunId, step: Option<&StepId>, event: Event) -> Self {
        Self { run: Some(run.clone()), step: step.cloned(), cause: None, trace: None, event }
    }
}
