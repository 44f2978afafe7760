//! An owner is killed with SIGKILL while it appends; a guest notices, takes over, and nothing acknowledged is lost.
//!
//! Mutants that turn it red (`writer`): a group that is acknowledged before its commit, or without it; an owner that does
//! not raise the epoch.

use crate::bench::*;
use atelier_journal::Chain;
use atelier_protocol::{Code, Event, Op, Seq};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

const ROOT: &str = "ATELIER_JOURNAL_TEST_ROOT";

/// The owner process: this test binary again. It prints `ready`, then a line for each event it was told is committed.
#[test]
#[ignore = "run as a process of its own by the test below"]
fn owner_process() {
    let root = std::env::var_os(ROOT).expect("started without a store");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let bench = Bench::at(Path::new(&root));
        let mut owned = bench.owner().await;
        owned.serve(Arc::new(Clerk(owned.journal.clone()))).unwrap();
        println!("\nready");
        let appenders = (1..=4u8).map(|number| {
            let journal = owned.journal.clone();
            tokio::spawn(async move {
                for count in 0.. {
                    let size = if count % 10 == 9 { 17_000 } else { 100 };
                    let events = vec![notice_of(&run(number), &"x".repeat(size)), notice_of(&run(number), "y")];
                    let receipt = journal.append(events).await.unwrap();
                    let mut out = std::io::stdout().lock();
                    for event in receipt.events {
                        writeln!(out, "ack {} {}", event.seq, event.payload_hash).unwrap();
                    }
                }
            })
        });
        futures_util::future::join_all(appenders).await;
    });
}

fn spawn_owner(bench: &Bench) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["takeover::owner_process", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(ROOT, bench.root())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_takes_over_from_a_killed_owner_and_finds_every_acknowledged_event() {
    let bench = Bench::new();
    let mut child = spawn_owner(&bench);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let acknowledged = |line: &str| -> Option<(u64, String)> {
        let (seq, hash) = line.strip_prefix("ack ")?.split_once(' ')?;
        Some((seq.parse().ok()?, hash.to_owned()))
    };
    assert!(lines.any(|line| line.unwrap() == "ready"), "the owner did not come up");

    let guest = bench.guest().await;
    assert_eq!(guest.epoch(), 1);
    let mut subscription = guest.subscribe(Seq::ZERO);
    let in_flight = tokio::spawn({
        let guest = guest.clone();
        async move { guest.submit(Op::RefreshIndex).await }
    });
    // The owner performs it while it appends, so the connection stands and the request before it was read.
    guest.submit(Op::CancelRun { run: run(9) }).await.unwrap();

    let mut acks: BTreeMap<u64, String> = BTreeMap::new();
    while acks.len() < 200 {
        acks.extend(acknowledged(&lines.next().unwrap().unwrap()));
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success());
    // What it had printed before it died counts too; a line that was cut off does not.
    acks.extend(lines.map_while(Result::ok).filter_map(|line| acknowledged(&line)));

    guest.closed().await;
    assert_eq!(in_flight.await.unwrap().unwrap_err().code, Code::OwnerLost);
    let seen = rest(&mut subscription).await;
    assert!(seqs(&seen).into_iter().eq(1..=seqs(&seen).len() as u64), "a gap or a repeat");
    assert_eq!(story(&seen).last().unwrap(), "lost owner_lost");

    let owned = bench.owner().await;
    assert_eq!(owned.journal.epoch(), 2);
    let stored = owned.journal.read(None, Seq::ZERO, usize::MAX).await.unwrap();
    let hashes: BTreeMap<u64, String> =
        stored.iter().map(|event| (event.seq.0, event.payload_hash.to_string())).collect();
    for (seq, hash) in &acks {
        assert_eq!(hashes.get(seq), Some(hash), "event {seq} was acknowledged");
    }
    assert!(seqs(&seen).iter().all(|seq| hashes.contains_key(seq)), "a guest saw an event that is not there");
    let last = stored.last().unwrap();
    assert!(matches!(last.event, Event::OwnerChanged { epoch: 2, pid, .. } if pid == std::process::id()));
    // Two events an append: none of them is there by half.
    for number in 1..=4 {
        assert_eq!(owned.journal.version(&run(number)).await.unwrap() % 2, 0);
    }
    let chain = owned.journal.verify().await.unwrap();
    assert!(matches!(chain, Chain::Sound { events, .. } if events == stored.len() as u64), "{chain:?}");
}

#[tokio::test]
async fn a_chain_of_owners_each_killed_leaves_one_sound_history() {
    let bench = Bench::new();
    for epoch in 1..=3 {
        let mut child = spawn_owner(&bench);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().starts_with("ack ")), "owner {epoch} did not come up");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let owned = bench.owner().await;
    assert_eq!(owned.journal.epoch(), 4);
    assert!(matches!(owned.journal.verify().await.unwrap(), Chain::Sound { .. }));
}
