//! What models and transports do to edits, put onto real ones, and what must come of it.

use super::history::{Change, Hunk, Line};
use super::write::{self, Edit};
use std::collections::HashMap;

/// What is right for a class of noise.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Must {
    /// The outcome is the clean one.
    Apply,
    /// Nothing may be changed, unless the outcome is the clean one after all.
    Refuse,
}

/// A class of noise: its name, what must come of it, and how it is made.
pub struct Class {
    pub name: &'static str,
    pub must: Must,
    /// The formats it can be put on.
    on: &'static [&'static str],
    make: fn(&mut Case),
}

/// A change on its way into a case.
pub struct Case {
    pub format: &'static str,
    pub change: Change,
    pub hunks: Vec<Hunk>,
    /// The text, once it is written; what changes it before is done to the hunks.
    pub text: String,
    /// Some number that is always the same for the same change.
    pub seed: usize,
    /// The class does not fit this change.
    pub skip: bool,
}

const ALL: &[&str] = &write::FORMATS;
const HUNKS: &[&str] = &["search-replace", "unified-diff", "apply-patch", "hunk-list"];
const TEXTS: &[&str] = &["whole-file", "search-replace", "unified-diff", "apply-patch"];

/// Done to the file and the hunks, before the edit is written.
pub const BEFORE: &[Class] = &[
    Class {
        name: "file with CR LF",
        must: Must::Apply,
        on: &["whole-file", "search-replace", "apply-patch", "hunk-list", "line-range"],
        make: crlf_file,
    },
    Class {
        name: "file with a byte order mark",
        must: Must::Apply,
        on: &["whole-file", "search-replace", "hunk-list", "line-range"],
        make: mark_file,
    },
    Class {
        name: "file without its last line end",
        must: Must::Apply,
        on: &["whole-file", "search-replace", "apply-patch", "hunk-list", "line-range"],
        make: unended_file,
    },
    Class { name: "space before line ends", must: Must::Apply, on: HUNKS, make: trailing_space },
    Class { name: "spaces for tabs", must: Must::Apply, on: HUNKS, make: |case| spaces_for_tabs(case, true) },
    Class {
        name: "spaces for tabs, unclear",
        must: Must::Refuse,
        on: HUNKS,
        make: |case| spaces_for_tabs(case, false),
    },
    Class { name: "HTML entities", must: Must::Apply, on: HUNKS, make: |case| entities(case, true) },
    Class { name: "HTML entities, unclear", must: Must::Refuse, on: HUNKS, make: |case| entities(case, false) },
    Class { name: "lines added above since", must: Must::Apply, on: HUNKS, make: lines_above },
    Class { name: "a line of context changed since", must: Must::Refuse, on: HUNKS, make: stale_context },
    Class { name: "`...` for lines of context", must: Must::Refuse, on: HUNKS, make: dots },
];

/// Done to the written text.
pub const AFTER: &[Class] = &[
    Class { name: "prose around", must: Must::Apply, on: ALL, make: prose },
    Class { name: "wrong fence length", must: Must::Apply, on: TEXTS, make: fences },
    Class {
        name: "CR LF in the edit",
        must: Must::Apply,
        on: ALL,
        make: |case| case.text = case.text.replace('\n', "\r\n"),
    },
    Class {
        name: "byte order mark before the edit",
        must: Must::Apply,
        on: ALL,
        make: |case| case.text.insert(0, '\u{feff}'),
    },
    Class {
        name: "no last line end in the edit",
        must: Must::Apply,
        on: ALL,
        make: |case| case.text = case.text.trim_end_matches('\n').to_owned(),
    },
    Class { name: "wrong counts", must: Must::Apply, on: &["unified-diff"], make: counts },
    Class {
        name: "`./` before the path",
        must: Must::Apply,
        on: ALL,
        make: |case| rename(case, |path| format!("./{path}")),
    },
    Class { name: "absolute path", must: Must::Apply, on: ALL, make: absolute },
    Class {
        name: "quoted path",
        must: Must::Apply,
        on: TEXTS,
        make: |case| rename(case, |path| format!("\"{path}\"")),
    },
    Class { name: "given twice", must: Must::Apply, on: ALL, make: |case| case.text = case.text.repeat(2) },
    Class { name: "cut off", must: Must::Refuse, on: ALL, make: cut_off },
];

