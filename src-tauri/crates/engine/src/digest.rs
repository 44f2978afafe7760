//! One small row a run: what lists, questions, recovery and the scheduler need, without folding the run.
//!
//! Pure: the same events give the same row, and its summary is that of the whole view, whatever the events. It holds
//! open questions by their place in the history; what is asked is read there.

use atelier_journal::Projection;
use atelier_protocol::Envelope;
use atelier_protocol::error::Code;
use atelier_protocol::event::{AskKind, Change, Event, Outcome, Parent, Priority, StepPhase, StepResult};
use atelier_protocol::ids::{ApprovalId, RunId, Seq, StepId};
use atelier_protocol::view::{Disposition, Illegal, RunState, RunSummary};
use serde::{Deserialize, Serialize};

/// A run in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// The run.
    pub id: RunId,
    /// What the user typed.
    pub goal: String,
    /// Where it is.
    pub state: RunState,
    /// What became of its result.
    pub disposition: Disposition,
    /// When it began, milliseconds since 1970 UTC.
    pub started_at_ms: u64,
    /// When something last happened.
    pub updated_at_ms: u64,
    /// The number of its first event.
    pub first_seq: Seq,
    /// The number of its last event.
    pub last_seq: Seq,
    /// Number of its events: the version that an append expects.
    pub events: u64,
    /// Files changed so far.
    pub files: u32,
    /// The run it works for.
    pub parent: Option<Parent>,
    /// How urgent it is.
    pub priority: Priority,
    /// The run it stands on.
    #[serde(default)]
    pub on: Option<RunId>,
    /// Whether that one moved and this one could not follow.
    #[serde(default)]
    behind: bool,
    /// Questions that wait for the user, in the order they were asked.
    pub questions: Vec<Question>,
    /// Children that are open, in the order they began.
    pub children: Vec<RunId>,
    /// Whether an accept or discard was intended whose outcome is not recorded.
    pub deciding: bool,
    /// Whether it was noticed that it gets nowhere.
    stalled: bool,
    /// The tree of the last checkpoint.
    tree: Option<String>,
    /// Whether what its steps did is being undone.
    compensating: bool,
    /// What its last step is for; `None` before the first.
    phase: Option<StepPhase>,
}

/// A question that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The question.
    pub approval: ApprovalId,
    /// Its kind.
    pub kind: AskKind,
    /// The event that asks it.
    pub seq: Seq,
    /// The step it was asked in.
    pub step: Option<StepId>,
    /// When silence counts as a rejection, milliseconds since 1970 UTC.
    pub expires_at_ms: u64,
}

/// The row after one more event of its run; `None` while the run has not begun.
pub fn fold(before: Option<Digest>, envelope: &Envelope) -> Option<Digest> {
    match before {
        None => Digest::start(envelope),
        Some(mut digest) => {
            digest.apply(envelope);
            Some(digest)
        }
    }
}

/// The name of the projection.
pub const RUNS: &str = "runs";

/// The rows of all runs, by id: in the order the runs began.
pub struct Runs;

impl Projection for Runs {
    fn name(&self) -> &'static str {
        RUNS
    }

    fn version(&self) -> u32 {
        4
    }

    fn keys(&self, event: &Envelope) -> Vec<String> {
        event.run.iter().map(ToString::to_string).collect()
    }

    fn fold(&self, _: &str, row: Option<&[u8]>, event: &Envelope) -> Option<Vec<u8>> {
        let before = row.and_then(|row| serde_json::from_slice(row).ok());
        serde_json::to_vec(&fold(before, event)?).ok()
    }
}

