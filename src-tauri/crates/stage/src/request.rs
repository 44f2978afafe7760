//! A chat request in no dialect: what a script's `when` looks at.
//!
//! Reads all three wire formats, and finds what a real server would refuse before it asks a model.

use crate::ollama::runner_error;
use serde_json::Value;

/// One message of the conversation.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Said {
    /// `system`, `user`, `assistant` or `tool`.
    pub(crate) role: String,
    /// Its text.
    pub(crate) text: String,
    /// Ids and names of the tool calls in it.
    pub(crate) calls: Vec<(String, String)>,
    /// For a tool result: the tool, by its name or by the id of its call.
    pub(crate) tool: Option<String>,
}

/// A chat request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Asked {
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) messages: Vec<Said>,
    /// Names of the tools that are offered.
    pub(crate) tools: Vec<String>,
    /// `think` where it is given: whether it is on.
    pub(crate) think: Option<bool>,
    pub(crate) context: Option<u32>,
    /// Whether a prompt that is too long may be cut.
    pub(crate) truncate: bool,
    pub(crate) include_usage: bool,
    /// How long the model stays loaded after the answer.
    pub(crate) keep: Keep,
    pub(crate) logprobs: bool,
    /// Shows the prompt in place of an answer.
    pub(crate) render: bool,
    /// The tools as they came, for an answer that repeats them.
    pub(crate) offered: Value,
    /// Size of the tools' texts in bytes.
    pub(crate) tool_bytes: usize,
    /// Size of the prompt, at four bytes a token.
    pub(crate) prompt_tokens: u32,
    /// Identifies the request, so that made ids differ between requests and not between repetitions.
    pub(crate) print: u64,
}

/// How long a model stays loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Keep {
    /// For some time.
    #[default]
    While,
    /// Not at all.
    No,
    /// For ever.
    Forever,
}

/// A request that is refused before a model is asked: status and the server's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) error: String,
    /// Whether `error` is llama.cpp's own document, which its server sends as it is and Ollama puts into a string.
    pub(crate) document: bool,
    /// Where a real server finds it.
    pub(crate) found: Found,
}

/// Where a real server finds that it must refuse; its answers differ by a word or a line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// While it reads the request.
    Reading,
    /// When it looks the request over.
    Asking,
    /// When the model is asked.
    Running,
}

impl Refusal {
    pub(crate) fn new(status: u16, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), document: false, found: Found::Asking }
    }
}

/// A document of llama.cpp's, found when the model is asked.
pub(crate) fn of_runner(status: u16, document: String) -> Refusal {
    Refusal { status, error: document, document: true, found: Found::Running }
}

fn unread<T>(error: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { found: Found::Reading, ..Refusal::new(400, error) })
}

fn refuse<T>(status: u16, error: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(status, error))
}

/// Parses a body as a real server words it where it cannot.
pub(crate) fn json(body: &[u8]) -> Result<Value, Refusal> {
    if body.is_empty() {
        return unread("missing request body");
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => unread("json: cannot unmarshal into Go value of type api.ChatRequest"),
        Err(error) if error.is_eof() => unread("unexpected EOF"),
        Err(error) => unread(format!("invalid character: {error}")),
    }
}

/// Reads a body of `/api/chat`.
pub(crate) fn of_ollama(body: &Value) -> Result<Asked, Refusal> {
    let mut asked = shared(body, true)?;
    asked.truncate = body["truncate"].as_bool().unwrap_or(true);
    asked.keep = keep(&body["keep_alive"])?;
    asked.logprobs = body["logprobs"].as_bool().unwrap_or(false);
    asked.render = body["_debug_render_only"].as_bool().unwrap_or(false);
    asked.context = match &body["options"]["num_ctx"] {
        Value::Null => None,
        Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        _ => return refuse(500, "option \"num_ctx\" must be of type integer"),
    };
    asked.think = match &body["think"] {
        Value::Null => None,
        Value::Bool(on) => Some(*on),
        Value::String(word) if matches!(word.as_str(), "low" | "medium" | "high" | "max") => Some(true),
        other => {
            let error = format!(
                "invalid think value: {other} (must be \"high\", \"medium\", \"low\", \"max\", true, or false)"
            );
            return refuse(400, error);
        }
    };
    for message in body["messages"].as_array().into_iter().flatten() {
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            // The real server's own, misleading words for arguments that are not an object.
            if !matches!(&call["function"]["arguments"], Value::Object(_) | Value::Null) {
                return refuse(400, "Value looks like object, but can't find closing '}' symbol");
            }
        }
    }
    Ok(asked)
}

