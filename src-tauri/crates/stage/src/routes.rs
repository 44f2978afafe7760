//! Which route a request takes, and the answers that need no model.

use crate::answer::{Ending, Struck};
use crate::body::Move;
use crate::line::Reset;
use crate::request::{Refusal, json};
use crate::script::{Capability, Dialect, Script, ScriptModel};
use crate::sending::{Body, Head, Streamed, plain, streamed};
use crate::store::{Change, Store, paced};
use crate::talk::Route;
use crate::transcript::{OpenExchange, Transcript, locked};
use crate::{inventory, openai};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, Response};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

/// The largest request that is read.
const LARGEST_REQUEST: usize = 64 * 1024 * 1024;

pub(crate) const JSON: &str = "application/json; charset=utf-8";

/// A script being played, with what the requests so far have changed.
#[derive(Debug)]
pub(crate) struct Play {
    pub(crate) script: Script,
    pub(crate) transcript: Arc<Transcript>,
    pub(crate) store: Arc<Mutex<Store>>,
    pub(crate) struck: Mutex<Struck>,
    pub(crate) slots: Option<Arc<Semaphore>>,
    /// Chats that wait for a slot.
    pub(crate) waiting: AtomicUsize,
    /// Pulls whose connection was cut.
    broken_pulls: AtomicUsize,
}

impl Play {
    pub(crate) fn new(script: Script, transcript: Arc<Transcript>) -> Self {
        let slots = (script.slots > 0).then(|| Arc::new(Semaphore::new(script.slots)));
        let store = Arc::new(Mutex::new(Store::of(&script)));
        let (waiting, broken_pulls) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { script, transcript, store, struck: Mutex::default(), slots, waiting, broken_pulls }
    }

    /// Answers a request. An error closes the connection without a byte.
    pub(crate) async fn answer(&self, request: Request<Incoming>, reset: Reset) -> Result<Response<Body>, io::Error> {
        let (head, body) = request.into_parts();
        let bytes = match Limited::new(body, LARGEST_REQUEST).collect().await {
            Ok(whole) => whole.to_bytes(),
            Err(error) => return Err(io::Error::other(error)),
        };
        let exchange = self.open(&head, &bytes);
        let ollama = self.script.openai == Dialect::Ollama;
        if ollama && !is_from_here(&head.headers) {
            return Ok(plain(exchange, &Head::new(403, None), String::new()));
        }
        let path = head.uri.path();
        let Some(method) = self.method_of(path) else { return Ok(self.unknown(exchange)) };
        if head.method != method {
            let text = "405 method not allowed".to_owned();
            return Ok(plain(exchange, &Head::new(405, Some("text/plain")), text));
        }
        if path.starts_with("/v1/") && !self.is_let_in(&head.headers) {
            let route = if path.starts_with("/v1/messages") { Route::Anthropic } else { Route::OpenAi };
            return Ok(self.refuse(exchange, route, false, &Refusal::new(401, "invalid api key")));
        }
        match path {
            "/api/chat" => self.talk(exchange, Route::Ollama, &bytes, reset).await,
            "/api/generate" => self.talk(exchange, Route::Generate, &bytes, reset).await,
            "/v1/chat/completions" => self.talk(exchange, Route::OpenAi, &bytes, reset).await,
            "/v1/responses" => self.talk(exchange, Route::Responses, &bytes, reset).await,
            "/v1/messages" => self.talk(exchange, Route::Anthropic, &bytes, reset).await,
            "/api/pull" => self.pull(exchange, &bytes, reset).await,
            "/api/create" => self.create(exchange, &bytes, reset).await,
            _ => Ok(self.tell(exchange, path, &bytes)),
        }
    }

    fn open(&self, head: &hyper::http::request::Parts, bytes: &Bytes) -> OpenExchange {
        let headers = head.headers.iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        let body = match serde_json::from_slice(bytes) {
            _ if bytes.is_empty() => Value::Null,
            Ok(value) => value,
            Err(_) => Value::String(String::from_utf8_lossy(bytes).into_owned()),
        };
        let path = head.uri.path().to_owned();
        OpenExchange::begin(&self.transcript, head.method.to_string(), path, headers.collect(), body)
    }

