//! Everything that can be wrong outside is a clear message with its own code and a way on, and loses nothing.

use crate::git;
use atelier_stage::Script;
use atelier_tests::{Cli, World};
use std::path::Path;

/// A script whose first answers are `say`, and which then plays the short run.
fn script(say: &str) -> Script {
    let short = std::fs::read_to_string(atelier_tests::world::fixtures().join("stage/short.yaml")).unwrap();
    let turns = format!("turns:\n  - when: {{role: business_analyst}}\n    say:\n{say}\n");
    Script::read("bad.yaml", &short.replacen("turns:\n", &turns, 1)).unwrap()
}

async fn world(say: &str) -> (World, Cli) {
    let world = World::playing(script(say)).await;
    let (workshop, _) = world.open().await;
    workshop.close().await;
    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    (world, cli)
}

const GOAL: [&str; 4] = ["run", "Greet politely", "--approve", "hand_over"];

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_no_repository_is_named_and_left_alone() {
    let (world, cli) = world("      - text: unused").await;
    let plain = world.folder.path().join("plain");
    std::fs::create_dir(&plain).unwrap();
    std::fs::write(plain.join("a.txt"), "a").unwrap();
    let said = cli.at(&plain).run(&GOAL);
    assert_eq!((said.exit, said.code()), (2, "not_a_repository"));
    assert!(said.text.contains("→"), "{}", said.text);
    assert_eq!(std::fs::read_dir(&plain).unwrap().count(), 1, "nothing was made in it");
    let asked = cli.at(&plain).run(&["run", "  ", "--init"]);
    assert_eq!(asked.code(), "empty_goal", "with the word of the user it becomes a repository");
    assert_eq!(git::log(&plain, "HEAD"), ["chore: first commit"]);
    let missing = cli.at(Path::new("/no/such/folder")).run(&GOAL);
    assert_eq!((missing.exit, missing.code()), (2, "no_folder"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_goal_starts_nothing() {
    let (_world, cli) = world("      - text: unused").await;
    let said = cli.run(&["run", "  \n "]);
    assert_eq!((said.exit, said.code()), (2, "empty_goal"));
    assert_eq!(cli.run(&["runs", "list"]).last()["result"]["runs"].as_array().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_file_with_a_bad_key_is_named_with_file_line_and_key() {
    let (world, cli) = world("      - text: unused").await;
    let folder = world.project().join(".atelier/roles");
    std::fs::create_dir_all(&folder).unwrap();
    let text = include_str!("../../roles/developer.yaml").replace("  turns: 40", "  turms: 40");
    let line = text.lines().position(|l| l.contains("turms")).unwrap() + 1;
    std::fs::write(folder.join("developer.yaml"), text).unwrap();
    for verb in [&["roles", "check"][..], &GOAL[..]] {
        let said = cli.run(verb);
        assert_eq!((said.exit, said.code()), (2, "role_invalid"), "{}", said.text);
        let message = said.last()["error"]["message"].as_str().unwrap();
        assert!(message.contains(&format!("developer.yaml:{line}")) && message.contains("turms"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_model_is_named_and_the_run_goes_on_with_another() {
    let (world, cli) = world("      - tool: {name: submit_spec, arguments: {title: T, requirements: [a]}}").await;
    let mut arguments = GOAL.to_vec();
    arguments.extend(["--model", "nobody:7b"]);
    let said = cli.run(&arguments);
    assert_eq!((said.exit, said.code()), (6, "model_missing"), "{}", said.text);
    assert!(said.last()["error"]["message"].as_str().unwrap().contains("nobody:7b"));
    assert_eq!(cli.run(&["runs", "show", "last"]).last()["result"]["run"]["state"], "parked");
    let other = cli.run(&GOAL);
    assert_eq!(other.exit, 0, "{}", other.text);
    assert_eq!(git::log(&world.project(), "HEAD").len(), 1, "nothing was accepted by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_parks_the_run_and_a_resume_finishes_it() {
    let (_world, cli) = world("      - tool: {name: submit_spec, arguments: {title: T, requirements: [a]}}").await;
    let said = cli.asking("http://127.0.0.1:9").run(&GOAL);
    assert_eq!((said.exit, said.code()), (6, "model_server_down"), "{}", said.text);
    let resumed = cli.run(&["runs", "resume", "last"]);
    assert_eq!(resumed.exit, 0, "{}", resumed.text);
    assert_eq!(resumed.last()["result"]["run"]["state"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_answer_is_told_once_then_parked_and_nothing_is_lost() {
    let (world, cli) = world("      - thinking: hm").await;
    let said = cli.run(&GOAL);
    assert_eq!((said.exit, said.code()), (7, "answer_empty"), "{}", said.text);
    let view = &cli.run(&["runs", "show", "last"]).last()["result"]["run"].clone();
    assert_eq!(view["state"], "parked");
    let items = view["steps"][0]["items"].as_array().unwrap();
    assert_eq!(items.iter().filter(|i| i["item"] == "corrected").count(), 1);
    assert_eq!(world.stage.chats().len(), 2, "asked, told, and no third time");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_delivers_nothing_is_parked_as_invalid() {
    let (_world, cli) = world("      - text: I am not sure what to do here.").await;
    let said = cli.run(&GOAL);
    assert_eq!((said.exit, said.code()), (7, "answer_invalid"), "{}", said.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_off_is_never_taken_for_an_answer() {
    let (world, cli) = world("      - text: half of an answer\n      - fault: {kind: no_end}").await;
    let said = cli.run(&GOAL);
    assert_eq!((said.exit, said.code()), (7, "answer_incomplete"), "{}", said.text);
    assert_eq!(world.stage.chats().len(), 1, "text was shown, so it is not asked again unasked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_server_is_asked_again_before_the_run_is_parked() {
    let (world, cli) = world(
        "      - fault: {kind: refuse, status: 503, error: \"server busy, please try again\", times: 2}\n      - tool: {name: submit_spec, arguments: {title: T, requirements: [a]}}",
    )
    .await;
    let said = cli.run(&GOAL);
    assert_eq!(said.exit, 0, "{}", said.text);
    assert!(world.stage.chats().len() > 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_never_pass_end_the_run_with_the_evidence() {
    let (world, cli) = world("      - tool: {name: submit_spec, arguments: {title: T, requirements: [a]}}").await;
    std::fs::write(
        world.project().join(".atelier/project.yaml"),
        "schema: 1\nchecks:\n  - {name: no, argv: [sh, -c, \"echo broken; exit 3\"]}\n",
    )
    .unwrap();
    let said = cli.run(&GOAL);
    assert_eq!((said.exit, said.code()), (1, "checks_failed"), "{}", said.text);
    let view = &cli.run(&["runs", "show", "last"]).last()["result"]["run"].clone();
    assert!(view["checks"].as_array().unwrap().iter().all(|c| c["exit_code"] == 3));
    assert_eq!(view["state"], "failed");
    assert!(git::refs(&world.project()).iter().all(|r| !r.contains("heads/atelier")), "nothing was published");
}
