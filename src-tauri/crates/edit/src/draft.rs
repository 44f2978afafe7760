//! A file under work: the text as it was read, the pieces that are to be replaced, and where the next block is looked for.
//!
//! Pieces are kept beside the text and put in at once, so that thousands of blocks cost one copy. Only where a block
//! is not found behind the last one are they put in early, and it is looked for in what came of them.

use crate::blend::{self, in_form_of};
use crate::change::{AppliedHunk, Block, FileChange, LineRange, Relaxed};
use crate::elision;
use crate::encoding::Encoding;
use crate::entities::{Reading, unescaped};
use crate::indent::{Indent, Tabs};
use crate::locate;
use crate::near;
use crate::place::{Fit, Placed, place};
use crate::refusal::{Candidate, Refusal};
use crate::text::{Level, LineEnds, MARK, Text, TooMuchWork, key, lines, unended, with_line_ends};
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

/// Line comparisons that the blocks of one file may cost.
const BUDGET: u64 = 1 << 29;

/// What is known about all edits of one file before the first is applied.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outlook {
    /// Of replacements.
    pub blocks: Reading,
    /// Of whole contents.
    pub content: Reading,
    pub encoding: Encoding,
    /// Several blocks, and then all of them again: the whole answer was given twice.
    pub repeated: bool,
    /// No block has a tab in it.
    pub tabless: bool,
}

pub(crate) struct Draft {
    pub path: String,
    pub before: Option<Vec<u8>>,
    /// Whether an edit was made, and not only something expected.
    pub touched: bool,
    /// Where the content was moved from.
    moved_from: Option<String>,
    now: Option<Text>,
    outlook: Outlook,
    /// What is to be replaced in `now`: in order, without overlap.
    pieces: Vec<Piece>,
    /// Blocks that are in `now` already.
    done: Vec<(Range<usize>, Relaxed)>,
    /// Behind the last placed block, and where it begins, in `now`.
    cursor: usize,
    last: usize,
    /// `now` is the file as it was read, so that line numbers count.
    numbered: bool,
    /// A block stood elsewhere than its line number said.
    drifted: bool,
    applied: HashSet<Block>,
    /// How the file uses tabs; looked for once.
    tabs: Option<Tabs>,
}

struct Piece {
    range: Range<usize>,
    bytes: Vec<u8>,
    relaxed: Relaxed,
}

impl Draft {
    pub(crate) fn new(path: String, before: Option<Vec<u8>>, outlook: Outlook) -> Self {
        let now = before.as_ref().map(|bytes| Text::new(outlook.encoding.decode(bytes), BUDGET));
        Self {
            path,
            before,
            touched: false,
            moved_from: None,
            now,
            outlook,
            pieces: Vec::new(),
            done: Vec::new(),
            cursor: 0,
            last: 0,
            numbered: true,
            drifted: false,
            applied: HashSet::new(),
            tabs: None,
        }
    }

    fn missing(&self) -> Refusal {
        Refusal::Missing { path: self.path.clone() }
    }

    fn too_much(&self) -> Refusal {
        Refusal::TooLarge {
            path: self.path.clone(),
            what: "its lines repeat so much that a place takes too long to find",
        }
    }

    /// Whether there is a file now.
    pub(crate) fn is_there(&self) -> bool {
        self.now.is_some()
    }

    pub(crate) fn write(&mut self, content: &[u8]) -> Result<(), Refusal> {
        self.flush();
        let content = match self.outlook.content {
            Reading::Literal => Cow::Borrowed(content),
            Reading::Escaped => unescaped(content),
            Reading::Unclear => return Err(Refusal::Entities { path: self.path.clone(), block: None }),
        };
        let (content, mut relaxed) = match &self.now {
            Some(now) if !now.bytes().is_empty() => {
                if let Some((line, text)) = elision::stands_alone(now.bytes(), &content) {
                    return Err(Refusal::Elided { path: self.path.clone(), line, text });
                }
                in_form_of(now.bytes(), &content)
            }
            _ => (content.to_vec(), Relaxed::default()),
        };
        relaxed.entities = self.outlook.content == Reading::Escaped;
        (self.cursor, self.last) = (0, 0);
        self.done = vec![(0..content.len(), relaxed)];
        self.renew(content);
        Ok(())
    }

