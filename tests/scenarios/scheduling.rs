//! Many runs, few slots: who may be at work, in which order, and what one run's misfortune does to the others.
//!
//! Guards: runs at work are bounded and fair; a run that waits for the user holds no slot; a defect in one run is its own;
//! the queue is in the history, so the next owner goes on with it.
//! Turns red, for example, when a run's task keeps its slot while a question is open, or when the owner forgets who was in
//! the queue.

use atelier_engine::{Moment, Project, Workshop};
use atelier_protocol::Code;
use atelier_protocol::event::{Actor, Answer, Envelope, Event, Priority};
use atelier_protocol::ids::{RunId, Seq};
use atelier_protocol::op::{Frame, Op, Reply};
use atelier_protocol::settings::Settings;
use atelier_protocol::view::{RunState, RunSummary, RunView};
use atelier_tests::world::{PATIENCE, follow, goal, kinds, rests, start};
use atelier_tests::{World, steady};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A workshop in which so many runs may be at work.
async fn workshop_with_slots(world: &World, slots: u32) -> (Workshop, Project) {
    let mut options = world.options(steady::sources(1));
    options.attends = true;
    let workshop = Workshop::open(options).await.unwrap();
    if !world.project().join(".git").exists() {
        workshop.initialise(&world.project()).await.unwrap();
    }
    let Ok(Reply::Settings(settings)) = workshop.submit(Op::ShowSettings).await else { panic!("no settings") };
    let settings = Settings { active_runs: slots, providers: Settings::default().providers, ..settings };
    workshop.submit(Op::ChangeSettings { settings }).await.unwrap();
    let project = workshop.open_project(&world.project()).await.unwrap();
    (workshop, project)
}

fn urgent(urgency: Priority) -> Op {
    let Op::StartRun { goal, model, approve, deny_asks, flow, budget_tokens, .. } = goal(false) else {
        panic!("a goal starts a run")
    };
    Op::StartRun { goal, model, approve, deny_asks, flow, priority: urgency, budget_tokens, on: None }
}

async fn list(project: &Project) -> Vec<RunSummary> {
    match project.submit(Op::ListRuns { states: Vec::new(), limit: None }).await {
        Ok(Reply::Runs(runs)) => runs,
        other => panic!("no list: {other:?}"),
    }
}

