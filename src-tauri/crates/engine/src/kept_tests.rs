//! A long run is resumed from what was kept, and comes out as if every event had been folded.
//!
//! Guards: a kept state is a cache. Turns red, for example, when the events after it are folded from one too early.

use super::{EVERY, KIND, keep, kept, machine_of};
use crate::machine::{Machine, VERSION};
use atelier_journal::{Journal, Opened, Owned, Projections, StoreConfig, open};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Event, NewEvent};
use atelier_protocol::ids::{RunId, Seq, StoreId};
use atelier_protocol::ports::Clock;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

struct Still;

impl Clock for Still {
    fn now_ms(&self) -> u64 {
        1_790_000_000_000
    }
    fn sleep(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        std::future::pending().boxed()
    }
}

async fn opened(folder: &Path) -> (Owned, Projections) {
    let (dir, run_dir) = (folder.join("store"), folder.join("run"));
    let config = StoreConfig { dir, run_dir, store: StoreId::home(), door: "test".into(), clock: Arc::new(Still) };
    let Ok(Opened::Owner(owned)) = open(config).await else { unreachable!("nobody else knows the folder") };
    let projections = Projections::open(&owned.journal, Vec::new()).await.unwrap();
    (owned, projections)
}

/// A run with the start of a recorded one and so many events after it that change little.
async fn long_run(journal: &Journal, events: u64) -> RunId {
    #[derive(Deserialize)]
    struct Recording {
        events: Vec<atelier_protocol::Envelope>,
    }
    let text = include_str!("../../../../tests/fixtures/journal/main-job.json");
    let recorded = serde_json::from_str::<Recording>(text).unwrap().events;
    let start = recorded.into_iter().find(|e| matches!(e.event, Event::RunStarted { .. })).unwrap();
    let run = start.run.clone().unwrap();
    journal.append(vec![NewEvent::of_run(&run, None, start.event)]).await.unwrap();
    let noticed = |n: u64| Event::Noticed { problem: Problem::new(Code::Io, format!("notice {n}"), "") };
    for first in (1..events).step_by(500) {
        let some = (first..events.min(first + 500)).map(|n| NewEvent::of_run(&run, None, noticed(n))).collect();
        journal.append(some).await.unwrap();
    }
    run
}

async fn folded(journal: &Journal, run: &RunId) -> String {
    let machine = Machine::of(&journal.read(Some(run), Seq::ZERO, usize::MAX).await.unwrap()).unwrap();
    serde_json::to_string(&machine).unwrap()
}

#[tokio::test]
async fn a_long_run_is_kept_and_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let (owned, projections) = opened(folder.path()).await;
    let journal = &owned.journal;
    let run = long_run(journal, EVERY + 10).await;
    assert!(kept(&projections, &run).await.is_none());
    let whole = folded(journal, &run).await;
    assert_eq!(serde_json::to_string(&machine_of(journal, &projections, &run).await.unwrap()).unwrap(), whole);
    let from = kept(&projections, &run).await.unwrap().version;
    assert_eq!(from, EVERY + 10);

    journal.append(vec![NewEvent::of_run(&run, None, Event::RunInterrupted { epoch: 1 })]).await.unwrap();
    let whole = folded(journal, &run).await;
    assert_eq!(serde_json::to_string(&machine_of(journal, &projections, &run).await.unwrap()).unwrap(), whole);
    assert_eq!(kept(&projections, &run).await.unwrap().version, from, "one event more is not kept anew");
    owned.close().await;
}

#[tokio::test]
async fn what_was_kept_by_another_build_or_is_no_state_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let (owned, projections) = opened(folder.path()).await;
    let journal = &owned.journal;
    let run = long_run(journal, 3).await;
    let machine = machine_of(journal, &projections, &run).await.unwrap();
    keep(&projections, &machine).await;
    assert!(kept(&projections, &run).await.is_some());
    let at = machine.last_seq();
    projections.put_snapshot(&run, KIND, VERSION, at, b"{}".to_vec()).await.unwrap();
    assert!(kept(&projections, &run).await.is_none());
    projections.put_snapshot(&run, KIND, VERSION + 1, at, serde_json::to_vec(&machine).unwrap()).await.unwrap();
    assert!(kept(&projections, &run).await.is_none());
    assert_eq!(machine_of(journal, &projections, &run).await.unwrap().version, 3);
    owned.close().await;
}
