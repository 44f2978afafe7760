//! What the engine adds to a step that needs no model: questions that a grant answers, commands, a process that stays.
//!
//! A step is measured from the end of the one before to its own end, as its run's appends tell it, and beside it what
//! of that was waiting for appends (a question is on the disk before it is answered: one shared sync) and, for a
//! command, the command itself. A bare fsync is measured in the same run.

use crate::place::{Place, start};
use crate::spread;
use crate::waiting::{until, watch};
use atelier_engine::{Moment, Witness};
use atelier_protocol::Event;
use atelier_protocol::event::{AskKind, Effect};
use atelier_protocol::ids::Seq;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const FSYNC: Duration = Duration::from_secs(2);

/// What a step of a kind took.
#[derive(Default)]
struct Took {
    whole: Vec<Duration>,
    appending: Vec<Duration>,
    command: Vec<Duration>,
    rest: Vec<Duration>,
}

/// What is known between two moments.
#[derive(Default)]
struct Clockwork {
    step_began: Option<Instant>,
    append_began: Option<Instant>,
    command_began: Option<Instant>,
    appending: Duration,
    command: Duration,
    took: BTreeMap<String, Took>,
}

impl Clockwork {
    fn see(&mut self, moment: &Moment<'_>) {
        let now = Instant::now();
        match moment {
            Moment::Before(_) => {
                self.append_began = Some(now);
                if let Some(began) = self.command_began.take() {
                    self.command += now - began;
                }
            }
            Moment::After(events) => {
                self.appending += self.append_began.take().map_or(Duration::ZERO, |began| now - began);
                for event in *events {
                    match &event.event {
                        Event::EffectIntended {
                            effect: Effect::RunCommand { .. } | Effect::StartProcess { .. },
                            ..
                        } => self.command_began = Some(now),
                        Event::StepFinished { .. } => {
                            let kind = event.step.as_ref().map_or("", |step| step.name());
                            let kind = kind.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
                            self.end(kind, now);
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    fn end(&mut self, kind: String, now: Instant) {
        if let Some(began) = self.step_began {
            let took = self.took.entry(kind).or_default();
            let whole = now - began;
            took.whole.push(whole);
            took.appending.push(self.appending);
            took.command.push(self.command);
            took.rest.push(whole.saturating_sub(self.appending + self.command));
        }
        self.step_began = Some(now);
        (self.appending, self.command) = (Duration::ZERO, Duration::ZERO);
    }
}

/// A flow of `count` questions and a tenth as many commands and processes.
fn flow(count: usize) -> String {
    let mut text = "schema: 1\nid: load\ntitle: Many steps\nrounds: 1\nsteps:\n".to_owned();
    for n in 0..count {
        text += &format!("  - {{id: ask{n}, kind: ask, title: Ask, question: 'Which, {n}?', default: this}}\n");
    }
    for n in 0..count.div_ceil(10) {
        text += &format!("  - {{id: script{n}, kind: script, title: Nothing, argv: ['true']}}\n");
    }
    for n in 0..count.div_ceil(10) {
        text += &format!(
            "  - {{id: service{n}, kind: service, title: Stay, argv: [sh, -c, 'echo up; sleep 600'], ready: up}}\n"
        );
    }
    text
}

/// One run of so many steps.
pub async fn measure(folder: &Path, count: usize) -> Value {
    let place = Place::new(folder, Some(&flow(count)), None);
    let clockwork = Arc::new(Mutex::new(Clockwork::default()));
    let seen_by = clockwork.clone();
    let witness: Witness = Arc::new(move |moment| seen_by.lock().unwrap().see(&moment));
    let (workshop, project) = place.open(None, Some(witness)).await;
    let before = spread::of(spread::fsync(&place.folder, Duration::ZERO, FSYNC));
    let seen = watch(&project, Seq::ZERO);
    start(
        &project,
        "do nothing, often".to_owned(),
        vec![AskKind::ProjectCommands, AskKind::Question, AskKind::Command],
    )
    .await;
    until("came to its end", &seen.done, 1, &seen).await;
    let after = spread::of(spread::fsync(&place.folder, Duration::ZERO, FSYNC));
    workshop.close().await;
    let took = std::mem::take(&mut clockwork.lock().unwrap().took);
    let mut figures = Map::new();
    for (kind, took) in took {
        let mut told = json!({
            "step": spread::of(took.whole),
            "of_it_appends": spread::of(took.appending),
            "without_appends_and_command": spread::of(took.rest),
        });
        if took.command.iter().any(|command| !command.is_zero()) {
            told["of_it_the_command"] = spread::of(took.command);
        }
        figures.insert(kind, told);
    }
    json!({"baseline": {"fsync_before": before, "fsync_after": after}, "figures": figures})
}
