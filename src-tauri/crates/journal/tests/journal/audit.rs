//! The chain and what cannot be read: tampering is named, newer and sealed events are told apart.
//!
//! Mutants that turn it red: a walk that does not compare an envelope with the one before (`chain`), or the last with what
//! the store says; a payload that is read without its hash (`reader`).

use crate::bench::*;
use atelier_journal::{Chain, Entry, OpenError, ReadError, open_read_only};
use atelier_protocol::{Code, Problem, Seq};

/// A closed store with five events, the fourth of them spilled.
async fn five() -> Bench {
    let bench = Bench::new();
    let owned = bench.owner().await;
    for text in ["two", "three", &"four".repeat(10_000), "five"] {
        owned.journal.append(vec![notice_of(&run(1), text)]).await.unwrap();
    }
    owned.close().await;
    bench
}

async fn broken_after(tampering: &str) -> String {
    let bench = five().await;
    let owned = bench.owner().await;
    bench.database().execute_batch(tampering).unwrap();
    match owned.journal.verify().await.unwrap() {
        Chain::Broken { seq, reason } => format!("{seq}: {reason}"),
        Chain::Sound { events, .. } => format!("sound, {events} events"),
    }
}

#[tokio::test]
async fn the_first_event_that_is_not_as_it_was_written_is_named() {
    let chained = "its envelope is not the one the next event was chained to";
    assert_eq!(broken_after("SELECT 1").await, "sound, 6 events");
    assert_eq!(broken_after("UPDATE events SET at_ms = 5 WHERE seq = 3").await, format!("3: {chained}"));
    assert_eq!(broken_after("UPDATE events SET run = NULL WHERE seq = 2").await, format!("2: {chained}"));
    assert_eq!(broken_after("UPDATE events SET prev_hash = x'78' WHERE seq = 3").await, format!("3: {chained}"));
    assert_eq!(broken_after("UPDATE events SET prev_hash = x'78' WHERE seq = 1").await, format!("1: {chained}"));
    assert_eq!(broken_after("UPDATE events SET prev_hash = x'78' WHERE seq = 6").await, format!("6: {chained}"));
    assert_eq!(
        broken_after("UPDATE events SET kind = 'run_discarded' WHERE seq = 6").await,
        "6: its envelope is not the one the store was left with"
    );
    assert_eq!(
        broken_after("UPDATE events SET payload = x'7b7d' WHERE seq = 3").await,
        "3: its payload does not have the hash that was recorded"
    );
    assert_eq!(broken_after("DELETE FROM events WHERE seq = 4").await, "4: the event is missing; the next one is 5");
    assert_eq!(
        broken_after("DELETE FROM events WHERE seq = 6").await,
        "6: the event is missing; the store says 6 is the last"
    );
    assert_eq!(
        broken_after("INSERT INTO events SELECT 7, at_ms, kind, v, run, step, cause, trace, payload, key_id, payload_hash, prev_hash FROM events WHERE seq = 6").await,
        "7: the store says 6 is the last event"
    );
}

