//! Every verb of the program, as a user types it.

use crate::git;
use atelier_tests::{Cli, World};
use std::process::Command;

async fn world(script: &str) -> (World, Cli) {
    let world = World::with_script(script).await;
    let (workshop, _) = world.open().await;
    workshop.close().await;
    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    (world, cli)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_parks_at_its_question_and_goes_on_after_the_answer() {
    let (world, cli) = world("short.yaml").await;
    let asked = cli.run(&["run", "Greet politely"]);
    assert_eq!(asked.exit, 3, "{}", asked.text);
    let id = asked.last()["result"]["pending"][0].as_str().unwrap().to_owned();
    assert!(asked.text.contains(&format!("atelier approvals approve {id}")), "{}", asked.text);
    assert!(asked.lines.iter().any(|l| l["type"] == "event" && l["event"]["kind"] == "check_recorded"));
    assert!(asked.lines.iter().all(|l| l["v"] == 1));

    let open = cli.run(&["approvals", "list"]);
    assert_eq!(open.last()["result"]["approvals"][0]["id"], id.as_str());
    assert_eq!(cli.run(&["approvals", "approve", "0000000000000000000000000g"]).code(), "unknown_approval");
    assert_eq!(cli.run(&["approvals", "approve", &id]).exit, 0);
    let resumed = cli.run(&["runs", "resume", "last"]);
    assert_eq!(resumed.exit, 0, "{}", resumed.text);
    assert_eq!(git::log(&world.project(), "main").len(), 1, "nothing is on the user's branch before the accept");

    let shown = cli.run(&["runs", "show", "last", "--diff"]);
    assert_eq!(shown.last()["result"]["diff"]["files"].as_array().unwrap().len(), 2);
    assert!(shown.text.contains("+# Greets one person by name, politely."), "{}", shown.text);
    assert_eq!(cli.run(&["runs", "accept", "last"]).exit, 0);
    assert_eq!(git::log(&world.project(), "main").len(), 3);
    let twice = cli.run(&["runs", "accept", "last"]);
    assert_eq!((twice.exit, twice.code()), (1, "wrong_state"));
    let events = cli.run(&["runs", "events", "last"]);
    assert!(events.last()["result"]["events"].as_u64().unwrap() > 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_questions_end_the_run_and_discard_cleans_up() {
    let (world, cli) = world("short.yaml").await;
    let before = world.user_state();
    let said = cli.run(&["run", "Greet politely", "--deny-asks"]);
    assert_eq!((said.exit, said.code()), (5, "rejected"), "{}", said.text);
    assert_eq!(cli.run(&["runs", "discard", "last"]).exit, 0);
    assert_eq!(world.user_state(), before);
    let gone = cli.run(&["runs", "discard", "last"]);
    assert_eq!((gone.exit, gone.code()), (1, "wrong_state"));
}

#[tokio::test(flavor = "multi_thread")]
async fn index_search_and_roles_answer() {
    let (_world, cli) = world("short.yaml").await;
    let index = cli.run(&["index"]);
    assert!(index.last()["result"]["index"]["files"].as_u64().unwrap() >= 4, "{}", index.text);
    let hits = cli.run(&["search", "greets several", "-k", "3"]);
    let paths: Vec<&str> =
        hits.last()["result"]["hits"].as_array().unwrap().iter().map(|h| h["path"].as_str().unwrap()).collect();
    assert!(paths.contains(&"greet.sh") && paths.len() <= 3, "{paths:?}");
    assert_eq!(cli.run(&["search", " "]).code(), "query_invalid");
    let roles = cli.run(&["roles", "list"]);
    assert_eq!(roles.last()["result"]["roles"].as_array().unwrap().len(), 5);
    assert_eq!(cli.run(&["roles", "check"]).exit, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_are_applied_exactly_or_not_at_all() {
    let (world, cli) = world("short.yaml").await;
    let root = world.project();
    std::fs::write(root.join("twice.txt"), "same\nthen\nsame\n").unwrap();
    let edit = root.join("edit.txt");
    let apply = |text: &str| {
        std::fs::write(&edit, text).unwrap();
        cli.run(&[
            "edit",
            "apply",
            "--format",
            "search-replace",
            "--root",
            &root.to_string_lossy(),
            &edit.to_string_lossy(),
        ])
    };
    let good = apply("greet.sh\n<<<<<<< SEARCH\nname=${1:-world}\n=======\nname=${1:-all}\n>>>>>>> REPLACE\n");
    assert_eq!(good.exit, 0, "{}", good.text);
    assert!(std::fs::read_to_string(root.join("greet.sh")).unwrap().contains("name=${1:-all}"));
    let before = world.user_state();
    let twice = "tests/run.sh\n<<<<<<< SEARCH\n  fi\n}\n=======\n  fi # end\n}\n>>>>>>> REPLACE\n\ngreet.sh\n<<<<<<< SEARCH\nnot there\n=======\nx\n>>>>>>> REPLACE\n";
    let missing = apply(twice);
    assert_eq!((missing.exit, missing.code()), (1, "edit_not_found"), "{}", missing.text);
    let ambiguous = apply("twice.txt\n<<<<<<< SEARCH\nsame\n=======\nother\n>>>>>>> REPLACE\n");
    assert_eq!((ambiguous.exit, ambiguous.code()), (1, "edit_ambiguous"), "{}", ambiguous.text);
    assert!(!ambiguous.last()["error"]["details"].as_array().unwrap().is_empty(), "the candidates are named");
    let mut after = world.user_state();
    after.insert("edit.txt".to_owned(), before["edit.txt"].clone());
    assert_eq!(after, before, "a refused set changes no file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_exported_as_zip_and_bundle() {
    let (world, cli) = world("short.yaml").await;
    assert_eq!(cli.run(&["run", "Greet politely", "--approve", "hand_over"]).exit, 0);
    for format in ["zip", "bundle"] {
        let to = world.folder.path().join(format!("result.{format}"));
        let to = to.to_string_lossy();
        let said = cli.run(&["export", "--run", "last", "--format", format, "--out", &to]);
        assert_eq!(said.exit, 0, "{}", said.text);
        assert!(std::fs::metadata(&*to).unwrap().len() > 200);
        let again = cli.run(&["export", "--format", format, "--out", &to]);
        assert_ne!(again.exit, 0, "an existing file is not written over");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_recorded_with_what_is_private_masked() {
    let (world, cli) = world("short.yaml").await;
    assert_eq!(cli.run(&["run", "Greet ada@lovelace.example.org politely", "--approve", "hand_over"]).exit, 0);
    let preview = cli.run(&["runs", "record", "last", "--preview"]);
    assert_eq!(preview.exit, 0, "{}", preview.text);
    assert_eq!(preview.last()["result"]["places"][0]["at"], "/goal");
    assert!(!preview.text.contains("ada@lovelace"), "{}", preview.text);
    for format in ["md", "json"] {
        let to = world.folder.path().join(format!("record.{format}"));
        let arguments = ["runs", "record", "last", "--format", format, "--out", &to.to_string_lossy()];
        let said = cli.run(&arguments);
        assert_eq!(said.exit, 0, "{}", said.text);
        let text = std::fs::read_to_string(&to).unwrap();
        assert!(text.contains("MASKED_EMAIL_1") && text.contains("greet.sh"), "{text}");
        assert!(!text.contains("ada@lovelace"));
        assert_ne!(cli.run(&arguments).exit, 0, "an existing file is not written over");
    }
    let open = world.folder.path().join("open.md");
    assert_eq!(cli.run(&["runs", "record", "last", "--unmasked", "--out", &open.to_string_lossy()]).exit, 0);
    assert!(std::fs::read_to_string(open).unwrap().contains("ada@lovelace.example.org"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_is_there_and_what_is_not() {
    let (_world, cli) = world("short.yaml").await;
    let well = cli.run(&["doctor"]);
    assert_eq!(well.exit, 0, "{}", well.text);
    assert_eq!(well.last()["result"]["providers"][0]["models"][0]["name"], "short:latest");
    let ill = cli.asking("http://127.0.0.1:9").run(&["doctor"]);
    assert_eq!(ill.exit, 6);
    assert!(ill.text.contains("atelier demo"), "{}", ill.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_needs_no_model_and_leaves_a_result() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("demo");
    let said = Command::new(atelier_tests::cli::program())
        .args(["demo", "--dir"])
        .arg(&target)
        .env("ATELIER_HOME", folder.path().join("home"))
        .env_remove("ATELIER_SERVER")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{text}\n{}", String::from_utf8_lossy(&said.stderr));
    assert!(text.contains("sent back") && text.contains("accepted: main"), "{text}");
    assert_eq!(git::log(&target, "main").len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_serves_a_script_and_says_where_a_wrong_one_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("s.yaml");
    std::fs::write(&script, "schema: 1\nmodels:\n  - name: m\nturns:\n  - say:\n      - txt: hello\n").unwrap();
    let said =
        Command::new(atelier_tests::cli::program()).args(["--json", "stage", "--check"]).arg(&script).output().unwrap();
    assert_eq!(said.status.code(), Some(2));
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(text.contains("script_invalid") && text.contains("s.yaml:6"), "{text}");
}

#[test]
fn wrong_usage_exits_with_two_and_help_with_zero() {
    let exit = |arguments: &[&str]| {
        Command::new(atelier_tests::cli::program()).args(arguments).output().unwrap().status.code()
    };
    assert_eq!(exit(&["frobnicate"]), Some(2));
    assert_eq!(exit(&["search"]), Some(2));
    assert_eq!(exit(&["--help"]), Some(0));
}
