//! Ollama's native wire format: lines of JSON, and the routes about models.
//!
//! Shapes as recorded from 0.32: counters are left out when they are zero, arguments are objects, durations are in
//! nanoseconds. Dates are one fixed day, so that the same script gives the same bytes.

use crate::answer::{Answer, Piece};
use crate::body::{Move, Moves};
use crate::script::{Arguments, Capability, Script, ScriptModel, StopWord, ToolShape, full_name};
use serde_json::{Map, Value, json};
use std::time::Duration;

const DAY: &str = "2026-01-01T00:00:00Z";

/// The body of a chat, as a stream.
pub(crate) fn stream(answer: &Answer, model: &str, shape: ToolShape) -> Vec<Move> {
    let mut moves = Moves::paced(answer.pace_ms);
    let line = |moves: &mut Moves, message: Value| {
        moves.send(format!("{}\n", json!({"model": model, "created_at": DAY, "message": message, "done": false})));
    };
    let mut calls = Vec::new();
    for piece in &answer.pieces {
        match piece {
            Piece::Text(text) => line(&mut moves, json!({"role": "assistant", "content": text})),
            Piece::Thinking(text) => line(&mut moves, json!({"role": "assistant", "content": "", "thinking": text})),
            Piece::Call { name, arguments } => {
                let call = call(answer, calls.len(), name, arguments, shape);
                if shape == ToolShape::Own {
                    line(&mut moves, json!({"role": "assistant", "content": "", "tool_calls": [call]}));
                }
                calls.push(call);
            }
            Piece::BrokenCall { name, .. } => {
                // With a template of its own, a model's broken call vanishes; otherwise the server says so.
                if shape == ToolShape::Last {
                    moves.send(format!("{}\n", broken_call(name)));
                    return moves.in_chunks_of(answer.chunk_bytes);
                }
            }
            Piece::Pause(ms) => moves.push(Move::Wait(Duration::from_millis(*ms))),
            Piece::Raw(text) => moves.send(text.clone()),
            Piece::Error(error) => moves.send(format!("{}\n", json!({"error": error}))),
            Piece::Cut => moves.push(Move::Cut),
            Piece::NoEnd => moves.push(Move::End),
            Piece::Stall => moves.push(Move::Stall),
        }
    }
    if !answer.breaks() {
        let calls = if shape == ToolShape::Last { calls } else { Vec::new() };
        moves.send(format!("{}\n", end(answer, model, "", "", calls)));
    }
    moves.in_chunks_of(answer.chunk_bytes)
}

/// The body of a chat that is not streamed, or the error in its place.
pub(crate) fn whole(answer: &Answer, model: &str, shape: ToolShape) -> Result<String, String> {
    let (mut text, mut thinking, mut calls) = (String::new(), String::new(), Vec::new());
    for piece in &answer.pieces {
        match piece {
            Piece::Text(piece) | Piece::Raw(piece) => text.push_str(piece),
            Piece::Thinking(piece) => thinking.push_str(piece),
            Piece::Call { name, arguments } => calls.push(call(answer, calls.len(), name, arguments, shape)),
            Piece::BrokenCall { name, .. } => return Err(broken_call(name)["error"].as_str().unwrap_or("").to_owned()),
            Piece::Error(error) => return Err(error.clone()),
            Piece::Pause(_) | Piece::Cut | Piece::NoEnd | Piece::Stall => {}
        }
    }
    Ok(end(answer, model, &text, &thinking, calls).to_string())
}

fn broken_call(name: &str) -> Value {
    json!({"error": format!("llama-server returned invalid tool call arguments for {name:?}: unexpected end of JSON input")})
}

