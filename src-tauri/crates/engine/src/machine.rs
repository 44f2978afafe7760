//! The state of a run as its own events tell it, and what is to be done next.
//!
//! Pure: a fold and a decision, no I/O. Whoever owns the store folds the same events to the same state and goes on
//! from there; that is all there is to resuming. It keeps what the next decision needs and no more: what finished steps
//! said is for the screen, which folds for itself. What is done, and how, is `run`'s part.

use crate::digest::Digest;
use crate::flow::{Flow, Kind};
use crate::talk::Talk;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{
    Actor, Answer, Ask, BudgetNode, BudgetUnit, Check, Comment, ContextMismatch, Effect, EffectOutcome, Envelope,
    Event, FailureClass, Grants, MismatchKind, Outcome, Route, StepResult, ToolCall, Usage,
};
use atelier_protocol::ids::{ApprovalId, RoleId, RunId, Seq, StepId};
use atelier_protocol::settings::ModelChoice;
use atelier_protocol::view::{ApprovalView, Item, RunState, RunView, TurnState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of a machine as it is kept in a snapshot. Raised when its shape or its fold changes; a snapshot of
/// another version is not used.
pub const VERSION: u32 = 5;

/// A run as its events tell it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    /// What a screen shows, without what finished steps said and what was judged of former trees.
    pub view: RunView,
    /// The run in short, which every append asks.
    pub(crate) row: Digest,
    /// The model the user asked for.
    pub model: Option<ModelChoice>,
    /// What the user granted with the start.
    pub grants: Grants,
    /// Number of events so far: the version that an append expects.
    pub version: u64,
    /// The model of the last call.
    pub route: Option<Route>,
    /// The model of each role; kept for the whole run unless it failed or the run had to be parked.
    pub routes: BTreeMap<RoleId, Route>,
    /// Whether the private tree exists.
    pub tree_made: bool,
    /// Tool calls so far, which names the next one.
    pub tool_calls: u32,
    /// Effects by key, with their last outcome: those of the present step and those that later ones ask for.
    pub effects: BTreeMap<String, Tried>,
    /// The step that is under way.
    pub current: Option<Current>,
    /// How often each step was entered, by step name.
    pub rounds: BTreeMap<String, u32>,
    /// The last step that ended, and how.
    pub ended: Option<(StepId, StepResult)>,
    /// When the hand-over was approved, for the time in its commits.
    pub approved_at_ms: Option<u64>,
    /// Questions that were answered in words, with what was taken as the answer.
    pub answers: Vec<(String, String)>,
    /// Commands that were asked about, by key.
    pub commands: BTreeMap<String, (ApprovalId, Answer)>,
    /// Answers about sending material to another machine, by model server and host: the last question and its answer.
    pub cloud: BTreeMap<String, (ApprovalId, Answer)>,
    /// Steps that are done and declare how they are undone, in order.
    pub done: Vec<Done>,
    /// Checks that ran on the base, to tell which failures are new.
    pub on_base: Vec<Check>,
    /// Processes that were started and not ended, by name.
    pub processes: BTreeMap<String, Vec<String>>,
    /// Child runs that ended.
    pub children: Vec<RunId>,
    /// What it may use and has used.
    pub budget: Budget,
    /// The last accepted result, and what happened since.
    pub progress: Progress,
    /// What the user remarked on the result and the author was not told yet.
    pub remarks: Vec<Comment>,
    /// How often the user sent the result back to its author.
    pub sent_back: u32,
}

/// An effect and what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// What was intended.
    pub effect: Effect,
    /// The step it belongs to.
    pub step: Option<StepId>,
    /// What the world said; `None` while that is not recorded.
    pub outcome: Option<EffectOutcome>,
}

/// The step that is under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Current {
    /// The step.
    pub step: StepId,
    /// What its role was told at the start.
    pub brief: String,
    /// The conversation after the brief.
    pub talk: Talk,
    /// The commit its tree was at when it began; `None` is the base.
    pub before: Option<String>,
    /// Whether it declares how it is undone.
    pub undo: bool,
    /// The last question of this step.
    pub asked: Option<ApprovalId>,
    /// How the child run of this step ended.
    pub child: Option<Outcome>,
}

