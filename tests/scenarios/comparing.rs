//! What a check says of its tests, and what was there before: only new failures block, and keys need a person.
//!
//! Guards: an old failure keeps nobody from working, and hides no new one; what looks like a key gets into no commit by a
//! grant. Turns red when `Check::passed` looks at the exit code alone, `compare` takes no new failure for one, or
//! `Run::ask` forgets `needs_a_person`.

use crate::git;
use crate::limits::{put, short_with};
use atelier_protocol::error::Code;
use atelier_protocol::event::{Answer, Ask, ChecksVerdict, Event};
use atelier_protocol::op::Op;
use atelier_protocol::view::{RunState, RunView};
use atelier_tests::World;
use atelier_tests::world::{follow, goal, rests, start};

/// A check that says what pytest says: one test fails from the start, another where the greeting is polite and `rude` is
/// there.
const CHECK: &str = "cat ready > /dev/null || exit 9\nfailed=1\necho 'FAILED t.py::old - no'\nif grep -q rude greet.sh; then failed=2; echo 'FAILED t.py::new - no'; fi\necho \"$failed failed, 3 passed in 0.01s\"\nexit 1\n";

async fn played(replace: &str) -> (World, RunView, Vec<Event>) {
    let turns = format!(
        "  - when: {{role: developer, turn: 0}}\n    say:\n      - tool:\n          name: edit_file\n          arguments: {{path: greet.sh, search: \"# Greets one person by name.\", replace: \"{replace}\"}}\n  - when: {{role: developer}}\n    say: [{{text: Done.}}]"
    );
    let world = World::playing(short_with(&turns)).await;
    put(&world, "check.sh", CHECK);
    put(&world, "ready", "");
    put(&world, ".atelier/project.yaml", "schema: 1\nchecks: [{name: test, argv: [sh, check.sh], only_new: true}]\n");
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(true)).await;
    let (view, events) = follow(&project, &run, rests).await;
    workshop.close().await;
    (world, view, events.into_iter().map(|envelope| envelope.event).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_were_there_before_do_not_block() {
    let (world, view, events) = played("# Greets politely.").await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    let checks: Vec<_> =
        events.iter().filter_map(|e| if let Event::CheckRecorded { check } = e { Some(check) } else { None }).collect();
    let [plain, base, compared] = checks.as_slice() else { panic!("{checks:?}") };
    assert!(!plain.passed() && base.is_of_base() && !base.passed() && compared.passed());
    assert_ne!(base.tree, plain.tree, "the base was checked");
    let tests = plain.tests.as_ref().unwrap();
    assert_eq!((tests.passed, tests.failed, tests.failures.as_slice()), (3, 1, ["t.py::old".to_owned()].as_slice()));
    assert_eq!((compared.compared.as_ref().unwrap().old, view.checks_of(&plain.tree)), (1, ChecksVerdict::Passed));
    let branch = view.branch.unwrap();
    assert_eq!(git::tree(&world.project(), &branch), plain.tree, "the tree was put back after the look at the base");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_failure_blocks_and_is_named() {
    let (world, view, events) = played("# Greets rudely.").await;
    let problem = view.problem.unwrap();
    assert_eq!((view.state, problem.code), (RunState::Failed, Code::ChecksFailed));
    let told = problem.details.join("\n");
    assert!(told.contains("1 failure was there before, 1 is new: t.py::new"), "{told}");
    let on_base = events.iter().filter(|e| matches!(e, Event::CheckRecorded { check } if check.is_of_base())).count();
    assert_eq!(on_base, 1, "the base is looked at once a run");
    assert!(!git::refs(&world.project()).iter().any(|r| r.contains("heads/atelier")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_looks_like_a_key_is_handed_over_by_nobody_but_a_person() {
    let key = ["# ghp_", "16C7e42F292c6912E7710c838347Ae178B4a"].concat();
    let turns = format!(
        "  - when: {{role: developer, turn: 0}}\n    say:\n      - tool:\n          name: edit_file\n          arguments: {{path: greet.sh, search: \"# Greets one person by name.\", replace: \"{key}\"}}\n  - when: {{role: developer}}\n    say: [{{text: Done.}}]"
    );
    let world = World::playing(short_with(&turns)).await;
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(true)).await;
    let (view, _) = follow(&project, &run, rests).await;
    assert_eq!(view.state, RunState::WaitsForApproval, "{:?}", view.problem);
    let asked = view.pending_approval().unwrap().clone();
    let Ask::HandOver { keys, .. } = &asked.ask else { panic!("{asked:?}") };
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(keys[0].starts_with("greet.sh:"), "{keys:?}");
    let yes = Op::SettleApproval { approval: asked.id, answer: Answer::Approve, note: "it opens nothing".to_owned() };
    project.submit(yes).await.unwrap();
    let (view, _) = follow(&project, &run, |view| view.state.is_final()).await;
    assert_eq!(view.state, RunState::Done, "{:?}", view.problem);
    workshop.close().await;
}
