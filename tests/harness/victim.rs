//! A process that owns a store, works on a run, and is killed at a chosen moment.
//!
//! `victim HOME PROJECT SERVER JOB [before N | after N | told N]`: the N-th append of the run's own events ends the
//! process with SIGKILL, just before or just after its commit, or event N does when it is told to who follows the store.
//! Without a moment it works to the end. `JOB` is a word of [`Job`], or `resume-` and the word: what was cut off is brought
//! to its end. The program `mutant` is the same with a rule broken that `VICTIM_MUTANT` names.

use crate::job::{self, Job, say};
use crate::world::options;
use atelier_engine::{Moment, Sources, Witness, Workshop, WorkshopOptions};
use atelier_protocol::error::Problem;
use atelier_protocol::settings::{ProviderKind, ProviderSettings};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// When the process is killed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    After,
    Told,
}

/// Does what the arguments say.
#[expect(clippy::expect_used, reason = "a harness fails loudly")]
pub async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [home, project, server, job, moment @ ..] = arguments.as_slice() else { return usage() };
    let again = job.strip_prefix("resume-");
    let Some(job) = Job::named(again.unwrap_or(job)) else { return usage() };
    let moment = match moment {
        [] => None,
        [when, n] => {
            let when = match when.as_str() {
                "before" => When::Before,
                "after" => When::After,
                "told" => When::Told,
                _ => return usage(),
            };
            Some((when, n.parse().expect("a number")))
        }
        _ => return usage(),
    };
    let appends = Arc::new(AtomicU64::new(0));
    let server = ProviderSettings { id: "server".to_owned(), kind: ProviderKind::Ollama, base_url: server.clone() };
    let mut options =
        options(&PathBuf::from(home), server, Sources::of_the_machine(), Some(killer(moment, appends.clone())));
    options.attends = job == Job::Stay;
    match work(options, &PathBuf::from(project), (job, again.is_some()), moment).await {
        Ok(()) => {
            say(format_args!("appends {}", appends.load(Ordering::SeqCst)));
            ExitCode::SUCCESS
        }
        Err(problem) => {
            say(format_args!("problem {} {} {:?}", problem.code, problem.message, problem.details));
            ExitCode::from(problem.code.exit().code())
        }
    }
}

fn usage() -> ExitCode {
    say("usage: victim HOME PROJECT SERVER [resume-]JOB [before N | after N | told N]");
    ExitCode::from(2)
}

async fn work(
    options: WorkshopOptions,
    project: &Path,
    (job, again): (Job, bool),
    moment: Option<(When, u64)>,
) -> Result<(), Problem> {
    let workshop = Workshop::open(options).await?;
    let opened = workshop.open_project(project).await;
    let done = match &opened {
        Ok(project) => {
            let told = moment.filter(|(when, _)| *when == When::Told).map(|(_, n)| n);
            job::acknowledge(project, move |seq| {
                if told == Some(seq) {
                    die();
                }
            });
            let done = if again { job::resume(project, job).await } else { job::start(project, job).await };
            if done.is_ok() && told.is_some() {
                // The event is on its way to who follows.
                let _ = tokio::time::timeout(crate::world::PATIENCE, std::future::pending::<()>()).await;
            }
            done
        }
        Err(problem) => Err(problem.clone()),
    };
    workshop.close().await;
    done
}

/// Counts appends, and kills this process at the one that is asked for.
fn killer(moment: Option<(When, u64)>, appends: Arc<AtomicU64>) -> Witness {
    let (wanted, n) = moment.unwrap_or((When::Before, 0));
    Arc::new(move |moment| {
        let now = match moment {
            Moment::Before(_) => When::Before,
            Moment::After(_) => When::After,
        };
        let counts = now == wanted || (wanted == When::Told && now == When::Before);
        if counts && appends.fetch_add(1, Ordering::SeqCst) + 1 == n && wanted != When::Told {
            die();
        }
    })
}

/// Ends this process as a power switch would: nothing is flushed, closed or dropped.
fn die() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}
