//! The OpenAI-style wire format: server-sent events, as two servers really send them.

use crate::answer::{Answer, Piece};
use crate::body::{Move, Moves};
use crate::ollama::letters;
use crate::script::{Dialect, Script, StopWord, full_name};
use serde_json::{Value, json};
use std::time::Duration;

const DAY: u64 = 1_767_225_600; // 2026-01-01

/// How a body is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Voice {
    pub(crate) dialect: Dialect,
    /// Characters of a piece of tool arguments; 0 sends them whole.
    pub(crate) fragments: usize,
    pub(crate) include_usage: bool,
}

impl Voice {
    pub(crate) fn of(script: &Script, include_usage: bool) -> Self {
        let usual = match script.openai {
            Dialect::Ollama => 0,
            Dialect::LlamaServer => 5,
        };
        Self { dialect: script.openai, fragments: script.fragments.unwrap_or(usual), include_usage }
    }
    fn reasoning(self) -> &'static str {
        match self.dialect {
            Dialect::Ollama => "reasoning",
            Dialect::LlamaServer => "reasoning_content",
        }
    }
}

fn id(answer: &Answer) -> String {
    format!("chatcmpl-{}", answer.print % 1000)
}

fn usage(answer: &Answer) -> Value {
    let (prompt, output) = (answer.prompt_tokens, answer.output_tokens);
    json!({"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output})
}

fn finish_reason(answer: &Answer) -> &'static str {
    match answer.stop {
        StopWord::Length => "length",
        StopWord::End if answer.calls() => "tool_calls",
        StopWord::End => "stop",
    }
}

/// The body of a chat, as a stream.
pub(crate) fn stream(answer: &Answer, model: &str, voice: Voice) -> Vec<Move> {
    let mut moves = Moves::paced(answer.pace_ms);
    let chunk = |model: &str, choices: Value| {
        json!({
            "id": id(answer), "object": "chat.completion.chunk", "created": DAY, "model": model,
            "system_fingerprint": "fp_ollama", "choices": choices,
        })
    };
    let mut first = true;
    let mut delta = |moves: &mut Moves, mut delta: Value, reason: Value| {
        if first && voice.dialect == Dialect::Ollama {
            delta["role"] = "assistant".into();
        }
        first = false;
        moves.send(event(&chunk(model, json!([{"index": 0, "delta": delta, "finish_reason": reason}]))));
    };
    if voice.dialect == Dialect::LlamaServer {
        delta(&mut moves, json!({"role": "assistant", "content": null}), Value::Null);
    }
    let mut index = 0;
    for piece in &answer.pieces {
        match piece {
            Piece::Text(text) => delta(&mut moves, json!({"content": text}), Value::Null),
            Piece::Thinking(text) => {
                let mut thought = json!({});
                if voice.dialect == Dialect::Ollama {
                    thought["content"] = "".into();
                }
                thought[voice.reasoning()] = text.clone().into();
                delta(&mut moves, thought, Value::Null);
            }
            Piece::Call { name, arguments } => {
                let text = Value::Object(arguments.clone()).to_string();
                for part in call_deltas(answer, index, name, &text, voice) {
                    delta(&mut moves, part, Value::Null);
                }
                index += 1;
            }
            Piece::BrokenCall { name, raw } => {
                for part in call_deltas(answer, index, name, raw, voice) {
                    delta(&mut moves, part, Value::Null);
                }
                index += 1;
            }
            Piece::Pause(ms) => moves.push(Move::Wait(Duration::from_millis(*ms))),
            Piece::Raw(text) => moves.send(text.clone()),
            Piece::Error(error) => match voice.dialect {
                Dialect::Ollama => {
                    let empty = json!([{"index": 0, "delta": {"content": ""}, "finish_reason": null}]);
                    moves.send(event(&chunk("", empty)));
                }
                Dialect::LlamaServer => moves.send(event(&error_body(500, error, voice.dialect))),
            },
            Piece::Cut => moves.push(Move::Cut),
            Piece::NoEnd => moves.push(Move::End),
            Piece::Stall => moves.push(Move::Stall),
        }
    }
    if !answer.breaks() {
        delta(&mut moves, json!({}), finish_reason(answer).into());
        if voice.include_usage {
            let mut last = chunk(model, json!([]));
            last["usage"] = usage(answer);
            moves.send(event(&last));
        }
        moves.send("data: [DONE]\n\n");
    }
    moves.in_chunks_of(answer.chunk_bytes)
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn call_id(answer: &Answer, index: usize) -> String {
    letters(answer.print, index, 32)
}

fn call_deltas(answer: &Answer, index: usize, name: &str, arguments: &str, voice: Voice) -> Vec<Value> {
    let letters: Vec<char> = arguments.chars().collect();
    let size = if voice.fragments == 0 { letters.len().max(1) } else { voice.fragments };
    let mut parts = letters.chunks(size).map(|part| part.iter().collect::<String>());
    let head = json!({
        "index": index, "id": call_id(answer, index), "type": "function",
        "function": {"name": name, "arguments": parts.next().unwrap_or_default()},
    });
    let mut deltas = vec![json!({"tool_calls": [head]})];
    if voice.dialect == Dialect::Ollama {
        deltas[0]["content"] = "".into();
    }
    deltas.extend(parts.map(|part| json!({"tool_calls": [{"index": index, "function": {"arguments": part}}]})));
    deltas
}

/// The body of a chat that is not streamed, or the error in its place.
pub(crate) fn whole(answer: &Answer, model: &str, voice: Voice) -> Result<String, String> {
    let (mut text, mut thinking, mut calls) = (String::new(), String::new(), Vec::new());
    for piece in &answer.pieces {
        let (name, arguments) = match piece {
            Piece::Text(piece) | Piece::Raw(piece) => {
                text.push_str(piece);
                continue;
            }
            Piece::Thinking(piece) => {
                thinking.push_str(piece);
                continue;
            }
            Piece::Call { name, arguments } => (name, Value::Object(arguments.clone()).to_string()),
            Piece::BrokenCall { name, raw } => (name, raw.clone()),
            Piece::Error(error) => return Err(error.clone()),
            Piece::Pause(_) | Piece::Cut | Piece::NoEnd | Piece::Stall => continue,
        };
        let mut call = json!({
            "id": call_id(answer, calls.len()), "type": "function", "function": {"name": name, "arguments": arguments},
        });
        if voice.dialect == Dialect::Ollama {
            call["index"] = calls.len().into();
        }
        calls.push(call);
    }
    let mut message = json!({"role": "assistant", "content": text});
    if !thinking.is_empty() {
        message[voice.reasoning()] = thinking.into();
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    let document = json!({
        "id": id(answer), "object": "chat.completion", "created": DAY, "model": model, "system_fingerprint": "fp_ollama",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason(answer)}], "usage": usage(answer),
    });
    Ok(format!("{document}\n"))
}

/// An error's body.
pub(crate) fn error_body(status: u16, error: &str, dialect: Dialect) -> Value {
    let kind = match status {
        404 => "not_found_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    };
    match dialect {
        Dialect::Ollama => json!({"error": {"message": error, "type": kind, "param": null, "code": null}}),
        Dialect::LlamaServer => json!({"error": {"code": status, "message": error, "type": kind}}),
    }
}

/// `/v1/models`
pub(crate) fn models(script: &Script) -> Value {
    let entry = |name: &str| json!({"id": full_name(name), "object": "model", "created": DAY, "owned_by": "library"});
    json!({"object": "list", "data": script.models.iter().map(|model| entry(&model.name)).collect::<Vec<_>>()})
}
