//! Every fault of a model server, met by the role at the top and by the role of a child run, once and always; and by another
//! program, which hears the answer as a stream or as a whole.
//!
//! Guards: each call has one recorded outcome; a child's failure reaches its parent; what is recorded as used is what
//! the server says it told, to the token. Turns red, for example, when `Run::failed` leaves out its event, when the
//! reader of a dialect forgets the usage of a turn that calls a tool, or when a `Line` forgets that of a failed call.

use crate::limits::short_with;
use atelier_engine::{Answering, Project, Sources, Workshop};
use atelier_models::{CallError, ChatRequest, Message, ModelEvent, ToolSpec, collect};
use atelier_protocol::event::{AskKind, Envelope, Priority};
use atelier_protocol::ids::{RunId, Seq};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::{ProviderKind, ProviderSettings};
use atelier_protocol::view::{RunState, RunView};
use atelier_stage::{Dialect, Ended};
use atelier_tests::World;
use atelier_tests::steady::{SteadyClock, SteadyEntropy};
use atelier_tests::world::{PATIENCE, follow, options, rests, start};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What goes wrong, as a script says it; `$` is where `times: 1` may stand.
const FAULTS: [(&str, &str); 17] = [
    ("429, to wait 2 s", "{fault: {kind: refuse, status: 429, retry_after: '2'$}}"),
    ("429", "{fault: {kind: refuse, status: 429$}}"),
    ("401", "{fault: {kind: refuse, status: 401$}}"),
    ("402", "{fault: {kind: refuse, status: 402$}}"),
    ("500", "{fault: {kind: refuse, status: 500$}}"),
    ("502 with a page", "{fault: {kind: refuse, status: 502, body: <html>bad gateway</html>$}}"),
    ("503", "{fault: {kind: refuse, status: 503$}}"),
    ("reset before the head", "{fault: {kind: reset$}}"),
    ("reset in the middle", "{text: I begin.}, {fault: {kind: reset$}}"),
    ("no last word", "{text: I begin.}, {fault: {kind: no_end$}}"),
    ("error in the stream", "{text: I begin.}, {fault: {kind: error$}}"),
    ("empty", "{fault: {kind: empty$}}"),
    ("only white space", "{text: '  '}"),
    ("malformed call", "{fault: {kind: malformed_call, tool: read_file$}}"),
    (
        "prompt too long",
        "{fault: {kind: refuse, status: 400, error: 'request (9000 tokens) exceeds the available context size (512 tokens), try increasing it'$}}",
    ),
    ("model gone", "{fault: {kind: refuse, status: 404, error: \"model 'short:latest' not found\"$}}"),
    (
        "out of memory",
        "{fault: {kind: refuse, status: 500, error: 'llama runner process has terminated: cudaMalloc failed: insufficient memory (attempted to allocate 24414.06 MB)'$}}",
    ),
];

/// Faults that end only when somebody gives up: here the user, who stops the run.
const HANGS: [(&str, &str); 2] = [
    ("hang before the first token", "{fault: {kind: stall}}"),
    ("hang after the first token", "{text: I begin.}, {fault: {kind: stall}}"),
];

/// Where it is met: the flow's first role, and the role of a child run.
const PLACES: [(&str, &str); 2] = [("top", "business_analyst"), ("child", "qa_tester")];

/// A fault, where it is met, and how often.
struct Case {
    name: String,
    /// In the goal, so that the turn knows its case.
    mark: String,
    turn: String,
    hangs: bool,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (place, role) in PLACES {
        for (hangs, (fault, say)) in
            FAULTS.map(|fault| (false, fault)).into_iter().chain(HANGS.map(|hang| (true, hang)))
        {
            let hows = ["once", "always"];
            for how in hows.into_iter().skip(usize::from(!say.contains('$'))) {
                let mark = format!("case {}.", cases.len());
                // A fault that does not strike any more lets the answer through.
                let say = match how {
                    "once" => format!("{}, {}", say.replace('$', ", times: 1"), delivery(role)),
                    _ => say.replace('$', ""),
                };
                let turn =
                    format!("  - name: {mark}\n    when: {{role: {role}, user_contains: {mark}}}\n    say: [{say}]");
                cases.push(Case { name: format!("{place}, {how}: {fault}"), mark, turn, hangs });
            }
        }
    }
    cases
}

