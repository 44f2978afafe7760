//! The owner of a project's store: performs the ops that doors and guests submit.

use crate::bus::Bus;
use crate::desk::Desk;
use crate::machine::Machine;
use crate::objects::Tell;
use crate::run::{read_all, unknown};
use crate::supervisor::Supervisor;
use crate::{accept, checks, family, role, servers};
use atelier_journal::OpHandler;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Actor, Answer, Event, Grants, NewEvent, Priority};
use atelier_protocol::hash::Hash;
use atelier_protocol::ids::{ApprovalId, RunId, Seq};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::ModelChoice;
use atelier_protocol::view::{ApprovalView, Disposition, ProjectView, RunState, RunSummary, RunView};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Events that one answer holds at most.
const MOST_EVENTS: u32 = 10_000;
/// Questions to the index that one request may hold.
const MOST_QUERIES: usize = 1_000;

/// What happens to runs that a former owner left at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// They are marked as interrupted and wait for a resume.
    Mark,
    /// They go on at once.
    Resume,
}

/// The owner's side of a project.
pub(crate) struct ProjectOwner {
    desk: Arc<Desk>,
    supervisor: Supervisor,
    /// Whether this process stays to look after waiting runs, or goes after one command.
    attends: bool,
    /// Messages and jobs.
    bus: Bus,
    /// One accept, discard or resume at a time: what is open when another looks is then left over from a crash, never
    /// at work.
    deciding: Mutex<()>,
}

impl ProjectOwner {
    /// Takes over a project: settles what was left open, and marks or resumes what was at work.
    pub(crate) async fn take_over(desk: Arc<Desk>, recovery: Recovery, attends: bool) -> Result<Self, Problem> {
        let bus = Bus::take_over(&desk, attends).await?;
        let owner = Self { desk, supervisor: Supervisor::default(), attends, bus, deciding: Mutex::default() };
        for run in owner.desk.journal.runs().await? {
            let view = owner.view(&run).await?;
            if view.state.is_final() {
                if view.disposition == Disposition::Pending
                    && let Err(problem) = accept::recover(&owner.desk, &run).await
                {
                    owner.tell(&run, Event::Noticed { problem }).await?;
                }
                continue;
            }
            let epoch = owner.desk.journal.epoch();
            if view.state.is_at_work() {
                owner.tell(&run, Event::RunInterrupted { epoch }).await?;
            }
            if recovery == Recovery::Resume && (view.state.is_at_work() || view.state == RunState::Interrupted) {
                owner.tell(&run, Event::RunResumed { by: Actor::Owner, epoch }).await?;
            }
            let goes_on = match view.state {
                RunState::Interrupted => recovery == Recovery::Resume,
                state if state.is_at_work() => recovery == Recovery::Resume,
                state if state.rests() => false,
                _ => attends || recovery == Recovery::Resume,
            };
            if goes_on && let Err(problem) = owner.attend(&run).await {
                tracing::warn!(%run, %problem, "a run could not be taken up");
            }
        }
        Ok(owner)
    }

