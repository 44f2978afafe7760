//! Starts, wakes and stops the tasks of runs. It never waits for one: a run reports through the history.

use crate::desk::Desk;
use crate::run::Run;
use atelier_protocol::error::Problem;
use atelier_protocol::ids::RunId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The runs that this process works on.
#[derive(Default)]
pub(crate) struct Supervisor {
    live: Mutex<HashMap<RunId, Live>>,
}

struct Live {
    wake: Arc<Notify>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Works on a run until it ends or rests. Nothing happens where it is at work already.
    pub(crate) async fn attend(&self, desk: &Arc<Desk>, run: &RunId) -> Result<(), Problem> {
        if self.is_live(run) {
            return Ok(());
        }
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let taken = Run::take_up(desk.clone(), run.clone(), stop.clone(), wake.clone()).await?;
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if live.get(run).is_some_and(|other| !other.task.is_finished()) {
            return Ok(());
        }
        let task = tokio::spawn(taken.drive());
        live.insert(run.clone(), Live { wake, stop, task });
        Ok(())
    }

    /// Whether this process works on the run.
    pub(crate) fn is_live(&self, run: &RunId) -> bool {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.get(run).is_some_and(|live| !live.task.is_finished())
    }

    /// Lets a waiting run look at its history again.
    pub(crate) fn wake(&self, run: &RunId) {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = live.get(run) {
            live.wake.notify_one();
        }
    }

    /// Stops a run and waits until work on it is over. Nothing happens where this process does not work on it.
    pub(crate) async fn stop(&self, run: &RunId) {
        let taken = self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(run);
        if let Some(live) = taken {
            live.stop.cancel();
            let _ = live.task.await;
        }
    }

    /// Lets go of a run that has come to rest and whose task is about to end.
    pub(crate) fn forget(&self, run: &RunId) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(run);
    }

    /// Drops all work without recording anything, as a killed process would.
    pub(crate) fn drop_all(&self) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, live) in live.drain() {
            live.task.abort();
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.drop_all();
    }
}
