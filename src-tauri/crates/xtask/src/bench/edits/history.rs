//! Real changes out of a git history: each file that a commit changed, before and after, with the hunks between.

use crate::run::Failure;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::iter::Peekable;
use std::path::Path;
use std::process::{Command, Stdio};

/// How many lines of context hunks are taken with.
pub const CONTEXTS: [usize; 2] = [1, 3];

/// Larger files are left out.
const LARGEST: usize = 128 << 10;

/// One file of one commit.
pub struct Change {
    pub id: String,
    /// The old path, or the new one of a new file.
    pub path: String,
    /// The new path of a moved file.
    pub to: Option<String>,
    pub before: Option<String>,
    pub after: Option<String>,
    /// Hunks for each of [`CONTEXTS`].
    pub hunks: Vec<Vec<Hunk>>,
}

/// A hunk as git gives it.
#[derive(Clone)]
pub struct Hunk {
    /// First line and number of lines, old and new.
    pub old: (usize, usize),
    pub new: (usize, usize),
    pub heading: String,
    pub lines: Vec<Line>,
}

/// A line of a hunk: its mark, and its text with its line end where it has one.
#[derive(Clone)]
pub struct Line {
    pub mark: char,
    pub text: String,
}

impl Hunk {
    /// The lines of one side: those without the other side's mark.
    pub fn side(&self, other: char) -> String {
        self.lines.iter().filter(|line| line.mark != other).map(|line| line.text.as_str()).collect()
    }
}

/// What was taken from a history, and how many files were left out because they are not text.
pub struct History {
    pub changes: Vec<Change>,
    pub left_out: usize,
}

fn git(repo: &Path, args: &[&str]) -> Result<Vec<u8>, Failure> {
    let done = Command::new("git").arg("-C").arg(repo).args(args).output();
    match done {
        Ok(done) if done.status.success() => Ok(done.stdout),
        Ok(done) => Err(Failure::Work(format!("git {args:?}: {}", String::from_utf8_lossy(&done.stderr).trim()))),
        Err(error) => Err(Failure::Environment(format!("git cannot be started: {error}"))),
    }
}

/// The changes of the last `commits` commits that are no merges.
pub fn read(repo: &Path, commits: usize) -> Result<History, Failure> {
    let count = commits.to_string();
    let mut all: Vec<Vec<Entry>> = Vec::new();
    for context in CONTEXTS {
        let context = format!("-U{context}");
        let log = [
            "-c",
            "core.quotePath=false",
            "log",
            "--no-merges",
            "--min-parents=1",
            "-n",
            &count,
            "--format=commit %H",
            "--raw",
            "--no-abbrev",
            "-M",
            "-p",
            "--no-color",
            "--no-ext-diff",
            "--text",
            "--full-index",
            &context,
        ];
        all.push(entries(&git(repo, &log)?));
    }
    let mut contexts = all.into_iter();
    let first = contexts.next().unwrap_or_default();
    let rest: Vec<Vec<Entry>> = contexts.collect();
    let ids: Vec<&str> = first.iter().flat_map(|entry| [entry.old.as_str(), entry.new.as_str()]).collect();
    let blobs = blobs(repo, &ids)?;
    let mut history = History { changes: Vec::new(), left_out: 0 };
    for (at, entry) in first.iter().enumerate() {
        let blob = |id: &str| match blobs.get(id) {
            None => Some(None), // no file on this side
            Some(text) => text.clone().map(Some),
        };
        let (Some(before), Some(after)) = (blob(&entry.old), blob(&entry.new)) else {
            history.left_out += 1;
            continue;
        };
        let others = rest.iter().filter_map(|entries| entries.get(at)).map(|entry| entry.hunks.clone());
        let hunks = std::iter::once(entry.hunks.clone()).chain(others);
        let hunks =
            if before.is_some() && after.is_some() { hunks.collect() } else { vec![Vec::new(); CONTEXTS.len()] };
        let id = format!("{}:{}", entry.commit.get(..10).unwrap_or_default(), entry.path);
        history.changes.push(Change { id, path: entry.path.clone(), to: entry.to.clone(), before, after, hunks });
    }
    Ok(history)
}

/// A file of a commit, as git's log has it.
struct Entry {
    commit: String,
    old: String,
    new: String,
    path: String,
    to: Option<String>,
    hunks: Vec<Hunk>,
}

/// Regular files whose content changed or that were moved, with their hunks.
fn entries(log: &[u8]) -> Vec<Entry> {
    let text = String::from_utf8_lossy(log);
    let mut all: Vec<(bool, Entry)> = Vec::new();
    let mut commit = String::new();
    // Where the entries of this commit begin, and how many of them had their diff.
    let (mut from, mut diffs) = (0, 0);
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        if let Some(id) = line.strip_prefix("commit ") {
            commit = id.trim().to_owned();
            (from, diffs) = (all.len(), 0);
        } else if let Some(raw) = line.strip_prefix(':') {
            let mut fields = raw.trim_end_matches('\n').split('\t');
            let head: Vec<&str> = fields.next().unwrap_or_default().split(' ').collect();
            let [old_mode, new_mode, old, new, status] = head.as_slice() else { continue };
            let path = fields.next().unwrap_or_default().to_owned();
            let to = fields.next().filter(|_| status.starts_with('R')).map(str::to_owned);
            let is_file = |mode: &str| mode.starts_with("100") || mode == "000000";
            let quoted = path.starts_with('"') || to.as_ref().is_some_and(|to| to.starts_with('"'));
            let kept = is_file(old_mode) && is_file(new_mode) && !quoted && (old != new || to.is_some());
            let [old, new] = [*old, *new].map(str::to_owned);
            all.push((kept, Entry { commit: commit.clone(), old, new, path, to, hunks: Vec::new() }));
        } else if line.starts_with("diff --git ") {
            diffs += 1;
        } else if let Some(hunk) = hunk(line, &mut lines)
            && let Some((_, entry)) = all.get_mut(from + diffs - 1)
        {
            entry.hunks.push(hunk);
        }
    }
    all.into_iter().filter(|(kept, _)| *kept).map(|(_, entry)| entry).collect()
}

