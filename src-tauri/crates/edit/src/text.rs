//! The bytes of a file by lines, and where runs of lines stand in it, with less and less of each line compared.
//!
//! A line is indexed by a hash of what is compared of it; a run is looked for by its rarest line, so that a search
//! costs the places of that line and not the length of the file. Bytes are compared before a place is named.

use crate::refusal::COUNTED;
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

/// The UTF-8 byte order mark.
pub(crate) const MARK: &[u8] = b"\xef\xbb\xbf";

/// What is compared of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Every byte.
    Exact,
    /// All but how the line ends, or whether the last one does.
    Ends,
    /// All but that and the space before it.
    Trailing,
    /// All but that and the space at its beginning.
    Bare,
}

const LEVELS: usize = 4;

/// A line as it is compared at `level`.
pub(crate) fn key(level: Level, line: &[u8]) -> &[u8] {
    match level {
        Level::Exact => line,
        Level::Ends => unended(line),
        Level::Trailing => trim_end(unended(line)),
        Level::Bare => trim_start(trim_end(unended(line))),
    }
}

/// Without the line end at its end.
pub(crate) fn unended(text: &[u8]) -> &[u8] {
    match text {
        [body @ .., b'\r', b'\n'] | [body @ .., b'\n'] => body,
        body => body,
    }
}

/// Without spaces and tabs at its end; a CR that does not end a line counts as one.
pub(crate) fn trim_end(line: &[u8]) -> &[u8] {
    let kept = line.iter().rposition(|b| !matches!(b, b' ' | b'\t' | b'\r')).map_or(0, |last| last + 1);
    &line[..kept]
}

/// Without spaces and tabs at its beginning.
pub(crate) fn trim_start(line: &[u8]) -> &[u8] {
    let from = line.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(line.len());
    &line[from..]
}

/// The lines of a text, each with its end.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|b| *b == b'\n')
}

/// More line comparisons than one set of edits may cost.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMuchWork;

/// A file's bytes with its lines.
#[derive(Debug)]
pub(crate) struct Text {
    bytes: Vec<u8>,
    /// Where each line starts, and the end of the last. The first starts behind a byte order mark.
    starts: Vec<usize>,
    hasher: RandomState,
    indexes: [Option<Index>; LEVELS],
    /// Comparisons that may still be made.
    budget: u64,
}

#[derive(Debug)]
struct Index {
    hashes: Vec<u64>,
    /// Lines of each hash, in order.
    places: HashMap<u64, Vec<u32>>,
}

impl Text {
    /// Lines are counted in 32 bits: the caller has made sure that `bytes` is far below 4 GiB.
    pub(crate) fn new(bytes: Vec<u8>, budget: u64) -> Self {
        let mut at = if bytes.starts_with(MARK) { MARK.len() } else { 0 };
        let mut starts = vec![at];
        for line in lines(&bytes[at..]) {
            at += line.len();
            starts.push(at);
        }
        Self { bytes, starts, hasher: RandomState::new(), indexes: [const { None }; LEVELS], budget }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
    pub(crate) fn budget(&self) -> u64 {
        self.budget
    }
    /// How many lines there are.
    pub(crate) fn count(&self) -> usize {
        self.starts.len() - 1
    }
    /// Line `index`, from 0, with its end; empty behind the last.
    pub(crate) fn line(&self, index: usize) -> &[u8] {
        match (self.starts.get(index), self.starts.get(index + 1)) {
            (Some(from), Some(to)) => &self.bytes[*from..*to],
            _ => &[],
        }
    }
    /// The bytes of some lines.
    pub(crate) fn range(&self, lines: Range<usize>) -> Range<usize> {
        let at = |line: usize| self.starts.get(line).copied().unwrap_or(self.bytes.len());
        at(lines.start)..at(lines.end)
    }
    /// The first line that starts at or behind `offset`.
    pub(crate) fn line_from(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start < offset).min(self.count())
    }
    /// The line that the byte at `offset` is in, from 0.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).saturating_sub(1).min(self.count().saturating_sub(1))
    }

    fn index(&mut self, level: Level) -> &Index {
        let Self { bytes, starts, hasher, indexes, .. } = self;
        indexes[level as usize].get_or_insert_with(|| {
            let mut index = Index { hashes: Vec::with_capacity(starts.len()), places: HashMap::new() };
            for (number, pair) in (0u32..).zip(starts.windows(2)) {
                let hash = hasher.hash_one(key(level, &bytes[pair[0]..pair[1]]));
                index.hashes.push(hash);
                index.places.entry(hash).or_default().push(number);
            }
            index
        })
    }

    /// The lines at which `wanted` begins, at or behind line `from`, in order; at most [`COUNTED`].
    pub(crate) fn find(&mut self, level: Level, wanted: &[&[u8]], from: usize) -> Result<Vec<usize>, TooMuchWork> {
        let hashes: Vec<u64> = wanted.iter().map(|line| self.hasher.hash_one(key(level, line))).collect();
        let mut budget = self.budget;
        let count = self.count();
        let index = self.index(level);
        let mut rarest: Option<(usize, &[u32])> = None;
        for (offset, hash) in hashes.iter().enumerate() {
            let Some(places) = index.places.get(hash) else { return Ok(Vec::new()) };
            if rarest.is_none_or(|(_, known)| places.len() < known.len()) {
                rarest = Some((offset, places));
            }
        }
        let Some((offset, places)) = rarest else { return Ok(Vec::new()) };
        let first = places.partition_point(|place| (*place as usize) < from + offset);
        let mut found = Vec::new();
        let mut spent = 0u64;
        for place in places.get(first..).unwrap_or_default() {
            let Some(start) = (*place as usize).checked_sub(offset) else { continue };
            let alike = match index.hashes.get(start..start + hashes.len()) {
                None => false,
                Some(here) => {
                    let same = here.iter().zip(&hashes).take_while(|(a, b)| a == b).count();
                    spent += 1 + same as u64;
                    same == hashes.len()
                }
            };
            if alike && start + hashes.len() <= count {
                found.push(start);
            }
            if found.len() == COUNTED || spent > budget {
                break;
            }
        }
        budget = budget.saturating_sub(spent);
        self.budget = budget;
        if budget == 0 {
            return Err(TooMuchWork);
        }
        found.retain(|start| {
            wanted.iter().zip(*start..).all(|(line, at)| key(level, line) == key(level, self.line(at)))
        });
        Ok(found)
    }
}

