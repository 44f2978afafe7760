//! Reads patches as Codex has them:
//!
//! ```text
//! *** Begin Patch
//! *** Update File: src/lib.rs
//! *** Move to: src/main.rs
//! @@ fn main() {
//!  context
//! -old
//! +new
//! *** End of File
//! *** Add File: notes.md
//! +text
//! *** Delete File: old.md
//! *** End Patch
//! ```
//!
//! Source: the grammar in `codex-rs/apply-patch`. There is nothing but the last line to tell a whole patch from one
//! that was cut off, so a patch without it is refused.

use super::{Lines, ParseRefusal, Step, Stop};
use crate::change::{Block, Edit, Locator};

pub(super) const SHAPE: &str = "Begin with `*** Begin Patch` and end with `*** End Patch`; between them write `*** Update File: path`, \
                                `@@`, and the lines of each hunk with a space, `-` or `+` before each.";
const WHOLE_AGAIN: &str = "Write the patch again, complete, and end it with `*** End Patch`.";

/// Where reading stands.
#[derive(Default)]
pub(super) struct State {
    /// The next line.
    pub index: usize,
    part: Part,
    /// A part was read, and no `*** End Patch` since.
    open: bool,
}

/// What the lines that follow belong to.
#[derive(Default)]
enum Part {
    /// None: prose.
    #[default]
    Outside,
    /// The hunks of a file, and where it is to be moved then.
    Update { path: String, to: Option<String>, hunks: usize, line: usize },
    /// Between files.
    Between,
}

impl State {
    pub(super) fn step(&mut self, text: &Lines) -> Step {
        while self.index < text.len() {
            let mark = Mark::on(text.at(self.index));
            match (mark, &mut self.part) {
                (Some(Mark::Begin), _) => {
                    let edits = self.close(text)?;
                    self.open = true;
                    self.part = Part::Between;
                    self.index += 1;
                    if !edits.is_empty() {
                        return Ok(edits);
                    }
                }
                (Some(Mark::End), _) => {
                    let edits = self.close(text)?;
                    self.open = false;
                    self.part = Part::Outside;
                    self.index += 1;
                    if !edits.is_empty() {
                        return Ok(edits);
                    }
                }
                (Some(Mark::Add(path)), _) => {
                    let path = path.to_owned();
                    // Everything is decided before anything is changed: this line is read again where more is needed.
                    let (content, next) = added(text, self.index)?;
                    let mut edits = self.close(text)?;
                    edits.push(Edit::Replace { path, blocks: vec![Block::new("", content)] });
                    self.open = true;
                    self.part = Part::Between;
                    self.index = next;
                    return Ok(edits);
                }
                (Some(Mark::Delete(path)), _) => {
                    let path = path.to_owned();
                    let mut edits = self.close(text)?;
                    edits.push(Edit::Delete { path });
                    self.open = true;
                    self.part = Part::Between;
                    self.index += 1;
                    return Ok(edits);
                }
                (Some(Mark::Update(path)), _) => {
                    let path = path.to_owned();
                    let edits = self.close(text)?;
                    self.open = true;
                    self.part = Part::Update { path, to: None, hunks: 0, line: self.index };
                    self.index += 1;
                    if !edits.is_empty() {
                        return Ok(edits);
                    }
                }
                (Some(Mark::Move(target)), Part::Update { to, hunks: 0, .. }) => {
                    *to = Some(target.to_owned());
                    self.index += 1;
                }
                (Some(Mark::EndOfFile), _) => self.index += 1,
                (Some(Mark::Move(_)), _) => {
                    return Err(text.refusal(self.index, "this line stands in a wrong place", SHAPE).into());
                }
                (None, Part::Update { path, hunks, .. }) => {
                    if text.is_blank(self.index) && *hunks > 0 {
                        self.index += 1;
                        continue;
                    }
                    let (block, next) = hunk(text, self.index)?;
                    *hunks += 1;
                    self.index = next;
                    if block.search.is_empty() && block.replace.is_empty() {
                        continue;
                    }
                    return Ok(vec![Edit::Replace { path: path.clone(), blocks: vec![block] }]);
                }
                (None, Part::Between) if !text.is_blank(self.index) => {
                    return Err(text.refusal(self.index, "this line belongs to no file", SHAPE).into());
                }
                (None, _) => self.index += 1,
            }
        }
        if !text.complete {
            return Err(Stop::More);
        }
        if self.open {
            let last = text.len().saturating_sub(1);
            return Err(text.refusal(last, "the text ends without `*** End Patch`", WHOLE_AGAIN).into());
        }
        Ok(Vec::new())
    }

