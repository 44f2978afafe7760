//! Starts, queues and stops the tasks of runs. It never waits for one: a run reports through the history.
//!
//! At most one task works on a run, and each task holds a slot of the scheduler. A run that waits has no task, only a
//! place in the queue, an alarm, or nothing at all. What one task does wrong is its own run's problem alone.

use crate::alarm::Alarms;
use crate::desk::Desk;
use crate::record::Unrecorded;
use crate::run::{Rested, Run};
use crate::scheduler::{Line, Scheduler, Slot, Turn};
use crate::stack;
use atelier_journal::AppendError;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Actor, Answer, Event, NewEvent, Priority};
use atelier_protocol::ids::RunId;
use atelier_protocol::view::RunState;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How often it is tried whether there is room on the disk again, in milliseconds.
const ROOM_EVERY_MS: u64 = 2_000;

/// The runs that this process works on. Dropping it drops all work without recording anything, as a killed process
/// would.
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    /// Has runs follow those that they stand on.
    following: JoinHandle<()>,
}

struct Shared {
    desk: Arc<Desk>,
    line: Line,
    alarms: Arc<Alarms>,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    runs: HashMap<RunId, Place>,
    /// Runs that could not go on because the disk is full.
    starved: HashSet<RunId>,
    closed: bool,
}

enum Place {
    /// It waits for its turn, or is about to be worked on.
    Queued,
    /// A task works on it.
    Live {
        stop: CancellationToken,
        task: JoinHandle<()>,
        /// Something happened that the task may not have seen.
        again: bool,
    },
}

impl Supervisor {
    pub(crate) fn new(desk: Arc<Desk>, scheduler: &Arc<Scheduler>) -> Self {
        let (line, coming) = scheduler.join();
        let alarms = Arc::new(Alarms::default());
        let shared = Arc::new(Shared { desk: desk.clone(), line, alarms: alarms.clone(), places: Mutex::default() });
        tokio::spawn(dispatch(Arc::downgrade(&shared), coming));
        let late = Arc::downgrade(&shared);
        tokio::spawn(alarms.ring(desk.sources.clock.clone(), move |run| {
            let shared = late.upgrade();
            async move {
                match shared {
                    Some(shared) => shared.ring(&run).await,
                    None => Ok(()),
                }
            }
        }));
        Self { shared, following: tokio::spawn(stack::following(desk)) }
    }

    /// Works on a run as soon as its turn comes, until it ends, waits or rests. One that is at work looks again before
    /// it comes to rest. Errors: it cannot be taken up, such as for a role file that is wrong now.
    pub(crate) async fn attend(&self, run: &RunId) -> Result<(), Problem> {
        self.shared.clone().attend(run.clone()).await
    }

    /// Queues a run of which it is recorded that it waits for its turn.
    pub(crate) fn queue(&self, run: &RunId, priority: Priority) {
        let mut places = self.shared.places();
        if !places.closed && !places.runs.contains_key(run) {
            places.runs.insert(run.clone(), Place::Queued);
            drop(places);
            self.shared.line.queue(run.clone(), priority);
        }
    }

    /// Makes sure that a run which waits for the user goes on at that time.
    pub(crate) fn wake_at(&self, run: &RunId, at_ms: u64) {
        let now = self.shared.desk.sources.clock.now_ms();
        self.shared.alarms.set(at_ms, now, run.clone());
    }

    /// How many runs would go before one that is queued now; `None` where it would be worked on at once.
    pub(crate) fn ahead(&self, priority: Priority) -> Option<u32> {
        self.shared.line.is_full().then(|| u32::try_from(self.shared.line.ahead(priority)).unwrap_or(u32::MAX))
    }

    /// Whether a task of this process works on the run.
    pub(crate) fn is_at_work(&self, run: &RunId) -> bool {
        matches!(self.shared.places().runs.get(run), Some(Place::Live { .. }))
    }

    /// Whether this process sees to it that the run goes on: a task works on it, it is in the queue, or it waits for the
    /// user.
    pub(crate) fn minds(&self, run: &RunId) -> bool {
        self.shared.places().runs.contains_key(run) || self.shared.alarms.has(run)
    }

    /// Whether the run stands still because the disk is full.
    pub(crate) fn is_starved(&self, run: &RunId) -> bool {
        self.shared.places().starved.contains(run)
    }

