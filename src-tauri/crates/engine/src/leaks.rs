//! Where a change adds what looks like a key or personal data.
//!
//! Before a hand-over, keys alone: they must not get into a history, from which nothing can be taken back. Before a push,
//! all of it. It finds what looks like one; what only people know to be secret it cannot know.

use crate::run::{Halt, Run};
use atelier_protocol::event::{Checkpoint, Sensitive};
use atelier_protocol::view::{DiffView, Side};
use atelier_repo::Tip;

/// Whether it opens something. A long random text may be anything.
fn is_key(kind: Sensitive) -> bool {
    matches!(kind, Sensitive::PrivateKey | Sensitive::ApiKey | Sensitive::Password)
}

impl Run {
    /// The keys that the run's change adds.
    pub(crate) async fn keys_added(&self, point: &Checkpoint) -> Result<Vec<String>, Halt> {
        let (base, tip) = (self.machine.view.base.commit.clone(), point.commit.clone());
        let look = move |tree: &atelier_repo::RunTree| {
            let diff = tree.diff(&base, Tip::Commit(&tip)).map_err(|e| e.problem())?;
            let mut keys = added(&diff, is_key);
            // Of a long change no lines are shown; the file is looked through as it is then.
            for file in diff.files.iter().filter(|file| file.cut && !file.binary) {
                let path = &file.change.path;
                let bytes = tree.file_at(&tip, path).map_err(|e| e.problem())?.unwrap_or_default();
                keys.extend(in_text(path, &String::from_utf8_lossy(&bytes)));
            }
            Ok(keys)
        };
        Ok(self.desk.with_tree(self.tree_run(), look).await?)
    }
}

fn in_text(path: &str, text: &str) -> Vec<String> {
    let found = atelier_sensitive::scan(text).into_iter().filter(|finding| is_key(finding.kind));
    let line = |at: usize| text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    found.map(|finding| format!("{path}:{} {}", line(finding.range.start), word(finding.kind))).collect()
}

/// What a diff adds of the kinds that count, as `path:line what`.
pub(crate) fn added(diff: &DiffView, counts: impl Fn(Sensitive) -> bool) -> Vec<String> {
    let mut all = Vec::new();
    for file in &diff.files {
        // As one text, since some keys are many lines long.
        let added = file.hunks.iter().flat_map(|hunk| &hunk.lines).filter(|line| line.side == Side::Added);
        let (mut text, mut lines) = (String::new(), Vec::new());
        for line in added {
            lines.push((text.len(), line.new.unwrap_or(0)));
            text.push_str(&line.text);
            text.push('\n');
        }
        for finding in atelier_sensitive::scan(&text).into_iter().filter(|finding| counts(finding.kind)) {
            let at = lines.partition_point(|(begins, _)| *begins <= finding.range.start).saturating_sub(1);
            let line = lines.get(at).map_or(0, |(_, line)| *line);
            all.push(format!("{}:{line} {}", file.change.path, word(finding.kind)));
        }
    }
    all
}

fn word(kind: Sensitive) -> &'static str {
    match kind {
        Sensitive::PrivateKey => "a private key",
        Sensitive::ApiKey => "a key of a service",
        Sensitive::Password => "a password",
        Sensitive::Token => "a random text that looks like a key",
        Sensitive::Email => "an e-mail address",
        Sensitive::Phone => "a telephone number",
        Sensitive::Iban => "a bank account",
        Sensitive::Card => "a payment card",
    }
}

#[cfg(test)]
mod tests {
    //! Mutants that turn it red: kinds that do not count are named; lines that are not added are looked at; the line that
    //! is named is the one before.

    use super::*;
    use atelier_protocol::event::{FileChange, FileStatus};
    use atelier_protocol::view::{DiffLine, FileDiff, Hunk};

    #[test]
    fn keys_are_named_by_the_line_they_stand_on_also_where_they_are_many_lines_long() {
        let key = [
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ",
            "-----END OPENSSH PRIVATE KEY-----",
        ];
        let lines = std::iter::once("plain").chain(key).chain(["mail ada@lovelace.example.org"]);
        let line = |(at, text): (usize, &str), side: Side| DiffLine {
            side,
            old: None,
            new: u32::try_from(at + 7).ok(),
            text: text.to_owned(),
            no_newline: false,
        };
        let mut lines: Vec<DiffLine> = lines.enumerate().map(|at| line(at, Side::Added)).collect();
        // What goes, or was there before, is not added.
        for side in [Side::Removed, Side::Context] {
            lines.extend(key.iter().enumerate().map(|(at, text)| line((at + 20, text), side)));
        }
        let change = FileChange {
            path: "deploy/key".to_owned(),
            old_path: None,
            status: FileStatus::Added,
            insertions: Some(5),
            deletions: Some(0),
        };
        let hunk = Hunk { old_start: 0, new_start: 7, header: String::new(), lines };
        let file = FileDiff { change, binary: false, cut: false, hunks: vec![hunk] };
        let diff = DiffView { base: String::new(), tip: String::new(), files: vec![file] };
        insta::assert_snapshot!(added(&diff, |_| true).join("\n"), @r"
        deploy/key:8 a private key
        deploy/key:11 an e-mail address
        ");
        assert_eq!(added(&diff, is_key), ["deploy/key:8 a private key"]);
    }
}