#[tokio::test]
async fn a_spilled_payload_that_is_gone_or_changed_is_named() {
    for (damage, expected) in [(false, "is missing"), (true, "is damaged")] {
        let bench = five().await;
        let owned = bench.owner().await;
        let spilled = owned.journal.read(None, Seq(3), 1).await.unwrap().remove(0).payload_hash;
        let file = bench.dir().join("blobs").join(&spilled.hex()[..2]).join(spilled.hex());
        if damage {
            std::fs::write(&file, "other").unwrap()
        } else {
            std::fs::remove_file(&file).unwrap()
        }
        let Chain::Broken { seq, reason } = owned.journal.verify().await.unwrap() else { panic!("sound") };
        assert!(seq == Seq(4) && reason.contains(expected), "{seq}: {reason}");
        assert!(matches!(owned.journal.read(None, Seq(3), 1).await, Err(ReadError::Damaged { seq: Seq(4), .. })));
        assert_eq!(owned.journal.read(None, Seq(4), 1).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_sealed_event_is_reported_and_not_decoded() {
    let bench = five().await;
    let owned = bench.owner().await;
    bench.database().execute("UPDATE events SET key_id = 'k1', payload = x'00' WHERE seq = 3", []).unwrap();
    let read = owned.journal.read(None, Seq::ZERO, 10).await;
    assert!(matches!(read, Err(ReadError::Sealed { seq: Seq(3), ref key }) if key == "k1"), "{read:?}");
}

#[tokio::test]
async fn a_newer_store_is_named_and_everything_that_can_be_read_of_it_is() {
    let bench = five().await;
    bench.database().execute_batch("PRAGMA user_version = 7").unwrap();
    let Err(error) = bench.try_open().await else { panic!("it was opened") };
    assert!(matches!(error, OpenError::Newer { .. }));
    assert_eq!(Problem::from(error).code, Code::StoreNewer);

    let store = open_read_only(bench.dir()).await.unwrap();
    assert_eq!(store.newer(), Some("schema 7, this version knows 5"));
    assert_eq!(store.read(Seq::ZERO, 10).await.unwrap().len(), 5);
    assert!(matches!(store.verify().await.unwrap(), Chain::Sound { events: 5, .. }));
    let version: u32 = bench.database().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 7);
}

#[tokio::test]
async fn an_event_of_a_later_version_is_named_and_the_rest_is_read_around_it() {
    let bench = five().await;
    let change =
        "UPDATE events SET kind = 'plan_written' WHERE seq = 3; INSERT INTO shapes VALUES ('plan_written', 1, 3)";
    bench.database().execute_batch(change).unwrap();
    let Err(OpenError::Newer { what, .. }) = bench.try_open().await else { panic!("it was opened") };
    assert_eq!(what, "event `plan_written` version 1");
    let store = open_read_only(bench.dir()).await.unwrap();
    let entries = store.read(Seq(1), 10).await.unwrap();
    let words: Vec<_> = entries
        .iter()
        .map(|entry| match entry {
            Entry::Event(event) => format!("{} {:.5}", event.seq, text(event)),
            Entry::Unreadable { why, .. } => why.to_string(),
        })
        .collect();
    let newer = "event 3 is a `plan_written` of version 1, which this version does not know";
    assert_eq!(words, ["2 two", newer, "4 fourf", "5 five"]);
}

#[tokio::test]
async fn a_store_that_is_owned_can_be_read_by_others_meanwhile() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    owned.journal.append(vec![notice("a")]).await.unwrap();
    let store = open_read_only(bench.dir()).await.unwrap();
    assert_eq!((store.newer(), store.store().as_str()), (None, "home"));
    owned.journal.append(vec![notice("b")]).await.unwrap();
    assert_eq!(store.read(Seq(1), 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_damaged_store_is_reported_by_open() {
    let bench = five().await;
    std::fs::write(bench.dir().join("journal.db"), "not a database").unwrap();
    let Err(error) = bench.try_open().await else { panic!("it was opened") };
    let problem = Problem::from(error);
    assert_eq!(problem.code, Code::StoreDamaged);
    assert_eq!(std::fs::read(bench.dir().join("journal.db")).unwrap(), b"not a database");
}

#[tokio::test]
async fn a_store_with_a_damaged_end_is_read_as_far_as_it_goes_and_never_written() {
    let bench = five().await;
    bench.database().execute("DELETE FROM events WHERE seq = 5", []).unwrap();
    let Err(error) = bench.try_open().await else { panic!("it was opened") };
    assert_eq!(Problem::from(error).code, Code::StoreDamaged);
    let store = open_read_only(bench.dir()).await.unwrap();
    assert_eq!(store.damaged(), Some("its last event is 4, 5 was recorded as the last"));
    assert_eq!(store.read(Seq::ZERO, 10).await.unwrap().len(), 4);
    assert!(matches!(store.verify().await.unwrap(), Chain::Broken { seq: Seq(5), .. }));
}
