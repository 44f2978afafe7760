//! How a script is played: which turn answers, what is remembered, who is turned away, and what the transcript tells.

#![allow(clippy::unwrap_used)] // a test says so by failing

use atelier_egress::{Egress, EgressPolicy, Forgetful};
use atelier_protocol::ports::{Http, HttpError, HttpLimits, HttpRequest, HttpResponse, Method};
use atelier_stage::{Ended, Options, Script, Stage};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

async fn stage(script: &str) -> Stage {
    start(script, Options::default()).await
}

async fn start(script: &str, options: Options) -> Stage {
    let models = if script.contains("models:") { "" } else { "models: [{name: m}]\n" };
    let script = Script::read("play.yaml", &format!("schema: 1\n{models}{script}")).unwrap();
    Stage::start(script, options).await.unwrap()
}

async fn send(stage: &Stage, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<HttpResponse, HttpError> {
    let second = Duration::from_secs(5);
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let request = HttpRequest {
        method: if body.is_null() { Method::Get } else { Method::Post },
        url: format!("{}{path}", stage.url()),
        headers: headers.iter().map(owned).collect(),
        body: if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) },
        purpose: "test",
        limits: HttpLimits { connect: second, head: second, idle: second },
    };
    Egress::new(Arc::new(EgressPolicy::new(true)), Arc::new(Forgetful)).send(request).await
}

async fn text(response: HttpResponse) -> String {
    let chunks: Vec<Bytes> = response.body.map(|chunk| chunk.unwrap()).collect().await;
    String::from_utf8(chunks.concat()).unwrap()
}

async fn get(stage: &Stage, path: &str) -> Value {
    serde_json::from_str(&text(send(stage, path, &[], &Value::Null).await.unwrap()).await).unwrap()
}

/// Asks without streaming; the whole document.
async fn chat(stage: &Stage, more: Value) -> Value {
    let mut body = json!({"model": "m", "stream": false, "messages": [{"role": "user", "content": "hello"}]});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    serde_json::from_str(&text(send(stage, "/api/chat", &[], &body).await.unwrap()).await).unwrap()
}

async fn said(stage: &Stage, messages: Value) -> String {
    let answer = chat(stage, json!({"messages": messages})).await;
    answer["message"]["content"].as_str().or(answer["error"].as_str()).unwrap().to_owned()
}

#[tokio::test]
async fn the_first_turn_that_fits_answers() {
    let stage = stage(
        r#"
turns:
  - when: {role: developer, step: build, user_contains: [goal, sum], not_contains: halt}
    say: [{text: builds}]
  - when: {role: developer, last_user_contains: again}
    say: [{text: again}]
  - when: {turn: 1, tool_results: 2, last_tool: list_files, tool_result_contains: b.rs}
    say: [{text: listed}]
  - when: {system_contains: "You review", contains: halt}
    say: [{text: reviews}]
  - when: {model: "m:latest", turn: 0, tool_results: 0}
    say: [{text: "any {{goal}}"}]
"#,
    )
    .await;
    let system = |text: &str| json!({"role": "system", "content": text});
    let user = |text: &str| json!({"role": "user", "content": text});
    let developer = system("Rules.\nrole: developer\nstep: build\nYou write code.");
    assert_eq!(said(&stage, json!([developer, user("goal: sum the list")])).await, "builds");
    assert_eq!(said(&stage, json!([developer, user("goal: sum; halt"), user("again")])).await, "again");
    assert_eq!(said(&stage, json!([system("You review.\nrole: qa"), user("halt")])).await, "reviews");
    assert_eq!(said(&stage, json!([user("what for\ngoal:\n  the tests \nmore")])).await, "any the tests");
    let call = |id: &str, name: &str| json!({"id": id, "function": {"name": name, "arguments": {}}});
    let results = json!([
        user("hi"),
        {"role": "assistant", "content": "", "tool_calls": [call("1", "read_file"), call("2", "list_files")]},
        {"role": "tool", "tool_call_id": "1", "content": "b.rs"},
        {"role": "tool", "tool_call_id": "2", "content": "a.rs"},
    ]);
    assert_eq!(said(&stage, results).await, "listed");
    assert_eq!(stage.unmatched(), []);
    let played: Vec<String> = stage.chats().into_iter().filter_map(|exchange| exchange.turn).collect();
    assert_eq!(played, ["0", "1", "3", "4", "2"]);
}

#[tokio::test]
async fn the_same_request_has_the_same_answer() {
    let stage = stage("turns: [{say: [{text: a b}, {tool: {name: t, arguments: {n: 1}}}]}]").await;
    assert_eq!(chat(&stage, json!({})).await, chat(&stage, json!({})).await);
}

