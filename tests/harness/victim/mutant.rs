//! Mutants of the rules that the crash suites guard: with `VICTIM_MUTANT` the victim breaks one, and a suite that
//! notices nothing is worth nothing. They act through the engine's witness; nothing shipped knows of them.
//!
//! | mutant | the rule it breaks |
//! |---|---|
//! | `ack_before_commit` | nothing is acknowledged that is not committed |
//! | `effect_before_intent` | an effect begins after its intent is recorded |
//! | `outcome_without_effect` | an outcome is recorded only of what was done |

use atelier_engine::{Moment, Witness};
use atelier_protocol::event::{Effect, EffectOutcome, Event};
use atelier_protocol::hash::Hash;
use atelier_tests::job::say;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The killer, with the mutant that is asked for in front of it.
pub fn watched_by(killer: Witness, home: &Path, project: &Path) -> Option<Witness> {
    let Ok(name) = std::env::var("VICTIM_MUTANT") else { return Some(killer) };
    let mutant: Witness = match name.as_str() {
        "ack_before_commit" => ack_before_commit(),
        "effect_before_intent" => effect_before_intent(project.to_owned()),
        "outcome_without_effect" => outcome_without_effect(home.to_owned()),
        _ => return Some(killer),
    };
    Some(Arc::new(move |moment| {
        let again = match &moment {
            Moment::Before(events) => Moment::Before(events),
            Moment::After(events) => Moment::After(events),
        };
        mutant(moment);
        killer(again);
    }))
}

/// Tells of events that are only about to be appended, with the numbers that they will get.
fn ack_before_commit() -> Witness {
    // The first event is the owner's.
    let last = AtomicU64::new(1);
    Arc::new(move |moment| match moment {
        Moment::Before(events) => {
            for (seq, event) in (last.load(Ordering::SeqCst) + 1..).zip(events) {
                let text = serde_json::to_string(&event.event).unwrap_or_default();
                let payload = text.split_once("\"payload\":").map_or("", |(_, rest)| rest.trim_end_matches('\n'));
                let payload = payload.strip_suffix('}').unwrap_or(payload);
                say(format_args!("ack {seq} {}", Hash::of(payload.as_bytes())));
            }
        }
        Moment::After(events) => {
            if let Some(event) = events.last() {
                last.store(event.seq.0, Ordering::SeqCst);
            }
        }
    })
}

/// Brings the commits to the user's branch before it is recorded that this is intended.
fn effect_before_intent(project: PathBuf) -> Witness {
    Arc::new(move |moment| {
        let Moment::Before(events) = moment else { return };
        for event in events {
            if let Event::EffectIntended { effect: Effect::Accept { to, .. }, .. } = &event.event {
                let merge = ["merge", "--quiet", "--ff-only", to];
                let _ = Command::new("git").current_dir(&project).args(merge).status();
            }
        }
    })
}

/// Takes a written file away again once its outcome is recorded.
fn outcome_without_effect(home: PathBuf) -> Witness {
    let written: Mutex<Vec<(String, String)>> = Mutex::default();
    Arc::new(move |moment| {
        let Moment::After(events) = moment else { return };
        let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            match &event.event {
                Event::EffectIntended { key, effect: Effect::WriteFile { path, .. } } => {
                    written.push((key.clone(), path.clone()));
                }
                Event::EffectSettled { key, outcome: EffectOutcome::Landed } => {
                    let Some((_, path)) = written.iter().find(|(known, _)| known == key) else { continue };
                    let Some(run) = &event.run else { continue };
                    for project in std::fs::read_dir(home.join("data/trees")).into_iter().flatten().flatten() {
                        let _ = std::fs::remove_file(project.path().join(run.as_str()).join("tree").join(path));
                    }
                }
                _ => {}
            }
        }
    })
}
