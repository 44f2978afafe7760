//! What models and transports do to edits, put onto real ones, and what must come of it.

use super::history::{Change, Hunk, Line};
use super::write::{self, Edit};

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
    Class { name: "spaces for tabs", must: Must::Apply, on: HUNKS, make: spaces_for_tabs },
    Class { name: "HTML entities", must: Must::Apply, on: HUNKS, make: entities },
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
        text.as_ref().is_some_and(|text| text.ends_with('\n') && !text.ends_with("\n\n") && text.len() > 1)
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

fn spaces_for_tabs(case: &mut Case) {
    let mut any = false;
    for line in case.hunks.iter_mut().flat_map(|hunk| &mut hunk.lines) {
        any |= line.text.contains('\t');
        line.text = line.text.replace('\t', "    ");
    }
    // Where the file has no tab, nothing of it tells that spaces mean one.
    case.skip = !any || case.change.before.as_ref().is_none_or(|before| !before.contains('\t'));
}

fn entities(case: &mut Case) {
    let mut any = false;
    for line in case.hunks.iter_mut().flat_map(|hunk| &mut hunk.lines) {
        any |= line.text.contains(['<', '>', '&']);
        line.text = line.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    }
    case.skip = !any || case.change.before.is_none();
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

/// The edit written again with another path, where the path stands in it.
fn rename(case: &mut Case, with: impl Fn(&str) -> String) {
    let path = case.change.path.clone();
    let name = with(&path);
    case.skip = path.contains([' ', '"', '\\']) || !path.contains(['/', '.']) || case.change.to.is_some();
    let marks: Vec<(String, String)> = match case.format {
        "unified-diff" if name.starts_with('"') => {
            ["a", "b"].map(|side| (format!(" {side}/{path}\n"), format!(" \"{side}/{path}\"\n"))).into()
        }
        "unified-diff" => ["a", "b"].map(|side| (format!(" {side}/{path}\n"), format!(" {name}\n"))).into(),
        "apply-patch" => vec![(format!(" File: {path}\n"), format!(" File: {name}\n"))],
        "line-range" | "hunk-list" => vec![(format!("\"path\":\"{path}\""), format!("\"path\":\"{name}\""))],
        _ => vec![(format!("{path}\n"), format!("{name}\n"))],
    };
    let before = case.text.clone();
    for (from, to) in marks {
        case.text = case.text.replace(&from, &to);
    }
    case.skip |= case.text == before || before.matches(&path).count() > case.text.matches(&name).count() + 1;
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