/// Reads a body of `/api/generate`: a prompt in place of messages.
pub(crate) fn of_generate(body: &Value) -> Result<Asked, Refusal> {
    let mut messages = Vec::new();
    for (role, key) in [("system", "system"), ("user", "prompt")] {
        if let Some(text) = body[key].as_str().filter(|text| !text.is_empty()) {
            messages.push(serde_json::json!({"role": role, "content": text}));
        }
    }
    let mut chat = body.clone();
    chat["messages"] = messages.into();
    of_ollama(&chat)
}

/// `"10m"`, seconds, 0 for not at all, less for ever.
fn keep(value: &Value) -> Result<Keep, Refusal> {
    let seconds = match value {
        Value::Null => return Ok(Keep::While),
        Value::Number(number) => number.as_f64().unwrap_or(0.0),
        Value::String(text) => {
            let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
            match digits.parse::<f64>() {
                Ok(number) if number == 0.0 || digits.len() < text.len() => number,
                _ => return refuse(400, format!("time: invalid duration {text:?}")),
            }
        }
        _ => return refuse(400, "json: cannot unmarshal into Go struct field ChatRequest.keep_alive"),
    };
    Ok(if seconds == 0.0 {
        Keep::No
    } else if seconds < 0.0 {
        Keep::Forever
    } else {
        Keep::While
    })
}

/// What a model's server says of a format it cannot keep to.
pub(crate) fn wrong_format(format: &Value) -> Option<Refusal> {
    match format {
        Value::Null => None,
        Value::String(word) if word.is_empty() || word == "json" => None,
        Value::Object(schema) => match schema.get("type").and_then(Value::as_str) {
            None | Some("object" | "array" | "string" | "number" | "integer" | "boolean" | "null") => None,
            Some(other) => {
                let message = format!(
                    "Unable to generate parser for this template. Automatic parser generation failed: JSON schema error at #: unrecognized type {other}"
                );
                let error = runner_error(400, &message, "invalid_request_error", serde_json::json!({}));
                Some(of_runner(400, error))
            }
        },
        other => {
            let error =
                format!("invalid format: {:?}; expected \"json\" or a valid JSON Schema object", other.to_string());
            Some(Refusal { found: Found::Running, ..Refusal::new(500, error) })
        }
    }
}

/// Reads a body of `/v1/responses`. A request that names no model means `default_model`.
pub(crate) fn of_responses(body: &Value, default_model: &str) -> Result<Asked, Refusal> {
    let mut messages = Vec::new();
    if let Some(rules) = body["instructions"].as_str() {
        messages.push(serde_json::json!({"role": "system", "content": rules}));
    }
    match &body["input"] {
        Value::String(text) => messages.push(serde_json::json!({"role": "user", "content": text})),
        Value::Array(items) => messages.extend(items.iter().map(|item| match item["type"].as_str() {
            Some("function_call") => serde_json::json!({
                "role": "assistant", "content": "",
                "tool_calls": [{"id": item["call_id"], "function": {"name": item["name"], "arguments": item["arguments"]}}],
            }),
            Some("function_call_output") => {
                serde_json::json!({"role": "tool", "content": item["output"], "tool_call_id": item["call_id"]})
            }
            _ if item["role"] == "developer" => serde_json::json!({"role": "system", "content": item["content"]}),
            _ => serde_json::json!({"role": item["role"], "content": item["content"]}),
        })),
        _ => return refuse(400, "'input' is required"),
    }
    let mut chat = serde_json::json!({"model": body["model"], "stream": body["stream"], "messages": messages});
    let wrapped = body["tools"].as_array().into_iter().flatten().map(|tool| serde_json::json!({"function": tool}));
    chat["tools"] = wrapped.collect();
    let mut asked = of_openai(&chat, default_model)?;
    asked.include_usage = true;
    asked.offered = body["tools"].clone();
    Ok(asked)
}

