//! Answers one request: which route, which refusal, which turn.

use crate::answer::{Answer, Outcome, Piece, Struck, answer};
use crate::body::Move;
use crate::request::{Asked, Refusal, json, of_anthropic, of_ollama, of_openai};
use crate::script::{Capability, Dialect, Script, ScriptModel, full_name};
use crate::transcript::{Ended, OpenExchange, Transcript, locked};
use crate::{anthropic, matching, ollama, openai};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest request that is read.
const LARGEST_REQUEST: usize = 64 * 1024 * 1024;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A script being played, with what the requests so far have changed: loaded models and faults that struck.
#[derive(Debug)]
pub(crate) struct Play {
    script: Script,
    transcript: Arc<Transcript>,
    /// Full name and context length of each loaded model.
    loaded: Mutex<HashMap<String, u32>>,
    struck: Mutex<Struck>,
    slots: Option<Arc<Semaphore>>,
}

/// Which wire format a chat came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Ollama,
    OpenAi,
    Anthropic,
}

impl Play {
    pub(crate) fn new(script: Script, transcript: Arc<Transcript>) -> Self {
        let slots = (script.slots > 0).then(|| Arc::new(Semaphore::new(script.slots)));
        Self { script, transcript, loaded: Mutex::default(), struck: Mutex::default(), slots }
    }