/// A step that is done and declares how it is undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// The step.
    pub step: StepId,
    /// The commit its tree was at when it began; `None` is the base.
    pub before: Option<String>,
    /// Whether it is undone.
    pub undone: bool,
}

/// What a run may use, and what it has used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Tokens it was given at the start.
    pub given: Option<u64>,
    /// Tokens it may use by now.
    pub limit: Option<u64>,
    /// Tokens used. Where a server did not say, estimated from the bytes, never taken as none.
    pub spent: u64,
    /// Whether the user refused more.
    pub refused: bool,
    /// What the user gave this run beyond the limits of the budget's nodes.
    pub raised: Vec<(BudgetNode, BudgetUnit, u64)>,
    /// Nodes of the budget that are nearly used up, as the user was told.
    pub warned: Vec<String>,
    /// Bytes of the prompt of the last call.
    prompt_bytes: u64,
}

/// The last accepted result, and what happened since. Activity is no progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Model turns since.
    pub turns: u32,
    /// When it was, or when the run last went on from waiting, milliseconds since 1970 UTC.
    pub since_ms: u64,
    /// What it was.
    pub last: String,
    /// Whether the stretch since was noticed as a stall.
    pub noticed: bool,
    /// The tree that a check was last recorded on.
    checked: String,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Nothing, ever again.
    Stop,
    /// Nothing until somebody resumes it, or its turn comes.
    Rest,
    /// Nothing until the question is answered or its time is over.
    Wait {
        /// The question.
        approval: ApprovalId,
        /// When silence counts as a rejection.
        expires_at_ms: u64,
    },
    /// Nothing until the child run ended.
    Await {
        /// The child.
        child: RunId,
    },
    /// Ask the world about an effect whose outcome is not recorded.
    Settle {
        /// The effect's key.
        key: String,
    },
    /// Make the private tree.
    MakeTree,
    /// Begin a step.
    Begin {
        /// Its place in the flow.
        index: usize,
        /// The step in its round.
        step: StepId,
    },
    /// Ask the model for the next turn of the current step.
    AskModel,
    /// Answer a tool call.
    CallTool {
        /// The call.
        call: ToolCall,
    },
    /// The model says it is finished without having called the tool that delivers; see what the text holds.
    Conclude {
        /// Its text.
        text: String,
    },
    /// The required output is there: end the step.
    EndAgentStep,
    /// Go on with the checks of the current step.
    Check,
    /// Run the command of the current step.
    RunScript,
    /// Start the process of the current step.
    StartService,
    /// Put the task of the current step on the board.
    PutTask,
    /// Ask the question of the current step.
    AskQuestion,
    /// The question was answered.
    QuestionAnswered {
        /// What is taken as the answer.
        said: String,
    },
    /// Start the child run of the current step.
    Call,
    /// The child run ended.
    ChildEnded {
        /// How.
        outcome: Outcome,
    },
    /// Ask for the hand-over, or act on its answer.
    AskHandOver,
    /// The question of the hand-over was answered.
    HandOverAnswered {
        /// The answer.
        answer: Answer,
    },
    /// Publish the commits.
    HandOver,
    /// Undo what a step did.
    Undo {
        /// The step.
        done: Done,
    },
    /// It cannot be done.
    Fail {
        /// Why.
        problem: Problem,
    },
    /// The flow has come to its end.
    Finish {
        /// How.
        outcome: Outcome,
    },
}

