//! Writes a change the way a model would, in each edit format. Shares no code with the reader.

use super::exercise::Files;
use serde_json::json;
use std::fmt::Write as _;

/// The edit formats.
pub const FORMATS: [&str; 6] =
    ["whole-file", "search-replace", "unified-diff", "apply-patch", "line-range", "hunk-list"];

/// What a model answers to change `before` into `after`, and the files it removes by a tool, because the format has no
/// word for that.
pub fn answer(format: &str, before: &Files, after: &Files) -> (String, Vec<String>) {
    let mut text = String::new();
    let (mut items, mut removed) = (Vec::new(), Vec::new());
    for path in before.keys().chain(after.keys().filter(|path| !before.contains_key(*path))) {
        let side = |files: &Files| files.get(path).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let (old, new) = (side(before), side(after));
        if old == new {
            continue;
        }
        match (format, old, new) {
            ("unified-diff", old, new) => text.push_str(&unified(path, old.as_deref(), new.as_deref())),
            ("apply-patch", old, new) => text.push_str(&patched(path, old.as_deref(), new.as_deref())),
            (_, Some(_), None) => removed.push(path.clone()),
            ("whole-file", _, Some(new)) => {
                let _ = write!(text, "{path}\n```\n{}```\n\n", ended(&new));
            }
            ("search-replace", old, Some(new)) => {
                let (search, replace) = old.map_or((String::new(), ended(&new)), |old| {
                    let hunk = Hunk::of(&old, &new);
                    (ended(&hunk.before()), ended(&hunk.after()))
                });
                let _ = write!(text, "{path}\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n\n");
            }
            ("line-range", Some(old), Some(new)) => {
                let hunk = Hunk::of(&old, &new);
                let end = hunk.start + hunk.old.len();
                items.push(json!({"path": path, "start": hunk.start + 1, "end": end, "text": hunk.after()}));
            }
            ("hunk-list", Some(old), Some(new)) => {
                let hunk = Hunk::of(&old, &new);
                items.push(json!({"path": path, "search": hunk.before(), "replace": hunk.after()}));
            }
            (_, None, Some(new)) => items.push(json!({"op": "create", "path": path, "content": new})),
            (_, _, None) => {}
            (_, Some(_), Some(_)) => {}
        }
    }
    match format {
        "line-range" | "hunk-list" => text = json!({"edits": items}).to_string() + "\n",
        "apply-patch" => text = format!("*** Begin Patch\n{text}*** End Patch\n"),
        _ => {}
    }
    (format!("I make the change now.\n\n{text}"), removed)
}

/// The one stretch of lines in which two texts differ, with so many lines around it that the old one is in one place.
struct Hunk<'a> {
    /// Lines before it.
    start: usize,
    old: Vec<&'a str>,
    new: Vec<&'a str>,
    /// Lines of both that are the same at the beginning and at the end.
    around: (usize, usize),
}

impl<'a> Hunk<'a> {
    fn of(old: &'a str, new: &'a str) -> Self {
        let (a, b): (Vec<&str>, Vec<&str>) = (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
        let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
        let most = a.len().min(b.len()) - same;
        let ends = a.iter().rev().zip(b.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
        let mut context = 3;
        loop {
            let (head, tail) = (same.min(context), ends.min(context));
            let (from, left) = (same - head, ends - tail);
            let hunk = Hunk {
                start: from,
                old: a[from..a.len() - left].to_vec(),
                new: b[from..b.len() - left].to_vec(),
                around: (head, tail),
            };
            let places = a.windows(hunk.old.len().max(1)).filter(|lines| *lines == hunk.old.as_slice()).count();
            if (places == 1 && !hunk.before().trim().is_empty()) || (head == same && tail == ends) {
                return hunk;
            }
            context += 3;
        }
    }

    fn before(&self) -> String {
        self.old.concat()
    }

    fn after(&self) -> String {
        self.new.concat()
    }

    /// The lines with their marks, those of the old text before those of the new.
    fn marked(&self) -> String {
        let (head, tail) = self.around;
        let all = |mark: char, lines: &[&str]| marked(mark, &lines.concat());
        let (old, new) = (&self.old, &self.new);
        all(' ', &old[..head])
            + &all('-', &old[head..old.len() - tail])
            + &all('+', &new[head..new.len() - tail])
            + &all(' ', &old[old.len() - tail..])
    }
}

fn marked(mark: char, text: &str) -> String {
    let lines: String = text.split_inclusive('\n').map(|line| format!("{mark}{line}")).collect();
    if lines.is_empty() || lines.ends_with('\n') { lines } else { lines + "\n\\ No newline at end of file\n" }
}

/// A text as whole lines: a format of blocks cannot say that the last has no end.
fn ended(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

fn unified(path: &str, old: Option<&str>, new: Option<&str>) -> String {
    match (old, new) {
        (Some(old), Some(new)) => {
            let hunk = Hunk::of(old, new);
            let (from, a, b) = (hunk.start + 1, hunk.old.len(), hunk.new.len());
            format!("--- a/{path}\n+++ b/{path}\n@@ -{from},{a} +{from},{b} @@\n{}", hunk.marked())
        }
        (None, Some(new)) => {
            format!("--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{} @@\n{}", new.lines().count(), marked('+', new))
        }
        (Some(old), None) => {
            format!("--- a/{path}\n+++ /dev/null\n@@ -1,{} +0,0 @@\n{}", old.lines().count(), marked('-', old))
        }
        (None, None) => String::new(),
    }
}

fn patched(path: &str, old: Option<&str>, new: Option<&str>) -> String {
    match (old, new) {
        (Some(old), Some(new)) => format!("*** Update File: {path}\n@@\n{}", Hunk::of(old, new).marked()),
        (None, Some(new)) => format!("*** Add File: {path}\n{}", marked('+', new)),
        (Some(_), None) => format!("*** Delete File: {path}\n"),
        (None, None) => String::new(),
    }
}
