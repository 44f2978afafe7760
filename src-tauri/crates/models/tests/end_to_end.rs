//! The client through the real door to a scripted server, in both dialects: whole turns, and everything that goes wrong.

#![allow(clippy::unwrap_used)] // a test says so by failing

use atelier_egress::{Egress, EgressPolicy, Forgetful};
use atelier_models::{
    CallError, ChatRequest, EmbedRequest, Failed, Message, ModelEvent, Provider, ToolSpec, Turn, collect, provider,
};
use atelier_protocol::event::FailureClass;
use atelier_protocol::event::{Stop, ToolCall};
use atelier_protocol::op::Phase;
use atelier_protocol::ports::{Clock, HttpLimits};
use atelier_protocol::settings::{ProviderKind, ProviderSettings};
use atelier_stage::{Ended, Options, Script, Stage};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ALL: [ProviderKind; 3] = [ProviderKind::Ollama, ProviderKind::OpenAi, ProviderKind::Anthropic];

struct System(Instant);

impl Clock for System {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }
}

async fn stage(script: &str) -> Stage {
    let text = if script.contains("models:") {
        format!("schema: 1\n{script}")
    } else {
        format!("schema: 1\nmodels: [{{name: m, capabilities: [completion, tools, thinking]}}]\n{script}")
    };
    Stage::start(Script::read("test.yaml", &text).unwrap(), Options::default()).await.unwrap()
}

fn server(kind: ProviderKind, base_url: String) -> Arc<dyn Provider> {
    let egress = Egress::new(Arc::new(EgressPolicy::new(true)), Arc::new(Forgetful));
    let settings = ProviderSettings { id: "test".into(), kind, base_url };
    provider(&settings, Arc::new(egress), Arc::new(System(Instant::now())))
}

fn tool(name: &str) -> ToolSpec {
    ToolSpec { name: name.into(), description: "does it".into(), parameters: json!({"type": "object"}) }
}

fn question() -> ChatRequest {
    ChatRequest {
        tools: vec![tool("read_file")],
        id_prefix: "c1.".into(),
        ..ChatRequest::new("m", vec![Message::system("role: developer\nstep: build"), Message::user("goal: greet")])
    }
}

async fn ask(kind: ProviderKind, stage: &Stage) -> Result<Turn, Failed> {
    collect(server(kind, stage.url()).chat(question()), |_| {}).await
}

async fn failure(kind: ProviderKind, script: &str) -> Failed {
    let stage = stage(script).await;
    ask(kind, &stage).await.unwrap_err()
}

#[tokio::test]
async fn a_whole_loop_of_tool_calls_reads_the_same_in_both_dialects() {
    for kind in ALL {
        let stage = stage(
            r#"
tool_calls: own
turns:
  - when: {role: developer, step: build, turn: 0, offers: read_file}
    say:
      - thinking: "I should look first. "
      - text: "I look at {{goal}}."
      - tool: {name: read_file, arguments: {path: "src/grüße.rs", depth: 2}}
      - tool: {name: read_file, arguments: {path: b}}
  - when: {turn: 1, last_tool: read_file, tool_results: 2, tool_result_contains: [second]}
    say:
      - text: "Done — 日本語 🦀."
"#,
        )
        .await;
        let server = server(kind, stage.url());
        let mut request = question();
        let first = collect(server.chat(request.clone()), |_| {}).await.unwrap();
        assert_eq!((first.text.as_str(), first.thinking.as_str()), ("I look at greet.", "I should look first. "));
        assert_eq!((first.stop, first.tool_calls.len(), first.from_text), (Stop::Tools, 2, false));
        assert_eq!(first.tool_calls[0].arguments, json!({"path": "src/grüße.rs", "depth": 2}));
        assert!(first.usage.prompt_tokens.is_some_and(|count| count > 0));
        assert!(first.usage.output_tokens.is_some_and(|count| count > 0));

        request.messages.push(Message::assistant(first.text, first.tool_calls.clone()));
        request.messages.push(Message::tool(&first.tool_calls[0], "first"));
        request.messages.push(Message::tool(&first.tool_calls[1], "second"));
        let second = collect(server.chat(request), |_| {}).await.unwrap();
        assert_eq!((second.text.as_str(), second.stop), ("Done — 日本語 🦀.", Stop::End));
        assert_eq!(stage.unmatched(), []);
        assert!(stage.chats().iter().all(|exchange| exchange.ended == Ended::Answered), "{:?}", stage.chats());
    }
}

