//! What the user is asked, and the answer.
//!
//! Plain data, re-exported by [`crate::event`]. A question carries all that is needed to answer it; when one is asked is
//! the policy's and the engine's part.

use crate::call::ToolCall;
use crate::consent::ProjectCommand;
use crate::egress::{Leaving, Masked};
use crate::evidence::{ChecksVerdict, FileChange};
use crate::fact::Cost;
use crate::hash::Hash;
use crate::ids::RoleId;
use crate::routing::{BudgetNode, BudgetUnit};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

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
