//! Every fault of a server, in every wire format and every way a server speaks it, as the client sees it.
//!
//! Guards: a turn is used whole or not at all, and its text is the server's to the letter. Turns red, for example, when
//! a reader takes the end of the body for the end of the turn, or when lines are split at a carriage return.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test says so by failing

use atelier_egress::{Egress, EgressPolicy, Forgetful};
use atelier_models::{CallError, ChatRequest, Failed, Message, ToolSpec, Turn, collect, provider};
use atelier_protocol::ports::{Clock, HttpLimits};
use atelier_protocol::settings::{ProviderKind, ProviderSettings};
use atelier_stage::{Options, Script, Stage};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// The wire formats with the servers that speak them.
const VOICES: [(&str, ProviderKind, &str); 7] = [
    ("ollama", ProviderKind::Ollama, "ollama"),
    ("openai by ollama", ProviderKind::OpenAi, "ollama"),
    ("openai by llama-server", ProviderKind::OpenAi, "llama_server"),
    ("openai by a cloud", ProviderKind::OpenAi, "cloud"),
    ("anthropic by ollama", ProviderKind::Anthropic, "ollama"),
    ("anthropic by llama-server", ProviderKind::Anthropic, "llama_server"),
    ("anthropic by a cloud", ProviderKind::Anthropic, "cloud"),
];

/// A clock that stands still.
struct Still;