#[tokio::test]
async fn ollama_is_told_never_to_cut_a_prompt() {
    let stage = stage("turns: [{say: [{text: ok}]}]").await;
    let call = ToolCall { id: "a".into(), name: "read_file".into(), arguments: json!({"path": "x"}) };
    let request = ChatRequest {
        model: "m".into(),
        messages: vec![
            Message::user("hello"),
            Message::assistant("", vec![call.clone()]),
            Message::tool(&call, "data"),
        ],
        context: Some(8192),
        max_output: Some(500),
        temperature: Some(0.2),
        think: Some(false),
        keep_alive: Some("10m".into()),
        ..question()
    };
    collect(server(ProviderKind::Ollama, stage.url()).chat(request), |_| {}).await.unwrap();
    let chat = stage.chats().remove(0);
    assert_eq!(
        chat.body,
        json!({
            "model": "m",
            "messages": [
                {"role": "user", "content": "hello"},
                {"role": "assistant", "content": "", "tool_calls": [
                    {"id": "a", "function": {"name": "read_file", "arguments": {"path": "x"}}},
                ]},
                {"role": "tool", "content": "data", "tool_name": "read_file", "tool_call_id": "a"},
            ],
            "tools": [{"type": "function", "function": {
                "name": "read_file", "description": "does it", "parameters": {"type": "object"},
            }}],
            "stream": true,
            "truncate": false,
            "shift": false,
            "think": false,
            "keep_alive": "10m",
            "options": {"num_ctx": 8192, "num_predict": 500, "temperature": 0.2},
        })
    );
    assert!(!chat.headers.iter().any(|(name, _)| name == "origin"));
}

#[tokio::test]
async fn an_openai_style_server_gets_its_arguments_as_text() {
    let stage = stage("turns: [{say: [{text: ok}]}]").await;
    let call = ToolCall { id: "a".into(), name: "read_file".into(), arguments: json!({"path": "x"}) };
    let request = ChatRequest {
        messages: vec![
            Message::user("hello"),
            Message::assistant("", vec![call.clone()]),
            Message::tool(&call, "data"),
        ],
        max_output: Some(500),
        ..question()
    };
    collect(server(ProviderKind::OpenAi, format!("{}/v1", stage.url())).chat(request), |_| {}).await.unwrap();
    assert_eq!(
        stage.chats().remove(0).body,
        json!({
            "model": "m",
            "messages": [
                {"role": "user", "content": "hello"},
                {"role": "assistant", "content": "", "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "read_file", "arguments": "{\"path\":\"x\"}"}},
                ]},
                {"role": "tool", "content": "data", "tool_call_id": "a"},
            ],
            "tools": [{"type": "function", "function": {
                "name": "read_file", "description": "does it", "parameters": {"type": "object"},
            }}],
            "stream": true,
            "stream_options": {"include_usage": true},
            "max_tokens": 500,
        })
    );
}

#[tokio::test]
async fn the_phases_tell_what_the_server_does() {
    let stage = stage(
        r#"
models: [{name: m, capabilities: [completion, tools, thinking], load_ms: 30}]
turns: [{say: [{thinking: "hm"}, {text: "yes"}]}]
"#,
    )
    .await;
    let server = server(ProviderKind::Ollama, stage.url());
    for first in [Phase::Loading, Phase::Reading] {
        let mut phases = Vec::new();
        let turn = collect(server.chat(question()), |event| {
            if let ModelEvent::Phase(phase) = event {
                phases.push(*phase);
            }
        });
        let turn = turn.await.unwrap();
        assert_eq!(phases, [first, Phase::Thinking, Phase::Answering]);
        assert_eq!(turn.usage.load_ms, (first == Phase::Loading).then_some(30));
        assert!(turn.usage.first_ms.unwrap() <= turn.usage.total_ms);
    }
}