impl Class {
    pub fn fits(&self, format: &str) -> bool {
        self.on.contains(&format)
    }

    pub fn put_on(&self, case: &mut Case) {
        (self.make)(case);
    }
}

fn both(case: &mut Case, with: impl Fn(&str) -> String) {
    for text in [&mut case.change.before, &mut case.change.after].into_iter().flatten() {
        *text = with(text);
    }
}

fn crlf_file(case: &mut Case) {
    case.skip = case.change.before.as_ref().is_none_or(|text| text.contains('\r'));
    both(case, |text| text.replace('\n', "\r\n"));
}

fn mark_file(case: &mut Case) {
    case.skip = case.change.before.is_none();
    both(case, |text| format!("\u{feff}{text}"));
}

fn unended_file(case: &mut Case) {
    let ends = |text: &Option<String>| {
        let alone = |text: &String| text.ends_with('\n') && !text.ends_with("\n\n") && !text.ends_with("\r\n");
        text.as_ref().is_some_and(|text| alone(text) && text.len() > 1)
    };
    case.skip = !ends(&case.change.before) || !ends(&case.change.after);
    both(case, |text| text.strip_suffix('\n').unwrap_or(text).to_owned());
}

fn context(case: &mut Case, mut with: impl FnMut(&mut Line)) {
    for line in case.hunks.iter_mut().flat_map(|hunk| &mut hunk.lines).filter(|line| line.mark == ' ') {
        with(line);
    }
}

fn trailing_space(case: &mut Case) {
    context(case, |line| {
        if let Some(body) = line.text.strip_suffix('\n').filter(|body| !body.trim().is_empty()) {
            line.text = format!("{body}  \n");
        }
    });
}

/// `clear`: where the file and the hunks tell that spaces mean tabs, else where they do not.
fn spaces_for_tabs(case: &mut Case, clear: bool) {
    // Where the file has no tab, nothing of it tells that spaces mean one.
    let before = case.change.before.as_ref().filter(|before| before.contains('\t'));
    // Of each depth nearly all lines have tabs, or none.
    let mut depths: HashMap<usize, (usize, usize)> = HashMap::new();
    for line in before.into_iter().flat_map(|text| text.lines()) {
        let space = &line[..line.len() - line.trim_start().len()];
        let depth = depths.entry(space.replace('\t', "    ").len() / 4).or_default();
        depth.0 += usize::from(space.starts_with('\t'));
        depth.1 += usize::from(space.starts_with(' '));
    }
    let one_way = depths.values().all(|(tabs, spaces)| *tabs >= 50 * spaces);
    let (mut any, mut shown, mut within, mut spaced) = (false, false, false, false);
    for line in case.hunks.iter_mut().flat_map(|hunk| &mut hunk.lines) {
        any |= line.text.contains('\t');
        shown |= line.mark != '+' && line.text.starts_with('\t') && !line.text.trim().is_empty();
        within |= line.text.trim().contains('\t');
        // It could not be told from an edit whose new lines have tabs, and that is more likely.
        spaced |= line.mark == '+' && line.text.trim_start_matches('\t').starts_with(' ');
        line.text = line.text.replace('\t', "    ");
    }
    case.skip = !any || spaced || before.is_none() || clear != (one_way && shown && !within);
}

/// `clear`: where the file or a program's operators tell that the characters are meant, else where they do not.
fn entities(case: &mut Case, clear: bool) {
    let before = case.change.before.as_deref().unwrap_or_default();
    let program = is_program(&case.change.path, before);
    let (mut any, mut told) = (false, false);
    for line in case.hunks.iter_mut().flat_map(|hunk| &mut hunk.lines) {
        let has = line.text.contains(['<', '>', '&']);
        any |= has;
        told |= has && (line.mark != '+' || program && operates(&line.text));
        line.text = line.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    }
    case.skip = !any || case.change.before.is_none() || clear != told;
}

fn is_program(path: &str, before: &str) -> bool {
    let known = "rs go c h cc cpp hpp cs java kt swift js mjs cjs ts py rb sh bash sql lua zig scala dart am ac mk";
    let end = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, end)| end);
    // A page in a program may have entities of its own.
    let page = before.lines().any(|line| line.trim_start().starts_with("</"));
    !page && end.map_or(before.starts_with("#!"), |end| known.split(' ').any(|known| known == end))
}

