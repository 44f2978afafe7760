//! What was asked and how each exchange ended, for tests and for people.

use serde::Serialize;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

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
    /// When it came, in milliseconds since the stage started.
    pub began_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// How it ended.
    pub ended: Ended,
}

impl Exchange {
    /// Whether it asked for a chat.
    pub fn is_chat(&self) -> bool {
        matches!(self.path.as_str(), "/api/chat" | "/v1/chat/completions" | "/v1/messages")
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
            file: file.map(Mutex::new),
        }
    }
    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        locked(&self.exchanges).clone()
    }
    pub(crate) fn unmatched(&self) -> Vec<Unmatched> {
        locked(&self.unmatched).clone()
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
            began_ms,
            ended_ms: None,
            ended: Ended::Open,
        });
        Self { transcript: transcript.clone(), number, closed: false }
    }
    /// Names the turn that is played.
    pub(crate) fn plays(&self, turn: String) {
        self.change(|exchange| exchange.turn = Some(turn));
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
