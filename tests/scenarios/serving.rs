//! The door for other programs: the real program, spoken to over real sockets.
//!
//! Guards: who has no token, names another host or comes from a page is told nothing; who hangs up stops the model.
//! Turned red by a check that asks for the token alone, and by an answer that is gathered in a task of its own.

use atelier_stage::{Ended, Script};
use atelier_tests::{Cli, Door, World};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

pub(crate) async fn world(script: Option<&str>) -> (World, Cli) {
    let world = match script {
        Some(script) => World::playing(Script::read("door.yaml", script).unwrap()).await,
        None => World::with_tour().await,
    };
    let (workshop, _) = world.open().await; // makes the sample a repository
    workshop.close().await;
    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    (world, cli)
}

pub(crate) fn open(world: &World, cli: &Cli) -> Door {
    Door::open(cli, &world.folder.path().join("door.log"))
}

pub(crate) fn chat(stream: bool) -> Value {
    let system = "role: business_analyst\nstep: specify.1";
    json!({
        "model": "auto",
        "stream": stream,
        "stream_options": {"include_usage": true},
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": [{"type": "text", "text": "go"}]}],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_told_nothing() {
    let (world, cli) = world(None).await;
    let door = open(&world, &cli);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&door.token_file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "only its owner reads the token");
    }
    let host = format!("Host: 127.0.0.1:{}\r\n", door.port);
    let token = format!("Authorization: Bearer {}\r\n", door.token);
    let wrong = format!("Authorization: Bearer {}x\r\n", &door.token[..door.token.len() - 1]);
    let turned_away = [
        (401, "token", host.clone()),
        (401, "token", format!("{host}{wrong}")),
        (403, "host", format!("Host: rebound.example:{}\r\n{token}", door.port)),
        (403, "host", format!("Host: 127.0.0.1\r\n{token}")),
        (403, "host", token.clone()),
        (403, "origin", format!("{host}{token}Origin: https://page.example\r\n")),
        (403, "origin", format!("{host}{token}Origin: null\r\n")),
    ];
    for (status, code, headers) in turned_away {
        for (method, path) in [("GET", "/v1/models"), ("POST", "/v1/chat/completions"), ("GET", "/nothing")] {
            let (given, body) = door.ask(method, path, &headers, None);
            let body: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{given} {body}"));
            assert_eq!((given, body["error"]["code"].as_str()), (status, Some(code)), "{path} {headers}");
        }
    }
    // Whether it runs and has a model is told without a token, though not to pages.
    for path in ["/health", "/ready"] {
        assert_eq!(door.ask("GET", path, &host, None).0, 200, "{path}");
        assert_eq!(door.ask("GET", path, &format!("{host}Origin: https://page.example\r\n"), None).0, 403);
    }
    assert_eq!(world.stage.chats().len(), 0, "no model heard of it");
    door.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_programs_ask_models_through_the_router() {
    let (world, cli) = world(None).await;
    let door = open(&world, &cli);
    let text = "I look at how the greeting is made today.";

    let (status, body) = door.with_token("GET", "/v1/models", None);
    let models: Value = serde_json::from_str(&body).unwrap();
    let ids: Vec<&str> = models["data"].as_array().unwrap().iter().filter_map(|model| model["id"].as_str()).collect();
    assert_eq!((status, ids), (200, vec!["auto", "server/tour:latest"]));
    let (status, body) = door.with_token("POST", "/api/v1/ai/route", Some(&json!({"model": "auto"})));
    assert!(status == 200 && body.contains("tour:latest") && body.contains("reason"), "{body}");
    let (status, body) = door.with_token("GET", "/api/v1/ai/models", None);
    assert!(status == 200 && body.contains("tour:latest"), "{body}");
    let (status, body) = door.with_token("GET", "/openapi.json", None);
    assert!(status == 200 && body.contains("/v1/chat/completions"), "{body}");

    let (status, body) = door.with_token("POST", "/v1/chat/completions", Some(&chat(false)));
    let answer: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{status} {body}"));
    let message = &answer["choices"][0]["message"];
    assert_eq!((status, answer["choices"][0]["finish_reason"].as_str()), (200, Some("tool_calls")), "{answer}");
    assert_eq!(
        (&message["content"], &message["tool_calls"][0]["function"]["name"]),
        (&json!(text), &json!("read_file"))
    );
    assert!(answer["usage"]["total_tokens"].as_u64().unwrap() > 0, "{answer}");

    let (status, body) = door.with_token("POST", "/v1/chat/completions", Some(&chat(true)));
    let events: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!((status, events.last()), (200, Some(&"[DONE]")), "{body}");
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let said: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(said, text);
    assert_eq!(chunks.last().unwrap()["usage"], answer["usage"], "the same answer costs the same");
    door.close();

    // Every question of a model is in the ledger, as one of this machine.
    let said = cli.run(&["egress", "log", "--local"]);
    let rows = said.last()["result"]["egress"]["rows"].as_array().unwrap();
    assert_eq!((rows.len(), world.stage.chats().len()), (2, 2), "{:?}", said.lines);
    assert!(rows.iter().all(|row| row["entry"]["purpose"] == "chat" && row["entry"]["local"] == true), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_served_is_refused_by_name() {
    let (world, cli) = world(None).await;
    let door = open(&world, &cli);
    let asked = |body: Value| door.with_token("POST", "/v1/chat/completions", Some(&body));
    let user = json!([{"role": "user", "content": "x"}]);
    let bad = [
        (404, "model_missing", json!({"model": "nobody", "messages": user})),
        (400, "image_url", json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})),
        (400, "json_schema", json!({"messages": user, "response_format": {"type": "json_schema"}})),
        (400, "grammar", json!({"messages": user, "response_format": {"type": "grammar"}})),
        (400, "tool_choice", json!({"messages": user, "tool_choice": "required"})),
        (400, "`n`", json!({"messages": user, "n": 2})),
        (400, "messages", json!({"messages": []})),
        (400, "wizard", json!({"messages": [{"role": "wizard", "content": "x"}]})),
        (400, "bad_argument", json!({"model": 7})),
    ];
    for (status, word, body) in bad {
        let (given, answer) = asked(body.clone());
        assert!(given == status && answer.contains(word), "{body}: {given} {answer}");
    }
    assert_eq!(door.with_token("GET", "/v1/nothing", None).0, 404);
    assert_eq!(door.with_token("GET", "/v1/chat/completions", None).0, 405);
    assert_eq!(world.stage.chats().len(), 0);

    // Its server goes away: it still runs and says that it is not ready, and why.
    let World { stage, folder } = world;
    stage.stop().await;
    let host = format!("Host: localhost:{}\r\n", door.port);
    assert_eq!(door.ask("GET", "/health", &host, None).0, 200);
    let (status, body) = door.ask("GET", "/ready", &host, None);
    assert!(status == 503 && body.contains("model_server_down"), "{status} {body}");
    let (status, body) = asked(json!({"messages": user}));
    assert!(status == 502 && body.contains("model_server_down"), "{status} {body}");
    door.close();
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_stops_the_model() {
    let script = "schema: 1\nmodels: [{name: slow, capabilities: [completion]}]\n\
                  turns: [{say: [{text: begun}, {fault: {kind: stall}}]}]";
    let (world, cli) = world(Some(script)).await;
    let door = open(&world, &cli);
    for (asked, stream) in [true, false].into_iter().enumerate() {
        let answer = door.send("POST", "/v1/chat/completions", &door.let_in(), Some(&chat(stream)));
        if stream {
            let mut lines = BufReader::new(&answer).lines().map(Result::unwrap);
            assert!(lines.any(|line| line.contains("begun")), "it began to answer");
        }
        until(|| world.stage.chats().len() > asked);
        drop(answer);
        until(|| world.stage.chats()[asked].ended != Ended::Open);
        assert_eq!(world.stage.chats()[asked].ended, Ended::HungUp, "stream={stream}");
    }
    door.close();
}

/// Waits for something that comes by itself.
fn until(there: impl Fn() -> bool) {
    let since = Instant::now();
    while !there() {
        assert!(since.elapsed() < Duration::from_secs(20), "it never came");
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_programs_ask_for_vectors() {
    let script = "schema: 1\nmodels:\n  - {name: talker, capabilities: [completion]}\n  \
                  - {name: vectors, capabilities: [embedding], embedding: 16, context: 64}\nturns: []";
    let (world, cli) = world(Some(script)).await;
    let door = open(&world, &cli);
    let asked = |body: Value| door.with_token("POST", "/v1/embeddings", Some(&body));

    let (_, models) = door.with_token("GET", "/v1/models", None);
    assert!(models.contains("\"server/vectors:latest\""), "{models}");
    let mut answers = Vec::new();
    for model in ["auto", "vectors", "server/vectors", ""] {
        let (status, body) = asked(json!({"model": model, "input": ["one text", "another"]}));
        let answer: Value = serde_json::from_str(&body).unwrap();
        let numbers = |at: usize| answer["data"][at]["embedding"].as_array().map_or(0, Vec::len);
        assert_eq!((status, numbers(0), numbers(1)), (200, 16, 16), "{body}");
        assert_ne!(answer["data"][0]["embedding"], answer["data"][1]["embedding"]);
        assert!(answer["usage"]["prompt_tokens"].as_u64() > Some(1), "{body}");
        answers.push(answer["data"].clone());
    }
    assert!(answers.iter().all(|data| *data == answers[0]), "the same model by every name");
    let (status, body) = asked(json!({"input": "one text", "encoding_format": "base64", "dimensions": 4}));
    assert!(status == 200 && body.contains("==\""), "16 bytes in Base64: {body}");

    let bad = [
        (404, "model_missing", json!({"model": "nobody", "input": "x"})),
        (400, "token", json!({"input": [1, 2, 3]})),
        (400, "context_overflow", json!({"input": "word ".repeat(1000)})),
        (502, "model_server_error", json!({"model": "server/talker", "input": "x"})),
    ];
    for (status, word, body) in bad {
        let (given, answer) = asked(body);
        assert!(given == status && answer.contains(word), "{word}: {given} {answer}");
    }
    door.close();
    let said = cli.run(&["egress", "log", "--local"]);
    let rows = said.last()["result"]["egress"]["rows"].as_array().unwrap();
    let sent = world.stage.transcript().iter().filter(|exchange| exchange.path == "/api/embed").count();
    assert_eq!((rows.len(), sent), (7, 7), "every question is in the ledger once: {rows:?}");
    assert!(rows.iter().all(|row| row["entry"]["purpose"] == "embed" && row["end"]["bytes_in"].as_u64() > Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_stops_the_making_of_vectors() {
    // A server that takes a question and never answers it.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let (world, cli) = world(None).await;
    let cli = cli.asking(&address);
    let mut command = cli.command(&["serve"]);
    command.args(["--server-kind", "openai"]);
    let (asked, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in silent.incoming().map(Result::unwrap) {
            let asked = asked.clone();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(&stream).lines();
                let first = lines.next().unwrap().unwrap();
                if first.contains("/embeddings") {
                    asked.send("asked").unwrap();
                    // What is read ends when the other side is gone.
                    while lines.next().is_some_and(|line| line.is_ok()) {}
                    asked.send("gone").unwrap();
                }
            });
        }
    });
    let door = Door::of(command, &world.folder.path().join("door.log"));
    let body = json!({"model": "server/any", "input": "x"});
    let answer = door.send("POST", "/v1/embeddings", &door.let_in(), Some(&body));
    let patience = Duration::from_secs(20);
    assert_eq!(told.recv_timeout(patience), Ok("asked"));
    assert!(told.try_recv().is_err(), "it waits for the answer");
    drop(answer);
    assert_eq!(told.recv_timeout(patience), Ok("gone"));
    door.close();
}
