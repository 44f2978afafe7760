//! The main job: a goal becomes a reviewed commit, and nothing of the user's is touched before the accept.

use crate::git;
use atelier_protocol::error::Code;
use atelier_protocol::event::{Answer, Ask, ChecksVerdict, Mechanism};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{Disposition, Item, RunState};
use atelier_tests::World;
use atelier_tests::world::{follow, goal, rests, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_goal_becomes_reviewed_commits_on_the_users_branch() {
    let world = World::with_tour().await;
    let (workshop, project) = world.open().await;
    let before = world.user_state();
    let run = start(&project, goal(false)).await;

    let (view, _) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::WaitsForApproval, "{:?}", view.problem);
    let asked = view.pending_approval().unwrap().clone();
    let Ask::HandOver { files, checks, reviewed, cost, .. } = &asked.ask else { panic!("{:?}", asked.ask) };
    let paths: Vec<&str> = files.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(paths, ["README.md", "greet.sh", "tests/run.sh"]);
    assert_eq!((*checks, *reviewed), (ChecksVerdict::Passed, true));
    assert!(cost.calls >= 8 && cost.prompt_tokens > Some(0) && cost.micros == Some(0), "{cost:?}");
    insta::assert_snapshot!(story(&view), @r"
    specify.1 by business_analyst
      turn, read greet.sh, read tests/run.sh
      turn, deliver the specification
    build.1 by developer
      turn, read greet.sh, read tests/run.sh
      turn, edit greet.sh, edit tests/run.sh, run check test: failed with exit code 1
      turn, edit greet.sh
      turn, run check test: passed
      turn
    check.1
    verify.1 by qa_tester
      turn, read the diff: 2 files
      turn, deliver the review
      sent back
    build.2 by developer
      turn, read README.md
      turn, edit README.md
      turn
    check.2
      check test passed
    verify.2 by qa_tester
      turn, read the diff: 3 files
      turn, deliver the review
    approve.1
      asked
    ");

    let keep_ref = format!("refs/atelier/base/{run}");
    let mut touched = world.user_state();
    touched.retain(|path, _| !path.contains("refs/atelier") && path != ".git/refs/atelier/");
    assert!(git::refs(&world.project()).iter().any(|r| r.starts_with(&keep_ref)), "gc could drop the base");
    assert_eq!(touched, before, "the user's files, index, HEAD and refs are as they were");

    let answer = Op::SettleApproval { approval: asked.id, answer: Answer::Approve, note: String::new() };
    assert_eq!(project.submit(answer).await, Ok(Reply::Done));
    let (view, _) = follow(&project, &run, |v| v.state.is_final()).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    let branch = view.branch.clone().unwrap();
    assert_eq!(branch, format!("atelier/{run}"));
    assert_eq!(git::tree(&world.project(), &branch), view.checkpoint.as_ref().unwrap().tree);
    let kept: std::collections::BTreeMap<_, _> =
        world.user_state().into_iter().filter(|(path, _)| !path.contains("atelier")).collect();
    assert_eq!(
        kept,
        before.into_iter().filter(|(path, _)| !path.contains("atelier")).collect(),
        "hand-over only adds a branch"
    );

    let Ok(Reply::Diff(diff)) = project.submit(Op::ShowDiff { run: run.clone() }).await else { panic!("no diff") };
    assert_eq!(diff.files.len(), 3);
    assert!(diff.files.iter().all(|f| !f.hunks.is_empty()));

    let accepted = project.submit(Op::AcceptRun { run: run.clone(), how: Default::default() }).await.unwrap();
    let Reply::Accepted { branch: onto, commit, .. } = accepted else { panic!("{accepted:?}") };
    assert_eq!(onto, "main");
    assert_eq!(
        git::log(&world.project(), "main"),
        [
            "docs: describe greet several people in one line",
            "test: cover greet several people in one line",
            "feat: greet several people in one line",
            "chore: first commit",
        ]
        .map(str::to_owned),
    );
    assert!(git::is_clean(&world.project()));
    let greeted = std::fs::read_to_string(world.project().join("greet.sh")).unwrap();
    assert!(greeted.contains("set -- world"), "{greeted}");

    let (view, _) = follow(&project, &run, |v| v.disposition != Disposition::Pending).await;
    assert_eq!(view.disposition, Disposition::Accepted { commit });
    let again = project.submit(Op::AcceptRun { run, how: Default::default() }).await.unwrap_err();
    assert_eq!(again.code, Code::WrongState);
    assert_eq!(world.stage.unmatched(), [], "every question of the roles was foreseen");
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn discarding_leaves_everything_as_it_was() {
    let world = World::with_tour().await;
    let (workshop, project) = world.open().await;
    std::fs::write(world.project().join("notes.txt"), "mine, not committed\n").unwrap();
    let before = world.user_state();
    let run = start(&project, goal(true)).await;
    let (view, _) = follow(&project, &run, |v| v.state.is_final()).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    assert_ne!(world.user_state(), before, "the branch is there");
    assert_eq!(project.submit(Op::DiscardRun { run: run.clone(), anyway: false }).await, Ok(Reply::Done));
    assert_eq!(world.user_state(), before);
    let (view, _) = follow(&project, &run, |v| v.disposition != Disposition::Pending).await;
    assert_eq!(view.disposition, Disposition::Discarded);
    assert_eq!(
        project.submit(Op::AcceptRun { run, how: Default::default() }).await.unwrap_err().code,
        Code::WrongState
    );
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_hand_over_publishes_nothing() {
    let world = World::with_tour().await;
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(false)).await;
    let (view, _) = follow(&project, &run, rests).await;
    let approval = view.pending_approval().unwrap().id.clone();
    let no =
        Op::SettleApproval { approval: approval.clone(), answer: Answer::Reject, note: "not like this".to_owned() };
    project.submit(no.clone()).await.unwrap();
    let (view, _) = follow(&project, &run, |v| v.state.is_final()).await;
    assert_eq!(view.state, RunState::Cancelled);
    assert_eq!(view.problem.as_ref().unwrap().code, Code::Rejected);
    assert!(view.problem.unwrap().message.contains("not like this"));
    assert!(!git::refs(&world.project()).iter().any(|r| r.contains("heads/atelier")));
    assert_eq!(project.submit(no).await.unwrap_err().code, Code::UnknownApproval, "an answer counts once");
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_run_ends_at_once_and_can_be_discarded() {
    let world = World::with_script("stalls.yaml").await;
    let (workshop, project) = world.open().await;
    let before = world.user_state();
    let run = start(&project, goal(true)).await;
    follow(&project, &run, |v| v.cost.calls == 1).await;
    assert_eq!(project.submit(Op::CancelRun { run: run.clone() }).await, Ok(Reply::Done));
    let (view, _) = follow(&project, &run, |v| v.state.is_final()).await;
    assert_eq!((view.state, view.problem.unwrap().code), (RunState::Cancelled, Code::Cancelled));
    project.submit(Op::DiscardRun { run, anyway: false }).await.unwrap();
    assert_eq!(world.user_state(), before);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_are_recorded_with_what_confined_them() {
    let world = World::with_tour().await;
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(true)).await;
    let (view, _) = follow(&project, &run, |v| v.state.is_final()).await;
    let exits: Vec<Option<i32>> = view.checks.iter().map(|c| c.exit_code).collect();
    assert_eq!(exits, [Some(1), Some(0), Some(0)], "the failed try is evidence too");
    assert!(view.checks.iter().all(|c| c.mechanism != Mechanism::None));
    assert_eq!(view.checks.last().unwrap().tree, view.checkpoint.unwrap().tree, "done needs a check of the last tree");
    workshop.close().await;
}

/// The steps with what was done in them, a line a turn.
fn story(view: &atelier_protocol::view::RunView) -> String {
    let mut text = String::new();
    for step in &view.steps {
        match &step.role {
            Some(role) => text.push_str(&format!("{} by {role}", step.id)),
            None => text.push_str(step.id.as_str()),
        }
        for item in &step.items {
            match item {
                Item::Turn { .. } => text.push_str("\n  turn"),
                Item::Tool { line, .. } => text.push_str(&format!(", {}", line.as_deref().unwrap_or("open"))),
                Item::Checked { index } => {
                    let check = &view.checks[*index as usize];
                    if step.role.is_none() {
                        let how = if check.passed() { "passed" } else { "failed" };
                        text.push_str(&format!("\n  check {} {how}", check.name));
                    }
                }
                Item::Asked { .. } => text.push_str("\n  asked"),
                Item::Corrected { .. } => text.push_str("\n  corrected"),
                Item::Called { .. } => text.push_str("\n  called"),
                Item::Resumed { .. } => text.push_str("\n  resumed"),
                Item::Held { hold, .. } => text.push_str(&format!("\n  held {hold:?}")),
                Item::Compacted { compaction } => text.push_str(&format!("\n  left out {}", compaction.left_out.len())),
                Item::Summarised { summary } => text.push_str(&format!("\n  summed up {}", summary.parts.len())),
                Item::Mismatched { mismatch, .. } => text.push_str(&format!("\n  mismatch {:?}", mismatch.kind)),
            }
        }
        if matches!(step.result, Some(atelier_protocol::event::StepResult::SentBack { .. })) {
            text.push_str("\n  sent back");
        }
        text.push('\n');
    }
    text
}
