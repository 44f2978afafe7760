//! Killed at appends of a run with children, and of one that undoes what it did, a run goes on in a new process to the
//! same end: a child's end reaches its parent, and what is to be undone is undone, once.
//!
//! Without `ATELIER_EVERY_KILL` only each fifth moment is tried.

use crate::git;
use atelier_engine::Workshop;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{RunState, RunView};
use atelier_tests::toll::copy;
use atelier_tests::world::World;
use atelier_tests::{Cli, steady};
use std::path::{Path, PathBuf};
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn a_child_runs_end_reaches_its_parent_whenever_the_process_is_killed() {
    let world = World::with_script("short.yaml").await;
    let kills = at_every_moment(&world, "reviewed", |project, views| {
        let root = views.iter().find(|view| view.parent.is_none()).unwrap();
        assert_eq!(root.state, RunState::Done, "{:?}", root.problem);
        let branches = git::refs(project).iter().filter(|r| r.starts_with("refs/heads/atelier/")).count();
        let orphans = views.iter().filter(|view| !view.state.is_final()).count();
        assert_eq!((views.len(), branches, orphans), (2, 1, 0));
        git::tree(project, root.branch.as_ref().unwrap())
    })
    .await;
    assert!(kills > 15, "only {kills} moments were tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_run_did_is_undone_whenever_the_process_is_killed() {
    let world = World::with_script("short.yaml").await;
    let head = "schema: 1\nid: own\ntitle: Own\nrounds: 2\nsteps:\n";
    crate::limits::put(&world, ".atelier/flows/own.yaml", &format!("{head}{}", crate::flows::SAGA));
    let kills = at_every_moment(&world, "own", |project, views| {
        let run = &views[0];
        assert_eq!(run.state, RunState::Failed, "{:?}", run.problem);
        let problem = run.problem.clone().unwrap();
        assert!(problem.message.contains("exit code 3"), "the original problem: {problem:?}");
        assert!(!git::refs(project).iter().any(|r| r.contains("heads/atelier")), "a branch is left");
        assert!(run.steps.iter().filter(|step| step.undo.is_some()).all(|step| step.undone.is_some()), "{run:?}");
        let mut left: Vec<String> = run.checkpoint.as_ref().unwrap().files.iter().map(|f| f.path.clone()).collect();
        left.sort();
        left.join(" ")
    })
    .await;
    assert!(kills > 15, "only {kills} moments were tried");
}

/// Plays the flow whole, then killed at many moments; each end must be what the first was.
async fn at_every_moment(world: &World, flow: &str, end: impl Fn(&Path, &[RunView]) -> String) -> u32 {
    let stride = if std::env::var_os("ATELIER_EVERY_KILL").is_some() { 1 } else { 5 };
    let seed = world.folder.path().join("seed");
    let workshop = Workshop::open(world.options(steady::sources(7))).await.unwrap();
    workshop.initialise(&world.project()).await.unwrap();
    workshop.close().await;
    copy(&world.project(), &seed);
    let whole = play(world, flow, &seed, &world.folder.path().join("whole"), None, &end).await.unwrap();
    let mut kills = 0;
    for n in (1..).step_by(stride) {
        let mut killed = false;
        for when in ["before", "after"] {
            let folder = world.folder.path().join(format!("{when}-{n}"));
            let moment = format!("killed {when} append {n}");
            eprintln!("{moment}");
            let Some(ended) = play(world, flow, &seed, &folder, Some((when, n)), &end).await else { continue };
            assert_eq!(ended, whole, "{moment}");
            killed = true;
            kills += 1;
        }
        if !killed {
            break;
        }
    }
    eprintln!("killed {kills} times; every run came to the same end");
    kills
}

/// The end of one play; `None` where the run was over before the moment.
async fn play(
    world: &World,
    flow: &str,
    seed: &Path,
    folder: &Path,
    moment: Option<(&str, usize)>,
    end: impl Fn(&Path, &[RunView]) -> String,
) -> Option<String> {
    let (home, project) = (folder.join("home"), folder.join("greet"));
    copy(seed, &project);
    let (url, server) = (world.stage.url(), world.server());
    let mut victim = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_victim")));
    victim.args([&home, &project]).arg(&url).env("VICTIM_FLOW", flow);
    if let Some((when, n)) = moment {
        victim.args([when.to_owned(), n.to_string()]);
    }
    let cli = Cli::new(&home, &project, &url);
    let (flow, wanted) = (flow.to_owned(), moment.is_some());
    let over = tokio::task::spawn_blocking(move || {
        let output = victim.output().unwrap();
        let killed = output.status.code().is_none();
        if killed && cli.run(&["runs", "show", "last"]).exit != 0 {
            // Killed before the start was recorded: the user was told nothing and starts again.
            cli.run(&["run", "Greet politely", "--flow", &flow, "--approve", "hand_over", "--approve", "command"]);
        } else if killed {
            let resumed = cli.run(&["runs", "resume", "last"]);
            // One that had ended already has nothing to be resumed.
            assert!(resumed.exit < 2 || resumed.code() == "wrong_state", "{}", resumed.text);
        }
        wanted && !killed
    });
    if over.await.unwrap() {
        return None;
    }
    let options = atelier_tests::world::options(&home, server, steady::sources(9), None);
    let workshop = Workshop::open(options).await.unwrap();
    let opened = workshop.open_project(&project).await.unwrap();
    let Ok(Reply::Runs(runs)) = opened.submit(Op::ListRuns { states: Vec::new(), limit: None }).await else {
        panic!("no runs")
    };
    let mut views = Vec::new();
    for run in runs {
        let Ok(Reply::RunView(view)) = opened.submit(Op::ShowRun { run: run.id, at: None }).await else { panic!() };
        views.push(*view);
    }
    let told = end(&project, &views);
    if views[0].compensating.is_some() {
        let Ok(Reply::Object(board)) =
            opened.submit(Op::ShowObject { object: "board/team".to_owned(), at: None }).await
        else {
            panic!("no board")
        };
        assert_eq!(board.state["tasks"], serde_json::json!({}), "a task is left");
    }
    workshop.close().await;
    std::fs::remove_dir_all(folder).unwrap();
    Some(told)
}
