//! The state of a run as its own events tell it, and what is to be done next.
//!
//! Pure: a fold and a decision, no I/O. Whoever owns the store folds the same events to the same state and goes on
//! from there; that is all there is to resuming. What is done, and how, is `run`'s part.

use crate::flow::{Flow, Kind};
use atelier_models::Message;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{
    Actor, Answer, Ask, Effect, EffectOutcome, Envelope, Event, Grants, Outcome, Route, StepResult, ToolCall, Verdict,
};
use atelier_protocol::ids::{ApprovalId, Seq, StepId};
use atelier_protocol::settings::ModelChoice;
use atelier_protocol::view::RunView;
use std::collections::BTreeMap;

/// A run as its events tell it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// What a screen shows.
    pub view: RunView,
    /// The model the user asked for.
    pub model: Option<ModelChoice>,
    /// What the user granted with the start.
    pub grants: Grants,
    /// Number of events so far: the version that an append expects.
    pub version: u64,
    /// The model of the last call; kept for the whole run unless it had to be parked.
    pub route: Option<Route>,
    /// Whether the private tree exists.
    pub tree_made: bool,
    /// Tool calls so far, which names the next one.
    pub tool_calls: u32,
    /// Every effect by key, with its last outcome.
    pub effects: BTreeMap<String, Tried>,
    /// The step that is under way.
    pub current: Option<Current>,
    /// How often each step was entered, by step name.
    pub rounds: BTreeMap<String, u32>,
    /// The last step that ended, and how.
    pub ended: Option<(StepId, StepResult)>,
    /// When the hand-over was approved, for the time in its commits.
    pub approved_at_ms: Option<u64>,
}

/// An effect and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// What was intended.
    pub effect: Effect,
    /// The step it belongs to.
    pub step: Option<StepId>,
    /// What the world said; `None` while that is not recorded.
    pub outcome: Option<EffectOutcome>,
}

/// The step that is under way.
#[derive(Debug, Clone)]
pub struct Current {
    /// The step.
    pub step: StepId,
    /// What its role was told at the start.
    pub brief: String,
    /// The conversation after the brief.
    pub talk: Talk,
}

/// The conversation of an agent step.
#[derive(Debug, Clone, Default)]
pub struct Talk {
    /// Messages after the brief.
    pub messages: Vec<Message>,
    /// Tool calls of the last turn that are not answered yet.
    pub pending: Vec<ToolCall>,
    /// The policy's decisions about them.
    pub verdicts: BTreeMap<String, Verdict>,
    /// Complete model turns.
    pub turns: u32,
    /// Turns in a row that could not be used.
    pub unusable: u32,
    /// Failed calls in a row.
    pub failures: u32,
    /// Whether the required output was delivered in this step.
    pub delivered: bool,
    /// The text of the last turn, when it called no tools and nothing came after it.
    pub closing: Option<String>,
    /// The last answered call with its answer, and how often it came in a row.
    pub repeats: (String, u32),
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Nothing, ever again.
    Stop,
    /// Nothing until somebody resumes it.
    Rest,
    /// Nothing until the question is answered or its time is over.
    Wait {
        /// The question.
        approval: ApprovalId,
        /// When silence counts as a rejection.
        expires_at_ms: u64,
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
    /// Ask for the hand-over, or act on its answer.
    AskHandOver,
    /// The question of the hand-over was answered.
    HandOverAnswered {
        /// The answer.
        answer: Answer,
    },
    /// Publish the commits.
    HandOver,
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
        let first = events.next()?;
        let view = RunView::start(first)?;
        let Event::RunStarted { model, grants, .. } = &first.event else { return None };
        let mut machine = Machine {
            view,
            model: model.clone(),
            grants: grants.clone(),
            version: 1,
            route: None,
            tree_made: false,
            tool_calls: 0,
            effects: BTreeMap::new(),
            current: None,
            rounds: BTreeMap::new(),
            ended: None,
            approved_at_ms: None,
        };
        for event in events {
            machine.apply(event);
        }
        Some(machine)
    }

    /// The number of the last event that was folded.
    pub fn last_seq(&self) -> Seq {
        self.view.last_seq
    }

    /// Folds one more event of this run.
    pub fn apply(&mut self, envelope: &Envelope) {
        self.view.apply(envelope);
        self.version += 1;
        match &envelope.event {
            Event::StepStarted { brief, .. } => {
                let step = envelope.step.clone().unwrap_or_else(|| StepId::of("step", 1));
                *self.rounds.entry(step.name().to_owned()).or_default() = step.round();
                self.current = Some(Current { step, brief: brief.clone(), talk: Talk::default() });
            }
            Event::StepFinished { result } => {
                if let Some(current) = self.current.take() {
                    self.ended = Some((current.step, result.clone()));
                }
            }
            Event::CallStarted { route, .. } => self.route = Some(route.clone()),
            Event::CallFinished { text, tool_calls, .. } => {
                self.tool_calls += u32::try_from(tool_calls.len()).unwrap_or(0);
                self.talk(|talk| talk.turn(text, tool_calls));
            }
            // A call that ended with its process says nothing about the server.
            Event::CallFailed { problem, .. } if problem.code == Code::Interrupted => {}
            Event::CallFailed { .. } => self.talk(|talk| talk.failures += 1),
            Event::TurnCorrected { message } => self.talk(|talk| {
                talk.unusable += 1;
                talk.closing = None;
                talk.messages.push(Message::user(message));
            }),
            Event::ToolDecided { id, verdict, .. } => self.talk(|talk| {
                talk.verdicts.insert(id.clone(), verdict.clone());
            }),
            Event::ToolReturned { id, output, .. } => self.talk(|talk| talk.answered(id, &output.text)),
            Event::SpecWritten { .. } | Event::ReviewRecorded { .. } => self.talk(|talk| talk.delivered = true),
            Event::EffectIntended { key, effect } => {
                let tried = Tried { effect: effect.clone(), step: envelope.step.clone(), outcome: None };
                self.effects.insert(key.clone(), tried);
            }
            Event::EffectSettled { key, outcome } => self.settled(key, outcome),
            Event::ApprovalSettled { approval, answer, .. } => {
                let hand_over =
                    self.view.approvals.iter().any(|a| a.id == *approval && matches!(a.ask, Ask::HandOver { .. }));
                if hand_over && *answer == Answer::Approve {
                    self.approved_at_ms = Some(envelope.at_ms);
                }
            }
            Event::RunParked { .. } => self.route = None,
            // A person resumed it after mending what was wrong: it gets its attempts afresh.
            Event::RunResumed { by: Actor::User, .. } => self.talk(|talk| {
                talk.failures = 0;
                talk.unusable = 0;
            }),
            _ => {}
        }
    }

