//! Does the jobs that wait in queues: one worker a queue, each job leased before and ended after.
//!
//! What a job records in the store is appended together with its end, so that it is there once, however often the job
//! was begun. A lease that ran out, or that a former owner gave, is free again. A job that was taken back or given to
//! somebody else meanwhile records nothing.

use crate::bus::Core;
use atelier_journal::{Append, AppendError, Mark};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Event, Job, JobEnd, NewEvent};
use atelier_protocol::view::{JobState, JobView};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The pause after a first failed attempt; four times as long with each.
const PAUSE_MS: u64 = 1000;
/// The longest pause.
const LONGEST_PAUSE_MS: u64 = 600_000;
/// The pause after the store could not be written.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Does the jobs of one queue.
pub trait Worker: Send + Sync + 'static {
    /// The queue.
    fn queue(&self) -> &'static str;
    /// How long an attempt may take before somebody else may begin another.
    fn lease(&self) -> Duration;
    /// Does a job. What it answers is recorded with the job's end; an error is why it is tried again.
    fn work(&self, job: Job) -> BoxFuture<'_, Result<Vec<NewEvent>, String>>;
}

impl Core {
    /// Queues a job. One whose id was used before is not queued again.
    pub(super) async fn queue(&self, job: Job, queues: &[&str]) -> Result<(), Problem> {
        let bad = |text: String, hint: &str| Err(Problem::new(Code::BadArgument, text, hint));
        if !queues.contains(&job.queue.as_str()) {
            let text = format!("Nobody works on the queue `{}`; there are {}.", job.queue, queues.join(", "));
            return bad(text, "Take one of those.");
        }
        if job.id.is_empty() || job.id.len() > 200 {
            return bad("A job needs an id of at most 200 bytes.".to_owned(), "Name it.");
        }
        if job.most_attempts == 0 || job.every_ms.is_some_and(|every| every < 1000) {
            let hint = "Allow at least one attempt, and at least a second between two ends.";
            return bad(format!("The job `{}` could never be done.", job.id), hint);
        }
        match self.append_job(job).await {
            Err(AppendError::Repeated { key, .. }) => bad(
                format!("There is a job `{key}` already."),
                "List them with `atelier jobs list`, or take another id.",
            ),
            other => Ok(other?),
        }
    }

    pub(super) async fn append_job(&self, job: Job) -> Result<(), AppendError> {
        let marks = vec![Mark::Key { scope: "job".to_owned(), key: job.id.clone() }];
        let events = vec![NewEvent::of_store(Event::JobQueued { job })];
        self.pen.append(Append { events, marks, ..Append::default() }).await.map(|_| ())
    }

    /// Takes a job back; what an attempt at it brings is not recorded.
    pub(super) async fn cancel(&self, id: &str) -> Result<JobView, Problem> {
        let open = self.open_jobs().await?;
        let Some(kept) = open.get(id) else {
            return Err(Problem::new(
                Code::UnknownJob,
                format!("There is no open job `{id}`."),
                "List them with `atelier jobs list`.",
            ));
        };
        let mut view = kept.view.clone();
        view.state = JobState::Cancelled;
        let end = Event::JobEnded { job: id.to_owned(), attempt: view.attempts, end: JobEnd::Cancelled };
        self.record(vec![end]).await?;
        Ok(view)
    }
}

/// Does the next job of a worker's queue, if one is due. False where none is.
pub async fn step(core: &Core, worker: &Arc<dyn Worker>) -> Result<bool, Problem> {
    let ours = format!("owner-{}/", core.journal.epoch());
    let queues = [worker.queue()];
    let (job, attempt) = {
        let open = core.open_jobs().await?;
        if open.next_due(&queues).is_none() {
            return Ok(false); // without reading the clock
        }
        let now = core.clock.now_ms();
        let Some(kept) = open.next(&queues, now, &ours) else { return Ok(false) };
        let (job, attempt) = (kept.view.job.clone(), kept.view.attempts + 1);
        if attempt > job.most_attempts {
            let reason = format!("its worker ended {} times without a word", kept.view.attempts);
            let end = Event::JobEnded { job: job.id, attempt: kept.view.attempts, end: JobEnd::Dead { reason } };
            core.record(vec![end]).await?;
            return Ok(true);
        }
        let lease = u64::try_from(worker.lease().as_millis()).unwrap_or(u64::MAX);
        let leased = Event::JobLeased {
            job: job.id.clone(),
            worker: format!("{ours}{}", worker.queue()),
            until_ms: now.saturating_add(lease),
            attempt,
        };
        core.record(vec![leased]).await?;
        (job, attempt)
    };
    let (working, given) = (worker.clone(), job.clone());
    let done = tokio::spawn(async move { working.work(given).await }).await;
    let done = done.unwrap_or_else(|error| Err(format!("its worker broke off: {error}")));

    let open = core.open_jobs().await?;
    let still_ours = open.get(&job.id).is_some_and(|k| k.view.state == JobState::Leased && k.view.attempts == attempt);
    if !still_ours {
        tracing::info!(job = job.id, attempt, "taken back or given to somebody else; nothing is recorded");
        return Ok(true);
    }
    let (mut events, end) = match done {
        Ok(events) => (events, JobEnd::Done),
        Err(reason) if attempt >= job.most_attempts => (Vec::new(), JobEnd::Dead { reason }),
        Err(reason) => {
            let pause = PAUSE_MS.saturating_mul(1 << (2 * (attempt - 1)).min(20)).min(LONGEST_PAUSE_MS);
            (Vec::new(), JobEnd::Again { reason, due_ms: core.clock.now_ms().saturating_add(pause) })
        }
    };
    events.push(NewEvent::of_store(Event::JobEnded { job: job.id, attempt, end }));
    core.pen.append(Append { events, ..Append::default() }).await?;
    Ok(true)
}

/// Does the jobs of a worker's queue as they become due, until it is stopped.
pub async fn run(core: Core, worker: Arc<dyn Worker>, stop: CancellationToken) {
    let mut changed = core.pen.jobs();
    loop {
        changed.mark_unchanged();
        let pause = match step(&core, &worker).await {
            Ok(true) => continue,
            Ok(false) => {
                let due = match core.open_jobs().await {
                    Ok(open) => open.next_due(&[worker.queue()]),
                    Err(problem) if problem.code == Code::OwnerLost => return,
                    Err(problem) => {
                        tracing::warn!(queue = worker.queue(), %problem, "jobs are not seen");
                        Some(core.clock.now_ms().saturating_add(1_000))
                    }
                };
                due.map(|due| Duration::from_millis(due.saturating_sub(core.clock.now_ms()).max(1)))
            }
            Err(problem) if problem.code == Code::OwnerLost => return,
            Err(problem) => {
                tracing::warn!(queue = worker.queue(), %problem, "jobs are not done");
                Some(STORE_PAUSE)
            }
        };
        let due = async {
            match pause {
                Some(pause) => core.clock.sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            told = changed.changed() => if told.is_err() { return },
            () = due => {}
            () = stop.cancelled() => return,
        }
    }
}
