//! What is asked for (`Edit`) and what comes out (`ChangeSet`), as plain data.

use atelier_protocol::hash::Hash;
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
    /// Replace lines by their numbers. All numbers are those of the file before the first such edit of the set.
    Lines {
        /// Relative path with `/`.
        path: String,
        /// In any order; they may not overlap.
        ranges: Vec<LineRange>,
    },
    /// Remove the file.
    Delete {
        /// Relative path with `/`.
        path: String,
    },
    /// Give the file another path.
    Move {
        /// Relative path with `/`.
        path: String,
        /// The new path; nothing may be there.
        to: String,
    },
    /// Nothing to do, but the file must be what its author read before the set was written.
    Expect {
        /// Relative path with `/`.
        path: String,
        /// The hash of the content that was read.
        hash: Hash,
    },
}

impl Edit {
    /// The path as it was asked for.
    pub fn path(&self) -> &str {
        match self {
            Edit::Write { path, .. }
            | Edit::Replace { path, .. }
            | Edit::Lines { path, .. }
            | Edit::Delete { path }
            | Edit::Move { path, .. }
            | Edit::Expect { path, .. } => path,
        }
    }
}

/// A piece of a file and what stands in its place afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Block {
    /// Text of the file as it is. Empty means: the file is new or empty, and `replace` is its content.
    pub search: Vec<u8>,
    /// The text that takes its place.
    pub replace: Vec<u8>,
    /// What else is known about the place.
    pub locator: Locator,
}

impl Block {
    /// A block of which only the two texts are known.
    pub fn new(search: impl Into<Vec<u8>>, replace: impl Into<Vec<u8>>) -> Self {
        Self { search: search.into(), replace: replace.into(), locator: Locator::default() }
    }
}

/// What a format says about the place of a block besides its text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Locator {
    /// The texts are whole lines, each byte of a line end is meant, and blocks come in the order of the file: a diff.
    pub diff: bool,
    /// The first line of the text in the file as it was, from 1.
    pub line: Option<u32>,
    /// The line above the place that begins its function, as git finds it.
    pub heading: Option<String>,
    /// Lines that open the parts of the file which the place is in, the outermost first.
    pub under: Vec<String>,
    /// The text ends the file.
    pub at_end: bool,
    /// So many empty lines at the end of both texts may have been meant to part blocks.
    pub loose_lines: usize,
}

/// Lines of a file, by number, and what stands in their place afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineRange {
    /// The first line that is replaced, from 1.
    pub start: u32,
    /// The last line that is replaced; `start - 1` to put the text before line `start`.
    pub end: u32,
    /// The text that takes their place, whole lines. Empty removes them.
    pub text: Vec<u8>,
    /// The lines as the author saw them; refused where the file has others there.
    pub old: Option<Vec<u8>>,
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
    /// The path that the content was moved from, so that its writer can keep the file's mode.
    pub moved_from: Option<String>,
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
    /// Tabs against spaces, or a depth that all lines lack. The file's own indentation was kept.
    pub indentation: bool,
    /// `&lt;` and the like, which stood for the characters themselves.
    pub entities: bool,
    /// The file's encoding, which is not UTF-8 and was kept.
    pub encoding: bool,
}

impl Relaxed {
    /// `None` where nothing was overlooked.
    pub(crate) fn noted(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

impl fmt::Display for Relaxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.line_ends, "line ends"),
            (self.trailing_space, "trailing space"),
            (self.final_newline, "final newline"),
            (self.byte_order_mark, "byte order mark"),
            (self.indentation, "indentation"),
            (self.entities, "HTML entities"),
            (self.encoding, "encoding"),
        ];
        let named: Vec<&str> = parts.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
        write!(f, "differences overlooked: {}", named.join(", "))
    }
}
