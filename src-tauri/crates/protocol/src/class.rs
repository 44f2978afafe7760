//! How durable each event is, and which version its shape has.
//!
//! An exhaustive match, so that a new event must decide it.

use crate::bus::Guarantee;
use crate::event::Event;
use crate::upcast::newest;

/// How durable an append must be before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Survives a killed process; only a power loss can take the last group.
    Normal,
    /// Survives a power loss: committed with a full sync.
    Full,
}

impl Event {
    /// The version of the payload's shape. Raised when a shape changes; old shapes are upcast on reading.
    pub fn version(&self) -> u32 {
        match self {
            Event::RunStarted { .. } => newest("run_started"),
            Event::StepStarted { .. } => newest("step_started"),
            Event::EgressRecorded { .. } => newest("egress_recorded"),
            _ => 1,
        }
    }

    /// How durable it must be. Approvals, accepts and what cannot be asked of the world are full;
    /// what can be asked (files, trees, refs) and model calls are normal.
    pub fn class(&self) -> Class {
        match self {
            Event::OwnerChanged { .. }
            | Event::ProjectOpened { .. }
            | Event::SettingsChanged { .. }
            | Event::CloudPermitted { .. }
            | Event::CloudRevoked { .. }
            | Event::ProjectShared { .. }
            | Event::NoteKept { .. }
            | Event::NoteDropped { .. }
            | Event::RunStarted { .. }
            | Event::RunFinished { .. }
            | Event::ApprovalRequested { .. }
            | Event::ApprovalSettled { .. }
            | Event::HandedOver { .. }
            | Event::RunAccepted { .. }
            | Event::RunDiscarded {}
            | Event::OperationUndone { .. }
            | Event::RunRebased { .. }
            | Event::CommentMade { .. }
            | Event::CommandsAllowed { .. }
            | Event::CommandsForbidden { .. }
            | Event::ChildStarted { .. }
            | Event::ChildEnded { .. }
            | Event::CardMeasured { .. }
            | Event::PullStarted { .. }
            | Event::PullEnded { .. }
            | Event::BudgetSet { .. }
            | Event::CloudPaused { .. }
            | Event::CloudResumed {}
            | Event::BarrierClosed { .. }
            | Event::JobQueued { .. }
            | Event::ObjectMade { .. } => Class::Full,
            Event::MessagePosted { message } => match message.guarantee {
                Guarantee::AtMostOnce => Class::Normal,
                Guarantee::AtLeastOnce | Guarantee::ExactlyOnce => Class::Full,
            },
            Event::EffectIntended { effect, .. } => effect.class(),
            // What leaves the machine is on the disk first; what stays is only counted.
            Event::EgressRecorded { entry } if !entry.local => Class::Full,
            Event::EgressRecorded { .. } | Event::EgressEnded { .. } => Class::Normal,
            Event::RunInterrupted { .. }
            | Event::RunParked { .. }
            | Event::RunResumed { .. }
            | Event::StepStarted { .. }
            | Event::StepFinished { .. }
            | Event::RouteDecided { .. }
            | Event::CallHeld { .. }
            | Event::PromptCompacted { .. }
            | Event::SummaryAsked { .. }
            | Event::MemorySummarised { .. }
            | Event::ContextMismatched { .. }
            | Event::CallStarted { .. }
            | Event::CallFinished { .. }
            | Event::CallFailed { .. }
            | Event::CallAdmitted { .. }
            | Event::CallsServed { .. }
            | Event::ToolDecided { .. }
            | Event::ToolReturned { .. }
            | Event::TurnCorrected { .. }
            | Event::EffectSettled { .. }
            | Event::SpecWritten { .. }
            | Event::CheckpointMade { .. }
            | Event::CheckRecorded { .. }
            | Event::ChecksMissing { .. }
            | Event::ReviewRecorded { .. }
            | Event::SlotAwaited { .. }
            | Event::SlotGiven {}
            | Event::StallNoticed { .. }
            | Event::CompensationStarted { .. }
            | Event::StepUndone { .. }
            | Event::MessageDead { .. }
            | Event::DeadReplayed { .. }
            | Event::BarrierOpened { .. }
            | Event::VoteCast { .. }
            | Event::JobLeased { .. }
            | Event::JobEnded { .. }
            | Event::ObjectChanged { .. }
            | Event::ObjectPassed { .. }
            | Event::RebaseHeld { .. }
            | Event::Noticed { .. } => Class::Normal,
        }
    }
}
