//! A process that owns a store, forks a run, and is killed at a chosen moment of that.
//!
//! `forker HOME PROJECT SERVER RUN AT before|after N`: the N-th append from the fork on ends the process with SIGKILL,
//! just before or just after its commit.

use atelier_engine::{Moment, Sources, Witness, Workshop};
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::{ProviderKind, ProviderSettings};
use atelier_tests::world::{follow, options, rests};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[tokio::main]
#[expect(clippy::expect_used, clippy::panic, reason = "a harness fails loudly")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [home, project, server, run, at, when, n] = arguments.as_slice() else {
        panic!("usage: forker HOME PROJECT SERVER RUN AT before|after N")
    };
    let armed = Arc::new(AtomicBool::new(false));
    let witness = killer(armed.clone(), when == "before", n.parse().expect("a number"));
    let server = ProviderSettings { id: "server".to_owned(), kind: ProviderKind::Ollama, base_url: server.clone() };
    let options = options(&PathBuf::from(home), server, Sources::of_the_machine(), Some(witness));
    let workshop = Workshop::open(options).await.expect("the workshop opens");
    let project = workshop.open_project(&PathBuf::from(project)).await.expect("the project opens");
    armed.store(true, Ordering::SeqCst);
    let fork = Op::ForkRun { run: run.parse().expect("a run"), at: Some(Seq(at.parse().expect("an event"))) };
    let Reply::Run(fork) = project.submit(fork).await.expect("the run is forked") else { return };
    follow(&project, &fork, rests).await;
    workshop.close().await;
}

fn killer(armed: Arc<AtomicBool>, before: bool, n: u64) -> Witness {
    let appends = AtomicU64::new(0);
    Arc::new(move |moment| {
        let counts = armed.load(Ordering::SeqCst) && matches!(moment, Moment::Before(_)) == before;
        if counts && appends.fetch_add(1, Ordering::SeqCst) + 1 == n {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    })
}
