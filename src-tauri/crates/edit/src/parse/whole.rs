//! Reads whole files: a line with the path, then a fenced block with the content.
//!
//! A fenced block without a path line is an example and is passed over. Where the content has fences of its own
//! and it is not clear which one ends it, the text is refused: a file cut short would be worse.

use super::path_line::{mentioned, path_on};
use super::{Fence, Lines, ParseRefusal, Step, Stop};
use crate::change::Edit;

/// The longest opening fence that may have been ended by a shorter one in error.
const SLIP: usize = 5;

pub(super) const SHAPE: &str =
    "Write the path alone on a line, then a fence, the whole content of the file, and the same fence again.";
const LONGER: &str = "Put the file between fences that are longer than any fence inside it, such as six backticks.";
const WHOLE_AGAIN: &str = "Write the whole file again, with the fence that ends it.";

/// Languages of blocks that are shown to be run or read, never files.
const SHOWN: &[&str] = &["sh", "bash", "shell", "console", "zsh", "text", "txt", "output", "diff", "powershell"];

/// Where reading stands.
#[derive(Default)]
pub(super) struct State {
    /// The next line.
    pub index: usize,
    prose_from: usize,
    /// The files so far: path, content.
    given: Vec<(String, Vec<u8>)>,
}

impl State {
    pub(super) fn step(&mut self, text: &Lines) -> Step {
        let mut index = self.index;
        while index < text.len() {
            let Some(fence) = Fence::on(text.at(index)) else {
                index += 1;
                continue;
            };
            let above = (self.prose_from..index).rfind(|above| !text.is_blank(*above));
            let Some(path) = above.and_then(|above| path_on(text.at(above))) else {
                perhaps_a_file(text, above, fence)?;
                let close = (index + 1..text.len()).find(|close| closes(text.at(*close), fence));
                if close.is_none() && !text.complete {
                    return Err(Stop::More);
                }
                index = close.unwrap_or(text.len()) + 1;
                (self.index, self.prose_from) = (index, index);
                continue;
            };
            let close = close_of_file(text, index, fence, &path)?;
            let content = text.joined(index + 1, close, text.crlf(index));
            (self.index, self.prose_from) = (close + 1, close + 1);
            match self.given.iter().find(|(known, _)| *known == path) {
                // The same file again, to the byte, is meant once.
                Some((_, known)) if *known == content => {
                    index = self.index;
                    continue;
                }
                Some(_) => {
                    return Err(text
                        .refusal(index, format!("`{path}` is given a second time"), "Give each file once.")
                        .into());
                }
                None => {
                    self.given.push((path.clone(), content.clone()));
                    return Ok(vec![Edit::Write { path, content }]);
                }
            }
        }
        if !text.complete {
            return Err(Stop::More);
        }
        self.index = text.len();
        let last = (self.prose_from..text.len()).rfind(|index| !text.is_blank(*index));
        if let Some(last) = last.filter(|last| !self.given.is_empty() && path_on(text.at(*last)).is_some()) {
            return Err(text.refusal(last, "the text ends where another file seems to begin", WHOLE_AGAIN).into());
        }
        Ok(Vec::new())
    }
}

/// Refuses an unnamed block that the sentence above it says is a file.
fn perhaps_a_file(text: &Lines, above: Option<usize>, fence: Fence<'_>) -> Result<(), ParseRefusal> {
    let Some(above) = above else { return Ok(()) };
    let line = text.at(above).trim();
    if line.ends_with(':') && !SHOWN.contains(&fence.info) && mentioned(line).count() == 1 {
        return Err(text.refusal(
            above,
            "it is not clear whether the block below is the whole file that is named here",
            SHAPE,
        ));
    }
    Ok(())
}

/// Whether `line` ends a block opened by `fence` by CommonMark's rule.
fn closes(line: &str, fence: Fence<'_>) -> bool {
    Fence::on(line)
        .is_some_and(|other| other.mark == fence.mark && other.info.is_empty() && other.length >= fence.length)
}

/// The line that ends the file opened at `open`.
fn close_of_file(text: &Lines, open: usize, fence: Fence<'_>, path: &str) -> Result<usize, Stop> {
    let mut inside: Vec<(usize, Fence<'_>)> = Vec::new();
    let mut next = None;
    // The first fence that may end the file, and the last line with something on it.
    let (mut first_close, mut above) = (None, None);
    for index in open + 1..text.len() {
        let line = text.at(index);
        if let Some(other) = Fence::on(line) {
            // Another file begins: a fence below a path line, behind a fence that may end this one.
            let below_path = above.filter(|above| path_on(text.at(*above)).is_some());
            if below_path.zip(first_close).is_some_and(|(above, close)| close < above) {
                next = Some(index);
                break;
            }
            if other.mark == fence.mark {
                inside.push((index, other));
            }
            if first_close.is_none() && closes(line, fence) {
                first_close = Some(index);
            }
        }
        if !text.is_blank(index) {
            above = Some(index);
        }
    }
    if next.is_none() && !text.complete {
        return Err(Stop::More);
    }
    let end = next.unwrap_or(text.len());
    // Nothing follows but the path line of the next file.
    let ends_region = |index: usize| {
        let filled = (index + 1..end).filter(|line| !text.is_blank(*line)).take(2).count();
        filled <= usize::from(next.is_some())
    };
    let long: Vec<&(usize, Fence<'_>)> = inside.iter().filter(|(_, other)| other.length >= fence.length).collect();
    if long.is_empty() {
        // Too short a fence ends the file only where nothing else could be meant: an inner fence looks the same.
        return match inside.as_slice() {
            [(close, other)]
                if other.info.is_empty() && fence.length <= SLIP && ends_region(*close) && !holds_fences(path) =>
            {
                Ok(*close)
            }
            _ => Err(text.refusal(open, "the file that begins here is not ended by a fence", WHOLE_AGAIN).into()),
        };
    }
    // Of the fences that are long enough, those with a language open one inside, bare ones close.
    let mut depth = 1;
    for (at, (index, other)) in long.iter().enumerate() {
        depth = if other.info.is_empty() { depth - 1 } else { depth + 1 };
        if depth > 0 {
            continue;
        }
        let rest = long.get(at + 1..).unwrap_or_default();
        let examples =
            rest.chunks(2).all(|pair| matches!(pair, [(_, a), (_, b)] if !a.info.is_empty() && b.info.is_empty()));
        if examples && (at == 0 || ends_region(*index)) {
            return Ok(*index);
        }
        let unclear = rest.first().map_or(*index, |(after, _)| *after);
        let reason = format!("it is not clear whether the file that begins in line {} ends before this line", open + 1);
        return Err(text.refusal(unclear, reason, LONGER).into());
    }
    Err(text.refusal(open, "the file that begins here is not ended by a fence", WHOLE_AGAIN).into())
}

/// The length of the fence around `content` that no text inside ends, not even where the text breaks off.
pub(crate) fn fence_for(content: &str) -> usize {
    let longest = content.lines().map(|line| line.trim_start().chars().take_while(|c| *c == '`').count()).max();
    match longest {
        Some(length) if length >= 3 => (length + 1).max(SLIP + 1),
        _ => 3,
    }
}

/// Whether files of this name often have fences inside.
fn holds_fences(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').is_none_or(|(_, ending)| {
        matches!(
            ending.to_ascii_lowercase().as_str(),
            "md" | "mdx" | "markdown" | "mdc" | "rst" | "txt" | "adoc" | "qmd" | "rmd"
        )
    })
}
