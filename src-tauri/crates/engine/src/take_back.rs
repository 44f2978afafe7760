//! Takes operations back and does them again: looks what would change, intends it, performs it, settles it.
//!
//! Taking back is an operation of the same kind the other way round, so doing again is taking that back. Nobody may work
//! on the run meanwhile. What is left open by a crash is asked of the world: what concerns only our own places is finished,
//! the user's branch is left for the user to take back again, which finishes it.

use crate::accept::{append, as_the_user_commits, indeterminate, recorded_at, tidy_up, wrong};
use crate::bus::may_discard;
use crate::desk::{Desk, blocking};
use crate::machine::Machine;
use crate::operations::operations;
use crate::run::{defect, machine_of, read_all, unknown};
use crate::stack;
use atelier_journal::Order;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{
    AcceptMode, Change, Effect, EffectOutcome, Event, FileChange, OperationKind, OperationView, Undo, UndoPreview,
};
use atelier_protocol::ids::{RunId, Seq};
use atelier_protocol::op::Reply;
use atelier_protocol::view::{Disposition, RunView};
use atelier_repo::{Accept, Discard, RunTree, Settled, TreeSpec, UserRepo};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Whether something works on a run now.
pub(crate) type WorksOn<'a> = &'a (dyn Fn(&RunId) -> bool + Send + Sync);

/// The effect's key: one operation is taken back at a time in a run.
const KEY: &str = "undo";

/// The operations of one run or of all, newest first.
pub(crate) async fn list(desk: &Desk, run: Option<&RunId>, limit: u32) -> Result<Reply, Problem> {
    let limit = limit as usize;
    let runs = match run {
        Some(run) => vec![run.clone()],
        None => desk.digests(Order::Falling, usize::MAX, |_| true).await?.into_iter().map(|d| d.id).collect(),
    };
    let mut all = Vec::new();
    for run in runs {
        let events = read_all(desk, &run, Seq::ZERO).await?;
        if events.is_empty() {
            return Err(unknown(&run));
        }
        all.extend(operations(&events));
    }
    all.sort_by_key(|operation| std::cmp::Reverse(operation.operation));
    all.truncate(limit);
    Ok(Reply::Operations(all))
}

/// One operation, with what taking it back would do now.
pub(crate) async fn show(desk: &Desk, operation: Seq, works: WorksOn<'_>) -> Result<Reply, Problem> {
    let mut found = find(desk, operation).await?;
    found.preview = Some(match preview(desk, &found, works).await {
        Ok((change, files)) => UndoPreview::Possible { change, files },
        Err(problem) => UndoPreview::Refused { problem },
    });
    Ok(Reply::Operations(vec![found]))
}

/// Takes an operation back.
pub(crate) async fn take_back(desk: &Desk, operation: Seq, works: WorksOn<'_>) -> Result<Reply, Problem> {
    let found = find(desk, operation).await?;
    let run = found.run.clone();
    let mut machine = settled(desk, machine_of(desk, &run).await?).await?;
    may_be_taken_back(desk, &found, &machine, works).await?;
    if matches!(found.change, Change::Traces { gone: false, .. }) {
        may_discard(desk, &machine.view, &|| works(&run), false).await?;
    }
    let at_ms = desk.sources.clock.now_ms();
    let mut before = Vec::new();
    let (change, files) = match &found.change {
        Change::Tree { from, to } => {
            let (from, to, label) = (from.clone(), to.clone(), format!("without {}", found.title));
            let plan = move |tree: &RunTree| tree.plan_reversal(&from, &to, &label, at_ms).map_err(|e| e.problem());
            let plan = desk.with_tree(tree_run(&machine.view), plan).await?;
            let from = plan.present.commit.clone();
            if machine.view.checkpoint.as_ref() != Some(&plan.present) {
                before.push(Event::CheckpointMade { checkpoint: plan.present });
            }
            (Change::Tree { from, to: plan.to }, plan.files)
        }
        Change::Branch { .. } => {
            let done = as_accept(&run, &found.change)?;
            let id = run.clone();
            let plan = move |repo: &UserRepo| {
                let mut plan = repo.plan_withdrawal(&id, &done, at_ms).map_err(|e| e.problem())?;
                if plan.accept.mode == AcceptMode::Revert {
                    plan.accept = as_the_user_commits(repo, &plan.accept, &BTreeMap::new(), true)?;
                }
                Ok(plan)
            };
            let plan = desk.with_repo(plan).await?;
            (as_change(plan.accept), plan.files)
        }
        other => (turned(other), Vec::new()),
    };
    let accepted = match (&change, &machine.view.disposition) {
        (Change::Branch { to, .. }, Disposition::Pending) => Some(to.clone()),
        _ => None,
    };
    let undo = Undo { operation, change, files, accepted };
    before.push(Event::EffectIntended { key: KEY.to_owned(), effect: Effect::Undo { undo: undo.clone() } });
    append(desk, &mut machine, before).await?;
    match perform(desk, &machine.view, &undo.change).await {
        Ok(told) => {
            if let Change::Branch { .. } = undo.change {
                desk.wrote(undo.files.iter().map(|file| file.path.clone()));
            }
            append(desk, &mut machine, landed(undo.clone(), told)).await?;
            tree_follows(desk, &machine.view, &undo).await;
        }
        Err(problem) => {
            // It may have begun: what the world says decides, now or at the next start.
            let after = settled(desk, machine_of(desk, &run).await?).await?;
            if after.effects.get(KEY).and_then(|tried| tried.outcome.as_ref()) != Some(&EffectOutcome::Landed) {
                return Err(problem);
            }
        }
    }
    stack::follows(desk, &run).await;
    let last = operations(&read_all(desk, &run, Seq::ZERO).await?).into_iter().rev();
    let own = last.filter(|op| op.undoes == Some(operation)).take(1).collect::<Vec<_>>();
    if own.is_empty() {
        Err(defect("an operation was taken back that the history does not show"))
    } else {
        Ok(Reply::Operations(own))
    }
}

