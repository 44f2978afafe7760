//! The scripted model server.
//!
//! [`Stage`] answers like an Ollama or OpenAI-style server on loopback, from a [`Script`]. What it answers is a pure
//! function of the request; requests are counted for faults only. It is no model and judges nothing.

mod answer;
mod body;
mod matching;
mod ollama;
mod openai;
mod request;
mod routes;
mod script;
mod server;
pub mod tour;
mod transcript;

pub use script::{
    Arguments, Capability, Dialect, Fault, FaultKind, Part, Script, ScriptModel, StopWord, Tool, ToolShape, Turn, When,
    Words,
};
pub use server::{Options, Stage, StageError};
pub use transcript::{Ended, Exchange, Unmatched};
