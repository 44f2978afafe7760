//! Anthropic's messages: named events over blocks, as two servers really send them.
//!
//! A block of text, thought or tool use is opened, filled by deltas and closed; the message's own end follows all
//! blocks. Usage comes in two halves.

use crate::answer::{Answer, Ending, Piece};
use crate::body::{Move, Moves};
use crate::document::{Style, write};
use crate::ollama::letters;
use crate::openai::{Voice, in_pieces, written};
use crate::script::{Dialect, StopWord};
use serde_json::{Map, Value, json};
use std::time::Duration;

const ORDER: &[&str] = &[
    "type",
    "message",
    "error",
    "index",
    "id",
    "content_block",
    "delta",
    "role",
    "name",
    "input",
    "text",
    "thinking",
    "signature",
    "partial_json",
    "content",
    "model",
    "stop_reason",
    "stop_sequence",
    "usage",
    "cache_read_input_tokens",
    "input_tokens",
    "output_tokens",
    "request_id",
];
/// One server writes the model before the content, the other after it.
const OLLAMA: &[&str] = &["type", "id", "index", "message", "role", "model", "content"];

fn text(document: &Value, voice: Voice) -> String {
    // The id comes first in a message, and after the type in a block.
    let of_message = document["id"].is_string() || document["message"].is_object();
    let first: &[&str] = if of_message { &["id"] } else { &[] };
    match voice.dialect {
        Dialect::Ollama => write(document, Style::Go, &[first, OLLAMA, ORDER].concat()),
        Dialect::LlamaServer | Dialect::Weak | Dialect::Cloud => {
            write(document, Style::Plain, &[first, ORDER].concat())
        }
    }
}

fn id(answer: &Answer, voice: Voice) -> String {
    match voice.dialect {
        Dialect::Ollama | Dialect::Cloud => format!("msg_{:024x}", answer.print),
        Dialect::LlamaServer | Dialect::Weak => format!("chatcmpl-{}", letters(answer.print, 0, 32)),
    }
}

fn stop_reason(answer: &Answer) -> &'static str {
    match answer.stop {
        StopWord::Length => "max_tokens",
        StopWord::Filter => "refusal",
        StopWord::Pause => "pause_turn",
        StopWord::End if answer.calls() => "tool_use",
        StopWord::End => "end_turn",
    }
}

/// The message around the blocks: at its start without an end, as a whole with one.
fn message(answer: &Answer, model: &str, voice: Voice, content: Value, stop: Value, output: u32) -> Value {
    let mut usage = json!({"input_tokens": answer.prompt_tokens, "output_tokens": output});
    let mut message = json!({
        "id": id(answer, voice), "type": "message", "role": "assistant", "model": model, "content": content,
    });
    let llama = voice.dialect != Dialect::Ollama;
    if llama {
        usage["cache_read_input_tokens"] = 0.into();
        message["stop_sequence"] = Value::Null;
    }
    if llama || !stop.is_null() {
        message["stop_reason"] = stop;
    }
    message["usage"] = usage;
    message
}

/// The kind of block that is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
    Tool,
}

/// The blocks of a stream as they are opened and closed.
struct Blocks {
    moves: Moves,
    voice: Voice,
    open: Option<Open>,
    /// Blocks opened so far.
    count: usize,
    /// Blocks whose end is still to be sent.
    ends: Vec<(usize, Open)>,
}

impl Blocks {
    fn event(&mut self, kind: &str, fields: Value) {
        let mut document = json!({"type": kind});
        if let (Value::Object(document), Value::Object(fields)) = (&mut document, fields) {
            document.extend(fields);
        }
        let document = text(&document, self.voice);
        self.moves.send(format!("event: {kind}\ndata: {document}\n\n"));
    }

    /// One server ends each block before the next begins, the other all of them at the end.
    fn begin(&mut self, kind: Open, block: Value) {
        if matches!(self.voice.dialect, Dialect::Ollama | Dialect::Cloud) {
            self.end();
        }
        self.event("content_block_start", json!({"index": self.count, "content_block": block}));
        self.ends.push((self.count, kind));
        self.count += 1;
        self.open = Some(kind);
    }

    fn delta(&mut self, delta: Value) {
        self.event("content_block_delta", json!({"index": self.count.saturating_sub(1), "delta": delta}));
    }

    fn end(&mut self) {
        for (index, kind) in std::mem::take(&mut self.ends) {
            if kind == Open::Thinking {
                let signature = if self.voice.dialect == Dialect::Cloud { "c2lnbmVk" } else { "" };
                let delta = json!({"type": "signature_delta", "signature": signature});
                self.event("content_block_delta", json!({"index": index, "delta": delta}));
            }
            self.event("content_block_stop", json!({"index": index}));
        }
        self.open = None;
    }

