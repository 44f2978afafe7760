//! What a user does in the window, from the first screen to commits on the branch.

use crate::git;
use crate::window::{Window, program};
use atelier_engine::Workshop;
use atelier_protocol::op::Op;
use atelier_protocol::settings::{Settings, Theme};
use atelier_stage::tour;
use atelier_tests::{Cli, World, steady};
use fantoccini::key::Key;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A world whose home knows the scripted model, as if the user had set it up.
pub async fn prepared(pace_ms: u64) -> World {
    let mut script = tour::script().unwrap();
    script.turns.iter_mut().for_each(|turn| turn.pace_ms = Some(pace_ms));
    let world = World::playing(script).await;
    set_up(&world).await;
    world
}

/// Makes the world's home know its scripted model, and its project a repository whose commands its user has allowed.
pub async fn set_up(world: &World) {
    knows_its_model(world, Theme::System).await;
    let workshop = Workshop::open(world.options(steady::sources(1))).await.unwrap();
    workshop.open_project(&world.project()).await.unwrap().allow_commands().await.unwrap();
    workshop.close().await;
}

/// Makes the world's home know its scripted model, and its project a repository.
pub async fn knows_its_model(world: &World, theme: Theme) {
    let mut options = world.options(steady::sources(1));
    options.providers = None;
    let workshop = Workshop::open(options).await.unwrap();
    workshop.initialise(&world.project()).await.unwrap();
    let settings = Settings { providers: vec![world.server()], theme, ..Settings::default() };
    workshop.submit(Op::ChangeSettings { settings }).await.unwrap();
    workshop.close().await;
}

pub async fn open(program: &Path, world: &World) -> Window {
    Window::open(program, &world.home(), world.folder.path(), &[]).await
}

