//! What holds for every file and every edit, tried on random ones.
//!
//! Guards: an edit changes the one place it names and nothing else, or is refused; and whatever a model writes, reading it in
//! any of the six formats neither panics nor hangs, does not depend on how it is cut, and gives back no more than was sent.
//! Turns red, for example, when `place` takes the first of several places, when a reader decides something before the next
//! byte has come, or when it copies the rest of the text into every edit.

#![allow(clippy::unwrap_used, clippy::panic)]

use atelier_edit::{Block, Edit, Format, Reader, Refusal, apply, parse, render};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn replace_in(file: &[u8], search: &str, replace: &str) -> Result<Vec<u8>, Refusal> {
    let edit = Edit::Replace { path: "f".into(), blocks: vec![Block::new(search, replace)] };
    let mut set = apply(|_| Ok(Some(file.to_vec())), &[edit])?;
    Ok(set.files.remove(0).after.unwrap())
}

fn count(file: &[u8], part: &[u8]) -> usize {
    file.windows(part.len()).filter(|window| *window == part).count()
}

/// A file of few different lines, so that repeats and near repeats are common.
fn lines() -> impl Strategy<Value = String> {
    let line = prop_oneof!["[ab ]{0,3}", Just("    a".to_owned()), Just("\ta".to_owned()), "[a-z]{1,6}"];
    (proptest::collection::vec(line, 1..12), any::<bool>())
        .prop_map(|(lines, ended)| lines.join("\n") + if ended { "\n" } else { "" })
}

fn edit() -> impl Strategy<Value = Edit> {
    let path = prop_oneof![Just("f".to_owned()), Just("g".to_owned()), "[./a-c]{0,5}"];
    let block = (lines_or_any(), lines_or_any()).prop_map(|(search, replace)| Block::new(search, replace));
    prop_oneof![
        (path.clone(), any::<Vec<u8>>()).prop_map(|(path, content)| Edit::Write { path, content }),
        (path.clone(), proptest::collection::vec(block, 0..4))
            .prop_map(|(path, blocks)| Edit::Replace { path, blocks }),
        path.prop_map(|path| Edit::Delete { path }),
    ]
}

fn lines_or_any() -> impl Strategy<Value = String> {
    prop_oneof![lines(), any::<String>(), "[ab\r\n \u{feff}]{0,6}"]
}

/// Paths and line texts as `render` takes them, with lines that look like marks of the formats.
fn path() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,4}/[a-z]{1,4}\\.(rs|md|txt)", "[A-Za-z]{1,6}", "[a-z]{1,3} [a-z]{1,3}\\.md"]
}

fn text(marks: &'static [&'static str]) -> impl Strategy<Value = String> {
    let line = prop_oneof![3 => "[ -~]{0,12}", 2 => proptest::sample::select(marks).prop_map(str::to_owned)];
    proptest::collection::vec(line, 0..8).prop_map(|lines| lines.iter().map(|line| format!("{line}\n")).collect())
}

const MARKERS: &[&str] =
    &["<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE", "=====", "<<<<<<<<< SEARCH", "========", "```", "a.rs"];
const FENCES: &[&str] = &["```", "```rust", "````", "~~~", "a.rs", "`b.rs`:", "  ```", "=======", "<<<<<<< SEARCH"];

fn replaces() -> impl Strategy<Value = Vec<Edit>> {
    let block = (text(MARKERS), text(MARKERS)).prop_map(|(search, replace)| Block::new(search, replace));
    let blocks = proptest::collection::vec(block, 1..4);
    proptest::collection::vec((path(), blocks), 1..4)
        .prop_map(|edits| edits.into_iter().map(|(path, blocks)| Edit::Replace { path, blocks }).collect())
}

