//! The bytes that take the place of a found text, in the file's own form.
//!
//! Lines that stand in both texts of a block keep the file's bytes; only the others are written anew, with the file's
//! line ends and indentation.

use crate::change::Relaxed;
use crate::indent;
use crate::place::Fit;
use crate::text::{Level, LineEnds, MARK, Text, key, lines, unended, with_line_ends};
use similar::{Algorithm, DiffOp};
use std::collections::HashMap;
use std::ops::Range;

/// Why no bytes can be written: the file does not say how a new line is to be indented.
pub(crate) struct UnclearIndent;

/// The bytes for `range`, and what was overlooked on the way.
pub(crate) fn written(
    text: &Text,
    range: &Range<usize>,
    fit: &Fit,
    search: &[u8],
    replace: &[u8],
    diff: bool,
) -> Result<(Vec<u8>, Relaxed), UnclearIndent> {
    let now = text.bytes();
    let found = &now[range.clone()];
    match fit {
        Fit::Lines => Ok((replace.to_vec(), Relaxed::default())),
        // A text without a line end does not say which one is meant.
        Fit::Part if !search.contains(&b'\n') => {
            let bytes = with_line_ends(replace, LineEnds::of(now).only());
            let relaxed = Relaxed { line_ends: *bytes != *replace, ..Relaxed::default() };
            Ok((bytes.into_owned(), relaxed))
        }
        Fit::Part => Ok((replace.to_vec(), Relaxed::default())),
        Fit::PartCrlf => {
            let relaxed = Relaxed { line_ends: true, ..Relaxed::default() };
            Ok((with_line_ends(replace, Some(b"\r\n")).into_owned(), relaxed))
        }
        Fit::Relaxed | Fit::Indented(_) => {
            let mut relaxed = overlooked(found, search);
            let new = if let Fit::Indented(relation) = fit {
                relaxed.indentation = true;
                Some(indent::reindented(text, relation, &only_new(search, replace)))
            } else {
                None
            };
            let new = new.map(|new| new.ok_or(UnclearIndent)).transpose()?;
            let end = LineEnds::of(now).only().or_else(|| LineEnds::of(found).only()).unwrap_or(b"\n");
            let mut bytes = blend(found, search, replace, new.as_deref(), end);
            end_as_found(&mut bytes, found, range.end == now.len(), search, replace, diff, end);
            Ok((bytes, relaxed))
        }
    }
}

/// What differs between the place and the search text.
fn overlooked(found: &[u8], search: &[u8]) -> Relaxed {
    let pairs = || lines(found).zip(lines(search));
    let cr = |line: &[u8]| line.ends_with(b"\r\n");
    let ended = |line: &[u8]| line.ends_with(b"\n");
    Relaxed {
        line_ends: pairs().any(|(a, b)| cr(a) != cr(b) && ended(a) && ended(b)),
        trailing_space: pairs().any(|(a, b)| {
            let [a, b] = [a, b].map(|line| unended(line).len() - key(Level::Trailing, line).len());
            a != b
        }),
        final_newline: ended(search) && !ended(found),
        ..Relaxed::default()
    }
}

/// The lines of `replace` that are not in `search`, as [`blend`] takes them: in order.
fn only_new(search: &[u8], replace: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for_each(search, replace, |_, new| {
        for line in new.iter().copied().flatten() {
            bytes.extend_from_slice(unended(line));
            bytes.push(b'\n');
        }
    });
    bytes
}

/// Walks both texts: runs of lines they share (as indexes of `search`), and new lines between.
fn for_each<'a>(search: &'a [u8], replace: &'a [u8], mut each: impl FnMut(Option<Range<usize>>, &[Option<&'a [u8]>])) {
    let wanted: Vec<&[u8]> = lines(search).map(unended).collect();
    let all: Vec<&[u8]> = lines(replace).collect();
    let given: Vec<&[u8]> = all.iter().map(|line| unended(line)).collect();
    for op in similar::capture_diff_slices(Algorithm::Myers, &wanted, &given) {
        if let DiffOp::Equal { old_index, len, .. } = op {
            each(Some(old_index..old_index + len), &[]);
        } else {
            let new: Vec<Option<&[u8]>> =
                all.get(op.new_range()).unwrap_or_default().iter().map(|line| Some(*line)).collect();
            each(None, &new);
        }
    }
}

