//! Reads blocks of search text and replacement:
//!
//! ```text
//! src/lib.rs
//! <<<<<<< SEARCH
//! text as it is
//! =======
//! text as it shall be
//! >>>>>>> REPLACE
//! ```
//!
//! The markers of one block normally have the same length; where the text between them contains lines that look
//! like markers, the equal length decides, and where that does not decide the text is refused. Markers of other
//! lengths are taken where none of the equal length are, unless the block was opened so long that it was meant.

use super::path_line::{mentioned, path_on};
use super::{Fence, Lines, ParseRefusal, Step, Stop};
use crate::change::{Block, Edit};
use crate::entities::unescaped;
use std::borrow::Cow;

/// The longest opening marker whose length may be a slip.
const SLIP: usize = 9;

pub(super) const SHAPE: &str = "Write the path alone on a line, then `<<<<<<< SEARCH`, the text as it is, `=======`, \
                                the new text, `>>>>>>> REPLACE`, each marker alone on its line.";
const WHOLE_AGAIN: &str = "Write the edits again from the start, each block complete.";

/// Where reading stands.
#[derive(Default)]
pub(super) struct State {
    /// The next line.
    pub index: usize,
    /// The line behind the last block.
    prose_from: usize,
    /// The file of the last block.
    current: Option<String>,
    /// The last block stands in a fence that is still open.
    fenced: bool,
}

impl State {
    pub(super) fn step(&mut self, text: &Lines) -> Step {
        while self.index < text.len() {
            let line = text.at(self.index);
            let Some(opening) = Opening::on(line) else {
                stray(text, self.index)?;
                self.index += 1;
                continue;
            };
            let (block, next) = block(text, self.index, opening)?;
            let path = path_of(text, self.prose_from, self.index, self.current.as_deref(), !block.search.is_empty())?;
            self.fenced = fenced(text, self.prose_from, self.index, self.fenced);
            self.current = Some(path.clone());
            self.prose_from = next;
            self.index = next;
            return Ok(vec![Edit::Replace { path, blocks: vec![block] }]);
        }
        if !text.complete {
            return Err(Stop::More);
        }
        if self.current.is_some() {
            self.ends_well(text)?;
        }
        Ok(Vec::new())
    }

    /// Refuses a text that was cut off behind its last block.
    fn ends_well(&self, text: &Lines) -> Result<(), ParseRefusal> {
        let rest = || (self.prose_from..text.len()).filter(|index| !text.is_blank(*index));
        let fence = |index: &usize| Fence::on(text.at(*index)).is_some();
        if self.fenced && !rest().any(|index| fence(&index)) {
            let last = text.len().saturating_sub(1);
            return Err(text.refusal(last, "the text ends inside the fence around the last block", WHOLE_AGAIN));
        }
        let Some(last) = rest().next_back() else { return Ok(()) };
        let line = text.at(last);
        // A fence that closes nothing opens one; below a path it is where a block was to come.
        let fences = rest().filter(|index| fence(index)).count();
        let opens = self.fenced == (fences % 2 == 0)
            && rest().nth_back(1).is_some_and(|above| path_on(text.at(above)).is_some());
        if Fence::on(line).is_some_and(|fence| !fence.info.is_empty() || opens) {
            return Err(text.refusal(last, "the text ends right after it opened a fence", WHOLE_AGAIN));
        }
        let unended = last + 1 == text.len() && !text.text.ends_with(b"\n");
        if path_on(line).is_some() || line.trim().bytes().all(|b| b == b'<') || unended && self.begins_another(line) {
            return Err(text.refusal(last, "the text ends where another block seems to begin", WHOLE_AGAIN));
        }
        Ok(())
    }
}

impl State {
    /// Whether a last line without an end may be the first piece of a path, or of a fence.
    fn begins_another(&self, line: &str) -> bool {
        let path = self.current.as_ref().is_some_and(|path| path.starts_with(line))
            || line.contains('/') && !line.contains(' ');
        path || line.len() < 3 && line.bytes().all(|b| b == b'`')
    }
}

/// Whether a fence is open in front of the block at `open`.
fn fenced(text: &Lines, from: usize, open: usize, before: bool) -> bool {
    (from..open).filter(|index| Fence::on(text.at(*index)).is_some()).fold(before, |inside, index| {
        let named = Fence::on(text.at(index)).is_some_and(|fence| !fence.info.is_empty());
        named || !inside
    })
}

/// The marker that opens a block.
#[derive(Clone, Copy)]
struct Opening {
    width: usize,
    /// The markers were escaped as HTML, and so was what is between them.
    escaped: bool,
}

impl Opening {
    fn on(line: &str) -> Option<Self> {
        if let Some(width) = opening(line) {
            return Some(Self { width, escaped: false });
        }
        let width = line.starts_with("&lt;").then(|| opening(&as_text(line)))??;
        Some(Self { width, escaped: true })
    }
}

fn as_text(line: &str) -> String {
    String::from_utf8_lossy(&unescaped(line.as_bytes())).into_owned()
}

