//! Messages, jobs, votes and objects through the doors: what is posted, queued, told and stopped, by program and by op.

use atelier_protocol::Code;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::RunState;
use atelier_tests::world::{follow, goal, rests, start};
use atelier_tests::{Cli, World};
use serde_json::json;

async fn program(world: &World) -> Cli {
    let (workshop, _) = world.open().await;
    workshop.close().await;
    Cli::new(&world.home(), &world.project(), &world.stage.url())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_tells_objects_posts_letters_and_does_jobs() {
    let world = World::with_tour().await;
    let cli = program(&world).await;
    tokio::task::spawn_blocking(move || {
        let added = cli.run(&["objects", "tell", "board/team", "add", "{\"title\": \"Rename Foo\"}"]);
        assert_eq!((added.exit, &added.last()["result"]["object"]["answer"]), (0, &json!("t1")), "{}", added.text);
        let shown = cli.run(&["objects", "show", "board/team"]);
        assert_eq!(shown.last()["result"]["object"]["state"]["tasks"]["t1"]["title"], json!("Rename Foo"));
        let stale = cli.run(&["objects", "tell", "board/team", "add", "{\"title\": \"x\"}", "--version", "1"]);
        assert_eq!((stale.exit, stale.code()), (1, "object_changed"));
        assert_eq!(cli.run(&["objects", "new", "tally"]).exit, 0);
        let checked = cli.run(&["objects", "check"]);
        assert_eq!((checked.exit, &checked.last()["result"]["checked"]), (0, &json!(4)), "{}", checked.text);

        assert_eq!(
            cli.run(&["bus", "post", "mail/architect/developer", "use the parser", "--from", "architect"]).exit,
            0
        );
        let forged = cli.run(&["bus", "post", "mail/architect/developer", "no", "--from", "developer"]);
        assert_eq!((forged.exit, forged.code()), (2, "bad_argument"));
        let weaker = cli.run(&["bus", "post", "task/x", "1", "--guarantee", "at-most-once"]);
        assert_eq!((weaker.exit, weaker.code()), (2, "guarantee_weaker"));
        let letter = cli.run(&["bus", "mail", "developer", "--take"]);
        assert_eq!(letter.last()["result"]["letter"]["message"]["body"], json!("use the parser"));
        assert_eq!(cli.run(&["bus", "mail", "developer"]).last()["result"]["letter"], json!(null));

        assert_eq!(cli.run(&["jobs", "add", "index.refresh", "--id", "now"]).exit, 0);
        assert_eq!(cli.run(&["jobs", "add", "index.refresh", "--id", "later", "--in", "2h"]).exit, 0);
        let worked = cli.run(&["jobs", "work"]);
        let states: Vec<_> =
            worked.last()["result"]["jobs"].as_array().unwrap().iter().map(|j| j["state"].clone()).collect();
        assert_eq!(states, [json!("waiting"), json!("done")], "{}", worked.text);
        assert_eq!(cli.run(&["jobs", "cancel", "later"]).exit, 0);
        assert_eq!(cli.run(&["jobs", "cancel", "later"]).code(), "unknown_job");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discard_that_would_lose_work_is_stopped_and_the_user_may_still_do_it() {
    let world = World::with_tour().await;
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(false)).await;
    let (view, _) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::WaitsForApproval);
    project.submit(Op::CancelRun { run: run.clone() }).await.unwrap();
    let trees = world.home().join("data");
    let tree = find(&trees, "README.md").expect("the run's tree");
    std::fs::write(tree.join("unrecorded.txt"), "hours of work\n").unwrap();

    let problem = project.submit(Op::DiscardRun { run: run.clone(), anyway: false }).await.unwrap_err();
    assert_eq!(problem.code, Code::Stopped);
    assert!(problem.message.contains("stopped by `content`: no checkpoint recorded unrecorded.txt"), "{problem}");
    assert!(tree.join("unrecorded.txt").exists());
    assert_eq!(project.submit(Op::DiscardRun { run, anyway: true }).await, Ok(Reply::Done));
    assert!(!tree.exists());
    workshop.close().await;
}

/// The folder under `root` that holds a file of this name.
fn find(root: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(root).ok()?.flatten() {
        if entry.file_name() == name {
            return Some(root.to_owned());
        }
        if entry.path().is_dir()
            && let Some(found) = find(&entry.path(), name)
        {
            return Some(found);
        }
    }
    None
}
