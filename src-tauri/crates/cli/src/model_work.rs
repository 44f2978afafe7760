//! `atelier models pull|probe|work`: long work on models, followed to its end.
//!
//! Ctrl-C leaves a pull where it is; the same command takes it up again.

use crate::args::Args;
use crate::out::{End, Finished, Out, unexpected};
use crate::session;
use atelier_engine::Workshop;
use atelier_protocol::error::Problem;
use atelier_protocol::event::{ModelCard, ModelTask, ModelWork, ModelWorkState, Score};
use atelier_protocol::op::{Op, Reply};
use serde_json::json;
use std::time::Duration;

/// How often the work is looked at.
const LOOKS: Duration = Duration::from_millis(250);

/// Fetches a model.
pub async fn pull(args: &Args, model: &str, server: Option<&str>, out: &Out) -> End {
    let workshop = session::workshop(args).await?;
    let op = Op::PullModel { provider: server.map(str::to_owned), model: model.to_owned() };
    let ended = to_the_end(&workshop, op, ModelTask::Pull, out).await;
    workshop.close().await;
    let work = ended?;
    out.say(format!("`{}` is here; measure it with `atelier models probe {}`", work.model, work.model));
    Ok(Finished::done(json!({"work": work})))
}

/// Measures a model.
pub async fn probe(args: &Args, model: &str, server: Option<&str>, context: Option<u32>, out: &Out) -> End {
    let workshop = session::workshop(args).await?;
    let op = Op::ProbeModel { provider: server.map(str::to_owned), model: model.to_owned(), context };
    let ended = to_the_end(&workshop, op, ModelTask::Probe, out).await;
    let views = workshop.models().await;
    workshop.close().await;
    let work = ended?;
    let of_server = views.iter().filter(|view| view.id == work.provider).flat_map(|view| &view.models);
    let card = of_server.filter(|have| have.name == work.model).find_map(|have| have.card.clone());
    let card = card.ok_or_else(unexpected)?;
    tell(&card, out);
    Ok(Finished::done(json!({"card": card})))
}

/// What is at work, and pulls that were left.
pub async fn list(args: &Args, out: &Out) -> End {
    let workshop = session::workshop(args).await?;
    let reply = workshop.submit(Op::ListModelWork).await;
    workshop.close().await;
    let Reply::ModelWork(works) = reply? else { return Err(unexpected()) };
    for work in &works {
        out.say(format!(
            "{}/{}: left by an earlier process; take it up with `atelier models pull {} --on {}`",
            work.provider, work.model, work.model, work.provider
        ));
    }
    if works.is_empty() {
        out.say("no model is being fetched");
    }
    Ok(Finished::done(json!({"work": works})))
}

/// Begins the work and tells how it goes until it is over.
async fn to_the_end(workshop: &Workshop, op: Op, task: ModelTask, out: &Out) -> Result<ModelWork, Problem> {
    let Reply::ModelWork(works) = workshop.submit(op).await? else { return Err(unexpected()) };
    let begun = works.into_iter().rev().find(|work| work.task == task && work.state == ModelWorkState::Running);
    let mut last = begun.ok_or_else(unexpected)?;
    loop {
        let Reply::ModelWork(works) = workshop.submit(Op::ListModelWork).await? else { return Err(unexpected()) };
        let now = works.into_iter().find(|work| work.id == last.id).ok_or_else(unexpected)?;
        if now != last {
            out.line("progress", &now);
            if let Some(line) = line(&last, &now) {
                out.say(line);
            }
        }
        last = now;
        match &last.state {
            ModelWorkState::Running => tokio::time::sleep(LOOKS).await,
            ModelWorkState::Failed { problem } => return Err(problem.clone()),
            ModelWorkState::Done | ModelWorkState::Stopped | ModelWorkState::Interrupted => return Ok(last),
        }
    }
}

/// What is worth a line: another act, or another twentieth of a pull.
fn line(last: &ModelWork, now: &ModelWork) -> Option<String> {
    let twentieth = |work: &ModelWork| (work.done * 20).checked_div(work.of).unwrap_or(0);
    match now.task {
        ModelTask::Probe => (last.what != now.what).then(|| format!("{:>3} of {}  {}", now.done, now.of, now.what)),
        ModelTask::Pull if last.what != now.what || twentieth(last) != twentieth(now) => Some(match now.of {
            0 => now.what.clone(),
            of => {
                format!("{:>3} %  {} of {} MB  {}", now.done * 100 / of, now.done / 1_000_000, of / 1_000_000, now.what)
            }
        }),
        ModelTask::Pull => None,
    }
}

/// A card as a person reads it.
pub fn tell(card: &ModelCard, out: &Out) {
    let share = |score: Score| format!("{} of {}", score.right, score.of);
    let known = |number: Option<u32>, unit: &str| number.map_or("not known".to_owned(), |n| format!("{n} {unit}"));
    out.say(format!("{}/{}", card.provider, card.model));
    out.say(format!(
        "  tool calls    well-formed {}, the right tool {}",
        share(card.well_formed),
        share(card.right_tool)
    ));
    out.say(format!("                uses the result {}, stops {}", share(card.uses_result), share(card.stops)));
    let edits: Vec<String> = card.edits.iter().map(|(format, score)| format!("{format} {}", share(*score))).collect();
    out.say(format!("  edits         {}", edits.join(", ")));
    out.say(format!(
        "  context       knows both ends of a prompt of {} (loaded with {})",
        known(card.context, "tokens"),
        known(card.measured_context, "tokens")
    ));
    out.say(format!(
        "  speed         reads {}, writes {}",
        known(card.prompt_speed, "tokens/s"),
        known(card.speed, "tokens/s")
    ));
    let memory = card.memory.map_or("not known".to_owned(), |bytes| format!("{} MiB", bytes / (1024 * 1024)));
    out.say(format!("  memory        {memory}"));
}
