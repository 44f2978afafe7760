//! What is found beyond a project: in others that the user shares, and in the library. And projects that are packed.
//!
//! Guards: a project that is not shared is neither opened nor read for another's search; whatever moment a packing is
//! killed at, nothing of the project is lost. Mutants: ask the private ones too (`elsewhere`); remove a folder before its
//! archive stands under its name (`packed::pack`); take a folder that was half removed for the newer one.

use atelier_tests::toll::child::{self, Preload};
use atelier_tests::world::user_state;
use atelier_tests::{Cli, World};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// A world with two projects more, `pump` and `diary`, that were opened once.
async fn three_projects() -> (World, Cli, Cli, Cli) {
    let world = World::with_script("short.yaml").await;
    let (workshop, _) = world.open().await;
    for (name, text) in [("pump", "fn open_valve() {\n    pressure();\n}\n"), ("diary", "fn valve_of_the_heart() {}\n")]
    {
        let dir = world.folder.path().join(name);
        fs::create_dir_all(dir.join("src")).unwrap();
        fs::write(dir.join("src/lib.rs"), text).unwrap();
        workshop.initialise(&dir).await.unwrap();
        workshop.open_project(&dir).await.unwrap();
    }
    workshop.close().await;
    let here = Cli::new(&world.home(), &world.project(), &world.stage.url());
    let (pump, diary) = (world.folder.path().join("pump"), world.folder.path().join("diary"));
    let (pump, diary) = (here.at(&pump), here.at(&diary));
    (world, here, pump, diary)
}

fn elsewhere(cli: &Cli, query: &str) -> Value {
    let said = cli.run(&["search", query, "--elsewhere"]);
    assert_eq!(said.exit, 0, "{}", said.text);
    said.last()["result"].clone()
}

/// The hits of an answer: project, licence, path, first line.
fn told(answer: &Value) -> Vec<String> {
    let hits = answer["hits"].as_array().unwrap();
    let line = |hit: &Value| {
        let licence = match &hit["project"]["licence"] {
            Value::Null => "unknown".to_owned(),
            licence => format!("{} by {}", licence["name"].as_str().unwrap(), licence["from"].as_str().unwrap()),
        };
        let text = hit["snippet"].as_str().unwrap().lines().next().unwrap_or_default().to_owned();
        format!("{} ({licence}) {}: {text}", hit["project"]["name"].as_str().unwrap(), hit["path"].as_str().unwrap())
    };
    hits.iter().map(line).collect()
}

