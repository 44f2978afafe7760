//! How models write edits, and what is read from it or refused.
//!
//! Mutants that turn it red: an end that is missing is passed over (`parse`); blocks of one file are put to another (`join`);
//! CR LF is not told from LF (`Lines::crlf`).

#![allow(clippy::unwrap_used, clippy::panic)]

use atelier_edit::{Edit, Format, parse, render};

/// The edits in short, or the refusal.
fn read(format: Format, text: &str) -> String {
    match parse(format, text) {
        Err(refusal) => format!("refused: {refusal} | {}\n", refusal.excerpt),
        Ok(edits) => edits.iter().map(short).collect(),
    }
}

fn short(edit: &Edit) -> String {
    match edit {
        Edit::Write { path, content } => format!("write {path} {:?}\n", String::from_utf8_lossy(content)),
        Edit::Replace { path, blocks } => {
            let blocks: String =
                blocks.iter().map(|b| format!("  {:?} -> {:?}\n", text(&b.search), text(&b.replace))).collect();
            format!("replace {path}\n{blocks}")
        }
        Edit::Delete { path } => format!("delete {path}\n"),
        Edit::Move { path, to } => format!("move {path} to {to}\n"),
        Edit::Lines { path, ranges } => {
            let ranges: String =
                ranges.iter().map(|r| format!("  {}-{} -> {:?}\n", r.start, r.end, text(&r.text))).collect();
            format!("lines of {path}\n{ranges}")
        }
        Edit::Expect { path, .. } => format!("expect {path}\n"),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn blocks(text: &str) -> String {
    read(Format::SearchReplace, text)
}

fn whole(text: &str) -> String {
    read(Format::WholeFile, text)
}

#[test]
fn formats_have_names() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    assert_eq!(
        "diff".parse::<Format>().unwrap_err().to_string(),
        "`diff` is not an edit format: expected `whole-file`, `search-replace`, `unified-diff`, `apply-patch`, `line-range`, `hunk-list`"
    );
}

#[test]
fn blocks_are_read_inside_and_outside_fences_with_prose_between() {
    insta::assert_snapshot!(blocks("\
I'll change two files.

src/a.rs
```rust
<<<<<<< SEARCH
one
=======
1
>>>>>>> REPLACE
```

The same file again:

```rust
<<<<<<< SEARCH
two
=======
>>>>>>> REPLACE
```

**`./src/b.rs`**
<<<<<<< SEARCH
=======
new
>>>>>>> REPLACE

```
src/c.py
<<<<<<< SEARCH
x
=======
y
>>>>>>> REPLACE
```
Done.
"), @r#"
    replace src/a.rs
      "one\n" -> "1\n"
      "two\n" -> ""
    replace src/b.rs
      "" -> "new\n"
    replace src/c.py
      "x\n" -> "y\n"
    "#);
}

#[test]
fn small_slips_in_the_markers_are_tolerated() {
    insta::assert_snapshot!(blocks("`a`\r\n<<<<<<<< SEARCH  \r\none\r\n======  \r\n1\r\n>>>>>>> REPLACE\t\r\n"), @r#"
    replace a
      "one\n" -> "1\n"
    "#);
    insta::assert_snapshot!(blocks("```rust src/a.rs\n<<<<<<< SEARCH>\n\n=======\nx\n>>>>>>> replace\n```"), @r#"
    replace src/a.rs
      "" -> "x\n"
    "#);
}

#[test]
fn text_that_looks_like_markers_is_told_apart_by_their_length() {
    insta::assert_snapshot!(blocks("notes.rst\n<<<<<<< SEARCH\nTitle\n=====\n=======\nName\n====\n>>>>>>> REPLACE\n"), @r#"
    replace notes.rst
      "Title\n=====\n" -> "Name\n====\n"
    "#);
    insta::assert_snapshot!(blocks("a.md\n<<<<<<<<< SEARCH\n<<<<<<< HEAD\n=======\n>>>>>>> REPLACE\n=========\nx\n>>>>>>>>> REPLACE\n"), @r#"
    replace a.md
      "<<<<<<< HEAD\n=======\n>>>>>>> REPLACE\n" -> "x\n"
    "#);
    insta::assert_snapshot!(blocks("notes.rst\n<<<<<<< SEARCH\nHeading\n=======\n=======\nTopics.\n>>>>>>> REPLACE\n"), @"refused: line 5: the block that begins in line 2 has a second `=======` line, so it is not clear where its new text begins | =======");
}

#[test]
fn a_block_that_is_cut_off_refuses_everything() {
    let complete = "a.rs\n<<<<<<< SEARCH\none\n=======\n1\n>>>>>>> REPLACE\n";
    for tail in [
        "<<<<<<< SEARCH\ntwo\n=======\n2\n>>>>>>> REPLA",
        "<<<<<<< SEARCH\ntwo\n=======\n2\n",
        "<<<<<<< SEARCH\ntwo\n",
        "<<<<<<< SEA",
        "b.rs\n```rust\n",
    ] {
        assert!(blocks(&format!("{complete}{tail}")).starts_with("refused"), "{tail:?}");
    }
    insta::assert_snapshot!(blocks(&format!("{complete}<<<<<<< SEARCH\ntwo\n=======\n2\n")), @"refused: line 7: the text ends inside the block that begins here | <<<<<<< SEARCH");
}

#[test]
fn a_damaged_block_is_refused_by_its_line() {
    insta::assert_snapshot!(blocks("a.rs\n<<<<<<< SEARCH\none\n>>>>>>> REPLACE\n"), @"refused: line 2: the block that begins here has no `=======` line | <<<<<<< SEARCH");
    insta::assert_snapshot!(blocks("a.rs\none\n=======\n1\n>>>>>>> REPLACE\n"), @"refused: line 5: this marker closes a block that was not opened | >>>>>>> REPLACE");
    insta::assert_snapshot!(blocks("a.rs\n<<<<<<< SEARCH\none\n=======\n1\n<<<<<<< SEARCH\ntwo\n=======\n2\n>>>>>>> REPLACE\n"), @"refused: line 2: this block has no `REPLACE` marker before the next begins in line 6 | <<<<<<< SEARCH");
    insta::assert_snapshot!(blocks("a.rs\n  <<<<<<< SEARCH\n  one\n  =======\n  1\n  >>>>>>> REPLACE\n"), @"refused: line 2: this marker is indented |   <<<<<<< SEARCH");
    insta::assert_snapshot!(blocks("There is nothing to change.\n"), @"refused: line 1: there is no search and replace block in the text | There is nothing to change.");
    insta::assert_snapshot!(blocks(""), @"refused: line 1: there is no search and replace block in the text |");
}

#[test]
fn a_block_whose_file_is_unclear_is_refused() {
    insta::assert_snapshot!(blocks("Here it is:\n<<<<<<< SEARCH\none\n=======\n1\n>>>>>>> REPLACE\n"), @"refused: line 2: it is not said which file this block is for | <<<<<<< SEARCH");
    insta::assert_snapshot!(blocks(
        "a.rs\n<<<<<<< SEARCH\none\n=======\n1\n>>>>>>> REPLACE\n\nAnd in `src/b.rs` we need:\n\n<<<<<<< SEARCH\ntwo\n=======\n2\n>>>>>>> REPLACE\n"), @"refused: line 8: it is not clear whether the next block is for `a.rs` or for the file named here | And in `src/b.rs` we need:");
}

#[test]
fn whole_files_are_read_with_prose_between() {
    insta::assert_snapshot!(whole("\
Here are the files.

src/a.rs
```rust
fn a() {}

```

### `b/Makefile`

~~~make
all:
~~~

Run it with:

```sh
make -C b
```
"), @r#"
    write src/a.rs "fn a() {}\n\n"
    write b/Makefile "all:\n"
    "#);
}

#[test]
fn fences_inside_a_whole_file_are_told_apart() {
    insta::assert_snapshot!(whole("README.md\n````md\n# T\n```\nx\n```\n````\n"), @r##"write README.md "# T\n```\nx\n```\n""##);
    insta::assert_snapshot!(whole("README.md\n```md\n# T\n```sh\nx\n```\nend\n```\n"), @r##"write README.md "# T\n```sh\nx\n```\nend\n""##);
    insta::assert_snapshot!(whole("a.rs\n````rust\nx\n```\n"), @r#"write a.rs "x\n""#);
    insta::assert_snapshot!(whole("a.rs\n```rust\nx\n`````\n"), @r#"write a.rs "x\n""#);
    insta::assert_snapshot!(whole("empty.txt\n```\n```\n"), @r#"write empty.txt """#);
}

#[test]
fn a_whole_file_whose_end_is_missing_or_unclear_is_refused() {
    insta::assert_snapshot!(whole("a.rs\n```rust\nfn a() {\n"), @"refused: line 2: the file that begins here is not ended by a fence | ```rust");
    insta::assert_snapshot!(whole("README.md\n```md\n# T\n```\nx\n```\nend\n```\n"), @"refused: line 6: it is not clear whether the file that begins in line 2 ends before this line | ```");
    insta::assert_snapshot!(whole("README.md\n````md\n# T\n```\nx\n"), @"refused: line 2: the file that begins here is not ended by a fence | ````md");
    insta::assert_snapshot!(whole("a.rs\n```\nx\n```\na.rs\n```\ny\n```\n"), @"refused: line 6: `a.rs` is given a second time | ```");
    insta::assert_snapshot!(whole("Here is the new `src/a.rs`:\n```rust\nx\n```\n"), @"refused: line 1: it is not clear whether the block below is the whole file that is named here | Here is the new `src/a.rs`:");
    insta::assert_snapshot!(whole("Nothing to do.\n"), @"refused: line 1: there is no path followed by a fenced block in the text | Nothing to do.");
}

#[test]
fn a_refusal_says_how_to_write_it() {
    insta::assert_debug_snapshot!(parse(Format::WholeFile, "a.rs\n```rust\nfn a() {\n").unwrap_err().problem(), @r#"
    Problem {
        code: EditUnreadable,
        message: "The edits cannot be read: line 2: the file that begins here is not ended by a fence. Nothing was changed.",
        hint: "Write the whole file again, with the fence that ends it.",
        details: [
            "line 2: ```rust",
        ],
    }
    "#);
}

#[test]
fn what_a_format_cannot_say_is_not_rendered() {
    let delete = Edit::Delete { path: "a".into() };
    let torn = Edit::Write { path: "a".into(), content: b"no newline".to_vec() };
    let bytes = Edit::Write { path: "a".into(), content: b"\xff\n".to_vec() };
    for edit in [delete, torn, bytes] {
        assert_eq!(render(Format::WholeFile, std::slice::from_ref(&edit)), None);
        assert_eq!(render(Format::SearchReplace, &[edit]), None);
    }
}

#[test]
fn a_text_that_ends_in_the_first_piece_of_another_block_is_cut_off() {
    let block = "src/a.rs\n```\n<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE\n```\n\n";
    for piece in ["src", "src/a.r", "src/other.", "src/a.rs\n``", "lib/some/where"] {
        let said = blocks(&format!("{block}{piece}"));
        assert!(said.starts_with("refused: "), "{piece:?} gives {said}");
    }
    for end in ["", "Done", "That is all; see lib/some/where for more"] {
        assert_eq!(blocks(&format!("{block}{end}")), "replace src/a.rs\n  \"x\\n\" -> \"y\\n\"\n", "{end:?}");
    }
}

#[test]
fn a_text_that_ends_right_after_it_opened_a_fence_for_a_path_is_cut_off() {
    let block = "<<<<<<< SEARCH\none\n=======\n1\n>>>>>>> REPLACE\n";
    let fenced = format!("src/a.rs\n```\n{block}```\n");
    for text in [format!("{fenced}\nsrc/a.rs\n```\n"), format!("src/a.rs\n{block}src/b.rs\n```")] {
        assert!(blocks(&text).contains("the text ends right after it opened a fence"), "{text:?}: {}", blocks(&text));
    }
    assert!(blocks(&format!("{fenced}```\n")).starts_with("replace"), "a fence too many is no block");
}

#[test]
fn a_last_hunk_that_is_short_and_has_no_end_of_context_is_cut_off() {
    let diff = |hunk: &str| read(Format::UnifiedDiff, &format!("--- a/f\n+++ b/f\n@@ -1,30 +1,30 @@\n{hunk}"));
    for hunk in [" a\n b\n", " a\n-b\n+c\n d\n e\n f\n g\n", " a\n-b\n"] {
        assert!(diff(hunk).starts_with("refused: "), "{hunk:?} gives {}", diff(hunk));
    }
    assert!(diff(" a\n-b\n+c\n d\n@").starts_with("refused: "));
    // Cut behind all of its context it looks whole; that more was to follow is said by its counts alone.
    assert!(diff(" a\n-b\n+c\n d\n").starts_with("refused: "));
    // Where something ends the hunk, wrong counts are no reason.
    let fenced = read(Format::UnifiedDiff, "```diff\n--- a/f\n+++ b/f\n@@ -1,30 +1,30 @@\n a\n-b\n+c\n d\n```\n");
    assert_eq!(fenced, "replace f\n  \"a\\nb\\nd\\n\" -> \"a\\nc\\nd\\n\"\n");
}

#[test]
fn a_diff_without_gits_prefixes_names_its_file() {
    for (names, path) in [
        ("a/src/x.rs b/src/x.rs", "src/x.rs"),
        ("src/x.rs src/x.rs", "src/x.rs"),
        ("i/src/a b.rs w/src/a b.rs", "src/a b.rs"),
        ("a b.rs a b.rs", "a b.rs"),
        ("a/x.rs a/x.rs", "a/x.rs"),
        ("./src/x.rs ./src/x.rs", "./src/x.rs"),
    ] {
        let text = format!("diff --git {names}\ndeleted file mode 100644\nindex e69de29..0000000\n");
        let edits = parse(Format::UnifiedDiff, &text).unwrap();
        assert_eq!(edits, [Edit::Delete { path: path.to_owned() }], "{names}");
    }
}
