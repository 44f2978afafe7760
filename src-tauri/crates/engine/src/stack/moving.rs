//! One run's move to what the run below it is now: looked at, planned, intended, performed, settled by asking the references.
//!
//! The base of a run that stands on another is that one's last checkpoint, its published commits, or the commit by which it is
//! on the user's branch. What does not fit is told by name and leaves both runs as they are. Who moves, and when, is not
//! decided here.

use super::undoes;
use crate::accept::{append, indeterminate};
use crate::desk::Desk;
use crate::machine::Machine;
use crate::run::{Done, Halt, Run, machine_of};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Effect, EffectOutcome, Event, HeldBase, Rebase, Resolution};
use atelier_protocol::ids::RunId;
use atelier_protocol::view::{Disposition, RunView};
use atelier_repo::{RunTree, Settled};
use std::collections::BTreeSet;

/// The effect's key: a run is put on one base at a time.
fn key(rebase: &Rebase) -> String {
    format!("rebase:{}", rebase.to)
}

/// What a run is now, for one that stands on it.
pub(super) struct Below {
    pub commit: String,
    /// Paths that are others there than in the user's folder.
    pub paths: Vec<String>,
}

/// What is to be done for a run whose base may have moved; nothing, where both are empty.
#[derive(Default)]
pub(super) struct Move {
    /// What is to be recorded now: the effect's intent is the last of it, where there is one.
    pub told: Vec<Event>,
    /// The effect.
    pub rebase: Option<Box<Rebase>>,
}

impl Move {
    fn only_told(event: Event) -> Self {
        Self { told: vec![event], rebase: None }
    }
}

/// The run, after a move that was left open is finished.
pub(crate) async fn settled(desk: &Desk, mut machine: Machine) -> Result<Machine, Problem> {
    let open = machine.effects.values().filter(|tried| tried.outcome.is_none()).find_map(|tried| match &tried.effect {
        Effect::Rebase { rebase } => Some(rebase.clone()),
        _ => None,
    });
    let Some(rebase) = open else { return Ok(machine) };
    let asked = planned(desk, &machine.view.id, &rebase);
    let events = match desk.with_repo(move |repo| Ok(repo.settle_rebase(&asked))).await? {
        Settled::Landed => landed(rebase),
        // Only our own places are concerned, so what began is finished.
        Settled::NotLanded => performed(desk, &machine.view.id, rebase).await,
        Settled::Unknown(found) => return Err(indeterminate("move to another base", &found)),
    };
    append(desk, &mut machine, events).await?;
    Ok(machine)
}

/// Does a move that is intended, and tells what became of it.
pub(super) async fn performed(desk: &Desk, run: &RunId, rebase: Box<Rebase>) -> Vec<Event> {
    match perform(desk, planned(desk, run, &rebase)).await {
        Ok(()) => landed(rebase),
        Err(problem) => not_landed(&rebase, problem),
    }
}

/// What the run stands on now and should, and what follows from that.
pub(super) async fn next(desk: &Desk, machine: &Machine, resolved: &[Resolution]) -> Result<Move, Problem> {
    let view = &machine.view;
    let Some(on) = &view.on else { return Ok(Move::default()) };
    let below = what_is(&machine_of(desk, &on.run).await?.view);
    let bare = |from: &str| Rebase {
        from: from.to_owned(),
        to: below.commit.clone(),
        paths: below.paths.clone(),
        checkpoint: None,
        was: None,
        commits: Vec::new(),
    };
    if view.base.commit == below.commit {
        // It went back to where this one stands.
        let back = on.held.is_some() || on.paths != below.paths;
        let rebase = Box::new(bare(&view.base.commit));
        return Ok(if back { Move::only_told(Event::RunRebased { rebase }) } else { Move::default() });
    }
    if !machine.tree_made {
        return Ok(Move::only_told(Event::RunRebased { rebase: Box::new(bare(&view.base.commit)) }));
    }
    if resolved.is_empty() && on.held.as_ref().is_some_and(|held| held.to == below.commit && is_conflict(held)) {
        return Ok(Move::default()); // it is told already
    }
    let (dir, lender) = (desk.places.tree(&desk.project, &view.id), desk.places.tree(&desk.project, &on.run));
    let (to, resolved, at_ms) = (below.commit.clone(), resolved.to_vec(), view.started_at_ms);
    let handed = if view.branch.is_some() { view.commits.clone() } else { Vec::new() };
    let planned = desk.with_repo(move |repo| {
        repo.lend(&lender, &to).map_err(|e| e.problem())?;
        let tree = RunTree::open(&dir).map_err(|e| e.problem())?;
        repo.plan_rebase(&tree, &to, &resolved, &handed, at_ms).map_err(|e| e.problem())
    });
    match planned.await {
        Ok(planned) => {
            let before = (view.checkpoint.as_ref() != Some(&planned.present))
                .then_some(Event::CheckpointMade { checkpoint: planned.present });
            let rebase = Rebase {
                checkpoint: Some(planned.checkpoint),
                was: planned.rebase.branch.map(|(was, _)| was),
                commits: planned.commits,
                ..bare(&planned.rebase.from)
            };
            let told = before.into_iter().chain([intended(&rebase)]).collect();
            Ok(Move { told, rebase: Some(Box::new(rebase)) })
        }
        Err(problem) if matches!(problem.code, Code::OwnerLost | Code::Cancelled | Code::DiskFull) => Err(problem),
        Err(problem) => {
            let held = HeldBase { to: below.commit, problem };
            let told = on.held.as_ref() == Some(&held);
            Ok(if told { Move::default() } else { Move::only_told(Event::RebaseHeld { held: Box::new(held) }) })
        }
    }
}

