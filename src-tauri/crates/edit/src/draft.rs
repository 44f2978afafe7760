//! A file under work: the text as it was read, the pieces that are to be replaced, and where the next block is looked for.
//!
//! Pieces are kept beside the text and put in at once, so that thousands of blocks cost one copy. Only where a block
//! is not found behind the last one are they put in early, and it is looked for in what came of them.

mod blocks;
mod numbered;

use crate::blend::in_form_of;
use crate::change::{AppliedHunk, Block, FileChange, Relaxed};
use crate::elision;
use crate::encoding::Encoding;
use crate::entities::{Reading, unescaped};
use crate::indent::Tabs;
use crate::refusal::Refusal;
use crate::text::Text;
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
    /// The width of the tabs that spaces stand for then, where it is known.
    pub tab_width: Option<usize>,
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
