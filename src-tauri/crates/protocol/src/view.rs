//! What a screen shows: a run in full, and the answers to questions, as plain values.
//!
//! How a run's view is made from its events is `fold`'s part; nothing here computes.

use crate::error::Problem;
use crate::event::{
    Answer, Ask, Base, Check, Checkpoint, CommentView, Commit, Compaction, ContextMismatch, Cost, FileChange, FlowRef,
    Fork, Guarantee, Hold, Job, Lifecycle, Mechanism, Message, ModelCard, Outcome, Output, Parent, PriceList, Priority,
    Review, Route, Spec, Stacked, StepPhase, StepResult, Summary, ToolCall, Usage, Verdict,
};
pub use crate::found::{
    Found, FoundBy, FoundElsewhere, Hit, HitKind, IndexPart, IndexView, Licence, MeaningView, Origin, OtherProject,
    WatchView,
};
use crate::hash::Hash;
use crate::ids::{ApprovalId, CallId, ProjectId, RoleId, RunId, Seq, StepId};
use crate::settings::ProviderKind;
pub use crate::state::{Illegal, RunState};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

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

impl Disposition {
    /// By the commit by which the run is on the user's branch.
    pub fn of_accept(commit: Option<&String>) -> Disposition {
        match commit {
            Some(commit) => Disposition::Accepted { commit: commit.clone() },
            None => Disposition::Pending,
        }
    }
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
    /// The run it works for.
    pub parent: Option<Parent>,
    /// The run it continues another way.
    pub forked: Option<Fork>,
    /// The run it stands on.
    #[serde(default)]
    pub on: Option<Stacked>,
    /// How urgent it is.
    pub priority: Priority,
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
    /// Runs that work or worked for it, in the order they began.
    pub children: Vec<ChildView>,
    /// Since when nothing it made was accepted, where that was noticed.
    pub stalled: Option<Stall>,
    /// Why it failed, while what its steps did is being undone.
    pub compensating: Option<Problem>,
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
    /// What the user remarked on its changes.
    #[serde(default)]
    pub comments: Vec<CommentView>,
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
    /// Whether it plans or works.
    pub phase: StepPhase,
    /// How what it does is undone when a later step fails.
    pub undo: Option<String>,
    /// How it was undone.
    pub undone: Option<String>,
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
    /// The next call waits or waited.
    Held {
        /// What for.
        hold: Hold,
        /// Until when at most, milliseconds since 1970 UTC.
        until_ms: u64,
    },
    /// Something was left out of the next prompt so that it fits.
    Compacted {
        /// What.
        compaction: Compaction,
    },
    /// The older part of the conversation is told in short from here on.
    Summarised {
        /// How, and what it stands for.
        summary: Box<Summary>,
    },
    /// The server's context is not what this side believes.
    Mismatched {
        /// The call.
        call: CallId,
        /// What does not agree.
        mismatch: ContextMismatch,
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
    /// A child run was started, found in `children`.
    Called {
        /// The child.
        run: RunId,
    },
    /// Work went on after an interruption or a mended problem.
    Resumed {
        /// When.
        at_ms: u64,
    },
}

/// A run that works for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ChildView {
    /// The child.
    pub run: RunId,
    /// The step it works for.
    pub step: StepId,
    /// What it was told to do.
    pub goal: String,
    /// How it ended; `None` while it is open.
    pub outcome: Option<Outcome>,
}

/// A run that is active but gets nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Stall {
    /// Model turns since the last accepted artefact.
    pub turns: u32,
    /// Time since then, in milliseconds, when it was noticed.
    pub ms: u64,
    /// What the last accepted artefact was.
    pub last: String,
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
    /// The number of its last event: what a reader of the list knows of it.
    pub last_seq: Seq,
    /// Files changed so far.
    pub files: u32,
    /// The run it works for.
    pub parent: Option<RunId>,
    /// How urgent it is.
    pub priority: Priority,
    /// Questions that wait for the user.
    pub questions: u32,
    /// Whether it was noticed that it gets nowhere.
    pub stalled: bool,
    /// The run it stands on.
    #[serde(default)]
    pub on: Option<RunId>,
}

/// The read models of a store, each with a hash over all its rows: rebuilt from zero they must come out the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct StateView {
    /// The last event they contain.
    pub seq: Seq,
    /// Hash over the hashes of all of them.
    pub hash: Hash,
    /// Each of them.
    pub projections: Vec<ProjectionView>,
}

