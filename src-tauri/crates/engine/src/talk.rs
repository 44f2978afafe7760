//! The conversation of an agent step, as the next request to the model continues it.
//!
//! Pure, a part of the machine's fold: messages, calls that are not answered yet, and what speaks for a loop.

use atelier_models::Message;
use atelier_protocol::event::{ToolCall, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The conversation of an agent step.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Talk {
    /// Messages after the brief.
    pub messages: Vec<Message>,
    /// Tool calls of the last turn that are not answered yet.
    pub pending: Vec<ToolCall>,
    /// The policy's decisions about them.
    pub verdicts: BTreeMap<String, Verdict>,
    /// Complete model turns.
    pub turns: u32,
    /// Turns in a row that could not be used.
    pub unusable: u32,
    /// Failed calls in a row.
    pub failures: u32,
    /// Whether the required output was delivered in this step.
    pub delivered: bool,
    /// The text of the last turn, when it called no tools and nothing came after it.
    pub closing: Option<String>,
    /// The last answered call with its answer, and how often it came in a row.
    pub repeats: (String, u32),
}

impl Talk {
    pub(crate) fn turn(&mut self, text: &str, calls: &[ToolCall]) {
        self.turns += 1;
        self.failures = 0;
        if !calls.is_empty() {
            self.unusable = 0;
        }
        self.messages.push(Message::assistant(text, calls.to_vec()));
        self.pending = calls.to_vec();
        self.verdicts.clear();
        self.closing = calls.is_empty().then(|| text.to_owned());
    }

    pub(crate) fn corrected(&mut self, message: &str) {
        self.unusable += 1;
        self.closing = None;
        self.messages.push(Message::user(message));
    }

    pub(crate) fn answered(&mut self, id: &str, output: &str) {
        let Some(at) = self.pending.iter().position(|call| call.id == id) else { return };
        let call = self.pending.remove(at);
        let pair = format!("{} {} {output}", call.name, call.arguments);
        self.repeats = if self.repeats.0 == pair { (pair, self.repeats.1 + 1) } else { (pair, 1) };
        self.messages.push(Message::tool(&call, output));
    }
}
