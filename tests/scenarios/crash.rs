//! Killed at any event, any append, any call or any time, a run goes on in a new process to the same end, once.
//!
//! A slice with fixed seeds of what `cargo xtask bench crash --kills 3000` does at full length, over every course: a run
//! that is accepted or discarded, one whose child judges it, one that fails and is undone, a fork, and a run that stands on another.
//!
//! The rules guarded, each with the mutant (`atelier_protocol::mutant`) that must be noticed; `cargo xtask bench crash
//! --mutants` breaks them in turn:
//!
//! | rule | mutant | noticed as |
//! |---|---|---|
//! | nothing is acknowledged that is not committed | `AckBeforeCommit` | a lost acknowledgement |
//! | nothing of class full is told before it is synced | `ToldBeforeSync` | a lost acknowledgement after a power cut |
//! | a blob is on the disk before an event names it | `BlobAfterEvent` | a job that comes to no end |
//! | an effect begins after its intent is recorded | `EffectBeforeIntent` | a job that comes to no end |
//! | an outcome is recorded only of what was done | `OutcomeBeforeEffect` | a wrong tree |
//! | an effect without outcome is asked of the world | `EffectNotAsked` | a job that comes to no end |
//! | a step counts as undone when it is | `UndoneBeforeUndo` | a wrong tree |
//! | a child's end and its parent's record are one append | `ChildEndAlone` | an orphan, or a parent that waits for ever |
//! | nothing that was started outlives its owner | `OrphanLeft` | an orphan |
//! | commits are on the disk before the branch that points at them | `RefBeforeObjects` | a repository that git finds broken |

use atelier_protocol::event::{Effect, Event};
use atelier_tests::job::Job;
use atelier_tests::toll::child::Preload;
use atelier_tests::toll::course::Course;
use atelier_tests::toll::judge;
use atelier_tests::toll::kills::{Blow, Trial};
use atelier_tests::toll::seed::Seed;
use atelier_tests::toll::{Field, Toll};
use std::path::Path;

/// Kills in a prepared field at some of every kind of moment; `stride` thins out those at events and appends.
async fn killed(course: Course, stride: usize, drawn: usize) -> (Field, Toll) {
    let field = Field::prepare(course, Path::new(env!("CARGO_BIN_EXE_victim"))).await;
    let mut trials: Vec<Trial> = field.at_every_event().into_iter().skip(1).step_by(2 * stride).collect();
    let planned = trials.len() as u64;
    trials.extend(field.at_every_append(course.jobs()[0]).into_iter().step_by(stride));
    trials.extend(field.drawn(drawn, &mut Seed(7)));
    let toll = tokio::task::block_in_place(|| field.kill(&trials, 2, |_| ()));
    eprintln!("{}: {}", course.name(), toll.figures("kills"));
    assert!(toll.is_clean(), "{}\n{}", toll.figures("kills"), toll.findings.join("\n"));
    assert!(toll.hits > planned, "only {} kills", toll.hits);
    (field, toll)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_the_same_wherever_it_is_killed() {
    let (field, _) = killed(Course::Feature, 5, 8).await;
    assert!(field.appends > 20, "only {} appends", field.appends);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_childs_end_reaches_its_parent_wherever_the_process_is_killed() {
    let (field, _) = killed(Course::Reviewed, 9, 2).await;

    // The judge itself: a child whose end its parent was never told is an orphan.
    let place = field.place("told");
    let seen = tokio::task::block_in_place(|| field.play(&place, "accept", None, &Preload::fast(&place.folder), None));
    assert_eq!(seen.exit, Some(0), "{}", seen.text());
    let mut events = judge::events(&place.home).unwrap();
    let mut toll = Toll::default();
    judge::history(&events, &judge::Acked::new(), "told", &mut toll);
    assert!(toll.is_clean(), "{:?}", toll.findings);
    events.retain(|event| !matches!(event.event, Event::ChildEnded { .. }));
    judge::history(&events, &judge::Acked::new(), "untold", &mut toll);
    assert_eq!(toll.orphans, 1, "{:?}", toll.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_run_did_is_undone_once_wherever_the_process_is_killed() {
    let (field, _) = killed(Course::Undone, 11, 2).await;
    assert_eq!(field.end_of(Job::Undo), field.end_of(Job::Discard), "a failed run leaves nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_goes_on_and_its_original_stays_wherever_the_process_is_killed() {
    killed(Course::Forked, 7, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_follows_the_one_it_stands_on_wherever_the_process_is_killed() {
    let (field, _) = killed(Course::Stacked, 9, 2).await;
    let end = field.end_of(Job::Stack);
    assert_eq!(end.log.len(), 3, "the lower as one commit, the upper's own, and what was there: {:?}", end.log);
}

/// Guards: a set of edits in an answer is applied once and whole. Turned red by working the set out again after a crash, from
/// files that hold half of it.
#[tokio::test(flavor = "multi_thread")]
async fn edits_in_an_answer_are_applied_once_wherever_the_process_is_killed() {
    let field = Field::prepare(Course::Answered, Path::new(env!("CARGO_BIN_EXE_victim"))).await;
    let place = field.place("told");
    let seen = tokio::task::block_in_place(|| field.play(&place, "accept", None, &Preload::fast(&place.folder), None));
    assert_eq!(seen.exit, Some(0), "{}", seen.text());
    let events = judge::events(&place.home).unwrap();
    let of_edits = |event: &Event| match event {
        Event::ToolDecided { tool, .. } | Event::ToolReturned { tool, .. } => tool == "apply_edits",
        Event::EffectIntended { effect: Effect::WriteFile { .. }, .. } => true,
        Event::EffectSettled { key, .. } => key.starts_with("write:"),
        _ => false,
    };
    let within: Vec<u64> = events.iter().filter(|event| of_edits(&event.event)).map(|event| event.seq.0).collect();
    assert!(within.len() >= 8, "decided, three files intended and written, answered: {within:?}");
    let kill = |blow| Trial { job: Job::Accept, blow, second: None };
    let mut trials: Vec<Trial> = within.iter().map(|n| kill(Blow::AtEvent(*n))).collect();
    // And a second process that is killed while it finishes what the first began.
    trials.extend(
        within.iter().step_by(3).map(|n| Trial { second: Some(Blow::AfterAppend(2)), ..kill(Blow::AtEvent(*n)) }),
    );
    trials.extend(field.at_every_append(Job::Accept).into_iter().step_by(7));
    let toll = tokio::task::block_in_place(|| field.kill(&trials, 2, |_| ()));
    eprintln!("{}: {}", field.course.name(), toll.figures("kills"));
    assert!(toll.is_clean(), "{}\n{}", toll.figures("kills"), toll.findings.join("\n"));
    assert!(toll.hits >= within.len() as u64, "only {} kills", toll.hits);
}