    /// What the file that ends here still asks for.
    fn close(&mut self, text: &Lines) -> Result<Vec<Edit>, ParseRefusal> {
        match std::mem::take(&mut self.part) {
            Part::Update { path, to: Some(to), .. } => Ok(vec![Edit::Move { path, to }]),
            Part::Update { hunks: 0, line, .. } => Err(text.refusal(line, "this file has no hunk", SHAPE)),
            _ => Ok(Vec::new()),
        }
    }
}

/// A line that begins with `***`.
enum Mark<'a> {
    Begin,
    End,
    EndOfFile,
    Add(&'a str),
    Delete(&'a str),
    Update(&'a str),
    Move(&'a str),
}

impl<'a> Mark<'a> {
    fn on(line: &'a str) -> Option<Self> {
        let rest = line.strip_prefix("***")?.trim();
        match rest {
            "Begin Patch" => return Some(Self::Begin),
            "End Patch" => return Some(Self::End),
            "End of File" => return Some(Self::EndOfFile),
            _ => {}
        }
        let (kind, path) = rest.split_once(':')?;
        let path = path.trim();
        let path =
            ['`', '"', '\''].into_iter().find_map(|mark| path.strip_prefix(mark)?.strip_suffix(mark)).unwrap_or(path);
        match kind.trim() {
            "Add File" => Some(Self::Add(path)),
            "Delete File" => Some(Self::Delete(path)),
            "Update File" => Some(Self::Update(path)),
            "Move to" => Some(Self::Move(path)),
            _ => None,
        }
    }
}

/// The content of the file added at `index`, and the line behind it.
fn added(text: &Lines, index: usize) -> Result<(Vec<u8>, usize), Stop> {
    let crlf = text.crlf(index);
    let mut content = Vec::new();
    let mut empty = 0;
    for index in index + 1.. {
        if index >= text.len() {
            return if text.complete { Ok((content, index)) } else { Err(Stop::More) };
        }
        let line = text.content(index, crlf);
        if let Some(rest) = line.strip_prefix(b"+") {
            // An empty line inside has often lost its mark.
            content.extend(std::iter::repeat_n(b'\n', empty));
            empty = 0;
            content.extend_from_slice(rest);
            content.push(b'\n');
        } else if Mark::on(text.at(index)).is_some() {
            return Ok((content, index));
        } else if text.is_blank(index) {
            empty += 1;
        } else {
            return Err(text.refusal(index, "every line of a new file begins with `+`", SHAPE).into());
        }
    }
    Ok((content, text.len()))
}

/// The hunk that begins at `index`, with or without `@@`, and the line behind it.
fn hunk(text: &Lines, index: usize) -> Result<(Block, usize), Stop> {
    let mut locator = Locator { diff: true, ..Locator::default() };
    let mut index = index;
    let crlf = text.crlf(index);
    while text.at(index).starts_with("@@") {
        let header = text.at(index).trim_start_matches('@').trim();
        let header = header.strip_suffix("@@").unwrap_or(header).trim();
        // Line numbers, as a unified diff has them, say nothing here.
        if !header.is_empty() && !header.starts_with('-') {
            locator.under.push(header.to_owned());
        }
        index += 1;
    }
    let (mut search, mut replace) = (Vec::new(), Vec::new());
    let mut add = |mark: u8, line: &[u8]| {
        for (skip, side) in [(b'+', &mut search), (b'-', &mut replace)] {
            if mark != skip {
                side.extend_from_slice(line);
                side.push(b'\n');
            }
        }
    };
    loop {
        if index >= text.len() {
            if !text.complete {
                return Err(Stop::More);
            }
            break;
        }
        if text.at(index).starts_with("@@") {
            break;
        }
        match Mark::on(text.at(index)) {
            Some(Mark::EndOfFile) => {
                locator.at_end = true;
                index += 1;
                break;
            }
            Some(_) => break,
            None => {}
        }
        let line = text.content(index, crlf);
        match line.first() {
            Some(mark @ (b' ' | b'+' | b'-')) => {
                add(*mark, line.get(1..).unwrap_or_default());
                locator.loose_lines = 0;
            }
            None | Some(b'\r') if text.is_blank(index) => {
                add(b' ', line);
                locator.loose_lines += 1;
            }
            _ => {
                let reason = "this line of a hunk has no space, `-` or `+` before it";
                return Err(text.refusal(index, reason, SHAPE).into());
            }
        }
        index += 1;
    }
    // Empty lines alone part hunks.
    let only_space = |side: &[u8]| side.iter().all(u8::is_ascii_whitespace);
    if search == replace && only_space(&search) {
        return Ok((Block::default(), index));
    }
    Ok((Block { search, replace, locator }, index))
}
