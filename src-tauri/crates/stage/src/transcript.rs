//! What was asked and how each exchange ended, for tests and for people.

use serde::Serialize;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// One request and its end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exchange {
    /// Its number, from 1.
    pub number: usize,
    /// The HTTP method.
    pub method: String,
    /// The path.
    pub path: String,
    /// Header names (lower case) and values.
    pub headers: Vec<(String, String)>,
    /// The body: JSON, or its text where it is none; null where there is none.
    pub body: serde_json::Value,
    /// The name or number (from 0) of the turn that was played.
    pub turn: Option<String>,
    /// The status that was answered; 0 where none was.
    pub status: u16,
    /// What it cost, where a model answered.
    pub cost: Option<Cost>,
    /// When it came, in milliseconds since the stage started.
    pub began_ms: u64,
    /// The same in milliseconds since 1970 UTC, for who started the client.
    pub at_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// How it ended.
    pub ended: Ended,
}

impl Exchange {
    /// Whether it asked for a chat. One without messages only loads a model, keeps it or lets it go.
    pub fn is_chat(&self) -> bool {
        let asks = !self.body["messages"].as_array().is_some_and(Vec::is_empty);
        asks && matches!(self.path.as_str(), "/api/chat" | "/v1/chat/completions" | "/v1/messages" | "/v1/responses")
    }
}

/// What an answer cost, counted by the stage alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// The model.
    pub model: String,
    /// Tokens of the prompt, as far as the model was shown it.
    pub input: u32,
    /// Tokens of the answer, as far as it was made.
    pub output: u32,
    /// The price in millionths of the currency; none where the model has no price.
    pub micros: Option<u64>,
    /// Whether the client was told these counts; not, where the answer broke off or its dialect leaves them out.
    pub told: bool,
}

/// Everything that was answered, with its price.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Bill {
    /// The answers in the order of their requests: the exchange's number and what it cost.
    pub lines: Vec<(usize, Cost)>,
}

impl Bill {
    pub(crate) fn of(exchanges: &[Exchange]) -> Self {
        let lines = exchanges.iter().filter_map(|exchange| Some((exchange.number, exchange.cost.clone()?)));
        Self { lines: lines.collect() }
    }
    /// Tokens of prompts and of answers whose counts the client was told.
    pub fn told(&self) -> (u64, u64) {
        let told = || self.lines.iter().map(|(_, cost)| cost).filter(|cost| cost.told);
        (told().map(|cost| u64::from(cost.input)).sum(), told().map(|cost| u64::from(cost.output)).sum())
    }
    /// The sum in millionths of the currency; nothing is added for a model without a price.
    pub fn micros(&self) -> u64 {
        self.lines.iter().filter_map(|(_, cost)| cost.micros).sum()
    }
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It has not.
    Open,
    /// The whole answer was sent.
    Answered,
    /// A fault of the script cut it.
    Cut,
    /// The client hung up first.
    HungUp,
}

/// A chat that no turn of the script answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unmatched {
    /// The exchange's number.
    pub number: usize,
    /// What was there, in one line.
    pub what: String,
}

/// The exchanges so far. Shared by every connection.
#[derive(Debug)]
pub(crate) struct Transcript {
    began: Instant,
    exchanges: Mutex<Vec<Exchange>>,
    unmatched: Mutex<Vec<Unmatched>>,
    loads: Mutex<Vec<String>>,
    file: Option<Mutex<File>>,
}

/// A lock that a panicking test has poisoned still holds what was written before.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Transcript {
    pub(crate) fn new(file: Option<File>) -> Self {
        Self {
            began: Instant::now(),
            exchanges: Mutex::default(),
            unmatched: Mutex::default(),
            loads: Mutex::default(),
            file: file.map(Mutex::new),
        }
    }
    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        locked(&self.exchanges).clone()
    }
    pub(crate) fn unmatched(&self) -> Vec<Unmatched> {
        locked(&self.unmatched).clone()
    }
    /// Notes that a model was loaded, or loaded anew with another context.
    pub(crate) fn loads(&self, model: &str) {
        locked(&self.loads).push(model.to_owned());
    }
    pub(crate) fn all_loads(&self) -> Vec<String> {
        locked(&self.loads).clone()
    }
    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// An exchange that goes on. Dropped before it is closed, the client has hung up.
#[derive(Debug)]
pub(crate) struct OpenExchange {
    transcript: Arc<Transcript>,
    number: usize,
    closed: bool,
}

impl OpenExchange {
    /// Begins an exchange.
    pub(crate) fn begin(
        transcript: &Arc<Transcript>,
        method: String,
        path: String,
        headers: Vec<(String, String)>,
        body: serde_json::Value,
    ) -> Self {
        let began_ms = transcript.now_ms();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut exchanges = locked(&transcript.exchanges);
        let number = exchanges.len() + 1;
        exchanges.push(Exchange {
            number,
            method,
            path,
            headers,
            body,
            turn: None,
            status: 0,
            cost: None,
            began_ms,
            at_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            ended_ms: None,
            ended: Ended::Open,
        });
        Self { transcript: transcript.clone(), number, closed: false }
    }
    /// Names the turn that is played.
    pub(crate) fn plays(&self, turn: String) {
        self.change(|exchange| exchange.turn = Some(turn));
    }
    /// Notes what the answer costs. The counts are told when the whole answer is sent.
    pub(crate) fn costs(&self, cost: Cost) {
        self.change(|exchange| exchange.cost = Some(cost));
    }
    /// Notes that no turn answers.
    pub(crate) fn is_unmatched(&self, what: String) {
        locked(&self.transcript.unmatched).push(Unmatched { number: self.number, what });
    }
    /// Notes the status that is sent.
    pub(crate) fn answers(&self, status: u16) {
        self.change(|exchange| exchange.status = status);
    }
    /// Ends the exchange.
    pub(crate) fn close(mut self, ended: Ended) {
        self.end(ended);
    }
    fn end(&mut self, ended: Ended) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let now_ms = self.transcript.now_ms();
        let line = self.change(|exchange| {
            exchange.ended = ended;
            if let Some(cost) = exchange.cost.as_mut().filter(|_| ended != Ended::Answered) {
                cost.told = false;
            }
            exchange.ended_ms = Some(now_ms);
            serde_json::to_string(exchange).unwrap_or_default()
        });
        if let Some(file) = &self.transcript.file
            && let Err(error) = writeln!(locked(file), "{}", line.unwrap_or_default())
        {
            tracing::warn!(%error, "the stage cannot write its transcript");
        }
    }
    fn change<T>(&self, change: impl FnOnce(&mut Exchange) -> T) -> Option<T> {
        locked(&self.transcript.exchanges).get_mut(self.number - 1).map(change)
    }
}

impl Drop for OpenExchange {
    fn drop(&mut self) {
        self.end(Ended::HungUp);
    }
}
