//! What the user does to a run while it is open: resume, stop, answer, fork.
//!
//! Each is recorded first; whoever works on the run sees it in its history. Children follow their parents.

use crate::consent;
use crate::digest::{Digest, Question};
use crate::family;
use crate::fork::{Original, Wanted};
use crate::owner::ProjectOwner;
use crate::record::Unrecorded;
use crate::run::unknown;
use atelier_journal::{AppendError, Order};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Actor, Answer, Event, NewEvent};
use atelier_protocol::ids::{ApprovalId, RunId, Seq};
use atelier_protocol::op::Reply;
use atelier_protocol::view::ApprovalView;
use atelier_repo::RunTree;

impl ProjectOwner {
    /// Works on a run. One that cannot be taken up, such as for a role file that is wrong now, is parked with the reason.
    pub(crate) async fn attend(&self, run: &RunId) -> Result<(), Problem> {
        let attended = self.supervisor.attend(run).await;
        if let Err(problem) = &attended {
            self.tell(run, Event::RunParked { problem: problem.clone() }).await?;
        }
        attended
    }

    pub(crate) async fn resume(&self, run: RunId) -> Result<Reply, Problem> {
        let _alone = self.desk.alone().await;
        let digest = self.desk.digest(&run).await?;
        if digest.state.is_final() {
            return Err(Problem::new(
                Code::WrongState,
                format!("Run {run} has ended; it cannot be resumed."),
                "Look at it with `atelier runs show`, start a new run, or continue it another way with `atelier runs fork`.",
            ));
        }
        let below = self.family(&digest).await?.into_iter().filter(|member| member.id != run);
        let resting: Vec<RunId> = below.filter(|member| member.state.rests()).map(|member| member.id).collect();
        if self.supervisor.minds(&run) && !digest.state.rests() && resting.is_empty() {
            return Ok(Reply::Run(run));
        }
        self.desk.traffic.forgive();
        let epoch = self.desk.journal.epoch();
        let resumed = |run: &RunId| NewEvent::of_run(run, None, Event::RunResumed { by: Actor::User, epoch });
        let mut events: Vec<NewEvent> = resting.iter().map(resumed).collect();
        if !self.supervisor.minds(&run) || digest.state.rests() {
            events.push(resumed(&run));
        }
        self.desk.append(events).await?;
        for child in &resting {
            self.attend(child).await?;
        }
        self.attend(&run).await?;
        Ok(Reply::Run(run))
    }

    pub(crate) async fn cancel(&self, run: &RunId) -> Result<Reply, Problem> {
        let digest = self.desk.digest(run).await?;
        if digest.state.is_final() {
            return Err(Problem::new(
                Code::WrongState,
                format!("Run {run} has ended already."),
                "Accept or discard its result.",
            ));
        }
        for member in self.family(&digest).await? {
            self.supervisor.stop(&member.id).await;
        }
        // It may have come to its end before it heard of the stop.
        if !self.desk.digest(run).await?.state.is_final() {
            Box::pin(family::cancel(&self.desk, run)).await?;
        }
        if let Some(parent) = digest.parent {
            self.attend(&parent.run).await?;
        }
        Ok(Reply::Done)
    }

    /// The open runs that work for a run, directly or not, the innermost first, and then the run itself.
    async fn family(&self, digest: &Digest) -> Result<Vec<Digest>, Problem> {
        let (mut family, mut next) = (vec![digest.clone()], 0);
        while let Some(member) = family.get(next) {
            next += 1;
            for child in member.children.clone() {
                family.push(self.desk.digest(&child).await?);
            }
        }
        family.reverse();
        Ok(family)
    }

