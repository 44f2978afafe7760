//! OpenAI's chat, as plain types, and how they become a question to a model and back.
//!
//! What the router cannot pass on is refused by name, never dropped in silence.

use atelier_models::{AnswerSchema, ChatRequest, Message, ModelEvent, ModelStream, ToolSpec, Turn};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Stop, ToolCall, Usage};
use atelier_protocol::settings::ProviderSettings;
use futures_util::{Stream, StreamExt, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The body of `POST /v1/chat/completions`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct ChatBody {
    /// `auto`, `server/model`, or a model's name.
    #[serde(default)]
    pub model: String,
    /// The conversation, oldest first.
    pub messages: Vec<ChatMessage>,
    /// Whether the answer comes as events.
    #[serde(default)]
    pub stream: bool,
    /// Whether the last event tells the tokens.
    #[serde(default)]
    pub stream_options: Option<StreamOptions>,
    /// How freely the model chooses.
    #[serde(default)]
    pub temperature: Option<f32>,
    /// Chooses among the likeliest that make up this share.
    #[serde(default)]
    pub top_p: Option<f32>,
    /// Texts at which the answer ends.
    #[serde(default)]
    pub stop: Option<Stops>,
    /// The same number gives the same answer, as far as the server keeps that.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Answers to choose from; only 1 can be asked for.
    #[serde(default)]
    pub n: Option<u32>,
    /// Whether tools may be called; `auto`, or `none`.
    #[serde(default)]
    pub tool_choice: Option<Value>,
    /// Files of the project whose content the messages hold, by their paths below its folder: an answer that is kept counts
    /// only while they stay as they are. Atelier's own.
    #[serde(default)]
    pub files: Vec<String>,
    /// At most so many tokens of answer.
    #[serde(default, alias = "max_tokens")]
    pub max_completion_tokens: Option<u32>,
    /// Tools that the model may ask for.
    #[serde(default)]
    pub tools: Vec<Tool>,
    /// The form of the answer: `text`, `json_object`, or `json_schema` with a schema.
    #[serde(default)]
    pub response_format: Option<ResponseFormat>,
}

/// What events tell besides the answer.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct StreamOptions {
    /// The tokens.
    #[serde(default)]
    pub include_usage: bool,
}

/// The form of an answer.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct ResponseFormat {
    /// Its name.
    #[serde(rename = "type")]
    pub kind: String,
    /// The schema, for `json_schema`.
    #[serde(default)]
    pub json_schema: Option<NamedSchema>,
}

/// A schema with its name.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct NamedSchema {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Whether a server that keeps to some schemas only is to refuse the others.
    #[serde(default)]
    pub strict: Option<bool>,
    /// The schema.
    pub schema: Value,
}

/// Texts at which an answer ends.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Stops {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// A message.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct ChatMessage {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    pub role: String,
    /// Text, or parts of type `text`.
    #[serde(default)]
    pub content: Option<Content>,
    /// Tools that the assistant asked for.
    #[serde(default)]
    pub tool_calls: Vec<Call>,
    /// The call that a tool's message answers.
    #[serde(default)]
    pub tool_call_id: Option<String>,
    /// The tool's name.
    #[serde(default)]
    pub name: Option<String>,
}

/// The content of a message.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Content {
    /// Text.
    Text(String),
    /// Parts.
    Parts(Vec<Part>),
}

/// A part of a content.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct Part {
    /// `text`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text.
    #[serde(default)]
    pub text: String,
}

/// A tool that is offered.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct Tool {
    /// The function.
    pub function: Function,
}

/// A function.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// Its arguments as a JSON schema.
    #[serde(default)]
    pub parameters: Value,
}

/// A call of a tool.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct Call {
    /// Its id.
    pub id: String,
    /// `function`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The function and its arguments.
    pub function: Called,
}

/// A called function.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
pub struct Called {
    /// Its name.
    pub name: String,
    /// The arguments, JSON as text.
    pub arguments: String,
}

