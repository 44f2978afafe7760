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
use super::{Fence, Lines, ParseRefusal};
use crate::change::{Block, Edit};

/// The longest opening marker whose length may be a slip.
const SLIP: usize = 9;

const SHAPE: &str = "Write the path alone on a line, then `<<<<<<< SEARCH`, the text as it is, `=======`, the new text, \
                     `>>>>>>> REPLACE`, each marker alone on its line.";
const WHOLE_AGAIN: &str = "Write the edits again from the start, each block complete.";

pub(super) fn parse(text: &Lines<'_>) -> Result<Vec<Edit>, ParseRefusal> {
    let mut edits: Vec<Edit> = Vec::new();
    let mut current: Option<String> = None;
    let mut prose_from = 0;
    let mut index = 0;
    while index < text.len() {
        let Some(width) = opening(text.at(index)) else {
            stray(text, index)?;
            index += 1;
            continue;
        };
        let path = path_of(text, prose_from, index, current.as_deref())?;
        let (block, next) = block(text, index, width)?;
        match edits.last_mut() {
            Some(Edit::Replace { path: last, blocks }) if *last == path => blocks.push(block),
            _ => edits.push(Edit::Replace { path: path.clone(), blocks: vec![block] }),
        }
        current = Some(path);
        prose_from = next;
        index = next;
    }
    if edits.is_empty() {
        return Err(text.refusal(
            text.len().saturating_sub(1),
            "there is no search and replace block in the text",
            SHAPE,
        ));
    }
    let last = (prose_from..text.len()).rfind(|index| !text.at(*index).trim().is_empty());
    if let Some(last) = last.filter(|index| Fence::on(text.at(*index)).is_some_and(|fence| !fence.info.is_empty())) {
        return Err(text.refusal(last, "the text ends right after it opened a fence", WHOLE_AGAIN));
    }
    Ok(edits)
}

/// One block whose opening marker is at `open`, and the line behind it.
fn block(text: &Lines<'_>, open: usize, width: usize) -> Result<(Block, usize), ParseRefusal> {
    let behind = (open + 1..text.len()).find(|index| opening(text.at(*index)) == Some(width)).unwrap_or(text.len());
    let closes =
        |exact: bool| move |index: &usize| closing(text.at(*index)).is_some_and(|length| !exact || length == width);
    let slip = || (open + 1..behind).find(closes(false)).filter(|_| width <= SLIP);
    let Some(close) = (open + 1..behind).find(closes(true)).or_else(slip) else {
        return Err(if behind < text.len() {
            text.refusal(
                open,
                format!("this block has no `REPLACE` marker before the next begins in line {}", behind + 1),
                SHAPE,
            )
        } else {
            text.refusal(open, "the text ends inside the block that begins here", WHOLE_AGAIN)
        });
    };
    let dividers = |exact: bool| -> Vec<usize> {
        let fits = |length: usize| !exact || length == width;
        (open + 1..close).filter(|index| divider(text.at(*index)).is_some_and(fits)).collect()
    };
    let mut found = dividers(true);
    if found.is_empty() && width <= SLIP {
        found = dividers(false);
    }
    match found.as_slice() {
        [middle] => {
            let search = text.joined(open + 1, *middle);
            let search = if search.trim().is_empty() { String::new() } else { search };
            Ok((Block { search, replace: text.joined(middle + 1, close) }, close + 1))
        }
        [] => Err(text.refusal(open, "the block that begins here has no `=======` line", SHAPE)),
        [_, second, ..] => Err(text.refusal(
            *second,
            format!("the block that begins in line {} has a second `{}` line, so it is not clear where its new text begins", open + 1, "=".repeat(width)),
            "Where the text itself contains such a line, make all three markers of the block longer, such as twelve characters.",
        )),
    }
}

/// The file that the block opened at `open` is for; the lines behind the last block start at `from`.
fn path_of(text: &Lines<'_>, from: usize, open: usize, current: Option<&str>) -> Result<String, ParseRefusal> {
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

/// Refuses a line outside blocks that can only be a part of a damaged one.
fn stray(text: &Lines<'_>, index: usize) -> Result<(), ParseRefusal> {
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
    let lines = || block.search.lines().chain(block.replace.lines());
    if !lines().any(|line| opening(line).or(closing(line)).is_some() || divider(line) == Some(7)) {
        return 7;
    }
    let taken = |width: usize| lines().any(|line| [opening(line), divider(line), closing(line)].contains(&Some(width)));
    (SLIP + 3..).find(|width| !taken(*width)).unwrap_or(SLIP + 3)
}