/// Reads a body of `/v1/chat/completions`. A request that names no model means `default_model`.
pub(crate) fn of_openai(body: &Value, default_model: &str) -> Result<Asked, Refusal> {
    if !body["messages"].is_array() {
        return refuse(400, "'messages' is required");
    }
    let mut asked = shared(body, false)?;
    if asked.model.is_empty() {
        default_model.clone_into(&mut asked.model);
    }
    asked.include_usage = !asked.stream || body["stream_options"]["include_usage"].as_bool().unwrap_or(false);
    if let Some(choice) = body["tool_choice"].as_str().filter(|choice| !matches!(*choice, "auto" | "none" | "required"))
    {
        return refuse(400, format!("Invalid tool_choice: {choice}"));
    }
    for message in body["messages"].as_array().into_iter().flatten() {
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            if !matches!(&call["function"]["arguments"], Value::String(_) | Value::Null) {
                return refuse(400, "tool call arguments must be a string");
            }
        }
    }
    Ok(asked)
}

/// Reads a body of `/v1/messages`. A request that names no model means `default_model`.
pub(crate) fn of_anthropic(body: &Value, default_model: &str) -> Result<Asked, Refusal> {
    if !body["messages"].is_array() {
        return refuse(400, "'messages' is required");
    }
    if !body["max_tokens"].is_u64() {
        return refuse(400, "max_tokens: Field required");
    }
    let mut asked = shared(body, false)?;
    if asked.model.is_empty() {
        default_model.clone_into(&mut asked.model);
    }
    let mut messages = Vec::new();
    let rules = text_of(&body["system"]);
    if !rules.is_empty() {
        messages.push(Said { role: "system".to_owned(), text: rules, ..Said::default() });
    }
    for message in body["messages"].as_array().into_iter().flatten() {
        of_blocks(message, &mut messages);
    }
    let names: Vec<(String, String)> = messages.iter().flat_map(|said| said.calls.clone()).collect();
    for said in messages.iter_mut().filter(|said| said.role == "tool") {
        let known = names.iter().rev().find(|(id, _)| said.tool.as_ref() == Some(id));
        said.tool = known.map(|(_, name)| name.clone());
    }
    let tools = body["tools"].as_array().into_iter().flatten();
    asked.tools = tools.filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect();
    asked.think = body.get("thinking").map(|thinking| thinking["type"] == "enabled");
    asked.messages = messages;
    asked.count();
    Ok(asked)
}

/// A message of blocks: its tool results are messages of their own, before what the user says with them.
fn of_blocks(message: &Value, messages: &mut Vec<Said>) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let blocks = || message["content"].as_array().into_iter().flatten();
    for result in blocks().filter(|block| block["type"] == "tool_result") {
        let tool = Some(text(&result["tool_use_id"]));
        messages.push(Said { role: "tool".to_owned(), text: text_of(&result["content"]), calls: Vec::new(), tool });
    }
    let calls = blocks().filter(|block| block["type"] == "tool_use");
    let calls: Vec<(String, String)> = calls.map(|call| (text(&call["id"]), text(&call["name"]))).collect();
    let said = text_of(&message["content"]);
    let only_results = blocks().next().is_some() && said.is_empty() && calls.is_empty();
    if !only_results {
        messages.push(Said { role: text(&message["role"]), text: said, calls, tool: None });
    }
}