    /// What is to be done next.
    pub fn next(&self, flow: &Flow) -> Action {
        match self.view.state {
            state if state.is_final() => return Action::Stop,
            state if state.rests() => return Action::Rest,
            _ => {}
        }
        if let Some((key, _)) = self.effects.iter().find(|(_, tried)| tried.outcome.is_none()) {
            return Action::Settle { key: key.clone() };
        }
        if let Some(asked) = self.view.pending_approval() {
            return Action::Wait { approval: asked.id.clone(), expires_at_ms: asked.expires_at_ms };
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

    /// Whether the effect of that key is known to have landed.
    pub fn landed(&self, key: &str) -> bool {
        self.effects.get(key).is_some_and(|tried| tried.outcome == Some(EffectOutcome::Landed))
    }

    /// The answer to the question about the command with that key, where one was given.
    pub fn command_answer(&self, wanted: &str) -> Option<Answer> {
        self.view.approvals.iter().rev().find_map(|asked| match &asked.ask {
            Ask::Command { key, .. } if key == wanted => asked.answer,
            _ => None,
        })
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
            return Action::Finish { outcome: lost_step(&current.step) };
        };
        let needs_tree = matches!(step.kind, Kind::Agent { writes: true, .. } | Kind::Check);
        if needs_tree && !self.tree_made {
            return Action::MakeTree;
        }
        match step.kind {
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
            Kind::Approve => {
                let asked_here = self.view.approvals.iter().rev().find(|a| matches!(a.ask, Ask::HandOver { .. }));
                match asked_here {
                    // A question of an earlier round does not count for this one.
                    Some(asked) if self.asked_in(&current.step, &asked.id) => match asked.answer {
                        Some(answer) => Action::HandOverAnswered { answer },
                        None => Action::Wait { approval: asked.id.clone(), expires_at_ms: asked.expires_at_ms },
                    },
                    _ => Action::AskHandOver,
                }
            }
            Kind::HandOver => Action::HandOver,
        }
    }

    fn asked_in(&self, step: &StepId, approval: &ApprovalId) -> bool {
        use atelier_protocol::view::Item;
        let here = self.view.steps.iter().rev().find(|s| s.id == *step);
        here.is_some_and(|s| s.items.iter().any(|i| matches!(i, Item::Asked { approval: id } if id == approval)))
    }

    fn between(&self, flow: &Flow) -> Action {
        let index = match &self.ended {
            None => 0,
            Some((step, result)) => {
                let Some(index) = Self::index_of(flow, step) else {
                    return Action::Finish { outcome: lost_step(step) };
                };
                match result {
                    StepResult::Done if index + 1 == flow.steps.len() => {
                        return Action::Finish { outcome: Outcome::Done };
                    }
                    StepResult::Done => index + 1,
                    StepResult::SentBack { .. } => flow.steps[index].back_to.unwrap_or(index),
                    StepResult::Failed { problem } => {
                        return Action::Finish { outcome: Outcome::Failed { problem: problem.clone() } };
                    }
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

    fn settled(&mut self, key: &str, outcome: &EffectOutcome) {
        if let Some(tried) = self.effects.get_mut(key) {
            tried.outcome = Some(outcome.clone());
            if matches!(tried.effect, Effect::MakeTree { .. }) && *outcome == EffectOutcome::Landed {
                self.tree_made = true;
            }
        }
    }
}

impl Talk {
    fn turn(&mut self, text: &str, calls: &[ToolCall]) {
        self.turns += 1;
        self.failures = 0;
        if !calls.is_empty() {
            self.unusable = 0;
        }
        self.messages.push(Message::assistant(text, calls.to_vec()));
        self.pending = calls.to_vec();
        self.closing = calls.is_empty().then(|| text.to_owned());
    }

    fn answered(&mut self, id: &str, output: &str) {
        let Some(at) = self.pending.iter().position(|call| call.id == id) else { return };
        let call = self.pending.remove(at);
        let pair = format!("{} {} {output}", call.name, call.arguments);
        self.repeats = if self.repeats.0 == pair { (pair, self.repeats.1 + 1) } else { (pair, 1) };
        self.messages.push(Message::tool(&call, output));
    }
}

fn lost_step(step: &StepId) -> Outcome {
    Outcome::Failed {
        problem: Problem::new(
            Code::FlowInvalid,
            format!("The flow of this run has no step `{}`.", step.name()),
            "Start a new run with the present flow.",
        ),
    }
}
