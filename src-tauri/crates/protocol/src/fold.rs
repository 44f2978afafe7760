//! The fold from a run's events to what a screen shows of it.
//!
//! Pure and total: any sequence of events gives a view and never panics; a transition that `state` does not allow is
//! ignored. The page folds the same events with the same rules; fixtures recorded by the suite hold both to the same
//! result.

use crate::error::{Code, Problem};
use crate::event::Answer;
use crate::event::{
    AskKind, Change, Check, ChecksVerdict, CommentView, Cost, Envelope, Event, Outcome, Rebase, Reviewer, StepResult,
    Undo, Usage,
};
use crate::ids::{CallId, StepId};
use crate::state::Illegal;
use crate::view::{
    ApprovalView, ChildView, Disposition, Item, RunState, RunSummary, RunView, Stall, StepView, TurnState,
};

impl RunView {
    /// The view of a run from its first event; `None` where that is not its start.
    pub fn start(first: &Envelope) -> Option<RunView> {
        let (Some(run), Event::RunStarted { goal, flow, base, parent, forked, priority, on, .. }) =
            (&first.run, &first.event)
        else {
            return None;
        };
        Some(RunView {
            id: run.clone(),
            goal: goal.clone(),
            flow: flow.clone(),
            base: base.clone(),
            parent: parent.clone(),
            forked: forked.clone(),
            on: on.as_deref().cloned(),
            priority: *priority,
            state: RunState::Created,
            disposition: Disposition::Pending,
            started_at_ms: first.at_ms,
            updated_at_ms: first.at_ms,
            last_seq: first.seq,
            children: Vec::new(),
            stalled: None,
            compensating: None,
            spec: None,
            steps: Vec::new(),
            approvals: Vec::new(),
            checks: Vec::new(),
            checks_missing: false,
            reviews: Vec::new(),
            checkpoint: None,
            branch: None,
            commits: Vec::new(),
            cost: Cost { prompt_tokens: Some(0), output_tokens: Some(0), micros: Some(0), ..Cost::default() },
            problem: None,
            notices: Vec::new(),
            comments: Vec::new(),
        })
    }

