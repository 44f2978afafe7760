//! The lines of one hunk: as its header counts them, or as far as their first characters go.

use super::starts_header;
use crate::change::{Block, Locator};
use crate::parse::{Lines, Stop};

/// What the line of a hunk's header says.
pub(super) struct Header {
    pub line: Option<u32>,
    /// Lines of the old and the new file.
    pub counts: Option<(usize, usize)>,
    pub heading: Option<String>,
}

impl Header {
    pub(super) fn of(line: &str) -> Self {
        let none = Self { line: None, counts: None, heading: None };
        let Some((ranges, heading)) = line.get(2..).and_then(|rest| rest.split_once("@@")) else { return none };
        let heading =
            Some(heading.strip_prefix(' ').unwrap_or(heading).trim_end().to_owned()).filter(|h| !h.is_empty());
        let mut parts = ranges.split_whitespace();
        let range = |part: Option<&str>, mark: char| -> Option<(u32, usize)> {
            let part = part?.strip_prefix(mark)?;
            let (start, count) = part.split_once(',').unwrap_or((part, "1"));
            Some((start.parse().ok()?, count.parse().ok()?))
        };
        match (range(parts.next(), '-'), range(parts.next(), '+')) {
            (Some((start, old)), Some((_, new))) => Self { line: Some(start), counts: Some((old, new)), heading },
            _ => Self { heading, ..none },
        }
    }
}

/// The lines of a hunk: mark, number in the text, and whether the file has no line end behind it.
pub(super) struct Body {
    pub lines: Vec<(u8, usize, bool)>,
    pub old: usize,
    pub new: usize,
    pub end: usize,
    /// Empty lines at the end that may part this from what follows.
    loose: usize,
}

impl Body {
    fn push(&mut self, mark: u8, index: usize) {
        self.old += usize::from(mark != b'+');
        self.new += usize::from(mark != b'-');
        self.lines.push((mark, index, false));
    }

    pub(super) fn block(&self, text: &Lines, crlf: bool, header: &Header, sound: bool) -> Block {
        let side = |other: u8| {
            let mut bytes = Vec::new();
            for (_, index, unended) in self.lines.iter().filter(|(mark, ..)| *mark != other) {
                // An empty line of context has often lost its space.
                let content = text.content(*index, crlf);
                let lost = content == b"\r";
                bytes.extend_from_slice(if lost { content } else { content.get(1..).unwrap_or_default() });
                if !unended {
                    bytes.push(b'\n');
                }
            }
            bytes
        };
        let at_end = self.lines.iter().any(|(mark, _, unended)| *unended && *mark != b'+');
        let locator = Locator {
            diff: true,
            line: header.line.filter(|line| sound && *line > 0),
            heading: header.heading.clone().filter(|_| sound),
            under: Vec::new(),
            at_end: at_end && self.old > 0,
            loose_lines: self.loose,
        };
        Block { search: side(b'+'), replace: side(b'-'), locator }
    }
}

fn empty() -> Body {
    Body { lines: Vec::new(), old: 0, new: 0, end: 0, loose: 0 }
}

/// The mark of a line inside a hunk.
fn mark_of(text: &Lines, index: usize) -> Option<u8> {
    match text.raw(index).first() {
        Some(mark @ (b' ' | b'+' | b'-' | b'\\')) => Some(*mark),
        None | Some(b'\n' | b'\r') => Some(b'\n'),
        _ => None,
    }
}

/// The lines that the header counts; `None` where the lines do not fit the counts.
pub(super) fn counted(text: &Lines, from: usize, (old, new): (usize, usize)) -> Result<Option<Body>, Stop> {
    let mut body = empty();
    let mut index = from;
    let waits = |index: usize| index >= text.len() && !text.complete;
    while body.old < old || body.new < new {
        if waits(index) {
            return Err(Stop::More);
        }
        if index >= text.len() {
            return Ok(None);
        }
        match mark_of(text, index) {
            Some(b'\\') => no_newline(&mut body),
            Some(b'\n') => body.push(b' ', index),
            Some(mark) => body.push(mark, index),
            None => return Ok(None),
        }
        index += 1;
    }
    if body.old != old || body.new != new {
        return Ok(None);
    }
    if waits(index) {
        return Err(Stop::More);
    }
    if text.raw(index).starts_with(b"\\") && index < text.len() {
        no_newline(&mut body);
        index += 1;
        if waits(index) {
            return Err(Stop::More);
        }
    }
    body.end = index;
    // More lines of a hunk right behind it: the counts are wrong.
    let follows = matches!(mark_of(text, index), Some(b' ' | b'+' | b'-')) && !text.is_blank(index);
    if follows && !starts_header(text, index)? && text.at(index).trim_end() != "--" {
        return Ok(None);
    }
    Ok(Some(body))
}

fn no_newline(body: &mut Body) {
    if let Some((_, _, unended)) = body.lines.last_mut() {
        *unended = true;
    }
}

/// The lines up to the first that cannot be one of a hunk.
pub(super) fn by_first_character(text: &Lines, from: usize) -> Result<Body, Stop> {
    let mut body = empty();
    let mut index = from;
    loop {
        if index >= text.len() {
            if !text.complete {
                return Err(Stop::More);
            }
            break;
        }
        if starts_header(text, index)? && (text.at(index + 2).starts_with("@@") || index + 2 >= text.len()) {
            if index + 2 >= text.len() && !text.complete {
                return Err(Stop::More);
            }
            break;
        }
        match mark_of(text, index) {
            Some(b'\\') => no_newline(&mut body),
            Some(b'\n') => body.push(b' ', index),
            Some(mark) => body.push(mark, index),
            None => break,
        }
        index += 1;
    }
    body.end = index;
    body.loose = body.lines.iter().rev().take_while(|(mark, index, _)| *mark == b' ' && text.is_blank(*index)).count();
    // A hunk that ends with the text or before a fence has its empty lines from there.
    if body.lines.len() == body.loose {
        body.loose = 0;
    }
    Ok(body)
}
