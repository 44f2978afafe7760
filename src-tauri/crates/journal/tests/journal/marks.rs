//! Keys and offsets: set with the events or not at all, once, and from where the consumer is.
//!
//! Mutants that turn it red: a key or an offset that is set without being looked at first (`marks::refusal`).

use crate::bench::*;
use atelier_journal::{Append, AppendError, Mark};
use atelier_protocol::event::NewEvent;
use atelier_protocol::{Event, Seq};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn key(key: &str) -> Mark {
    Mark::Key { scope: "mail".into(), key: key.into() }
}

fn offset(consumer: &str, from: Option<u64>, to: u64) -> Mark {
    Mark::Offset { consumer: consumer.into(), from: from.map(Seq), to: Seq(to) }
}

#[tokio::test]
async fn a_key_and_an_offset_come_with_the_events_and_stay() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let append = Append {
        events: vec![notice_of(&run(1), "a"), notice("b")],
        expecting: vec![(run(1), 0), (run(2), 0)],
        marks: vec![key("k"), offset("clerk", None, 1)],
    };
    let receipt = owned.journal.append_marked(append).await.unwrap();
    assert_eq!((receipt.first, receipt.last), (Seq(2), Seq(3)));
    owned.close().await;

    let journal = bench.owner().await.journal.clone();
    assert_eq!(journal.key("mail", "k").await.unwrap(), Some(Seq(2)));
    assert_eq!((journal.key("mail", "other").await.unwrap(), journal.key("", "mailk").await.unwrap()), (None, None));
    assert_eq!(journal.offset("clerk").await.unwrap(), Some(Seq(1)));
    assert_eq!(journal.offset("nobody").await.unwrap(), None);
    assert_eq!(journal.offsets().await.unwrap(), BTreeMap::from([("clerk".to_owned(), Seq(1))]));
}

#[tokio::test]
async fn what_was_done_with_a_key_is_not_done_again() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let journal = &owned.journal;
    let once = || Append {
        events: vec![notice_of(&run(1), "once")],
        expecting: vec![(run(1), 0)],
        marks: vec![key("k"), offset("clerk", None, 7)],
    };
    journal.append_marked(once()).await.unwrap();
    // Whoever asks again hears of the key first, although run and consumer have moved on too.
    let again = journal.append_marked(once()).await;
    assert!(matches!(again, Err(AppendError::Repeated { first: Seq(2), .. })), "{again:?}");
    let new = Append { marks: vec![key("new"), offset("clerk", None, 8)], ..once() };
    let moved = journal.append_marked(new).await;
    assert!(matches!(moved, Err(AppendError::Moved { expected: None, actual: Some(Seq(7)), .. })), "{moved:?}");
    let conflict = journal.append_marked(Append { marks: vec![key("new")], ..once() }).await;
    assert!(matches!(conflict, Err(AppendError::Conflict { actual: 1, .. })), "{conflict:?}");
    // Nothing of what was refused is there.
    assert_eq!((journal.key("mail", "new").await.unwrap(), journal.last_seq()), (None, Seq(2)));
    assert_eq!(journal.offset("clerk").await.unwrap(), Some(Seq(7)));
}

#[tokio::test]
async fn marks_alone_are_an_append() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let alone = |marks| Append { marks, ..Append::default() };
    let receipt = owned.journal.append_marked(alone(vec![key("k"), offset("a", None, 1)])).await.unwrap();
    assert_eq!((receipt.first, receipt.last, receipt.events.len()), (Seq(1), Seq(1), 0));
    // One append may move a consumer step by step, and back; the same key twice is one key.
    let marks = vec![offset("a", Some(1), 5), offset("a", Some(5), 3), key("l"), key("l")];
    owned.journal.append_marked(alone(marks)).await.unwrap();
    assert_eq!(owned.journal.offset("a").await.unwrap(), Some(Seq(3)));
    let skipping = owned.journal.append_marked(alone(vec![offset("a", Some(3), 5), offset("a", Some(3), 6)])).await;
    assert!(matches!(skipping, Err(AppendError::Moved { actual: Some(Seq(5)), .. })), "{skipping:?}");
    assert_eq!(owned.journal.offset("a").await.unwrap(), Some(Seq(3)));
    assert!(matches!(owned.journal.append_marked(Append::default()).await, Err(AppendError::Empty)));
    let endless = owned.journal.append_marked(alone(vec![key(&"k".repeat(2_000))])).await;
    assert!(matches!(endless, Err(AppendError::TooLarge { .. })), "{endless:?}");
    let last = owned.journal.append(vec![notice("the history is numbered as if nothing had been")]).await.unwrap();
    assert_eq!(last.first, Seq(2));
}