impl Digest {
    /// When the first of its questions counts as rejected.
    pub fn expires_at_ms(&self) -> Option<u64> {
        self.questions.iter().map(|question| question.expires_at_ms).min()
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
            files: self.files,
            parent: self.parent.as_ref().map(|parent| parent.run.clone()),
            priority: self.priority,
            questions: u32::try_from(self.questions.len()).unwrap_or(u32::MAX),
            stalled: self.stalled,
            on: self.on.clone(),
            behind: self.behind,
        }
    }

    /// The row of a run that has just begun; `None` where the event is no start.
    pub(crate) fn start(first: &Envelope) -> Option<Digest> {
        Self::begins(first.run.as_ref()?, &first.event, first.at_ms, first.seq)
    }

    /// The same before it is recorded.
    pub(crate) fn begins(run: &RunId, event: &Event, at_ms: u64, seq: Seq) -> Option<Digest> {
        let Event::RunStarted { goal, parent, priority, on, .. } = event else { return None };
        Some(Digest {
            id: run.clone(),
            goal: goal.clone(),
            state: RunState::Created,
            disposition: Disposition::Pending,
            started_at_ms: at_ms,
            updated_at_ms: at_ms,
            first_seq: seq,
            last_seq: seq,
            events: 1,
            files: 0,
            parent: parent.clone(),
            priority: *priority,
            on: on.as_ref().map(|on| on.run.clone()),
            behind: false,
            questions: Vec::new(),
            children: Vec::new(),
            deciding: false,
            stalled: false,
            tree: None,
            compensating: false,
            phase: None,
        })
    }

    /// Folds one more event of this run. What the table of transitions does not allow changes no state.
    pub(crate) fn apply(&mut self, envelope: &Envelope) {
        self.updated_at_ms = envelope.at_ms;
        self.last_seq = envelope.seq;
        self.events += 1;
        let _left_out = self.happens(&envelope.event, envelope.step.as_ref(), envelope.seq);
    }

    /// What an event changes; says which transition was left out. Whoever records an event asks this first, on a copy.
    pub(crate) fn happens(&mut self, event: &Event, step: Option<&StepId>, seq: Seq) -> Result<(), Illegal> {
        let next = match event {
            Event::RunInterrupted { .. } => Some(RunState::Interrupted),
            Event::RunParked { problem } if problem.code == Code::Indeterminate => Some(RunState::Indeterminate),
            Event::RunParked { .. } => Some(RunState::Parked),
            Event::RunResumed { .. } => Some(self.open_state()),
            Event::RunFinished { outcome } => Some(match outcome {
                Outcome::Done => RunState::Done,
                Outcome::Failed { .. } => RunState::Failed,
                Outcome::Cancelled { .. } => RunState::Cancelled,
            }),
            Event::SlotAwaited { .. } => Some(RunState::WaitsForSlot),
            Event::SlotGiven {} => self.goes_on(),
            Event::CompensationStarted { .. } => {
                self.compensating = true;
                self.goes_on()
            }
            Event::StepStarted { phase, .. } => {
                self.phase = Some(*phase);
                self.goes_on()
            }
            Event::ChildStarted { child, .. } => {
                self.children.push(child.clone());
                self.goes_on()
            }
            Event::ChildEnded { child, outcome } => {
                self.stalled &= *outcome != Outcome::Done;
                remove_first(&mut self.children, |open| open == child);
                self.goes_on()
            }
            Event::ApprovalRequested { approval, ask, expires_at_ms } => {
                self.questions.push(Question {
                    approval: approval.clone(),
                    kind: ask.kind(),
                    seq,
                    step: step.cloned(),
                    expires_at_ms: *expires_at_ms,
                });
                self.goes_on()
            }
            Event::ApprovalSettled { approval, .. } => {
                remove_first(&mut self.questions, |open| open.approval == *approval);
                self.goes_on()
            }
            other => {
                self.notes(other);
                None
            }
        };
        match next {
            Some(next) if !self.state.may_become(next) => Err(Illegal { from: self.state, to: next }),
            next => {
                self.state = next.unwrap_or(self.state);
                Ok(())
            }
        }
    }

    /// What changes the row and not where the run is.
    fn notes(&mut self, event: &Event) {
        match event {
            Event::StallNoticed { .. } => self.stalled = true,
            Event::StepFinished { result } => self.stalled &= *result != StepResult::Done,
            Event::SpecWritten { .. } => self.stalled = false,
            Event::CheckpointMade { checkpoint } => {
                self.stalled &= self.tree.as_ref() == Some(&checkpoint.tree);
                self.tree = Some(checkpoint.tree.clone());
                self.files = u32::try_from(checkpoint.files.len()).unwrap_or(u32::MAX);
            }
            // The fold of the whole view takes it as no progress either.
            Event::RunRebased { rebase } => {
                self.behind = false;
                if let Some(checkpoint) = &rebase.checkpoint {
                    self.tree = Some(checkpoint.tree.clone());
                    self.files = u32::try_from(checkpoint.files.len()).unwrap_or(u32::MAX);
                }
            }
            Event::RebaseHeld { .. } => self.behind = self.on.is_some(),
            Event::EffectIntended { effect, .. } if effect.decides() => self.deciding = true,
            // While one is open nobody works on the run, so nothing else is settled in it.
            Event::EffectSettled { .. } => self.deciding = false,
            Event::RunAccepted { commit, .. } => self.disposition = Disposition::Accepted { commit: commit.clone() },
            Event::RunDiscarded {} => self.disposition = Disposition::Discarded,
            Event::OperationUndone { undo } => match &undo.change {
                Change::Branch { .. } => self.disposition = Disposition::of_accept(undo.accepted.as_ref()),
                Change::Traces { gone: true, .. } => self.disposition = Disposition::Discarded,
                Change::Traces { gone: false, .. } => self.disposition = Disposition::Pending,
                Change::Tree { .. } | Change::Published { .. } => {}
            },
            _ => {}
        }
    }

    fn open_state(&self) -> RunState {
        match self.questions.first().map(|question| question.kind) {
            Some(kind) => RunState::waiting_for(kind),
            None if !self.children.is_empty() => RunState::WaitsForChild,
            None if self.compensating => RunState::Compensating,
            None => self.phase.map_or(RunState::Created, RunState::working_at),
        }
    }

    /// Where it goes on to from what held it up; nowhere while it rests.
    fn goes_on(&self) -> Option<RunState> {
        (!self.state.rests()).then(|| self.open_state())
    }
}

fn remove_first<T>(all: &mut Vec<T>, wanted: impl Fn(&T) -> bool) {
    if let Some(at) = all.iter().position(wanted) {
        all.remove(at);
    }
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
