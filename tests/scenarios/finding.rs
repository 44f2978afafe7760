//! One search over everything a project has: files, runs, specs, decisions, documents; by words and by meaning.
//!
//! Guards: every hit says where it can be looked up and what it was cut from, and what an answer lacks is named; a search
//! that is killed while it takes things in leaves no wrong answer. Mutants that turn it red: hits of documents whose file
//! is another now (`shelf::is_as_read`); a shelf that says it reaches further than it does (`Shelf::write`).

use atelier_stage::Script;
use atelier_tests::toll::child::{self, Preload};
use atelier_tests::{Cli, World};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Stdio;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/documents").join(name)
}

async fn world() -> (World, Cli) {
    let world = World::with_script("short.yaml").await;
    let (workshop, _) = world.open().await;
    workshop.close().await;
    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    (world, cli)
}

fn hits(cli: &Cli, arguments: &[&str]) -> Vec<Value> {
    let said = cli.run(&[&["search"], arguments].concat());
    assert_eq!(said.exit, 0, "{}", said.text);
    said.last()["result"]["hits"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_and_decided_in_a_run_is_found_with_its_event() {
    let (_world, cli) = world().await;
    assert_eq!(cli.run(&["run", "Greet politely"]).exit, 3);
    let goal = hits(&cli, &["politely", "--kind", "chat"]);
    let of_goal = goal.iter().find(|hit| hit["title"] == "goal").unwrap();
    assert_eq!(of_goal["snippet"], "Greet politely");
    assert_eq!(of_goal["origin"]["run"], of_goal["path"]);
    // The citation leads to the event that says it.
    let seq = of_goal["origin"]["seq"].as_u64().unwrap();
    let events = cli.run(&["runs", "events", of_goal["path"].as_str().unwrap()]);
    let cited = events.lines.iter().find(|line| line["event"]["seq"] == seq).unwrap();
    assert_eq!(cited["event"]["kind"], "run_started");
    assert_eq!(cited["event"]["payload_hash"], of_goal["hash"]);

    let open = hits(&cli, &["handed over", "--kind", "decision"]);
    assert!(!open[0]["snippet"].as_str().unwrap().contains("Answer"), "{open:?}");
    assert_eq!(cli.run(&["approvals", "approve", "--note", "shipshape"]).exit, 0);
    let decided = hits(&cli, &["shipshape", "--kind", "decision"]);
    assert!(decided[0]["snippet"].as_str().unwrap().contains("Answer by the user: yes: shipshape"), "{decided:?}");
    let specs = hits(&cli, &["greet", "--kind", "spec"]);
    assert!(specs.iter().all(|hit| hit["kind"] == "spec"), "{specs:?}");
    assert!(hits(&cli, &["shipshape"]).is_empty(), "without a kind only files are searched");
}

/// Guards: a program that asks one question at a time is not left waiting for a hundred. Turned red by reading on until
/// there are as many as are asked at once.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_one_question_and_waits_is_answered() {
    let (_world, cli) = world().await;
    let mut asking = cli.command(&["search", "--batch"]);
    let mut asking = asking.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut questions = asking.stdin.take().unwrap();
    let mut lines = BufReader::new(asking.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    for id in 0..3 {
        // The second line of a pair that comes together is not forgotten.
        write!(questions, "{{\"id\":{id},\"query\":\"greet\"}}\n\n{{\"id\":\"again\",\"query\":\"greet\"}}\n").unwrap();
        let (first, second) = (next(), next());
        assert_eq!((&first["id"], &second["id"]), (&Value::from(id), &Value::from("again")));
        assert!(!first["hits"].as_array().unwrap().is_empty(), "{first}");
    }
    drop(questions);
    assert_eq!(next()["result"]["answered"], 6);
    assert!(asking.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_found_by_page_and_only_as_they_are() {
    let (world, cli) = world().await;
    for name in ["report.pdf", "talk.pptx", "sensors.xlsx", "encrypted.pdf"] {
        fs::copy(fixture(name), world.project().join(name)).unwrap();
    }
    let index = cli.run(&["index"]);
    let view = &index.last()["result"]["index"];
    assert_eq!(view["documents"], 3, "{}", index.text);
    let left = view["skipped"].as_array().unwrap();
    let reason = |name: &str| left.iter().find(|one| one[0] == name).map(|one| one[1].to_string());
    assert!(reason("encrypted.pdf").unwrap().contains("password"), "{left:?}");
    assert_eq!(reason("report.pdf"), None, "what is read as a document is not left out");

    let found = hits(&cli, &["pump", "--kind", "document"]);
    let of_report = found.iter().find(|hit| hit["path"] == "report.pdf").unwrap_or_else(|| panic!("{found:?}"));
    assert_eq!(of_report["origin"]["anchor"]["at"], "page");
    let bytes = fs::read(world.project().join("report.pdf")).unwrap();
    assert_eq!(of_report["hash"], atelier_protocol::Hash::of(&bytes).as_str());
    // Another file under the same name: nothing of the old one is told.
    fs::copy(fixture("talk.pptx"), world.project().join("report.pdf")).unwrap();
    let found = hits(&cli, &["pump", "--kind", "document"]);
    assert!(
        found.iter().all(|hit| hit["path"] != "report.pdf" || hit["origin"]["anchor"]["at"] == "slide"),
        "{found:?}"
    );
    fs::remove_file(world.project().join("report.pdf")).unwrap();
    assert!(hits(&cli, &["pump", "--kind", "document"]).iter().all(|hit| hit["path"] != "report.pdf"));
}

#[tokio::test(flavor = "multi_thread")]
async fn meaning_is_learned_beside_and_done_without_when_its_server_is_gone() {
    let text =
        "schema: 1\nmodels:\n  - {name: vectors, capabilities: [embedding], embedding: 16, context: 24}\nturns: []\n";
    let world = World::playing(Script::read("vectors.yaml", text).unwrap()).await;
    let (workshop, _) = world.open().await;
    workshop.close().await;
    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    let index = cli.run(&["index", "--meaning", "vectors"]);
    let meaning = &index.last()["result"]["index"]["meaning"];
    assert_eq!(
        (index.exit, &meaning["wanting"], &meaning["problem"]),
        (0, &Value::from(0), &Value::Null),
        "{}",
        index.text
    );
    assert!(meaning["known"].as_u64().unwrap() > 0, "also passages that are longer than the model can hold: {meaning}");
    let said = cli.run(&["search", "greet"]);
    assert_eq!(said.last()["result"]["by"], serde_json::json!(["words", "meaning"]), "{}", said.text);
    let kept = world.stage.transcript().iter().filter(|exchange| exchange.path == "/api/embed").count();
    assert_eq!(cli.run(&["index"]).exit, 0);
    let again = world.stage.transcript().iter().filter(|exchange| exchange.path == "/api/embed").count();
    assert_eq!(again, kept, "what has a vector is not asked again");

    let said = cli.asking("http://127.0.0.1:9").run(&["search", "greet"]);
    assert_eq!(said.exit, 0, "{}", said.text);
    assert_eq!(said.last()["result"]["by"], serde_json::json!(["words"]));
    assert_eq!(said.last()["result"]["without_meaning"]["code"], "model_server_down", "{}", said.text);
    assert!(!said.last()["result"]["hits"].as_array().unwrap().is_empty(), "words find it all the same");
    let off = cli.run(&["index", "--meaning", "off"]);
    assert_eq!(off.last()["result"]["index"]["meaning"], Value::Null, "{}", off.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_is_killed_while_it_takes_things_in_leaves_no_wrong_answer() {
    let (world, cli) = world().await;
    fs::copy(fixture("report.pdf"), world.project().join("report.pdf")).unwrap();
    assert_eq!(cli.run(&["run", "Greet politely"]).exit, 3);
    let asked = ["greet pump", "--kind", "chat", "--kind", "decision", "--kind", "document", "--kind", "code"];
    let cache = world.home().join("cache");
    let (counts, anew) = (world.folder.path().join("counts"), || drop(fs::remove_dir_all(&cache)));
    let strike = |fault: Option<String>| {
        anew();
        let preload = Preload { fault, count: Some(counts.clone()), ..Preload::fast(&cache) };
        let mut command = cli.command(&[&["search"], &asked[..]].concat());
        preload.of(&mut command);
        tokio::task::block_in_place(|| child::run(&mut command, None))
    };
    assert_eq!(strike(None).exit, Some(0));
    let calls = child::count(&fs::read_to_string(&counts).unwrap(), "any");
    let whole = hits(&cli, &asked);
    let kinds: std::collections::BTreeSet<&str> = whole.iter().filter_map(|hit| hit["kind"].as_str()).collect();
    assert!(kinds.contains("chat") && kinds.contains("document") && kinds.contains("code"), "{whole:?}");
    let step = (calls / 16).max(1);
    let mut killed = 0;
    for n in (1..=calls).step_by(usize::try_from(step).unwrap()) {
        killed += u32::from(strike(Some(format!("any:{n}:KILL:once"))).killed());
        // The first answer may lack what is not taken in yet; then it says so. The second has it all.
        let first = cli.run(&[&["search"], &asked[..]].concat());
        assert_eq!(first.exit, 0, "killed at call {n} of {calls}: {}", first.text);
        let of_whole =
            first.last()["result"]["hits"].as_array().unwrap().iter().all(|hit| {
                whole.iter().any(|known| known["snippet"] == hit["snippet"] && known["hash"] == hit["hash"])
            });
        assert!(of_whole, "killed at call {n} of {calls}: {}", first.text);
        assert_eq!(hits(&cli, &asked), whole, "killed at call {n} of {calls}");
    }
    assert!(killed > 8, "only {killed} were killed in {calls} calls");
}
