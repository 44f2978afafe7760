//! What leaves this machine, as a person sees it: the question before the first time, the record, and taking it back.

use crate::journeys::{begin, open};
use crate::window::program;
use atelier_engine::Workshop;
use atelier_protocol::op::Op;
use atelier_protocol::settings::{ModelChoice, Settings, Theme};
use atelier_stage::Script;
use atelier_tests::{World, steady};
use fantoccini::key::Key;

const EMAIL: &str = "ada.lovelace@analytical.example";

/// A world whose model is passed on to a cloud by its server, and whose user allows that to be asked.
async fn world(theme: Theme) -> World {
    let script = include_str!("../../assets/stage/tour.yaml");
    let script = script.replacen("    context: 32768\n", "    context: 32768\n    remote: true\n", 1);
    let world = World::playing(Script::read("remote.yaml", &script).unwrap()).await;
    let mut options = world.options(steady::sources(1));
    options.providers = None;
    let workshop = Workshop::open(options).await.unwrap();
    workshop.initialise(&world.project()).await.unwrap();
    let model = Some(ModelChoice { provider: "server".into(), model: "tour:latest".into() });
    let providers = vec![world.server()];
    let settings = Settings { local_only: false, providers, model, theme, ..Settings::default() };
    workshop.submit(Op::ChangeSettings { settings }).await.unwrap();
    workshop.open_project(&world.project()).await.unwrap().allow_commands().await.unwrap();
    workshop.close().await;
    world
}

async fn seen(theme: Theme, name: &str) {
    let Some(program) = program() else { return };
    let world = world(theme).await;
    let window = open(&program, &world).await;
    begin(&window, &world).await;
    window.type_into("goal.text", &format!(", and tell {EMAIL}")).await;
    window.press(&(Key::Control + &Key::Enter)).await;

    window.until("run.state", "data-state", "waits_for_approval").await;
    let card = window.text("approval.cloud").await;
    assert!(card.contains("which passes it on to another machine") && card.contains("1 e-mail address"), "{card}");
    window.css("[data-test='approval.card'] summary").await.click().await.unwrap();
    let told =
        "String(document.querySelector(\"[data-test='approval.text']\").textContent.includes('[MASKED_EMAIL_1]'))";
    window.until_page(told, "true").await;
    let whole = window.text("approval.text").await;
    assert!(!whole.contains(EMAIL), "{whole}");
    assert_eq!(world.stage.chats().len(), 0, "nothing was sent to ask");
    window.keep_picture(&format!("leaving-{name}-asked")).await;
    window.click("approval.approve").await;
    window.until("approval.card", "data-ask", "hand_over").await;

    window.click("settings.open").await;
    window.part("settings.outgoing.revoke.server").await;
    let told = window.text("settings.outgoing").await;
    assert!(told.contains("greet may go to server"), "{told}");
    window.css("[data-test='settings.outgoing'] summary").await.click().await.unwrap();
    window.part("settings.outgoing.row").await;
    window.keep_picture(&format!("leaving-{name}-recorded")).await;
    window.click("settings.outgoing.revoke.server").await;
    window.part("settings.outgoing.none").await;
    assert_eq!(window.page_errors().await, serde_json::json!([]));
    window.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_what_would_leave_and_takes_the_leave_back() {
    seen(Theme::Light, "light").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_in_the_dark() {
    seen(Theme::Dark, "dark").await;
}
