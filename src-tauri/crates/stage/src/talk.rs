//! One question to a model, whatever the wire format: read, looked over, matched, answered.

use crate::answer::{Answer, Ending, Outcome, Piece, answer};
use crate::body::Move;
use crate::inventory::Loaded;
use crate::line::Reset;
use crate::request::{
    Asked, Found, Keep, Refusal, json, of_anthropic, of_generate, of_ollama, of_openai, of_responses, wrong_format,
};
use crate::routes::{JSON, Play};
use crate::script::{Capability, Dialect, ScriptModel, ToolShape, full_name};
use crate::sending::{Body, Head, Streamed, plain, streamed};
use crate::transcript::{Cost, Ended, OpenExchange, locked};
use crate::{anthropic, matching, ollama, openai, responses, room};
use hyper::Response;
use serde_json::Value;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Which wire format a question came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Ollama,
    Generate,
    OpenAi,
    Responses,
    Anthropic,
}

impl Route {
    /// Whether it is one of Ollama's own.
    fn native(self) -> bool {
        matches!(self, Route::Ollama | Route::Generate)
    }
}

/// A small context is made as long as the runner's smallest.
const SMALLEST_CONTEXT: u32 = 256;

impl Play {
    /// Answers a question. An error closes the connection without a byte.
    pub(crate) async fn talk(
        &self,
        exchange: OpenExchange,
        route: Route,
        bytes: &[u8],
        reset: Reset,
    ) -> Result<Response<Body>, io::Error> {
        let read = self.read(route, bytes).and_then(|asked| self.admit(route, &asked).map(|model| (asked, model)));
        let (asked, model) = match read {
            Ok(both) => both,
            Err(refusal) => return Ok(self.refuse(exchange, route, true, &refusal)),
        };
        let context = context_of(&asked, &model);
        if route.native() && asked.messages.is_empty() {
            return Ok(self.load_only(exchange, &asked, &model, context).await);
        }
        let (stream, may_cut) = (asked.stream, route.native() && asked.truncate);
        let asked = match room::fit(asked, context, self.script.overflow, may_cut) {
            Ok(asked) => asked,
            Err(refusal) => return Ok(self.too_long(exchange, route, stream, &refusal)),
        };
        if asked.render {
            return Ok(plain(exchange, &Head::new(200, Some(JSON)), ollama::rendered(&asked.model, &asked.messages)));
        }
        let Some(at) = self.script.turn_for(&asked) else {
            let what = matching::describe(&asked);
            exchange.is_unmatched(what.clone());
            let error = format!("no turn of the script answers this request: {what}");
            return Ok(self.refuse(exchange, route, stream, &Refusal::new(500, error)));
        };
        exchange.plays(self.script.turns[at].name.clone().unwrap_or_else(|| at.to_string()));
        let outcome = answer(&self.script, at, &asked, &model, &mut locked(&self.struck));
        let mut played = match outcome {
            Outcome::Play(answer) => answer,
            Outcome::Refuse { status, headers, error, body } => {
                let body = body.unwrap_or_else(|| self.error_text(route, Found::Asking, status, &error));
                let kind = if body.trim_start().starts_with('<') { "text/html" } else { JSON };
                let mut head = self.head(200, Some(kind));
                head.status = status;
                head.headers.extend(headers);
                return Ok(plain(exchange, &head, body));
            }
            Outcome::NoAnswer(ending) => {
                if ending == Ending::Reset {
                    reset.when_it_closes();
                }
                exchange.close(Ended::Cut);
                return Err(io::Error::other("the script gives no answer"));
            }
            Outcome::Empty => {
                return Ok(plain(exchange, &self.head(200, Some(self.stream_type(route))), String::new()));
            }
        };
        let Some(slot) = self.slot().await else {
            let busy = "server busy, please try again. maximum pending requests exceeded";
            return Ok(self.refuse(exchange, route, stream, &Refusal::new(503, busy)));
        };
        played.load_ms = self.load(&model, context, asked.keep).await;
        exchange.costs(self.cost(&played, &asked, &model, route));
        let name = self.name_told(&asked, &model);
        let voice = openai::Voice::of(&self.script, asked.include_usage);
        let own = ollama::Voice {
            shape: self.script.tool_calls,
            generate: route == Route::Generate,
            logprobs: asked.logprobs,
        };
        let tools = responses::repeated(&asked.offered);
        if !stream {
            let text = match route {
                Route::Ollama | Route::Generate => ollama::whole(&played, &name, own),
                Route::OpenAi => openai::whole(&played, &name, voice),
                Route::Responses => responses::whole(&played, &name, voice, &tools),
                Route::Anthropic => anthropic::whole(&played, &name, voice),
            };
            return self.whole(exchange, route, &played, text, reset, slot).await;
        }
        let moves = match route {
            Route::Ollama | Route::Generate => ollama::stream(&played, &name, own),
            Route::OpenAi => openai::stream(&played, &name, voice),
            Route::Responses => responses::stream(&played, &name, voice, &tools),
            Route::Anthropic => anthropic::stream(&played, &name, voice),
        };
        let head = self.head(200, Some(self.stream_type(route)));
        streamed(Streamed { exchange, head, reset, slot, sent: Box::new(|| {}) }, moves).await
    }