    /// Answers a request. An error closes the connection without a byte.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
        let (head, body) = request.into_parts();
        let bytes = match Limited::new(body, LARGEST_REQUEST).collect().await {
            Ok(whole) => whole.to_bytes(),
            Err(error) => return Err(io::Error::other(error)),
        };
        let headers = head.headers.iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        let body = match serde_json::from_slice(&bytes) {
            _ if bytes.is_empty() => Value::Null,
            Ok(value) => value,
            Err(_) => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
        };
        let path = head.uri.path().to_owned();
        let exchange =
            OpenExchange::begin(&self.transcript, head.method.to_string(), path.clone(), headers.collect(), body);
        if !is_from_here(&head.headers) {
            return Ok(plain(exchange, 403, None, String::new()));
        }
        let known = match path.as_str() {
            "/" | "/api/version" | "/api/tags" | "/api/ps" | "/v1/models" => Method::GET,
            "/api/show" | "/api/chat" | "/v1/chat/completions" | "/v1/messages" | COUNT => Method::POST,
            _ => return Ok(plain(exchange, 404, Some("text/plain"), "404 page not found".to_owned())),
        };
        if head.method != known {
            return Ok(plain(exchange, 405, Some("text/plain"), "405 method not allowed".to_owned()));
        }
        let document = match path.as_str() {
            "/" => return Ok(plain(exchange, 200, Some("text/plain; charset=utf-8"), "Ollama is running".to_owned())),
            "/api/version" => json!({"version": self.script.version}),
            "/api/tags" => ollama::tags(&self.script),
            "/api/ps" => ollama::ps(&self.loaded_models()),
            "/v1/models" => openai::models(&self.script),
            "/api/show" => match self.show(&bytes) {
                Ok(document) => document,
                Err(refusal) => return Ok(self.refuse(exchange, Route::Ollama, &refusal)),
            },
            COUNT => match self.read(Route::Anthropic, &bytes) {
                Ok(asked) => json!({"input_tokens": asked.prompt_tokens}),
                Err(refusal) => return Ok(self.refuse(exchange, Route::Anthropic, &refusal)),
            },
            "/api/chat" => return self.chat(exchange, Route::Ollama, &bytes).await,
            "/v1/messages" => return self.chat(exchange, Route::Anthropic, &bytes).await,
            _ => return self.chat(exchange, Route::OpenAi, &bytes).await,
        };
        let route = if path.starts_with("/v1/") { Route::OpenAi } else { Route::Ollama };
        Ok(plain(exchange, 200, Some(self.json_type(route)), document.to_string()))
    }

    /// Ollama's compatibility layer leaves the character set out.
    fn json_type(&self, route: Route) -> &'static str {
        match (route, self.script.openai) {
            (Route::OpenAi | Route::Anthropic, Dialect::Ollama) => "application/json",
            _ => JSON,
        }
    }

    fn show(&self, bytes: &[u8]) -> Result<Value, Refusal> {
        let body = json(bytes)?;
        let name = body["model"].as_str().or_else(|| body["name"].as_str()).unwrap_or_default();
        if name.is_empty() {
            return Err(Refusal::new(400, "model is required"));
        }
        self.model(name).map(ollama::show)
    }

    /// What a request means that names no model.
    fn first_model(&self) -> &str {
        self.script.models.first().map_or("", |model| &model.name)
    }

    fn model(&self, name: &str) -> Result<&ScriptModel, Refusal> {
        self.script.model(name).ok_or_else(|| Refusal::new(404, format!("model '{name}' not found")))
    }

    fn loaded_models(&self) -> Vec<(&ScriptModel, u32)> {
        let loaded = locked(&self.loaded);
        let context = |model: &ScriptModel| loaded.get(&full_name(&model.name)).copied();
        self.script.models.iter().filter_map(|model| Some((model, context(model)?))).collect()
    }

    async fn chat(&self, exchange: OpenExchange, route: Route, bytes: &[u8]) -> Result<Response<Body>, io::Error> {
        let asked = match self.read(route, bytes) {
            Ok(asked) => asked,
            Err(refusal) => return Ok(self.refuse(exchange, route, &refusal)),
        };
        let model = match self.admit(route, &asked) {
            Ok(model) => model,
            Err(refusal) => return Ok(self.refuse(exchange, route, &refusal)),
        };
        let context = context_of(&asked, model);
        if route == Route::Ollama && asked.messages.is_empty() {
            let reason = if asked.unload { "unload" } else { "load" };
            if asked.unload {
                locked(&self.loaded).remove(&full_name(&model.name));
            } else {
                self.load(model, context).await;
            }
            return Ok(plain(exchange, 200, Some(JSON), ollama::loaded(&asked.model, reason).to_string()));
        }
        let Some(at) = self.script.turn_for(&asked) else {
            let what = matching::describe(&asked);
            exchange.is_unmatched(what.clone());
            let error = format!("no turn of the script answers this request: {what}");
            return Ok(self.refuse(exchange, route, &Refusal::new(500, error)));
        };
        exchange.plays(self.script.turns[at].name.clone().unwrap_or_else(|| at.to_string()));
        let outcome = answer(&self.script, at, &asked, model, &mut locked(&self.struck));
        let mut played = match outcome {
            Outcome::Play(answer) => answer,
            Outcome::Refuse { status, retry_after, error, body } => {
                let body = body.unwrap_or_else(|| self.error_body(route, status, &error));
                let mut response = plain(exchange, status, Some(JSON), body);
                if let Some(value) = retry_after.and_then(|value| value.parse().ok()) {
                    response.headers_mut().insert("retry-after", value);
                }
                return Ok(response);
            }
            Outcome::HangUp => {
                exchange.close(Ended::Cut);
                return Err(io::Error::other("the script hangs up"));
            }
            Outcome::Empty => return Ok(plain(exchange, 200, Some(stream_type(route)), String::new())),
        };
        let slot = self.slot().await;
        played.load_ms = self.load(model, context).await;
        played.prompt_tokens = played.prompt_tokens.min(context);
        if asked.stream {
            let voice = openai::Voice::of(&self.script, asked.include_usage);
            let moves = match route {
                Route::Ollama => ollama::stream(&played, &asked.model, self.script.tool_calls),
                Route::OpenAi => openai::stream(&played, &asked.model, voice),
                Route::Anthropic => anthropic::stream(&played, &asked.model, voice),
            };
            return Ok(streamed(exchange, route, moves, slot));
        }
        self.whole(exchange, route, &asked, &played).await
    }

    fn read(&self, route: Route, bytes: &[u8]) -> Result<Asked, Refusal> {
        let body = json(bytes)?;
        match route {
            Route::Ollama => of_ollama(&body),
            Route::OpenAi => of_openai(&body, self.first_model()),
            Route::Anthropic => of_anthropic(&body, self.first_model()),
        }
    }

    /// What a real server checks before it asks a model.
    fn admit(&self, route: Route, asked: &Asked) -> Result<&ScriptModel, Refusal> {
        let model = self.model(&asked.model)?;
        let refuse = |error: String| Err(Refusal::new(400, error));
        let can = |capability| model.capabilities.contains(&capability);
        if !can(Capability::Completion) {
            return refuse(format!("{:?} does not support chat", asked.model));
        }
        if !asked.tools.is_empty() && !can(Capability::Tools) {
            return refuse(format!("registry.ollama.ai/library/{} does not support tools", full_name(&model.name)));
        }
        if asked.think == Some(true) && !can(Capability::Thinking) {
            return refuse(format!("{:?} does not support thinking", asked.model));
        }
        let context = context_of(asked, model);
        if asked.prompt_tokens > context && !(route == Route::Ollama && asked.truncate) {
            let error = ollama::overflow(asked.prompt_tokens, context);
            return Err(Refusal { status: 400, error, document: true });
        }
        Ok(model)
    }

    /// Loads the model where it is not, or is with another context length; how long that took, in milliseconds.
    async fn load(&self, model: &ScriptModel, context: u32) -> u64 {
        let before = locked(&self.loaded).get(&full_name(&model.name)).copied();
        if before == Some(context) {
            return 0;
        }
        tokio::time::sleep(Duration::from_millis(model.load_ms)).await;
        locked(&self.loaded).insert(full_name(&model.name), context);
        model.load_ms
    }

    async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed, so waiting can only end with a permit.
        self.slots.clone()?.acquire_owned().await.ok()
    }

    async fn whole(
        &self,
        exchange: OpenExchange,
        route: Route,
        asked: &Asked,
        played: &Answer,
    ) -> Result<Response<Body>, io::Error> {
        for piece in &played.pieces {
            match piece {
                Piece::Pause(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
                Piece::Stall => std::future::pending::<()>().await,
                Piece::Cut | Piece::NoEnd => {
                    exchange.close(Ended::Cut);
                    return Err(io::Error::other("the script cuts the connection"));
                }
                _ => {}
            }
        }
        let text = match route {
            Route::Ollama => ollama::whole(played, &asked.model, self.script.tool_calls),
            Route::OpenAi => openai::whole(played, &asked.model, openai::Voice::of(&self.script, false)),
            Route::Anthropic => anthropic::whole(played, &asked.model, openai::Voice::of(&self.script, false)),
        };
        Ok(match text {
            Ok(text) => plain(exchange, 200, Some(self.json_type(route)), text),
            Err(error) => self.refuse(exchange, route, &Refusal::new(500, error)),
        })
    }

    fn error_body(&self, route: Route, status: u16, error: &str) -> String {
        match route {
            Route::Ollama => json!({"error": error}).to_string(),
            Route::OpenAi => openai::error_body(status, error, self.script.openai).to_string(),
            Route::Anthropic => anthropic::error_body(status, error, self.script.openai).to_string(),
        }
    }

    fn refuse(&self, exchange: OpenExchange, route: Route, refusal: &Refusal) -> Response<Body> {
        let body = if refusal.document && route != Route::Ollama && self.script.openai == Dialect::LlamaServer {
            refusal.error.clone()
        } else {
            self.error_body(route, refusal.status, &refusal.error)
        };
        plain(exchange, refusal.status, Some(JSON), body)
    }
}