/// How a role ends its work.
fn delivery(role: &str) -> &'static str {
    match role {
        "qa_tester" => "{tool: {name: submit_review, arguments: {verdict: approve, notes: As asked.}}}",
        _ => {
            "{tool: {name: submit_spec, arguments: {title: Greet politely, requirements: [The greeting says good day]}}}"
        }
    }
}

/// The workshop in a world.
async fn opened(world: &World, kind: ProviderKind, sources: Sources) -> (Workshop, Project) {
    let server = ProviderSettings { kind, ..world.server() };
    let workshop = Workshop::open(options(&world.home(), server, sources, None)).await.unwrap();
    if !world.project().join(".git").exists() {
        workshop.initialise(&world.project()).await.unwrap();
    }
    let project = workshop.open_project(&world.project()).await.unwrap();
    (workshop, project)
}

/// Starts a case and brings it to where it rests.
async fn play(world: &World, project: &Project, case: &Case) -> (RunView, Option<RunView>) {
    let op = Op::StartRun {
        goal: format!("{} Greet politely", case.mark),
        model: None,
        approve: vec![AskKind::HandOver],
        deny_asks: false,
        flow: Some("reviewed".to_owned()),
        priority: Priority::Normal,
        budget_tokens: None,
        on: None,
    };
    let run = start(project, op).await;
    if case.hangs {
        // Until the server sits on this case's question.
        let hangs = || {
            let last = world.stage.chats().pop();
            last.is_some_and(|chat| chat.ended == Ended::Open && chat.turn.as_deref() == Some(&case.mark))
        };
        let hung = async {
            while !hangs() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, hung).await.expect("the question is asked");
        project.submit(Op::CancelRun { run: run.clone() }).await.unwrap();
    }
    settled(project, &run).await
}

/// The run and its last child where nothing goes on by itself any more: it rests, or waits for a child that does.
async fn settled(project: &Project, run: &RunId) -> (RunView, Option<RunView>) {
    loop {
        let waits = |view: &RunView| view.state == RunState::WaitsForChild && !view.children.is_empty();
        let view = follow(project, run, |view| rests(view) || waits(view)).await.0;
        let Some(child) = view.children.last().map(|child| child.run.clone()) else { return (view, None) };
        let child = follow(project, &child, rests).await.0;
        if rests(&view) {
            return (view, Some(child));
        }
        if !child.state.is_final() {
            // Who waits for it says why.
            let told = |view: &RunView| view.notices.iter().any(|notice| notice.message.contains(child.id.as_str()));
            return (follow(project, run, told).await.0, Some(child));
        }
        follow(project, run, |view| !waits(view)).await;
    }
}

async fn all_events(project: &Project) -> Vec<Envelope> {
    match project.submit(Op::ReadEvents { run: None, after: Seq::ZERO, limit: 100_000 }).await {
        Ok(Reply::Events(events)) => events,
        other => panic!("no events: {other:?}"),
    }
}

/// A run's calls as `finished/failed`; every call that was started has one of the two, and only one.
fn outcomes(events: &[Value], run: &str) -> String {
    let mut calls: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["run"] == run) {
        let kind = event["kind"].as_str().unwrap();
        let call = event["payload"]["call"].as_str().unwrap_or_default().to_owned();
        match kind {
            "call_started" => assert!(calls.insert(call, Vec::new()).is_none(), "a call is started twice"),
            "call_finished" | "call_failed" => calls.get_mut(&call).unwrap().push(kind),
            _ => {}
        }
    }
    let open = calls.values().filter(|ends| ends.is_empty()).count();
    assert!(calls.values().all(|ends| ends.len() <= 1), "two outcomes of one call: {calls:?}");
    let count = |kind| calls.values().filter(|ends| ends.first() == Some(&kind)).count();
    let stopped = if open > 0 { format!(", {open} stopped") } else { String::new() };
    format!("{} finished, {} failed{stopped}", count("call_finished"), count("call_failed"))
}

