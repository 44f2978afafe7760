//! Sends a chat and turns the body into events, whatever the dialect.
//!
//! A turn is only complete when the dialect's own last word has come; every other end is an error.

use crate::chat::{ChatRequest, ModelEvent, ModelStream, ToolSpec};
use crate::error::{CallError, clip};
use crate::ids::Ids;
use crate::lines::{LONGEST_LINE, Lines};
use crate::markup::calls_in;
use crate::refusal;
use atelier_protocol::event::{Stop, ToolCall, Usage};
use atelier_protocol::op::Phase;
use atelier_protocol::ports::{Clock, Http, HttpRequest, HttpResponse};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;

/// The most that is read of an answer that is an error.
const LONGEST_ERROR: usize = 64 * 1024;

/// What a dialect finds in a line.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    Text(String),
    Thinking(String),
    /// A whole call. Its arguments are an object, or the text that should have been one.
    Call {
        id: Option<String>,
        name: String,
        arguments: Value,
    },
    /// The last word: nothing after it is read.
    Done {
        usage: Usage,
        stop: Stop,
    },
}

/// Reads one wire format, line by line.
pub(crate) trait Reader: Send + 'static {
    /// Reads a line without its end.
    fn line(&mut self, line: &str, found: &mut Vec<Found>) -> Result<(), CallError>;
    /// The body has ended. `Done` must be found by now or here.
    fn end(&mut self, found: &mut Vec<Found>) -> Result<(), CallError>;
}

/// What is needed to send a chat.
pub(crate) struct Sending {
    pub(crate) http: Arc<dyn Http>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) request: HttpRequest,
    pub(crate) reader: Box<dyn Reader>,
    /// Says what the server does until the first piece comes.
    pub(crate) first_phase: BoxFuture<'static, Phase>,
    pub(crate) tools: Vec<ToolSpec>,
    pub(crate) ids: Ids,
}

impl Sending {
    /// The stream of the chat. Nothing is sent before it is polled.
    pub(crate) fn stream(self) -> ModelStream {
        let state = State {
            step: Step::Begin(self.first_phase, self.request),
            heard: Heard {
                clock: self.clock,
                began_ms: 0,
                first_ms: None,
                phase: None,
                text: String::new(),
                called: false,
                malformed: None,
                tools: self.tools,
                ids: self.ids,
                events: VecDeque::new(),
                over: false,
            },
            http: self.http,
            reader: self.reader,
            lines: Lines::new(LONGEST_LINE),
        };
        stream::unfold(state, State::next).boxed()
    }
}

/// The parts of a request that a stream keeps.
pub(crate) fn keep(request: &ChatRequest) -> (Vec<ToolSpec>, Ids) {
    (request.tools.clone(), Ids::new(&request.id_prefix))
}

enum Step {
    Begin(BoxFuture<'static, Phase>, HttpRequest),
    Ask(HttpRequest),
    Hear(HttpResponse),
    Over,
}

struct State {
    step: Step,
    heard: Heard,
    http: Arc<dyn Http>,
    reader: Box<dyn Reader>,
    lines: Lines,
}

impl State {
    async fn next(mut self) -> Option<(Result<ModelEvent, CallError>, State)> {
        loop {
            if let Some(item) = self.heard.events.pop_front() {
                return Some((item, self));
            }
            if self.heard.over {
                return None;
            }
            if let Err(error) = self.advance().await {
                match self.heard.malformed {
                    Some(_) => self.heard.give_up(None),
                    None => self.heard.fail(error),
                }
            }
        }
    }

    async fn advance(&mut self) -> Result<(), CallError> {
        match std::mem::replace(&mut self.step, Step::Over) {
            Step::Begin(phase, request) => {
                self.heard.began_ms = self.heard.clock.now_ms();
                self.heard.enter(phase.await);
                self.step = Step::Ask(request);
            }
            Step::Ask(request) => {
                let response = self.http.send(request).await?;
                if response.status != 200 {
                    return Err(refused(response).await);
                }
                self.step = Step::Hear(response);
            }
            Step::Hear(mut response) => {
                let mut found = Vec::new();
                let read = match response.body.next().await {
                    Some(Ok(chunk)) => {
                        self.step = Step::Hear(response);
                        let reader = &mut self.reader;
                        self.lines.push(&chunk, |line| reader.line(line, &mut found))
                    }
                    Some(Err(error)) => Err(error.into()),
                    None => self.last(&mut found),
                };
                // What came before an error is heard before it.
                self.heard.take(found);
                if !self.heard.over {
                    read?;
                }
            }
            Step::Over => self.heard.over = true,
        }
        Ok(())
    }

