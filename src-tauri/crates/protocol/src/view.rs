//! What a screen shows: the state of a run, folded from its events, and the answers to questions.
//!
//! The fold is pure and total: any sequence of events gives a view and never panics. The page folds the
//! same events with the same rules; a fixture recorded by the suite holds both to the same result.

use crate::error::Problem;
use crate::event::{
    Answer, Ask, Base, Check, Checkpoint, ChecksVerdict, Commit, Cost, Envelope, Event, FileChange, FlowRef, Mechanism,
    Outcome, Output, Review, Reviewer, Route, Spec, StepResult, ToolCall, Usage, Verdict,
};
use crate::hash::Hash;
use crate::ids::{ApprovalId, CallId, ProjectId, RoleId, RunId, Seq, StepId};
use crate::settings::ProviderKind;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Work goes on.
    Running,
    /// A question waits for the user.
    WaitsForApproval,
    /// Something outside must be mended; resuming goes on.
    Parked,
    /// Its process ended; resuming goes on.
    Interrupted,
    /// The commits are handed over.
    Done,
    /// It could not be done.
    Failed,
    /// Stopped or rejected by the user.
    Cancelled,
}

impl RunState {
    /// Whether nothing more will happen by itself or by resuming.
    pub fn is_final(self) -> bool {
        matches!(self, RunState::Done | RunState::Failed | RunState::Cancelled)
    }
}

/// What became of a run's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "disposition", rename_all = "snake_case")]
pub enum Disposition {
    /// Nothing yet.
    Pending,
    /// On the user's branch.
    Accepted {
        /// The commit the branch moved to.
        commit: String,
    },
    /// Thrown away.
    Discarded,
}

/// One run in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct RunView {
    /// The run.
    pub id: RunId,
    /// What the user typed.
    pub goal: String,
    /// The flow it follows.
    pub flow: FlowRef,
    /// The user's state it started from.
    pub base: Base,
    /// Where it is.
    pub state: RunState,
    /// What became of its result.
    pub disposition: Disposition,
    /// When it began, milliseconds since 1970 UTC.
    pub started_at_ms: u64,
    /// When something last happened.
    pub updated_at_ms: u64,
    /// The number of its last event.
    pub last_seq: Seq,
    /// The requirements.
    pub spec: Option<Spec>,
    /// Its steps in the order they began.
    pub steps: Vec<StepView>,
    /// Every question, in order.
    pub approvals: Vec<ApprovalView>,
    /// Every check, in order.
    pub checks: Vec<Check>,
    /// Whether it was found that there is nothing to check with.
    pub checks_missing: bool,
    /// The reviews, in order.
    pub reviews: Vec<Review>,
    /// The last recorded state of its tree.
    pub checkpoint: Option<Checkpoint>,
    /// The branch in the user's repository.
    pub branch: Option<String>,
    /// The commits on it, oldest first.
    pub commits: Vec<Commit>,
    /// What it cost so far.
    pub cost: Cost,
    /// What is wrong, where it is parked, failed or cancelled.
    pub problem: Option<Problem>,
    /// Things to know that stop nothing.
    pub notices: Vec<Problem>,
}

/// One step in one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct StepView {
    /// Its id, name and round.
    pub id: StepId,
    /// The role that performs it.
    pub role: Option<RoleId>,
    /// What it is for.
    pub title: String,
    /// What the role is told at the start.
    pub brief: String,
    /// How it ended; `None` while it is under way.
    pub result: Option<StepResult>,
    /// When it began.
    pub started_at_ms: u64,
    /// When it ended.
    pub ended_at_ms: Option<u64>,
    /// What was said and done, in order.
    pub items: Vec<Item>,
}

/// Something said or done in a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "item", rename_all = "snake_case")]
pub enum Item {
    /// A model's turn.
    Turn {
        /// The call.
        call: CallId,
        /// The role that speaks.
        role: RoleId,
        /// The model and why.
        route: Route,
        /// When it was asked.
        at_ms: u64,
        /// How it stands.
        state: TurnState,
        /// The answer.
        text: String,
        /// What it thought aloud.
        thinking: String,
        /// Tokens and times, when it is done.
        usage: Option<Usage>,
        /// What went wrong, when it failed.
        problem: Option<Problem>,
    },
    /// A tool call.
    Tool {
        /// The call.
        call: ToolCall,
        /// The policy's decision.
        verdict: Option<Verdict>,
        /// One line for people, when it is answered.
        line: Option<String>,
        /// Whether it worked.
        ok: Option<bool>,
        /// What the model was told.
        output: Option<Output>,
    },
    /// The model was told that its turn could not be used.
    Corrected {
        /// What it was told.
        message: String,
    },
    /// The user was asked.
    Asked {
        /// The question, found in `approvals`.
        approval: ApprovalId,
    },
    /// A check ran.
    Checked {
        /// Its place in `checks`.
        index: u32,
    },
    /// Work went on after an interruption or a mended problem.
    Resumed {
        /// When.
        at_ms: u64,
    },
}

