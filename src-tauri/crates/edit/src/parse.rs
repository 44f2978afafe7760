//! Reads a model's text as edits.
//!
//! Prose around edits is passed over; an edit that is cut off, or of which it is not clear what it says,
//! refuses the whole text and names the line. Whether it fits the files is another question (`apply`).

mod blocks;
mod path_line;
mod whole;

use crate::change::Edit;
use crate::refusal::shortened;
use atelier_protocol::{Code, Problem};
pub(crate) use blocks::width_for;
pub(crate) use path_line::{is_path_line, on_its_line};
use std::fmt;
use std::str::FromStr;
pub(crate) use whole::fence_for;

/// How a model writes its edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A path line, then a fenced block with the whole content.
    WholeFile,
    /// A path line, then blocks of search text and replacement between markers, as Aider has them.
    SearchReplace,
}

/// A name that is not a format's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an edit format: expected `whole-file` or `search-replace`")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;
    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        match name {
            "whole-file" => Ok(Format::WholeFile),
            "search-replace" => Ok(Format::SearchReplace),
            _ => Err(UnknownFormat(name.to_owned())),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::WholeFile => "whole-file",
            Format::SearchReplace => "search-replace",
        })
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
pub fn parse(format: Format, text: &str) -> Result<Vec<Edit>, ParseRefusal> {
    let text = Lines::of(text);
    match format {
        Format::WholeFile => whole::parse(&text),
        Format::SearchReplace => blocks::parse(&text),
    }
}

/// A text by lines, without their ends.
struct Lines<'a>(Vec<&'a str>);

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        Self(text.strip_prefix('\u{feff}').unwrap_or(text).lines().collect())
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    /// Line `index`, from 0; empty behind the end.
    fn at(&self, index: usize) -> &'a str {
        self.0.get(index).copied().unwrap_or_default()
    }
    /// Lines `from..to`, each ended with LF.
    fn joined(&self, from: usize, to: usize) -> String {
        self.0.get(from..to).unwrap_or_default().iter().flat_map(|line| [line, "\n"]).collect()
    }
    fn refusal(&self, index: usize, reason: impl Into<String>, hint: &'static str) -> ParseRefusal {
        ParseRefusal {
            line: u32::try_from(index).unwrap_or(u32::MAX - 1) + 1,
            reason: reason.into(),
            excerpt: shortened(self.at(index)),
            hint,
        }
    }
}

/// A line of backticks or tildes around code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fence<'a> {
    mark: char,
    length: usize,
    /// What follows the marks; only an opening fence has something there.
    info: &'a str,
}

impl<'a> Fence<'a> {
    /// CommonMark 0.31.2 section 4.5: at most three spaces before, no backtick in the info of a backtick fence.
    fn on(line: &'a str) -> Option<Self> {
        let body = line.trim_start_matches(' ');
        if line.len() - body.len() > 3 {
            return None;
        }
        let mark = body.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let length = body.chars().take_while(|c| *c == mark).count();
        let info = body[length..].trim();
        (length >= 3 && !(mark == '`' && info.contains('`'))).then_some(Self { mark, length, info })
    }
}
