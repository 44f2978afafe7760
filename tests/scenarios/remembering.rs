//! What a role remembers of its conversation: within a quota to the letter, the older part in short.
//!
//! Guards: what is told in short stays readable to the letter and says in the prompt what it is; a summary that does not
//! come is made up for by a rule; what asking for it used is counted; whatever ends a summary that is being made, nothing
//! stays set aside and none is asked for twice. Mutants: a `Talk::summarised` that keeps the older messages; a prompt
//! without the mark (`summary::told`); `Spending` that does not settle the call; a machine that forgets what was asked for
//! (`talk.summing`); a summary that goes on although it was stopped (`room`).

use atelier_engine::Project;
use atelier_protocol::event::{BudgetNode, Event, Summary, SummaryBy};
use atelier_protocol::hash::Hash;
use atelier_protocol::ids::Seq;
use atelier_protocol::op::Frame;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{Item, RunState};
use atelier_protocol::{Envelope, RunId};
use atelier_stage::{Ended, Script};
use atelier_tests::world::{PATIENCE, follow, rests, start};
use atelier_tests::{Cli, World};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A developer who reads three long pages before it writes, and sums up what it read by `summary`.
async fn reader(summary: &str) -> (World, Cli) {
    let script = format!(
        "schema: 1
models:
  - name: short:latest
turns:
  - when: {{role: business_analyst}}
    say: [{{tool: {{name: submit_spec, arguments: {{title: Write it down, requirements: [\"A page says how to greet\"]}}}}}}]
  - when: {{role: developer, system_contains: \"task: summary\"}}
    say: [{summary}]
  - when: {{role: developer, not_contains: \"mark-a\"}}
    say: [{{tool: {{name: read_file, arguments: {{path: docs/a.md}}}}}}]
  - when: {{role: developer, not_contains: \"mark-b\"}}
    say: [{{tool: {{name: read_file, arguments: {{path: docs/b.md}}}}}}]
  - when: {{role: developer, not_contains: \"mark-c\"}}
    say: [{{tool: {{name: read_file, arguments: {{path: docs/c.md}}}}}}]
  - when: {{role: developer, not_contains: \"manners.md\"}}
    say: [{{tool: {{name: write_file, arguments: {{path: docs/manners.md, content: \"Say good day.\\n\"}}}}}}]
  - when: {{role: developer}}
    say: [{{text: The page is there.}}]
  - when: {{role: qa_tester}}
    say: [{{tool: {{name: submit_review, arguments: {{verdict: approve, notes: As asked.}}}}}}]
"
    );
    let world = World::playing(Script::read("reader.yaml", &script).unwrap()).await;
    for page in ["a", "b", "c"] {
        let lines: String = (0..60).map(|n| format!("{n} lorem ipsum dolor sit amet consetetur\n")).collect();
        let docs = world.project().join("docs");
        std::fs::create_dir_all(&docs).unwrap();
        std::fs::write(docs.join(format!("{page}.md")), format!("mark-{page}\n{lines}")).unwrap();
    }
    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    (world, cli)
}

const GOAL: &str = "Note the greeting";

fn note_the_greeting() -> Op {
    Op::StartRun {
        goal: GOAL.to_owned(),
        model: None,
        approve: Default::default(),
        deny_asks: false,
        flow: None,
        on: None,
        priority: Default::default(),
        budget_tokens: None,
    }
}

/// A conversation may have 1024 tokens from now on.
fn with_little_memory(cli: &Cli) {
    let set = cli.plain(&["models", "memory", "1024"]).output().unwrap();
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
}

/// Tokens that are set aside for a run, and in its project.
async fn set_aside(project: &Project, run: &RunId) -> Vec<u64> {
    let Ok(Reply::Budget { nodes, .. }) = project.submit(Op::ShowBudget { run: Some(run.clone()) }).await else {
        panic!("no budget")
    };
    let counts = nodes.iter().filter(|b| matches!(b.node, BudgetNode::Run { .. } | BudgetNode::Project));
    counts.map(|budget| budget.reserved.tokens).collect()
}

/// Plays the run with a quota of 1024 tokens, and gives its events and the summaries among them.
async fn played(world: &World, cli: &Cli) -> (Vec<Envelope>, Vec<Summary>) {
    with_little_memory(cli);
    let (workshop, project) = world.open().await;
    let run = start(&project, note_the_greeting()).await;
    let (view, events) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::WaitsForApproval, "{:?}", view.problem);
    let summaries: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.event {
            Event::MemorySummarised { summary } => Some((**summary).clone()),
            _ => None,
        })
        .collect();
    assert!(!summaries.is_empty(), "the quota was passed");
    for summary in &summaries {
        assert!(summary.before > summary.quota && summary.after < summary.before, "{summary:?}");
        let Ok(Reply::Blob(text)) = project.submit(Op::ReadBlob { hash: summary.blob.clone() }).await else {
            panic!("the messages are gone")
        };
        let kept: Vec<Value> = serde_json::from_str(&text).unwrap();
        let hashes: Vec<Hash> = summary.parts.iter().map(|part| part.hash.clone()).collect();
        assert_eq!(kept.len(), hashes.len(), "each message that it stands for is there");
    }
    // Its calls are settled: nothing is left set aside.
    let Ok(Reply::Budget { nodes, .. }) = project.submit(Op::ShowBudget { run: Some(run.clone()) }).await else {
        panic!("no budget")
    };
    let of_run = nodes.iter().find(|budget| matches!(budget.node, BudgetNode::Run { .. })).unwrap();
    assert_eq!((of_run.reserved.tokens, of_run.calls), (0, view.cost.calls), "{of_run:?}");
    assert!(view.steps.iter().flat_map(|step| &step.items).any(|item| matches!(item, Item::Summarised { .. })));
    workshop.close().await;
    (events, summaries)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_part_is_summed_up_by_the_roles_model_and_kept_to_the_letter() {
    let (world, cli) = reader("{text: \"Pages mark-a, mark-b and mark-c say nothing of use.\"}").await;
    let (events, summaries) = played(&world, &cli).await;
    let first = &summaries[0];
    assert_eq!(first.text, "Pages mark-a, mark-b and mark-c say nothing of use.");
    assert!(matches!(&first.by, SummaryBy::Model { model, .. } if model == "short:latest"), "{:?}", first.by);
    let asked = events.iter().position(|event| matches!(event.event, Event::SummaryAsked { .. })).unwrap();
    assert!(matches!(events[asked + 1].event, Event::MemorySummarised { .. }), "asked, then recorded");
    assert!(first.used.tokens > 0 && first.usage.is_some());

    // The next prompt says what it is, and holds the page itself no more.
    let chats = world.stage.chats();
    let summing = chats.iter().position(|chat| chat.body["messages"][0].to_string().contains("task: summary")).unwrap();
    assert!(chats[summing].body["messages"][1].to_string().contains("mark-a"), "the page was there to be summed up");
    let next: Vec<String> =
        chats[summing + 1].body["messages"].as_array().unwrap().iter().map(|m| m["content"].to_string()).collect();
    assert!(next[2].contains("(Summary of 2 earlier messages") && next[2].contains("made by the model short:latest"));
    assert!(!next.iter().any(|text| text.contains("lorem") && text.contains("mark-a")), "{next:?}");

    let shown = cli.run(&["runs", "show", "last"]);
    assert!(shown.text.contains("earlier messages summed up by short:latest"), "{}", shown.text);
    let memory = cli.run(&["runs", "memory", "last", "--whole"]);
    assert!(memory.text.contains("mark-a") && memory.text.contains("lorem"), "{}", memory.text);
    assert_eq!(cli.run(&["models", "memory", "12"]).code(), "bad_argument");
    assert_eq!(cli.run(&["models", "memory", "default"]).exit, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_that_fails_or_is_empty_is_made_up_for_by_a_rule() {
    for (summary, code) in [
        ("{fault: {kind: refuse, status: 500, error: \"out of luck\"}}", "model_server_error"),
        ("{text: \"  \"}", "answer_empty"),
    ] {
        let (world, cli) = reader(summary).await;
        let (_, summaries) = played(&world, &cli).await;
        let SummaryBy::Digest { problem } = &summaries[0].by else { panic!("{:?}", summaries[0].by) };
        assert_eq!(problem.code.as_str(), code);
        assert!(summaries[0].text.contains("- called read_file {\"path\":\"docs/a.md\"}"), "{}", summaries[0].text);
        let shown = cli.run(&["runs", "show", "last"]);
        assert!(shown.text.contains("in a digest by rule"), "{}", shown.text);
    }
}

const NEVER: &str = "{fault: {kind: stall}}";

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_while_a_summary_is_made_leaves_a_digest_to_the_next() {
    let (world, cli) = reader(NEVER).await;
    let (answering, _) = reader("{text: \"mark-a, mark-b, mark-c and manners.md are done.\"}").await;
    with_little_memory(&cli);
    let (workshop, _) = world.open().await;
    workshop.close().await;
    let mut killed = cli.command(&["run", GOAL]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(killed.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("summary_asked")), "a summary was asked for");
    killed.kill().unwrap();
    killed.wait().unwrap();

    let resumed = cli.asking(&answering.stage.url()).run(&["runs", "resume", "last"]);
    assert_eq!(resumed.exit, 3, "{}", resumed.text);
    let (workshop, project) = world.open().await;
    let Ok(Reply::Runs(runs)) = project.submit(Op::ListRuns { states: Vec::new(), limit: None }).await else {
        panic!("no runs")
    };
    let run = runs[0].id.clone();
    let (_, events) = follow(&project, &run, rests).await;
    let (mut asked, mut made) = (Vec::new(), Vec::new());
    for event in &events {
        match &event.event {
            Event::SummaryAsked { call, .. } => asked.push(Some(call.clone())),
            Event::MemorySummarised { summary } => made.push((**summary).clone()),
            _ => {}
        }
    }
    let calls: Vec<_> = made.iter().map(|summary| summary.call.clone()).collect();
    assert_eq!(calls, asked, "what was asked for is settled once, and not asked for again");
    let SummaryBy::Digest { problem } = &made[0].by else { panic!("{:?}", made[0].by) };
    assert_eq!(problem.code.as_str(), "interrupted");
    assert!(made[0].text.contains("- called read_file {\"path\":\"docs/a.md\"}"), "{}", made[0].text);
    assert_eq!(set_aside(&project, &run).await, [0, 0]);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cancelled_while_a_summary_is_made_ends_at_once_and_nothing_stays_set_aside() {
    let (world, cli) = reader(NEVER).await;
    with_little_memory(&cli);
    let (workshop, project) = world.open().await;
    let run = start(&project, note_the_greeting()).await;
    let mut frames = project.follow(Seq::ZERO);
    let asked = async {
        while let Some(frame) = frames.recv().await {
            if matches!(frame, Frame::Event(event) if matches!(event.event, Event::SummaryAsked { .. })) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap();
    assert!(set_aside(&project, &run).await.iter().all(|tokens| *tokens > 0), "it is set aside while it is made");
    project.submit(Op::CancelRun { run: run.clone() }).await.unwrap();
    let (view, events) = follow(&project, &run, |view| view.state.is_final()).await;
    assert_eq!(view.state, RunState::Cancelled, "{:?}", view.problem);
    assert!(!events.iter().any(|event| matches!(event.event, Event::MemorySummarised { .. })));
    assert_eq!(set_aside(&project, &run).await, [0, 0]);
    // The server is not left to go on.
    let begun = Instant::now();
    while world.stage.chats().iter().any(|chat| chat.ended == Ended::Open) {
        assert!(begun.elapsed() < PATIENCE, "the call goes on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    workshop.close().await;
}
