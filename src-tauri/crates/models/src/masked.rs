//! What leaves this machine for a model is masked, and what comes back is restored.
//!
//! Stands before every server (`provider`), so that no way to a model goes round it. A server on this machine that keeps what it is told is
//! passed through as it is. The user's own history is never masked: placeholders exist on the way only.

use crate::address::is_this_machine;
use crate::chat::{AnswerSchema, ChatRequest, Message, ModelEvent, ModelStream, ToolSpec};
use crate::embed::EmbedRequest;
use crate::error::CallError;
use crate::held;
use crate::provider::Provider;
use atelier_protocol::event::ToolCall;
use atelier_sensitive::{Mask, Restorer};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use std::collections::VecDeque;

/// Asks a server; what leaves this machine for it is masked.
pub(crate) fn chat(server: &dyn Provider, request: ChatRequest) -> ModelStream {
    if stays(server, request.passed_on) {
        return held::chat(server, request);
    }
    let (request, mask) = mask(&request);
    restored(held::chat(server, request), mask)
}

/// A request for vectors, its texts masked where they leave this machine.
pub(crate) fn texts(server: &dyn Provider, mut request: EmbedRequest) -> EmbedRequest {
    if !stays(server, request.passed_on) {
        let mut mask = Mask::of(request.texts.iter().map(String::as_str));
        request.texts = request.texts.iter().map(|text| mask.apply(text)).collect();
    }
    request
}

/// Whether a server is on this machine and keeps what it is told.
fn stays(server: &dyn Provider, passed_on: bool) -> bool {
    is_this_machine(&server.settings().base_url) && !passed_on
}

/// A request as it leaves, with the mask that restores its answer. Names of tools stay, by which they are called; what else
/// tools, a schema and stop words say may be another program's, and with it the user's.
pub fn mask(request: &ChatRequest) -> (ChatRequest, Mask) {
    let mut texts: Vec<&str> = Vec::new();
    for message in &request.messages {
        texts.push(message.text());
        if let Message::Assistant { tool_calls, .. } = message {
            tool_calls.iter().for_each(|call| strings(&call.arguments, &mut texts));
        }
    }
    for tool in &request.tools {
        texts.push(&tool.description);
        strings(&tool.parameters, &mut texts);
    }
    if let Some(held) = &request.schema {
        strings(&held.schema, &mut texts);
    }
    texts.extend(request.stop.iter().map(String::as_str));
    let mut mask = Mask::of(texts);
    let messages = request.messages.iter().map(|message| masked(message, &mut mask)).collect();
    let tools = request.tools.iter().map(|tool| ToolSpec {
        name: tool.name.clone(),
        description: mask.apply(&tool.description),
        parameters: mask.apply_to(&tool.parameters),
    });
    let tools = tools.collect();
    let schema = request.schema.clone().map(|held| AnswerSchema { schema: mask.apply_to(&held.schema), ..held });
    let stop = request.stop.iter().map(|word| mask.apply(word)).collect();
    (ChatRequest { messages, tools, schema, stop, ..request.clone() }, mask)
}

