//! Rules about the text of Rust files (and, for unfinished work, of the page's).

use super::{File, Finding};

/// Marks of unfinished work and of tests that are switched off. In two halves, so that this file may name them.
const UNFINISHED: &[(&str, &str)] =
    &[("to", "do!("), ("unimpl", "emented!("), ("db", "g!("), ("#[ig", "nore"), ("FIX", "ME")];
const UNFINISHED_PAGE: &[(&str, &str)] = &[
    (".on", "ly("),
    (".sk", "ip("),
    (".to", "do("),
    ("debug", "ger;"),
    ("console", ".log("),
    ("@ts-ig", "nore"),
    ("FIX", "ME"),
];

/// Who may start other programs. Each with its reason.
const STARTS_PROGRAMS: &[&str] = &[
    "src-tauri/crates/sandbox/", // what it is for
    "src-tauri/crates/repo/",    // the git binary, for hooks, signing and push
    "src-tauri/crates/xtask/",   // builds and tests
    "tests/",                    // drives the programs
];

/// A test that only another test starts, in a process of its own, is not switched off.
const STARTED_BY_ANOTHER: &str = "run as a process of its own";

/// Every Rust file begins with what it is.
pub fn header(file: &File) -> Vec<Finding> {
    if !file.is_rust() || file.text.trim_start().starts_with("//!") {
        return Vec::new();
    }
    vec![file.at(1, "header", "begin with `//!`: what this is, the rule it keeps, what it is not")]
}

/// No unfinished code, no test that is switched off.
pub fn unfinished(file: &File) -> Vec<Finding> {
    let page = file.path.starts_with("ui/") && [".ts", ".svelte", ".js"].iter().any(|end| file.path.ends_with(end));
    let marks = match (file.is_rust(), page) {
        (true, _) => UNFINISHED,
        (_, true) => UNFINISHED_PAGE,
        _ => return Vec::new(),
    };
    let mut findings = Vec::new();
    for (line, text) in file.lines() {
        for mark in marks.iter().map(|(start, end)| format!("{start}{end}")) {
            if text.contains(&mark) && !text.contains(STARTED_BY_ANOTHER) {
                findings.push(file.at(line, "unfinished", format!("`{}` is not for commits", mark.trim())));
            }
        }
    }
    findings
}

/// Engine and models cannot tell the scripted server from any other, so they do not even know the word.
pub fn stage(file: &File) -> Vec<Finding> {
    let rooms = ["src-tauri/crates/engine/src/", "src-tauri/crates/models/src/"];
    if !file.is_rust() || is_test(&file.path) || !rooms.iter().any(|room| file.path.starts_with(room)) {
        return Vec::new();
    }
    let tests_from = tests_from(file);
    file.lines()
        .take_while(|(line, _)| *line < tests_from)
        .filter(|(_, text)| says_stage(text))
        .map(|(line, _)| file.at(line, "stage", "the word belongs to its crate, its verb, the tour and tests"))
        .collect()
}

/// Whether the word stands alone or as a part of a name such as `stage_url` or `StageServer`.
fn says_stage(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.match_indices("stage").any(|(at, word)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let begins = text.as_bytes()[at] == b'S' || !before.is_some_and(char::is_alphanumeric);
        let ends = !after.is_some_and(|c| c.is_lowercase() || c.is_numeric());
        begins && ends
    })
}

/// Only the rooms that may start other programs do.
pub fn processes(file: &File) -> Vec<Finding> {
    let may = STARTS_PROGRAMS.iter().any(|start| file.path.starts_with(start));
    if !file.is_rust() || may || is_test(&file.path) {
        return Vec::new();
    }
    let tests_from = tests_from(file);
    let starts = concat!("Command", "::new(");
    file.lines()
        .take_while(|(line, _)| *line < tests_from)
        .filter(|(_, text)| text.contains(starts) && !text.trim_start().starts_with("//"))
        // clap's own type has the same name; it is only used where arguments are described.
        .filter(|(_, text)| !text.contains("clap::"))
        .map(|(line, _)| file.at(line, "process", "start programs through the sandbox"))
        .collect()
}

/// Whether the whole file is tests.
fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("_tests.rs") || path.ends_with("/tests.rs")
}

/// The line where a file's own tests begin; after the end where it has none.
fn tests_from(file: &File) -> usize {
    let test =
        |text: &str| text.trim_start().starts_with("#[cfg(test)]") || text.trim_start().starts_with("#[cfg(all(test");
    let lines: Vec<(usize, &str)> = file.lines().collect();
    // A gate before `mod tests;` names another file; the rest of this one is not tests.
    let inline = |at: usize| lines[at..].iter().take(4).any(|(_, text)| text.contains("mod ") && text.contains('{'));
    lines
        .iter()
        .enumerate()
        .find(|(at, (_, text))| test(text) && inline(*at))
        .map_or(usize::MAX, |(_, (line, _))| *line)
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_file_that_does_not_say_what_it_is_is_found() {
        assert_eq!(lines(&header(&file("a.rs", "use std::fmt;\n"))), [1]);
        assert_eq!(header(&file("a.rs", "//! Says it.\n")), []);
        assert_eq!(header(&file("a.ts", "let x;\n")), []);
    }

    #[test]
    fn unfinished_work_is_found_in_rust_and_in_the_page() {
        let marks: String = UNFINISHED.iter().map(|(a, b)| format!("{a}{b}\n")).collect();
        assert_eq!(unfinished(&file("a.rs", &marks)).len(), UNFINISHED.len());
        let page: String = UNFINISHED_PAGE.iter().map(|(a, b)| format!("{a}{b}\n")).collect();
        assert_eq!(unfinished(&file("ui/a.ts", &page)).len(), UNFINISHED_PAGE.len());
        assert_eq!(unfinished(&file("ui/a.ts", "list.filter(only)\n")), []);
        let started_by_another = format!("{}{} = \"{STARTED_BY_ANOTHER} by the test below\"]", "#[ig", "nore");
        assert_eq!(unfinished(&file("a.rs", &started_by_another)), []);
    }

    #[test]
    fn the_engine_must_not_know_the_scripted_server() {
        let engine = |text: &str| lines(&stage(&file("src-tauri/crates/engine/src/a.rs", text)));
        assert_eq!(
            engine("// asks the stage\nlet stage_url = 1;\nstruct StageServer;\nuse atelier_stage::X;\n"),
            [1, 2, 3, 4]
        );
        assert_eq!(engine("a staged file\nthe backstage\nstages\nunstaged\n"), [0; 0]);
        assert_eq!(engine("fn a() {}\n#[cfg(test)]\nmod tests {\n    // the stage\n}\n"), [0; 0]);
        assert_eq!(engine("#[cfg(test)]\nmod tests;\n// the stage\n"), [3]);
        assert_eq!(stage(&file("src-tauri/crates/cli/src/a.rs", "stage")), []);
        assert_eq!(stage(&file("src-tauri/crates/engine/src/run_tests.rs", "stage")), []);
    }

    #[test]
    fn a_room_that_starts_programs_on_its_own_is_found() {
        let code = concat!("let x = Command", "::new(\"git\");\n");
        assert_eq!(lines(&processes(&file("src-tauri/crates/engine/src/a.rs", code))), [1]);
        assert_eq!(processes(&file("src-tauri/crates/sandbox/src/a.rs", code)), []);
        assert_eq!(processes(&file("src-tauri/crates/journal/tests/a.rs", code)), []);
        let test = format!("#[cfg(test)]\nmod tests {{\n{code}}}\n");
        assert_eq!(processes(&file("src-tauri/crates/engine/src/a.rs", &test)), []);
    }
}
