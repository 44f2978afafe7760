//! Holds a model that seldom writes a readable tool call to a schema: its whole answer is one JSON object that names a
//! tool with its arguments, or says something.
//!
//! The tools stand in the rules instead of in the request, and earlier calls and results in plain messages, so that no
//! template of the model's has a say. What comes back is a tool call like any other, or one that cannot be read.

use crate::chat::{AnswerSchema, ChatRequest, Message, ModelEvent, ModelStream, ToolSpec};
use crate::error::{CallError, clip};
use crate::ids::Ids;
use crate::provider::Provider;
use atelier_protocol::event::{Stop, ToolCall, Usage};
use atelier_protocol::settings::ProviderKind;
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::fmt::Write;

/// The keys of an answer. Servers may write keys in the order of the alphabet, and the tool is to come first.
const CALL: &str = "call";
const WITH: &str = "with";
const SAY: &str = "say";

/// Asks a server; a constrained request is held to a schema, where the server knows schemas.
pub(crate) fn chat(server: &dyn Provider, request: ChatRequest) -> ModelStream {
    let can = server.settings().kind != ProviderKind::Anthropic;
    if !request.constrained || request.tools.is_empty() || !can {
        return server.chat(request);
    }
    let ids = Ids::new(&request.id_prefix);
    let tools = request.tools.clone();
    read(server.chat(held(request)), tools, ids)
}

/// The request with its tools as a schema.
fn held(request: ChatRequest) -> ChatRequest {
    let schema = AnswerSchema { schema: schema_of(&request.tools), strict: false };
    let mut messages: Vec<Message> = request.messages.iter().map(plain).collect();
    let rules = rules_of(&request.tools);
    match messages.iter_mut().find(|message| matches!(message, Message::System { .. })) {
        Some(Message::System { text }) => {
            text.push_str("\n\n");
            text.push_str(&rules);
        }
        _ => messages.insert(0, Message::system(rules)),
    }
    ChatRequest { messages, tools: Vec::new(), schema: Some(schema), ..request }
}

/// One of the tools with its arguments, or words.
fn schema_of(tools: &[ToolSpec]) -> Value {
    let call = |tool: &ToolSpec| {
        json!({
            "type": "object",
            "properties": {CALL: {"const": tool.name}, WITH: tool.parameters},
            "required": [CALL, WITH],
            "additionalProperties": false,
        })
    };
    let words = json!({
        "type": "object", "properties": {SAY: {"type": "string"}}, "required": [SAY], "additionalProperties": false,
    });
    json!({"anyOf": tools.iter().map(call).chain([words]).collect::<Vec<_>>()})
}

fn rules_of(tools: &[ToolSpec]) -> String {
    let mut text = format!(
        "Answer with one JSON object and nothing else: {{\"{CALL}\": TOOL, \"{WITH}\": ARGUMENTS}} to use a tool, or \
         {{\"{SAY}\": TEXT}} when the work is done. The tools:\n"
    );
    for tool in tools {
        let _ = writeln!(text, "- {}: {} Arguments: {}", tool.name, tool.description, tool.parameters);
    }
    text
}

/// A message without calls and results of the server's own kind.
fn plain(message: &Message) -> Message {
    match message {
        Message::Assistant { text, tool_calls } => match tool_calls.first() {
            None => Message::assistant(json!({SAY: text}).to_string(), Vec::new()),
            // It answers with one call at a time; of several the rest is told one below the other.
            Some(_) => {
                let calls = tool_calls.iter().map(|call| json!({CALL: call.name, WITH: call.arguments}).to_string());
                Message::assistant(calls.collect::<Vec<_>>().join("\n"), Vec::new())
            }
        },
        Message::Tool { name, text, .. } => Message::user(format!("Result of {name}:\n{text}")),
        Message::System { .. } | Message::User { .. } => message.clone(),
    }
}

/// The events with the answer read.
fn read(events: ModelStream, tools: Vec<ToolSpec>, ids: Ids) -> ModelStream {
    let state = Reading { events, tools, ids, text: String::new(), ready: VecDeque::new(), over: false };
    stream::unfold(state, |mut state| async move {
        loop {
            if let Some(item) = state.ready.pop_front() {
                return Some((item, state));
            }
            if state.over {
                return None;
            }
            match state.events.next().await {
                Some(item) => state.take(item),
                None => state.over = true,
            }
        }
    })
    .boxed()
}

struct Reading {
    events: ModelStream,
    tools: Vec<ToolSpec>,
    ids: Ids,
    /// The answer so far. It is no text for a reader, so it is not told piece by piece.
    text: String,
    ready: VecDeque<Result<ModelEvent, CallError>>,
    over: bool,
}

impl Reading {
    fn take(&mut self, item: Result<ModelEvent, CallError>) {
        match item {
            Ok(ModelEvent::Text(piece)) => self.text.push_str(&piece),
            Ok(ModelEvent::Done { usage, stop, .. }) => self.finish(usage, stop),
            other => {
                self.over = other.is_err();
                self.ready.push_back(other);
            }
        }
    }

