//! What events tell of: routes, questions, effects, checks, reviews, commits, as plain values.
//!
//! Everything here is re-exported by [`crate::event`]; the split only keeps the list of events readable.

use crate::consent::ProjectCommand;
use crate::egress::{Leaving, Masked, Reached};
use crate::error::Problem;
use crate::hash::Hash;
use crate::ids::{RoleId, RunId, Seq, StepId};
use crate::results::{Compared, TestResults};
use crate::routing::{BudgetNode, BudgetUnit};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Which definition a run follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FlowRef {
    /// The flow's id.
    pub id: String,
    /// Hash of the definition's text.
    pub hash: Hash,
}

/// The user's state a run starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Base {
    /// The commit.
    pub commit: String,
    /// The branch that was checked out; `None` where HEAD was detached.
    pub branch: Option<String>,
}

/// What the user granted with the start of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default)]
pub struct Grants {
    /// Kinds of questions answered yes beforehand.
    pub approve: Vec<AskKind>,
    /// Every other question is answered no.
    pub deny_asks: bool,
}

/// The run and step that a child run works for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Parent {
    /// The run that waits for it.
    pub run: RunId,
    /// The step that called it.
    pub step: StepId,
    /// The run at the top, whose tree all of them work in.
    pub root: RunId,
    /// How deep it is: 1 for a child of a run that the user started.
    pub depth: u8,
}

/// Where a fork leaves the run it continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Fork {
    /// The run.
    pub run: RunId,
    /// The last event that both have in common.
    pub at: Seq,
}

/// What a step is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum StepPhase {
    /// It finds out what is to be done.
    Planning,
    /// It does it.
    #[default]
    Working,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The user, now.
    User,
    /// The user, by a grant given before.
    Grant,
    /// Time ran out.
    Timeout,
    /// The owner process, by its own rules.
    Owner,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The commits are handed over.
    Done,
    /// It could not be done.
    Failed {
        /// Why, and what to do next.
        problem: Problem,
    },
    /// The user stopped or rejected it.
    Cancelled {
        /// Why.
        problem: Problem,
    },
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum StepResult {
    /// As wanted.
    Done,
    /// The work goes back to an earlier step.
    SentBack {
        /// What that step is told.
        reason: String,
    },
    /// It could not be done.
    Failed {
        /// Why.
        problem: Problem,
    },
}

/// What was sent to a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct PromptRecord {
    /// Hash of the whole request's messages and tools.
    pub hash: Hash,
    /// What it is made of.
    pub parts: Vec<PromptPart>,
}

/// One part of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct PromptPart {
    /// What it is, such as `system`, `goal`, `file src/lib.rs`.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u32,
    /// Its hash.
    pub hash: Hash,
}

/// A tool call of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ToolCall {
    /// The id, from the server or made by us; unique within the run.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments, an object.
    #[ts(type = "unknown")]
    pub arguments: serde_json::Value,
}

/// Tokens and times of one call. `None` is unknown, never zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Usage {
    /// Prompt tokens the server evaluated.
    pub prompt_tokens: Option<u32>,
    /// Tokens the server made.
    pub output_tokens: Option<u32>,
    /// Time to load the model, in milliseconds.
    pub load_ms: Option<u64>,
    /// Time until the first piece arrived, in milliseconds.
    pub first_ms: Option<u64>,
    /// Whole time of the call, in milliseconds.
    pub total_ms: u64,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// It was finished.
    End,
    /// It waits for tool results.
    Tools,
    /// The length limit was reached.
    Length,
    /// The server filtered the answer.
    Filter,
    /// The server gave another reason or none.
    Other,
}

/// A decision of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Go on.
    Allow {
        /// The rule that allows it.
        rule: String,
    },
    /// Ask the user first.
    Ask {
        /// The rule that asks.
        rule: String,
    },
    /// Not for this role.
    Deny {
        /// The rule that denies it.
        rule: String,
    },
}

/// Output of a tool or command: what fits, and where the rest is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Output {
    /// The text, or its first and last part with a line that says what is left out.
    pub text: String,
    /// Bytes of the whole.
    pub bytes: u64,
    /// The whole as a blob, where `text` is not all of it.
    pub full: Option<Hash>,
}

