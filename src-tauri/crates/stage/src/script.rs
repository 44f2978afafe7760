//! What a stage plays: models, and turns with the requests they answer. One YAML file.
//!
//! Reading checks everything that can be wrong with a script, so that playing it cannot fail.

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
    /// Answers so many chats at a time and lets the others wait without a byte; 0 is no limit.
    #[serde(default)]
    pub slots: usize,
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
    /// How long its first use takes longer, in milliseconds.
    #[serde(default)]
    pub load_ms: u64,
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
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// In the first so many requests that reach it; without it, in every one.
    #[serde(default)]
    pub times: Option<u32>,
    /// `refuse`: the status.
    #[serde(default)]
    pub status: Option<u16>,
    /// `refuse`: the `retry-after` header.
    #[serde(default)]
    pub retry_after: Option<String>,
    /// `refuse` and `error`: the server's words.
    #[serde(default)]
    pub error: Option<String>,
    /// `refuse`: the whole body, in place of the dialect's own error body.
    #[serde(default)]
    pub body: Option<String>,
    /// `malformed_call`: the tool.
    #[serde(default)]
    pub tool: Option<String>,
    /// `malformed_call`: the arguments as they are sent.
    #[serde(default)]
    pub arguments: Option<String>,
    /// `raw`: bytes that are put into the body as they are.
    #[serde(default)]
    pub raw: Option<String>,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A status other than 200, in place of the answer.
    Refuse,
    /// The connection is closed before any byte of the answer.
    HangUp,
    /// The connection is cut in the middle of the body.
    Disconnect,
    /// The body ends cleanly without the dialect's last word.
    NoEnd,
    /// Nothing more comes, and the connection stays open.
    Stall,
    /// A 200 with no body at all.
    Empty,
    /// An error inside the stream, and its end.
    Error,
    /// A tool call whose arguments are no JSON.
    MalformedCall,
    /// Bytes that are not of the dialect.
    Raw,
}

impl FaultKind {
    /// As it stands in a script.
    pub(crate) fn word(self) -> &'static str {
        match self {
            FaultKind::Refuse => "refuse",
            FaultKind::HangUp => "hang_up",
            FaultKind::Disconnect => "disconnect",
            FaultKind::NoEnd => "no_end",
            FaultKind::Stall => "stall",
            FaultKind::Empty => "empty",
            FaultKind::Error => "error",
            FaultKind::MalformedCall => "malformed_call",
            FaultKind::Raw => "raw",
        }
    }
}

impl Fault {
    /// What is wrong with it. A key that its kind does not read would be a fault that is never seen.
    fn wrong(&self) -> Option<String> {
        use FaultKind::{Error, MalformedCall, Raw, Refuse};
        let kind = self.kind;
        let given = [
            ("status", self.status.is_some(), kind == Refuse),
            ("retry_after", self.retry_after.is_some(), kind == Refuse),
            ("body", self.body.is_some(), kind == Refuse),
            ("error", self.error.is_some(), matches!(kind, Refuse | Error)),
            ("tool", self.tool.is_some(), kind == MalformedCall),
            ("arguments", self.arguments.is_some(), kind == MalformedCall),
            ("raw", self.raw.is_some(), kind == Raw),
        ];
        if let Some((key, ..)) = given.iter().find(|(_, given, read)| *given && !*read) {
            return Some(format!("a fault of kind `{}` has no `{key}`", kind.word()));
        }
        match kind {
            Refuse if !self.status.is_none_or(|status| (300..600).contains(&status)) => {
                Some("the `status` of a refusal is between 300 and 599".to_owned())
            }
            MalformedCall if self.tool.is_none() => Some("`malformed_call` needs `tool`".to_owned()),
            Raw if self.raw.is_none() => Some("`raw` needs `raw`, the bytes".to_owned()),
            _ => None,
        }
    }
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

    /// The model that a request names.
    pub(crate) fn model(&self, name: &str) -> Option<&ScriptModel> {
        self.models.iter().find(|model| full_name(&model.name) == full_name(name))
    }
}

/// A model's name with its tag.
pub(crate) fn full_name(name: &str) -> String {
    if name.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}
