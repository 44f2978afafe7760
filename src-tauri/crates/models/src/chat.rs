//! What is said to a model and what comes back, in no server's dialect.

use crate::error::CallError;
use atelier_protocol::event::{Stop, ToolCall, Usage};
use atelier_protocol::op::Phase;
use atelier_protocol::ports::HttpLimits;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Time limits of a chat. No byte comes, not even the head, before the model is loaded, the queue has passed and the
/// whole prompt is read, so the head is given long; a stall between two pieces is noticed sooner.
pub const CHAT_LIMITS: HttpLimits =
    HttpLimits { connect: Duration::from_secs(5), head: Duration::from_secs(600), idle: Duration::from_secs(120) };

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message {
    /// The rules the model works under.
    System {
        /// The text.
        text: String,
    },
    /// What is asked.
    User {
        /// The text.
        text: String,
    },
    /// What the model answered earlier.
    Assistant {
        /// The text.
        text: String,
        /// The tools it asked for.
        tool_calls: Vec<ToolCall>,
    },
    /// What a tool answered.
    Tool {
        /// The id of the tool call that is answered.
        id: String,
        /// The tool.
        name: String,
        /// The answer.
        text: String,
    },
}

impl Message {
    /// A message with the rules.
    pub fn system(text: impl Into<String>) -> Self {
        Message::System { text: text.into() }
    }
    /// A message of the user.
    pub fn user(text: impl Into<String>) -> Self {
        Message::User { text: text.into() }
    }
    /// An earlier turn of the model.
    pub fn assistant(text: impl Into<String>, tool_calls: Vec<ToolCall>) -> Self {
        Message::Assistant { text: text.into(), tool_calls }
    }
    /// The answer to a tool call.
    pub fn tool(call: &ToolCall, text: impl Into<String>) -> Self {
        Message::Tool { id: call.id.clone(), name: call.name.clone(), text: text.into() }
    }
    /// The message's text.
    pub fn text(&self) -> &str {
        match self {
            Message::System { text }
            | Message::User { text }
            | Message::Assistant { text, .. }
            | Message::Tool { text, .. } => text,
        }
    }
}

/// A tool that is offered to a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// Its arguments as a JSON schema of an object.
    pub parameters: serde_json::Value,
}

/// What the whole text of an answer must be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnswerSchema {
    /// A JSON schema.
    pub schema: serde_json::Value,
    /// Whether a server that keeps to some schemas only is to refuse the others.
    pub strict: bool,
}

/// One question to a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The model's name as the server knows it.
    pub model: String,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// The tools that are offered.
    pub tools: Vec<ToolSpec>,
    /// What the answer's text must be; `None` is free.
    pub schema: Option<AnswerSchema>,
    /// Whether tools are called by an answer that is held to a schema, because the model seldom writes a readable call.
    pub constrained: bool,
    /// Context length to load the model with, in tokens. One value per model: another one makes the server reload it.
    pub context: Option<u32>,
    /// At most so many tokens of answer.
    pub max_output: Option<u32>,
    /// How freely the model chooses; `None` is the server's default.
    pub temperature: Option<f32>,
    /// Chooses among the likeliest that make up this share; `None` is the server's default.
    pub top_p: Option<f32>,
    /// Texts at which the answer ends.
    pub stop: Vec<String>,
    /// The same number gives the same answer, as far as the server keeps that.
    pub seed: Option<u64>,
    /// Whether it thinks aloud; `None` is the server's default. A model that cannot answers `Some(true)` with an error.
    pub think: Option<bool>,
    /// How long the server keeps the model loaded, such as `10m`; `None` is the server's default.
    pub keep_alive: Option<String>,
    /// Ids made for tool calls that come without one start with this; unique in the run, such as the call's own id.
    pub id_prefix: String,
    /// Time limits, normally [`CHAT_LIMITS`].
    pub limits: HttpLimits,
    /// Whether it is told what the server does before the first piece, for which some servers are asked beside.
    pub phases: bool,
    /// Whether the server, although it is on this machine, passes it on to another one.
    pub passed_on: bool,
}

impl ChatRequest {
    /// A question with everything else left to the server.
    pub fn new(model: impl Into<String>, messages: Vec<Message>) -> Self {
        Self {
            model: model.into(),
            messages,
            tools: Vec::new(),
            schema: None,
            constrained: false,
            context: None,
            max_output: None,
            temperature: None,
            top_p: None,
            stop: Vec::new(),
            seed: None,
            think: None,
            keep_alive: None,
            id_prefix: String::new(),
            limits: CHAT_LIMITS,
            phases: true,
            passed_on: false,
        }
    }

    /// The temperature as it was written: 0.2 and not the nearest `f32` with all its digits.
    pub(crate) fn temperature(&self) -> Option<f64> {
        self.temperature.and_then(as_written)
    }

    /// The share as it was written.
    pub(crate) fn top_p(&self) -> Option<f64> {
        self.top_p.and_then(as_written)
    }
}

fn as_written(number: f32) -> Option<f64> {
    number.to_string().parse().ok()
}

/// One piece of a model's turn.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelEvent {
    /// The model does something else now.
    Phase(Phase),
    /// A piece of the answer.
    Text(String),
    /// A piece of what it thinks aloud.
    Thinking(String),
    /// A whole tool call. Its arguments are an object.
    ToolCall(ToolCall),
    /// The turn is complete. Always the last event, and never absent from a turn that can be used.
    Done {
        /// Tokens and times.
        usage: Usage,
        /// Why it stopped.
        stop: Stop,
        /// Where the tool calls stood in the text and were read from there: the text without them.
        rest: Option<String>,
    },
}

/// The events of one turn. An error is the last item. Dropping the stream stops the model.
pub type ModelStream = BoxStream<'static, Result<ModelEvent, CallError>>;
