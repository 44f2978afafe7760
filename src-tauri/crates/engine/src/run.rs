//! One run at work: does what its machine says is next, until there is nothing to do.
//!
//! The order is always the same: decide from the recorded state, record the intent, act, record the outcome.
//! A run that stops at any point is taken up by whoever drives it next; nothing lives only in here.

use crate::desk::Desk;
use crate::family;
use crate::flow::{Flow, Kind, Step, Undo};
use crate::loaded::AtWork;
use crate::machine::{Action, Current, Machine};
use crate::prompt;
use crate::record::Unrecorded;
use crate::role::{Deliverable, Role};
use crate::supervisor::disk_full;
use crate::{checks, consent, kept, stack, tools};
use atelier_journal::AppendError;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{
    Actor, Amount, Answer, Ask, EffectOutcome, Event, FailureClass, NewEvent, Outcome, StepResult,
};
use atelier_protocol::ids::{ApprovalId, RunId, Seq, StepId};
use atelier_protocol::mutant::{self, Mutant};
use atelier_protocol::view::{Item, RunState, TurnState};
use atelier_repo::TreeSpec;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Entries of the folder listing in a brief; more are counted.
const BRIEF_FILES: usize = 60;
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

/// Why nobody works on a run any more, and what makes it go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rested {
    /// It came to its end.
    Ended {
        /// The run that waited for it and goes on now.
        wakes: Option<RunId>,
    },
    /// It waits for the user; an answer makes it go on, or that time.
    Waits {
        /// Milliseconds since 1970 UTC.
        until_ms: u64,
        /// When it was looked.
        now_ms: u64,
    },
    /// It waits for another run to end, which is to be worked on.
    Calls {
        /// That run.
        child: RunId,
    },
    /// It rests until somebody resumes it.
    Rests,
    /// It was stopped from outside; nothing of that is recorded.
    Stopped,
    /// The store is somebody else's now, or closed.
    Gone,
    /// The disk is full; it goes on once there is room.
    NoRoom,
}

/// Why work on a run ends before its machine says so.
#[derive(Debug)]
pub enum Halt {
    /// Something outside must be mended; resuming goes on.
    Park(Problem),
    /// It cannot be done.
    Fail(Problem),
    /// The user stopped it.
    Stopped,
    /// The store is somebody else's now, or closed; nothing may be recorded.
    Gone,
    /// The disk is full: nothing can be recorded now.
    NoRoom,
}

impl From<Halt> for Problem {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Park(problem) | Halt::Fail(problem) => problem,
            Halt::Stopped => {
                Problem::new(Code::Cancelled, "The run was stopped.", "Look at it with `atelier runs show`.")
            }
            Halt::Gone => Problem::new(
                Code::OwnerLost,
                "The run ended meanwhile, or another process owns the project now.",
                "Look at it with `atelier runs show`.",
            ),
            Halt::NoRoom => disk_full(),
        }
    }
}

impl From<Problem> for Halt {
    fn from(problem: Problem) -> Self {
        match problem.code {
            Code::OwnerLost => Halt::Gone,
            Code::Cancelled => Halt::Stopped,
            Code::DiskFull => Halt::NoRoom,
            _ => Halt::Park(problem),
        }
    }
}