    /// `bytes` are what the file is now.
    fn renew(&mut self, bytes: Vec<u8>) {
        let budget = self.now.as_ref().map_or(BUDGET, Text::budget);
        self.now = Some(Text::new(bytes, budget));
        self.numbered = false;
    }

    pub(crate) fn delete(&mut self) -> Result<(), Refusal> {
        self.take().map(|_| ())
    }

    /// The content and what was done to it; there is no file afterwards.
    pub(crate) fn take(&mut self) -> Result<Taken, Refusal> {
        self.flush();
        let Some(now) = self.now.take() else { return Err(self.missing()) };
        (self.cursor, self.last, self.numbered) = (0, 0, false);
        Ok(Taken {
            bytes: now.into_bytes(),
            done: std::mem::take(&mut self.done),
            encoding: self.outlook.encoding,
            from: self.moved_from.take().unwrap_or_else(|| self.path.clone()),
        })
    }

    /// Puts a moved content here.
    pub(crate) fn put(&mut self, taken: Taken) {
        self.outlook.encoding = taken.encoding;
        self.done = taken.done;
        self.touched = true;
        self.moved_from = Some(taken.from);
        self.renew(taken.bytes);
    }

    pub(crate) fn replace(&mut self, blocks: &[Block]) -> Result<(), Refusal> {
        if blocks.is_empty() {
            return Err(Refusal::NoBlocks { path: self.path.clone() });
        }
        for (at, block) in blocks.iter().enumerate() {
            let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
            // Given twice, it is meant once: were there two places for it, the first would have been refused. Unless
            // the second is meant for a place that has changed since, which a whole answer given again does not say.
            if !self.applied.insert(block.clone()) {
                if self.outlook.repeated {
                    continue;
                }
                let wanted: Vec<&[u8]> = lines(&block.search).collect();
                let like = self.now.as_mut().map(|now| (now.much_like(&wanted), now));
                if let Some((like, now)) = like.filter(|(like, _)| like.len() > 1) {
                    let place = |at: &usize| lines_of(now, &now.range(*at..*at + wanted.len()));
                    let candidates = like.iter().map(|at| Candidate::of(now.bytes(), place(at), 1)).collect();
                    return Err(Refusal::GivenTwice { path: self.path.clone(), block: number, candidates });
                }
                continue;
            }
            let read = self.as_meant(number, block)?;
            if read.search.is_empty() {
                self.fill(number, &read)?;
            } else {
                self.place(number, &read, blocks.get(at + 1..).unwrap_or_default())?;
            }
        }
        Ok(())
    }

