//! One run at work: does what its machine says is next, until there is nothing to do.
//!
//! The order is always the same: decide from the recorded state, record the intent, act, record the outcome.
//! A run that stops at any point is taken up by whoever drives it next; nothing lives only in here.

use crate::desk::Desk;
use crate::family;
use crate::flow::{Flow, Kind, Step};
use crate::loaded::AtWork;
use crate::machine::{Action, Current, Machine};
use crate::role::Role;
use crate::{kept, stack};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Actor, Answer, Event, NewEvent, Outcome, StepResult};
use atelier_protocol::ids::{ApprovalId, RunId, Seq};
use atelier_protocol::mutant::{self, Mutant};
use atelier_repo::TreeSpec;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

mod begin;
mod halt;
mod recording;

pub(crate) use halt::Done;
pub use halt::{Halt, Rested};

/// Events read at once when catching up.
const PAGE: usize = 1000;

/// A run at work.
pub struct Run {
    pub(crate) desk: Arc<Desk>,
    pub(crate) id: RunId,
    pub(crate) machine: Machine,
    pub(crate) flow: Arc<Flow>,
    pub(crate) roles: Arc<Vec<Role>>,
    pub(crate) stop: CancellationToken,
    /// The time of the last event that was recorded here: no clock is read where that is now.
    heard_ms: Option<u64>,
    /// Whether what stands on it has to follow.
    moved: bool,
    /// What it uses of servers of this machine ends with it.
    _at_work: AtWork,
}

impl Run {
    /// Takes up the run `id` from its recorded events.
    pub async fn take_up(desk: Arc<Desk>, id: RunId, stop: CancellationToken) -> Result<Run, Problem> {
        let machine = machine_of(&desk, &id).await?;
        let roles = desk.roles()?;
        let flow = desk.flow_of(&machine.view.flow, &roles).await?;
        let at_work = desk.loaded.at_work(&id);
        Ok(Run { desk, id, machine, flow, roles, stop, heard_ms: None, moved: false, _at_work: at_work })
    }

    /// The run.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// Works until there is nothing to do now, and says what makes it go on.
    pub async fn drive(mut self) -> Rested {
        match self.pick_up().await {
            Err(Halt::Gone) => return Rested::Gone,
            Err(Halt::NoRoom) => return Rested::NoRoom,
            _ => {}
        }
        loop {
            if std::mem::take(&mut self.moved) {
                stack::moved(&self.desk, &self.machine.view);
            }
            if self.stop.is_cancelled() {
                return Rested::Stopped;
            }
            let done = match self.machine.next(&self.flow) {
                Action::Stop => {
                    let wakes = self.machine.view.parent.as_ref().map(|parent| parent.run.clone());
                    return Rested::Ended { wakes };
                }
                Action::Rest => return Rested::Rests,
                Action::Await { child } => return Rested::Calls { child },
                Action::Wait { approval, expires_at_ms } => match self.waited(approval, expires_at_ms).await {
                    Ok(Some(now_ms)) => return Rested::Waits { until_ms: expires_at_ms, now_ms },
                    Ok(None) => Ok(()),
                    Err(halt) => Err(halt),
                },
                Action::Fail { problem } => Err(Halt::Fail(problem)),
                action => self.perform(action).await,
            };
            let done = match done {
                Err(Halt::Fail(problem)) => self.fail(problem).await,
                done => done,
            };
            let last = match done {
                Ok(()) => continue,
                Err(Halt::Gone) => return Rested::Gone,
                Err(Halt::NoRoom) => return Rested::NoRoom,
                Err(Halt::Stopped) => return Rested::Stopped,
                Err(Halt::Park(problem) | Halt::Fail(problem)) => self.park(problem).await,
            };
            if let Err(halt) = last {
                if matches!(halt, Halt::NoRoom) {
                    return Rested::NoRoom;
                }
                tracing::warn!(run = %self.id, "that the run rests could not be recorded; the next owner takes it up");
                return Rested::Gone;
            }
        }
    }

