//! The state of a run as its own events tell it.
//!
//! Pure: a fold, no I/O. Whoever owns the store folds the same events to the same state and goes on from there; that is
//! all there is to resuming. It keeps what the next decision needs and no more: what finished steps said is for the
//! screen, which folds for itself. What is to be done next is decided in `next`; how it is done is `run`'s part.

use crate::digest::Digest;
use crate::flow::Flow;
use crate::talk::Talk;
use atelier_protocol::error::Code;
use atelier_protocol::event::{
    Actor, Answer, Ask, Check, Comment, ContextMismatch, Effect, EffectOutcome, Envelope, Event, FailureClass, Grants,
    MismatchKind, Outcome, Route, StepResult,
};
use atelier_protocol::ids::{ApprovalId, RoleId, RunId, Seq, StepId};
use atelier_protocol::settings::ModelChoice;
use atelier_protocol::view::RunView;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod budget;
mod forget;
mod next;
mod progress;

pub use budget::Budget;
pub use next::Action;
pub use progress::Progress;

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
            budget: Budget::start(*budget_tokens),
            progress: Progress::start(first.at_ms),
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
}
