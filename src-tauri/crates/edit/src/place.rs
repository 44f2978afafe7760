//! Finds the one place of a search text in a file, at or behind a cursor.
//!
//! A fixed ladder: the bytes themselves as whole lines, then as a part of lines, then whole lines with less and less of
//! each compared. The first rung with any place decides; two places on it are a refusal. Every place is a
//! range of the file's own bytes. Why no rung can hit a wrong place is written in the crate's page.

use crate::indent::{self, Indent};
use crate::refusal::COUNTED;
use crate::text::{Level, Text, TooMuchWork, lines, unended, with_line_ends};
use memchr::memmem::Finder;
use std::ops::Range;

/// How a place agrees with the search text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Byte for byte, whole lines.
    Lines,
    /// Byte for byte, a part of lines.
    Part,
    /// A part of lines whose line ends are all CR LF.
    PartCrlf,
    /// Whole lines that end otherwise, or have other space before the end.
    Relaxed,
    /// Whole lines that are indented otherwise.
    Indented(Indent),
}

/// Where a search text stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// In exactly one place.
    At {
        /// Bytes of the file.
        range: Range<usize>,
        /// How they agree.
        fit: Fit,
    },
    /// In several places, byte ranges; the list stops at [`COUNTED`].
    Many(Vec<Range<usize>>, Fit),
    /// Nowhere.
    Nowhere,
}

/// Looks for `search` (not empty) at or behind byte `from`. `diff`: only whole lines count.
pub(crate) fn place(text: &mut Text, from: usize, search: &[u8], diff: bool) -> Result<Placed, TooMuchWork> {
    let wanted: Vec<&[u8]> = lines(search).collect();
    let first = text.line_from(from);
    // Made alike, a text of nothing but space fits every empty line.
    let blank = search.iter().all(u8::is_ascii_whitespace);
    let ends_a_line = search.ends_with(b"\n");
    let run = wanted.len();
    if ends_a_line || diff {
        let mut found = text.find(Level::Exact, &wanted, first)?;
        if !found.is_empty() && ends_a_line {
            // That place is no worse than the others, see below.
            found.extend(unended_end(text, &wanted).filter(|at| *at >= first));
        }
        if let Some(placed) = one_or_many(text, &found, run, Fit::Lines) {
            return Ok(placed);
        }
    }
    if !diff && let Some(placed) = part(text, from, search) {
        return Ok(placed);
    }
    if !diff
        && !ends_a_line
        && let Some(placed) = part_with_crlf(text, from, search)
    {
        return Ok(placed);
    }
    if !blank {
        for level in [Level::Ends, Level::Trailing] {
            let mut found = text.find(level, &wanted, first)?;
            // A text without a last line end is at home where the file has none. One with it may stand there too: an
            // author writes an end that the file's last line lacks.
            let unended = |at: &usize| !text.line(*at + run - 1).ends_with(b"\n");
            if !ends_a_line && found.iter().any(unended) {
                found.retain(unended);
            }
            if let Some(placed) = one_or_many(text, &found, run, Fit::Relaxed) {
                return Ok(placed);
            }
        }
        if let Some(placed) = indented(text, first, &wanted, diff)? {
            return Ok(placed);
        }
    }
    if !diff
        && ends_a_line
        && let Some(placed) = part_with_crlf(text, from, search)
    {
        return Ok(placed);
    }
    Ok(Placed::Nowhere)
}

/// The first line of `wanted` at the end of a file whose last line has no end, where all else is byte for byte.
fn unended_end(text: &Text, wanted: &[&[u8]]) -> Option<usize> {
    let at = text.count().checked_sub(wanted.len())?;
    let (last, before) = wanted.split_last()?;
    let is_there = !text.bytes().ends_with(b"\n")
        && before.iter().zip(at..).all(|(line, here)| *line == text.line(here))
        && unended(last) == text.line(at + before.len());
    is_there.then_some(at)
}

