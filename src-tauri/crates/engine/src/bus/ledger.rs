//! What the bus is asked: messages by topic, letters that wait, jobs, what was laid aside, votes that are open.
//!
//! Every answer is of everything that is committed, from the rows of the read models; the history is read only for what
//! a message says. Who records something about a job holds [`OpenJobs`] meanwhile: there is one writer.

use super::models::{self, BARRIERS, DEAD, ENDED, EVERY, JOBS, Kept, Laid, MESSAGES, OPEN};
use super::{Core, topics};
use atelier_journal::{KeyedRow, Order, Rows};
use atelier_protocol::error::Problem;
use atelier_protocol::ids::Seq;
use atelier_protocol::view::{DeadView, JobState, JobView, MessageView};
use std::cmp::Reverse;
use tokio::sync::OwnedMutexGuard;

/// Rows read at once.
const PAGE: usize = 500;
/// Ended jobs that a list shows.
const MOST_ENDED: usize = 200;

/// The jobs that are open, while nobody else records anything about any.
pub struct OpenJobs {
    jobs: Vec<Kept>,
    _alone: OwnedMutexGuard<()>,
}

impl OpenJobs {
    /// An open job by its id.
    pub fn get(&self, id: &str) -> Option<&Kept> {
        self.jobs.iter().find(|kept| kept.view.job.id == id)
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
        self.jobs.iter().filter(free).min_by_key(|k| (Reverse(k.view.job.priority), k.view.job.due_ms, k.seq))
    }

    /// When there may be something to do of these queues without anything being queued before; `None` is never.
    pub fn next_due(&self, queues: &[&str]) -> Option<u64> {
        let due = |kept: &Kept| match (kept.view.state, &kept.lease) {
            (JobState::Waiting, _) => Some(kept.view.job.due_ms),
            (JobState::Leased, Some((_, until))) => Some(*until),
            _ => None,
        };
        self.jobs.iter().filter(|k| queues.contains(&k.view.job.queue.as_str())).filter_map(due).min()
    }
}

impl Core {
    /// The open jobs. Held while something is recorded about one.
    pub(super) async fn open_jobs(&self) -> Result<OpenJobs, Problem> {
        let alone = self.alone.clone().lock_owned().await;
        let rows = self.rows(JOBS, OPEN).await?;
        Ok(OpenJobs { jobs: rows.iter().filter_map(|(_, row)| models::read(row)).collect(), _alone: alone })
    }

    /// A job, open or not.
    pub(super) async fn job(&self, id: &str) -> Result<Option<JobView>, Problem> {
        self.projections.caught_up().await?;
        let row = self.projections.get(JOBS, &format!("{EVERY}{id}")).await?;
        Ok(row.and_then(|row| models::read::<Kept>(&row)).map(|kept| kept.view))
    }

