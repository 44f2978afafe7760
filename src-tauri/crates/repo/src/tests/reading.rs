//! Differences as a person reads them.

use crate::Tip;
use crate::fixture::{AT_MS, Project, run_id, write};
use atelier_protocol::view::{DiffView, FileDiff, Side};
use std::fmt::Write;

/// A diff as text, one line per thing.
fn told(view: &DiffView) -> String {
    let mut text = String::new();
    for FileDiff { change, binary, cut, hunks } in &view.files {
        let from = change.old_path.as_deref().map(|old| format!(" from {old}")).unwrap_or_default();
        let lines = change.insertions.zip(change.deletions).map(|(a, d)| format!(" +{a} -{d}")).unwrap_or_default();
        let flags = if *binary { " binary" } else { "" };
        let cut = if *cut { " cut" } else { "" };
        writeln!(text, "{:?} {}{from}{lines}{flags}{cut}", change.status, change.path).unwrap();
        for hunk in hunks {
            writeln!(text, "  @ {} {} {:?}", hunk.old_start, hunk.new_start, hunk.header).unwrap();
            for line in &hunk.lines {
                let mark = match line.side {
                    Side::Context => ' ',
                    Side::Added => '+',
                    Side::Removed => '-',
                };
                let number = |n: Option<u32>| n.map_or("-".to_owned(), |n| n.to_string());
                let end = if line.no_newline { " (no newline)" } else { "" };
                writeln!(text, "  {mark} {} {} {:?}{end}", number(line.old), number(line.new), line.text).unwrap();
            }
        }
    }
    text
}

#[test]
fn uncommitted_work_of_a_run_is_shown_with_hunks() {
    let before =
        "fn first() {\n    1\n}\n\nfn second() {\n    2\n}\n\nfn third() {\n    3\n    4\n    5\n    6\n    7\n}\n";
    let project = Project::new(&[("src/lib.rs", before), ("end", "no newline"), ("gone", "g\n"), ("crlf", "a\r\n")]);
    let tree = project.tree(&run_id(1));
    let file = |path: &str, content: &[u8]| write(tree.root(), path, content);
    file("src/lib.rs", before.replace("    1", "    one").replace("    6", "    six").as_bytes());
    file("end", b"no newline\nmore");
    file("crlf", b"a\n");
    file("blob", b"\0\x01\x02");
    file("latin", b"caf\xe9\n");
    file("empty", b"");
    std::fs::remove_file(tree.root().join("gone")).unwrap();
    let view = tree.diff(&tree.base(), Tip::Files).unwrap();
    assert_eq!((view.base, view.tip), (tree.base(), tree.tree_id().unwrap()));
    let view = tree.diff(&tree.base(), Tip::Files).unwrap();
    insta::assert_snapshot!(told(&view), @r#"
    Added blob binary
    Modified crlf +1 -1
      @ 1 1 ""
      - 1 - "a\r"
      + - 1 "a"
    Added empty +0 -0
    Modified end +2 -1
      @ 1 1 ""
      - 1 - "no newline" (no newline)
      + - 1 "no newline"
      + - 2 "more" (no newline)
    Deleted gone +0 -1
      @ 1 0 ""
      - 1 - "g"
    Added latin +1 -0
      @ 0 1 ""
      + - 1 "caf�"
    Modified src/lib.rs +2 -2
      @ 1 1 ""
        1 1 "fn first() {"
      - 2 - "    1"
      + - 2 "    one"
        3 3 "}"
        4 4 ""
        5 5 "fn second() {"
      @ 10 10 "fn third() {"
        10 10 "    3"
        11 11 "    4"
        12 12 "    5"
      - 13 - "    6"
      + - 13 "    six"
        14 14 "    7"
        15 15 "}"
    "#);
}

#[test]
fn attributes_that_a_run_writes_hide_nothing() {
    let project = Project::new(&[("evil.rs", "fn good() {}\n")]);
    let tree = project.tree(&run_id(1));
    write(tree.root(), ".gitattributes", "* -diff -text binary\n");
    write(tree.root(), "evil.rs", "fn evil() {}\n");
    let point = tree.checkpoint("hide", AT_MS).unwrap();
    let evil = point.files.iter().find(|f| f.path == "evil.rs").unwrap();
    assert_eq!((evil.insertions, evil.deletions), (Some(1), Some(1)));
    let view = tree.diff(&tree.base(), Tip::Commit(&point.commit)).unwrap();
    assert!(view.files.iter().all(|file| !file.binary && !file.hunks.is_empty()));
}

#[test]
fn the_same_difference_can_be_read_from_the_users_repository_when_the_tree_is_gone() {
    let project = Project::new(&[("a", "1\n"), (".gitattributes", "* -diff\n")]);
    let tree = project.tree(&run_id(1));
    write(tree.root(), "a", "2\n");
    let over = super::handing_over::hand_over(&project, &tree, "two");
    let from_tree = tree.diff(&tree.base(), Tip::Commit(over.tip())).unwrap();
    assert_eq!(project.open().diff(&tree.base(), over.tip()).unwrap(), from_tree);
    assert_eq!(from_tree.files[0].hunks.len(), 1);
}

#[test]
fn a_very_large_difference_is_cut_but_counted() {
    let project = Project::new(&[("a", "1\n")]);
    let tree = project.tree(&run_id(1));
    write(tree.root(), "long", "line\n".repeat(5_001));
    write(tree.root(), "just", "line\n".repeat(5_000));
    let view = tree.diff(&tree.base(), Tip::Files).unwrap();
    let told: Vec<_> = view.files.iter().map(|f| (f.change.path.as_str(), f.cut, f.change.insertions)).collect();
    assert_eq!(told, [("just", false, Some(5_000)), ("long", true, Some(5_001))]);
    assert!(view.files[1].hunks.is_empty());
}