    async fn perform(&self, op: Op) -> Result<Reply, Problem> {
        match op {
            Op::StartRun { goal, model, approve, deny_asks, flow, priority, budget_tokens } => {
                self.start(goal, model, Grants { approve, deny_asks }, flow, priority, budget_tokens).await
            }
            Op::ResumeRun { run } => self.resume(run).await,
            Op::CancelRun { run } => self.cancel(&run).await,
            Op::SettleApproval { approval, answer, note } => self.settle(&approval, answer, note).await,
            Op::AcceptRun { run } => {
                let _alone = self.deciding.lock().await;
                accept::accept(&self.desk, &run).await
            }
            Op::DiscardRun { run, anyway } => {
                let _alone = self.deciding.lock().await;
                accept::discard(&self.desk, &run, &|| self.supervisor.is_live(&run), anyway).await
            }
            Op::ListRuns => Ok(Reply::Runs(self.list().await?)),
            Op::ShowRun { run, at: _ } => Ok(Reply::RunView(Box::new(self.view(&run).await?))),
            Op::ReadEvents { run, after, limit } => {
                let limit = limit.min(MOST_EVENTS) as usize;
                Ok(Reply::Events(self.desk.journal.read(run.as_ref(), after, limit).await?))
            }
            Op::ListApprovals => Ok(Reply::Approvals(self.pending().await?)),
            Op::ShowDiff { run } => Ok(Reply::Diff(accept::diff(&self.desk, &run).await?)),
            Op::ReadBlob { hash } => self.blob(&hash).await,
            Op::RefreshIndex => Ok(Reply::Index(self.desk.refresh_index().await?)),
            Op::ShowIndex => Ok(Reply::Index(self.desk.index_state().await?)),
            Op::Search { query, limit } => self.search(&query, limit).await,
            Op::SearchAll { queries, limit, kinds } => {
                if queries.len() > MOST_QUERIES {
                    return Err(Problem::new(
                        Code::BadArgument,
                        format!("{} questions at once are too many.", queries.len()),
                        format!("Ask at most {MOST_QUERIES} at a time."),
                    ));
                }
                self.desk.refresh_index().await?;
                Ok(Reply::Found(self.desk.find(queries, limit, kinds).await?))
            }
            Op::Export { run, format, to } => accept::export(&self.desk, run.as_ref(), format, &to).await,
            Op::ShowProject => Ok(Reply::Project(self.project().await?)),
            Op::ShowSettings => Ok(Reply::Settings((self.desk.settings)())),
            Op::ListModels => {
                let (http, clock) = (&self.desk.http, &self.desk.sources.clock);
                Ok(Reply::Models(servers::describe(&(self.desk.settings)(), http, clock).await))
            }
            Op::ForkRun { .. } => Err(unanswered("fork_run")),
            Op::HashState { .. } | Op::CheckStore | Op::BackUpStore { .. } | Op::PruneStore => {
                Err(unanswered("the state of the store"))
            }
            op @ (Op::PostMessage { .. }
            | Op::ReadMessages { .. }
            | Op::NextLetter { .. }
            | Op::TakeLetter { .. }
            | Op::ListTopics
            | Op::ListDead
            | Op::ReplayDead { .. }
            | Op::ReplayRange { .. }
            | Op::QueueJob { .. }
            | Op::ListJobs
            | Op::WorkOff
            | Op::CancelJob { .. }) => self.bus.perform(op).await,
            Op::TellObject { object, handler, arguments, version } => {
                let tell = Tell { object, handler, arguments, by: "user".to_owned(), version };
                Ok(Reply::Object(Box::new(self.desk.objects.tell(tell).await?)))
            }
            Op::ShowObject { object, at } => Ok(Reply::Object(Box::new(self.desk.objects.show(&object, at).await?))),
            Op::ListObjects => Ok(Reply::Objects(self.desk.objects.list().await?)),
            Op::ChangeSettings { .. } | Op::EnrolProject { .. } | Op::ListProjects | Op::RecordEgress { .. } => {
                Err(Problem::new(
                    Code::BadArgument,
                    "That is asked of the workshop, not of a project.",
                    "Send it without a project.",
                ))
            }
        }
    }

