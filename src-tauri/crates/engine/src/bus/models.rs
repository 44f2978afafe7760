//! The read models of the bus: rows that follow from the history, in the same file and with the same promise as those
//! of the runs.
//!
//! Pure folds. `messages` finds messages by topic, letters too; `jobs` holds what waits and what ended; `dead_letters`
//! what was laid aside; `barriers` the votes that nobody closed. What a message says stays in the history.

use atelier_journal::Projection;
use atelier_protocol::Envelope;
use atelier_protocol::event::{Event, JobEnd};
use atelier_protocol::ids::Seq;
use atelier_protocol::view::{JobState, JobView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Names of the models.
pub const MESSAGES: &str = "messages";
pub const JOBS: &str = "jobs";
pub const DEAD: &str = "dead_letters";
pub const BARRIERS: &str = "barriers";

/// The read models of the bus.
pub(crate) fn all() -> Vec<Arc<dyn Projection>> {
    vec![Arc::new(Messages), Arc::new(Jobs), Arc::new(DeadLetters), Arc::new(Barriers)]
}

/// Places of messages: a row without content for each, by topic and number.
struct Messages;

/// The key of a message. A blank is in no topic and comes before all that is, so a topic's messages stand together.
pub fn place(topic: &str, seq: Seq) -> String {
    format!("{topic} {:016}", seq.0)
}

/// What a topic's keys begin with.
pub fn places_of(topic: &str) -> String {
    format!("{topic} ")
}

/// A key behind all of a topic's and before the next topic's.
pub fn behind(topic: &str) -> String {
    format!("{topic}!")
}

/// Topic and number of a key.
pub fn placed(key: &str) -> Option<(&str, Seq)> {
    let (topic, seq) = key.split_once(' ')?;
    Some((topic, Seq(seq.parse().ok()?)))
}

impl Projection for Messages {
    fn name(&self) -> &'static str {
        MESSAGES
    }
    fn version(&self) -> u32 {
        1
    }
    fn keys(&self, event: &Envelope) -> Vec<String> {
        let topic = match &event.event {
            Event::MessagePosted { message } => Some(message.topic.clone()),
            _ => super::topics::message_of(event).map(|message| message.topic),
        };
        topic.into_iter().map(|topic| place(&topic, event.seq)).collect()
    }
    fn fold(&self, _: &str, _: Option<&[u8]>, _: &Envelope) -> Option<Vec<u8>> {
        Some(Vec::new())
    }
}

/// A job as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// When it was queued: jobs of the same urgency and time go in this order.
    pub seq: Seq,
    /// It as a screen shows it.
    pub view: JobView,
    /// Who has it, and until when.
    pub lease: Option<(String, u64)>,
}

/// Jobs: `open/<id>` while there is something to do, `all/<id>` for ever, and `ended/<number>` for each end in order.
struct Jobs;

/// What keys of open jobs, of all jobs and of ends begin with.
pub const OPEN: &str = "open/";
pub const EVERY: &str = "all/";
pub const ENDED: &str = "ended/";

impl Projection for Jobs {
    fn name(&self) -> &'static str {
        JOBS
    }
    fn version(&self) -> u32 {
        1
    }
    fn keys(&self, event: &Envelope) -> Vec<String> {
        let (id, ends) = match &event.event {
            Event::JobQueued { job } => (&job.id, false),
            Event::JobLeased { job, .. } => (job, false),
            Event::JobEnded { job, end, .. } => (job, !matches!(end, JobEnd::Again { .. })),
            _ => return Vec::new(),
        };
        let end = ends.then(|| format!("{ENDED}{:016}", event.seq.0));
        [format!("{OPEN}{id}"), format!("{EVERY}{id}")].into_iter().chain(end).collect()
    }
    fn fold(&self, key: &str, row: Option<&[u8]>, event: &Envelope) -> Option<Vec<u8>> {
        if key.starts_with(ENDED) {
            let Event::JobEnded { job, .. } = &event.event else { return None };
            return Some(job.clone().into_bytes());
        }
        let kept = after(row.and_then(read), event)?;
        let stays = key.starts_with(EVERY) || kept.is_open();
        stays.then(|| serde_json::to_vec(&kept).ok()).flatten()
    }
}