/// The run, after the taking back that was left open is settled.
pub(crate) async fn settled(desk: &Desk, mut machine: Machine) -> Result<Machine, Problem> {
    let open = machine.effects.get(KEY).filter(|tried| tried.outcome.is_none()).map(|tried| &tried.effect);
    let Some(Effect::Undo { undo }) = open.cloned() else { return Ok(machine) };
    let events = match ask(desk, &machine.view, &undo.change).await? {
        Settled::Landed => {
            let told = checkpoint(desk, &machine.view, &undo.change).await?;
            landed(undo.clone(), told)
        }
        Settled::NotLanded if matches!(undo.change, Change::Branch { .. }) => {
            vec![Event::EffectSettled { key: KEY.to_owned(), outcome: EffectOutcome::NotLanded { problem: None } }]
        }
        Settled::NotLanded => match perform(desk, &machine.view, &undo.change).await {
            Ok(told) => landed(undo.clone(), told),
            Err(problem) => {
                let outcome = EffectOutcome::NotLanded { problem: Some(problem) };
                vec![Event::EffectSettled { key: KEY.to_owned(), outcome }]
            }
        },
        Settled::Unknown(found) => return Err(indeterminate(KEY, &found)),
    };
    let landed = events.iter().any(|event| matches!(event, Event::OperationUndone { .. }));
    append(desk, &mut machine, events).await?;
    if landed {
        tree_follows(desk, &machine.view, &undo).await;
    }
    Ok(machine)
}

async fn find(desk: &Desk, operation: Seq) -> Result<OperationView, Problem> {
    let none = || {
        Problem::new(
            Code::BadArgument,
            format!("There is no operation {operation}."),
            "List them with `atelier ops list`; an operation is named by its number.",
        )
    };
    let before = Seq(operation.0.checked_sub(1).ok_or_else(none)?);
    let event = desk.journal.read(None, before, 1).await?.into_iter().find(|event| event.seq == operation);
    let run = event.and_then(|event| event.run).ok_or_else(none)?;
    let all = operations(&read_all(desk, &run, Seq::ZERO).await?);
    all.into_iter().find(|op| op.operation == operation).ok_or_else(none)
}

async fn preview(desk: &Desk, found: &OperationView, works: WorksOn<'_>) -> Result<(Change, Vec<FileChange>), Problem> {
    let machine = machine_of(desk, &found.run).await?;
    may_be_taken_back(desk, found, &machine, works).await?;
    match &found.change {
        Change::Tree { from, to } => {
            let (from, to) = (from.clone(), to.clone());
            let look = move |tree: &RunTree| tree.preview_reversal(&from, &to).map_err(|e| e.problem());
            let files = desk.with_tree(tree_run(&machine.view), look).await?;
            Ok((turned(&found.change), files))
        }
        Change::Branch { .. } => {
            let (run, done) = (found.run.clone(), as_accept(&found.run, &found.change)?);
            let look = move |repo: &UserRepo| repo.preview_withdrawal(&run, &done).map_err(|e| e.problem());
            let plan = desk.with_repo(look).await?;
            Ok((as_change(plan.accept), plan.files))
        }
        other => Ok((turned(other), Vec::new())),
    }
}

