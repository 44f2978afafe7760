//! Splits a change into commits that each say one thing: sources, tests, documents.
//!
//! Pure and by path alone, so that the plan can be shown before anything is done. A file that moves from one group to
//! another belongs to the group of its new path.

use crate::imperative::gerund;
use crate::message::{Kind, Message};
use atelier_protocol::event::FileChange;

/// A commit that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedCommit {
    /// Its type.
    pub kind: Kind,
    /// Its whole message.
    pub message: String,
    /// Which of the changes it holds, as places in the list given; in that order.
    pub changes: Vec<usize>,
}

/// What a file is, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Sources,
    Tests,
    Documents,
}

/// One commit per group that has changes, sources first, then tests, then documents; groups that would have the same
/// type are one commit. Every change is in exactly one commit. No changes, no commits.
pub fn plan_commits(changes: &[FileChange], message: &Message) -> Vec<PlannedCommit> {
    let kind_of = |group| match group {
        Group::Sources => message.kind(),
        Group::Tests => Kind::Test,
        Group::Documents => Kind::Docs,
    };
    let mut commits: Vec<PlannedCommit> = Vec::new();
    for group in [Group::Sources, Group::Tests, Group::Documents] {
        let of_group = changes.iter().enumerate().filter(|(_, change)| group_of(&change.path) == group);
        let places: Vec<usize> = of_group.map(|(place, _)| place).collect();
        if places.is_empty() {
            continue;
        }
        let kind = kind_of(group);
        match commits.iter_mut().find(|commit| commit.kind == kind) {
            Some(commit) => commit.changes.extend(places),
            None => commits.push(PlannedCommit { kind, message: String::new(), changes: places }),
        }
    }
    let subject = message.imperative();
    for (place, commit) in commits.iter_mut().enumerate() {
        commit.changes.sort_unstable();
        // The first commit says what the run did, the others what they add to it.
        let about = match (place, commit.kind) {
            (1.., Kind::Test) => format!("cover {}", gerund(&subject).unwrap_or_else(|| subject.clone())),
            (1.., Kind::Docs) => format!("describe {}", gerund(&subject).unwrap_or_else(|| subject.clone())),
            _ => subject.clone(),
        };
        commit.message = message.text(commit.kind, &about, place == 0);
    }
    commits
}

