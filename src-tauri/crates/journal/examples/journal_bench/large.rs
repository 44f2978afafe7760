//! A long run and a large store: how fast they are read again, opened, folded, and how many bytes they take.

use crate::events::Story;
use crate::spread;
use crate::store::Place;
use atelier_journal::{Journal, Owned, Projection, Projections};
use atelier_protocol::view::RunView;
use atelier_protocol::{Envelope, Event, RunId, Seq};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

async fn fill(owned: &Owned, stories: &mut [Story], events: usize) {
    let mut left = events;
    while left > 0 {
        for story in stories.iter_mut() {
            let count = left.min(250);
            let events = (0..count).map(|_| story.next()).collect();
            owned.journal.append(events).await.unwrap();
            left -= count;
        }
    }
}

async fn resumed(journal: &Journal, run: &RunId, view: Option<RunView>) -> RunView {
    let after = view.as_ref().map_or(Seq::ZERO, |view| view.last_seq);
    let folded = journal.fold(Some(run), after, view, |view, event| match view {
        None => *view = RunView::start(event),
        Some(view) => view.apply(event),
    });
    folded.await.unwrap().expect("the run has a start")
}

/// Resuming one run of `events` events: from its first event, and from a snapshot at 99 % of it.
pub async fn run(folder: &Path, events: usize) -> Value {
    let place = Place::new(folder, "run");
    let owned = place.open().await;
    let mut story = [Story::new(1)];
    fill(&owned, &mut story, events).await;
    let (journal, run) = (&owned.journal, story[0].run.clone());
    let (mut whole, mut short) = (Vec::new(), Vec::new());
    let projections = Projections::open(journal, Vec::new()).await.unwrap();
    let early = journal.read(Some(&run), Seq::ZERO, events / 100 * 99).await.unwrap();
    let view = RunView::of(&early).unwrap();
    let bytes = serde_json::to_vec(&view).unwrap();
    let snapshot_bytes = bytes.len();
    let kept = projections.put_snapshot(&run, "view", 1, view.last_seq, bytes).await.is_ok();
    for _ in 0..7 {
        let begun = Instant::now();
        let view = resumed(journal, &run, None).await;
        whole.push(begun.elapsed());
        let begun = Instant::now();
        let kept = projections.snapshot(&run, "view", 1).await.unwrap();
        let start = kept.map(|(_, bytes)| serde_json::from_slice(&bytes).unwrap());
        assert_eq!(resumed(journal, &run, start).await, view);
        short.push(begun.elapsed());
    }
    owned.close().await;
    let figures = json!({
        "events": events,
        "resume": spread::of(whole),
        "resume_from_snapshot": kept.then(|| spread::of(short)),
        "snapshot_bytes": snapshot_bytes,
    });
    eprintln!("{figures}");
    figures
}

/// Counts the events of each run and keeps its last: about what a list of runs needs.
struct Digest;

impl Projection for Digest {
    fn name(&self) -> &'static str {
        "digest"
    }
    fn version(&self) -> u32 {
        1
    }
    fn keys(&self, event: &Envelope) -> Vec<String> {
        event.run.iter().map(ToString::to_string).collect()
    }
    fn fold(&self, _: &str, row: Option<&[u8]>, event: &Envelope) -> Option<Vec<u8>> {
        let mut row: (u64, u64, String) = row.map_or_else(Default::default, |row| serde_json::from_slice(row).unwrap());
        row.0 += 1;
        row.1 = event.seq.0;
        if let Event::RunStarted { goal, .. } = &event.event {
            row.2.clone_from(goal);
        }
        serde_json::to_vec(&row).ok()
    }
}

/// A store of `events` events of 200 runs.
pub async fn store(folder: &Path, events: usize) -> Value {
    let place = Place::new(folder, "store");
    let owned = place.open().await;
    let mut stories: Vec<_> = (0..200).map(Story::new).collect();
    let begun = Instant::now();
    fill(&owned, &mut stories, events).await;
    let filling = events as f64 / begun.elapsed().as_secs_f64();
    owned.close().await;
    let bytes = place.bytes() as f64 / events as f64;
    let mut opening = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        let owned = place.open().await;
        opening.push(begun.elapsed());
        owned.close().await;
    }
    let owned = place.open().await;
    let payload: u64 = {
        let sample = owned.journal.read(None, Seq::ZERO, 5_000).await.unwrap();
        let size = |event: &Envelope| serde_json::to_value(&event.event).unwrap()["payload"].to_string().len() as u64;
        sample.iter().map(size).sum::<u64>() / sample.len() as u64
    };
    let begun = Instant::now();
    let projections = Projections::open(&owned.journal, vec![Arc::new(Digest)]).await.unwrap();
    projections.caught_up().await.unwrap();
    let folding = events as f64 / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let chain = owned.journal.verify().await.unwrap();
    assert!(matches!(chain, atelier_journal::Chain::Sound { .. }), "{chain:?}");
    let verifying = events as f64 / begun.elapsed().as_secs_f64();
    owned.close().await;
    let figures = json!({
        "events": events,
        "payload_bytes_per_event": payload,
        "stored_bytes_per_event": bytes,
        "filled_events_per_s": filling,
        "open": spread::of(opening),
        "projected_events_per_s": folding,
        "verified_events_per_s": verifying,
    });
    eprintln!("{figures}");
    figures
}