impl Machine {
    /// The state of the run whose events these are; `None` where the first is not a run's start.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Envelope>) -> Option<Machine> {
        let mut events = events.into_iter();
        let mut machine = Machine::start(events.next()?)?;
        for event in events {
            machine.apply(event);
        }
        Some(machine)
    }

    /// The state of a run after its start.
    pub fn start(first: &Envelope) -> Option<Machine> {
        let view = RunView::start(first)?;
        let row = Digest::start(first)?;
        let Event::RunStarted { model, grants, parent, budget_tokens, .. } = &first.event else { return None };
        Some(Machine {
            view,
            row,
            model: model.clone(),
            grants: grants.clone(),
            version: 1,
            route: None,
            routes: BTreeMap::new(),
            // A child works in the tree of the run at the top.
            tree_made: parent.is_some(),
            tool_calls: 0,
            effects: BTreeMap::new(),
            current: None,
            rounds: BTreeMap::new(),
            ended: None,
            approved_at_ms: None,
            answers: Vec::new(),
            commands: BTreeMap::new(),
            cloud: BTreeMap::new(),
            done: Vec::new(),
            on_base: Vec::new(),
            processes: BTreeMap::new(),
            children: Vec::new(),
            budget: Budget { given: *budget_tokens, limit: *budget_tokens, ..Budget::default() },
            progress: Progress {
                turns: 0,
                since_ms: first.at_ms,
                last: "the start".to_owned(),
                noticed: false,
                checked: String::new(),
            },
            remarks: Vec::new(),
            sent_back: 0,
        })
    }

    /// The number of the last event that was folded.
    pub fn last_seq(&self) -> Seq {
        self.view.last_seq
    }

    /// Folds one more event of this run.
    pub fn apply(&mut self, envelope: &Envelope) {
        self.progress.apply(envelope, &self.view);
        self.budget.apply(&envelope.event);
        self.view.apply(envelope);
        self.row.apply(envelope);
        self.version += 1;
        match &envelope.event {
            Event::StepStarted { brief, undo, .. } => {
                let step = envelope.step.clone().unwrap_or_else(|| StepId::of("step", 1));
                *self.rounds.entry(step.name().to_owned()).or_default() = step.round();
                self.current = Some(Current {
                    step,
                    brief: brief.clone(),
                    talk: Talk::default(),
                    before: self.view.checkpoint.as_ref().map(|point| point.commit.clone()),
                    undo: undo.is_some(),
                    asked: None,
                    child: None,
                });
            }
            Event::CommentMade { comment } => self.remarks.push(comment.clone()),
            Event::StepFinished { result } => {
                let asked = self.current.as_ref().is_some_and(|current| current.asked.is_some());
                if asked && !self.remarks.is_empty() && matches!(result, StepResult::SentBack { .. }) {
                    self.remarks.clear();
                    self.sent_back += 1;
                }
                if let Some(current) = self.current.take() {
                    if *result == StepResult::Done && current.undo {
                        let Current { step, before, .. } = &current;
                        self.done.push(Done { step: step.clone(), before: before.clone(), undone: false });
                    }
                    self.ended = Some((current.step, result.clone()));
                }
                self.forget_step();
            }
            Event::RouteDecided { decision } => {
                if let (Some(role), Some(route)) = (&decision.inputs.role, &decision.route) {
                    self.routes.insert(role.clone(), route.clone());
                }
            }
            Event::CallStarted { role, route, .. } => {
                self.route = Some(route.clone());
                self.routes.insert(role.clone(), route.clone());
                self.talk(|talk| talk.held_ms = None);
            }
            Event::CallHeld { until_ms, .. } => self.talk(|talk| talk.held_ms = Some(*until_ms)),
            Event::PromptCompacted { compaction } => {
                self.talk(|talk| talk.compacted(&compaction.left_out));
                self.forget_items();
            }
            Event::SummaryAsked { call, role, route, .. } => {
                self.route = Some(route.clone());
                self.routes.insert(role.clone(), route.clone());
                self.talk(|talk| {
                    talk.held_ms = None;
                    talk.summing = Some(call.clone());
                });
            }
            Event::MemorySummarised { summary } => {
                self.talk(|talk| talk.summarised(summary));
                self.forget_items();
            }
            Event::ContextMismatched { mismatch, .. } => {
                self.mismatched(mismatch);
                self.forget_items();
            }
            Event::CallFinished { text, tool_calls, usage, .. } => {
                self.tool_calls += u32::try_from(tool_calls.len()).unwrap_or(0);
                self.talk(|talk| talk.turn(text, tool_calls, usage.prompt_tokens));
                self.forget_items();
            }
            // A call that ended with its process says nothing about the server.
            Event::CallFailed { problem, .. } if problem.code == Code::Interrupted => self.forget_items(),
            Event::CallFailed { problem, class, .. } => {
                let route = self.route.clone();
                if let Some(route) = route.as_ref().filter(|_| *class == Some(FailureClass::FailOver)) {
                    self.routes.retain(|_, kept| (&kept.provider, &kept.model) != (&route.provider, &route.model));
                }
                self.talk(|talk| talk.failed(route.as_ref(), problem, *class));
                self.forget_items();
            }
            Event::TurnCorrected { message } => {
                self.talk(|talk| talk.corrected(message));
                self.forget_items();
            }
            Event::ToolDecided { id, verdict, .. } => self.talk(|talk| {
                talk.verdicts.insert(id.clone(), verdict.clone());
            }),
            Event::ToolReturned { id, output, .. } => self.talk(|talk| talk.answered(id, &output.text)),
            Event::SpecWritten { .. } => self.talk(|talk| talk.delivered = true),
            Event::ReviewRecorded { .. } => {
                self.talk(|talk| talk.delivered = true);
                self.forget_evidence();
            }
            Event::CheckRecorded { check } => {
                self.on_base.extend(Some(check).filter(|check| check.is_of_base()).cloned());
                self.forget_evidence();
            }
            Event::CheckpointMade { .. } | Event::RunRebased { .. } => self.forget_evidence(),
            Event::EffectIntended { key, effect } => {
                let tried = Tried { effect: effect.clone(), step: envelope.step.clone(), outcome: None };
                self.effects.insert(key.clone(), tried);
            }
            Event::EffectSettled { key, outcome } => self.settled(key, outcome),
            Event::ApprovalRequested { approval, .. } => {
                if let Some(current) = self.current.as_mut().filter(|c| envelope.step.as_ref() == Some(&c.step)) {
                    current.asked = Some(approval.clone());
                }
            }
            Event::ApprovalSettled { approval, answer, by, .. } => {
                self.answered(approval, *answer, by, envelope.at_ms);
            }
            Event::ChildEnded { child, outcome } => {
                self.children.push(child.clone());
                if let Some(current) = &mut self.current {
                    current.child = Some(outcome.clone());
                }
                self.view.children.retain(|c| c.outcome.is_none());
            }
            Event::StepUndone { undone, .. } => {
                for done in self.done.iter_mut().filter(|done| done.step == *undone) {
                    done.undone = true;
                }
            }
            Event::RunParked { .. } => {
                self.route = None;
                self.routes.clear();
            }
            // A person resumed it after mending what was wrong: it gets its attempts afresh.
            Event::RunResumed { by: Actor::User, .. } => self.talk(|talk| {
                talk.afresh();
                talk.unusable = 0;
            }),
            Event::Noticed { problem } => {
                if problem.code == Code::BudgetNear {
                    self.budget.warned.extend(problem.details.first().cloned());
                }
                self.view.notices.clear();
            }
            _ => {}
        }
    }

    /// What is to be done next.
    pub fn next(&self, flow: &Flow) -> Action {
        match self.view.state {
            state if state.is_final() => return Action::Stop,
            state if state.rests() || state == RunState::WaitsForSlot => return Action::Rest,
            _ => {}
        }
        if let Some((key, _)) = self.effects.iter().find(|(_, tried)| tried.outcome.is_none()) {
            return Action::Settle { key: key.clone() };
        }
        // A question about a command may be part of making the tree.
        let about_commands = |ask: &Ask| matches!(ask, Ask::Command { .. } | Ask::ProjectCommands { .. });
        let leave = self.view.approvals.iter().any(|asked| asked.answer.is_none() && about_commands(&asked.ask));
        if !leave && (self.forks_tree() || (self.view.on.is_some() && !self.tree_made)) {
            return Action::MakeTree; // the user's folder is not what it begins with
        }
        if let Some(asked) = self.view.pending_approval() {
            return Action::Wait { approval: asked.id.clone(), expires_at_ms: asked.expires_at_ms };
        }
        if let Some(child) = self.open_child() {
            return Action::Await { child: child.clone() };
        }
        if let Some(problem) = &self.view.compensating {
            return match self.done.iter().rev().find(|done| !done.undone) {
                Some(done) => Action::Undo { done: done.clone() },
                None => Action::Finish { outcome: Outcome::Failed { problem: problem.clone() } },
            };
        }
        match &self.current {
            Some(current) => self.within(flow, current),
            None => self.between(flow),
        }
    }

    /// The place in the flow of a step; `None` where the flow has no such step.
    pub fn index_of(flow: &Flow, step: &StepId) -> Option<usize> {
        flow.steps.iter().position(|s| s.id == step.name())
    }

    /// The child run that is open.
    pub fn open_child(&self) -> Option<&RunId> {
        self.view.children.iter().find(|child| child.outcome.is_none()).map(|child| &child.run)
    }

    /// Whether it is a fork whose tree is still to be made; until then it has nothing to work on.
    pub fn forks_tree(&self) -> bool {
        let intended = self.effects.get("tree").map(|tried| &tried.effect);
        !self.tree_made && matches!(intended, Some(Effect::ForkTree { .. }))
    }

    /// Whether the effect of that key is known to have landed.
    pub fn landed(&self, key: &str) -> bool {
        self.effects.get(key).is_some_and(|tried| tried.outcome == Some(EffectOutcome::Landed))
    }

    /// The answer to the question about the tool call with that id, where one was given.
    pub fn tool_answer(&self, id: &str) -> Option<Answer> {
        self.view.approvals.iter().rev().find_map(|asked| match &asked.ask {
            Ask::Tool { call, .. } if call.id == id => asked.answer,
            _ => None,
        })
    }

    fn within(&self, flow: &Flow, current: &Current) -> Action {
        let Some(step) = Self::index_of(flow, &current.step).map(|index| &flow.steps[index]) else {
            return Action::Fail { problem: lost_step(&current.step) };
        };
        if step.kind.needs_tree() && !self.tree_made {
            return Action::MakeTree;
        }
        match &step.kind {
            Kind::Agent { .. } => {
                let talk = &current.talk;
                match (talk.pending.first(), talk.delivered, &talk.closing) {
                    (Some(call), _, _) => Action::CallTool { call: call.clone() },
                    (None, true, _) => Action::EndAgentStep,
                    (None, false, Some(text)) => Action::Conclude { text: text.clone() },
                    (None, false, None) => Action::AskModel,
                }
            }
            Kind::Check => Action::Check,
            Kind::Approve => match self.asked_in(current).and_then(|asked| asked.answer) {
                Some(answer) => Action::HandOverAnswered { answer },
                None => Action::AskHandOver,
            },
            Kind::HandOver => Action::HandOver,
            Kind::Script { .. } => Action::RunScript,
            Kind::Service { .. } => Action::StartService,
            Kind::Task { .. } => Action::PutTask,
            Kind::Ask { question, .. } => {
                let answered = self.answers.iter().rev().find(|(asked, _)| asked == question);
                match (self.asked_in(current).and_then(|asked| asked.answer), answered) {
                    (Some(_), Some((_, said))) => Action::QuestionAnswered { said: said.clone() },
                    _ => Action::AskQuestion,
                }
            }
            Kind::Call { .. } => match &current.child {
                Some(outcome) => Action::ChildEnded { outcome: outcome.clone() },
                None => Action::Call,
            },
        }
    }

    fn asked_in(&self, current: &Current) -> Option<&ApprovalView> {
        let asked = current.asked.as_ref()?;
        self.view.approvals.iter().find(|a| a.id == *asked)
    }

    fn between(&self, flow: &Flow) -> Action {
        let index = match &self.ended {
            None => 0,
            Some((step, result)) => {
                let Some(index) = Self::index_of(flow, step) else {
                    return Action::Fail { problem: lost_step(step) };
                };
                match result {
                    StepResult::Done if index + 1 == flow.steps.len() => {
                        return Action::Finish { outcome: Outcome::Done };
                    }
                    StepResult::Done => index + 1,
                    StepResult::SentBack { .. } => {
                        flow.steps[index].back_to.or_else(|| author_before(flow, index)).unwrap_or(index)
                    }
                    StepResult::Failed { problem } => return Action::Fail { problem: problem.clone() },
                }
            }
        };
        let name = &flow.steps[index].id;
        let round = self.rounds.get(name).copied().unwrap_or(0) + 1;
        Action::Begin { index, step: StepId::of(name, round) }
    }

    fn talk(&mut self, change: impl FnOnce(&mut Talk)) {
        if let Some(current) = &mut self.current {
            change(&mut current.talk);
        }
    }

    /// A server that holds less than it was asked for is asked for no more than it holds.
    fn mismatched(&mut self, mismatch: &ContextMismatch) {
        let Some(route) = &self.route else { return };
        for kept in self.routes.values_mut() {
            if mismatch.kind == MismatchKind::ShorterContext
                && kept.model == route.model
                && kept.provider == route.provider
            {
                kept.context = mismatch.loaded;
            }
        }
    }

    fn settled(&mut self, key: &str, outcome: &EffectOutcome) {
        let Some(tried) = self.effects.get_mut(key) else { return };
        tried.outcome = Some(outcome.clone());
        if *outcome != EffectOutcome::Landed {
            return;
        }
        match &tried.effect {
            Effect::MakeTree { .. } | Effect::ForkTree { .. } => self.tree_made = true,
            Effect::StartProcess { name, argv } => {
                self.processes.insert(name.clone(), argv.clone());
            }
            Effect::EndProcess { name } => {
                self.processes.remove(name);
            }
            _ => {}
        }
    }

    fn answered(&mut self, approval: &ApprovalId, answer: Answer, by: &Actor, at_ms: u64) {
        let Some(asked) = self.view.approvals.iter().find(|a| a.id == *approval) else { return };
        match &asked.ask {
            Ask::HandOver { .. } if answer == Answer::Approve => self.approved_at_ms = Some(at_ms),
            Ask::HandOver { .. } | Ask::Tool { .. } => {}
            Ask::ProjectCommands { hash, .. } => {
                self.commands.insert(crate::consent::key(hash), (approval.clone(), answer));
            }
            Ask::Command { key, .. } => {
                self.commands.insert(key.clone(), (approval.clone(), answer));
            }
            Ask::Cloud { provider, host, .. } => {
                self.cloud.insert(crate::cloud::key(provider, host), (approval.clone(), answer));
            }
            Ask::Budget { more, node: Some(node), unit, .. } => match answer {
                Answer::Approve => self.budget.raised.push((node.clone(), *unit, *more)),
                Answer::Reject => self.budget.refused = true,
            },
            Ask::Budget { more, .. } => match answer {
                Answer::Approve => self.budget.limit = self.budget.limit.map(|limit| limit.saturating_add(*more)),
                Answer::Reject => self.budget.refused = true,
            },
            Ask::Question { question, default } => {
                // A grant or a bare yes says nothing in words.
                let silent = answer == Answer::Reject || *by != Actor::User || asked.note.trim().is_empty();
                let said = if silent { default.clone() } else { asked.note.trim().to_owned() };
                self.answers.push((question.clone(), said));
            }
        }
    }

    /// Drops what only the step that ended needed.
    fn forget_step(&mut self) {
        let last = self.view.steps.len().saturating_sub(1);
        self.view.steps.drain(..last);
        for step in &mut self.view.steps {
            step.items.clear();
            step.brief.clear();
        }
        self.effects.retain(|_, tried| {
            tried.outcome.is_none()
                || tried.step.is_none()
                || matches!(tried.effect, Effect::MakeTree { .. } | Effect::ForkTree { .. } | Effect::HandOver { .. })
        });
        let hand_over = self.view.approvals.iter().rposition(|a| matches!(a.ask, Ask::HandOver { .. }));
        let mut at = 0;
        self.view.approvals.retain(|asked| {
            at += 1;
            asked.answer.is_none() || Some(at - 1) == hand_over
        });
    }

    /// Drops items that are in the conversation as well. The call that is open is told by its item.
    fn forget_items(&mut self) {
        for step in &mut self.view.steps {
            step.items.retain(|item| matches!(item, Item::Turn { state: TurnState::Open, .. }));
        }
    }

    /// Drops checks and reviews of other trees than the present one, and all but the last of each.
    fn forget_evidence(&mut self) {
        let view = &mut self.view;
        let Some(tree) = view.checkpoint.as_ref().map(|point| point.tree.clone()) else { return };
        let latest: Vec<_> = view.latest_checks(&tree).into_iter().cloned().collect();
        view.checks = latest;
        if let Some(last) = view.reviews.pop() {
            view.reviews.clear();
            view.reviews.push(last);
        }
    }
}