fn writes() -> impl Strategy<Value = Vec<Edit>> {
    proptest::collection::vec((path(), text(FENCES)), 1..4).prop_map(|edits| {
        edits.into_iter().map(|(path, content)| Edit::Write { path, content: content.into_bytes() }).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, max_global_rejects: 1 << 20, ..ProptestConfig::default() })]

    #[test]
    fn a_unique_piece_is_replaced_exactly_where_it_stands(file in lines(), a in 0usize..60, b in 0usize..60, new in "[xyz\n]{0,6}") {
        let (from, to) = (a.min(b).min(file.len()), a.max(b).min(file.len()));
        let piece = &file[from..to];
        // A last line without an end is a place too for a text that ends a line.
        let whole = if file.ends_with('\n') { file.clone() } else { format!("{file}\n") };
        prop_assume!(!piece.is_empty() && piece != new && count(whole.as_bytes(), piece.as_bytes()) == 1);
        let expected = format!("{}{new}{}", &file[..from], &file[to..]);
        prop_assert_eq!(replace_in(file.as_bytes(), piece, &new).unwrap(), expected.into_bytes());
    }

    #[test]
    fn bytes_around_a_unique_piece_stay_even_where_they_are_not_text(
        head in any::<Vec<u8>>(), piece in "[a-z]{8}", tail in any::<Vec<u8>>(), new in "[A-Z]{0,8}",
    ) {
        let file = [&head, piece.as_bytes(), &tail].concat();
        prop_assume!(count(&file, piece.as_bytes()) == 1);
        prop_assert_eq!(replace_in(&file, &piece, &new).unwrap(), [&head, new.as_bytes(), &tail].concat());
    }

    #[test]
    fn a_piece_that_stands_twice_is_never_replaced(a in lines(), b in lines(), c in lines(), piece in "[ab]{1,3}") {
        let file = [a, b, c].join(&piece);
        let refused = replace_in(&file.into_bytes(), &piece, "new");
        prop_assert!(matches!(refused, Err(Refusal::Ambiguous { .. })), "{refused:?}");
    }

    #[test]
    fn whole_lines_that_stand_twice_are_never_replaced(line in "[ab]{1,3}", between in lines()) {
        let file = format!("{line}\n{between}\n{line}\n");
        let refused = replace_in(file.as_bytes(), &format!("{line}\n"), "new\n");
        prop_assert!(matches!(refused, Err(Refusal::Ambiguous { .. })), "{refused:?}");
    }

    #[test]
    fn a_file_with_crlf_and_byte_order_mark_is_edited_as_if_it_had_neither(file in lines(), a in 0usize..12, n in 1usize..4, new in lines()) {
        let piece: String = file.split_inclusive('\n').skip(a).take(n).collect();
        let form = |text: &[u8]| format!("\u{feff}{}", String::from_utf8(text.to_vec()).unwrap().replace('\n', "\r\n"));
        prop_assume!(!piece.trim().is_empty() && file.contains('\n') && !file.starts_with('\n'));
        match (replace_in(file.as_bytes(), &piece, &new), replace_in(form(file.as_bytes()).as_bytes(), &piece, &new)) {
            (Ok(plain), Ok(formed)) => prop_assert_eq!(form(&plain), String::from_utf8(formed).unwrap()),
            (Err(plain), Err(formed)) => prop_assert_eq!(plain.problem().code, formed.problem().code),
            (plain, formed) => prop_assert!(false, "{plain:?} against {formed:?}"),
        }
    }

    #[test]
    fn whatever_is_asked_nothing_panics_and_what_changed_is_told(file in prop_oneof![any::<Vec<u8>>(), lines().prop_map(String::into_bytes)], edits in proptest::collection::vec(edit(), 0..5)) {
        let read = |path: &str| Ok((path == "f").then(|| file.clone()));
        match apply(read, &edits) {
            Err(refusal) => { let problem = refusal.problem(); prop_assert!(!problem.message.is_empty() && !problem.hint.is_empty()); }
            Ok(set) => {
                let paths: BTreeSet<_> = set.files.iter().map(|file| &file.path).collect();
                prop_assert_eq!(paths.len(), set.files.len());
                for change in &set.files {
                    prop_assert_ne!(&change.before, &change.after);
                    let count = change.after.as_deref().unwrap_or_default().split_inclusive(|b| *b == b'\n').count().max(1);
                    for hunk in &change.applied {
                        let [from, to] = hunk.lines;
                        prop_assert!(1 <= from && from <= to && to as usize <= count + 1, "{:?} of {}", hunk.lines, count);
                    }
                }
            }
        }
    }

    #[test]
    fn blocks_are_read_back_as_they_were_written(edits in replaces()) {
        if let Some(text) = render(Format::SearchReplace, &edits) {
            prop_assert_eq!(parse(Format::SearchReplace, &text).unwrap(), edits, "{}", text);
        }
    }

    #[test]
    fn whole_files_are_read_back_as_they_were_written(edits in writes()) {
        if let Some(text) = render(Format::WholeFile, &edits) {
            prop_assert_eq!(parse(Format::WholeFile, &text).unwrap(), edits, "{}", text);
        }
    }

    #[test]
    fn a_text_that_breaks_off_gives_the_first_edits_whole_or_none(edits in prop_oneof![replaces(), writes()], cut in 0.0f64..1.0) {
        let format = if matches!(edits[0], Edit::Write { .. }) { Format::WholeFile } else { Format::SearchReplace };
        let Some(text) = render(format, &edits) else { return Ok(()) };
        let at = text.floor_char_boundary((text.len() as f64 * cut) as usize);
        let pieces = |edits: &[Edit]| -> Vec<Edit> {
            edits.iter().flat_map(|edit| match edit {
                Edit::Replace { path, blocks } => blocks.iter()
                    .map(|block| Edit::Replace { path: path.clone(), blocks: vec![block.clone()] }).collect(),
                other => vec![other.clone()],
            }).collect()
        };
        if let Ok(read) = parse(format, &text[..at]) {
            let (read, all) = (pieces(&read), pieces(&edits));
            prop_assert!(all.starts_with(&read), "{read:?} from\n{}", &text[..at]);
        }
    }

    #[test]
    fn whatever_a_model_writes_reading_it_neither_panics_nor_depends_on_how_it_is_cut(
        text in prop_oneof![any::<Vec<u8>>(), text(MARKERS).prop_map(String::into_bytes), text(FENCES).prop_map(String::into_bytes), text(DIFFS).prop_map(String::into_bytes)],
        size in 1usize..9,
    ) {
        for format in Format::ALL {
            let pieces = |size: usize| {
                let mut reader = Reader::new(format);
                let mut edits: Vec<Edit> = text.chunks(size).flat_map(|piece| reader.feed(piece)).collect();
                edits.extend(reader.finish()?);
                Ok::<_, atelier_edit::ParseRefusal>(edits)
            };
            let whole = pieces(usize::MAX);
            prop_assert_eq!(&pieces(size), &whole, "{}", format);
            match whole {
                Err(refusal) => prop_assert!(refusal.line as usize <= text.split(|b| *b == b'\n').count().max(1)),
                Ok(edits) => { let _ = apply(|_| Ok(Some(text.clone())), &edits); }
            }
        }
    }
}

