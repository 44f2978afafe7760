//! Whatever shape a model's answer has, it is used whole or not at all, the model is told what was wrong with it, and a
//! run never goes on from half of one.
//!
//! Guards: a call is performed once and only with arguments that could be read; what cannot be used is said, asked once
//! more and then parked with its code; a call's id is ours, so that two of the same name do not get mixed up.
//! Turns red, for example, when `Run::take` keeps the server's ids of tool calls, or uses a turn that was cut off.

use crate::limits::{answers, played, put, settle, short_with};
use atelier_engine::{Moment, Project, Workshop};
use atelier_protocol::Envelope;
use atelier_protocol::error::Code;
use atelier_protocol::event::{Answer, Event};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::ProviderKind;
use atelier_protocol::view::{Item, RunState, RunView};
use atelier_stage::{Dialect, tour};
use atelier_tests::world::{follow, goal, rests, start};
use atelier_tests::{World, steady};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// A short run whose developer answers so first, played to its end.
async fn with_developer(say: &str) -> (World, RunView) {
    let turns = format!("  - when: {{role: developer, turn: 0, not_contains: \"Your last turn\"}}\n    say:\n{say}");
    let world = World::playing(short_with(&turns)).await;
    let (workshop, _, view) = played(&world).await;
    workshop.close().await;
    (world, view)
}

/// What the model was told of turns that could not be used.
fn corrections(view: &RunView) -> Vec<String> {
    let items = view.steps.iter().flat_map(|step| &step.items);
    items
        .filter_map(|item| match item {
            Item::Corrected { message } => Some(message.clone()),
            _ => None,
        })
        .collect()
}

/// The lines of every answered tool call of a step.
fn lines(view: &RunView, step: &str) -> Vec<String> {
    let of_step = view.steps.iter().filter(|s| s.id.as_str() == step).flat_map(|s| &s.items);
    of_step
        .filter_map(|item| match item {
            Item::Tool { line, .. } => line.clone(),
            _ => None,
        })
        .collect()
}

