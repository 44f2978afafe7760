//! Ollama's native routes.
//!
//! Always asks with `truncate: false` and `shift: false`: without them a prompt that does not fit is cut in silence.

use crate::chat::{ChatRequest, Message, ModelStream, ToolSpec};
use crate::context::{Footprint, Loaded};
use crate::embed::{self, EmbedRequest, Embedded};
use crate::error::CallError;
use crate::fetch::{self, Answer};
use crate::provider::Provider;
use crate::refusal;
use crate::route::{is_cloud_name, same_name};
use crate::stream::{Found, Reader, Sending, keep};
use atelier_protocol::event::{Stop, Usage};
use atelier_protocol::op::Phase;
use atelier_protocol::ports::{Clock, Http};
use atelier_protocol::settings::{ProviderKind, ProviderSettings};
use atelier_protocol::view::{ModelView, ProviderView};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A server that speaks Ollama's native routes.
pub(crate) struct Ollama {
    pub(crate) settings: ProviderSettings,
    pub(crate) http: Arc<dyn Http>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// So many models are asked about at a time.
const AT_A_TIME: usize = 8;

impl Provider for Ollama {
    fn chat(&self, request: ChatRequest) -> ModelStream {
        let url = fetch::join(&self.settings.base_url, "/api/chat");
        let (tools, ids) = keep(&request);
        Sending {
            http: self.http.clone(),
            clock: self.clock.clone(),
            request: fetch::post(url, &body(&request), "chat", request.limits),
            reader: Box::new(Chat),
            first_phase: match request.phases {
                true => first_phase(self.http.clone(), self.settings.base_url.clone(), request.model).boxed(),
                false => std::future::ready(Phase::Reading).boxed(),
            },
            tools,
            ids,
        }
        .stream()
    }

    fn embed(&self, request: EmbedRequest) -> BoxFuture<'_, Result<Embedded, CallError>> {
        async move { embed::ollama(&*self.http, &self.settings.base_url, &request).await }.boxed()
    }

    fn describe(&self) -> BoxFuture<'_, ProviderView> {
        async move {
            let mut view = fetch::empty_view(&self.settings);
            match self.inventory(view.local).await {
                Ok((version, listed)) => {
                    view.version = version;
                    for one in listed {
                        match one {
                            Listed::Chats(model) => view.models.push(*model),
                            Listed::Embeds(name) => view.embedders.push(name),
                        }
                    }
                }
                Err(error) => view.problem = Some(error.problem(&self.settings, "")),
            }
            view
        }
        .boxed()
    }

    fn loaded(&self, model: &str) -> BoxFuture<'_, Option<Loaded>> {
        let model = model.to_owned();
        async move {
            let running = running(&*self.http, &self.settings.base_url).await?;
            let entry = running.iter().find(|entry| is_it(entry, &model))?;
            Some(Loaded { context: number(&entry["context_length"]), bytes: entry["size"].as_u64() })
        }
        .boxed()
    }

    fn footprint(&self, model: &str) -> BoxFuture<'_, Option<Footprint>> {
        let model = model.to_owned();
        async move {
            let base = &self.settings.base_url;
            let tags = fetch::get(&*self.http, base, "/api/tags").await.ok()?.document().ok()?;
            let bytes = tags["models"].as_array()?.iter().find(|entry| is_it(entry, &model))?["size"].as_u64()?;
            let shown = fetch::ask(&*self.http, base, "/api/show", &json!({"model": model})).await.ok()?;
            let per_token = cache_per_token(&shown.document().ok()?["model_info"])?;
            Some(Footprint { bytes, per_token })
        }
        .boxed()
    }

    fn keep(&self, model: &str, time: &str) -> BoxFuture<'_, ()> {
        let (model, time) = (model.to_owned(), time.to_owned());
        async move {
            // Not asked of one that is not loaded, which would load it; nor with another context, which would load it anew.
            let Some(loaded) = self.loaded(&model).await else { return };
            let mut body = json!({"model": model, "messages": [], "keep_alive": time, "stream": false});
            if let Some(context) = loaded.context {
                body["options"] = json!({"num_ctx": context});
            }
            // Where it fails the server lets go of the model in its own time.
            let _ = fetch::ask(&*self.http, &self.settings.base_url, "/api/chat", &body).await;
        }
        .boxed()
    }

    fn settings(&self) -> &ProviderSettings {
        &self.settings
    }
}

