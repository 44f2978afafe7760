//! What can be asked of the owner of a project.
//!
//! Ops are imperative. Every door (window, command line, socket) speaks only in these. One list, as long as there are
//! things to ask; what is answered is in `reply`.

use crate::event::{
    Acceptance, Amount, Answer, AskKind, BudgetLimits, BudgetNode, CloudPermission, Comment, EgressNote, Job,
    LeavingCall, Message, ModelCard, Priority, Resolution, ServedCall,
};
pub use crate::frame::{Draft, Frame, Phase};
use crate::hash::Hash;
use crate::ids::{ApprovalId, ProjectId, RoleId, RunId, Seq};
pub use crate::reply::Reply;
use crate::settings::{ModelChoice, Settings};
use crate::view::{HitKind, RunState};
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
        /// The flow to follow, by id; `None` is the project's, or `feature`.
        #[serde(default)]
        flow: Option<String>,
        /// How urgent it is.
        #[serde(default)]
        priority: Priority,
        /// Tokens it may use before it asks for more; `None` is no limit.
        #[serde(default)]
        budget_tokens: Option<u64>,
        /// The run it stands on: it begins with that one's changes and follows them. `None` begins with the user's branch.
        #[serde(default)]
        on: Option<RunId>,
    },
    /// Continue a run another way: a new run with its history up to an event. Answered by [`Reply::Run`].
    ForkRun {
        /// The run.
        run: RunId,
        /// The last event of it that is kept; `None` is the last one that a fork can go on from.
        #[serde(default)]
        at: Option<Seq>,
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
        /// How, and what of it.
        #[serde(default)]
        how: Acceptance,
    },
    /// The files that the user's branch and a handed-over run both changed in the same place; of a run that could not
    /// follow the run it stands on, those that both of them changed. Answered by [`Reply::Conflicts`].
    ShowConflicts {
        /// The run.
        run: RunId,
    },
    /// Put a run on what the run it stands on is now, with what is said about places that both changed. Answered by
    /// [`Reply::Run`].
    RebaseRun {
        /// The run.
        run: RunId,
        /// How conflicts are settled; `yours` is the run below.
        #[serde(default)]
        resolved: Vec<Resolution>,
    },
    /// Remark on lines of a run's result. Rejecting the hand-over then sends the run back to its author with the remarks.
    CommentRun {
        /// The run.
        run: RunId,
        /// On what, and what.
        comment: Comment,
    },
    /// What pushing a run's commits to a remote would send. Nothing is sent. Answered by [`Reply::Push`].
    ShowPush {
        /// The run.
        run: RunId,
        /// The remote.
        remote: String,
        /// The branch there; `None` is the run's own name.
        #[serde(default)]
        to: Option<String>,
    },
    /// Push what was shown. Answered by [`Reply::Push`].
    PushRun {
        /// The run.
        run: RunId,
        /// The remote.
        remote: String,
        /// The branch there.
        #[serde(default)]
        to: Option<String>,
        /// The commit that was shown.
        tip: String,
        /// Also where it holds what looks like keys or personal data.
        #[serde(default)]
        anyway: bool,
    },
    /// Remove a run's branch and tree. Stopped by anyone concerned who speaks against it.
    DiscardRun {
        /// The run.
        run: RunId,
        /// Also where its tree holds work that no checkpoint recorded.
        #[serde(default)]
        anyway: bool,
    },
    /// The operations of the project that can be taken back or were, newest first. Answered by [`Reply::Operations`].
    ListOperations {
        /// Only those of this run.
        #[serde(default)]
        run: Option<RunId>,
        /// At most so many.
        limit: u32,
    },
    /// One operation, with what taking it back would do now. Answered by [`Reply::Operations`] with one.
    ShowOperation {
        /// Its number.
        operation: Seq,
    },
    /// Take an operation back. Answered by [`Reply::Operations`] with the operation that this was.
    UndoOperation {
        /// Its number.
        operation: Seq,
    },
    /// The runs of the project, newest first.
    ListRuns {
        /// Only runs that are in one of these states; empty is all of them.
        #[serde(default)]
        states: Vec<RunState>,
        /// At most so many; `None` is all of them.
        #[serde(default)]
        limit: Option<u32>,
    },
    /// One run in full.
    ShowRun {
        /// The run.
        run: RunId,
        /// As it was after this event; `None` is now.
        #[serde(default)]
        at: Option<Seq>,
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
    /// What is in the search index; nothing is brought up to date. Answered by [`Reply::Index`].
    ShowIndex,
    /// Have the index follow the folder as long as the owner lives. Answered by [`Reply::Index`].
    WatchIndex,
    /// What of the project would be put before a model for a goal. Answered by [`Reply::Context`].
    ShowContext {
        /// The goal, in words.
        goal: String,
        /// Tokens that it may cost; at most 200,000.
        budget: u32,
    },
    /// Search the project. Answered by [`Reply::Hits`].
    Search {
        /// The words.
        query: String,
        /// At most so many hits.
        limit: u32,
    },
    /// Search the project for several things in one state of its files. Answered by [`Reply::Found`], in the same order.
    SearchAll {
        /// The words of each; at most 1,000.
        queries: Vec<String>,
        /// At most so many hits for each.
        limit: u32,
        /// What hits may be cut from; empty means files.
        #[serde(default)]
        kinds: Vec<HitKind>,
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
    /// How a model would be chosen now. Answered by [`Reply::Route`].
    ExplainRoute {
        /// The role that would ask; `None` is the developer.
        #[serde(default)]
        role: Option<RoleId>,
    },
    /// Recorded choices of models, the last ones. Answered by [`Reply::Routes`].
    ListRoutes {
        /// Only of this run.
        #[serde(default)]
        run: Option<RunId>,
        /// At most so many.
        limit: u32,
    },
    /// What was used and what may be. Answered by [`Reply::Budget`].
    ShowBudget {
        /// The run whose goal, run and steps are told as well; `None` is only the project.
        #[serde(default)]
        run: Option<RunId>,
    },
    /// Limit what may be used. Answered by [`Reply::Budget`].
    SetBudget {
        /// Whose.
        node: BudgetNode,
        /// The limits; none of them takes the limit away.
        limits: BudgetLimits,
    },
    /// Set aside what calls of other programs may use. Answered by [`Reply::Allowed`].
    AllowCalls {
        /// Which door asks; its earlier allowance ends.
        door: String,
        /// What its calls that are under way may still use.
        open: Amount,
        /// What the next call may use.
        need: Amount,
        /// The call, where it is to leave this machine: it is recorded before that, and allowed alone.
        leaving: Option<LeavingCall>,
    },
    /// Record calls of other programs that ended. Answered by [`Reply::Done`].
    RecordCalls {
        /// Which door.
        door: String,
        /// What its calls that are under way, and the rest of its allowance, may still use.
        held: Amount,
        /// The calls.
        calls: Vec<ServedCall>,
    },
    /// Let other machines be asked again after unusual spending paused that.
    ResumeCloud,
    /// Fetches a model in the background. Answered by [`Reply::ModelWork`].
    PullModel {
        /// The server; `None` is the first that can fetch models.
        #[serde(default)]
        provider: Option<String>,
        /// The model's name there.
        model: String,
    },
    /// Measures a model in the background. Answered by [`Reply::ModelWork`].
    ProbeModel {
        /// The server; `None` is the first that has the model.
        #[serde(default)]
        provider: Option<String>,
        /// The model's name there.
        model: String,
        /// The context to measure with, in tokens; `None` is what fits.
        #[serde(default)]
        context: Option<u32>,
    },
    /// The work on models of this process, and pulls that an earlier one left. Answered by [`Reply::ModelWork`].
    ListModelWork,
    /// Stops work on a model. What a pull has brought stays for the next.
    StopModelWork {
        /// Its number.
        id: u32,
    },
    /// Home store: note that fetching a model began, or ended.
    NotePull {
        /// The server.
        provider: String,
        /// The model's name there.
        model: String,
        /// `None` when it began; whether it is here when it ended.
        #[serde(default)]
        ended: Option<bool>,
    },
    /// Home store: pulls that began and did not end. Answered by [`Reply::Pulls`].
    ListPulls,
    /// Home store: what was measured about models. Answered by [`Reply::Cards`].
    ListCards,
    /// Home store: keep what was measured about a model.
    RecordCard {
        /// The card.
        card: Box<ModelCard>,
    },
    /// The project itself.
    ShowProject,
    /// The settings in force.
    ShowSettings,
    /// Change the settings to these.
    ChangeSettings {
        /// All settings.
        settings: Settings,
    },
    /// What the project brings along to be run or lent, and whether it may be. Answered by [`Reply::Commands`].
    ShowCommands,
    /// Allow what the project brings along before anybody asks, or forbid it again. Answered by [`Reply::Commands`].
    AllowCommands {
        /// Hash of what was looked at; refused where it is something else by now.
        hash: Hash,
        /// Whether it may run.
        allowed: bool,
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
    /// Home store: a project with a known id is in this folder from now on. Answered by [`Reply::Enrolled`].
    AdoptProject {
        /// The project.
        project: ProjectId,
        /// The folder.
        path: String,
        /// Its display name.
        name: String,
        /// Canonical path of the common git directory.
        common_dir: String,
        /// The first commit of the history.
        root_commit: Option<String>,
    },
    /// Home store: let searches from the user's other projects find what is in a project, or make it private again.
    ShareProject {
        /// The project.
        project: ProjectId,
        /// Whether it is found.
        shared: bool,
    },
    /// Search the projects that are shared. Answered by [`Reply::Elsewhere`].
    SearchElsewhere {
        /// The words.
        query: String,
        /// At most so many hits.
        limit: u32,
        /// What hits may be cut from; empty means files.
        #[serde(default)]
        kinds: Vec<HitKind>,
        /// The project that is not asked: where the user is.
        #[serde(default)]
        except: Option<ProjectId>,
    },
    /// Home store: the library's notes, newest first. Answered by [`Reply::Library`].
    ListLibrary,
    /// Home store: keep a note. Answered by [`Reply::Library`].
    KeepNote {
        /// What it is called.
        title: String,
        /// Its text.
        text: String,
    },
    /// Home store: remove a note. Answered by [`Reply::Library`].
    DropNote {
        /// Its id.
        id: String,
    },
    /// Home store: the folders opened before, latest first.
    ListProjects,
    /// The read models with their hashes. Answered by [`Reply::State`].
    HashState {
        /// Make them anew from the first event on first.
        #[serde(default)]
        rebuild: bool,
    },
    /// Walk the whole history and its blobs. Answered by [`Reply::StoreChecked`].
    CheckStore,
    /// Copy the store, whole and as of now, into a folder that does not exist yet. Answered by [`Reply::Exported`].
    BackUpStore {
        /// The folder.
        to: String,
    },
    /// Write the whole state of the project into one new file that can be imported elsewhere. Answered by
    /// [`Reply::StateFile`].
    ExportState {
        /// The file.
        to: String,
    },
    /// Remove blobs that no event names any more. Answered by [`Reply::StoreChecked`].
    PruneStore,
    /// Post a message. Answered by [`Reply::Posted`].
    PostMessage {
        /// The message; its guarantee must be the topic's.
        message: Message,
    },
    /// Messages of topics that fit a pattern. Answered by [`Reply::Messages`].
    ReadMessages {
        /// The pattern, such as `run/*`.
        topic: String,
        /// Only after this number.
        #[serde(default)]
        after: Seq,
        /// At most so many.
        limit: u32,
    },
    /// The next letter to a role that was not taken yet. Answered by [`Reply::Messages`] with one or none.
    NextLetter {
        /// The role.
        to: String,
    },
    /// Take a letter; the next of the same sender may be taken then. Nothing happens where it was taken before.
    TakeLetter {
        /// The letter's number.
        letter: Seq,
    },
    /// The topics that are declared, and who listens. Answered by [`Reply::Topics`].
    ListTopics,
    /// Messages that were laid aside. Answered by [`Reply::Dead`].
    ListDead,
    /// Deliver a message that was laid aside again.
    ReplayDead {
        /// The consumer.
        consumer: String,
        /// The message's number.
        message: Seq,
    },
    /// Let a consumer handle messages of the past once more. Answered by [`Reply::Replayed`].
    ReplayRange {
        /// The consumer.
        consumer: String,
        /// Only messages after this number.
        after: Seq,
        /// Only messages up to this number.
        upto: Seq,
        /// Whether what it does about them is recorded; otherwise it is only told.
        #[serde(default)]
        apply: bool,
    },
    /// Put work into a queue. Answered by [`Reply::Jobs`].
    QueueJob {
        /// The work.
        job: Job,
    },
    /// The jobs, those that are still open first. Answered by [`Reply::Jobs`].
    ListJobs,
    /// Deliver the messages that wait and do the jobs that are due, here and now. Answered by [`Reply::Jobs`].
    WorkOff,
    /// Take a job back. Answered by [`Reply::Jobs`].
    CancelJob {
        /// Its id.
        job: String,
    },
    /// Let an object handle a message; it is made where it does not exist. Answered by [`Reply::Object`].
    TellObject {
        /// The object, as `kind/name`.
        object: String,
        /// The handler.
        handler: String,
        /// What it is told.
        #[ts(type = "unknown")]
        #[serde(default)]
        arguments: serde_json::Value,
        /// Only where the object has this version; `None` is any.
        #[serde(default)]
        version: Option<u64>,
    },
    /// An object as it is. Answered by [`Reply::Object`].
    ShowObject {
        /// The object, as `kind/name`.
        object: String,
        /// As it was after this event; `None` is now.
        #[serde(default)]
        at: Option<Seq>,
    },
    /// The objects. Answered by [`Reply::Objects`].
    ListObjects,
    /// Home store: keep lines of the egress ledger, all or none.
    RecordEgress {
        /// The lines.
        notes: Vec<EgressNote>,
    },
    /// Home store: the egress ledger. Answered by [`Reply::Egress`].
    ShowEgress {
        /// At most so many requests, newest first; the owner caps it at 10,000.
        limit: u32,
        /// Only requests of this run.
        #[serde(default)]
        run: Option<RunId>,
        /// Also those that stayed on this machine.
        #[serde(default)]
        local: bool,
    },
    /// Home store: let a project's material leave for a model server. Answered by [`Reply::Permissions`].
    PermitCloud {
        /// The permission. One that answers a question counts once: after it was taken back it does not come again.
        permission: CloudPermission,
    },
    /// Home store: take a permission back. Answered by [`Reply::Permissions`].
    RevokeCloud {
        /// The project.
        project: ProjectId,
        /// The model server's id, or `commands`.
        provider: String,
        /// Only for this host, as the permission names it; `None` is all of them.
        #[serde(default)]
        host: Option<String>,
    },
    /// Home store: what may leave. Answered by [`Reply::Permissions`].
    ListPermissions,
}

/// A kind of export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// A zip of the files.
    Zip,
    /// A compressed tar of the files.
    TarGz,
    /// The files in a new folder.
    Folder,
    /// A git bundle with history.
    Bundle,
}
