//! Anthropic's messages: named events over blocks, as two servers really send them.
//!
//! A block of text, thought or tool use is opened, filled by deltas and closed; the message's own end follows all
//! blocks. Usage comes in two halves.

use crate::answer::{Answer, Piece};
use crate::body::{Move, Moves};
use crate::ollama::letters;
use crate::openai::Voice;
use crate::script::{Dialect, StopWord};
use serde_json::{Map, Value, json};
use std::time::Duration;

fn id(answer: &Answer, voice: Voice) -> String {
    match voice.dialect {
        Dialect::Ollama => format!("msg_{:024x}", answer.print),
        Dialect::LlamaServer => format!("chatcmpl-{}", letters(answer.print, 0, 32)),
    }
}

fn stop_reason(answer: &Answer) -> &'static str {
    match answer.stop {
        StopWord::Length => "max_tokens",
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
    let llama = voice.dialect == Dialect::LlamaServer;
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
        self.moves.send(format!("event: {kind}\ndata: {document}\n\n"));
    }

    /// One server ends each block before the next begins, the other all of them at the end.
    fn begin(&mut self, kind: Open, block: Value) {
        if self.voice.dialect == Dialect::Ollama {
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
                let delta = json!({"type": "signature_delta", "signature": ""});
                self.event("content_block_delta", json!({"index": index, "delta": delta}));
            }
            self.event("content_block_stop", json!({"index": index}));
        }
        self.open = None;
    }

    fn call(&mut self, answer: &Answer, name: &str, arguments: &str) {
        let mut block = json!({"type": "tool_use", "id": letters(answer.print, self.count, 32), "name": name});
        if self.voice.dialect == Dialect::Ollama {
            block["input"] = Value::Object(Map::new());
        }
        self.begin(Open::Tool, block);
        let letters: Vec<char> = arguments.chars().collect();
        let size = if self.voice.fragments == 0 { letters.len().max(1) } else { self.voice.fragments };
        for part in letters.chunks(size) {
            self.delta(json!({"type": "input_json_delta", "partial_json": part.iter().collect::<String>()}));
        }
    }
}

/// The body of a chat, as a stream.
pub(crate) fn stream(answer: &Answer, model: &str, voice: Voice) -> Vec<Move> {
    let moves = Moves::paced(answer.pace_ms);
    let mut blocks = Blocks { moves, voice, open: None, count: 0, ends: Vec::new() };
    blocks.event("message_start", json!({"message": message(answer, model, voice, json!([]), Value::Null, 0)}));
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
            Piece::Call { name, arguments } => blocks.call(answer, name, &Value::Object(arguments.clone()).to_string()),
            Piece::BrokenCall { name, raw } => blocks.call(answer, name, raw),
            Piece::Pause(ms) => blocks.moves.push(Move::Wait(Duration::from_millis(*ms))),
            Piece::Raw(text) => blocks.moves.send(text.clone()),
            // Ollama's layer ends in silence where its own route would say what is wrong.
            Piece::Error(_) if voice.dialect == Dialect::Ollama => blocks.moves.push(Move::End),
            Piece::Error(error) => blocks.event("error", json!({"error": {"type": "api_error", "message": error}})),
            Piece::Cut => blocks.moves.push(Move::Cut),
            Piece::NoEnd => blocks.moves.push(Move::End),
            Piece::Stall => blocks.moves.push(Move::Stall),
        }
    }
    if !answer.breaks() {
        blocks.end();
        let (mut delta, mut usage) =
            (json!({"stop_reason": stop_reason(answer)}), json!({"output_tokens": answer.output_tokens}));
        match voice.dialect {
            Dialect::Ollama => usage["input_tokens"] = answer.prompt_tokens.into(),
            Dialect::LlamaServer => delta["stop_sequence"] = Value::Null,
        }
        blocks.event("message_delta", json!({"delta": delta, "usage": usage}));
        blocks.event("message_stop", json!({}));
    }
    blocks.moves.in_chunks_of(answer.chunk_bytes)
}

/// The body of a chat that is not streamed, or the error in its place.
pub(crate) fn whole(answer: &Answer, model: &str, voice: Voice) -> Result<String, String> {
    let (mut text, mut thinking, mut calls) = (String::new(), String::new(), Vec::new());
    for piece in &answer.pieces {
        match piece {
            Piece::Text(piece) | Piece::Raw(piece) => text.push_str(piece),
            Piece::Thinking(piece) => thinking.push_str(piece),
            Piece::Call { name, arguments } => {
                let id = letters(answer.print, calls.len(), 32);
                calls.push(json!({"type": "tool_use", "id": id, "name": name, "input": arguments}));
            }
            Piece::BrokenCall { name, .. } => return Err(format!("the model's call of {name} cannot be read")),
            Piece::Error(error) => return Err(error.clone()),
            Piece::Pause(_) | Piece::Cut | Piece::NoEnd | Piece::Stall => {}
        }
    }
    let mut content = Vec::new();
    if !thinking.is_empty() {
        content.push(json!({"type": "thinking", "thinking": thinking, "signature": ""}));
    }
    if !text.is_empty() {
        content.push(json!({"type": "text", "text": text}));
    }
    content.extend(calls);
    let stop = stop_reason(answer).into();
    Ok(format!("{}\n", message(answer, model, voice, content.into(), stop, answer.output_tokens)))
}

/// An error's body.
pub(crate) fn error_body(status: u16, error: &str, dialect: Dialect) -> Value {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    };
    let mut body = json!({"type": "error", "error": {"type": kind, "message": error}});
    if dialect == Dialect::Ollama {
        body["request_id"] = format!("req_{:024x}", u32::from(status)).into();
    }
    body
}
