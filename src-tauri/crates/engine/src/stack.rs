//! Runs that stand on other runs: where one begins, and how it follows when the run below moves.
//!
//! A run at work follows between two steps, one that waits for its hand-over or has ended at once; whoever moves the tree of
//! a run holds `Desk::deciding`. A run's own task never waits for that after it has moved: it leaves word (`moved`), and the
//! others follow in a task of the desk, or before the next decision (`Desk::alone`). What a move is, `moving` says.

mod moving;

use crate::accept::{append, settled as decided, wrong};
use crate::desk::Desk;
use crate::machine::Machine;
use crate::run::machine_of;
use atelier_protocol::error::Problem;
use atelier_protocol::event::{Ask, Base, Event, Resolution, Stacked};
use atelier_protocol::ids::RunId;
use atelier_protocol::op::Reply;
use atelier_protocol::view::{Disposition, RunState, RunView};
use atelier_repo::RunTree;
use futures_util::future::BoxFuture;
pub(crate) use moving::settled;
use moving::{Move, next, performed, what_is};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Which runs stand on which, so that nobody looks through all of them when one moves, and which have moved.
#[derive(Default)]
pub(crate) struct Stacks {
    known: Mutex<Known>,
    moved: Notify,
}

#[derive(Default)]
struct Known {
    /// The runs that stand on each.
    on: BTreeMap<RunId, BTreeSet<RunId>>,
    /// Runs that moved by their own work, and were not followed yet.
    moved: BTreeSet<RunId>,
}

impl Stacks {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, upper: &RunId, on: &RunId) {
        self.known().on.entry(on.clone()).or_default().insert(upper.clone());
    }

    fn on(&self, run: &RunId) -> Vec<RunId> {
        self.known().on.get(run).into_iter().flatten().cloned().collect()
    }
}

/// Where a run begins that stands on another one.
pub(crate) async fn begin(desk: &Desk, on: &RunId) -> Result<(Base, Stacked), Problem> {
    let view = machine_of(desk, on).await?.view;
    if let Some(parent) = &view.parent {
        return Err(wrong(
            format!("Run {on} works for a step of run {}.", parent.root),
            &format!("Stand on that one: `--on {}`.", parent.root),
        ));
    }
    match (&view.disposition, view.state) {
        (Disposition::Accepted { .. }, _) => {
            return Err(wrong(
                format!("Run {on} is on your branch already."),
                "Start the run without `--on`: it begins with your branch.",
            ));
        }
        (Disposition::Discarded, _) | (_, RunState::Failed | RunState::Cancelled) => {
            return Err(wrong(
                format!("Run {on} comes to no result, so nothing can stand on it."),
                "Start the run without `--on`, or continue that one with `atelier runs fork`.",
            ));
        }
        _ => {}
    }
    if view.checkpoint.is_none() {
        return Err(wrong(
            format!("Run {on} has changed nothing yet."),
            "Wait until it has; `atelier runs show` tells.",
        ));
    }
    let below = what_is(&view);
    let base = Base { commit: below.commit, branch: view.base.branch.clone() };
    Ok((base, Stacked { run: on.clone(), paths: below.paths, held: None }))
}

/// Has every run that stands on this one follow it, and those that stand on them. Whoever calls holds `Desk::deciding`.
pub(crate) fn followed<'a>(desk: &'a Desk, run: &'a RunId) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        for upper in desk.stacks.on(run) {
            match follow(desk, &upper, &[]).await {
                Ok(true) => followed(desk, &upper).await,
                Ok(false) => {}
                Err(problem) => tracing::warn!(run = %upper, %problem, "the run did not follow the one below it yet"),
            }
        }
    })
}

/// A run has moved itself, by its own work: leaves word, and waits for nobody. Whoever decides on that run, such as for its
/// removal, holds `Desk::deciding` and waits until its work has ended.
pub(crate) fn moved(desk: &Desk, view: &RunView) {
    if view.on.is_some() || !desk.stacks.on(&view.id).is_empty() {
        desk.stacks.known().moved.insert(view.id.clone());
        desk.stacks.moved.notify_one();
    }
}

/// Has runs follow those that moved, as they do.
pub(crate) async fn following(desk: Arc<Desk>) {
    loop {
        desk.stacks.moved.notified().await;
        drop(desk.alone().await);
    }
}

/// A run that moved follows the one below it again, where it may, and those that stand on it do. Whoever calls holds
/// `Desk::deciding`.
pub(crate) async fn follows(desk: &Desk, run: &RunId) {
    if let Err(problem) = follow(desk, run, &[]).await {
        tracing::warn!(%run, %problem, "the run did not follow the one below it yet");
    }
    followed(desk, run).await;
}

/// Puts a run on what the one below it is now, as the user says. Whoever calls holds `Desk::deciding`.
pub(crate) async fn rebase(desk: &Desk, run: &RunId, resolved: &[Resolution]) -> Result<Reply, Problem> {
    let machine = machine_of(desk, run).await?;
    let Some(on) = &machine.view.on else {
        return Err(wrong(format!("Run {run} stands on your branch, not on another run."), "There is nothing to do."));
    };
    if machine.view.disposition != Disposition::Pending {
        return Err(wrong(format!("Run {run} is decided already."), "There is nothing left to do."));
    }
    if !may_be_moved(&machine) {
        return Err(wrong(
            format!("Run {run} is at work; it follows run {} by itself between two steps.", on.run),
            "Wait until it waits for you or has ended.",
        ));
    }
    follow(desk, run, resolved).await?;
    followed(desk, run).await;
    match machine_of(desk, run).await?.view.on.and_then(|on| on.held) {
        Some(held) => Err(held.problem),
        None => Ok(Reply::Run(run.clone())),
    }
}

