//! Finds the one place of a search text in a file.
//!
//! The bytes themselves first; then a copy in which line ends, then the missing one at the end of the file, then
//! also spaces before line ends are made alike.
//! Every byte of such a copy knows the bytes of the file it stands for, so that what is replaced is always a
//! range of the file itself. Two places are a refusal, on every level.

use crate::change::Relaxed;
use crate::refusal::COUNTED;
use memchr::memmem::Finder;
use std::borrow::Cow;
use std::ops::Range;

/// Where a search text stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// In exactly one place.
    At {
        /// Bytes of the file.
        range: Range<usize>,
        /// What was overlooked.
        relaxed: Relaxed,
    },
    /// In several places; the list stops at [`COUNTED`].
    Many(Vec<Range<usize>>),
    /// Nowhere.
    Nowhere,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Exact,
    LineEnds,
    FinalNewline,
    TrailingSpace,
}

/// Looks for `search` (not empty) in `text`, behind `cursor` first and then anywhere.
///
/// `start` is where the text begins behind a byte order mark. A search text that ends a line is looked for as
/// whole lines before it is looked for as a part of some.
pub(crate) fn place(text: &[u8], start: usize, cursor: usize, search: &[u8]) -> Placed {
    for level in [Level::Exact, Level::LineEnds, Level::FinalNewline, Level::TrailingSpace] {
        let needle = alike(search, level, false);
        // Made alike, a text of nothing but space fits every empty line.
        if level != Level::Exact && needle.bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let hay = alike(&text[start..], level, true);
        let from = hay.position(cursor.saturating_sub(start));
        for from in [from, 0] {
            let found = unique_or_all(&hay, &needle.bytes, from, level);
            let range_of = |at: usize| {
                let range = hay.range(at..at + needle.bytes.len());
                start + range.start..start + range.end
            };
            match found.as_slice() {
                [] => {}
                [at] => {
                    let range = range_of(*at);
                    let relaxed = overlooked(&text[range.clone()], search, range.end == text.len());
                    return Placed::At { range, relaxed };
                }
                all => return Placed::Many(all.iter().map(|at| range_of(*at)).collect()),
            }
        }
    }
    Placed::Nowhere
}

/// What differs between the place and the search text; both are alike at some level.
fn overlooked(found: &[u8], search: &[u8], at_end: bool) -> Relaxed {
    if found == search {
        return Relaxed::default();
    }
    let (found_ends, search_ends) = (LineEnds::of(found), LineEnds::of(search));
    let final_newline = at_end && search.ends_with(b"\n") && !found.ends_with(b"\n");
    let bare = |text: &[u8]| {
        let mut bytes = alike(text, Level::LineEnds, false).bytes.into_owned();
        if final_newline && bytes.ends_with(b"\n") {
            bytes.pop();
        }
        bytes
    };
    Relaxed {
        line_ends: found_ends.crlf != search_ends.crlf,
        trailing_space: bare(found) != bare(search),
        final_newline,
        byte_order_mark: false,
    }
}

/// A text made alike, and the bytes each of its bytes stands for.
struct Alike<'a> {
    bytes: Cow<'a, [u8]>,
    /// Where the bytes start and end in the original; empty where nothing was changed.
    spans: Vec<(usize, usize)>,
}

impl Alike<'_> {
    /// The first place in the copy that stands for `offset` of the original or later.
    fn position(&self, offset: usize) -> usize {
        if self.spans.is_empty() {
            return offset.min(self.bytes.len());
        }
        self.spans.partition_point(|(start, _)| *start < offset)
    }

    fn range(&self, part: Range<usize>) -> Range<usize> {
        if self.spans.is_empty() {
            return part;
        }
        let start = self.spans.get(part.start).map_or(0, |span| span.0);
        let end = part.end.checked_sub(1).and_then(|last| self.spans.get(last)).map_or(start, |span| span.1);
        start..end.max(start)
    }
}

/// `whole` says that the text is a file, whose last line may be taken as ended by its end.
fn alike(text: &[u8], level: Level, whole: bool) -> Alike<'_> {
    if level == Level::Exact {
        return Alike { bytes: Cow::Borrowed(text), spans: Vec::new() };
    }
    let mut bytes = Vec::with_capacity(text.len() + 1);
    let mut spans = Vec::with_capacity(text.len() + 1);
    let mut offset = 0;
    for line in text.split_inclusive(|b| *b == b'\n') {
        let ended = line.ends_with(b"\n");
        let body = match line {
            [body @ .., b'\r', b'\n'] | [body @ .., b'\n'] => body,
            body => body,
        };
        let kept = match level {
            Level::TrailingSpace if ended || whole => body.trim_ascii_end_of_line(),
            _ => body,
        };
        for (at, byte) in kept.iter().enumerate() {
            bytes.push(*byte);
            spans.push((offset + at, offset + at + 1));
        }
        if ended || (whole && level != Level::LineEnds) {
            bytes.push(b'\n');
            spans.push((offset + body.len(), offset + line.len()));
        }
        offset += line.len();
    }
    Alike { bytes: Cow::Owned(bytes), spans }
}

trait TrimLine {
    fn trim_ascii_end_of_line(&self) -> &[u8];
}