    fn call(&mut self, answer: &Answer, name: &str, piece: &Piece) {
        let (arguments, id) = written(piece);
        let mut block = json!({"type": "tool_use", "name": name});
        let id = id.unwrap_or_else(|| letters(answer.print, self.count, 32));
        if !id.is_empty() {
            block["id"] = id.into();
        }
        if matches!(self.voice.dialect, Dialect::Ollama | Dialect::Cloud) {
            block["input"] = Value::Object(Map::new());
        }
        self.begin(Open::Tool, block);
        if self.voice.dialect == Dialect::Cloud {
            self.delta(json!({"type": "input_json_delta", "partial_json": ""}));
        }
        for part in in_pieces(&arguments, self.voice.fragments) {
            self.delta(json!({"type": "input_json_delta", "partial_json": part}));
        }
    }
}

/// The body of a chat, as a stream.
pub(crate) fn stream(answer: &Answer, model: &str, voice: Voice) -> Vec<Move> {
    let mut moves = Moves::paced(answer.pace_ms);
    if voice.dialect == Dialect::Cloud {
        moves.push(Move::Head);
    }
    let mut blocks = Blocks { moves, voice, open: None, count: 0, ends: Vec::new() };
    blocks.event("message_start", json!({"message": message(answer, model, voice, json!([]), Value::Null, 0)}));
    if voice.dialect == Dialect::Cloud {
        blocks.event("ping", json!({}));
    }
    for piece in &answer.pieces {
        match piece {
            Piece::Text(text) => {
                if blocks.open != Some(Open::Text) {
                    blocks.begin(Open::Text, json!({"type": "text", "text": ""}));
                }
                blocks.delta(json!({"type": "text_delta", "text": text}));
            }
            Piece::Thinking(text) => {
                if blocks.open != Some(Open::Thinking) {
                    blocks.begin(Open::Thinking, json!({"type": "thinking", "thinking": ""}));
                }
                blocks.delta(json!({"type": "thinking_delta", "thinking": text}));
            }
            Piece::Call { name, .. } | Piece::BrokenCall { name, .. } => blocks.call(answer, name, piece),
            Piece::Pause(ms) => blocks.moves.push(Move::Wait(Duration::from_millis(*ms))),
            Piece::Raw(text) => blocks.moves.send(text.clone()),
            // Ollama's layer ends in silence where its own route would say what is wrong.
            Piece::Error(..) if voice.dialect == Dialect::Ollama => blocks.moves.push(Move::Over(Ending::NoEnd)),
            Piece::Error(status, error) => {
                blocks.event("error", json!({"error": {"type": kind_of(*status), "message": error}}));
            }
            Piece::Over(ending) => blocks.moves.push(Move::Over(*ending)),
        }
    }
    if !answer.breaks() {
        blocks.end();
        let (mut delta, mut usage) =
            (json!({"stop_reason": stop_reason(answer)}), json!({"output_tokens": answer.output_tokens}));
        match voice.dialect {
            Dialect::Ollama => usage["input_tokens"] = answer.prompt_tokens.into(),
            Dialect::LlamaServer | Dialect::Weak | Dialect::Cloud => delta["stop_sequence"] = Value::Null,
        }
        blocks.event("message_delta", json!({"delta": delta, "usage": usage}));
        blocks.event("message_stop", json!({}));
    }
    blocks.moves.wrapped(answer.wrapping)
}

/// The body of a chat that is not streamed, or the error in its place.
pub(crate) fn whole(answer: &Answer, model: &str, voice: Voice) -> Result<String, String> {
    let (mut said, mut thinking, mut calls) = (String::new(), String::new(), Vec::new());
    for piece in &answer.pieces {
        match piece {
            Piece::Text(piece) | Piece::Raw(piece) => said.push_str(piece),
            Piece::Thinking(piece) => thinking.push_str(piece),
            Piece::Call { name, arguments, id } => {
                let id = id.clone().unwrap_or_else(|| letters(answer.print, calls.len(), 32));
                calls.push(json!({"type": "tool_use", "id": id, "name": name, "input": arguments}));
            }
            Piece::BrokenCall { name, .. } => return Err(format!("the model's call of {name} cannot be read")),
            Piece::Error(_, error) => return Err(error.clone()),
            Piece::Pause(_) | Piece::Over(_) => {}
        }
    }
    let mut content = Vec::new();
    if !thinking.is_empty() {
        content.push(json!({"type": "thinking", "thinking": thinking, "signature": ""}));
    }
    if !said.is_empty() {
        content.push(json!({"type": "text", "text": said}));
    }
    content.extend(calls);
    let stop = stop_reason(answer).into();
    let document = text(&message(answer, model, voice, content.into(), stop, answer.output_tokens), voice);
    // Go ends a document with a line end.
    Ok(if voice.dialect == Dialect::Ollama { document + "\n" } else { document })
}

/// How an error is named.
fn kind_of(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

/// An error's body.
pub(crate) fn error_body(status: u16, error: &str, dialect: Dialect) -> String {
    let mut body = json!({"type": "error", "error": {"type": kind_of(status), "message": error}});
    if matches!(dialect, Dialect::Ollama | Dialect::Cloud) {
        body["request_id"] = format!("req_{:024x}", u32::from(status)).into();
    }
    write(&body, Style::Go, &["type", "error", "message", "request_id"])
}
