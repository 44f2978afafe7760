//! Why a set of edits was not applied, said so that a model or a person can mend it.

use atelier_protocol::{Code, Problem};
use std::fmt::Write as _;

/// A place in a file, with its neighbouring lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// First and last line of the place itself, 1-based and inclusive.
    pub lines: [u32; 2],
    /// The place and its neighbours, each line with its number; `>` marks the place's own.
    pub text: String,
}

/// Why nothing was applied. Paths are as cleaned; blocks count from 1 within their edit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The path may not be named by an edit.
    #[error("`{path}` cannot be edited: {reason}")]
    BadPath {
        /// As it was asked for.
        path: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// The file could not be read.
    #[error("`{path}` could not be read: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// The reader's words.
        reason: String,
    },
    /// There is no such file to change or remove.
    #[error("there is no file `{path}`")]
    Missing {
        /// The file.
        path: String,
    },
    /// An empty search text means a new file, but the file has content.
    #[error("the search text of block {block} is empty, but `{path}` exists and has content")]
    Exists {
        /// The file.
        path: String,
        /// The block.
        block: u32,
    },
    /// An edit without blocks.
    #[error("the edit of `{path}` has no block")]
    NoBlocks {
        /// The file.
        path: String,
    },
    /// The search text is not in the file.
    #[error("the search text of block {block} is not in `{path}`")]
    NotFound {
        /// The file.
        path: String,
        /// The block.
        block: u32,
        /// The most similar place, where one is similar at all.
        nearest: Option<Candidate>,
        /// In what it differs, or what is known otherwise.
        differs: String,
    },
    /// The search text is in the file more than once.
    #[error("the search text of block {block} is in `{path}` {}", times(*total))]
    Ambiguous {
        /// The file.
        path: String,
        /// The block.
        block: u32,
        /// How many places; the count stops at 50.
        total: u32,
        /// The first five places.
        candidates: Vec<Candidate>,
    },
    /// A block is given twice, and the second may be meant for another place that differs a little.
    #[error(
        "block {block} for `{path}` is given a second time, and a place much like its search text is there as well"
    )]
    GivenTwice {
        /// The file.
        path: String,
        /// The second of them.
        block: u32,
        /// The places.
        candidates: Vec<Candidate>,
    },
    /// The new text stands for the old instead of repeating it, which would remove what it stands for.
    #[error("line {line} of the new `{path}` would be `{text}`, which stands for lines that are there now")]
    Elided {
        /// The file.
        path: String,
        /// The line in the new file, from 1.
        line: u32,
        /// The line.
        text: String,
    },
    /// A path from some root ends as several files of the project do.
    #[error("`{path}` may be one of several files")]
    ManyFiles {
        /// As it was asked for.
        path: String,
        /// The files.
        candidates: Vec<String>,
    },
    /// The file is not what its author read.
    #[error("`{path}` has changed since it was read")]
    Stale {
        /// The file.
        path: String,
    },
    /// There is a file where another is to be moved.
    #[error("`{path}` cannot be moved: there is a file `{to}`")]
    Occupied {
        /// The file.
        path: String,
        /// Where it was to go.
        to: String,
    },
    /// Line numbers that cannot be meant.
    #[error("range {block} of the edit of `{path}` cannot be applied: {reason}")]
    BadRange {
        /// The file.
        path: String,
        /// The range, from 1.
        block: u32,
        /// What is wrong.
        reason: String,
    },
    /// The text may have been escaped as HTML, or not.
    #[error("it cannot be told whether the entities (such as `&lt;`) in {} for `{path}` are meant as they are", part(*block))]
    Entities {
        /// The file.
        path: String,
        /// The block; `None` where it is a whole content.
        block: Option<u32>,
    },
    /// The block is indented otherwise than the file, and the file does not say how its new lines are to be.
    #[error("block {block} for `{path}` is indented otherwise than lines {}-{}, and it is not clear how its new lines would be", lines[0], lines[1])]
    Indentation {
        /// The file.
        path: String,
        /// The block.
        block: u32,
        /// The place, 1-based and inclusive.
        lines: [u32; 2],
    },
    /// A character that the file's encoding does not have.
    #[error("`{path}` is not UTF-8, and its encoding has no `{character}`")]
    Encoding {
        /// The file.
        path: String,
        /// The character.
        character: char,
    },
    /// More than is worked on.
    #[error("`{path}` cannot be edited: {what}")]
    TooLarge {
        /// The file.
        path: String,
        /// What is too large.
        what: &'static str,
    },
    /// Nothing would change.
    #[error("{}", unchanged(path, *block))]
    NoChange {
        /// The file.
        path: String,
        /// The block whose two texts are equal; `None` where the file as a whole stays as it is.
        block: Option<u32>,
    },
}

/// Where counting the places of an ambiguous text stops.
pub(crate) const COUNTED: usize = 50;

fn unchanged(path: &str, block: Option<u32>) -> String {
    match block {
        Some(block) => format!("the search text and the replacement of block {block} for `{path}` are the same"),
        None => format!("`{path}` would stay as it is"),
    }
}

fn part(block: Option<u32>) -> String {
    block.map_or_else(|| "the content".to_owned(), |block| format!("block {block}"))
}

fn times(total: u32) -> String {
    if total as usize >= COUNTED { format!("at least {total} times") } else { format!("{total} times") }
}

impl Refusal {
    /// The places that the refusal names, with the file they are in.
    pub fn candidates(&self) -> Vec<(&str, &Candidate)> {
        match self {
            Refusal::Ambiguous { path, candidates, .. } | Refusal::GivenTwice { path, candidates, .. } => {
                candidates.iter().map(|c| (path.as_str(), c)).collect()
            }
            Refusal::NotFound { path, nearest, .. } => nearest.iter().map(|c| (path.as_str(), c)).collect(),
            _ => Vec::new(),
        }
    }

