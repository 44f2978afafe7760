//! Documents and contexts at the door: read by a process of its own, cited by place, refused with a reason.

use atelier_tests::{Cli, World};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/documents").join(name);
    path.to_string_lossy().into_owned()
}

fn cli(home: &Path) -> Cli {
    Cli::new(home, home, "http://127.0.0.1:9")
}

#[test]
fn a_requirement_can_cite_the_page_it_comes_from() {
    let home = tempfile::tempdir().unwrap();
    let cli = cli(home.path());
    for (file, place) in [
        ("report.pdf", "<!-- page 1 -->"),
        ("talk.pptx", "<!-- slide 2 -->"),
        ("sensors.xlsx", "<!-- sheet Sensors -->"),
    ] {
        let said = cli.run(&["documents", "read", &fixture(file)]);
        assert_eq!(said.exit, 0, "{file}: {}", said.text);
        let markdown = said.last()["result"]["markdown"].as_str().unwrap().to_owned();
        assert!(markdown.contains(place), "{file}: {markdown}");
    }
    let code = cli.run(&["documents", "read", &fixture("control.rs")]);
    assert!(
        code.last()["result"]["markdown"].as_str().unwrap().contains("`Pump` lines 4-6"),
        "the real grammars are used"
    );
    let sql = "select kind, count(*) from Sensors group by kind order by kind";
    let asked = cli.run(&["documents", "query", &fixture("sensors.xlsx"), sql]);
    assert_eq!(asked.last()["result"]["rows"][0], serde_json::json!(["heat", 2]), "{}", asked.text);
}

#[test]
fn what_cannot_be_read_ends_with_a_reason_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let cli = cli(home.path());
    let refused = |file: &str, code: &str, exit: i32| {
        let said = cli.run(&["documents", "read", file]);
        assert_eq!((said.exit, said.code()), (exit, code), "{file}: {}", said.text);
    };
    refused(&fixture("encrypted.pdf"), "document_encrypted", 2);
    refused(&fixture("encrypted.docx"), "document_encrypted", 2);
    refused(&home.path().join("nowhere.pdf").to_string_lossy(), "io", 6);
    refused(&home.path().to_string_lossy(), "io", 6);
    let program = home.path().join("program.txt");
    fs::write(&program, b"\x7fELF\x02\x01\x01\x00").unwrap();
    refused(&program.to_string_lossy(), "document_unknown", 2);
    // A link is followed to the file, and the reader sees that file only.
    let giant = home.path().join("giant.zip");
    let mut file = fs::File::create(&giant).unwrap();
    file.write_all(b"PK\x03\x04").unwrap();
    file.set_len(1 << 40).unwrap();
    refused(&giant.to_string_lossy(), "document_too_large", 2);
    let deep = home.path().join("deep.svg");
    fs::write(&deep, "<g>".repeat(200_000)).unwrap();
    refused(&deep.to_string_lossy(), "document_damaged", 2);
    let wrong = cli.run(&["documents", "query", &fixture("sensors.csv"), "select * from elsewhere"]);
    assert_eq!((wrong.exit, wrong.code()), (2, "query_invalid"));
    assert!(wrong.text.contains("the tables are \"sensors\""), "{}", wrong.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_is_shown_exactly_as_it_would_be_sent() {
    let world = World::with_script("short.yaml").await;
    let (workshop, _) = world.open().await;
    workshop.close().await;
    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    let said = cli.run(&["context", "Greet politely", "--budget", "800"]);
    assert_eq!(said.exit, 0, "{}", said.text);
    let context = &said.last()["result"]["context"];
    assert!(context["tokens"].as_u64().unwrap() <= 800);
    let spans = context["spans"].as_array().unwrap();
    assert!(!spans.is_empty());
    for span in spans {
        let text = fs::read_to_string(world.project().join(span["path"].as_str().unwrap())).unwrap();
        assert!(text.contains(span["text"].as_str().unwrap()), "a span is cut from the file as it is: {span}");
        assert!(span["hash"].as_str().unwrap().starts_with("blake3:") && span["why"] != Value::Null);
    }
    assert_eq!(cli.run(&["context", "  "]).code(), "empty_goal");
    let status = cli.run(&["index", "--status"]);
    assert_eq!(status.last()["result"]["index"]["watch"]["how"], "off", "a command that goes follows nothing");
}
