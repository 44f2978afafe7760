//! The client, the engine and the program against a real engine with model files whose weights play a playbook.
//!
//! Guards: what holds with the scripted server holds with a real one. Turns red, for example, when the client sends
//! arguments of tool calls as objects on this route, does not close the connection of a stream it drops, or sends no schema
//! for a model that is to be held to one.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests fail loudly and say why they skip")]

use atelier_egress::{Egress, EgressPolicy, Forgetful};
use atelier_engine::{FoundAnswer, Workshop};
use atelier_models::cache::likeness;
use atelier_models::{
    CallError, ChatRequest, EmbedRequest, Message, ModelEvent, Provider, ToolSpec, Turn, collect, provider,
};
use atelier_protocol::event::Stop;
use atelier_protocol::op::Op;
use atelier_protocol::ports::{Http, HttpLimits, HttpRequest, Method};
use atelier_protocol::settings::{LikeQuestions, ModelChoice, ProviderKind, ProviderSettings};
use atelier_tests::playbook::{Playbook, call};
use atelier_tests::real::{RealEngine, python};
use atelier_tests::steady::SteadyClock;
use atelier_tests::{Cli, World, steady};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The engine, or the reason why a test says nothing here.
fn engine() -> Option<PathBuf> {
    python().inspect_err(|missing| eprintln!("skipped: {missing}")).ok()
}

fn http() -> Arc<dyn Http> {
    Arc::new(Egress::new(Arc::new(EgressPolicy::new(true)), Arc::new(Forgetful)))
}

fn client(engine: &RealEngine) -> Arc<dyn Provider> {
    let settings =
        ProviderSettings { id: "real".into(), kind: ProviderKind::OpenAi, base_url: engine.url().to_owned() };
    provider(&settings, http(), Arc::new(SteadyClock::default()))
}

fn request(messages: Vec<Message>) -> ChatRequest {
    ChatRequest { id_prefix: "made.".into(), ..ChatRequest::new("playbook", messages) }
}

async fn turn(engine: &RealEngine, messages: Vec<Message>) -> Turn {
    collect(client(engine).chat(request(messages)), |_| {}).await.unwrap()
}

/// What the three roles do for the goal.
fn main_job() -> Playbook {
    let spec = json!({"title": "Greet politely", "requirements": ["The greeting says good day"]});
    let edit = json!({
        "path": "greet.sh", "replace": "# Greets one person by name, politely.",
        "search": "# Greets one person by name.",
    });
    let review = json!({"notes": "As asked.", "verdict": "approve"});
    Playbook {
        roles: vec![
            ("business_analyst", vec![format!("It is small.{}", call("submit_spec", &spec))]),
            (
                "developer",
                vec![
                    format!("I change the comment.{}", call("edit_file", &edit)),
                    format!("Now the check.{}", call("run_check", &json!({"name": "test"}))),
                    "The comment says it politely now.".to_owned(),
                ],
            ),
            ("qa_tester", vec![call("submit_review", &review)]),
        ],
        words: std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../roles/developer.yaml")).unwrap(),
        context: 32_768,
        ..Playbook::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_is_done_by_a_real_engine() {
    let Some(python) = engine() else { return };
    let engine = RealEngine::start(&python, &main_job(), 32_768, false);
    let world = World::with_script("short.yaml").await;
    let (workshop, _) = world.open().await;
    workshop.close().await;
    let cli = Cli::new(&world.home(), &world.project(), engine.url());
    let speaks = ["--server-kind", "openai"];
    let said = cli.run(&[&["run", "Greet politely", "--approve", "hand_over"], &speaks[..]].concat());
    assert_eq!(said.exit, 0, "{}\n{:?}", said.text, said.last());
    assert!(said.lines.iter().any(|line| line["event"]["kind"] == "check_recorded"));
    let accepted = cli.run(&[&["runs", "accept", "last"], &speaks[..]].concat());
    assert_eq!(accepted.exit, 0, "{}", accepted.text);
    let greet = std::fs::read_to_string(world.project().join("greet.sh")).unwrap();
    assert!(greet.contains("# Greets one person by name, politely."), "{greet}");
    assert_eq!(world.stage.chats(), [], "no other model was asked");
}

#[tokio::test]
async fn calls_in_fragments_and_beside_each_other_are_read() {
    let Some(python) = engine() else { return };
    let both = format!(
        "Grüße aus Köln — 日本語 🦀.{}{}",
        call("read_file", &json!({"path": "a.txt"})),
        call("list_files", &json!({"depth": 1, "path": "b"}))
    );
    let engine = RealEngine::start(&python, &Playbook::of_turns(&[&both, "unused", "Both are done."]), 4096, false);
    let tool = |name: &str, parameters: Value| ToolSpec {
        name: name.into(),
        description: "A tool.".into(),
        parameters: json!({"type": "object", "properties": parameters}),
    };
    let mut asked = request(vec![Message::user("hello")]);
    asked.tools = vec![
        tool("read_file", json!({"path": {"type": "string"}})),
        tool("list_files", json!({"path": {"type": "string"}, "depth": {"type": "integer"}})),
    ];
    let first = collect(client(&engine).chat(asked.clone()), |_| {}).await.unwrap();
    assert_eq!((first.text.as_str(), first.stop), ("Grüße aus Köln — 日本語 🦀.", Stop::Tools));
    let calls: Vec<_> = first.tool_calls.iter().map(|call| (call.name.as_str(), &call.arguments)).collect();
    assert_eq!(calls, [("read_file", &json!({"path": "a.txt"})), ("list_files", &json!({"depth": 1, "path": "b"}))]);
    assert!(first.usage.prompt_tokens.is_some() && first.usage.output_tokens.is_some(), "{:?}", first.usage);
    asked.messages.push(Message::assistant(&first.text, first.tool_calls.clone()));
    asked.messages.extend(first.tool_calls.iter().map(|call| Message::tool(call, "done")));
    let second = collect(client(&engine).chat(asked), |_| {}).await.unwrap();
    assert_eq!((second.text.as_str(), second.stop), ("Both are done.", Stop::End));
}

#[tokio::test]
async fn an_answer_keeps_to_a_schema() {
    let Some(python) = engine() else { return };
    let engine = RealEngine::start(&python, &Playbook::of_turns(&["I would rather chat."]), 4096, false);
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["kind", "count", "sure"],
        "properties": {
            "kind": {"type": "string", "enum": ["bug", "feature"]},
            "count": {"type": "integer", "minimum": 0, "maximum": 99},
            "sure": {"type": "boolean"},
        },
    });
    for seed in 1..4 {
        let body = json!({
            "model": "playbook", "seed": seed, "max_tokens": 200,
            "messages": [{"role": "user", "content": "hello"}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}},
        });
        let text = ask(&engine, &body).await["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
        let said: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let of_schema = matches!(said["kind"].as_str(), Some("bug" | "feature"))
            && said["count"].as_u64().is_some_and(|count| count < 100)
            && said["sure"].is_boolean()
            && said.as_object().is_some_and(|map| map.len() == 3);
        assert!(of_schema, "{text}");
    }
}