impl TrimLine for [u8] {
    /// Without spaces and tabs at its end.
    fn trim_ascii_end_of_line(&self) -> &[u8] {
        let kept = self.iter().rposition(|b| !matches!(b, b' ' | b'\t')).map_or(0, |last| last + 1);
        &self[..kept]
    }
}

/// The places of `needle` at or behind `from`: whole lines alone where there are any and it ends a line.
fn unique_or_all(hay: &Alike<'_>, needle: &[u8], from: usize, level: Level) -> Vec<usize> {
    let bytes = &*hay.bytes;
    if needle.is_empty() || from > bytes.len() {
        return Vec::new();
    }
    if needle.ends_with(b"\n") {
        let mut aligned = Vec::new();
        if from == 0 && bytes.starts_with(needle) {
            aligned.push(0);
        }
        let mut lines = Vec::with_capacity(needle.len() + 1);
        lines.push(b'\n');
        lines.extend_from_slice(needle);
        aligned.extend(occurrences(bytes, &lines, from.saturating_sub(1)).map(|at| at + 1).take(COUNTED));
        if !aligned.is_empty() {
            return aligned;
        }
    }
    // Exact bytes may not tear a CRLF in two: the rest of it would become a line end of its own.
    let torn = |at: usize| at > 0 && bytes[at - 1] == b'\r' && bytes.get(at) == Some(&b'\n');
    occurrences(bytes, needle, from)
        .filter(|at| level != Level::Exact || !(torn(*at) || torn(at + needle.len())))
        .take(COUNTED)
        .collect()
}

/// Every place of `needle`, also overlapping ones.
fn occurrences<'a>(bytes: &'a [u8], needle: &'a [u8], from: usize) -> impl Iterator<Item = usize> + 'a {
    let finder = Finder::new(needle);
    let mut next = from;
    std::iter::from_fn(move || {
        let at = next + finder.find(bytes.get(next..)?)?;
        next = at + 1;
        Some(at)
    })
}

/// How the lines of a text end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LineEnds {
    /// CR LF somewhere.
    pub crlf: bool,
    /// LF alone somewhere.
    pub lf: bool,
}

impl LineEnds {
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut ends = Self::default();
        for at in memchr::memchr_iter(b'\n', text) {
            if at > 0 && text[at - 1] == b'\r' {
                ends.crlf = true;
            } else {
                ends.lf = true;
            }
        }
        ends
    }

    /// The one line end in use; `None` where there is none or both.
    pub(crate) fn only(self) -> Option<&'static [u8]> {
        match (self.crlf, self.lf) {
            (true, false) => Some(b"\r\n"),
            (false, true) => Some(b"\n"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, cursor: usize, search: &str) -> Placed {
        place(text.as_bytes(), 0, cursor, search.as_bytes())
    }

    fn found(range: Range<usize>) -> Placed {
        Placed::At { range, relaxed: Relaxed::default() }
    }

    #[test]
    fn a_text_that_ends_a_line_prefers_whole_lines() {
        assert_eq!(at("xfoo\nfoo\n", 0, "foo\n"), found(5..9));
        assert_eq!(at("foo\nxfoo\n", 0, "foo\n"), found(0..4));
        assert_eq!(at("xfoo\nbar\n", 0, "foo\n"), found(1..5));
        assert_eq!(at("foo\nfoo\n", 0, "foo\n"), Placed::Many(vec![0..4, 4..8]));
    }

    #[test]
    fn overlapping_places_are_counted() {
        assert_eq!(at("aaa", 0, "aa"), Placed::Many(vec![0..2, 1..3]));
    }

    #[test]
    fn what_lies_behind_the_cursor_comes_first() {
        assert_eq!(at("a\nb\na\n", 2, "a\n"), found(4..6));
        assert_eq!(at("a\nb\nc\n", 4, "a\n"), found(0..2));
        assert_eq!(at("a\na\nc\n", 4, "a\n"), Placed::Many(vec![0..2, 2..4]));
    }

    #[test]
    fn relaxed_places_are_ranges_of_the_file_itself() {
        let text = "one\r\ntwo  \r\nthree";
        let Placed::At { range, relaxed } = at(text, 0, "two\nthree\n") else { panic!() };
        assert_eq!(&text[range], "two  \r\nthree");
        assert_eq!(
            relaxed,
            Relaxed { line_ends: true, trailing_space: true, final_newline: true, byte_order_mark: false }
        );
        let Placed::At { range, .. } = at(text, 0, "one\ntwo") else { panic!() };
        assert_eq!(&text[range], "one\r\ntwo");
        let Placed::At { range, .. } = at(text, 0, "\ntwo") else { panic!() };
        assert_eq!(&text[range], "\r\ntwo");
    }

    #[test]
    fn relaxed_places_must_be_unique_too() {
        assert_eq!(at("a \nb\na\t\nb\n", 0, "a\nb\n"), Placed::Many(vec![0..5, 5..10]));
        assert_eq!(at("x\n\ny\n", 0, "  \n"), Placed::Nowhere);
    }

    #[test]
    fn indentation_is_never_overlooked() {
        assert_eq!(at("\tif x {\n\t\ty\n", 0, "    if x {\n        y\n"), Placed::Nowhere);
    }
}
