//! The tools that only look: list, read, search, diff; and what every tool is called and takes.
//!
//! A tool answers with text for the model and one line for people, or with a refusal that says what to do instead.
//! Nothing is read through a link that leaves the folder.

use crate::files::{self, inside};
use crate::role::{Role, Tool};
use atelier_models::ToolSpec;
use atelier_protocol::document::Document;
use atelier_protocol::hash::Hash;
use atelier_protocol::view::{DiffView, Hit, Side};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// Entries that `list_files` shows at most.
const LIST_LIMIT: usize = 300;
/// Lines that `read_file` shows at once.
const READ_LINES: usize = 400;
/// Bytes of text that any tool answers with at most.
pub const ANSWER_BYTES: usize = 16 * 1024;

/// What a tool says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// One line for people.
    pub line: String,
    /// What the model is told.
    pub text: String,
    /// Whether it did what was asked.
    pub ok: bool,
}

impl Answer {
    /// It was done.
    pub fn done(line: impl Into<String>, text: impl Into<String>) -> Self {
        Self { line: line.into(), text: text.into(), ok: true }
    }
    /// It was not done; `text` says why and what to do instead.
    pub fn refused(line: impl Into<String>, text: impl Into<String>) -> Self {
        Self { line: line.into(), text: text.into(), ok: false }
    }
}

/// The tools of a role as a model is offered them.
pub fn offered(role: &Role) -> Vec<ToolSpec> {
    // What is written in answers is no tool to a model.
    role.tools.iter().filter(|tool| **tool != Tool::ApplyEdits).map(|tool| spec(*tool)).collect()
}

fn spec(tool: Tool) -> ToolSpec {
    let text = |about: &str| json!({"type": "string", "description": about});
    let number = |about: &str| json!({"type": "integer", "description": about});
    let (description, properties, required): (&str, Value, &[&str]) = match tool {
        Tool::ListFiles => (
            "List the files of the project, or of one folder.",
            json!({"path": text("folder, empty for the whole project")}),
            &[],
        ),
        Tool::ReadFile => (
            "Read a file, whole or a range of lines.",
            json!({"path": text("file"), "start": number("first line, from 1"), "end": number("last line")}),
            &["path"],
        ),
        Tool::Search => {
            ("Search the project for words or identifiers.", json!({"query": text("words to find")}), &["query"])
        }
        Tool::ReadDiff => ("Read everything that this run changed, as a unified diff.", json!({}), &[]),
        Tool::EditFile => (
            "Replace one exact piece of text in a file. The text must occur exactly once.",
            json!({"path": text("file"), "search": text("exact text to find, with enough lines to be unique"),
                   "replace": text("text to put in its place")}),
            &["path", "search", "replace"],
        ),
        Tool::WriteFile => (
            "Write a whole file, new or in place of the old one.",
            json!({"path": text("file"), "content": text("the whole content")}),
            &["path", "content"],
        ),
        Tool::ApplyEdits => (
            "Apply edits of several files, all or none.",
            json!({"format": text("how they are written"), "edits": text("the edits")}),
            &["format", "edits"],
        ),
        Tool::DeleteFile => ("Delete a file.", json!({"path": text("file")}), &["path"]),
        Tool::RunCheck => (
            "Run one of the project's checks on the present files.",
            json!({"name": text("the check's name")}),
            &["name"],
        ),
        Tool::SubmitSpec => (
            "Deliver the specification. Ends your work.",
            json!({"title": text("one line, imperative"), "summary": text("what it means, in a few sentences"),
                   "requirements": {"type": "array", "items": {"type": "string"}, "description": "what must hold, each checkable"}}),
            &["title", "requirements"],
        ),
        Tool::Remember => (
            "Keep something in mind for later runs. What you knew of the topic is replaced.",
            json!({"topic": text("what it is about, in a few words"), "text": text("what is worth knowing")}),
            &["topic", "text"],
        ),
        Tool::Recall => (
            "Recall what you kept in mind in earlier runs.",
            json!({"words": text("words it must hold; empty for everything")}),
            &[],
        ),
        Tool::SubmitReview => (
            "Deliver your judgement. Ends your work.",
            json!({"verdict": {"type": "string", "enum": ["approve", "reject"]},
                   "notes": text("findings, each with file and line where it has one")}),
            &["verdict", "notes"],
        ),
    };
    ToolSpec {
        name: tool.name().to_owned(),
        description: description.to_owned(),
        parameters: json!({"type": "object", "properties": properties, "required": required}),
    }
}

