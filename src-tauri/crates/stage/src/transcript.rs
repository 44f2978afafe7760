//! What was asked and how each exchange ended, for tests and for people.

use serde::Serialize;

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
        matches!(self.path.as_str(), "/api/chat" | "/v1/chat/completions")
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