    /// The body has ended: what stands after the last line end, and the dialect's own end.
    fn last(&mut self, found: &mut Vec<Found>) -> Result<(), CallError> {
        let rest = self.lines.rest()?;
        if !rest.is_empty() {
            // A line that was cut cannot be read, and then it is the cut that is worth reporting.
            match self.reader.line(&rest, found) {
                Err(CallError::Unreadable { text }) => {
                    return Err(CallError::Incomplete { reason: format!("the last line is cut: {text}") });
                }
                other => other?,
            }
        }
        if found.iter().any(|found| matches!(found, Found::Done { .. })) {
            return Ok(());
        }
        self.reader.end(found)
    }
}

async fn refused(response: HttpResponse) -> CallError {
    let (status, headers) = (response.status, response.headers);
    let mut body = response.body;
    let mut bytes = Vec::new();
    while let Some(Ok(chunk)) = body.next().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= LONGEST_ERROR {
            break;
        }
    }
    refusal::of_answer(status, &headers, &String::from_utf8_lossy(&bytes))
}

/// What was heard so far, and the events it became.
struct Heard {
    clock: Arc<dyn Clock>,
    began_ms: u64,
    first_ms: Option<u64>,
    phase: Option<Phase>,
    text: String,
    called: bool,
    /// A call that cannot be read: nothing is told after it, but what the turn used is still heard.
    malformed: Option<CallError>,
    tools: Vec<ToolSpec>,
    ids: Ids,
    events: VecDeque<Result<ModelEvent, CallError>>,
    over: bool,
}

impl Heard {
    fn enter(&mut self, phase: Phase) {
        if self.phase.replace(phase) != Some(phase) {
            self.events.push_back(Ok(ModelEvent::Phase(phase)));
        }
    }

    fn elapsed_ms(&self) -> u64 {
        self.clock.now_ms().saturating_sub(self.began_ms)
    }

    fn fail(&mut self, error: CallError) {
        self.events.push_back(Err(error));
        self.over = true;
    }

    fn take(&mut self, found: Vec<Found>) {
        for found in found {
            if self.over {
                break;
            }
            if self.first_ms.is_none() && !matches!(found, Found::Done { .. }) {
                self.first_ms = Some(self.elapsed_ms());
            }
            match found {
                Found::Done { usage, .. } if self.malformed.is_some() => self.give_up(Some(usage)),
                _ if self.malformed.is_some() => {}
                Found::Text(text) if text.is_empty() => {}
                Found::Text(text) => {
                    self.enter(Phase::Answering);
                    self.text.push_str(&text);
                    self.events.push_back(Ok(ModelEvent::Text(text)));
                }
                Found::Thinking(text) if text.is_empty() => {}
                Found::Thinking(text) => {
                    self.enter(Phase::Thinking);
                    self.events.push_back(Ok(ModelEvent::Thinking(text)));
                }
                Found::Call { id, name, arguments } => {
                    self.enter(Phase::Answering);
                    match object(&name, arguments) {
                        Ok(arguments) => self.call(id.as_deref(), name, arguments),
                        Err(error) => self.malformed = Some(error),
                    }
                }
                Found::Done { usage, stop } => self.finish(usage, stop),
            }
        }
    }

    /// Ends with the call that could not be read.
    fn give_up(&mut self, used: Option<Usage>) {
        let Some(mut error) = self.malformed.take() else { return };
        if let CallError::MalformedCall { usage, .. } = &mut error {
            *usage = used.map(|used| Box::new(Usage { first_ms: self.first_ms, total_ms: self.elapsed_ms(), ..used }));
        }
        self.fail(error);
    }

    fn call(&mut self, id: Option<&str>, name: String, arguments: Value) {
        self.called = true;
        let id = self.ids.take(id);
        self.events.push_back(Ok(ModelEvent::ToolCall(ToolCall { id, name, arguments })));
    }

    fn finish(&mut self, usage: Usage, stop: Stop) {
        let written = if self.called { None } else { calls_in(&self.text, &self.tools) };
        let rest = written.map(|(rest, calls)| {
            for call in calls {
                self.call(None, call.name, Value::Object(call.arguments));
            }
            rest
        });
        let stop = if self.called && stop == Stop::End { Stop::Tools } else { stop };
        let usage = Usage { first_ms: self.first_ms, total_ms: self.elapsed_ms(), ..usage };
        self.events.push_back(Ok(ModelEvent::Done { usage, stop, rest }));
        self.over = true;
    }
}

/// A call's arguments as an object. Some servers send its text, and some nothing where there are none.
fn object(name: &str, arguments: Value) -> Result<Value, CallError> {
    let malformed = |raw: String| CallError::MalformedCall { name: name.to_owned(), raw: clip(&raw), usage: None };
    if name.is_empty() {
        return Err(malformed(arguments.to_string()));
    }
    match arguments {
        Value::Object(map) => Ok(Value::Object(map)),
        Value::Null => Ok(Value::Object(serde_json::Map::new())),
        Value::String(text) if text.trim().is_empty() => Ok(Value::Object(serde_json::Map::new())),
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(Value::Object(map)) => Ok(Value::Object(map)),
            _ => Err(malformed(text)),
        },
        other => Err(malformed(other.to_string())),
    }
}
