//! What the user does with a run's result: take it, throw it away, look at it, export it.
//!
//! Accept and discard are effects on the user's repository: intended with a full sync, performed, settled. An owner
//! that finds one open after a crash asks the repository and records what it says.

use crate::bus::{Works, may_discard};
use crate::desk::Desk;
use crate::machine::Machine;
use crate::run::{defect, machine_of};
use crate::{hooks, push, stack, take_back};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{AcceptMode, Acceptance, Comment, Effect, EffectOutcome, Event, NewEvent};
use atelier_protocol::ids::RunId;
use atelier_protocol::mutant::{self, Mutant};
use atelier_protocol::op::{ExportFormat, Reply};
use atelier_protocol::view::{DiffView, Disposition, RunState, RunView};
use atelier_repo::{Accept, Discard, RunTree, Settled, Tip, UserRepo};
use std::collections::BTreeMap;
use std::path::Path;

const ACCEPT: &str = "accept";
const DISCARD: &str = "discard";

/// Brings a handed-over run to the user's branch.
pub(crate) async fn accept(desk: &Desk, run: &RunId, how: Acceptance) -> Result<Reply, Problem> {
    let mut machine = settled(desk, run).await?;
    may_be_decided(&machine.view)?;
    if let Some(on) = machine.view.on.as_ref().filter(|_| how.with_base) {
        let on = on.run.clone();
        if machine_of(desk, &on).await?.view.disposition == Disposition::Pending {
            let (way, skip_hooks, skip_signing) = (how.way, how.skip_hooks, how.skip_signing);
            let below = Acceptance { way, with_base: true, skip_hooks, skip_signing, ..Acceptance::default() };
            Box::pin(accept(desk, &on, below)).await?;
            stack::followed(desk, &on).await;
            machine = machine_of(desk, run).await?;
        }
    }
    let view = &machine.view;
    stack::may_be_accepted(desk, view).await?;
    if view.state != RunState::Done || view.branch.is_none() || view.commits.is_empty() {
        return Err(wrong(
            format!("Run {run} was not handed over, so there is nothing to accept."),
            "Resume it, or discard it.",
        ));
    }
    let tip =
        view.commits.last().map(|c| c.id.clone()).ok_or_else(|| defect("a run was handed over without commits"))?;
    let (id, at_ms) = (run.clone(), desk.sources.clock.now_ms());
    let (hooks, signs) = (!how.skip_hooks, !how.skip_signing);
    let plan = desk.with_repo(move |repo| repo.plan_accept(&id, &tip, &how, at_ms).map_err(|e| e.problem())).await?;
    let messages = if hooks { hooks::ask(desk, run, &plan).await? } else { BTreeMap::new() };
    let plan = desk.with_repo(move |repo| as_the_user_commits(repo, &plan, &messages, signs)).await?;
    let effect =
        Effect::Accept { branch: plan.branch.clone(), from: plan.from.clone(), to: plan.to.clone(), mode: plan.mode };
    let performing = plan.clone();
    let perform = desk.with_repo(move |repo| repo.perform_accept(&performing).map_err(|e| e.problem()));
    let done = if mutant::is(Mutant::EffectBeforeIntent) {
        let done = perform.await;
        append(desk, &mut machine, vec![intended(ACCEPT, effect)]).await?;
        done
    } else {
        append(desk, &mut machine, vec![intended(ACCEPT, effect)]).await?;
        perform.await
    };
    match done {
        Ok(()) => {
            append(desk, &mut machine, accepted(&plan)).await?;
            let files = machine.view.checkpoint.iter().flat_map(|point| &point.files);
            desk.wrote(files.map(|file| file.path.clone()));
            tidy_up(desk, &machine.view).await;
            Ok(Reply::Accepted { branch: plan.branch, commit: plan.to, mode: plan.mode })
        }
        Err(problem) => {
            // It may have begun: what the repository says decides, now or at the next start.
            if let Ok(machine) = settled(desk, run).await
                && matches!(machine.view.disposition, Disposition::Accepted { .. })
            {
                return Ok(Reply::Accepted { branch: plan.branch, commit: plan.to, mode: plan.mode });
            }
            Err(problem)
        }
    }
}

