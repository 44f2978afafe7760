//! Every recorded exchange with a real server, played to the client: as it came, byte by byte, and cut anywhere.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test says so by failing

use atelier_models::{CallError, ChatRequest, Failed, Message, ModelEvent, ToolSpec, Turn, collect, provider};
use atelier_protocol::event::Stop;
use atelier_protocol::ports::{Clock, Http, HttpError, HttpRequest, HttpResponse};
use atelier_protocol::settings::{ProviderKind, ProviderSettings};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/fixtures/recordings");

/// A recorded chat.
struct Recording {
    name: String,
    kind: ProviderKind,
    status: u16,
    headers: Vec<(String, String)>,
    chunks: Vec<Bytes>,
    tools: Vec<ToolSpec>,
}

static RECORDINGS: LazyLock<Vec<Recording>> = LazyLock::new(|| {
    let mut recordings = Vec::new();
    for server in ["llama-cpp-python", "llama-server", "ollama"] {
        let folder = Path::new(FOLDER).join(server);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files {
            let value: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            let name = format!("{server}/{}", file.file_stem().unwrap().to_string_lossy());
            recordings.extend(recording(name, &value));
        }
    }
    recordings
});

fn recording(name: String, value: &Value) -> Option<Recording> {
    let kind = match value["request"]["path"].as_str()? {
        "/api/chat" => ProviderKind::Ollama,
        "/v1/chat/completions" => ProviderKind::OpenAi,
        "/v1/messages" => ProviderKind::Anthropic,
        _ => return None,
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let headers = value["headers"].as_object()?.iter().map(|(key, value)| (key.to_lowercase(), text(value)));
    let chunks = value["chunks"].as_array()?.iter().map(|chunk| Bytes::from(text(&chunk[1])));
    let tools = value["request"]["body"]["tools"].as_array().into_iter().flatten().map(|tool| {
        let (told, schema) = tool.get("function").map_or((tool, "input_schema"), |told| (told, "parameters"));
        ToolSpec {
            name: text(&told["name"]),
            description: text(&told["description"]),
            parameters: told[schema].clone(),
        }
    });
    Some(Recording {
        name,
        kind,
        status: u16::try_from(value["status"].as_u64()?).unwrap(),
        headers: headers.collect(),
        chunks: chunks.collect(),
        tools: tools.collect(),
    })
}

/// Answers every chat with the same bytes, and knows no other route.
struct Replay {
    status: u16,
    headers: Vec<(String, String)>,
    chunks: Vec<Bytes>,
}

impl Http for Replay {
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>> {
        let chat = request.url.ends_with("/api/chat")
            || request.url.ends_with("/v1/chat/completions")
            || request.url.ends_with("/v1/messages");
        let (status, chunks) = if chat { (self.status, self.chunks.clone()) } else { (404, Vec::new()) };
        let headers = self.headers.clone();
        async move { Ok(HttpResponse { status, headers, body: stream::iter(chunks.into_iter().map(Ok)).boxed() }) }
            .boxed()
    }
}

/// A clock that stands still, so that only the server's own times are in the events.
struct Still;

impl Clock for Still {
    fn now_ms(&self) -> u64 {
        0
    }
    fn sleep(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

type Events = Vec<Result<ModelEvent, CallError>>;

fn asked(recording: &Recording, chunks: Vec<Bytes>) -> atelier_models::ModelStream {
    let settings =
        ProviderSettings { id: "replay".into(), kind: recording.kind, base_url: "http://127.0.0.1:1".into() };
    let http = Replay { status: recording.status, headers: recording.headers.clone(), chunks };
    let server = provider(&settings, Arc::new(http), Arc::new(Still));
    let request = ChatRequest {
        tools: recording.tools.clone(),
        id_prefix: "made.".into(),
        ..ChatRequest::new("scripted", vec![Message::user("hello")])
    };
    server.chat(request)
}

fn events(recording: &Recording, chunks: Vec<Bytes>) -> Events {
    asked(recording, chunks).collect::<Vec<_>>().now_or_never().unwrap()
}

fn turn(recording: &Recording) -> Result<Turn, Failed> {
    collect(asked(recording, recording.chunks.clone()), |_| {}).now_or_never().unwrap()
}

/// The events of a recording, one a line.
fn story(name: &str) -> String {
    let events = events(find(name), find(name).chunks.clone());
    events.iter().map(|event| format!("{:?}\n", event.as_ref().unwrap())).collect()
}

fn find(name: &str) -> &'static Recording {
    RECORDINGS.iter().find(|recording| recording.name == name).unwrap()
}

fn short(text: &str) -> String {
    let line: String = text.chars().take(70).collect::<String>().escape_debug().collect();
    if text.chars().count() > 70 { format!("\"{line}\"…") } else { format!("\"{line}\"") }
}

/// One line about what a recording becomes.
fn line(recording: &Recording) -> String {
    let mut line = format!("{}: ", recording.name);
    match turn(recording) {
        Err(failed) => {
            let text = match &failed.error {
                CallError::MalformedCall { name, raw, .. } => format!("MalformedCall {name} {}", short(raw)),
                error => {
                    let kind = format!("{error:?}").split([' ', '{']).next().unwrap().to_owned();
                    format!("{kind} {}", short(&error.to_string()))
                }
            };
            write!(line, "ERROR {text}").unwrap();
            if !failed.partial_text.is_empty() {
                write!(line, " after {}", short(&failed.partial_text)).unwrap();
            }
        }
        Ok(turn) => {
            if !turn.thinking.is_empty() {
                write!(line, "thinks {} ", short(&turn.thinking)).unwrap();
            }
            write!(line, "{}", short(&turn.text)).unwrap();
            for call in &turn.tool_calls {
                write!(line, " {}({})", call.name, call.arguments).unwrap();
            }
            let count = |tokens: Option<u32>| tokens.map_or("-".to_owned(), |tokens| tokens.to_string());
            let (asked, made) = (count(turn.usage.prompt_tokens), count(turn.usage.output_tokens));
            write!(line, " {:?} {asked}/{made}", turn.stop).unwrap();
            if turn.from_text {
                line.push_str(" from text");
            }
        }
    }
    line
}

#[test]
fn every_recorded_answer_is_read_as_it_was_meant() {
    let lines: Vec<String> = RECORDINGS.iter().map(line).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn byte_by_byte_the_events_are_the_same() {
    for recording in RECORDINGS.iter() {
        let whole: Vec<u8> = recording.chunks.concat();
        let bytes = whole.iter().map(|byte| Bytes::copy_from_slice(&[*byte])).collect();
        assert_eq!(events(recording, bytes), events(recording, recording.chunks.clone()), "{}", recording.name);
    }
}

#[test]
fn every_answer_that_is_cut_short_is_an_error_and_never_a_turn() {
    for recording in RECORDINGS.iter().filter(|recording| recording.status == 200) {
        let whole = Bytes::from(recording.chunks.concat());
        let complete = events(recording, vec![whole.clone()]);
        if complete.last().is_none_or(Result::is_err) {
            continue;
        }
        for end in (0..whole.len()).step_by((whole.len() / 60).max(1)) {
            let cut = events(recording, vec![whole.slice(..end)]);
            let Some(Err(error)) = cut.last() else {
                // Only what closes the stream may be missing: `[DONE]`, the usage, or white space.
                let dropped = |events: &Events| {
                    let kept = events.iter().filter(|event| !matches!(event, Ok(ModelEvent::Done { .. })));
                    kept.cloned().collect::<Vec<_>>()
                };
                assert_eq!(dropped(&cut), dropped(&complete), "{} at {end}", recording.name);
                continue;
            };
            assert!(
                matches!(
                    error,
                    CallError::Incomplete { .. } | CallError::MalformedCall { .. } | CallError::Unreadable { .. }
                ),
                "{} at {end}: {error:?}",
                recording.name
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn wherever_the_body_is_cut_the_events_are_the_same(
        which in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let recording = which.get(&RECORDINGS);
        let whole = Bytes::from(recording.chunks.concat());
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
        places.extend([0, whole.len()]);
        places.sort_unstable();
        let chunks = places.windows(2).map(|pair| whole.slice(pair[0]..pair[1])).collect();
        prop_assert_eq!(events(recording, chunks), events(recording, recording.chunks.clone()), "{}", &recording.name);
    }
}

#[test]
fn a_call_in_the_last_object_and_one_in_an_object_of_its_own_are_the_same_events() {
    insta::assert_snapshot!(story("ollama/chat_tools_stream"), @r#"
    Phase(Reading)
    Phase(Answering)
    Text("I wil")
    Text("l loo")
    Text("k at ")
    Text("the f")
    Text("ile f")
    Text("irst.")
    ToolCall(ToolCall { id: "bEnjwdQmFzWiRT5yaxjWOo0waJWIluUe", name: "read_file", arguments: Object {"path": String("README.md")} })
    Done { usage: Usage { prompt_tokens: Some(491), output_tokens: Some(21), load_ms: Some(5), first_ms: Some(0), total_ms: 0 }, stop: Tools, rest: None }
    "#);
    let masked = |name: &str| {
        let events = events(find(name), find(name).chunks.clone());
        let masked = events.into_iter().map(|event| match event.unwrap() {
            ModelEvent::ToolCall(call) => json!([call.name, call.arguments]),
            ModelEvent::Done { stop, .. } => json!(stop),
            other => json!(format!("{other:?}")),
        });
        masked.collect::<Vec<_>>()
    };
    assert_eq!(masked("ollama/chat_tools_parallel"), masked("ollama/gotemplate_tools_parallel"));
}

#[test]
fn fragments_of_a_call_become_one_call() {
    insta::assert_snapshot!(story("llama-server/script-two_tools_stream"), @r#"
    Phase(Reading)
    Phase(Answering)
    Text("Both ")
    Text("at on")
    Text("ce.")
    ToolCall(ToolCall { id: "rt7T2Fut36ZGKngQA7buENFO8x9WHh6k", name: "read_file", arguments: Object {"path": String("a.txt")} })
    ToolCall(ToolCall { id: "IqWB4UDTDkGCjTcQaHvi5QTwsyHEhipn", name: "list_dir", arguments: Object {"depth": Number(1), "path": String("b")} })
    Done { usage: Usage { prompt_tokens: None, output_tokens: None, load_ms: None, first_ms: Some(0), total_ms: 0 }, stop: Tools, rest: None }
    "#);
}

#[test]
fn a_call_cut_by_the_length_limit_is_never_a_call() {
    for name in ["llama-server/script1_tools_stream_cut", "ollama/native_tools_cut_midcall"] {
        let failed = turn(find(name)).unwrap_err();
        assert!(matches!(&failed.error, CallError::MalformedCall { name, .. } if name == "read_file"), "{failed:?}");
        assert_eq!(failed.partial_text, "I will look at the file first.");
    }
    let silent = turn(find("ollama/gotemplate_tools_cut")).unwrap();
    assert_eq!((silent.stop, silent.tool_calls.len()), (Stop::Length, 0));
}

/// Recordings that answer questions about a server, see [`Inventory`].
const DESCRIBED: [&str; 7] = [
    "llama-server/script1_models",
    "ollama/show",
    "ollama/show_missing",
    "ollama/show_thinker",
    "ollama/tags",
    "ollama/v1_models",
    "ollama/version",
];

/// Of a route that no provider asks, a recording only holds the scripted server to what real ones are.
#[test]
fn every_recording_is_replayed_or_of_a_route_that_no_provider_asks() {
    let (mut replayed, mut rest) = (Vec::new(), Vec::new());
    for server in ["llama-cpp-python", "llama-server", "ollama"] {
        for entry in std::fs::read_dir(Path::new(FOLDER).join(server)).unwrap() {
            let path = entry.unwrap().path();
            let value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let name = format!("{server}/{}", path.file_stem().unwrap().to_string_lossy());
            let known = RECORDINGS.iter().any(|recording| recording.name == name) || DESCRIBED.contains(&name.as_str());
            let request = &value["request"];
            let line = format!("{name} {} {}", request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
            if known { &mut replayed } else { &mut rest }.push(line);
        }
    }
    replayed.sort();
    rest.sort();
    println!("replayed by the client, {}:\n{}\n", replayed.len(), replayed.join("\n"));
    println!("of the scripted server alone, {}:\n{}", rest.len(), rest.join("\n"));
    assert_eq!(replayed.len() + rest.len(), 191);
    let chats: Vec<&String> =
        rest.iter().filter(|line| line.ends_with("POST /api/chat") || line.ends_with("completions")).collect();
    assert_eq!(chats, Vec::<&String>::new(), "every recorded chat is replayed");
    insta::assert_snapshot!(rest.join("\n"));
}

/// Answers the questions about a server with what was recorded of one.
struct Inventory {
    folder: &'static str,
}

impl Inventory {
    fn answer(&self, request: &HttpRequest) -> Option<(u16, String)> {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let path = request.url.strip_prefix("http://127.0.0.1:1").unwrap();
        let name = match (path, body["model"].as_str()) {
            ("/api/version", _) => "version",
            ("/api/tags", _) => "tags",
            ("/api/show", Some("scripted:latest")) => "show",
            ("/api/show", Some("thinker:latest")) => "show_thinker",
            ("/api/show", _) => "show_missing",
            ("/v1/models", _) if self.folder == "llama-server" => "script1_models",
            ("/v1/models", _) => "v1_models",
            _ => return None,
        };
        let file = Path::new(FOLDER).join(self.folder).join(name).with_extension("json");
        let value: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let chunks = value["chunks"].as_array().unwrap().iter();
        let text = chunks.map(|chunk| chunk[1].as_str().unwrap()).collect();
        Some((u16::try_from(value["status"].as_u64().unwrap()).unwrap(), text))
    }
}

impl Http for Inventory {
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>> {
        let (status, text) = self.answer(&request).unwrap_or((404, "404 page not found".to_owned()));
        let body = stream::iter([Ok(Bytes::from(text))]).boxed();
        async move { Ok(HttpResponse { status, headers: Vec::new(), body }) }.boxed()
    }
}

#[test]
fn recorded_servers_are_described() {
    let mut lines = Vec::new();
    for (folder, kind) in
        [("ollama", ProviderKind::Ollama), ("ollama", ProviderKind::OpenAi), ("llama-server", ProviderKind::OpenAi)]
    {
        let settings = ProviderSettings { id: folder.into(), kind, base_url: "http://127.0.0.1:1".into() };
        let server = provider(&settings, Arc::new(Inventory { folder }), Arc::new(Still));
        let view = server.describe().now_or_never().unwrap();
        lines.push(format!("{folder} {kind:?} {:?} {:?}", view.version, view.problem.map(|problem| problem.code)));
        for model in view.models {
            let (tools, thinking, context) = (model.tools, model.thinking, model.context);
            lines.push(format!(
                "  {} local={} {tools:?} {thinking:?} {context:?} {:?}",
                model.name, model.local, model.bytes
            ));
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    ollama Ollama Some("0.0.0") None
      broken:latest local=true Some(false) Some(false) Some(8192) Some(1711305)
      utf8:latest local=true Some(false) Some(false) Some(8192) Some(1689656)
      two:latest local=true Some(false) Some(false) Some(8192) Some(2052425)
      tiny:latest local=true Some(false) Some(false) Some(4096) Some(491736)
      scripted:latest local=true Some(true) Some(false) Some(8192) Some(2131753)
      thinker:latest local=true Some(true) Some(true) Some(8192) Some(1717688)
    ollama OpenAi None None
      two:latest local=true None None None None
      tiny:latest local=true None None None None
      scripted:latest local=true None None None None
      thinker:latest local=true None None None None
      broken:latest local=true None None None None
      utf8:latest local=true None None None None
    llama-server OpenAi None None
      scripted local=true None None Some(4096) Some(2119936)
    "#);
}