impl Budget {
    fn apply(&mut self, event: &Event) {
        match event {
            Event::CallStarted { prompt, .. } => {
                self.prompt_bytes = prompt.parts.iter().map(|part| u64::from(part.bytes)).sum();
            }
            Event::CallFinished { text, thinking, usage, .. } => {
                self.spent = self.spent.saturating_add(self.tokens(usage, text.len() + thinking.len()));
            }
            Event::CallFailed { used, .. } => self.spent = self.spent.saturating_add(used.tokens),
            Event::MemorySummarised { summary } => self.spent = self.spent.saturating_add(summary.used.tokens),
            _ => {}
        }
    }

    /// What a call used: as the server says, else three bytes a token.
    fn tokens(&self, usage: &Usage, answer_bytes: usize) -> u64 {
        let prompt = usage.prompt_tokens.map_or(self.prompt_bytes.div_ceil(3), u64::from);
        prompt + usage.output_tokens.map_or((answer_bytes as u64).div_ceil(3), u64::from)
    }
}

impl Progress {
    /// Sees an event before the view folds it.
    fn apply(&mut self, envelope: &Envelope, before: &RunView) {
        let made = match &envelope.event {
            Event::CallFinished { .. } => {
                self.turns += 1;
                None
            }
            Event::StallNoticed { .. } => {
                self.noticed = true;
                None
            }
            // Waiting is no stall: the time counts from here.
            Event::ApprovalSettled { .. } | Event::RunResumed { .. } | Event::SlotGiven {} => {
                self.since_ms = envelope.at_ms;
                None
            }
            Event::SpecWritten { .. } => Some("the specification".to_owned()),
            Event::CheckpointMade { checkpoint } => {
                let known = before.checkpoint.as_ref().map(|point| point.tree.as_str());
                let new = known != Some(&checkpoint.tree) && !(known.is_none() && checkpoint.files.is_empty());
                new.then(|| format!("a changed tree with {} files", checkpoint.files.len()))
            }
            Event::CheckRecorded { check } if !check.tree.is_empty() && check.tree != self.checked => {
                self.checked.clone_from(&check.tree);
                Some(format!("the check `{}` of a new tree", check.name))
            }
            Event::ReviewRecorded { .. } => Some("a review".to_owned()),
            Event::HandedOver { .. } => Some("the hand-over".to_owned()),
            Event::StepFinished { result: StepResult::Done } => {
                Some(envelope.step.as_ref().map_or_else(|| "a step".to_owned(), |step| format!("step {step}")))
            }
            Event::StepUndone { undone, .. } => Some(format!("the undoing of {undone}")),
            Event::ChildEnded { outcome: Outcome::Done, child } => Some(format!("child run {child}")),
            Event::ChildEnded { .. } => {
                self.since_ms = envelope.at_ms;
                None
            }
            _ => None,
        };
        if let Some(last) = made {
            *self = Progress {
                turns: 0,
                since_ms: envelope.at_ms,
                last,
                noticed: false,
                checked: std::mem::take(&mut self.checked),
            };
        }
    }
}

/// The step whose role made the result that a question is about.
fn author_before(flow: &Flow, index: usize) -> Option<usize> {
    let asks = flow.steps[index].kind == Kind::Approve;
    flow.steps[..index].iter().rposition(|step| asks && matches!(step.kind, Kind::Agent { writes: true, .. }))
}

fn lost_step(step: &StepId) -> Problem {
    Problem::new(
        Code::FlowInvalid,
        format!("The flow of this run has no step `{}`.", step.name()),
        "Start a new run with the present flow.",
    )
}