    /// Rests with what is wrong. Who waits for this run is told so in the same act.
    async fn park(&mut self, problem: Problem) -> Done {
        let step = self.machine.current.as_ref().map(|current| current.step.clone());
        let told = self.machine.view.parent.as_ref().map(|parent| {
            let problem = family::rests_with(&self.id, &problem);
            NewEvent::of_run(&parent.run, Some(&parent.step), Event::Noticed { problem })
        });
        let parked = NewEvent::of_run(&self.id, step.as_ref(), Event::RunParked { problem });
        self.record_with_others([parked].into_iter().chain(told).collect()).await
    }

    /// What the end of the process that worked on it before left behind.
    async fn pick_up(&mut self) -> Done {
        if self.machine.view.state.is_final() {
            return Ok(());
        }
        self.close_open_calls().await?;
        // A fork has nowhere to run a process before its tree is there.
        let nowhere = self.machine.view.state.rests() || self.machine.forks_tree();
        if nowhere { Ok(()) } else { self.start_again().await }
    }

    async fn perform(&mut self, action: Action) -> Done {
        match action {
            Action::Stop | Action::Rest | Action::Wait { .. } | Action::Await { .. } => Ok(()),
            Action::Fail { problem } => Err(Halt::Fail(problem)),
            Action::Settle { key } => self.settle(&key).await,
            Action::MakeTree => self.make_tree().await,
            Action::Begin { index, step } => self.begin(index, step).await,
            Action::AskModel => self.ask_model().await,
            Action::CallTool { call } => self.call_tool(call).await,
            Action::Conclude { text } => self.conclude(&text).await,
            Action::EndAgentStep => self.end_agent_step().await,
            Action::Check => self.run_checks().await,
            Action::AskHandOver => self.ask_hand_over().await,
            Action::HandOverAnswered { answer } => self.hand_over_answered(answer).await,
            Action::HandOver => self.hand_over().await,
            Action::RunScript => self.run_script().await,
            Action::StartService => self.start_service().await,
            Action::PutTask => self.put_task().await,
            Action::AskQuestion => self.ask_question().await,
            Action::QuestionAnswered { said } => self.question_answered(&said).await,
            Action::Call => self.call_child().await,
            Action::ChildEnded { outcome } => self.child_ended(outcome).await,
            Action::Undo { done } => self.undo(&done).await,
            Action::Finish { outcome } => self.finish(outcome).await,
        }
    }

    /// The current step, which every action within a step has.
    pub(crate) fn current(&self) -> Result<(&Current, &Step), Halt> {
        let current = self.machine.current.as_ref();
        let found =
            current.and_then(|c| Machine::index_of(&self.flow, &c.step).map(|index| (c, &self.flow.steps[index])));
        found.ok_or_else(|| Halt::Fail(defect("an action of a step was taken outside any step")))
    }

    /// The role of the current step.
    pub(crate) fn role(&self) -> Result<&Role, Halt> {
        let (_, step) = self.current()?;
        let Kind::Agent { role, .. } = &step.kind else {
            return Err(Halt::Fail(defect("a step without a role acted for one")));
        };
        self.roles.iter().find(|r| r.id == *role).ok_or_else(|| {
            Halt::Park(Problem::new(
                Code::RoleInvalid,
                format!("The role `{role}` of this run no longer exists."),
                "Put its file back and resume the run.",
            ))
        })
    }

    /// Where files are read: the run's tree once it exists, before that the user's folder.
    pub(crate) fn files(&self) -> PathBuf {
        if self.machine.tree_made { self.tree_dir().join("tree") } else { self.desk.root.clone() }
    }

    /// The run whose tree it works in: a child works in that of the run at the top.
    pub(crate) fn tree_run(&self) -> &RunId {
        self.machine.view.parent.as_ref().map_or(&self.id, |parent| &parent.root)
    }

