//! What is said to a request, in no dialect: the pieces of the turn, with its faults.

use crate::body::Wrapping;
use crate::fault::{Fault, FaultKind};
use crate::request::{Asked, tokens};
use crate::script::{Capability, Part, Script, ScriptModel, StopWord, Tool};
use serde_json::Value;
use std::collections::HashMap;

/// How often each fault was reached, by turn and part.
pub(crate) type Struck = HashMap<(usize, usize), u32>;

/// What comes back for a matched request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// Another status than 200.
    Refuse { status: u16, headers: Vec<(String, String)>, error: String, body: Option<String> },
    /// Not a byte, and the connection closed or reset.
    NoAnswer(Ending),
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
    pub(crate) wrapping: Wrapping,
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
        arguments: Value,
        /// An id of the script's; an empty one is left out.
        id: Option<String>,
    },
    BrokenCall {
        name: String,
        raw: String,
    },
    Pause(u64),
    Raw(String),
    /// The server's error inside the stream, with the status it would have had; nothing follows.
    Error(u16, String),
    /// Nothing follows.
    Over(Ending),
}

/// How an answer ends that is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The connection is cut.
    Cut,
    /// The connection is reset.
    Reset,
    /// The body ends as if it were whole, without the dialect's last word.
    NoEnd,
    /// The same, before as many bytes as the head said.
    Short,
    /// Nothing more comes, and the connection stays open.
    Stall,
    /// The same, and the head has come.
    StallAfterHead,
}

impl Answer {
    /// Whether it calls a tool.
    pub(crate) fn calls(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Call { .. } | Piece::BrokenCall { .. }))
    }
    /// Whether it breaks off by a fault.
    pub(crate) fn breaks(&self) -> bool {
        matches!(self.pieces.last(), Some(Piece::Error(..) | Piece::Over(_)))
    }
}

/// Plays turn `at`. Only `struck` makes two equal requests differ.
pub(crate) fn answer(script: &Script, at: usize, asked: &Asked, model: &ScriptModel, struck: &mut Struck) -> Outcome {
    let turn = &script.turns[at];
    let thinks = model.capabilities.contains(&Capability::Thinking) && asked.think != Some(false);
    let goal = asked.goal().unwrap_or_default();
    let mut pieces = Vec::new();
    let mut over = None;
    for (part_at, part) in turn.say.iter().enumerate() {
        match part {
            Part::Text(text) => pieces.extend(words(&filled(text, &goal)).map(Piece::Text)),
            Part::Thinking(text) if thinks => pieces.extend(words(&filled(text, &goal)).map(Piece::Thinking)),
            Part::Thinking(_) => {}
            Part::Repeat(repeat) => pieces.push(Piece::Text(repeat.text.repeat(repeat.times))),
            Part::Tool(tool) => pieces.push(call(tool, &goal)),
            Part::PauseMs(ms) => pieces.push(Piece::Pause(*ms)),
            Part::Fault(fault) => {
                let reached = struck.entry((at, part_at)).or_insert(0);
                let strikes = fault.strikes(*reached);
                *reached += 1;
                if !strikes {
                    continue;
                }
                if let (Some(byte), Some(ending)) = (fault.at_byte, ending_of(fault.kind)) {
                    over = Some((byte, ending));
                    continue;
                }
                match effect_of(fault, pieces.is_empty()) {
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
        wrapping: Wrapping {
            chunk_bytes: turn.chunk_bytes.unwrap_or(script.chunk_bytes),
            chunk_seed: script.chunk_seed.map(|seed| seed ^ asked.print),
            newline: script.newline,
            byte_order_mark: script.byte_order_mark,
            over,
        },
        prompt_tokens: asked.prompt_tokens,
        load_ms: 0,
        print: asked.print,
    })
}

fn call(tool: &Tool, goal: &str) -> Piece {
    let mut arguments = tool.instead.clone().unwrap_or_else(|| Value::Object(tool.arguments.clone()));
    fill(&mut arguments, goal);
    Piece::Call { name: tool.name.clone(), arguments, id: tool.id.clone() }
}

enum Effect {
    Instead(Outcome),
    Last(Piece),
    Among(Piece),
}

/// The ending that a fault is, where it is one.
fn ending_of(kind: FaultKind) -> Option<Ending> {
    match kind {
        FaultKind::Disconnect => Some(Ending::Cut),
        FaultKind::Reset => Some(Ending::Reset),
        FaultKind::NoEnd => Some(Ending::NoEnd),
        FaultKind::Short => Some(Ending::Short),
        FaultKind::Stall => Some(Ending::Stall),
        FaultKind::StallAfterHead => Some(Ending::StallAfterHead),
        FaultKind::Refuse
        | FaultKind::HangUp
        | FaultKind::Empty
        | FaultKind::Error
        | FaultKind::MalformedCall
        | FaultKind::Raw => None,
    }
}

fn effect_of(fault: &Fault, nothing_said: bool) -> Effect {
    let error = || fault.error.clone();
    if fault.kind == FaultKind::Reset && nothing_said {
        return Effect::Instead(Outcome::NoAnswer(Ending::Reset));
    }
    if let Some(ending) = ending_of(fault.kind) {
        return Effect::Last(Piece::Over(ending));
    }
    match fault.kind {
        FaultKind::Refuse => {
            let status = fault.status.unwrap_or(500);
            let error = error().unwrap_or_else(|| usual_words(status).to_owned());
            let waits = fault.retry_after.iter().map(|value| ("retry-after".to_owned(), value.clone()));
            let headers = waits.chain(fault.headers.clone()).collect();
            Effect::Instead(Outcome::Refuse { status, headers, error, body: fault.body.clone() })
        }
        FaultKind::HangUp => Effect::Instead(Outcome::NoAnswer(Ending::Cut)),
        FaultKind::Empty => Effect::Instead(Outcome::Empty),
        FaultKind::MalformedCall => Effect::Among(Piece::BrokenCall {
            name: fault.tool.clone().unwrap_or_default(),
            raw: fault.arguments.clone().unwrap_or_else(|| "{\"path\": ".to_owned()),
        }),
        FaultKind::Raw => Effect::Among(Piece::Raw(fault.raw.clone().unwrap_or_default())),
        _ => Effect::Last(Piece::Error(
            fault.status.unwrap_or(500),
            error().unwrap_or_else(|| "an error was encountered while running the model: unexpected EOF".to_owned()),
        )),
    }
}

/// What real servers say with a status.
fn usual_words(status: u16) -> &'static str {
    match status {
        401 => "invalid api key",
        402 => "insufficient credits",
        403 => "access denied",
        404 => "model not found",
        429 => "rate limit exceeded",
        503 => "server busy, please try again. maximum pending requests exceeded",
        529 => "overloaded",
        _ => "internal server error",
    }
}

fn size(piece: &Piece) -> usize {
    match piece {
        Piece::Text(text) | Piece::Thinking(text) => text.len(),
        Piece::Call { name, arguments, .. } => name.len() + arguments.to_string().len(),
        Piece::BrokenCall { name, raw } => name.len() + raw.len(),
        Piece::Pause(_) | Piece::Raw(_) | Piece::Error(..) | Piece::Over(_) => 0,
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