/// Kept lines from `found`, new ones from `replace`, or in their order from `anew`.
fn blend(found: &[u8], search: &[u8], replace: &[u8], anew: Option<&[u8]>, end: &[u8]) -> Vec<u8> {
    let old: Vec<&[u8]> = lines(found).collect();
    // A line that moved is new here; where the author writes it as in the search text, with space behind it that the
    // file has not, it is the file's line.
    let sought: HashMap<&[u8], &[u8]> = lines(search)
        .map(unended)
        .zip(old.iter().map(|line| unended(line)))
        .filter(|(sought, old)| sought != old && key(Level::Trailing, sought) == key(Level::Trailing, old))
        .collect();
    let mut anew = anew.map(lines);
    let mut bytes = Vec::with_capacity(replace.len() + found.len());
    let complete = |bytes: &mut Vec<u8>| {
        if !bytes.is_empty() && !bytes.ends_with(b"\n") {
            bytes.extend_from_slice(end);
        }
    };
    for_each(search, replace, |kept, new| {
        for line in kept.into_iter().flat_map(|kept| old.get(kept).unwrap_or_default()) {
            complete(&mut bytes);
            bytes.extend_from_slice(line);
        }
        for line in new.iter().copied().flatten() {
            complete(&mut bytes);
            let line = anew.as_mut().and_then(Iterator::next).unwrap_or(line);
            let line = unended(line);
            bytes.extend_from_slice(sought.get(line).unwrap_or(&line));
            bytes.extend_from_slice(end);
        }
    });
    bytes
}

/// Ends the written text as the found one ends, unless the block says that this is what changes.
fn end_as_found(
    bytes: &mut Vec<u8>,
    found: &[u8],
    at_end: bool,
    search: &[u8],
    replace: &[u8],
    diff: bool,
    end: &[u8],
) {
    if bytes.is_empty() {
        return;
    }
    let [found_ended, search_ended, replace_ended] = [found, search, replace].map(|text| text.ends_with(b"\n"));
    let ended = match (search_ended, replace_ended) {
        (true, true) | (false, false) => found_ended,
        (false, true) => true,
        (true, false) => diff && !at_end,
    };
    let body = unended(bytes).len();
    if !ended {
        bytes.truncate(body);
    } else if body == bytes.len() {
        bytes.extend_from_slice(end);
    }
}

/// A whole new content in the form of the old one: byte order mark, line ends, final newline.
pub(crate) fn in_form_of(old: &[u8], content: &[u8]) -> (Vec<u8>, Relaxed) {
    let binary = |bytes: &[u8]| memchr::memchr(0, bytes).is_some();
    if content.is_empty() || binary(old) || binary(content) {
        return (content.to_vec(), Relaxed::default());
    }
    let mut relaxed = Relaxed::default();
    let marked = content.starts_with(MARK);
    let body = old.strip_prefix(MARK).unwrap_or(old);
    let content = content.strip_prefix(MARK).unwrap_or(content);
    let ends = LineEnds::of(old);
    let mut bytes = match ends.only() {
        // Each line of a file that has both keeps its own.
        None if ends.crlf && !LineEnds::of(content).crlf => blend(body, &plain(body), content, None, b"\n"),
        only => with_line_ends(content, only).into_owned(),
    };
    relaxed.line_ends = bytes != content;
    if !body.is_empty() && body.ends_with(b"\n") != bytes.ends_with(b"\n") {
        relaxed.final_newline = true;
        if bytes.ends_with(b"\n") {
            let body = unended(&bytes).len();
            bytes.truncate(body);
        } else {
            bytes.extend_from_slice(ends.only().unwrap_or(b"\n"));
        }
    }
    if old.starts_with(MARK) {
        relaxed.byte_order_mark = !marked;
    }
    if old.starts_with(MARK) || marked {
        bytes.splice(0..0, MARK.iter().copied());
    }
    (bytes, relaxed)
}

/// Every line ended by LF.
fn plain(text: &[u8]) -> Vec<u8> {
    with_line_ends(text, Some(b"\n")).into_owned()
}