fn one_or_many(text: &Text, found: &[usize], run: usize, fit: Fit) -> Option<Placed> {
    match found {
        [] => None,
        [at] => Some(Placed::At { range: text.range(*at..at + run), fit }),
        all => Some(Placed::Many(all.iter().map(|at| text.range(*at..at + run)).collect(), fit)),
    }
}

fn indented(text: &mut Text, first: usize, wanted: &[&[u8]], diff: bool) -> Result<Option<Placed>, TooMuchWork> {
    let bare = text.find(Level::Bare, wanted, first)?;
    let mut fitting = bare.iter().filter_map(|at| {
        let here: Vec<&[u8]> = (*at..at + wanted.len()).map(|line| text.line(line)).collect();
        Some((*at, indent::relation(wanted, &here, diff)?))
    });
    let Some((at, relation)) = fitting.next() else { return Ok(None) };
    let others: Vec<usize> = fitting.map(|(at, _)| at).collect();
    let fit = Fit::Indented(relation);
    // Half of it stands somewhere with the depth that it is written in: that place is meant, and has changed since.
    if matches!(fit, Fit::Indented(Indent::Deeper(_))) && !text.alike(wanted, 2).is_empty() {
        return Ok(None);
    }
    // A list that was cut short may have left the right place out.
    if others.is_empty() && bare.len() < COUNTED {
        return Ok(one_or_many(text, &[at], wanted.len(), fit));
    }
    let all: Vec<usize> = std::iter::once(at).chain(others).collect();
    if all.len() == 1 {
        return Ok(None);
    }
    Ok(one_or_many(text, &all, wanted.len(), fit))
}

/// The places of `search` as a part of lines.
fn part(text: &Text, from: usize, search: &[u8]) -> Option<Placed> {
    let bytes = text.bytes();
    // Exact bytes may not tear a CR LF in two: the rest of it would become a line end of its own.
    let torn = |at: usize| at > 0 && bytes.get(at - 1) == Some(&b'\r') && bytes.get(at) == Some(&b'\n');
    let whole = |at: &usize| !(torn(*at) || torn(at + search.len()));
    placed(occurrences(bytes, search, from).filter(whole), search.len(), Fit::Part)
}

/// The same with CR LF for the line ends of `search`.
fn part_with_crlf(text: &Text, from: usize, search: &[u8]) -> Option<Placed> {
    let bytes = text.bytes();
    if !search.contains(&b'\n') || search.iter().all(u8::is_ascii_whitespace) || !bytes.contains(&b'\r') {
        return None;
    }
    let search = with_line_ends(search, Some(b"\r\n"));
    placed(occurrences(bytes, &search, from), search.len(), Fit::PartCrlf)
}

fn placed(found: impl Iterator<Item = usize>, length: usize, fit: Fit) -> Option<Placed> {
    let mut ranges: Vec<Range<usize>> = found.take(COUNTED).map(|at| at..at + length).collect();
    match ranges.len() {
        0 => None,
        1 => ranges.pop().map(|range| Placed::At { range, fit }),
        _ => Some(Placed::Many(ranges, fit)),
    }
}

/// Every place of `needle`, also overlapping ones.
pub(crate) fn occurrences<'a>(bytes: &'a [u8], needle: &'a [u8], from: usize) -> impl Iterator<Item = usize> + 'a {
    let finder = Finder::new(needle);
    let mut next = from;
    std::iter::from_fn(move || {
        let at = next + finder.find(bytes.get(next..)?)?;
        next = at + 1;
        Some(at)
    })
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "lists of one place are what is meant")]
mod tests {
    use super::*;

    fn at(text: &str, cursor: usize, search: &str) -> Placed {
        place(&mut Text::new(text.into(), 1 << 20), cursor, search.as_bytes(), false).unwrap()
    }

