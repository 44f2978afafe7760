//! What a project brings along is shown before any of it runs, allowed in the window, and that taken back there.

use crate::journeys::{begin, knows_its_model, open};
use crate::window::{Window, program};
use atelier_protocol::settings::Theme;
use atelier_tests::World;
use fantoccini::key::Key;

/// A file of the user's, a set-up in each tree, and two checks, one of which is written to be overlooked.
const BRINGS: &str = "schema: 1\nsetup:\n  - copy: .env\n  - run: [sh, -c, \"cp .env seen\"]\nchecks:\n  - {name: test, argv: [sh, tests/run.sh]}\n  - {name: lint, argv: [sh, -c, \"true \\u202E\\r# nothing else\"]}\n";

async fn seen(theme: Theme, name: &str) {
    let Some(program) = program() else { return };
    let world = World::with_script("short.yaml").await;
    let write = |path: &str, text: &str| {
        let file = world.project().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    write(".atelier/project.yaml", BRINGS);
    write(".gitignore", ".env\nseen\n");
    knows_its_model(&world, theme).await;
    write(".env", "KEY=mine\n");
    let window = open(&program, &world).await;
    begin(&window, &world).await;
    window.press(&(Key::Control + &Key::Enter)).await;

    window.until("approval.card", "data-ask", "project_commands").await;
    let card = window.text("approval.card").await;
    for told in
        ["Let this project’s own commands run", "lend a copy", ".env", "sh tests/run.sh", ".atelier/project.yaml"]
    {
        assert!(card.contains(told), "{told}: {card}");
    }
    assert!(card.contains("\\u{202e}\\u{d}# nothing else"), "nothing hides in a line: {card}");
    assert!(!world.home().join("data/trees").exists(), "nothing has run and nothing is lent");
    window.keep_picture(&format!("commands-asked-{name}")).await;
    window.click("approval.approve").await;
    window.until("approval.card", "data-ask", "hand_over").await;
    again(&window).await;
    take_back(&window, name).await;
    assert_eq!(window.page_errors().await, serde_json::json!([]));
    window.close().await;
}

/// The second run asks for its hand-over alone.
async fn again(window: &Window) {
    window.type_into("goal.text", "Greet politely once more.").await;
    window.press(&(Key::Control + &Key::Enter)).await;
    window.until_page("String(document.querySelectorAll(\"[data-test^='rail.run.']\").length)", "2").await;
    window.until("approval.card", "data-ask", "hand_over").await;
}

/// By the keyboard alone: the settings are opened at what may run, and the yes is taken back. The next run asks again.
async fn take_back(window: &Window, name: &str) {
    window.press(&(Key::Control + "k")).await;
    window.type_into("palette.text", "may run").await;
    window.press(&(Key::Enter + "")).await;
    window.until("settings.brought.standing", "data-allowed", "true").await;
    window.until_page("document.activeElement.dataset.test ?? ''", "settings.brought.allow").await;
    window.keep_picture(&format!("commands-allowed-{name}")).await;
    window.press(&(Key::Enter + "")).await;
    window.until("settings.brought.standing", "data-allowed", "false").await;
    window.keep_picture(&format!("commands-taken-back-{name}")).await;
    window.press(&(Key::Escape + "")).await;
    window.type_into("goal.text", "Greet politely a third time.").await;
    window.press(&(Key::Control + &Key::Enter)).await;
    window.until("approval.card", "data-ask", "project_commands").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_what_the_project_would_run_and_lets_it() {
    seen(Theme::Light, "light").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_in_the_dark() {
    seen(Theme::Dark, "dark").await;
}
