//! The recording that the page's own tests and its browser version play: a real run, with what varies made steady.
//!
//! `ATELIER_RECORD=1 cargo test -p atelier-tests --test scenarios recording` writes it anew.

use atelier_protocol::event::{Answer, Envelope};
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::view::{Disposition, RunView};
use atelier_tests::World;
use atelier_tests::world::{fixtures, follow, goal, rests, start};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_recording_is_what_the_engine_really_does() {
    let world = World::with_tour().await;
    let (workshop, project) = world.open().await;
    let run = start(&project, goal(false)).await;
    let (view, _) = follow(&project, &run, rests).await;
    let approval = view.pending_approval().unwrap().id.clone();
    project.submit(Op::SettleApproval { approval, answer: Answer::Approve, note: String::new() }).await.unwrap();
    follow(&project, &run, |v| v.state.is_final()).await;
    let Ok(Reply::Diff(diff)) = project.submit(Op::ShowDiff { run: run.clone() }).await else { panic!("no diff") };
    project.submit(Op::AcceptRun { run: run.clone(), how: Default::default() }).await.unwrap();
    follow(&project, &run, |v| v.disposition != Disposition::Pending).await;

    let Ok(Reply::Events(events)) = project.submit(Op::ReadEvents { run: None, after: Seq::ZERO, limit: 10_000 }).await
    else {
        panic!("no events")
    };
    let Ok(Reply::Project(shown)) = project.submit(Op::ShowProject).await else { panic!("no project") };
    let Ok(Reply::Models(models)) = project.submit(Op::ListModels).await else { panic!("no models") };
    let Ok(Reply::Settings(settings)) = project.submit(Op::ShowSettings).await else { panic!("no settings") };
    workshop.close().await;

    let mut recording =
        json!({"project": shown, "events": events, "diff": diff, "settings": settings, "models": models});
    steady(&mut recording, &world);
    number_ids(&mut recording, &mut Vec::new());
    let events: Vec<Envelope> = serde_json::from_value(recording["events"].clone()).unwrap();
    let of_run = events.iter().filter(|e| e.run.as_ref() == Some(&run));
    recording["views"] = json!({run.to_string(): RunView::of(of_run).unwrap()});
    let text = serde_json::to_string_pretty(&recording).unwrap() + "\n";

    let path = fixtures().join("journal/main-job.json");
    if std::env::var_os("ATELIER_RECORD").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    if stored != text {
        let differs = stored.lines().zip(text.lines()).position(|(a, b)| a != b);
        panic!(
            "{} is stale from line {:?}; run `ATELIER_RECORD=1 cargo test -p atelier-tests --test scenarios recording`",
            path.display(),
            differs.map(|n| n + 1)
        );
    }
}

/// Ids of commits hold the name of whoever runs this; each becomes the number of its first mention.
fn number_ids(value: &mut Value, seen: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|field| number_ids(field, seen)),
        Value::Array(items) => items.iter_mut().for_each(|item| number_ids(item, seen)),
        Value::String(text) if text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            let at = seen.iter().position(|id| id == text).unwrap_or_else(|| {
                seen.push(text.clone());
                seen.len() - 1
            });
            *text = format!("{:040x}", at + 1);
        }
        _ => {}
    }
}

/// Durations, process ids, hashes over them, addresses and folders are not the same twice.
fn steady(value: &mut Value, world: &World) {
    const ZERO: &str = "blake3:0000000000000000000000000000000000000000000000000000000000000000";
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match name.as_str() {
                    "ms" | "total_ms" | "load_ms" | "first_ms" | "local_ms" if field.is_number() => *field = json!(40),
                    "pid" => *field = json!(4242),
                    "payload_hash" | "prev_hash" => *field = json!(ZERO),
                    "mechanism" => *field = json!("bubblewrap"),
                    "base_url" => *field = json!("http://127.0.0.1:11434"),
                    "version" if field.is_string() => *field = json!("0.0.0"),
                    _ => steady(field, world),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| steady(item, world)),
        Value::String(text) => {
            *text = text.replace(&*world.folder.path().to_string_lossy(), "/projects");
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
