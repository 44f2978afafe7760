//! A process that owns a store, works on a run, and is killed at a chosen moment.
//!
//! `victim HOME PROJECT SERVER (start | hold) [before N | after N]`: the N-th append of the run's own events ends the
//! process with SIGKILL, just before or just after its commit. Without a moment it works to the end. `VICTIM_FLOW` names
//! another flow than the usual one, whose commands are allowed.

use atelier_engine::{Moment, Sources, Witness, Workshop};
use atelier_protocol::event::AskKind;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::{ProviderKind, ProviderSettings};
use atelier_tests::world::{follow, goal, options, rests};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[tokio::main]
#[expect(clippy::expect_used, clippy::print_stdout, reason = "a harness fails loudly and talks to its parent")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [home, project, server, rest @ ..] = arguments.as_slice() else {
        println!("usage: victim HOME PROJECT SERVER [before N | after N]");
        std::process::exit(2);
    };
    let witness = match rest {
        [when, n] => Some(killer(when == "before", n.parse().expect("a number"))),
        _ => None,
    };
    let server = ProviderSettings { id: "server".to_owned(), kind: ProviderKind::Ollama, base_url: server.clone() };
    let options = options(&PathBuf::from(home), server, Sources::of_the_machine(), witness);
    let workshop = Workshop::open(options).await.expect("the workshop opens");
    let project = workshop.open_project(&PathBuf::from(project)).await.expect("the project opens");
    let mut op = goal(true);
    if let (Ok(named), Op::StartRun { flow, approve, .. }) = (std::env::var("VICTIM_FLOW"), &mut op) {
        *flow = Some(named);
        approve.push(AskKind::Command);
    }
    let Reply::Run(run) = project.submit(op).await.expect("the run starts") else { return };
    println!("run {run}");
    let (view, _) = follow(&project, &run, rests).await;
    if let Ok(Reply::Accepted { commit, .. }) = project.submit(Op::AcceptRun { run }).await {
        println!("accepted {commit}");
    }
    println!("end {:?}", view.state);
    workshop.close().await;
}

/// Kills this process at the `n`-th append, as a power switch would: nothing is flushed, closed or dropped.
fn killer(before: bool, n: u64) -> Witness {
    let appends = AtomicU64::new(0);
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
