//! A project from anywhere: what its own files say is to be run, or lent of the user's, waits for the user's yes.
//!
//! Guards: nothing that a project brings along runs, and nothing of the user's is lent to a tree, before all of it was shown
//! and allowed; a change asks again, and a no counts for the run that asked. Turned red by a `leave_for_project` that
//! gives its leave without asking, by a hash that leaves the set-up out, by an import that makes its trees with all that the
//! folder's list names, and by a hash that is the same in every home.

use crate::carrying::clone;
use crate::limits::put;
use atelier_engine::{Project, Workshop};
use atelier_protocol::error::Code;
use atelier_protocol::event::{Answer, Ask, CommandsView, Comment, Effect, Envelope, Event, ProjectCommand};
use atelier_protocol::hash::Hash;
use atelier_protocol::ids::RunId;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{RunState, RunView};
use atelier_tests::world::{begin, follow, goal, options, rests, start, user_state};
use atelier_tests::{Cli, World, steady};

/// What the project asks for: a file of the user's, a command in every tree, and a check.
const BRINGS: &str = "schema: 1\nsetup:\n  - copy: .env\n  - run: [sh, -c, 'cp .env seen']\nchecks:\n  - {name: test, argv: [sh, tests/run.sh]}\n";

async fn opened() -> (World, Workshop, Project) {
    let world = World::with_script("short.yaml").await;
    put(&world, ".atelier/project.yaml", BRINGS);
    put(&world, ".gitignore", ".env\nseen\n");
    let (workshop, project) = world.open().await;
    put(&world, ".env", "KEY=mine\n");
    (world, workshop, project)
}

async fn run_to_rest(project: &Project) -> (RunId, RunView, Vec<Envelope>) {
    let run = begin(project, goal(true)).await;
    let (view, events) = follow(project, &run, rests).await;
    (run, view, events)
}

/// What is asked about, line by line.
fn asked(view: &RunView) -> Vec<String> {
    match view.pending_approval().map(|asked| &asked.ask) {
        Some(Ask::ProjectCommands { commands, .. }) => commands.iter().map(ProjectCommand::told).collect(),
        other => panic!("{other:?}, {:?}", view.problem),
    }
}

async fn settle(project: &Project, view: &RunView, answer: Answer) {
    let approval = view.pending_approval().unwrap().id.clone();
    project.submit(Op::SettleApproval { approval, answer, note: String::new() }).await.unwrap();
}

fn ran(events: &[Envelope]) -> Vec<String> {
    let command = |event: &Envelope| match &event.event {
        Event::EffectIntended { effect: Effect::RunCommand { argv, .. }, .. } => Some(argv.join(" ")),
        _ => None,
    };
    events.iter().filter_map(command).collect()
}

