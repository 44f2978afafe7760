//! The table of noise in the crate's page, held in every format: what must apply applies exactly, what must be refused is.
//!
//! Turns red, for example, when `Paths::resolve` takes the first of several files that a path ends with, when `block` leaves
//! the transport's CR in new lines, or when `Draft::replace` places a block that is given again.

#![allow(clippy::unwrap_used, clippy::panic)]

use atelier_edit::{Edit, Format, Reader, apply, parse};
use std::collections::BTreeMap;

const PATH: &str = "src/lib.rs";
const BEFORE: &str = "fn one(a: u32) -> bool {\n\ta < 1 && a > 0\n}\n\nfn two(b: &str) {\n\tprintln!(\"two\");\n}\n";
const AFTER: &str = "fn one(a: u32) -> bool {\n\ta < 1 && a > 0\n}\n\nfn two(b: &str) {\n\tprintln!(\"zwei\");\n\tprintln!(\"{}\", 1 < 2);\n}\n";
const OLD: &str = "fn two(b: &str) {\n\tprintln!(\"two\");\n}\n";
const NEW: &str = "fn two(b: &str) {\n\tprintln!(\"zwei\");\n\tprintln!(\"{}\", 1 < 2);\n}\n";

/// What is edited, and how.
#[derive(Clone)]
struct Case {
    format: Format,
    path: String,
    old: String,
    new: String,
    /// The text of the edit, once it is written.
    text: String,
    before: String,
    after: String,
    /// Whether the class occurs in this format at all.
    occurs: bool,
}

fn clean(format: Format) -> Case {
    Case {
        format,
        path: PATH.to_owned(),
        old: OLD.to_owned(),
        new: NEW.to_owned(),
        text: String::new(),
        before: BEFORE.to_owned(),
        after: AFTER.to_owned(),
        occurs: true,
    }
}

impl Case {
    fn marked(&self, mark: char) -> Vec<String> {
        let (old, new): (Vec<&str>, Vec<&str>) = (self.old.lines().collect(), self.new.lines().collect());
        let last = new.len() - 1;
        let mut lines = vec![format!(" {}", old[0])];
        lines.extend(old[1..old.len() - 1].iter().map(|line| format!("-{line}")));
        lines.extend(new[1..last].iter().map(|line| format!("{mark}{line}")));
        lines.push(format!(" {}", new[last]));
        lines
    }

    fn write(&mut self) {
        let Self { path, old, new, .. } = &*self;
        let hunk = self.marked('+').join("\n");
        self.text = match self.format {
            Format::WholeFile => format!("{path}\n```rust\n{}```\n", AFTER),
            Format::SearchReplace => {
                format!("{path}\n```rust\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n```\n")
            }
            Format::UnifiedDiff => format!("--- {path}\n+++ {path}\n@@ -5,3 +5,4 @@\n{hunk}\n"),
            Format::ApplyPatch => format!("*** Begin Patch\n*** Update File: {path}\n@@\n{hunk}\n*** End Patch\n"),
            Format::LineRange => {
                serde_json::json!({"edits": [{"path": path, "start": 5, "end": 7, "text": new, "old": old}]})
                    .to_string()
                    + "\n"
            }
            Format::HunkList => {
                serde_json::json!({"edits": [{"path": path, "search": old, "replace": new}]}).to_string() + "\n"
            }
        };
    }

    fn edit(&mut self, with: impl Fn(&str) -> String) {
        self.write();
        self.text = with(&self.text);
    }
}

enum Must {
    Apply,
    Refuse,
}
use Must::{Apply, Refuse};

fn is_json(format: Format) -> bool {
    matches!(format, Format::LineRange | Format::HunkList)
}

