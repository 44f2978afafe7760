//! What a stage plays: models, and turns with the requests they answer. One YAML file.
//!
//! Reading checks everything that can be wrong with a script, so that playing it cannot fail.

use crate::fault::Fault;
use atelier_protocol::yaml::{self, YamlError};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;

/// A whole script.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The version of this file's shape; 1.
    pub schema: u32,
    /// What the script shows, for people.
    #[serde(default)]
    pub about: String,
    /// The version the server says it has.
    #[serde(default = "default_version")]
    pub version: String,
    /// The models it has. The first is the one that is meant where a request to an OpenAI-style route names none.
    pub models: Vec<ScriptModel>,
    /// Where Ollama's dialect puts tool calls.
    #[serde(default)]
    pub tool_calls: ToolShape,
    /// How the OpenAI-style route speaks.
    #[serde(default)]
    pub openai: Dialect,
    /// How tool arguments are cut on the OpenAI-style route: pieces of so many characters; 0 sends them whole. Without
    /// it, as the dialect does: `ollama` whole, `llama_server` in pieces of 5.
    #[serde(default)]
    pub fragments: Option<usize>,
    /// Waits so long before every piece, in milliseconds.
    #[serde(default)]
    pub pace_ms: u64,
    /// Sends the body in chunks of so many bytes, wherever that cuts; 0 sends one line or event a chunk.
    #[serde(default)]
    pub chunk_bytes: usize,
    /// Draws the size of each chunk from 1 to `chunk_bytes` instead, from this seed and the request.
    #[serde(default)]
    pub chunk_seed: Option<u64>,
    /// Answers so many chats at a time and lets the others wait without a byte; 0 is no limit.
    #[serde(default)]
    pub slots: usize,
    /// Lets so many chats wait for a slot and turns the next one away; without it, as many as come.
    #[serde(default)]
    pub queue: Option<usize>,
    /// Models that memory holds at a time: one more unloads the one that was used least lately; 0 holds all.
    #[serde(default)]
    pub holds: usize,
    /// What becomes of a prompt that is longer than the context.
    #[serde(default)]
    pub overflow: Overflow,
    /// Whether models that run in a cloud are turned away, as a server does whose user switched the cloud off.
    #[serde(default)]
    pub cloud_off: bool,
    /// The key that a request to an OpenAI-style or Anthropic route must carry; without it any does.
    #[serde(default)]
    pub key: Option<String>,
    /// Answers as a version from before capabilities, lengths and remote models were told.
    #[serde(default)]
    pub old: bool,
    /// How lines end in streams.
    #[serde(default)]
    pub newline: Newline,
    /// Puts a byte order mark before each stream.
    #[serde(default)]
    pub byte_order_mark: bool,
    /// What is answered. The first turn whose `when` fits is played.
    pub turns: Vec<Turn>,
}

fn default_version() -> String {
    "0.32.15".to_owned()
}

/// A model the stage has.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptModel {
    /// Its name; without a tag, `:latest` is meant.
    pub name: String,
    /// What it can do.
    #[serde(default = "default_capabilities")]
    pub capabilities: Vec<Capability>,
    /// Its context length in tokens. A longer prompt, at four bytes a token, is refused as too long.
    #[serde(default = "default_context")]
    pub context: u32,
    /// Its size in bytes.
    #[serde(default = "default_bytes")]
    pub bytes: u64,
    /// Whether the server passes it on to a cloud.
    #[serde(default)]
    pub remote: bool,
    /// The most context the server gives it, whatever is asked for: memory is short.
    #[serde(default)]
    pub allocates: Option<u32>,
    /// The context length it is loaded with from the start.
    #[serde(default)]
    pub loaded: Option<u32>,
    /// Settings of its file, as `/api/show` tells them.
    #[serde(default)]
    pub parameters: Option<String>,
    /// Length of its vectors.
    #[serde(default = "default_embedding")]
    pub embedding: usize,
    /// Whether it is here. One that is not can be pulled.
    #[serde(default = "yes")]
    pub here: bool,
    /// The layers of a pull, in bytes.
    #[serde(default = "default_layers")]
    pub layers: Vec<u64>,
    /// The connection of its first pull is cut after so many bytes of a layer.
    #[serde(default)]
    pub pull_breaks: Option<u64>,
    /// What a token costs. Without it the bill counts tokens only.
    #[serde(default)]
    pub price: Option<Price>,
    /// How long its first use takes longer, in milliseconds.
    #[serde(default)]
    pub load_ms: u64,
}

/// What tokens cost, in millionths of the currency for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Tokens of the prompt.
    pub input: u64,
    /// Tokens of the answer.
    pub output: u64,
}

/// What becomes of a prompt that is longer than the context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// As a real server: told not to cut, it refuses; else it drops the oldest messages, or refuses where the last alone
    /// is too long.
    #[default]
    AsAsked,
    /// Drops the oldest messages without a word, whatever it was told.
    DropOldest,
    /// Cuts the middle out of the last message without a word, whatever it was told.
    CutMiddle,
}

/// How lines end in streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Newline {
    /// A line feed.
    #[default]
    Lf,
    /// A carriage return and a line feed.
    Crlf,
}

fn yes() -> bool {
    true
}
fn default_embedding() -> usize {
    384
}
fn default_layers() -> Vec<u64> {
    vec![46_220_416, 148]
}
fn default_capabilities() -> Vec<Capability> {
    vec![Capability::Completion, Capability::Tools]
}
fn default_context() -> u32 {
    32_768
}
fn default_bytes() -> u64 {
    2_131_753
}