async fn brings(project: &Project) -> CommandsView {
    match project.submit(Op::ShowCommands).await.unwrap() {
        Reply::Commands(view) => view,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_a_project_brings_along_is_asked_about_once_and_again_when_it_changes() {
    let (world, workshop, project) = opened().await;
    let (run, view, events) = run_to_rest(&project).await;
    let lines = asked(&view);
    insta::assert_snapshot!(lines.join("\n"), @r#"
    lend a copy of .env
    set up: sh -c "cp .env seen"
    check test: sh tests/run.sh (from .atelier/project.yaml)
    "#);
    assert!(ran(&events).is_empty(), "nothing ran before the answer");
    assert!(!world.home().join("data/trees").exists(), "and nothing of the user's was lent");

    settle(&project, &view, Answer::Approve).await;
    let (view, events) = follow(&project, &run, |view| view.state.is_final()).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    assert_eq!(ran(&events)[0], "sh -c cp .env seen");
    let (_, view, _) = run_to_rest(&project).await;
    assert_eq!(view.state, RunState::Done, "the yes counts for every run");

    // One word of one command, and all of it is shown again.
    put(&world, ".atelier/project.yaml", &BRINGS.replace("cp .env seen", "cp .env seen; true"));
    let (run, view, _) = run_to_rest(&project).await;
    assert_eq!(asked(&view)[1], "set up: sh -c \"cp .env seen; true\"");
    // Back to what was allowed: the question is moot, and nobody is asked for the next run.
    put(&world, ".atelier/project.yaml", BRINGS);
    settle(&project, &view, Answer::Reject).await;
    let (view, _) = follow(&project, &run, |view| view.state.is_final()).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_ends_the_run_that_asked_and_the_next_asks_anew() {
    let (world, workshop, project) = opened().await;
    for _ in 0..2 {
        let (run, view, _) = run_to_rest(&project).await;
        asked(&view);
        settle(&project, &view, Answer::Reject).await;
        let (view, events) = follow(&project, &run, |view| view.state.is_final()).await;
        let problem = view.problem.unwrap();
        assert_eq!((view.state, problem.code), (RunState::Failed, Code::Rejected));
        assert!(problem.hint.contains("atelier checks list"), "{}", problem.hint);
        assert!(ran(&events).is_empty());
    }
    assert!(!world.home().join("data/trees").exists());
    assert!(!brings(&project).await.allowed);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_beforehand_is_to_what_was_looked_at_and_can_be_taken_back() {
    let (world, workshop, project) = opened().await;
    let seen = brings(&project).await;
    put(&world, ".atelier/project.yaml", &BRINGS.replace("tests/run.sh", "tests/other.sh"));
    let allow = |hash: &Hash, allowed| Op::AllowCommands { hash: hash.clone(), allowed };
    let refused = project.submit(allow(&seen.hash, true)).await.unwrap_err();
    assert_eq!(refused.code, Code::WrongState, "it changed under the eyes of who allowed it");
    assert!(!brings(&project).await.allowed);

    put(&world, ".atelier/project.yaml", BRINGS);
    assert_eq!(project.allow_commands().await.unwrap(), CommandsView { allowed: true, ..seen.clone() });
    let (_, view, _) = run_to_rest(&project).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    project.submit(allow(&seen.hash, false)).await.unwrap();
    let (_, view, _) = run_to_rest(&project).await;
    assert_eq!(asked(&view).len(), 3);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_command_line_it_is_listed_allowed_and_asked_for() {
    let world = World::with_script("short.yaml").await;
    let (workshop, _) = world.open().await;
    workshop.close().await;
    let cli = Cli::new(&world.home(), &world.project(), &world.stage.url());
    let of = |arguments: &[&str]| atelier_tests::cli::said(cli.plain(arguments).output().unwrap());
    let url = world.stage.url();
    let run = ["--server", &url, "run", "Greet politely", "--approve", "hand_over"];

    let listed = of(&["checks", "list"]);
    assert_eq!(listed.last()["result"]["allowed"], false);
    assert!(
        listed.text.contains("check test: sh tests/run.sh") && listed.text.contains("not allowed yet"),
        "{}",
        listed.text
    );
    let parked = of(&run);
    assert_eq!(parked.exit, 3, "{}", parked.text);
    assert!(parked.text.contains("check test: sh tests/run.sh"), "{}", parked.text);
    let denied = of(&[&run[..], &["--deny-asks"]].concat());
    assert_eq!((denied.exit, denied.code()), (5, "rejected"), "{}", denied.text);

    assert_eq!(of(&["approvals", "approve"]).exit, 0);
    assert_eq!(of(&["checks", "list"]).last()["result"]["allowed"], true, "the answer to a run counts for the project");
    assert_eq!(of(&["--server", &url, "runs", "resume", "last"]).exit, 1, "the last was denied, and has ended");
    let again = of(&run);
    assert_eq!(again.exit, 0, "{}", again.text);
    let forbidden = of(&["checks", "forbid"]);
    assert_eq!((forbidden.exit, &forbidden.last()["result"]["allowed"]), (0, &false.into()));
    assert_eq!(of(&run).exit, 3);
    assert_eq!(of(&["checks", "allow"]).last()["result"]["allowed"], true);
    assert_eq!(of(&run).exit, 0);
    assert_eq!(of(&["checks", "permit"]).exit, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_lends_nothing_before_the_yes_and_a_run_that_goes_on_is_lent_it_after() {
    let (world, workshop, project) = opened().await;
    let run = start(&project, goal(false)).await;
    let (view, _) = follow(&project, &run, rests).await;
    let path = view.checkpoint.as_ref().unwrap().files[0].path.clone();
    let Some(Ask::HandOver { .. }) = view.pending_approval().map(|asked| &asked.ask) else { panic!("{view:?}") };
    workshop.close().await;
    let file = world.folder.path().join("state").to_string_lossy().into_owned();
    let written =
        Cli::new(&world.home(), &world.project(), &world.stage.url()).run(&["export", "state", "--to", &file]);
    assert_eq!(written.exit, 0, "{}", written.text);

    // The folder it comes to asks for more than was ever allowed.
    let (home, folder) = (world.folder.path().join("home-2"), world.folder.path().join("elsewhere/greet"));
    clone(&world.project(), &folder);
    std::fs::create_dir_all(folder.join(".atelier")).unwrap();
    std::fs::create_dir_all(folder.join("deps")).unwrap();
    std::fs::write(folder.join(".env"), "KEY=theirs\n").unwrap();
    std::fs::write(folder.join("deps/one"), "1\n").unwrap();
    let brings =
        "schema: 1\nsetup:\n  - copy: .env\n  - link: deps\nchecks:\n  - {name: test, argv: [cat, .env, deps/one]}\n";
    std::fs::write(folder.join(".atelier/project.yaml"), brings).unwrap();
    let imported = Cli::new(&home, &folder, &world.stage.url()).run(&["import", "state", &file]);
    assert_eq!(imported.exit, 0, "{}", imported.text);
    let lent = || {
        let all = user_state(&home.join("data/trees")).into_keys();
        all.filter(|name| name.ends_with("/tree/.env") || name.ends_with("/tree/deps")).count()
    };
    assert_eq!(lent(), 0, "nobody has said yes to this list");

    let options = options(&home, world.server(), steady::sources(2), None);
    let workshop = Workshop::open(options).await.unwrap();
    let project = workshop.open_project(&folder).await.unwrap();
    project.submit(Op::ResumeRun { run: run.clone() }).await.unwrap();
    let comment = Comment { path, quote: Vec::new(), line: 1, text: "Once more.".to_owned() };
    project.submit(Op::CommentRun { run: run.clone(), comment }).await.unwrap();
    settle(&project, &view, Answer::Reject).await;
    let (view, _) = follow(&project, &run, |v| {
        v.pending_approval().is_some_and(|a| matches!(a.ask, Ask::ProjectCommands { .. })) || v.state.is_final()
    })
    .await;
    assert_eq!(asked(&view)[..2], ["lend a copy of .env", "lend, to read, deps"]);
    assert_eq!(lent(), 0);
    settle(&project, &view, Answer::Approve).await;
    let (view, _) = follow(&project, &run, rests).await;
    let check = view.checks.last().unwrap();
    assert_eq!((check.output.text.as_str(), lent()), ("KEY=theirs\n1\n", 2), "{:?}", view.problem);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_that_comes_with_an_imported_history_is_somebody_elses() {
    let world = World::with_script("short.yaml").await;
    let (workshop, _) = world.open().await;
    workshop.close().await;
    let brings = "schema: 1\nchecks:\n  - {name: test, argv: [cat, README.md]}\n";
    let elsewhere = world.folder.path().join("elsewhere/greet");
    clone(&world.project(), &elsewhere);
    for folder in [world.project(), elsewhere.clone()] {
        std::fs::create_dir_all(folder.join(".atelier")).unwrap();
        std::fs::write(folder.join(".atelier/project.yaml"), brings).unwrap();
    }
    let here = Cli::new(&world.home(), &world.project(), &world.stage.url());
    let there = Cli::new(&world.folder.path().join("home-2"), &elsewhere, &world.stage.url());
    let allowed = |cli: &Cli| cli.run(&["checks", "list"]).last()["result"]["allowed"].clone();
    let hash = |cli: &Cli| cli.run(&["state", "hash"]).last()["result"]["state"]["hash"].clone();
    assert_eq!(here.run(&["checks", "allow"]).exit, 0);
    assert_eq!(allowed(&here), true);
    let file = world.folder.path().join("state").to_string_lossy().into_owned();
    assert_eq!(here.run(&["export", "state", "--to", &file]).exit, 0);
    let imported = there.run(&["import", "state", &file]);
    assert_eq!(imported.exit, 0, "{}", imported.text);
    assert_eq!(hash(&there), hash(&here), "the history is the same");
    assert_eq!(allowed(&there), false, "and its yes is not of this home");
    assert_eq!(there.run(&["checks", "allow"]).last()["result"]["allowed"], true);
}
