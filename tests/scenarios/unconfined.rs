//! Where nothing can confine a command, each one is asked for, and the answer counts once.

use atelier_engine::{Project, Workshop};
use atelier_protocol::event::{Answer, Ask, Mechanism};
use atelier_protocol::op::Op;
use atelier_protocol::view::RunState;
use atelier_sandbox::Sandbox;
use atelier_tests::world::{follow, goal, rests, start};
use atelier_tests::{World, steady};

#[tokio::test(flavor = "multi_thread")]
async fn each_unconfined_command_is_asked_for() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project) = unconfined(&world).await;
    let run = start(&project, goal(false)).await;
    let mut asked = Vec::new();
    loop {
        let count = asked.len();
        let (view, _) = follow(&project, &run, |v| v.state.is_final() || (rests(v) && v.approvals.len() > count)).await;
        if view.state.is_final() {
            assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
            assert!(view.checks.iter().all(|c| c.mechanism == Mechanism::None && c.passed()));
            break;
        }
        let approval = view.pending_approval().unwrap();
        asked.push(match &approval.ask {
            Ask::Command { argv, .. } => argv.join(" "),
            other => format!("{:?}", other.kind()),
        });
        let answer = Op::SettleApproval { approval: approval.id.clone(), answer: Answer::Approve, note: String::new() };
        project.submit(answer).await.unwrap();
    }
    assert_eq!(asked, ["sh tests/run.sh", "HandOver"], "one command ran on the final tree, so one was asked for");
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_command_never_runs() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project) = unconfined(&world).await;
    let run = start(&project, goal(true)).await;
    let mut refused = 0;
    loop {
        let (view, _) =
            follow(&project, &run, |v| v.state.is_final() || (rests(v) && v.approvals.len() > refused)).await;
        if view.state.is_final() {
            assert_eq!(view.state, RunState::Failed);
            assert_eq!(view.problem.unwrap().code, atelier_protocol::Code::Rejected);
            assert!(view.checks.is_empty());
            break;
        }
        let approval = view.pending_approval().unwrap().id.clone();
        project.submit(Op::SettleApproval { approval, answer: Answer::Reject, note: String::new() }).await.unwrap();
        refused += 1;
    }
    assert_eq!(refused, 2, "once for the role's own call, once for the check step");
    workshop.close().await;
}

/// The world's project where nothing confines commands.
async fn unconfined(world: &World) -> (Workshop, Project) {
    let mut options = world.options(steady::sources(1));
    options.sandbox = Some(Sandbox::with(Mechanism::None));
    let workshop = Workshop::open(options).await.unwrap();
    workshop.initialise(&world.project()).await.unwrap();
    let project = workshop.open_project(&world.project()).await.unwrap();
    (workshop, project)
}
