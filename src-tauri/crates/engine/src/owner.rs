//! The owner of a project's store: performs the ops that doors and guests submit.

use crate::bus::Bus;
use crate::desk::Desk;
use crate::digest::Digest;
use crate::objects::Tell;
use crate::run::{read_all, unknown};
use crate::scheduler::Scheduler;
use crate::supervisor::{Supervisor, disk_full};
use crate::{accept, push, role, servers, stack, take_back};
use atelier_journal::{OpHandler, Order};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Event, Grants, NewEvent, Priority};
use atelier_protocol::hash::Hash;
use atelier_protocol::ids::{RunId, Seq};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::ModelChoice;
use atelier_protocol::view::{IndexView, ProjectView, RunState, RunSummary, RunView};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// Events that one answer holds at most.
const MOST_EVENTS: u32 = 10_000;
/// Questions to the index that one request may hold.
const MOST_QUERIES: usize = 1_000;
/// Tokens that a context may cost.
const MOST_BUDGET: u32 = 200_000;

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
    pub(crate) desk: Arc<Desk>,
    pub(crate) supervisor: Supervisor,
    /// Whether this process stays to look after waiting runs, or goes after one command.
    pub(crate) attends: bool,
    /// Messages and jobs.
    bus: Bus,
}

/// A run that is to be started.
struct Wanted {
    goal: String,
    model: Option<ModelChoice>,
    grants: Grants,
    flow: Option<String>,
    priority: Priority,
    budget_tokens: Option<u64>,
    on: Option<RunId>,
}

impl ProjectOwner {
    /// Takes over a project.
    pub(crate) async fn take_over(
        desk: Arc<Desk>,
        scheduler: &Arc<Scheduler>,
        recovery: Recovery,
        attends: bool,
    ) -> Result<Self, Problem> {
        desk.unpack_trees().await?;
        let bus = Bus::take_over(&desk, attends).await?;
        let supervisor = Supervisor::new(desk.clone(), scheduler);
        let owner = Self { desk, supervisor, attends, bus };
        owner.recover(recovery).await?;
        Ok(owner)
    }

