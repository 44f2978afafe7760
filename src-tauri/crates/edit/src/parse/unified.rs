//! Reads unified diffs, as git and diff(1) write them and as models imitate them.
//!
//! The lines of a hunk are told by their first character. Its counts are believed where they fit the lines; where they
//! do not, the hunk ends where its lines do. What is between hunks is passed over, unless it looks like a part of one:
//! half a hunk would be worse than none. Format: git's `diff-format`, "Generating patch text with -p".

use super::path_line::path_on;
use super::{Fence, Lines, ParseRefusal, Step, Stop};
use crate::change::{Block, Edit, Locator};

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

/// What is said about one file before its hunks.
#[derive(Default)]
struct Section {
    from: Option<String>,
    to: Option<String>,
    /// The line it begins with.
    line: usize,
    git: bool,
    /// Something that needs no hunk: a new mode, a new name, a new or removed file.
    complete: bool,
    rename: Option<(Option<String>, Option<String>)>,
    made: bool,
    removed: bool,
    hunks: usize,
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

impl Section {
    /// The old and the new path; `None` for `/dev/null`.
    fn paths(&self) -> (Option<String>, Option<String>) {
        if let Some((Some(from), Some(to))) = &self.rename {
            return (Some(from.clone()), Some(to.clone()));
        }
        let from = self.from.as_deref().filter(|name| *name != "/dev/null" && !self.made);
        let to = self.to.as_deref().filter(|name| *name != "/dev/null" && !self.removed);
        match (from, to) {
            (Some(from), Some(to)) => {
                let [a, b] = [from, to].map(prefixed);
                match (a, b) {
                    // `a/x b/x`, or with git's other letters: prefixes. `a/x a/x` is a folder called `a`.
                    (Some((a, old)), Some((b, new))) if a != b => (Some(old.to_owned()), Some(new.to_owned())),
                    (Some((_, old)), _) if old == to => (Some(to.to_owned()), Some(to.to_owned())),
                    (_, Some((_, new))) if new == from => (Some(from.to_owned()), Some(from.to_owned())),
                    _ => (Some(from.to_owned()), Some(to.to_owned())),
                }
            }
            (Some(path), None) => (Some(self.alone(path, 'a')), None),
            (None, Some(path)) => (None, Some(self.alone(path, 'b'))),
            (None, None) => (None, None),
        }
    }
}

impl Section {
    /// A path without its prefix, where the other side has none to compare with.
    fn alone(&self, path: &str, usual: char) -> String {
        let prefix = prefixed(path).filter(|(letter, _)| self.git || *letter == usual);
        prefix.map_or(path, |(_, path)| path).to_owned()
    }
}

/// One of git's prefixes and what follows.
fn prefixed(name: &str) -> Option<(char, &str)> {
    let (letter, rest) = name.split_once('/')?;
    let mut chars = letter.chars();
    match (chars.next(), chars.next()) {
        (Some(c @ ('a' | 'b' | 'c' | 'i' | 'o' | 'w')), None) if !rest.is_empty() => Some((c, rest)),
        _ => None,
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

/// The path in a `---` or `+++` line: before a tab, without quotes.
fn name_of(rest: &str) -> String {
    let name = rest.split('\t').next().unwrap_or(rest).trim_end();
    unquoted(name.trim())
}

/// Both names of a `diff --git` line, where they are quoted or one and the same.
fn git_names(names: &str) -> Option<(String, String)> {
    if let Some(rest) = names.strip_prefix('"') {
        let close = quote_end(rest)?;
        let second = rest[close + 1..].trim();
        return Some((unquoted(&names[..close + 2]), unquoted(second)));
    }
    let names = names.trim_end();
    let halves = || names.match_indices(' ').map(|(at, _)| (&names[..at], &names[at + 1..]));
    let same = |(a, b): &(&str, &str)| matches!((prefixed(a), prefixed(b)), (Some((_, a)), Some((_, b))) if a == b);
    let (a, b) = halves().find(same).or_else(|| halves().find(|(_, b)| b.starts_with('"') || b.starts_with("b/")))?;
    Some((a.to_owned(), unquoted(b)))
}

fn quote_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| match c {
        '\\' if !escaped => {
            escaped = true;
            None
        }
        '"' if !escaped => Some(at),
        _ => {
            escaped = false;
            None
        }
    })
}

/// A path without quotes; git's have C's escapes.
fn unquoted(name: &str) -> String {
    let name = name.trim();
    for mark in ['`', '\''] {
        if let Some(inner) = name.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark)) {
            return inner.to_owned();
        }
    }
    let Some(inner) = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return name.to_owned() };
    let mut bytes = Vec::new();
    let mut rest = inner.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        match rest {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            [c, tail @ ..] => {
                bytes.push(match c {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    other => *other,
                });
                rest = tail;
            }
            [] => bytes.push(b'\\'),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the line of a hunk's header says.
struct Header {
    line: Option<u32>,
    /// Lines of the old and the new file.
    counts: Option<(usize, usize)>,
    heading: Option<String>,
}

impl Header {
    fn of(line: &str) -> Self {
        let none = Self { line: None, counts: None, heading: None };
        let Some((ranges, heading)) = line.get(2..).and_then(|rest| rest.split_once("@@")) else { return none };
        let heading =
            Some(heading.strip_prefix(' ').unwrap_or(heading).trim_end().to_owned()).filter(|h| !h.is_empty());
        let mut parts = ranges.split_whitespace();
        let range = |part: Option<&str>, mark: char| -> Option<(u32, usize)> {
            let part = part?.strip_prefix(mark)?;
            let (start, count) = part.split_once(',').unwrap_or((part, "1"));
            Some((start.parse().ok()?, count.parse().ok()?))
        };
        match (range(parts.next(), '-'), range(parts.next(), '+')) {
            (Some((start, old)), Some((_, new))) => Self { line: Some(start), counts: Some((old, new)), heading },
            _ => Self { heading, ..none },
        }
    }
}

/// The lines of a hunk: mark, number in the text, and whether the file has no line end behind it.
struct Body {
    lines: Vec<(u8, usize, bool)>,
    old: usize,
    new: usize,
    end: usize,
    /// Empty lines at the end that may part this from what follows.
    loose: usize,
}

impl Body {
    fn push(&mut self, mark: u8, index: usize) {
        self.old += usize::from(mark != b'+');
        self.new += usize::from(mark != b'-');
        self.lines.push((mark, index, false));
    }

    fn block(&self, text: &Lines, crlf: bool, header: &Header, sound: bool) -> Block {
        let side = |other: u8| {
            let mut bytes = Vec::new();
            for (_, index, unended) in self.lines.iter().filter(|(mark, ..)| *mark != other) {
                // An empty line of context has often lost its space.
                let content = text.content(*index, crlf);
                let lost = content == b"\r";
                bytes.extend_from_slice(if lost { content } else { content.get(1..).unwrap_or_default() });
                if !unended {
                    bytes.push(b'\n');
                }
            }
            bytes
        };
        let at_end = self.lines.iter().any(|(mark, _, unended)| *unended && *mark != b'+');
        let locator = Locator {
            diff: true,
            line: header.line.filter(|line| sound && *line > 0),
            heading: header.heading.clone().filter(|_| sound),
            under: Vec::new(),
            at_end: at_end && self.old > 0,
            loose_lines: self.loose,
        };
        Block { search: side(b'+'), replace: side(b'-'), locator }
    }
}

fn empty() -> Body {
    Body { lines: Vec::new(), old: 0, new: 0, end: 0, loose: 0 }
}

/// The mark of a line inside a hunk.
fn mark_of(text: &Lines, index: usize) -> Option<u8> {
    match text.raw(index).first() {
        Some(mark @ (b' ' | b'+' | b'-' | b'\\')) => Some(*mark),
        None | Some(b'\n' | b'\r') => Some(b'\n'),
        _ => None,
    }
}

/// The lines that the header counts; `None` where the lines do not fit the counts.
fn counted(text: &Lines, from: usize, (old, new): (usize, usize)) -> Result<Option<Body>, Stop> {
    let mut body = empty();
    let mut index = from;
    let waits = |index: usize| index >= text.len() && !text.complete;
    while body.old < old || body.new < new {
        if waits(index) {
            return Err(Stop::More);
        }
        if index >= text.len() {
            return Ok(None);
        }
        match mark_of(text, index) {
            Some(b'\\') => no_newline(&mut body),
            Some(b'\n') => body.push(b' ', index),
            Some(mark) => body.push(mark, index),
            None => return Ok(None),
        }
        index += 1;
    }
    if body.old != old || body.new != new {
        return Ok(None);
    }
    if waits(index) {
        return Err(Stop::More);
    }
    if text.raw(index).starts_with(b"\\") && index < text.len() {
        no_newline(&mut body);
        index += 1;
        if waits(index) {
            return Err(Stop::More);
        }
    }
    body.end = index;
    // More lines of a hunk right behind it: the counts are wrong.
    let follows = matches!(mark_of(text, index), Some(b' ' | b'+' | b'-')) && !text.is_blank(index);
    if follows && !starts_header(text, index)? && text.at(index).trim_end() != "--" {
        return Ok(None);
    }
    Ok(Some(body))
}

fn no_newline(body: &mut Body) {
    if let Some((_, _, unended)) = body.lines.last_mut() {
        *unended = true;
    }
}

/// The lines up to the first that cannot be one of a hunk.
fn by_first_character(text: &Lines, from: usize) -> Result<Body, Stop> {
    let mut body = empty();
    let mut index = from;
    loop {
        if index >= text.len() {
            if !text.complete {
                return Err(Stop::More);
            }
            break;
        }
        if starts_header(text, index)? && (text.at(index + 2).starts_with("@@") || index + 2 >= text.len()) {
            if index + 2 >= text.len() && !text.complete {
                return Err(Stop::More);
            }
            break;
        }
        match mark_of(text, index) {
            Some(b'\\') => no_newline(&mut body),
            Some(b'\n') => body.push(b' ', index),
            Some(mark) => body.push(mark, index),
            None => break,
        }
        index += 1;
    }
    body.end = index;
    body.loose = body.lines.iter().rev().take_while(|(mark, index, _)| *mark == b' ' && text.is_blank(*index)).count();
    // A hunk that ends with the text or before a fence has its empty lines from there.
    if body.lines.len() == body.loose {
        body.loose = 0;
    }
    Ok(body)
}
