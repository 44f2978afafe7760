//! How a run chooses models, what it does when one fails, what its calls may use: told by its history.
//!
//! Guards: one logical outcome across attempts; no model is changed within a turn; a limit asks before it is passed; a
//! choice can be made again from its record. Turns red, for example, when a failed call no longer names the next model
//! in its place, or when a budget's node is looked at after the call was recorded.

use crate::limits::{played, settle, short_with};
use atelier_protocol::error::Code;
use atelier_protocol::event::{Answer, Ask, BudgetLimits, BudgetNode, BudgetUnit, Event, FailureClass, Hold};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::RunState;
use atelier_tests::World;
use atelier_tests::world::{follow, goal, rests, start};

#[tokio::test(flavor = "multi_thread")]
async fn every_choice_is_recorded_with_its_candidates_and_comes_out_the_same_again() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project, view) = played(&world).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    let routes = project.submit(Op::ListRoutes { run: Some(view.id.clone()), limit: 100 }).await.unwrap();
    let Reply::Routes(entries) = routes else { panic!("{routes:?}") };
    let roles: Vec<_> = entries.iter().map(|entry| entry.decision.inputs.role.clone().unwrap().to_string()).collect();
    let steps = view.steps.iter().filter_map(|step| step.role.clone()).map(|role| role.to_string());
    assert_eq!(roles, steps.collect::<Vec<_>>(), "each role chooses once");
    assert!(entries.iter().all(|entry| entry.replays && !entry.decision.alternatives.is_empty()));
    let contexts: std::collections::BTreeSet<_> =
        entries.iter().map(|entry| entry.decision.route.as_ref().unwrap().context).collect();
    assert_eq!(contexts.len(), 1, "one context length a model and session: {contexts:?}");
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_asked_again_after_a_visible_wait() {
    let turns =
        "  - when: {role: business_analyst}\n    say: [{fault: {kind: refuse, status: 503, error: busy, times: 2}}]";
    let world = World::playing(short_with(turns)).await;
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(true)).await;
    let (view, events) = follow(&project, &run, rests).await;
    let story: Vec<String> = events
        .iter()
        .filter_map(|event| match &event.event {
            Event::CallStarted { attempt, .. } => Some(format!("attempt {attempt}")),
            Event::CallFailed { class, .. } => Some(format!("failed {class:?}")),
            Event::CallHeld { hold: Hold::Backoff { attempt }, .. } => Some(format!("waits for attempt {attempt}")),
            _ => None,
        })
        .take(6)
        .collect();
    assert_eq!(
        story,
        [
            "attempt 1",
            "failed Some(RetrySame)",
            "waits for attempt 2",
            "attempt 2",
            "failed Some(RetrySame)",
            "waits for attempt 3"
        ],
        "{:?}",
        view.problem
    );
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_other_model_may_take_its_place_the_run_rests_with_what_failed() {
    let turns = "  - when: {role: business_analyst}\n    say: [{fault: {kind: refuse, status: 402, error: no credit}}]";
    let world = World::playing(short_with(turns)).await;
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(true)).await;
    let (view, events) = follow(&project, &run, rests).await;
    assert_eq!((view.state, view.problem.unwrap().code), (RunState::Parked, Code::AccountExhausted));
    let classes = events.iter().filter_map(|event| match &event.event {
        Event::CallFailed { class, .. } => *class,
        _ => None,
    });
    assert_eq!(classes.collect::<Vec<_>>(), [FailureClass::FailOver]);
    let last = events.iter().rev().find_map(|event| match &event.event {
        Event::RouteDecided { decision } => Some(decision.clone()),
        _ => None,
    });
    assert_eq!(last.unwrap().route, None, "that nothing was left is recorded");
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_project_asks_before_it_is_passed_and_a_no_ends_the_run() {
    for (answer, state) in [(Answer::Approve, RunState::Done), (Answer::Reject, RunState::Failed)] {
        let world = World::with_script("short.yaml").await;
        let (workshop, project) = world.open().await;
        let limits = BudgetLimits { tokens: Some(100), ..BudgetLimits::default() };
        project.submit(Op::SetBudget { node: BudgetNode::Project, limits }).await.unwrap();
        let run = start(&project, goal(true)).await;
        let (mut view, _) = follow(&project, &run, rests).await;
        assert_eq!(view.state, RunState::WaitsForBudget, "{:?}", view.problem);
        assert_eq!(world.stage.chats().len(), 0, "nothing is asked before");
        while view.state == RunState::WaitsForBudget {
            let Ask::Budget { node, unit, limit, .. } = view.pending_approval().unwrap().ask.clone() else { panic!() };
            assert_eq!((node, unit), (Some(BudgetNode::Project), BudgetUnit::Tokens));
            assert!(limit >= 100);
            settle(&project, &view, answer).await.unwrap();
            project.submit(Op::ResumeRun { run: run.clone() }).await.ok();
            (view, _) = follow(&project, &run, rests).await;
        }
        assert_eq!(view.state, state, "{:?}", view.problem);
        if answer == Answer::Reject {
            assert_eq!(view.problem.unwrap().code, Code::BudgetReached);
        }
        let Reply::Budget { nodes, .. } = project.submit(Op::ShowBudget { run: Some(run) }).await.unwrap() else {
            panic!()
        };
        assert_eq!(nodes[0].spent.tokens, nodes[1].spent.tokens, "one goal is all of the project");
        assert_eq!(nodes[0].reserved.tokens, 0, "everything is settled");
        workshop.close().await;
    }
}