type Row = (&'static str, Must, fn(&mut Case));

/// One row for each class of the page's table, or more where it has several shapes.
const TABLE: &[Row] = &[
    ("nothing", Apply, |case| case.write()),
    ("prose around", Apply, |case| {
        let lang = match case.format {
            Format::UnifiedDiff => Some("diff"),
            format if is_json(format) => Some("json"),
            _ => None,
        };
        case.edit(|text| {
            let text = lang.map_or(text.to_owned(), |lang| format!("```{lang}\n{text}```\n"));
            format!("I read `src/other.rs`, and this (see [1] and {{x}}) is needed:\n\n{text}\nThen run the tests.\n- done\n")
        });
    }),
    ("fence too short", Apply, |case| match case.format {
        Format::WholeFile | Format::SearchReplace => case.edit(|text| text.replace("```rust", "````rust")),
        _ => case.edit(|text| format!("````\n{text}```\n")),
    }),
    ("fence too long", Apply, |case| case.edit(|text| text.replace("\n```\n", "\n`````\n"))),
    ("markers of another length", Apply, |case| {
        case.occurs = case.format == Format::SearchReplace;
        case.edit(|text| text.replace("<<<<<<< ", "<<<<<<<< ").replace("=======", "======"));
    }),
    ("space at line ends of the edit", Apply, |case| {
        case.occurs = !matches!(case.format, Format::WholeFile);
        case.old = case.old.replace("{\n", "{  \n").replace(";\n", ";\t\n");
        case.new = case.new.replace("{\n", "{  \n");
        case.write();
    }),
    ("space at line ends of the file", Apply, |case| {
        case.occurs = case.format != Format::WholeFile;
        case.write();
        if case.format == Format::LineRange {
            case.after = case.after.replace("a > 0\n", "a > 0  \n");
            case.before = case.before.replace("a > 0\n", "a > 0  \n");
        } else {
            case.before = case.before.replace("{\n", "{  \n");
            case.after = case.after.replace("{\n", "{  \n");
        }
    }),
    ("spaces for tabs", Apply, |case| {
        case.occurs = !matches!(case.format, Format::WholeFile | Format::LineRange);
        case.old = case.old.replace('\t', "    ");
        case.new = case.new.replace('\t', "    ");
        case.write();
    }),
    ("tabs for spaces", Apply, |case| {
        case.occurs = !matches!(case.format, Format::WholeFile | Format::LineRange);
        case.write();
        case.before = case.before.replace('\t', "  ");
        case.after = case.after.replace('\t', "  ");
    }),
    ("CR LF in the edit", Apply, |case| case.edit(|text| text.replace('\n', "\r\n"))),
    ("CR LF in the file", Apply, |case| {
        case.write();
        case.before = case.before.replace('\n', "\r\n");
        case.after = case.after.replace('\n', "\r\n");
    }),
    ("byte order mark before the edit", Apply, |case| case.edit(|text| format!("\u{feff}{text}"))),
    ("byte order mark in the file", Apply, |case| {
        case.write();
        case.before.insert(0, '\u{feff}');
        case.after.insert(0, '\u{feff}');
    }),
    ("no line end after the edit", Apply, |case| case.edit(|text| text.trim_end().to_owned())),
    ("no line end after the file", Apply, |case| {
        case.write();
        case.before.pop();
        case.after.pop();
    }),
    ("counts too large", Apply, |case| {
        case.occurs = case.format == Format::UnifiedDiff;
        case.edit(|text| format!("```diff\n{}```\n", text.replace("-5,3 +5,4", "-5,9 +5,12")));
    }),
    ("counts too small", Apply, |case| {
        case.occurs = case.format == Format::UnifiedDiff;
        case.edit(|text| text.replace("-5,3 +5,4", "-5,2 +5,1"));
    }),
    ("no counts", Apply, |case| {
        case.occurs = case.format == Format::UnifiedDiff;
        case.edit(|text| text.replace("@@ -5,3 +5,4 @@", "@@ ... @@"));
    }),
    ("`./` before the path", Apply, |case| {
        case.path = format!("./{PATH}");
        case.write();
    }),
    ("quoted path", Apply, |case| {
        case.occurs = !is_json(case.format);
        case.path = format!("\"{PATH}\"");
        case.write();
    }),
    ("backticks around the path", Apply, |case| {
        case.occurs = !is_json(case.format);
        case.path = format!("`{PATH}`");
        case.write();
    }),
    ("absolute path", Apply, |case| {
        case.path = format!("/home/you/project/{PATH}");
        case.write();
    }),
    ("backslashes in the path", Apply, |case| {
        case.path = PATH.replace('/', "\\");
        case.write();
    }),
    ("absolute path of two files", Refuse, |case| {
        case.path = "/x/b/src/lib.rs".to_owned();
        case.write();
    }),
    ("path of another project", Refuse, |case| {
        case.path = "/etc/passwd.rs".to_owned();
        case.write();
    }),
    ("entities for what the file has", Apply, |case| {
        let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        case.occurs = case.format != Format::WholeFile;
        (case.old, case.new) = (escape(&case.old), escape(&case.new));
        case.write();
    }),
    ("entities in a whole file", Apply, |case| {
        case.occurs = case.format == Format::WholeFile;
        case.edit(|text| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"));
    }),
    ("entities for operators that the edit brings", Apply, |case| {
        case.occurs = case.format != Format::WholeFile;
        for text in [&mut case.before, &mut case.after, &mut case.old, &mut case.new] {
            *text = text.replace("(b: &str)", "(b: u8)");
        }
        case.new = case.new.replace('<', "&lt;");
        case.write();
    }),
    ("entities that nothing explains", Refuse, |case| {
        case.occurs = case.format != Format::WholeFile;
        case.before = case.before.replace("(b: &str)", "(b: u8)");
        case.old = case.old.replace("(b: &str)", "(b: u8)");
        case.new = case.new.replace("(b: &str)", "(b: u8)").replace("1 < 2", "\"1 &lt; 2\"");
        case.write();
    }),
    ("the whole edit twice", Apply, |case| case.edit(|text| text.repeat(2))),
    ("the whole edit twice in prose", Apply, |case| {
        let fence = matches!(case.format, Format::UnifiedDiff) || is_json(case.format);
        case.edit(|text| {
            let text = if fence { format!("```\n{text}```\n") } else { text.to_owned() };
            format!("First:\n\n{text}\nAgain:\n\n{text}\n")
        });
    }),
    ("lines added above since", Apply, |case| {
        case.occurs = !matches!(case.format, Format::WholeFile | Format::LineRange);
        case.write();
        case.before = format!("// new\n// new\n{}", case.before);
        case.after = format!("// new\n// new\n{}", case.after);
    }),
    ("lines added above since, by number", Refuse, |case| {
        case.occurs = case.format == Format::LineRange;
        case.write();
        case.before = format!("// new\n// new\n{}", case.before);
    }),
    ("a line of context that is not there", Refuse, |case| {
        case.occurs = case.format != Format::WholeFile;
        case.write();
        case.before = case.before.replace("fn two(b: &str)", "fn two(c: &str)");
    }),
    ("dots in the search text", Refuse, |case| {
        case.occurs = case.format != Format::WholeFile;
        case.old = case.old.replace("\tprintln!(\"two\");\n", "\t...\n");
        case.write();
    }),
    ("dots in the new text", Refuse, |case| {
        case.occurs = matches!(case.format, Format::WholeFile);
        case.edit(|text| text.replace("\ta < 1 && a > 0\n}\n\n", "...\n"));
    }),
    ("a comment for the rest", Refuse, |case| {
        case.new = "fn two(b: &str) {\n\t// ... existing code ...\n}\n".to_owned();
        case.edit(|text| text.replace("\tprintln!(\"{}\", 1 < 2);\n", "\t// ... rest of the code ...\n"));
    }),
    ("half a hunk", Refuse, |case| {
        case.occurs = matches!(case.format, Format::UnifiedDiff | Format::ApplyPatch);
        case.edit(|text| text.replace("\n+\tprintln!(\"zwei\");", "\n+\tprintln!(\"zwei\");\nlost its mark"));
    }),
];

fn files(case: &Case) -> BTreeMap<String, String> {
    BTreeMap::from([
        (PATH.to_owned(), case.before.clone()),
        ("b/src/lib.rs".to_owned(), "other\n".to_owned()),
        ("lib.rs".to_owned(), "other\n".to_owned()),
    ])
}

/// The new content of the file; nothing else may have changed. One that is empty before is not there.
fn outcome(case: &Case) -> Result<String, String> {
    let mut files = files(case);
    files.retain(|_, text| !text.is_empty());
    if !case.path.contains("/b/") {
        files.retain(|path, _| path == PATH);
    }
    let edits = parse(case.format, &case.text).map_err(|refusal| refusal.problem().message)?;
    let set = apply(|path| Ok(files.get(path).cloned().map(String::into_bytes)), &edits)
        .map_err(|refusal| refusal.problem().message)?;
    let paths: Vec<&str> = set.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, [PATH]);
    Ok(String::from_utf8(set.files.into_iter().next().unwrap().after.unwrap()).unwrap())
}

#[test]
fn every_class_of_noise_is_decided_as_the_table_says() {
    let mut wrong = Vec::new();
    let mut held = 0;
    for (name, must, make) in TABLE {
        for format in Format::ALL {
            let mut case = clean(format);
            make(&mut case);
            if !case.occurs {
                continue;
            }
            held += 1;
            match (must, outcome(&case)) {
                (Apply, Ok(after)) if after == case.after => {}
                (Refuse, Err(_)) => {}
                (_, got) => wrong.push(format!("{name}, {format}: {got:?}\n{}", case.text)),
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {held}\n{}", wrong.len(), wrong.join("\n"));
    assert!(held > 150, "{held}");
}

/// Edits as they are read from pieces of the text, and the refusal at its end.
fn in_pieces(format: Format, text: &[u8], size: usize) -> Result<Vec<Edit>, String> {
    let mut reader = Reader::new(format);
    let mut edits = Vec::new();
    for piece in text.chunks(size) {
        edits.extend(reader.feed(piece));
    }
    edits.extend(reader.finish().map_err(|refusal| refusal.to_string())?);
    Ok(edits)
}

#[test]
fn a_text_gives_the_same_edits_however_it_is_cut() {
    for (name, _, make) in TABLE {
        for format in Format::ALL {
            let mut case = clean(format);
            make(&mut case);
            let whole = in_pieces(format, case.text.as_bytes(), usize::MAX);
            for size in [1, 2, 3, 7, 64] {
                assert_eq!(in_pieces(format, case.text.as_bytes(), size), whole, "{name}, {format}, by {size}");
            }
        }
    }
}

/// How the transport ends lines is no part of what is written, whatever the file's own line ends are and where it has none.
#[test]
fn the_same_edit_carried_with_other_line_ends_gives_the_same_file() {
    let mixed = BEFORE.replacen('\n', "\r\n", 1);
    for before in [BEFORE, BEFORE.trim_end(), &BEFORE.replace('\n', "\r\n"), &mixed] {
        for format in Format::ALL {
            let mut case = clean(format);
            case.before = before.to_owned();
            case.write();
            assert_carried_alike(&case);
        }
    }
    let new = "# New\n\nwith two lines\n";
    let marked: String = new.lines().map(|line| format!("+{line}\n")).collect();
    let json = serde_json::json!({"edits": [{"op": "create", "path": PATH, "content": new}]});
    for format in Format::ALL {
        let mut case = Case { before: String::new(), ..clean(format) };
        case.text = match format {
            Format::WholeFile => format!("{PATH}\n```\n{new}```\n"),
            Format::SearchReplace => format!("{PATH}\n<<<<<<< SEARCH\n=======\n{new}>>>>>>> REPLACE\n"),
            Format::UnifiedDiff => format!("--- /dev/null\n+++ b/{PATH}\n@@ -0,0 +1,3 @@\n{marked}"),
            Format::ApplyPatch => format!("*** Begin Patch\n*** Add File: {PATH}\n{marked}*** End Patch\n"),
            Format::LineRange | Format::HunkList => format!("{json:#}\n"),
        };
        assert_eq!(outcome(&case).as_deref(), Ok(new), "{format}");
        assert_carried_alike(&case);
    }
}

fn assert_carried_alike(case: &Case) {
    let carried = Case { text: case.text.replace('\n', "\r\n"), ..case.clone() };
    assert_eq!(outcome(&carried), outcome(case), "{}, {:?}\n{}", case.format, case.before, case.text);
    assert!(outcome(case).is_ok(), "{}\n{}", case.format, case.text);
}

#[test]
fn an_edit_comes_out_before_the_text_ends() {
    for format in Format::ALL {
        let mut case = clean(format);
        case.write();
        let text = match format {
            Format::ApplyPatch => case.text.replace("*** End Patch\n", "*** Delete File: x\n"),
            Format::UnifiedDiff => format!("{0}{0}", case.text),
            Format::WholeFile => format!("{}\nb.rs\n```\nx\n```\n", case.text),
            _ if is_json(format) => case.text.replace("]}\n", ", {\"op\":"),
            _ => format!("{}\nAnd then", case.text),
        };
        assert!(!Reader::new(format).feed(text.as_bytes()).is_empty(), "{format}\n{text}");
    }
}

#[test]
fn a_text_that_is_cut_off_changes_everything_or_nothing() {
    for format in Format::ALL {
        let mut case = clean(format);
        case.write();
        for at in 0..case.text.len() {
            let mut cut = case.clone();
            cut.text = case.text[..at].to_owned();
            if let Ok(after) = outcome(&cut) {
                assert_eq!(after, case.after, "{format} at {at} of {}", case.text.len());
            }
        }
    }
}

/// An edit without any tab for a file that is indented by them: at a place that shows none nobody can tell whether spaces
/// stand for a tab. A mutant that turns it red: `Tabs::may_be_meant` is always false.
#[test]
fn spaces_that_may_stand_for_tabs_are_refused_where_nothing_shows_what_is_meant() {
    let file = "all: one\n\tcc -o one\n\nclean:\n\trm\t-f one\n";
    let of = |search: &str, replace: &str| {
        let edit = Edit::Replace { path: "Makefile".into(), blocks: vec![atelier_edit::Block::new(search, replace)] };
        let set = apply(|_| Ok(Some(file.into())), &[edit]);
        set.map(|mut set| String::from_utf8(set.files.remove(0).after.unwrap()).unwrap()).ok()
    };
    assert_eq!(of("all: one\n", "all: one two\n\ntwo:\n    cc -o two\n"), None, "a tab may be meant");
    assert_eq!(of("all: one\n", "all: one  two\n"), None, "inside a line too");
    let with_tab = of("all: one\n", "all: one two\n\ntwo:\n\tcc -o two\n").unwrap();
    assert!(with_tab.starts_with("all: one two\n\ntwo:\n\tcc -o two\n\tcc -o one\n"), "{with_tab}");
    assert!(of("all: one\n", "all: one two\n").is_some(), "nothing in it may be a tab");
    assert!(of("    cc -o one\n", "    cc -o 1\n").unwrap().contains("\tcc -o 1\n"), "the place shows it");

    let both = [("all: one\n", "all: one two\n\ntwo:\n  cc -o two\n"), ("  cc -o one\n", "  cc -o 1\n")];
    let blocks = both.map(|(search, replace)| atelier_edit::Block::new(search, replace)).to_vec();
    let set = apply(|_| Ok(Some(file.into())), &[Edit::Replace { path: "Makefile".into(), blocks }]).unwrap();
    let after = set.files[0].after.as_deref().map(String::from_utf8_lossy).unwrap();
    assert!(after.starts_with("all: one two\n\ntwo:\n\tcc -o two\n\tcc -o 1\n"), "another block shows it: {after}");
}
