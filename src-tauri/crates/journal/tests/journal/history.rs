//! Appending and reading: what is acknowledged is there, whole, numbered and chained.
//!
//! Mutants that turn it red: an expected version that is not compared, a run that counts appends instead of events, an
//! envelope that is chained to the wrong one (`group`).

use crate::bench::*;
use atelier_journal::{AppendError, Chain, Journal, ReadError};
use atelier_protocol::event::NewEvent;
use atelier_protocol::{Envelope, Event, RunId, Seq, StepId};
use proptest::prelude::*;

#[tokio::test]
async fn what_is_appended_reads_back_as_it_was_acknowledged() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let journal = &owned.journal;
    let receipt = journal
        .append(vec![
            notice("a"),
            NewEvent { step: Some(StepId::of("build", 1)), cause: Some(Seq(1)), ..notice_of(&run(1), "b") },
        ])
        .await
        .unwrap();
    assert_eq!((receipt.first, receipt.last), (Seq(2), Seq(3)));
    let read = journal.read(None, Seq(1), 10).await.unwrap();
    assert_eq!(read, receipt.events);
    // The envelope before holds this process's id, and so does its hash.
    insta::assert_json_snapshot!(read[1], { ".prev_hash" => "[hash]" }, @r#"
    {
      "seq": 3,
      "store": "home",
      "at_ms": 1001,
      "v": 1,
      "run": "0000000005og3081040g208104",
      "step": "build.1",
      "cause": 1,
      "trace": null,
      "kind": "noticed",
      "payload": {
        "problem": {
          "code": "io",
          "message": "b",
          "hint": ""
        }
      },
      "payload_hash": "blake3:10f577cdc601d1f50cd40d2093c697fe7d80d8f4a5c9c6d9f5e21a27208bc5d9",
      "prev_hash": "[hash]"
    }
    "#);
    assert_eq!(journal.last_seq(), Seq(3));
    owned.close().await;

    // And again after the process has gone on and come back.
    let owned = bench.owner().await;
    assert_eq!(owned.journal.read(None, Seq(1), 2).await.unwrap(), receipt.events);
    assert_eq!(owned.journal.epoch(), 2);
}

