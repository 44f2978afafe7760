//! A run stands on another one that waits for its review, follows it, and comes to the branch after it.
//!
//! Guards: the upper run is at any time what the lower is now with its own changes; it never comes to the branch before the
//! lower, and nothing of the lower comes twice. Turns red, for example, when `AcceptRun` no longer has the upper follow,
//! when `may_be_accepted` is left out, or when a run's own task waits for who decides on it.

use crate::git;
use crate::limits::settle;
use atelier_engine::{Moment, Project, Witness, Workshop};
use atelier_protocol::RunId;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{AcceptMode, Acceptance, Answer, Envelope, Event, OperationKind, Resolution, Take};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{Disposition, RunState, RunView};
use atelier_tests::world::{PATIENCE, follow, goal, on_top, rests, start};
use atelier_tests::{Cli, World, steady};
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

async fn view(project: &Project, run: &RunId) -> RunView {
    match project.submit(Op::ShowRun { run: run.clone(), at: None }).await.unwrap() {
        Reply::RunView(view) => *view,
        other => panic!("{other:?}"),
    }
}

/// The runs that the list says could not follow.
async fn behind(project: &Project) -> Vec<RunId> {
    match project.submit(Op::ListRuns { states: Vec::new(), limit: None }).await.unwrap() {
        Reply::Runs(runs) => runs.into_iter().filter(|run| run.behind).map(|run| run.id).collect(),
        other => panic!("{other:?}"),
    }
}

/// Two runs that wait for their reviews, the second on top of the first.
async fn stacked(world: &World) -> (Workshop, Project, RunView, RunView) {
    let (workshop, project) = world.open().await;
    let (lower, upper) = stacked_in(&project).await;
    (workshop, project, lower, upper)
}

async fn stacked_in(project: &Project) -> (RunView, RunView) {
    let lower = start(project, goal(false)).await;
    let (lower, _) = follow(project, &lower, rests).await;
    assert_eq!(lower.state, RunState::WaitsForApproval, "{:?}", lower.problem);
    let upper = start(project, on_top(&lower.id, "Say goodbye too.")).await;
    let (upper, _) = follow(project, &upper, rests).await;
    assert_eq!(upper.state, RunState::WaitsForApproval, "{:?}", upper.problem);
    (lower, upper)
}

/// Answers the hand-over yes, and follows to the end.
async fn handed_over(project: &Project, run: &RunId) -> RunView {
    let mut now = view(project, run).await;
    while !now.state.is_final() {
        settle(project, &now, Answer::Approve).await.unwrap();
        let asked = now.approvals.len();
        now = follow(project, run, |v| v.state.is_final() || (rests(v) && v.approvals.len() > asked)).await.0;
    }
    assert_eq!(now.state, RunState::Done, "{:?}", now.problem);
    now
}

fn tree_of(world: &World, run: &RunId) -> PathBuf {
    let trees = std::fs::read_dir(world.home().join("data/trees")).unwrap();
    let mut found = trees.map(|project| project.unwrap().path().join(run.as_str()).join("tree"));
    found.find(|tree| tree.exists()).unwrap()
}

