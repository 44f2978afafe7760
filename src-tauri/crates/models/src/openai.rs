//! OpenAI-style chat completions, as local servers really speak them.
//!
//! How a stream of events is cut into objects is `sse`'s part; what they mean stands here.

use crate::address::is_this_machine;
use crate::chat::{ChatRequest, Message, ModelStream};
use crate::embed::{self, EmbedRequest, Embedded};
use crate::error::CallError;
use crate::fetch;
use crate::ollama::tool;
use crate::provider::Provider;
use crate::refusal;
use crate::route::is_cloud_name;
use crate::sse::{Events, Sent};
use crate::stream::{Found, Reader, Sending, keep};
use atelier_protocol::event::{Stop, Usage};
use atelier_protocol::op::Phase;
use atelier_protocol::ports::{Clock, Http};
use atelier_protocol::settings::ProviderSettings;
use atelier_protocol::view::{ModelView, ProviderView};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::sync::Arc;

/// A server that speaks OpenAI-style routes.
pub(crate) struct OpenAi {
    pub(crate) settings: ProviderSettings,
    pub(crate) http: Arc<dyn Http>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Provider for OpenAi {
    fn chat(&self, request: ChatRequest) -> ModelStream {
        let url = fetch::join(&fetch::versioned(&self.settings.base_url), "/chat/completions");
        let (tools, ids) = keep(&request);
        Sending {
            http: self.http.clone(),
            clock: self.clock.clone(),
            request: fetch::post(url, &body(&request), "chat", request.limits),
            reader: Box::new(Chat::default()),
            first_phase: std::future::ready(Phase::Reading).boxed(),
            tools,
            ids,
        }
        .stream()
    }

    fn embed(&self, request: EmbedRequest) -> BoxFuture<'_, Result<Embedded, CallError>> {
        async move { embed::openai(&*self.http, &self.settings.base_url, &request).await }.boxed()
    }

    fn describe(&self) -> BoxFuture<'_, ProviderView> {
        async move { fetch::view_with(&self.settings, self.inventory().await) }.boxed()
    }

    fn settings(&self) -> &ProviderSettings {
        &self.settings
    }
}

impl OpenAi {
    async fn inventory(&self) -> Result<Vec<ModelView>, CallError> {
        let entries = fetch::listed(&*self.http, &self.settings.base_url).await?;
        let local = is_this_machine(&self.settings.base_url);
        let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        let model = |entry: &Value| {
            let name = entry["id"].as_str()?.to_owned();
            Some(ModelView {
                local: local && !is_cloud_name(&name),
                // llama.cpp's server, then vLLM.
                context: number(&entry["meta"]["n_ctx"]).or_else(|| number(&entry["max_model_len"])),
                bytes: entry["meta"]["size"].as_u64(),
                name,
                ..ModelView::default()
            })
        };
        Ok(entries.iter().filter_map(model).collect())
    }
}