/// Tests by the customs of the common languages; documents are prose, wherever it stands outside the tests.
fn group_of(path: &str) -> Group {
    const TEST_FOLDERS: &[&str] = &["test", "tests", "__tests__", "spec", "specs", "e2e", "testdata", "__snapshots__"];
    const DOCUMENT_FOLDERS: &[&str] = &["docs", "doc"];
    const DOCUMENT_ENDINGS: &[&str] = &["md", "mdx", "rst", "adoc"];
    let lower = path.to_lowercase();
    let (folders, name) = lower.rsplit_once('/').unwrap_or(("", &lower));
    let in_folder = |names: &[&str]| folders.split('/').any(|folder| names.contains(&folder));
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let test_name = stem.starts_with("test_")
        || ["_test", "_tests", ".test", ".spec", "_spec"].iter().any(|end| stem.ends_with(end))
        || name == "conftest.py"
        || (matches!(ending, "java" | "kt" | "cs" | "swift") && (stem.ends_with("test") || stem.ends_with("tests")));
    if in_folder(TEST_FOLDERS) || test_name {
        Group::Tests
    } else if DOCUMENT_ENDINGS.contains(&ending) || in_folder(DOCUMENT_FOLDERS) {
        Group::Documents
    } else {
        Group::Sources
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atelier_protocol::event::FileStatus;
    use proptest::prelude::*;

    fn changed(paths: &[&str]) -> Vec<FileChange> {
        let change = |path: &&str| FileChange {
            path: (*path).to_owned(),
            old_path: None,
            status: FileStatus::Modified,
            insertions: Some(1),
            deletions: Some(0),
        };
        paths.iter().map(change).collect()
    }

    fn told(paths: &[&str], message: &Message) -> String {
        let line = |commit: PlannedCommit| {
            let files: Vec<&str> = commit.changes.iter().map(|place| paths[*place]).collect();
            format!("{}   <- {}", commit.message.lines().next().unwrap_or_default(), files.join(", "))
        };
        plan_commits(&changed(paths), message).into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn sources_tests_and_documents_are_commits_of_their_own() {
        let paths = ["README.md", "Cargo.lock", "docs/use.html", "src/lib.rs", "src/math_test.go", "tests/it.rs"];
        insta::assert_snapshot!(told(&paths, &Message::of("Add a divide function.")), @r"
        feat: add a divide function   <- Cargo.lock, src/lib.rs
        test: cover adding a divide function   <- src/math_test.go, tests/it.rs
        docs: describe adding a divide function   <- README.md, docs/use.html
        ");
    }

    #[test]
    fn one_group_is_one_commit() {
        insta::assert_snapshot!(
            [
                told(&["src/a.rs", "src/b.rs"], &Message::of("rename Foo to Bar")),
                told(&["tests/a.rs"], &Message::of("add tests for the parser")),
                told(&["README.md"], &Message::of("add a section about flags")),
                told(&["src/lib.rs", "README.md"], &Message::of("document the parser")),
            ]
            .join("\n"),
            @r"
            refactor: rename Foo to Bar   <- src/a.rs, src/b.rs
            test: add tests for the parser   <- tests/a.rs
            docs: add a section about flags   <- README.md
            docs: document the parser   <- src/lib.rs, README.md
            "
        );
    }

    #[test]
    fn tests_are_known_by_the_customs_of_their_language() {
        let tests = [
            "tests/a.rs",
            "test/a.js",
            "src/__tests__/a.tsx",
            "a_test.go",
            "test_a.py",
            "a.test.ts",
            "a.spec.ts",
            "conftest.py",
            "src/test/java/AppTest.java",
            "lib/ATests.cs",
            "spec/a_spec.rb",
            "tests/README.md",
        ];
        for path in tests {
            assert_eq!(group_of(path), Group::Tests, "{path}");
        }
        for path in ["src/contest.py", "src/latest.ts", "src/protest/a.rs", "attestation.go", "testing.rs"] {
            assert_eq!(group_of(path), Group::Sources, "{path}");
        }
        for path in ["README.md", "docs/conf.py", "src/NOTES.rst"] {
            assert_eq!(group_of(path), Group::Documents, "{path}");
        }
    }

    #[test]
    fn body_goes_to_the_first_commit_and_trailers_to_all() {
        let message = Message {
            kind: Some(Kind::Fix),
            body: "It divided by zero.".into(),
            trailers: vec![("Atelier-Run".into(), "r".into())],
            ..Message::of("handle zero")
        };
        let commits = plan_commits(&changed(&["src/a.rs", "tests/a.rs"]), &message);
        let texts: Vec<_> = commits.iter().map(|c| c.message.as_str()).collect();
        insta::assert_snapshot!(texts.join("---\n"), @r"
        fix: handle zero

        It divided by zero.

        Atelier-Run: r
        ---
        test: cover handling zero

        Atelier-Run: r
        ");
    }

    proptest! {
        #[test]
        fn every_change_is_in_exactly_one_commit(paths in prop::collection::vec("(src|tests|docs|a)/[a-z_]{1,6}\\.(rs|md|py)", 0..20)) {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let commits = plan_commits(&changed(&paths), &Message::of("add x"));
            let mut places: Vec<usize> = commits.iter().flat_map(|c| c.changes.clone()).collect();
            places.sort_unstable();
            prop_assert_eq!(places, (0..paths.len()).collect::<Vec<_>>());
            prop_assert!(commits.iter().all(|c| !c.changes.is_empty()));
        }
    }
}