impl Clock for Still {
    fn now_ms(&self) -> u64 {
        0
    }
    fn sleep(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}

fn script(profile: &str, more: &str, say: &str) -> Script {
    let models = "models: [{name: m, capabilities: [completion, tools, thinking]}]";
    let text = format!("schema: 1\n{models}\nopenai: {profile}\n{more}turns: [{{say: [{say}]}}]\n");
    Script::read("faults.yaml", &text).unwrap()
}

async fn ask_within(kind: ProviderKind, script: Script, idle: Duration) -> Result<Turn, Failed> {
    let stage = Stage::start(script, Options::default()).await.unwrap();
    let egress = Egress::new(Arc::new(EgressPolicy::new(true)), Arc::new(Forgetful));
    let settings = ProviderSettings { id: "test".into(), kind, base_url: stage.url() };
    let tool =
        ToolSpec { name: "read_file".into(), description: "reads".into(), parameters: json!({"type": "object"}) };
    let patient = Duration::from_secs(30);
    let request = ChatRequest {
        tools: vec![tool],
        id_prefix: "made.".into(),
        limits: HttpLimits { connect: patient, head: idle, idle },
        ..ChatRequest::new("m", vec![Message::user("goal: greet")])
    };
    collect(provider(&settings, Arc::new(egress), Arc::new(Still)).chat(request), |_| {}).await
}

async fn ask(kind: ProviderKind, script: Script) -> Result<Turn, Failed> {
    ask_within(kind, script, Duration::from_secs(30)).await
}

const TEXT: &str = "Grüße aus Köln — 日本語 🦀, zwei  Leerzeichen\\nund eine Zeile.";
const SAID: &str = "Grüße aus Köln — 日本語 🦀, zwei  Leerzeichen\nund eine Zeile.";

#[tokio::test]
async fn however_the_bytes_are_wrapped_the_text_is_the_same() {
    for (name, kind, profile) in VOICES {
        for more in [
            "",
            "chunk_bytes: 1\n",
            "chunk_bytes: 3\n",
            "chunk_bytes: 100000\n",
            "newline: crlf\n",
            "newline: crlf\nchunk_bytes: 1\n",
            "byte_order_mark: true\n",
            "byte_order_mark: true\nchunk_bytes: 1\n",
        ] {
            let say = format!("{{text: \"{TEXT}\"}}, {{tool: {{name: read_file, arguments: {{path: \"ä <b>&\"}}}}}}");
            let turn = ask(kind, script(profile, more, &say)).await.unwrap();
            assert_eq!(turn.text, SAID, "{name} {more}");
            assert_eq!(turn.tool_calls[0].arguments, json!({"path": "ä <b>&"}), "{name} {more}");
        }
    }
}

#[tokio::test]
async fn long_lines_and_odd_characters_arrive() {
    for (name, kind, profile) in VOICES {
        let say = "{repeat: {text: \"0123456789abcdef\", times: 500000}}, {text: \"\\0end\"}";
        let turn = ask(kind, script(profile, "", say)).await.unwrap();
        assert_eq!((turn.text.len(), turn.text.ends_with("f\0end")), (8_000_004, true), "{name}");
    }
}

/// Wherever a body ends by force, what came is kept and nothing is done.
#[tokio::test]
async fn at_whichever_byte_an_answer_breaks_off_it_is_no_turn() {
    for (name, kind, profile) in VOICES {
        for fault in ["disconnect", "reset", "no_end"] {
            for byte in (0..420).step_by(35) {
                let say = format!(
                    "{{fault: {{kind: {fault}, at_byte: {byte}}}}}, {{text: I will look at the file first now.}}, \
                     {{tool: {{name: read_file, arguments: {{path: a}}}}}}"
                );
                let failed = ask(kind, script(profile, "", &say)).await.expect_err(name);
                // A body that ends within its first line may be anything.
                let known = matches!(failed.error, CallError::Incomplete { .. } | CallError::Unreadable { .. });
                assert!(known, "{name} {fault} at {byte}: {:?}", failed.error);
                assert!("I will look at the file first now.".starts_with(&failed.partial_text), "{name} at {byte}");
            }
        }
    }
}

/// One line about what comes of an answer.
fn line(outcome: &Result<Turn, Failed>) -> String {
    match outcome {
        Ok(turn) => {
            let call =
                |call: &atelier_protocol::event::ToolCall| format!(" {}#{}({})", call.name, call.id, call.arguments);
            let calls: String = turn.tool_calls.iter().map(call).collect();
            format!("{:?}{calls} {:?}", turn.text, turn.stop)
        }
        Err(failed) => {
            let kind = format!("{:?}", failed.error);
            let kind = kind.split([' ', '{']).next().unwrap_or_default().to_owned();
            format!("ERROR {kind} after {:?}", failed.partial_text)
        }
    }
}

#[tokio::test]
async fn every_fault_is_told_apart() {
    let mut lines = Vec::new();
    for (fault, say) in [
        ("head, then nothing", "{fault: {kind: stall_after_head}}"),
        ("nothing at all", "{fault: {kind: stall}}"),
        ("stall in the middle", "{text: I begin.}, {fault: {kind: stall}}"),
        ("hung up", "{fault: {kind: hang_up}}"),
        ("reset", "{fault: {kind: reset}}"),
        ("too short", "{text: I begin.}, {fault: {kind: short}}"),
        ("error in the stream", "{text: I begin.}, {fault: {kind: error, status: 529, error: overloaded}}"),
        ("empty", "{fault: {kind: empty}}"),
        ("white space", "{text: '  '}"),
        ("only thoughts", "{thinking: Well then.}"),
        ("redirect", "{fault: {kind: refuse, status: 302, headers: {location: 'http://127.0.0.1:9/elsewhere'}}}"),
        ("a page", "{fault: {kind: refuse, status: 502, body: <html>bad gateway</html>}}"),
        ("another encoding", "{fault: {kind: refuse, status: 500, body: oops, headers: {content-encoding: gzip}}}"),
        ("unknown tool", "{tool: {name: format_disk}}"),
        ("arguments as a list", "{tool: {name: read_file, instead: [1]}}"),
        ("arguments as text", "{tool: {name: read_file, instead: '{\"path\":\"a\"}'}}"),
        ("no id", "{tool: {name: read_file, id: '', arguments: {path: a}}}"),
        (
            "one id twice",
            "{tool: {name: read_file, id: x, arguments: {path: a}}}, {tool: {name: read_file, id: x, arguments: {path: b}}}",
        ),
    ] {
        for (name, kind, profile) in VOICES {
            let waits = if fault.contains("nothing") || fault.contains("stall") { 150 } else { 30_000 };
            let outcome = ask_within(kind, script(profile, "", say), Duration::from_millis(waits)).await;
            lines.push(format!("{fault}, {name}: {}", line(&outcome)));
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test]
async fn why_a_paid_service_stops_is_understood() {
    let mut lines = Vec::new();
    for stop in ["end", "length", "filter", "pause"] {
        for (name, kind, profile) in VOICES.into_iter().filter(|(.., profile)| *profile == "cloud") {
            let text = format!(
                "schema: 1\nmodels: [{{name: m}}]\nopenai: {profile}\nturns: [{{say: [{{text: Hello.}}], stop: {stop}}}]"
            );
            let outcome = ask(kind, Script::read("stop.yaml", &text).unwrap()).await;
            lines.push(format!("{stop}, {name}: {}", line(&outcome)));
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test]
async fn a_weak_server_writes_its_calls_into_the_text() {
    let call = "{text: I look.}, {tool: {name: read_file, arguments: {path: a}}}";
    let turn = ask(ProviderKind::OpenAi, script("weak", "", call)).await.unwrap();
    assert!(turn.from_text, "{turn:?}");
    assert_eq!((turn.text.trim(), turn.tool_calls[0].name.as_str()), ("I look.", "read_file"));
}

#[tokio::test]
async fn an_old_server_has_fewer_answers_and_is_no_crash() {
    let script = script("ollama", "old: true\n", "{text: Hello.}");
    let stage = Stage::start(script, Options::default()).await.unwrap();
    let egress = Egress::new(Arc::new(EgressPolicy::new(true)), Arc::new(Forgetful));
    let settings = ProviderSettings { id: "old".into(), kind: ProviderKind::Ollama, base_url: stage.url() };
    let view = provider(&settings, Arc::new(egress), Arc::new(Still)).describe().await;
    let told: Vec<_> = view.models.iter().map(|model| (model.name.as_str(), model.tools, model.context)).collect();
    assert_eq!((told, view.problem), (vec![("m:latest", None, None)], None));
}
