//! Reads a model's text as edits, whole or while it arrives.
//!
//! Prose around edits is passed over; an edit that is cut off, or of which it is not clear what it says,
//! refuses the whole text and names the line. Whether it fits the files is another question (`apply`).
//!
//! Each format is one function that reads the next edit from the lines there are, or says that it needs more.
//! Reading whole is feeding everything at once, so that both give the same.

mod blocks;
mod fence;
mod json;
mod patch;
mod path_line;
mod reader;
mod record;
mod unified;
mod whole;

use crate::change::Edit;
use crate::refusal::shortened;
use atelier_protocol::{Code, Problem};
pub(crate) use blocks::width_for;
use fence::Fence;
pub(crate) use path_line::{is_path_line, on_its_line};
pub use reader::Reader;
use std::fmt;
use std::str::FromStr;
pub(crate) use whole::fence_for;

/// The longest text of edits that is read, in bytes.
pub const LARGEST_EDIT: usize = 32 << 20;

/// How a model writes its edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A path line, then a fenced block with the whole content.
    WholeFile,
    /// A path line, then blocks of search text and replacement between markers, as Aider has them.
    SearchReplace,
    /// A unified diff, as git and diff(1) write it.
    UnifiedDiff,
    /// `*** Begin Patch`, as Codex has it: files that are added, deleted, updated, moved.
    ApplyPatch,
    /// JSON: `{"edits":[{"path","start","end","text"}]}`, lines by number.
    LineRange,
    /// JSON: `{"edits":[{"path","search","replace"}]}`, fit for an answer that is held to a schema.
    HunkList,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 6] = [
        Format::WholeFile,
        Format::SearchReplace,
        Format::UnifiedDiff,
        Format::ApplyPatch,
        Format::LineRange,
        Format::HunkList,
    ];

    /// The name it goes by.
    pub fn name(self) -> &'static str {
        match self {
            Format::WholeFile => "whole-file",
            Format::SearchReplace => "search-replace",
            Format::UnifiedDiff => "unified-diff",
            Format::ApplyPatch => "apply-patch",
            Format::LineRange => "line-range",
            Format::HunkList => "hunk-list",
        }
    }

    /// How it is written, in words for a model.
    pub fn shape(self) -> &'static str {
        match self {
            Format::WholeFile => whole::SHAPE,
            Format::SearchReplace => blocks::SHAPE,
            Format::UnifiedDiff => unified::SHAPE,
            Format::ApplyPatch => patch::SHAPE,
            Format::LineRange => record::shape(true),
            Format::HunkList => record::shape(false),
        }
    }

    /// The format whose own marks are in `text`, where it is one. A fenced block with a path may be an example, so
    /// [`Format::WholeFile`] is never among them.
    pub fn marked(text: &str) -> Option<Format> {
        let line = |mark: &str| text.lines().any(|line| line.trim_start().starts_with(mark));
        let json = |keys: [&str; 2]| text.contains("\"edits\"") && keys.iter().all(|key| text.contains(key));
        let marks = [
            (Format::ApplyPatch, line("*** Begin Patch")),
            (Format::SearchReplace, line("<<<<<<<") && line(">>>>>>>")),
            (Format::UnifiedDiff, line("@@ -") && line("+++ ")),
            (Format::HunkList, json(["\"search\"", "\"replace\""])),
            (Format::LineRange, json(["\"start\"", "\"text\""])),
        ];
        marks.into_iter().find(|(format, marked)| *marked && parse(*format, text).is_ok()).map(|(format, _)| format)
    }

    /// The JSON schema that a server can hold an answer to; `None` for formats that are not JSON.
    pub fn schema(self) -> Option<serde_json::Value> {
        record::schema(self)
    }
}

/// A name that is not a format's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an edit format: expected {names}", names = names())]
pub struct UnknownFormat(pub String);

fn names() -> String {
    let names: Vec<String> = Format::ALL.iter().map(|format| format!("`{format}`")).collect();
    names.join(", ")
}

