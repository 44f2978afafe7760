//! The OpenAI-style wire format: server-sent events, as four kinds of servers really send them.

use crate::answer::{Answer, Ending, Piece};
use crate::body::{Move, Moves};
use crate::document::{Style, write};
use crate::ollama::letters;
use crate::script::{Dialect, Script, ScriptModel, StopWord, full_name};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) const DAY: u64 = 1_767_225_600; // 2026-01-01

/// How a body is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Voice {
    pub(crate) dialect: Dialect,
    /// Characters of a piece of tool arguments; 0 sends them whole.
    pub(crate) fragments: usize,
    pub(crate) include_usage: bool,
}

const OLLAMA: &[&str] = &[
    "id",
    "index",
    "type",
    "function",
    "name",
    "object",
    "created",
    "model",
    "owned_by",
    "system_fingerprint",
    "choices",
    "message",
    "delta",
    "role",
    "content",
    "reasoning",
    "tool_calls",
    "finish_reason",
    "usage",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "param",
    "code",
];
const LLAMA_STREAM: &[&str] = &[
    "finish_reason",
    "index",
    "delta",
    "role",
    "content",
    "choices",
    "created",
    "id",
    "type",
    "function",
    "name",
    "model",
    "system_fingerprint",
    "object",
    "usage",
    "completion_tokens",
    "prompt_tokens",
    "total_tokens",
    "timings",
];
const LLAMA_WHOLE: &[&str] = &[
    "finish_reason",
    "index",
    "message",
    "role",
    "content",
    "reasoning_content",
    "tool_calls",
    "type",
    "function",
    "name",
    "choices",
    "created",
    "model",
    "system_fingerprint",
    "object",
    "usage",
    "completion_tokens",
    "prompt_tokens",
    "total_tokens",
    "prompt_tokens_details",
    "id",
    "timings",
];
const TIMINGS: &[&str] = &[
    "cache_n",
    "prompt_n",
    "prompt_ms",
    "prompt_per_token_ms",
    "prompt_per_second",
    "predicted_n",
    "predicted_ms",
    "predicted_per_token_ms",
    "predicted_per_second",
];
const WEAK_STREAM: &[&str] = &["id", "model", "created", "object", "choices", "index", "delta", "logprobs"];
const WEAK_WHOLE: &[&str] = &[
    "id",
    "object",
    "created",
    "model",
    "choices",
    "index",
    "message",
    "content",
    "role",
    "logprobs",
    "finish_reason",
    "usage",
    "prompt_tokens",
    "completion_tokens",
];

impl Voice {
    pub(crate) fn of(script: &Script, include_usage: bool) -> Self {
        let usual = match script.openai {
            Dialect::Ollama | Dialect::Weak => 0,
            Dialect::LlamaServer | Dialect::Cloud => 5,
        };
        Self { dialect: script.openai, fragments: script.fragments.unwrap_or(usual), include_usage }
    }
    fn reasoning(self) -> &'static str {
        match self.dialect {
            Dialect::LlamaServer => "reasoning_content",
            Dialect::Ollama | Dialect::Weak | Dialect::Cloud => "reasoning",
        }
    }
    fn chunk_text(self, chunk: &Value) -> String {
        match self.dialect {
            Dialect::Ollama | Dialect::Cloud => write(chunk, Style::Go, OLLAMA),
            Dialect::LlamaServer => write(chunk, Style::Plain, &[LLAMA_STREAM, TIMINGS].concat()),
            Dialect::Weak => write(chunk, Style::Python, WEAK_STREAM),
        }
    }
    fn whole_text(self, document: &Value) -> String {
        match self.dialect {
            Dialect::Ollama | Dialect::Cloud => write(document, Style::Go, OLLAMA) + "\n",
            Dialect::LlamaServer => write(document, Style::Plain, &[LLAMA_WHOLE, TIMINGS].concat()),
            Dialect::Weak => write(document, Style::Plain, WEAK_WHOLE),
        }
    }
    fn event(self, chunk: &Value) -> String {
        format!("data: {}\n\n", self.chunk_text(chunk))
    }
    /// What identifies an answer.
    fn id(self, answer: &Answer) -> String {
        match self.dialect {
            Dialect::Ollama => format!("chatcmpl-{}", answer.print % 1000),
            Dialect::LlamaServer | Dialect::Weak | Dialect::Cloud => {
                format!("chatcmpl-{}", letters(answer.print, 0, 32))
            }
        }
    }
    /// Who made it, in the words of the server.
    fn signed(self, document: &mut Value) {
        match self.dialect {
            Dialect::Ollama => document["system_fingerprint"] = "fp_ollama".into(),
            Dialect::LlamaServer => document["system_fingerprint"] = "b1-0c1e570".into(),
            Dialect::Cloud => document["system_fingerprint"] = Value::Null,
            Dialect::Weak => {}
        }
    }
}

