//! One clock and one seed: the same seed gives the same run, to the byte; another seed gives other ids.
//!
//! Every time and id in a run's events comes from `Sources`. What does not is the process id of the store's owner, which
//! belongs to no run; through the chain it is in every envelope's `prev_hash`, so payloads are compared.

use atelier_engine::Workshop;
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Op, Reply};
use atelier_tests::world::{follow, goal, rests, start};
use atelier_tests::{World, steady, toll};
use std::path::Path;

/// Everything that is recorded of the job, as text.
async fn job(world: &World, prepared: &Path, seed: u64) -> Vec<String> {
    for folder in [world.home(), world.project()] {
        let _ = std::fs::remove_dir_all(folder);
    }
    toll::copy(prepared, &world.project());
    let workshop = Workshop::open(world.options(steady::sources(seed))).await.unwrap();
    let project = workshop.open_project(&world.project()).await.unwrap();
    let run = start(&project, goal(true)).await;
    follow(&project, &run, rests).await;
    project.submit(Op::AcceptRun { run: run.clone(), how: Default::default() }).await.unwrap();
    let all = Op::ReadEvents { run: Some(run), after: Seq::ZERO, limit: 10_000 };
    let Ok(Reply::Events(events)) = project.submit(all).await else { panic!("no events") };
    workshop.close().await;
    events
        .iter()
        .map(|event| {
            let step = event.step.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{} {} {step} {}", event.seq, event.at_ms, serde_json::to_string(&event.event).unwrap())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_gives_the_same_events_to_the_byte() {
    let world = World::with_script("short.yaml").await;
    let (workshop, _) = world.open().await;
    workshop.close().await;
    let prepared = world.folder.path().join("prepared");
    toll::copy(&world.project(), &prepared);
    let first = job(&world, &prepared, 42).await;
    assert!(first.len() > 30, "{first:#?}");
    for _ in 0..2 {
        let again = job(&world, &prepared, 42).await;
        let differs = first.iter().zip(&again).find(|(one, other)| one != other);
        assert_eq!((first.len(), differs), (again.len(), None));
    }
    assert_ne!(first, job(&world, &prepared, 43).await, "another seed, other ids");
}
