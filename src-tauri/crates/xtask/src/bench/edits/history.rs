//! Real changes out of a git history: each file that a commit changed, before and after, with the hunks between.

use crate::run::Failure;
use std::path::Path;
use std::process::Command;

/// How many lines of context hunks are taken with.
pub const CONTEXTS: [usize; 2] = [1, 3];

/// Larger files are left out.
const LARGEST: usize = 1 << 20;

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
    let ids = git(repo, &["log", "--no-merges", "--min-parents=1", "--format=%H", "-n", &count])?;
    let mut history = History { changes: Vec::new(), left_out: 0 };
    for id in String::from_utf8_lossy(&ids).lines() {
        let raw = git(repo, &["diff-tree", "-r", "-z", "-M", "--raw", "--no-abbrev", "--no-commit-id", id])?;
        let raw = String::from_utf8_lossy(&raw).into_owned();
        let mut fields = raw.split('\0');
        while let Some(head) = fields.next().filter(|head| !head.is_empty()) {
            let mut parts = head.trim_start_matches(':').split(' ');
            let (Some(old_mode), Some(new_mode), Some(old), Some(new), Some(status)) =
                (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
            else {
                break;
            };
            let Some(path) = fields.next() else { break };
            let to = if status.starts_with('R') { fields.next().map(str::to_owned) } else { None };
            let is_file = |mode: &str| mode.starts_with("100") || mode == "000000";
            if !is_file(old_mode) || !is_file(new_mode) || old == new && to.is_none() || status.starts_with('T') {
                continue;
            }
            let blob = |id: &str| -> Result<Option<Option<String>>, Failure> {
                if id.bytes().all(|b| b == b'0') {
                    return Ok(Some(None));
                }
                let bytes = git(repo, &["cat-file", "blob", id])?;
                let text = (bytes.len() <= LARGEST && !bytes.contains(&0)).then(|| String::from_utf8(bytes).ok());
                Ok(text.flatten().map(Some))
            };
            let (Some(before), Some(after)) = (blob(old)?, blob(new)?) else {
                history.left_out += 1;
                continue;
            };
            let mut hunks = Vec::new();
            for context in CONTEXTS {
                hunks.push(match (&before, &after) {
                    (Some(_), Some(_)) if old != new => {
                        let context = format!("-U{context}");
                        let diff = git(repo, &["diff", "--no-color", "--no-ext-diff", "--text", &context, old, new])?;
                        parse(&String::from_utf8_lossy(&diff))
                    }
                    _ => Vec::new(),
                });
            }
            let id = format!("{}:{path}", id.get(..10).unwrap_or(id));
            history.changes.push(Change { id, path: path.to_owned(), to, before, after, hunks });
        }
    }
    Ok(history)
}

/// The hunks of a diff that git made, by their counts.
fn parse(diff: &str) -> Vec<Hunk> {
    let mut hunks = Vec::new();
    let mut lines = diff.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let Some((ranges, heading)) = line.strip_prefix("@@ -").and_then(|rest| rest.split_once(" @@")) else {
            continue;
        };
        let Some((old, new)) = ranges.split_once(" +") else { continue };
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
        hunks.push(hunk);
    }
    hunks
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

    const DIFF: &str = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n--- b\n+++ c\n@@ -5 +5,2 @@ fn x() {\n-e\n\\ No newline at end of file\n+e\n+f\n";

    #[test]
    fn hunks_are_read_by_their_counts() {
        let hunks = parse(DIFF);
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
