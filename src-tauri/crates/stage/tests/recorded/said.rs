//! What an answer says, read off its bytes whatever the wire format. Shares no code with the client.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What an answer says.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    pub thinking: String,
    pub text: String,
    /// Name, arguments as text, and what was said before it.
    pub calls: Vec<(String, String)>,
    pub length: bool,
    /// The error in the middle of it; empty where the dialect has no words for it.
    pub error: Option<String>,
}

/// Reads every document of a body.
pub fn of(body: &str) -> Said {
    let mut said = Said::default();
    let mut fragments: BTreeMap<u64, (String, String)> = BTreeMap::new();
    for line in body.lines() {
        let Ok(document) = serde_json::from_str::<Value>(line.strip_prefix("data: ").unwrap_or(line)) else { continue };
        native(&document, &mut said);
        chat(&document, &mut said, &mut fragments);
        blocks(&document, &mut said, &mut fragments);
        items(&document, &mut said);
    }
    said.calls.extend(fragments.into_values());
    let empty_end = body.contains("\"model\":\"\"");
    let no_end = body.contains("event: message_start") && !body.contains("event: message_stop");
    if empty_end || no_end {
        said.error = Some(String::new());
    }
    said
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Ollama's own lines.
fn native(document: &Value, said: &mut Said) {
    let message = &document["message"];
    said.thinking += text(&message["thinking"]);
    said.text += text(&message["content"]);
    said.text += text(&document["response"]);
    said.length |= document["done_reason"] == "length";
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let function = &call["function"];
        said.calls.push((text(&function["name"]).to_owned(), function["arguments"].to_string()));
    }
    if let (Some(error), None) = (document["error"].as_str(), document.get("done")) {
        said.error = Some(error.to_owned());
    }
}

/// Chunks and whole completions of the OpenAI-style route.
fn chat(document: &Value, said: &mut Said, fragments: &mut BTreeMap<u64, (String, String)>) {
    let choice = &document["choices"][0];
    let delta = choice.get("delta").or_else(|| choice.get("message")).unwrap_or(&Value::Null);
    said.thinking += text(&delta["reasoning"]);
    said.thinking += text(&delta["reasoning_content"]);
    said.text += text(&delta["content"]);
    said.length |= choice["finish_reason"] == "length";
    for (at, call) in delta["tool_calls"].as_array().into_iter().flatten().enumerate() {
        let index = call["index"].as_u64().unwrap_or(at as u64);
        let known = fragments.entry(index).or_default();
        known.0 += text(&call["function"]["name"]);
        known.1 += text(&call["function"]["arguments"]);
    }
}

/// Blocks of Anthropic's messages.
fn blocks(document: &Value, said: &mut Said, fragments: &mut BTreeMap<u64, (String, String)>) {
    let index = document["index"].as_u64().unwrap_or_default();
    if document["type"] == "content_block_start" && document["content_block"]["type"] == "tool_use" {
        fragments.entry(index).or_default().0 = text(&document["content_block"]["name"]).to_owned();
    }
    let delta = &document["delta"];
    if document["type"] == "content_block_delta" {
        said.thinking += text(&delta["thinking"]);
        said.text += text(&delta["text"]);
        if let Some(part) = delta["partial_json"].as_str() {
            fragments.entry(index).or_default().1 += part;
        }
    }
    said.length |= delta["stop_reason"] == "max_tokens" || document["stop_reason"] == "max_tokens";
    for block in document["content"].as_array().into_iter().flatten() {
        said.thinking += text(&block["thinking"]);
        said.text += text(&block["text"]);
    }
}

/// Items of responses, complete.
fn items(document: &Value, said: &mut Said) {
    let response = if document["type"] == "response.completed" { &document["response"] } else { document };
    if response["object"] != "response" || response["status"] == "in_progress" {
        return;
    }
    for item in response["output"].as_array().into_iter().flatten() {
        for content in item["content"].as_array().into_iter().flatten() {
            let place = if item["type"] == "reasoning" { &mut said.thinking } else { &mut said.text };
            *place += text(&content["text"]);
        }
        if item["type"] == "function_call" {
            said.calls.push((text(&item["name"]).to_owned(), text(&item["arguments"]).to_owned()));
        }
    }
}

/// The turn of a script that says this.
pub fn turn(said: &Said) -> Value {
    let mut say = Vec::new();
    if !said.thinking.is_empty() {
        say.push(json!({"thinking": said.thinking}));
    }
    if !said.text.is_empty() {
        say.push(json!({"text": said.text}));
    }
    for (name, arguments) in &said.calls {
        say.push(match serde_json::from_str::<Value>(arguments) {
            Ok(Value::Object(arguments)) => json!({"tool": {"name": name, "arguments": arguments}}),
            _ => json!({"fault": {"kind": "malformed_call", "tool": name, "arguments": arguments}}),
        });
    }
    match said.error.as_deref() {
        // A broken call is the model's, and the server's complaint follows from it.
        Some(error) if error.contains("invalid tool call arguments") => {
            let tool = error.split('"').nth(1).unwrap_or_default();
            say.push(json!({"fault": {"kind": "malformed_call", "tool": tool}}));
        }
        Some(_) => say.push(json!({"fault": {"kind": "error"}})),
        None => {}
    }
    json!({"say": say, "stop": if said.length { "length" } else { "end" }})
}