    /// The method of a route that this server has.
    fn method_of(&self, path: &str) -> Option<Method> {
        let dialect = self.script.openai;
        Some(match path {
            "/v1/models" => Method::GET,
            "/v1/chat/completions" => Method::POST,
            _ if dialect == Dialect::Weak => return None,
            "/v1/messages" | COUNT | "/v1/responses" | "/v1/embeddings" => Method::POST,
            "/health" if dialect == Dialect::LlamaServer => Method::GET,
            _ if dialect != Dialect::Ollama => return None,
            "/" | "/api/version" | "/api/tags" | "/api/ps" | "/api/status" => Method::GET,
            "/api/delete" => Method::DELETE,
            "/api/show" | "/api/chat" | "/api/generate" | "/api/embed" | "/api/pull" | "/api/copy" | "/api/create" => {
                Method::POST
            }
            path if path.starts_with("/v1/models/") => Method::GET,
            _ => return None,
        })
    }

    fn unknown(&self, exchange: OpenExchange) -> Response<Body> {
        let (kind, text) = match self.script.openai {
            Dialect::Ollama => ("text/plain", "404 page not found".to_owned()),
            Dialect::Weak => ("application/json", "{\"detail\":\"Not Found\"}".to_owned()),
            Dialect::LlamaServer => (JSON, openai::error_body(404, "File Not Found", self.script.openai)),
            Dialect::Cloud => ("application/json", openai::error_body(404, "unknown route", self.script.openai)),
        };
        plain(exchange, &self.head(404, Some(kind)), text)
    }

    /// Whether a request carries the script's key, where it has one.
    fn is_let_in(&self, headers: &HeaderMap) -> bool {
        let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        self.script.key.as_deref().is_none_or(|key| {
            value("x-api-key") == Some(key)
                || value("authorization").and_then(|v| v.strip_prefix("Bearer ")) == Some(key)
        })
    }

    /// A head with what a paid service adds to every answer.
    pub(crate) fn head(&self, status: u16, content_type: Option<&'static str>) -> Head {
        let mut head = Head::new(status, content_type);
        if self.script.openai == Dialect::Cloud {
            for (name, value) in [
                ("request-id", "req_0123456789abcdef01234567"),
                ("x-request-id", "req_0123456789abcdef01234567"),
                ("anthropic-ratelimit-requests-remaining", "49"),
                ("x-ratelimit-remaining-requests", "49"),
            ] {
                head.headers.push((name.to_owned(), value.to_owned()));
            }
        }
        head
    }

    /// The answers about the server and its models.
    fn tell(&self, exchange: OpenExchange, path: &str, bytes: &[u8]) -> Response<Body> {
        let (route, told) = match path {
            "/" => {
                let head = Head::new(200, Some("text/plain; charset=utf-8"));
                return plain(exchange, &head, "Ollama is running".to_owned());
            }
            "/health" => (Route::OpenAi, Ok(json!({"status": "ok"}).to_string())),
            "/api/version" => (Route::Ollama, Ok(json!({"version": self.script.version}).to_string())),
            "/api/status" => {
                let cloud = json!({"cloud": {"disabled": self.script.cloud_off, "source": "env"}});
                (Route::Ollama, Ok(inventory::text(&cloud)))
            }
            "/api/tags" => (Route::Ollama, Ok(inventory::tags(locked(&self.store).models(), self.script.old))),
            "/api/ps" => (Route::Ollama, Ok(inventory::ps(&locked(&self.store).all_loaded(), self.script.old))),
            "/api/show" => (Route::Ollama, self.show(bytes)),
            "/api/copy" | "/api/delete" => (Route::Ollama, self.change(path, bytes)),
            "/api/embed" | "/v1/embeddings" => {
                let route = if path == "/api/embed" { Route::Ollama } else { Route::OpenAi };
                (route, self.embed(bytes, route))
            }
            "/v1/models" => (Route::OpenAi, Ok(openai::models(locked(&self.store).models(), self.script.openai))),
            COUNT => {
                let counted = self.counted(bytes).map(|tokens| json!({"input_tokens": tokens}).to_string());
                (Route::Anthropic, counted)
            }
            // The last there is.
            _ => {
                let name = path.rsplit('/').next().unwrap_or_default();
                (Route::OpenAi, self.model(name).map(|model| openai::model(&model, name, self.script.openai)))
            }
        };
        match told {
            Ok(text) if text.is_empty() => plain(exchange, &Head::new(200, None), text),
            Ok(text) => plain(exchange, &self.head(200, Some(self.json_type(route))), text),
            Err(refusal) => self.refuse(exchange, route, false, &refusal),
        }
    }

