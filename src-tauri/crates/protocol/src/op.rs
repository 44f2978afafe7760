//! What can be asked of the owner of a project, and what it answers.
//!
//! Ops are imperative. Every door (window, command line, socket) speaks only in these.

use crate::error::Problem;
use crate::event::{AcceptMode, Answer, AskKind, Envelope};
use crate::hash::Hash;
use crate::ids::{ApprovalId, RunId, Seq};
use crate::settings::{ModelChoice, Settings};
use crate::view::{
    ApprovalView, DiffView, Hit, IndexView, KnownProject, ProjectView, ProviderView, RunSummary, RunView,
};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A request to the owner of a project's store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// Start a run for a goal. Answered by [`Reply::Run`].
    StartRun {
        /// What the user typed.
        goal: String,
        /// The model to use; `None` takes the settings' choice or the first usable one.
        #[serde(default)]
        model: Option<ModelChoice>,
        /// Kinds of questions answered yes beforehand.
        #[serde(default)]
        approve: Vec<AskKind>,
        /// Answer every other question no.
        #[serde(default)]
        deny_asks: bool,
    },
    /// Go on with an interrupted or parked run. Answered by [`Reply::Run`].
    ResumeRun {
        /// The run.
        run: RunId,
    },
    /// Stop a run. Its tree stays until it is discarded.
    CancelRun {
        /// The run.
        run: RunId,
    },
    /// Answer a recorded question.
    SettleApproval {
        /// The question.
        approval: ApprovalId,
        /// The answer.
        answer: Answer,
        /// A word with it.
        #[serde(default)]
        note: String,
    },
    /// Bring a handed-over run to the user's branch. Answered by [`Reply::Accepted`].
    AcceptRun {
        /// The run.
        run: RunId,
    },
    /// Remove a run's branch and tree.
    DiscardRun {
        /// The run.
        run: RunId,
    },
    /// The runs of the project, newest first.
    ListRuns,
    /// One run in full.
    ShowRun {
        /// The run.
        run: RunId,
    },
    /// The recorded events of the project or of one run.
    ReadEvents {
        /// Only of this run.
        #[serde(default)]
        run: Option<RunId>,
        /// Only after this number.
        #[serde(default)]
        after: Seq,
        /// At most so many; the owner caps it at 10,000.
        limit: u32,
    },
    /// The questions that wait for an answer.
    ListApprovals,
    /// What a run changed against its base.
    ShowDiff {
        /// The run.
        run: RunId,
    },
    /// The content of a blob as text.
    ReadBlob {
        /// Its hash.
        hash: Hash,
    },
    /// Bring the search index up to date. Answered by [`Reply::Index`].
    RefreshIndex,
    /// Search the project.
    Search {
        /// The words.
        query: String,
        /// At most so many hits.
        limit: u32,
    },
    /// Write the project, or a run's result, to a file.
    Export {
        /// The run whose result is meant; `None` is the project's HEAD.
        #[serde(default)]
        run: Option<RunId>,
        /// The kind of file.
        format: ExportFormat,
        /// Where to; must not exist yet.
        to: String,
    },
    /// The model servers and what they have.
    ListModels,
    /// The project itself.
    ShowProject,
    /// The settings in force.
    ShowSettings,
    /// Change the settings to these.
    ChangeSettings {
        /// All settings.
        settings: Settings,
    },
    /// Home store: note a folder that is opened and answer its id; a moved folder keeps its id.
    EnrolProject {
        /// The folder.
        path: String,
        /// Its display name.
        name: String,
        /// Canonical path of the common git directory.
        common_dir: String,
        /// The first commit of the history.
        root_commit: Option<String>,
    },
    /// Home store: the folders opened before, latest first.
    ListProjects,
    /// Home store: note a request to another machine.
    RecordEgress {
        /// Why it was made.
        purpose: String,
        /// The host and port.
        host: String,
        /// Whether it was let through.
        allowed: bool,
        /// Bytes sent.
        bytes_out: u64,
    },
}

impl Op {
    /// Whether it only asks, so that it may be asked again when an owner went away before it answered.
    pub fn only_asks(&self) -> bool {
        match self {
            Op::ListRuns
            | Op::ShowRun { .. }
            | Op::ReadEvents { .. }
            | Op::ListApprovals
            | Op::ShowDiff { .. }
            | Op::ReadBlob { .. }
            | Op::RefreshIndex
            | Op::Search { .. }
            | Op::ListModels
            | Op::ShowProject
            | Op::ShowSettings
            | Op::EnrolProject { .. }
            | Op::ListProjects => true,
            Op::StartRun { .. }
            | Op::ResumeRun { .. }
            | Op::CancelRun { .. }
            | Op::SettleApproval { .. }
            | Op::AcceptRun { .. }
            | Op::DiscardRun { .. }
            | Op::Export { .. }
            | Op::ChangeSettings { .. }
            | Op::RecordEgress { .. } => false,
        }
    }
}

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
    /// Search hits, best first.
    Hits(Vec<Hit>),
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
    /// Model servers.
    Models(Vec<ProviderView>),
    /// The project.
    Project(ProjectView),
    /// The settings.
    Settings(Settings),
    /// The id of a folder.
    Enrolled(crate::ids::ProjectId),
    /// Folders opened before.
    Projects(Vec<KnownProject>),
}

/// A kind of export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// A zip of the files.
    Zip,
    /// A git bundle with history.
    Bundle,
}

/// What a subscriber of a store receives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "frame", content = "value", rename_all = "snake_case")]
pub enum Frame {
    /// A recorded event.
    Event(Box<Envelope>),
    /// Streamed, unrecorded text.
    Draft(Draft),
    /// Everything up to here was stored before the subscription; what follows is live.
    CaughtUp(Seq),
    /// Another process, or this one, owns the store now.
    Owner {
        /// The owner's epoch.
        epoch: u32,
        /// Whether this process is the owner.
        mine: bool,
    },
    /// The subscription cannot go on.
    Lost(Problem),
}

/// Streamed, unrecorded text on its way to becoming an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Draft {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: crate::ids::StepId,
    /// The call.
    pub call: crate::ids::CallId,
    /// What the model is doing.
    pub phase: Phase,
    /// Text that came since the last draft of this call and phase.
    pub text: String,
}

/// What a model is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The server loads the model.
    Loading,
    /// The server reads the prompt.
    Reading,
    /// Thinking aloud.
    Thinking,
    /// Answering.
    Answering,
}
