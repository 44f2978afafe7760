//! Follows a run until it ends, waits for the user, or must be mended.

use crate::out::{End, Finished, Out, unexpected};
use crate::story;
use atelier_engine::Project;
use atelier_protocol::RunId;
use atelier_protocol::error::{Code, ExitClass, Problem};
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Frame, Op, Reply};
use atelier_protocol::view::{RunState, RunView};
use serde_json::json;

/// Follows `run`, telling what happens after `told`, and gives the end that its state means.
pub async fn follow(project: &Project, run: &RunId, told: Seq, out: &Out) -> End {
    let first = match project.submit(Op::ReadEvents { run: Some(run.clone()), after: Seq::ZERO, limit: 1 }).await? {
        Reply::Events(events) => events.into_iter().next().ok_or_else(unexpected)?,
        _ => return Err(unexpected()),
    };
    let mut frames = project.follow(Seq(first.seq.0 - 1));
    let mut view: Option<RunView> = None;
    let mut live = false;
    loop {
        let frame = tokio::select! {
            frame = frames.recv() => frame,
            _ = tokio::signal::ctrl_c() => return Err(left(project, run)),
        };
        let Some(frame) = frame else { break };
        match frame {
            Frame::Event(event) if event.run.as_ref() == Some(run) => {
                if event.seq > told {
                    out.line("event", &event);
                    if let Some(text) = story::line(&event.event) {
                        out.say(text);
                    }
                }
                match &mut view {
                    Some(view) => view.apply(&event),
                    None => view = RunView::start(&event),
                }
            }
            Frame::CaughtUp(_) => live = true,
            Frame::Draft(draft) if draft.run == *run => out.line("progress", &draft),
            Frame::Lost(problem) => return Err(problem),
            Frame::Event(_) | Frame::Draft(_) => {}
            Frame::Owner { epoch, mine } => {
                live = false;
                out.line("progress", &json!({"owner": {"epoch": epoch, "mine": mine}}));
            }
        }
        if live
            && let Some(view) = &view
            && settled(project, view).await?
            && let Some(end) = end_of(view, out)
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

/// The end that a run's state means for a command; `None` while it goes on by itself.
fn end_of(view: &RunView, out: &Out) -> Option<End> {
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
            out.say(format!(
                "\nwaits for you: answer with `atelier approvals approve {0}` or `reject {0}`, then `atelier runs resume {1}`",
                asked.id, view.id
            ));
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
                out.say(format!("\nparked: nothing is lost; go on with `atelier runs resume {}`", view.id));
            }
            Err(problem)
        }
        RunState::Interrupted => Err(Problem::new(
            Code::Interrupted,
            format!("Run {} was interrupted.", view.id),
            format!("Go on with `atelier runs resume {}`.", view.id),
        )),
    })
}