fn strings<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, texts)),
        Value::Object(fields) => fields.iter().for_each(|(name, item)| {
            texts.push(name);
            strings(item, texts);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn masked(message: &Message, mask: &mut Mask) -> Message {
    match message {
        Message::System { text } => Message::System { text: mask.apply(text) },
        Message::User { text } => Message::User { text: mask.apply(text) },
        Message::Assistant { text, tool_calls } => Message::Assistant {
            text: mask.apply(text),
            tool_calls: tool_calls
                .iter()
                .map(|call| ToolCall { arguments: mask.apply_to(&call.arguments), ..call.clone() })
                .collect(),
        },
        Message::Tool { id, name, text } => {
            Message::Tool { id: id.clone(), name: name.clone(), text: mask.apply(text) }
        }
    }
}

/// The events with the values back in their places.
fn restored(events: ModelStream, mask: Mask) -> ModelStream {
    if mask.is_empty() {
        return events;
    }
    let (text, thinking) = (mask.restorer(), mask.restorer());
    let state = Restoring { events, mask, text, thinking, ready: VecDeque::new() };
    stream::unfold(state, |mut state| async move {
        loop {
            if let Some(item) = state.ready.pop_front() {
                return Some((item, state));
            }
            let item = state.events.next().await;
            let over = item.is_none();
            state.take(item);
            if over && state.ready.is_empty() {
                return None;
            }
        }
    })
    .boxed()
}

struct Restoring {
    events: ModelStream,
    mask: Mask,
    text: Restorer,
    thinking: Restorer,
    ready: VecDeque<Result<ModelEvent, CallError>>,
}

impl Restoring {
    fn take(&mut self, item: Option<Result<ModelEvent, CallError>>) {
        match item {
            Some(Ok(ModelEvent::Text(piece))) => {
                self.let_go_of_thinking();
                let piece = self.text.push(&piece);
                self.say(ModelEvent::Text, piece);
            }
            Some(Ok(ModelEvent::Thinking(piece))) => {
                self.let_go_of_text();
                let piece = self.thinking.push(&piece);
                self.say(ModelEvent::Thinking, piece);
            }
            // What the model does says nothing about what it said.
            Some(Ok(ModelEvent::Phase(phase))) => self.ready.push_back(Ok(ModelEvent::Phase(phase))),
            Some(Ok(ModelEvent::ToolCall(call))) => {
                self.let_go();
                let arguments = self.mask.restore_in(&call.arguments);
                self.ready.push_back(Ok(ModelEvent::ToolCall(ToolCall { arguments, ..call })));
            }
            Some(Ok(ModelEvent::Done { usage, stop, rest })) => {
                self.let_go();
                let rest = rest.map(|rest| self.mask.restore(&rest));
                self.ready.push_back(Ok(ModelEvent::Done { usage, stop, rest }));
            }
            Some(Err(error)) => {
                self.let_go();
                self.ready.push_back(Err(error));
            }
            None => self.let_go(),
        }
    }

    fn let_go(&mut self) {
        self.let_go_of_thinking();
        self.let_go_of_text();
    }

    fn let_go_of_text(&mut self) {
        let rest = self.text.finish();
        self.say(ModelEvent::Text, rest);
    }

    fn let_go_of_thinking(&mut self) {
        let rest = self.thinking.finish();
        self.say(ModelEvent::Thinking, rest);
    }

    fn say(&mut self, how: impl FnOnce(String) -> ModelEvent, text: String) {
        if !text.is_empty() {
            self.ready.push_back(Ok(how(text)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::Embedded;
    use crate::provider::Guarded;
    use atelier_protocol::event::{Stop, Usage};
    use atelier_protocol::settings::ProviderSettings;
    use atelier_protocol::view::ProviderView;
    use futures_util::future::BoxFuture;
    use serde_json::json;
    use std::sync::Arc;

    /// A server that says what it was given to say, and keeps what it was told.
    struct Parrot {
        settings: ProviderSettings,
        told: Arc<std::sync::Mutex<Option<ChatRequest>>>,
        says: Vec<ModelEvent>,
    }

    impl Provider for Parrot {
        fn chat(&self, request: ChatRequest) -> ModelStream {
            *self.told.lock().unwrap() = Some(request);
            stream::iter(self.says.clone().into_iter().map(Ok)).boxed()
        }
        fn embed(&self, request: EmbedRequest) -> BoxFuture<'_, Result<Embedded, CallError>> {
            *self.told.lock().unwrap() = Some(ChatRequest::new("m", request.texts.iter().map(Message::user).collect()));
            Box::pin(async { Ok(Embedded { vectors: vec![vec![1.0]], tokens: None }) })
        }
        fn describe(&self) -> BoxFuture<'_, ProviderView> {
            Box::pin(async { crate::fetch::empty_view(&self.settings) })
        }
        fn settings(&self) -> &ProviderSettings {
            &self.settings
        }
    }

    /// What the server is told, and what comes back from it.
    fn through(base_url: &str, passed_on: bool, says: Vec<ModelEvent>) -> (String, Vec<ModelEvent>) {
        let told = Arc::default();
        let kind = atelier_protocol::settings::ProviderKind::OpenAi;
        let settings = ProviderSettings { id: "p".into(), kind, base_url: base_url.into() };
        let server = Guarded { server: Arc::new(Parrot { settings, told: Arc::clone(&told), says }) };
        let call =
            ToolCall { id: "t1".into(), name: "write_file".into(), arguments: json!({"text": "to ada@example.org"}) };
        let messages = vec![
            Message::system("rules"),
            Message::user("write to ada@example.org"),
            Message::assistant("", vec![call.clone()]),
            Message::tool(&call, "sent to ada@example.org"),
        ];
        let request = ChatRequest { passed_on, ..ChatRequest::new("m", messages) };
        let answer = futures_util::FutureExt::now_or_never(server.chat(request).collect::<Vec<_>>()).unwrap();
        let told = format!("{:?}", told.lock().unwrap().take().unwrap().messages);
        (told, answer.into_iter().map(Result::unwrap).collect())
    }

    /// Guards: nothing personal leaves, and the user never sees a placeholder. Turned red by a `chat` that passes a
    /// request on as it is, and by restoring piece by piece.
    #[test]
    fn a_placeholder_is_restored_in_text_thinking_and_tool_calls_however_it_is_cut() {
        let done =
            ModelEvent::Done { usage: Usage::default(), stop: Stop::End, rest: Some("x [MASKED_EMAIL_1]".into()) };
        let call = |to: &str| {
            ModelEvent::ToolCall(ToolCall { id: "t2".into(), name: "n".into(), arguments: json!({"to": [to]}) })
        };
        let says = vec![
            ModelEvent::Thinking("for [MASKED".into()),
            ModelEvent::Thinking("_EMAIL_1]".into()),
            ModelEvent::Text("hello [".into()),
            ModelEvent::Text("MASKED_EMAIL_1".into()),
            ModelEvent::Text("], a[".into()),
            call("[MASKED_EMAIL_1]"),
            done,
        ];
        let (told, heard) = through("https://api.example.org", false, says);
        assert!(!told.contains("ada") && told.matches("[MASKED_EMAIL_1]").count() == 3, "{told}");
        let text = |piece: &str| ModelEvent::Text(piece.to_owned());
        let thinking = |piece: &str| ModelEvent::Thinking(piece.to_owned());
        let rest = Some("x ada@example.org".to_owned());
        assert_eq!(
            heard,
            [
                thinking("for "),
                thinking("ada@example.org"),
                text("hello "),
                text("ada@example.org, a"),
                text("["),
                call("ada@example.org"),
                ModelEvent::Done { usage: Usage::default(), stop: Stop::End, rest },
            ]
        );
    }

    /// Guards: what other programs say of their tools and answers leaves masked too. Turned red by a `mask` that looks at
    /// the conversation alone.
    #[test]
    fn what_tools_schemas_and_stop_words_say_is_masked_and_names_are_kept() {
        let tool = ToolSpec {
            name: "tell".into(),
            description: "Tells ada@example.org.".into(),
            parameters: json!({"properties": {"to": {"enum": ["ada@example.org", "all"]}}}),
        };
        let schema = AnswerSchema { schema: json!({"properties": {"to": {"const": "ada@example.org"}}}), strict: true };
        let request = ChatRequest {
            tools: vec![tool],
            schema: Some(schema),
            stop: vec!["to ada@example.org".into()],
            ..ChatRequest::new("m", vec![Message::user("hello")])
        };
        let (left, mask) = mask(&request);
        let told = format!("{:?} {:?} {:?}", left.tools, left.schema, left.stop);
        assert!(!told.contains("ada") && told.matches("[MASKED_EMAIL_1]").count() == 4, "{told}");
        assert_eq!(left.tools[0].name, "tell");
        assert_eq!(mask.restore_in(&json!({"to": "[MASKED_EMAIL_1]"})), json!({"to": "ada@example.org"}));
    }

    #[test]
    fn a_server_on_this_machine_is_told_everything_unless_it_passes_it_on() {
        let (told, _) = through("http://127.0.0.1:11434", false, Vec::new());
        assert!(told.contains("ada@example.org"));
        let (told, _) = through("http://127.0.0.1:11434", true, Vec::new());
        assert!(!told.contains("ada"), "{told}");
    }

    /// Guards: texts for vectors leave masked as those of a chat do. Turned red by an `embed` that passes them on.
    #[test]
    fn texts_for_vectors_are_masked_on_their_way_out() {
        let told = Arc::default();
        let kind = atelier_protocol::settings::ProviderKind::OpenAi;
        let of = |base_url: &str| {
            let settings = ProviderSettings { id: "p".into(), kind, base_url: base_url.into() };
            let server = Guarded { server: Arc::new(Parrot { settings, told: Arc::clone(&told), says: Vec::new() }) };
            let request = EmbedRequest::new("m", vec!["ask ada@example.org".to_owned()]);
            futures_util::FutureExt::now_or_never(server.embed(request)).unwrap().unwrap();
            format!("{:?}", told.lock().unwrap().take().unwrap().messages)
        };
        assert!(of("http://127.0.0.1:1").contains("ask ada@example.org"));
        assert!(of("https://api.example.org").contains("ask [MASKED_EMAIL_1]"));
    }
}
