//! What is accepted is committed as the user's own git would: hooks have their say, confined, and what they refuse changes
//! nothing. A tree is set up as the project says before anybody works in it.
//!
//! Guards: a hook cannot reach the user's files or the network, its words reach the user, and there is a way on; nothing of
//! a set-up is part of a run's change.
//! Turns red, for example, when `accept` performs before `hooks::ask`, or `confined` no longer opens what is lent.

use crate::git;
use crate::limits::{played, put};
use atelier_engine::Project;
use atelier_protocol::RunId;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Acceptance, Effect, Event, Mechanism};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{Disposition, RunState, RunView};
use atelier_sandbox::Sandbox;
use atelier_tests::World;
use atelier_tests::world::{follow, goal, start};
use std::os::unix::fs::PermissionsExt;

fn script(world: &World, path: &str, text: &str) {
    put(world, path, &format!("#!/bin/sh\n{text}\n"));
    let file = world.project().join(path);
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

async fn accept(project: &Project, run: &RunId, how: Acceptance) -> Result<Reply, Problem> {
    project.submit(Op::AcceptRun { run: run.clone(), how }).await
}

async fn disposition(project: &Project, run: &RunId) -> Disposition {
    match project.submit(Op::ShowRun { run: run.clone(), at: None }).await.unwrap() {
        Reply::RunView(view) => view.disposition,
        other => panic!("{other:?}"),
    }
}

fn confined() -> bool {
    let confined = Sandbox::detect().mechanism() != Mechanism::None;
    if !confined {
        eprintln!("nothing can confine a command here: left out");
    }
    confined
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_says_no_refuses_the_accept_with_its_words_and_changes_nothing() {
    if !confined() {
        return;
    }
    let world = World::with_script("short.yaml").await;
    let (workshop, project, RunView { id: run, .. }) = played(&world).await;
    // It may look at the result, and reaches nothing else.
    let outside = world.project().join("reached");
    script(
        &world,
        ".git/hooks/pre-commit",
        &format!(
            "grep -q politely greet.sh || exit 9\necho x > '{}'\necho 'no docs without a title'\nexit 3",
            outside.display()
        ),
    );
    let before = world.user_state();
    let refused = accept(&project, &run, Acceptance::default()).await.unwrap_err();
    assert_eq!(refused.code, Code::HookRefused, "{refused:?}");
    assert!(refused.message.contains("pre-commit") && refused.message.contains("exit code 3"), "{refused:?}");
    assert!(refused.details.iter().any(|line| line == "no docs without a title"), "{refused:?}");
    assert!(refused.hint.contains("--no-verify"), "{refused:?}");
    assert_eq!(world.user_state(), before, "nothing was changed, and the hook reached nothing");
    assert_eq!(disposition(&project, &run).await, Disposition::Pending);
    accept(&project, &run, Acceptance { skip_hooks: true, ..Acceptance::default() }).await.unwrap();
    assert!(matches!(disposition(&project, &run).await, Disposition::Accepted { .. }));
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_completes_the_message_completes_that_of_every_commit() {
    if !confined() {
        return;
    }
    let world = World::with_script("short.yaml").await;
    let (workshop, project, RunView { id: run, .. }) = played(&world).await;
    script(&world, ".git/hooks/commit-msg", "printf '\\nTicket: 7\\n' >> \"$1\"");
    accept(&project, &run, Acceptance::default()).await.unwrap();
    let repo = git2::Repository::open(world.project()).unwrap();
    let tip = repo.head().unwrap().peel_to_commit().unwrap();
    let said = |commit: &git2::Commit<'_>| commit.message().unwrap().contains("Ticket: 7");
    assert!(said(&tip) && said(&tip.parent(0).unwrap()), "{:?}", git::log(&world.project(), "main"));
    assert!(git::is_clean(&world.project()));
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_is_set_up_before_work_begins_and_nothing_of_it_is_part_of_the_change() {
    if !confined() {
        return;
    }
    let world = World::with_script("short.yaml").await;
    put(&world, ".gitignore", "vendor\nbuilt\n.env\n");
    put(&world, "vendor/lib", "lent\n");
    let (workshop, project) = world.open().await;
    put(&world, ".env", "KEY=1\n");
    put(
        &world,
        ".atelier/project.yaml",
        "schema: 1\nsetup:\n  - link: vendor\n  - copy: .env\n  - run: [sh, -c, 'cat vendor/lib .env > built; echo y >> greet.sh; ! echo x > vendor/lib']\n\
         checks:\n  - {name: test, argv: [sh, -c, 'grep -q lent built && grep -q KEY .env']}\n",
    );
    let before = world.user_state();
    let run = start(&project, goal(true)).await;
    let (view, events) = follow(&project, &run, |v| v.state.is_final()).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    let ran: Vec<_> = events
        .iter()
        .filter_map(|e| match &e.event {
            Event::CheckRecorded { check } if check.name.starts_with("set up") => {
                Some((check.exit_code, check.tree.clone()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(ran, [(Some(0), String::new())], "once, and it is no evidence about a tree");
    let mut now = world.user_state();
    now.retain(|path, _| before.contains_key(path));
    assert_eq!(now, before, "it ran in the tree, and nothing of the user's was touched");
    let files: Vec<String> = view.checkpoint.unwrap().files.into_iter().map(|file| file.path).collect();
    assert_eq!(files, ["docs/manners.md", "greet.sh"]);
    accept(&project, &run, Acceptance::default()).await.unwrap();
    let greet = std::fs::read_to_string(world.project().join("greet.sh")).unwrap();
    assert!(greet.contains("politely") && !greet.ends_with("y\n"), "what the set-up did to it was put back: {greet}");
    assert_eq!(std::fs::read_to_string(world.project().join("vendor/lib")).unwrap(), "lent\n");
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_that_fails_parks_the_run_until_it_is_mended() {
    if !confined() {
        return;
    }
    let world = World::with_script("short.yaml").await;
    let (workshop, project) = world.open().await;
    let file = |command: &str| {
        format!(
            "schema: 1\nsetup:\n  - run: [sh, -c, 'echo once >> log']\n  - run: [sh, -c, '{command}']\nchecks:\n  - {{name: test, argv: [sh, tests/run.sh]}}\n"
        )
    };
    put(&world, ".git/info/exclude", "log\n");
    put(&world, ".atelier/project.yaml", &file("echo cannot be installed; exit 4"));
    let run = start(&project, goal(true)).await;
    let (view, _) = follow(&project, &run, |v| v.state.is_final() || v.state.rests()).await;
    assert_eq!(view.state, RunState::Parked, "{:?}", view.problem);
    let problem = view.problem.unwrap();
    assert!(problem.details.iter().any(|line| line.contains("cannot be installed")), "{problem:?}");
    put(&world, ".atelier/project.yaml", &file("test $(wc -l < log) = 1"));
    project.allow_commands().await.unwrap(); // the list is another one now
    project.submit(Op::ResumeRun { run: run.clone() }).await.unwrap();
    let (view, _) = follow(&project, &run, |v| v.state.is_final() || v.state.rests()).await;
    assert_eq!(view.state, RunState::Done, "what passed is not run again: {:?}", view.problem);
    workshop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_shown_is_pushed_and_keys_stop_it() {
    let world = World::with_script("short.yaml").await;
    let (workshop, project) = world.open().await;
    let place = world.folder.path().join("remote.git");
    let remote = git2::Repository::init_bare(&place).unwrap();
    git2::Repository::open(world.project()).unwrap().remote("origin", &place.display().to_string()).unwrap();
    let run = start(&project, goal(true)).await;
    let (view, _) = follow(&project, &run, |v| v.state.is_final()).await;
    let tip = view.commits.last().unwrap().id.clone();
    let show = Op::ShowPush { run: run.clone(), remote: "origin".to_owned(), to: Some("polite".to_owned()) };
    let Ok(Reply::Push(shown)) = project.submit(show).await else { panic!("it is shown") };
    assert_eq!((shown.push.tip.as_str(), shown.push.to.as_str(), shown.keys.len()), (tip.as_str(), "polite", 0));
    let push = |tip: &str, to: &str| Op::PushRun {
        run: run.clone(),
        remote: "origin".to_owned(),
        to: Some(to.to_owned()),
        tip: tip.to_owned(),
        anyway: false,
    };
    let stale = project.submit(push(&view.base.commit, "polite")).await.unwrap_err();
    assert_eq!(stale.code, Code::WrongState, "not what was shown");
    assert_eq!(remote.references().unwrap().count(), 0, "nothing left yet");
    if std::process::Command::new("git").arg("--version").output().is_ok() {
        project.submit(push(&tip, "polite")).await.unwrap();
        assert_eq!(remote.refname_to_id("refs/heads/polite").unwrap().to_string(), tip);
        let Reply::Events(events) = project
            .submit(Op::ReadEvents { run: Some(run.clone()), after: Default::default(), limit: 1000 })
            .await
            .unwrap()
        else {
            panic!("events")
        };
        let told = events.iter().any(|e| matches!(&e.event, Event::EffectIntended { effect: Effect::Push { tip: pushed, .. }, .. } if *pushed == tip));
        assert!(told, "it is in the history");
    }
    assert_eq!(disposition(&project, &run).await, Disposition::Pending, "pushing decides nothing");
    workshop.close().await;
}
