//! The scripted model server.
//!
//! [`Stage`] answers like an Ollama, OpenAI-style or Anthropic server on loopback, from a [`Script`]. What it answers is a pure
//! function of the request; requests are counted for faults only. It is no model and judges nothing.
//!
//! ```
//! let text = r#"
//! schema: 1
//! models:
//!   - {name: "demo:latest", capabilities: [completion, tools], context: 32768, load_ms: 300}
//! pace_ms: 10
//! turns:
//!   - when: {role: developer, step: build, turn: 0}
//!     say:
//!       - text: I look at {{goal}} first.
//!       - tool: {name: read_file, arguments: {path: src/lib.rs}}
//!   - when: {role: developer, last_tool: read_file, tool_result_contains: "fn main"}
//!     say:
//!       - fault: {kind: refuse, status: 503, times: 1}
//!       - text: Done.
//! "#;
//! let script = atelier_stage::Script::read("demo.yaml", text)?;
//! assert_eq!(script.turns.len(), 2);
//! # Ok::<(), atelier_protocol::yaml::YamlError>(())
//! ```

mod answer;
mod anthropic;
mod body;
mod document;
mod fault;
mod inventory;
mod line;
mod matching;
mod ollama;
mod openai;
mod request;
mod responses;
mod room;
mod routes;
mod script;
mod sending;
mod server;
mod store;
mod talk;
pub mod tour;
mod transcript;

pub use fault::{Fault, FaultKind};
pub use script::{
    Arguments, Capability, Dialect, Newline, Overflow, Part, Price, Repeat, Script, ScriptModel, StopWord, Tool,
    ToolShape, Turn, When, Words,
};
pub use server::{Options, Stage, StageError};
pub use transcript::{Bill, Cost, Ended, Exchange, Unmatched};