/// What a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Chat.
    Completion,
    /// Call tools.
    Tools,
    /// Think aloud.
    Thinking,
    /// Turn text into vectors.
    Embedding,
}

/// Where Ollama's dialect puts tool calls. Real servers do both, depending on the model's template.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolShape {
    /// All in the final line.
    #[default]
    Last,
    /// Each in a line of its own, before an empty final line.
    Own,
}

/// How the OpenAI-style route speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// As Ollama's compatibility layer: `reasoning`; an error in the stream is an empty chunk and the end.
    #[default]
    Ollama,
    /// As llama.cpp's server: `content: null` first, `reasoning_content`; an error is an event.
    LlamaServer,
    /// As a server that knows no tool calls: they stand in the text, between tags. Written by Python.
    Weak,
    /// As a paid service: comments between the events, usage after them, limits in the headers.
    Cloud,
}

/// One answer and the requests it answers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// A name for the transcript.
    #[serde(default)]
    pub name: Option<String>,
    /// Which requests it answers; everything given must fit, and nothing given fits every request.
    #[serde(default)]
    pub when: When,
    /// What is said, in order. Nothing is an empty answer.
    #[serde(default)]
    pub say: Vec<Part>,
    /// Why the answer stops.
    #[serde(default)]
    pub stop: StopWord,
    /// As the script's own, for this turn.
    #[serde(default)]
    pub pace_ms: Option<u64>,
    /// As the script's own, for this turn.
    #[serde(default)]
    pub chunk_bytes: Option<usize>,
}

/// One text or several that must all be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;
        impl<'de> serde::de::Visitor<'de> for OneOrSeveral {
            type Value = Words;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Words, E> {
                Ok(Words(vec![text.to_owned()]))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Words, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(Words(texts))
            }
        }
        deserializer.deserialize_any(OneOrSeveral)
    }
}

/// Which requests a turn answers. Everything given must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// The model's name.
    pub model: Option<String>,
    /// The `role:` line of the system text.
    pub role: Option<String>,
    /// The `step:` line of the system text.
    pub step: Option<String>,
    /// Answers of the model in the request so far.
    pub turn: Option<usize>,
    /// Tool results since the last message of the user.
    pub tool_results: Option<usize>,
    /// The tool of the last tool result, where the request ends in tool results.
    pub last_tool: Option<String>,
    /// In the tool results at the end of the request.
    pub tool_result_contains: Words,
    /// In the system text.
    pub system_contains: Words,
    /// In the messages of the user.
    pub user_contains: Words,
    /// In the last message of the user.
    pub last_user_contains: Words,
    /// In any message.
    pub contains: Words,
    /// In no message.
    pub not_contains: Words,
    /// Tools that are offered.
    pub offers: Words,
}

/// One part of an answer. Exactly one of the keys is given.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Text, sent word by word. `{{goal}}` stands for the goal in the user's text.
    Text(String),
    /// Thoughts, sent word by word.
    Thinking(String),
    /// One piece of this text, so many times over.
    Repeat(Repeat),
    /// A tool call.
    Tool(Tool),
    /// A pause in milliseconds.
    PauseMs(u64),
    /// Something that goes wrong.
    Fault(Fault),
}

/// A tool call.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// The tool.
    pub name: String,
    /// Its arguments.
    #[serde(default)]
    pub arguments: Arguments,
    /// Its id, in place of a made one; an empty one is left out.
    #[serde(default)]
    pub id: Option<String>,
    /// Arguments as they are sent where the dialect sends an object: a text, a list, anything.
    #[serde(default)]
    pub instead: Option<serde_json::Value>,
}

/// A long piece of text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// What is repeated.
    pub text: String,
    /// How often.
    pub times: usize,
}

/// Arguments of a tool call, an object.
pub type Arguments = serde_json::Map<String, serde_json::Value>;

/// Why an answer stops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopWord {
    /// It is finished.
    #[default]
    End,
    /// The length limit.
    Length,
    /// The service's filter, or the model's own refusal.
    Filter,
    /// The service wants to be asked to go on.
    Pause,
}

impl Script {
    /// Reads the text of the script file called `file`.
    ///
    /// # Errors
    /// With file, line and what is wrong.
    pub fn read(file: &str, text: &str) -> Result<Script, YamlError> {
        let script: Script = yaml::read(file, text)?;
        let wrong = |needle: &str, message: String| {
            Err(YamlError { file: file.to_owned(), line: yaml::line_of(text, needle), column: 0, message })
        };
        if script.models.is_empty() {
            return wrong("models:", "`models` is empty; a server without a model answers nothing".to_owned());
        }
        let mut names = BTreeSet::new();
        for model in &script.models {
            if !names.insert(full_name(&model.name)) {
                return wrong(&model.name, format!("model `{}` is there twice", model.name));
            }
        }
        for (at, turn) in script.turns.iter().enumerate() {
            if turn.when == When::default() && at + 1 < script.turns.len() {
                let message = format!("turn {at} has no `when`, so the turns after it can never be played");
                return wrong("turns:", message);
            }
            for part in &turn.say {
                let Part::Fault(fault) = part else { continue };
                if let Some(message) = fault.wrong() {
                    return wrong(fault.kind.word(), format!("turn {at}: {message}"));
                }
            }
        }
        Ok(script)
    }
}

/// A model's name with its tag.
pub(crate) fn full_name(name: &str) -> String {
    if name.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}
