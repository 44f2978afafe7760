//! What the history says of jobs, messages that were laid aside, mail and votes: a fold of the store's own events.
//!
//! Whoever records something about a job or a vote holds the ledger while doing so and lets it catch up first: there is
//! one writer. Jobs that ended are kept only as the latest few; their history stays in the journal.

use atelier_journal::Journal;
use atelier_protocol::Envelope;
use atelier_protocol::error::Problem;
use atelier_protocol::event::{Event, JobEnd};
use atelier_protocol::ids::Seq;
use atelier_protocol::view::{JobState, JobView};
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

/// The events that it is folded from.
pub const KINDS: [&str; 8] = [
    "message_posted",
    "message_dead",
    "dead_replayed",
    "barrier_opened",
    "barrier_closed",
    "job_queued",
    "job_leased",
    "job_ended",
];
/// Events read at once.
const PAGE: usize = 500;
/// Ended jobs that are remembered.
const ENDED: usize = 200;

/// What is known up to an event.
#[derive(Debug, Default)]
pub struct Ledger {
    upto: Seq,
    /// Jobs by id.
    pub jobs: BTreeMap<String, Kept>,
    ended: VecDeque<String>,
    /// Messages that were laid aside: consumer and number, with tries and reason.
    pub dead: BTreeMap<(String, Seq), (u32, String)>,
    /// Barriers that nobody closed.
    pub open: BTreeMap<String, Vec<String>>,
    /// The numbers of all letters, by topic.
    pub mail: BTreeMap<String, Vec<Seq>>,
}

/// A job as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// When it was queued: jobs of the same urgency and time go in this order.
    pub seq: Seq,
    /// It as a screen shows it.
    pub view: JobView,
    /// Who has it, and until when.
    pub lease: Option<(String, u64)>,
}

impl Ledger {
    /// Takes in what was recorded since.
    pub async fn catch_up(&mut self, journal: &Journal) -> Result<(), Problem> {
        let head = journal.last_seq();
        while self.upto < head {
            let page = journal.read_kinds(&KINDS, self.upto, PAGE).await?;
            let full = page.len() == PAGE;
            page.iter().for_each(|event| self.apply(event));
            if !full {
                self.upto = self.upto.max(head);
            }
        }
        Ok(())
    }

    fn apply(&mut self, envelope: &Envelope) {
        self.upto = envelope.seq;
        match &envelope.event {
            Event::MessagePosted { message } if message.topic.starts_with("mail/") => {
                self.mail.entry(message.topic.clone()).or_default().push(envelope.seq);
            }
            Event::MessageDead { consumer, message, reason, attempts } => {
                self.dead.insert((consumer.clone(), *message), (*attempts, reason.clone()));
            }
            Event::DeadReplayed { consumer, message } => drop(self.dead.remove(&(consumer.clone(), *message))),
            Event::BarrierOpened { barrier, voters, .. } => drop(self.open.insert(barrier.clone(), voters.clone())),
            Event::BarrierClosed { barrier, .. } => drop(self.open.remove(barrier)),
            Event::JobQueued { job } => {
                let view = JobView { job: job.clone(), state: JobState::Waiting, attempts: 0, ends: 0, reason: None };
                self.jobs.insert(job.id.clone(), Kept { seq: envelope.seq, view, lease: None });
            }
            Event::JobLeased { job, worker, until_ms, attempt } => {
                if let Some(kept) = self.jobs.get_mut(job) {
                    kept.view.state = JobState::Leased;
                    kept.view.attempts = *attempt;
                    kept.lease = Some((worker.clone(), *until_ms));
                }
            }
            Event::JobEnded { job, end, .. } => self.end(job, end, envelope.at_ms),
            _ => {}
        }
    }

    fn end(&mut self, id: &str, end: &JobEnd, at_ms: u64) {
        let Some(kept) = self.jobs.get_mut(id) else { return };
        kept.lease = None;
        let view = &mut kept.view;
        match end {
            JobEnd::Done => {
                view.ends += 1;
                view.reason = None;
                match view.job.every_ms {
                    Some(every) => {
                        view.attempts = 0;
                        view.state = JobState::Waiting;
                        view.job.due_ms = at_ms.saturating_add(every);
                        return;
                    }
                    None => view.state = JobState::Done,
                }
            }
            JobEnd::Again { reason, due_ms } => {
                view.state = JobState::Waiting;
                view.reason = Some(reason.clone());
                view.job.due_ms = *due_ms;
                return;
            }
            JobEnd::Dead { reason } => {
                view.state = JobState::Dead;
                view.reason = Some(reason.clone());
            }
            JobEnd::Cancelled => view.state = JobState::Cancelled,
        }
        self.ended.push_back(id.to_owned());
        if self.ended.len() > ENDED
            && let Some(oldest) = self.ended.pop_front()
        {
            self.jobs.remove(&oldest);
        }
    }

    /// The job that is to be done next of these queues: the most urgent, then the longest due, then the first queued.
    /// One whose lease ran out, or was given to a worker of a former owner, is free again.
    pub fn next(&self, queues: &[&str], now_ms: u64, ours: &str) -> Option<&Kept> {
        let free = |kept: &&Kept| {
            queues.contains(&kept.view.job.queue.as_str())
                && match (kept.view.state, &kept.lease) {
                    (JobState::Waiting, _) => kept.view.job.due_ms <= now_ms,
                    (JobState::Leased, Some((worker, until))) => !worker.starts_with(ours) || *until <= now_ms,
                    _ => false,
                }
        };
        self.jobs.values().filter(free).min_by_key(|k| (Reverse(k.view.job.priority), k.view.job.due_ms, k.seq))
    }

    /// When there may be something to do of these queues without anything being queued before; `None` is never.
    pub fn next_due(&self, queues: &[&str]) -> Option<u64> {
        let due = |kept: &Kept| match (kept.view.state, &kept.lease) {
            (JobState::Waiting, _) => Some(kept.view.job.due_ms),
            (JobState::Leased, Some((_, until))) => Some(*until),
            _ => None,
        };
        self.jobs.values().filter(|k| queues.contains(&k.view.job.queue.as_str())).filter_map(due).min()
    }

    /// Every job, those that are still open first, then the latest.
    pub fn list(&self) -> Vec<JobView> {
        let open = |state| matches!(state, JobState::Waiting | JobState::Leased);
        let mut all: Vec<&Kept> = self.jobs.values().collect();
        all.sort_by_key(|kept| {
            let order = if open(kept.view.state) { kept.seq.0 } else { u64::MAX - kept.seq.0 };
            (!open(kept.view.state), order)
        });
        all.into_iter().map(|kept| kept.view.clone()).collect()
    }
}
