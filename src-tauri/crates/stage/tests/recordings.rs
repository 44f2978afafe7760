//! The stage against every recording of a real server: the same request, and byte for byte the same shape of answer.
//!
//! A script is read off each recording (what was said, thought and called, and how it ended) and played. Compared are
//! status, content type, line ends, spacing, escapes, the order of keys, words that mean something, where how many kinds
//! of pieces stand, and the text as a whole. Ids, dates, durations and counts are masked; neighbours of one shape count
//! as one, because the stage cuts texts at words.
//!
//! Guards: the stage is what real servers are and not what we would like them to be. Turns red, for example, when one
//! key of a final line is renamed or moved.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // a test says so by failing

#[path = "recorded/said.rs"]
mod said;
#[path = "recorded/shape.rs"]
mod shape;

use atelier_egress::{Egress, EgressPolicy, Forgetful};
use atelier_protocol::ports::{Http, HttpLimits, HttpRequest, Method};
use atelier_stage::{Options, Script, Stage};
use bytes::Bytes;
use futures_util::StreamExt;
use said::Said;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/fixtures/recordings");

/// A recorded exchange.
struct Recording {
    /// Server and file.
    name: String,
    value: Value,
}

/// What came back.
#[derive(Debug, PartialEq)]
struct Answered {
    status: u16,
    content_type: Option<String>,
    text: String,
}

impl Recording {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for server in ["llama-cpp-python", "llama-server", "ollama"] {
            for entry in std::fs::read_dir(Path::new(FOLDER).join(server)).unwrap() {
                let path = entry.unwrap().path();
                let name = format!("{server}/{}", path.file_stem().unwrap().to_string_lossy());
                all.push(Self { name, value: serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() });
            }
        }
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    fn is(&self, name: &str) -> bool {
        self.name.ends_with(&format!("/{name}"))
    }

    /// The request's body; one that was no JSON is recorded in quotes.
    fn body(&self) -> Bytes {
        match &self.value["request"]["body"] {
            Value::Null => Bytes::new(),
            Value::String(text) => Bytes::from(text.trim_matches('\'').to_owned()),
            body => Bytes::from(body.to_string()),
        }
    }

    /// Headers that were sent and not recorded.
    fn headers(&self) -> Vec<(String, String)> {
        let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        match self.name.as_str() {
            "ollama/bad_host" => header("host", "evil.example"),
            "ollama/bad_origin" => header("origin", "https://evil.example"),
            "ollama/tauri_origin" => header("origin", "tauri://localhost"),
            "ollama/tauri_origin_http" => header("origin", "http://tauri.localhost"),
            _ => Vec::new(),
        }
    }

    fn answered(&self) -> Answered {
        let headers = self.value["headers"].as_object().unwrap().iter();
        let kind = headers.filter(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, value)| value);
        let chunks = self.value["chunks"].as_array().unwrap().iter();
        Answered {
            status: u16::try_from(self.value["status"].as_u64().unwrap()).unwrap(),
            content_type: kind.map(|value| value.as_str().unwrap().to_owned()).next(),
            text: chunks.map(|chunk| chunk[1].as_str().unwrap()).collect(),
        }
    }

    /// The script that makes the stage this server at this moment.
    fn script(&self) -> Script {
        let real = self.answered();
        let dialect = match self.name.split('/').next().unwrap() {
            "llama-cpp-python" => "weak",
            "llama-server" => "llama_server",
            _ => "ollama",
        };
        let own = self.name.contains("gotemplate") && self.value["request"]["path"] == "/api/chat";
        let script = json!({
            "schema": 1, "version": "0.0.0", "cloud_off": true, "openai": dialect, "models": self.models(&real),
            "tool_calls": if own { "own" } else { "last" }, "turns": [self.turn(&real)],
        });
        Script::read(&self.name, &script.to_string()).unwrap_or_else(|error| panic!("{error}: {script}"))
    }

    fn models(&self, real: &Answered) -> Value {
        let told: Value = serde_json::from_str(&real.text).unwrap_or_default();
        match self.name.split('/').next().unwrap() {
            "llama-cpp-python" => return json!([{"name": "model/script1.gguf", "context": 4096}]),
            "llama-server" => {
                return json!([{
                    "name": "scripted", "context": 8192, "allocates": 4096, "capabilities": ["completion", "thinking"],
                }]);
            }
            _ => {}
        }
        let loaded = self.name.contains("/ps_");
        if let Some(list) = told["models"].as_array().or_else(|| told["data"].as_array()) {
            let model = |entry: &Value| {
                let name = entry["name"].as_str().or_else(|| entry["id"].as_str()).unwrap();
                let mut model = json!({"name": name});
                if let Some(can) = entry.get("capabilities") {
                    model["capabilities"] = can.clone();
                }
                if loaded {
                    model["loaded"] = entry["context_length"].clone();
                }
                model
            };
            return list.iter().map(model).collect();
        }
        if told.get("tensors").is_some() {
            let mut model = json!({
                "name": self.value["request"]["body"]["model"], "capabilities": told["capabilities"],
            });
            if let Some(set) = told.get("parameters") {
                model["parameters"] = set.clone();
            }
            return json!([model]);
        }
        if self.name.contains("/pull_") {
            let name = &self.value["request"]["body"]["model"];
            let unknown = self.is("pull_404");
            let name = if unknown { &json!("another") } else { name };
            return json!([{"name": name, "here": self.is("pull_again"), "capabilities": ["embedding"]}]);
        }
        let names = [
            "broken",
            "utf8",
            "two",
            "scripted",
            "thinker",
            "scripted-gt",
            "two-gt",
            "broken-gt",
            "scripted-go",
            "tiny2",
        ];
        let named = names.map(|name| {
            let can =
                if name == "thinker" { json!(["completion", "thinking"]) } else { json!(["completion", "tools"]) };
            json!({"name": name, "capabilities": can, "load_ms": 1})
        });
        let tiny = json!({"name": "tiny", "capabilities": ["completion"], "context": 1024, "load_ms": 1});
        named.into_iter().chain([tiny]).collect()
    }

    fn turn(&self, real: &Answered) -> Value {
        let refuse = |fault: Value| json!({"say": [{"fault": fault}]});
        match self.name.as_str() {
            // What went wrong lies in how the server was set up, and is in no request.
            "ollama/shared_blob_wrong_runner" => {
                let document: Value = serde_json::from_str(&real.text).unwrap();
                refuse(json!({
                    "kind": "refuse", "status": 500, "error": document["error"],
                    "headers": {"content-type": "application/json"},
                }))
            }
            // The complaint of a library for checking bodies, with places in its source.
            "llama-cpp-python/script1_bad_tool_choice" => refuse(json!({
                "kind": "refuse", "status": 500, "body": real.text, "headers": {"content-type": "application/json"},
            })),
            _ => said::turn(&said::of(&real.text)),
        }
    }
}