/// The plan with the messages that hooks left, and signed where the user's git configuration asks for it.
pub(crate) fn as_the_user_commits(
    repo: &UserRepo,
    plan: &Accept,
    messages: &BTreeMap<String, String>,
    signs: bool,
) -> Result<Accept, Problem> {
    let signs = signs && repo.wants_signatures().map_err(|e| e.problem())?;
    match signs || !messages.is_empty() {
        true => repo.remake(plan, messages, signs).map_err(|e| e.problem()),
        false => Ok(plan.clone()),
    }
}

/// Removes a run's branch and tree, where nobody concerned speaks against it. `works` tells whether anything works on it;
/// with `anyway` work that no checkpoint recorded may go.
pub(crate) async fn discard(desk: &Desk, run: &RunId, works: Works<'_>, anyway: bool) -> Result<Reply, Problem> {
    let mut machine = settled(desk, run).await?;
    may_be_decided(&machine.view)?;
    if !machine.view.state.is_final() {
        return Err(wrong(format!("Run {run} is not finished."), "Stop it first with `atelier runs cancel`."));
    }
    may_discard(desk, &machine.view, works, anyway).await?;
    let plan = discard_plan(desk, &machine);
    let effect = Effect::Discard { branch: machine.view.branch.clone(), tip: plan.tip.clone() };
    append(desk, &mut machine, vec![intended(DISCARD, effect)]).await?;
    let done = desk.with_repo(move |repo| repo.perform_discard(&plan).map_err(|e| e.problem())).await;
    match done {
        Ok(()) => {
            append(desk, &mut machine, discarded()).await?;
            Ok(Reply::Done)
        }
        Err(problem) => {
            let outcome = EffectOutcome::NotLanded { problem: Some(problem.clone()) };
            append(desk, &mut machine, vec![Event::EffectSettled { key: DISCARD.to_owned(), outcome }]).await?;
            Err(problem)
        }
    }
}

/// The files that the user's branch and a run's result both changed in the same place.
pub(crate) async fn conflicts(desk: &Desk, run: &RunId) -> Result<Reply, Problem> {
    let view = machine_of(desk, run).await?.view;
    may_be_decided(&view)?;
    if let Some(reply) = stack::conflicts(desk, &view).await? {
        return Ok(reply);
    }
    let tip = view.branch.as_ref().and(view.commits.last()).map(|commit| commit.id.clone());
    let tip = tip.ok_or_else(|| wrong(format!("Run {run} has published nothing yet."), "Wait for its hand-over."))?;
    Ok(Reply::Conflicts(desk.with_repo(move |repo| repo.conflicts(&tip).map_err(|e| e.problem())).await?))
}

/// Remarks on lines of a run's result, for its author.
pub(crate) async fn comment(desk: &Desk, run: &RunId, comment: Comment) -> Result<Reply, Problem> {
    let machine = machine_of(desk, run).await?;
    if machine.view.state.is_final() {
        return Err(wrong(
            format!("Run {run} has ended, so nobody works in what you remark."),
            "Continue it another way with `atelier runs fork`, or start a new run.",
        ));
    }
    if comment.text.trim().is_empty() || comment.path.trim().is_empty() {
        return Err(Problem::new(Code::BadArgument, "The remark is empty.", "Name a file and say what is to change."));
    }
    let changes = machine.view.checkpoint.as_ref();
    if !changes.is_some_and(|point| point.files.iter().any(|file| file.path == comment.path)) {
        return Err(Problem::new(
            Code::BadArgument,
            format!("Run {run} does not change `{}`.", comment.path),
            "Look at the changes with `atelier runs show --diff`.",
        ));
    }
    desk.append(vec![NewEvent::of_run(run, None, Event::CommentMade { comment })]).await?;
    Ok(Reply::Done)
}