/// Follows the project until every run is where `there` says.
async fn all_of(project: &Project, there: impl Fn(RunState) -> bool) -> Vec<Envelope> {
    let mut frames = project.follow(Seq::ZERO);
    let (mut events, mut views): (Vec<Envelope>, BTreeMap<RunId, RunView>) = Default::default();
    let watched = async {
        let mut live = false;
        while let Some(frame) = frames.recv().await {
            match frame {
                Frame::CaughtUp(_) => live = true,
                Frame::Event(event) => {
                    if let Some(run) = event.run.clone() {
                        match views.get_mut(&run) {
                            Some(view) => view.apply(&event),
                            None => drop(RunView::start(&event).map(|view| views.insert(run, view))),
                        }
                    }
                    events.push(*event);
                }
                _ => {}
            }
            if live && views.values().all(|view| there(view.state)) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, watched).await.unwrap_or_else(|_| {
        let states: Vec<_> = views.iter().map(|(run, view)| (run, view.state, &view.problem)).collect();
        panic!("not all came there: {states:?}")
    });
    events
}

/// The most runs in which a role was at work at the same time, by what is recorded.
fn most_at_work(events: &[Envelope]) -> usize {
    let (mut views, mut most): (BTreeMap<RunId, RunView>, usize) = Default::default();
    for event in events {
        let Some(run) = &event.run else { continue };
        match views.get_mut(run) {
            Some(view) => view.apply(event),
            None => drop(RunView::start(event).map(|view| views.insert(run.clone(), view))),
        }
        let works =
            |view: &&RunView| view.steps.last().is_some_and(|step| step.role.is_some() && step.result.is_none());
        most = most.max(views.values().filter(works).count());
    }
    most
}

fn began(events: &[Envelope]) -> Vec<RunId> {
    let mut seen = BTreeSet::new();
    let steps = events.iter().filter(|event| matches!(event.event, Event::StepStarted { .. }));
    steps.filter_map(|event| event.run.clone()).filter(|run| seen.insert(run.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn more_runs_than_slots_take_turns_by_urgency_and_all_come_to_their_question() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project) = workshop_with_slots(&world, 1).await;
    let first = start(&project, urgent(Priority::Normal)).await;
    let low = start(&project, urgent(Priority::Low)).await;
    let normal = start(&project, urgent(Priority::Normal)).await;
    let high = start(&project, urgent(Priority::High)).await;
    let events = all_of(&project, |state| state == RunState::WaitsForApproval).await;
    assert_eq!(most_at_work(&events), 1);
    assert_eq!(began(&events), [first, high.clone(), normal, low.clone()]);
    let of = |run: &RunId| events.iter().filter(|e| e.run.as_ref() == Some(run)).cloned().collect::<Vec<_>>();
    let told = kinds(&of(&low));
    assert_eq!(told[..4], ["run_started", "slot_awaited", "slot_given", "step_started"], "{told:?}");
    let Event::SlotAwaited { ahead } = of(&high)[1].event else { panic!("{told:?}") };
    assert_eq!(ahead, 0, "the urgent one goes before those that came earlier");

    // The question held no slot: answered, the run goes on at once.
    let Ok(Reply::Approvals(open)) = project.submit(Op::ListApprovals).await else { panic!("no questions") };
    assert_eq!(open.len(), 4);
    assert!(list(&project).await.iter().all(|run| run.questions == 1));
    for question in open {
        let settle = Op::SettleApproval { approval: question.id, answer: Answer::Approve, note: String::new() };
        project.submit(settle).await.unwrap();
    }
    let events = all_of(&project, |state| state == RunState::Done).await;
    assert_eq!(most_at_work(&events), 1);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_defect_in_one_run_parks_it_and_the_others_go_on() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project) = world.open().await;
    workshop.close().await;
    drop(project);
    let mut options = world.options(steady::sources(2));
    // The first run that asks a model meets a defect, once.
    let met = std::sync::Mutex::new(None);
    options.witness = Some(Arc::new(move |moment| {
        let Moment::Before(events) = moment else { return };
        let asked = events.iter().find(|event| matches!(event.event, Event::CallStarted { .. }));
        let Some(run) = asked.and_then(|event| event.run.clone()) else { return };
        let mut met = met.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if met.is_none() {
            *met = Some(run);
            drop(met);
            panic!("a defect of this test");
        }
    }));
    let workshop = Workshop::open(options).await.unwrap();
    let project = workshop.open_project(&world.project()).await.unwrap();
    let struck = start(&project, goal(false)).await;
    let (view, _) = follow(&project, &struck, rests).await;
    assert_eq!(view.state, RunState::Parked);
    let problem = view.problem.unwrap();
    assert_eq!((problem.code, problem.details), (Code::Internal, vec!["a defect of this test".to_owned()]));

    let other = start(&project, goal(false)).await;
    let (view, _) = follow(&project, &other, rests).await;
    assert_eq!(view.state, RunState::WaitsForApproval, "{:?}", view.problem);
    project.submit(Op::ResumeRun { run: struck.clone() }).await.unwrap();
    let (view, _) = follow(&project, &struck, |v| v.state == RunState::WaitsForApproval).await;
    assert_eq!(view.notices, []);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_in_the_queue_goes_on_with_the_next_owner_in_the_same_order() {
    let world = World::with_script("stalls.yaml").await;
    let (workshop, project) = workshop_with_slots(&world, 1).await;
    let stuck = start(&project, urgent(Priority::Normal)).await;
    let mut queued = Vec::new();
    for _ in 0..3 {
        queued.push(start(&project, urgent(Priority::Normal)).await);
    }
    let waits = |state: RunState| state == RunState::WaitsForSlot;
    assert_eq!(list(&project).await.iter().filter(|run| waits(run.state)).count(), 3);
    workshop.close().await;

    let (workshop, project) = workshop_with_slots(&world, 1).await;
    let states: BTreeMap<RunId, RunState> = list(&project).await.into_iter().map(|run| (run.id, run.state)).collect();
    assert_eq!(states[&stuck], RunState::Interrupted, "who was at work waits for the user to look");
    let mut frames = project.follow(Seq::ZERO);
    let mut given = Vec::new();
    let watched = async {
        while let Some(frame) = frames.recv().await {
            if let Frame::Event(event) = frame
                && matches!(event.event, Event::SlotGiven {})
            {
                let run = event.run.clone().unwrap();
                given.push(run.clone());
                project.submit(Op::CancelRun { run }).await.unwrap();
                if given.len() == 3 {
                    return;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, watched).await.unwrap();
    assert_eq!(given, queued);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_the_queue_can_be_stopped_and_never_begins() {
    let world = World::with_script("stalls.yaml").await;
    let (workshop, project) = workshop_with_slots(&world, 1).await;
    let stuck = start(&project, goal(false)).await;
    let queued = start(&project, goal(false)).await;
    project.submit(Op::CancelRun { run: queued.clone() }).await.unwrap();
    project.submit(Op::CancelRun { run: stuck.clone() }).await.unwrap();
    let (view, events) = follow(&project, &queued, |v| v.state.is_final()).await;
    assert_eq!(view.state, RunState::Cancelled);
    assert_eq!(kinds(&events), ["run_started", "slot_awaited", "run_finished"]);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_a_no_for_every_run_that_waits() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project) = workshop_with_slots(&world, 4).await;
    let Ok(Reply::Settings(settings)) = workshop.submit(Op::ShowSettings).await else { panic!("no settings") };
    let settings =
        Settings { approval_timeout_ms: 3_000, providers: Settings::default().providers, model: None, ..settings };
    workshop.submit(Op::ChangeSettings { settings }).await.unwrap();
    for _ in 0..3 {
        start(&project, goal(false)).await;
    }
    let events = all_of(&project, |state| state == RunState::Cancelled).await;
    let timed_out = |event: &&Envelope| matches!(event.event, Event::ApprovalSettled { by: Actor::Timeout, .. });
    assert_eq!(events.iter().filter(timed_out).count(), 3);
    workshop.close().await;
}
