//! Writes a change in each format, the way a careful model would. `None` where a format cannot say it.

use super::history::{Change, Hunk};
use serde_json::{Value, json};

pub const FORMATS: [&str; 6] =
    ["whole-file", "search-replace", "unified-diff", "apply-patch", "line-range", "hunk-list"];

/// The parts of an edit, so that noise can be put between them: what comes first, one text a hunk, what comes last.
#[derive(Clone)]
pub struct Edit {
    pub head: String,
    pub parts: Vec<String>,
    pub tail: String,
}

impl Edit {
    pub fn text(&self) -> String {
        format!("{}{}{}", self.head, self.parts.concat(), self.tail)
    }
    fn new(head: impl Into<String>, parts: Vec<String>, tail: &str) -> Option<Self> {
        Some(Self { head: head.into(), parts, tail: tail.to_owned() })
    }
}

/// How the change's file begins and ends and parts its lines.
#[derive(PartialEq, Clone, Copy)]
struct Form {
    mark: bool,
    crlf: bool,
    lf: bool,
    ended: bool,
}

fn form(text: &str) -> Form {
    let crlf = text.matches("\r\n").count();
    let all = text.matches('\n').count();
    Form {
        mark: text.starts_with('\u{feff}'),
        crlf: crlf > 0,
        lf: all > crlf,
        ended: text.is_empty() || text.ends_with('\n'),
    }
}

/// The change in `format`; `hunks` are those of one size of context.
pub fn edit(format: &str, change: &Change, hunks: &[Hunk]) -> Option<Edit> {
    let (before, after) = (change.before.as_deref(), change.after.as_deref());
    // Formats without a word for it keep the form of the file.
    let kept = match (before, after) {
        (Some(before), Some(after)) => form(before) == form(after) && !(form(before).crlf && form(before).lf),
        (None, Some(after)) => form(after).ended && !form(after).crlf && !form(after).mark && !after.is_empty(),
        _ => true,
    };
    let path = change.path.as_str();
    match format {
        "whole-file" => {
            let after = after.filter(|after| kept && change.to.is_none() && !after.is_empty())?;
            whole(path, after)
        }
        "search-replace" => {
            let after = after.filter(|_| kept && change.to.is_none())?;
            let pairs = match before {
                None => vec![(String::new(), after.to_owned())],
                Some(_) => pairs(hunks)?,
            };
            let parts = pairs.iter().map(|(search, replace)| block(path, search, replace));
            Edit::new("", parts.collect::<Option<_>>()?, "")
        }
        "unified-diff" => Some(unified(change, hunks)),
        "apply-patch" => patch(change, hunks, kept),
        "line-range" => {
            let mut parts = Vec::new();
            match (before, after) {
                (_, _) if change.to.is_some() || !kept => return None,
                (Some(_), None) => parts.push(json!({"op": "delete", "path": path})),
                (None, Some(after)) => parts.push(json!({"op": "create", "path": path, "content": after})),
                _ => {
                    for hunk in hunks {
                        let (start, count) = if hunk.old.1 == 0 { (hunk.old.0 + 1, 0) } else { hunk.old };
                        parts.push(json!({
                            "path": path, "start": start, "end": start + count - 1,
                            "text": lf(&hunk.side('-')), "old": lf(&hunk.side('+')),
                        }));
                    }
                }
            }
            list(&parts)
        }
        "hunk-list" => {
            let mut parts = Vec::new();
            match (before, after) {
                (Some(_), None) => parts.push(json!({"op": "delete", "path": path})),
                (None, Some(after)) => parts.push(json!({"op": "create", "path": path, "content": after})),
                _ if !kept => return None,
                _ => {
                    for (search, replace) in pairs(hunks)? {
                        parts.push(json!({"path": path, "search": search, "replace": replace}));
                    }
                    if let Some(to) = &change.to {
                        parts.push(json!({"op": "move", "path": path, "to": to}));
                    }
                }
            }
            list(&parts)
        }
        _ => None,
    }
}

fn list(parts: &[Value]) -> Option<Edit> {
    let last = parts.len().checked_sub(1)?;
    let texts = parts.iter().enumerate().map(|(at, part)| format!("{part}{}\n", if at < last { "," } else { "" }));
    Edit::new("{\"edits\":[\n", texts.collect(), "]}\n")
}

fn lf(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" }
}

/// Search texts and replacements as whole lines. A text of nothing but space says no place.
fn pairs(hunks: &[Hunk]) -> Option<Vec<(String, String)>> {
    let pairs = hunks.iter().map(|hunk| {
        let (search, replace) = (lf(&hunk.side('+')), lf(&hunk.side('-')));
        (!search.trim().is_empty()).then_some((search, replace))
    });
    pairs.collect()
}

fn named(path: &str) -> String {
    let plain = path.contains(['/', '.']) && !path.contains(' ');
    if plain { path.to_owned() } else { format!("`{path}`") }
}

