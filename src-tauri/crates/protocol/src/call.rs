//! A call of a model and of a tool: what was sent, what was asked for, what it used, and what the tool answered.
//!
//! Plain data, re-exported by [`crate::event`].

use crate::hash::Hash;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What was sent to a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct PromptRecord {
    /// Hash of the whole request's messages and tools.
    pub hash: Hash,
    /// What it is made of.
    pub parts: Vec<PromptPart>,
}

/// One part of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct PromptPart {
    /// What it is, such as `system`, `goal`, `file src/lib.rs`.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u32,
    /// Its hash.
    pub hash: Hash,
}

/// A tool call of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ToolCall {
    /// The id, from the server or made by us; unique within the run.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments, an object.
    #[ts(type = "unknown")]
    pub arguments: serde_json::Value,
}

/// Tokens and times of one call. `None` is unknown, never zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Usage {
    /// Prompt tokens the server evaluated.
    pub prompt_tokens: Option<u32>,
    /// Tokens the server made.
    pub output_tokens: Option<u32>,
    /// Time to load the model, in milliseconds.
    pub load_ms: Option<u64>,
    /// Time until the first piece arrived, in milliseconds.
    pub first_ms: Option<u64>,
    /// Whole time of the call, in milliseconds.
    pub total_ms: u64,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// It was finished.
    End,
    /// It waits for tool results.
    Tools,
    /// The length limit was reached.
    Length,
    /// The server filtered the answer.
    Filter,
    /// The server gave another reason or none.
    Other,
}

/// A decision of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Go on.
    Allow {
        /// The rule that allows it.
        rule: String,
    },
    /// Ask the user first.
    Ask {
        /// The rule that asks.
        rule: String,
    },
    /// Not for this role.
    Deny {
        /// The rule that denies it.
        rule: String,
    },
}

/// Output of a tool or command: what fits, and where the rest is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Output {
    /// The text, or its first and last part with a line that says what is left out.
    pub text: String,
    /// Bytes of the whole.
    pub bytes: u64,
    /// The whole as a blob, where `text` is not all of it.
    pub full: Option<Hash>,
}