    async fn start(
        &self,
        goal: String,
        model: Option<ModelChoice>,
        grants: Grants,
        flow: Option<String>,
        priority: Priority,
        budget_tokens: Option<u64>,
    ) -> Result<Reply, Problem> {
        if goal.trim().is_empty() {
            return Err(Problem::new(
                Code::EmptyGoal,
                "The goal is empty.",
                "Say in a sentence what should be different.",
            ));
        }
        let roles = self.desk.roles()?;
        let (flow, text) = self.desk.flow(flow.as_deref(), &roles)?;
        checks::declared(&self.desk.root)?;
        let read = |repo: &atelier_repo::UserRepo| {
            Ok((repo.base().map_err(|e| e.problem())?, repo.left_out().map_err(|e| e.problem())?))
        };
        let (base, left_out) = self.desk.with_repo(read).await?;
        self.desk.journal.put_blob(text.into_bytes()).await?;
        let run = self.desk.sources.run_id();
        let started = Event::RunStarted {
            goal: goal.trim().to_owned(),
            flow: flow.reference(),
            base,
            model,
            grants,
            parent: None,
            forked: None,
            priority,
            budget_tokens,
        };
        let notices = left_out.into_iter().map(|problem| Event::Noticed { problem });
        let events = std::iter::once(started).chain(notices).map(|event| NewEvent::of_run(&run, None, event)).collect();
        self.desk.append(None, events).await?;
        self.attend(&run).await?;
        Ok(Reply::Run(run))
    }

    /// Works on a run. One that cannot be taken up, such as for a role file that is wrong now, is parked with the reason.
    async fn attend(&self, run: &RunId) -> Result<(), Problem> {
        let attended = self.supervisor.attend(&self.desk, run).await;
        if let Err(problem) = &attended {
            self.tell(run, Event::RunParked { problem: problem.clone() }).await?;
        }
        attended
    }

    async fn resume(&self, run: RunId) -> Result<Reply, Problem> {
        let _alone = self.deciding.lock().await;
        let view = self.view(&run).await?;
        if view.state.is_final() {
            return Err(Problem::new(
                Code::WrongState,
                format!("Run {run} has ended; it cannot be resumed."),
                "Look at it with `atelier runs show`, or start a new run.",
            ));
        }
        if self.supervisor.is_live(&run) {
            if !view.state.rests() {
                return Ok(Reply::Run(run));
            }
            self.supervisor.forget(&run); // that it rests was the last thing its task had to record
        }
        let epoch = self.desk.journal.epoch();
        self.tell(&run, Event::RunResumed { by: Actor::User, epoch }).await?;
        // A run that waits for a child goes on with it.
        for below in family::open_family(&self.desk, &run).await?.into_iter().skip(1) {
            if below.view.state.rests() {
                self.supervisor.forget(&below.view.id);
                self.tell(&below.view.id, Event::RunResumed { by: Actor::User, epoch }).await?;
            }
        }
        self.attend(&run).await?;
        Ok(Reply::Run(run))
    }

    async fn cancel(&self, run: &RunId) -> Result<Reply, Problem> {
        let view = self.view(run).await?;
        if view.state.is_final() {
            return Err(Problem::new(
                Code::WrongState,
                format!("Run {run} has ended already."),
                "Accept or discard its result.",
            ));
        }
        let open: Vec<RunId> =
            family::open_family(&self.desk, run).await?.into_iter().map(|machine| machine.view.id).collect();
        for one in open.iter().rev() {
            self.supervisor.stop(one).await;
        }
        // It may have come to its end before it heard of the stop.
        let view = self.view(run).await?;
        if !view.state.is_final() {
            family::cancel(&self.desk, run).await?;
        }
        if let Some(parent) = view.parent {
            self.supervisor.wake(&parent.run);
        }
        Ok(Reply::Done)
    }