    /// The block with its entities as they are meant.
    fn as_meant<'a>(&self, number: u32, block: &'a Block) -> Result<Cow<'a, Block>, Refusal> {
        match self.outlook.blocks {
            Reading::Literal => Ok(Cow::Borrowed(block)),
            Reading::Escaped => Ok(Cow::Owned(Block {
                search: unescaped(&block.search).into_owned(),
                replace: unescaped(&block.replace).into_owned(),
                locator: block.locator.clone(),
            })),
            Reading::Unclear if unescaped(&block.replace) == block.replace => Ok(Cow::Borrowed(block)),
            Reading::Unclear => Err(Refusal::Entities { path: self.path.clone(), block: Some(number) }),
        }
    }

    /// An empty search text: the file is new or empty.
    fn fill(&mut self, number: u32, block: &Block) -> Result<(), Refusal> {
        self.flush();
        let mut now = self.now.take().map(Text::into_bytes).unwrap_or_default();
        if block.locator.at_end && !now.is_empty() {
            if !now.ends_with(b"\n") {
                now.extend_from_slice(LineEnds::of(&now).only().unwrap_or(b"\n"));
            }
        } else if !now.is_empty() && now != MARK {
            self.renew(now);
            return Err(Refusal::Exists { path: self.path.clone(), block: number });
        }
        let start = now.len();
        now.extend_from_slice(&with_line_ends(&block.replace, LineEnds::of(&now).only()));
        (self.last, self.cursor) = (start, now.len());
        self.done.push((start..now.len(), Relaxed::default()));
        self.renew(now);
        Ok(())
    }

    fn place(&mut self, number: u32, block: &Block, behind: &[Block]) -> Result<(), Refusal> {
        let Some(now) = &self.now else { return Err(self.missing()) };
        if block.search == block.replace {
            // A diff whose lines all stay is only context.
            return if block.locator.diff {
                Ok(())
            } else {
                Err(Refusal::NoChange { path: self.path.clone(), block: Some(number) })
            };
        }
        if block.locator.diff && now.bytes().starts_with(MARK) && block.search.starts_with(MARK) && self.cursor == 0 {
            // The mark itself may be what changes.
            if now.bytes().starts_with(&block.search) {
                return self.put_piece(number, 0..block.search.len(), &Fit::Lines, &block.search, &block.replace, true);
            }
        }
        let marked = block.search.starts_with(MARK) && block.search.len() > MARK.len();
        let strip = |text: &[u8]| text.strip_prefix(MARK).unwrap_or(text).to_vec();
        let (search, replace) = if marked {
            (strip(&block.search), strip(&block.replace))
        } else {
            (block.search.clone(), block.replace.clone())
        };
        for round in 0..3 {
            let from = match round {
                0 => self.cursor,
                // Its first lines may be the last ones of the block before.
                1 if self.pieces.is_empty() && self.done.is_empty() => continue,
                1 => {
                    self.flush();
                    self.last
                }
                _ if block.locator.diff || self.cursor == 0 => break,
                _ => {
                    self.flush();
                    0
                }
            };
            for loose in [0, block.locator.loose_lines] {
                let (search, replace) = (shorter(&search, loose), shorter(&replace, loose));
                if self.try_place(number, from, search, replace, block, behind)? {
                    if let Some(piece) = self.pieces.last_mut() {
                        piece.relaxed.byte_order_mark |= marked;
                    }
                    return Ok(());
                }
                if block.locator.loose_lines == 0 {
                    break;
                }
            }
        }
        let now = self.now.as_ref().map(Text::bytes).unwrap_or_default();
        let (nearest, differs) = near::nearest(now, &String::from_utf8_lossy(&search), &replace);
        Err(Refusal::NotFound { path: self.path.clone(), block: number, nearest, differs })
    }

    fn try_place(
        &mut self,
        number: u32,
        from: usize,
        search: &[u8],
        replace: &[u8],
        block: &Block,
        behind: &[Block],
    ) -> Result<bool, Refusal> {
        let diff = block.locator.diff;
        if search.is_empty() {
            return Ok(false);
        }
        let Some(now) = &mut self.now else { return Ok(false) };
        let placed = place(now, from, search, diff);
        let (range, fit) = match placed {
            Err(TooMuchWork) => return Err(self.too_much()),
            Ok(Placed::Nowhere) => return Ok(false),
            Ok(Placed::At { range, fit }) => {
                let at = now.line_of(range.start);
                if locate::contradicts(now, at, block) {
                    let nearest = Some(Candidate::of(now.bytes(), lines_of(now, &range), 2));
                    let header = block.locator.under.last().cloned().unwrap_or_default();
                    let differs = format!("the only place lies before `{}`, which it is said to be in.", header.trim());
                    return Err(Refusal::NotFound { path: self.path.clone(), block: number, nearest, differs });
                }
                self.drifted |= block.locator.line.is_some_and(|line| line as usize != at + 1);
                (range, fit)
            }
            Ok(Placed::Many(ranges, fit)) => {
                let places: Vec<usize> = ranges.iter().map(|range| now.line_of(range.start)).collect();
                let whole_lines = matches!(fit, Fit::Lines | Fit::Relaxed);
                let run = lines(search).count();
                let numbers_hold = self.numbered && !self.drifted;
                let chosen =
                    if whole_lines { locate::choose(now, &places, run, block, behind, numbers_hold) } else { Ok(None) };
                match chosen {
                    Err(TooMuchWork) => return Err(self.too_much()),
                    Ok(Some(at)) => (now.range(at..at + run), fit),
                    Ok(None) => {
                        return Err(Refusal::Ambiguous {
                            path: self.path.clone(),
                            block: number,
                            total: u32::try_from(ranges.len()).unwrap_or(u32::MAX),
                            candidates: ranges
                                .iter()
                                .take(5)
                                .map(|range| Candidate::of(now.bytes(), lines_of(now, range), 2))
                                .collect(),
                        });
                    }
                }
            }
        };
        if !diff && let Some((line, text)) = elision::stands_alone(search, replace) {
            return Err(Refusal::Elided { path: self.path.clone(), line, text });
        }
        self.put_piece(number, range, &fit, search, replace, diff)?;
        Ok(true)
    }

    fn put_piece(
        &mut self,
        number: u32,
        range: Range<usize>,
        fit: &Fit,
        search: &[u8],
        replace: &[u8],
        diff: bool,
    ) -> Result<(), Refusal> {
        let Some(now) = &self.now else { return Err(self.missing()) };
        // By columns each new line is held against the file anyway.
        if self.outlook.tabless && !matches!(fit, Fit::Indented(Indent::Columns(_))) {
            let tabs = *self.tabs.get_or_insert_with(|| Tabs::of(now));
            let stays: HashSet<&[u8]> = lines(search).collect();
            if lines(replace).any(|line| !stays.contains(line) && tabs.may_be_meant(line)) {
                let (path, lines) = (self.path.clone(), lines_of(now, &range));
                return Err(Refusal::Indentation { path, block: number, lines });
            }
        }
        let Ok((bytes, mut relaxed)) = blend::written(now, &range, fit, search, replace, diff) else {
            return Err(Refusal::Indentation { path: self.path.clone(), block: number, lines: lines_of(now, &range) });
        };
        relaxed.entities = self.outlook.blocks == Reading::Escaped;
        relaxed.encoding = self.outlook.encoding != Encoding::Bytes;
        (self.last, self.cursor) = (range.start, range.end);
        self.pieces.push(Piece { range, bytes, relaxed });
        Ok(())
    }

    /// Replaces lines by number. Numbers are those of the file as it was read.
    pub(crate) fn replace_lines(&mut self, ranges: &[LineRange]) -> Result<(), Refusal> {
        if ranges.is_empty() {
            return Err(Refusal::NoBlocks { path: self.path.clone() });
        }
        if self.now.is_none() && matches!(ranges, [LineRange { start: 1, end: 0, .. }]) {
            self.now = Some(Text::new(Vec::new(), BUDGET));
        }
        let Some(now) = &self.now else { return Err(self.missing()) };
        let refused = |number: usize, reason: String| Refusal::BadRange {
            path: self.path.clone(),
            block: u32::try_from(number + 1).unwrap_or(u32::MAX),
            reason,
        };
        if !self.numbered {
            return Err(refused(
                0,
                "an edit before it changed the file, so its line numbers no longer hold".to_owned(),
            ));
        }
        let same = |range: &LineRange, old: &[u8]| {
            let here = (range.start as usize - 1..range.end as usize).map(|line| now.line(line));
            let wanted: Vec<&[u8]> = lines(old).collect();
            here.len() == wanted.len()
                && here.zip(wanted).all(|(a, b)| key(Level::Trailing, a) == key(Level::Trailing, b))
        };
        let count = now.count();
        let mut new = Vec::new();
        for (number, range) in ranges.iter().enumerate() {
            let (start, end) = (range.start as usize, range.end as usize);
            if start == 0 || end + 1 < start || start > count + 1 || end > count {
                let reason = format!("lines {start}-{end} are not lines of the file, which has {count}");
                return Err(refused(number, reason));
            }
            let as_meant =
                |text| if self.outlook.blocks == Reading::Escaped { unescaped(text) } else { Cow::Borrowed(text) };
            let old = range.old.as_deref().map(as_meant);
            if let Some(old) = old.as_deref().filter(|old| !same(range, old)) {
                let (nearest, differs) = near::nearest(now.bytes(), &String::from_utf8_lossy(old), &range.text);
                let differs = format!("lines {start}-{end} are not those that were expected there: {differs}");
                let block = u32::try_from(number + 1).unwrap_or(u32::MAX);
                return Err(Refusal::NotFound { path: self.path.clone(), block, nearest, differs });
            }
            let text = match self.outlook.blocks {
                Reading::Literal => Cow::Borrowed(range.text.as_slice()),
                Reading::Escaped => unescaped(&range.text),
                Reading::Unclear if unescaped(&range.text) == range.text => Cow::Borrowed(range.text.as_slice()),
                Reading::Unclear => {
                    let block = u32::try_from(number + 1).ok();
                    return Err(Refusal::Entities { path: self.path.clone(), block });
                }
            };
            let place = now.range(start - 1..end.max(start - 1));
            // Lines that were repeated keep the file's bytes.
            let bytes = match old.filter(|old| !text.is_empty() && **old != now.bytes()[place.clone()]) {
                Some(old) => match blend::written(now, &place, &Fit::Relaxed, &old, &text, true) {
                    Ok((bytes, _)) => bytes,
                    Err(_) => numbered_lines(now, &place, &text),
                },
                None => numbered_lines(now, &place, &text),
            };
            new.push((number, place, bytes));
        }
        for (number, place, bytes) in new {
            let at = self.pieces.partition_point(|piece| piece.range.start < place.start);
            let twice = self.pieces.get(at).is_some_and(|piece| piece.range == place && piece.bytes == bytes);
            if twice {
                continue;
            }
            let before = at.checked_sub(1).and_then(|at| self.pieces.get(at));
            let overlaps = before.is_some_and(|piece| piece.range.end > place.start)
                || self.pieces.get(at).is_some_and(|piece| piece.range.start < place.end || piece.range == place);
            if overlaps {
                return Err(Refusal::BadRange {
                    path: self.path.clone(),
                    block: u32::try_from(number + 1).unwrap_or(u32::MAX),
                    reason: "it overlaps another range of the set".to_owned(),
                });
            }
            self.pieces.insert(at, Piece { range: place, bytes, relaxed: Relaxed::default() });
        }
        if let Some(last) = self.pieces.last() {
            (self.last, self.cursor) = (last.range.start, last.range.end);
        }
        Ok(())
    }

    /// Puts the pieces into the text.
    fn flush(&mut self) {
        if self.pieces.is_empty() {
            return;
        }
        let Some(now) = self.now.take() else { return };
        let pieces = std::mem::take(&mut self.pieces);
        let (bytes, places) = assembled(now.bytes(), &pieces);
        for piece in pieces.iter().rev() {
            shift(&mut self.done, &piece.range, piece.bytes.len());
        }
        self.done.extend(places.into_iter().zip(pieces.iter().map(|piece| piece.relaxed)));
        if let Some((range, _)) = self.done.last() {
            (self.last, self.cursor) = (range.start, range.end);
        }
        self.now = Some(Text::new(bytes, now.budget()));
        self.numbered = false;
    }

    pub(crate) fn finish(mut self) -> Result<FileChange, Refusal> {
        self.flush();
        let applied = match &self.now {
            None => Vec::new(),
            Some(now) => self
                .done
                .iter()
                .map(|(range, relaxed)| AppliedHunk { lines: lines_of(now, range), relaxed: relaxed.noted() })
                .collect(),
        };
        if let (Some(before), Some(now)) = (&self.before, &self.now) {
            let known = self.outlook.encoding.decode(before);
            if let Some((line, text)) = elision::added(&known, now.bytes()) {
                return Err(Refusal::Elided { path: self.path, line, text });
            }
        }
        let after = match self.now {
            None => None,
            Some(now) if self.outlook.encoding == Encoding::Bytes => Some(now.into_bytes()),
            Some(now) => match self.outlook.encoding.encode(now.bytes()) {
                Ok(bytes) => Some(bytes),
                Err(character) => return Err(Refusal::Encoding { path: self.path, character }),
            },
        };
        if self.before == after {
            return Err(Refusal::NoChange { path: self.path, block: None });
        }
        Ok(FileChange { path: self.path, before: self.before, after, applied, moved_from: self.moved_from })
    }
}

