//! Turns a set of edits into the exact bytes of each file, all of them or none.

use crate::change::{AppliedHunk, Block, ChangeSet, Edit, FileChange, Relaxed};
use crate::elision;
use crate::near;
use crate::path;
use crate::place::{LineEnds, Placed, place};
use crate::refusal::{Candidate, Refusal};
use similar::{Algorithm, DiffOp};
use std::ops::Range;

const MARK: &[u8] = b"\xef\xbb\xbf";

/// Applies `edits` in their order to the files that `read` gives: `Ok(None)` where there is no such file,
/// `Err` with a reason where it cannot be read. Each path is read once.
///
/// The first edit that cannot be applied refuses the whole set.
pub fn apply(read: impl Fn(&str) -> Result<Option<Vec<u8>>, String>, edits: &[Edit]) -> Result<ChangeSet, Refusal> {
    let mut files: Vec<Draft> = Vec::new();
    for edit in edits {
        let path = path::clean(edit.path())?;
        let at = match files.iter().position(|file| file.path == path) {
            Some(at) => at,
            None => {
                let before = read(&path).map_err(|reason| Refusal::Unreadable { path: path.clone(), reason })?;
                files.push(Draft { path, now: before.clone(), before, cursor: 0, hunks: Vec::new() });
                files.len() - 1
            }
        };
        let Some(file) = files.get_mut(at) else { continue };
        match edit {
            Edit::Write { content, .. } => file.write(content),
            Edit::Replace { blocks, .. } => file.replace(blocks)?,
            Edit::Delete { .. } => file.delete()?,
        }
    }
    let files: Vec<FileChange> = files.into_iter().map(Draft::finish).collect::<Result<_, _>>()?;
    for file in files.iter().filter(|file| file.after.is_some()) {
        let folder = format!("{}/", file.path);
        if files.iter().any(|other| other.after.is_some() && other.path.starts_with(&folder)) {
            let reason = "another edit of the same set puts a file below it, so it must be a folder";
            return Err(Refusal::BadPath { path: file.path.clone(), reason });
        }
    }
    Ok(ChangeSet { files })
}

/// A file under work.
struct Draft {
    path: String,
    before: Option<Vec<u8>>,
    now: Option<Vec<u8>>,
    /// Behind the last placed block.
    cursor: usize,
    hunks: Vec<(Range<usize>, Relaxed)>,
}

impl Draft {
    fn write(&mut self, content: &[u8]) {
        let (content, relaxed) = match &self.now {
            Some(now) if !now.is_empty() => in_form_of(now, content),
            _ => (content.to_vec(), Relaxed::default()),
        };
        self.cursor = 0;
        self.hunks = vec![(0..content.len(), relaxed)];
        self.now = Some(content);
    }

    fn delete(&mut self) -> Result<(), Refusal> {
        if self.now.take().is_none() {
            return Err(Refusal::Missing { path: self.path.clone() });
        }
        self.cursor = 0;
        self.hunks.clear();
        Ok(())
    }

    fn replace(&mut self, blocks: &[Block]) -> Result<(), Refusal> {
        if blocks.is_empty() {
            return Err(Refusal::NoBlocks { path: self.path.clone() });
        }
        for (number, block) in (1..).zip(blocks) {
            if block.search.is_empty() {
                self.fill(number, block)?;
            } else {
                self.place(number, block)?;
            }
        }
        Ok(())
    }

    /// An empty search text: the file is new or empty.
    fn fill(&mut self, number: u32, block: &Block) -> Result<(), Refusal> {
        let now = self.now.get_or_insert_default();
        if !now.is_empty() && now != MARK {
            return Err(Refusal::Exists { path: self.path.clone(), block: number });
        }
        let start = now.len();
        now.extend_from_slice(block.replace.as_bytes());
        self.cursor = now.len();
        self.hunks.push((start..now.len(), Relaxed::default()));
        Ok(())
    }

