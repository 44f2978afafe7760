//! The wire format of `/v1/responses`, as two servers send it: named events over items.
//!
//! Ollama's layer writes each event with sorted keys and a running number, llama.cpp's server without one and closes all
//! items at the end.

use crate::answer::{Answer, Ending, Piece};
use crate::body::{Move, Moves};
use crate::document::{Style, write};
use crate::ollama::letters;
use crate::openai::{DAY, Voice, in_pieces, timings, written};
use crate::script::{Dialect, StopWord};
use serde_json::{Value, json};
use std::time::Duration;

const LLAMA: &[&str] = &[
    "type",
    "response",
    "id",
    "object",
    "created_at",
    "status",
    "model",
    "output",
    "item_id",
    "part",
    "item",
    "annotations",
    "logprobs",
    "text",
    "usage",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "input_tokens_details",
    "timings",
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
const OLLAMA_WHOLE: &[&str] = &[
    "id",
    "object",
    "type",
    "created_at",
    "completed_at",
    "status",
    "incomplete_details",
    "call_id",
    "model",
    "previous_response_id",
    "instructions",
    "output",
    "name",
    "arguments",
    "error",
    "tools",
    "description",
    "strict",
    "tool_choice",
    "truncation",
    "parallel_tool_calls",
    "text",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "temperature",
    "reasoning",
    "usage",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "input_tokens_details",
    "output_tokens_details",
    "max_output_tokens",
    "max_tool_calls",
    "store",
    "background",
    "service_tier",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
];

/// An item of the answer: what was thought, said or called.
enum Item {
    Thought(String),
    Said(String),
    Called { name: String, arguments: String },
}

/// The items of an answer that is whole.
fn items(answer: &Answer) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for piece in &answer.pieces {
        match (piece, items.last_mut()) {
            (Piece::Text(text), Some(Item::Said(said))) => said.push_str(text),
            (Piece::Thinking(text), Some(Item::Thought(thought))) => thought.push_str(text),
            (Piece::Text(text), _) => items.push(Item::Said(text.clone())),
            (Piece::Thinking(text), _) => items.push(Item::Thought(text.clone())),
            (Piece::Call { name, .. } | Piece::BrokenCall { name, .. }, _) => {
                items.push(Item::Called { name: name.clone(), arguments: written(piece).0 });
            }
            (Piece::Pause(_) | Piece::Raw(_) | Piece::Error(..) | Piece::Over(_), _) => {}
        }
    }
    items
}

/// What stays the same in all of one answer's documents.
struct Frame<'a> {
    answer: &'a Answer,
    model: &'a str,
    tools: &'a Value,
    llama: bool,
}

