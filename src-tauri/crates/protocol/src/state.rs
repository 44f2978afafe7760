//! Where a run is, and which way it may go from there.
//!
//! The table is the whole truth about legal transitions: the fold ignores what it does not allow, and whoever records
//! an event asks it first. Nothing here says when a transition happens; that is the fold's part.

use crate::event::{AskKind, StepPhase};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Recorded; no step has begun.
    Created,
    /// A step that only plans is under way: nothing is written yet.
    Planning,
    /// Work goes on.
    Running,
    /// A question of yes or no waits for the user.
    WaitsForApproval,
    /// A question in words waits for the user.
    WaitsForAnswer,
    /// The run spent what it was given; the user may give it more.
    WaitsForBudget,
    /// As many runs as may be at work are at work.
    WaitsForSlot,
    /// A child run is at work for it.
    WaitsForChild,
    /// After a crash it cannot be known whether an effect happened; the user decides.
    Indeterminate,
    /// Something outside must be mended; resuming goes on.
    Parked,
    /// Its process ended; resuming goes on.
    Interrupted,
    /// It failed, and what its steps did is being undone.
    Compensating,
    /// It came to its end as wanted.
    Done,
    /// It could not be done.
    Failed,
    /// Stopped or rejected by the user.
    Cancelled,
}

use RunState::{
    Cancelled, Compensating, Created, Done, Failed, Indeterminate, Interrupted, Parked, Planning, Running,
    WaitsForAnswer, WaitsForApproval, WaitsForBudget, WaitsForChild, WaitsForSlot,
};

/// A transition that the table does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {from:?} cannot become {to:?}")]
pub struct Illegal {
    /// Where the run is.
    pub from: RunState,
    /// Where it was to go.
    pub to: RunState,
}

impl RunState {
    /// Every state.
    pub const ALL: [RunState; 15] = [
        Created,
        Planning,
        Running,
        WaitsForApproval,
        WaitsForAnswer,
        WaitsForBudget,
        WaitsForSlot,
        WaitsForChild,
        Indeterminate,
        Parked,
        Interrupted,
        Compensating,
        Done,
        Failed,
        Cancelled,
    ];

    /// Whether nothing more will happen by itself or by resuming.
    pub fn is_final(self) -> bool {
        matches!(self, Done | Failed | Cancelled)
    }

    /// Whether the owner's process works on it: it goes on by itself and holds a slot.
    pub fn is_at_work(self) -> bool {
        matches!(self, Created | Planning | Running | Compensating)
    }

    /// Whether the user is asked for something that only the user can give.
    pub fn waits_for_user(self) -> bool {
        matches!(self, WaitsForApproval | WaitsForAnswer | WaitsForBudget)
    }

    /// Whether it stands still until somebody resumes it.
    pub fn rests(self) -> bool {
        matches!(self, Indeterminate | Parked | Interrupted)
    }

    /// Where a run is while a question of that kind is open.
    pub fn waiting_for(kind: AskKind) -> RunState {
        match kind {
            AskKind::Question => WaitsForAnswer,
            AskKind::Budget => WaitsForBudget,
            AskKind::HandOver | AskKind::ProjectCommands | AskKind::Command | AskKind::Tool | AskKind::Cloud => {
                WaitsForApproval
            }
        }
    }

    /// Where a run is while a step of that phase is under way.
    pub fn working_at(phase: StepPhase) -> RunState {
        match phase {
            StepPhase::Planning => Planning,
            StepPhase::Working => Running,
        }
    }

    fn waits(self) -> bool {
        self.waits_for_user() || matches!(self, WaitsForSlot | WaitsForChild)
    }

    /// Whether a run that is here may be there next. Staying is always allowed, except at the end.
    pub fn may_become(self, next: RunState) -> bool {
        match self {
            Done | Failed | Cancelled => false,
            _ if self == next => true,
            Created => next != Done,
            Planning | Running => next != Created,
            // What is being undone is never taken up again, and never ends well.
            Compensating => next.waits() || next.rests() || matches!(next, Failed | Cancelled),
            // A question may be asked while undoing, so every working state may follow.
            WaitsForApproval | WaitsForAnswer | WaitsForBudget | WaitsForSlot | WaitsForChild => next != Done,
            Interrupted => next != Done,
            // What rests was recorded by its own task: no process is left that could be interrupted.
            Parked | Indeterminate => !matches!(next, Done | Interrupted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_legal_transitions() {
        let mut table = String::new();
        for from in RunState::ALL {
            let to: Vec<String> = RunState::ALL
                .iter()
                .filter(|to| from != **to && from.may_become(**to))
                .map(|to| format!("{to:?}"))
                .collect();
            table.push_str(&format!("{from:?} -> {}\n", to.join(" ")));
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn an_end_is_an_end_and_every_other_state_can_be_cancelled() {
        for from in RunState::ALL {
            for to in RunState::ALL {
                assert!(!from.is_final() || !from.may_become(to), "{from:?} -> {to:?}");
            }
            assert!(from.is_final() || from.may_become(Cancelled), "{from:?}");
        }
    }
}
