//! A change against a base as it is read: files, hunks, lines.
//!
//! Plain data, re-exported by [`crate::view`]. It is for eyes: what is applied or accepted is taken from commits.

use crate::event::FileChange;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

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
