//! Feeds a format's reader with text as it arrives.
//!
//! Text is cut anywhere, also inside a character. An edit comes out when what follows can no longer change it; it may
//! be shown then, and applied only once `finish` has refused nothing. A format is asked again only where a line came
//! that may end something, and not before the text has grown by a part, so that no way of cutting makes it slow.

use super::{Format, LARGEST_EDIT, Lines, ParseRefusal, Stop, blocks, json, patch, unified, whole};
use crate::change::Edit;

/// Reads edits from text as it arrives.
pub struct Reader {
    lines: Lines,
    state: State,
    refused: Option<ParseRefusal>,
    found: bool,
    /// Bytes that arrived, and how many there must be before an edit is looked for again.
    arrived: usize,
    next_try: usize,
}

enum State {
    Whole(whole::State),
    Blocks(blocks::State),
    Unified(unified::State),
    Patch(patch::State),
    Json(json::State),
}

impl Reader {
    /// A reader that has seen nothing yet.
    pub fn new(format: Format) -> Self {
        let state = match format {
            Format::WholeFile => State::Whole(whole::State::default()),
            Format::SearchReplace => State::Blocks(blocks::State::default()),
            Format::UnifiedDiff => State::Unified(unified::State::default()),
            Format::ApplyPatch => State::Patch(patch::State::default()),
            Format::LineRange => State::Json(json::State::new(true)),
            Format::HunkList => State::Json(json::State::new(false)),
        };
        Self { lines: Lines::default(), state, refused: None, found: false, arrived: 0, next_try: 0 }
    }

    /// Takes more text and gives the edits that are complete by now, one for each block.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Edit> {
        let mut edits = Vec::new();
        self.take(bytes, &mut |edit| edits.push(edit));
        edits
    }

    /// The edits that end with the text. Refused, where any of it cannot be read: then none may be applied.
    pub fn finish(self) -> Result<Vec<Edit>, ParseRefusal> {
        let mut edits = Vec::new();
        self.end(&mut |edit| edits.push(edit))?;
        Ok(edits)
    }

    /// Takes more text and hands over each edit that is complete by now.
    pub(super) fn take(&mut self, bytes: &[u8], give: &mut impl FnMut(Edit)) {
        if self.refused.is_some() {
            return;
        }
        self.arrived += bytes.len();
        if self.arrived > LARGEST_EDIT {
            self.lines = Lines::default();
            self.refused = Some(self.lines.refusal(
                0,
                format!("the text has more than {} MiB", LARGEST_EDIT >> 20),
                "Split the edits, and change large files by pieces.",
            ));
            return;
        }
        let before = self.lines.len();
        self.lines.take(bytes);
        let wakes = match self.state {
            // Bytes are read once, so that asking costs nothing.
            State::Json(_) => bytes.contains(&b'}'),
            _ => (before..self.lines.len()).any(|line| self.wakes(line)),
        };
        if wakes && self.arrived >= self.next_try {
            self.read(give);
        }
    }

    /// Hands over the edits that end with the text.
    pub(super) fn end(mut self, give: &mut impl FnMut(Edit)) -> Result<(), ParseRefusal> {
        if self.refused.is_none() {
            self.lines.end();
            self.read(give);
        }
        match self.refused {
            Some(refusal) => Err(refusal),
            None if self.found => Ok(()),
            None => {
                let last = self.lines.len().saturating_sub(1);
                let (reason, hint) = self.nothing();
                Err(ParseRefusal { nothing: true, ..self.lines.refusal(last, reason, hint) })
            }
        }
    }

    fn read(&mut self, give: &mut impl FnMut(Edit)) {
        loop {
            let step = match &mut self.state {
                State::Whole(state) => state.step(&self.lines),
                State::Blocks(state) => state.step(&self.lines),
                State::Unified(state) => state.step(&self.lines),
                State::Patch(state) => state.step(&self.lines),
                State::Json(state) => state.step(&self.lines),
            };
            match step {
                Ok(next) if next.is_empty() => break,
                Ok(next) => {
                    self.found = true;
                    next.into_iter().for_each(&mut *give);
                }
                Err(Stop::More) => {
                    let open = self.arrived - self.position();
                    self.next_try = self.arrived + if open < 4096 { 0 } else { open / 8 };
                    break;
                }
                Err(Stop::Refused(refusal)) => {
                    self.refused = Some(refusal);
                    break;
                }
            }
        }
    }

    /// How many bytes are behind the reader for good.
    fn position(&self) -> usize {
        let line = match &self.state {
            State::Whole(state) => state.index,
            State::Blocks(state) => state.index,
            State::Unified(state) => state.index,
            State::Patch(state) => state.index,
            State::Json(state) => return state.at.min(self.arrived),
        };
        line.checked_sub(1).and_then(|line| self.lines.ends.get(line)).copied().unwrap_or(0)
    }

    /// Whether line `index` may end or begin something.
    fn wakes(&self, index: usize) -> bool {
        let line = self.lines.raw(index);
        match &self.state {
            State::Whole(_) => {
                line.trim_ascii_start().starts_with(b"```") || line.trim_ascii_start().starts_with(b"~~~")
            }
            State::Blocks(_) => line.starts_with(b">>>>>") || line.starts_with(b"<<<<<") || line.starts_with(b"&"),
            State::Unified(_) => !line.starts_with(b"+"),
            State::Patch(_) => line.starts_with(b"***") || line.starts_with(b"@@"),
            State::Json(_) => false,
        }
    }

    fn nothing(&self) -> (&'static str, &'static str) {
        match &self.state {
            State::Whole(_) => ("there is no path followed by a fenced block in the text", whole::SHAPE),
            State::Blocks(_) => ("there is no search and replace block in the text", blocks::SHAPE),
            State::Unified(_) => ("there is no diff in the text that changes something", unified::SHAPE),
            State::Patch(_) => ("there is no `*** Begin Patch` in the text, or it changes nothing", patch::SHAPE),
            State::Json(state) => ("there is no edit in JSON in the text", state.shape()),
        }
    }
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) {
        let from = self.text.len();
        self.text.extend_from_slice(bytes);
        self.ends.extend(memchr::memchr_iter(b'\n', bytes).map(|at| from + at + 1));
        // A byte order mark belongs to the transport.
        if from < 3 && self.text.starts_with(crate::text::MARK) {
            self.text.drain(..3);
            for end in &mut self.ends {
                *end = end.saturating_sub(3);
            }
        }
    }

    fn end(&mut self) {
        if self.ends.last().copied().unwrap_or(0) < self.text.len() {
            self.ends.push(self.text.len());
        }
        self.complete = true;
    }
}