/// A kind of question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum AskKind {
    /// Publish the run's commits.
    HandOver,
    /// Run what the project brings along: its checks, its set-up.
    ProjectCommands,
    /// Run a command without confinement.
    Command,
    /// Perform a tool call that the role's file says must be asked.
    Tool,
    /// Answer a question in words.
    Question,
    /// Use more than the run was given.
    Budget,
    /// Send material of the project to a model on another machine.
    Cloud,
}

/// What the user is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// May these changes be handed over as a branch?
    HandOver {
        /// The files changed.
        files: Vec<FileChange>,
        /// The checks of this tree.
        checks: ChecksVerdict,
        /// Whether a reviewing role approved this tree.
        reviewed: bool,
        /// What it cost so far.
        cost: Cost,
        /// The tree that is asked about.
        tree: String,
        /// Where the changes add what looks like a key, as `path:line what`. No grant answers such a question.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[ts(as = "Option<Vec<String>>", optional)]
        keys: Vec<String>,
    },
    /// May what the project brings along run, until it is something else? Asked before the first of it runs.
    ProjectCommands {
        /// Hash of all of it; the answer is kept by this.
        hash: Hash,
        /// Each thing.
        commands: Vec<ProjectCommand>,
    },
    /// May this command run without confinement?
    Command {
        /// The effect it is about; an answer counts for this one only.
        key: String,
        /// The check's name.
        name: String,
        /// Program and arguments.
        argv: Vec<String>,
        /// Why it is asked.
        reason: String,
        /// Hosts that it may reach with a yes, and with it all commands of the project; empty where it is not about that.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[ts(optional, as = "Option<Vec<String>>")]
        hosts: Vec<String>,
    },
    /// May this role make this call?
    Tool {
        /// The role.
        role: RoleId,
        /// The call.
        call: ToolCall,
        /// The rule that asks.
        rule: String,
    },
    /// A question in words. The answer is the note; a rejection takes the default.
    Question {
        /// The question.
        question: String,
        /// What is taken where nobody answers.
        default: String,
    },
    /// May as much be used again?
    Budget {
        /// What was used so far.
        spent: u64,
        /// What it was given so far.
        limit: u64,
        /// What it would be given more.
        more: u64,
        /// Whose limit it is; `None` is the run's own.
        #[serde(default)]
        node: Option<BudgetNode>,
        /// What `spent`, `limit` and `more` count.
        #[serde(default)]
        unit: BudgetUnit,
    },
    /// May the project's material leave this machine for this model server? Asked before the first time; the answer is
    /// remembered until it is taken back.
    Cloud {
        /// The model server's id in the settings.
        provider: String,
        /// Its host and port.
        host: String,
        /// The model.
        model: String,
        /// The files and snippets that would leave now.
        leaving: Vec<Leaving>,
        /// What is masked in them.
        masked: Vec<Masked>,
        /// Exactly what would leave, masked, as a text.
        text: Hash,
    },
}

impl Ask {
    /// Whether only a person may say yes, whatever was granted with the start of the run.
    pub fn needs_a_person(&self) -> bool {
        matches!(self, Ask::HandOver { keys, .. } if !keys.is_empty())
    }

    /// Its kind.
    pub fn kind(&self) -> AskKind {
        match self {
            Ask::HandOver { .. } => AskKind::HandOver,
            Ask::ProjectCommands { .. } => AskKind::ProjectCommands,
            Ask::Command { .. } => AskKind::Command,
            Ask::Tool { .. } => AskKind::Tool,
            Ask::Question { .. } => AskKind::Question,
            Ask::Budget { .. } => AskKind::Budget,
            Ask::Cloud { .. } => AskKind::Cloud,
        }
    }
}

/// The user's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Yes.
    Approve,
    /// No.
    Reject,
}

/// What the checks say about a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ChecksVerdict {
    /// At least one check, all with exit code zero.
    Passed,
    /// At least one failed.
    Failed,
    /// None is declared or detected.
    NoneDeclared,
}

