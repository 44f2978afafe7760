//! What becomes of edits: placed exactly, or refused with something to act on, and the file keeps its form.
//!
//! Mutants that turn it red: of several places the first is taken (`place::one_or_many`); a block that was refused, a file
//! that its author did not read as it is, or one that is in the way of a moved one is passed over (`apply`).

#![allow(clippy::unwrap_used, clippy::panic)]

use atelier_edit::{Block, ChangeSet, Edit, Refusal, Relaxed, apply};
use atelier_protocol::Hash;
use std::collections::BTreeMap;

struct Project(BTreeMap<String, Vec<u8>>);

impl Project {
    fn with(path: &str, content: impl AsRef<[u8]>) -> Self {
        Self(BTreeMap::from([(path.to_owned(), content.as_ref().to_vec())]))
    }
    fn and(mut self, path: &str, content: &str) -> Self {
        self.0.insert(path.to_owned(), content.into());
        self
    }
    fn apply(&self, edits: &[Edit]) -> Result<ChangeSet, Refusal> {
        apply(|path| Ok(self.0.get(path).cloned()), edits)
    }
    /// The new text of the only changed file.
    fn after(&self, edits: &[Edit]) -> String {
        let mut set = self.apply(edits).unwrap();
        String::from_utf8(set.files.remove(0).after.unwrap()).unwrap()
    }
    /// The refusal as a person or a model reads it.
    fn refusal(&self, edits: &[Edit]) -> String {
        let problem = self.apply(edits).unwrap_err().problem();
        let details: String = problem.details.iter().map(|detail| format!("\n- {detail}")).collect();
        format!("{}: {}\n=> {}{details}", problem.code, problem.message, problem.hint)
    }
}

fn replace(path: &str, blocks: &[(&str, &str)]) -> Edit {
    let blocks = blocks.iter().map(|(a, b)| Block::new(*a, *b)).collect();
    Edit::Replace { path: path.into(), blocks }
}

fn write(path: &str, content: &str) -> Edit {
    Edit::Write { path: path.into(), content: content.into() }
}

fn delete(path: &str) -> Edit {
    Edit::Delete { path: path.into() }
}

const RUST: &str = "\
fn area(w: u32, h: u32) -> u32 {
    let result = w * h;
    result
}

fn volume(w: u32, h: u32, d: u32) -> u32 {
    let result = w * h * d;
    result
}
";

