//! `atelier jobs`: work that waits in queues.

use crate::args::Args;
use crate::bus::duration_ms;
use crate::choices::Urgency;
use crate::out::{End, Finished, Out, unexpected};
use crate::session;
use atelier_protocol::event::Job;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{JobState, JobView};
use clap::Subcommand;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Subcommand, Debug)]
pub enum JobsVerb {
    /// The jobs, those that are still open first.
    List,
    /// Put a job into a queue, such as `index.refresh` or `store.verify`.
    Add {
        /// The queue.
        queue: String,
        /// What is to be done: JSON, or else text.
        #[arg(default_value = "null")]
        body: String,
        /// The job's id; the same id is queued once. Without it, the queue and the time.
        #[arg(long)]
        id: Option<String>,
        /// Not before so long from now, such as `15m`.
        #[arg(long = "in", value_name = "TIME")]
        delay: Option<String>,
        /// Again so long after each end, such as `1d`.
        #[arg(long, value_name = "TIME")]
        every: Option<String>,
        /// How urgent it is.
        #[arg(long, default_value = "normal")]
        priority: Urgency,
        /// Attempts before it is laid aside.
        #[arg(long, default_value_t = 3)]
        attempts: u32,
    },
    /// Take a job back.
    Cancel {
        /// The job's id.
        job: String,
    },
    /// Deliver the messages that wait and do the jobs that are due, now and here.
    Work,
}

pub async fn jobs(args: &Args, verb: &JobsVerb, out: &Out) -> End {
    let op = match verb {
        JobsVerb::List => Op::ListJobs,
        JobsVerb::Work => Op::WorkOff,
        JobsVerb::Cancel { job } => Op::CancelJob { job: job.clone() },
        JobsVerb::Add { queue, body, id, delay, every, priority, attempts } => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let now = u64::try_from(now).unwrap_or(u64::MAX);
            let delay = delay.as_deref().map_or(Ok(0), duration_ms)?;
            let job = Job {
                id: id.clone().unwrap_or_else(|| format!("{queue}-{now}")),
                queue: queue.clone(),
                priority: (*priority).into(),
                due_ms: now.saturating_add(delay),
                every_ms: every.as_deref().map(duration_ms).transpose()?,
                most_attempts: *attempts,
                body: serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.clone())),
            };
            Op::QueueJob { job }
        }
    };
    let Reply::Jobs(jobs) = session::ask(args, op).await? else { return Err(unexpected()) };
    if jobs.is_empty() {
        out.say("no jobs");
    }
    jobs.iter().for_each(|job| out.say(line(job)));
    Ok(Finished::done(json!({"jobs": jobs})))
}

fn line(view: &JobView) -> String {
    let state = match view.state {
        JobState::Waiting => "waiting",
        JobState::Leased => "at work",
        JobState::Done => "done",
        JobState::Dead => "laid aside",
        JobState::Cancelled => "taken back",
    };
    let repeats = view.job.every_ms.map(|every| format!(", every {} s, {} times so far", every / 1000, view.ends));
    let reason = view.reason.as_deref().map(|reason| format!("\n  {reason}"));
    let (repeats, reason) = (repeats.unwrap_or_default(), reason.unwrap_or_default());
    format!("{:<28} {:<14} {state}, {} attempts{repeats}{reason}", view.job.id, view.job.queue, view.attempts)
}
