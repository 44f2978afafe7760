//! Killed at any append, any call or any time, a run goes on in a new process to the same end, once.
//!
//! The rules guarded, each with the mutant (`VICTIM_MUTANT`, see `harness/victim/mutant.rs`) that must be noticed:
//!
//! | rule | mutant | noticed as |
//! |---|---|---|
//! | nothing is acknowledged that is not committed | `ack_before_commit` | a lost acknowledgement |
//! | an effect begins after its intent is recorded | `effect_before_intent` | a job that cannot be brought to its end |
//! | an outcome is recorded only of what was done | `outcome_without_effect` | a wrong tree, or a job without an end |
//! | a child's end reaches its parent | the parent's event taken out of a real history | an orphan |
//! | bytes are synced before the name or event that needs them | a disk that only says it synced, in `faults.rs` | a lost acknowledgement, a damaged store |
//!
//! At full length: `cargo xtask bench crash --kills 3000`.

use atelier_protocol::event::Event;
use atelier_tests::job::Ending;
use atelier_tests::toll::child::Preload;
use atelier_tests::toll::judge;
use atelier_tests::toll::kills::{Blow, Trial};
use atelier_tests::toll::{Field, Toll};
use std::path::Path;

async fn field() -> Field {
    Field::prepare(None, Path::new(env!("CARGO_BIN_EXE_victim"))).await
}

fn clean(toll: &Toll) {
    assert!(toll.is_clean(), "{}\n{}", toll.figures(), toll.findings.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_before_and_after_every_append_ends_the_same() {
    let field = field().await;
    let trials: Vec<Trial> =
        field.at_every_append().into_iter().filter(|trial| trial.ending == Ending::Accept).collect();
    let toll = tokio::task::block_in_place(|| field.kill(&trials, 2, |_| ()));
    eprintln!("{} events; killed {} times; {}", field.events, toll.hits, toll.figures());
    clean(&toll);
    assert_eq!(toll.hits, 2 * field.appends, "killed before and after each");
    assert!(field.appends > 20, "only {} appends", field.appends);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_child_judges_it_ends_the_same_wherever_it_is_killed_and_its_child_reaches_it() {
    let field = Field::prepare(Some("reviewed"), Path::new(env!("CARGO_BIN_EXE_victim"))).await;
    let trials: Vec<Trial> =
        field.at_every_append().into_iter().filter(|trial| trial.ending == Ending::Accept).skip(1).step_by(3).collect();
    let toll = tokio::task::block_in_place(|| field.kill(&trials, 2, |_| ()));
    eprintln!("{} events; killed {} times; {}", field.events, toll.hits, toll.figures());
    clean(&toll);

    // The judge itself: a child whose end its parent was never told is an orphan.
    let place = field.place("told");
    let seen = tokio::task::block_in_place(|| field.play(&place, "accept", None, &Preload::fast(&place.folder), None));
    assert_eq!(seen.exit, Some(0), "{}", seen.text());
    let mut events = judge::events(&place.home).unwrap();
    let mut toll = Toll::default();
    judge::history(&events, &judge::Acked::new(), "told", &mut toll);
    clean(&toll);
    events.retain(|event| !matches!(event.event, Event::ChildEnded { .. }));
    judge::history(&events, &judge::Acked::new(), "untold", &mut toll);
    assert_eq!(toll.orphans, 1, "{:?}", toll.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_killed_anywhere_and_killed_again_while_it_recovers_ends_the_same() {
    let field = field().await;
    let toll = tokio::task::block_in_place(|| field.kill(&field.drawn(16, 7), 2, |_| ()));
    eprintln!("{}", toll.figures());
    clean(&toll);
    assert!(toll.hits > 8, "only {} kills", toll.hits);
}

type Noticed = fn(&Toll) -> bool;

#[tokio::test(flavor = "multi_thread")]
async fn every_mutant_of_a_guarded_rule_is_noticed() {
    let mut field = field().await;
    let appends = field.appends;
    let accept = |blow| Trial { ending: Ending::Accept, blow, second: None };
    // The accept's intent is the last append but one.
    let mutants: [(&str, Vec<Trial>, Noticed); 3] = [
        ("ack_before_commit", vec![accept(Blow::BeforeAppend(appends / 2))], |toll| toll.lost > 0),
        ("effect_before_intent", vec![accept(Blow::BeforeAppend(appends - 1))], |toll| toll.stuck + toll.wrong > 0),
        ("outcome_without_effect", vec![accept(Blow::AfterAppend(appends / 2))], |toll| toll.stuck + toll.wrong > 0),
    ];
    for (mutant, trials, noticed) in mutants {
        field.mutant = None;
        clean(&tokio::task::block_in_place(|| field.kill(&trials, 1, |_| ())));
        field.mutant = Some(mutant);
        let toll = tokio::task::block_in_place(|| field.kill(&trials, 1, |_| ()));
        eprintln!("{mutant}: {:?}", toll.findings);
        assert!(noticed(&toll), "`{mutant}` went unnoticed: {}", toll.figures());
    }
}
