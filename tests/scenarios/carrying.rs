//! The whole state of a project goes into one file and comes out of it in another home and folder as the same state.
//!
//! Guards: the hash is the same, runs go on where they were, and a file that is cut or damaged changes nothing.
//! Turns red, for example, when the import leaves out the trees, puts the store in place before it has looked at the file, or
//! does not look for trees that are packed.

use crate::git;
use crate::limits::settle;
use atelier_protocol::event::Answer;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{RunState, RunView};
use atelier_tests::world::{follow, goal, options, rests, start, user_state};
use atelier_tests::{Cli, World, steady};
use std::path::Path;
use std::process::Command;

pub fn clone(from: &Path, to: &Path) {
    let done = Command::new("git").args(["clone", "--quiet"]).arg(from).arg(to).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    for (key, value) in [("user.name", "Ada"), ("user.email", "ada@example.org")] {
        Command::new("git").arg("-C").arg(to).args(["config", key, value]).output().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_exported_and_imported_elsewhere_with_the_same_hash_and_goes_on() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project) = world.open().await;
    let accepted = start(&project, goal(true)).await;
    follow(&project, &accepted, |v| v.state.is_final()).await;
    project.submit(Op::AcceptRun { run: accepted.clone(), how: Default::default() }).await.unwrap();
    let mut other = goal(false);
    if let Op::StartRun { goal, .. } = &mut other {
        "Say goodbye too.".clone_into(goal);
    }
    let handed = start(&project, other).await;
    let (view, _) = follow(&project, &handed, rests).await;
    workshop.close().await;
    drop(project);

    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    let file = world.folder.path().join("state.tar.gz");
    let name = file.to_string_lossy().into_owned();
    let masked = cli.run(&["export", "state", "--redacted", "--to", &name]);
    assert_eq!((masked.code(), file.exists()), ("bad_argument", false), "{}", masked.text);
    let written = cli.run(&["export", "state", "--to", &name]);
    assert_eq!(written.exit, 0, "{}", written.text);
    let hash = written.last()["result"]["file"]["hash"].clone();
    assert_eq!(cli.run(&["state", "hash"]).last()["result"]["state"]["hash"], hash);

    // Another home, another folder.
    let (home, folder) = (world.folder.path().join("home-2"), world.folder.path().join("elsewhere/greet"));
    clone(&world.project(), &folder);
    let there = Cli::new(&home, &folder, &world.stage.url());
    let whole = std::fs::read(&file).unwrap();
    for (what, bytes) in [("cut", whole[..whole.len() / 2].to_vec()), ("none", b"no archive".to_vec())] {
        let bad = world.folder.path().join(what);
        std::fs::write(&bad, bytes).unwrap();
        let before = git::refs(&folder);
        let refused = there.run(&["import", "state", &bad.to_string_lossy()]);
        assert_eq!(refused.code(), "store_damaged", "{}", refused.text);
        assert_eq!(git::refs(&folder), before);
        assert!(!home.join("data/trees").exists());
        assert_eq!(there.run(&["runs", "list"]).last()["result"]["runs"], serde_json::json!([]));
    }
    let (home, again) = (world.folder.path().join("home-3"), world.folder.path().join("once-more/greet"));
    clone(&world.project(), &again);
    let there = Cli::new(&home, &again, &world.stage.url());
    let imported = there.run(&["import", "state", &name]);
    assert_eq!((imported.exit, &imported.last()["result"]["hash"]), (0, &hash), "{}", imported.text);
    assert_eq!(there.run(&["state", "hash"]).last()["result"]["state"]["hash"], hash);
    assert_eq!(there.run(&["state", "check"]).exit, 0);
    assert_eq!(there.run(&["import", "state", &name]).code(), "wrong_state", "a history that is there is not replaced");

    // The run that waited goes on in its tree, and what was accepted can be taken back.
    let options = options(&home, world.server(), steady::sources(2), None);
    let workshop = atelier_engine::Workshop::open(options).await.unwrap();
    let project = workshop.open_project(&again).await.unwrap();
    project.submit(Op::ResumeRun { run: handed.clone() }).await.unwrap();
    settle(&project, &view, Answer::Approve).await.unwrap();
    let (done, _): (RunView, _) = follow(&project, &handed, |v| v.state.is_final()).await;
    assert_eq!(done.state, RunState::Done, "{:?}", done.problem);
    assert_eq!(git::tree(&again, done.branch.as_ref().unwrap()), view.checkpoint.unwrap().tree);
    let Reply::Operations(all) = project.submit(Op::ListOperations { run: Some(accepted), limit: 1 }).await.unwrap()
    else {
        panic!()
    };
    project.submit(Op::UndoOperation { operation: all[0].operation }).await.unwrap();
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_project_is_carried_whole_and_an_import_loses_nothing_that_is_packed() {
    let world = World::with_script("short.yaml").await;
    let (workshop, _) = world.open().await;
    workshop.close().await;
    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    let packed = |cli: &Cli| {
        let said = cli.run(&["projects", "pack"]);
        assert!(said.last()["result"]["packed"][0]["before"].as_u64() > Some(0), "{}", said.text);
    };
    assert_eq!(cli.run(&["run", "Greet politely"]).exit, 3);
    packed(&cli);
    let name = world.folder.path().join("state.tar.gz").to_string_lossy().into_owned();
    let written = cli.run(&["export", "state", "--to", &name]);
    assert_eq!((written.exit, &written.last()["result"]["file"]["runs"]), (0, &1.into()), "{}", written.text);

    // The run goes on elsewhere.
    let (home, folder) = (world.folder.path().join("home-2"), world.folder.path().join("elsewhere/greet"));
    clone(&world.project(), &folder);
    let there = Cli::new(&home, &folder, &world.stage.url());
    assert_eq!(there.run(&["import", "state", &name]).exit, 0);
    assert_eq!(there.run(&["approvals", "approve"]).exit, 0);
    let ended = there.run(&["runs", "resume", "last"]);
    assert_eq!(ended.exit, 0, "{}", ended.text);

    // Here its tree has a file since then that no checkpoint knows. It is packed, and the export comes back.
    let trees = world.home().join("data/trees");
    let tree = user_state(&trees).into_keys().find(|name| name.ends_with("/tree/greet.sh")).unwrap();
    let note = trees.join(tree).with_file_name("note.txt");
    std::fs::write(&note, "mine").unwrap();
    packed(&cli);
    assert!(!note.exists());
    let imported = cli.run(&["import", "state", "--replace", &name]);
    assert_eq!(imported.exit, 0, "{}", imported.text);
    assert_eq!(std::fs::read_to_string(&note).unwrap_or_default(), "mine");
    assert_eq!(cli.run(&["approvals", "approve"]).exit, 0);
}