    fn ranges(placed: Placed) -> Vec<Range<usize>> {
        match placed {
            Placed::At { range, .. } => vec![range],
            Placed::Many(ranges, _) => ranges,
            Placed::Nowhere => Vec::new(),
        }
    }

    #[test]
    fn a_text_is_not_looked_for_at_another_depth_where_its_own_place_has_changed() {
        let wanted = "fn a() {\n    go();\n    stop();\n}\n";
        let deeper = "mod m {\n    fn a() {\n        go();\n        stop();\n    }\n}\n";
        let changed = "fn a() {\n    go();\n    wait();\n}\n\n";
        assert_eq!(ranges(at(deeper, 0, wanted)), [8..deeper.len() - 2]);
        assert_eq!(at(&format!("{changed}{deeper}"), 0, wanted), Placed::Nowhere);
    }

    #[test]
    fn a_text_that_ends_a_line_prefers_whole_lines() {
        assert_eq!(at("xfoo\nfoo\n", 0, "foo\n"), Placed::At { range: 5..9, fit: Fit::Lines });
        assert_eq!(at("foo\nxfoo\n", 0, "foo\n"), Placed::At { range: 0..4, fit: Fit::Lines });
        assert_eq!(at("xfoo\nfoo \n", 0, "foo\n"), Placed::At { range: 1..5, fit: Fit::Part });
        assert_eq!(at("foo \nxfo\n", 0, "foo\n"), Placed::At { range: 0..5, fit: Fit::Relaxed });
        assert_eq!(at("xfoo\nbar\n", 0, "foo\n"), Placed::At { range: 1..5, fit: Fit::Part });
        assert_eq!(ranges(at("foo\nfoo\n", 0, "foo\n")), [0..4, 4..8]);
    }

    /// Guards: a place that lacks only the end of the file's last line is as good as one that has it. Turned red by an
    /// `unended_end` that is not asked.
    #[test]
    fn the_end_of_a_file_without_its_last_line_end_is_a_place_like_others() {
        assert_eq!(ranges(at("a\n}\nb\n}", 0, "}\n")), [2..4, 6..7]);
        assert_eq!(ranges(at("a\n}\nb\n}\n", 4, "}\n")), [6..8]);
        assert_eq!(at("a\n}\nb\n}", 4, "}\n"), Placed::At { range: 6..7, fit: Fit::Relaxed });
        assert_eq!(ranges(at("a\n}\nb\n }", 0, "}\n")), [2..4], "space before it is another rung");
    }

    #[test]
    fn overlapping_places_are_counted() {
        assert_eq!(ranges(at("aaa", 0, "aa")), [0..2, 1..3]);
    }

    #[test]
    fn what_lies_before_the_cursor_does_not_count() {
        assert_eq!(ranges(at("a\nb\na\n", 2, "a\n")), [4..6]);
        assert_eq!(at("a\nb\nc\n", 4, "a\n"), Placed::Nowhere);
    }

    #[test]
    fn relaxed_places_are_ranges_of_the_file_itself() {
        let text = "one\r\ntwo  \r\nthree";
        let part = |search: &str| ranges(at(text, 0, search)).first().map(|range| &text[range.clone()]);
        assert_eq!(part("two\nthree\n"), Some("two  \r\nthree"));
        assert_eq!(part("one\ntwo"), Some("one\r\ntwo"));
        assert_eq!(part("\ntwo"), Some("\r\ntwo"));
    }

    #[test]
    fn relaxed_places_must_be_unique_too() {
        assert_eq!(ranges(at("a \nb\na\t\nb\n", 0, "a\nb\n")), [0..5, 5..10]);
        assert_eq!(at("x\n\ny\n", 0, "  \n"), Placed::Nowhere);
        assert_eq!(ranges(at("\tif x {\n\t\ty\n\t}\n\tif x {\n\t\ty\n", 0, "    if x {\n        y\n")).len(), 2);
    }
}
