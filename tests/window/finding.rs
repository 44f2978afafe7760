//! Searching, as a person does it: by kind, in other projects, and in the library; in the dark.

use crate::journeys::{begin, open};
use crate::window::program;
use atelier_engine::Workshop;
use atelier_protocol::op::Op;
use atelier_protocol::settings::{Settings, Theme};
use atelier_tests::{World, steady};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_searches_here_elsewhere_and_in_the_library() {
    let Some(program) = program() else { return };
    let world = World::with_tour().await;
    let workshop = Workshop::open(world.options(steady::sources(1))).await.unwrap();
    let settings = Settings { theme: Theme::Dark, providers: vec![world.server()], ..Settings::default() };
    workshop.submit(Op::ChangeSettings { settings }).await.unwrap();
    let pump = world.folder.path().join("pump");
    std::fs::create_dir_all(pump.join("src")).unwrap();
    std::fs::write(pump.join("src/greeting.rs"), "/// The pump greets by name.\nfn greet(name: &str) {}\n").unwrap();
    std::fs::write(pump.join("LICENSE"), "Mozilla Public License Version 2.0\n").unwrap();
    workshop.initialise(&pump).await.unwrap();
    let shared = workshop.open_project(&pump).await.unwrap().id().clone();
    workshop.submit(Op::ShareProject { project: shared, shared: true }).await.unwrap();
    workshop.initialise(&world.project()).await.unwrap();
    workshop.close().await;

    let window = open(&program, &world).await;
    begin(&window, &world).await;
    window.click("tab.files").await;
    window.type_into("files.query", "greet name").await;
    window.part("files.hit.0").await;
    window.keep_picture("finding-files-dark").await;

    window.css("label:has([data-test='files.scope.elsewhere'])").await.click().await.unwrap();
    let told =
        "String(document.querySelector(\"[data-test='files.hit.0']\")?.textContent.includes('MPL-2.0 by LICENSE'))";
    window.until_page(told, "true").await;
    window.keep_picture("finding-elsewhere-dark").await;

    window.css("label:has([data-test='files.scope.note'])").await.click().await.unwrap();
    window.css(".library summary").await.click().await.unwrap();
    window.type_into("library.title", "How to greet").await;
    window.type_into("library.text", "Say the name, then good day.").await;
    window.click("library.keep").await;
    let told = "String(document.querySelector(\"[data-test='files.hit.0']\")?.textContent.includes('How to greet'))";
    window.until_page(told, "true").await;
    window.keep_picture("finding-library-dark").await;
    assert_eq!(window.page_errors().await, serde_json::json!([]));
    window.close().await;
}