/// Whether the run is where the operation can be taken back. Nothing is looked up in the repository here.
async fn may_be_taken_back(
    desk: &Desk,
    found: &OperationView,
    machine: &Machine,
    works: WorksOn<'_>,
) -> Result<(), Problem> {
    let (operation, view) = (found.operation, &machine.view);
    if let Some(by) = found.undone_by {
        return Err(wrong(
            format!("Operation {operation} was taken back already, by operation {by}."),
            &format!("Do it again with `atelier ops undo {by}` or `atelier ops redo {operation}`."),
        ));
    }
    let top = match &view.parent {
        Some(parent) => machine_of(desk, &parent.root).await?.view,
        None => view.clone(),
    };
    let rests = top.state.is_final() || top.state.rests() || top.state.waits_for_user();
    if !rests || works(&top.id) {
        return Err(wrong(
            format!("Run {} is at work, so nothing of it can be taken back now.", top.id),
            "Wait until it rests, or stop it with `atelier runs cancel`.",
        ));
    }
    let is_undo = found.kind == OperationKind::Undo;
    match (&found.change, &top.disposition) {
        (Change::Tree { .. }, Disposition::Pending) => match &top.branch {
            None => Ok(()),
            Some(branch) => Err(wrong(
                format!("Run {} is handed over as `{branch}`; its steps can be taken back once that is.", top.id),
                &format!("Take the hand-over back first with `atelier runs undo {}`.", top.id),
            )),
        },
        (Change::Published { .. }, Disposition::Pending) => Ok(()),
        (Change::Branch { .. }, Disposition::Accepted { .. }) => Ok(()),
        (Change::Branch { .. }, Disposition::Pending) if is_undo => Ok(()),
        (Change::Traces { gone: true, .. }, Disposition::Discarded) => Ok(()),
        (Change::Traces { gone: false, .. }, Disposition::Pending) => Ok(()),
        (_, Disposition::Accepted { .. }) => Err(wrong(
            format!("Run {} is on your branch.", top.id),
            &format!("Take the accept back first with `atelier runs undo {}`.", top.id),
        )),
        (_, Disposition::Discarded) => Err(wrong(
            format!("Run {} was discarded.", top.id),
            &format!("Bring it back first with `atelier runs undo {}`.", top.id),
        )),
        (_, Disposition::Pending) => Err(wrong(
            format!("Operation {operation} is not in force any more."),
            "Look at the operations with `atelier ops list`.",
        )),
    }
}

async fn perform(desk: &Desk, view: &RunView, change: &Change) -> Result<Vec<Event>, Problem> {
    let run = view.id.clone();
    match change.clone() {
        Change::Tree { to, .. } => {
            let put = move |tree: &RunTree| tree.reset_to(&to).map_err(|e| e.problem());
            desk.with_tree(tree_run(view), put).await?;
        }
        Change::Published { to: None, from, .. } => {
            let tip = from.unwrap_or_default();
            desk.with_repo(move |repo| repo.take_back(&run, &tip).map_err(|e| e.problem())).await?;
        }
        Change::Published { to: Some(tip), .. } => {
            let dir = dir(desk, view);
            desk.with_repo(move |repo| repo.perform_again(&run, &dir, &tip).map_err(|e| e.problem())).await?;
        }
        Change::Branch { .. } => {
            let plan = as_accept(&run, change)?;
            desk.with_repo(move |repo| repo.perform_accept(&plan).map_err(|e| e.problem())).await?;
        }
        Change::Traces { gone: true, .. } => {
            let plan = discard(desk, view, change);
            desk.with_repo(move |repo| repo.perform_discard(&plan).map_err(|e| e.problem())).await?;
        }
        Change::Traces { gone: false, tip } => {
            let spec = spec(desk, view).await?;
            desk.with_repo(move |repo| repo.perform_restore(&spec, tip.as_deref()).map_err(|e| e.problem())).await?;
        }
    }
    checkpoint(desk, view, change).await
}

