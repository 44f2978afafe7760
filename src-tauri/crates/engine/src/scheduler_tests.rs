//! Guards: runs at work are bounded, the order is fair, nobody starves, and nothing is kept of who went.
//! Turns red, for example, when `State::next` begins at the first line each time, or `Queue::pop` forgets who was passed
//! over.

use super::{Line, PATIENCE, Scheduler, Slot, Turn};
use atelier_protocol::event::Priority::{self, High, Low, Normal};
use atelier_protocol::ids::RunId;
use proptest::prelude::*;
use std::collections::BTreeSet;
use tokio::sync::mpsc::UnboundedReceiver;

fn run(n: usize) -> RunId {
    RunId::new(n as u64, [0; 10])
}

fn number(run: &RunId, most: usize) -> usize {
    (0..most).find(|n| super::tests::run(*n) == *run).unwrap()
}

/// Lets go of the slot again and again, and gives the order in which the others went.
fn order(mut slot: Option<Slot>, coming: &mut UnboundedReceiver<Turn>, most: usize) -> Vec<usize> {
    let mut went = Vec::new();
    loop {
        drop(slot.take());
        let Ok(turn) = coming.try_recv() else { return went };
        went.push(number(&turn.run, most));
        slot = Some(turn.slot);
    }
}

fn all_of(line: &Line, runs: &[(usize, Priority)]) {
    runs.iter().for_each(|(n, priority)| line.queue(run(*n), *priority));
}

#[test]
fn the_urgent_go_first_and_equals_in_the_order_they_came() {
    let scheduler = Scheduler::new(1);
    let (line, mut coming) = scheduler.join();
    let slot = line.now();
    assert!(slot.is_some() && line.now().is_none());
    all_of(&line, &[(0, Low), (1, Normal), (2, High), (3, Normal), (4, High), (5, Low)]);
    assert_eq!((line.ahead(High), line.ahead(Normal), line.ahead(Low)), (2, 4, 6));
    assert_eq!(order(slot, &mut coming, 6), [2, 4, 1, 3, 0, 5]);
}

#[test]
fn who_is_passed_over_long_enough_goes() {
    let scheduler = Scheduler::new(1);
    let (line, mut coming) = scheduler.join();
    let slot = line.now();
    let mut runs = vec![(0, Low)];
    runs.extend((1..100).map(|n| (n, High)));
    all_of(&line, &runs);
    let went = order(slot, &mut coming, 100);
    assert_eq!(went.iter().position(|n| *n == 0), Some(PATIENCE as usize), "{went:?}");
}

#[test]
fn projects_take_turns_however_many_runs_each_has() {
    let scheduler = Scheduler::new(1);
    let (large, mut large_turns) = scheduler.join();
    let (small, mut small_turns) = scheduler.join();
    let mut slot = large.now();
    (0..100).for_each(|n| large.queue(run(n), High));
    assert_eq!(small.ahead(Low), 1, "one of the other project goes before it");
    small.queue(run(200), Low);
    small.queue(run(201), Low);
    let mut went = Vec::new();
    for _ in 0..5 {
        drop(slot.take());
        let turn = small_turns.try_recv().or_else(|_| large_turns.try_recv()).unwrap();
        went.push(turn.run);
        slot = Some(turn.slot);
    }
    assert_eq!(
        went,
        [200, 0, 201, 1, 2].map(run).to_vec(),
        "the last slot was not of a queue, so who came last may go"
    );
}

#[test]
fn more_slots_let_more_go_at_once_and_fewer_none_until_it_fits() {
    let scheduler = Scheduler::new(1);
    let (line, mut coming) = scheduler.join();
    let first = line.now();
    (0..4).for_each(|n| line.queue(run(n), Normal));
    assert!(coming.try_recv().is_err());
    scheduler.set_slots(3);
    let two = [coming.try_recv().unwrap(), coming.try_recv().unwrap()];
    assert!(coming.try_recv().is_err());
    scheduler.set_slots(0); // one, at least
    drop(first);
    let [one, other] = two;
    drop(one);
    assert!(coming.try_recv().is_err(), "one is at work still");
    drop(other);
    assert!(coming.try_recv().is_ok());
}

#[test]
fn a_project_that_is_gone_takes_no_slot_with_it() {
    let scheduler = Scheduler::new(1);
    let (gone, coming) = scheduler.join();
    let (line, mut turns) = scheduler.join();
    let slot = line.now();
    gone.queue(run(0), High);
    drop(coming);
    line.queue(run(1), Low);
    drop(slot);
    let turn = turns.try_recv().unwrap();
    assert_eq!(turn.run, run(1));
    gone.queue(run(2), High);
    drop(gone);
    drop(turn);
    assert!(line.now().is_some());
}

#[test]
fn who_leaves_the_queue_is_passed_over() {
    let scheduler = Scheduler::new(1);
    let (line, mut coming) = scheduler.join();
    let slot = line.now();
    (0..3).for_each(|n| line.queue(run(n), Normal));
    line.leave(&run(1));
    assert_eq!(order(slot, &mut coming, 3), [0, 2]);
}

proptest! {
    /// Whatever is queued in whatever order by whomever: never more at work than slots, and everyone goes once.
    #[test]
    fn everyone_goes_once_and_never_too_many(
        slots in 1usize..5,
        wishes in prop::collection::vec((0usize..3, 0usize..3), 1..80),
        ends in prop::collection::vec(any::<prop::sample::Index>(), 200),
    ) {
        let scheduler = Scheduler::new(slots);
        let mut lines: Vec<_> = (0..3).map(|_| scheduler.join()).collect();
        let (mut at_work, mut went) = (Vec::new(), BTreeSet::new());
        let mut ends = ends.into_iter();
        for (n, (line, priority)) in wishes.iter().enumerate() {
            lines[*line].0.queue(run(n), [High, Normal, Low][*priority]);
        }
        loop {
            for (_, coming) in &mut lines {
                while let Ok(turn) = coming.try_recv() {
                    prop_assert!(went.insert(turn.run.clone()), "twice");
                    at_work.push(turn);
                }
            }
            prop_assert!(at_work.len() <= slots);
            if at_work.is_empty() {
                break;
            }
            prop_assert!(at_work.len() == slots || went.len() == wishes.len(), "a slot is free while others wait");
            let end = ends.next().map_or(0, |index| index.index(at_work.len()));
            drop(at_work.swap_remove(end));
        }
        prop_assert_eq!(went.len(), wishes.len());
    }
}