/// The world spoken to in the OpenAI dialect.
async fn open_as_openai(world: &World) -> (Workshop, Project) {
    let mut options = world.options(steady::sources(1));
    options.providers.iter_mut().flatten().for_each(|server| server.kind = ProviderKind::OpenAi);
    let workshop = Workshop::open(options).await.unwrap();
    workshop.initialise(&world.project()).await.unwrap();
    let project = workshop.open_project(&world.project()).await.unwrap();
    (workshop, project)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_written_as_text_is_performed() {
    for text in [
        r#"{"name": "submit_spec", "arguments": {"title": "Written as text", "requirements": ["a"]}}"#,
        r#"Here it is. <tool_call>{"name": "submit_spec", "arguments": {"title": "Written as text", "requirements": ["a"]}}</tool_call>"#,
    ] {
        let turns = format!("  - when: {{role: business_analyst}}\n    say: [{{text: '{text}'}}]");
        let world = World::playing(short_with(&turns)).await;
        let (workshop, _, view) = played(&world).await;
        assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
        assert_eq!(view.spec.as_ref().unwrap().title, "Written as text");
        assert_eq!(lines(&view, "specify.1"), ["deliver the specification"]);
        workshop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spec_written_as_text_counts() {
    for text in [
        r#"```json\n{"title": "As a document", "requirements": ["first", "second"]}\n```"#,
        r#"# As a list\n\n1. first\n2. second\n"#,
    ] {
        let turns =
            format!("  - when: {{role: business_analyst}}\n    say: [{{text: \"{}\"}}]", text.replace('"', "\\\""));
        let world = World::playing(short_with(&turns)).await;
        let (workshop, _, view) = played(&world).await;
        assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
        let spec = view.spec.as_ref().unwrap();
        assert!(spec.title.starts_with("As a "), "{}", spec.title);
        assert_eq!(spec.requirements.iter().map(|r| r.text.as_str()).collect::<Vec<_>>(), ["first", "second"]);
        workshop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_does_not_stop_the_next_of_the_same_turn() {
    let (_world, view) = with_developer(
        "      - text: Both at once.\n      - tool: {name: edit_file, arguments: {path: greet.sh, search: not there at all, replace: x}}\n      - tool: {name: write_file, arguments: {path: docs/manners.md, content: \"Say good day.\\n\"}}",
    )
    .await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    let told = answers(&view);
    assert_eq!((told[1].0.as_str(), told[1].1), ("edit greet.sh", false));
    assert!(told[1].2.contains("not in `greet.sh`") && told[1].2.contains("Nothing was changed"), "{}", told[1].2);
    assert_eq!((told[2].0.as_str(), told[2].1), ("write docs/manners.md", true));
    let said = view.steps[1].items.iter().find_map(|item| match item {
        Item::Turn { text, .. } => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(said.unwrap().trim(), "Both at once.", "what is said with a call is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn thinking_alone_is_told_and_asked_once_more() {
    let (world, view) = with_developer("      - thinking: Where do I begin?").await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    assert_eq!(corrections(&view).len(), 1);
    let again = world.stage.chats()[2].body.to_string();
    assert!(again.contains("Your last turn was empty"), "the model is told");
    assert!(!again.contains("Where do I begin"), "a turn that cannot be used is no part of the conversation");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_cut_off_at_its_length_is_not_taken_for_an_answer() {
    let (_world, view) = with_developer("      - text: The work is com\n    stop: length").await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    assert!(corrections(&view)[0].contains("cut off at the length limit"));
    let first = view.steps[1].items.iter().find_map(|item| match item {
        Item::Turn { problem, text, .. } => Some((problem.clone().unwrap().code, text.clone())),
        _ => None,
    });
    assert_eq!(first.unwrap(), (Code::AnswerIncomplete, "The work is com".to_owned()), "what came is kept to read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_without_a_judgement_is_asked_for_once_and_then_parked_until_somebody_resumes() {
    let turns = "  - when: {role: qa_tester, not_contains: As asked}\n    say: [{text: Looks good to me.}]";
    let world = World::playing(short_with(turns)).await;
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(true)).await;
    let (view, _) = follow(&project, &run, rests).await;
    assert_eq!((view.state, view.problem.as_ref().unwrap().code), (RunState::Parked, Code::AnswerInvalid));
    assert!(view.problem.unwrap().message.contains("`submit_review`"));
    assert!(view.reviews.is_empty(), "words are no judgement");
    let asked = world.stage.chats().len();
    assert_eq!(project.submit(Op::ResumeRun { run: run.clone() }).await, Ok(Reply::Run(run.clone())));
    let (view, _) = follow(&project, &run, |v| rests(v) && world.stage.chats().len() > asked).await;
    assert_eq!(view.state, RunState::Parked);
    assert!(world.stage.chats().len() > asked, "a resume asks once more");
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_job_is_done_over_the_openai_dialect_with_its_usage_counted() {
    for dialect in [Dialect::Ollama, Dialect::LlamaServer] {
        let mut script = tour::script().unwrap();
        script.openai = dialect;
        let world = World::playing(script).await;
        let (workshop, project) = open_as_openai(&world).await;
        let run = start(&project, goal(true)).await;
        let (view, _) = follow(&project, &run, |v| v.state.is_final() || v.state == RunState::Parked).await;
        assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
        assert!(world.stage.chats().iter().all(|chat| chat.path == "/v1/chat/completions"));
        assert!(view.cost.prompt_tokens > Some(1000) && view.cost.output_tokens > Some(50), "{:?}", view.cost);
        assert_eq!(view.cost.micros, Some(0), "a model of this machine costs no money");
        assert_eq!(world.stage.unmatched(), []);
        workshop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_unreadable_arguments_is_never_performed_and_the_model_is_told() {
    let turns = "  - when: {role: developer, turn: 0, not_contains: not a JSON object}\n    say: [{fault: {kind: malformed_call, tool: write_file, arguments: '{\"path\": \"docs/half.md\", \"content\": \"x'}}]";
    let world = World::playing(short_with(turns)).await;
    let (workshop, project) = open_as_openai(&world).await;
    let run = start(&project, goal(true)).await;
    let (view, _) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    assert!(corrections(&view)[0].contains("Your call of `write_file`"), "{:?}", corrections(&view));
    assert!(view.checkpoint.unwrap().files.iter().all(|f| f.path != "docs/half.md"));
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_to_which_the_server_gave_the_same_id_are_decided_and_answered_each() {
    let call = |index: usize, path: &str| {
        let arguments = serde_json::json!({"path": path, "content": "x\n"}).to_string();
        let delta = serde_json::json!({"tool_calls": [{"index": index, "id": "call_1", "type": "function",
            "function": {"name": "write_file", "arguments": arguments}}]});
        format!("data: {}\n\n", serde_json::json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}))
    };
    let says = |turn: usize, calls: String| {
        let raw = serde_json::to_string(&calls).unwrap();
        format!("  - when: {{role: developer, turn: {turn}}}\n    say: [{{fault: {{kind: raw, raw: {raw}}}}}]\n")
    };
    let turns = says(0, call(0, "docs/a.md") + &call(1, "docs/b.md"))
        + &says(1, call(0, ".atelier/project.yaml"))
        + "  - when: {role: developer}\n    say: [{text: Both are there.}]";
    let world = World::playing(short_with(&turns)).await;
    let (workshop, project) = open_as_openai(&world).await;
    let run = start(&project, goal(true)).await;
    let (view, events) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    let told: Vec<(String, bool)> = answers(&view).into_iter().map(|(line, ok, _)| (line, ok)).collect();
    let wanted = [("write docs/a.md", true), ("write docs/b.md", true), ("write_file .atelier/project.yaml", false)];
    assert_eq!(told[1..4], wanted.map(|(line, ok)| (line.to_owned(), ok)));
    let returned = |e: &Envelope| match &e.event {
        Event::ToolReturned { id, .. } => Some(id.clone()),
        _ => None,
    };
    let ids: BTreeSet<String> = events.iter().filter_map(returned).collect();
    assert_eq!(ids.len(), told.len(), "each call has an id of its own: {ids:?}");
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_one_long_line_does_not_fill_the_prompt() {
    let turns = "  - when: {role: business_analyst, turn: 0}\n    say: [{tool: {name: read_file, arguments: {path: bundle.js}}}]\n  - when: {role: developer, turn: 0}\n    say: [{tool: {name: edit_file, arguments: {path: bundle.js, search: value=1;, replace: z}}}, {tool: {name: write_file, arguments: {path: docs/a.md, content: x}}}]";
    let world = World::playing(short_with(turns)).await;
    put(&world, "bundle.js", &"value=1;".repeat(50_000));
    let (workshop, _, view) = played(&world).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    let told = answers(&view);
    assert!(
        told.iter().all(|(.., text)| text.len() < 20_000),
        "{:?}",
        told.iter().map(|t| t.2.len()).collect::<Vec<_>>()
    );
    assert!(told[0].1 && told[0].2.ends_with("(line 1 is cut: 16384 of 400000 bytes are shown)"));
    assert!(!told[2].1 && told[2].2.contains("at least 50 times"), "{}", told[2].2);
    workshop.close().await;
}

/// Opens a pipe for writing when it goes, so that a reader who waits for it does not hold up the test.
#[cfg(unix)]
struct Opens(std::path::PathBuf);

#[cfg(unix)]
impl Drop for Opens {
    fn drop(&mut self) {
        let _ = std::fs::File::options().read(true).write(true).open(&self.0);
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_in_the_folder_does_not_hold_up_the_run() {
    let turns =
        "  - when: {role: business_analyst, turn: 0}\n    say: [{tool: {name: read_file, arguments: {path: pipe}}}]";
    let world = World::playing(short_with(turns)).await;
    let (workshop, project) = world.open().await;
    let pipe = world.project().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let _opens = Opens(pipe);
    let run = start(&project, goal(true)).await;
    let (view, _) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    assert_eq!(answers(&view)[0].2, "`pipe`: it is not a file");
    workshop.close().await;
}

/// A server that refuses the first question, so that the run is parked, and then plays the short run.
const REFUSED_ONCE: &str = "  - when: {role: business_analyst, turn: 0, not_contains: asked again}\n    say:\n      - fault: {kind: refuse, status: 401, error: not yet, times: 1}\n      - tool: {name: submit_spec, arguments: {title: Greet politely, requirements: [a]}}";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_asked_of_a_run_in_the_moment_it_parks_is_done() {
    for cancels in [false, true] {
        let world = World::playing(short_with(REFUSED_ONCE)).await;
        let (asks, runtime) = (Arc::new(OnceLock::<Project>::new()), tokio::runtime::Handle::current());
        let (door, answer) = (asks.clone(), Arc::new(Mutex::new(None)));
        let kept = answer.clone();
        let mut options = world.options(steady::sources(1));
        options.witness = Some(Arc::new(move |moment| {
            let Moment::After(events) = moment else { return };
            let Some(parked) = events.iter().find(|e| matches!(e.event, Event::RunParked { .. })) else { return };
            let (project, run) = (door.get().unwrap().clone(), parked.run.clone().unwrap());
            let op = if cancels { Op::CancelRun { run } } else { Op::ResumeRun { run } };
            let runtime = runtime.clone();
            let asking = std::thread::spawn(move || runtime.block_on(project.submit(op)));
            let began = Instant::now();
            while !asking.is_finished() && began.elapsed() < Duration::from_millis(300) {
                std::thread::yield_now();
            }
            *kept.lock().unwrap() = Some(asking);
        }));
        let workshop = Workshop::open(options).await.unwrap();
        workshop.initialise(&world.project()).await.unwrap();
        let project = workshop.open_project(&world.project()).await.unwrap();
        assert!(asks.set(project.clone()).is_ok());
        let run = start(&project, goal(true)).await;
        let (view, _) = follow(&project, &run, |v| v.state.is_final()).await;
        assert_eq!(view.state, if cancels { RunState::Cancelled } else { RunState::Done }, "{:?}", view.problem);
        let asking = answer.lock().unwrap().take().unwrap();
        assert!(asking.join().unwrap().is_ok());
        workshop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_roles_cannot_be_read_stays_parked_and_goes_on_once_they_can() {
    let world = World::playing(short_with(REFUSED_ONCE)).await;
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(true)).await;
    let (view, _) = follow(&project, &run, rests).await;
    assert_eq!(view.problem.unwrap().code, Code::KeyRefused);
    put(&world, ".atelier/roles/developer.yaml", "schema: 1\nid: developer\nwhatever: 1\n");
    let refused = project.submit(Op::ResumeRun { run: run.clone() }).await.unwrap_err();
    assert_eq!(refused.code, Code::RoleInvalid);
    let Ok(Reply::RunView(view)) = project.submit(Op::ShowRun { run: run.clone(), at: None }).await else {
        panic!("no view")
    };
    assert_eq!((view.state, view.problem), (RunState::Parked, Some(refused)), "nobody works on it, and it says so");
    std::fs::remove_file(world.project().join(".atelier/roles/developer.yaml")).unwrap();
    project.submit(Op::ResumeRun { run: run.clone() }).await.unwrap();
    let (view, _) = follow(&project, &run, |v| v.state.is_final()).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_opens_although_one_of_its_runs_cannot_be_taken_up() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(false)).await;
    let (view, _) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::WaitsForApproval, "{:?}", view.problem);
    workshop.close().await;
    put(&world, ".atelier/roles/developer.yaml", "schema: 1\nid: developer\nwhatever: 1\n");
    let mut options = world.options(steady::sources(100));
    options.attends = true;
    let workshop = Workshop::open(options).await.unwrap();
    let project = workshop.open_project(&world.project()).await.unwrap();
    let Ok(Reply::RunView(view)) = project.submit(Op::ShowRun { run: run.clone(), at: None }).await else {
        panic!("no view")
    };
    assert_eq!(view.state, RunState::WaitsForApproval, "nobody works on it while it waits");
    settle(&project, &view, Answer::Approve).await.unwrap();
    let (view, _) = follow(&project, &run, |v| v.state == RunState::Parked).await;
    assert_eq!(view.problem.unwrap().code, Code::RoleInvalid);
    std::fs::remove_file(world.project().join(".atelier/roles/developer.yaml")).unwrap();
    project.submit(Op::ResumeRun { run: run.clone() }).await.unwrap();
    let (view, _) = follow(&project, &run, |v| v.state.is_final()).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_passed_when_it_was_run_again_has_passed() {
    let turns = "  - when: {role: developer, last_tool: run_check, tool_result_contains: failed with exit code}\n    say: [{tool: {name: run_check}}]";
    let world = World::playing(short_with(turns)).await;
    put(&world, "cold.sh", "[ -e \"$XDG_CACHE_HOME/warm\" ] || { touch \"$XDG_CACHE_HOME/warm\"; exit 1; }\n");
    put(&world, ".atelier/project.yaml", "schema: 1\nchecks:\n  - {name: test, argv: [sh, cold.sh]}\n");
    let (workshop, _, view) = played(&world).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    assert_eq!(view.checks.iter().map(|c| c.exit_code).collect::<Vec<_>>(), [Some(1), Some(0)]);
    assert!(view.steps.iter().all(|step| step.id.round() == 1), "nothing was sent back");
    workshop.close().await;
}
