//! Flows of every kind of step: child runs, questions, budgets, processes, tasks, and undoing all of it.
//!
//! Guards: a child's end always reaches its parent; a failed flow leaves repository, tree and board as they were; a
//! project's own flow runs no command unasked; activity without an accepted result is noticed.
//! Turns red, for example, when `Machine::next` undoes the first step first, `Run::finish` leaves out
//! `told_to_parent`, or `Run::undo` records a step as undone before its effect.

use crate::git;
use crate::limits::{of_the_user, put, settle, short_with};
use atelier_engine::{Moment, Project, Workshop};
use atelier_protocol::RunId;
use atelier_protocol::error::Code;
use atelier_protocol::event::{Answer, Ask, AskKind, Effect, Envelope, Event, Outcome, Priority, StepResult};
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{RunState, RunView};
use atelier_stage::tour;
use atelier_tests::job::SAGA;
use atelier_tests::world::{follow, kind, rests, start};
use atelier_tests::{World, steady};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

fn of_flow(flow: &str, approve: &[AskKind]) -> Op {
    Op::StartRun {
        goal: tour::GOAL.to_owned(),
        model: None,
        approve: approve.to_vec(),
        deny_asks: false,
        flow: Some(flow.to_owned()),
        priority: Priority::Normal,
        budget_tokens: None,
        on: None,
    }
}

async fn view_of(project: &Project, run: &RunId) -> RunView {
    match project.submit(Op::ShowRun { run: run.clone(), at: None }).await {
        Ok(Reply::RunView(view)) => *view,
        other => panic!("no view: {other:?}"),
    }
}

async fn all_events(project: &Project) -> Vec<Envelope> {
    match project.submit(Op::ReadEvents { run: None, after: Seq::ZERO, limit: 10_000 }).await {
        Ok(Reply::Events(events)) => events,
        other => panic!("no events: {other:?}"),
    }
}