/// A content on its way to another path.
pub(crate) struct Taken {
    bytes: Vec<u8>,
    done: Vec<(Range<usize>, Relaxed)>,
    encoding: Encoding,
    from: String,
}

/// The text with its pieces in place, and where they are then.
fn assembled(now: &[u8], pieces: &[Piece]) -> (Vec<u8>, Vec<Range<usize>>) {
    let grown: usize = pieces.iter().map(|piece| piece.bytes.len()).sum();
    let mut bytes = Vec::with_capacity(now.len() + grown);
    let mut places = Vec::with_capacity(pieces.len());
    let mut from = 0;
    for piece in pieces {
        bytes.extend_from_slice(now.get(from..piece.range.start).unwrap_or_default());
        let start = bytes.len();
        bytes.extend_from_slice(&piece.bytes);
        places.push(start..bytes.len());
        from = piece.range.end;
    }
    bytes.extend_from_slice(now.get(from..).unwrap_or_default());
    (bytes, places)
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
fn lines_of(text: &Text, range: &Range<usize>) -> [u32; 2] {
    let number = |offset: usize| {
        let behind_last = offset >= text.bytes().len() && (text.bytes().is_empty() || text.bytes().ends_with(b"\n"));
        u32::try_from(text.line_of(offset) + usize::from(behind_last && text.count() > 0)).unwrap_or(u32::MAX - 1) + 1
    };
    let first = number(range.start);
    [first, number(range.end.saturating_sub(1).max(range.start)).max(first)]
}

/// Without so many empty lines at its end.
fn shorter(text: &[u8], lines: usize) -> &[u8] {
    let mut text = text;
    for _ in 0..lines {
        match text {
            [body @ .., b'\n', b'\n'] => text = &text[..body.len() + 1],
            _ => break,
        }
    }
    text
}

/// Whole lines in the form of the file, for a place between or at lines.
fn numbered_lines(now: &Text, place: &Range<usize>, text: &[u8]) -> Vec<u8> {
    let all = now.bytes();
    if text.is_empty() {
        return Vec::new();
    }
    let end = LineEnds::of(all).only().unwrap_or(b"\n");
    let mut bytes =
        if LineEnds::of(all).only().is_some() { with_line_ends(text, Some(end)).into_owned() } else { text.to_vec() };
    if !bytes.ends_with(b"\n") {
        bytes.extend_from_slice(end);
    }
    let file_ended = all.is_empty() || all.ends_with(b"\n");
    if place.end == all.len() && !file_ended {
        let body = unended(&bytes).len();
        bytes.truncate(body);
        if place.is_empty() {
            bytes.splice(0..0, end.iter().copied());
        }
    }
    bytes
}