impl Kept {
    /// Whether there is something to do.
    pub fn is_open(&self) -> bool {
        matches!(self.view.state, JobState::Waiting | JobState::Leased)
    }

    fn end(&mut self, end: &JobEnd, at_ms: u64) {
        self.lease = None;
        let view = &mut self.view;
        match end {
            JobEnd::Done => {
                view.ends += 1;
                view.reason = None;
                match view.job.every_ms {
                    Some(every) => {
                        view.attempts = 0;
                        view.state = JobState::Waiting;
                        view.job.due_ms = at_ms.saturating_add(every);
                    }
                    None => view.state = JobState::Done,
                }
            }
            JobEnd::Again { reason, due_ms } => {
                view.state = JobState::Waiting;
                view.reason = Some(reason.clone());
                view.job.due_ms = *due_ms;
            }
            JobEnd::Dead { reason } => {
                view.state = JobState::Dead;
                view.reason = Some(reason.clone());
            }
            JobEnd::Cancelled => view.state = JobState::Cancelled,
        }
    }
}

/// A job after an event about it.
fn after(before: Option<Kept>, envelope: &Envelope) -> Option<Kept> {
    if let Event::JobQueued { job } = &envelope.event {
        let view = JobView { job: job.clone(), state: JobState::Waiting, attempts: 0, ends: 0, reason: None };
        return Some(Kept { seq: envelope.seq, view, lease: None });
    }
    let mut kept = before?;
    match &envelope.event {
        Event::JobLeased { worker, until_ms, attempt, .. } => {
            kept.view.state = JobState::Leased;
            kept.view.attempts = *attempt;
            kept.lease = Some((worker.clone(), *until_ms));
        }
        Event::JobEnded { end, .. } => kept.end(end, envelope.at_ms),
        _ => {}
    }
    Some(kept)
}

/// A message that a consumer laid aside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Laid {
    /// Who.
    pub consumer: String,
    /// Its number.
    pub message: Seq,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was not handled.
    pub reason: String,
}

struct DeadLetters;

/// The key of a message that a consumer laid aside.
pub fn laid(consumer: &str, message: Seq) -> String {
    format!("{consumer} {:016}", message.0)
}

impl Projection for DeadLetters {
    fn name(&self) -> &'static str {
        DEAD
    }
    fn version(&self) -> u32 {
        1
    }
    fn keys(&self, event: &Envelope) -> Vec<String> {
        match &event.event {
            Event::MessageDead { consumer, message, .. } | Event::DeadReplayed { consumer, message } => {
                vec![laid(consumer, *message)]
            }
            _ => Vec::new(),
        }
    }
    fn fold(&self, _: &str, _: Option<&[u8]>, event: &Envelope) -> Option<Vec<u8>> {
        let Event::MessageDead { consumer, message, reason, attempts } = &event.event else { return None };
        let (consumer, reason) = (consumer.clone(), reason.clone());
        serde_json::to_vec(&Laid { consumer, message: *message, attempts: *attempts, reason }).ok()
    }
}

/// Barriers that nobody closed.
struct Barriers;

impl Projection for Barriers {
    fn name(&self) -> &'static str {
        BARRIERS
    }
    fn version(&self) -> u32 {
        1
    }
    fn keys(&self, event: &Envelope) -> Vec<String> {
        match &event.event {
            Event::BarrierOpened { barrier, .. } | Event::BarrierClosed { barrier, .. } => vec![barrier.clone()],
            _ => Vec::new(),
        }
    }
    fn fold(&self, _: &str, _: Option<&[u8]>, event: &Envelope) -> Option<Vec<u8>> {
        matches!(event.event, Event::BarrierOpened { .. }).then(Vec::new)
    }
}

/// A row as it was written.
pub fn read<T: DeserializeOwned>(row: &[u8]) -> Option<T> {
    serde_json::from_slice(row).ok()
}