/// What a run changed against its base.
pub(crate) async fn diff(desk: &Desk, run: &RunId) -> Result<DiffView, Problem> {
    let view = machine_of(desk, run).await?.view;
    let base = view.base.commit.clone();
    let Some(point) = view.checkpoint else {
        return Ok(DiffView { tip: base.clone(), base, files: Vec::new() });
    };
    let dir = desk.places.tree(&desk.project, run);
    if dir.exists() {
        return desk
            .with_tree(run, move |tree: &RunTree| tree.diff(&base, Tip::Commit(&point.commit)).map_err(|e| e.problem()))
            .await;
    }
    let Some(tip) = view.commits.last().map(|c| c.id.clone()) else {
        return Err(wrong(format!("The changes of run {run} were discarded."), "Start it again to see them anew."));
    };
    desk.with_repo(move |repo| repo.diff(&base, &tip).map_err(|e| e.problem())).await
}

/// Writes the project, or a run's result, to a file.
pub(crate) async fn export(desk: &Desk, run: Option<&RunId>, format: ExportFormat, to: &str) -> Result<Reply, Problem> {
    let commit = match run {
        None => None,
        Some(run) => {
            let view = machine_of(desk, run).await?.view;
            let tip = view.commits.last().map(|c| c.id.clone());
            Some(tip.ok_or_else(|| wrong(format!("Run {run} has published nothing yet."), "Wait for its hand-over."))?)
        }
    };
    let to = Path::new(to).to_owned();
    let exported =
        desk.with_repo(move |repo| repo.export(commit.as_deref(), format, &to).map_err(|e| e.problem())).await?;
    Ok(Reply::Exported { path: exported.path.to_string_lossy().into_owned(), bytes: exported.bytes })
}

/// Settles what an earlier owner left open of accepts and discards.
pub(crate) async fn recover(desk: &Desk, run: &RunId) -> Result<(), Problem> {
    settled(desk, run).await.map(|_| ())
}

/// The run, after an accept, discard, push or move that was left open is settled.
pub(crate) async fn settled(desk: &Desk, run: &RunId) -> Result<Machine, Problem> {
    let machine = Box::pin(take_back::settled(desk, machine_of(desk, run).await?)).await?;
    let mut machine = Box::pin(stack::settled(desk, machine)).await?;
    let open = |key: &str| machine.effects.get(key).filter(|tried| tried.outcome.is_none()).map(|t| t.effect.clone());
    if let Some(Effect::Accept { branch, from, to, mode }) = open(ACCEPT) {
        let plan = Accept { run: run.clone(), branch, from, to, mode };
        let asked = plan.clone();
        let said = match mutant::is(Mutant::EffectNotAsked) {
            true => Settled::NotLanded,
            false => desk.with_repo(move |repo| Ok(repo.settle_accept(&asked))).await?,
        };
        append(desk, &mut machine, outcome(ACCEPT, said, accepted(&plan))?).await?;
        return Ok(machine);
    }
    if let Some(Effect::Push { remote, to, tip, .. }) = open(push::PUSH) {
        let said = desk.with_repo(move |repo| Ok(repo.settle_push(&remote, &to, &tip))).await?;
        let landed = vec![Event::EffectSettled { key: push::PUSH.to_owned(), outcome: EffectOutcome::Landed }];
        append(desk, &mut machine, outcome(push::PUSH, said, landed)?).await?;
        return Ok(machine);
    }
    if let Some(Effect::Discard { .. }) = open(DISCARD) {
        let plan = discard_plan(desk, &machine);
        let said = desk.with_repo(move |repo| Ok(repo.settle_discard(&plan))).await?;
        append(desk, &mut machine, outcome(DISCARD, said, discarded())?).await?;
    }
    Ok(machine)
}

