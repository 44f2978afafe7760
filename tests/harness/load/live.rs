//! Many runs whose models speak at the same time, and a guest in another process that follows them: it must see every
//! event once and in order, and words of every run.

use crate::memory::resident_mib;
use crate::place::{self, Place, project_of, start};
use crate::waiting::{until, watch};
use atelier_protocol::Event;
use atelier_protocol::ids::{RunId, Seq};
use atelier_protocol::op::Frame;
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const FLOW: &str = "schema: 1
id: load
title: Think aloud
rounds: 1
steps:
  - {id: specify, kind: agent, role: business_analyst, title: Turn the goal into requirements, phase: planning}
";

/// A word every fifth of a second, for about six.
const SCRIPT: &str = "schema: 1
models:
  - {name: load:latest}
turns:
  - pace_ms: 200
    say:
      - text: I look at the goal first and say what I make of it, word by word, so that whoever follows the run can read along while it is being thought, as with a model that takes its time.
      - tool:
          name: submit_spec
          arguments: {title: Think aloud, requirements: [The goal is put into words]}
";

/// Runs that are started at the same time.
const DOORS: usize = 64;

/// `count` live runs.
pub async fn measure(folder: &Path, count: usize) -> Value {
    let place = Place::new(folder, Some(FLOW), Some(SCRIPT));
    let (workshop, project) = place.open(Some(count), None).await;
    let empty = resident_mib().0;
    let seen = watch(&project, Seq::ZERO);
    let mut guest = tokio::process::Command::new(std::env::current_exe().unwrap());
    let guest = guest.arg("follow").arg(&place.folder).arg(count.to_string()).stdout(Stdio::piped()).kill_on_drop(true);
    let guest = guest.spawn().unwrap();

    let begun = Instant::now();
    let starts = (0..count).map(|n| start(&project, format!("think aloud about matter {n}"), Vec::new()));
    let runs: Vec<_> = futures_util::stream::iter(starts).buffer_unordered(DOORS).collect().await;
    assert_eq!(runs.len(), count);
    let started = begun.elapsed();
    until("came to their end", &seen.done, count as u64, &seen).await;
    let ended = begun.elapsed();
    let peak = resident_mib().1;
    let told = tokio::time::timeout(Duration::from_secs(60), guest.wait_with_output()).await;
    let told = told.expect("the guest sees the last end").unwrap();
    let told: Value = serde_json::from_slice(&told.stdout).expect("the guest tells what it saw");
    assert_eq!(told["events"].as_u64(), Some(seen.last.load(Relaxed)), "the guest saw every event");
    assert_eq!(told["runs_ended"].as_u64(), Some(count as u64));
    workshop.close().await;
    json!({
        "baseline": {"memory_before_any_run_mib": empty},
        "figures": {
            "live_runs": count,
            "most_at_once": told["most_at_once"],
            "complete": seen.done.load(Relaxed),
            "peak_memory_mib": peak,
            "all_started_s": started.as_secs_f64(),
            "all_ended_s": ended.as_secs_f64(),
            "guest": told,
        },
    })
}

/// Follows a project as a guest until so many runs ended, and says what it saw.
pub async fn follow(folder: &Path, count: usize) -> Value {
    let workshop = place::open(folder, None, None).await;
    let project = workshop.open_project(&project_of(folder)).await.unwrap();
    assert!(!project.owns(), "somebody else owns the store");
    let mut frames = project.follow(Seq::ZERO);
    let (mut events, mut drafts, mut ended, mut most) = (0u64, 0u64, 0usize, 0usize);
    let (mut heard, mut speaking): (BTreeMap<RunId, u64>, BTreeSet<RunId>) = Default::default();
    while ended < count {
        match frames.recv().await.expect("the owner is there") {
            Frame::Event(event) => {
                assert_eq!(event.seq.0, events + 1, "each event once and in order");
                events = event.seq.0;
                match (&event.event, event.run) {
                    (Event::CallStarted { .. }, Some(run)) => drop(speaking.insert(run)),
                    (Event::CallFinished { .. }, Some(run)) => drop(speaking.remove(&run)),
                    (Event::RunFinished { .. }, _) => ended += 1,
                    _ => {}
                }
                most = most.max(speaking.len());
            }
            Frame::Draft(draft) => {
                drafts += 1;
                *heard.entry(draft.run).or_default() += draft.text.len() as u64;
            }
            Frame::Lost(problem) => panic!("the guest lost the owner: {problem}"),
            _ => {}
        }
    }
    let told = json!({
        "events": events,
        "runs_ended": ended,
        "drafts": drafts,
        "runs_heard_live": heard.len(),
        "bytes_heard_live": heard.values().sum::<u64>(),
        "most_at_once": most,
        "peak_memory_mib": resident_mib().1,
    });
    workshop.close().await;
    told
}
