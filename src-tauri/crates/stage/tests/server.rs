//! What a stage does besides chats: models that come and go, memory, keys, cut prompts, and the bill.

#![allow(clippy::unwrap_used)] // a test says so by failing

use atelier_egress::{Egress, EgressPolicy, Forgetful};
use atelier_protocol::ports::{Http, HttpError, HttpLimits, HttpRequest, HttpResponse, Method};
use atelier_stage::{Ended, Options, Script, Stage};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

async fn stage(script: &str) -> Stage {
    let script = Script::read("server.yaml", &format!("schema: 1\n{script}")).unwrap();
    Stage::start(script, Options::default()).await.unwrap()
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

async fn ask(stage: &Stage, path: &str, body: &Value) -> (u16, String) {
    let response = send(stage, path, &[], body).await.unwrap();
    let status = response.status;
    let chunks: Vec<Bytes> = response.body.map(|chunk| chunk.unwrap()).collect().await;
    (status, String::from_utf8(chunks.concat()).unwrap())
}

async fn document(stage: &Stage, path: &str, body: &Value) -> Value {
    let (status, text) = ask(stage, path, body).await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn long_chat(words: &[&str]) -> Value {
    let message = |(at, word): (usize, &&str)| {
        let role = ["user", "assistant"][at % 2];
        json!({"role": role, "content": format!("{word} {}", "x".repeat(2000))})
    };
    let messages: Vec<Value> = words.iter().enumerate().map(message).collect();
    json!({
        "model": "m", "stream": false, "messages": messages, "truncate": false, "shift": false,
        "options": {"num_ctx": 1024},
    })
}

#[tokio::test]
async fn a_cutting_server_cuts_whatever_it_is_told() {
    let turns = "turns: [{when: {contains: first}, say: [{text: whole}]}, {say: [{text: cut}]}]";
    let honest = stage(&format!("models: [{{name: m}}]\n{turns}")).await;
    let chat = long_chat(&["first", "second", "third"]);
    let (status, text) = ask(&honest, "/api/chat", &chat).await;
    assert_eq!((status, text.contains("exceed_context_size_error")), (400, true), "{text}");

    let cutting = stage(&format!("models: [{{name: m}}]\noverflow: drop_oldest\n{turns}")).await;
    let answer = document(&cutting, "/api/chat", &chat).await;
    assert_eq!(answer["message"]["content"], "cut");
    assert!(answer["prompt_eval_count"].as_u64().unwrap() <= 1024, "{answer}");
    assert_eq!(cutting.bill().lines[0].1.input, 1004, "the model was shown two messages");

    let middle = stage("models: [{name: m}]\noverflow: cut_middle\nturns: [{say: [{text: cut}]}]").await;
    assert_eq!(document(&middle, "/api/chat", &chat).await["prompt_eval_count"], 1024);
}

#[tokio::test]
async fn a_server_short_of_memory_gives_less_than_it_is_asked_for() {
    let stage = stage("models: [{name: m, allocates: 2048}]\nturns: [{say: [{text: hi}]}]").await;
    let chat = json!({
        "model": "m", "stream": false, "messages": [{"role": "user", "content": "hi"}], "options": {"num_ctx": 8192},
    });
    document(&stage, "/api/chat", &chat).await;
    assert_eq!(document(&stage, "/api/ps", &Value::Null).await["models"][0]["context_length"], 2048);
    let unload = json!({"model": "m", "messages": [], "keep_alive": "0s"});
    assert_eq!(document(&stage, "/api/chat", &unload).await["done_reason"], "unload");
    assert_eq!(document(&stage, "/api/ps", &Value::Null).await, json!({"models": []}));
    let rubbish = json!({"model": "m", "messages": [], "keep_alive": "soon"});
    assert_eq!(ask(&stage, "/api/chat", &rubbish).await.0, 400);
}

#[tokio::test]
async fn a_pull_whose_connection_broke_goes_on_where_it_was() {
    let stage =
        stage("models: [{name: m}, {name: far, here: false, layers: [6400000, 148], pull_breaks: 3000000}]\nturns: []")
            .await;
    let pull = json!({"model": "far"});
    let mut first = send(&stage, "/api/pull", &[], &pull).await.unwrap();
    while matches!(first.body.next().await, Some(Ok(_))) {}
    assert_eq!(stage.transcript()[0].ended, Ended::Cut);
    assert_eq!(ask(&stage, "/api/show", &pull).await.0, 404);
    let (_, text) = ask(&stage, "/api/pull", &pull).await;
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[1]["completed"], 3_200_000, "{text}");
    assert_eq!(lines.last().unwrap()["status"], "success");
    assert_eq!(ask(&stage, "/api/show", &pull).await.0, 200);
    let (_, again) = ask(&stage, "/api/pull", &pull).await;
    assert_eq!(again.lines().count(), 6, "{again}");
}

#[tokio::test]
async fn near_texts_have_near_vectors() {
    let stage = stage("models: [{name: e, capabilities: [embedding], embedding: 64}]\nturns: []").await;
    let body = json!({"model": "e", "input": ["the red fox", "a red fox", "open the door now"]});
    let told = document(&stage, "/api/embed", &body).await;
    let vectors: Vec<Vec<f64>> = serde_json::from_value(told["embeddings"].clone()).unwrap();
    let product = |a: usize, b: usize| vectors[a].iter().zip(&vectors[b]).map(|(x, y)| x * y).sum::<f64>();
    assert!((product(0, 0) - 1.0).abs() < 1e-9 && product(0, 1) > product(0, 2), "{vectors:?}");
    let same = document(&stage, "/v1/embeddings", &body).await;
    assert_eq!(same["data"][1]["embedding"], told["embeddings"][1]);
    let empty = document(&stage, "/api/embed", &json!({"model": "e", "input": ""})).await;
    assert_eq!(empty["embeddings"], json!([]));
    let short = document(&stage, "/api/embed", &json!({"model": "e", "input": "x", "dimensions": 8})).await;
    assert_eq!(short["embeddings"][0].as_array().unwrap().len(), 8);
}

#[tokio::test]
async fn who_waits_too_long_a_queue_is_turned_away_without_a_time() {
    let stage =
        stage("models: [{name: m}]\nslots: 1\nqueue: 0\nturns: [{say: [{text: hi}, {fault: {kind: stall}}]}]").await;
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let mut first = send(&stage, "/api/chat", &[], &chat).await.unwrap();
    first.body.next().await.unwrap().unwrap();
    let second = send(&stage, "/api/chat", &[], &chat).await.unwrap();
    assert_eq!(second.status, 503);
    assert!(!second.headers.iter().any(|(name, _)| name == "retry-after"));
}

#[tokio::test]
async fn a_service_wants_its_key_and_tells_its_limits() {
    let stage = stage("models: [{name: m}]\nopenai: cloud\nkey: secret\nturns: [{say: [{text: hi}]}]").await;
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let status = |headers: Vec<(&'static str, &'static str)>| {
        let (stage, chat) = (&stage, &chat);
        async move { send(stage, "/v1/chat/completions", &headers, chat).await.unwrap().status }
    };
    assert_eq!(status(vec![]).await, 401);
    assert_eq!(status(vec![("authorization", "Bearer wrong")]).await, 401);
    assert_eq!(status(vec![("authorization", "Bearer secret")]).await, 200);
    assert_eq!(status(vec![("x-api-key", "secret")]).await, 200);
    assert_eq!(ask(&stage, "/api/tags", &Value::Null).await.0, 404, "it is no Ollama");
    let told = send(&stage, "/v1/models", &[("x-api-key", "secret")], &Value::Null).await.unwrap();
    assert!(told.headers.iter().any(|(name, _)| name == "x-ratelimit-remaining-requests"));
}

#[tokio::test]
async fn remote_models_are_marked_and_can_be_off() {
    let models = "models: [{name: big:cloud, remote: true}, {name: m}]\n";
    let chat = json!({"model": "big:cloud", "stream": false, "messages": [{"role": "user", "content": "hi"}]});
    let on = stage(&format!("{models}turns: [{{say: [{{text: hi}}]}}]")).await;
    assert_eq!(document(&on, "/api/tags", &Value::Null).await["models"][0]["remote_host"], "https://ollama.com:443");
    assert_eq!(ask(&on, "/api/chat", &chat).await.0, 200);
    let off = stage(&format!("{models}cloud_off: true\nturns: [{{say: [{{text: hi}}]}}]")).await;
    assert_eq!(ask(&off, "/api/chat", &chat).await.0, 403);
}

#[tokio::test]
async fn the_bill_has_a_line_for_every_answer_and_says_what_was_told() {
    let stage = stage(
        "models: [{name: m, price: {input: 3000000, output: 15000000}}]\nopenai: cloud\nturns:\n  - {when: {contains: breaks}, say: [{text: '12345678'}, {fault: {kind: disconnect}}]}\n  - {when: {contains: refused}, say: [{fault: {kind: refuse, status: 500}}]}\n  - {say: [{text: '12345678'}]}",
    )
    .await;
    let chat = |word: &str, usage: bool| {
        json!({
            "model": "m", "stream": true, "messages": [{"role": "user", "content": format!("{word:<40}")}],
            "stream_options": {"include_usage": usage},
        })
    };
    for (word, usage) in [("whole", true), ("whole", false), ("refused", true)] {
        ask(&stage, "/v1/chat/completions", &chat(word, usage)).await;
    }
    let mut broken = send(&stage, "/v1/chat/completions", &[], &chat("breaks", true)).await.unwrap();
    while matches!(broken.body.next().await, Some(Ok(_))) {}
    let bill = stage.bill();
    let lines: Vec<_> =
        bill.lines.iter().map(|(number, cost)| (*number, cost.input, cost.output, cost.micros, cost.told)).collect();
    // 10 tokens at 3 and 2 tokens at 15 a million are 60 millionths.
    assert_eq!(lines, [(1, 10, 2, Some(60), true), (2, 10, 2, Some(60), false), (4, 10, 2, Some(60), false)]);
    assert_eq!((bill.told(), bill.micros()), ((10, 2), 180));
}

#[tokio::test]
async fn responses_are_a_chat_in_other_words() {
    let stage = stage(
        "models: [{name: m}]\nturns:\n  - {when: {last_tool: read_file}, say: [{text: read}]}\n  - {say: [{tool: {name: read_file}}]}",
    )
    .await;
    let first =
        document(&stage, "/v1/responses", &json!({"model": "m", "input": "look", "instructions": "role: a"})).await;
    assert_eq!(first["output"][0]["name"], "read_file");
    let call = &first["output"][0];
    let input = json!([
        {"role": "user", "content": "look"},
        {"type": "function_call", "call_id": call["call_id"], "name": "read_file", "arguments": "{}"},
        {"type": "function_call_output", "call_id": call["call_id"], "output": "data"},
    ]);
    let second = document(&stage, "/v1/responses", &json!({"model": "m", "input": input})).await;
    assert_eq!(second["output"][0]["content"][0]["text"], "read");
    assert_eq!(stage.unmatched(), []);
}
