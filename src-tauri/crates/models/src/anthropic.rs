//! Anthropic's Messages route (`/v1/messages`, version 2023-06-01), as its makers and llama.cpp's server speak it.
//!
//! The rules are a field of their own, a tool's answer is part of a user message, and neighbours of the same role are
//! one message. A turn is complete when `message_stop` has come, not before.

use crate::address::is_this_machine;
use crate::chat::{ChatRequest, Message, ModelStream};
use crate::embed::{EmbedRequest, Embedded};
use crate::error::CallError;
use crate::fetch;
use crate::provider::Provider;
use crate::refusal;
use crate::sse::{Events, Sent};
use crate::stream::{Found, Reader, Sending, keep};
use atelier_protocol::event::{Stop, Usage};
use atelier_protocol::op::Phase;
use atelier_protocol::ports::{Clock, Http, HttpRequest};
use atelier_protocol::settings::ProviderSettings;
use atelier_protocol::view::{ModelView, ProviderView};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The version of the route that is asked for.
const VERSION: &str = "2023-06-01";
/// Tokens of answer where the request does not limit them; the route demands a limit.
const MOST_OUTPUT: u32 = 8192;
/// Tokens of thought that are asked for, the least the route takes.
const THOUGHT: u32 = 1024;

/// A server that speaks Anthropic's routes.
pub(crate) struct Anthropic {
    pub(crate) settings: ProviderSettings,
    pub(crate) http: Arc<dyn Http>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Provider for Anthropic {
    fn chat(&self, request: ChatRequest) -> ModelStream {
        if request.schema.is_some() {
            let what = "servers of this kind hold no answer to a schema".to_owned();
            return stream::iter([Err(CallError::Unsupported { what })]).boxed();
        }
        let url = fetch::join(&fetch::versioned(&self.settings.base_url), "/messages");
        let (tools, ids) = keep(&request);
        Sending {
            http: self.http.clone(),
            clock: self.clock.clone(),
            request: of_version(fetch::post(url, &body(&request), "chat", request.limits)),
            reader: Box::new(Reading::default()),
            first_phase: std::future::ready(Phase::Reading).boxed(),
            tools,
            ids,
        }
        .stream()
    }

    fn embed(&self, _: EmbedRequest) -> BoxFuture<'_, Result<Embedded, CallError>> {
        let what = "servers of this kind make no vectors".to_owned();
        std::future::ready(Err(CallError::Unsupported { what })).boxed()
    }

    fn describe(&self) -> BoxFuture<'_, ProviderView> {
        async move { fetch::view_with(&self.settings, self.inventory().await) }.boxed()
    }

    fn settings(&self) -> &ProviderSettings {
        &self.settings
    }
}

impl Anthropic {
    async fn inventory(&self) -> Result<Vec<ModelView>, CallError> {
        let entries = fetch::listed(&*self.http, &self.settings.base_url).await?;
        let local = is_this_machine(&self.settings.base_url);
        let model = |entry: &Value| {
            let name = entry["id"].as_str()?.to_owned();
            // Only its makers' own list has this type, and all of those call tools.
            let tools = (entry["type"] == "model").then_some(true);
            Some(ModelView { name, local, tools, ..ModelView::default() })
        };
        Ok(entries.iter().filter_map(model).collect())
    }
}

fn of_version(mut request: HttpRequest) -> HttpRequest {
    request.headers.push(("anthropic-version".to_owned(), VERSION.to_owned()));
    request
}

/// The body of a chat.
fn body(request: &ChatRequest) -> Value {
    let most = request.max_output.unwrap_or(MOST_OUTPUT);
    let mut body = json!({
        "model": request.model,
        "max_tokens": most,
        "messages": messages(&request.messages),
        "stream": true,
    });
    let rules: Vec<&str> =
        request.messages.iter().filter(|m| matches!(m, Message::System { .. })).map(Message::text).collect();
    if !rules.is_empty() {
        body["system"] = rules.join("\n\n").into();
    }
    let tool = |tool: &crate::chat::ToolSpec| json!({"name": tool.name, "description": tool.description, "input_schema": tool.parameters});
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(tool).collect::<Vec<_>>().into();
    }
    // With thought, earlier thoughts would have to be sent back signed beside their tool calls, and neither a temperature
    // nor most shares are taken; so it is asked for only where no tool is offered. Newer models refuse both together.
    if request.think == Some(true) && request.tools.is_empty() {
        body["thinking"] = json!({"type": "enabled", "budget_tokens": THOUGHT});
        body["max_tokens"] = most.max(2 * THOUGHT).into();
    } else if let Some(temperature) = request.temperature() {
        body["temperature"] = temperature.into();
    } else if let Some(top_p) = request.top_p() {
        body["top_p"] = top_p.into();
    }
    if !request.stop.is_empty() {
        body["stop_sequences"] = request.stop.clone().into();
    }
    body
}