/// The route that only counts the tokens of a prompt.
const COUNT: &str = "/v1/messages/count_tokens";

const JSON: &str = "application/json; charset=utf-8";

/// A length above the model's own is cut to it without a word.
fn context_of(asked: &Asked, model: &ScriptModel) -> u32 {
    asked.context.map_or(model.context, |context| context.min(model.context))
}

fn stream_type(route: Route) -> &'static str {
    match route {
        Route::Ollama => "application/x-ndjson",
        Route::OpenAi | Route::Anthropic => "text/event-stream",
    }
}

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

/// A whole answer with its length.
fn plain(exchange: OpenExchange, status: u16, content_type: Option<&str>, body: String) -> Response<Body> {
    exchange.answers(status);
    let full = Full::new(Bytes::from(body)).map_err(|never| match never {});
    let mut response = Response::new(full.boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(value) = content_type.and_then(|value| value.parse().ok()) {
        response.headers_mut().insert("content-type", value);
    }
    exchange.close(Ended::Answered);
    response
}

/// What a streamed body still has to do. Dropped with its exchange open, the client has hung up.
struct Sending {
    moves: std::vec::IntoIter<Move>,
    exchange: Option<OpenExchange>,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Sending {
    fn close(&mut self, ended: Ended) {
        if let Some(exchange) = self.exchange.take() {
            exchange.close(ended);
        }
    }
}

fn streamed(
    exchange: OpenExchange,
    route: Route,
    moves: Vec<Move>,
    slot: Option<OwnedSemaphorePermit>,
) -> Response<Body> {
    exchange.answers(200);
    let sending = Sending { moves: moves.into_iter(), exchange: Some(exchange), _slot: slot };
    let body = stream::unfold(Some(sending), |sending| async move {
        let mut sending = sending?;
        loop {
            match sending.moves.next() {
                Some(Move::Send(bytes)) => {
                    // A client has all it needs with the last piece and need not wait for the end of the body.
                    if sending.moves.as_slice().is_empty() {
                        sending.close(Ended::Answered);
                    }
                    return Some((Ok(Frame::data(bytes)), Some(sending)));
                }
                Some(Move::Wait(time)) => tokio::time::sleep(time).await,
                Some(Move::Stall) => std::future::pending::<()>().await,
                Some(Move::Cut) => {
                    // Lets what was sent before go out first.
                    tokio::task::yield_now().await;
                    sending.close(Ended::Cut);
                    return Some((Err(io::Error::other("the script cuts the connection")), None));
                }
                Some(Move::End) => {
                    sending.close(Ended::Cut);
                    return None;
                }
                None => {
                    sending.close(Ended::Answered);
                    return None;
                }
            }
        }
    });
    let mut response = Response::new(StreamBody::new(body).boxed_unsync());
    if let Ok(value) = stream_type(route).parse() {
        response.headers_mut().insert("content-type", value);
    }
    response
}
