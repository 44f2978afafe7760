//! What a conversation remembers: its older part told in short, with what that stands for.

use crate::call::{PromptPart, Usage};
use crate::error::Problem;
use crate::hash::Hash;
use crate::ids::CallId;
use crate::routing::Amount;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The older part of a conversation, told in short from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Summary {
    /// The call that was to make it; `None` where no model was asked.
    pub call: Option<CallId>,
    /// Who made it.
    pub by: SummaryBy,
    /// The text, without the sentence before it by which a prompt says what it is.
    pub text: String,
    /// The messages that it stands for, the first after the brief, each with its size and hash.
    pub parts: Vec<PromptPart>,
    /// Tokens that the conversation may have, by our own count.
    pub quota: u32,
    /// Tokens that it had before, the brief aside.
    pub before: u32,
    /// Tokens that it has now.
    pub after: u32,
    /// The messages to the letter, as a blob: a JSON array.
    pub blob: Hash,
    /// What the server said about the call; `None` where it did not come to an end.
    pub usage: Option<Usage>,
    /// What the call used.
    pub used: Amount,
}

/// Who made a summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "who", rename_all = "snake_case")]
pub enum SummaryBy {
    /// The model that the role speaks with.
    Model {
        /// Its provider.
        provider: String,
        /// Its name.
        model: String,
    },
    /// Nobody: the lines that a rule takes from each message.
    Digest {
        /// Why no model's was taken.
        problem: Problem,
    },
}
