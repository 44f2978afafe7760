//! Ollama's native wire format: chats and completions as lines of JSON.
//!
//! Shapes as recorded from 0.32: counters are left out when they are zero, arguments are objects, durations are in
//! nanoseconds. Dates are one fixed day, so that the same script gives the same bytes.

use crate::answer::{Answer, Piece};
use crate::body::{Move, Moves};
use crate::document::{Style, write};
use crate::script::{StopWord, ToolShape};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) const DAY: &str = "2026-01-01T00:00:00Z";

const ORDER: &[&str] = &[
    "id",
    "index",
    "name",
    "function",
    "model",
    "created_at",
    "message",
    "response",
    "role",
    "content",
    "thinking",
    "tool_calls",
    "done",
    "done_reason",
    "context",
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
    "logprobs",
    "token",
    "logprob",
    "bytes",
    "top_logprobs",
    "_debug_info",
];

/// A document as this server writes it.
pub(crate) fn text(document: &Value) -> String {
    write(document, Style::Go, ORDER)
}

/// What a request wants to see of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Voice {
    pub(crate) shape: ToolShape,
    /// The route that completes a prompt, in place of a chat.
    pub(crate) generate: bool,
    pub(crate) logprobs: bool,
}

impl Voice {
    /// A line with a piece of the answer.
    fn line(self, model: &str, content: &str, more: Value, done: bool) -> Value {
        let mut line = json!({"model": model, "created_at": DAY, "done": done});
        let mut message = json!({"role": "assistant", "content": content});
        if let (Value::Object(message), Value::Object(more)) = (&mut message, more) {
            message.extend(more);
        }
        if self.generate {
            line["response"] = content.into();
        } else {
            line["message"] = message;
        }
        if self.logprobs && !done {
            let of = |token: &str, logprob: f64| json!({"token": token, "logprob": logprob, "bytes": token.as_bytes()});
            let mut said = of(content, 0.0);
            said["top_logprobs"] = json!([of(content, 0.0), {"token": "", "logprob": -41.5}]);
            line["logprobs"] = json!([said]);
        }
        line
    }
}

/// The body of a chat, as a stream.
pub(crate) fn stream(answer: &Answer, model: &str, voice: Voice) -> Vec<Move> {
    let mut moves = Moves::paced(answer.pace_ms);
    let line = |moves: &mut Moves, content: &str, more: Value| {
        moves.send(format!("{}\n", text(&voice.line(model, content, more, false))));
    };
    let mut calls = Vec::new();
    for piece in &answer.pieces {
        match piece {
            Piece::Text(text) => line(&mut moves, text, json!({})),
            Piece::Thinking(text) => line(&mut moves, "", json!({"thinking": text})),
            Piece::Call { .. } => {
                let call = call(answer, calls.len(), piece, voice.shape);
                if voice.shape == ToolShape::Own {
                    line(&mut moves, "", json!({"tool_calls": [call]}));
                }
                calls.push(call);
            }
            Piece::BrokenCall { name, .. } => {
                // With a template of its own, a model's broken call vanishes; otherwise the server says so.
                if voice.shape == ToolShape::Last {
                    moves.send(format!("{}\n", text(&json!({"error": broken_call(name)}))));
                    return moves.wrapped(answer.wrapping);
                }
            }
            Piece::Pause(ms) => moves.push(Move::Wait(Duration::from_millis(*ms))),
            Piece::Raw(text) => moves.send(text.clone()),
            Piece::Error(_, error) => moves.send(format!("{}\n", text(&json!({"error": error})))),
            Piece::Over(ending) => moves.push(Move::Over(*ending)),
        }
    }
    if !answer.breaks() {
        let calls = if voice.shape == ToolShape::Last { calls } else { Vec::new() };
        moves.send(format!("{}\n", text(&end(answer, model, "", "", calls, voice))));
    }
    moves.wrapped(answer.wrapping)
}

/// The body of a chat that is not streamed, or the error in its place.
pub(crate) fn whole(answer: &Answer, model: &str, voice: Voice) -> Result<String, String> {
    let (mut said, mut thinking, mut calls) = (String::new(), String::new(), Vec::new());
    for piece in &answer.pieces {
        match piece {
            Piece::Text(piece) | Piece::Raw(piece) => said.push_str(piece),
            Piece::Thinking(piece) => thinking.push_str(piece),
            Piece::Call { .. } => calls.push(call(answer, calls.len(), piece, voice.shape)),
            Piece::BrokenCall { .. } if voice.shape == ToolShape::Own => {}
            Piece::BrokenCall { name, .. } => return Err(broken_call(name)),
            Piece::Error(_, error) => return Err(error.clone()),
            Piece::Pause(_) | Piece::Over(_) => {}
        }
    }
    Ok(text(&end(answer, model, &said, &thinking, calls, voice)))
}