#[test]
fn a_unique_text_is_replaced_and_the_rest_stays() {
    let project = Project::with("a.rs", RUST);
    let set = project.apply(&[replace("./a.rs", &[("w * h;\n", "w * h; // flat\n")])]).unwrap();
    insta::assert_debug_snapshot!(set.files[0].applied, @"
    [
        AppliedHunk {
            lines: [
                2,
                2,
            ],
            relaxed: None,
        },
    ]
    ");
    assert_eq!(set.files[0].path, "a.rs");
    assert_eq!(set.files[0].before.as_deref(), Some(RUST.as_bytes()));
    assert_eq!(set.files[0].after, Some(RUST.replace("w * h;", "w * h; // flat").into_bytes()));
}

#[test]
fn a_text_that_stands_twice_is_refused_with_both_places() {
    let project = Project::with("a.rs", RUST);
    insta::assert_snapshot!(project.refusal(&[replace("a.rs", &[("    result\n", "    return result;\n")])]), @"
    edit_ambiguous: The search text of block 1 is in `a.rs` 2 times. Nothing was changed.
    => Add neighbouring lines to the search text (and to the replacement) until only one place fits.
    - line 3:
         1 | fn area(w: u32, h: u32) -> u32 {
         2 |     let result = w * h;
    >    3 |     result
         4 | }
         5 | 

    - line 8:
         6 | fn volume(w: u32, h: u32, d: u32) -> u32 {
         7 |     let result = w * h * d;
    >    8 |     result
         9 | }
    ");
}

#[test]
fn a_block_is_looked_for_behind_the_block_before_it() {
    let project = Project::with("a.rs", RUST);
    let after =
        project.after(&[replace("a.rs", &[("h * d;\n", "h * d * 2;\n"), ("    result\n", "    dbg(result)\n")])]);
    assert_eq!(after.matches("dbg(result)").count(), 1);
    assert!(after.ends_with("h * d * 2;\n    dbg(result)\n}\n"));
}

#[test]
fn a_block_that_stands_before_the_last_one_is_found_where_it_is_the_only_one() {
    let project = Project::with("a.rs", RUST);
    let set = project
        .apply(&[replace("a.rs", &[("fn volume", "fn space"), ("fn area", "// flat\n// only\nfn area")])])
        .unwrap();
    let lines: Vec<_> = set.files[0].applied.iter().map(|hunk| hunk.lines).collect();
    assert_eq!(lines, [[8, 8], [1, 3]], "lines count in the finished file");
}

#[test]
fn a_later_block_may_change_what_an_earlier_one_wrote() {
    let project = Project::with("a", "one\n");
    assert_eq!(project.after(&[replace("a", &[("one\n", "two\nthree\n"), ("two\n", "2\n")])]), "2\nthree\n");
}

#[test]
fn nothing_is_applied_when_one_edit_of_the_set_is_refused() {
    let project = Project::with("a", "one\n").and("b", "two\n");
    let refused = project.apply(&[write("new", "x\n"), replace("a", &[("one", "1")]), replace("b", &[("zwei", "2")])]);
    assert!(matches!(refused, Err(Refusal::NotFound { path, block: 1, .. }) if path == "b"));
}

#[test]
fn a_missing_text_is_refused_with_the_nearest_place_and_the_difference() {
    let project = Project::with("a.rs", RUST);
    insta::assert_snapshot!(
        project.refusal(&[replace("a.rs", &[("  let result = w * h * d;\n  result\n", "x\n")])]), @"
    edit_not_found: The search text of block 1 is not in `a.rs`: only the indentation differs: the file has 4 spaces where the search text has 2 spaces. Nothing was changed.
    => Copy the search text from the file exactly, with its indentation.
    - nearest, lines 7-8:
         5 | 
         6 | fn volume(w: u32, h: u32, d: u32) -> u32 {
    >    7 |     let result = w * h * d;
    >    8 |     result
         9 | }
    ");
    insta::assert_snapshot!(
        project.refusal(&[replace("a.rs", &[("fn volume(w: u32, h: u32) -> u32 {\n    let result = w * h * d;\n", "x\n")])]), @"
    edit_not_found: The search text of block 1 is not in `a.rs`: the nearest lines differ: for line 6 of the file, `fn volume(w: u32, h: u32, d: u32) -> u32 {`, the search text has `fn volume(w: u32, h: u32) -> u32 {`. Nothing was changed.
    => Copy the search text from the file exactly, with its indentation.
    - nearest, lines 6-7:
         4 | }
         5 | 
    >    6 | fn volume(w: u32, h: u32, d: u32) -> u32 {
    >    7 |     let result = w * h * d;
         8 |     result
         9 | }
    ");
    insta::assert_snapshot!(project.refusal(&[replace("a.rs", &[("import numpy as np\n", "x\n")])]), @"
    edit_not_found: The search text of block 1 is not in `a.rs`: no similar lines were found. Nothing was changed.
    => Read the file again and copy the search text from it exactly.
    ");
}

#[test]
fn edits_of_files_that_are_not_there_are_refused() {
    let project = Project::with("a.rs", RUST);
    insta::assert_snapshot!(project.refusal(&[replace("b.rs", &[("a", "b")])]), @"
    edit_not_found: There is no file `b.rs`. Nothing was changed.
    => Look the path up again, or give the whole content to make a new file.
    ");
    insta::assert_snapshot!(project.refusal(&[delete("b.rs")]), @"
    edit_not_found: There is no file `b.rs`. Nothing was changed.
    => Look the path up again, or give the whole content to make a new file.
    ");
}

#[test]
fn a_file_that_is_not_what_its_author_read_is_refused() {
    let project = Project::with("a.rs", "now\n");
    let expect = |path: &str, text: &str| Edit::Expect { path: path.into(), hash: Hash::of(text.as_bytes()) };
    let change = || replace("a.rs", &[("now\n", "new\n")]);
    assert_eq!(project.after(&[expect("a.rs", "now\n"), change()]), "new\n");
    insta::assert_snapshot!(project.refusal(&[expect("a.rs", "then\n"), change()]), @r"
    edit_not_found: `a.rs` has changed since it was read. Nothing was changed.
    => Read the file again, then write the edit for what it is now.
    ");
    let gone = project.apply(&[expect("b.rs", "b\n"), change()]).unwrap_err();
    assert_eq!(gone, Refusal::Stale { path: "b.rs".to_owned() });
}

#[test]
fn a_file_is_moved_with_its_bytes_and_never_over_another() {
    let project = Project::with("a.rs", "a \r\n").and("b.rs", "b\n");
    let to = |to: &str| Edit::Move { path: "a.rs".into(), to: to.into() };
    let moved = |set: &[Edit]| -> Vec<(String, Option<Vec<u8>>)> {
        project.apply(set).unwrap().files.into_iter().map(|file| (file.path, file.after)).collect()
    };
    let file = |path: &str, after: Option<&str>| (path.to_owned(), after.map(|text| text.as_bytes().to_vec()));
    assert_eq!(moved(&[to("c.rs")]), [file("a.rs", None), file("c.rs", Some("a \r\n"))]);
    assert_eq!(moved(&[delete("b.rs"), to("b.rs")]), [file("b.rs", Some("a \r\n")), file("a.rs", None)]);
    insta::assert_snapshot!(project.refusal(&[to("b.rs")]), @r"
    edit_unreadable: `a.rs` cannot be moved: there is a file `b.rs`. Nothing was changed.
    => Choose another path, or remove that file in the same set first.
    ");
}

#[test]
fn an_unreadable_file_is_refused_in_the_readers_words() {
    let refused = apply(|_| Err("it is a symbolic link".to_owned()), &[delete("a")]).unwrap_err();
    insta::assert_debug_snapshot!(refused.problem(), @r#"
    Problem {
        code: Io,
        message: "`a` could not be read: it is a symbolic link. Nothing was changed.",
        hint: "See whether it is a regular file that may be read.",
        details: [],
    }
    "#);
}

#[test]
fn a_path_outside_the_project_is_refused_before_anything_is_read() {
    for path in ["../x", "~/x", ".git/hooks/pre-commit", "a/../../x", "/x/.git/config"] {
        let refused = apply(|_| panic!("read"), &[write(path, "x")]).unwrap_err();
        assert_eq!(refused.problem().code, atelier_protocol::Code::OutsideProject, "{path}");
    }
    insta::assert_snapshot!(Project::with("a", "").refusal(&[write(".git/config", "x")]), @"
    outside_project: `.git/config` cannot be edited: it is inside a git directory. Nothing was changed.
    => Name a file by its path inside the project, with `/` between folders, such as `src/lib.rs`.
    ");
}

#[test]
fn an_empty_search_text_makes_a_file_or_fills_an_empty_one() {
    let project = Project::with("empty", "").and("full", "x\n");
    assert_eq!(project.after(&[replace("new", &[("", "hello\n")])]), "hello\n");
    assert_eq!(project.after(&[replace("empty", &[("", "hello\n"), ("hello", "bye")])]), "bye\n");
    insta::assert_snapshot!(project.refusal(&[replace("full", &[("", "hello\n")])]), @"
    edit_unreadable: The search text of block 1 is empty, but `full` exists and has content. Nothing was changed.
    => To change the file, repeat some of its lines as the search text; to replace all of it, write the whole file.
    ");
}

#[test]
fn an_edit_that_changes_nothing_is_refused() {
    let project = Project::with("a", "one\ntwo\n");
    insta::assert_snapshot!(project.refusal(&[replace("a", &[("one\n", "1\n"), ("two\n", "two\n")])]), @"
    nothing_changed: The search text and the replacement of block 2 for `a` are the same. Nothing was changed.
    => Its search text and replacement are the same; leave the block out or give what should stand there.
    ");
    insta::assert_snapshot!(project.refusal(&[write("a", "one\ntwo\n")]), @"
    nothing_changed: `a` would stay as it is. Nothing was changed.
    => The file already has this content; go on with the next thing.
    ");
    assert!(matches!(
        project.apply(&[replace("a", &[("one", "1"), ("1", "one")])]),
        Err(Refusal::NoChange { block: None, .. })
    ));
    assert!(matches!(project.apply(&[write("b", "x"), delete("b")]), Err(Refusal::NoChange { .. })));
}

#[test]
fn an_edit_without_blocks_is_refused() {
    insta::assert_snapshot!(Project::with("a", "x").refusal(&[replace("a", &[])]), @"
    edit_unreadable: The edit of `a` has no block. Nothing was changed.
    => Give at least one search text and its replacement.
    ");
}

#[test]
fn code_that_was_left_out_is_refused() {
    let project = Project::with("a.rs", RUST);
    insta::assert_snapshot!(
        project.refusal(&[write("a.rs", "fn area() {}\n\n// ... rest of the code unchanged ...\n")]), @"
    edit_unreadable: Line 3 of the new `a.rs` would be `// ... rest of the code unchanged ...`, which stands for lines that are there now. Nothing was changed.
    => Write every line out, or replace only the lines that change.
    ");
}

#[test]
fn crlf_and_the_byte_order_mark_are_kept_though_the_model_wrote_neither() {
    let project = Project::with("a.cs", "\u{feff}class A\r\n{\r\n}\r\n");
    let set = project.apply(&[replace("a.cs", &[("class A\n{\n", "class B\n{\n    int x;\n")])]).unwrap();
    assert_eq!(set.files[0].after.as_deref(), Some("\u{feff}class B\r\n{\r\n    int x;\r\n}\r\n".as_bytes()));
    let overlooked = Relaxed { line_ends: true, ..Relaxed::default() };
    assert_eq!(set.files[0].applied[0].relaxed, Some(overlooked));

    let marked = project.after(&[replace("a.cs", &[("\u{feff}class A", "\u{feff}class C")])]);
    assert_eq!(marked, "\u{feff}class C\r\n{\r\n}\r\n");
    assert_eq!(
        project.after(&[replace("a.cs", &[("class A", "// one\nclass A")])]),
        "\u{feff}// one\r\nclass A\r\n{\r\n}\r\n"
    );
    assert_eq!(project.after(&[write("a.cs", "class D\n{\n}\n")]), "\u{feff}class D\r\n{\r\n}\r\n");
}

#[test]
fn lf_is_kept_though_the_model_wrote_crlf() {
    let project = Project::with("a", "one\ntwo\n");
    assert_eq!(project.after(&[replace("a", &[("one\r\ntwo\r\n", "1\r\ntwo\r\n3\r\n")])]), "1\ntwo\n3\n");
}

#[test]
fn each_line_keeps_its_own_end_where_they_are_mixed() {
    let project = Project::with("a", "one\r\ntwo\nthree\r\nfour\n");
    assert_eq!(
        project.after(&[replace("a", &[("one\ntwo\nthree\n", "one\n2\nthree\n")])]),
        "one\r\n2\nthree\r\nfour\n"
    );
}

#[test]
fn a_line_that_moves_keeps_the_bytes_of_the_file() {
    let project = Project::with("f", "a\nb\nc\nd\n");
    let after = project.after(&[replace("f", &[("a  \nb  \nc  \nd  \n", "b  \nc  \na  \nnew  \nd  \n")])]);
    assert_eq!(after, "b\nc\na\nnew  \nd\n");
}

#[test]
fn trailing_space_may_differ_and_stays_on_lines_that_were_not_changed() {
    let project = Project::with("a.md", "one  \ntwo\t\nthree\n");
    let set = project.apply(&[replace("a.md", &[("one\ntwo\n", "one\n2\n")])]).unwrap();
    assert_eq!(set.files[0].after.as_deref(), Some(b"one  \n2\nthree\n".as_slice()));
    assert_eq!(set.files[0].applied[0].relaxed, Some(Relaxed { trailing_space: true, ..Relaxed::default() }));
    assert_eq!(project.after(&[replace("a.md", &[("three   \n", "3\n")])]), "one  \ntwo\t\n3\n");
}

#[test]
fn a_file_without_a_final_newline_stays_so() {
    let project = Project::with("a", "one\ntwo");
    assert_eq!(project.after(&[replace("a", &[("two\n", "two\nthree\n")])]), "one\ntwo\nthree");
    assert_eq!(project.after(&[replace("a", &[("one\ntwo\n", "1\n2\n")])]), "1\n2");
    assert_eq!(project.after(&[replace("a", &[("two\n", "")])]), "one\n");
    assert_eq!(project.after(&[write("a", "1\n2\n")]), "1\n2");
    assert_eq!(project.after(&[replace("a", &[("two", "two\n")])]), "one\ntwo\n", "asked for by name it is added");
    assert_eq!(Project::with("a", "one\n").after(&[write("a", "1")]), "1\n");
}

#[test]
fn differences_that_are_overlooked_must_still_leave_one_place() {
    let project = Project::with("a", "x \ny\nx\t\ny\n");
    insta::assert_snapshot!(project.refusal(&[replace("a", &[("x\ny\n", "z\n")])]), @"
    edit_ambiguous: The search text of block 1 is in `a` 2 times. Nothing was changed.
    => Add neighbouring lines to the search text (and to the replacement) until only one place fits.
    - lines 1-2:
    >    1 | x 
    >    2 | y
         3 | x	
         4 | y

    - lines 3-4:
         1 | x 
         2 | y
    >    3 | x	
    >    4 | y
    ");
}

#[test]
fn an_exact_place_wins_over_one_that_differs_in_space() {
    let project = Project::with("a", "x \ny\nx\ny\n");
    assert_eq!(project.after(&[replace("a", &[("x\ny\n", "z\n")])]), "x \ny\nz\n");
}

#[test]
fn bytes_that_are_not_text_are_left_alone() {
    let project = Project::with("a", b"\xff\xfe\x00one\n\x80two\n");
    let set = project.apply(&[replace("a", &[("one\n", "1\n")])]).unwrap();
    assert_eq!(set.files[0].after.as_deref(), Some(b"\xff\xfe\x001\n\x80two\n".as_slice()));
}

#[test]
fn a_file_is_read_once_and_changed_in_order() {
    let reads = std::cell::Cell::new(0);
    let read = |_: &str| {
        reads.set(reads.get() + 1);
        Ok(Some(b"one\n".to_vec()))
    };
    let set = apply(read, &[replace("a", &[("one", "two")]), delete("a"), write("./a", "three\n")]).unwrap();
    assert_eq!((reads.get(), set.files.len()), (1, 1));
    assert_eq!(set.files[0].after.as_deref(), Some(b"three\n".as_slice()));
}

#[test]
fn a_file_cannot_become_a_folder_in_the_same_set() {
    let project = Project::with("a", "x\n");
    assert!(matches!(project.apply(&[write("b", "x"), write("b/c", "y")]), Err(Refusal::BadPath { .. })));
    assert!(project.apply(&[delete("a"), write("a/c", "y")]).is_ok());
}

#[test]
fn a_removed_text_names_the_line_that_stands_there_now() {
    let set = Project::with("a", "one\ntwo\nthree\n").apply(&[replace("a", &[("two\n", "")])]).unwrap();
    assert_eq!(set.files[0].applied[0].lines, [2, 2]);
}

#[test]
fn a_block_given_twice_is_refused_where_the_second_may_be_meant_for_a_place_that_changed() {
    let block = ("use a;\nuse b;\nold();\nend\n", "use a;\nuse b;\nnew();\nend\n");
    let project = Project::with("f", "changed use a;\nuse b;\nold();\nend\n\nuse a;\nuse b;\nold();\nend\n");
    let refused = project.apply(&[replace("f", &[block, block])]).unwrap_err();
    assert!(
        matches!(&refused, Refusal::GivenTwice { block: 2, candidates, .. } if candidates.len() == 2),
        "{refused:?}"
    );
    // A whole answer that is given again is meant once, whatever is like its places.
    let other = ("one\n", "two\n");
    let project = Project::with("f", "one\nchanged use a;\nuse b;\nold();\nend\n\nuse a;\nuse b;\nold();\nend\n");
    let after = project.after(&[replace("f", &[other, block, other, block])]);
    assert_eq!(after, "two\nchanged use a;\nuse b;\nold();\nend\n\nuse a;\nuse b;\nnew();\nend\n");
    let once = Project::with("f", "use a;\nuse b;\nold();\nend\n");
    assert_eq!(once.after(&[replace("f", &[block, block])]), "use a;\nuse b;\nnew();\nend\n");
}