/// One block whose opening marker is at `open`, and the line behind it.
fn block(text: &Lines, open: usize, Opening { width, escaped }: Opening) -> Result<(Block, usize), Stop> {
    let at = |index: usize| if escaped { Cow::Owned(as_text(text.at(index))) } else { Cow::Borrowed(text.at(index)) };
    // The next block of this width, the first closing marker of this width before it, and of any other.
    let (mut behind, mut exact, mut other) = (text.len(), None, None);
    for index in open + 1..text.len() {
        let line = at(index);
        if let Some(length) = closing(&line) {
            if length == width {
                exact = Some(index);
                break;
            }
            other = other.or(Some(index));
        } else if opening(&line) == Some(width) {
            behind = index;
            break;
        }
    }
    if exact.is_none() && behind == text.len() && !text.complete {
        return Err(Stop::More);
    }
    let Some(close) = exact.or(other.filter(|_| width <= SLIP)) else {
        return Err(Stop::Refused(if behind < text.len() {
            text.refusal(
                open,
                format!("this block has no `REPLACE` marker before the next begins in line {}", behind + 1),
                SHAPE,
            )
        } else {
            text.refusal(open, "the text ends inside the block that begins here", WHOLE_AGAIN)
        }));
    };
    let dividers = |exact: bool| -> Vec<usize> {
        let fits = |length: usize| !exact || length == width;
        (open + 1..close).filter(|index| divider(&at(*index)).is_some_and(fits)).collect()
    };
    let mut found = dividers(true);
    if found.is_empty() && width <= SLIP {
        found = dividers(false);
    }
    match found.as_slice() {
        [middle] => {
            let crlf = text.crlf(open);
            let between = |from: usize, to: usize| {
                let joined = text.joined(from, to, crlf);
                if escaped { unescaped(&joined).into_owned() } else { joined }
            };
            let search = between(open + 1, *middle);
            let search = if search.iter().all(u8::is_ascii_whitespace) { Vec::new() } else { search };
            Ok((Block::new(search, between(middle + 1, close)), close + 1))
        }
        [] => Err(text.refusal(open, "the block that begins here has no `=======` line", SHAPE).into()),
        [_, second, ..] => Err(text
            .refusal(
                *second,
                format!("the block that begins in line {} has a second `{}` line, so it is not clear where its new text begins", open + 1, "=".repeat(width)),
                "Where the text itself contains such a line, make all three markers of the block longer, such as twelve characters.",
            )
            .into()),
    }
}

/// The file that the block opened at `open` is for; the lines behind the last block start at `from`.
fn path_of(
    text: &Lines,
    from: usize,
    open: usize,
    current: Option<&str>,
    is_change: bool,
) -> Result<String, ParseRefusal> {
    let mut prose = Vec::new();
    for index in (from..open).rev() {
        let line = text.at(index);
        if let Some(fence) = Fence::on(line) {
            if prose.is_empty()
                && fence.info.contains(['/', '.'])
                && let Some(path) = fence.info.split_whitespace().next_back().and_then(path_on)
            {
                return Ok(path);
            }
        } else if !line.trim().is_empty() {
            if prose.is_empty()
                && let Some(path) = path_on(line)
            {
                return Ok(path);
            }
            // A word alone right above the marker can only be a name.
            if index + 1 == open && is_change && is_name(line) {
                return Ok(line.trim().to_owned());
            }
            prose.push(index);
        }
    }
    const ALONE: &str = "Write the path alone on the line above the block.";
    let Some(current) = current else {
        return Err(text.refusal(open, "it is not said which file this block is for", ALONE));
    };
    let other = |index: &&usize| mentioned(text.at(**index)).any(|word| word != current);
    match prose.iter().find(other) {
        None => Ok(current.to_owned()),
        Some(index) => {
            let reason =
                format!("it is not clear whether the next block is for `{current}` or for the file named here");
            Err(text.refusal(*index, reason, ALONE))
        }
    }
}

fn is_name(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && line.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Refuses a line outside blocks that can only be a part of a damaged one.
fn stray(text: &Lines, index: usize) -> Result<(), ParseRefusal> {
    let line = text.at(index);
    if closing(line).is_some() {
        return Err(text.refusal(index, "this marker closes a block that was not opened", SHAPE));
    }
    if opening(line.trim_start()).is_some() {
        return Err(text.refusal(index, "this marker is indented", "Start every marker at the beginning of its line."));
    }
    if marks(line, '<').is_some() {
        return Err(text.refusal(index, "this looks like the marker that opens a block, but is not", SHAPE));
    }
    Ok(())
}

/// How many of `mark` a line starts with, where that is a marker, and what follows.
fn marks(line: &str, mark: char) -> Option<(usize, &str)> {
    let rest = line.trim_start_matches(mark);
    let length = line.len() - rest.len();
    (length >= 5).then_some((length, rest.trim()))
}

fn opening(line: &str) -> Option<usize> {
    marks(line, '<')
        .filter(|(_, word)| word.trim_end_matches('>').eq_ignore_ascii_case("search"))
        .map(|(length, _)| length)
}

fn divider(line: &str) -> Option<usize> {
    marks(line, '=').filter(|(_, rest)| rest.is_empty()).map(|(length, _)| length)
}

fn closing(line: &str) -> Option<usize> {
    marks(line, '>').filter(|(_, word)| word.eq_ignore_ascii_case("replace")).map(|(length, _)| length)
}

/// The length that the markers of a block need so that no line of `block` is taken for one of them, not even
/// where the text breaks off inside.
pub(crate) fn width_for(block: &Block) -> usize {
    let [search, replace] = [&block.search, &block.replace].map(|text| String::from_utf8_lossy(text));
    let lines = || search.lines().chain(replace.lines());
    if !lines().any(|line| opening(line).or(closing(line)).is_some() || divider(line) == Some(7)) {
        return 7;
    }
    let taken = |width: usize| lines().any(|line| [opening(line), divider(line), closing(line)].contains(&Some(width)));
    (SLIP + 3..).find(|width| !taken(*width)).unwrap_or(SLIP + 3)
}
