//! One timer for all runs of a project that wait for the user: it sleeps until the first of their times.
//!
//! It knows times and ids, nothing else. What happens at a time is the caller's. It never reads the clock: whoever sets
//! an alarm says what time it is, and when a sleep ends it is the time that was slept for.

use atelier_protocol::error::Problem;
use atelier_protocol::ids::RunId;
use atelier_protocol::ports::Clock;
use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// When to look at which run again.
#[derive(Default)]
pub(crate) struct Alarms {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    times: BTreeSet<(u64, RunId)>,
    of: HashMap<RunId, u64>,
    /// The latest time that was heard of.
    now: u64,
    closed: bool,
}

impl Alarms {
    /// Sets a run's alarm, in place of the one it had.
    pub(crate) fn set(&self, at_ms: u64, now_ms: u64, run: RunId) {
        let first = {
            let mut state = self.lock();
            state.now = state.now.max(now_ms);
            state.clear(&run);
            state.of.insert(run.clone(), at_ms);
            state.times.insert((at_ms, run.clone()));
            state.times.first().is_some_and(|(_, first)| *first == run)
        };
        if first {
            self.changed.notify_one();
        }
    }

    /// Whether a run has one.
    pub(crate) fn has(&self, run: &RunId) -> bool {
        self.lock().of.contains_key(run)
    }

    /// Takes a run's alarm away.
    pub(crate) fn clear(&self, run: &RunId) {
        self.lock().clear(run);
    }

    /// Ends the ringing.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Calls `late` for each run whose time has come, until it is closed.
    pub(crate) async fn ring<F: Future<Output = Result<(), Problem>>>(
        self: Arc<Self>,
        clock: Arc<dyn Clock>,
        late: impl Fn(RunId) -> F,
    ) {
        loop {
            let due = {
                let mut state = self.lock();
                if state.closed {
                    return;
                }
                let due = state.times.first().filter(|(at_ms, _)| *at_ms <= state.now).map(|(_, run)| run.clone());
                due.inspect(|run| state.clear(run))
            };
            if let Some(run) = due {
                if let Err(problem) = late(run.clone()).await {
                    tracing::warn!(%run, %problem, "a run whose time has come could not be gone on with");
                }
                continue;
            }
            let next = {
                let state = self.lock();
                state.times.first().map(|(at_ms, _)| (*at_ms, at_ms.saturating_sub(state.now)))
            };
            let Some((at_ms, left)) = next else {
                self.changed.notified().await;
                continue;
            };
            tokio::select! {
                () = clock.sleep(Duration::from_millis(left)) => {
                    let mut state = self.lock();
                    state.now = state.now.max(at_ms);
                }
                () = self.changed.notified() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn clear(&mut self, run: &RunId) {
        if let Some(at_ms) = self.of.remove(run) {
            self.times.remove(&(at_ms, run.clone()));
        }
    }
}
