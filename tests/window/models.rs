//! Models in the settings: what is there, one that is measured, one that is fetched.

use crate::journeys::{open, set_up};
use crate::window::program;
use atelier_tests::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_measured_and_another_fetched_in_the_settings() {
    let Some(program) = program() else { return };
    let world = World::with_script("measured.yaml").await;
    set_up(&world).await;
    let window = open(&program, &world).await;
    window.click("settings.open").await;
    window.part("settings.models.measure.able:latest").await;
    window.click("settings.models.measure.able:latest").await;
    window.until_page("String(document.querySelector('[data-test=\"settings.models.able:latest\"]')?.innerText.includes('whole-file'))", "true").await;
    window.type_into("settings.models.wanted", "nowhere:1b").await;
    window.click("settings.models.fetch").await;
    window.until_page("String(document.querySelector('[data-test=\"settings.models.pull.nowhere:1b\"]')?.innerText.includes('could not be fetched'))", "true").await;
    window.look("document.querySelector('[data-test=\"settings.models\"]').scrollIntoView();").await;
    window.keep_picture("models-measured").await;
    window.type_into("settings.models.wanted", "new").await;
    window.click("settings.models.fetch").await;
    window.part("settings.models.new:latest").await;
    assert_eq!(window.page_errors().await, serde_json::json!([]));
    window.close().await;
}