/// Whether a line has an operator, a reference or a type's bracket outside of quotes and before any comment.
fn operates(line: &str) -> bool {
    let mut code = String::new();
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match quote {
            Some(_) if character == '\\' => _ = characters.next(),
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if "\"'`".contains(character) => quote = Some(character),
            None => code.push(character),
        }
    }
    if quote.is_some() || code.trim_start().starts_with(['*', '#', ';', '%']) {
        return false;
    }
    let end = ["//", "/*", " #", " -- "].into_iter().filter_map(|sign| code.find(sign)).min().unwrap_or(code.len());
    let code = &code[..end];
    let signs = ["->", "=>", "&&", "<=", ">=", "<<", ">>", "(&", "::<"];
    let words = code.as_bytes().windows(3).any(|part| {
        let word = |byte: u8| byte.is_ascii_alphanumeric();
        // A comparison, or a reference.
        part == b" < " || part == b" > " || part[0] == b' ' && part[1] == b'&' && word(part[2])
    });
    words || signs.into_iter().any(|sign| code.contains(sign))
}

fn lines_above(case: &mut Case) {
    let first = case.hunks.first().map_or(0, |hunk| hunk.old.0.saturating_sub(1));
    case.skip = case.change.before.is_none() || case.hunks.is_empty() || first == 0;
    let at = case.seed % first.max(1);
    let count = case.seed % 5 + 1;
    both(case, |text| {
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        for number in 0..count {
            lines.insert(at.min(lines.len()), format!("added line {number}\n"));
        }
        lines.concat()
    });
}

fn stale_context(case: &mut Case) {
    let hunks = case.hunks.len();
    case.skip = true;
    let Some(hunk) = case.hunks.get(case.seed % hunks.max(1)) else { return };
    // The line's number in both files.
    let (mut old, mut new) = (hunk.old.0, hunk.new.0);
    let mut lines = Vec::new();
    for line in &hunk.lines {
        if line.mark == ' ' && line.text.len() > 4 && line.text.ends_with('\n') {
            lines.push((old, new));
        }
        old += usize::from(line.mark != '+');
        new += usize::from(line.mark != '-');
    }
    let shown: String = hunk.lines.iter().filter(|line| line.mark != '+').map(|line| line.text.as_str()).collect();
    let Some((old, new)) = lines.get(case.seed % lines.len().max(1)).copied() else { return };
    for (text, number) in [(&mut case.change.before, old), (&mut case.change.after, new)] {
        if let Some(text) = text {
            let lines = text.split_inclusive('\n').enumerate();
            // Before and behind, so that what stood there is no part of the line any more.
            let changed = |line: &str| format!("changed {} since\n", line.trim_end());
            *text = lines.map(|(at, line)| if at + 1 == number { changed(line) } else { line.to_owned() }).collect();
        }
    }
    // A few common lines may stand elsewhere too, and are shown as they are there.
    case.skip = case.change.before.as_ref().is_none_or(|before| before.contains(&shown));
}

fn dots(case: &mut Case) {
    case.skip = true;
    for hunk in &mut case.hunks {
        let runs: Vec<usize> = (0..hunk.lines.len().saturating_sub(1))
            .filter(|at| hunk.lines[*at].mark == ' ' && hunk.lines[*at + 1].mark == ' ')
            .collect();
        if let Some(at) = runs.get(runs.len() / 2).copied() {
            hunk.lines.splice(at..at + 2, [Line { mark: ' ', text: "...\n".to_owned() }]);
            case.skip = false;
        }
    }
}

fn prose(case: &mut Case) {
    let fenced = match case.format {
        "unified-diff" => format!("```diff\n{}```\n", case.text),
        "line-range" | "hunk-list" => format!("```json\n{}```\n", case.text),
        _ => case.text.clone(),
    };
    case.text = format!(
        "I looked at the code and this is what has to change.\n\n{fenced}\nNow the tests should pass. Let me know!\n"
    );
}