    /// Stops a run and waits until work on it is over; its end is not recorded by that.
    pub(crate) async fn stop(&self, run: &RunId) {
        let place = {
            let mut places = self.shared.places();
            places.starved.remove(run);
            places.runs.remove(run)
        };
        self.shared.line.leave(run);
        self.shared.alarms.clear(run);
        if let Some(Place::Live { stop, task, .. }) = place {
            stop.cancel();
            let _ = task.await;
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.following.abort();
        self.shared.alarms.close();
        let mut places = self.shared.places();
        places.closed = true;
        for (_, place) in places.runs.drain() {
            if let Place::Live { task, .. } = place {
                task.abort();
            }
        }
    }
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Boxed, since a run that ends has its parent attended to.
    fn attend(self: Arc<Self>, run: RunId) -> BoxFuture<'static, Result<(), Problem>> {
        Box::pin(async move {
            match self.places().runs.get_mut(&run) {
                Some(Place::Live { again, .. }) => {
                    *again = true;
                    return Ok(());
                }
                Some(Place::Queued) => return Ok(()),
                None => {}
            }
            {
                let mut places = self.places();
                if places.closed || places.runs.contains_key(&run) {
                    return Ok(());
                }
                places.runs.insert(run.clone(), Place::Queued);
            }
            let begun = match self.line.now() {
                Some(slot) => self.begin(&run, slot).await,
                None => self.queue(&run).await,
            };
            if begun.is_err() {
                self.places().runs.remove(&run);
            }
            begun
        })
    }

    /// Queues a run. That it waits is recorded before its turn can come.
    async fn queue(&self, run: &RunId) -> Result<(), Problem> {
        let digest = self.desk.digest(run).await?;
        if digest.state != RunState::WaitsForSlot {
            let ahead = u32::try_from(self.line.ahead(digest.priority)).unwrap_or(u32::MAX);
            self.tell(run, Event::SlotAwaited { ahead }).await?;
        }
        self.line.queue(run.clone(), digest.priority);
        Ok(())
    }

    /// Its turn has come.
    async fn turn(self: Arc<Self>, Turn { run, slot }: Turn) {
        if !matches!(self.places().runs.get(&run), Some(Place::Queued)) {
            return; // stopped meanwhile
        }
        if let Err(problem) = self.begin(&run, slot).await {
            self.places().runs.remove(&run);
            // It ended while it was taken up, or the store is somebody else's now: nothing is to be recorded.
            if problem.code != Code::OwnerLost {
                self.park(&run, problem).await;
            }
        }
    }

    async fn begin(self: &Arc<Self>, run: &RunId, slot: Slot) -> Result<(), Problem> {
        let stop = CancellationToken::new();
        let mut taken = Run::take_up(self.desk.clone(), run.clone(), stop.clone()).await?;
        taken.takes_turn().await?;
        let mut places = self.places();
        // Stopped while its history was read, and perhaps begun again by somebody else.
        if !places.closed && matches!(places.runs.get(run), Some(Place::Queued)) {
            let task = tokio::spawn(work(Arc::downgrade(self), taken, slot));
            places.runs.insert(run.clone(), Place::Live { stop, task, again: false });
        }
        Ok(())
    }

    /// What follows from how work on a run ended.
    async fn rested(self: Arc<Self>, run: RunId, rested: Rested) {
        let again = match self.places().runs.remove(&run) {
            Some(Place::Live { again, .. }) => again,
            _ => false, // it was stopped
        };
        let next = match rested {
            Rested::Ended { wakes } => wakes,
            Rested::Calls { child } => Some(child),
            Rested::Waits { until_ms, now_ms } => {
                self.alarms.set(until_ms, now_ms, run.clone());
                None
            }
            Rested::NoRoom => {
                self.starve(&run);
                return;
            }
            Rested::Rests | Rested::Stopped | Rested::Gone => None,
        };
        for run in next.into_iter().chain(again.then_some(run)) {
            if let Err(problem) = self.clone().attend(run.clone()).await {
                self.park(&run, problem).await;
            }
        }
    }