    fn finish(&mut self, usage: Usage, stop: Stop) {
        self.over = true;
        let (stop, event) = match answer(&self.text, &self.tools) {
            Answer::Nothing => (stop, None),
            Answer::Words(text) => (stop, Some(ModelEvent::Text(text))),
            Answer::Call(name, arguments) => {
                let id = self.ids.take(None);
                let call = ToolCall { id, name, arguments: Value::Object(arguments) };
                (Stop::Tools, Some(ModelEvent::ToolCall(call)))
            }
            Answer::Broken(name) => {
                let usage = Some(Box::new(usage));
                self.ready.push_back(Err(CallError::MalformedCall { name, raw: clip(&self.text), usage }));
                return;
            }
        };
        self.ready.extend(event.map(Ok));
        self.ready.push_back(Ok(ModelEvent::Done { usage, stop, rest: None }));
    }
}

enum Answer {
    Nothing,
    Words(String),
    Call(String, Map<String, Value>),
    /// What cannot be read, with the tool it may have meant.
    Broken(String),
}

/// What an answer says. A server that does not know schemas may send any text.
fn answer(text: &str, tools: &[ToolSpec]) -> Answer {
    let text = text.trim();
    if text.is_empty() {
        return Answer::Nothing;
    }
    let Ok(Value::Object(mut object)) = serde_json::from_str::<Value>(text) else {
        return Answer::Broken(
            tools
                .iter()
                .find(|tool| text.contains(&tool.name))
                .map_or_else(|| "a tool".to_owned(), |tool| tool.name.clone()),
        );
    };
    if let Some(Value::String(words)) = object.get(SAY) {
        return Answer::Words(words.clone());
    }
    let name = object.get(CALL).and_then(Value::as_str).unwrap_or_default().to_owned();
    match object.remove(WITH) {
        Some(Value::Object(arguments)) if tools.iter().any(|tool| tool.name == name) => Answer::Call(name, arguments),
        _ => Answer::Broken(if name.is_empty() { "a tool".to_owned() } else { name }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn tool(name: &str) -> ToolSpec {
        let parameters = json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]});
        ToolSpec { name: name.to_owned(), description: "Does it.".to_owned(), parameters }
    }

    fn heard(pieces: &[&str], stop: Stop) -> Vec<Result<ModelEvent, CallError>> {
        let done = ModelEvent::Done { usage: Usage::default(), stop, rest: None };
        let said = pieces.iter().map(|piece| ModelEvent::Text((*piece).to_owned())).chain([done]).map(Ok);
        let events = stream::iter(said.collect::<Vec<_>>()).boxed();
        let tools = vec![tool("read_file"), tool("write_file")];
        read(events, tools, Ids::new("k.")).collect::<Vec<_>>().now_or_never().unwrap()
    }

    /// Guards: an answer by schema is one call, words, or one that cannot be read, and never done by halves. Turned red
    /// by taking the arguments of a tool that was not offered, or a cut answer for words.
    #[test]
    fn an_answer_is_a_call_words_or_cannot_be_read() {
        let call = &heard(&["{\"call\":\"read_file\",", "\"with\":{\"path\":\"a\"}}"], Stop::End)[..];
        let [Ok(ModelEvent::ToolCall(call)), Ok(ModelEvent::Done { stop: Stop::Tools, .. })] = call else {
            panic!("{call:?}")
        };
        assert_eq!(
            (call.id.as_str(), call.name.as_str(), &call.arguments),
            ("k.call_1", "read_file", &json!({"path": "a"}))
        );
        let words = heard(&["{\"say\": \"All ", "done.\"}"], Stop::End);
        assert_eq!(words[0], Ok(ModelEvent::Text("All done.".to_owned())));
        let broken = [
            ("{\"call\":\"write_file\",\"with\":{\"pa", Stop::Length, "write_file"),
            ("{\"call\":\"remove_all\",\"with\":{}}", Stop::End, "remove_all"),
            ("{\"call\":\"read_file\",\"with\":\"a\"}", Stop::End, "read_file"),
            ("I would read it.", Stop::End, "a tool"),
        ];
        for (text, stop, tool) in broken {
            let heard = heard(&[text], stop);
            let [Err(CallError::MalformedCall { name, usage: Some(_), .. })] = &heard[..] else { panic!("{heard:?}") };
            assert_eq!(name, tool, "{text}");
        }
        assert!(matches!(heard(&[" "], Stop::End)[..], [Ok(ModelEvent::Done { .. })]), "an empty turn stays one");
    }

    #[test]
    fn tools_stand_in_the_rules_and_earlier_calls_in_plain_messages() {
        let call = ToolCall { id: "t1".into(), name: "read_file".into(), arguments: json!({"path": "a"}) };
        let messages = vec![
            Message::system("Be good."),
            Message::user("Read a."),
            Message::assistant("", vec![call.clone()]),
            Message::tool(&call, "text of a"),
        ];
        let request = ChatRequest { tools: vec![tool("read_file")], ..ChatRequest::new("m", messages) };
        let held = held(request);
        assert!(held.tools.is_empty());
        assert!(held.messages[0].text().starts_with("Be good.\n\nAnswer with one JSON object"), "{:?}", held.messages);
        assert_eq!(
            held.messages[2],
            Message::assistant("{\"call\":\"read_file\",\"with\":{\"path\":\"a\"}}", Vec::new())
        );
        assert_eq!(held.messages[3], Message::user("Result of read_file:\ntext of a"));
        let alternatives = held.schema.unwrap().schema["anyOf"].as_array().unwrap().len();
        assert_eq!(alternatives, 2, "a tool, or words");
    }
}
