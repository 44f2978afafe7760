//! What the window's commands share: the engine, the subscriptions, the tour's model.

use crate::start::Start;
use crate::subscription::Subscription;
use atelier_engine::{Project, Workshop, WorkshopOptions};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::ids::ProjectId;
use atelier_stage::Stage;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// What the window's commands share.
pub struct Bench {
    /// How the window was started.
    pub start: Start,
    workshop: OnceCell<Workshop>,
    subscriptions: Mutex<HashMap<u32, Arc<Subscription>>>,
    last_subscription: AtomicU32,
    /// The tour's scripted model, from its first use on.
    pub tour: tokio::sync::Mutex<Option<Stage>>,
}

impl Bench {
    /// An empty bench; the engine is opened by the first command that needs it.
    pub fn new(start: Start) -> Self {
        Self {
            start,
            workshop: OnceCell::new(),
            subscriptions: Mutex::default(),
            last_subscription: AtomicU32::new(0),
            tour: tokio::sync::Mutex::new(None),
        }
    }

    /// The engine.
    pub async fn workshop(&self) -> Result<&Workshop, Problem> {
        self.workshop
            .get_or_try_init(|| async { Workshop::open(WorkshopOptions::of_this_user("window", true)?).await })
            .await
    }

    /// A project that the window has opened.
    pub async fn project(&self, id: &ProjectId) -> Result<Project, Problem> {
        self.workshop().await?.opened(id).ok_or_else(|| {
            Problem::new(Code::BadArgument, format!("The project {id} is not open."), "Open its folder first.")
        })
    }

    /// Keeps a subscription and gives its number.
    pub fn keep(&self, subscription: Arc<Subscription>) -> u32 {
        let number = self.last_subscription.fetch_add(1, Ordering::Relaxed) + 1;
        self.subscriptions().insert(number, subscription);
        number
    }

    /// A kept subscription.
    pub fn subscription(&self, number: u32) -> Option<Arc<Subscription>> {
        self.subscriptions().get(&number).cloned()
    }

    /// Ends a subscription.
    pub fn drop_subscription(&self, number: u32) {
        if let Some(subscription) = self.subscriptions().remove(&number) {
            subscription.end();
        }
    }

    /// Leaves every store.
    pub async fn close(&self) {
        for (_, subscription) in self.subscriptions().drain() {
            subscription.end();
        }
        if let Some(workshop) = self.workshop.get() {
            workshop.close().await;
        }
    }

    fn subscriptions(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Arc<Subscription>>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
