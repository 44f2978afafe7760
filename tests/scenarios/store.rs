//! The doors to a project's store as a whole: hashes that come out the same, a copy that can take its place.
//!
//! Guards: read models made anew are the same; nothing of a store is removed by a restore or a salvage.
//! Turns red, for example, when `Digest::apply` misses an event between two starts, or a restore removes what it replaces.

use atelier_tests::world::{follow, goal, rests, start};
use atelier_tests::{Cli, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_hashed_checked_copied_restored_and_salvaged() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(false)).await;
    follow(&project, &run, rests).await;
    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    let copy = world.folder.path().join("copy");
    let saved = world.folder.path().join("saved");
    let (copy, saved) = (copy.to_string_lossy().into_owned(), saved.to_string_lossy().into_owned());

    // Another process owns it: what only asks is answered, and nothing is put in its place.
    let said = cli.run(&["state", "backup", &copy]);
    assert_eq!(said.exit, 0, "{}", said.text);
    let refused = cli.run(&["state", "restore", &copy, "--replace"]);
    assert_eq!((refused.exit, refused.code()), (1, "wrong_state"), "{}", refused.text);
    workshop.close().await;
    drop(project);

    let hash = |arguments: &[&str]| cli.run(arguments).last()["result"]["state"]["projections"].clone();
    let (before, after) = (hash(&["state", "hash"]), hash(&["state", "hash", "--rebuild"]));
    let runs = |all: &serde_json::Value| all.as_array().unwrap().iter().find(|p| p["name"] == "runs").cloned().unwrap();
    assert_eq!(runs(&before), runs(&after));
    assert_eq!(runs(&before)["rows"], 1);
    let check = cli.run(&["state", "check"]);
    assert_eq!(
        (check.exit, &check.last()["result"]["store"]["findings"]),
        (0, &serde_json::json!([])),
        "{}",
        check.text
    );
    assert_eq!(cli.run(&["state", "prune"]).exit, 0);

    let more = cli.run(&["runs", "cancel", run.as_str()]);
    assert_eq!(more.exit, 0, "{}", more.text);
    assert_eq!(cli.run(&["state", "restore", &copy]).code(), "wrong_state", "only where it is wanted");
    let restored = cli.run(&["state", "restore", &copy, "--replace"]);
    assert_eq!(restored.exit, 0, "{}", restored.text);
    let kept = restored.last()["result"]["kept"].as_str().unwrap().to_owned();
    assert!(std::path::Path::new(&kept).join("journal.db").exists(), "what was there is kept");
    let listed = cli.run(&["runs", "list", "--state", "waits_for_approval", "--limit", "5"]);
    assert_eq!(listed.last()["result"]["runs"][0]["id"], run.as_str(), "{}", listed.text);
    assert_eq!(cli.run(&["runs", "list", "--state", "cancelled"]).last()["result"]["runs"], serde_json::json!([]));

    let salvage = cli.run(&["state", "salvage", &saved, "--from", &kept]);
    assert_eq!(salvage.exit, 0, "{}", salvage.text);
    assert_eq!(cli.run(&["state", "restore", &saved, "--replace"]).exit, 0);
    let listed = cli.run(&["runs", "list", "--state", "cancelled"]);
    assert_eq!(listed.last()["result"]["runs"][0]["id"], run.as_str(), "{}", listed.text);
}