fn whole(path: &str, after: &str) -> Option<Edit> {
    let longest = after.lines().map(|line| line.trim_start().chars().take_while(|c| *c == '`').count()).max()?;
    let fence = "`".repeat(if longest >= 3 { longest + 3 } else { 3 });
    let body = lf(after.trim_start_matches('\u{feff}'));
    Edit::new(format!("{}\n{fence}\n", named(path)), vec![body], &format!("{fence}\n"))
}

fn block(path: &str, search: &str, replace: &str) -> Option<String> {
    let marker = |line: &str| ["<<<<<", "=====", ">>>>>"].iter().any(|mark| line.starts_with(mark));
    let width = if search.lines().chain(replace.lines()).any(marker) { 15 } else { 7 };
    let mark = |c: &str| c.repeat(width);
    if search.lines().chain(replace.lines()).any(|line| line.starts_with(&mark("="))) {
        return None;
    }
    Some(format!(
        "{}\n```\n{} SEARCH\n{search}{}\n{replace}{} REPLACE\n```\n\n",
        named(path),
        mark("<"),
        mark("="),
        mark(">")
    ))
}

fn body(hunk: &Hunk) -> String {
    let lines = hunk.lines.iter().map(|line| match line.text.ends_with('\n') {
        true => format!("{}{}", line.mark, line.text),
        false => format!("{}{}\n\\ No newline at end of file\n", line.mark, line.text),
    });
    lines.collect()
}

fn quoted(path: &str) -> String {
    if path.is_ascii() && !path.contains(['"', '\\']) { path.to_owned() } else { format!("{path:?}") }
}

fn unified(change: &Change, hunks: &[Hunk]) -> Edit {
    let old = quoted(&format!("a/{}", change.path));
    let new = quoted(&format!("b/{}", change.to.as_deref().unwrap_or(&change.path)));
    let range = |(start, count): (usize, usize)| format!("{start},{count}");
    let full = |text: &str, mark: char| {
        let lines: Vec<String> = text.split_inclusive('\n').map(|line| format!("{mark}{line}")).collect();
        let end = if text.ends_with('\n') { "" } else { "\n\\ No newline at end of file\n" };
        (lines.len(), lines.concat() + end)
    };
    match (&change.before, &change.after) {
        (None, Some(after)) if after.is_empty() => Edit {
            head: format!("diff --git {old} {new}\nnew file mode 100644\n"),
            parts: Vec::new(),
            tail: String::new(),
        },
        (Some(before), None) if before.is_empty() => Edit {
            head: format!("diff --git {old} {new}\ndeleted file mode 100644\n"),
            parts: Vec::new(),
            tail: String::new(),
        },
        (None, Some(after)) => {
            let (count, lines) = full(after, '+');
            let head = format!("--- /dev/null\n+++ {new}\n");
            Edit { head, parts: vec![format!("@@ -0,0 +1,{count} @@\n{lines}")], tail: String::new() }
        }
        (Some(before), None) => {
            let (count, lines) = full(before, '-');
            let head = format!("--- {old}\n+++ /dev/null\n");
            Edit { head, parts: vec![format!("@@ -1,{count} +0,0 @@\n{lines}")], tail: String::new() }
        }
        _ => {
            let mut head = String::new();
            if let Some(to) = &change.to {
                let share = if hunks.is_empty() { "100%" } else { "90%" };
                head = format!(
                    "diff --git {old} {new}\nsimilarity index {share}\nrename from {}\nrename to {}\n",
                    quoted(&change.path),
                    quoted(to)
                );
            }
            if !hunks.is_empty() {
                head += &format!("--- {old}\n+++ {new}\n");
            }
            let parts = hunks.iter().map(|hunk| {
                let heading = if hunk.heading.is_empty() { String::new() } else { format!(" {}", hunk.heading) };
                format!("@@ -{} +{} @@{heading}\n{}", range(hunk.old), range(hunk.new), body(hunk))
            });
            Edit { head, parts: parts.collect(), tail: String::new() }
        }
    }
}

fn patch(change: &Change, hunks: &[Hunk], kept: bool) -> Option<Edit> {
    const BEGIN: &str = "*** Begin Patch\n";
    const END: &str = "*** End Patch\n";
    let path = &change.path;
    let lines = |text: &str| -> String { text.split_inclusive('\n').map(|line| format!("+{line}")).collect() };
    match (&change.before, &change.after) {
        (Some(_), None) => Edit::new(BEGIN, vec![format!("*** Delete File: {path}\n")], END),
        (None, Some(after)) if after.ends_with('\n') || after.is_empty() => {
            Edit::new(BEGIN, vec![format!("*** Add File: {path}\n{}", lines(after))], END)
        }
        (Some(_), Some(_)) if kept => {
            let to = change.to.as_ref().map(|to| format!("*** Move to: {to}\n")).unwrap_or_default();
            let parts = hunks.iter().map(|hunk| {
                let lines = hunk.lines.iter().map(|line| format!("{}{}", line.mark, lf(&line.text)));
                // Lines that are only added have no place.
                hunk.lines.iter().any(|line| line.mark != '+').then(|| format!("@@\n{}", lines.collect::<String>()))
            });
            Edit::new(format!("{BEGIN}*** Update File: {path}\n{to}"), parts.collect::<Option<_>>()?, END)
        }
        _ => None,
    }
}