/// The body of a chat. The context's length is set when such a server starts and not asked for.
fn body(request: &ChatRequest) -> Value {
    let mut body = json!({
        "model": request.model,
        "messages": request.messages.iter().map(message).collect::<Vec<_>>(),
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(tool).collect::<Vec<_>>().into();
    }
    if let Some(most) = request.max_output {
        body["max_tokens"] = most.into();
    }
    if let Some(temperature) = request.temperature() {
        body["temperature"] = temperature.into();
    }
    if let Some(top_p) = request.top_p() {
        body["top_p"] = top_p.into();
    }
    if !request.stop.is_empty() {
        body["stop"] = request.stop.clone().into();
    }
    if let Some(seed) = request.seed {
        body["seed"] = seed.into();
    }
    if let Some(held) = &request.schema {
        let mut schema = json!({"name": "answer", "schema": held.schema});
        if held.strict {
            schema["strict"] = true.into();
        }
        body["response_format"] = json!({"type": "json_schema", "json_schema": schema});
    }
    body
}

fn message(message: &Message) -> Value {
    match message {
        Message::System { text } => json!({"role": "system", "content": text}),
        Message::User { text } => json!({"role": "user", "content": text}),
        Message::Assistant { text, tool_calls } if tool_calls.is_empty() => {
            json!({"role": "assistant", "content": text})
        }
        Message::Assistant { text, tool_calls } => {
            let call = |call: &atelier_protocol::event::ToolCall| {
                let arguments = call.arguments.to_string();
                json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
            };
            let calls: Vec<Value> = tool_calls.iter().map(call).collect();
            json!({"role": "assistant", "content": text, "tool_calls": calls})
        }
        Message::Tool { id, text, .. } => json!({"role": "tool", "content": text, "tool_call_id": id}),
    }
}

/// A call that is still coming.
#[derive(Debug, Default)]
struct Coming {
    index: Option<u64>,
    id: Option<String>,
    name: String,
    arguments: String,
}

/// Reads the stream of `/v1/chat/completions`.
#[derive(Debug, Default)]
struct Chat {
    events: Events,
    calls: Vec<Coming>,
    usage: Usage,
    reason: Option<String>,
}

impl Reader for Chat {
    fn line(&mut self, line: &str, found: &mut Vec<Found>) -> Result<(), CallError> {
        match self.events.line(line)? {
            Sent::Nothing => {}
            Sent::Object(object) => self.chunk(&object, found)?,
            Sent::Done => self.finish(found),
        }
        Ok(())
    }

    fn end(&mut self, found: &mut Vec<Found>) -> Result<(), CallError> {
        if let Some(document) = self.events.document()? {
            self.chunk(&document, found)?;
        }
        if self.reason.is_some() {
            self.finish(found);
            return Ok(());
        }
        Err(CallError::Incomplete { reason: "the stream ended without `[DONE]` or a finish reason".to_owned() })
    }
}

impl Chat {
    fn chunk(&mut self, object: &Value, found: &mut Vec<Found>) -> Result<(), CallError> {
        if let Some(error) = object.get("error").filter(|error| !error.is_null()) {
            return Err(refusal::of_stream(error));
        }
        let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        let usage = &object["usage"];
        self.usage.prompt_tokens = number(&usage["prompt_tokens"]).or(self.usage.prompt_tokens);
        self.usage.output_tokens = number(&usage["completion_tokens"]).or(self.usage.output_tokens);
        // The chunk with the usage has no choice.
        let Some(choice) = object["choices"].get(0) else { return Ok(()) };
        let delta = choice.get("delta").or_else(|| choice.get("message")).unwrap_or(&Value::Null);
        for key in ["reasoning", "reasoning_content"] {
            if let Some(thinking) = delta[key].as_str() {
                found.push(Found::Thinking(thinking.to_owned()));
            }
        }
        if let Some(text) = delta["content"].as_str() {
            found.push(Found::Text(text.to_owned()));
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            self.fragment(call);
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.reason = Some(reason.to_owned());
        }
        Ok(())
    }

    /// A piece of a call belongs to the call with its index; without one, to the last. A new id with a name is a new
    /// call even under an index that is taken, because some servers number every call 0.
    fn fragment(&mut self, piece: &Value) {
        let index = piece["index"].as_u64();
        let id = piece["id"].as_str().filter(|id| !id.is_empty());
        let name = piece["function"]["name"].as_str().unwrap_or_default();
        let known = match index {
            Some(_) => self.calls.iter().rposition(|call| call.index == index),
            None => self.calls.len().checked_sub(1),
        };
        let begins = |call: &Coming| !name.is_empty() && id.is_some() && call.id.as_deref() != id;
        let at = match known.filter(|at| !begins(&self.calls[*at])) {
            Some(at) => at,
            None => {
                self.calls.push(Coming { index, ..Coming::default() });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        if let Some(id) = id {
            call.id = Some(id.to_owned());
        }
        if call.name.is_empty() {
            name.clone_into(&mut call.name);
        }
        match &piece["function"]["arguments"] {
            Value::String(text) => call.arguments.push_str(text),
            Value::Null => {}
            other => call.arguments.push_str(&other.to_string()),
        }
    }

    fn finish(&mut self, found: &mut Vec<Found>) {
        let stop = match self.reason.as_deref() {
            Some("stop") => Stop::End,
            Some("tool_calls" | "function_call") => Stop::Tools,
            Some("length") => Stop::Length,
            Some("content_filter") => Stop::Filter,
            _ => Stop::Other,
        };
        for call in std::mem::take(&mut self.calls) {
            found.push(Found::Call { id: call.id, name: call.name, arguments: Value::String(call.arguments) });
        }
        found.push(Found::Done { usage: std::mem::take(&mut self.usage), stop });
    }
}