fn call(answer: &Answer, index: usize, name: &str, arguments: &Arguments, shape: ToolShape) -> Value {
    let id = match shape {
        ToolShape::Last => letters(answer.print, index, 32),
        ToolShape::Own => format!("call_{}", letters(answer.print, index, 8).to_ascii_lowercase()),
    };
    json!({"id": id, "function": {"index": index, "name": name, "arguments": arguments}})
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

fn end(answer: &Answer, model: &str, text: &str, thinking: &str, calls: Vec<Value>) -> Value {
    let mut message = json!({"role": "assistant", "content": text});
    if !thinking.is_empty() {
        message["thinking"] = thinking.into();
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    let reason = match answer.stop {
        StopWord::End => "stop",
        StopWord::Length => "length",
    };
    let mut line = json!({
        "model": model, "created_at": DAY, "message": message, "done": true, "done_reason": reason,
    });
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
pub(crate) fn loaded(model: &str, reason: &str) -> Value {
    json!({
        "model": model, "created_at": DAY, "message": {"role": "assistant", "content": ""},
        "done": true, "done_reason": reason,
    })
}

/// The words for a prompt that does not fit: llama.cpp's own error document as text.
pub(crate) fn overflow(tokens: u32, context: u32) -> String {
    json!({"error": {
        "code": 400,
        "message": format!(
            "request ({tokens} tokens) exceeds the available context size ({context} tokens), try increasing it"
        ),
        "type": "exceed_context_size_error",
        "n_prompt_tokens": tokens,
        "n_ctx": context,
    }})
    .to_string()
}

fn details() -> Value {
    json!({
        "parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"],
        "parameter_size": "530K", "quantization_level": "unknown",
    })
}

fn digest(model: &ScriptModel) -> String {
    let print = crate::request::print(&model.name);
    format!("{print:016x}").repeat(4)
}

fn capabilities(model: &ScriptModel) -> Vec<&'static str> {
    let word = |capability: &Capability| match capability {
        Capability::Completion => "completion",
        Capability::Tools => "tools",
        Capability::Thinking => "thinking",
        Capability::Embedding => "embedding",
    };
    model.capabilities.iter().map(word).collect()
}

fn add_remote(entry: &mut Value, model: &ScriptModel) {
    if model.remote {
        entry["remote_model"] = model.name.clone().into();
        entry["remote_host"] = "https://ollama.com:443".into();
    }
}

/// `/api/tags`
pub(crate) fn tags(script: &Script) -> Value {
    let entry = |model: &ScriptModel| {
        let name = full_name(&model.name);
        let mut details = details();
        details["context_length"] = model.context.into();
        details["embedding_length"] = 384.into();
        let mut entry = json!({
            "name": name, "model": name, "modified_at": DAY, "size": model.bytes, "digest": digest(model),
            "details": details, "capabilities": capabilities(model),
        });
        add_remote(&mut entry, model);
        entry
    };
    json!({"models": script.models.iter().map(entry).collect::<Vec<_>>()})
}

/// `/api/show`
pub(crate) fn show(model: &ScriptModel) -> Value {
    let mut info = Map::new();
    info.insert("general.architecture".to_owned(), "llama".into());
    info.insert("general.parameter_count".to_owned(), 529_984.into());
    info.insert("llama.context_length".to_owned(), model.context.into());
    info.insert("llama.embedding_length".to_owned(), 384.into());
    let mut entry = json!({
        "modelfile": format!("FROM {}\n", full_name(&model.name)), "parameters": "", "template": "{{ .Prompt }}",
        "details": details(), "model_info": info, "capabilities": capabilities(model), "modified_at": DAY,
    });
    add_remote(&mut entry, model);
    entry
}

/// `/api/ps`, for the models that are loaded with their context length.
pub(crate) fn ps(loaded: &[(&ScriptModel, u32)]) -> Value {
    let entry = |(model, context): &(&ScriptModel, u32)| {
        let name = full_name(&model.name);
        json!({
            "name": name, "model": name, "size": model.bytes, "digest": digest(model), "details": details(),
            "expires_at": "2026-01-01T00:05:00Z", "size_vram": 0, "context_length": context,
        })
    };
    json!({"models": loaded.iter().map(entry).collect::<Vec<_>>()})
}