    fn read(&self, route: Route, bytes: &[u8]) -> Result<Asked, Refusal> {
        let mut body = json(bytes)?;
        let first = self.first_model();
        match route {
            Route::Ollama => of_ollama(&body),
            Route::Generate => of_generate(&body),
            Route::OpenAi => {
                if self.script.openai == Dialect::Weak {
                    // It checks next to nothing.
                    if !body["messages"].is_array() {
                        body["messages"] = Value::Array(Vec::new());
                    }
                    body["tool_choice"] = Value::Null;
                }
                of_openai(&body, &first)
            }
            Route::Responses => of_responses(&body, &first),
            Route::Anthropic => of_anthropic(&body, &first),
        }
        .and_then(|asked| match wrong_format(&body["format"]) {
            Some(refusal) if route.native() && self.knows(&asked.model) => Err(refusal),
            _ => Ok(asked),
        })
    }

    /// How many tokens a prompt has, for the route that only counts.
    pub(crate) fn counted(&self, bytes: &[u8]) -> Result<u32, Refusal> {
        self.read(Route::Anthropic, bytes).map(|asked| asked.prompt_tokens)
    }

    /// What a real server checks before it asks a model.
    fn admit(&self, route: Route, asked: &Asked) -> Result<ScriptModel, Refusal> {
        let model = self.model(&asked.model)?;
        let refuse = |error: String| Err(Refusal::new(400, error));
        let can = |capability| model.capabilities.contains(&capability);
        if model.remote && self.script.cloud_off {
            return Err(Refusal::new(403, format!("remote model {:?} cannot be used: the cloud is off", asked.model)));
        }
        if !can(Capability::Completion) {
            return refuse(format!("{:?} does not support chat", asked.model));
        }
        // Only Ollama knows what a model can do.
        if self.script.openai != Dialect::Ollama && !route.native() {
            return Ok(model);
        }
        if !asked.tools.is_empty() && !can(Capability::Tools) {
            return refuse(format!("registry.ollama.ai/library/{} does not support tools", full_name(&model.name)));
        }
        if asked.think == Some(true) && !can(Capability::Thinking) {
            return refuse(format!("{:?} does not support thinking", asked.model));
        }
        Ok(model)
    }

    async fn load_only(
        &self,
        exchange: OpenExchange,
        asked: &Asked,
        model: &ScriptModel,
        context: u32,
    ) -> Response<Body> {
        let reason = if asked.keep == Keep::No {
            locked(&self.store).unload(&model.name);
            "unload"
        } else {
            self.load(model, context, asked.keep).await;
            "load"
        };
        plain(exchange, &Head::new(200, Some(JSON)), ollama::loaded(&asked.model, reason))
    }