/// A sound edit in each format, to be spoilt.
const SOUND: [&str; 6] = [
    "src/a.rs\n```rust\nfn a() {}\n```\n\nsrc/b.rs\n````\n```\n````\n",
    "src/a.rs\n```\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```\n\nb.rs\n<<<<<<< SEARCH\n=======\nnew\n>>>>>>> REPLACE\n",
    "diff --git a/f b/f\nindex 1..2 100644\n--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@ fn x\n a\n-b\n+c\n d\n\\ No newline at end of file\n",
    "*** Begin Patch\n*** Update File: f\n*** Move to: g\n@@ fn x\n a\n-b\n+c\n*** Add File: h\n+new\n*** Delete File: i\n*** End Patch\n",
    "{\"edits\":[{\"path\":\"f\",\"start\":1,\"end\":2,\"text\":\"b\\n\\u00e9\",\"old\":\"a\\n\"},{\"op\":\"delete\",\"path\":\"g\"}]}",
    "{\"edits\":[{\"path\":\"f\",\"search\":\"a\",\"replace\":\"\\ud83d\\ude00\",\"before\":\"x\"},{\"op\":\"create\",\"path\":\"h\",\"content\":\"c\"}]}",
];

/// How a sound text is spoilt: a piece of it is left out, repeated, or replaced by bytes.
#[derive(Debug, Clone)]
enum Spoil {
    Out(usize, usize),
    Again(usize, usize, usize),
    By(usize, Vec<u8>),
    Cut(usize),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let at = 0usize..400;
    prop_oneof![
        (at.clone(), 1usize..40).prop_map(|(at, length)| Spoil::Out(at, length)),
        (at.clone(), 1usize..60, 1usize..20).prop_map(|(at, length, times)| Spoil::Again(at, length, times)),
        (at.clone(), proptest::collection::vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Spoil::By(at, bytes)),
        at.prop_map(Spoil::Cut),
    ]
}

fn spoilt(mut text: Vec<u8>, how: &[Spoil]) -> Vec<u8> {
    for spoil in how {
        let within = |at: usize| at.min(text.len());
        match spoil {
            Spoil::Out(at, length) => drop(text.drain(within(*at)..within(at + length))),
            Spoil::Again(at, length, times) => {
                let (from, to) = (within(*at), within(at + length));
                let piece = text[from..to].repeat(*times);
                text.splice(to..to, piece);
            }
            Spoil::By(at, bytes) => {
                let (from, to) = (within(*at), within(at + bytes.len()));
                text.splice(from..to, bytes.iter().copied());
            }
            Spoil::Cut(at) => text.truncate(within(*at)),
        }
    }
    text
}

/// Bytes that edits hold.
fn held(edits: &[Edit]) -> usize {
    let of = |edit: &Edit| match edit {
        Edit::Write { content, .. } => content.len(),
        Edit::Replace { blocks, .. } => blocks.iter().map(|block| block.search.len() + block.replace.len()).sum(),
        Edit::Lines { ranges, .. } => {
            ranges.iter().map(|range| range.text.len() + range.old.as_ref().map_or(0, Vec::len)).sum()
        }
        Edit::Delete { .. } | Edit::Move { .. } | Edit::Expect { .. } => 0,
    };
    let paths: BTreeSet<&str> = edits.iter().map(Edit::path).collect();
    edits.iter().map(of).sum::<usize>() + paths.iter().map(|path| path.len()).sum::<usize>()
}