async fn undo_newest(project: &Project, run: &RunId) {
    let list = Op::ListOperations { run: Some(run.clone()), limit: 100 };
    let Reply::Operations(all) = project.submit(list).await.unwrap() else { panic!() };
    let newest = all.into_iter().find(|op| op.undone_by.is_none() && op.kind != OperationKind::Undo).unwrap();
    project.submit(Op::UndoOperation { operation: newest.operation }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upper_run_begins_with_the_lower_and_comes_after_it_without_its_changes_twice() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project, lower, upper) = stacked(&world).await;
    let of = |view: &RunView| {
        let files = &view.checkpoint.as_ref().unwrap().files;
        files.iter().map(|file| file.path.clone()).collect::<Vec<_>>()
    };
    assert_eq!(of(&upper), ["docs/goodbye.md"], "its own changes alone");
    assert_eq!(upper.on.as_ref().map(|on| (&on.run, on.paths.clone())), Some((&lower.id, of(&lower))));
    assert!(tree_of(&world, &upper.id).join("docs/manners.md").exists(), "what the lower made is there");
    assert!(git::refs(&world.project()).iter().all(|r| !r.contains("heads/atelier")), "nothing is published yet");

    let upper = handed_over(&project, &upper.id).await;
    let accept = |how: Acceptance| Op::AcceptRun { run: upper.id.clone(), how };
    let refused = project.submit(accept(Acceptance::default())).await.unwrap_err();
    assert_eq!(refused.code, Code::WrongState);
    assert!(refused.message.contains(lower.id.as_str()), "{refused}");
    let lower = handed_over(&project, &lower.id).await;
    let published = lower.commits.last().unwrap().id.clone();
    follow(&project, &upper.id, |v| v.base.commit == published).await;
    let refused = project.submit(accept(Acceptance::default())).await.unwrap_err();
    assert!(refused.hint.contains("--with-base"), "{refused:?}");

    let both = Acceptance { way: Some(AcceptMode::Squash), with_base: true, ..Acceptance::default() };
    project.submit(accept(both)).await.unwrap();
    for run in [&lower.id, &upper.id] {
        assert!(matches!(view(&project, run).await.disposition, Disposition::Accepted { .. }));
    }
    let log = git::log(&world.project(), "main");
    assert_eq!(log.len(), 3, "one commit each on what was there: {log:?}");
    assert!(git::is_clean(&world.project()));
    assert!(world.project().join("docs/manners.md").exists() && world.project().join("docs/goodbye.md").exists());
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_the_lower_reaches_the_upper_and_back() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project, lower, upper) = stacked(&world).await;
    let has = |path: &str| tree_of(&world, &upper.id).join(path).exists();
    undo_newest(&project, &lower.id).await;
    assert!(!has("docs/manners.md") && has("docs/goodbye.md"), "a step of the lower is taken back");
    let list = Op::ListOperations { run: Some(lower.id.clone()), limit: 1 };
    let Reply::Operations(undone) = project.submit(list).await.unwrap() else { panic!() };
    project.submit(Op::UndoOperation { operation: undone[0].operation }).await.unwrap();
    assert!(has("docs/manners.md") && has("docs/goodbye.md"), "and done again");

    let lower = handed_over(&project, &lower.id).await;
    let upper = handed_over(&project, &upper.id).await;
    let files = upper.checkpoint.as_ref().unwrap().tree.clone();
    let squash = Acceptance { way: Some(AcceptMode::Squash), ..Acceptance::default() };
    project.submit(Op::AcceptRun { run: lower.id.clone(), how: squash }).await.unwrap();
    let on_branch = view(&project, &upper.id).await;
    assert_eq!(
        Disposition::Accepted { commit: on_branch.base.commit.clone() },
        view(&project, &lower.id).await.disposition
    );
    assert_eq!(on_branch.checkpoint.as_ref().unwrap().tree, files, "the same files, whatever they stand on");
    assert_eq!(git::tree(&world.project(), on_branch.branch.as_ref().unwrap()), files);
    undo_newest(&project, &lower.id).await;
    let back = view(&project, &upper.id).await;
    assert_eq!(back.base.commit, lower.commits.last().unwrap().id);
    project.submit(Op::AcceptRun { run: lower.id.clone(), how: Acceptance::default() }).await.unwrap();
    project.submit(Op::AcceptRun { run: upper.id.clone(), how: Acceptance::default() }).await.unwrap();
    assert_eq!(git::tree(&world.project(), "main"), files);
    assert!(git::is_clean(&world.project()));
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_lower_leaves_the_upper_with_its_own_changes() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project, lower, upper) = stacked(&world).await;
    let lower = handed_over(&project, &lower.id).await;
    let upper = handed_over(&project, &upper.id).await;
    project.submit(Op::DiscardRun { run: lower.id.clone(), anyway: false }).await.unwrap();
    assert!(!tree_of(&world, &upper.id).join("docs/manners.md").exists());
    undo_newest(&project, &lower.id).await;
    assert!(tree_of(&world, &upper.id).join("docs/manners.md").exists(), "the discard is taken back");
    project.submit(Op::DiscardRun { run: lower.id.clone(), anyway: false }).await.unwrap();
    project.submit(Op::AcceptRun { run: upper.id.clone(), how: Acceptance::default() }).await.unwrap();
    assert!(world.project().join("docs/goodbye.md").exists() && !world.project().join("docs/manners.md").exists());
    let refused = project.submit(on_top(&lower.id, "More.")).await.unwrap_err();
    assert_eq!(refused.code, Code::WrongState, "{refused}");
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_both_changed_is_shown_and_settled_and_until_then_nothing_is_accepted() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project, lower, upper) = stacked(&world).await;
    // A command of the upper run changed what the lower made.
    std::fs::write(tree_of(&world, &upper.id).join("docs/manners.md"), "Say good night.\n").unwrap();
    undo_newest(&project, &lower.id).await;
    let held = view(&project, &upper.id).await.on.and_then(|on| on.held).unwrap();
    assert_eq!(
        (held.problem.code, held.problem.details.clone()),
        (Code::AcceptConflict, vec!["docs/manners.md".to_owned()])
    );
    assert_eq!(behind(&project).await, std::slice::from_ref(&upper.id));
    let listed = Cli::new(&world.home(), &world.project(), &world.stage.url()).run(&["runs", "list"]);
    for told in ["! behind the run below", &format!("`atelier runs show {}` says why", upper.id), "runs rebase"] {
        assert!(listed.text.contains(told), "{told}: {}", listed.text);
    }
    let show = Op::ShowConflicts { run: upper.id.clone() };
    let Reply::Conflicts(shown) = project.submit(show).await.unwrap() else { panic!() };
    assert_eq!((shown[0].yours.as_deref(), shown[0].run.as_deref()), (None, Some("Say good night.\n")));
    let rebase = |resolved| Op::RebaseRun { run: upper.id.clone(), resolved };
    let refused = project.submit(rebase(Vec::new())).await.unwrap_err();
    assert_eq!(refused.code, Code::AcceptConflict);
    let run = Resolution { path: "docs/manners.md".to_owned(), take: Take::Run };
    project.submit(rebase(vec![run])).await.unwrap();
    assert_eq!(view(&project, &upper.id).await.on.and_then(|on| on.held), None);
    assert!(behind(&project).await.is_empty());
    assert_eq!(
        std::fs::read_to_string(tree_of(&world, &upper.id).join("docs/manners.md")).unwrap(),
        "Say good night.\n"
    );
    workshop.close().await;
}