/// A conflict stays one while neither side moves; anything else may have been mended meanwhile.
fn is_conflict(held: &HeldBase) -> bool {
    held.problem.code == Code::AcceptConflict
}

pub(super) fn what_is(view: &RunView) -> Below {
    let under = || view.on.iter().flat_map(|on| on.paths.clone());
    match (&view.disposition, &view.branch, view.commits.last(), &view.checkpoint) {
        (Disposition::Accepted { commit }, ..) => Below { commit: commit.clone(), paths: Vec::new() },
        (Disposition::Discarded, ..) | (_, _, _, None) => {
            Below { commit: view.base.commit.clone(), paths: under().collect() }
        }
        (Disposition::Pending, branch, tip, Some(point)) => {
            let published = branch.as_ref().and(tip).map(|tip| &tip.id);
            let own = point.files.iter().flat_map(|file| file.old_path.iter().chain([&file.path]).cloned());
            let paths: BTreeSet<String> = under().chain(own).collect();
            Below { commit: published.unwrap_or(&point.commit).clone(), paths: paths.into_iter().collect() }
        }
    }
}

fn planned(desk: &Desk, run: &RunId, rebase: &Rebase) -> atelier_repo::Rebase {
    let tip = rebase.commits.last().map(|last| last.id.clone());
    atelier_repo::Rebase {
        run: run.clone(),
        dir: desk.places.tree(&desk.project, run),
        from: rebase.from.clone(),
        to: rebase.to.clone(),
        commit: rebase.checkpoint.as_ref().map(|point| point.commit.clone()).unwrap_or_default(),
        branch: rebase.was.clone().zip(tip),
    }
}

async fn perform(desk: &Desk, plan: atelier_repo::Rebase) -> Result<(), Problem> {
    desk.with_repo(move |repo| repo.perform_rebase(&plan).map_err(|e| e.problem())).await
}

fn intended(rebase: &Rebase) -> Event {
    Event::EffectIntended { key: key(rebase), effect: Effect::Rebase { rebase: Box::new(rebase.clone()) } }
}

fn landed(rebase: Box<Rebase>) -> Vec<Event> {
    let settled = Event::EffectSettled { key: key(&rebase), outcome: EffectOutcome::Landed };
    vec![settled, Event::RunRebased { rebase }]
}

fn not_landed(rebase: &Rebase, problem: Problem) -> Vec<Event> {
    let outcome = EffectOutcome::NotLanded { problem: Some(problem.clone()) };
    let held = HeldBase { to: rebase.to.clone(), problem };
    vec![Event::EffectSettled { key: key(rebase), outcome }, Event::RebaseHeld { held: Box::new(held) }]
}

impl Run {
    /// Between two steps: stands on what the run below is now. What does not fit is told; the work goes on where it is.
    pub(crate) async fn follow_base(&mut self) -> Done {
        if self.machine.view.on.is_none() || self.machine.view.parent.is_some() || undoes(&self.machine) {
            return Ok(());
        }
        let desk = self.desk.clone();
        let _alone = desk.deciding.lock().await;
        self.catch_up().await?;
        let Move { mut told, rebase } = next(&desk, &self.machine, &[]).await?;
        if let Some(rebase) = rebase {
            self.record_in(None, told).await?;
            told = performed(&desk, &self.id, rebase).await;
        }
        if told.is_empty() { Ok(()) } else { self.record_in(None, told).await }
    }

    /// Makes the commit it stands on one that its tree can borrow.
    pub(crate) async fn borrow_base(&self) -> Result<(), Halt> {
        let Some(on) = &self.machine.view.on else { return Ok(()) };
        let lender = self.desk.places.tree(&self.desk.project, &on.run);
        let commit = self.machine.view.base.commit.clone();
        let lent = self.desk.with_repo(move |repo| repo.lend(&lender, &commit).map_err(|e| e.problem()));
        Ok(lent.await?)
    }

    /// After an interruption: finishes a move that was left open. Whoever else is at it is waited for.
    pub(crate) async fn settle_rebase(&mut self) -> Done {
        let desk = self.desk.clone();
        let _alone = desk.deciding.lock().await;
        let machine = machine_of(&desk, &self.id).await?;
        settled(&desk, machine).await?;
        self.catch_up().await
    }
}