fn shared(body: &Value, streams_unasked: bool) -> Result<Asked, Refusal> {
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    if model.is_empty() && streams_unasked {
        return refuse(400, "model is required");
    }
    let mut messages: Vec<Said> = body["messages"].as_array().into_iter().flatten().map(said).collect();
    name_results(&mut messages, body);
    let tools = body["tools"].as_array().into_iter().flatten();
    let tools = tools.filter_map(|tool| tool["function"]["name"].as_str().map(str::to_owned)).collect();
    let mut asked = Asked {
        model,
        stream: body["stream"].as_bool().unwrap_or(streams_unasked),
        messages,
        tools,
        print: print(&body["messages"].to_string()),
        tool_bytes: body.get("tools").map_or(0, |tools| tools.to_string().len()),
        ..Asked::default()
    };
    asked.count();
    Ok(asked)
}

/// Tokens of so many bytes: four bytes each, and at least one.
pub(crate) fn tokens(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(4).max(1)).unwrap_or(u32::MAX)
}

/// FNV-1a, so that ids are the same in every build.
pub(crate) fn print(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A text, or the text parts of a list.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

fn said(message: &Value) -> Said {
    let calls = message["tool_calls"].as_array().into_iter().flatten().map(|call| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&call["id"]), text(&call["function"]["name"]))
    });
    Said {
        role: message["role"].as_str().unwrap_or_default().to_owned(),
        text: text_of(&message["content"]),
        calls: calls.collect(),
        tool: message["tool_name"].as_str().map(str::to_owned),
    }
}

/// A tool result may carry only its call's id; the name then stands with the call.
fn name_results(messages: &mut [Said], body: &Value) {
    let ids = body["messages"].as_array().into_iter().flatten().map(|message| message["tool_call_id"].as_str());
    let calls: Vec<(String, String)> = messages.iter().flat_map(|said| said.calls.clone()).collect();
    for (said, id) in messages.iter_mut().zip(ids) {
        if said.tool.is_none()
            && let Some(id) = id
        {
            said.tool = calls.iter().rev().find(|(known, _)| known == id).map(|(_, name)| name.clone());
        }
    }
}

impl Asked {
    /// Counts the prompt anew: four bytes a token.
    pub(crate) fn count(&mut self) {
        let said = self.messages.iter().map(|said| said.text.len()).sum::<usize>();
        self.prompt_tokens = tokens(said + self.tool_bytes);
    }
    /// The system text.
    pub(crate) fn system(&self) -> String {
        let texts: Vec<&str> = self.of_role("system").map(|said| said.text.as_str()).collect();
        texts.join("\n")
    }
    /// The value of the first line `key: value` of the system text.
    pub(crate) fn line(&self, key: &str) -> Option<String> {
        let system = self.system();
        system.lines().find_map(|line| {
            let value = line.trim().strip_prefix(key)?.strip_prefix(':')?;
            Some(value.trim().to_owned())
        })
    }
    /// The messages of a role.
    pub(crate) fn of_role<'a>(&'a self, role: &'a str) -> impl DoubleEndedIterator<Item = &'a Said> {
        self.messages.iter().filter(move |said| said.role == role)
    }
    /// The tool results since the last message of the user.
    pub(crate) fn results(&self) -> impl Iterator<Item = &Said> {
        let from = self.messages.iter().rposition(|said| said.role == "user").map_or(0, |at| at + 1);
        self.messages[from..].iter().filter(|said| said.role == "tool")
    }
    /// The tool results that the request ends in.
    pub(crate) fn last_results(&self) -> &[Said] {
        let from = self.messages.iter().rposition(|said| said.role != "tool").map_or(0, |at| at + 1);
        &self.messages[from..]
    }
    /// The goal in the user's text: what follows `goal:` on its line, or else the line after it.
    pub(crate) fn goal(&self) -> Option<String> {
        self.of_role("user").find_map(|said| {
            let mut lines = said.text.lines();
            let after = lines.find_map(|line| line.trim_start().strip_prefix("goal:"))?.trim();
            if after.is_empty() { lines.next().map(|line| line.trim().to_owned()) } else { Some(after.to_owned()) }
        })
    }
}