/// Bytes that each token of context takes: a key and a value of 16 bits in each layer, for each head that has its own.
fn cache_per_token(info: &Value) -> Option<u64> {
    let architecture = info["general.architecture"].as_str()?;
    let told = |key: &str| info[format!("{architecture}.{key}")].as_u64();
    let heads = told("attention.head_count")?;
    let width = told("attention.key_length").or_else(|| told("embedding_length")?.checked_div(heads))?;
    let own = told("attention.head_count_kv").unwrap_or(heads);
    Some(2 * 2 * told("block_count")? * own * width)
}

/// What the server has loaded; `None` where it does not say.
async fn running(http: &dyn Http, base: &str) -> Option<Vec<Value>> {
    let told = fetch::get(http, base, "/api/ps").await.and_then(Answer::document).ok()?;
    told["models"].as_array().cloned()
}

/// Whether an entry of a list is that model.
fn is_it(entry: &Value, model: &str) -> bool {
    entry["name"].as_str().is_some_and(|name| same_name(Some(ProviderKind::Ollama), name, model))
}

impl Ollama {
    async fn inventory(&self, local: bool) -> Result<(Option<String>, Vec<Listed>), CallError> {
        let base = &self.settings.base_url;
        // An old server may lack the route; it is the list that must be there.
        let version = fetch::get(&*self.http, base, "/api/version").await?.document().ok();
        let version = version.and_then(|document| document["version"].as_str().map(str::to_owned));
        let tags = fetch::get(&*self.http, base, "/api/tags").await?.document()?;
        let Some(entries) = tags["models"].as_array() else {
            return Err(CallError::Unreadable { text: crate::error::clip(&tags.to_string()) });
        };
        let asked: Vec<BoxFuture<'_, Option<Listed>>> =
            entries.iter().map(|entry| self.model(entry, local).boxed()).collect();
        let models: Vec<Option<Listed>> = stream::iter(asked).buffered(AT_A_TIME).collect().await;
        Ok((version, models.into_iter().flatten().collect()))
    }

    /// One entry of the list; `None` for a model that neither chats nor makes vectors. Capabilities are asked for one by one where the list
    /// does not say `tools`: it lacks them in old versions, and for models whose template is in the model's file.
    async fn model(&self, entry: &Value, local: bool) -> Option<Listed> {
        let name = entry["name"].as_str()?.to_owned();
        let mut known = Capabilities::of(entry);
        let mut context = number(&entry["details"]["context_length"]);
        if known.as_ref().is_none_or(|known| !known.tools) {
            let asked = fetch::ask(&*self.http, &self.settings.base_url, "/api/show", &json!({"model": name})).await;
            if let Ok(shown) = asked.and_then(Answer::document) {
                known = Capabilities::of(&shown).or(known);
                context = context.or_else(|| context_of(&shown["model_info"]));
            }
        }
        if let Some(known) = known.as_ref().filter(|known| !known.completion) {
            return known.embedding.then_some(Listed::Embeds(name));
        }
        Some(Listed::Chats(Box::new(ModelView {
            local: local && !is_remote(&name, entry),
            tools: known.as_ref().map(|known| known.tools),
            thinking: known.as_ref().map(|known| known.thinking),
            context,
            bytes: entry["size"].as_u64(),
            digest: entry["digest"].as_str().filter(|digest| !digest.is_empty()).map(str::to_owned),
            card: None,
            name,
        })))
    }
}

/// What a model of the list is for.
enum Listed {
    Chats(Box<ModelView>),
    Embeds(String),
}

struct Capabilities {
    completion: bool,
    embedding: bool,
    tools: bool,
    thinking: bool,
}

impl Capabilities {
    fn of(document: &Value) -> Option<Self> {
        let words = document["capabilities"].as_array()?;
        let has = |wanted: &str| words.iter().any(|word| word == wanted);
        let embedding = has("embedding");
        Some(Self { completion: has("completion"), embedding, tools: has("tools"), thinking: has("thinking") })
    }
}

/// Whether the server passes the model on to its vendor's cloud, although the server itself is on this machine.
fn is_remote(name: &str, entry: &Value) -> bool {
    let said = |key: &str| entry[key].as_str().is_some_and(|host| !host.is_empty());
    is_cloud_name(name) || said("remote_host") || said("remote_model")
}