#[tokio::test]
async fn bytes_cut_anywhere_give_the_same_text() {
    for kind in ALL {
        for size in [1, 2, 3, 7] {
            let script =
                format!("chunk_bytes: {size}\nturns: [{{say: [{{text: 'Grüße aus Köln — 日本語 🦀 fin.'}}]}}]");
            let stage = stage(&script).await;
            assert_eq!(ask(kind, &stage).await.unwrap().text, "Grüße aus Köln — 日本語 🦀 fin.");
        }
    }
}

#[tokio::test]
async fn a_call_in_fragments_is_whole_again() {
    for dialect in ["ollama", "llama_server"] {
        let script = format!(
            "openai: {dialect}\nfragments: 1\nturns: [{{say: [{{tool: {{name: read_file, arguments: {{path: 'ü\"x'}}}}}}]}}]"
        );
        let turn = ask(ProviderKind::OpenAi, &stage(&script).await).await.unwrap();
        assert_eq!(turn.tool_calls[0].arguments, json!({"path": "ü\"x"}));
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_a_server_that_is_down() {
    for kind in ALL {
        let stage = stage("turns: []").await;
        let url = stage.url();
        stage.stop().await;
        let failed = collect(server(kind, url.clone()).chat(question()), |_| {}).await.unwrap_err();
        assert!(matches!(failed.error, CallError::ServerDown { .. }), "{failed:?}");
        let view = server(kind, url.clone()).describe().await;
        let problem = view.problem.unwrap();
        assert_eq!(problem.message, format!("No model server answers at {url}."));
        assert_eq!(problem.code, atelier_protocol::Code::ModelServerDown);
    }
}

#[tokio::test]
async fn another_machine_is_not_asked_in_local_only_mode() {
    let server = server(ProviderKind::OpenAi, "https://192.0.2.7".into());
    let failed = collect(server.chat(question()), |_| {}).await.unwrap_err();
    assert_eq!(failed.error, CallError::LocalOnly { host: "192.0.2.7:443".into() });
}

#[tokio::test]
async fn refusals_keep_the_servers_words() {
    for kind in ALL {
        let script = "turns: [{say: [{fault: {kind: refuse, status: 429, retry_after: '3', error: slow down}}]}]";
        let error = failure(kind, script).await.error;
        let retry_after = Some(Duration::from_secs(3));
        assert_eq!(error, CallError::ServerError { status: 429, text: "slow down".into(), retry_after });

        let script = "turns: [{say: [{fault: {kind: refuse, status: 503}}]}]";
        let busy = failure(kind, script).await.error;
        assert!(matches!(&busy, CallError::ServerError { status: 503, retry_after: None, .. }), "{busy:?}");

        let page = "turns: [{say: [{fault: {kind: refuse, status: 502, body: '<html>Bad Gateway</html>'}}]}]";
        let error = failure(kind, page).await.error;
        assert!(matches!(&error, CallError::ServerError { status: 502, text, .. } if text.contains("Bad Gateway")));

        let missing = "models: [{name: other}]\nturns: [{say: []}]";
        let error = failure(kind, missing).await.error;
        assert_eq!(error, CallError::ModelMissing { text: "model 'm' not found".into() });

        let no_tools = "models: [{name: m, capabilities: [completion]}]\nturns: [{say: []}]";
        let error = failure(kind, no_tools).await.error;
        assert!(matches!(&error, CallError::Unsupported { what } if what.contains("tools")), "{error:?}");

        let small = "models: [{name: m, context: 4}]\nturns: [{say: []}]";
        let error = failure(kind, small).await.error;
        assert!(matches!(&error, CallError::Overflow { text } if text.starts_with("request (")), "{error:?}");
    }
}

#[tokio::test]
async fn a_fault_that_strikes_once_leaves_the_second_try_alone() {
    let stage = stage("turns: [{say: [{fault: {kind: refuse, status: 500, times: 1}}, {text: fine}]}]").await;
    let failed = ask(ProviderKind::Ollama, &stage).await.unwrap_err();
    assert_eq!(failed.error.class(), FailureClass::RetrySame);
    assert_eq!(ask(ProviderKind::Ollama, &stage).await.unwrap().text, "fine");
}

#[tokio::test]
async fn every_way_to_break_off_is_an_incomplete_turn_that_keeps_what_came() {
    for kind in ALL {
        for fault in ["disconnect", "no_end"] {
            let script = format!("turns: [{{say: [{{text: 'so far'}}, {{fault: {{kind: {fault}}}}}]}}]");
            let failed = failure(kind, &script).await;
            assert!(matches!(failed.error, CallError::Incomplete { .. }), "{kind:?} {fault}: {failed:?}");
            assert_eq!(failed.error.class(), FailureClass::RetrySame);
            assert_eq!(failed.partial_text, "so far", "{kind:?} {fault}");
        }
        for fault in ["empty", "hang_up"] {
            let failed = failure(kind, &format!("turns: [{{say: [{{fault: {{kind: {fault}}}}}]}}]")).await;
            assert!(matches!(failed.error, CallError::Incomplete { .. }), "{kind:?} {fault}: {failed:?}");
        }
    }
}

#[tokio::test]
async fn an_error_inside_the_stream_ends_the_turn_with_the_servers_words() {
    let say = "turns: [{say: [{text: 'so far'}, {fault: {kind: error, error: the runner died}}]}]";
    let failed = failure(ProviderKind::Ollama, say).await;
    let died = CallError::ServerError { status: 200, text: "the runner died".into(), retry_after: None };
    assert_eq!((&failed.error, failed.partial_text.as_str()), (&died, "so far"));
    let failed = failure(ProviderKind::OpenAi, &format!("openai: llama_server\n{say}")).await;
    assert_eq!((&failed.error, failed.partial_text.as_str()), (&died, "so far"));
    // This layer swallows the words; that nothing follows is all there is to see.
    let failed = failure(ProviderKind::OpenAi, say).await;
    assert!(matches!(failed.error, CallError::Incomplete { .. }));
}

#[tokio::test]
async fn a_call_with_unreadable_arguments_is_never_a_call() {
    let script = "turns: [{say: [{text: 'I read.'}, {fault: {kind: malformed_call, tool: read_file, arguments: '{\"path\": '}}]}]";
    for kind in ALL {
        let failed = failure(kind, script).await;
        let CallError::MalformedCall { name, raw, .. } = &failed.error else { panic!("{failed:?}") };
        assert_eq!(name, "read_file");
        assert!(kind == ProviderKind::Ollama || raw == "{\"path\": ", "{raw}");
        assert_eq!(failed.partial_text, "I read.");
    }
}

#[tokio::test]
async fn bytes_that_are_not_of_the_dialect_are_unreadable() {
    // The third dialect's stream has begun before a script can say anything, and then an unknown field means nothing.
    for kind in [ProviderKind::Ollama, ProviderKind::OpenAi] {
        let failed = failure(kind, "turns: [{say: [{fault: {kind: raw, raw: \"<html>hello</html>\\n\\n\"}}]}]").await;
        assert!(matches!(&failed.error, CallError::Unreadable { text } if text.contains("html")), "{failed:?}");
    }
}

#[tokio::test]
async fn comments_and_blank_lines_in_the_stream_are_nothing() {
    let script = "turns: [{say: [{text: 'a '}, {fault: {kind: raw, raw: \": keep-alive\\n\\n\"}}, {text: b}]}]";
    assert_eq!(ask(ProviderKind::OpenAi, &stage(script).await).await.unwrap().text, "a b");
    let script = "turns: [{say: [{text: 'a '}, {fault: {kind: raw, raw: \"\\r\\n\\n\"}}, {text: b}]}]";
    assert_eq!(ask(ProviderKind::Ollama, &stage(script).await).await.unwrap().text, "a b");
}

#[tokio::test]
async fn an_empty_turn_is_a_turn_and_says_so() {
    for kind in ALL {
        for say in ["[]", "[{text: ' '}]", "[{thinking: 'hm'}]"] {
            let turn = ask(kind, &stage(&format!("turns: [{{say: {say}}}]")).await).await.unwrap();
            assert!(turn.is_empty(), "{kind:?} {say}");
        }
        let turn = ask(kind, &stage("turns: [{say: [{text: cut}], stop: length}]").await).await.unwrap();
        assert_eq!((turn.stop, turn.is_empty()), (Stop::Length, false));
    }
}

#[tokio::test]
async fn a_call_written_as_text_is_read_only_where_the_tool_was_offered() {
    let script =
        r#"turns: [{say: [{text: '<tool_call>{"name": "read_file", "arguments": {"path": "a"}}</tool_call>'}]}]"#;
    for kind in ALL {
        let stage = stage(script).await;
        let turn = ask(kind, &stage).await.unwrap();
        let call = ToolCall { id: "c1.call_1".into(), name: "read_file".into(), arguments: json!({"path": "a"}) };
        assert_eq!((turn.tool_calls.as_slice(), turn.text.as_str()), ([call].as_slice(), ""));
        assert_eq!((turn.from_text, turn.stop), (true, Stop::Tools));

        let without = ChatRequest { tools: vec![tool("list_files")], ..question() };
        let turn = collect(server(kind, stage.url()).chat(without), |_| {}).await.unwrap();
        assert_eq!((turn.tool_calls.len(), turn.from_text), (0, false));
        assert!(turn.text.contains("read_file"));
    }
}

#[tokio::test]
async fn a_stall_runs_into_the_limit_and_frees_the_server() {
    for kind in ALL {
        let stage = stage("turns: [{say: [{text: 'so far'}, {fault: {kind: stall}}]}]").await;
        let limits = HttpLimits { idle: Duration::from_millis(100), ..atelier_models::CHAT_LIMITS };
        let request = ChatRequest { limits, ..question() };
        let failed = collect(server(kind, stage.url()).chat(request), |_| {}).await.unwrap_err();
        assert_eq!(failed.error, CallError::Timeout { act: "go on", seconds: 1 });
        assert_eq!(failed.partial_text, "so far");
        until_hung_up(&stage).await;
    }
}

#[tokio::test]
async fn dropping_the_stream_stops_the_server_within_100_ms() {
    for kind in ALL {
        // A busy machine may delay one try; three in a row it does not.
        let mut fastest = Duration::MAX;
        for _ in 0..3 {
            let stage = stage("pace_ms: 5\nturns: [{say: [{text: 'a b c d e f g h'}, {fault: {kind: stall}}]}]").await;
            let mut stream = server(kind, stage.url()).chat(question());
            while !matches!(stream.next().await, Some(Ok(ModelEvent::Text(_)))) {}
            drop(stream);
            fastest = fastest.min(until_hung_up(&stage).await);
        }
        assert!(fastest < Duration::from_millis(100), "{fastest:?}");
    }
}

/// How long until the stage has noticed that the client is gone.
async fn until_hung_up(stage: &Stage) -> Duration {
    let from = Instant::now();
    while stage.chats()[0].ended == Ended::Open {
        assert!(from.elapsed() < Duration::from_secs(5), "the server still sends");
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.chats()[0].ended, Ended::HungUp);
    from.elapsed()
}

#[tokio::test]
async fn a_server_describes_its_models() {
    let stage = stage(
        r#"
version: 0.32.15
models:
  - {name: "plain:1b", capabilities: [completion], context: 4096, bytes: 7}
  - {name: able, capabilities: [completion, tools, thinking]}
  - {name: "big:cloud", remote: true}
  - {name: vectors, capabilities: [embedding]}
turns: []
"#,
    )
    .await;
    let view = server(ProviderKind::Ollama, stage.url()).describe().await;
    assert_eq!((view.version.as_deref(), view.local, view.problem), (Some("0.32.15"), true, None));
    let lines = view.models.iter().map(|model| {
        let (name, local, tools, thinking) = (&model.name, model.local, model.tools, model.thinking);
        format!("{name} local={local} tools={tools:?} thinking={thinking:?} {:?} {:?}\n", model.context, model.bytes)
    });
    insta::assert_snapshot!(lines.collect::<String>(), @r"
    plain:1b local=true tools=Some(false) thinking=Some(false) Some(4096) Some(7)
    able:latest local=true tools=Some(true) thinking=Some(true) Some(32768) Some(2131753)
    big:cloud local=false tools=Some(true) thinking=Some(false) Some(32768) Some(2131753)
    ");

    let view = server(ProviderKind::OpenAi, stage.url()).describe().await;
    let names: Vec<(&str, bool)> = view.models.iter().map(|model| (model.name.as_str(), model.local)).collect();
    assert_eq!(names, [("plain:1b", true), ("able:latest", true), ("big:cloud", false), ("vectors:latest", true)]);
}

#[tokio::test]
async fn what_is_no_model_server_says_so() {
    // A stage has no `/v1/v1` route, so this address is that of something else.
    let stage = stage("turns: []").await;
    let view = server(ProviderKind::Ollama, format!("{}/v1", stage.url())).describe().await;
    let problem = view.problem.unwrap();
    assert_eq!(problem.code, atelier_protocol::Code::ModelServerError);
    assert!(problem.hint.contains("kind of server"), "{problem:?}");
}

const VECTORS: &str = "models: [{name: v, capabilities: [embedding], embedding: 8, context: 32}, {name: m}]\nturns: []";

#[tokio::test]
async fn vectors_are_the_same_in_both_dialects_and_no_text_is_cut() {
    let stage = stage(VECTORS).await;
    let texts = vec!["one text".to_owned(), "another".to_owned()];
    let mut all = Vec::new();
    for kind in [ProviderKind::Ollama, ProviderKind::OpenAi] {
        let server = server(kind, stage.url());
        let embedded = server.embed(EmbedRequest::new("v", texts.clone())).await.unwrap();
        assert_eq!((embedded.vectors.len(), embedded.vectors[1].len()), (2, 8));
        assert!(embedded.tokens > Some(1));
        all.push(embedded);
        let shorter = EmbedRequest { dimensions: Some(3), ..EmbedRequest::new("v", texts.clone()) };
        assert_eq!(server.embed(shorter).await.unwrap().vectors[0].len(), 3);
        let missing = server.embed(EmbedRequest::new("nobody", texts.clone())).await.unwrap_err();
        assert!(matches!(missing, CallError::ModelMissing { .. }), "{missing:?}");
        assert!(server.embed(EmbedRequest::new("m", texts.clone())).await.is_err(), "it only talks");
    }
    assert_eq!(all[0], all[1]);
    let long = EmbedRequest::new("v", vec!["word ".repeat(500)]);
    let overflow = server(ProviderKind::Ollama, stage.url()).embed(long).await.unwrap_err();
    assert!(matches!(overflow, CallError::Overflow { .. }), "{overflow:?}");
    let none = server(ProviderKind::Anthropic, stage.url()).embed(EmbedRequest::new("v", texts)).await.unwrap_err();
    assert!(matches!(none, CallError::Unsupported { .. }), "{none:?}");
    let view = server(ProviderKind::Ollama, stage.url()).describe().await;
    assert_eq!((view.embedders, view.models.len()), (vec!["v:latest".to_owned()], 1));
}
