//! Runs that work for others, the past, and another way on from it, as a user sees and clicks them.

use crate::git;
use crate::journeys::{begin, open, prepared};
use crate::window::{Window, program};
use fantoccini::key::Key;

#[tokio::test(flavor = "multi_thread")]
async fn a_child_is_seen_at_work_and_a_run_goes_on_another_way_from_its_past() {
    let Some(program) = program() else { return };
    let world = prepared(25).await;
    let window = open(&program, &world).await;
    begin(&window, &world).await;
    window.part("goal.flow").await.select_by_value("reviewed").await.unwrap();
    window.click("goal.start").await;

    // The judge is a run of its own, in the thread of the one that waits for it.
    window.css("[data-test^='child.open.']").await;
    window.until("run.state", "data-state", "waits_for_child").await;
    window.keep_picture("11-child-at-work").await;
    let run = selected(&window).await;
    let child = window.attributes("[data-test^='child.open.']", "data-test").await[0].clone();
    window.click_until(&child, "run.parent").await;
    window.css("[data-test='run.step.judge.1']").await;
    assert!(!window.has("run.step.fork.judge.1").await, "a child is not forked");
    window.keep_picture("12-child").await;
    window.click("run.parent.open").await;
    window.until("run.state", "data-state", "waits_for_approval").await;
    let told = window.attributes("[data-test^='child.'][data-state]", "data-state").await;
    assert_eq!(told, ["failed", "done"], "the first judge sent the work back");
    assert!(window.text("run.thread").await.contains("Child run:"));
    window.keep_picture("13-judged").await;
    window.click("approval.approve").await;
    window.until("run.state", "data-state", "done").await;

    // Back to what it was after the first build, and on from there.
    window.click("run.step.back.build.1").await;
    window.part("run.past.fork").await;
    assert!(!window.has("run.step.build.2").await, "the second round had not begun");
    assert!(!window.has("run.accept").await, "nothing can be done with the past");
    window.keep_picture("14-the-past").await;
    window.click("run.past.fork").await;
    window.part("run.fork.ask").await;
    window.keep_picture("15-fork-asked").await;
    window.click("run.fork.confirm").await;
    window.part("run.forked").await;
    let fork = selected(&window).await;
    assert_ne!(fork, run, "the new run is shown");
    window.until("run.state", "data-state", "waits_for_approval").await;
    window.keep_picture("16-fork").await;
    // The rest in the other look, whichever the system has.
    let look = "document.documentElement.dataset.theme";
    let other = if window.look(&format!("return {look};")).await == "light" { "dark" } else { "light" };
    window.press(&(Key::Control + &Key::Shift + "l")).await;
    window.until_page(look, other).await;
    window.keep_picture(&format!("17-fork-{other}")).await;
    window.click("approval.approve").await;
    window.until("run.state", "data-state", "done").await;

    // Both results are there; one is taken, the other thrown away.
    let branches = || git::refs(&world.project()).into_iter().filter(|r| r.contains("heads/atelier/")).count();
    assert_eq!(branches(), 2);
    window.click("run.accept").await;
    window.until("run.disposition", "data-disposition", "accepted").await;
    window.click("run.forked.open").await;
    window.until("run.disposition", "data-disposition", "pending").await;
    window.css("[data-test^='child.open.']").await;
    window.keep_picture("18-original").await;
    window.click("run.step.back.build.1").await;
    window.part("run.past.fork").await;
    window.keep_picture("19-the-past-of-the-original").await;
    window.click("run.past.now").await;
    window.click("run.discard").await;
    window.click("run.discard.confirm").await;
    window.until("run.disposition", "data-disposition", "discarded").await;
    assert!(git::is_clean(&world.project()));
    assert_eq!(window.page_errors().await, serde_json::json!([]));
    window.close().await;
}

/// The run whose thread is shown.
async fn selected(window: &Window) -> String {
    let shown = window.attributes("[data-test^='rail.run.'][aria-current]", "data-test").await;
    shown[0].trim_start_matches("rail.run.").to_owned()
}