/// Discards the upper run from another door, the moment its end is recorded by its own task.
struct AtItsEnd {
    asks: OnceLock<(Project, RunId)>,
    asking: Sender<std::thread::JoinHandle<Result<Reply, Problem>>>,
}

impl AtItsEnd {
    fn witness(self: &Arc<Self>) -> Witness {
        let (door, runtime) = (self.clone(), tokio::runtime::Handle::current());
        Arc::new(move |moment| {
            let (Moment::After(events), Some((project, run))) = (moment, door.asks.get()) else { return };
            let ends = |e: &Envelope| e.run.as_ref() == Some(run) && matches!(e.event, Event::RunFinished { .. });
            if events.iter().any(ends) {
                let (project, op) = (project.clone(), Op::DiscardRun { run: run.clone(), anyway: false });
                let runtime = runtime.clone();
                let asking = std::thread::spawn(move || runtime.block_on(project.submit(op)));
                // It decides by then and waits for this task to end; where it does not yet, it only waits less.
                let began = Instant::now();
                while !asking.is_finished() && began.elapsed() < Duration::from_millis(100) {
                    std::thread::yield_now();
                }
                door.asking.send(asking).unwrap();
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stacked_run_can_be_discarded_the_moment_it_has_ended() {
    let world = World::with_script("short.yaml").await;
    let (asking, asked) = channel();
    let door = Arc::new(AtItsEnd { asks: OnceLock::new(), asking });
    let mut options = world.options(steady::sources(1));
    options.witness = Some(door.witness());
    let workshop = Workshop::open(options).await.unwrap();
    workshop.initialise(&world.project()).await.unwrap();
    let project = workshop.open_project(&world.project()).await.unwrap();
    let (_, upper) = stacked_in(&project).await;
    assert!(door.asks.set((project.clone(), upper.id.clone())).is_ok());
    settle(&project, &upper, Answer::Approve).await.unwrap();
    let (ended, _) = follow(&project, &upper.id, |v| v.state.is_final()).await;
    assert_eq!(ended.state, RunState::Done, "{:?}", ended.problem);
    let answered = move || asked.recv_timeout(PATIENCE).unwrap().join().unwrap();
    let discarded = tokio::task::spawn_blocking(answered).await.unwrap();
    assert_eq!(discarded, Ok(Reply::Done), "its own task does not wait for who decides on it");
    assert_eq!(view(&project, &upper.id).await.disposition, Disposition::Discarded);
    workshop.close().await;
}
