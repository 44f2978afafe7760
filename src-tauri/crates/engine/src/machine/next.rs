//! What a run does next.
//!
//! Pure: the same state and flow give the same action. What a run waits for comes before what it could do; an effect
//! whose outcome is not known comes before anything else. Doing it is `run`'s part.

use super::{Current, Done, Machine};
use crate::flow::{Flow, Kind};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Answer, Ask, Outcome, StepResult, ToolCall};
use atelier_protocol::ids::{ApprovalId, RunId, StepId};
use atelier_protocol::view::{ApprovalView, RunState};

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