    fn place(&mut self, number: u32, block: &Block) -> Result<(), Refusal> {
        let Some(now) = &mut self.now else {
            return Err(Refusal::Missing { path: self.path.clone() });
        };
        if block.search == block.replace {
            return Err(Refusal::NoChange { path: self.path.clone(), block: Some(number) });
        }
        let start = if now.starts_with(MARK) { MARK.len() } else { 0 };
        let (search, replace) = if start > 0 { unmarked(block) } else { (&*block.search, &*block.replace) };
        let marked = Relaxed { byte_order_mark: search.len() != block.search.len(), ..Relaxed::default() };
        match place(now, start, self.cursor, search.as_bytes()) {
            Placed::At { range, relaxed } => {
                let (bytes, ends) = replacement(now, &range, search, replace, relaxed);
                now.splice(range.clone(), bytes.iter().copied());
                shift(&mut self.hunks, &range, bytes.len());
                self.cursor = range.start + bytes.len();
                self.hunks.push((range.start..self.cursor, relaxed.with(ends).with(marked)));
                Ok(())
            }
            Placed::Many(places) => Err(Refusal::Ambiguous {
                path: self.path.clone(),
                block: number,
                total: u32::try_from(places.len()).unwrap_or(u32::MAX),
                candidates: places.iter().take(5).map(|range| Candidate::of(now, lines_of(now, range), 2)).collect(),
            }),
            Placed::Nowhere => {
                let (nearest, differs) = near::nearest(now, search, replace);
                Err(Refusal::NotFound { path: self.path.clone(), block: number, nearest, differs })
            }
        }
    }

    fn finish(self) -> Result<FileChange, Refusal> {
        if self.before == self.now {
            return Err(Refusal::NoChange { path: self.path, block: None });
        }
        if let (Some(before), Some(now)) = (&self.before, &self.now)
            && let Some((line, text)) = elision::added(before, now)
        {
            return Err(Refusal::Elided { path: self.path, line, text });
        }
        let applied = match &self.now {
            None => Vec::new(),
            Some(now) => self
                .hunks
                .iter()
                .map(|(range, relaxed)| AppliedHunk { lines: lines_of(now, range), relaxed: relaxed.noted() })
                .collect(),
        };
        Ok(FileChange { path: self.path, before: self.before, after: self.now, applied })
    }
}

/// Both texts without a byte order mark of their own.
fn unmarked(block: &Block) -> (&str, &str) {
    let strip = |text: &'_ str| text.len() - text.strip_prefix('\u{feff}').unwrap_or(text).len();
    match &block.search[strip(&block.search)..] {
        "" => (&block.search, &block.replace),
        search => (search, &block.replace[strip(&block.replace)..]),
    }
}

/// Moves the hunks that lie behind a splice of `range` into `length` bytes.
fn shift(hunks: &mut [(Range<usize>, Relaxed)], range: &Range<usize>, length: usize) {
    let moved = |at: usize| {
        if at >= range.end { at - range.end + range.start + length } else { at.min(range.start + length) }
    };
    for (hunk, _) in hunks {
        *hunk = moved(hunk.start)..moved(hunk.end);
    }
}

/// First and last line of a range, 1-based. A range that ends with a line end does not reach the next line.
pub(crate) fn lines_of(text: &[u8], range: &Range<usize>) -> [u32; 2] {
    let line_at = |offset: usize| {
        let breaks = memchr::memchr_iter(b'\n', &text[..offset.min(text.len())]).count();
        u32::try_from(breaks).unwrap_or(u32::MAX - 1) + 1
    };
    let first = line_at(range.start);
    [first, line_at(range.end.saturating_sub(1)).max(first)]
}

/// The bytes that take the place of `range`, and what was changed in them to keep the file's form.
fn replacement(now: &[u8], range: &Range<usize>, search: &str, replace: &str, relaxed: Relaxed) -> (Vec<u8>, Relaxed) {
    let found = &now[range.clone()];
    let end = LineEnds::of(now).only().or_else(|| LineEnds::of(found).only());
    let mut bytes = if relaxed == Relaxed::default() {
        with_line_ends(replace.as_bytes(), end)
    } else {
        blend(found, search, replace, end)
    };
    if relaxed.final_newline {
        let body = unended(&bytes).len();
        bytes.truncate(body);
    }
    let line_ends = LineEnds::of(&bytes).crlf != LineEnds::of(replace.as_bytes()).crlf;
    (bytes, Relaxed { line_ends, ..Relaxed::default() })
}

