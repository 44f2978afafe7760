//! Many runs that are open at the same time: each is started, waits for its turn, asks a model, asks the user and waits;
//! when all of them wait they are answered, and all come to their end. None has a tree: nothing is written.

use crate::memory::resident_mib;
use crate::place::{Place, start};
use atelier_engine::Project;
use atelier_protocol::Event;
use atelier_protocol::event::{Answer, Outcome};
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Frame, Op, Reply};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const FLOW: &str = "schema: 1
id: load
title: Think it over
rounds: 1
steps:
  - {id: specify, kind: agent, role: business_analyst, title: Turn the goal into requirements, phase: planning}
  - {id: agree, kind: ask, title: Ask whether that is meant, question: Is this what is meant?, default: It is.}
";

const SCRIPT: &str = "schema: 1
models:
  - {name: load:latest}
turns:
  - say:
      - tool:
          name: submit_spec
          arguments: {title: Think it over, requirements: [The goal is put into words, Nothing is changed]}
";

/// Ops that are asked at the same time, as by as many doors.
const DOORS: usize = 16;
/// Longer than anything takes without coming further; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(120);
/// Events whose payload is measured.
const SAMPLE: u32 = 10_000;

/// What was seen happen.
#[derive(Default)]
pub struct Seen {
    pub events: AtomicU64,
    pub asked: AtomicU64,
    pub done: AtomicU64,
    pub ended_otherwise: AtomicU64,
    pub last: AtomicU64,
}

/// Counts what happens in a project from now on.
pub fn watch(project: &Project, after: Seq) -> Arc<Seen> {
    let (seen, mut frames) = (Arc::new(Seen::default()), project.follow(after));
    let counts = seen.clone();
    tokio::spawn(async move {
        while let Some(frame) = frames.recv().await {
            let Frame::Event(event) = frame else { continue };
            counts.events.fetch_add(1, Relaxed);
            counts.last.store(event.seq.0, Relaxed);
            match &event.event {
                Event::ApprovalRequested { .. } => counts.asked.fetch_add(1, Relaxed),
                Event::RunFinished { outcome: Outcome::Done } => counts.done.fetch_add(1, Relaxed),
                Event::RunFinished { .. } | Event::RunParked { .. } => counts.ended_otherwise.fetch_add(1, Relaxed),
                _ => 0,
            };
        }
    });
    seen
}

/// Waits until a count is there.
pub async fn until(what: &str, count: &AtomicU64, wanted: u64, seen: &Seen) {
    let (mut last, mut moved, mut told) = (0, Instant::now(), Instant::now());
    loop {
        let now = count.load(Relaxed);
        assert_eq!(seen.ended_otherwise.load(Relaxed), 0, "a run did not come to a good end ({what}: {now})");
        if now >= wanted {
            return;
        }
        if now != last {
            (last, moved) = (now, Instant::now());
        }
        assert!(moved.elapsed() < PATIENCE, "{what}: it stays at {now} of {wanted}");
        if told.elapsed() > Duration::from_secs(5) {
            told = Instant::now();
            eprintln!("{what}: {now} of {wanted}, {:.0} MiB", resident_mib().0);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// `count` runs that are open at the same time.
pub async fn measure(folder: &Path, count: usize) -> Value {
    let place = Place::new(folder, Some(FLOW), Some(SCRIPT));
    let (workshop, project) = place.open(None, None).await;
    let empty = resident_mib().0;
    let seen = watch(&project, Seq::ZERO);
    let wanted = count as u64;

    let begun = Instant::now();
    let starts = (0..count).map(|n| start(&project, format!("think over matter {n}"), Vec::new()));
    let runs: Vec<_> = futures_util::stream::iter(starts).buffer_unordered(DOORS).collect().await;
    assert_eq!(runs.len(), count);
    let started = begun.elapsed();
    until("came to their question", &seen.asked, wanted, &seen).await;
    let asked = begun.elapsed();
    let waiting = resident_mib().0;

    let begun = Instant::now();
    let Ok(Reply::Approvals(open)) = project.submit(Op::ListApprovals).await else { panic!("no questions") };
    assert_eq!(open.len(), count);
    let listed = begun.elapsed();
    let begun = Instant::now();
    let answers = open.into_iter().map(|question| {
        let note = "Yes.".to_owned();
        project.submit(Op::SettleApproval { approval: question.id, answer: Answer::Approve, note })
    });
    let answered: Vec<_> = futures_util::stream::iter(answers).buffer_unordered(DOORS).collect().await;
    answered.into_iter().for_each(|answer| drop(answer.unwrap()));
    until("came to their end", &seen.done, wanted, &seen).await;
    let ended = begun.elapsed();
    let events = seen.last.load(Relaxed);

    let Ok(Reply::Events(sample)) = project.submit(Op::ReadEvents { run: None, after: Seq::ZERO, limit: SAMPLE }).await
    else {
        panic!("no events")
    };
    let size = |event: &Event| serde_json::to_value(event).unwrap()["payload"].to_string().len() as u64;
    let payload = sample.iter().map(|event| size(&event.event)).sum::<u64>() as f64 / sample.len() as f64;
    workshop.close().await;
    let peak = resident_mib().1;

    let begun = Instant::now();
    let (workshop, _) = place.open(None, None).await;
    let opened = begun.elapsed();
    workshop.close().await;
    let per_event = |beginning: &str| place.stored(beginning) as f64 / events as f64;
    json!({
        "baseline": {"memory_before_any_run_mib": empty},
        "figures": {
            "open_runs": count,
            "complete": seen.done.load(Relaxed),
            "events": events,
            "peak_memory_mib": peak,
            "memory_while_all_wait_mib": waiting,
            "started_per_s": count as f64 / started.as_secs_f64(),
            "came_to_their_question_per_s": count as f64 / asked.as_secs_f64(),
            "list_of_questions_ms": listed.as_secs_f64() * 1e3,
            "answered_and_ended_per_s": count as f64 / ended.as_secs_f64(),
            "open_again_ms": opened.as_secs_f64() * 1e3,
            "payload_bytes_per_event": payload,
            "stored_bytes_per_event": per_event("journal"),
            "read_models_bytes_per_event": per_event("projections"),
        },
    })
}
