//! Which ops may be asked again of the next owner, when one went away before it answered.

use crate::op::Op;

impl Op {
    /// Whether it only asks, so that it may be asked again when an owner went away before it answered.
    pub fn only_asks(&self) -> bool {
        match self {
            Op::ListRuns { .. }
            | Op::ListOperations { .. }
            | Op::ShowOperation { .. }
            | Op::ShowConflicts { .. }
            | Op::ShowRun { .. }
            | Op::ReadEvents { .. }
            | Op::ListApprovals
            | Op::ShowDiff { .. }
            | Op::ReadBlob { .. }
            | Op::RefreshIndex
            | Op::ShowIndex
            | Op::WatchIndex
            | Op::ShowContext { .. }
            | Op::Search { .. }
            | Op::SearchAll { .. }
            | Op::ListModels
            | Op::ExplainRoute { .. }
            | Op::ListRoutes { .. }
            | Op::ShowBudget { .. }
            | Op::ListCards
            | Op::ListModelWork
            | Op::ListPulls
            | Op::ShowProject
            | Op::ShowCommands
            | Op::ShowSettings
            | Op::EnrolProject { .. }
            | Op::AdoptProject { .. }
            | Op::HashState { .. }
            | Op::CheckStore
            | Op::ReadMessages { .. }
            | Op::NextLetter { .. }
            | Op::ShowPush { .. }
            | Op::ListTopics
            | Op::ListDead
            | Op::ListJobs
            | Op::ShowObject { .. }
            | Op::ListObjects
            | Op::ShowEgress { .. }
            | Op::ListPermissions
            | Op::SearchElsewhere { .. }
            | Op::ListLibrary
            | Op::ShareProject { .. }
            | Op::KeepNote { .. }
            | Op::DropNote { .. }
            // These are the same when they are done twice.
            | Op::AllowCommands { .. }
            | Op::NotePull { .. }
            | Op::PermitCloud { .. }
            | Op::RevokeCloud { .. }
            | Op::ListProjects => true,
            Op::StartRun { .. }
            | Op::ResumeRun { .. }
            | Op::CancelRun { .. }
            | Op::SettleApproval { .. }
            | Op::AcceptRun { .. }
            | Op::RebaseRun { .. }
            | Op::DiscardRun { .. }
            | Op::UndoOperation { .. }
            | Op::CommentRun { .. }
            | Op::PushRun { .. }
            | Op::Export { .. }
            | Op::ForkRun { .. }
            | Op::BackUpStore { .. }
            | Op::ExportState { .. }
            | Op::PruneStore
            | Op::PostMessage { .. }
            | Op::ReplayDead { .. }
            | Op::ReplayRange { .. }
            | Op::QueueJob { .. }
            | Op::CancelJob { .. }
            | Op::WorkOff
            | Op::TakeLetter { .. }
            | Op::TellObject { .. }
            | Op::SetBudget { .. }
            | Op::AllowCalls { .. }
            | Op::RecordCalls { .. }
            | Op::ResumeCloud
            | Op::RecordCard { .. }
            | Op::PullModel { .. }
            | Op::ProbeModel { .. }
            | Op::StopModelWork { .. }
            | Op::ChangeSettings { .. }
            | Op::RecordEgress { .. } => false,
        }
    }
}