#[tokio::test]
async fn events_outside_runs_are_read_by_kind() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let journal = &owned.journal;
    let changed = |name: &str| {
        NewEvent::of_store(Event::BarrierClosed {
            barrier: name.into(),
            verdict: atelier_protocol::event::BarrierVerdict::Open,
        })
    };
    journal.append(vec![notice("a"), changed("b"), notice_of(&run(1), "of a run"), notice("c")]).await.unwrap();
    let seqs = async |kinds: &[&str], after, limit| -> Vec<u64> {
        journal.read_kinds(kinds, Seq(after), limit).await.unwrap().iter().map(|event| event.seq.0).collect()
    };
    assert_eq!(seqs(&["noticed"], 0, 9).await, [2, 5]);
    assert_eq!(seqs(&["noticed", "barrier_closed"], 0, 9).await, [2, 3, 5]);
    assert_eq!(seqs(&["barrier_closed", "noticed", "noticed"], 2, 1).await, [3]);
    assert_eq!(seqs(&["noticed"], 5, 9).await, [0; 0]);
    assert_eq!(seqs(&["nothing_known", "owner_changed"], 0, 9).await, [1]);
    let plan: String = bench
        .database()
        .query_row(
            "EXPLAIN QUERY PLAN SELECT seq FROM events WHERE run IS NULL AND kind = 'x' AND seq > 3 ORDER BY seq",
            [],
            |row| row.get(3),
        )
        .unwrap();
    assert!(plan.contains("INDEX events_of_store (kind=? AND seq>?)"), "{plan}");
}

#[tokio::test]
async fn a_trace_goes_into_the_envelope_and_the_chain() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let traced = NewEvent { trace: Some("request 7".into()), ..notice("a") };
    let receipt = owned.journal.append(vec![traced, notice("b")]).await.unwrap();
    assert_eq!(receipt.events[0].trace.as_deref(), Some("request 7"));
    assert_eq!(owned.journal.read(None, Seq(1), 9).await.unwrap(), receipt.events);
    bench.database().execute("UPDATE events SET trace = 'request 8' WHERE seq = 2", []).unwrap();
    let chain = owned.journal.verify().await.unwrap();
    assert!(matches!(chain, atelier_journal::Chain::Broken { seq: Seq(2), .. }), "{chain:?}");
}

/// One append of a property: keys and offsets by small numbers, so that they meet.
#[derive(Debug, Clone)]
struct Try {
    events: usize,
    keys: Vec<u8>,
    moves: Vec<(u8, Option<u64>, u64)>,
    run: Option<(u8, u64)>,
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let moves = prop::collection::vec((0..2u8, prop::option::of(0..3u64), 0..3u64), 0..3);
    let one = (0..3usize, prop::collection::vec(0..12u8, 0..3), moves, prop::option::of((1..3u8, 0..4u64)))
        .prop_map(|(events, keys, moves, run)| Try { events, keys, moves, run });
    prop::collection::vec(one, 1..40)
}

/// What the store must remember, kept the simplest way.
#[derive(Debug, Default, Clone, PartialEq)]
struct Model {
    keys: BTreeMap<u8, u64>,
    offsets: BTreeMap<u8, u64>,
    runs: BTreeMap<u8, u64>,
    last: u64,
}

impl Model {
    /// The state after `attempt`; `None` where it must be refused.
    fn after(&self, attempt: &Try) -> Option<Model> {
        let mut next = self.clone();
        if attempt.keys.iter().any(|key| self.keys.contains_key(key)) {
            return None;
        }
        for (consumer, from, to) in &attempt.moves {
            if next.offsets.get(consumer) != from.as_ref() {
                return None;
            }
            next.offsets.insert(*consumer, *to);
        }
        if attempt.run.is_some_and(|(run, version)| self.runs.get(&run).copied().unwrap_or(0) != version) {
            return None;
        }
        let first = if attempt.events == 0 { self.last } else { self.last + 1 };
        next.keys.extend(attempt.keys.iter().map(|key| (*key, first)));
        *next.runs.entry(attempt.run.map_or(1, |(run, _)| run)).or_default() += attempt.events as u64;
        next.last += attempt.events as u64;
        Some(next)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn an_append_is_all_of_its_events_and_marks_or_none(tries in tries()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = Bench::new();
            let owned = bench.owner().await;
            let mut model = Model { last: 1, ..Model::default() };
            for attempt in &tries {
                if attempt.events == 0 && attempt.keys.is_empty() && attempt.moves.is_empty() {
                    continue;
                }
                let of = run(attempt.run.map_or(1, |(run, _)| run));
                let keys = attempt.keys.iter().map(|number| key(&number.to_string()));
                let moves = attempt.moves.iter().map(|(consumer, from, to)| offset(&consumer.to_string(), *from, *to));
                let append = Append {
                    events: (0..attempt.events).map(|_| notice_of(&of, "x")).collect(),
                    expecting: attempt.run.iter().map(|(number, version)| (run(*number), *version)).collect(),
                    marks: keys.chain(moves).collect(),
                };
                let outcome = owned.journal.append_marked(append).await;
                let expected = model.after(attempt);
                assert_eq!(outcome.is_ok(), expected.is_some(), "{attempt:?} on {model:?}: {outcome:?}");
                model = expected.unwrap_or(model);
            }
            for number in 0..12 {
                let kept = owned.journal.key("mail", &number.to_string()).await.unwrap();
                assert_eq!(kept.map(|seq| seq.0), model.keys.get(&number).copied());
            }
            let offsets = owned.journal.offsets().await.unwrap();
            let expected = model.offsets.iter().map(|(consumer, seq)| (consumer.to_string(), Seq(*seq)));
            assert_eq!(offsets, expected.collect());
            for number in 1..3 {
                let expected = model.runs.get(&number).copied().unwrap_or(0);
                assert_eq!(owned.journal.version(&run(number)).await.unwrap(), expected);
            }
            assert_eq!(owned.journal.last_seq(), Seq(model.last));
        });
    }
}