fn fed(format: Format, text: &[u8], size: usize) -> Result<Vec<Edit>, atelier_edit::ParseRefusal> {
    let mut reader = Reader::new(format);
    let mut edits: Vec<Edit> = text.chunks(size).flat_map(|piece| reader.feed(piece)).collect();
    edits.extend(reader.finish()?);
    Ok(edits)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 768, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_spoilt_edit_of_any_format_is_read_or_refused_alike_however_it_is_cut(
        which in 0usize..6, how in proptest::collection::vec(spoil(), 1..5), size in 1usize..17,
    ) {
        let text = spoilt(SOUND[which].as_bytes().to_vec(), &how);
        for format in Format::ALL {
            let whole = fed(format, &text, usize::MAX);
            prop_assert_eq!(&fed(format, &text, size), &whole, "{}", format);
            if let Ok(edits) = whole {
                // A line of context stands in both texts of a block; nothing stands in more.
                prop_assert!(held(&edits) <= 3 * text.len() + 64, "{} holds {}", format, held(&edits));
                let _ = apply(|_| Ok(Some(b"a\nb\nd\n".to_vec())), &edits);
            }
        }
    }
}

#[test]
fn each_format_reads_its_sound_edit() {
    for (format, text) in Format::ALL.into_iter().zip(SOUND) {
        let read = parse(format, text);
        assert!(read.as_ref().is_ok_and(|edits| !edits.is_empty()), "{format}: {read:?}");
    }
}

/// What looks like the beginning of something, over and over: work that grows with the square of it would not end.
#[test]
fn a_quarter_of_a_mebibyte_of_beginnings_is_read_to_its_end_in_every_format() {
    let pieces = [
        "```\n",
        "a.rs\n```\n",
        "<<<<<<< SEARCH\n",
        "=======\n",
        "--- a/f\n+++ b/f\n",
        "@@ -1,99999999 +1,99999999 @@\n",
        "@@\n",
        " a\n",
        "*** Begin Patch\n",
        "*** Update File: f\n",
        "{\"edits\":[",
        "[",
        "{",
        "\"",
        "\\u0000",
        "{\"path\":",
        "\r",
        "&lt;",
        " ",
        "a",
        "\u{feff}",
    ];
    for piece in pieces {
        let text = piece.repeat((256 << 10) / piece.len());
        for format in Format::ALL {
            if let Ok(edits) = fed(format, text.as_bytes(), 4096) {
                assert!(held(&edits) <= 3 * text.len() + 64, "{format}: {piece:?} gives {}", held(&edits));
            }
        }
    }
}

const DIFFS: &[&str] = &[
    "--- a/f",
    "+++ b/f",
    "@@ -1,2 +1,2 @@",
    "@@ -0,0 +1 @@ x",
    "@@",
    "@@@",
    " a",
    "-a",
    "+b",
    "\\ No newline at end of file",
    "diff --git a/f b/f",
    "rename from f",
    "rename to g",
    "new file mode 100644",
    "deleted file mode 100644",
    "*** Begin Patch",
    "*** Update File: f",
    "*** Move to: g",
    "*** Add File: h",
    "*** Delete File: f",
    "*** End of File",
    "*** End Patch",
    "{\"edits\":[",
    "{\"path\":\"f\",\"search\":\"a\",\"replace\":\"b\"},",
    "{\"path\":\"f\",\"start\":1,\"end\":2,\"text\":\"b\"}",
    "]}",
    "\"",
    "&lt;",
];

#[test]
fn thousands_of_hunks_in_a_large_file_take_seconds() {
    let file: String = (0..100_000)
        .map(|line| format!("line {line} of a file with so many of them, and all of them are alike\n"))
        .collect();
    let hunks = (0..2_000).map(|hunk| {
        let line = hunk * 50;
        let at = |line: usize| format!("line {line} of a file with so many of them, and all of them are alike\n");
        format!("@@ -{},2 +{},2 @@\n {}-{}+changed\n", line + 1, line + 1, at(line), at(line + 1))
    });
    let diff = format!("--- a/f\n+++ b/f\n{}", hunks.collect::<String>());
    assert!(file.len() > 5_000_000);
    let begun = std::time::Instant::now();
    let edits = parse(Format::UnifiedDiff, &diff).unwrap();
    let set = apply(|_| Ok(Some(file.clone().into_bytes())), &edits).unwrap();
    assert_eq!(set.files[0].applied.len(), 2_000);
    // Without optimisation and on a machine that does other things; quadratic work takes many minutes.
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