impl Text {
    /// The lines at which at least so many quarters of `wanted` stand, at most four.
    pub(crate) fn alike(&mut self, wanted: &[&[u8]], quarters: usize) -> Vec<usize> {
        let keys: Vec<(usize, u64)> = wanted
            .iter()
            .enumerate()
            .filter(|(_, line)| !key(Level::Bare, line).is_empty())
            .map(|(at, line)| (at, self.hasher.hash_one(key(Level::Trailing, line))))
            .collect();
        let index = self.index(Level::Trailing);
        let mut votes: HashMap<usize, usize> = HashMap::new();
        for (at, hash) in &keys {
            for place in index.places.get(hash).into_iter().flatten() {
                if let Some(start) = (*place as usize).checked_sub(*at) {
                    *votes.entry(start).or_default() += 1;
                }
            }
        }
        let mut like: Vec<usize> =
            votes.into_iter().filter(|(_, votes)| votes * 4 >= keys.len() * quarters).map(|(start, _)| start).collect();
        like.sort_unstable();
        like.truncate(4);
        like
    }
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
            if ends.crlf && ends.lf {
                break;
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

/// Every line end as `end`; as they are where that is `None`.
pub(crate) fn with_line_ends<'a>(text: &'a [u8], end: Option<&[u8]>) -> Cow<'a, [u8]> {
    let Some(end) = end else { return Cow::Borrowed(text) };
    let mut bytes = Vec::with_capacity(text.len() + 16);
    for line in lines(text) {
        let body = unended(line);
        bytes.extend_from_slice(body);
        if body.len() < line.len() {
            bytes.extend_from_slice(end);
        }
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, level: Level, wanted: &str, from: usize) -> Vec<usize> {
        let wanted: Vec<&[u8]> = lines(wanted.as_bytes()).collect();
        Text::new(text.into(), 1 << 20).find(level, &wanted, from).unwrap()
    }

    #[test]
    fn runs_of_lines_are_found_from_a_line_on() {
        assert_eq!(found("a\nb\na\nb\n", Level::Exact, "a\nb\n", 0), [0, 2]);
        assert_eq!(found("a\nb\na\nb\n", Level::Exact, "a\nb\n", 1), [2]);
        assert_eq!(found("a\na\na\n", Level::Exact, "a\na\n", 0), [0, 1]);
        assert_eq!(found("a\nb", Level::Exact, "b\n", 0), [0; 0]);
        assert_eq!(found("a\nb", Level::Ends, "b\n", 0), [1]);
        assert_eq!(found("x\r\n a\t\r\n", Level::Trailing, " a\n", 0), [1]);
        assert_eq!(found("x\n\t\ta\n", Level::Bare, "a\n", 0), [1]);
        assert_eq!(found("\u{feff}a\nb\n", Level::Exact, "a\n", 0), [0]);
    }

    #[test]
    fn offsets_and_lines_agree() {
        let text = Text::new(b"ab\nc\n\nd".to_vec(), 1);
        assert_eq!(text.count(), 4);
        assert_eq!([0, 2, 3, 5, 6, 7].map(|at| text.line_of(at)), [0, 0, 1, 2, 3, 3]);
        assert_eq!([0, 1, 3, 4, 7].map(|at| text.line_from(at)), [0, 1, 1, 2, 4]);
        assert_eq!(text.range(1..3), 3..6);
    }

    #[test]
    fn a_text_made_to_be_slow_ends_early() {
        let mut text = Text::new("a\n".repeat(100_000).into_bytes(), 10_000);
        let wanted: Vec<&[u8]> = std::iter::repeat_n(b"a\n".as_slice(), 5_000).collect();
        assert_eq!(text.find(Level::Exact, &wanted, 0), Err(TooMuchWork));
    }
}