fn usage(answer: &Answer, dialect: Dialect) -> Value {
    let (prompt, output) = (answer.prompt_tokens, answer.output_tokens);
    let mut usage = json!({"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output});
    if dialect == Dialect::LlamaServer {
        usage["prompt_tokens_details"] = json!({"cached_tokens": 0});
    }
    usage
}

/// llama.cpp's measurements, from the counts.
pub(crate) fn timings(answer: &Answer) -> Value {
    let (prompt, output) = (answer.prompt_tokens.max(1), answer.output_tokens.max(1));
    let (reading, writing) = (f64::from(prompt) * 0.01, f64::from(output) * 0.1);
    json!({
        "cache_n": 0, "prompt_n": prompt, "prompt_ms": reading, "prompt_per_token_ms": 0.01, "prompt_per_second": 1e5,
        "predicted_n": output, "predicted_ms": writing, "predicted_per_token_ms": 0.1, "predicted_per_second": 1e4,
    })
}

fn finish_reason(answer: &Answer, dialect: Dialect) -> &'static str {
    match answer.stop {
        StopWord::Length => "length",
        StopWord::Filter => "content_filter",
        StopWord::End | StopWord::Pause if answer.calls() && dialect != Dialect::Weak => "tool_calls",
        StopWord::End | StopWord::Pause => "stop",
    }
}

/// A call as a model writes it that was never asked for anything else.
fn as_markup(name: &str, arguments: &str) -> String {
    format!("<tool_call>{{\"name\": \"{name}\", \"arguments\": {arguments}}}</tool_call>")
}

/// The body of a chat, as a stream.
pub(crate) fn stream(answer: &Answer, model: &str, voice: Voice) -> Vec<Move> {
    let mut moves = Moves::paced(answer.pace_ms);
    let chunk = |model: &str, choices: Value| {
        let mut chunk = json!({
            "id": voice.id(answer), "object": "chat.completion.chunk", "created": DAY, "model": model,
            "choices": choices,
        });
        voice.signed(&mut chunk);
        chunk
    };
    let choice = |delta: Value, reason: Value| {
        let mut choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
        if voice.dialect == Dialect::Weak {
            choice["logprobs"] = Value::Null;
        }
        json!([choice])
    };
    let mut first = true;
    let mut delta = |moves: &mut Moves, mut delta: Value| {
        if first && matches!(voice.dialect, Dialect::Ollama | Dialect::Cloud) {
            delta["role"] = "assistant".into();
        }
        first = false;
        moves.send(voice.event(&chunk(model, choice(delta, Value::Null))));
    };
    match voice.dialect {
        Dialect::LlamaServer => delta(&mut moves, json!({"role": "assistant", "content": null})),
        Dialect::Weak => delta(&mut moves, json!({"role": "assistant"})),
        Dialect::Cloud => {
            // Its front answers before a model does.
            moves.push(Move::Head);
            moves.send(": processing\n\n");
        }
        Dialect::Ollama => {}
    }
    let mut index = 0;
    for piece in &answer.pieces {
        match piece {
            Piece::Text(text) => delta(&mut moves, json!({"content": text})),
            Piece::Thinking(text) => {
                let mut thought = json!({});
                if voice.dialect == Dialect::Ollama {
                    thought["content"] = "".into();
                }
                thought[voice.reasoning()] = text.clone().into();
                delta(&mut moves, thought);
            }
            Piece::Call { name, .. } | Piece::BrokenCall { name, .. } => {
                let (arguments, id) = written(piece);
                if voice.dialect == Dialect::Weak {
                    delta(&mut moves, json!({"content": as_markup(name, &arguments)}));
                    continue;
                }
                let id = id.unwrap_or_else(|| letters(answer.print, index, 32));
                call_deltas(index, &id, name, &arguments, voice).into_iter().for_each(|part| delta(&mut moves, part));
                index += 1;
            }
            Piece::Pause(ms) => moves.push(Move::Wait(Duration::from_millis(*ms))),
            Piece::Raw(text) => moves.send(text.clone()),
            Piece::Error(status, error) => match voice.dialect {
                Dialect::Ollama => {
                    let empty = json!([{"index": 0, "delta": {"content": ""}, "finish_reason": null}]);
                    moves.send(voice.event(&chunk("", empty)));
                }
                // It only closes the connection.
                Dialect::Weak => moves.push(Move::Over(Ending::NoEnd)),
                Dialect::LlamaServer | Dialect::Cloud => {
                    moves.send(format!("data: {}\n\n", error_body(*status, error, voice.dialect)));
                }
            },
            Piece::Over(ending) => moves.push(Move::Over(*ending)),
        }
    }
    if !answer.breaks() {
        let mut last = chunk(model, choice(json!({}), finish_reason(answer, voice.dialect).into()));
        let counted = voice.include_usage && voice.dialect != Dialect::Weak;
        if voice.dialect == Dialect::LlamaServer && !counted {
            last["timings"] = timings(answer);
        }
        moves.send(voice.event(&last));
        if counted {
            let mut last = chunk(model, json!([]));
            last["usage"] = usage(answer, voice.dialect);
            if voice.dialect == Dialect::LlamaServer {
                last["timings"] = timings(answer);
            }
            moves.send(voice.event(&last));
        }
        moves.send("data: [DONE]\n\n");
    }
    moves.wrapped(answer.wrapping)
}

/// The arguments of a call as text, and its id where the script gives one.
pub(crate) fn written(piece: &Piece) -> (String, Option<String>) {
    match piece {
        Piece::Call { arguments: Value::String(text), id, .. } => (text.clone(), id.clone()),
        Piece::Call { arguments, id, .. } => (arguments.to_string(), id.clone()),
        Piece::BrokenCall { raw, .. } => (raw.clone(), None),
        _ => (String::new(), None),
    }
}

/// A text in pieces of so many characters; 0 leaves it whole.
pub(crate) fn in_pieces(text: &str, size: usize) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let size = if size == 0 { letters.len().max(1) } else { size };
    letters.chunks(size).map(|part| part.iter().collect()).collect()
}

