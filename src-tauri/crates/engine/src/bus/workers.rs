//! The workers that ship with Atelier: the search index, and the store's own health.

use crate::bus::jobs::Worker;
use crate::desk::Desk;
use atelier_protocol::event::{Event, Guarantee, Job, Message, NewEvent, Priority};
use futures_util::future::BoxFuture;
use serde_json::json;
use std::sync::{Arc, Weak};
use std::time::Duration;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Every worker.
pub fn all(desk: &Arc<Desk>) -> Vec<Arc<dyn Worker>> {
    let weak = || Arc::downgrade(desk);
    vec![Arc::new(IndexRefresh(weak())), Arc::new(StorePrune(weak())), Arc::new(StoreVerify(weak()))]
}

/// The jobs that a project always has, from `now_ms` on.
pub fn standing(now_ms: u64) -> Vec<Job> {
    let standing = |queue: &str, every_ms: u64| Job {
        id: queue.to_owned(),
        queue: queue.to_owned(),
        priority: Priority::Low,
        due_ms: now_ms.saturating_add(DAY_MS),
        every_ms: Some(every_ms),
        most_attempts: 3,
        body: json!(null),
    };
    vec![standing("store.prune", DAY_MS), standing("store.verify", 7 * DAY_MS)]
}

/// Brings the search index up to date.
struct IndexRefresh(Weak<Desk>);

impl Worker for IndexRefresh {
    fn queue(&self) -> &'static str {
        "index.refresh"
    }
    fn lease(&self) -> Duration {
        Duration::from_secs(600)
    }
    fn work(&self, _job: Job) -> BoxFuture<'_, Result<Vec<NewEvent>, String>> {
        Box::pin(async move {
            let desk = self.0.upgrade().ok_or("the project is being closed")?;
            desk.refresh_index().await.map_err(|problem| problem.message)?;
            Ok(Vec::new())
        })
    }
}

/// Removes blobs that no event names.
struct StorePrune(Weak<Desk>);

impl Worker for StorePrune {
    fn queue(&self) -> &'static str {
        "store.prune"
    }
    fn lease(&self) -> Duration {
        Duration::from_secs(600)
    }
    fn work(&self, _job: Job) -> BoxFuture<'_, Result<Vec<NewEvent>, String>> {
        Box::pin(async move {
            let desk = self.0.upgrade().ok_or("the project is being closed")?;
            let pruned = desk.journal.prune().await.map_err(|error| error.to_string())?;
            tracing::info!(pruned.removed, pruned.removed_bytes, "blobs that no event names were removed");
            Ok(Vec::new())
        })
    }
}

/// Walks the whole history and its blobs, and notes what is not as it was written.
struct StoreVerify(Weak<Desk>);

impl Worker for StoreVerify {
    fn queue(&self) -> &'static str {
        "store.verify"
    }
    fn lease(&self) -> Duration {
        Duration::from_secs(3600)
    }
    fn work(&self, job: Job) -> BoxFuture<'_, Result<Vec<NewEvent>, String>> {
        Box::pin(async move {
            let desk = self.0.upgrade().ok_or("the project is being closed")?;
            let text = match desk.journal.verify().await {
                Ok(_) => return Ok(Vec::new()),
                Err(error) => error.to_string(),
            };
            let message = Message {
                topic: "note/store".to_owned(),
                guarantee: Guarantee::ExactlyOnce,
                from: job.queue,
                to: None,
                key: None,
                reply_to: None,
                correlation: None,
                body: json!({"text": format!("The store is damaged: {text}. Make a copy of its folder now.")}),
            };
            Ok(vec![NewEvent::of_store(Event::MessagePosted { message })])
        })
    }
}
