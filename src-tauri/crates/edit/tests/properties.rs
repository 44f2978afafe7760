//! What holds for every file and every edit, tried on random ones.

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
        prop_assume!(!piece.is_empty() && piece != new && count(file.as_bytes(), piece.as_bytes()) == 1);
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