fn outcome(key: &str, said: Settled, landed: Vec<Event>) -> Result<Vec<Event>, Problem> {
    match said {
        Settled::Landed => Ok(landed),
        // Half-way is not landed: performing it again finishes it.
        Settled::NotLanded => {
            Ok(vec![Event::EffectSettled { key: key.to_owned(), outcome: EffectOutcome::NotLanded { problem: None } }])
        }
        Settled::Unknown(found) => Err(indeterminate(key, &found)),
    }
}

/// Whether an effect on the user's repository was done cannot be found out.
pub(crate) fn indeterminate(key: &str, found: &str) -> Problem {
    Problem::new(
        Code::Indeterminate,
        format!("It cannot be known whether the {key} before the interruption was done: {found}."),
        "Look at your branch with `git log`; nothing is repeated by itself.",
    )
}

fn discard_plan(desk: &Desk, machine: &Machine) -> Discard {
    let run = machine.view.id.clone();
    let dir = desk.places.tree(&desk.project, &run);
    let tip = machine.view.commits.last().map(|c| c.id.clone());
    let at_ms = recorded_at(&machine.view);
    Discard { tip: machine.view.branch.as_ref().and(tip), dir: Some(dir), run, at_ms }
}

/// The time in what is recorded of a run without a look at the clock: the same after an interruption.
pub(crate) fn recorded_at(view: &RunView) -> u64 {
    view.started_at_ms
}

/// After an accept the tree has served. A tree that holds more than the commits stays.
pub(crate) async fn tidy_up(desk: &Desk, view: &RunView) {
    let Some(tip) = view.commits.last().map(|commit| commit.id.clone()) else { return };
    let (run, dir) = (view.id.clone(), desk.places.tree(&desk.project, &view.id));
    let removed = desk
        .with_repo(move |repo| {
            repo.remove_tree(&dir, &tip).map_err(|e| e.problem())?;
            repo.remove_keep_ref(&run).map_err(|e| e.problem())
        })
        .await;
    if let Err(problem) = removed {
        tracing::warn!(run = %view.id, %problem, "the run's tree was kept");
    }
}

fn may_be_decided(view: &RunView) -> Result<(), Problem> {
    match &view.disposition {
        Disposition::Pending => Ok(()),
        Disposition::Accepted { commit } => {
            Err(wrong(format!("Run {} was accepted already, as {commit}.", view.id), "There is nothing left to do."))
        }
        Disposition::Discarded => Err(wrong(format!("Run {} was discarded.", view.id), "Start a new run.")),
    }
}

/// The run is not where that can be done.
pub(crate) fn wrong(message: String, hint: &str) -> Problem {
    Problem::new(Code::WrongState, message, hint)
}

fn intended(key: &str, effect: Effect) -> Event {
    Event::EffectIntended { key: key.to_owned(), effect }
}

fn accepted(plan: &Accept) -> Vec<Event> {
    let mode: AcceptMode = plan.mode;
    vec![
        Event::EffectSettled { key: ACCEPT.to_owned(), outcome: EffectOutcome::Landed },
        Event::RunAccepted { branch: plan.branch.clone(), commit: plan.to.clone(), mode },
    ]
}

fn discarded() -> Vec<Event> {
    vec![Event::EffectSettled { key: DISCARD.to_owned(), outcome: EffectOutcome::Landed }, Event::RunDiscarded {}]
}

/// Appends to a run that nobody works on, and folds what was appended.
pub(crate) async fn append(desk: &Desk, machine: &mut Machine, events: Vec<Event>) -> Result<(), Problem> {
    let events = events.into_iter().map(|event| NewEvent::of_run(&machine.view.id, None, event)).collect();
    let appended = desk.append_to(&[&machine.row], events).await?;
    appended.iter().for_each(|event| machine.apply(event));
    Ok(())
}