    fn show(&self, bytes: &[u8]) -> Result<String, Refusal> {
        let body = json(bytes)?;
        let name = body["model"].as_str().or_else(|| body["name"].as_str()).unwrap_or_default();
        if name.is_empty() {
            return Err(Refusal::new(400, "model is required"));
        }
        self.model(name).map(|model| inventory::show(&model, self.script.old))
    }

    /// Copies or deletes a model; nothing is told.
    fn change(&self, path: &str, bytes: &[u8]) -> Result<String, Refusal> {
        let body = json(bytes)?;
        let text = |key: &str| body[key].as_str().unwrap_or_default();
        let (done, error) = if path == "/api/copy" {
            let done = locked(&self.store).copy(text("source"), text("destination"));
            (done, format!("model \"{}\" not found", text("source")))
        } else {
            (locked(&self.store).delete(text("model")), format!("model '{}' not found", text("model")))
        };
        if done { Ok(String::new()) } else { Err(Refusal::new(404, error)) }
    }

    /// Vectors, in either of two formats.
    fn embed(&self, bytes: &[u8], route: Route) -> Result<String, Refusal> {
        let body = json(bytes)?;
        let model = self.model(body["model"].as_str().unwrap_or(&self.first_model()))?;
        if !model.capabilities.contains(&Capability::Embedding) {
            let error = "This server does not support embeddings. Start it with `--embeddings`";
            return Err(Refusal::new(501, error));
        }
        let texts: Vec<&str> = match &body["input"] {
            Value::String(text) if text.is_empty() => Vec::new(),
            Value::String(text) => vec![text],
            list => list.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
        };
        let tokens = |text: &str| crate::request::tokens(text.len());
        if body["truncate"] == false && texts.iter().any(|text| tokens(text) > model.context) {
            return Err(Refusal::new(400, "the input length exceeds the context length"));
        }
        let length = body["dimensions"].as_u64().and_then(|number| usize::try_from(number).ok());
        let length = length.filter(|length| *length < model.embedding).unwrap_or(model.embedding);
        let vectors: Vec<Vec<f64>> = texts.iter().map(|text| inventory::vector(text, length)).collect();
        let count = texts.iter().map(|text| tokens(text).min(model.context)).sum::<u32>();
        if route == Route::OpenAi {
            return Ok(openai::embeddings(&vectors, &model.name, count));
        }
        Ok(inventory::text(&json!({
            "model": body["model"], "embeddings": vectors, "total_duration": 20_000_000, "load_duration": 1_000_000,
            "prompt_eval_count": count,
        })))
    }