/// The conversation: user and assistant in turn, each message a list of blocks.
fn messages(messages: &[Message]) -> Vec<Value> {
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for message in messages {
        let (role, blocks) = match message {
            Message::System { .. } => continue,
            Message::User { text } => ("user", words(text)),
            Message::Assistant { text, tool_calls } => {
                let call = |call: &atelier_protocol::event::ToolCall| json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments});
                ("assistant", words(text).into_iter().chain(tool_calls.iter().map(call)).collect())
            }
            Message::Tool { id, text, .. } => {
                ("user", vec![json!({"type": "tool_result", "tool_use_id": id, "content": text})])
            }
        };
        match turns.last_mut() {
            Some((last, kept)) if *last == role => kept.extend(blocks),
            _ => turns.push((role, blocks)),
        }
    }
    turns.retain(|(_, blocks)| !blocks.is_empty());
    turns.into_iter().map(|(role, content)| json!({"role": role, "content": content})).collect()
}

/// A block of text; an empty one is refused by the server.
fn words(text: &str) -> Vec<Value> {
    if text.trim().is_empty() { Vec::new() } else { vec![json!({"type": "text", "text": text})] }
}

/// Reads the stream of `/v1/messages`.
#[derive(Debug, Default)]
struct Reading {
    events: Events,
    /// Calls that are still coming, by the index of their block.
    calls: BTreeMap<u64, Coming>,
    usage: Usage,
    reason: Option<String>,
}

#[derive(Debug, Default)]
struct Coming {
    id: Option<String>,
    name: String,
    /// What came whole with the block's start.
    input: Option<Map<String, Value>>,
    /// What came in pieces after it.
    pieces: String,
}

impl Reader for Reading {
    fn line(&mut self, line: &str, found: &mut Vec<Found>) -> Result<(), CallError> {
        match self.events.line(line)? {
            Sent::Object(event) => self.event(&event, found),
            Sent::Nothing | Sent::Done => Ok(()),
        }
    }

    fn end(&mut self, found: &mut Vec<Found>) -> Result<(), CallError> {
        let Some(document) = self.events.document()? else {
            return Err(CallError::Incomplete { reason: "the stream ended without `message_stop`".to_owned() });
        };
        if document["type"] == "error" {
            return Err(refusal::of_stream(&document));
        }
        for (index, block) in document["content"].as_array().into_iter().flatten().enumerate() {
            self.block(index as u64, block, found);
        }
        self.told(&document, &document["usage"]);
        if self.reason.is_none() {
            return Err(CallError::Incomplete { reason: "the answer has no stop reason".to_owned() });
        }
        self.finish(found);
        Ok(())
    }
}

