//! The conversation of an agent step, as the next request to the model continues it.
//!
//! Pure, a part of the machine's fold: messages, calls that are not answered yet, and what speaks for a loop.

use crate::summary;
use atelier_models::{Message, context};
use atelier_protocol::error::Problem;
use atelier_protocol::event::{FailureClass, LeftOut, Route, Summary, ToolCall, Verdict};
use atelier_protocol::ids::CallId;
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
    /// Failed calls in a row, whichever model was asked.
    pub failures: u32,
    /// Failed calls in a row with the present model.
    pub tries: u32,
    /// Models that failed at the present question, as `provider/model`.
    pub failed: Vec<String>,
    /// The call that is to sum up the older part, until the summary is recorded.
    #[serde(default)]
    pub summing: Option<CallId>,
    /// What the last of them failed with.
    pub problem: Option<Problem>,
    /// Until when the next call waits, milliseconds since 1970 UTC.
    pub held_ms: Option<u64>,
    /// Prompt tokens that the server read at the last turn, and how many messages those were.
    pub read: Option<(u32, usize)>,
    /// Whether the required output was delivered in this step.
    pub delivered: bool,
    /// The text of the last turn, when it called no tools and nothing came after it.
    pub closing: Option<String>,
    /// The last answered call with its answer, and how often it came in a row.
    pub repeats: (String, u32),
}

impl Talk {
    pub(crate) fn turn(&mut self, text: &str, calls: &[ToolCall], read: Option<u32>) {
        self.turns += 1;
        self.afresh();
        self.read = read.map(|read| (read, self.messages.len()));
        if !calls.is_empty() {
            self.unusable = 0;
        }
        self.messages.push(Message::assistant(text, calls.to_vec()));
        self.pending = calls.to_vec();
        self.verdicts.clear();
        self.closing = calls.is_empty().then(|| text.to_owned());
    }

    /// The next question has all its attempts.
    pub(crate) fn afresh(&mut self) {
        self.failures = 0;
        self.tries = 0;
        self.failed.clear();
        self.problem = None;
        self.held_ms = None;
    }

    /// A call failed. Another model begins with its own attempts.
    pub(crate) fn failed(&mut self, route: Option<&Route>, problem: &Problem, class: Option<FailureClass>) {
        self.failures += 1;
        self.tries += 1;
        if class == Some(FailureClass::FailOver) {
            self.failed.extend(route.map(|route| format!("{}/{}", route.provider, route.model)));
            self.problem = Some(problem.clone());
            self.tries = 0;
            self.unusable = 0;
            self.read = None;
        }
    }

    /// Older answers of tools are only named from now on.
    pub(crate) fn compacted(&mut self, left_out: &[LeftOut]) {
        for gap in left_out {
            if let Some(message) = self.messages.get_mut(gap.at as usize) {
                *message = context::named(message);
            }
        }
        self.read = None;
    }

    /// The first messages are told in short from now on.
    pub(crate) fn summarised(&mut self, summary: &Summary) {
        let end = summary.parts.len().min(self.messages.len());
        self.messages.splice(..end, [summary::told(&summary.by, end, &summary.text)]);
        self.summing = None;
        self.read = None;
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
