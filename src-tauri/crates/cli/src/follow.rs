//! Follows a run until it ends, waits for the user, or must be mended. Runs that work for it are followed with it: what
//! they wait for, it waits for.

use crate::out::{End, Finished, Out, unexpected};
use crate::story;
use atelier_engine::Project;
use atelier_protocol::RunId;
use atelier_protocol::error::{Code, ExitClass, Problem};
use atelier_protocol::event::{Ask, Envelope};
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Frame, Op, Reply};
use atelier_protocol::view::{RunState, RunView};
use serde_json::json;
use std::collections::BTreeMap;

/// Follows `run`, telling what happens after `told`, and gives the end that its state means.
pub async fn follow(project: &Project, run: &RunId, told: Seq, out: &Out) -> End {
    let first = match project.submit(Op::ReadEvents { run: Some(run.clone()), after: Seq::ZERO, limit: 1 }).await? {
        Reply::Events(events) => events.into_iter().next().ok_or_else(unexpected)?,
        _ => return Err(unexpected()),
    };
    let mut frames = project.follow(Seq(first.seq.0 - 1));
    let mut family = Family::default();
    let mut live = false;
    loop {
        let frame = tokio::select! {
            frame = frames.recv() => frame,
            _ = tokio::signal::ctrl_c() => return Err(left(project, run)),
        };
        let Some(frame) = frame else { break };
        match frame {
            Frame::Event(event) if family.takes(run, &event) => {
                if event.seq > told {
                    out.line("event", &event);
                    if let Some(text) = story::line(&event.event) {
                        out.say(text);
                    }
                }
            }
            Frame::CaughtUp(_) => live = true,
            Frame::Draft(draft) if family.views.contains_key(&draft.run) => out.line("progress", &draft),
            Frame::Lost(problem) => return Err(problem),
            Frame::Event(_) | Frame::Draft(_) => continue,
            Frame::Owner { epoch, mine } => {
                live = false;
                out.line("progress", &json!({"owner": {"epoch": epoch, "mine": mine}}));
            }
        }
        if live
            && let Some(view) = family.at_work(run)
            && settled(project, view).await?
            && let Some(end) = end_of(view, run, out)
        {
            return end;
        }
    }
    Err(Problem::new(
        Code::OwnerLost,
        "The project was closed while the run was followed.",
        "Run `atelier runs resume`.",
    ))
}

/// A run and those that work for it.
#[derive(Default)]
struct Family {
    views: BTreeMap<RunId, RunView>,
}

impl Family {
    /// Folds an event where it is of this family.
    fn takes(&mut self, top: &RunId, event: &Envelope) -> bool {
        let Some(run) = &event.run else { return false };
        if let Some(view) = self.views.get_mut(run) {
            view.apply(event);
            return true;
        }
        let begun = RunView::start(event)
            .filter(|view| run == top || view.parent.as_ref().is_some_and(|p| self.views.contains_key(&p.run)));
        begun.map(|view| self.views.insert(run.clone(), view)).is_some()
    }

    /// The run that the others wait for.
    fn at_work(&self, top: &RunId) -> Option<&RunView> {
        let mut view = self.views.get(top)?;
        while view.state == RunState::WaitsForChild {
            let child = view.children.iter().find(|child| child.outcome.is_none())?;
            view = self.views.get(&child.run)?;
        }
        Some(view)
    }
}

/// The user pressed Ctrl-C: nothing is lost, and what goes on depends on whose run it is.
fn left(project: &Project, run: &RunId) -> Problem {
    if project.owns() {
        let hint = format!("Go on with `atelier runs resume {run}`, or end it with `atelier runs cancel {run}`.");
        return Problem::new(Code::Cancelled, "Stopped. What was done so far is kept.", hint);
    }
    let hint = format!("Stop it with `atelier runs cancel {run}`, or look at it with `atelier runs show {run}`.");
    Problem::new(Code::Cancelled, "No longer following; the run goes on in the window or command that owns it.", hint)
}

/// Whether a question that seems open is: one that a grant answers is asked and answered in one append, but told in
/// two frames.
async fn settled(project: &Project, view: &RunView) -> Result<bool, Problem> {
    if !view.state.waits_for_user() {
        return Ok(true);
    }
    match project.submit(Op::ShowRun { run: view.id.clone(), at: None }).await? {
        Reply::RunView(now) => Ok(now.state.waits_for_user()),
        _ => Err(unexpected()),
    }
}

/// The end that a run's state means for a command that follows `top`; `None` while it goes on by itself.
fn end_of(view: &RunView, top: &RunId, out: &Out) -> Option<End> {
    if view.id != *top && view.state.is_final() {
        return None; // whoever waits for it goes on
    }
    let result = |class| Ok(Finished { value: json!({"run": view}), class });
    Some(match view.state {
        RunState::Created
        | RunState::Planning
        | RunState::Running
        | RunState::WaitsForSlot
        | RunState::WaitsForChild
        | RunState::Compensating => return None,
        RunState::WaitsForApproval | RunState::WaitsForAnswer | RunState::WaitsForBudget => {
            let asked = view.pending_approval()?;
            let how = match asked.ask {
                Ask::Question { .. } => format!("answer with `atelier answer TEXT --id {}`", asked.id),
                _ => format!("answer with `atelier approvals approve {0}` or `reject {0}`", asked.id),
            };
            let whose = if view.id == *top { String::new() } else { format!(" (its child run {} asks)", view.id) };
            out.say(format!("\nwaits for you{whose}: {how}, then `atelier runs resume {top}`"));
            Ok(Finished { value: json!({"run": view, "pending": [asked.id]}), class: ExitClass::NeedsAnswer })
        }
        RunState::Done => {
            out.say(format!(
                "{}\naccept with `atelier runs accept {1}`, or `discard {1}`",
                story::cost(&view.cost),
                view.id
            ));
            result(ExitClass::Done)
        }
        RunState::Parked | RunState::Indeterminate | RunState::Failed | RunState::Cancelled => {
            let problem = view.problem.clone()?;
            if view.state.rests() {
                out.say(format!("\nparked: nothing is lost; go on with `atelier runs resume {top}`"));
            }
            Err(problem)
        }
        RunState::Interrupted => Err(Problem::new(
            Code::Interrupted,
            format!("Run {} was interrupted.", view.id),
            format!("Go on with `atelier runs resume {top}`."),
        )),
    })
}