pub async fn begin(window: &Window, world: &World) {
    window.type_into("welcome.path", &world.project().to_string_lossy()).await;
    window.click("welcome.open").await;
    window.part("title.project").await;
    window.type_into("goal.text", tour::GOAL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_leads_from_the_first_screen_to_commits() {
    let Some(program) = program() else { return };
    // The settings name a server of ours: a model server that the user runs is never asked by a test.
    let world = prepared(0).await;
    let window = open(&program, &world).await;
    window.part("welcome.models").await;
    window.keep_picture("1-welcome").await;
    window.click("welcome.tour").await;
    assert_eq!(window.text("title.project").await, "greet");
    let text = window.part("goal.text").await;
    if text.prop("value").await.unwrap().unwrap_or_default().is_empty() {
        window.type_into("goal.text", tour::GOAL).await;
    }
    // From here on by keys alone.
    window.part("goal.text").await.click().await.unwrap();
    window.press(&(Key::Control + &Key::Enter)).await;
    window.part("run.thread").await;
    window.css("[data-test^='turn.']").await;
    window.keep_picture("2-running").await;

    window.until("run.state", "data-state", "waits_for_approval").await;
    window.part("approval.card").await;
    let card = window.text("approval.card").await;
    for told in ["greet.sh", "README.md", "tests/run.sh"] {
        assert!(card.contains(told), "{card}");
    }
    assert!(!window.accessible_name("approval.approve").await.is_empty());
    window.keep_picture("3-approval").await;
    let project = sample(world.folder.path());
    let refs = git::refs(&project);
    assert!(!refs.iter().any(|r| r.contains("heads/atelier")), "nothing is published before the answer: {refs:?}");
    window.part("approval.approve").await.send_keys(&Key::Enter).await.unwrap();

    window.until("run.state", "data-state", "done").await;
    window.click("tab.changes").await;
    window.click("changes.file.greet.sh").await;
    let diff = window.text("changes.diff").await;
    assert!(diff.contains("set -- world"), "{diff}");
    window.keep_picture("4-changes").await;
    window.click("tab.checks").await;
    let check = window.text("checks.check.2").await;
    assert!(check.contains("sh tests/run.sh"), "{check}");
    window.keep_picture("5-checks").await;
    assert_eq!(git::log(&project, "main").len(), 1, "the user's branch is as it was");

    window.click("run.accept").await;
    window.until("run.disposition", "data-disposition", "accepted").await;
    window.keep_picture("6-accepted").await;
    assert_eq!(git::log(&project, "main").len(), 4);
    assert!(git::is_clean(&project));
    assert_eq!(window.page_errors().await, serde_json::json!([]));
    window.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_killed_in_the_middle_comes_back_and_goes_on() {
    let Some(program) = program() else { return };
    let world = prepared(30).await;
    let window = open(&program, &world).await;
    begin(&window, &world).await;
    window.click("goal.start").await;
    window.css("[data-test='run.step.build.1']").await;
    let run = first_run(&window).await;
    window.kill();

    let window = open(&program, &world).await;
    open_known(&window).await;
    window.click(&format!("rail.run.{run}")).await;
    window.until("run.state", "data-state", "interrupted").await;
    assert!(window.has("run.step.specify.1").await, "what was done before is still there");
    window.keep_picture("7-interrupted").await;
    window.click("run.resume").await;
    window.until("run.state", "data-state", "waits_for_approval").await;
    window.click("approval.approve").await;
    window.until("run.state", "data-state", "done").await;
    window.click("run.accept").await;
    window.until("run.disposition", "data-disposition", "accepted").await;
    assert_eq!(git::log(&world.project(), "main").len(), 4, "the commits are there once");
    assert_eq!(window.page_errors().await, serde_json::json!([]));
    window.close().await;

    // The history survives another restart, read by a window that only looks.
    let window = open(&program, &world).await;
    open_known(&window).await;
    window.click(&format!("rail.run.{run}")).await;
    window.until("run.disposition", "data-disposition", "accepted").await;
    window.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn window_and_command_line_see_the_same_run_and_the_second_follows_the_first() {
    let Some(program) = program() else { return };
    let world = prepared(15).await;
    let window = open(&program, &world).await;
    window.type_into("welcome.path", &world.project().to_string_lossy()).await;
    window.click("welcome.open").await;
    window.part("goal.text").await;

    // The command line is the window's guest: its run is worked on by the window and shown in both.
    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    let mut following =
        cli.command(&["run", tour::GOAL, "--approve", "hand_over"]).stdout(Stdio::piped()).spawn().unwrap();
    window.css("[data-test^='rail.run.']").await;
    let run = first_run(&window).await;
    window.click(&format!("rail.run.{run}")).await;
    window.css("[data-test='run.step.build.1']").await;
    window.keep_picture("10-from-the-command-line").await;

    // The owner is gone; the command line takes the store over and brings the run to its end.
    window.kill();
    let mut said = String::new();
    following.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(following.wait().unwrap().success(), "{said}");
    assert!(said.contains("\"mine\":false") && said.contains("\"mine\":true"), "it was guest, then owner: {said}");
    assert_eq!(cli.run(&["runs", "accept", "last"]).exit, 0);
    assert_eq!(git::log(&world.project(), "main").len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn discarding_needs_two_acts_and_restores_everything() {
    let Some(program) = program() else { return };
    let world = prepared(0).await;
    let before = world.user_state();
    let window = open(&program, &world).await;
    begin(&window, &world).await;
    window.click("goal.start").await;
    window.until("run.state", "data-state", "waits_for_approval").await;
    window.click("approval.approve").await;
    window.until("run.state", "data-state", "done").await;
    assert_ne!(world.user_state(), before, "the branch is there");
    window.click("run.discard").await;
    window.part("run.discard.confirm").await;
    assert_ne!(world.user_state(), before, "one act does not discard");
    window.keep_picture("8-discard").await;
    window.click("run.discard.confirm").await;
    window.until("run.disposition", "data-disposition", "discarded").await;
    assert_eq!(world.user_state(), before);
    assert_eq!(window.page_errors().await, serde_json::json!([]));
    window.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_folders_and_empty_goals_are_said_and_lose_nothing() {
    let Some(program) = program() else { return };
    let world = prepared(0).await;
    let plain = world.folder.path().join("plain");
    std::fs::create_dir(&plain).unwrap();
    std::fs::write(plain.join("a.txt"), "a\n").unwrap();
    let window = open(&program, &world).await;
    window.type_into("welcome.path", &plain.to_string_lossy()).await;
    window.click("welcome.open").await;
    window.until("welcome.problem", "data-code", "not_a_repository").await;
    window.part("welcome.init").await;
    window.keep_picture("9-no-repository").await;
    assert!(!plain.join(".git").exists(), "nothing is made unasked");
    window.click("welcome.init").await;
    window.part("title.project").await;
    assert_eq!(git::log(&plain, "HEAD").len(), 1);

    window.type_into("goal.text", "   ").await;
    window.press(&(Key::Control + &Key::Enter)).await;
    window.until("goal.problem", "data-code", "empty_goal").await;
    window.click("title.back").await;
    window.part("welcome.path").await;
    window.close().await;
}

/// The sample project that the window made in its temporary folder.
fn sample(temporary: &Path) -> PathBuf {
    let made = std::fs::read_dir(temporary).unwrap().flatten().map(|entry| entry.path().join("greet"));
    made.into_iter().find(|folder| folder.is_dir()).expect("the tour made a sample project")
}

/// Opens the one project that the window remembers.
async fn open_known(window: &Window) {
    const KNOWN: &str = "button[data-test^='welcome.known.']";
    window.css(KNOWN).await;
    let known = window.attributes(KNOWN, "data-test").await;
    assert_eq!(known.len(), 1, "the project is remembered: {known:?}");
    window.click(&known[0]).await;
}

async fn first_run(window: &Window) -> String {
    let runs = window.attributes("[data-test^='rail.run.']", "data-test").await;
    runs[0].trim_start_matches("rail.run.").to_owned()
}
