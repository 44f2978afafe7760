//! Runs that work for other runs: how a child begins, how its end reaches its parent, how a family is stopped.
//!
//! A child's beginning and its parent's record of it are one append, and so are both records of its end; no crash comes
//! between. A child works in the tree of the run at the top, one at a time, while its parent waits.

use crate::desk::Desk;
use crate::flow::Kind;
use crate::machine::Machine;
use crate::run::{Done, Halt, Run, defect, machine_of};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Event, NewEvent, Outcome, Parent, StepResult};
use atelier_protocol::ids::RunId;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What a run is told whose child rests: why, and how it goes on.
pub(crate) fn rests_with(child: &RunId, problem: &Problem) -> Problem {
    Problem::new(
        problem.code,
        format!("The run {child}, which this one waits for, rests: {}", problem.message),
        format!("{} `atelier runs resume {child}` lets both go on.", problem.hint),
    )
    .with_details(problem.details.clone())
}

/// A child of a child of a child may not call.
const DEEPEST: u8 = 3;

impl Run {
    /// Starts the child run of the current step.
    pub(crate) async fn call_child(&mut self) -> Done {
        let (current, step) = self.current()?;
        let here = current.step.clone();
        let Kind::Call { flow, goal } = step.kind.clone() else {
            return Err(Halt::Fail(defect("a run was called outside a call step")));
        };
        let view = &self.machine.view;
        let depth = view.parent.as_ref().map_or(0, |parent| parent.depth) + 1;
        if depth > DEEPEST {
            return Err(Halt::Fail(too_deep(&here.to_string())));
        }
        let (called, text) = self.desk.flow(Some(&flow), &self.roles).map_err(Halt::Fail)?;
        if called.publishes() {
            return Err(Halt::Fail(Problem::new(
                Code::FlowInvalid,
                format!("The flow `{flow}` hands over commits, which only the run at the top may do."),
                "Call a flow without `hand_over`.",
            )));
        }
        self.desk.journal.put_blob(text.into_bytes()).await.map_err(Problem::from)?;
        let child = self.desk.sources.run_id();
        let goal = goal.replace("{goal}", &view.goal);
        let left = self.machine.budget.limit.map(|limit| limit.saturating_sub(self.machine.budget.spent).max(1));
        let started = Event::RunStarted {
            goal: goal.clone(),
            flow: called.reference(),
            base: view.base.clone(),
            model: self.machine.model.clone(),
            grants: self.machine.grants.clone(),
            parent: Some(Parent { run: self.id.clone(), step: here.clone(), root: self.tree_run().clone(), depth }),
            forked: None,
            on: None,
            priority: view.priority,
            budget_tokens: left,
        };
        // What it goes on from stands in its own history: it is read alone.
        let mut told = vec![started];
        told.extend(view.spec.clone().map(|spec| Event::SpecWritten { spec }));
        if let Some(checkpoint) = view.checkpoint.clone() {
            let checks = view.latest_checks(&checkpoint.tree).into_iter().cloned();
            let checks: Vec<Event> = checks.map(|check| Event::CheckRecorded { check }).collect();
            told.push(Event::CheckpointMade { checkpoint });
            told.extend(checks);
        }
        let mut events: Vec<NewEvent> = told.into_iter().map(|event| NewEvent::of_run(&child, None, event)).collect();
        events.push(NewEvent::of_run(&self.id, Some(&here), Event::ChildStarted { child, goal }));
        self.record_with_others(events).await
    }

    /// The child of the current step ended.
    pub(crate) async fn child_ended(&mut self, outcome: Outcome) -> Done {
        let (current, step) = self.current()?;
        let (here, back) = (current.step.clone(), step.back_to.is_some());
        let result = match outcome {
            Outcome::Done => StepResult::Done,
            Outcome::Failed { problem } if back => {
                let mut reason = problem.message.clone();
                for detail in &problem.details {
                    reason.push('\n');
                    reason.push_str(detail);
                }
                StepResult::SentBack { reason }
            }
            Outcome::Failed { problem } | Outcome::Cancelled { problem } => {
                StepResult::Failed { problem: child_failed(&here.to_string(), &problem) }
            }
        };
        self.end_step(Vec::new(), result).await
    }