fn read_file() -> ToolSpec {
    let path = json!({"type": "string", "enum": ["a.txt", "b.txt"]});
    ToolSpec {
        name: "read_file".into(),
        description: "Reads a file.".into(),
        parameters: json!({
            "type": "object", "properties": {"path": path}, "required": ["path"], "additionalProperties": false,
        }),
    }
}

/// A question to a model that seldom writes a readable call.
fn held(messages: Vec<Message>) -> ChatRequest {
    ChatRequest { constrained: true, tools: vec![read_file()], max_output: Some(64), ..request(messages) }
}

#[tokio::test]
async fn a_model_that_is_held_to_a_schema_calls_a_tool_and_then_says_what_it_has_to_say() {
    let Some(python) = engine() else { return };
    let turns = [r#"{"call": "read_file", "with": {"path": "a.txt"}}"#, r#"{"say": "It is about greetings."}"#];
    let engine = RealEngine::start(&python, &Playbook::of_turns(&turns), 4096, false);
    let mut asked = held(vec![Message::user("What is in it?")]);
    let first = collect(client(&engine).chat(asked.clone()), |_| {}).await.unwrap();
    let [call] = first.tool_calls.as_slice() else { panic!("{first:?}") };
    assert_eq!(
        (call.name.as_str(), &call.arguments, first.stop),
        ("read_file", &json!({"path": "a.txt"}), Stop::Tools)
    );
    assert_eq!(first.text, "", "the JSON is no text for a reader");
    asked.messages.extend([Message::assistant("", first.tool_calls.clone()), Message::tool(call, "Greetings.")]);
    let second = collect(client(&engine).chat(asked), |_| {}).await.unwrap();
    assert_eq!((second.text.as_str(), second.tool_calls.as_slice()), ("It is about greetings.", [].as_slice()));
}

/// The model would rather chat, and does so where nothing holds it.
#[tokio::test]
async fn a_schema_leaves_a_model_no_other_words() {
    let Some(python) = engine() else { return };
    let engine = RealEngine::start(&python, &Playbook::of_turns(&["I would rather chat."]), 4096, false);
    let question = || vec![Message::user("What is in it?")];
    assert_eq!(turn(&engine, question()).await.text, "I would rather chat.");
    for seed in 1..4 {
        let asked = ChatRequest { seed: Some(seed), ..held(question()) };
        match collect(client(&engine).chat(asked), |_| {}).await {
            Ok(turn) => match turn.tool_calls.as_slice() {
                [call] => assert!(call.name == "read_file" && call.arguments["path"].is_string(), "{call:?}"),
                _ => assert!(!turn.text.is_empty(), "{turn:?}"),
            },
            // It may go on within a text until it is stopped; what came is then no answer, but of the schema.
            Err(failed) => match failed.error {
                CallError::MalformedCall { raw, usage: Some(_), .. } => assert!(raw.starts_with('{'), "{raw}"),
                other => panic!("{other:?}"),
            },
        }
    }
}

/// Words of which vectors are made.
const WORDS: &str = "what does the greeting say today now how many files are in this folder";

#[tokio::test]
async fn texts_are_as_alike_as_the_engine_makes_them() {
    let Some(python) = engine() else { return };
    let engine = RealEngine::of_vectors(&python, &Playbook::of_words(WORDS));
    let texts =
        ["what does the greeting say today", "what does the greeting say now", "how many files are in this folder"];
    let asked = EmbedRequest::new("playbook", texts.map(str::to_owned).to_vec());
    let made = client(&engine).embed(asked).await.unwrap();
    let [today, now, files] = made.vectors.as_slice() else { panic!("{} vectors", made.vectors.len()) };
    let (near, far) = (likeness(today, now), likeness(today, files));
    assert!(near > 0.98 && far < 0.96, "near {near}, far {far}");
    assert!(made.tokens.is_some_and(|tokens| tokens > 15), "{:?}", made.tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_like_question_has_the_kept_answer_and_another_one_is_asked() {
    let Some(python) = engine() else { return };
    let answers = RealEngine::start(&python, &Playbook::of_turns(&["It says good day."]), 4096, false);
    let vectors = RealEngine::of_vectors(&python, &Playbook::of_words(WORDS));
    let world = World::with_script("short.yaml").await;
    let of = |id: &str, engine: &RealEngine| ProviderSettings {
        id: id.to_owned(),
        kind: ProviderKind::OpenAi,
        base_url: engine.url().to_owned(),
    };
    let mut options = world.options(steady::sources(1));
    options.providers = Some(vec![of("answers", &answers), of("vectors", &vectors)]);
    let workshop = Workshop::open(options).await.unwrap();
    workshop.initialise(&world.project()).await.unwrap();
    let project = workshop.open_project(&world.project()).await.unwrap();
    let mut settings = workshop.saved_settings().await.unwrap();
    let by = ModelChoice { provider: "vectors".into(), model: "playbook".into() };
    settings.routing.kept.like = Some(Box::new(LikeQuestions { by, floor: 980 }));
    workshop.submit(Op::ChangeSettings { settings }).await.unwrap();
    let ask = async |text: &str| {
        let request = ChatRequest::new("", vec![Message::user(text)]);
        let answering = workshop.chat(Some(project.id()), "answers/playbook", request, &[]).await.unwrap();
        let said = collect(answering.events, |_| {}).await.unwrap().text;
        assert_eq!(said, "It says good day.");
        answering.kept
    };
    assert_eq!(ask("what does the greeting say today").await, None);
    assert_eq!(ask("what does the greeting say now").await, Some(FoundAnswer::Like));
    assert_eq!(ask("how many files are in this folder").await, None);
    workshop.close().await;
}

/// A request as it is, for what the client does not ask for.
async fn ask(engine: &RealEngine, body: &Value) -> Value {
    let patient = Duration::from_secs(60);
    let request = HttpRequest {
        method: Method::Post,
        url: format!("{}/v1/chat/completions", engine.url()),
        headers: vec![("content-type".into(), "application/json".into())],
        body: Bytes::from(body.to_string()),
        purpose: "test",
        limits: HttpLimits { connect: patient, head: patient, idle: patient },
    };
    let response = http().send(request).await.unwrap();
    let chunks: Vec<Bytes> = response.body.map(|chunk| chunk.unwrap()).collect().await;
    serde_json::from_slice(&chunks.concat()).unwrap()
}

#[tokio::test]
async fn a_prompt_that_does_not_fit_is_a_named_error() {
    let Some(python) = engine() else { return };
    let engine = RealEngine::start(&python, &Playbook::of_turns(&["Hello."]), 512, false);
    let long = request(vec![Message::user("z".repeat(2000))]);
    let failed = collect(client(&engine).chat(long), |_| {}).await.unwrap_err();
    assert!(matches!(&failed.error, CallError::Overflow { .. }), "{:?}", failed.error);
    assert_eq!(turn(&engine, vec![Message::user("z")]).await.text, "Hello.");
}

/// The engine has one place and the first answer never ends, so a second is heard only once the first is given up.
#[tokio::test]
async fn dropping_a_stream_frees_the_engine() {
    let Some(python) = engine() else { return };
    let book = Playbook { forever: Some("on. "), ..Playbook::of_turns(&["It goes on and on and on. ", "Done."]) };
    let engine = RealEngine::start(&python, &book, 1024, true);
    let mut endless = client(&engine).chat(request(vec![Message::user("talk")]));
    let mut heard = 0;
    while let Some(event) = endless.next().await {
        heard += usize::from(matches!(event.unwrap(), ModelEvent::Text(_)));
        if heard > 20 {
            break;
        }
    }
    drop(endless);
    let waited = vec![Message::user("stop"), Message::user("now")];
    let second = tokio::time::timeout(Duration::from_secs(60), turn(&engine, waited)).await;
    assert_eq!(second.map(|turn| turn.text).as_deref(), Ok("Done."));
}