/// The text argument `name`, or what to tell the model.
pub fn text_argument<'a>(arguments: &'a Value, name: &str) -> Result<&'a str, String> {
    match arguments.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(format!("`{name}` must be a string, not {}", kind(other))),
        None => Err(format!("`{name}` is missing")),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A line number argument; models send numbers as text now and then.
fn line_argument(arguments: &Value, name: &str) -> Result<Option<usize>, String> {
    let number = match arguments.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    match number {
        Some(0) | None => Err(format!("`{name}` must be a line number from 1")),
        Some(line) => Ok(usize::try_from(line).ok()),
    }
}

/// Answers `list_files`.
pub fn list_files(root: &Path, arguments: &Value) -> Answer {
    let folder = arguments.get("path").and_then(Value::as_str).unwrap_or("");
    let line = format!("list {}", if folder.is_empty() { "." } else { folder });
    let start = match inside(root, folder) {
        Ok(start) => start,
        Err(why) => return Answer::refused(line, why),
    };
    let mut names = files_under(root, &start);
    let all = names.len();
    names.truncate(LIST_LIMIT);
    let mut text = names.join("\n");
    if all > LIST_LIMIT {
        let _ = write!(text, "\n({} more; list a folder to see them)", all - LIST_LIMIT);
    }
    Answer::done(format!("{line}: {all} files"), if all == 0 { "no files".to_owned() } else { text })
}