/// A run that is no longer on the user's branch has its tree again, and one that is there again does without. Where that
/// cannot be done nothing is lost: the run's repository is there.
async fn tree_follows(desk: &Desk, view: &RunView, undo: &Undo) {
    if !matches!(undo.change, Change::Branch { .. }) {
        return;
    }
    if undo.accepted.is_some() {
        return tidy_up(desk, view).await;
    }
    let restored = async {
        let spec = spec(desk, view).await?;
        desk.with_repo(move |repo| repo.perform_restore(&spec, None).map_err(|e| e.problem())).await
    };
    if let Err(problem) = restored.await {
        tracing::warn!(run = %view.id, %problem, "the run's tree did not come back");
    }
}

async fn ask(desk: &Desk, view: &RunView, change: &Change) -> Result<Settled, Problem> {
    let run = view.id.clone();
    match change.clone() {
        Change::Tree { to, .. } => desk.with_tree(tree_run(view), move |tree| Ok(tree.settle_reset(&to))).await,
        Change::Published { to: None, from, .. } => {
            let tip = from.unwrap_or_default();
            desk.with_repo(move |repo| Ok(repo.settle_take_back(&run, &tip))).await
        }
        Change::Published { to: Some(tip), branch, .. } => {
            desk.with_repo(move |repo| Ok(repo.settle_hand_over(&branch, &tip))).await
        }
        Change::Branch { .. } => {
            let plan = as_accept(&run, change)?;
            desk.with_repo(move |repo| Ok(repo.settle_accept(&plan))).await
        }
        Change::Traces { gone: true, .. } => {
            let plan = discard(desk, view, change);
            desk.with_repo(move |repo| Ok(repo.settle_discard(&plan))).await
        }
        Change::Traces { gone: false, tip } => {
            let spec = spec(desk, view).await?;
            desk.with_repo(move |repo| Ok(repo.settle_restore(&spec, tip.as_deref()))).await
        }
    }
}

/// What is told of a tree after its files were changed.
async fn checkpoint(desk: &Desk, view: &RunView, change: &Change) -> Result<Vec<Event>, Problem> {
    let Change::Tree { .. } = change else { return Ok(Vec::new()) };
    let (dir, at_ms) = (dir(desk, view), view.started_at_ms);
    let point = blocking(move || {
        let tree = RunTree::open(&dir).map_err(|e| e.problem())?;
        tree.checkpoint("taken back", at_ms).map_err(|e| e.problem())
    });
    Ok(vec![Event::CheckpointMade { checkpoint: point.await? }])
}

fn landed(undo: Undo, told: Vec<Event>) -> Vec<Event> {
    let mut events = vec![Event::EffectSettled { key: KEY.to_owned(), outcome: EffectOutcome::Landed }];
    events.extend(told);
    events.push(Event::OperationUndone { undo });
    events
}

/// The same change the other way round.
fn turned(change: &Change) -> Change {
    match change.clone() {
        Change::Tree { from, to } => Change::Tree { from: to, to: from },
        Change::Published { branch, from, to } => Change::Published { branch, from: to, to: from },
        Change::Branch { branch, from, to, mode: _ } => {
            Change::Branch { branch, from: to, to: from, mode: AcceptMode::Back }
        }
        Change::Traces { tip, gone } => Change::Traces { tip, gone: !gone },
    }
}

fn as_accept(run: &RunId, change: &Change) -> Result<Accept, Problem> {
    let Change::Branch { branch, from, to, mode } = change.clone() else {
        return Err(defect("a change of another place was taken for one of the user's branch"));
    };
    Ok(Accept { run: run.clone(), branch, from, to, mode })
}

fn as_change(accept: Accept) -> Change {
    Change::Branch { branch: accept.branch, from: accept.from, to: accept.to, mode: accept.mode }
}

fn discard(desk: &Desk, view: &RunView, change: &Change) -> Discard {
    let tip = match change {
        Change::Traces { tip, .. } => tip.clone(),
        _ => None,
    };
    Discard { run: view.id.clone(), tip, dir: Some(dir(desk, view)), at_ms: recorded_at(view) }
}

async fn spec(desk: &Desk, view: &RunView) -> Result<TreeSpec, Problem> {
    let (run, base) = (view.id.clone(), view.base.commit.clone());
    Ok(TreeSpec { run, dir: dir(desk, view), base, provide: desk.provided().await? })
}

fn dir(desk: &Desk, view: &RunView) -> PathBuf {
    desk.places.tree(&desk.project, tree_run(view))
}

/// The run whose tree it works in.
fn tree_run(view: &RunView) -> &RunId {
    view.parent.as_ref().map_or(&view.id, |parent| &parent.root)
}