    /// The disk is full: nothing can be recorded, so the run is tried again after a while.
    fn starve(&self, run: &RunId) {
        tracing::error!(%run, "the disk is full: the run goes on once there is room");
        // Nobody is left waiting without a word; a process that stays tries again.
        self.desk.journal.tell_failed(&disk_full());
        self.places().starved.insert(run.clone());
        let now = self.desk.sources.clock.now_ms();
        self.alarms.set(now.saturating_add(ROOM_EVERY_MS), now, run.clone());
    }

    /// What is recorded of a run that could not go on because the disk was full, as soon as that can be recorded.
    async fn found_room(&self, run: &RunId) -> Result<(), Problem> {
        let epoch = self.desk.journal.epoch();
        let parked = Event::RunParked { problem: disk_full() };
        let resumed = Event::RunResumed { by: Actor::Owner, epoch };
        let events = [parked, resumed].map(|event| NewEvent::of_run(run, None, event)).to_vec();
        self.desk.append(events).await?;
        self.places().starved.remove(run);
        Ok(())
    }

    /// A run's time has come: there may be room again, or silence lasted too long, which is a no.
    async fn ring(self: Arc<Self>, run: &RunId) -> Result<(), Problem> {
        let starved = self.places().starved.contains(run);
        if starved && let Err(problem) = self.found_room(run).await {
            if problem.code == Code::DiskFull {
                self.starve(run);
                return Ok(());
            }
            return Err(problem);
        }
        loop {
            let digest = self.desk.digest(run).await?;
            let now = self.desk.sources.clock.now_ms();
            let Some(late) = digest.questions.iter().find(|question| question.expires_at_ms <= now) else { break };
            let settled = Event::ApprovalSettled {
                approval: late.approval.clone(),
                answer: Answer::Reject,
                by: Actor::Timeout,
                note: "nobody answered in time".to_owned(),
            };
            let event = NewEvent::of_run(run, late.step.as_ref(), settled);
            match self.desk.append_to(&[&digest], vec![event]).await {
                Ok(_) | Err(Unrecorded::Append(AppendError::Conflict { .. })) => {} // an answer that came in between counts
                Err(error) => return Err(error.into()),
            }
        }
        self.attend(run.clone()).await
    }

    /// A run that cannot be worked on rests with the reason.
    async fn park(&self, run: &RunId, problem: Problem) {
        let full = problem.code == Code::DiskFull;
        let parked = if full { Ok(()) } else { self.tell(run, Event::RunParked { problem }).await };
        if full || parked.as_ref().is_err_and(|problem| problem.code == Code::DiskFull) {
            self.starve(run);
        } else if let Err(problem) = parked {
            tracing::warn!(%run, %problem, "a run could not be taken up");
        }
    }

    async fn tell(&self, run: &RunId, event: Event) -> Result<(), Problem> {
        self.desk.append(vec![NewEvent::of_run(run, None, event)]).await?;
        Ok(())
    }
}

/// Starts runs as their turns come.
async fn dispatch(shared: Weak<Shared>, mut coming: mpsc::UnboundedReceiver<Turn>) {
    while let Some(turn) = coming.recv().await {
        let Some(shared) = shared.upgrade() else { return };
        tokio::spawn(shared.turn(turn)); // no more of them than slots
    }
}

/// Works on a run; a defect that ends it in the middle is recorded as that.
async fn work(shared: Weak<Shared>, run: Run, slot: Slot) {
    let id = run.id().clone();
    let rested = AssertUnwindSafe(run.drive()).catch_unwind().await;
    drop(slot);
    let Some(shared) = shared.upgrade() else { return };
    let rested = match rested {
        Ok(rested) => rested,
        Err(panic) => {
            shared.park(&id, defect(&*panic)).await;
            Rested::Rests
        }
    };
    shared.rested(id, rested).await;
}

/// Why a run stands still that cannot say so in its history.
pub(crate) fn disk_full() -> Problem {
    Problem::new(
        Code::DiskFull,
        "The disk is full, so nothing more can be recorded and the run stands still.",
        "Make room on the disk; the run goes on by itself within seconds. Nothing that was recorded is lost.",
    )
}

fn defect(panic: &(dyn std::any::Any + Send)) -> Problem {
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Problem::new(
        Code::Internal,
        "A defect in Atelier stopped the work on this run. Other runs go on, and nothing that was recorded is lost.",
        "Resume the run to try again, and please report this with the run's events.",
    )
    .with_details(said.map(str::to_owned))
}