/// Tokens of prompts and answers as they are recorded, where the server told them: of a turn that broke off it did not, and
/// what is recorded is a guess.
fn recorded(events: &[Value]) -> u64 {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let of = |event: &Value| match event["kind"].as_str() {
        Some("call_finished") => {
            let usage = &event["payload"]["usage"];
            number(&usage["prompt_tokens"]) + number(&usage["output_tokens"])
        }
        Some("call_failed") if event["payload"]["problem"]["code"] == "answer_incomplete" => 0,
        Some("call_failed") if event["payload"]["problem"]["code"] == "model_server_error" => 0,
        Some("call_failed") => number(&event["payload"]["used"]["tokens"]),
        _ => 0,
    };
    events.iter().map(of).sum()
}

async fn matrix(kind: ProviderKind) -> String {
    let cases = cases();
    let turns: Vec<&str> = cases.iter().map(|case| case.turn.as_str()).collect();
    let mut script = short_with(&turns.join("\n"));
    if kind != ProviderKind::Ollama {
        // As a paid service: it tells what it used, and refuses in its own words.
        script.openai = Dialect::Cloud;
    }
    let world = World::playing(script).await;
    // A clock that goes on by what is slept.
    let sources = Sources { clock: Arc::new(SteadyClock::skipping()), entropy: Arc::new(SteadyEntropy::from_seed(1)) };
    let mut lines = Vec::new();
    let mut events = Vec::new();
    for case in &cases {
        // In a process of its own: what one case taught about the server would keep the next from asking it.
        let (workshop, project) = opened(&world, kind, sources.clone()).await;
        let (view, child) = play(&world, &project, case).await;
        events =
            all_events(&project).await.iter().map(|event| serde_json::to_value(event).unwrap()).collect::<Vec<_>>();
        let code = view.problem.as_ref().map_or(String::new(), |problem| format!(" {}", problem.code.as_str()));
        let mut line = format!("{}: {:?}{code}; {}", case.name, view.state, outcomes(&events, view.id.as_str()));
        let said = |view: &RunView| {
            view.problem.as_ref().map_or(String::new(), |problem| format!(" {}", problem.code.as_str()))
        };
        if let Some(child) = &child {
            line += &format!("; child {:?}{}, {}", child.state, said(child), outcomes(&events, child.id.as_str()));
        }
        let says = |view: &RunView| view.state.is_final() || view.problem.is_some();
        assert!(says(&view) || child.as_ref().is_some_and(says), "{line}: it says what is wrong");
        if !view.state.is_final() {
            project.submit(Op::CancelRun { run: view.id.clone() }).await.unwrap();
        }
        lines.push(line);
        workshop.close().await;
    }
    let (read, written) = world.stage.bill().told();
    assert_eq!(recorded(&events), read + written, "the records are the server's bill");
    assert_eq!(world.stage.unmatched(), []);
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_one_outcome_at_the_top_and_in_a_child() {
    insta::assert_snapshot!(matrix(ProviderKind::Ollama).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_an_openai_style_server_has_one_outcome() {
    insta::assert_snapshot!(matrix(ProviderKind::OpenAi).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_an_anthropic_server_has_one_outcome() {
    insta::assert_snapshot!(matrix(ProviderKind::Anthropic).await);
}

/// How another program hears an answer: piece by piece, or as a whole (`atelier serve` with and without `stream`).
const SHAPES: [&str; 2] = ["stream", "whole"];

/// Asks a case's question as another program does, and hears the answer.
async fn ask_through_the_door(
    workshop: &Workshop,
    project: &Project,
    case: &Case,
    shape: &str,
    world: &World,
) -> String {
    let tool = ToolSpec {
        name: "read_file".to_owned(),
        description: "Reads a file.".to_owned(),
        parameters: json!({"type": "object", "properties": {"path": {"type": "string"}}}),
    };
    let question = Message::user(format!("{} Greet politely", case.mark));
    let request =
        ChatRequest { tools: vec![tool], ..ChatRequest::new("", vec![Message::system("role: guest"), question]) };
    let asking = async {
        let answering = match workshop.chat(Some(project.id()), "auto", request, &[]).await {
            Ok(answering) => answering,
            Err(problem) => return format!("refused, {}", problem.code.as_str()),
        };
        let Answering { chosen, mut events, .. } = answering;
        let of = |error: &CallError| error.problem(&chosen.provider, &chosen.model).code.as_str().to_owned();
        if shape == "whole" {
            return match collect(events, |_| {}).await {
                Ok(turn) => format!("answered, {:?}", turn.stop),
                Err(failed) => format!("broken off, {}", of(&failed.error)),
            };
        }
        let mut last = "nothing".to_owned();
        while let Some(item) = events.next().await {
            last = match item {
                Ok(ModelEvent::Done { stop, .. }) => format!("answered, {stop:?}"),
                Ok(_) => continue,
                Err(error) => format!("broken off, {}", of(&error)),
            };
        }
        last
    };
    if !case.hangs {
        return asking.await;
    }
    // The program hangs up once the server sits on its question.
    let hung = async {
        let sits =
            |chat: &atelier_stage::Exchange| chat.ended == Ended::Open && chat.turn.as_deref() == Some(&case.mark);
        while !world.stage.chats().last().is_some_and(sits) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        heard = asking => heard,
        () = hung => "hung up".to_owned(),
    }
}

async fn matrix_of_the_door(kind: ProviderKind) -> String {
    let mut cases = Vec::new();
    for (hangs, (fault, say)) in FAULTS.map(|fault| (false, fault)).into_iter().chain(HANGS.map(|hang| (true, hang))) {
        let (once, always) = (say.replace('$', ", times: 1"), say.replace('$', ""));
        let hows = [("once", format!("{once}, {{text: Good day.}}")), ("always", always)];
        for (how, say) in hows.into_iter().skip(usize::from(!say.contains('$'))) {
            for shape in SHAPES {
                let mark = format!("case {}.", cases.len());
                let turn =
                    format!("  - name: {mark}\n    when: {{role: guest, user_contains: {mark}}}\n    say: [{say}]");
                cases.push((Case { name: format!("{shape}, {how}: {fault}"), mark, turn, hangs }, shape));
            }
        }
    }
    let turns: Vec<&str> = cases.iter().map(|(case, _)| case.turn.as_str()).collect();
    let mut script = short_with(&turns.join("\n"));
    if kind != ProviderKind::Ollama {
        script.openai = Dialect::Cloud;
    }
    let world = World::playing(script).await;
    let sources = Sources { clock: Arc::new(SteadyClock::skipping()), entropy: Arc::new(SteadyEntropy::from_seed(1)) };
    let (mut lines, mut counted) = (Vec::new(), 0);
    let mut events: Vec<Value> = Vec::new();
    for (case, shape) in &cases {
        let (workshop, project) = opened(&world, kind, sources.clone()).await;
        let heard = ask_through_the_door(&workshop, &project, case, shape, &world).await;
        workshop.close().await;
        // By whoever looks next: the end of a call is recorded when its door has closed.
        let (workshop, project) = opened(&world, kind, sources.clone()).await;
        events = all_events(&project).await.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
        workshop.close().await;
        let served: Vec<&Value> =
            events.iter().filter_map(|event| event["payload"]["calls"].as_array()).flatten().collect();
        let ends: Vec<&str> =
            served[counted..].iter().map(|call| call["failed"].as_str().unwrap_or("answered")).collect();
        counted = served.len();
        lines.push(format!("{}: {heard}; {}", case.name, ends.join(", ")));
    }
    assert_eq!(world.stage.chats().len(), counted, "one outcome of each request");
    let served = events.iter().filter_map(|event| event["payload"]["calls"].as_array()).flatten();
    // Of a turn that broke off the server told nothing, and what is recorded is a guess.
    let told = served.filter(|call| {
        let guessed = ["answer_incomplete", "model_server_error", "cancelled"];
        !call["failed"].as_str().is_some_and(|code| guessed.contains(&code))
    });
    let recorded: u64 = told.map(|call| call["used"]["tokens"].as_u64().unwrap()).sum();
    let (read, written) = world.stage.bill().told();
    assert_eq!(recorded, read + written, "the records are the server's bill");
    assert_eq!(world.stage.unmatched(), []);
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_one_outcome_for_another_program_too() {
    insta::assert_snapshot!(matrix_of_the_door(ProviderKind::Ollama).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_an_openai_style_server_has_one_outcome_for_another_program() {
    insta::assert_snapshot!(matrix_of_the_door(ProviderKind::OpenAi).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_an_anthropic_server_has_one_outcome_for_another_program() {
    insta::assert_snapshot!(matrix_of_the_door(ProviderKind::Anthropic).await);
}