/// Refused where the run stands on one that is not accepted, or not on what that one is now.
pub(crate) async fn may_be_accepted(desk: &Desk, view: &RunView) -> Result<(), Problem> {
    let Some(on) = &view.on else { return Ok(()) };
    let below = machine_of(desk, &on.run).await?.view;
    if let Some(held) = &on.held {
        return Err(held.problem.clone());
    }
    match below.disposition {
        Disposition::Pending if below.state == RunState::Done => Err(wrong(
            format!("Run {} stands on run {}, which is not accepted.", view.id, on.run),
            &format!("Accept run {} first, or both at once with `atelier runs accept --with-base`.", on.run),
        )),
        Disposition::Pending => Err(wrong(
            format!("Run {} stands on run {}, which is not handed over.", view.id, on.run),
            "Finish that one and accept it first; where it is given up, discard it: this run then stands on what was below.",
        )),
        Disposition::Accepted { .. } | Disposition::Discarded if what_is(&below).commit == view.base.commit => Ok(()),
        Disposition::Accepted { .. } | Disposition::Discarded => Err(wrong(
            format!("Run {} does not stand on what run {} is now.", view.id, on.run),
            &format!("Put it there with `atelier runs rebase {}`.", view.id),
        )),
    }
}

/// The conflicts of a run that could not follow; `None` for one that stands where it should.
pub(crate) async fn conflicts(desk: &Desk, view: &RunView) -> Result<Option<Reply>, Problem> {
    let Some(held) = view.on.as_ref().and_then(|on| on.held.clone()) else { return Ok(None) };
    let dir = desk.places.tree(&desk.project, &view.id);
    let all = desk.with_repo(move |repo| {
        let tree = RunTree::open(&dir).map_err(|e| e.problem())?;
        repo.rebase_conflicts(&tree, &held.to).map_err(|e| e.problem())
    });
    Ok(Some(Reply::Conflicts(all.await?)))
}

/// Whether somebody else than the run itself may move its tree now: it has ended, or waits for its hand-over.
fn may_be_moved(machine: &Machine) -> bool {
    let view = &machine.view;
    let asked = view.pending_approval().is_some_and(|asked| matches!(asked.ask, Ask::HandOver { .. }));
    let at_the_end = view.state.is_final() || (view.state == RunState::WaitsForApproval && asked);
    at_the_end && view.parent.is_none() && view.disposition == Disposition::Pending && !undoes(machine)
}

/// While its steps may still be undone their states before are what the run goes back to: they stay on their base.
fn undoes(machine: &Machine) -> bool {
    !machine.view.state.is_final() && machine.done.iter().any(|done| !done.undone)
}

/// Puts a run on what the one below it is now, where it may be moved. Whether it was.
fn follow<'a>(desk: &'a Desk, run: &'a RunId, resolved: &'a [Resolution]) -> BoxFuture<'a, Result<bool, Problem>> {
    Box::pin(follow_now(desk, run, resolved))
}

async fn follow_now(desk: &Desk, run: &RunId, resolved: &[Resolution]) -> Result<bool, Problem> {
    let mut machine = machine_of(desk, run).await?;
    if machine.view.on.is_none() || !may_be_moved(&machine) {
        return Ok(false);
    }
    machine = Box::pin(decided(desk, run)).await?;
    let Move { mut told, rebase } = next(desk, &machine, resolved).await?;
    if let Some(rebase) = rebase {
        append(desk, &mut machine, told).await?;
        told = performed(desk, run, rebase).await;
    }
    let moved = told.iter().any(|event| matches!(event, Event::RunRebased { .. }));
    if !told.is_empty() {
        append(desk, &mut machine, told).await?;
    }
    Ok(moved)
}

impl Desk {
    /// Alone in deciding, after runs have followed those that moved by themselves.
    pub(crate) async fn alone(&self) -> tokio::sync::MutexGuard<'_, ()> {
        let alone = self.deciding.lock().await;
        loop {
            let next = self.stacks.known().moved.pop_first();
            match next {
                Some(run) => follows(self, &run).await,
                None => return alone,
            }
        }
    }

    /// Knows again which runs stand on which, after a change of owner, and has them follow what moved meanwhile.
    pub(crate) async fn know_stacks(&self, stacked: impl IntoIterator<Item = (RunId, RunId)>) {
        let pairs: Vec<(RunId, RunId)> = stacked.into_iter().collect();
        for (upper, on) in &pairs {
            self.stacks.note(upper, on);
        }
        let _alone = self.deciding.lock().await;
        for (upper, _) in &pairs {
            if let Err(problem) = follow(self, upper, &[]).await {
                tracing::warn!(run = %upper, %problem, "the run did not follow the one below it yet");
            }
        }
    }
}