fn store_of(world: &World, name: &str, cli: &Cli) -> PathBuf {
    let listed = cli.run(&["projects", "list"]);
    let projects = listed.last()["result"]["projects"].as_array().unwrap().clone();
    let id = projects.iter().find(|project| project["name"] == name).unwrap()["id"].as_str().unwrap().to_owned();
    world.home().join("data/stores").join(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_user_shares_is_found_from_another_project() {
    let (world, here, pump, diary) = three_projects().await;
    let store = store_of(&world, "diary", &here);
    let before = user_state(&store);
    // A private project whose files nobody may so much as read.
    let trap = world.folder.path().join("diary/src/lib.rs");
    let untouched = fs::metadata(&trap).unwrap().accessed().unwrap();

    let nobody = elsewhere(&here, "valve");
    assert_eq!((told(&nobody), &nobody["private"], &nobody["searched"]), (vec![], &json!(2), &json!([])));
    assert_eq!(pump.run(&["projects", "share"]).exit, 0);
    let found = elsewhere(&here, "valve");
    assert_eq!(told(&found), ["pump (unknown) src/lib.rs: fn open_valve() {"]);
    assert_eq!((&found["private"], found["searched"].as_array().unwrap().len()), (&json!(1), 1));
    fs::write(world.folder.path().join("pump/LICENSE"), "Mozilla Public License Version 2.0\n").unwrap();
    assert_eq!(told(&elsewhere(&here, "open_valve")), ["pump (MPL-2.0 by LICENSE) src/lib.rs: fn open_valve() {"]);

    assert!(user_state(&store) == before, "the private project's store was opened");
    assert_eq!(fs::metadata(&trap).unwrap().accessed().unwrap(), untouched);
    assert!(!world.home().join("cache/index").join(store.file_name().unwrap()).exists(), "it has no index");
    // Where the user is, is not elsewhere; and what is taken back is taken back.
    assert_eq!(told(&elsewhere(&pump, "valve")), [""; 0]);
    assert_eq!(pump.run(&["projects", "unshare"]).exit, 0);
    assert_eq!(told(&elsewhere(&here, "valve")), [""; 0]);

    // One that is gone is named, and the others answer.
    assert_eq!((pump.run(&["projects", "share"]).exit, diary.run(&["projects", "share"]).exit), (0, 0));
    fs::rename(world.folder.path().join("pump"), world.folder.path().join("away")).unwrap();
    let found = elsewhere(&here, "valve");
    assert_eq!(told(&found), ["diary (unknown) src/lib.rs: fn valve_of_the_heart() {}"]);
    assert_eq!(found["left_out"][0][0], "pump");
    assert_eq!(here.run(&["search", "++", "--elsewhere"]).code(), "query_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_of_the_library_is_found_at_once_from_every_project() {
    let (_world, here, pump, _) = three_projects().await;
    let notes = |cli: &Cli, query: &str| -> Vec<String> {
        let said = cli.run(&["search", query, "--kind", "note"]);
        assert_eq!(said.exit, 0, "{}", said.text);
        let hits = said.last()["result"]["hits"].as_array().unwrap().clone();
        hits.iter()
            .map(|hit| format!("{}: {}", hit["title"].as_str().unwrap(), hit["snippet"].as_str().unwrap()))
            .collect()
    };
    assert_eq!(notes(&here, "backoff"), [""; 0]);
    let kept = here.run(&["library", "add", "Retry", "wait twice as long\neach time: backoff"]);
    assert_eq!(kept.exit, 0, "{}", kept.text);
    assert_eq!(notes(&pump, "backoff"), ["Retry: wait twice as long\neach time: backoff"]);
    assert_eq!(pump.run(&["library", "add", "Retry", "wait twice as long\neach time: backoff"]).exit, 0);
    let listed = pump.run(&["library", "list"]);
    let listed = listed.last()["result"]["notes"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "the same note is kept once");
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(here.run(&["library", "add", " ", "text"]).code(), "bad_argument");
    assert_eq!(here.run(&["library", "remove", "none"]).code(), "bad_argument");
    assert_eq!(here.run(&["library", "remove", id]).exit, 0);
    assert_eq!(notes(&pump, "backoff"), [""; 0]);
}

/// A project with a run whose tree is kept, and an index.
async fn worked_on() -> (World, Cli) {
    let world = World::with_script("short.yaml").await;
    let (workshop, _) = world.open().await;
    workshop.close().await;
    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    assert_eq!(cli.run(&["run", "Greet politely"]).exit, 3);
    assert_eq!(cli.run(&["search", "greet", "--kind", "code", "--kind", "chat"]).exit, 0);
    (world, cli)
}

/// Everything that is kept of projects besides their stores and the sockets, with its bytes.
fn kept(home: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = user_state(&home.join("data/trees"));
    all.extend(user_state(&home.join("cache")).into_iter().map(|(name, bytes)| (format!("cache/{name}"), bytes)));
    all.retain(|name, _| !name.contains("build/") && !name.contains("command-home") && !name.contains(".tmp"));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_project_is_reopened_without_anybody_noticing_but_by_a_line() {
    let (world, cli) = worked_on().await;
    let before = kept(&world.home());
    assert!(before.keys().any(|name| name.contains("/tree/")), "there is a run's tree: {:?}", before.keys());
    let packed = cli.run(&["projects", "pack"]);
    assert_eq!(packed.exit, 0, "{}", packed.text);
    let sizes = &packed.last()["result"]["packed"][0];
    assert!(sizes["after"].as_u64().unwrap() < sizes["before"].as_u64().unwrap(), "{sizes}");
    let now = kept(&world.home());
    assert!(now.keys().filter(|name| !name.ends_with('/')).all(|name| name.ends_with(".packed")), "{:?}", now.keys());

    let said = cli.run(&["search", "greet", "--kind", "code", "--kind", "chat"]);
    assert!(said.last()["result"]["unpacked"].as_u64().unwrap() > 0, "{}", said.text);
    assert!(said.text.contains("it was packed, because nobody worked on it"), "{}", said.text);
    let again = cli.run(&["search", "greet", "--kind", "code", "--kind", "chat"]);
    assert_eq!(again.last()["result"]["unpacked"], Value::Null, "told once: {}", again.text);
    assert_eq!(said.last()["result"]["hits"], again.last()["result"]["hits"]);
    // The run goes on where it was.
    assert_eq!(cli.run(&["approvals", "approve"]).exit, 0);
    let ended = cli.run(&["runs", "resume", "last"]);
    assert_eq!(ended.exit, 0, "{}", ended.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_nobody_has_opened_for_long_is_dormant() {
    let (world, cli) = worked_on().await;
    let dormant = |days: &str| cli.run(&["projects", "pack", "--dormant", days]).last()["result"]["packed"].clone();
    assert_eq!(dormant("30"), json!([]));
    let store = store_of(&world, "greet", &cli);
    for entry in fs::read_dir(&store).unwrap() {
        let long_ago = SystemTime::now() - Duration::from_secs(31 * 24 * 60 * 60);
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(&path).or_else(|_| fs::rename(&path, world.folder.path().join("aside"))).unwrap();
        } else {
            fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
        }
    }
    assert_eq!(dormant("32"), json!([]));
    assert_eq!(dormant("30").as_array().unwrap().len(), 1);
    assert_eq!(dormant("30"), json!([]), "packed once");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_window_packs_by_itself_is_a_setting() {
    let (_world, here, _, _) = three_projects().await;
    let packing = |arguments: &[&str]| {
        let said = here.run(&[&["projects", "packing"], arguments].concat());
        assert_eq!(said.exit, 0, "{}", said.text);
        said.last()["result"]["packing"]["after_days"].clone()
    };
    assert_eq!(packing(&[]), json!(60));
    assert_eq!((packing(&["7"]), packing(&[])), (json!(7), json!(7)));
    assert_eq!((packing(&["never"]), packing(&[])), (Value::Null, Value::Null));
    for wrong in ["0", "soon", "-1"] {
        let refused = here.run(&["projects", "packing", wrong]);
        assert_ne!(refused.exit, 0, "{}", refused.text);
    }
    assert_eq!((packing(&[]), packing(&["default"])), (Value::Null, json!(60)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packing_that_is_killed_at_any_call_loses_nothing() {
    let (world, cli) = worked_on().await;
    let before = kept(&world.home());
    let whole = world.folder.path().join("kept-aside");
    copy(&world.home(), &whole);
    let strike = |fault: Option<String>| {
        let preload =
            Preload { fault, count: Some(world.folder.path().join("counts")), ..Preload::fast(&world.home()) };
        let mut command = cli.command(&["projects", "pack"]);
        preload.of(&mut command);
        tokio::task::block_in_place(|| child::run(&mut command, None))
    };
    assert_eq!(strike(None).exit, Some(0));
    let counts = fs::read_to_string(world.folder.path().join("counts")).unwrap();
    let calls = child::count(&counts, "any");
    assert!(calls > 20, "{counts}");
    let mut killed = 0;
    // Every call near the renames at the end, some of the many writes before.
    for n in (1..=calls).filter(|n| n % 7 == 0 || calls - n < 60) {
        fs::remove_dir_all(world.home()).unwrap();
        copy(&whole, &world.home());
        killed += u32::from(strike(Some(format!("any:{n}:KILL:once"))).killed());
        // Whoever opens and searches it next has it all.
        let said = cli.run(&["search", "greet", "--kind", "code", "--kind", "chat"]);
        assert_eq!(said.exit, 0, "killed at call {n}: {}", said.text);
        assert!(!said.last()["result"]["hits"].as_array().unwrap().is_empty(), "killed at call {n}");
        let mut now = kept(&world.home());
        let trees = |all: &BTreeMap<String, Vec<u8>>| -> BTreeMap<String, Vec<u8>> {
            all.iter().filter(|(name, _)| name.contains("/tree/")).map(|(n, b)| (n.clone(), b.clone())).collect()
        };
        assert!(trees(&now) == trees(&before), "killed at call {n}: a run's tree is another");
        now.retain(|name, _| {
            [".packed", ".packing", ".leaving"].iter().any(|end| name.contains(end)) || name.contains(".unpacking")
        });
        assert!(now.is_empty(), "killed at call {n}: left over {:?}", now.keys());
    }
    assert!(killed > 20, "only {killed} were killed");
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}