fn call_deltas(index: usize, id: &str, name: &str, arguments: &str, voice: Voice) -> Vec<Value> {
    // llama.cpp's server knows that it is a call when the first brace is there.
    let first = if voice.dialect == Dialect::LlamaServer && voice.fragments > 0 { arguments.len().min(1) } else { 0 };
    let (first, rest) = arguments.split_at_checked(first).unwrap_or(("", arguments));
    let first = (!first.is_empty()).then(|| first.to_owned());
    let mut parts = first.into_iter().chain(in_pieces(rest, voice.fragments));
    let mut head = json!({
        "index": index, "type": "function",
        "function": {"name": name, "arguments": parts.next().unwrap_or_default()},
    });
    if !id.is_empty() {
        head["id"] = id.into();
    }
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
        match piece {
            Piece::Text(piece) | Piece::Raw(piece) => text.push_str(piece),
            Piece::Thinking(piece) => thinking.push_str(piece),
            Piece::Call { name, .. } | Piece::BrokenCall { name, .. } => {
                let (arguments, id) = written(piece);
                if voice.dialect == Dialect::Weak {
                    text.push_str(&as_markup(name, &arguments));
                    continue;
                }
                let mut call = json!({"type": "function", "function": {"name": name, "arguments": arguments}});
                let id = id.unwrap_or_else(|| letters(answer.print, calls.len(), 32));
                if !id.is_empty() {
                    call["id"] = id.into();
                }
                if voice.dialect == Dialect::Ollama {
                    call["index"] = calls.len().into();
                }
                calls.push(call);
            }
            Piece::Error(_, error) => return Err(error.clone()),
            Piece::Pause(_) | Piece::Over(_) => {}
        }
    }
    let mut message = json!({"role": "assistant", "content": text});
    if !thinking.is_empty() {
        message[voice.reasoning()] = thinking.into();
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    let mut choice = json!({"index": 0, "message": message, "finish_reason": finish_reason(answer, voice.dialect)});
    if voice.dialect == Dialect::Weak {
        choice["logprobs"] = Value::Null;
    }
    let mut document = json!({
        "id": voice.id(answer), "object": "chat.completion", "created": DAY, "model": model, "choices": [choice],
        "usage": usage(answer, voice.dialect),
    });
    voice.signed(&mut document);
    if voice.dialect == Dialect::LlamaServer {
        document["timings"] = timings(answer);
    }
    Ok(voice.whole_text(&document))
}

