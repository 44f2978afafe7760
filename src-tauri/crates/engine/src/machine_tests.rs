//! The machine held against a recorded run: whatever part of its events there is, the fold and the decision are total,
//! and folding in one go or bit by bit is the same.
//!
//! Guards: a run is a fold of its events, so any owner can go on from any point; no event leads where the table of
//! transitions does not.
//! Turns red, for example, when `Machine::apply` counts only some events as the run's version, when `next` looks for
//! something to do before it settles an effect that is open, or when `legal::admit` lets an event follow a run's end.

use crate::digest::Digest;
use crate::flow::{self, Flow};
use crate::legal;
use crate::machine::{Action, Machine};
use crate::sources::FLOWS;
use atelier_protocol::Envelope;
use atelier_protocol::event::{Event, NewEvent, Outcome};
use atelier_protocol::ids::{RoleId, RunId};
use atelier_protocol::view::{RunState, RunView};
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

#[derive(Deserialize)]
struct Recording {
    events: Vec<Envelope>,
    views: BTreeMap<RunId, RunView>,
}

static RUNS: LazyLock<Vec<(Vec<Envelope>, RunView)>> = LazyLock::new(|| {
    let texts = [
        include_str!("../../../../tests/fixtures/journal/main-job.json"),
        include_str!("../../../../tests/fixtures/journal/every-state.json"),
    ];
    let recordings = texts.map(|text| serde_json::from_str::<Recording>(text).unwrap());
    let runs = recordings.into_iter().flat_map(|recording| {
        let Recording { events, views } = recording;
        views.into_iter().map(move |(run, view)| {
            (events.iter().filter(|e| e.run.as_ref() == Some(&run)).cloned().collect::<Vec<_>>(), view)
        })
    });
    runs.collect()
});

fn shipped() -> Flow {
    let roles: Vec<RoleId> = ["business_analyst", "developer", "qa_tester"].map(RoleId::from).to_vec();
    flow::read(FLOWS[0].0, FLOWS[0].1, &roles).unwrap()
}

/// A machine keeps less of a run than a screen shows, but says the same of where the run is and what it made.
fn same(lean: &RunView, whole: &RunView) {
    let told = |view: &RunView| {
        let tree = view.checkpoint.as_ref().map(|point| point.tree.clone()).unwrap_or_default();
        let asked = view.pending_approval().map(|asked| asked.id.clone());
        let step = view.steps.last().map(|step| (step.id.clone(), step.result.clone()));
        let evidence = (view.checks_of(&tree), view.approved_by_role(&tree));
        let end = (view.disposition.clone(), view.problem.clone(), view.branch.clone(), view.commits.clone());
        (view.state, asked, step, evidence, end, view.checkpoint.clone(), view.cost.clone(), view.last_seq)
    };
    assert_eq!(told(lean), told(whole));
}

/// Events as they are before they are recorded.
fn unrecorded(event: &Envelope) -> NewEvent {
    let Envelope { run, step, cause, trace, event, .. } = event.clone();
    NewEvent { run, step, cause, trace, event }
}

fn open_effect(machine: &Machine) -> bool {
    machine.effects.values().any(|tried| tried.outcome.is_none())
}

#[test]
fn every_beginning_of_a_run_is_a_state_to_go_on_from() {
    let flow = shipped();
    let mut asked = Vec::new();
    for (events, view) in RUNS.iter() {
        for count in 1..=events.len() {
            let machine = Machine::of(&events[..count]).unwrap();
            assert_eq!(machine.version, count as u64);
            assert_eq!(machine.last_seq(), events[count - 1].seq);
            let action = machine.next(&flow);
            assert_eq!(machine.next(&flow), action, "the same state, the same action");
            match machine.view.state {
                state if state.is_final() => assert_eq!(action, Action::Stop),
                state if state.rests() => assert_eq!(action, Action::Rest),
                state if state.waits_for_user() => assert!(matches!(action, Action::Wait { .. }), "{action:?}"),
                _ => assert_eq!(matches!(action, Action::Settle { .. }), open_effect(&machine)),
            }
            asked.push(std::mem::discriminant(&action));
        }
        same(&Machine::of(events).unwrap().view, view);
    }
    asked.sort_by_key(|kind| format!("{kind:?}"));
    asked.dedup();
    assert!(asked.len() >= 12, "the recordings meet only {} kinds of action", asked.len());
}

#[test]
fn a_run_that_went_well_never_ends_early() {
    let flow = shipped();
    let (events, _) = RUNS.iter().find(|(_, view)| view.state == RunState::Done).unwrap();
    let finished = events.iter().position(|e| matches!(e.event, Event::RunFinished { .. })).unwrap();
    for count in 1..=events.len() {
        let action = Machine::of(&events[..count]).unwrap().next(&flow);
        match action {
            Action::Stop => assert!(count > finished, "after {count} events"),
            Action::Finish { outcome } => assert_eq!((outcome, count), (Outcome::Done, finished)),
            _ => assert!(count < finished, "after {count} events: {action:?}"),
        }
    }
}

#[test]
fn a_run_that_went_well_passes_these_states() {
    let (events, _) = RUNS.iter().find(|(_, view)| view.state == RunState::Done).unwrap();
    let mut path: Vec<RunState> = Vec::new();
    for count in 1..=events.len() {
        path.push(Machine::of(&events[..count]).unwrap().view.state);
    }
    path.dedup();
    use RunState::{Created, Done, Planning, Running, WaitsForApproval};
    assert_eq!(path, [Created, Planning, Running, WaitsForApproval, Running, Done]);
}

