//! What the user says about a run's result: comments on lines, what of it is taken and how, and how conflicts are settled.

use crate::ids::Seq;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A remark of the user on lines of a run's result. The lines are known by their text: a number is only a hint, since the
/// author moves them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Comment {
    /// The file.
    pub path: String,
    /// The lines that are meant, as they were; empty for the file as a whole.
    pub quote: Vec<String>,
    /// The number of the first of them when it was said.
    pub line: u32,
    /// What is said.
    pub text: String,
}

/// A comment with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct CommentView {
    /// The event that tells of it.
    pub seq: Seq,
    /// What was said, of what.
    pub comment: Comment,
    /// Whether it went back to the author.
    pub sent: bool,
}

/// How the user wants a run accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Acceptance {
    /// The way; `None` is a fast-forward where that is possible, else a merge.
    #[serde(default)]
    pub way: Option<AcceptMode>,
    /// Only these parts, as one commit; `None` is everything.
    #[serde(default)]
    pub only: Option<Vec<Part>>,
    /// How places are settled that your branch and the run both changed.
    #[serde(default)]
    pub resolved: Vec<Resolution>,
    /// The message of a squashed, merged or partial commit; `None` takes what the run says of itself.
    #[serde(default)]
    pub message: Option<String>,
    /// The user's git hooks are not asked.
    #[serde(default)]
    pub skip_hooks: bool,
    /// The run that it stands on is accepted first, the same way, where it is not yet.
    #[serde(default)]
    pub with_base: bool,
    /// The commits are not signed, also where the user's git configuration asks for it.
    #[serde(default)]
    pub skip_signing: bool,
}

/// A part of a run's changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Part {
    /// The file, by its present path.
    pub path: String,
    /// Which hunk of the file's diff, from 0; `None` is the whole file.
    #[serde(default)]
    pub hunk: Option<u32>,
}

/// How the conflict in one file is settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Resolution {
    /// The file.
    pub path: String,
    /// What is taken.
    pub take: Take,
}

/// What is taken of a file that both sides changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "take", rename_all = "snake_case")]
pub enum Take {
    /// The file as your branch has it.
    Yours,
    /// The file as the run has it.
    Run,
    /// This text.
    Text {
        /// The whole file.
        text: String,
    },
}

/// A file that your branch and the run both changed in the same place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ConflictView {
    /// The file.
    pub path: String,
    /// The file where both began; `None` where there was none. Bytes that are not UTF-8 are shown as U+FFFD.
    pub base: Option<String>,
    /// As your branch has it; `None` where it was removed.
    pub yours: Option<String>,
    /// As the run has it; `None` where it was removed.
    pub run: Option<String>,
    /// Both with conflict markers; `None` where they cannot be put into one text.
    pub merged: Option<String>,
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
