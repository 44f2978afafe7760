//! What is asked for (`Edit`) and what comes out (`ChangeSet`), as plain data.

use std::fmt;

/// One wish of a model for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Make the file, or replace its whole content.
    Write {
        /// Relative path with `/`.
        path: String,
        /// The whole content.
        content: Vec<u8>,
    },
    /// Replace pieces of the file, in this order.
    Replace {
        /// Relative path with `/`.
        path: String,
        /// At least one block.
        blocks: Vec<Block>,
    },
    /// Remove the file.
    Delete {
        /// Relative path with `/`.
        path: String,
    },
}

impl Edit {
    /// The path as it was asked for.
    pub fn path(&self) -> &str {
        match self {
            Edit::Write { path, .. } | Edit::Replace { path, .. } | Edit::Delete { path } => path,
        }
    }
}

/// A piece of a file and what stands in its place afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Text of the file as it is. Empty means: the file is new or empty, and `replace` is its content.
    pub search: String,
    /// The text that takes its place.
    pub replace: String,
}

/// The exact outcome of a set of edits, one entry per path, in the order of their first mention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeSet {
    /// The changed files.
    pub files: Vec<FileChange>,
}

/// The bytes of one file before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Relative path with `/`, cleaned.
    pub path: String,
    /// The bytes that were read; `None` where there was no file.
    pub before: Option<Vec<u8>>,
    /// The bytes to write; `None` removes the file.
    pub after: Option<Vec<u8>>,
    /// What was placed where, in the order of the blocks. Empty for a removed file.
    pub applied: Vec<AppliedHunk>,
}

/// Where the text of one block stands in the new file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedHunk {
    /// First and last line in the new file, 1-based and inclusive. Where text was only removed, both are the
    /// line that now stands in its place.
    pub lines: [u32; 2],
    /// What was overlooked to find the place or to keep the file's form; `None` where nothing was.
    pub relaxed: Option<Relaxed>,
}

/// The differences that were overlooked. At least one is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relaxed {
    /// LF against CRLF. The file's own line ends were kept.
    pub line_ends: bool,
    /// Spaces and tabs at line ends.
    pub trailing_space: bool,
    /// A line end after the last line of the file. The file was kept without it, or with it.
    pub final_newline: bool,
    /// The byte order mark at the start of the file, which was kept.
    pub byte_order_mark: bool,
}

impl Relaxed {
    /// `None` where nothing was overlooked.
    pub(crate) fn noted(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }

    /// Both together.
    pub(crate) fn with(self, other: Self) -> Self {
        Self {
            line_ends: self.line_ends || other.line_ends,
            trailing_space: self.trailing_space || other.trailing_space,
            final_newline: self.final_newline || other.final_newline,
            byte_order_mark: self.byte_order_mark || other.byte_order_mark,
        }
    }
}

impl fmt::Display for Relaxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.line_ends, "line ends"),
            (self.trailing_space, "trailing space"),
            (self.final_newline, "final newline"),
            (self.byte_order_mark, "byte order mark"),
        ];
        let named: Vec<&str> = parts.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
        write!(f, "differences overlooked: {}", named.join(", "))
    }
}
