//! The stage against recordings of real servers: the same request, the same shape of answer.
//!
//! Compared are statuses, content types, keys, words that mean something, and where an answer has how many kinds of
//! pieces. Texts, ids, dates and counts differ and are masked.

#![allow(clippy::unwrap_used)] // a test says so by failing

use atelier_egress::{Egress, EgressPolicy, Forgetful};
use atelier_protocol::ports::{Http, HttpLimits, HttpRequest, Method};
use atelier_stage::{Options, Script, Stage};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/fixtures/recordings");

const MODELS: &str = r#"
schema: 1
version: 0.0.0
models:
  - {name: scripted, capabilities: [completion, tools, thinking], load_ms: 1}
  - {name: scripted-gt, load_ms: 1}
  - {name: two-gt, load_ms: 1}
  - {name: two, load_ms: 1}
  - {name: utf8, capabilities: [completion], load_ms: 1}
  - {name: tiny, capabilities: [completion], load_ms: 1}
  - {name: thinker, capabilities: [completion, thinking], load_ms: 1}
"#;

struct Recording {
    value: Value,
}

impl Recording {
    fn read(name: &str) -> Self {
        let file = Path::new(FOLDER).join(name).with_extension("json");
        Self { value: serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap() }
    }
    /// The request's body; one that was no JSON is recorded in quotes.
    fn body(&self) -> Bytes {
        match &self.value["request"]["body"] {
            Value::Null => Bytes::new(),
            Value::String(text) => Bytes::from(text.trim_matches('\'').to_owned()),
            body => Bytes::from(body.to_string()),
        }
    }
    fn answered(&self) -> Answered {
        let header = |wanted: &str| {
            let headers = self.value["headers"].as_object().unwrap().iter();
            let mut found = headers.filter(|(name, _)| name.to_lowercase() == wanted);
            found.next().map(|(_, value)| value.as_str().unwrap().to_owned())
        };
        let chunks = self.value["chunks"].as_array().unwrap().iter();
        Answered {
            status: u16::try_from(self.value["status"].as_u64().unwrap()).unwrap(),
            content_type: header("content-type"),
            text: chunks.map(|chunk| chunk[1].as_str().unwrap()).collect(),
        }
    }
}

#[derive(Debug, PartialEq)]
struct Answered {
    status: u16,
    content_type: Option<String>,
    text: String,
}

async fn play(recording: &Recording, script: &str) -> Answered {
    let text = if script.contains("models:") { script.to_owned() } else { format!("{MODELS}{script}") };
    let stage = Stage::start(Script::read("shape.yaml", &text).unwrap(), Options::default()).await.unwrap();
    let second = Duration::from_secs(5);
    let egress = Egress::new(Arc::new(EgressPolicy::new(true)), Arc::new(Forgetful));
    let request = &recording.value["request"];
    let response = egress
        .send(HttpRequest {
            method: if request["method"] == "GET" { Method::Get } else { Method::Post },
            url: format!("{}{}", stage.url(), request["path"].as_str().unwrap()),
            headers: Vec::new(),
            body: recording.body(),
            purpose: "test",
            limits: HttpLimits { connect: second, head: second, idle: second },
        })
        .await
        .unwrap();
    let content_type = response.headers.iter().find(|(name, _)| name == "content-type");
    let content_type = content_type.map(|(_, value)| value.clone());
    let status = response.status;
    let chunks: Vec<Bytes> = response.body.map(|chunk| chunk.unwrap()).collect().await;
    Answered { status, content_type, text: String::from_utf8(chunks.concat()).unwrap() }
}

/// The documents of a body in order, masked; neighbours of one shape count as one.
fn shapes(text: &str) -> Vec<Value> {
    let mut shapes: Vec<Value> = Vec::new();
    let mut named = None;
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix("event: ") {
            named = Some(name);
            continue;
        }
        let document = line.strip_prefix("data: ").unwrap_or(line);
        let mut shape = serde_json::from_str(document).map_or_else(|_| json!(document), |value| masked("", value));
        if let Some(name) = named.take() {
            shape = json!([name, shape]);
        }
        if shapes.last() != Some(&shape) {
            shapes.push(shape);
        }
    }
    shapes
}

fn masked(key: &str, value: Value) -> Value {
    match value {
        Value::Number(_) if key != "index" => json!("a number"),
        Value::String(text) => match key {
            "id" | "request_id" | "created_at" | "system_fingerprint" => json!("masked"),
            "arguments" | "content" | "thinking" | "reasoning" | "reasoning_content" | "text" | "partial_json"
                if !text.is_empty() =>
            {
                json!("a text")
            }
            _ => json!(text),
        },
        Value::Array(items) => items.into_iter().map(|item| masked(key, item)).collect(),
        Value::Object(map) => {
            // Measurements that only llama.cpp's server adds and nobody here reads.
            let kept = map.into_iter().filter(|(key, _)| !matches!(key.as_str(), "timings" | "prompt_tokens_details"));
            Value::Object(kept.map(|(key, value)| (key.clone(), masked(&key, value))).collect::<Map<_, _>>())
        }
        other => other,
    }
}

