//! What a run did is taken back and done again through every door, with a preview that is kept, and a crash in the middle
//! loses nothing.
//!
//! Guards: every operation says what it changed and is undone by an operation; the user's own work is never part of it.
//! Turns red, for example, when `OperationUndone` no longer sets the disposition, or when `prove` is left out of the
//! question before hand-over.

use crate::git;
use crate::limits::{played, put, settle};
use atelier_engine::Project;
use atelier_protocol::error::Code;
use atelier_protocol::event::{Answer, Change, Comment, Event, OperationKind, OperationView, UndoPreview};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{Disposition, RunState, RunView};
use atelier_protocol::{Problem, RunId};
use atelier_tests::World;
use atelier_tests::world::{follow, goal, rests, start};

async fn operations(project: &Project, op: Op) -> Result<Vec<OperationView>, Problem> {
    match project.submit(op).await? {
        Reply::Operations(all) => Ok(all),
        other => panic!("{other:?}"),
    }
}

async fn list(project: &Project) -> Vec<OperationView> {
    operations(project, Op::ListOperations { run: None, limit: 100 }).await.unwrap()
}

/// The newest operation of a kind that is in force.
async fn newest(project: &Project, kind: OperationKind) -> OperationView {
    let found = list(project).await.into_iter().find(|op| op.kind == kind && op.undone_by.is_none());
    found.unwrap_or_else(|| panic!("no {kind:?}"))
}

/// Takes an operation back after looking at what would change, and gives the files it named.
async fn undo(project: &Project, op: &OperationView) -> Result<(OperationView, Vec<String>), Problem> {
    let shown = operations(project, Op::ShowOperation { operation: op.operation }).await?.remove(0);
    let files = match shown.preview.unwrap() {
        UndoPreview::Possible { files, .. } => files.into_iter().map(|file| file.path).collect(),
        UndoPreview::Refused { problem } => return Err(problem),
    };
    let done = operations(project, Op::UndoOperation { operation: op.operation }).await?.remove(0);
    assert_eq!(done.undoes, Some(op.operation));
    Ok((done, files))
}

async fn view(project: &Project, run: &RunId) -> RunView {
    match project.submit(Op::ShowRun { run: run.clone(), at: None }).await.unwrap() {
        Reply::RunView(view) => *view,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accept_hand_over_and_steps_are_taken_back_one_after_the_other_and_done_again() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project, RunView { id: run, .. }) = played(&world).await;
    put(&world, "mine.txt", "never committed\n");
    let before = (git::refs(&world.project()), world.user_state().get("greet.sh").cloned());
    project.submit(Op::AcceptRun { run: run.clone(), how: Default::default() }).await.unwrap();

    let accepted = newest(&project, OperationKind::Accept).await;
    let (taken, files) = undo(&project, &accepted).await.unwrap();
    assert!(files.contains(&"greet.sh".to_owned()) && !files.contains(&"mine.txt".to_owned()), "{files:?}");
    assert_eq!(view(&project, &run).await.disposition, Disposition::Pending);
    assert_eq!(world.user_state().get("greet.sh").cloned(), before.1, "to the byte");
    assert!(git::refs(&world.project()).iter().all(|r| before.0.contains(r)), "the branch is where it was");
    let (redone, _) = undo(&project, &taken).await.unwrap();
    assert!(matches!(view(&project, &run).await.disposition, Disposition::Accepted { .. }));
    assert_eq!(std::fs::read_to_string(world.project().join("mine.txt")).unwrap(), "never committed\n");

    // While it is on the branch nothing below can be taken back, and each refusal says what to do first.
    let step = newest(&project, OperationKind::Step).await;
    let refused = undo(&project, &step).await.unwrap_err();
    assert_eq!((refused.code, refused.hint.contains("runs undo")), (Code::WrongState, true), "{refused:?}");
    undo(&project, &redone).await.unwrap();
    let published = newest(&project, OperationKind::HandOver).await;
    let (again, _) = undo(&project, &published).await.unwrap();
    assert_eq!(view(&project, &run).await.branch, None);
    assert!(git::refs(&world.project()).iter().all(|r| !r.contains("heads/atelier")));
    undo(&project, &again).await.unwrap();
    assert!(view(&project, &run).await.branch.is_some());
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_run_comes_back_and_can_be_accepted() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project, RunView { id: run, .. }) = played(&world).await;
    project.submit(Op::DiscardRun { run: run.clone(), anyway: false }).await.unwrap();
    let discarded = newest(&project, OperationKind::Discard).await;
    undo(&project, &discarded).await.unwrap();
    assert_eq!(view(&project, &run).await.disposition, Disposition::Pending);
    project.submit(Op::AcceptRun { run: run.clone(), how: Default::default() }).await.unwrap();
    assert!(git::is_clean(&world.project()));
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_taken_back_before_the_hand_over_is_checked_and_asked_about_anew() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(false)).await;
    let (waiting, _) = follow(&project, &run, rests).await;
    assert_eq!(waiting.state, RunState::WaitsForApproval, "{:?}", waiting.problem);
    let step = newest(&project, OperationKind::Step).await;
    assert!(matches!(step.change, Change::Tree { .. }));
    let (taken, files) = undo(&project, &step).await.unwrap();
    assert!(!files.is_empty());
    undo(&project, &taken).await.unwrap();
    let now = view(&project, &run).await;
    assert_eq!(
        now.checkpoint.map(|c| c.tree),
        waiting.checkpoint.clone().map(|c| c.tree),
        "done again, it is the same tree"
    );
    settle(&project, &waiting, Answer::Approve).await.unwrap();
    let (done, _) = follow(&project, &run, |v| v.state.is_final()).await;
    assert_eq!(done.state, RunState::Done, "{:?}", done.problem);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn remarks_go_back_to_the_author_with_the_lines_they_are_about() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(false)).await;
    let (waiting, _) = follow(&project, &run, rests).await;
    let path = waiting.checkpoint.as_ref().unwrap().files[0].path.clone();
    let comment = |text: &str| Op::CommentRun {
        run: run.clone(),
        comment: Comment { path: path.clone(), quote: Vec::new(), line: 1, text: text.to_owned() },
    };
    assert_eq!(project.submit(comment(" ")).await.unwrap_err().code, Code::BadArgument);
    project.submit(comment("Say who is greeted.")).await.unwrap();
    settle(&project, &waiting, Answer::Reject).await.unwrap();
    let (_, events) =
        follow(&project, &run, |v| v.state.is_final() || v.steps.iter().any(|s| s.id.to_string() == "build.2")).await;
    let brief = events.iter().find_map(|e| match &e.event {
        Event::StepStarted { brief, .. } if e.step.as_ref().is_some_and(|s| s.to_string() == "build.2") => Some(brief),
        _ => None,
    });
    assert!(brief.unwrap().contains("Say who is greeted."), "the author is told");
    workshop.close().await;
}
