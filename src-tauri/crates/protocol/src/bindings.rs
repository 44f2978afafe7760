//! The TypeScript of every type that crosses to the page, as one file's text.
//!
//! The file is checked in as `ui/src/ipc/bindings.ts`; a test here fails when it is stale.

use crate::state::RunState;
use ts_rs::{Config, TS};

macro_rules! declarations {
    ($config:expr; $($type:ty),* $(,)?) => {
        [$(<$type as TS>::decl($config)),*]
    };
}

/// The whole text of the bindings file.
pub fn typescript() -> String {
    use crate::{context, document, error, event, hash, ids, op, settings, view};
    let config = Config::new().with_large_int("number");
    let declarations = declarations!(&config;
        ids::RunId, ids::ProjectId, ids::ApprovalId, ids::CallId, ids::RoleId, ids::StepId, ids::StoreId, ids::Seq,
        hash::Hash,
        error::Code, error::ExitClass, error::Problem,
        settings::Settings, settings::ProviderSettings, settings::ProviderKind, settings::ModelChoice, settings::Theme,
        settings::Routing, settings::Experiment, settings::RateLimit, settings::RateScope, settings::KeptAnswers, settings::LikeQuestions,
        event::RoutingPolicy, event::Material, event::RouteInputs, event::Candidate, event::CardShort, event::Health,
        event::Unfit, event::Alternative, event::RouteDecision, event::FailureClass, event::Hold, event::ContextMismatch,
        event::MismatchKind, event::Compaction, event::Summary, event::SummaryBy, event::LeftOut, event::Score, event::ModelCard, event::ModelTask, event::ModelWork, event::ModelWorkState, event::Price, event::Amount,
        event::ServedCall, event::LeavingCall, event::Allowance, event::BudgetLimits, event::BudgetUnit, event::BudgetNode, event::BudgetView, event::RouteEntry,
        event::Envelope, event::Event, event::FlowRef, event::Base, event::Grants, event::Actor, event::Outcome,
        event::StepResult, event::Route, event::PromptRecord, event::PromptPart, event::ToolCall, event::Usage,
        event::Stop, event::Verdict, event::Output, event::AskKind, event::Ask, event::ProjectCommand, event::CommandsView, event::Answer, event::ChecksVerdict,
        event::Cost, event::FileChange, event::FileStatus, event::Effect, event::EffectOutcome, event::Spec,
        event::Requirement, event::Checkpoint, event::Check, event::TestResults, event::Compared, event::Mechanism, event::Review, event::Reviewer,
        event::Commit, event::AcceptMode, event::Change, event::Undo,
        event::OperationKind, event::OperationView, event::UndoPreview, event::Comment, event::CommentView,
        event::Acceptance, event::Part, event::Resolution, event::Take, event::ConflictView, event::Push, event::PushView, event::Parent, event::Fork, event::Stacked, event::HeldBase, event::Rebase, event::StepPhase, event::Guarantee,
        event::Message, event::Priority, event::Job, event::JobEnd, event::Vote, event::BarrierVerdict, event::Lifecycle,
        event::EgressEntry, event::EgressEnd, event::EgressNote, event::EgressRow, event::EgressTotal, event::Reached, event::EgressView,
        event::CloudPermission, event::Sensitive, event::Masked, event::Leaving,
        view::RunState, view::Disposition, view::RunView, view::StepView, view::Item, view::TurnState,
        view::ApprovalView, view::RunSummary, view::DiffView, view::FileDiff, view::Hunk, view::DiffLine, view::Side,
        view::Hit, view::HitKind, view::Origin, view::OtherProject, view::Licence, view::Found, document::Anchor, view::FoundBy, view::FoundElsewhere, event::LibraryNote, view::MeaningView, settings::SearchSettings, settings::MemorySettings, settings::PackingSettings, view::IndexPart, view::IndexView, view::ProjectView, event::PriceList, view::RoleView, view::DeclaredCheck, view::FlowView, view::ProviderView,
        view::ModelView, view::KnownProject, view::ChildView, view::Stall, view::StateView, view::ProjectionView,
        view::StoreCheck, view::StateFile, view::MessageView, view::TopicView, view::DeadView, view::ReplayView, view::JobState, view::JobView,
        view::ObjectView, view::WatchView, context::ContextView, context::ContextSpan, context::SpanWhy, context::MapFile,
        context::SpanLeftOut,
        op::Op, op::Reply, op::ExportFormat, op::Frame, op::Draft, op::Phase,
    );
    let mut text = String::from(
        "// The words of Atelier for the page. Generated from the `protocol` crate by `cargo xtask bindings`; do not edit.\n",
    );
    for declaration in declarations {
        text.push_str("\nexport ");
        text.push_str(&declaration);
        text.push('\n');
    }
    text.push_str(&states());
    text
}

/// The table of transitions as a value, so that the page folds by the same one.
fn states() -> String {
    let word = |state: &RunState| serde_json::json!(state).to_string();
    let mut text = String::from(
        "\n/** What each state of a run means, and where a run may go from there besides staying. */\n\
         export const STATES: Readonly<Record<RunState, { final: boolean, at_work: boolean, waits_for_user: boolean, \
         rests: boolean, next: readonly RunState[] }>> = {\n",
    );
    for state in RunState::ALL {
        let next: Vec<String> =
            RunState::ALL.iter().filter(|next| **next != state && state.may_become(**next)).map(word).collect();
        text.push_str(&format!(
            "  {}: {{ final: {}, at_work: {}, waits_for_user: {}, rests: {}, next: [{}] }},\n",
            word(&state).trim_matches('"'),
            state.is_final(),
            state.is_at_work(),
            state.waits_for_user(),
            state.rests(),
            next.join(", "),
        ));
    }
    text.push_str("};\n");
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checked_in_bindings_are_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../ui/src/ipc/bindings.ts");
        let stored = std::fs::read_to_string(path).unwrap_or_default();
        assert!(stored == super::typescript(), "ui/src/ipc/bindings.ts is stale; run `cargo xtask bindings`");
    }
}