/// How a model's turn stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum TurnState {
    /// The model works on it.
    Open,
    /// It is complete.
    Done,
    /// It brought nothing usable.
    Failed,
}

/// A question to the user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ApprovalView {
    /// The question.
    pub id: ApprovalId,
    /// The run it holds up.
    pub run: RunId,
    /// What is asked.
    pub ask: Ask,
    /// When it was asked.
    pub asked_at_ms: u64,
    /// When silence counts as a rejection.
    pub expires_at_ms: u64,
    /// The answer.
    pub answer: Option<Answer>,
    /// What was written with it.
    pub note: String,
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct RunSummary {
    /// The run.
    pub id: RunId,
    /// What the user typed.
    pub goal: String,
    /// Where it is.
    pub state: RunState,
    /// What became of its result.
    pub disposition: Disposition,
    /// When it began.
    pub started_at_ms: u64,
    /// When something last happened.
    pub updated_at_ms: u64,
    /// Files changed so far.
    pub files: u32,
}

/// A change against a base, for reading.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct DiffView {
    /// The commit it is against.
    pub base: String,
    /// The commit or tree it shows.
    pub tip: String,
    /// The files, by path.
    pub files: Vec<FileDiff>,
}

/// The change of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FileDiff {
    /// The change as a whole.
    pub change: FileChange,
    /// Whether it is binary, so that there are no hunks.
    pub binary: bool,
    /// Whether hunks were left out because the file's diff is very large.
    pub cut: bool,
    /// Its hunks.
    pub hunks: Vec<Hunk>,
}

/// Neighbouring changed lines with their context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Hunk {
    /// First line in the old file, from 1.
    pub old_start: u32,
    /// First line in the new file, from 1.
    pub new_start: u32,
    /// Text after the second `@@`, usually the enclosing function.
    pub header: String,
    /// The lines.
    pub lines: Vec<DiffLine>,
}

/// One line of a hunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct DiffLine {
    /// Which side it is on.
    pub side: Side,
    /// Its number in the old file.
    pub old: Option<u32>,
    /// Its number in the new file.
    pub new: Option<u32>,
    /// Its text without the line end. Bytes that are not UTF-8 are shown as U+FFFD.
    pub text: String,
    /// Whether the file ends here without a line end.
    pub no_newline: bool,
}

/// The side of a diff line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// In both.
    Context,
    /// Only in the new file.
    Added,
    /// Only in the old file.
    Removed,
}

/// A search hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Hit {
    /// Path in the project.
    pub path: String,
    /// First and last line, 1-based and inclusive.
    pub lines: [u32; 2],
    /// Higher is better; only comparable within one answer.
    pub score: f32,
    /// The lines' text.
    pub snippet: String,
    /// Hash of the whole file that the index read.
    pub hash: Hash,
}

/// The state of a project's index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct IndexView {
    /// Files in it.
    pub files: u32,
    /// Files that were new or changed in the last refresh.
    pub updated: u32,
    /// Files that were removed in the last refresh.
    pub removed: u32,
    /// Files left out, and why: path and reason.
    pub skipped: Vec<(String, String)>,
    /// How long the last refresh took, in milliseconds.
    pub ms: u64,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ProjectView {
    /// The project.
    pub id: ProjectId,
    /// Its folder.
    pub path: String,
    /// Its name.
    pub name: String,
    /// The branch that is checked out; `None` where HEAD is detached.
    pub branch: Option<String>,
    /// What confines commands here.
    pub mechanism: Mechanism,
    /// The roles that load.
    pub roles: Vec<RoleView>,
    /// The checks that will run, with where they come from.
    pub checks: Vec<DeclaredCheck>,
}

/// A role as the screen needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct RoleView {
    /// The role.
    pub id: RoleId,
    /// Its name on screen.
    pub title: String,
    /// Its one-letter badge.
    pub badge: String,
    /// Its hue, 0-359 degrees.
    pub hue: u16,
}

/// A check that will run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct DeclaredCheck {
    /// Its name.
    pub name: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Time limit in milliseconds.
    pub timeout_ms: u64,
    /// The file it was found in, such as `Cargo.toml`.
    pub source: String,
}

/// A model server and what it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ProviderView {
    /// Its id in the settings.
    pub id: String,
    /// The wire format.
    pub kind: ProviderKind,
    /// Its address.
    pub base_url: String,
    /// Whether its address is this machine.
    pub local: bool,
    /// The server's version, where it tells.
    pub version: Option<String>,
    /// Its models.
    pub models: Vec<ModelView>,
    /// Why it cannot be used now.
    pub problem: Option<Problem>,
}

