//! What a run brought about, and what happened since. Activity is no progress.
//!
//! Only results that somebody can look at count: files, checks, reviews, ended steps. What is done about a stall is
//! `stall`'s part.

use atelier_protocol::event::{Envelope, Event, Outcome, StepResult};
use atelier_protocol::view::RunView;
use serde::{Deserialize, Serialize};

/// The last accepted result, and what happened since. Activity is no progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Model turns since.
    pub turns: u32,
    /// When it was, or when the run last went on from waiting, milliseconds since 1970 UTC.
    pub since_ms: u64,
    /// What it was.
    pub last: String,
    /// Whether the stretch since was noticed as a stall.
    pub noticed: bool,
    /// The tree that a check was last recorded on.
    checked: String,
}

impl Progress {
    /// At the start of a run.
    pub(super) fn start(at_ms: u64) -> Progress {
        let last = "the start".to_owned();
        Progress { turns: 0, since_ms: at_ms, last, noticed: false, checked: String::new() }
    }

    /// Sees an event before the view folds it.
    pub(super) fn apply(&mut self, envelope: &Envelope, before: &RunView) {
        let made = match &envelope.event {
            Event::CallFinished { .. } => {
                self.turns += 1;
                None
            }
            Event::StallNoticed { .. } => {
                self.noticed = true;
                None
            }
            // Waiting is no stall: the time counts from here.
            Event::ApprovalSettled { .. } | Event::RunResumed { .. } | Event::SlotGiven {} => {
                self.since_ms = envelope.at_ms;
                None
            }
            Event::SpecWritten { .. } => Some("the specification".to_owned()),
            Event::CheckpointMade { checkpoint } => {
                let known = before.checkpoint.as_ref().map(|point| point.tree.as_str());
                let new = known != Some(&checkpoint.tree) && !(known.is_none() && checkpoint.files.is_empty());
                new.then(|| format!("a changed tree with {} files", checkpoint.files.len()))
            }
            Event::CheckRecorded { check } if !check.tree.is_empty() && check.tree != self.checked => {
                self.checked.clone_from(&check.tree);
                Some(format!("the check `{}` of a new tree", check.name))
            }
            Event::ReviewRecorded { .. } => Some("a review".to_owned()),
            Event::HandedOver { .. } => Some("the hand-over".to_owned()),
            Event::StepFinished { result: StepResult::Done } => {
                Some(envelope.step.as_ref().map_or_else(|| "a step".to_owned(), |step| format!("step {step}")))
            }
            Event::StepUndone { undone, .. } => Some(format!("the undoing of {undone}")),
            Event::ChildEnded { outcome: Outcome::Done, child } => Some(format!("child run {child}")),
            Event::ChildEnded { .. } => {
                self.since_ms = envelope.at_ms;
                None
            }
            _ => None,
        };
        if let Some(last) = made {
            *self = Progress {
                turns: 0,
                since_ms: envelope.at_ms,
                last,
                noticed: false,
                checked: std::mem::take(&mut self.checked),
            };
        }
    }
}