async fn play(recording: &Recording) -> Answered {
    let stage = Stage::start(recording.script(), Options::default()).await.unwrap();
    let second = Duration::from_secs(5);
    let egress = Egress::new(Arc::new(EgressPolicy::new(true)), Arc::new(Forgetful));
    let request = &recording.value["request"];
    let method = match request["method"].as_str() {
        Some("GET") => Method::Get,
        Some("DELETE") => return delete(&stage, recording).await,
        _ => Method::Post,
    };
    let url = format!("{}{}", stage.url(), request["path"].as_str().unwrap());
    let limits = HttpLimits { connect: second, head: second, idle: second };
    let response = egress
        .send(HttpRequest {
            method,
            url,
            headers: recording.headers(),
            body: recording.body(),
            purpose: "test",
            limits,
        })
        .await
        .unwrap();
    let content_type = response.headers.iter().find(|(name, _)| name == "content-type");
    let content_type = content_type.map(|(_, value)| value.clone());
    let status = response.status;
    let chunks: Vec<Bytes> = response.body.map(|chunk| chunk.unwrap()).collect().await;
    Answered { status, content_type, text: String::from_utf8(chunks.concat()).unwrap() }
}

/// A method that the port of the house does not know.
async fn delete(stage: &Stage, recording: &Recording) -> Answered {
    let (address, body) = (stage.url().trim_start_matches("http://").to_owned(), recording.body());
    let path = recording.value["request"]["path"].as_str().unwrap().to_owned();
    let asked = move || {
        let mut line = std::net::TcpStream::connect(&address).unwrap();
        let length = body.len();
        let head = format!(
            "DELETE {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        line.write_all(&[head.as_bytes(), &body].concat()).unwrap();
        let mut all = String::new();
        line.read_to_string(&mut all).unwrap();
        all
    };
    let all = tokio::task::spawn_blocking(asked).await.unwrap();
    let (head, text) = all.split_once("\r\n\r\n").unwrap();
    let content_type = head.lines().find_map(|line| line.strip_prefix("content-type: ")).map(str::to_owned);
    Answered { status: head[9..12].parse().unwrap(), content_type, text: text.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stage_answers_as_every_recorded_server_did() {
    let mut wrong = Vec::new();
    let mut routes: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    let recordings = Recording::all();
    for recording in &recordings {
        let path = recording.value["request"]["path"].as_str().unwrap();
        *routes.entry(path.to_owned()).or_default() += 1;
        let (played, real) = (play(recording).await, recording.answered());
        let mut differ = |what: &str, ours: String, theirs: String| {
            if ours != theirs {
                wrong.push(format!("{} {what}\n  stage: {ours}\n  real:  {theirs}", recording.name));
            }
        };
        differ("status", played.status.to_string(), real.status.to_string());
        differ("type", format!("{:?}", played.content_type), format!("{:?}", real.content_type));
        let (ours, theirs) = (shape::lines(&played.text), shape::lines(&real.text));
        let first = ours.iter().zip(&theirs).position(|(our, their)| our != their);
        let at = first.unwrap_or(ours.len().min(theirs.len()));
        let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_else(|| "(nothing more)".to_owned());
        differ("line", line(&ours), line(&theirs));
        differ("writing", shape::writing(&played.text), shape::writing(&real.text));
        let text = |text: &str| {
            let Said { text, thinking, .. } = said::of(text);
            format!("{thinking:?} {text:?}")
        };
        // What a schema or a stop word made of an answer is in the script's text.
        differ("text", text(&played.text), text(&real.text));
    }
    for (route, count) in &routes {
        println!("{count:4} {route}");
    }
    println!("{:4} recordings drive the stage", recordings.len());
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(recordings.len(), 191);
}
