//! A process that owns a store, works on a run, and is killed at a chosen moment.
//!
//! `victim HOME PROJECT SERVER [JOB] [before N | after N]`: the N-th append of the run's own events ends the process with
//! SIGKILL, just before or just after its commit. Without a moment it works to the end. `JOB` is what is done:
//! `accept` (the default) or `discard` a run, `resume-accept` or `resume-discard` what was cut off.
//! `VICTIM_MUTANT` breaks one rule that the crash suites guard, see `mutant`.

mod mutant;

use atelier_engine::{Moment, Sources, Witness, Workshop};
use atelier_protocol::error::Problem;
use atelier_protocol::settings::{ProviderKind, ProviderSettings};
use atelier_tests::job::{self, Ending, say};
use atelier_tests::world::options;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[tokio::main]
#[expect(clippy::expect_used, reason = "a harness fails loudly")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (home, project, server, job, moment) = match words.as_slice() {
        [home, project, server] => (home, project, server, "accept", None),
        [home, project, server, when @ ("before" | "after"), n] => (home, project, server, "accept", Some((*when, *n))),
        [home, project, server, job] => (home, project, server, *job, None),
        [home, project, server, job, when, n] => (home, project, server, *job, Some((*when, *n))),
        _ => {
            say("usage: victim HOME PROJECT SERVER [JOB] [before N | after N]");
            return ExitCode::from(2);
        }
    };
    let appends = Arc::new(AtomicU64::new(0));
    let n = moment.map_or(0, |(_, n)| n.parse().expect("a number"));
    let killer = killer(moment.is_none_or(|(when, _)| when == "before"), n, appends.clone());
    let server =
        ProviderSettings { id: "server".to_owned(), kind: ProviderKind::Ollama, base_url: (*server).to_owned() };
    let witness = mutant::watched_by(killer, &PathBuf::from(home), &PathBuf::from(project));
    let options = options(&PathBuf::from(home), server, Sources::of_the_machine(), witness);
    match work(options, &PathBuf::from(project), job).await {
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

async fn work(options: atelier_engine::WorkshopOptions, project: &std::path::Path, job: &str) -> Result<(), Problem> {
    let workshop = Workshop::open(options).await?;
    let opened = workshop.open_project(project).await;
    let done = match &opened {
        Ok(project) => {
            job::acknowledge(project);
            match job {
                "discard" => job::start(project, Ending::Discard).await,
                "resume-accept" => job::resume(project, Ending::Accept).await,
                "resume-discard" => job::resume(project, Ending::Discard).await,
                _ => job::start(project, Ending::Accept).await,
            }
        }
        Err(problem) => Err(problem.clone()),
    };
    workshop.close().await;
    done
}

/// Counts appends and kills this process at the `n`-th, as a power switch would: nothing is flushed, closed or dropped.
fn killer(before: bool, n: u64, appends: Arc<AtomicU64>) -> Witness {
    Arc::new(move |moment| {
        let counts = match moment {
            Moment::Before(_) => before,
            Moment::After(_) => !before,
        };
        if counts && appends.fetch_add(1, Ordering::SeqCst) + 1 == n {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    })
}