impl FromStr for Format {
    type Err = UnknownFormat;
    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Format::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text is not edits. Nothing of it may be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ParseRefusal {
    /// The line of the text, from 1.
    pub line: u32,
    /// What is wrong there.
    pub reason: String,
    /// The line itself, shortened.
    pub excerpt: String,
    /// What would be right.
    pub hint: &'static str,
    /// The text has no edit at all, not even one that is wrong.
    pub nothing: bool,
}

impl ParseRefusal {
    /// The refusal as it crosses a door.
    pub fn problem(&self) -> Problem {
        Problem::new(Code::EditUnreadable, format!("The edits cannot be read: {self}. Nothing was changed."), self.hint)
            .with_details([format!("line {}: {}", self.line, self.excerpt)])
    }
}

/// Reads all edits of a model's text, in its order; at least one.
///
/// Several blocks for one file that follow each other become one edit.
pub fn parse(format: Format, text: impl AsRef<[u8]>) -> Result<Vec<Edit>, ParseRefusal> {
    let mut edits = Vec::new();
    // Each as it is read: a path is not kept once for every small block of its file.
    let mut join = |edit| join(&mut edits, edit);
    let mut reader = Reader::new(format);
    reader.take(text.as_ref(), &mut join);
    reader.end(&mut join)?;
    Ok(edits)
}

/// Adds an edit; one for the same file as the last becomes a part of that.
fn join(all: &mut Vec<Edit>, edit: Edit) {
    match (all.last_mut(), edit) {
        (Some(Edit::Replace { path: last, blocks }), Edit::Replace { path, blocks: more }) if *last == path => {
            blocks.extend(more);
        }
        (Some(Edit::Lines { path: last, ranges }), Edit::Lines { path, ranges: more }) if *last == path => {
            ranges.extend(more);
        }
        (_, edit) => all.push(edit),
    }
}

/// How the reading of one edit ended before there was one.
enum Stop {
    /// The text so far does not end it.
    More,
    /// It cannot be read.
    Refused(ParseRefusal),
}

impl From<ParseRefusal> for Stop {
    fn from(refusal: ParseRefusal) -> Self {
        Stop::Refused(refusal)
    }
}

/// Edits, or why there are none yet. No edits at all: the text is at its end.
type Step = Result<Vec<Edit>, Stop>;

/// A text by lines.
#[derive(Default)]
struct Lines {
    text: Vec<u8>,
    /// Where each line ends, its line end included.
    ends: Vec<usize>,
    /// Nothing will follow.
    complete: bool,
}

impl Lines {
    fn len(&self) -> usize {
        self.ends.len()
    }
    /// Line `index`, from 0, with its end; empty behind the end.
    fn raw(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        match (start, self.ends.get(index)) {
            (Some(start), Some(end)) => &self.text[start..*end],
            _ => &[],
        }
    }
    /// Line `index` without its end; a line that is not UTF-8 is no mark of any format.
    fn at(&self, index: usize) -> &str {
        let raw = self.raw(index);
        let body = raw.strip_suffix(b"\n").map_or(raw, |body| body.strip_suffix(b"\r").unwrap_or(body));
        std::str::from_utf8(body).unwrap_or("\u{fffd}")
    }
    /// Whether line `index` ends with CR LF.
    fn crlf(&self, index: usize) -> bool {
        self.raw(index).ends_with(b"\r\n")
    }
    /// Line `index` without its line end, and without a CR before it where the text was carried with CR LF.
    fn content(&self, index: usize, crlf: bool) -> &[u8] {
        let raw = self.raw(index);
        match raw.strip_suffix(b"\n") {
            Some(body) if crlf => body.strip_suffix(b"\r").unwrap_or(body),
            Some(body) => body,
            None => raw,
        }
    }
    /// Lines `from..to`, each ended with LF.
    fn joined(&self, from: usize, to: usize, crlf: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for index in from..to.min(self.len()) {
            bytes.extend_from_slice(self.content(index, crlf));
            bytes.push(b'\n');
        }
        bytes
    }
    fn is_blank(&self, index: usize) -> bool {
        self.raw(index).iter().all(u8::is_ascii_whitespace)
    }
    fn refusal(&self, index: usize, reason: impl Into<String>, hint: &'static str) -> ParseRefusal {
        ParseRefusal {
            line: u32::try_from(index).unwrap_or(u32::MAX - 1) + 1,
            reason: reason.into(),
            excerpt: shortened(&String::from_utf8_lossy(self.raw(index)).replace(['\r', '\n'], "")),
            hint,
            nothing: false,
        }
    }
}