    /// The view of the run whose events these are; `None` where the first is not a run's start.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Envelope>) -> Option<RunView> {
        let mut events = events.into_iter();
        let mut view = RunView::start(events.next()?)?;
        for event in events {
            view.apply(event);
        }
        Some(view)
    }

    /// Folds one more event of this run. A transition that the table does not allow is left out.
    pub fn apply(&mut self, envelope: &Envelope) {
        let _ = self.try_apply(envelope);
    }

    /// The same, and says which transition was left out. Whoever records an event asks this first, on a copy.
    pub fn try_apply(&mut self, envelope: &Envelope) -> Result<(), Illegal> {
        let mut next = None;
        self.updated_at_ms = envelope.at_ms;
        self.last_seq = envelope.seq;
        match &envelope.event {
            Event::RunInterrupted { .. } => next = Some(RunState::Interrupted),
            Event::RunParked { problem } => {
                let known = problem.code != Code::Indeterminate;
                next = Some(if known { RunState::Parked } else { RunState::Indeterminate });
                self.problem = Some(problem.clone());
            }
            Event::RunResumed { .. } => {
                next = Some(self.open_state());
                self.problem = None;
                self.push(envelope, Item::Resumed { at_ms: envelope.at_ms });
            }
            Event::RunFinished { outcome } => next = Some(self.finish(outcome)),
            Event::SlotAwaited { .. } => next = Some(RunState::WaitsForSlot),
            Event::SlotGiven {} => next = self.goes_on(),
            Event::StallNoticed { turns, ms, last } => {
                self.stalled = Some(Stall { turns: *turns, ms: *ms, last: last.clone() });
            }
            Event::CompensationStarted { problem } => {
                self.compensating = Some(problem.clone());
                next = self.goes_on();
            }
            Event::StepUndone { undone, how } => {
                if let Some(step) = self.steps.iter_mut().rev().find(|s| s.id == *undone) {
                    step.undone = Some(how.clone());
                }
            }
            Event::ChildStarted { child, goal } => {
                let step = envelope.step.clone().unwrap_or_else(|| StepId::of("step", 1));
                self.children.push(ChildView { run: child.clone(), step, goal: goal.clone(), outcome: None });
                self.push(envelope, Item::Called { run: child.clone() });
                next = self.goes_on();
            }
            Event::ChildEnded { child, outcome } => {
                // An end is recorded once, and counts for what is open.
                if let Some(known) = self.children.iter_mut().find(|c| c.run == *child && c.outcome.is_none()) {
                    known.outcome = Some(outcome.clone());
                }
                if *outcome == Outcome::Done {
                    self.stalled = None;
                }
                next = self.goes_on();
            }
            Event::StepStarted { role, title, brief, phase, undo } => {
                self.steps.push(StepView {
                    id: envelope.step.clone().unwrap_or_else(|| StepId::of("step", 1)),
                    role: role.clone(),
                    title: title.clone(),
                    brief: brief.clone(),
                    phase: *phase,
                    undo: undo.clone(),
                    undone: None,
                    result: None,
                    started_at_ms: envelope.at_ms,
                    ended_at_ms: None,
                    items: Vec::new(),
                });
                next = self.goes_on();
            }
            Event::StepFinished { result } => {
                if let Some(step) = self.step_mut(envelope) {
                    step.result = Some(result.clone());
                    step.ended_at_ms = Some(envelope.at_ms);
                }
                if *result == StepResult::Done {
                    self.stalled = None;
                }
            }
            Event::CallStarted { call, role, route, .. } => {
                self.cost.calls += 1;
                let turn = Item::Turn {
                    call: call.clone(),
                    role: role.clone(),
                    route: route.clone(),
                    at_ms: envelope.at_ms,
                    state: TurnState::Open,
                    text: String::new(),
                    thinking: String::new(),
                    usage: None,
                    problem: None,
                };
                self.push(envelope, turn);
            }
            Event::CallFinished { call, text, thinking, tool_calls, usage, cost, .. } => {
                self.turn_done(envelope, call, text, thinking, usage, *cost);
                for tool_call in tool_calls {
                    let item =
                        Item::Tool { call: tool_call.clone(), verdict: None, line: None, ok: None, output: None };
                    self.push(envelope, item);
                }
            }
            Event::CallFailed { call, problem, partial, .. } => self.turn_failed(envelope, call, problem, partial),
            Event::ToolDecided { id, verdict: decided, .. } => {
                if let Some(Item::Tool { verdict, .. }) = self.tool_mut(envelope, id) {
                    *verdict = Some(decided.clone());
                }
            }
            Event::ToolReturned { id, line: said, ok: worked, output: told, .. } => {
                if let Some(Item::Tool { line, ok, output, .. }) = self.tool_mut(envelope, id) {
                    *line = Some(said.clone());
                    *ok = Some(*worked);
                    *output = Some(told.clone());
                }
            }
            Event::CallHeld { hold, until_ms } => {
                self.push(envelope, Item::Held { hold: hold.clone(), until_ms: *until_ms });
            }
            Event::PromptCompacted { compaction } => {
                self.push(envelope, Item::Compacted { compaction: compaction.clone() });
            }
            Event::SummaryAsked { .. } => self.cost.calls += 1,
            Event::MemorySummarised { summary } => {
                if summary.call.is_some() {
                    let usage = summary.usage.as_ref();
                    let sum = |sum: Option<u32>, more: Option<u32>| sum.zip(more).map(|(a, b)| a.saturating_add(b));
                    self.cost.prompt_tokens = sum(self.cost.prompt_tokens, usage.and_then(|usage| usage.prompt_tokens));
                    self.cost.output_tokens = sum(self.cost.output_tokens, usage.and_then(|usage| usage.output_tokens));
                    self.cost.local_ms = self.cost.local_ms.saturating_add(summary.used.local_ms);
                    let micros = self.cost.micros.zip(summary.used.micros);
                    self.cost.micros = micros.map(|(a, b)| a.saturating_add(b));
                }
                self.push(envelope, Item::Summarised { summary: summary.clone() });
            }
            Event::ContextMismatched { call, mismatch } => {
                self.push(envelope, Item::Mismatched { call: call.clone(), mismatch: mismatch.clone() });
            }
            Event::TurnCorrected { message } => self.push(envelope, Item::Corrected { message: message.clone() }),
            Event::ApprovalRequested { approval, ask, expires_at_ms } => {
                self.approvals.push(ApprovalView {
                    id: approval.clone(),
                    run: self.id.clone(),
                    ask: ask.clone(),
                    asked_at_ms: envelope.at_ms,
                    expires_at_ms: *expires_at_ms,
                    answer: None,
                    note: String::new(),
                });
                self.push(envelope, Item::Asked { approval: approval.clone() });
                next = self.goes_on();
            }
            Event::ApprovalSettled { approval, answer, note, .. } => {
                // The first answer is the answer.
                if let Some(asked) = self.approvals.iter_mut().find(|a| a.id == *approval && a.answer.is_none()) {
                    asked.answer = Some(*answer);
                    asked.note.clone_from(note);
                    // A hand-over that is rejected with remarks goes back to the author with them.
                    if *answer == Answer::Reject && asked.ask.kind() == AskKind::HandOver {
                        self.comments.iter_mut().for_each(|comment| comment.sent = true);
                    }
                }
                next = self.goes_on();
            }
            Event::SpecWritten { spec } => {
                self.spec = Some(spec.clone());
                self.stalled = None;
            }
            Event::CheckpointMade { checkpoint } => {
                if self.checkpoint.as_ref().is_none_or(|before| before.tree != checkpoint.tree) {
                    self.stalled = None;
                }
                self.checkpoint = Some(checkpoint.clone());
            }
            Event::CheckRecorded { check } => {
                self.checks.push(check.clone());
                let index = u32::try_from(self.checks.len() - 1).unwrap_or(u32::MAX);
                self.push(envelope, Item::Checked { index });
            }
            Event::ChecksMissing { .. } => self.checks_missing = true,
            Event::ReviewRecorded { review } => self.reviews.push(review.clone()),
            Event::HandedOver { branch, commits } => {
                self.branch = Some(branch.clone());
                self.commits.clone_from(commits);
            }
            Event::RunAccepted { commit, .. } => self.disposition = Disposition::Accepted { commit: commit.clone() },
            Event::RunDiscarded {} => self.disposition = Disposition::Discarded,
            Event::OperationUndone { undo } => self.undone(undo),
            Event::RunRebased { rebase } => self.rebased(rebase),
            Event::RebaseHeld { held } => {
                if let Some(on) = &mut self.on {
                    on.held = Some((**held).clone());
                }
            }
            Event::CommentMade { comment } => {
                self.comments.push(CommentView { seq: envelope.seq, comment: comment.clone(), sent: false });
            }
            Event::Noticed { problem } => self.notices.push(problem.clone()),
            Event::OwnerChanged { .. }
            | Event::ProjectOpened { .. }
            | Event::SettingsChanged { .. }
            | Event::EgressRecorded { .. }
            | Event::EgressEnded { .. }
            | Event::CloudPermitted { .. }
            | Event::CloudRevoked { .. }
            | Event::ProjectShared { .. }
            | Event::NoteKept { .. }
            | Event::NoteDropped { .. }
            | Event::RunStarted { .. }
            | Event::RouteDecided { .. }
            | Event::CardMeasured { .. }
            | Event::PullStarted { .. }
            | Event::PullEnded { .. }
            | Event::BudgetSet { .. }
            | Event::CallAdmitted { .. }
            | Event::CallsServed { .. }
            | Event::CloudPaused { .. }
            | Event::CloudResumed {}
            | Event::CommandsAllowed { .. }
            | Event::CommandsForbidden { .. }
            | Event::EffectIntended { .. }
            | Event::EffectSettled { .. }
            | Event::MessagePosted { .. }
            | Event::MessageDead { .. }
            | Event::DeadReplayed { .. }
            | Event::BarrierOpened { .. }
            | Event::VoteCast { .. }
            | Event::BarrierClosed { .. }
            | Event::JobQueued { .. }
            | Event::JobLeased { .. }
            | Event::JobEnded { .. }
            | Event::ObjectMade { .. }
            | Event::ObjectChanged { .. }
            | Event::ObjectPassed { .. } => {}
        }
        match next {
            Some(next) if !self.state.may_become(next) => Err(Illegal { from: self.state, to: next }),
            next => {
                self.state = next.unwrap_or(self.state);
                Ok(())
            }
        }
    }

    /// Where it is when nothing holds it up.
    pub fn working_state(&self) -> RunState {
        match self.steps.last() {
            _ if self.compensating.is_some() => RunState::Compensating,
            None => RunState::Created,
            Some(step) => RunState::working_at(step.phase),
        }
    }

    /// Where it is by its open questions and children, whatever else holds it up.
    pub fn open_state(&self) -> RunState {
        match self.pending_approval().map(|asked| asked.ask.kind()) {
            Some(kind) => RunState::waiting_for(kind),
            None if self.children.iter().any(|child| child.outcome.is_none()) => RunState::WaitsForChild,
            None => self.working_state(),
        }
    }

    /// The question that waits, if one does.
    pub fn pending_approval(&self) -> Option<&ApprovalView> {
        self.approvals.iter().find(|a| a.answer.is_none())
    }

    /// The checks recorded on `tree`, each as it ended last.
    pub fn latest_checks(&self, tree: &str) -> Vec<&Check> {
        let mut latest: Vec<&Check> = Vec::new();
        for check in self.checks.iter().filter(|c| c.tree == tree) {
            latest.retain(|c| c.name != check.name);
            latest.push(check);
        }
        latest
    }

    /// What the checks recorded on `tree` say.
    pub fn checks_of(&self, tree: &str) -> ChecksVerdict {
        match self.latest_checks(tree).as_slice() {
            [] => ChecksVerdict::NoneDeclared,
            all if all.iter().all(|c| c.passed()) => ChecksVerdict::Passed,
            _ => ChecksVerdict::Failed,
        }
    }

    /// Whether the last review of `tree` by a role approves it.
    pub fn approved_by_role(&self, tree: &str) -> bool {
        self.reviews
            .iter()
            .rev()
            .find(|r| r.tree == tree && matches!(r.by, Reviewer::Role { .. }))
            .is_some_and(|r| r.answer == Answer::Approve)
    }

    /// The run as a line of a list.
    pub fn summary(&self) -> RunSummary {
        RunSummary {
            id: self.id.clone(),
            goal: self.goal.clone(),
            state: self.state,
            disposition: self.disposition.clone(),
            started_at_ms: self.started_at_ms,
            updated_at_ms: self.updated_at_ms,
            last_seq: self.last_seq,
            files: self.checkpoint.as_ref().map_or(0, |c| u32::try_from(c.files.len()).unwrap_or(u32::MAX)),
            parent: self.parent.as_ref().map(|parent| parent.run.clone()),
            priority: self.priority,
            questions: u32::try_from(self.approvals.iter().filter(|a| a.answer.is_none()).count()).unwrap_or(u32::MAX),
            stalled: self.stalled.is_some(),
            on: self.on.as_ref().map(|on| on.run.clone()),
            behind: self.on.as_ref().is_some_and(|on| on.held.is_some()),
        }
    }

    /// Where it goes on to from what held it up; nowhere while it rests.
    fn goes_on(&self) -> Option<RunState> {
        (!self.state.rests()).then(|| self.open_state())
    }

    /// An operation of the user's was taken back, or done again.
    fn undone(&mut self, undo: &Undo) {
        match &undo.change {
            Change::Tree { .. } => {} // the checkpoint is told by an event of its own
            Change::Published { branch, to, .. } => self.branch = to.as_ref().map(|_| branch.clone()),
            Change::Branch { .. } => self.disposition = Disposition::of_accept(undo.accepted.as_ref()),
            Change::Traces { gone: true, .. } => self.disposition = Disposition::Discarded,
            Change::Traces { gone: false, .. } => self.disposition = Disposition::Pending,
        }
    }

    /// It stands on another base; what it is there is told with it.
    fn rebased(&mut self, rebase: &Rebase) {
        self.base.commit.clone_from(&rebase.to);
        if let Some(on) = &mut self.on {
            on.paths.clone_from(&rebase.paths);
            on.held = None;
        }
        if let Some(checkpoint) = &rebase.checkpoint {
            self.checkpoint = Some(checkpoint.clone());
        }
        if rebase.was.is_some() {
            self.commits.clone_from(&rebase.commits);
        }
    }

    fn finish(&mut self, outcome: &Outcome) -> RunState {
        let (state, problem) = match outcome {
            Outcome::Done => (RunState::Done, None),
            Outcome::Failed { problem } => (RunState::Failed, Some(problem.clone())),
            Outcome::Cancelled { problem } => (RunState::Cancelled, Some(problem.clone())),
        };
        if self.state.may_become(state) {
            self.problem = problem;
        }
        state
    }

    fn step_mut(&mut self, envelope: &Envelope) -> Option<&mut StepView> {
        let step = envelope.step.as_ref()?;
        self.steps.iter_mut().rev().find(|s| s.id == *step)
    }

    fn push(&mut self, envelope: &Envelope, item: Item) {
        if let Some(step) = self.step_mut(envelope) {
            step.items.push(item);
        }
    }

    fn turn_mut(&mut self, envelope: &Envelope, wanted: &CallId) -> Option<&mut Item> {
        let step = self.step_mut(envelope)?;
        step.items.iter_mut().rev().find(|item| matches!(item, Item::Turn { call, .. } if call == wanted))
    }

    fn tool_mut(&mut self, envelope: &Envelope, wanted: &str) -> Option<&mut Item> {
        let step = self.step_mut(envelope)?;
        step.items.iter_mut().rev().find(|item| matches!(item, Item::Tool { call, .. } if call.id == wanted))
    }

    fn turn_done(
        &mut self,
        envelope: &Envelope,
        call: &CallId,
        said: &str,
        thought: &str,
        used: &Usage,
        paid: Option<u64>,
    ) {
        self.cost.prompt_tokens = self.cost.prompt_tokens.zip(used.prompt_tokens).map(|(a, b)| a.saturating_add(b));
        self.cost.output_tokens = self.cost.output_tokens.zip(used.output_tokens).map(|(a, b)| a.saturating_add(b));
        let mut local = true;
        if let Some(Item::Turn { state, text, thinking, usage, route, .. }) = self.turn_mut(envelope, call) {
            *state = TurnState::Done;
            said.clone_into(text);
            thought.clone_into(thinking);
            *usage = Some(used.clone());
            local = route.local;
        }
        if local {
            self.cost.local_ms = self.cost.local_ms.saturating_add(used.total_ms);
        } else {
            self.cost.micros = self.cost.micros.zip(paid).map(|(a, b)| a.saturating_add(b));
        }
    }

    fn turn_failed(&mut self, envelope: &Envelope, call: &CallId, why: &Problem, partial: &str) {
        if let Some(Item::Turn { state, text, problem, .. }) = self.turn_mut(envelope, call) {
            *state = TurnState::Failed;
            partial.clone_into(text);
            *problem = Some(why.clone());
        }
    }
}
