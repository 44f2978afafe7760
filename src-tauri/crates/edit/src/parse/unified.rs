//! Reads unified diffs, as git and diff(1) write them and as models imitate them.
//!
//! The lines of a hunk are told by their first character. Its counts are believed where they fit the lines; where they
//! do not, the hunk ends where its lines do. What is between hunks is passed over, unless it looks like a part of one:
//! half a hunk would be worse than none. Format: git's `diff-format`, "Generating patch text with -p".

mod hunk;
mod names;

use super::path_line::path_on;
use super::{Fence, Lines, ParseRefusal, Step, Stop};
use crate::change::{Block, Edit};
use hunk::{Body, Header, by_first_character, counted};
use names::{Section, git_names, name_of, unquoted};

pub(super) const SHAPE: &str = "Write `--- a/path`, `+++ b/path`, then for each hunk `@@ -line,count +line,count @@` and \
                                its lines, each with a space, `-` or `+` before it.";
const WHOLE_AGAIN: &str = "Write the diff again, complete.";

/// Where reading stands.
#[derive(Default)]
pub(super) struct State {
    /// The next line.
    pub index: usize,
    section: Section,
    /// A hunk was read whose counts do not fit, behind which a changed line must not follow.
    loose: bool,
    /// The line that may name the file of a hunk without a header.
    named: Option<String>,
    finished: bool,
}

impl State {
    pub(super) fn step(&mut self, text: &Lines) -> Step {
        while self.index < text.len() {
            let line = text.at(self.index);
            if line.starts_with("diff --git ") || starts_header(text, self.index)? {
                let edits = self.close(text)?;
                self.header(text)?;
                if !edits.is_empty() {
                    return Ok(edits);
                }
                continue;
            }
            if line.starts_with("@@") {
                return self.hunk(text);
            }
            self.between(text)?;
            self.index += 1;
        }
        if !text.complete {
            return Err(Stop::More);
        }
        if self.finished {
            return Ok(Vec::new());
        }
        self.finished = true;
        self.close(text).map_err(Stop::Refused)
    }

    /// A line that is no part of a hunk.
    fn between(&mut self, text: &Lines) -> Result<(), ParseRefusal> {
        let line = text.at(self.index);
        if Fence::on(line).is_some() {
            self.loose = false;
        }
        if line.starts_with("GIT binary patch") || (line.starts_with("Binary files ") && line.ends_with(" differ")) {
            return Err(text.refusal(self.index, "the diff of a binary file has no lines", SHAPE));
        }
        if self.loose && line.starts_with(['+', '-']) && line.trim() != "--" {
            let reason = "this line looks like a part of a hunk that ended before it";
            return Err(text.refusal(self.index, reason, "Put a space, `-` or `+` before every line of a hunk."));
        }
        if text.complete && self.index + 1 == text.len() {
            if line.starts_with("--- ") {
                return Err(text.refusal(self.index, "the text ends inside a file's header", WHOLE_AGAIN));
            }
            if !text.text.ends_with(b"\n") && !line.is_empty() && "@@ -".starts_with(line) {
                return Err(text.refusal(self.index, "the text ends inside a hunk's header", WHOLE_AGAIN));
            }
        }
        if let Some(path) = path_on(line) {
            self.named = Some(path);
        } else if !line.trim().is_empty() && Fence::on(line).is_none() {
            self.named = None;
        }
        Ok(())
    }

    /// What the section that ends here still asks for.
    fn close(&mut self, text: &Lines) -> Result<Vec<Edit>, ParseRefusal> {
        let section = std::mem::take(&mut self.section);
        let mut edits = Vec::new();
        if section.from.is_none() && section.to.is_none() && section.rename.is_none() {
            return Ok(edits);
        }
        if section.hunks == 0 && !section.complete {
            return Err(text.refusal(section.line, "this file has a header but no hunk", WHOLE_AGAIN));
        }
        let (from, to) = section.paths();
        match (from, to) {
            (Some(path), None) => edits.push(Edit::Delete { path }),
            (None, Some(path)) if section.hunks == 0 => {
                edits.push(Edit::Replace { path, blocks: vec![Block::default()] })
            }
            (Some(path), Some(to)) if path != to => edits.push(Edit::Move { path, to }),
            _ => {}
        }
        Ok(edits)
    }