/// Lines that stand in both texts of a block keep the file's own bytes; only the others are written anew.
fn blend(found: &[u8], search: &str, replace: &str, end: Option<&[u8]>) -> Vec<u8> {
    let old: Vec<&[u8]> = found.split_inclusive(|b| *b == b'\n').collect();
    let searched: Vec<&str> = search.split_inclusive('\n').map(bare).collect();
    let replaced: Vec<&str> = replace.split_inclusive('\n').collect();
    if old.len() != searched.len() {
        return with_line_ends(replace.as_bytes(), end);
    }
    let wanted: Vec<&str> = replaced.iter().map(|line| bare(line)).collect();
    let mut bytes = Vec::with_capacity(replace.len());
    for op in similar::capture_diff_slices(Algorithm::Myers, &searched, &wanted) {
        if let DiffOp::Equal { old_index, len, .. } = op {
            for line in old.iter().skip(old_index).take(len) {
                complete(&mut bytes, end);
                bytes.extend_from_slice(line);
            }
        } else {
            for line in replaced.get(op.new_range()).unwrap_or_default() {
                complete(&mut bytes, end);
                bytes.extend(with_line_ends(line.as_bytes(), end));
            }
        }
    }
    if replace.ends_with('\n') {
        complete(&mut bytes, end);
    } else {
        let body = unended(&bytes).len(); // a kept line brought its end along
        bytes.truncate(body);
    }
    bytes
}

/// Ends the last line, where it does not end yet.
fn complete(bytes: &mut Vec<u8>, end: Option<&[u8]>) {
    if !bytes.is_empty() && !bytes.ends_with(b"\n") {
        bytes.extend_from_slice(end.unwrap_or(b"\n"));
    }
}

/// Without the line end at its end.
fn unended(text: &[u8]) -> &[u8] {
    match text {
        [body @ .., b'\r', b'\n'] | [body @ .., b'\n'] => body,
        body => body,
    }
}

fn bare(line: &str) -> &str {
    line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line))
}

/// Every line end as `end`; as they are where that is `None`.
fn with_line_ends(text: &[u8], end: Option<&[u8]>) -> Vec<u8> {
    let Some(end) = end else { return text.to_vec() };
    let mut bytes = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|b| *b == b'\n') {
        let body = unended(line);
        bytes.extend_from_slice(body);
        if body.len() < line.len() {
            bytes.extend_from_slice(end);
        }
    }
    bytes
}

/// A whole new content in the form of the old one: byte order mark, line ends, final newline.
fn in_form_of(old: &[u8], content: &[u8]) -> (Vec<u8>, Relaxed) {
    let binary = |bytes: &[u8]| memchr::memchr(0, bytes).is_some();
    if content.is_empty() || binary(old) || binary(content) {
        return (content.to_vec(), Relaxed::default());
    }
    let mut relaxed = Relaxed::default();
    let mut bytes = with_line_ends(content, LineEnds::of(old).only());
    relaxed.line_ends = bytes != content;
    let body = old.strip_prefix(MARK).unwrap_or(old);
    if !body.is_empty() && body.ends_with(b"\n") != bytes.ends_with(b"\n") {
        relaxed.final_newline = true;
        if bytes.ends_with(b"\n") {
            let body = unended(&bytes).len();
            bytes.truncate(body);
        } else {
            bytes.extend_from_slice(LineEnds::of(old).only().unwrap_or(b"\n"));
        }
    }
    if old.starts_with(MARK) && !bytes.starts_with(MARK) {
        relaxed.byte_order_mark = true;
        bytes.splice(0..0, MARK.iter().copied());
    }
    (bytes, relaxed)
}