#[tokio::test]
async fn a_request_without_a_turn_says_what_it_was() {
    let stage = stage("turns: [{when: {role: developer}, say: []}]").await;
    let messages = json!([
        {"role": "system", "content": "role: qa_tester\nstep: verify"},
        {"role": "user", "content": "goal: sum"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "run_check", "arguments": {}}}]},
        {"role": "tool", "tool_name": "run_check", "content": "exit 1\nmore"},
    ]);
    let what = "model m, role qa_tester, step verify, turn 1, tool results 1, last message tool run_check: exit 1";
    assert_eq!(said(&stage, messages).await, format!("no turn of the script answers this request: {what}"));
    assert_eq!(stage.unmatched().len(), 1);
    assert_eq!((stage.unmatched()[0].number, stage.unmatched()[0].what.as_str()), (1, what));
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_turned_away() {
    let stage = stage("turns: []").await;
    let mut statuses = Vec::new();
    for (name, value) in [
        ("host", "evil.example"),
        ("host", "localhost.evil.example:80"),
        ("origin", "http://tauri.localhost"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost:5173"),
        ("origin", "tauri://localhost"),
        ("host", "localhost:11434"),
    ] {
        let response = send(&stage, "/api/tags", &[(name, value)], &Value::Null).await.unwrap();
        statuses.push(response.status);
        assert!(response.status == 200 || text(response).await.is_empty());
    }
    assert_eq!(statuses, [403, 403, 403, 403, 403, 200, 200, 200]);
}

#[tokio::test]
async fn a_model_is_loaded_once_and_again_for_another_context() {
    let stage = stage("models: [{name: m, load_ms: 20}]\nturns: [{say: [{text: hi}]}]").await;
    assert_eq!(get(&stage, "/api/ps").await["models"], json!([]));
    let mut loads = Vec::new();
    for context in [4096, 4096, 8192, 8192] {
        let answer = chat(&stage, json!({"options": {"num_ctx": context}})).await;
        loads.push(answer.get("load_duration").and_then(Value::as_u64));
        assert_eq!(get(&stage, "/api/ps").await["models"][0]["context_length"], context);
    }
    assert_eq!(loads, [Some(20_000_000), None, Some(20_000_000), None]);
    chat(&stage, json!({"messages": [], "keep_alive": 0})).await;
    assert_eq!(get(&stage, "/api/ps").await["models"], json!([]));
}

#[tokio::test]
async fn with_one_slot_the_second_request_waits_until_the_first_is_dropped() {
    let stage = stage(
        "slots: 1\nturns: [{when: {contains: first}, say: [{text: hi}, {fault: {kind: stall}}]}, {say: [{text: done}]}]",
    )
    .await;
    let body = |text: &str| json!({"model": "m", "messages": [{"role": "user", "content": text}]});
    let mut first = send(&stage, "/api/chat", &[], &body("first")).await.unwrap();
    first.body.next().await.unwrap().unwrap();
    let second_body = body("second");
    let second = send(&stage, "/api/chat", &[], &second_body);
    tokio::pin!(second);
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut second).await.is_err());
    drop(first);
    assert!(text(second.await.unwrap()).await.contains("done"));
}

#[tokio::test]
async fn the_transcript_tells_how_each_exchange_ended() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("transcript.jsonl");
    let script = r#"
turns:
  - {name: greeting, when: {contains: one}, say: [{text: hi}]}
  - {when: {contains: two}, say: [{text: hi}, {fault: {kind: disconnect}}]}
  - {when: {contains: three}, say: [{text: hi}, {fault: {kind: stall}}]}
  - {when: {contains: four}, say: [{fault: {kind: refuse, status: 404, error: gone}}]}
"#;
    let stage = start(script, Options { port: 0, transcript: Some(file.clone()) }).await;
    let body = |text: &str| json!({"model": "m", "messages": [{"role": "user", "content": text}]});
    text(send(&stage, "/api/chat", &[("x-test", "yes")], &body("one")).await.unwrap()).await;
    let mut cut = send(&stage, "/api/chat", &[], &body("two")).await.unwrap();
    while matches!(cut.body.next().await, Some(Ok(_))) {}
    let mut left = send(&stage, "/api/chat", &[], &body("three")).await.unwrap();
    left.body.next().await.unwrap().unwrap();
    drop(left);
    let from = Instant::now();
    while stage.transcript()[2].ended == Ended::Open {
        assert!(from.elapsed() < Duration::from_secs(5), "the hang-up is not noticed");
        tokio::task::yield_now().await;
    }
    text(send(&stage, "/api/chat", &[], &body("four")).await.unwrap()).await;
    get(&stage, "/api/version").await;

    let told: Vec<_> = stage.transcript().into_iter().map(|e| (e.turn, e.status, e.ended)).collect();
    let turn = |name: &str| Some(name.to_owned());
    assert_eq!(
        told,
        [
            (turn("greeting"), 200, Ended::Answered),
            (turn("1"), 200, Ended::Cut),
            (turn("2"), 200, Ended::HungUp),
            (turn("3"), 404, Ended::Answered),
            (None, 200, Ended::Answered),
        ]
    );
    assert_eq!(stage.chats().len(), 4);
    let first = &stage.transcript()[0];
    assert!(first.headers.contains(&("x-test".into(), "yes".into())));
    assert_eq!(first.body["messages"][0]["content"], "one");
    assert!(first.ended_ms.unwrap() >= first.began_ms);
    let written = std::fs::read_to_string(file).unwrap();
    let lines: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 5);
    assert_eq!((&lines[2]["ended"], &lines[2]["number"]), (&json!("hung_up"), &json!(3)));
}