/// An error's body.
pub(crate) fn error_body(status: u16, error: &str, dialect: Dialect) -> String {
    let kind = match (status, dialect) {
        (401, Dialect::Cloud) => "authentication_error",
        (402, Dialect::Cloud) => "insufficient_quota",
        (429, Dialect::Cloud) => "rate_limit_exceeded",
        (404, _) => "not_found_error",
        (501, _) => "not_supported_error",
        (400..=499, _) => "invalid_request_error",
        _ => "api_error",
    };
    match dialect {
        Dialect::LlamaServer => write(
            &json!({"error": {"code": status, "message": error, "type": kind}}),
            Style::Plain,
            &["code", "message", "type"],
        ),
        Dialect::Ollama | Dialect::Weak | Dialect::Cloud => {
            let code = if dialect == Dialect::Cloud { json!(kind) } else { Value::Null };
            let error = json!({"error": {"message": error, "type": kind, "param": null, "code": code}});
            write(&error, Style::Go, &["message", "type", "param", "code"])
        }
    }
}

/// `/v1/models`
pub(crate) fn models(models: &[ScriptModel], dialect: Dialect) -> String {
    let each = models.iter().map(|model| entry(model, &full_name(&model.name), dialect));
    let list = json!({"object": "list", "data": each.collect::<Vec<_>>()});
    match dialect {
        Dialect::LlamaServer => {
            let tell = |model: &ScriptModel| {
                json!({
                    "name": model.name, "model": model.name, "modified_at": "", "size": "", "digest": "",
                    "type": "model", "description": "", "tags": [""], "capabilities": ["completion"], "parameters": "",
                    "details": {
                        "parent_model": "", "format": "gguf", "family": "", "families": [""], "parameter_size": "",
                        "quantization_level": "",
                    },
                })
            };
            // The size stands in another place in each of the two lists.
            let first = write(
                &models.iter().map(tell).collect(),
                Style::Plain,
                &[
                    "name",
                    "model",
                    "modified_at",
                    "size",
                    "digest",
                    "type",
                    "description",
                    "tags",
                    "capabilities",
                    "parameters",
                    "details",
                    "parent_model",
                    "format",
                    "family",
                    "families",
                    "parameter_size",
                ],
            );
            let second = write(
                &list["data"],
                Style::Plain,
                &[
                    "id",
                    "aliases",
                    "tags",
                    "object",
                    "created",
                    "owned_by",
                    "meta",
                    "vocab_type",
                    "n_vocab",
                    "n_ctx",
                    "n_ctx_train",
                    "n_embd",
                    "n_params",
                    "size",
                    "ftype",
                ],
            );
            format!("{{\"models\":{first},\"object\":\"list\",\"data\":{second}}}")
        }
        Dialect::Weak => write(&list, Style::Plain, &["id", "object", "data", "owned_by", "permissions"]),
        // The list ends with a line end.
        Dialect::Ollama | Dialect::Cloud => {
            write(&list, Style::Go, &["id", "object", "data", "created", "owned_by"]) + "\n"
        }
    }
}

/// One of them.
pub(crate) fn model(model: &ScriptModel, name: &str, dialect: Dialect) -> String {
    write(&entry(model, name, dialect), Style::Go, &["id", "object", "created", "owned_by"]) + "\n"
}

fn entry(model: &ScriptModel, name: &str, dialect: Dialect) -> Value {
    match dialect {
        Dialect::LlamaServer => json!({
            "id": model.name, "aliases": [model.name], "tags": [], "object": "model", "created": DAY,
            "owned_by": "llamacpp",
            "meta": {
                "vocab_type": 1, "n_vocab": 414, "n_ctx": model.allocates.unwrap_or(model.context),
                "n_ctx_train": model.context, "n_embd": model.embedding, "n_params": model.bytes / 4,
                "size": model.bytes, "ftype": "all F32",
            },
        }),
        Dialect::Weak => json!({"id": model.name, "object": "model", "owned_by": "me", "permissions": []}),
        Dialect::Ollama | Dialect::Cloud => {
            let owner = if dialect == Dialect::Cloud { "atelier" } else { "library" };
            json!({"id": name, "object": "model", "created": DAY, "owned_by": owner})
        }
    }
}

/// `/v1/embeddings`
pub(crate) fn embeddings(vectors: &[Vec<f64>], model: &str, tokens: u32) -> String {
    let entry =
        |(index, vector): (usize, &Vec<f64>)| json!({"object": "embedding", "embedding": vector, "index": index});
    let data: Vec<Value> = vectors.iter().enumerate().map(entry).collect();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    write(
        &json!({"object": "list", "data": data, "model": model, "usage": usage}),
        Style::Go,
        &["object", "data", "embedding", "index", "model", "usage"],
    ) + "\n"
}
