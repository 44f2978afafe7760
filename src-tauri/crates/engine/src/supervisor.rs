//! Starts, wakes and stops the tasks of runs. It never waits for one: a run reports through the history.

use crate::desk::Desk;
use crate::run::{Rested, Run};
use atelier_protocol::error::Problem;
use atelier_protocol::ids::RunId;
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The runs that this process works on.
#[derive(Default)]
pub(crate) struct Supervisor {
    live: Arc<Tasks>,
}

type Tasks = Mutex<HashMap<RunId, Live>>;

struct Live {
    wake: Arc<Notify>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// Works on a run until it ends or rests. Nothing happens where it is at work already.
    pub(crate) async fn attend(&self, desk: &Arc<Desk>, run: &RunId) -> Result<(), Problem> {
        begin(Arc::downgrade(&self.live), desk.clone(), run.clone()).await
    }

    /// Whether this process works on the run.
    pub(crate) fn is_live(&self, run: &RunId) -> bool {
        is_live(&self.live, run)
    }

    /// Lets a waiting run look at its history again.
    pub(crate) fn wake(&self, run: &RunId) {
        wake(&self.live, run);
    }

    /// Stops a run and waits until work on it is over; its end is not recorded by that. Nothing happens where this
    /// process does not work on it.
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

fn is_live(live: &Tasks, run: &RunId) -> bool {
    let live = live.lock().unwrap_or_else(PoisonError::into_inner);
    live.get(run).is_some_and(|live| !live.task.is_finished())
}

/// Whether there was a task to wake.
fn wake(live: &Tasks, run: &RunId) -> bool {
    let live = live.lock().unwrap_or_else(PoisonError::into_inner);
    let found = live.get(run).filter(|live| !live.task.is_finished());
    found.inspect(|live| live.wake.notify_one()).is_some()
}

fn begin(tasks: Weak<Tasks>, desk: Arc<Desk>, run: RunId) -> BoxFuture<'static, Result<(), Problem>> {
    Box::pin(async move {
        let Some(live) = tasks.upgrade() else { return Ok(()) };
        if is_live(&live, &run) {
            return Ok(());
        }
        let (woken, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let taken = Run::take_up(desk.clone(), run.clone(), stop.clone()).await?;
        let mut live = live.lock().unwrap_or_else(PoisonError::into_inner);
        if live.get(&run).is_some_and(|other| !other.task.is_finished()) {
            return Ok(());
        }
        let task = tokio::spawn(tend(tasks, desk, taken, stop.clone(), woken.clone()));
        live.insert(run, Live { wake: woken, stop, task });
        Ok(())
    })
}

/// Works on a run as long as it goes on; while it waits, only its id is kept.
async fn tend(tasks: Weak<Tasks>, desk: Arc<Desk>, mut run: Run, stop: CancellationToken, woken: Arc<Notify>) {
    let id = run.id().clone();
    loop {
        let left = match run.drive().await {
            Rested::Ended { wakes } => {
                let waiting = wakes.zip(tasks.upgrade());
                if let Some((parent, live)) = waiting
                    && !wake(&live, &parent)
                    && let Err(problem) = begin(tasks, desk, parent.clone()).await
                {
                    tracing::warn!(run = %parent, %problem, "a run could not be taken up");
                }
                return;
            }
            Rested::Rests | Rested::Stopped | Rested::Gone => return,
            Rested::Waits { until_ms } => until_ms.saturating_sub(desk.sources.clock.now_ms()),
            Rested::Calls { child } => {
                if let Err(problem) = begin(tasks.clone(), desk.clone(), child.clone()).await {
                    tracing::warn!(run = %child, %problem, "a run could not be taken up");
                }
                u64::MAX
            }
        };
        let time_is_over = async {
            match left {
                u64::MAX => std::future::pending().await,
                left => desk.sources.clock.sleep(Duration::from_millis(left)).await,
            }
        };
        tokio::select! {
            () = woken.notified() => {}
            () = stop.cancelled() => return,
            () = time_is_over => {}
        }
        run = match Run::take_up(desk.clone(), id.clone(), stop.clone()).await {
            Ok(run) => run,
            Err(problem) => {
                tracing::warn!(run = %id, %problem, "a run could not be taken up");
                return;
            }
        };
    }
}