    async fn perform(&self, op: Op) -> Result<Reply, Problem> {
        match op {
            Op::StartRun { goal, model, approve, deny_asks, flow, priority, budget_tokens, on } => {
                let grants = Grants { approve, deny_asks };
                self.start(Wanted { goal, model, grants, flow, priority, budget_tokens, on }).await
            }
            Op::ResumeRun { run } => self.resume(run).await,
            Op::CancelRun { run } => Box::pin(self.cancel(&run)).await,
            Op::SettleApproval { approval, answer, note } => self.settle(&approval, answer, note).await,
            Op::AcceptRun { run, how } => {
                let _alone = self.desk.alone().await;
                let accepted = Box::pin(accept::accept(&self.desk, &run, how)).await;
                stack::followed(&self.desk, &run).await;
                accepted
            }
            Op::RebaseRun { run, resolved } => {
                let _alone = self.desk.alone().await;
                stack::rebase(&self.desk, &run, &resolved).await
            }
            Op::ShowConflicts { run } => accept::conflicts(&self.desk, &run).await,
            Op::ShowPush { run, remote, to } => push::show(&self.desk, &run, &remote, to.as_deref()).await,
            Op::PushRun { run, remote, to, tip, anyway } => {
                let _alone = self.desk.alone().await;
                Box::pin(push::push(&self.desk, &run, &remote, to.as_deref(), &tip, anyway)).await
            }
            Op::CommentRun { run, comment } => accept::comment(&self.desk, &run, comment).await,
            Op::ListOperations { run, limit } => take_back::list(&self.desk, run.as_ref(), limit).await,
            Op::ShowOperation { operation } => {
                let _alone = self.desk.alone().await;
                take_back::show(&self.desk, operation, &|run| self.supervisor.is_at_work(run)).await
            }
            Op::UndoOperation { operation } => {
                let _alone = self.desk.alone().await;
                Box::pin(take_back::take_back(&self.desk, operation, &|run| self.supervisor.is_at_work(run))).await
            }
            Op::DiscardRun { run, anyway } => {
                let _alone = self.desk.alone().await;
                let works = || self.supervisor.is_at_work(&run);
                let discarded = Box::pin(accept::discard(&self.desk, &run, &works, anyway)).await;
                stack::followed(&self.desk, &run).await;
                discarded
            }
            Op::ListRuns { states, limit } => Ok(Reply::Runs(self.list(&states, limit).await?)),
            Op::ShowRun { run, at } => Ok(Reply::RunView(Box::new(self.view(&run, at).await?))),
            Op::ReadEvents { run, after, limit } => {
                let limit = limit.min(MOST_EVENTS) as usize;
                Ok(Reply::Events(self.desk.journal.read(run.as_ref(), after, limit).await?))
            }
            Op::ListApprovals => Ok(Reply::Approvals(self.pending().await?)),
            Op::ShowDiff { run } => Ok(Reply::Diff(accept::diff(&self.desk, &run).await?)),
            Op::ReadBlob { hash } => self.blob(&hash).await,
            Op::RefreshIndex => Ok(Reply::Index(self.refresh_all().await?)),
            Op::WatchIndex => {
                self.desk.follow_folder()?;
                self.desk.index_for_asking().await?;
                Ok(Reply::Index(self.desk.index_state().await?))
            }
            Op::ShowContext { goal, budget } => self.context(goal, budget).await,
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
                self.refresh().await?;
                Ok(Reply::Found(self.desk.find(queries, limit, kinds).await?))
            }
            Op::Export { run, format, to } => accept::export(&self.desk, run.as_ref(), format, &to).await,
            Op::ShowProject => Ok(Reply::Project(self.project().await?)),
            Op::ShowCommands => Ok(Reply::Commands(self.desk.commands().await?)),
            Op::AllowCommands { hash, allowed } => self.desk.allow_commands(&hash, allowed).await,
            Op::ShowSettings => Ok(Reply::Settings((self.desk.settings)())),
            Op::ListModels => {
                let (egress, keys, clock) = (&self.desk.egress, &self.desk.keys, &self.desk.sources.clock);
                let mut views = servers::describe(&(self.desk.settings)(), egress, keys, clock).await;
                servers::add_cards(&mut views, &(self.desk.cards)());
                Ok(Reply::Models(views))
            }
            Op::ExplainRoute { role } => Ok(Reply::Route(Box::new(self.desk.explain_route(role.as_ref()).await?))),
            Op::ListRoutes { run, limit } => Ok(Reply::Routes(self.desk.route_entries(run.as_ref(), limit).await?)),
            Op::ShowBudget { run } => self.desk.show_budget(run.as_ref()).await,
            Op::SetBudget { node, limits } => self.desk.set_budget(node, limits).await,
            Op::ResumeCloud => self.desk.resume_cloud().await,
            Op::AllowCalls { door, open, need, leaving } => self.desk.allow_calls(door, open, need, leaving).await,
            Op::RecordCalls { door, held, calls } => self.desk.record_calls(door, held, calls).await,
            Op::ForkRun { run, at } => self.fork(&run, at).await,
            Op::HashState { rebuild } => self.hash_state(rebuild).await,
            Op::CheckStore => self.check_store().await,
            Op::BackUpStore { to } => self.back_up(to).await,
            Op::ExportState { to } => self.export_state(&to).await,
            Op::PruneStore => self.prune().await,
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
            Op::ChangeSettings { .. }
            | Op::EnrolProject { .. }
            | Op::AdoptProject { .. }
            | Op::ListProjects
            | Op::RecordEgress { .. }
            | Op::ListCards
            | Op::RecordCard { .. }
            | Op::PullModel { .. }
            | Op::ProbeModel { .. }
            | Op::ListModelWork
            | Op::StopModelWork { .. }
            | Op::NotePull { .. }
            | Op::ListPulls
            | Op::ShowEgress { .. }
            | Op::PermitCloud { .. }
            | Op::RevokeCloud { .. }
            | Op::ShareProject { .. }
            | Op::SearchElsewhere { .. }
            | Op::ListLibrary
            | Op::KeepNote { .. }
            | Op::DropNote { .. }
            | Op::ListPermissions => Err(Problem::new(
                Code::BadArgument,
                "That is asked of the workshop, not of a project.",
                "Send it without a project.",
            )),
        }
    }

    async fn start(&self, wanted: Wanted) -> Result<Reply, Problem> {
        let Wanted { goal, model, grants, flow, priority, budget_tokens, on } = wanted;
        if goal.trim().is_empty() {
            return Err(Problem::new(
                Code::EmptyGoal,
                "The goal is empty.",
                "Say in a sentence what should be different.",
            ));
        }
        let roles = self.desk.roles()?;
        let (flow, text) = self.desk.flow(flow.as_deref(), &roles)?;
        self.desk.checks()?;
        let read = |repo: &atelier_repo::UserRepo| {
            Ok((repo.base().map_err(|e| e.problem())?, repo.left_out().map_err(|e| e.problem())?))
        };
        let (mut base, left_out) = self.desk.with_repo(read).await?;
        let mut stacked = None;
        if let Some(on) = &on {
            let (below, found) = stack::begin(&self.desk, on).await?;
            (base, stacked) = (below, Some(found));
        }
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
            on: stacked.map(Box::new),
        };
        if let Some(on) = &on {
            self.desk.stacks.note(&run, on);
        }
        let notices = left_out.into_iter().map(|problem| Event::Noticed { problem });
        let events = std::iter::once(started).chain(notices).map(|event| NewEvent::of_run(&run, None, event)).collect();
        self.begin(&run, priority, events).await
    }

    pub(crate) async fn list(&self, states: &[RunState], limit: Option<u32>) -> Result<Vec<RunSummary>, Problem> {
        let limit = limit.map_or(usize::MAX, |limit| limit as usize);
        let wanted = |digest: &Digest| states.is_empty() || states.contains(&digest.state);
        let runs = self.desk.digests(Order::Falling, limit, wanted).await?;
        Ok(runs.iter().map(Digest::summary).collect())
    }

    /// Records a new run's first events and works on it as soon as its turn comes.
    pub(crate) async fn begin(
        &self,
        run: &RunId,
        priority: Priority,
        mut events: Vec<NewEvent>,
    ) -> Result<Reply, Problem> {
        let ahead = self.supervisor.ahead(priority);
        if let Some(ahead) = ahead {
            events.push(NewEvent::of_run(run, None, Event::SlotAwaited { ahead }));
        }
        self.desk.append(events).await?;
        match ahead {
            Some(_) => self.supervisor.queue(run, priority),
            None => self.attend(run).await?,
        }
        Ok(Reply::Run(run.clone()))
    }

    /// Brings the index up to date for a question.
    async fn refresh(&self) -> Result<(), Problem> {
        self.follow();
        self.desk.index_for_asking().await.map(drop)
    }

    /// An owner that stays follows the folder from its first use on, and first of all: what is saved while it is looked
    /// around is not missed then.
    fn follow(&self) {
        if self.attends
            && let Err(problem) = self.desk.follow_folder()
        {
            tracing::warn!(%problem, "the folder is not followed; each search looks around");
        }
    }

    /// Brings the index up to date, and documents are read; what takes longer goes on beside.
    async fn refresh_all(&self) -> Result<IndexView, Problem> {
        self.follow();
        let view = self.desk.refresh_index().await?;
        self.desk.read_documents().await?;
        self.desk.learn_meaning().await;
        let view = self.desk.with_documents(view).await?;
        Ok(IndexView { unpacked: self.desk.told_unpacked(), ..view })
    }

    async fn context(&self, goal: String, budget: u32) -> Result<Reply, Problem> {
        if goal.trim().is_empty() {
            return Err(Problem::new(Code::EmptyGoal, "The goal is empty.", "Say what should be different."));
        }
        self.refresh().await?;
        let root = self.desk.root.clone();
        Ok(Reply::Context(Box::new(
            self.desk.context(root, goal, budget.min(MOST_BUDGET), String::new(), Vec::new()).await?,
        )))
    }

    async fn search(&self, query: &str, limit: u32) -> Result<Reply, Problem> {
        if query.trim().is_empty() {
            return Err(Problem::new(Code::QueryInvalid, "The query is empty.", "Give a word or an identifier."));
        }
        self.refresh().await?;
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
            checks: self.desk.checks()?,
            flows: self.desk.flows()?,
            // A list that is wrong is named where it would be used.
            prices: self.desk.prices().map_or_else(|_| Vec::new(), |prices| prices.lists()),
        })
    }

    async fn view(&self, run: &RunId, at: Option<Seq>) -> Result<RunView, Problem> {
        let mut events = read_all(&self.desk, run, Seq::ZERO).await?;
        if let Some((first, at)) = events.first().map(|first| first.seq).zip(at) {
            events.retain(|event| event.seq <= at);
            if events.is_empty() {
                return Err(Problem::new(
                    Code::BadArgument,
                    format!("Run {run} begins with event {first}, after event {at}."),
                    "Take a number from `atelier runs events`.",
                ));
            }
        }
        let mut view = RunView::of(&events).ok_or_else(|| unknown(run))?;
        if at.is_none() && self.supervisor.is_starved(run) {
            view.notices.push(disk_full()); // it cannot be recorded
        }
        Ok(view)
    }

    pub(crate) async fn tell(&self, run: &RunId, event: Event) -> Result<(), Problem> {
        self.desk.append(vec![NewEvent::of_run(run, None, event)]).await?;
        Ok(())
    }
}

impl OpHandler for ProjectOwner {
    fn handle(&self, op: Op) -> BoxFuture<'_, Result<Reply, Problem>> {
        Box::pin(self.perform(op))
    }
}