impl Frame<'_> {
    fn id(&self) -> String {
        if self.llama { format!("resp_{}", letters(self.answer.print, 0, 32)) } else { self.short("resp", 0) }
    }
    fn short(&self, kind: &str, index: usize) -> String {
        format!("{kind}_{}", (self.answer.print.wrapping_add(index as u64)) % 1_000_000)
    }
    fn item_id(&self, item: &Item, index: usize) -> String {
        let kind = match item {
            Item::Thought(_) => "rs",
            Item::Said(_) => "msg",
            Item::Called { .. } if !self.llama => return format!("fc_{}_{index}", self.id()),
            Item::Called { .. } => "fc",
        };
        if self.llama { format!("{kind}_{}", letters(self.answer.print, index, 32)) } else { self.short(kind, index) }
    }
    fn call_id(&self, index: usize) -> String {
        let id = letters(self.answer.print, index, 32);
        if self.llama { format!("call_{id}") } else { id }
    }

    fn item(&self, item: &Item, index: usize, done: bool) -> Value {
        let id = self.item_id(item, index);
        let status = if done { "completed" } else { "in_progress" };
        match item {
            Item::Said(text) => {
                let content = if done { json!([said(text)]) } else { json!([]) };
                json!({"id": id, "type": "message", "role": "assistant", "status": status, "content": content})
            }
            Item::Thought(text) => {
                let content = if done { json!([{"text": text, "type": "reasoning_text"}]) } else { json!([]) };
                let mut item =
                    json!({"id": id, "type": "reasoning", "summary": [], "content": content, "encrypted_content": ""});
                if !done {
                    item["status"] = status.into();
                }
                item
            }
            Item::Called { name, arguments } => json!({
                "id": id, "type": "function_call", "status": status, "call_id": self.call_id(index), "name": name,
                "arguments": if done { arguments.as_str() } else { "" },
            }),
        }
    }

    fn usage(&self) -> Value {
        let (input, output) = (self.answer.prompt_tokens, self.answer.output_tokens);
        let mut usage = json!({
            "input_tokens": input, "output_tokens": output, "total_tokens": input + output,
            "input_tokens_details": {"cached_tokens": 0},
        });
        if !self.llama {
            usage["output_tokens_details"] = json!({"reasoning_tokens": 0});
        }
        usage
    }

    /// The whole response, as it is when it begins or when it is complete.
    fn response(&self, items: &[Item], done: bool) -> Value {
        let output: Vec<Value> = items.iter().enumerate().map(|(at, item)| self.item(item, at, true)).collect();
        let mut response = json!({"id": self.id(), "object": "response"});
        response["status"] = match (done, self.answer.stop) {
            (false, _) => "in_progress",
            (true, StopWord::Length) => "incomplete",
            (true, _) => "completed",
        }
        .into();
        if self.llama && !done {
            return response;
        }
        response["created_at"] = DAY.into();
        response["model"] = self.model.into();
        response["output"] = if done { output.into() } else { json!([]) };
        response["usage"] = if done { self.usage() } else { Value::Null };
        if self.llama {
            return response;
        }
        for (key, value) in [
            ("background", json!(false)),
            ("completed_at", if done { json!(DAY) } else { Value::Null }),
            ("frequency_penalty", json!(0)),
            ("metadata", json!({})),
            ("parallel_tool_calls", json!(true)),
            ("presence_penalty", json!(0)),
            ("service_tier", json!("default")),
            ("store", json!(false)),
            ("temperature", json!(1)),
            ("text", json!({"format": {"type": "text"}})),
            ("tool_choice", json!("auto")),
            ("tools", self.tools.clone()),
            ("top_logprobs", json!(0)),
            ("top_p", json!(1)),
            ("truncation", json!("disabled")),
        ] {
            response[key] = value;
        }
        for absent in [
            "error",
            "incomplete_details",
            "instructions",
            "max_output_tokens",
            "max_tool_calls",
            "previous_response_id",
            "prompt_cache_key",
            "reasoning",
            "safety_identifier",
        ] {
            response[absent] = Value::Null;
        }
        response
    }
}

fn said(text: &str) -> Value {
    json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
}

/// The tools of a request, as the answer repeats them.
pub(crate) fn repeated(tools: &Value) -> Value {
    let each = tools.as_array().into_iter().flatten().map(|tool| {
        let mut tool = tool.clone();
        tool["strict"] = Value::Null;
        tool
    });
    each.collect()
}

/// The events as they are sent.
struct Events<'a> {
    frame: Frame<'a>,
    moves: Moves,
    number: u32,
}

