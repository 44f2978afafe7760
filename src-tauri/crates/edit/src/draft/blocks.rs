//! Search texts and what stands in their place: where each block goes, from the last one on.
//!
//! A block is looked for behind the last one, then from where that begins, then from the top; a text that fits several places
//! on the way is refused unless its locator chooses one.

use super::{Draft, Piece, lines_of};
use crate::blend;
use crate::change::{Block, Relaxed};
use crate::elision;
use crate::encoding::Encoding;
use crate::entities::{Reading, unescaped};
use crate::indent::{Indent, Tabs};
use crate::locate;
use crate::near;
use crate::place::{Fit, Placed, place};
use crate::refusal::{Candidate, Refusal};
use crate::text::{LineEnds, MARK, Text, TooMuchWork, lines, with_line_ends};
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

impl Draft {
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
                let like = self.now.as_mut().map(|now| (now.alike(&wanted, 3), now));
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
                return self.put_piece(number, 0..block.search.len(), Fit::Lines, &block.search, &block.replace, true);
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
        self.put_piece(number, range, fit, search, replace, diff)?;
        Ok(true)
    }

    fn put_piece(
        &mut self,
        number: u32,
        range: Range<usize>,
        mut fit: Fit,
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
                let (Some(width), Fit::Lines | Fit::Relaxed) = (self.outlook.tab_width, &fit) else {
                    let (path, lines) = (self.path.clone(), lines_of(now, &range));
                    return Err(Refusal::Indentation { path, block: number, lines });
                };
                fit = Fit::Indented(Indent::Columns(width));
            }
        }
        let Ok((bytes, mut relaxed)) = blend::written(now, &range, &fit, search, replace, diff) else {
            return Err(Refusal::Indentation { path: self.path.clone(), block: number, lines: lines_of(now, &range) });
        };
        relaxed.entities = self.outlook.blocks == Reading::Escaped;
        relaxed.encoding = self.outlook.encoding != Encoding::Bytes;
        (self.last, self.cursor) = (range.start, range.end);
        self.pieces.push(Piece { range, bytes, relaxed });
        Ok(())
    }
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
