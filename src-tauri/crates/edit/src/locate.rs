//! Decides among several places of a text by what the format says about the place besides the text.
//!
//! A line number is an author's claim about a file that may have changed since: it decides only where nothing else
//! could have been meant. What cannot be decided stays ambiguous.

use crate::change::Block;
use crate::text::{Level, Text, TooMuchWork, key, lines, trim_start};

/// Another place must be at least so many lines away from the stated one: a file that grew or shrank by fewer lines
/// above would bring it there.
const FAR: usize = 40;

/// How many blocks behind are asked whether line numbers hold.
const WITNESSES: usize = 12;

/// The one of `places` (first lines, from 0) that is meant. `numbers_hold`: the text is the file as it was read, and no
/// block before stood elsewhere than it said.
pub(crate) fn choose(
    text: &mut Text,
    places: &[usize],
    run: usize,
    block: &Block,
    behind: &[Block],
    numbers_hold: bool,
) -> Result<Option<usize>, TooMuchWork> {
    let locator = &block.locator;
    if locator.at_end
        && let Some(last) = places.last().filter(|at| **at + run == text.count())
    {
        return Ok(Some(*last));
    }
    if !locator.under.is_empty() {
        let mut inside = members(text, &locator.under, 0..text.count());
        inside.retain(|part| places.iter().any(|at| part.contains(at)));
        let mut meant: Vec<usize> =
            places.iter().copied().filter(|at| inside.iter().any(|part| part.contains(at))).collect();
        meant.dedup();
        if let [one] = meant.as_slice() {
            return Ok(Some(*one));
        }
        return Ok(None);
    }
    let Some(stated) = locator.line.filter(|_| numbers_hold) else { return Ok(None) };
    let Some(stated) = (stated as usize).checked_sub(1).filter(|at| places.contains(at)) else { return Ok(None) };
    if let Some(heading) = &locator.heading {
        let under: Vec<usize> = places
            .iter()
            .copied()
            .filter(|at| heading_above(text, *at).is_some_and(|line| is_heading(line, heading)))
            .collect();
        if under == [stated] {
            return Ok(Some(stated));
        }
    }
    // A block behind, whose text stands once, is where it says: no line was added or removed above it.
    let mut vouched = false;
    for witness in behind.iter().take(WITNESSES) {
        let Some(line) = witness.locator.line.filter(|_| !witness.search.is_empty()) else { continue };
        let wanted: Vec<&[u8]> = lines(&witness.search).collect();
        match text.find(Level::Exact, &wanted, 0)?.as_slice() {
            [one] if *one + 1 == line as usize => vouched = true,
            [_] => return Ok(None),
            _ => {}
        }
    }
    let alone = places.iter().all(|at| *at == stated || at.abs_diff(stated) > FAR);
    Ok((vouched || alone).then_some(stated))
}

/// Whether the text's only place lies before the part it is said to be in, which is there once.
pub(crate) fn contradicts(text: &Text, at: usize, block: &Block) -> bool {
    let Some(innermost) = block.locator.under.last() else { return false };
    let mut openings = (0..text.count()).filter(|line| opens(text.line(*line), innermost));
    match (openings.next(), openings.next()) {
        (Some(only), None) => at + lines(&block.search).count() <= only,
        _ => false,
    }
}

/// The parts of the file that the opening lines lead to, outermost first: from each to the next line that is
/// indented no deeper.
fn members(text: &Text, under: &[String], within: std::ops::Range<usize>) -> Vec<std::ops::Range<usize>> {
    let Some((first, inner)) = under.split_first() else { return vec![within] };
    let mut parts = Vec::new();
    for opening in within.clone().filter(|line| opens(text.line(*line), first)) {
        let depth = depth(text.line(opening));
        let closed = (opening + 1..within.end).find(|line| {
            let here = text.line(*line);
            let bare = key(Level::Bare, here);
            // `{`, `)` and the like belong to the line that opens.
            bare.first().is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'@' | b'#' | b'"' | b'<'))
                && self::depth(here) <= depth
        });
        parts.extend(members(text, inner, opening..closed.unwrap_or(within.end)));
    }
    parts
}

fn depth(line: &[u8]) -> usize {
    line.len() - trim_start(line).len()
}

/// Whether `line` is the one that `header` names, perhaps without its end.
fn opens(line: &[u8], header: &str) -> bool {
    let (line, header) = (key(Level::Bare, line), header.trim().as_bytes());
    !header.is_empty()
        && line
            .strip_prefix(header)
            .is_some_and(|rest| rest.first().is_none_or(|b| !b.is_ascii_alphanumeric() && *b != b'_'))
}

/// The line above that git names in a hunk's header where nothing else is configured: it begins with a letter, `_` or `$`.
fn heading_above(text: &Text, at: usize) -> Option<&[u8]> {
    (0..at)
        .rev()
        .map(|line| text.line(line))
        .find(|line| line.first().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'$')))
}

/// git cuts headings at 80 bytes.
fn is_heading(line: &[u8], heading: &str) -> bool {
    let line = key(Level::Trailing, line);
    let heading = heading.trim_end().as_bytes();
    line == heading || (heading.len() >= 78 && line.starts_with(heading))
}