impl Events<'_> {
    fn send(&mut self, kind: &str, item: Option<(&Item, usize)>, mut fields: Value) {
        fields["type"] = kind.into();
        if let Some((item, index)) = item {
            if fields.get("item").is_none() {
                fields["item_id"] = self.frame.item_id(item, index).into();
            }
            if !self.frame.llama {
                fields["output_index"] = index.into();
            }
        }
        if self.frame.llama {
            // The delta of a call and of a thought stands before the item's id, that of a text after it.
            let order: &[&str] = if kind == "response.output_text.delta" { &[] } else { &["type", "delta"] };
            let text = write(&fields, Style::Plain, &[order, LLAMA].concat());
            self.moves.send(format!("event: {kind}\ndata: {}\n\n", as_llama(&fields).unwrap_or(text)));
        } else {
            fields["sequence_number"] = self.number.into();
            self.number += 1;
            self.moves.send(format!("event: {kind}\ndata: {}\n\n", write(&fields, Style::Go, &[])));
        }
    }

    /// What belongs to a part of a text.
    fn of_part(&self, mut fields: Value, delta: bool) -> Value {
        if !self.frame.llama {
            fields["content_index"] = 0.into();
            if delta {
                fields["logprobs"] = json!([]);
            }
        }
        fields
    }

    fn open(&mut self, item: &Item, index: usize) {
        let added = self.frame.item(item, index, false);
        self.send("response.output_item.added", Some((item, index)), json!({"item": added}));
        if matches!(item, Item::Said(_)) {
            let part = if self.frame.llama { json!({"type": "output_text", "text": ""}) } else { said("") };
            let fields = self.of_part(json!({"part": part}), false);
            self.send("response.content_part.added", Some((item, index)), fields);
        }
    }

    fn close(&mut self, item: &Item, index: usize) {
        if let Item::Said(text) = item {
            let fields = self.of_part(json!({"text": text}), true);
            self.send("response.output_text.done", Some((item, index)), fields);
            let fields = self.of_part(json!({"part": said(text)}), false);
            self.send("response.content_part.done", Some((item, index)), fields);
        }
        let done = self.frame.item(item, index, true);
        self.send("response.output_item.done", Some((item, index)), json!({"item": done}));
    }
}

/// Where llama.cpp's server writes the keys of an item in another order than in the rest.
fn as_llama(fields: &Value) -> Option<String> {
    let kind = fields["type"].as_str()?;
    let outputs = match kind {
        "response.completed" => fields["response"]["output"].as_array()?.clone(),
        "response.output_item.added" | "response.output_item.done" => vec![fields["item"].clone()],
        _ => return None,
    };
    let added = kind == "response.output_item.added";
    let item = |item: &Value| {
        let order: &[&str] = match (item["type"].as_str()?, added) {
            ("message", true) => &["content", "id", "role", "status", "type"],
            ("message", false) => &["type", "annotations", "logprobs", "text", "status", "id", "content", "role"],
            ("reasoning", _) => &["id", "summary", "text", "type", "content", "encrypted_content", "status"],
            ("function_call", true) => &["id", "arguments", "call_id", "name", "type", "status"],
            _ => &["id", "type", "status", "arguments", "call_id", "name"],
        };
        Some(write(item, Style::Plain, order))
    };
    let texts: Vec<String> = outputs.iter().map(item).collect::<Option<_>>()?;
    let mut fields = fields.clone();
    if kind == "response.completed" {
        fields["response"]["output"] = json!([PLACE]);
    } else {
        fields["item"] = json!(PLACE);
    }
    Some(write(&fields, Style::Plain, LLAMA).replace(PLACE_TEXT, &texts.join(",")))
}

