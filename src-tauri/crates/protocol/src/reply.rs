//! What the owner of a project answers.
//!
//! Plain data, re-exported by [`crate::op`], where each op names the answer it gets.

use crate::context::ContextView;
use crate::event::{
    AcceptMode, Allowance, BudgetView, CloudPermission, CommandsView, ConflictView, EgressView, Envelope, LibraryNote,
    ModelCard, ModelWork, OperationView, PushView, RouteDecision, RouteEntry,
};
use crate::ids::{ProjectId, RunId, Seq};
use crate::settings::{ModelChoice, Settings};
use crate::view::{
    ApprovalView, DeadView, DiffView, Found, FoundElsewhere, Hit, IndexView, JobView, KnownProject, MessageView,
    ObjectView, ProjectView, ProviderView, ReplayView, RunSummary, RunView, StateFile, StateView, StoreCheck,
    TopicView,
};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// An owner's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "reply", content = "value", rename_all = "snake_case")]
pub enum Reply {
    /// Done.
    Done,
    /// The run that was started or resumed.
    Run(RunId),
    /// The runs.
    Runs(Vec<RunSummary>),
    /// One run.
    RunView(Box<RunView>),
    /// Events.
    Events(Vec<Envelope>),
    /// Questions that wait.
    Approvals(Vec<ApprovalView>),
    /// A diff.
    Diff(DiffView),
    /// A blob as text.
    Blob(String),
    /// The state of the index.
    Index(IndexView),
    /// What would be put before a model.
    Context(Box<ContextView>),
    /// Search hits, best first.
    Hits(Vec<Hit>),
    /// Answers to searches.
    Found(Vec<Found>),
    /// The file that was written.
    Exported {
        /// Its path.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// The user's branch is there now.
    Accepted {
        /// The branch.
        branch: String,
        /// The commit.
        commit: String,
        /// How.
        mode: AcceptMode,
    },
    /// Conflicts.
    Conflicts(Vec<ConflictView>),
    /// What a push sends, or sent.
    Push(PushView),
    /// Operations.
    Operations(Vec<OperationView>),
    /// Model servers.
    Models(Vec<ProviderView>),
    /// A choice of a model.
    Route(Box<RouteDecision>),
    /// Recorded choices of models, oldest first.
    Routes(Vec<RouteEntry>),
    /// Nodes of the budget, the widest first.
    Budget {
        /// The nodes.
        nodes: Vec<BudgetView>,
        /// Why other machines are not asked at the moment.
        paused: Option<String>,
    },
    /// What a door's calls may use.
    Allowed(Allowance),
    /// What was measured about models.
    Cards(Vec<ModelCard>),
    /// Work on models.
    ModelWork(Vec<ModelWork>),
    /// Servers and models of pulls that did not end.
    Pulls(Vec<ModelChoice>),
    /// The project.
    Project(ProjectView),
    /// What the project brings along.
    Commands(CommandsView),
    /// The settings.
    Settings(Settings),
    /// The read models.
    State(StateView),
    /// What a look at the store found.
    StoreChecked(StoreCheck),
    /// The file that holds the state.
    StateFile(StateFile),
    /// The message's number; of the first one where it was posted before.
    Posted(Seq),
    /// Messages.
    Messages(Vec<MessageView>),
    /// Topics.
    Topics(Vec<TopicView>),
    /// Messages that were laid aside.
    Dead(Vec<DeadView>),
    /// What became of messages that were handled once more.
    Replayed(Vec<ReplayView>),
    /// Jobs.
    Jobs(Vec<JobView>),
    /// An object.
    Object(Box<ObjectView>),
    /// Objects.
    Objects(Vec<ObjectView>),
    /// The id of a folder.
    Enrolled(ProjectId),
    /// Folders opened before.
    Projects(Vec<KnownProject>),
    /// What other projects answered.
    Elsewhere(Box<FoundElsewhere>),
    /// The library's notes.
    Library(Vec<LibraryNote>),
    /// The egress ledger.
    Egress(EgressView),
    /// What may leave.
    Permissions(Vec<CloudPermission>),
}