const READ: &str = "{tool: {name: read_file, arguments: {path: README.md}}}";
const TWO: &str =
    "{tool: {name: read_file, arguments: {path: a.txt}}}, {tool: {name: list_dir, arguments: {path: b, depth: 1}}}";

#[tokio::test]
async fn chats_have_the_shape_of_the_real_servers() {
    let own = "tool_calls: own\n";
    let cpp = "openai: llama_server\n";
    let said = "{text: 'I will look.'}";
    for (name, script) in [
        ("ollama/chat_stream", "turns: [{say: [{text: 'Grüße aus Köln'}]}]".to_owned()),
        ("ollama/chat_nostream", "turns: [{say: [{text: 'Grüße aus Köln'}]}]".to_owned()),
        ("ollama/chat_length", "turns: [{say: [{text: 'Grüße aus Köln'}], stop: length}]".to_owned()),
        ("ollama/chat_think_default", "turns: [{say: [{thinking: 'Well then.'}, {text: 'Hello'}]}]".to_owned()),
        ("ollama/chat_think_true", "turns: [{say: [{thinking: 'Well then.'}, {text: 'Hello'}]}]".to_owned()),
        ("ollama/chat_think_false", "turns: [{say: [{thinking: 'Well then.'}, {text: 'Hello'}]}]".to_owned()),
        ("ollama/chat_tools_stream", format!("turns: [{{say: [{said}, {READ}]}}]")),
        ("ollama/chat_tools_nostream", format!("turns: [{{say: [{said}, {READ}]}}]")),
        ("ollama/chat_tools_parallel", format!("turns: [{{say: [{said}, {TWO}]}}]")),
        (
            "ollama/chat_tool_result",
            format!(
                "turns: [{{when: {{tool_results: 1, last_tool: read_file}}, say: [{said}, {{tool: {{name: list_dir, arguments: {{path: src, depth: 2}}}}}}]}}]"
            ),
        ),
        ("ollama/gotemplate_tools_stream", format!("{own}turns: [{{say: [{said}, {READ}]}}]")),
        ("ollama/gotemplate_tools_parallel", format!("{own}turns: [{{say: [{said}, {TWO}]}}]")),
        (
            "ollama/gotemplate_tools_cut",
            format!(
                "{own}turns: [{{say: [{said}, {{fault: {{kind: malformed_call, tool: read_file}}}}], stop: length}}]"
            ),
        ),
        (
            "ollama/native_tools_cut_midcall",
            format!("turns: [{{say: [{said}, {{fault: {{kind: malformed_call, tool: read_file}}}}]}}]"),
        ),
        ("ollama/v1_chat", "turns: [{say: [{text: 'Grüße aus Köln'}]}]".to_owned()),
        ("ollama/v1_chat_stream", "turns: [{say: [{text: 'Grüße aus Köln'}]}]".to_owned()),
        ("ollama/v1_chat_think", "turns: [{say: [{thinking: 'Well then.'}, {text: 'Hello'}]}]".to_owned()),
        ("ollama/v1_chat_think_stream", "turns: [{say: [{thinking: 'Well then.'}, {text: 'Hello'}]}]".to_owned()),
        ("ollama/v1_chat_tools_stream", format!("turns: [{{say: [{said}, {READ}]}}]")),
        ("ollama/v1_tools_cut_midcall", format!("turns: [{{say: [{said}, {{fault: {{kind: error}}}}]}}]")),
        ("llama-server/script1_chat", format!("{cpp}turns: [{{say: [{{text: 'I will look.'}}]}}]")),
        ("llama-server/script1_chat_stream", format!("{cpp}turns: [{{say: [{{text: 'I will look.'}}]}}]")),
        ("llama-server/script1_tools_stream", format!("{cpp}turns: [{{say: [{said}, {READ}]}}]")),
        ("llama-server/script1_tools", format!("{cpp}turns: [{{say: [{said}, {READ}]}}]")),
        (
            "llama-server/script-think_tools_stream",
            format!("{cpp}turns: [{{say: [{{thinking: 'Well then.'}}, {{text: 'Hello to you'}}]}}]"),
        ),
        ("ollama/v1_messages", "turns: [{say: [{text: 'Grüße aus Köln'}]}]".to_owned()),
        ("ollama/v1_messages_stream", "turns: [{say: [{text: 'Grüße aus Köln'}]}]".to_owned()),
        ("ollama/v1_messages_tools_stream", format!("turns: [{{say: [{said}, {READ}]}}]")),
        ("ollama/v1_messages_cut_midcall", format!("turns: [{{say: [{said}, {{fault: {{kind: error}}}}]}}]")),
        ("llama-server/script1_anthropic", format!("{cpp}turns: [{{say: [{{text: 'I will look.'}}]}}]")),
        ("llama-server/script1_anthropic_tools_stream", format!("{cpp}turns: [{{say: [{said}, {READ}]}}]")),
        ("llama-server/script-two_anthropic_tools_stream", format!("{cpp}turns: [{{say: [{said}, {TWO}]}}]")),
        (
            "llama-server/script-think_anthropic",
            format!("{cpp}turns: [{{say: [{{thinking: 'Well then.'}}, {{text: 'Hello to you'}}]}}]"),
        ),
        (
            "llama-server/script-think_anthropic_tools_stream",
            format!("{cpp}turns: [{{say: [{{thinking: 'Well then.'}}, {{text: 'Hello to you'}}]}}]"),
        ),
    ] {
        let recording = Recording::read(name);
        let (played, real) = (play(&recording, &script).await, recording.answered());
        assert_eq!(
            (played.status, played.content_type.as_deref()),
            (real.status, real.content_type.as_deref()),
            "{name}"
        );
        assert_eq!(shapes(&played.text), shapes(&real.text), "{name}");
    }
}