impl ChatBody {
    /// The question to a model.
    ///
    /// # Errors
    /// What cannot be passed on, by name.
    pub fn request(&self) -> Result<ChatRequest, Problem> {
        if self.messages.is_empty() {
            return Err(bad("`messages` is empty"));
        }
        if self.n.is_some_and(|n| n != 1) {
            return Err(bad("`n` other than 1 is not passed on"));
        }
        let tools = match &self.tool_choice {
            None | Some(Value::Null) => self.tools.as_slice(),
            Some(choice) if choice == "auto" => self.tools.as_slice(),
            Some(choice) if choice == "none" => &[],
            Some(choice) => return Err(bad(&format!("`tool_choice` {choice} is not passed on"))),
        };
        let mut messages = Vec::new();
        for message in &self.messages {
            messages.push(message.message(&self.messages)?);
        }
        let mut request = ChatRequest::new("", messages);
        request.temperature = self.temperature;
        request.top_p = self.top_p;
        request.stop = match &self.stop {
            None => Vec::new(),
            Some(Stops::One(text)) => vec![text.clone()],
            Some(Stops::Several(texts)) => texts.clone(),
        };
        request.seed = self.seed;
        request.schema = self.response_format.as_ref().map_or(Ok(None), ResponseFormat::schema)?;
        request.max_output = self.max_completion_tokens;
        request.id_prefix = "call".to_owned();
        request.tools = tools
            .iter()
            .map(|tool| ToolSpec {
                name: tool.function.name.clone(),
                description: tool.function.description.clone(),
                parameters: match &tool.function.parameters {
                    Value::Null => json!({"type": "object", "properties": {}}),
                    schema => schema.clone(),
                },
            })
            .collect();
        Ok(request)
    }
}

impl ResponseFormat {
    fn schema(&self) -> Result<Option<AnswerSchema>, Problem> {
        match (self.kind.as_str(), &self.json_schema) {
            ("text", _) => Ok(None),
            ("json_object", _) => Ok(Some(AnswerSchema { schema: json!({"type": "object"}), strict: false })),
            ("json_schema", Some(NamedSchema { schema, strict, .. })) if schema.is_object() => {
                Ok(Some(AnswerSchema { schema: schema.clone(), strict: *strict == Some(true) }))
            }
            ("json_schema", _) => Err(bad("`response_format` of type `json_schema` holds no schema")),
            (kind, _) => Err(bad(&format!("`response_format` of type `{kind}` is not passed on"))),
        }
    }
}

impl ChatMessage {
    fn message(&self, all: &[ChatMessage]) -> Result<Message, Problem> {
        let text = self.text()?;
        Ok(match self.role.as_str() {
            "system" | "developer" => Message::system(text),
            "user" => Message::user(text),
            "assistant" => {
                let calls: Result<Vec<ToolCall>, Problem> = self.tool_calls.iter().map(Call::call).collect();
                Message::assistant(text, calls?)
            }
            "tool" => {
                let Some(id) = &self.tool_call_id else {
                    return Err(bad("a message of role `tool` names no `tool_call_id`"));
                };
                let mut calls = all.iter().flat_map(|message| &message.tool_calls);
                let name = calls.find(|call| call.id == *id).map(|call| call.function.name.clone());
                let name = name.or_else(|| self.name.clone()).unwrap_or_default();
                Message::Tool { id: id.clone(), name, text }
            }
            other => return Err(bad(&format!("there is no role `{other}`"))),
        })
    }

    fn text(&self) -> Result<String, Problem> {
        match &self.content {
            None => Ok(String::new()),
            Some(Content::Text(text)) => Ok(text.clone()),
            Some(Content::Parts(parts)) => match parts.iter().find(|part| part.kind != "text") {
                Some(part) => Err(bad(&format!("a content part of type `{}` is not passed on", part.kind))),
                None => Ok(parts.iter().map(|part| part.text.as_str()).collect()),
            },
        }
    }
}