/// One read model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ProjectionView {
    /// Its name.
    pub name: String,
    /// The version of its fold.
    pub version: u32,
    /// Its rows.
    pub rows: u64,
    /// Hash over its rows, in order of their keys.
    pub hash: Hash,
}

/// A file that holds the whole state of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct StateFile {
    /// Where it is.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// The last event in it.
    pub events: Seq,
    /// Runs whose trees or commits it holds.
    pub runs: u64,
    /// The hash of the read models, which must come out the same where it is imported.
    pub hash: Hash,
}

/// What a look at a whole store found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct StoreCheck {
    /// Events whose chain, payloads and blobs are as they were written.
    pub events: u64,
    /// Blobs kept, and their size in bytes.
    pub blobs: u64,
    /// Size of the blobs.
    pub blob_bytes: u64,
    /// Size of the database.
    pub bytes: u64,
    /// What is wrong, in words; empty for a sound store.
    pub findings: Vec<String>,
}

/// A message with what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct MessageView {
    /// Its number.
    pub seq: Seq,
    /// When it was posted.
    pub at_ms: u64,
    /// The message.
    pub message: Message,
}

/// A topic and who listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TopicView {
    /// Its pattern, such as `run/*`.
    pub topic: String,
    /// What it promises.
    pub guarantee: Guarantee,
    /// Who listens, with the number each has come to.
    pub consumers: Vec<(String, Seq)>,
}

/// A message that was laid aside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct DeadView {
    /// The consumer that could not handle it.
    pub consumer: String,
    /// Why.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The message.
    pub message: MessageView,
}

/// A message that a consumer handled once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ReplayView {
    /// The message's number.
    pub message: Seq,
    /// Its topic.
    pub topic: String,
    /// What the consumer does about it, a line for each record it makes.
    pub does: Vec<String>,
    /// Whether that was recorded now; it is not where it was recorded before.
    pub applied: bool,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for its time or its turn.
    Waiting,
    /// A worker has it.
    Leased,
    /// It is done.
    Done,
    /// It was laid aside.
    Dead,
    /// It was taken back.
    Cancelled,
}

/// A job with what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct JobView {
    /// The job; `due_ms` is when it is tried next.
    pub job: Job,
    /// Where it is.
    pub state: JobState,
    /// Attempts begun.
    pub attempts: u32,
    /// Times it came to an end, for one that repeats.
    pub ends: u32,
    /// Why the last attempt failed.
    pub reason: Option<String>,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ObjectView {
    /// The object, as `kind/name`.
    pub object: String,
    /// Raised by one with each change; 1 for one that was only made.
    pub version: u64,
    /// Version of the state's schema.
    pub schema: u32,
    /// Where it is in its life.
    pub life: Lifecycle,
    /// Its state.
    #[ts(type = "unknown")]
    pub state: serde_json::Value,
    /// What the last message to it answered.
    #[ts(type = "unknown")]
    pub answer: serde_json::Value,
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
    /// The flows that a goal can be given to, by id.
    pub flows: Vec<FlowView>,
    /// The price lists by which money is counted, the first that knows a model counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<Vec<PriceList>>")]
    pub prices: Vec<PriceList>,
}

/// A flow as the screen needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FlowView {
    /// Its id.
    pub id: String,
    /// Its name on screen.
    pub title: String,
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
    /// Whether only failures that the base does not have block a change. Else all do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(optional, as = "Option<bool>")]
    pub only_new: bool,
    /// Hosts that it may reach once the user permits them; empty for no network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<Vec<String>>")]
    pub network: Vec<String>,
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
    /// Models that make vectors and do not chat, where the server tells.
    #[serde(default)]
    pub embedders: Vec<String>,
    /// Why it cannot be used now.
    pub problem: Option<Problem>,
}

/// A model of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
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
    /// Digest of its files, where the server tells.
    #[serde(default)]
    pub digest: Option<String>,
    /// What was measured about it on this machine.
    #[serde(default)]
    pub card: Option<ModelCard>,
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
    /// Whether searches from other projects find what is in it. The user says so; a project is private until then.
    #[serde(default)]
    pub shared: bool,
}