#[tokio::test]
async fn each_owner_is_recorded_with_its_epoch() {
    let bench = Bench::new();
    for epoch in 1..=3 {
        let owned = bench.owner().await;
        assert_eq!(owned.journal.epoch(), epoch);
        owned.close().await;
    }
    let owned = bench.owner().await;
    let events = owned.journal.read(None, Seq::ZERO, 10).await.unwrap();
    let epochs: Vec<_> = events
        .iter()
        .map(|envelope| match &envelope.event {
            Event::OwnerChanged { epoch, pid, door } if *pid == std::process::id() && door == "test" => *epoch,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(epochs, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_run_is_read_alone_and_runs_are_listed_as_they_began() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let journal = &owned.journal;
    for (number, text) in [(2, "a"), (1, "b"), (2, "c"), (1, "d"), (2, "e")] {
        journal.append(vec![notice_of(&run(number), text)]).await.unwrap();
    }
    let texts = |events: Vec<Envelope>| events.iter().map(|e| text(e).to_owned()).collect::<String>();
    assert_eq!(texts(journal.read(Some(&run(2)), Seq::ZERO, 10).await.unwrap()), "ace");
    assert_eq!(texts(journal.read(Some(&run(2)), Seq(2), 1).await.unwrap()), "c");
    assert_eq!(journal.runs().await.unwrap(), [run(2), run(1)]);
    assert_eq!(journal.version(&run(2)).await.unwrap(), 3);
    assert_eq!(journal.version(&run(9)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_fold_sees_each_event_once_and_in_order() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let journal = &owned.journal;
    for _ in 0..20 {
        let events = (0..500_u16).map(|number| notice_of(&run(if number % 2 == 0 { 1 } else { 2 }), "x"));
        journal.append(events.collect()).await.unwrap();
    }
    let add = |seqs: &mut Vec<u64>, event: &Envelope| seqs.push(event.seq.0);
    let seqs = journal.fold(None, Seq(3), Vec::new(), add).await.unwrap();
    assert!(seqs.into_iter().eq(4..=10_001));
    let seqs = journal.fold(Some(&run(2)), Seq::ZERO, Vec::new(), add).await.unwrap();
    assert!(seqs.into_iter().eq((3..=10_001).step_by(2)));
    assert_eq!(journal.fold(Some(&run(3)), Seq::ZERO, Vec::new(), add).await.unwrap(), [0; 0]);
    bench.database().execute("UPDATE events SET payload = x'00' WHERE seq = 9000", []).unwrap();
    let damaged = journal.fold(None, Seq::ZERO, Vec::new(), add).await;
    assert!(matches!(damaged, Err(ReadError::Damaged { seq: Seq(9000), .. })), "{damaged:?}");
}

#[tokio::test]
async fn an_append_that_expects_another_version_is_refused_whole() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let journal = &owned.journal;
    let events = || vec![notice_of(&run(1), "x"), notice_of(&run(2), "y")];
    journal.append_expecting(&run(1), 0, events()).await.unwrap();
    let refused = journal.append_expecting(&run(1), 0, events()).await;
    assert!(matches!(refused, Err(AppendError::Conflict { expected: 0, actual: 1, .. })), "{refused:?}");
    assert_eq!(journal.version(&run(2)).await.unwrap(), 1);
    journal.append_expecting(&run(1), 1, events()).await.unwrap();
    assert_eq!(journal.version(&run(1)).await.unwrap(), 2);
}

#[tokio::test]
async fn a_large_payload_is_kept_as_a_blob_and_comes_back_whole() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let (small, large) = ("s".repeat(15_000), "l".repeat(17_000));
    let receipt = owned.journal.append(vec![notice(&small), notice(&large), notice("after")]).await.unwrap();
    let spilled: Vec<bool> = bench
        .database()
        .prepare("SELECT payload IS NULL FROM events WHERE seq > 1 ORDER BY seq")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(spilled, [false, true, false]);
    let read = owned.journal.read(None, Seq(1), 10).await.unwrap();
    assert_eq!(read, receipt.events);
    assert_eq!(text(&read[1]).len(), 17_000);
    let blob = owned.journal.blob(&read[1].payload_hash).await.unwrap().unwrap();
    assert!(String::from_utf8(blob).unwrap().contains(&large));
}

#[tokio::test]
async fn blobs_are_kept_across_owners() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let hash = owned.journal.put_blob(b"the whole output".to_vec()).await.unwrap();
    owned.close().await;
    let owned = bench.owner().await;
    assert_eq!(owned.journal.blob(&hash).await.unwrap().as_deref(), Some(&b"the whole output"[..]));
    assert_eq!(owned.journal.blob(&atelier_protocol::Hash::of(b"other")).await.unwrap(), None);
}

#[tokio::test]
async fn an_append_of_nothing_or_too_much_is_refused_by_name() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    assert!(matches!(owned.journal.append(vec![]).await, Err(AppendError::Empty)));
    let huge = "x".repeat(33 * 1024 * 1024);
    let refused = owned.journal.append(vec![notice("small"), notice(&huge)]).await;
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })));
    assert_eq!(owned.journal.last_seq(), Seq(1));
}

#[tokio::test]
async fn more_than_the_queue_holds_waits_and_arrives() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    // Each is larger than half of the queue, one is larger than all of it.
    let appends = [5, 9, 5, 5].map(|megabytes| {
        let journal = owned.journal.clone();
        tokio::spawn(async move { journal.append(vec![notice(&"x".repeat(megabytes << 20))]).await.unwrap().last })
    });
    let mut seqs = Vec::new();
    for append in appends {
        seqs.push(append.await.unwrap());
    }
    seqs.sort();
    assert_eq!(seqs, [Seq(2), Seq(3), Seq(4), Seq(5)]);
    assert!(matches!(owned.journal.verify().await.unwrap(), Chain::Sound { events: 5, .. }));
}

