//! What is said to a request, in no dialect: the pieces of the turn, with its faults.

use crate::request::{Asked, tokens};
use crate::script::{Arguments, Capability, Fault, FaultKind, Part, Script, ScriptModel, StopWord};
use serde_json::Value;
use std::collections::HashMap;

/// How often each fault has struck, by turn and part.
pub(crate) type Struck = HashMap<(usize, usize), u32>;

/// What comes back for a matched request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// Another status than 200.
    Refuse { status: u16, retry_after: Option<String>, error: String, body: Option<String> },
    /// Not a byte.
    HangUp,
    /// A head and no body.
    Empty,
    /// An answer.
    Play(Answer),
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) stop: StopWord,
    pub(crate) pace_ms: u64,
    pub(crate) chunk_bytes: usize,
    pub(crate) prompt_tokens: u32,
    pub(crate) output_tokens: u32,
    /// How long the model was loaded, in milliseconds.
    pub(crate) load_ms: u64,
    /// Identifies the request.
    pub(crate) print: u64,
}

/// One piece of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    Text(String),
    Thinking(String),
    Call {
        name: String,
        arguments: Arguments,
    },
    BrokenCall {
        name: String,
        raw: String,
    },
    Pause(u64),
    Raw(String),
    /// The server's error inside the stream; nothing follows.
    Error(String),
    /// The connection is cut; nothing follows.
    Cut,
    /// The body ends without its last word; nothing follows.
    NoEnd,
    /// Nothing follows, and the connection stays open.
    Stall,
}

impl Answer {
    /// Whether it calls a tool.
    pub(crate) fn calls(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Call { .. } | Piece::BrokenCall { .. }))
    }
    /// Whether it breaks off by a fault.
    pub(crate) fn breaks(&self) -> bool {
        matches!(self.pieces.last(), Some(Piece::Error(_) | Piece::Cut | Piece::NoEnd | Piece::Stall))
    }
}

/// Plays turn `at`. Only `struck` makes two equal requests differ.
pub(crate) fn answer(script: &Script, at: usize, asked: &Asked, model: &ScriptModel, struck: &mut Struck) -> Outcome {
    let turn = &script.turns[at];
    let thinks = model.capabilities.contains(&Capability::Thinking) && asked.think != Some(false);
    let goal = asked.goal().unwrap_or_default();
    let mut pieces = Vec::new();
    for (part_at, part) in turn.say.iter().enumerate() {
        match part {
            Part::Text(text) => pieces.extend(words(&filled(text, &goal)).map(Piece::Text)),
            Part::Thinking(text) if thinks => pieces.extend(words(&filled(text, &goal)).map(Piece::Thinking)),
            Part::Thinking(_) => {}
            Part::Tool(tool) => {
                let mut arguments = Value::Object(tool.arguments.clone());
                fill(&mut arguments, &goal);
                let Value::Object(arguments) = arguments else { continue };
                pieces.push(Piece::Call { name: tool.name.clone(), arguments });
            }
            Part::PauseMs(ms) => pieces.push(Piece::Pause(*ms)),
            Part::Fault(fault) => {
                if !strikes(fault, (at, part_at), struck) {
                    continue;
                }
                match piece_of(fault) {
                    Effect::Instead(outcome) => return outcome,
                    Effect::Last(piece) => {
                        pieces.push(piece);
                        break;
                    }
                    Effect::Among(piece) => pieces.push(piece),
                }
            }
        }
    }
    let output = pieces.iter().map(size).sum::<usize>();
    Outcome::Play(Answer {
        output_tokens: if output == 0 { 0 } else { tokens(output) },
        pieces,
        stop: turn.stop,
        pace_ms: turn.pace_ms.unwrap_or(script.pace_ms),
        chunk_bytes: turn.chunk_bytes.unwrap_or(script.chunk_bytes),
        prompt_tokens: asked.prompt_tokens,
        load_ms: 0,
        print: asked.print,
    })
}

fn strikes(fault: &Fault, at: (usize, usize), struck: &mut Struck) -> bool {
    let count = struck.entry(at).or_insert(0);
    if fault.times.is_some_and(|times| *count >= times) {
        return false;
    }
    *count += 1;
    true
}

enum Effect {
    Instead(Outcome),
    Last(Piece),
    Among(Piece),
}

fn piece_of(fault: &Fault) -> Effect {
    let error = || fault.error.clone();
    match fault.kind {
        FaultKind::Refuse => {
            let status = fault.status.unwrap_or(500);
            let error = error().unwrap_or_else(|| usual_words(status).to_owned());
            let (retry_after, body) = (fault.retry_after.clone(), fault.body.clone());
            Effect::Instead(Outcome::Refuse { status, retry_after, error, body })
        }
        FaultKind::HangUp => Effect::Instead(Outcome::HangUp),
        FaultKind::Empty => Effect::Instead(Outcome::Empty),
        FaultKind::Disconnect => Effect::Last(Piece::Cut),
        FaultKind::NoEnd => Effect::Last(Piece::NoEnd),
        FaultKind::Stall => Effect::Last(Piece::Stall),
        FaultKind::Error => Effect::Last(Piece::Error(
            error().unwrap_or_else(|| "an error was encountered while running the model: unexpected EOF".to_owned()),
        )),
        FaultKind::MalformedCall => Effect::Among(Piece::BrokenCall {
            name: fault.tool.clone().unwrap_or_default(),
            raw: fault.arguments.clone().unwrap_or_else(|| "{\"path\": ".to_owned()),
        }),
        FaultKind::Raw => Effect::Among(Piece::Raw(fault.raw.clone().unwrap_or_default())),
    }
}

/// What real servers say with a status.
fn usual_words(status: u16) -> &'static str {
    match status {
        404 => "model not found",
        429 => "rate limit exceeded",
        503 => "server busy, please try again. maximum pending requests exceeded",
        _ => "internal server error",
    }
}

fn size(piece: &Piece) -> usize {
    match piece {
        Piece::Text(text) | Piece::Thinking(text) => text.len(),
        Piece::Call { name, arguments } => name.len() + Value::Object(arguments.clone()).to_string().len(),
        Piece::BrokenCall { name, raw } => name.len() + raw.len(),
        Piece::Pause(_) | Piece::Raw(_) | Piece::Error(_) | Piece::Cut | Piece::NoEnd | Piece::Stall => 0,
    }
}

/// The text word by word, each with the white space after it; together they are the text.
fn words(text: &str) -> impl Iterator<Item = String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut after_space = true;
    for letter in text.chars() {
        let space = letter.is_whitespace();
        match pieces.last_mut() {
            Some(last) if space || !after_space => last.push(letter),
            _ => pieces.push(letter.to_string()),
        }
        after_space = space;
    }
    pieces.into_iter()
}

fn filled(text: &str, goal: &str) -> String {
    text.replace("{{goal}}", goal)
}

fn fill(value: &mut Value, goal: &str) {
    match value {
        Value::String(text) => *text = filled(text, goal),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, goal)),
        Value::Object(map) => map.values_mut().for_each(|item| fill(item, goal)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
