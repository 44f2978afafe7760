//! What the victim does: a whole small job, or the rest of one that was cut off. It tells its parent what it was told.
//!
//! `ack SEQ HASH` is an event that was seen as committed, `run ID`, `accepted COMMIT` and `discarded` are answers to ops;
//! `end STATE` is the state the run came to rest in, `problem CODE TEXT` an end without one. What stands on a line was
//! acknowledged and may never be lost.

use crate::world::{goal_by, rests};
use atelier_engine::Project;
use atelier_protocol::RunId;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::Answer;
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Frame, Op, Reply};
use atelier_protocol::view::{Disposition, RunState, RunView};

/// Names the flow that a job follows; without it the project's.
pub const FLOW: &str = "VICTIM_FLOW";

/// What the user does with the run's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Takes it.
    Accept,
    /// Throws it away.
    Discard,
}

/// Prints one line to whoever started this process.
#[expect(clippy::print_stdout, reason = "it talks to its parent")]
pub fn say(line: impl std::fmt::Display) {
    println!("{line}");
}

/// Tells every event from the first on as it is seen, for as long as the project is open.
pub fn acknowledge(project: &Project) {
    let mut frames = project.follow(Seq::ZERO);
    tokio::spawn(async move {
        while let Some(frame) = frames.recv().await {
            if let Frame::Event(event) = frame {
                say(format_args!("ack {} {}", event.seq, event.payload_hash));
            }
        }
    });
}

/// Starts a run and brings it to its end.
pub async fn start(project: &Project, ending: Ending) -> Result<(), Problem> {
    let Reply::Run(run) = project.submit(goal_by(true, std::env::var(FLOW).ok())).await? else { return Err(odd()) };
    say(format_args!("run {run}"));
    finish(project, &run, ending).await
}

/// Goes on with what is there, as a user does after a crash; starts anew where nothing was begun.
pub async fn resume(project: &Project, ending: Ending) -> Result<(), Problem> {
    let list = Op::ListRuns { states: Vec::new(), limit: None };
    let Reply::Runs(runs) = project.submit(list).await? else { return Err(odd()) };
    let mut any = false;
    for listed in runs {
        let Reply::RunView(view) = project.submit(Op::ShowRun { run: listed.id.clone(), at: None }).await? else {
            return Err(odd());
        };
        if view.parent.is_some() {
            continue; // its parent goes on with it
        }
        any = true;
        if !view.state.is_final() {
            project.submit(Op::ResumeRun { run: listed.id.clone() }).await?;
        }
        finish(project, &listed.id, ending).await?;
    }
    if any { Ok(()) } else { start(project, ending).await }
}

async fn finish(project: &Project, run: &RunId, ending: Ending) -> Result<(), Problem> {
    let mut view = at_rest(project, run).await?;
    // Where nothing could confine a command, the user is asked, and says yes.
    while let Some(asked) = view.pending_approval().filter(|_| view.state.waits_for_user()) {
        let (approval, answer, note) = (asked.id.clone(), Answer::Approve, String::new());
        project.submit(Op::SettleApproval { approval, answer, note }).await?;
        let _ = project.submit(Op::ResumeRun { run: run.clone() }).await; // the answer alone may do
        view = at_rest(project, run).await?;
    }
    if view.state != RunState::Done {
        say(format_args!("end {:?}", view.state));
        return Err(view.problem.unwrap_or_else(odd));
    }
    if view.disposition == Disposition::Pending {
        match ending {
            Ending::Accept => {
                let Reply::Accepted { commit, .. } = project.submit(Op::AcceptRun { run: run.clone() }).await? else {
                    return Err(odd());
                };
                say(format_args!("accepted {commit}"));
            }
            Ending::Discard => {
                project.submit(Op::DiscardRun { run: run.clone(), anyway: false }).await?;
                say("discarded");
            }
        }
    }
    say(format_args!("end {:?}", view.state));
    Ok(())
}

async fn at_rest(project: &Project, run: &RunId) -> Result<RunView, Problem> {
    let mut frames = project.follow(Seq::ZERO);
    let mut live = false;
    loop {
        match frames.recv().await {
            Some(Frame::CaughtUp(_)) => live = true,
            Some(Frame::Event(event)) if event.run.as_ref() == Some(run) => {}
            Some(Frame::Lost(problem)) => return Err(problem),
            Some(_) => continue,
            None => return Err(odd()),
        }
        if !live {
            continue;
        }
        let Reply::RunView(view) = project.submit(Op::ShowRun { run: run.clone(), at: None }).await? else {
            return Err(odd());
        };
        if rests(&view) {
            return Ok(*view);
        }
    }
}

fn odd() -> Problem {
    Problem::new(Code::Internal, "The engine answered something else than was asked.", "Please report this.")
}