#[tokio::test]
async fn faults_strike_as_often_as_they_say() {
    let stage = stage(
        "turns: [{say: [{fault: {kind: refuse, status: 503, times: 2}}, {fault: {kind: refuse, status: 429, retry_after: '1', times: 1}}, {text: at last}]}]",
    )
    .await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(send(&stage, "/api/chat", &[], &body).await.unwrap().status);
    }
    assert_eq!(statuses, [503, 503, 429, 200]);
}

#[tokio::test]
async fn stopping_frees_the_port() {
    let stage = stage("turns: [{say: [{text: hi}, {fault: {kind: stall}}]}]").await;
    let port = stage.url().rsplit_once(':').unwrap().1.parse().unwrap();
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
    let mut open = send(&stage, "/api/chat", &[], &body).await.unwrap();
    open.body.next().await.unwrap().unwrap();
    stage.stop().await;
    assert!(matches!(open.body.next().await, Some(Err(HttpError::Broken { .. }))));
    let again = start("turns: []", Options { port, transcript: None }).await;
    let taken = Stage::start(
        Script::read("x", "schema: 1\nmodels: [{name: m}]\nturns: []").unwrap(),
        Options { port, transcript: None },
    )
    .await;
    let problem = atelier_protocol::Problem::from(taken.map(|_| ()).unwrap_err());
    assert!(problem.message.starts_with(&format!("The stage cannot listen on 127.0.0.1:{port}: ")), "{problem}");
    again.stop().await;
}

#[test]
fn a_wrong_script_is_refused_with_its_line() {
    // The YAML reader may say the place a second time at the end of its words.
    let read = |text: &str| {
        let error = Script::read("demo.yaml", text).unwrap_err().to_string();
        error.split(" at line ").next().unwrap().to_owned()
    };
    let cases = [
        "models: [{name: m}]\nturns: []\n",
        "schema: 1\nmodels: []\nturns: []\n",
        "schema: 1\nmodels:\n  - {name: m}\n  - {name: \"m:latest\"}\nturns: []\n",
        "schema: 1\nmodels: [{name: m}]\nturns:\n  - when: {rol: developer}\n",
        "schema: 1\nmodels: [{name: m}]\nturns:\n  - say:\n      - txt: hi\n",
        "schema: 1\nmodels: [{name: m}]\nturns:\n  - say: [{tool: {name: t, arguments: [1]}}]\n",
        "schema: 1\nmodels: [{name: m}]\nturns:\n  - say: [{text: a}]\n  - say: [{text: b}]\n",
        "schema: 1\nmodels: [{name: m}]\nturns:\n  - say: [{fault: {kind: explode}}]\n",
        "schema: 1\nmodels: [{name: m}]\nturns:\n  - say: [{fault: {kind: stall, status: 500}}]\n",
        "schema: 1\nmodels: [{name: m}]\nturns:\n  - say: [{fault: {kind: malformed_call}}]\n",
        "schema: 1\nmodels: [{name: m}]\nturns:\n  - say: [{fault: {kind: refuse, status: 200}}]\n",
        "schema: 1\nmodels: [{name: m, capabilities: [fly]}]\nturns: []\n",
    ];
    let errors: Vec<String> = cases.into_iter().map(read).collect();
    insta::assert_snapshot!(errors.join("\n"), @r"
    demo.yaml: `schema: 1` is missing
    demo.yaml:2: `models` is empty; a server without a model answers nothing
    demo.yaml:4: model `m:latest` is there twice
    demo.yaml:4:12: unknown field `rol`, expected one of model, role, step, turn, tool_results, last_tool, tool_result_contains, system_contains, user_contains, last_user_contains, contains, not_contains, offers
    demo.yaml:5:9: unknown variant `txt`, expected one of text, thinking, repeat, tool, pause_ms, fault
    demo.yaml:4:39: expected mapping start
    demo.yaml:3: turn 0 has no `when`, so the turns after it can never be played
    demo.yaml:4:26: unknown variant `explode`, expected one of refuse, hang_up, reset, disconnect, no_end, short, stall, stall_after_head, empty, error, malformed_call, raw
    demo.yaml:4: turn 0: a fault of kind `stall` has no `status`
    demo.yaml:4: turn 0: `malformed_call` needs `tool`
    demo.yaml:4: turn 0: the `status` of a refusal is between 300 and 599
    demo.yaml:2:35: unknown variant `fly`, expected one of completion, tools, thinking, embedding
    ");
}