    /// A pull, layer by layer. Given up, it goes on where it was.
    async fn pull(&self, exchange: OpenExchange, bytes: &[u8], reset: Reset) -> Result<Response<Body>, io::Error> {
        let body = match json(bytes) {
            Ok(body) => body,
            Err(refusal) => return Ok(self.refuse(exchange, Route::Ollama, false, &refusal)),
        };
        let name = body["model"].as_str().or_else(|| body["name"].as_str()).unwrap_or_default();
        if name.is_empty() || name.contains("::") {
            return Ok(self.refuse(exchange, Route::Ollama, false, &Refusal::new(400, "invalid model name")));
        }
        let found = locked(&self.store).pullable(name);
        let unknown = || {
            let line = |text: &str| (text.to_owned(), Change::Nothing);
            vec![
                line("{\"status\":\"pulling manifest\"}"),
                line("{\"error\":\"pull model manifest: file does not exist\"}"),
            ]
        };
        let lines = found.as_ref().map_or_else(unknown, |model| locked(&self.store).pull(model));
        let breaks = found.and_then(|model| model.pull_breaks);
        let pace = Duration::from_millis(self.script.pace_ms);
        let (mut moves, mut changes) = (Vec::new(), VecDeque::new());
        for (line, change) in lines {
            let cut = matches!((&change, breaks), (Change::Came { bytes, .. }, Some(most)) if *bytes > most);
            if cut && self.broken_pulls.fetch_max(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                moves.push(Move::Over(Ending::Cut));
                break;
            }
            moves.extend(paced(&line, pace));
            changes.push_back(change);
        }
        let store = self.store.clone();
        let sent = Box::new(move || {
            if let Some(change) = changes.pop_front() {
                locked(&store).change(change);
            }
        });
        let head = Head::new(200, Some("application/x-ndjson"));
        streamed(Streamed { exchange, head, reset, slot: None, sent }, moves).await
    }

    /// Making a model from a file fails: the stage holds no files.
    async fn create(&self, exchange: OpenExchange, bytes: &[u8], reset: Reset) -> Result<Response<Body>, io::Error> {
        let body = json(bytes).unwrap_or_default();
        let digest = body["files"].as_object().and_then(|files| files.values().next()).and_then(Value::as_str);
        let file = digest.unwrap_or("sha256:none").replace(':', "-");
        let error = json!({"error": format!("open <models>/blobs/{file}: no such file or directory")});
        let lines = ["{\"status\":\"parsing GGUF\"}".to_owned(), error.to_string()];
        let moves = lines.iter().flat_map(|line| paced(line, Duration::ZERO)).collect();
        let head = Head::new(200, Some("application/x-ndjson"));
        streamed(Streamed { exchange, head, reset, slot: None, sent: Box::new(|| {}) }, moves).await
    }

    /// What a request means that names no model.
    pub(crate) fn first_model(&self) -> String {
        self.script.models.first().map_or_else(String::new, |model| model.name.clone())
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        locked(&self.store).model(name).is_some()
    }

    /// The model of a name. A server with only one model takes any name for it.
    pub(crate) fn model(&self, name: &str) -> Result<ScriptModel, Refusal> {
        let store = locked(&self.store);
        let only = matches!(self.script.openai, Dialect::LlamaServer | Dialect::Weak);
        let found = store.model(name).or_else(|| store.models().first().filter(|_| only));
        found.cloned().ok_or_else(|| Refusal::new(404, format!("model '{name}' not found")))
    }
}

/// The route that only counts the tokens of a prompt.
const COUNT: &str = "/v1/messages/count_tokens";

/// The guard against pages of other sites: only a loopback host, and only an origin of this machine or of an app.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("not text"));
    let host_is_here = |host: &str| {
        let name = host.strip_prefix('[').map_or_else(
            || host.rsplit_once(':').map_or(host, |(name, _)| name),
            |v6| v6.split(']').next().unwrap_or(v6),
        );
        matches!(name, "localhost" | "127.0.0.1" | "0.0.0.0" | "::1")
    };
    let origin_is_here = |origin: &str| match origin.split_once("://") {
        Some(("http" | "https", host)) => host_is_here(host),
        Some(("app" | "file" | "tauri" | "vscode-webview" | "vscode-file", _)) => true,
        _ => false,
    };
    text("host").is_none_or(host_is_here) && text("origin").is_none_or(origin_is_here)
}