/// What a run cost so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Cost {
    /// Requests to models.
    pub calls: u32,
    /// Prompt tokens; `None` where a server did not say.
    pub prompt_tokens: Option<u32>,
    /// Output tokens; `None` where a server did not say.
    pub output_tokens: Option<u32>,
    /// Time on local models, in milliseconds.
    pub local_ms: u64,
    /// Money in millionths of the currency; `None` where a price is unknown. Local models cost time, not money.
    pub micros: Option<u64>,
}

/// A changed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FileChange {
    /// Its path in the project, with `/`.
    pub path: String,
    /// The path it had before, for renames.
    pub old_path: Option<String>,
    /// What happened to it.
    pub status: FileStatus,
    /// Lines added; `None` for binary files.
    pub insertions: Option<u32>,
    /// Lines removed; `None` for binary files.
    pub deletions: Option<u32>,
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// New.
    Added,
    /// Other content or mode.
    Modified,
    /// Gone.
    Deleted,
    /// Another path, perhaps other content.
    Renamed,
}

/// The requirements made from a goal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Spec {
    /// What is to be done, in one line.
    pub title: String,
    /// What it means, in a few sentences.
    pub summary: String,
    /// The requirements.
    pub requirements: Vec<Requirement>,
}

/// One requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Requirement {
    /// Its id, `R1`, `R2`, ...
    pub id: String,
    /// What must hold.
    pub text: String,
}

/// The recorded state of a run's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Checkpoint {
    /// The commit in the run's private repository.
    pub commit: String,
    /// The tree of that commit.
    pub tree: String,
    /// Files that differ from the base.
    pub files: Vec<FileChange>,
}

/// A command with its exit code and output: the evidence for "done".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The tree it ran on; empty for the command of a script step, which proves nothing about a tree.
    pub tree: String,
    /// The exit code; `None` where a signal or the time limit ended it.
    pub exit_code: Option<i32>,
    /// Whether the time limit ended it.
    pub timed_out: bool,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// Standard output and error, in the order they came.
    pub output: Output,
    /// What confined it.
    pub mechanism: Mechanism,
    /// What it said of its tests, where that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub tests: Option<TestResults>,
    /// The same check on the base, where it failed on both. Of the check on the base itself: its own tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub compared: Option<Compared>,
    /// What it reached through its way to the network, and what it was refused there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<Vec<Reached>>")]
    pub reached: Vec<Reached>,
}

impl Check {
    /// Whether it ran on the base, to tell which failures are new.
    pub fn is_of_base(&self) -> bool {
        self.compared.as_ref().is_some_and(|compared| compared.tree == self.tree)
    }

    /// Whether it is evidence that the tree is right: it passed, or each of its failures was there before.
    pub fn passed(&self) -> bool {
        let only_old = !self.is_of_base() && self.compared.as_ref().is_some_and(|compared| compared.new.is_empty());
        !self.timed_out && (self.exit_code == Some(0) || (only_old && self.exit_code.is_some()))
    }
}

/// What confines a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// bubblewrap: own namespaces, read-only root, no network but the way out that the user gave it.
    Bubblewrap,
    /// Landlock and seccomp: file rules and no sockets.
    Landlock,
    /// Nothing.
    None,
}

/// What a reviewer said about a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Review {
    /// Who.
    pub by: Reviewer,
    /// Approve or reject.
    pub answer: Answer,
    /// What was found.
    pub notes: String,
    /// The tree that was looked at.
    pub tree: String,
}

/// Who reviews.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Reviewer {
    /// A role.
    Role {
        /// Which.
        role: RoleId,
    },
    /// The user.
    User,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Commit {
    /// Its id.
    pub id: String,
    /// Its first line.
    pub subject: String,
}

/// How commits come to the user's branch, or leave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum AcceptMode {
    /// Move the branch forward.
    FastForward,
    /// Make a merge commit.
    Merge,
    /// Make one commit of all of them.
    Squash,
    /// Move the branch back to where it was: an accept is undone.
    Back,
    /// Make a commit that takes the others back: an accept is undone on which the user has built.
    Revert,
}

/// A note or snippet of the user's library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct LibraryNote {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub title: String,
    /// Its text.
    pub text: String,
    /// When it was kept, milliseconds since 1970 UTC.
    #[ts(type = "number")]
    pub at_ms: u64,
}