    async fn settle(&self, approval: &ApprovalId, answer: Answer, note: String) -> Result<Reply, Problem> {
        let asked = self.pending().await?.into_iter().find(|asked| asked.id == *approval).ok_or_else(|| {
            Problem::new(
                Code::UnknownApproval,
                format!("No open question has the id {approval}."),
                "List the open ones with `atelier approvals list`.",
            )
        })?;
        let late = asked.expires_at_ms <= self.desk.sources.clock.now_ms();
        let (answer, by, note) = match late {
            true => (Answer::Reject, Actor::Timeout, "nobody answered in time".to_owned()),
            false => (answer, Actor::User, note),
        };
        let settled = Event::ApprovalSettled { approval: approval.clone(), answer, by, note };
        // Two doors may answer at once: the first is recorded, the second finds nothing open.
        let events = read_all(&self.desk, &asked.run, Seq::ZERO).await?;
        let version = events.len() as u64;
        if Machine::of(&events).is_none_or(|m| m.view.pending_approval().is_none_or(|p| p.id != *approval)) {
            return Err(Problem::new(
                Code::UnknownApproval,
                "The question was answered meanwhile.",
                "Look at the run.",
            ));
        }
        let step = events
            .iter()
            .rev()
            .find(|e| matches!(&e.event, Event::ApprovalRequested { approval: a, .. } if a == approval));
        let event = NewEvent::of_run(&asked.run, step.and_then(|e| e.step.as_ref()), settled);
        self.desk.append(Some((&asked.run, version)), vec![event]).await?;
        self.supervisor.wake(&asked.run);
        if self.attends {
            self.attend(&asked.run).await?;
        }
        match late {
            true => Err(Problem::new(
                Code::Rejected,
                "The time to answer this question was over, so it counts as rejected.",
                "Start the run again and answer in time; the settings say how long there is.",
            )),
            false => Ok(Reply::Done),
        }
    }

    async fn list(&self) -> Result<Vec<RunSummary>, Problem> {
        let mut runs = Vec::new();
        for run in self.desk.journal.runs().await? {
            runs.push(self.view(&run).await?.summary());
        }
        runs.reverse();
        Ok(runs)
    }

    async fn pending(&self) -> Result<Vec<ApprovalView>, Problem> {
        let mut open = Vec::new();
        for run in self.desk.journal.runs().await? {
            let view = self.view(&run).await?;
            if !view.state.is_final() {
                open.extend(view.approvals.into_iter().filter(|a| a.answer.is_none()));
            }
        }
        Ok(open)
    }

    async fn search(&self, query: &str, limit: u32) -> Result<Reply, Problem> {
        if query.trim().is_empty() {
            return Err(Problem::new(Code::QueryInvalid, "The query is empty.", "Give a word or an identifier."));
        }
        self.desk.refresh_index().await?;
        Ok(Reply::Hits(self.desk.search(query, limit).await?))
    }

    async fn blob(&self, hash: &Hash) -> Result<Reply, Problem> {
        match self.desk.journal.blob(hash).await? {
            Some(bytes) => Ok(Reply::Blob(String::from_utf8_lossy(&bytes).into_owned())),
            None => Err(Problem::new(
                Code::BadArgument,
                format!("There is no content {hash}."),
                "Take a hash from an event.",
            )),
        }
    }

    async fn project(&self) -> Result<ProjectView, Problem> {
        let base = self.desk.with_repo(|repo| repo.base().map_err(|e| e.problem())).await?;
        let name = self.desk.root.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        Ok(ProjectView {
            id: self.desk.project.clone(),
            path: self.desk.root.to_string_lossy().into_owned(),
            name,
            branch: base.branch,
            mechanism: self.desk.sandbox.mechanism(),
            roles: self.desk.roles()?.iter().map(role::Role::view).collect(),
            checks: checks::declared(&self.desk.root)?,
            flows: self.desk.flows()?,
        })
    }

    async fn view(&self, run: &RunId) -> Result<RunView, Problem> {
        RunView::of(&read_all(&self.desk, run, Seq::ZERO).await?).ok_or_else(|| unknown(run))
    }

    async fn tell(&self, run: &RunId, event: Event) -> Result<(), Problem> {
        self.desk.append(None, vec![NewEvent::of_run(run, None, event)]).await?;
        Ok(())
    }
}

impl OpHandler for ProjectOwner {
    fn handle(&self, op: Op) -> BoxFuture<'_, Result<Reply, Problem>> {
        Box::pin(self.perform(op))
    }
}

/// What this owner cannot answer.
fn unanswered(what: &str) -> Problem {
    Problem::new(Code::BadArgument, format!("This owner cannot answer about {what}."), "Update Atelier and try again.")
}