    /// Loads the model where it is not, or is with another context length; how long that took, in milliseconds. What is
    /// not kept is loaded again the next time.
    async fn load(&self, model: &ScriptModel, context: u32, keep: Keep) -> u64 {
        let before = locked(&self.store).loaded(&model.name).map(|loaded| loaded.context);
        let took = if before == Some(context) { 0 } else { model.load_ms };
        if took > 0 {
            tokio::time::sleep(Duration::from_millis(took)).await;
        }
        if before != Some(context) {
            self.transcript.loads(&model.name);
        }
        let mut store = locked(&self.store);
        match keep {
            Keep::No => store.unload(&model.name),
            Keep::While | Keep::Forever => {
                store.load(&model.name, Loaded { context, forever: keep == Keep::Forever });
            }
        }
        took
    }

    /// A place to answer in, after those who came before; none where too many wait.
    async fn slot(&self) -> Option<Option<OwnedSemaphorePermit>> {
        let Some(slots) = self.slots.clone() else { return Some(None) };
        if let Ok(free) = slots.clone().try_acquire_owned() {
            return Some(Some(free));
        }
        if self.script.queue.is_some_and(|most| self.waiting.load(Ordering::SeqCst) >= most) {
            return None;
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let waiting = Waiting(&self.waiting);
        // The semaphore is never closed, so waiting can only end with a permit.
        let slot = slots.acquire_owned().await.ok();
        drop(waiting);
        slot.map(Some)
    }

    async fn whole(
        &self,
        exchange: OpenExchange,
        route: Route,
        played: &Answer,
        text: Result<String, String>,
        reset: Reset,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Result<Response<Body>, io::Error> {
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                let refusal = Refusal { found: Found::Running, ..Refusal::new(500, error) };
                return Ok(self.refuse(exchange, route, false, &refusal));
            }
        };
        // The same faults as in a stream; what would come before one is part of the text.
        let mut moves: Vec<Move> = Vec::new();
        let (mut ending, mut at) = (None, text.len() / 2);
        for piece in &played.pieces {
            match piece {
                Piece::Pause(ms) => moves.push(Move::Wait(Duration::from_millis(*ms))),
                Piece::Over(over) => ending = Some(*over),
                _ => {}
            }
        }
        if let Some((byte, over)) = played.wrapping.over.filter(|(byte, _)| *byte < text.len()) {
            (ending, at) = (Some(over), byte);
        }
        let Some(over) = ending else {
            for step in moves {
                if let Move::Wait(time) = step {
                    tokio::time::sleep(time).await;
                }
            }
            return Ok(plain(exchange, &self.head(200, Some(self.json_type(route))), text));
        };
        if !matches!(over, Ending::Stall | Ending::StallAfterHead) {
            let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            moves.push(Move::send(&text[..at]));
        }
        moves.push(Move::Over(over));
        let head = self.head(200, Some(self.json_type(route)));
        streamed(Streamed { exchange, head, reset, slot, sent: Box::new(|| {}) }, moves).await
    }

    fn cost(&self, played: &Answer, asked: &Asked, model: &ScriptModel, route: Route) -> Cost {
        let (input, output) = (played.prompt_tokens, played.output_tokens);
        let micros = model
            .price
            .map(|price| (u64::from(input) * price.input + u64::from(output) * price.output).div_ceil(1_000_000));
        // A weak server counts nothing in a stream, and others only when they are asked to.
        let weak = self.script.openai == Dialect::Weak && asked.stream;
        let counts = route != Route::OpenAi || (asked.include_usage && !weak);
        // An unreadable call is an error here, in the place of the last line.
        let broken = played.pieces.iter().any(|piece| matches!(piece, Piece::BrokenCall { .. }));
        let error = broken && route == Route::Ollama && self.script.tool_calls == ToolShape::Last;
        Cost { model: model.name.clone(), input, output, micros, told: counts && !played.breaks() && !error }
    }