/// A model of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ModelView {
    /// Its name.
    pub name: String,
    /// Whether it runs on this machine; a server may pass some names on to a cloud.
    pub local: bool,
    /// Whether it can call tools; `None` where the server does not say.
    pub tools: Option<bool>,
    /// Whether it thinks aloud; `None` where the server does not say.
    pub thinking: Option<bool>,
    /// The longest context it was made for, in tokens.
    pub context: Option<u32>,
    /// Size on disk in bytes.
    pub bytes: Option<u64>,
}

/// A project in the list of known ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct KnownProject {
    /// The project.
    pub id: ProjectId,
    /// Its folder.
    pub path: String,
    /// Its name.
    pub name: String,
}

impl RunView {
    /// The view of a run from its first event; `None` where that is not its start.
    pub fn start(first: &Envelope) -> Option<RunView> {
        let (Some(run), Event::RunStarted { goal, flow, base, .. }) = (&first.run, &first.event) else {
            return None;
        };
        Some(RunView {
            id: run.clone(),
            goal: goal.clone(),
            flow: flow.clone(),
            base: base.clone(),
            state: RunState::Running,
            disposition: Disposition::Pending,
            started_at_ms: first.at_ms,
            updated_at_ms: first.at_ms,
            last_seq: first.seq,
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

    /// Folds one more event of this run.
    pub fn apply(&mut self, envelope: &Envelope) {
        self.updated_at_ms = envelope.at_ms;
        self.last_seq = envelope.seq;
        match &envelope.event {
            Event::RunInterrupted { .. } => self.state = RunState::Interrupted,
            Event::RunParked { problem } => {
                self.state = RunState::Parked;
                self.problem = Some(problem.clone());
            }
            Event::RunResumed { .. } => {
                self.state =
                    if self.pending_approval().is_some() { RunState::WaitsForApproval } else { RunState::Running };
                self.problem = None;
                self.push(envelope, Item::Resumed { at_ms: envelope.at_ms });
            }
            Event::RunFinished { outcome } => self.finish(outcome),
            Event::StepStarted { role, title, brief } => self.steps.push(StepView {
                id: envelope.step.clone().unwrap_or_else(|| StepId::of("step", 1)),
                role: role.clone(),
                title: title.clone(),
                brief: brief.clone(),
                result: None,
                started_at_ms: envelope.at_ms,
                ended_at_ms: None,
                items: Vec::new(),
            }),
            Event::StepFinished { result } => {
                if let Some(step) = self.step_mut(envelope) {
                    step.result = Some(result.clone());
                    step.ended_at_ms = Some(envelope.at_ms);
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
            Event::CallFinished { call, text, thinking, tool_calls, usage, .. } => {
                self.turn_done(envelope, call, text, thinking, usage);
                for tool_call in tool_calls {
                    let item =
                        Item::Tool { call: tool_call.clone(), verdict: None, line: None, ok: None, output: None };
                    self.push(envelope, item);
                }
            }
            Event::CallFailed { call, problem, partial } => self.turn_failed(envelope, call, problem, partial),
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
            Event::TurnCorrected { message } => self.push(envelope, Item::Corrected { message: message.clone() }),
            Event::ApprovalRequested { approval, ask, expires_at_ms } => {
                self.state = RunState::WaitsForApproval;
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
            }
            Event::ApprovalSettled { approval, answer, note, .. } => {
                if let Some(asked) = self.approvals.iter_mut().find(|a| a.id == *approval) {
                    asked.answer = Some(*answer);
                    asked.note.clone_from(note);
                }
                if self.state == RunState::WaitsForApproval && self.pending_approval().is_none() {
                    self.state = RunState::Running;
                }
            }
            Event::SpecWritten { spec } => self.spec = Some(spec.clone()),
            Event::CheckpointMade { checkpoint } => self.checkpoint = Some(checkpoint.clone()),
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
            Event::Noticed { problem } => self.notices.push(problem.clone()),
            Event::OwnerChanged { .. }
            | Event::ProjectOpened { .. }
            | Event::SettingsChanged { .. }
            | Event::EgressRecorded { .. }
            | Event::RunStarted { .. }
            | Event::EffectIntended { .. }
            | Event::EffectSettled { .. } => {}
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
            files: self.checkpoint.as_ref().map_or(0, |c| u32::try_from(c.files.len()).unwrap_or(u32::MAX)),
        }
    }

    fn finish(&mut self, outcome: &Outcome) {
        let (state, problem) = match outcome {
            Outcome::Done => (RunState::Done, None),
            Outcome::Failed { problem } => (RunState::Failed, Some(problem.clone())),
            Outcome::Cancelled { problem } => (RunState::Cancelled, Some(problem.clone())),
        };
        self.state = state;
        self.problem = problem;
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

    fn turn_done(&mut self, envelope: &Envelope, call: &CallId, said: &str, thought: &str, used: &Usage) {
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
            self.cost.micros = None; // no price list yet, so the price is unknown
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
