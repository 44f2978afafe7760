//! Lines that are replaced by number: the numbers of the file as it was read.

use super::{BUDGET, Draft, Piece};
use crate::blend;
use crate::change::{LineRange, Relaxed};
use crate::entities::{Reading, unescaped};
use crate::near;
use crate::place::Fit;
use crate::refusal::Refusal;
use crate::text::{Level, LineEnds, Text, key, lines, unended, with_line_ends};
use std::borrow::Cow;
use std::ops::Range;

impl Draft {
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