/// The texts of blobs by their ids; `None` for what is too large or no text.
fn blobs(repo: &Path, ids: &[&str]) -> Result<HashMap<String, Option<String>>, Failure> {
    let cannot = |error: std::io::Error| Failure::Environment(format!("git cat-file: {error}"));
    let mut command = Command::new("git");
    command.arg("-C").arg(repo).args(["cat-file", "--batch"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(cannot)?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Failure::Environment("git cat-file has no pipes".to_owned()));
    };
    let mut output = BufReader::new(output);
    let mut blobs = HashMap::new();
    std::thread::scope(|scope| -> std::io::Result<()> {
        scope.spawn(move || {
            for id in ids {
                if writeln!(input, "{id}").is_err() {
                    break;
                }
            }
        });
        let mut head = String::new();
        while output.read_line(&mut head)? > 0 {
            let mut fields = head.trim_end().split(' ');
            let (id, kind, size) = (fields.next().unwrap_or_default(), fields.next(), fields.next());
            if kind == Some("blob") {
                let size: usize = size.and_then(|size| size.parse().ok()).unwrap_or(0);
                let mut bytes = vec![0; size + 1];
                output.read_exact(&mut bytes)?;
                bytes.pop();
                let text = (size <= LARGEST && !bytes.contains(&0)).then(|| String::from_utf8(bytes).ok());
                blobs.insert(id.to_owned(), text.flatten());
            }
            head.clear();
        }
        Ok(())
    })
    .map_err(cannot)?;
    let _ = child.wait();
    Ok(blobs)
}

/// The hunk that `header` begins, by its counts.
fn hunk<'a>(header: &str, lines: &mut Peekable<impl Iterator<Item = &'a str>>) -> Option<Hunk> {
    let (ranges, heading) = header.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let range = |text: &str| {
        let (start, count) = text.split_once(',').unwrap_or((text, "1"));
        (start.parse().unwrap_or(0), count.parse().unwrap_or(0))
    };
    let heading = heading.trim_end_matches('\n').strip_prefix(' ').unwrap_or_default().to_owned();
    let mut hunk = Hunk { old: range(old), new: range(new), heading, lines: Vec::new() };
    let (mut old, mut new): (usize, usize) = (hunk.old.1, hunk.new.1);
    while old > 0 || new > 0 || lines.peek().is_some_and(|line| line.starts_with('\\')) {
        let Some(line) = lines.next() else { break };
        if line.starts_with('\\') {
            if let Some(last) = hunk.lines.last_mut() {
                last.text.truncate(last.text.trim_end_matches('\n').len());
            }
            continue;
        }
        let mark = line.chars().next().unwrap_or(' ');
        old -= usize::from(mark != '+').min(old);
        new -= usize::from(mark != '-').min(new);
        hunk.lines.push(Line { mark, text: line.get(1..).unwrap_or_default().to_owned() });
    }
    Some(hunk)
}

/// Whether the text of each hunk stands in the file once, as whole lines, at or behind the end of the hunk before.
///
/// Counted line by line, by comparing: slow, and nothing that an applier shares.
pub fn unambiguous(before: &str, hunks: &[Hunk]) -> bool {
    let lines: Vec<&str> = before.split_inclusive('\n').collect();
    let mut from = 0;
    for hunk in hunks {
        let side = hunk.side('+');
        let wanted: Vec<&str> = side.split_inclusive('\n').collect();
        let rest = lines.get(from..).unwrap_or_default();
        if wanted.is_empty() || rest.windows(wanted.len()).filter(|window| *window == wanted.as_slice()).count() != 1 {
            return false;
        }
        from = hunk.old.0 - 1 + hunk.old.1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "commit c\n\n:100644 100644 o n M\tx\n\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n--- b\n+++ c\n@@ -5 +5,2 @@ fn x() {\n-e\n\\ No newline at end of file\n+e\n+f\n";

    #[test]
    fn hunks_are_read_by_their_counts() {
        let entries = entries(DIFF.as_bytes());
        let hunks = &entries[0].hunks;
        assert_eq!(hunks.len(), 2);
        assert_eq!((hunks[0].side('+'), hunks[0].side('-')), ("a\n-- b\n".to_owned(), "a\n++ c\n".to_owned()));
        assert_eq!((hunks[1].side('+'), hunks[1].side('-')), ("e".to_owned(), "e\nf\n".to_owned()));
        assert_eq!((hunks[1].old, hunks[1].heading.as_str()), ((5, 1), "fn x() {"));
    }

    #[test]
    fn a_text_that_stands_twice_behind_the_hunk_before_is_ambiguous() {
        let hunk = |start: usize, text: &str| Hunk {
            old: (start, 1),
            new: (start, 1),
            heading: String::new(),
            lines: vec![Line { mark: '-', text: text.to_owned() }],
        };
        let file = "a\nb\na\nc\n";
        assert!(!unambiguous(file, &[hunk(1, "a\n")]));
        assert!(unambiguous(file, &[hunk(2, "b\n"), hunk(3, "a\n")]));
        assert!(!unambiguous(file, &[hunk(1, "x\n")]));
    }
}
