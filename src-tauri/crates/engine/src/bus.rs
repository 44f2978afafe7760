//! The bus of a project: messages, letters, votes, jobs, all of it events of the project's history.
//!
//! There is no second store: what is recorded is in the journal, and how far each consumer has come beside it. One task
//! delivers messages, one a queue does jobs, in the process that owns the store. A process that performs one command
//! and goes starts none of them; what waits is delivered by the next that stays, or when it is asked to work it off.

pub mod barrier;
mod deliver;
mod discard;
mod jobs;
mod ledger;
mod mail;
pub(crate) mod models;
mod pen;
mod reaction;
#[cfg(test)]
mod tests;
pub mod topics;
mod workers;

pub(crate) use discard::{Works, may_discard};

use crate::desk::Desk;
use crate::objects::Objects;
use atelier_journal::{AppendError, Journal, Projections};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::Event;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::ports::Clock;
use atelier_protocol::view::TopicView;
use deliver::Dispatcher;
use jobs::Worker;
use pen::Pen;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Messages that one answer holds at most.
const MOST_MESSAGES: u32 = 1000;
/// How often objects that nobody tells anything are looked for.
const REST: Duration = Duration::from_secs(60);

/// What every part of the bus works with. A clone is the same.
#[derive(Clone)]
pub(crate) struct Core {
    journal: Journal,
    clock: Arc<dyn Clock>,
    objects: Objects,
    projections: Projections,
    pen: Pen,
    /// Held by who records something about a job.
    alone: Arc<Mutex<()>>,
}

impl Core {
    /// For the journal of a project.
    pub(crate) fn new(journal: Journal, projections: Projections, clock: Arc<dyn Clock>, objects: Objects) -> Self {
        let pen = Pen::new(journal.clone());
        Self { journal, clock, objects, projections, pen, alone: Arc::default() }
    }

    fn of(desk: &Desk) -> Self {
        let (journal, projections) = (desk.journal.clone(), desk.projections.clone());
        Self::new(journal, projections, desk.sources.clock.clone(), desk.objects.clone())
    }

    /// The letters.
    pub(crate) fn mail(&self) -> mail::Mail<'_> {
        mail::Mail(self)
    }
}

/// The bus of a project, in the process that owns it. Dropping it ends its tasks.
pub(crate) struct Bus {
    core: Core,
    dispatcher: Arc<Mutex<Dispatcher>>,
    workers: Vec<Arc<dyn Worker>>,
    _stop: DropGuard,
}

impl Bus {
    /// Takes the bus over: closes what a former owner left open, and, in a process that stays, begins to deliver
    /// messages and to do jobs.
    pub(crate) async fn take_over(desk: &Arc<Desk>, attends: bool) -> Result<Self, Problem> {
        let core = Core::of(desk);
        barrier::recover(&core).await?;
        let stop = CancellationToken::new();
        let workers = workers::all(desk);
        let consumers = reaction::load(&desk.root)?;
        let dispatcher = Arc::new(Mutex::new(Dispatcher::begin(core.clone(), consumers).await?));
        if attends {
            for job in workers::standing(core.clock.now_ms()) {
                match core.append_job(job).await {
                    Ok(()) | Err(AppendError::Repeated { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            tokio::spawn(Dispatcher::run(dispatcher.clone(), stop.clone()));
            for worker in &workers {
                tokio::spawn(jobs::run(core.clone(), worker.clone(), stop.clone()));
            }
            tokio::spawn(let_rest(core.clone(), stop.clone()));
        }
        Ok(Self { core, dispatcher, workers, _stop: stop.drop_guard() })
    }

    /// Answers an op about messages and jobs.
    pub(crate) async fn perform(&self, op: Op) -> Result<Reply, Problem> {
        let core = &self.core;
        match op {
            Op::PostMessage { message } => Ok(Reply::Posted(core.post(message).await?)),
            Op::ReadMessages { topic, after, limit } => {
                let limit = limit.min(MOST_MESSAGES) as usize;
                Ok(Reply::Messages(core.read(&topic, after, limit).await?))
            }
            Op::NextLetter { to } => Ok(Reply::Messages(core.mail().next(&to).await?.into_iter().collect())),
            Op::TakeLetter { letter } => {
                let letter = core.message(letter).await?;
                core.mail().take(&letter, Vec::new()).await?;
                Ok(Reply::Done)
            }
            Op::ListTopics => Ok(Reply::Topics(self.topics().await)),
            Op::ListDead => Ok(Reply::Dead(core.dead().await?)),
            Op::ReplayDead { consumer, message } => {
                if !core.laid_aside(&consumer, message).await? {
                    return Err(Problem::new(
                        Code::UnknownMessage,
                        format!("`{consumer}` did not lay message {message} aside."),
                        "List them with `atelier bus dead`.",
                    ));
                }
                core.record(vec![Event::DeadReplayed { consumer, message }]).await?;
                self.dispatcher.lock().await.drain().await?;
                Ok(Reply::Dead(core.dead().await?))
            }
            Op::ReplayRange { consumer, after, upto, apply } => {
                let consumer = self.dispatcher.lock().await.consumer(&consumer)?;
                Ok(Reply::Replayed(deliver::replay(core, &consumer, after, upto, apply).await?))
            }
            Op::QueueJob { job } => {
                let queues: Vec<&str> = self.workers.iter().map(|worker| worker.queue()).collect();
                let id = job.id.clone();
                core.queue(job, &queues).await?;
                Ok(Reply::Jobs(core.job(&id).await?.into_iter().collect()))
            }
            Op::ListJobs => Ok(Reply::Jobs(core.jobs().await?)),
            Op::CancelJob { job } => Ok(Reply::Jobs(vec![core.cancel(&job).await?])),
            Op::WorkOff => self.work_off().await,
            _ => Err(Problem::new(Code::Internal, "The bus was asked about something else.", "Please report this.")),
        }
    }

    /// Delivers what waits and does the jobs that are due, until nothing is left to do now.
    async fn work_off(&self) -> Result<Reply, Problem> {
        loop {
            self.dispatcher.lock().await.drain().await?;
            let mut done = false;
            for worker in &self.workers {
                while jobs::step(&self.core, worker).await? {
                    done = true;
                }
            }
            if !done {
                return Ok(Reply::Jobs(self.core.jobs().await?));
            }
        }
    }

    async fn topics(&self) -> Vec<TopicView> {
        let places = self.dispatcher.lock().await.places();
        let consumers = |pattern: &str| {
            let hears = |listens: &[String]| listens.iter().any(|other| topics::overlap(other, pattern));
            places.iter().filter(|(_, listens, _)| hears(listens)).map(|(id, _, at)| (id.clone(), *at)).collect()
        };
        let view = |topic: &topics::Topic| TopicView {
            topic: topic.pattern.to_owned(),
            guarantee: topic.guarantee,
            consumers: consumers(topic.pattern),
        };
        topics::TOPICS.iter().map(view).collect()
    }
}

/// Lets objects leave memory that nobody tells anything.
async fn let_rest(core: Core, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = core.clock.sleep(REST) => {}
            () = stop.cancelled() => return,
        }
        if let Err(problem) = core.objects.rest().await {
            tracing::warn!(%problem, "objects stay in memory");
        }
    }
}