/// The files under `start`, relative to `root`, sorted, ignore files respected.
pub fn files_under(root: &Path, start: &Path) -> Vec<String> {
    let walk = ignore::WalkBuilder::new(start)
        .hidden(false)
        .git_global(false)
        .require_git(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build();
    let mut names: Vec<String> = walk
        .flatten()
        .filter(|entry| entry.file_type().is_some_and(|kind| !kind.is_dir()))
        .filter_map(|entry| entry.path().strip_prefix(root).ok().map(|p| p.to_string_lossy().replace('\\', "/")))
        .collect();
    names.sort();
    names
}

/// Answers `read_file`.
/// Whoever edits by line numbers is shown them, with the hash that vouches for them.
pub fn read_file(root: &Path, arguments: &Value, numbered: bool) -> Answer {
    let path = match text_argument(arguments, "path") {
        Ok(path) => path,
        Err(why) => return Answer::refused("read", why),
    };
    let found = inside(root, path).and_then(|place| files::read(&place).map_err(|why| format!("`{path}`: {why}")));
    let bytes = match found.and_then(|bytes| bytes.ok_or_else(|| format!("there is no `{path}`"))) {
        Ok(bytes) => bytes,
        Err(why) => return Answer::refused(format!("read {path}"), why),
    };
    let hash = numbered.then(|| Hash::of(&bytes));
    let Ok(text) = String::from_utf8(bytes) else {
        return Answer::refused(format!("read {path}"), format!("`{path}` is not text"));
    };
    lines(path, &text, arguments, hash.as_ref())
}

/// Answers `read_file` from a document that was read: its Markdown, and what is not in it.
pub fn read_document(path: &str, document: &Document, arguments: &Value) -> Answer {
    let mut text = document.markdown();
    for notice in &document.notices {
        let _ = writeln!(text, "(note: {})", notice.text);
    }
    lines(path, &text, arguments, None)
}

/// The lines of a text that were asked for, within what an answer may hold; with their numbers where the hash of the whole is
/// given.
fn lines(path: &str, text: &str, arguments: &Value, hash: Option<&Hash>) -> Answer {
    let range = line_argument(arguments, "start").and_then(|start| Ok((start, line_argument(arguments, "end")?)));
    let (start, end) = match range {
        Ok(range) => range,
        Err(why) => return Answer::refused(format!("read {path}"), why),
    };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let first = start.unwrap_or(1).min(lines.len().max(1));
    let wanted = end.unwrap_or(lines.len()).clamp(first, lines.len().max(first));
    let mut shown = String::new();
    if let Some(hash) = hash {
        let count = lines.len();
        let _ =
            writeln!(shown, "{path}: {count} lines, hash {hash}. The number and `|` before a line are no part of it.");
    }
    let head = shown.len();
    let mut last = first.saturating_sub(1);
    for piece in lines.iter().skip(first - 1).take((wanted + 1 - first).min(READ_LINES)) {
        if shown.len() + piece.len() > ANSWER_BYTES {
            if shown.len() == head {
                last += 1;
                let end = piece.floor_char_boundary(ANSWER_BYTES);
                let _ =
                    write!(shown, "{}\n(line {last} is cut: {end} of {} bytes are shown)", &piece[..end], piece.len());
            }
            break;
        }
        last += 1;
        if hash.is_some() {
            let _ = write!(shown, "{last}|");
        }
        shown.push_str(piece);
    }
    if last < wanted {
        let _ = write!(shown, "\n(lines {}-{} are not shown; ask for them with `start`)", last + 1, lines.len());
    }
    let line =
        if first == 1 && last == lines.len() { format!("read {path}") } else { format!("read {path} {first}-{last}") };
    Answer::done(line, if shown.is_empty() { "(the file is empty)".to_owned() } else { shown })
}

/// Answers `search` from hits. One whose lines the conversation holds already, as they are, is only named.
pub fn search(query: &str, hits: &[Hit], known: impl Fn(&Hit) -> bool) -> Answer {
    let mut text = String::new();
    let mut shown = 0;
    for hit in hits {
        let place = format!("{}:{}-{}", hit.path, hit.lines[0], hit.lines[1]);
        let piece = match known(hit) {
            true => format!("{place} (you have these lines, unchanged)\n\n"),
            false => format!("{place}\n{}\n\n", hit.snippet.trim_end()),
        };
        if text.len() + piece.len() > ANSWER_BYTES {
            break;
        }
        text.push_str(&piece);
        shown += 1;
    }
    let line = format!("search \"{query}\": {shown} hits");
    if shown == 0 {
        return Answer::done(line, "nothing found; try other words or list the files");
    }
    Answer::done(line, text)
}

/// A diff as unified text; files whose part would go over the limit are named instead.
pub fn diff_text(diff: &DiffView) -> String {
    let mut text = String::new();
    for file in &diff.files {
        let mut part =
            format!("--- {}\n+++ {}\n", file.change.old_path.as_ref().unwrap_or(&file.change.path), file.change.path);
        if file.binary {
            part.push_str("(binary)\n");
        }
        for hunk in &file.hunks {
            let _ = writeln!(part, "@@ -{} +{} @@ {}", hunk.old_start, hunk.new_start, hunk.header);
            for line in &hunk.lines {
                let mark = match line.side {
                    Side::Context => ' ',
                    Side::Added => '+',
                    Side::Removed => '-',
                };
                let _ = writeln!(part, "{mark}{}", line.text);
            }
        }
        if text.len() + part.len() > 3 * ANSWER_BYTES {
            let _ = writeln!(text, "(the diff of {} is long; read the file)", file.change.path);
        } else {
            text.push_str(&part);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("src")).unwrap();
        std::fs::write(dir.path().join("src/lib.rs"), "one\ntwo\nthree\n").unwrap();
        std::fs::write(dir.path().join(".gitignore"), "secret.txt\n").unwrap();
        std::fs::write(dir.path().join("secret.txt"), "x").unwrap();
        dir
    }

    #[test]
    fn files_are_listed_without_ignored_ones() {
        let dir = project();
        let answer = list_files(dir.path(), &json!({}));
        assert_eq!(answer, Answer::done("list .: 2 files", ".gitignore\nsrc/lib.rs"));
    }

    #[test]
    fn a_range_is_read_and_said() {
        let dir = project();
        let answer = read_file(dir.path(), &json!({"path": "src/lib.rs", "start": 2, "end": "2"}), false);
        assert_eq!(answer, Answer::done("read src/lib.rs 2-2", "two\n"));
        let whole = read_file(dir.path(), &json!({"path": "./src/lib.rs"}), false);
        assert_eq!(whole.text, "one\ntwo\nthree\n");
        let long = read_file(dir.path(), &json!({"path": "src/lib.rs", "start": 3, "end": 900}), false);
        assert_eq!(long.text, "three\n");
    }

    #[test]
    fn nothing_outside_is_read() {
        let dir = project();
        for path in ["/etc/passwd", "../x", "src/../../x"] {
            assert!(!read_file(dir.path(), &json!({"path": path}), false).ok, "{path}");
        }
        let numbered = read_file(dir.path(), &json!({"path": "src/lib.rs", "start": 2, "end": 2}), true).text;
        let (head, lines) = numbered.split_once('\n').unwrap();
        assert!(head.contains(Hash::of(&std::fs::read(dir.path().join("src/lib.rs")).unwrap()).as_str()), "{head}");
        assert!(lines.starts_with("2|"), "who edits by numbers is shown them: {lines}");
        assert_eq!(read_file(dir.path(), &json!({"path": "nope"}), false).text, "there is no `nope`");
        assert_eq!(read_file(dir.path(), &json!({"path": 3}), false).text, "`path` must be a string, not a number");
    }
}