impl Call {
    fn call(&self) -> Result<ToolCall, Problem> {
        let text = if self.function.arguments.trim().is_empty() { "{}" } else { &self.function.arguments };
        let arguments: Value = serde_json::from_str(text)
            .map_err(|e| bad(&format!("the arguments of `{}` are not JSON: {e}", self.function.name)))?;
        Ok(ToolCall { id: self.id.clone(), name: self.function.name.clone(), arguments })
    }
}

/// What cannot be passed on.
pub(super) fn bad(what: &str) -> Problem {
    Problem::new(Code::BadArgument, format!("The request cannot be served: {what}."), "Change the request.")
}

/// What every answer begins with.
#[derive(Debug, Clone)]
pub struct Head {
    /// Its id.
    pub id: String,
    /// When it began, in seconds since 1970.
    pub created: u64,
    /// The model that answers.
    pub model: String,
}

/// A whole answer.
pub fn completion(head: &Head, turn: &Turn) -> Value {
    let calls: Vec<Value> = turn.tool_calls.iter().enumerate().map(|(at, call)| called(at, call)).collect();
    let mut message = json!({"role": "assistant", "content": turn.text});
    if !turn.thinking.is_empty() {
        message["reasoning_content"] = turn.thinking.clone().into();
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    json!({
        "id": head.id, "object": "chat.completion", "created": head.created, "model": head.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish(turn.stop, !turn.tool_calls.is_empty())}],
        "usage": usage(&turn.usage),
    })
}

/// The events of an answer. A broken one ends with an error and without the last word.
pub fn chunks(
    head: Head,
    server: ProviderSettings,
    events: ModelStream,
    with_usage: bool,
) -> impl Stream<Item = String> + Send {
    let chunk = move |head: &Head, delta: Value, finish: Value| {
        json!({
            "id": head.id, "object": "chat.completion.chunk", "created": head.created, "model": head.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        })
        .to_string()
    };
    let first = chunk(&head, json!({"role": "assistant", "content": ""}), Value::Null);
    let mut calls = 0usize;
    let rest = events.flat_map(move |event| {
        let said: Vec<String> = match event {
            Ok(ModelEvent::Phase(_)) => Vec::new(),
            Ok(ModelEvent::Text(text)) => vec![chunk(&head, json!({"content": text}), Value::Null)],
            Ok(ModelEvent::Thinking(text)) => vec![chunk(&head, json!({"reasoning_content": text}), Value::Null)],
            Ok(ModelEvent::ToolCall(call)) => {
                calls += 1;
                vec![chunk(&head, json!({"tool_calls": [called(calls - 1, &call)]}), Value::Null)]
            }
            Ok(ModelEvent::Done { usage: spent, stop, .. }) => {
                let mut last = vec![chunk(&head, json!({}), finish(stop, calls > 0).into())];
                if with_usage {
                    let all = json!({
                        "id": head.id, "object": "chat.completion.chunk", "created": head.created, "model": head.model,
                        "choices": [], "usage": usage(&spent),
                    });
                    last.push(all.to_string());
                }
                last.push("[DONE]".to_owned());
                last
            }
            Err(error) => vec![super::answer::error_of(&error.problem(&server, &head.model)).to_string()],
        };
        stream::iter(said)
    });
    stream::once(std::future::ready(first)).chain(rest)
}

fn called(index: usize, call: &ToolCall) -> Value {
    json!({
        "index": index, "id": call.id, "type": "function",
        "function": {"name": call.name, "arguments": call.arguments.to_string()},
    })
}

fn finish(stop: Stop, called: bool) -> &'static str {
    match stop {
        _ if called => "tool_calls",
        Stop::Length => "length",
        Stop::Filter => "content_filter",
        Stop::End | Stop::Tools | Stop::Other => "stop",
    }
}

/// The tokens; null where the server did not say.
fn usage(usage: &Usage) -> Value {
    let total = usage.prompt_tokens.zip(usage.output_tokens).map(|(prompt, output)| prompt + output);
    json!({"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.output_tokens, "total_tokens": total})
}