#[test]
fn every_recorded_event_was_legal_and_nothing_more_is_after_the_end() {
    for (events, view) in RUNS.iter() {
        let mut folded = Machine::start(&events[0]).unwrap();
        for event in &events[1..] {
            let admitted = legal::admit(&view.id, Some(&folded.row), [&unrecorded(event)]);
            assert_eq!(admitted, Ok(()), "{:?}", event.event);
            folded.apply(event);
        }
        let row = Some(&folded.row);
        if view.state.is_final() {
            let work = events.iter().find(|e| matches!(e.event, Event::CallFinished { .. })).unwrap();
            assert!(legal::admit(&view.id, row, [&unrecorded(work)]).is_err(), "work after the end of {}", view.id);
            let again = NewEvent::of_run(&view.id, None, Event::RunFinished { outcome: Outcome::Done });
            assert!(legal::admit(&view.id, row, [&again]).is_err(), "an end after the end of {}", view.id);
        }
    }
}

#[test]
fn a_machine_stays_small_however_much_is_said() {
    let (events, _) = RUNS.iter().max_by_key(|(events, _)| events.len()).unwrap();
    let mut machine = Machine::start(&events[0]).unwrap();
    let turns = |machine: &Machine| serde_json::to_vec(&machine.view).unwrap().len();
    let mut between = Vec::new();
    for event in &events[1..] {
        machine.apply(event);
        if matches!(event.event, Event::StepFinished { .. }) {
            between.push(turns(&machine));
        }
    }
    let (first, most) = (between[0], *between.iter().max().unwrap());
    assert!(most < first + 6_000, "after the first step {first} bytes, at most {most}");
}

#[test]
fn what_does_not_begin_with_a_start_is_no_run() {
    let (events, _) = &RUNS[0];
    assert!(Machine::of(&events[1..]).is_none());
    assert!(Machine::of(&[]).is_none());
}

/// One of the recorded runs and places to cut it at.
fn cut() -> impl Strategy<Value = (usize, prop::sample::Index, prop::sample::Index)> {
    (0..RUNS.len(), any::<prop::sample::Index>(), any::<prop::sample::Index>())
}

proptest! {
    #[test]
    fn a_fold_in_two_parts_is_the_whole_fold((run, at, _) in cut()) {
        let (events, view) = &RUNS[run];
        let count = 1 + at.index(events.len());
        let mut folded = RunView::of(&events[..count]).unwrap();
        let mut machine = Machine::of(&events[..count]).unwrap();
        for event in &events[count..] {
            folded.apply(event);
            machine.apply(event);
        }
        prop_assert_eq!(&folded, view);
        same(&machine.view, view);
        let whole = Machine::of(events).unwrap();
        prop_assert_eq!(format!("{machine:?}"), format!("{whole:?}"));
    }

    /// A snapshot and the tail are the whole.
    #[test]
    fn a_machine_that_was_laid_aside_goes_on_as_if_it_had_not((run, at, _) in cut()) {
        let (events, _) = &RUNS[run];
        let count = 1 + at.index(events.len());
        let laid_aside = serde_json::to_vec(&Machine::of(&events[..count]).unwrap()).unwrap();
        let mut machine: Machine = serde_json::from_slice(&laid_aside).unwrap();
        for event in &events[count..] {
            machine.apply(event);
        }
        let whole = Machine::of(events).unwrap();
        prop_assert_eq!(format!("{machine:?}"), format!("{whole:?}"));
    }

    /// Whatever comes in whatever order: what is admitted goes a way that the table allows, and nothing leaves the end.
    #[test]
    fn what_is_admitted_is_legal((run, _, _) in cut(), order in prop::collection::vec(any::<prop::sample::Index>(), 0..80)) {
        let (events, _) = &RUNS[run];
        let mut view = RunView::start(&events[0]).unwrap();
        let mut row = Digest::start(&events[0]).unwrap();
        for at in order {
            let event = &events[1 + at.index(events.len() - 1)];
            if legal::admit(&view.id, Some(&row), [&unrecorded(event)]).is_err() {
                continue;
            }
            let before = view.state;
            row.apply(event);
            prop_assert_eq!(view.try_apply(event), Ok(()));
            prop_assert!(before == view.state || before.may_become(view.state));
        }
    }

    /// No event the machine did not expect makes it panic: a history may be of another build.
    #[test]
    fn any_history_has_a_next_action((run, at, other) in cut(), order in any::<u64>()) {
        let (events, _) = &RUNS[run];
        let mut rest: Vec<Envelope> = events[1..].to_vec();
        let (from, to) = (at.index(rest.len()), other.index(rest.len()));
        rest.swap(from, to);
        if order % 2 == 0 {
            rest.remove(from);
        } else {
            rest.insert(to, rest[from].clone());
        }
        let history = || std::iter::once(&events[0]).chain(&rest);
        let machine = Machine::of(history()).unwrap();
        prop_assert_eq!(machine.version, 1 + rest.len() as u64);
        prop_assert_eq!(machine.view.state, RunView::of(history()).unwrap().state);
        let flow = shipped();
        prop_assert_eq!(machine.next(&flow), machine.next(&flow));
    }
}