fn flow_file(world: &World, steps: &str) {
    let head = "schema: 1\nid: own\ntitle: Own\nrounds: 2\nstall_turns: 2\nsteps:\n";
    put(world, ".atelier/flows/own.yaml", &format!("{head}{steps}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_judged_by_a_run_of_its_own() {
    let world = World::with_tour().await;
    let (workshop, project) = world.open().await;
    let run = start(&project, of_flow("reviewed", &[])).await;
    let (view, events) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::WaitsForApproval, "{:?}", view.problem);
    let Ask::HandOver { reviewed, .. } = &view.pending_approval().unwrap().ask else { panic!("{view:?}") };
    assert!(reviewed, "what the child found is the parent's evidence");
    let steps: Vec<&str> = view.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(
        steps,
        ["specify.1", "build.1", "check.1", "verify.1", "build.2", "check.2", "verify.2", "approve.1"],
        "the first child sent the work back"
    );
    let ended: Vec<bool> = view.children.iter().map(|child| child.outcome == Some(Outcome::Done)).collect();
    assert_eq!(ended, [false, true]);

    let child = view_of(&project, &view.children[1].run).await;
    assert_eq!((child.state, child.parent.as_ref().map(|p| p.run.clone())), (RunState::Done, Some(run.clone())));
    assert_eq!(child.spec, view.spec, "a child is read alone, so it holds what it was given");
    assert_eq!(child.checkpoint, view.checkpoint, "both work on the same tree");
    let all = all_events(&project).await;
    for child in &view.children {
        let begun = all.iter().position(|e| e.run.as_ref() == Some(&child.run)).unwrap();
        assert!(matches!(all[begun].event, Event::RunStarted { .. }));
        let end =
            all.iter().position(|e| e.run.as_ref() == Some(&child.run) && matches!(e.event, Event::RunFinished { .. }));
        let told = &all[end.unwrap() + 1];
        assert!(matches!(&told.event, Event::ChildEnded { child: named, .. } if *named == child.run), "{told:?}");
    }
    assert!(events.iter().any(|e| matches!(e.event, Event::ReviewRecorded { .. })));

    settle(&project, &view, Answer::Approve).await.unwrap();
    let (view, _) = follow(&project, &run, |v| v.state.is_final()).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    assert_eq!(git::tree(&world.project(), &view.branch.unwrap()), view.checkpoint.unwrap().tree);
    assert_eq!(world.stage.unmatched(), []);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_a_run_ends_its_child_first_in_one_append() {
    let world = World::playing(short_with("  - when: {role: qa_tester}\n    say: [{pause_ms: 60000}]")).await;
    let (workshop, project) = world.open().await;
    let run = start(&project, of_flow("reviewed", &[])).await;
    let (view, _) = follow(&project, &run, |v| v.state == RunState::WaitsForChild).await;
    let child = view.children[0].run.clone();
    follow(&project, &child, |v| v.cost.calls == 1).await;
    assert_eq!(project.submit(Op::CancelRun { run: run.clone() }).await, Ok(Reply::Done));
    let all = all_events(&project).await;
    let last: Vec<(String, bool)> =
        all.iter().rev().take(3).map(|e| (kind(&e.event), e.run.as_ref() == Some(&child))).collect();
    assert_eq!(
        last.into_iter().rev().collect::<Vec<_>>(),
        [("run_finished".to_owned(), true), ("child_ended".to_owned(), false), ("run_finished".to_owned(), false)]
    );
    for one in [&run, &child] {
        assert_eq!(view_of(&project, one).await.state, RunState::Cancelled);
    }
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_that_call_each_other_in_a_circle_end_by_name() {
    let world = World::with_script("short.yaml").await;
    flow_file(&world, "  - {id: again, kind: call, title: Again, flow: own}\n");
    let (workshop, project) = world.open().await;
    let run = start(&project, of_flow("own", &[])).await;
    let (view, _) = follow(&project, &run, |v| v.state.is_final()).await;
    let problem = view.problem.unwrap();
    assert_eq!((view.state, problem.code), (RunState::Failed, Code::ChildFailed));
    assert!(problem.details.iter().any(|line| line.contains("too_deep")), "{problem:?}");
    let runs = all_events(&project).await.iter().filter(|e| matches!(e.event, Event::RunStarted { .. })).count();
    assert_eq!(runs, 4, "a run and three below it");
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projects_flow_runs_no_command_unasked() {
    let world = World::with_script("short.yaml").await;
    flow_file(&world, "  - {id: make, kind: script, title: Make, argv: [sh, -c, echo made > made.txt]}\n");
    let (workshop, project) = world.open().await;
    let run = start(&project, of_flow("own", &[])).await;
    let (view, _) = follow(&project, &run, rests).await;
    let Ask::Command { argv, reason, .. } = &view.pending_approval().unwrap().ask else { panic!("{view:?}") };
    assert_eq!(argv, &["sh", "-c", "echo made > made.txt"]);
    assert!(reason.contains("does not ship with Atelier"), "{reason}");
    settle(&project, &view, Answer::Approve).await.unwrap();
    let (view, _) = follow(&project, &run, |v| v.state.is_final()).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    assert_eq!(view.checks[0].exit_code, Some(0));
    assert!(view.checks[0].tree.is_empty(), "a step's command is no evidence about a tree");
    assert_eq!(view.checkpoint.unwrap().files[0].path, "made.txt");

    let run = start(&project, of_flow("own", &[])).await;
    let (view, _) = follow(&project, &run, rests).await;
    settle(&project, &view, Answer::Reject).await.unwrap();
    let (view, _) = follow(&project, &run, |v| v.state.is_final()).await;
    assert_eq!((view.state, view.problem.unwrap().code), (RunState::Failed, Code::Rejected));
    assert!(view.checks.is_empty());
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_words_is_told_to_later_roles_and_silence_takes_the_default() {
    let world = World::with_script("short.yaml").await;
    flow_file(
        &world,
        "  - {id: which, kind: ask, title: Ask, phase: planning, question: Which greeting?, default: good day}\n  \
         - {id: specify, kind: agent, role: business_analyst, title: Specify}\n",
    );
    let (workshop, project) = world.open().await;
    for (answer, note, told) in [
        (Answer::Approve, "good evening", "- Which greeting? good evening"),
        (Answer::Reject, "", "- Which greeting? good day"),
    ] {
        let run = start(&project, of_flow("own", &[])).await;
        let (view, _) = follow(&project, &run, rests).await;
        assert_eq!(view.state, RunState::WaitsForAnswer);
        let approval = view.pending_approval().unwrap().id.clone();
        project.submit(Op::SettleApproval { approval, answer, note: note.to_owned() }).await.unwrap();
        let (view, _) = follow(&project, &run, |v| v.state.is_final()).await;
        assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
        let brief = &view.steps[1].brief;
        assert!(brief.contains(told), "{brief}");
    }
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_asks_before_it_uses_more_than_it_was_given() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project) = world.open().await;
    let op = || match of_flow("feature", &[AskKind::HandOver]) {
        Op::StartRun { goal, model, approve, deny_asks, flow, priority, .. } => {
            Op::StartRun { goal, model, approve, deny_asks, flow, priority, budget_tokens: Some(400), on: None }
        }
        other => other,
    };
    let run = start(&project, op()).await;
    let mut asked = 0;
    let done = loop {
        let (view, _) = follow(&project, &run, |v| v.state.is_final() || (rests(v) && v.approvals.len() > asked)).await;
        if view.state.is_final() {
            break view;
        }
        let open = view.pending_approval().unwrap();
        let Ask::Budget { spent, limit, more, .. } = open.ask else { panic!("{open:?}") };
        assert!(spent >= limit && more == 400 && limit == 400 * (asked as u64 + 1), "{open:?}");
        settle(&project, &view, Answer::Approve).await.unwrap();
        asked = view.approvals.len();
    };
    assert_eq!(done.state, RunState::Done, "{:?}", done.problem);
    assert!(asked > 0);

    let run = start(&project, op()).await;
    let (view, _) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::WaitsForBudget);
    settle(&project, &view, Answer::Reject).await.unwrap();
    let (view, _) = follow(&project, &run, |v| v.state.is_final()).await;
    let code = view.problem.unwrap().code;
    assert_eq!((view.state, code, code.exit().code()), (RunState::Failed, Code::BudgetReached, 4));
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_without_a_result_is_noticed_once_and_named() {
    let turns: String = (0..5)
        .map(|n| {
            format!(
                "  - when: {{role: business_analyst, turn: {n}}}\n    say: [{{tool: {{name: search, arguments: {{query: word{n}}}}}}}]\n"
            )
        })
        .collect();
    let world = World::playing(short_with(&turns)).await;
    flow_file(&world, "  - {id: specify, kind: agent, role: business_analyst, title: Specify}\n");
    let (workshop, project) = world.open().await;
    let run = start(&project, of_flow("own", &[])).await;
    let (view, events) = follow(&project, &run, |v| v.state.is_final()).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    let noticed: Vec<(u32, String)> = events
        .iter()
        .filter_map(|e| match &e.event {
            Event::StallNoticed { turns, last, .. } => Some((*turns, last.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(noticed, [(2, "the start".to_owned())]);
    assert_eq!(view.stalled, None, "the specification ended it");
    workshop.close().await;
}

/// A branch, files, a task and a process, and then something that cannot be done.
#[tokio::test(flavor = "multi_thread")]
async fn a_flow_that_fails_late_leaves_everything_as_it_was_and_says_why() {
    let world = World::with_script("short.yaml").await;
    flow_file(&world, SAGA);
    let (workshop, project) = world.open().await;
    let board = |state: RunState| {
        let project = project.clone();
        async move {
            let shown = project.submit(Op::ShowObject { object: "board/team".to_owned(), at: None }).await;
            let Ok(Reply::Object(board)) = shown else { panic!("no board when the run is {state:?}: {shown:?}") };
            board.state["tasks"].clone()
        }
    };
    let before = of_the_user(&world);
    let run = start(&project, of_flow("own", &[AskKind::Command, AskKind::HandOver])).await;
    let (view, events) = follow(&project, &run, |v| v.state.is_final()).await;
    let problem = view.problem.clone().unwrap();
    assert_eq!((view.state, problem.code), (RunState::Failed, Code::ChecksFailed), "{problem:?}");
    assert!(problem.message.contains("failed with exit code 3"), "the original problem: {problem:?}");
    assert!(problem.details[0].contains("no such luck"));

    assert_eq!(of_the_user(&world), before, "the user's files, refs and configuration");
    assert!(!git::refs(&world.project()).iter().any(|r| r.contains("heads/atelier")), "no branch is left");
    assert_eq!(board(view.state).await, serde_json::json!({}), "no task is left");
    assert_eq!(view.checkpoint.as_ref().unwrap().files, [], "the run's tree is as its base");

    let undone: Vec<&str> = events
        .iter()
        .filter_map(|e| match &e.event {
            Event::StepUndone { undone, .. } => Some(undone.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(undone, ["sign.1", "up.1", "todo.1", "publish.1", "make.1"], "the last first");
    assert!(
        effects_settled_before_they_count(&events),
        "{:?}",
        events.iter().map(|e| kind(&e.event)).collect::<Vec<_>>()
    );
    let ended = events.iter().filter(
        |e| matches!(&e.event, Event::EffectIntended { effect: Effect::EndProcess { name }, .. } if name == "up"),
    );
    assert_eq!(ended.count(), 1);
    let Some(StepResult::Failed { .. }) = &view.steps.last().unwrap().result else { panic!("{:?}", view.steps.last()) };
    workshop.close().await;
}

/// Every effect of a run is settled before a step that had it counts as undone.
fn effects_settled_before_they_count(events: &[Envelope]) -> bool {
    let mut open: Vec<&str> = Vec::new();
    for event in events {
        match &event.event {
            Event::EffectIntended { key, .. } => open.push(key),
            Event::EffectSettled { key, .. } => match open.iter().position(|k| k == key) {
                Some(at) => drop(open.remove(at)),
                None => return false, // settled before it was intended
            },
            Event::StepUndone { .. } if !open.is_empty() => return false,
            _ => {}
        }
    }
    open.is_empty()
}

/// What stands in the world when an effect is intended, and when it is settled: (effect, then, afterwards).
#[tokio::test(flavor = "multi_thread")]
async fn every_effect_is_intended_before_the_world_changes() {
    let world = World::with_script("short.yaml").await;
    flow_file(&world, SAGA);
    let seen: Arc<Mutex<Vec<(String, bool)>>> = Arc::default();
    let (notes, home, folder) = (seen.clone(), world.home(), world.project());
    let tree_has = move |path: &str| {
        let projects = std::fs::read_dir(home.join("data/trees")).into_iter().flatten().flatten();
        let runs = projects.flat_map(|project| std::fs::read_dir(project.path()).into_iter().flatten().flatten());
        runs.into_iter().any(|run| run.path().join("tree").join(path).exists())
    };
    let has_branch = move || git::refs(&folder).iter().any(|r| r.starts_with("refs/heads/atelier/"));
    let mut options = world.options(steady::sources(1));
    let keys: Mutex<BTreeMap<String, Effect>> = Mutex::default();
    options.witness = Some(Arc::new(move |moment| {
        let Moment::Before(events) = moment else { return };
        for event in events {
            let (when, effect) = match &event.event {
                Event::EffectIntended { key, effect } => {
                    keys.lock().unwrap().insert(key.clone(), effect.clone());
                    ("intended", effect.clone())
                }
                Event::EffectSettled { key, .. } => ("settled", keys.lock().unwrap()[key].clone()),
                _ => continue,
            };
            let stands = match &effect {
                Effect::RunCommand { name, .. } if name == "make" => tree_has("docs/page.md"),
                Effect::HandOver { .. } | Effect::RemoveBranch { .. } => has_branch(),
                Effect::RestoreTree { .. } => tree_has("docs/page.md"),
                _ => continue,
            };
            let name = serde_json::to_value(&effect).unwrap()["effect"].as_str().unwrap().to_owned();
            notes.lock().unwrap().push((format!("{name} {when}"), stands));
        }
    }));
    let workshop = Workshop::open(options).await.unwrap();
    workshop.initialise(&world.project()).await.unwrap();
    let project = workshop.open_project(&world.project()).await.unwrap();
    let run = start(&project, of_flow("own", &[AskKind::Command, AskKind::HandOver])).await;
    follow(&project, &run, |v| v.state.is_final()).await;
    workshop.close().await;
    let seen: Vec<String> = seen.lock().unwrap().iter().map(|(what, stands)| format!("{what}: {stands}")).collect();
    assert_eq!(
        seen,
        [
            "run_command intended: false",
            "run_command settled: true",
            "hand_over intended: false",
            "hand_over settled: true",
            "remove_branch intended: true",
            "remove_branch settled: false",
            "restore_tree intended: true",
            "restore_tree settled: false",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_undone_waits_with_what_is_left_and_is_tried_again() {
    let world = World::with_script("short.yaml").await;
    flow_file(&world, SAGA);
    let (workshop, project) = world.open().await;
    // The user works on the branch before the run fails: it is theirs now.
    let mine = world.project();
    let run = start(&project, of_flow("own", &[AskKind::Command])).await;
    let (view, _) = follow(&project, &run, rests).await;
    let branch = format!("atelier/{run}");
    let approved = settle(&project, &view, Answer::Approve).await;
    assert_eq!(approved, Ok(Reply::Done));
    let taken = {
        let branch = branch.clone();
        tokio::task::spawn_blocking(move || {
            // As soon as it is there, somebody else moves it.
            let repo = git2::Repository::open(&mine).unwrap();
            loop {
                if let Ok(found) = repo.find_reference(&format!("refs/heads/{branch}")) {
                    let main = repo.refname_to_id("refs/heads/main").unwrap();
                    drop(found);
                    repo.reference(&format!("refs/heads/{branch}"), main, true, "moved").unwrap();
                    return;
                }
                std::thread::yield_now();
            }
        })
    };
    taken.await.unwrap();
    let (view, _) = follow(&project, &run, |v| rests(v) && v.compensating.is_some()).await;
    assert_eq!(view.state, RunState::Parked, "{:?}", view.problem);
    let problem = view.problem.unwrap();
    assert!(problem.message.contains("not where the run left it"), "{problem:?}");
    assert_eq!(problem.details, ["not undone yet: publish.1", "not undone yet: make.1"]);

    let repo = git2::Repository::open(world.project()).unwrap();
    repo.find_reference(&format!("refs/heads/{branch}")).unwrap().delete().unwrap();
    project.submit(Op::ResumeRun { run: run.clone() }).await.unwrap();
    let (view, _) = follow(&project, &run, |v| v.state.is_final()).await;
    assert_eq!((view.state, view.problem.unwrap().code), (RunState::Failed, Code::ChecksFailed));
    assert_eq!(view.checkpoint.unwrap().files, []);
    workshop.close().await;
}