    /// The refusal as it crosses a door; candidates are in its details.
    pub fn problem(&self) -> Problem {
        let message = sentence(&format!("{self}. Nothing was changed."));
        match self {
            Refusal::BadPath { .. } => Problem::new(
                Code::OutsideProject,
                message,
                "Name a file by its path inside the project, with `/` between folders, such as `src/lib.rs`.",
            ),
            Refusal::Unreadable { .. } => {
                Problem::new(Code::Io, message, "See whether it is a regular file that may be read.")
            }
            Refusal::Missing { .. } => Problem::new(
                Code::EditNotFound,
                message,
                "Look the path up again, or give the whole content to make a new file.",
            ),
            Refusal::Exists { .. } => Problem::new(
                Code::EditUnreadable,
                message,
                "To change the file, repeat some of its lines as the search text; to replace all of it, write the whole file.",
            ),
            Refusal::NoBlocks { .. } => {
                Problem::new(Code::EditUnreadable, message, "Give at least one search text and its replacement.")
            }
            Refusal::NotFound { nearest, differs, .. } => Problem::new(
                Code::EditNotFound,
                sentence(&format!("{self}: {differs} Nothing was changed.")),
                match nearest {
                    Some(_) => "Copy the search text from the file exactly, with its indentation.",
                    None => "Read the file again and copy the search text from it exactly.",
                },
            )
            .with_details(nearest.iter().map(|c| format!("nearest, {}", c.described()))),
            Refusal::Ambiguous { candidates, .. } => Problem::new(
                Code::EditAmbiguous,
                message,
                "Add neighbouring lines to the search text (and to the replacement) until only one place fits.",
            )
            .with_details(candidates.iter().map(Candidate::described)),
            Refusal::GivenTwice { candidates, .. } => Problem::new(
                Code::EditAmbiguous,
                message,
                "Give each block once; where both places are meant, copy each one's own lines as its search text.",
            )
            .with_details(candidates.iter().map(Candidate::described)),
            Refusal::Elided { .. } => Problem::new(
                Code::EditUnreadable,
                message,
                "Write every line out, or replace only the lines that change.",
            ),
            Refusal::ManyFiles { candidates, .. } => {
                Problem::new(Code::EditAmbiguous, message, "Name the file by its path inside the project.")
                    .with_details(candidates.iter().cloned())
            }
            Refusal::Stale { .. } => Problem::new(
                Code::EditNotFound,
                message,
                "Read the file again, then write the edit for what it is now.",
            ),
            Refusal::Occupied { .. } => Problem::new(
                Code::EditUnreadable,
                message,
                "Choose another path, or remove that file in the same set first.",
            ),
            Refusal::BadRange { .. } => Problem::new(
                Code::EditUnreadable,
                message,
                "Read the file again and number its lines from 1; `end` is `start - 1` to put text before a line.",
            ),
            Refusal::Entities { .. } => Problem::new(
                Code::EditUnreadable,
                message,
                "Write `<`, `>` and `&` themselves. If the entities are meant, repeat a line of the file that has one of these characters.",
            ),
            Refusal::Indentation { .. } => Problem::new(
                Code::EditNotFound,
                message,
                "Copy the search text from the file exactly, with its tabs and spaces, and indent the replacement in the same way.",
            ),
            Refusal::Encoding { .. } => {
                Problem::new(Code::EditUnreadable, message, "Write it with characters that the file can hold.")
            }
            Refusal::TooLarge { .. } => {
                Problem::new(Code::EditUnreadable, message, "Edit such a file with a command instead.")
            }
            Refusal::NoChange { block, .. } => Problem::new(
                Code::NothingChanged,
                message,
                match block {
                    Some(_) => {
                        "Its search text and replacement are the same; leave the block out or give what should stand there."
                    }
                    None => "The file already has this content; go on with the next thing.",
                },
            ),
        }
    }
}

impl Candidate {
    /// The lines from..to (1-based, inclusive) of `text` with `around` neighbours on each side.
    pub(crate) fn of(text: &[u8], lines: [u32; 2], around: u32) -> Self {
        const LONGEST: u32 = 60;
        let all: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
        let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let from = lines[0].saturating_sub(around).max(1);
        let to = lines[1].saturating_add(around).min(count);
        let shown_to = to.min(from.saturating_add(LONGEST));
        let mut shown = String::new();
        for number in from..=shown_to {
            let line = all.get(number as usize - 1).copied().unwrap_or_default();
            let line = String::from_utf8_lossy(line);
            let mark = if (lines[0]..=lines[1]).contains(&number) { '>' } else { ' ' };
            let _ = writeln!(shown, "{mark}{number:>5} | {}", shortened(line.trim_end_matches(['\n', '\r'])));
        }
        if shown_to < to {
            let _ = writeln!(shown, "        ({} more lines)", to - shown_to);
        }
        Self { lines, text: shown }
    }

    fn described(&self) -> String {
        let [from, to] = self.lines;
        let place = if from == to { format!("line {from}") } else { format!("lines {from}-{to}") };
        format!("{place}:\n{}", self.text)
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A line that is safe to show: a minified file has lines of megabytes.
pub(crate) fn shortened(line: &str) -> String {
    const LONGEST: usize = 240;
    match line.char_indices().nth(LONGEST) {
        None => line.to_owned(),
        Some((end, _)) => format!("{}...", &line[..end]),
    }
}