    /// Reads the header of a file, from `diff --git` or `---` on.
    fn header(&mut self, text: &Lines) -> Result<(), Stop> {
        let mut section = Section { line: self.index, ..Section::default() };
        let mut index = self.index;
        if let Some(names) = text.at(index).strip_prefix("diff --git ") {
            section.git = true;
            if let Some((from, to)) = git_names(names) {
                (section.from, section.to) = (Some(from), Some(to));
            }
            index += 1;
            let mut same = true;
            loop {
                if index >= text.len() && !text.complete {
                    return Err(Stop::More);
                }
                let line = text.at(index);
                let rest = |start: &str| line.strip_prefix(start).map(unquoted);
                if let Some(name) = rest("rename from ") {
                    section.rename.get_or_insert_default().0 = Some(name);
                } else if let Some(name) = rest("rename to ") {
                    section.rename.get_or_insert_default().1 = Some(name);
                    section.complete = same;
                } else if line.starts_with("copy from ") {
                    let hint = "Write the copy as a new file.";
                    return Err(text.refusal(index, "a diff that copies a file cannot be applied", hint).into());
                } else if line.starts_with("new file mode ") {
                    (section.made, section.complete) = (true, true);
                } else if line.starts_with("deleted file mode ") {
                    (section.removed, section.complete) = (true, true);
                } else if line.starts_with("new mode ") {
                    section.complete = true;
                } else if let Some(share) = line.strip_prefix("similarity index ") {
                    // Less than all of it means that hunks follow.
                    same = share.trim() == "100%";
                } else if !["index ", "old mode ", "dissimilarity index "].iter().any(|s| line.starts_with(s)) {
                    break;
                }
                index += 1;
            }
        }
        if starts_header(text, index)? {
            section.from = Some(name_of(&text.at(index)[4..]));
            section.to = Some(name_of(&text.at(index + 1)[4..]));
            section.complete = false;
            index += 2;
        }
        self.section = section;
        self.index = index;
        self.named = None;
        Ok(())
    }

    fn hunk(&mut self, text: &Lines) -> Step {
        if text.at(self.index).starts_with("@@@") {
            let reason = "a diff of a merge cannot be applied";
            return Err(text.refusal(self.index, reason, "Write the diff against one version.").into());
        }
        let header = Header::of(text.at(self.index));
        let crlf = text.crlf(self.index);
        let (body, sound) = match header.counts.map(|counts| counted(text, self.index + 1, counts)) {
            Some(Ok(Some(body))) => (body, true),
            Some(Err(stop)) => return Err(stop),
            _ => (by_first_character(text, self.index + 1)?, false),
        };
        if body.end == text.len() && text.complete {
            self.cut_off(text, &header, &body, sound)?;
        }
        let mut edits = Vec::new();
        if let Some(named) = self.named.take().filter(|named| self.section.paths().0.as_ref() != Some(named)) {
            edits = self.close(text)?;
            self.section =
                Section { from: Some(named.clone()), to: Some(named), line: self.index, ..Section::default() };
        }
        let (from, to) = self.section.paths();
        let Some(path) = from.or(to) else {
            let hint = "Write `--- a/path` and `+++ b/path` above the first hunk of each file.";
            return Err(text.refusal(self.index, "it is not said which file this hunk is for", hint).into());
        };
        edits.push(Edit::Replace { path, blocks: vec![body.block(text, crlf, &header, sound)] });
        self.section.hunks += 1;
        self.loose = !sound;
        self.index = body.end;
        Ok(edits)
    }

    /// Refuses a last hunk that may have lost lines: nothing but its counts and its shape can tell.
    fn cut_off(&self, text: &Lines, header: &Header, body: &Body, sound: bool) -> Result<(), ParseRefusal> {
        if sound {
            return Ok(());
        }
        let cut = |reason: &str| Err(text.refusal(body.end.saturating_sub(1), reason, WHOLE_AGAIN));
        let ended = text.text.ends_with(b"\n");
        let after = body.lines.iter().rev().take_while(|(mark, ..)| *mark == b' ').count();
        match header.counts {
            // Cut behind all of its context such a hunk looks whole: only its counts say that more was to follow.
            Some((old, new)) if body.old <= old && body.new <= new => {
                return cut("the text ends before the lines that this hunk's header counts");
            }
            Some(_) => {}
            None if !ended && after == 0 => return cut("the text ends inside a line of this hunk, or seems to"),
            None => {}
        }
        Ok(())
    }
}

/// Whether `--- ` and `+++ ` stand at `index`, and not as a removed and an added line.
fn starts_header(text: &Lines, index: usize) -> Result<bool, Stop> {
    if !text.at(index).starts_with("--- ") {
        return Ok(false);
    }
    if index + 1 >= text.len() && !text.complete {
        return Err(Stop::More);
    }
    Ok(text.at(index + 1).starts_with("+++ "))
}