/// The body, as a stream.
pub(crate) fn stream(answer: &Answer, model: &str, voice: Voice, tools: &Value) -> Vec<Move> {
    let llama = voice.dialect == Dialect::LlamaServer;
    let frame = Frame { answer, model, tools, llama };
    let mut events = Events { frame, moves: Moves::paced(answer.pace_ms), number: 0 };
    for kind in ["response.created", "response.in_progress"] {
        let response = events.frame.response(&[], false);
        events.send(kind, None, json!({"response": response}));
    }
    let whole = items(answer);
    let mut at = None;
    for piece in &answer.pieces {
        let index = at.map_or(0, |at| at + 1);
        let begins = match (piece, at.and_then(|at: usize| whole.get(at))) {
            (Piece::Text(_), Some(Item::Said(_))) | (Piece::Thinking(_), Some(Item::Thought(_))) => false,
            (Piece::Text(_) | Piece::Thinking(_) | Piece::Call { .. } | Piece::BrokenCall { .. }, _) => true,
            _ => false,
        };
        if begins {
            if let Some(before) = at.filter(|_| !llama) {
                events.close(&whole[before], before);
            }
            events.open(&whole[index], index);
            at = Some(index);
        }
        let index = at.unwrap_or(0);
        match piece {
            Piece::Text(text) => {
                let fields = events.of_part(json!({"delta": text}), true);
                events.send("response.output_text.delta", Some((&whole[index], index)), fields);
            }
            Piece::Thinking(text) => {
                let fields = json!({"delta": text});
                events.send("response.reasoning_text.delta", Some((&whole[index], index)), fields);
            }
            Piece::Call { .. } | Piece::BrokenCall { .. } => {
                for part in in_pieces(&written(piece).0, voice.fragments) {
                    let kind = "response.function_call_arguments.delta";
                    events.send(kind, Some((&whole[index], index)), json!({"delta": part}));
                }
            }
            Piece::Pause(ms) => events.moves.push(Move::Wait(Duration::from_millis(*ms))),
            Piece::Raw(text) => events.moves.send(text.clone()),
            Piece::Error(_, error) if llama || voice.dialect == Dialect::Cloud => {
                events.send("error", None, json!({"code": "server_error", "message": error}));
            }
            Piece::Error(..) => events.moves.push(Move::Over(Ending::NoEnd)),
            Piece::Over(ending) => events.moves.push(Move::Over(*ending)),
        }
    }
    if !answer.breaks() {
        let from = if llama { 0 } else { at.unwrap_or(whole.len()) };
        for (index, item) in whole.iter().enumerate().skip(from) {
            events.close(item, index);
        }
        let mut fields = json!({"response": events.frame.response(&whole, true)});
        if llama {
            fields["timings"] = timings(answer);
        }
        events.send("response.completed", None, fields);
    }
    events.moves.wrapped(answer.wrapping)
}

/// The body that is not streamed, or the error in its place.
pub(crate) fn whole(answer: &Answer, model: &str, voice: Voice, tools: &Value) -> Result<String, String> {
    if let Some(Piece::Error(_, error)) = answer.pieces.last() {
        return Err(error.clone());
    }
    let frame = Frame { answer, model, tools, llama: voice.dialect == Dialect::LlamaServer };
    let whole = items(answer);
    // Words before a call are left out.
    let called = whole.iter().any(|item| matches!(item, Item::Called { .. }));
    let kept: Vec<Item> = whole.into_iter().filter(|item| !called || matches!(item, Item::Called { .. })).collect();
    let mut response = frame.response(&kept, true);
    if voice.dialect == Dialect::LlamaServer {
        return Ok(write(&response, Style::Plain, LLAMA));
    }
    // Within a tool the schema keeps its keys sorted, whatever their order is in the rest.
    response["tools"] = json!([PLACE]);
    let tools: Vec<String> = tools.as_array().into_iter().flatten().map(repeated_tool).collect();
    Ok(write(&response, Style::Go, OLLAMA_WHOLE).replace(PLACE_TEXT, &tools.join(",")) + "\n")
}

/// A place that no text can hold, because control characters are escaped.
const PLACE: &str = "\u{1}";
const PLACE_TEXT: &str = "\"\\u0001\"";

fn repeated_tool(tool: &Value) -> String {
    let part = |key: &str| write(&tool[key], Style::Go, &[]);
    format!(
        "{{\"type\":{},\"name\":{},\"description\":{},\"strict\":{},\"parameters\":{}}}",
        part("type"),
        part("name"),
        part("description"),
        part("strict"),
        part("parameters")
    )
}