    /// The name of the model as an answer tells it: as it was asked for, or the only one that a server has.
    fn name_told(&self, asked: &Asked, model: &ScriptModel) -> String {
        match self.script.openai {
            Dialect::LlamaServer | Dialect::Weak => model.name.clone(),
            Dialect::Ollama | Dialect::Cloud => asked.model.clone(),
        }
    }

    /// A prompt that does not fit, in the words of each server.
    fn too_long(&self, exchange: OpenExchange, route: Route, stream: bool, refusal: &Refusal) -> Response<Body> {
        if self.script.openai != Dialect::Weak || route != Route::OpenAi {
            return self.refuse(exchange, route, stream, refusal);
        }
        if stream {
            // It has sent its head before it counts.
            return plain(exchange, &self.head(200, Some(self.stream_type(route))), String::new());
        }
        let document: Value = serde_json::from_str(&refusal.error).unwrap_or_default();
        let (tokens, context) = (&document["error"]["n_prompt_tokens"], &document["error"]["n_ctx"]);
        let error = format!(
            "This model's maximum context length is {context} tokens. However, you requested {tokens} tokens ({tokens} in \
             the messages, None in the completion). Please reduce the length of the messages or completion."
        );
        let body = format!(
            "{{\"error\":{{\"message\":{},\"type\":\"invalid_request_error\",\"param\":\"messages\",\"code\":\
             \"context_length_exceeded\"}}}}",
            Value::String(error)
        );
        plain(exchange, &self.head(400, Some("application/json")), body)
    }

    pub(crate) fn error_text(&self, route: Route, found: Found, status: u16, error: &str) -> String {
        let text = match route {
            Route::Ollama | Route::Generate => return ollama::text(&serde_json::json!({"error": error})),
            Route::OpenAi | Route::Responses => openai::error_body(status, error, self.script.openai),
            Route::Anthropic => anthropic::error_body(status, error, self.script.openai),
        };
        if self.script.openai == Dialect::Ollama && found != Found::Reading { text + "\n" } else { text }
    }

    pub(crate) fn refuse(
        &self,
        exchange: OpenExchange,
        route: Route,
        stream: bool,
        refusal: &Refusal,
    ) -> Response<Body> {
        let llama = self.script.openai == Dialect::LlamaServer;
        let body = if refusal.document && !route.native() && llama {
            refusal.error.clone()
        } else {
            self.error_text(route, refusal.found, refusal.status, &refusal.error)
        };
        let kind = match route {
            Route::Ollama | Route::Generate if refusal.found == Found::Running && stream => "application/json",
            Route::Ollama | Route::Generate => JSON,
            _ if refusal.found == Found::Reading => JSON,
            _ => self.json_type(route),
        };
        plain(exchange, &self.head(refusal.status, Some(kind)), body)
    }

    /// Only some servers name the character set.
    pub(crate) fn json_type(&self, route: Route) -> &'static str {
        match self.script.openai {
            Dialect::Ollama | Dialect::Weak | Dialect::Cloud if !route.native() => "application/json",
            _ => JSON,
        }
    }

    fn stream_type(&self, route: Route) -> &'static str {
        match route {
            Route::Ollama | Route::Generate => "application/x-ndjson",
            _ if self.script.openai == Dialect::Weak => "text/event-stream; charset=utf-8",
            _ => "text/event-stream",
        }
    }
}

/// Counts one who waits, also when it gives up.
struct Waiting<'a>(&'a std::sync::atomic::AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A length above the model's own, or above what there is memory for, is cut to it without a word.
fn context_of(asked: &Asked, model: &ScriptModel) -> u32 {
    let most = model.allocates.unwrap_or(model.context).min(model.context);
    asked.context.map_or(most, |context| context.max(SMALLEST_CONTEXT).min(most))
}