fn fences(case: &mut Case) {
    case.text = match case.format {
        "search-replace" => case
            .text
            .replace("\n<<<<<<< SEARCH\n", "\n<<<<<<<< SEARCH\n")
            .replace("\n>>>>>>> REPLACE\n```\n\n", "\n>>>>>>> REPLACE\n````\n\n"),
        "whole-file" => {
            let body = case.text.trim_end_matches('\n');
            case.skip = case.text.matches("```").count() != 2;
            format!("{body}`\n")
        }
        _ => format!("````diff\n{}```\n", case.text),
    };
}

fn counts(case: &mut Case) {
    let mut number = case.seed;
    let lines = case.text.split_inclusive('\n').map(|line| {
        let Some((ranges, heading)) = line.strip_prefix("@@ -").and_then(|rest| rest.split_once(" @@")) else {
            return line.to_owned();
        };
        let wrong: Vec<String> = ranges
            .split(" +")
            .map(|range| {
                let (start, count) = range.split_once(',').unwrap_or((range, "1"));
                number += 1;
                let count: usize = count.parse().unwrap_or(1);
                format!(
                    "{start},{}",
                    if number.is_multiple_of(2) {
                        count + number % 3 + 1
                    } else {
                        count.saturating_sub(number % 3).max(1)
                    }
                )
            })
            .collect();
        format!("@@ -{} @@{heading}", wrong.join(" +"))
    });
    let text: String = lines.collect();
    case.skip = case.hunks.is_empty();
    case.text = format!("```diff\n{text}```\n");
}

/// The edit with another path, where the path stands in it.
fn rename(case: &mut Case, with: impl Fn(&str) -> String) {
    let path = case.change.path.clone();
    let name = with(&path);
    case.skip = path.contains([' ', '"', '\\']) || !path.contains(['/', '.']) || case.change.to.is_some();
    let before = case.text.clone();
    if matches!(case.format, "line-range" | "hunk-list") {
        case.text = before.replace(&format!("\"path\":\"{path}\""), &format!("\"path\":\"{name}\""));
    } else {
        let lines =
            before.split_inclusive('\n').map(|line| renamed(line, &path, &name).unwrap_or_else(|| line.to_owned()));
        case.text = lines.collect();
    }
    case.skip |= case.text == before;
}

/// The line with another path, where it names one.
fn renamed(line: &str, path: &str, name: &str) -> Option<String> {
    let body = line.strip_suffix('\n')?;
    if body == path {
        return Some(format!("{name}\n"));
    }
    let sides = [format!("a/{path}"), format!("b/{path}")];
    let named = |side: &String| match name.strip_prefix('"') {
        Some(rest) => format!("\"{}/{rest}", &side[..1]),
        None => name.to_owned(),
    };
    if body.strip_prefix("diff --git ") == Some(&format!("{} {}", sides[0], sides[1])) {
        return Some(format!("diff --git {} {}\n", named(&sides[0]), named(&sides[1])));
    }
    let (mark, rest) = ["--- ", "+++ ", "*** Add File: ", "*** Update File: ", "*** Delete File: "]
        .into_iter()
        .find_map(|mark| Some((mark, body.strip_prefix(mark)?)))?;
    match sides.iter().find(|side| *side == rest) {
        Some(side) => Some(format!("{mark}{}\n", named(side))),
        None => (rest == path).then(|| format!("{mark}{name}\n")),
    }
}

fn absolute(case: &mut Case) {
    // A new file could lie anywhere.
    let new = case.change.before.is_none();
    rename(case, |path| format!("/home/you/project/{path}"));
    case.skip |= new;
}

fn cut_off(case: &mut Case) {
    let at = case.text.len() * (30 + case.seed % 60) / 100;
    let at = (0..=at).rev().find(|at| case.text.is_char_boundary(*at)).unwrap_or(0);
    // Nobody can see that more was to follow where the cut is between two blocks or hunks, or in a hunk's last line:
    // that is an edit without its last line end.
    let rest = &case.text[at..];
    let next = rest.split_once('\n').map_or("", |(_, next)| next);
    case.skip = match case.format {
        "search-replace" => case.text[..at].trim_end().ends_with(" REPLACE\n```"),
        "unified-diff" => rest.starts_with("@@ ") || next.starts_with("@@ ") || next.is_empty(),
        _ => false,
    };
    case.text.truncate(at);
}

/// The text of a case as it is written from its hunks.
pub fn written(case: &Case) -> Option<Edit> {
    write::edit(case.format, &case.change, &case.hunks)
}