fn broken_call(name: &str) -> String {
    format!("llama-server returned invalid tool call arguments for {name:?}: unexpected end of JSON input")
}

fn call(answer: &Answer, index: usize, piece: &Piece, shape: ToolShape) -> Value {
    let Piece::Call { name, arguments, id } = piece else { return Value::Null };
    let made = || match shape {
        ToolShape::Last => letters(answer.print, index, 32),
        ToolShape::Own => format!("call_{}", letters(answer.print, index, 8).to_ascii_lowercase()),
    };
    let mut call = json!({"function": {"index": index, "name": name, "arguments": arguments}});
    let id = id.clone().unwrap_or_else(made);
    if !id.is_empty() {
        call["id"] = id.into();
    }
    call
}

/// An id as the servers make them, from what the request was.
pub(crate) fn letters(print: u64, index: usize, length: usize) -> String {
    const ALPHABET: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut state = print ^ (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(ALPHABET[usize::try_from((state >> 33) % 62).unwrap_or(0)])
    };
    (0..length).map(|_| letter()).collect()
}

fn end(answer: &Answer, model: &str, said: &str, thinking: &str, calls: Vec<Value>, voice: Voice) -> Value {
    let mut more = json!({});
    if !thinking.is_empty() {
        more["thinking"] = thinking.into();
    }
    if !calls.is_empty() {
        more["tool_calls"] = calls.into();
    }
    let mut line = voice.line(model, said, more, true);
    line["done_reason"] = match answer.stop {
        StopWord::Length => "length",
        StopWord::End | StopWord::Filter | StopWord::Pause => "stop",
    }
    .into();
    if voice.generate {
        // The numbers of all tokens, which an older client sends back to go on.
        line["context"] = (0..(answer.prompt_tokens + answer.output_tokens).min(64)).collect();
    }
    let load = answer.load_ms * 1_000_000;
    let reading = u64::from(answer.prompt_tokens) * 10_000;
    let writing = u64::from(answer.output_tokens) * 100_000;
    for (key, count) in [
        ("total_duration", load + reading + writing),
        ("load_duration", load),
        ("prompt_eval_count", answer.prompt_tokens.into()),
        ("prompt_eval_duration", reading),
        ("eval_count", answer.output_tokens.into()),
        ("eval_duration", writing),
    ] {
        if count != 0 {
            line[key] = count.into();
        }
    }
    line
}

/// The answer to a chat without messages, which only loads or unloads the model.
pub(crate) fn loaded(model: &str, reason: &str) -> String {
    text(&json!({
        "model": model, "created_at": DAY, "message": {"role": "assistant", "content": ""},
        "done": true, "done_reason": reason,
    }))
}

/// What the model would be asked, where only that is wanted.
pub(crate) fn rendered(model: &str, messages: &[crate::request::Said]) -> String {
    let message = |said: &crate::request::Said| format!("<|im_start|>{}\n{}<|im_end|>\n", said.role, said.text);
    let prompt = messages.iter().map(message).collect::<String>() + "<|im_start|>assistant\n";
    text(&json!({
        "model": model, "created_at": DAY, "message": {"role": "", "content": ""}, "done": false,
        "_debug_info": {"rendered_template": prompt},
    }))
}

/// The words for a prompt that does not fit: llama.cpp's own error document as text.
pub(crate) fn overflow(tokens: u32, context: u32) -> String {
    runner_error(
        400,
        &format!("request ({tokens} tokens) exceeds the available context size ({context} tokens), try increasing it"),
        "exceed_context_size_error",
        json!({"n_prompt_tokens": tokens, "n_ctx": context}),
    )
}

/// An error document of llama.cpp's.
pub(crate) fn runner_error(code: u16, message: &str, kind: &str, more: Value) -> String {
    let mut error = json!({"code": code, "message": message, "type": kind});
    if let (Value::Object(error), Value::Object(more)) = (&mut error, more) {
        error.extend(more);
    }
    write(&json!({"error": error}), Style::Plain, &["code", "message", "type", "n_prompt_tokens"])
}