    pub(crate) async fn settle(&self, approval: &ApprovalId, answer: Answer, note: String) -> Result<Reply, Problem> {
        let asks = |digest: &Digest| digest.questions.iter().any(|question| question.approval == *approval);
        let open = self.desk.asking(approval).await?;
        let asked = open.as_ref().and_then(|digest| {
            digest.questions.iter().find(|question| question.approval == *approval).map(|question| (digest, question))
        });
        let Some((digest, question)) = asked else {
            return Err(Problem::new(
                Code::UnknownApproval,
                format!("No open question has the id {approval}."),
                "List the open ones with `atelier approvals list`.",
            ));
        };
        let late = question.expires_at_ms <= self.desk.sources.clock.now_ms();
        let (answer, by, note) = match late {
            true => (Answer::Reject, Actor::Timeout, "nobody answered in time".to_owned()),
            false => (answer, Actor::User, note),
        };
        let settled = Event::ApprovalSettled { approval: approval.clone(), answer, by, note };
        let mut events = vec![NewEvent::of_run(&digest.id, question.step.as_ref(), settled)];
        let asked = self.asked(&digest.id, question).await?;
        events.extend(asked.and_then(|asked| consent::follows(&asked.ask, answer)));
        // Two doors may answer at once: the first is recorded, the second finds nothing open.
        match self.desk.append_to(&[digest], events).await {
            Ok(_) => {}
            Err(Unrecorded::Append(AppendError::Conflict { .. })) if !asks(&self.desk.digest(&digest.id).await?) => {
                return Err(Problem::new(
                    Code::UnknownApproval,
                    "The question was answered meanwhile.",
                    "Look at the run.",
                ));
            }
            Err(error) => return Err(error.into()),
        }
        if self.attends || self.supervisor.minds(&digest.id) {
            // The answer is recorded; a run that cannot be taken up now is parked with the reason.
            let _ = self.attend(&digest.id).await;
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

    /// The questions that wait for an answer, in the order their runs began.
    pub(crate) async fn pending(&self) -> Result<Vec<ApprovalView>, Problem> {
        let asks = |digest: &Digest| !digest.state.is_final() && !digest.questions.is_empty();
        let mut open = Vec::new();
        for digest in self.desk.digests(Order::Rising, usize::MAX, asks).await? {
            for question in &digest.questions {
                open.extend(self.asked(&digest.id, question).await?);
            }
        }
        Ok(open)
    }

    /// A question with what it asks, which only the history holds.
    async fn asked(&self, run: &RunId, question: &Question) -> Result<Option<ApprovalView>, Problem> {
        let before = Seq(question.seq.0.saturating_sub(1));
        let event = self.desk.journal.read(Some(run), before, 1).await?.into_iter().next();
        Ok(event.and_then(|envelope| match envelope.event {
            Event::ApprovalRequested { approval, ask, expires_at_ms } => Some(ApprovalView {
                id: approval,
                run: run.clone(),
                ask,
                asked_at_ms: envelope.at_ms,
                expires_at_ms,
                answer: None,
                note: String::new(),
            }),
            _ => None,
        }))
    }

    /// Why a run that works for another is not forked, and where that one can be.
    async fn fork_of_child(&self, child: &RunId, root: &RunId, at: Seq) -> Result<Problem, Problem> {
        let original = Original::read(&self.desk, root).await?;
        let Some(Event::RunStarted { flow, .. }) = original.own.first().map(|first| &first.event) else {
            return Err(unknown(root));
        };
        let flow = self.desk.flow_of(flow, &self.desk.roles()?).await?;
        let dir = self.desk.places.tree(&self.desk.project, root);
        let (root, child) = (root.clone(), child.clone());
        crate::desk::blocking(move || {
            let tree = RunTree::open(&dir).ok();
            let near = original.near(&flow, at, tree.as_ref())?;
            let hint = match near.first() {
                Some(near) => format!("Fork that one: `atelier runs fork {root} --at {near}`."),
                None => "Start a new run for the same goal.".to_owned(),
            };
            let why = format!("Run {child} works for a step of run {root}, and nobody would wait for a fork of it.");
            Ok(Problem::new(Code::ForkPoint, why, hint).with_details(near))
        })
        .await
    }

    /// Continues a run another way.
    pub(crate) async fn fork(&self, run: &RunId, at: Option<Seq>) -> Result<Reply, Problem> {
        let original = Original::read(&self.desk, run).await?;
        let Some(Event::RunStarted { flow, priority, parent, on, .. }) = original.own.first().map(|first| &first.event)
        else {
            return Err(unknown(run));
        };
        if let Some(parent) = parent {
            let at = at.or_else(|| original.own.last().map(|last| last.seq)).unwrap_or_default();
            return Err(self.fork_of_child(run, &parent.root, at).await?);
        }
        let priority = *priority;
        let on = on.as_ref().map(|on| on.run.clone());
        let flow = self.desk.flow_of(flow, &self.desk.roles()?).await?;
        let fork = self.desk.sources.run_id();
        let expires_at_ms = self.desk.sources.clock.now_ms().saturating_add((self.desk.settings)().approval_timeout_ms);
        let wanted = Wanted { run: fork.clone(), at, expires_at_ms };
        let dir = self.desk.places.tree(&self.desk.project, &original.tree_of);
        let sources = self.desk.sources.clone();
        let events = crate::desk::blocking(move || {
            let tree = RunTree::open(&dir).ok();
            original.plan(&flow, wanted, tree.as_ref(), || sources.approval_id())
        })
        .await?;
        if let Some(on) = &on {
            self.desk.stacks.note(&fork, on);
        }
        self.begin(&fork, priority, events).await
    }
}