    /// What the parent's history says about the end of this run; nothing where nobody waits for it.
    pub(crate) async fn told_to_parent(&self, outcome: Outcome) -> Result<Vec<NewEvent>, Halt> {
        let Some(parent) = &self.machine.view.parent else { return Ok(Vec::new()) };
        let waiting = machine_of(&self.desk, &parent.run).await?;
        if waiting.view.state.is_final() || waiting.open_child() != Some(&self.id) {
            return Ok(Vec::new());
        }
        let events = told(&self.machine, &waiting, outcome).into_iter();
        Ok(events.map(|event| NewEvent::of_run(&parent.run, Some(&parent.step), event)).collect())
    }
}

/// The end of `child` as `parent` is told it, with what was made and found of their common tree.
fn told(child: &Machine, parent: &Machine, outcome: Outcome) -> Vec<Event> {
    let (own, known) = (&child.view, &parent.view);
    let mut events = vec![Event::ChildEnded { child: own.id.clone(), outcome }];
    let Some(point) = &own.checkpoint else { return events };
    if known.checkpoint.as_ref() != Some(point) {
        events.push(Event::CheckpointMade { checkpoint: point.clone() });
    }
    for check in own.latest_checks(&point.tree) {
        if !known.checks.contains(check) {
            events.push(Event::CheckRecorded { check: check.clone() });
        }
    }
    if let Some(review) = own.reviews.last().filter(|review| review.tree == point.tree) {
        events.push(Event::ReviewRecorded { review: review.clone() });
    }
    events
}

/// The run and the children that are open below it, each working for the one before.
pub(crate) async fn open_family(desk: &Desk, run: &RunId) -> Result<Vec<Machine>, Problem> {
    let mut family = vec![machine_of(desk, run).await?];
    while let Some(child) = family.last().and_then(|machine| machine.open_child()).cloned() {
        family.push(machine_of(desk, &child).await?);
    }
    Ok(family)
}

/// Records that the user stopped a run, after nobody works on it or on its children any more. Children end with it, in
/// the same append; a run that waits for it learns of it there too.
pub(crate) async fn cancel(desk: &Arc<Desk>, run: &RunId) -> Result<(), Problem> {
    let mut ends: Vec<NewEvent> = Vec::new();
    let mut below: Option<Machine> = None;
    let mut family = open_family(desk, run).await?;
    family.reverse(); // the deepest ends first
    for machine in family {
        let id = machine.view.id.clone();
        let mut taken = Run::take_up(desk.clone(), id.clone(), CancellationToken::new()).await?;
        taken.end_processes().await.map_err(Problem::from)?;
        if let Some(child) = below.take() {
            let step = child.view.parent.as_ref().map(|parent| parent.step.clone());
            let events = told(&child, &taken.machine, cancelled()).into_iter();
            ends.extend(events.map(|event| NewEvent::of_run(&id, step.as_ref(), event)));
        }
        ends.push(NewEvent::of_run(&id, None, Event::RunFinished { outcome: cancelled() }));
        if id == *run {
            ends.extend(taken.told_to_parent(cancelled()).await.map_err(Problem::from)?);
            return taken.record_with_others(ends).await.map_err(Problem::from);
        }
        below = Some(taken.machine);
    }
    Ok(())
}

fn cancelled() -> Outcome {
    let hint = "Its tree is kept until it is discarded. Your files are untouched.";
    Outcome::Cancelled { problem: Problem::new(Code::Cancelled, "The run was stopped.", hint) }
}

fn too_deep(step: &str) -> Problem {
    Problem::new(
        Code::TooDeep,
        format!("`{step}` would start a run below {DEEPEST} others, which is as deep as runs may call."),
        "Look whether the flows call each other in a circle.",
    )
}

fn child_failed(step: &str, problem: &Problem) -> Problem {
    let mut details = vec![format!("{} [{}]", problem.message, problem.code)];
    details.extend(problem.details.iter().cloned());
    Problem::new(
        Code::ChildFailed,
        format!("The run that was started for `{step}` did not come to a good end."),
        "Look at it with `atelier runs show`; start again with a narrower goal, or discard the run.",
    )
    .with_details(details)
}