/// What came of one action.
pub(crate) type Done = Result<(), Halt>;

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

    /// Records that its turn has come, where it waited for one.
    pub(crate) async fn takes_turn(&mut self) -> Done {
        match self.machine.view.state {
            RunState::WaitsForSlot => self.record_in(None, vec![Event::SlotGiven {}]).await,
            _ => Ok(()),
        }
    }

    /// Records events of this run in its current step, all or none, and folds them.
    pub(crate) async fn record(&mut self, events: Vec<Event>) -> Done {
        let step = self.machine.current.as_ref().map(|current| current.step.clone());
        self.record_in(step.as_ref(), events).await
    }

    /// The same in a given step.
    pub(crate) async fn record_in(&mut self, step: Option<&StepId>, events: Vec<Event>) -> Done {
        let new: Vec<NewEvent> = events.into_iter().map(|event| NewEvent::of_run(&self.id, step, event)).collect();
        // The user answered or stopped it meanwhile. What is recorded here happened all the same.
        while !self.record_unless_changed(new.clone()).await? {}
        Ok(())
    }

    /// Records events of this and of other runs, all or none; those of this run are folded.
    pub(crate) async fn record_with_others(&mut self, new: Vec<NewEvent>) -> Done {
        while !self.record_unless_changed(new.clone()).await? {}
        Ok(())
    }

    /// Records events of this run, unless others were recorded since the last look; then those are folded instead, and
    /// the answer is false. What the table of transitions does not allow is a defect and is not recorded.
    async fn record_unless_changed(&mut self, new: Vec<NewEvent>) -> Result<bool, Halt> {
        match self.desk.append_to(&[&self.machine.row], new).await {
            Ok(events) => {
                let before = self.machine.version;
                self.heard_ms = events.last().map(|event| event.at_ms);
                for event in events.iter().filter(|event| event.run.as_ref() == Some(&self.id)) {
                    self.machine.apply(event);
                    self.moved |= matches!(
                        event.event,
                        Event::CheckpointMade { .. }
                            | Event::HandedOver { .. }
                            | Event::RunRebased { .. }
                            | Event::RunFinished { .. }
                    );
                }
                if kept::is_due(before, self.machine.version) {
                    kept::keep(&self.desk.projections, &self.machine).await;
                }
                Ok(true)
            }
            Err(Unrecorded::Refused(refused)) => Err(Halt::Park(defect(&refused.to_string()))),
            Err(Unrecorded::Unread(problem)) => Err(problem.into()),
            Err(Unrecorded::Append(error)) => self.not_appended(error).await,
        }
    }

    async fn not_appended(&mut self, error: AppendError) -> Result<bool, Halt> {
        match error {
            AppendError::Conflict { .. } => {
                self.catch_up().await?;
                if self.machine.view.state.is_final() { Err(Halt::Gone) } else { Ok(false) }
            }
            AppendError::Fenced { .. } | AppendError::Closed => Err(Halt::Gone),
            AppendError::DiskFull => Err(Halt::NoRoom),
            error @ AppendError::TooLarge { .. } => Err(Halt::Park(error.into())),
            error => {
                tracing::error!(run = %self.id, %error, "the history cannot be written");
                // No event can tell of it.
                self.desk.journal.tell_failed(&error.into());
                Err(Halt::Gone)
            }
        }
    }

    pub(crate) async fn catch_up(&mut self) -> Done {
        let events = read_all(&self.desk, &self.id, self.machine.last_seq()).await?;
        events.iter().for_each(|event| self.machine.apply(event));
        Ok(())
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

    /// A model's turn that was under way when its process ended is over, and says so.
    async fn close_open_calls(&mut self) -> Done {
        let mut open = Vec::new();
        for step in &self.machine.view.steps {
            for item in &step.items {
                if let Item::Turn { call, state: TurnState::Open, .. } = item {
                    open.push((step.id.clone(), call.clone()));
                }
            }
        }
        for (step, call) in open {
            let problem = Problem::new(
                Code::Interrupted,
                "The process ended before the model's turn was complete.",
                "The same question is asked again.",
            );
            self.record_in(
                Some(&step),
                vec![Event::CallFailed {
                    call,
                    problem,
                    partial: String::new(),
                    class: Some(FailureClass::RetrySame),
                    used: Amount::default(),
                }],
            )
            .await?;
        }
        Ok(())
    }

    /// Records the outcome of an effect; where it landed, with the events that tell of it. Parks on failure.
    pub(crate) async fn settled(&mut self, key: &str, result: Result<(), Problem>, told: Vec<Event>) -> Done {
        let key = key.to_owned();
        match result {
            Ok(()) => {
                let mut events = vec![Event::EffectSettled { key, outcome: EffectOutcome::Landed }];
                events.extend(told);
                self.record(events).await
            }
            Err(problem) => {
                let outcome = EffectOutcome::NotLanded { problem: Some(problem.clone()) };
                self.record(vec![Event::EffectSettled { key, outcome }]).await?;
                // There was room for that record, so there is for a reason to rest; the user makes room for the effect.
                Err(if problem.code == Code::DiskFull { Halt::Park(problem) } else { Halt::from(problem) })
            }
        }
    }

    async fn begin(&mut self, index: usize, step: StepId) -> Done {
        let definition = self.flow.steps[index].clone();
        // What is handed over is what was checked, so it stays where it is until that is done.
        if definition.kind != Kind::HandOver {
            Box::pin(self.follow_base()).await?;
        }
        if step.round() > self.flow.rounds.saturating_add(self.machine.sent_back) {
            return Err(Halt::Fail(out_of_rounds(&self.machine, self.flow.rounds)));
        }
        let (role, brief) = match &definition.kind {
            Kind::Agent { role, .. } => {
                let Some(role) = self.roles.iter().find(|r| r.id == *role).cloned() else {
                    return Err(Halt::Fail(defect("a flow was accepted with a role that does not exist")));
                };
                let brief = self.brief(&role).await?;
                (Some(role.id), brief)
            }
            _ => (None, String::new()),
        };
        let undo = definition.undo.as_ref().map(Undo::words);
        let started = Event::StepStarted { role, title: definition.title, brief, phase: definition.phase, undo };
        self.record_in(Some(&step), vec![started]).await
    }

    async fn brief(&self, role: &Role) -> Result<String, Halt> {
        let declared = checks::declared(&self.desk.root)?;
        let changed = match &self.machine.view.checkpoint {
            Some(point) if !point.files.is_empty() => {
                point.files.iter().map(|file| format!("- {}\n", file.path)).collect()
            }
            _ => String::new(),
        };
        // A first look at the project; a role that goes on with a change knows it already.
        let first = changed.is_empty() && role.delivers != Deliverable::Review;
        let listing = if first { self.listing() } else { String::new() };
        let parts = prompt::Brief { machine: &self.machine, checks: &declared, listing: &listing, changed: &changed };
        let mut brief = prompt::brief(role, &parts);
        if first {
            brief.push_str(&self.shown_at_first(&brief).await);
        }
        Ok(brief)
    }

    fn listing(&self) -> String {
        let files = self.files();
        let names = tools::files_under(&files, &files);
        let mut text: String = names.iter().take(BRIEF_FILES).map(|name| format!("{name}\n")).collect();
        if names.len() > BRIEF_FILES {
            text.push_str(&format!("({} more)\n", names.len() - BRIEF_FILES));
        }
        text
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

    /// Records a question. Where a grant given with the start answers it, the answer too.
    pub(crate) async fn ask(&mut self, ask: Ask, mut before: Vec<Event>) -> Done {
        let approval = self.desk.sources.approval_id();
        let granted = self.machine.grants.approve.contains(&ask.kind()) && !ask.needs_a_person();
        let answer = match (granted, self.machine.grants.deny_asks) {
            (true, _) => Some((Answer::Approve, "granted with the start of the run")),
            (false, true) => Some((Answer::Reject, "questions are denied for this run")),
            (false, false) => None,
        };
        let expires_at_ms = self.desk.sources.clock.now_ms().saturating_add((self.desk.settings)().approval_timeout_ms);
        let follows = answer.and_then(|(answer, _)| consent::follows(&ask, answer));
        before.push(Event::ApprovalRequested { approval: approval.clone(), ask, expires_at_ms });
        if let Some((answer, note)) = answer {
            before.push(Event::ApprovalSettled { approval, answer, by: Actor::Grant, note: note.to_owned() });
        }
        let step = self.machine.current.as_ref().map(|current| current.step.clone());
        let own = before.into_iter().map(|event| NewEvent::of_run(&self.id, step.as_ref(), event));
        self.record_with_others(own.chain(follows).collect()).await
    }

    pub(crate) async fn end_step(&mut self, mut before: Vec<Event>, result: StepResult) -> Done {
        before.push(Event::StepFinished { result });
        self.record(before).await
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

/// The last thing that sent work back decides what kind of failure it is.
fn out_of_rounds(machine: &Machine, rounds: u32) -> Problem {
    let (step, reason) = match &machine.ended {
        Some((step, StepResult::SentBack { reason })) => (step.name(), reason.as_str()),
        _ => ("", ""),
    };
    let checked = machine.view.checkpoint.as_ref().map(|point| machine.view.checks_of(&point.tree));
    let failed = checked == Some(atelier_protocol::event::ChecksVerdict::Failed);
    let code = if failed { Code::ChecksFailed } else { Code::ReviewRejected };
    Problem::new(
        code,
        match rounds {
            1 => format!("`{step}` sent the work back. Your files are untouched."),
            rounds => format!("`{step}` sent the work back {rounds} times. Your files are untouched."),
        },
        "Look at the run's changes and checks; start again with a narrower goal, or discard it.",
    )
    .with_details([reason.to_owned()])
}
