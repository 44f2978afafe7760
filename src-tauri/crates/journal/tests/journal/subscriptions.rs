//! Subscribing: stored first, then live, each event once and in order, whatever happens meanwhile.
//!
//! Mutants that turn it red (`subscribe`): an event is sent although it was read from the store already; a draft is sent
//! although an event came after it; who fell behind waits for the next event.

use crate::bench::*;
use atelier_protocol::Seq;
use atelier_protocol::op::Frame;
use futures_util::StreamExt;
use proptest::prelude::*;

#[tokio::test]
async fn the_stored_tail_comes_first_then_what_happens() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let journal = &owned.journal;
    journal.append(vec![notice("a"), notice("b")]).await.unwrap();
    let mut subscription = journal.subscribe(Seq(1));
    let stored = frames_until(&mut subscription, |frame| matches!(frame, Frame::CaughtUp(_))).await;
    journal.publish_draft(draft("thinking"));
    journal.append(vec![notice("c")]).await.unwrap();
    journal.publish_draft(draft("answering"));
    journal.append(vec![notice(&"d".repeat(20_000))]).await.unwrap();
    owned.close().await;
    let live = rest(&mut subscription).await;
    assert_eq!(story(&stored), ["2 a", "3 b", "caught up 3"]);
    let live: Vec<_> = story(&live).into_iter().map(|line| line.chars().take(20).collect::<String>()).collect();
    assert_eq!(live, ["draft thinking", "4 c", "draft answering", "5 dddddddddddddddddd"]);
}

#[tokio::test]
async fn a_subscription_is_a_stream_and_may_begin_at_the_end() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let mut subscription = owned.journal.subscribe(Seq(1));
    assert_eq!(StreamExt::next(&mut subscription).await, Some(Frame::CaughtUp(Seq(1))));
    owned.journal.append(vec![notice("a")]).await.unwrap();
    assert!(matches!(StreamExt::next(&mut subscription).await, Some(Frame::Event(e)) if text(&e) == "a"));
}

#[tokio::test]
async fn a_reader_that_sleeps_through_thousands_of_events_misses_none() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let mut subscription = owned.journal.subscribe(Seq::ZERO);
    frames_until(&mut subscription, |frame| matches!(frame, Frame::CaughtUp(_))).await;
    // More groups than the feed remembers and more frames than the subscription holds.
    for _ in 0..1_500 {
        owned.journal.append(vec![notice("x"), notice("y")]).await.unwrap();
        owned.journal.publish_draft(draft("z"));
    }
    let mut frames = frames_until(&mut subscription, is_event(Seq(3_001))).await;
    // What the feed still held of them must not come a second time before what is new.
    owned.journal.append(vec![notice("new")]).await.unwrap();
    frames.extend(frames_until(&mut subscription, is_event(Seq(3_002))).await);
    assert!(seqs(&frames).into_iter().eq(2..=3_002));
}

#[tokio::test]
async fn a_draft_never_comes_after_the_event_that_followed_it() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let mut subscription = owned.journal.subscribe(Seq::ZERO);
    // Nobody reads while these happen, so the events are read from the store in part.
    for number in 0..700 {
        owned.journal.publish_draft(draft(&number.to_string()));
        owned.journal.append(vec![notice(&number.to_string())]).await.unwrap();
    }
    let mut frames = frames_until(&mut subscription, is_event(Seq(701))).await;
    owned.journal.publish_draft(draft("700"));
    owned.journal.append(vec![notice("700")]).await.unwrap();
    frames.extend(frames_until(&mut subscription, is_event(Seq(702))).await);
    assert!(frames.contains(&Frame::Draft(draft("700"))), "whoever keeps up sees drafts");
    let mut last = -1;
    for frame in frames {
        match frame {
            Frame::Event(event) => last = text(&event).parse().unwrap_or(-1),
            Frame::Draft(draft) => assert_eq!(draft.text.parse::<i32>().unwrap(), last + 1),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_history_that_cannot_be_read_ends_the_subscription_with_the_reason() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    owned.journal.append(vec![notice("a"), notice("b"), notice("c")]).await.unwrap();
    bench.database().execute("UPDATE events SET key_id = 'k1' WHERE seq = 3", []).unwrap();
    let mut subscription = owned.journal.subscribe(Seq(1));
    let frames = rest(&mut subscription).await;
    let Some(Frame::Lost(problem)) = frames.last() else { panic!("{frames:?}") };
    assert_eq!(problem.message, "event 3 is sealed with the key `k1`");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn whoever_subscribes_whenever_sees_each_event_once_and_in_order(
        groups in prop::collection::vec((1..5usize, 0..3usize), 1..40),
        starts in prop::collection::vec((0..40usize, 0..6u64, any::<bool>()), 1..5),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = Bench::new();
            let owned = bench.owner().await;
            let last = Seq(1 + groups.iter().map(|(events, _)| *events as u64).sum::<u64>());
            let mut readers = Vec::new();
            for (index, (events, drafts)) in groups.iter().enumerate() {
                for (_, back, lazy) in starts.iter().filter(|(at, ..)| *at % groups.len() == index) {
                    let after = Seq(owned.journal.last_seq().0.saturating_sub(*back));
                    let mut subscription = owned.journal.subscribe(after);
                    let lazy = *lazy;
                    readers.push(tokio::spawn(async move {
                        if lazy {
                            tokio::task::yield_now().await;
                        }
                        if after == last {
                            return (after, Vec::new());
                        }
                        (after, frames_until(&mut subscription, is_event(last)).await)
                    }));
                }
                for _ in 0..*drafts {
                    owned.journal.publish_draft(draft("d"));
                }
                let group = (0..*events).map(|event| {
                    notice(&if event == 3 { "large".repeat(4_000) } else { "small".to_owned() })
                });
                owned.journal.append(group.collect()).await.unwrap();
            }
            for reader in readers {
                let (after, frames) = reader.await.unwrap();
                assert!(seqs(&frames).into_iter().eq(after.0 + 1..=last.0), "{:?}", story(&frames));
            }
        });
    }
}