#[tokio::test]
async fn a_closed_store_takes_nothing_and_still_reads() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let journal = owned.journal.clone();
    journal.append(vec![notice("a")]).await.unwrap();
    owned.close().await;
    assert!(matches!(journal.append(vec![notice("b")]).await, Err(AppendError::Closed)));
    assert_eq!(journal.read(None, Seq(1), 10).await.unwrap().len(), 1);
    let log = bench.dir().join("journal.db-wal");
    assert_eq!(std::fs::metadata(log).map_or(0, |log| log.len()), 0, "the database alone is the whole history");
}

#[tokio::test]
async fn appends_queued_before_the_close_are_committed() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let journal = owned.journal.clone();
    let appends = futures_util::future::join_all((0..30).map(|_| journal.append(vec![notice("x")])));
    // Join polls all of them once, which queues them, before the close is asked for; of more than 30 it polls a part.
    let (appended, ()) = tokio::join!(appends, owned.close());
    assert!(appended.iter().all(Result::is_ok));
    assert_eq!(bench.owner().await.journal.last_seq(), Seq(32));
}

/// One append of a property: of which run, how many events, how large, and whether it expects a version.
#[derive(Debug, Clone)]
struct Step {
    run: u8,
    events: usize,
    bytes: usize,
    expecting: bool,
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = (1..4u8, 1..4usize, prop_oneof![9 => 0..200usize, 1 => 16_000..20_000usize], any::<bool>())
        .prop_map(|(run, events, bytes, expecting)| Step { run, events, bytes, expecting });
    prop::collection::vec(prop::collection::vec(step, 1..12), 1..6)
}

async fn perform(journal: Journal, steps: Vec<Step>) -> Vec<Vec<Envelope>> {
    let mut appended = Vec::new();
    for step in steps {
        let run: RunId = run(step.run);
        let events = || (0..step.events).map(|_| notice_of(&run, &"x".repeat(step.bytes))).collect::<Vec<_>>();
        let receipt = if step.expecting {
            loop {
                let version = journal.version(&run).await.unwrap();
                match journal.append_expecting(&run, version, events()).await {
                    Err(AppendError::Conflict { actual, .. }) => assert!(actual > version),
                    other => break other.unwrap(),
                }
            }
        } else {
            journal.append(events()).await.unwrap()
        };
        appended.push(receipt.events);
    }
    appended
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn concurrent_appends_are_dense_whole_chained_and_counted(writers in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = Bench::new();
            let owned = bench.owner().await;
            let tasks: Vec<_> =
                writers.iter().map(|steps| tokio::spawn(perform(owned.journal.clone(), steps.clone()))).collect();
            let mut acknowledged = Vec::new();
            for task in tasks {
                let mine = task.await.unwrap();
                // One writer's appends come in its order, and the events of one append next to each other.
                let seqs: Vec<_> = mine.iter().flatten().map(|envelope| envelope.seq).collect();
                assert!(seqs.is_sorted());
                for append in &mine {
                    assert!(append.windows(2).all(|pair| pair[1].seq == pair[0].seq.next()));
                }
                acknowledged.extend(mine.into_iter().flatten());
            }
            acknowledged.sort_by_key(|envelope| envelope.seq);
            let stored = owned.journal.read(None, Seq(1), usize::MAX).await.unwrap();
            assert_eq!(stored, acknowledged);
            let count = stored.len() as u64;
            assert!(stored.iter().map(|envelope| envelope.seq.0).eq(2..2 + count));
            for number in 1..4 {
                let mine = stored.iter().filter(|envelope| envelope.run == Some(run(number))).count() as u64;
                assert_eq!(owned.journal.version(&run(number)).await.unwrap(), mine);
            }
            let chain = owned.journal.verify().await.unwrap();
            assert!(matches!(chain, Chain::Sound { events, .. } if events == count + 1), "{chain:?}");
        });
    }
}