fn context_of(info: &Value) -> Option<u32> {
    let architecture = info["general.architecture"].as_str()?;
    number(&info[format!("{architecture}.context_length")])
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

/// Whether the server has to load the model first. It sends no byte while it does, so it is asked beforehand; where it
/// does not say, it counts as loaded.
async fn first_phase(http: Arc<dyn Http>, base: String, model: String) -> Phase {
    match running(&*http, &base).await {
        Some(entries) if !entries.iter().any(|entry| is_it(entry, &model)) => Phase::Loading,
        _ => Phase::Reading,
    }
}

/// The body of a chat.
fn body(request: &ChatRequest) -> Value {
    let mut options = Map::new();
    let mut option = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            options.insert(key.to_owned(), value);
        }
    };
    option("num_ctx", request.context.map(Value::from));
    option("num_predict", request.max_output.map(Value::from));
    option("temperature", request.temperature().map(Value::from));
    option("top_p", request.top_p().map(Value::from));
    option("stop", (!request.stop.is_empty()).then(|| request.stop.clone().into()));
    option("seed", request.seed.map(Value::from));
    let mut body = json!({
        "model": request.model,
        "messages": request.messages.iter().map(message).collect::<Vec<_>>(),
        "stream": true,
        "truncate": false,
        "shift": false,
    });
    if !options.is_empty() {
        body["options"] = options.into();
    }
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(tool).collect::<Vec<_>>().into();
    }
    if let Some(held) = &request.schema {
        body["format"] = held.schema.clone();
    }
    // A model that thinks first breaks a schema, or never comes to it.
    if let Some(think) = request.think.or(request.schema.is_some().then_some(false)) {
        body["think"] = think.into();
    }
    if let Some(keep_alive) = &request.keep_alive {
        body["keep_alive"] = keep_alive.clone().into();
    }
    body
}

/// A tool as both dialects describe it.
pub(crate) fn tool(tool: &ToolSpec) -> Value {
    json!({
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    })
}

fn message(message: &Message) -> Value {
    match message {
        Message::System { text } => json!({"role": "system", "content": text}),
        Message::User { text } => json!({"role": "user", "content": text}),
        Message::Assistant { text, tool_calls } if tool_calls.is_empty() => {
            json!({"role": "assistant", "content": text})
        }
        Message::Assistant { text, tool_calls } => {
            // The arguments must be an object; as a string they are refused with words that do not say so.
            let call = |call: &atelier_protocol::event::ToolCall| json!({"id": call.id, "function": {"name": call.name, "arguments": call.arguments}});
            let calls: Vec<Value> = tool_calls.iter().map(call).collect();
            json!({"role": "assistant", "content": text, "tool_calls": calls})
        }
        Message::Tool { id, name, text } => {
            json!({"role": "tool", "content": text, "tool_name": name, "tool_call_id": id})
        }
    }
}

/// Reads the stream of `/api/chat`: one object a line, the last with `done: true`. Tool calls stand in that last one or
/// in lines of their own, depending on the model's template.
struct Chat;

impl Reader for Chat {
    fn line(&mut self, line: &str, found: &mut Vec<Found>) -> Result<(), CallError> {
        if line.trim().is_empty() {
            return Ok(());
        }
        let object = fetch::object(line)?;
        if let Some(error) = object.get("error").filter(|error| !error.is_null()) {
            return Err(refusal::of_stream(error));
        }
        let message = &object["message"];
        if let Some(thinking) = message["thinking"].as_str() {
            found.push(Found::Thinking(thinking.to_owned()));
        }
        if let Some(text) = message["content"].as_str() {
            found.push(Found::Text(text.to_owned()));
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            found.push(Found::Call {
                id: call["id"].as_str().map(str::to_owned),
                name: call["function"]["name"].as_str().unwrap_or_default().to_owned(),
                arguments: call["function"]["arguments"].clone(),
            });
        }
        if object["done"] == true {
            let stop = match object["done_reason"].as_str() {
                Some("stop") => Stop::End,
                Some("length") => Stop::Length,
                _ => Stop::Other,
            };
            // A counter that is zero is left out, so absent means unknown.
            let usage = Usage {
                prompt_tokens: number(&object["prompt_eval_count"]),
                output_tokens: number(&object["eval_count"]),
                load_ms: object["load_duration"].as_u64().map(|nanoseconds| nanoseconds / 1_000_000),
                ..Usage::default()
            };
            found.push(Found::Done { usage, stop });
        }
        Ok(())
    }

    fn end(&mut self, _found: &mut Vec<Found>) -> Result<(), CallError> {
        Err(CallError::Incomplete { reason: "the stream ended without `done`".to_owned() })
    }
}