    /// The jobs: those that are open first, in the order they were queued, then the latest that ended.
    pub(super) async fn jobs(&self) -> Result<Vec<JobView>, Problem> {
        let rows = self.rows(JOBS, OPEN).await?;
        let mut open: Vec<Kept> = rows.iter().filter_map(|(_, row)| models::read(row)).collect();
        let (mut ended, mut after): (Vec<Kept>, Option<String>) = (Vec::new(), None);
        'all: loop {
            let page = Rows { prefix: ENDED.to_owned(), after: after.take(), order: Order::Falling, limit: MOST_ENDED };
            let ends = self.projections.list(JOBS, page).await?;
            for (_, id) in &ends {
                let id = String::from_utf8_lossy(id);
                let row = self.projections.get(JOBS, &format!("{EVERY}{id}")).await?;
                // One that repeats is open again after its end.
                ended.extend(row.and_then(|row| models::read::<Kept>(&row)).filter(|kept| !kept.is_open()));
                if ended.len() == MOST_ENDED {
                    break 'all;
                }
            }
            match ends.into_iter().nth(MOST_ENDED - 1) {
                Some((last, _)) => after = Some(last),
                None => break,
            }
        }
        open.sort_by_key(|kept| kept.seq);
        ended.sort_by_key(|kept| Reverse(kept.seq));
        Ok(open.into_iter().chain(ended).map(|kept| kept.view).collect())
    }

    /// Whether a consumer laid a message aside.
    pub(super) async fn laid_aside(&self, consumer: &str, message: Seq) -> Result<bool, Problem> {
        self.projections.caught_up().await?;
        Ok(self.projections.get(DEAD, &models::laid(consumer, message)).await?.is_some())
    }

    /// The messages that were laid aside.
    pub(super) async fn dead(&self) -> Result<Vec<DeadView>, Problem> {
        let mut views = Vec::new();
        for (_, row) in self.rows(DEAD, "").await? {
            let Some(Laid { consumer, message, attempts, reason }) = models::read(&row) else { continue };
            views.push(DeadView { consumer, reason, attempts, message: self.message(message).await? });
        }
        Ok(views)
    }

    /// The barriers that nobody closed.
    pub(super) async fn open_barriers(&self) -> Result<Vec<String>, Problem> {
        Ok(self.rows(BARRIERS, "").await?.into_iter().map(|(barrier, _)| barrier).collect())
    }

    /// Messages of topics that fit a pattern, after a number, in order, at most `limit`.
    pub(super) async fn read(&self, pattern: &str, after: Seq, limit: usize) -> Result<Vec<MessageView>, Problem> {
        topics::readable(pattern)?;
        self.projections.caught_up().await?;
        let mut found = Vec::new();
        for topic in self.topics_like(pattern).await? {
            found.extend(self.places(&topic, after, limit).await?);
        }
        found.sort_unstable();
        found.truncate(limit);
        let mut messages = Vec::with_capacity(found.len());
        for seq in found {
            messages.push(self.message(seq).await?);
        }
        Ok(messages)
    }

    /// The first message of a topic after a number.
    pub(super) async fn first_after(&self, topic: &str, after: Seq) -> Result<Option<Seq>, Problem> {
        Ok(self.places(topic, after, 1).await?.pop())
    }

    /// The topics that have messages and fit a pattern. Each costs one look, however many messages it has.
    async fn topics_like(&self, pattern: &str) -> Result<Vec<String>, Problem> {
        let prefix = pattern.split_once('*').map_or(pattern, |(plain, _)| plain);
        let (mut found, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
        loop {
            let one = Rows { prefix: prefix.to_owned(), after: after.take(), order: Order::Rising, limit: 1 };
            let row = self.projections.list(MESSAGES, one).await?.pop();
            let Some((topic, _)) = row.as_ref().and_then(|(key, _)| models::placed(key)) else { return Ok(found) };
            after = Some(models::behind(topic));
            if topics::fits(pattern, topic) {
                found.push(topic.to_owned());
            }
        }
    }

    /// Who ever wrote a letter. Each costs one look.
    pub(super) async fn senders(&self) -> Result<Vec<String>, Problem> {
        let (mut found, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
        loop {
            let one = Rows { prefix: "mail/".to_owned(), after: after.take(), order: Order::Rising, limit: 1 };
            let row = self.projections.list(MESSAGES, one).await?.pop();
            let Some(from) = row.as_ref().and_then(|(key, _)| key.split('/').nth(1)) else { return Ok(found) };
            after = Some(format!("mail/{from}0")); // behind all that begin with `mail/<from>/`
            found.push(from.to_owned());
        }
    }

    async fn places(&self, topic: &str, after: Seq, limit: usize) -> Result<Vec<Seq>, Problem> {
        let (prefix, after) = (models::places_of(topic), Some(models::place(topic, after)));
        let rows = self.projections.list(MESSAGES, Rows { prefix, after, order: Order::Rising, limit }).await?;
        Ok(rows.iter().filter_map(|(key, _)| models::placed(key)).map(|(_, seq)| seq).collect())
    }

    async fn rows(&self, model: &str, prefix: &str) -> Result<Vec<KeyedRow>, Problem> {
        self.projections.caught_up().await?;
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = Rows { prefix: prefix.to_owned(), after: after.take(), order: Order::Rising, limit: PAGE };
            let rows = self.projections.list(model, page).await?;
            let full = rows.len() == PAGE;
            all.extend(rows);
            match all.last() {
                Some((last, _)) if full => after = Some(last.clone()),
                _ => return Ok(all),
            }
        }
    }
}