    pub(crate) fn tree_dir(&self) -> PathBuf {
        self.desk.places.tree(&self.desk.project, self.tree_run())
    }

    pub(crate) async fn tree_spec(&self) -> Result<TreeSpec, Problem> {
        let (run, base) = (self.id.clone(), self.machine.view.base.commit.clone());
        Ok(TreeSpec { run, dir: self.tree_dir(), base, provide: self.desk.provided().await? })
    }

    /// The time, where the question is still open; one whose time is over is answered no.
    async fn waited(&mut self, approval: ApprovalId, expires_at_ms: u64) -> Result<Option<u64>, Halt> {
        let now_ms = self.heard_ms.unwrap_or_else(|| self.desk.sources.clock.now_ms());
        if now_ms < expires_at_ms {
            return Ok(Some(now_ms));
        }
        let note = "nobody answered in time".to_owned();
        let settled = Event::ApprovalSettled { approval, answer: Answer::Reject, by: Actor::Timeout, note };
        let step = self.machine.current.as_ref().map(|current| current.step.clone());
        // An answer that came in between is the one that counts.
        self.record_unless_changed(vec![NewEvent::of_run(&self.id, step.as_ref(), settled)]).await?;
        Ok(None)
    }

    /// Records the end. What still runs for it is ended first; a run that waits for it learns of it in the same append.
    pub(crate) async fn finish(&mut self, outcome: Outcome) -> Done {
        self.end_processes().await?;
        let mut events = vec![NewEvent::of_run(&self.id, None, Event::RunFinished { outcome: outcome.clone() })];
        let told = self.told_to_parent(outcome).await?;
        if mutant::is(Mutant::ChildEndAlone) && !told.is_empty() {
            self.record_with_others(std::mem::take(&mut events)).await?;
        }
        events.extend(told);
        self.record_with_others(events).await
    }

    /// It cannot be done. Where steps declare how they are undone, that begins; else it ends here. What cannot be undone
    /// parks the run with what is left.
    async fn fail(&mut self, problem: Problem) -> Done {
        if self.machine.view.compensating.is_some() {
            let left = self.machine.done.iter().rev().filter(|done| !done.undone);
            let left: Vec<String> = left.map(|done| format!("not undone yet: {}", done.step)).collect();
            return Err(Halt::Park(problem.with_details(left)));
        }
        if self.machine.done.is_empty() {
            return self.finish(Outcome::Failed { problem }).await;
        }
        let mut events = Vec::new();
        if self.machine.current.is_some() {
            events.push(Event::StepFinished { result: StepResult::Failed { problem: problem.clone() } });
        }
        events.push(Event::CompensationStarted { problem });
        self.record(events).await
    }
}

/// All events of a run after `after`.
pub(crate) async fn read_all(
    desk: &Desk,
    run: &RunId,
    mut after: Seq,
) -> Result<Vec<atelier_protocol::Envelope>, Problem> {
    let mut all = Vec::new();
    loop {
        let page = desk.journal.read(Some(run), after, PAGE).await?;
        let full = page.len() == PAGE;
        all.extend(page);
        match all.last() {
            Some(last) if full => after = last.seq,
            _ => return Ok(all),
        }
    }
}

/// The state of a run.
pub(crate) async fn machine_of(desk: &Desk, run: &RunId) -> Result<Machine, Problem> {
    kept::machine_of(&desk.journal, &desk.projections, run).await
}

/// There is no such run.
pub(crate) fn unknown(run: &RunId) -> Problem {
    Problem::new(
        Code::UnknownRun,
        format!("There is no run {run} in this project."),
        "List the runs with `atelier runs list`.",
    )
}

/// A state that our own rules exclude.
pub(crate) fn defect(what: &str) -> Problem {
    Problem::new(
        Code::Internal,
        format!("A rule of Atelier itself was broken: {what}."),
        "Please report this with the run's events.",
    )
}
