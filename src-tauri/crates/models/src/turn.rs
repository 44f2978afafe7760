//! One whole turn of a model, gathered from its events.

use crate::chat::{ModelEvent, ModelStream};
use crate::error::CallError;
use atelier_protocol::event::{Stop, ToolCall, Usage};
use futures_util::StreamExt;

/// A complete turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// The answer's text.
    pub text: String,
    /// What the model thought aloud.
    pub thinking: String,
    /// The tools it asked for.
    pub tool_calls: Vec<ToolCall>,
    /// Tokens and times.
    pub usage: Usage,
    /// Why it stopped.
    pub stop: Stop,
    /// Whether the tool calls stood in the text and were read from there.
    pub from_text: bool,
}

impl Turn {
    /// Whether the model neither said anything nor called a tool. Thinking alone is empty too.
    pub fn is_empty(&self) -> bool {
        self.tool_calls.is_empty() && self.text.trim().is_empty()
    }
}

/// A call that brought no turn, with what had arrived. What had arrived is for the reader and never acted on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{error}")]
pub struct Failed {
    /// What happened.
    pub error: CallError,
    /// Text that had arrived.
    pub partial_text: String,
    /// Thoughts that had arrived.
    pub partial_thinking: String,
}

/// Gathers a stream into a turn; `sink` sees every event as it comes.
pub async fn collect(mut stream: ModelStream, mut sink: impl FnMut(&ModelEvent)) -> Result<Turn, Failed> {
    let mut text = String::new();
    let mut thinking = String::new();
    let mut tool_calls = Vec::new();
    while let Some(item) = stream.next().await {
        let event = match item {
            Ok(event) => event,
            Err(error) => return Err(Failed { error, partial_text: text, partial_thinking: thinking }),
        };
        sink(&event);
        match event {
            ModelEvent::Phase(_) => {}
            ModelEvent::Text(piece) => text.push_str(&piece),
            ModelEvent::Thinking(piece) => thinking.push_str(&piece),
            ModelEvent::ToolCall(call) => tool_calls.push(call),
            ModelEvent::Done { usage, stop, rest } => {
                let from_text = rest.is_some();
                return Ok(Turn { text: rest.unwrap_or(text), thinking, tool_calls, usage, stop, from_text });
            }
        }
    }
    let error = CallError::Incomplete { reason: "the stream ended without its end".to_owned() };
    Err(Failed { error, partial_text: text, partial_thinking: thinking })
}