impl Reading {
    fn event(&mut self, event: &Value, found: &mut Vec<Found>) -> Result<(), CallError> {
        let index = event["index"].as_u64().unwrap_or(0);
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => self.told(&Value::Null, &event["message"]["usage"]),
            "content_block_start" => self.block(index, &event["content_block"], found),
            "content_block_delta" => self.piece(index, &event["delta"], found),
            "message_delta" => self.told(&event["delta"], &event["usage"]),
            "message_stop" => self.finish(found),
            "error" => return Err(refusal::of_stream(event)),
            _ if event.get("error").is_some() => return Err(refusal::of_stream(event)),
            // `ping`, `content_block_stop`, and what later versions add.
            _ => {}
        }
        Ok(())
    }

    fn block(&mut self, index: u64, block: &Value, found: &mut Vec<Found>) {
        match block["type"].as_str().unwrap_or_default() {
            "text" => found.push(Found::Text(string(&block["text"]))),
            "thinking" => found.push(Found::Thinking(string(&block["thinking"]))),
            "tool_use" => {
                let input = block["input"].as_object().filter(|input| !input.is_empty()).cloned();
                let id = block["id"].as_str().map(str::to_owned);
                let coming = Coming { id, name: string(&block["name"]), input, pieces: String::new() };
                self.calls.insert(index, coming);
            }
            _ => {}
        }
    }

    fn piece(&mut self, index: u64, delta: &Value, found: &mut Vec<Found>) {
        match delta["type"].as_str().unwrap_or_default() {
            "text_delta" => found.push(Found::Text(string(&delta["text"]))),
            "thinking_delta" => found.push(Found::Thinking(string(&delta["thinking"]))),
            "input_json_delta" => {
                self.calls
                    .entry(index)
                    .or_default()
                    .pieces
                    .push_str(delta["partial_json"].as_str().unwrap_or_default());
            }
            // Signatures are of no use without the thoughts, which are not sent back.
            _ => {}
        }
    }

    /// Usage comes in two halves; what was read from the server's cache was part of the prompt too.
    fn told(&mut self, delta: &Value, usage: &Value) {
        let number = |key: &str| usage[key].as_u64().and_then(|number| u32::try_from(number).ok());
        if let Some(fresh) = number("input_tokens") {
            let cached = ["cache_read_input_tokens", "cache_creation_input_tokens"].map(|key| number(key).unwrap_or(0));
            self.usage.prompt_tokens = Some(cached.into_iter().fold(fresh, u32::saturating_add));
        }
        self.usage.output_tokens = number("output_tokens").or(self.usage.output_tokens);
        if let Some(reason) = delta["stop_reason"].as_str() {
            self.reason = Some(reason.to_owned());
        }
    }

    fn finish(&mut self, found: &mut Vec<Found>) {
        let stop = match self.reason.as_deref() {
            Some("end_turn" | "stop_sequence") => Stop::End,
            Some("tool_use") => Stop::Tools,
            Some("max_tokens" | "model_context_window_exceeded") => Stop::Length,
            Some("refusal") => Stop::Filter,
            _ => Stop::Other,
        };
        for call in std::mem::take(&mut self.calls).into_values() {
            let Coming { id, name, input, pieces } = call;
            let arguments = match input {
                Some(input) if pieces.is_empty() => Value::Object(input),
                _ => Value::String(pieces),
            };
            found.push(Found::Call { id, name, arguments });
        }
        found.push(Found::Done { usage: std::mem::take(&mut self.usage), stop });
    }
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use atelier_protocol::event::ToolCall;

    #[test]
    fn neighbours_of_one_role_are_one_message_and_the_rules_stand_apart() {
        let call = ToolCall { id: "t1".into(), name: "read".into(), arguments: json!({"path": "a"}) };
        let other = ToolCall { id: "t2".into(), ..call.clone() };
        let request = ChatRequest::new(
            "m",
            vec![
                Message::system("be brief"),
                Message::user("look"),
                Message::assistant("", vec![call.clone(), other.clone()]),
                Message::tool(&call, "one"),
                Message::tool(&other, "two"),
                Message::user("go on"),
            ],
        );
        let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "read", "input": {"path": "a"}});
        let result = |id: &str, text: &str| json!({"type": "tool_result", "tool_use_id": id, "content": text});
        let said = |text: &str| json!({"type": "text", "text": text});
        let expected = json!({
            "model": "m",
            "max_tokens": 8192,
            "system": "be brief",
            "messages": [
                {"role": "user", "content": [said("look")]},
                {"role": "assistant", "content": [call("t1"), call("t2")]},
                {"role": "user", "content": [result("t1", "one"), result("t2", "two"), said("go on")]},
            ],
            "stream": true,
        });
        assert_eq!(body(&request), expected);
    }

    #[test]
    fn thought_is_asked_for_only_where_no_tool_is_offered() {
        let mut request = ChatRequest::new("m", vec![Message::user("x")]);
        (request.think, request.max_output) = (Some(true), Some(100));
        assert_eq!(body(&request)["thinking"]["budget_tokens"], THOUGHT);
        assert_eq!(body(&request)["max_tokens"], 2 * THOUGHT);
        request.tools.push(crate::chat::ToolSpec { name: "t".into(), description: "d".into(), parameters: json!({}) });
        assert_eq!(body(&request).get("thinking"), None);
    }

    #[test]
    fn a_temperature_and_a_share_are_not_sent_together_and_none_beside_thought() {
        let mut request = ChatRequest::new("m", vec![Message::user("x")]);
        let sent = |request: &ChatRequest| {
            let body = body(request);
            ["temperature", "top_p"].map(|key| body.get(key).and_then(Value::as_f64))
        };
        request.top_p = Some(0.9);
        assert_eq!(sent(&request), [None, Some(0.9)]);
        request.temperature = Some(0.2);
        assert_eq!(sent(&request), [Some(0.2), None]);
        request.think = Some(true);
        assert_eq!(sent(&request), [None, None]);
    }

    #[test]
    fn what_came_from_the_cache_counts_as_prompt() {
        let mut reading = Reading::default();
        let usage = json!({"input_tokens": 3, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 5});
        reading.told(&Value::Null, &usage);
        reading.told(&json!({"stop_reason": "end_turn"}), &json!({"output_tokens": 7}));
        assert_eq!((reading.usage.prompt_tokens, reading.usage.output_tokens), (Some(48), Some(7)));
    }
}