#[tokio::test]
async fn refusals_are_worded_as_the_real_servers_word_them() {
    for name in [
        "ollama/root",
        "ollama/version",
        "ollama/not_found",
        "ollama/method_not_allowed",
        "ollama/show_missing",
        "ollama/chat_missing_model",
        "ollama/chat_no_model",
        "ollama/chat_bad_json",
        "ollama/chat_empty_body",
        "ollama/chat_bad_option_type",
        "ollama/chat_think_bogus",
        "ollama/chat_think_unsupported",
        "ollama/chat_tools_string_args",
        "ollama/v1_bad_json",
        "ollama/v1_chat_missing",
    ] {
        let recording = Recording::read(name);
        let (played, real) = (play(&recording, "turns: [{say: []}]").await, recording.answered());
        let meant = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| json!(text.trim()));
        assert_eq!((played.status, meant(&played.text)), (real.status, meant(&real.text)), "{name}");
    }
    for name in ["ollama/chat_load_only", "ollama/chat_unload"] {
        let recording = Recording::read(name);
        assert_eq!(shapes(&play(&recording, "turns: []").await.text), shapes(&recording.answered().text), "{name}");
    }
}

/// An error document with the numbers masked, also where it stands in a string.
fn words(value: Value) -> Value {
    match value {
        Value::Number(_) => json!("a number"),
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(inner @ Value::Object(_)) => json!({"in a string": words(inner)}),
            _ => json!(
                text.split(|letter: char| letter.is_ascii_digit()).filter(|word| !word.is_empty()).collect::<String>()
            ),
        },
        Value::Object(map) => Value::Object(map.into_iter().map(|(key, value)| (key, words(value))).collect()),
        other => other,
    }
}

#[tokio::test]
async fn a_prompt_that_does_not_fit_is_refused_as_each_server_does() {
    for (name, dialect) in [
        ("ollama/overflow_many_notruncate_noshift", "ollama"),
        ("ollama/v1_overflow_single", "ollama"),
        ("llama-server/script1_overflow", "llama_server"),
        ("llama-server/script1_anthropic_overflow", "llama_server"),
    ] {
        let recording = Recording::read(name);
        let script =
            format!("schema: 1\nopenai: {dialect}\nmodels: [{{name: tiny, context: 1024}}]\nturns: [{{say: []}}]");
        let (played, real) = (play(&recording, &script).await, recording.answered());
        let document = |text: &str| words(serde_json::from_str(text).unwrap());
        assert_eq!((played.status, document(&played.text)), (real.status, document(&real.text)), "{name}");
    }
    // Without `truncate: false` the real server drops the oldest messages and says nothing.
    let cut = play(&Recording::read("ollama/overflow_many"), "turns: [{say: [{text: hi}]}]").await;
    assert_eq!(cut.status, 200);
    assert!(cut.text.contains("\"prompt_eval_count\":512"), "{}", cut.text);
}

#[tokio::test]
async fn the_lists_of_models_have_the_shape_of_the_real_ones() {
    for (name, list) in
        [("ollama/tags", "models"), ("ollama/v1_models", "data"), ("ollama/show", ""), ("ollama/ps_loaded", "models")]
    {
        let recording = Recording::read(name);
        let real: Value = serde_json::from_str(&recording.answered().text).unwrap();
        let played = play(&recording, "turns: []").await;
        let ours: Value = serde_json::from_str(&played.text).unwrap();
        assert_eq!(played.status, 200, "{name}");
        let keys = |value: &Value| {
            let entry = if list.is_empty() { value } else { &value[list][0] };
            entry.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>())
        };
        // Nothing is loaded in a fresh stage.
        if name == "ollama/ps_loaded" {
            assert_eq!(ours, json!({"models": []}));
            continue;
        }
        let unread = |key: &String| !matches!(key.as_str(), "tensors" | "license" | "system");
        assert_eq!(keys(&ours), keys(&real).map(|keys| keys.into_iter().filter(unread).collect()), "{name}");
    }
}
