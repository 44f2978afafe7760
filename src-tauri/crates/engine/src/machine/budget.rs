//! What a run may use, and what it has used.
//!
//! Counts tokens of this run alone, never too few. What projects, goals and steps may use is `spending`'s part.

use atelier_protocol::event::{BudgetNode, BudgetUnit, Event, Usage};
use serde::{Deserialize, Serialize};

/// What a run may use, and what it has used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Tokens it was given at the start.
    pub given: Option<u64>,
    /// Tokens it may use by now.
    pub limit: Option<u64>,
    /// Tokens used. Where a server did not say, estimated from the bytes, never taken as none.
    pub spent: u64,
    /// Whether the user refused more.
    pub refused: bool,
    /// What the user gave this run beyond the limits of the budget's nodes.
    pub raised: Vec<(BudgetNode, BudgetUnit, u64)>,
    /// Nodes of the budget that are nearly used up, as the user was told.
    pub warned: Vec<String>,
    /// Bytes of the prompt of the last call.
    prompt_bytes: u64,
}

impl Budget {
    /// At the start of a run.
    pub(super) fn start(given: Option<u64>) -> Budget {
        Budget { given, limit: given, ..Budget::default() }
    }

    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::CallStarted { prompt, .. } => {
                self.prompt_bytes = prompt.parts.iter().map(|part| u64::from(part.bytes)).sum();
            }
            Event::CallFinished { text, thinking, usage, .. } => {
                self.spent = self.spent.saturating_add(self.tokens(usage, text.len() + thinking.len()));
            }
            Event::CallFailed { used, .. } => self.spent = self.spent.saturating_add(used.tokens),
            Event::MemorySummarised { summary } => self.spent = self.spent.saturating_add(summary.used.tokens),
            _ => {}
        }
    }

    /// What a call used: as the server says, else three bytes a token.
    fn tokens(&self, usage: &Usage, answer_bytes: usize) -> u64 {
        let prompt = usage.prompt_tokens.map_or(self.prompt_bytes.div_ceil(3), u64::from);
        prompt + usage.output_tokens.map_or((answer_bytes as u64).div_ceil(3), u64::from)
    }
}
