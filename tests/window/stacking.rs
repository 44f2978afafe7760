//! A task on top of another one, and results that are taken out: to a file, to a remote.

use crate::git;
use crate::journeys::{begin, open, set_up};
use crate::window::{Window, program};
use atelier_tests::{Cli, World};
use fantoccini::key::Key;
use std::path::PathBuf;

/// Starts the goal that is in the box and waits for the question before its hand-over.
async fn to_review(window: &Window) {
    window.press(&(Key::Control + &Key::Enter)).await;
    window.until("approval.card", "data-ask", "hand_over").await;
}

/// The runs in the rail, by the names of their parts.
async fn runs(window: &Window) -> Vec<String> {
    window.attributes("[data-test^='rail.run.']", "data-test").await
}

/// A run that waits for its review, and another on top of it that does too and is looked at; their names in the rail.
async fn stacked(window: &Window, world: &World) -> (String, String) {
    begin(window, world).await;
    to_review(window).await;
    let lower = runs(window).await.remove(0);
    window.click("run.stack").await;
    window.part("goal.on").await;
    window.type_into("goal.text", "Say goodbye too.").await;
    window.keep_picture("stack-begin").await;
    window.press(&(Key::Control + &Key::Enter)).await;
    window.part("run.on").await;
    window.until("run.state", "data-state", "waits_for_approval").await;
    window.part("approval.card").await;
    window.keep_picture("stack-asked").await;
    let upper = runs(window).await.into_iter().find(|run| *run != lower).unwrap();
    (lower, upper)
}

async fn hand_over(window: &Window) {
    window.click("approval.approve").await;
    window.until("run.state", "data-state", "done").await;
}

fn tree_with(world: &World, file: &str) -> PathBuf {
    let trees = std::fs::read_dir(world.home().join("data/trees")).unwrap().flatten();
    let mut runs = trees.flat_map(|project| std::fs::read_dir(project.path()).unwrap().flatten());
    runs.find(|run| run.path().join("tree").join(file).exists()).unwrap().path().join("tree")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_on_top_of_another_comes_to_the_branch_with_it() {
    let Some(program) = program() else { return };
    let world = World::with_script("short.yaml").await;
    set_up(&world).await;
    let window = open(&program, &world).await;
    let (_, upper) = stacked(&window, &world).await;
    hand_over(&window).await;
    window.keep_picture("stack-upper-done").await;
    window.click("run.on.open").await;
    window.until("run.state", "data-state", "waits_for_approval").await;
    hand_over(&window).await;
    window.click(&upper).await;
    window.part("run.on").await;
    window
        .until_page("document.querySelector(\"[data-test='run.accept']\").textContent.trim()", "Accept both into main")
        .await;
    window.keep_picture("stack-both").await;
    window.click("run.accept").await;
    window.until("run.disposition", "data-disposition", "accepted").await;
    window.keep_picture("stack-accepted").await;
    assert!(world.project().join("docs/goodbye.md").exists() && world.project().join("docs/manners.md").exists());
    assert!(git::is_clean(&world.project()));
    assert_eq!(window.page_errors().await, serde_json::json!([]));
    window.close().await;
}

/// The run below takes back what both changed, and the one on top of it, which waits for its hand-over or is done, cannot
/// follow: its row says so, its thread says why, and both are put together there.
async fn put_together(done: bool, name: &str) {
    let Some(program) = program() else { return };
    let world = World::with_script("short.yaml").await;
    set_up(&world).await;
    let window = open(&program, &world).await;
    let (lower, upper) = stacked(&window, &world).await;
    if done {
        hand_over(&window).await;
    }
    // A command of the upper run changed what the lower made, and the lower takes that back.
    let tree = tree_with(&world, "docs/goodbye.md");
    std::fs::write(tree.join("docs/manners.md"), "Say good night.\n").unwrap();
    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    let undone = cli.run(&["runs", "undo", lower.trim_start_matches("rail.run.")]);
    assert_eq!(undone.exit, 0, "{}", undone.text);
    window.part("run.behind").await;
    window.part(&upper.replace("rail.run.", "rail.behind.")).await;
    let theme = "document.documentElement.dataset.theme";
    for _ in 0..2 {
        let now = window.look(&format!("return {theme};")).await.as_str().unwrap_or_default().to_owned();
        window.keep_picture(&format!("stack-behind-{name}-{now}")).await;
        window.press(&(Key::Control + &(Key::Shift + "l"))).await;
        window.until_page(theme, if now == "light" { "dark" } else { "light" }).await;
    }
    window.click("run.behind.show").await;
    window.part("run.conflict.docs/manners.md").await;
    window.click("run.conflict.run.docs/manners.md").await;
    window.keep_picture(&format!("stack-conflict-{name}")).await;
    window.click("run.rebase").await;
    for gone in ["run.behind", &upper.replace("rail.run.", "rail.behind.")] {
        window.until_page(&format!("String(document.querySelector(\"[data-test='{gone}']\"))"), "null").await;
    }
    window.keep_picture(&format!("stack-settled-{name}")).await;
    assert_eq!(std::fs::read_to_string(tree.join("docs/manners.md")).unwrap(), "Say good night.\n");
    assert_eq!(window.page_errors().await, serde_json::json!([]));
    window.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_both_changed_is_put_together_in_the_window() {
    put_together(true, "done").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_while_it_waits_for_its_hand_over() {
    put_together(false, "waits").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_shown_before_it_is_pushed() {
    let Some(program) = program() else { return };
    let world = World::with_script("short.yaml").await;
    set_up(&world).await;
    let place = world.folder.path().join("remote.git");
    let remote = git2::Repository::init_bare(&place).unwrap();
    git2::Repository::open(world.project()).unwrap().remote("origin", &place.display().to_string()).unwrap();
    let window = open(&program, &world).await;
    begin(&window, &world).await;
    to_review(&window).await;
    hand_over(&window).await;
    window.press(&(Key::Control + &(Key::Shift + "p"))).await;
    window.part("export.push").await;
    window.keep_picture("export-opened").await;
    window.type_into("export.push.branch", "polite").await;
    window.click("export.push.show").await;
    window.part("export.push.shown").await;
    assert_eq!(remote.references().unwrap().count(), 0, "nothing has left");
    window.keep_picture("export-shown").await;
    window.click("export.push.go").await;
    window.part("export.push.done").await;
    window.keep_picture("export-pushed").await;
    assert!(remote.refname_to_id("refs/heads/polite").is_ok());

    window.type_into("export.push.remote", "-nowhere").await;
    window.click("export.push.show").await;
    window.part("export.push.problem").await;
    window.keep_picture("export-refused").await;
    assert_eq!(window.page_errors().await, serde_json::json!([]));
    window.close().await;
}
