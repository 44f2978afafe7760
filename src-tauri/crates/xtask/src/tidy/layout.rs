//! Sizes, names and places of files.

use super::{File, Finding};
use std::collections::BTreeSet;

/// No file of code may be longer.
pub const LONGEST: usize = 800;
/// Longer files are listed.
const LONG: usize = 500;

/// What may stand at the top of the repository.
const TOP: &[&str] = &[
    // agreed folders and files
    "Cargo.toml",
    "src-tauri",
    "ui",
    "roles",
    "assets",
    "tests",
    "icons",
    "README.md",
    // lock files, licence, and the settings of tools
    "Cargo.lock",
    "LICENSE",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "clippy.toml",
    "deny.toml",
    ".cargo",
    ".ci",
    ".github",
    ".editorconfig",
    ".gitattributes",
    ".gitignore",
];

/// Endings of files that tools leave behind.
const LEFT_BY_TOOLS: &[&str] = &[".pending-snap", ".snap.new", ".orig", ".rej", ".swp"];

/// Beginnings of paths that exist on one machine only. In two halves, so that this file may name them.
const MACHINE: &[(&str, &str)] =
    &[("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/"), ("C:\\Us", "ers\\")];

/// Homes that stand for any user's, in examples and tests.
const EXAMPLE_HOMES: &[&str] = &["me/", "user/", "you/", "ada/", "someone/", "mara/", "linuxbrew/"];

fn is_code(path: &str) -> bool {
    let written_by_hand = !path.ends_with("bindings.ts");
    written_by_hand && [".rs", ".ts", ".svelte", ".css", ".js"].iter().any(|end| path.ends_with(end))
}

/// No file of code is too long.
pub fn size(file: &File) -> Vec<Finding> {
    let lines = file.text.lines().count();
    if !is_code(&file.path) || lines <= LONGEST {
        return Vec::new();
    }
    vec![file.at(0, "size", format!("{lines} lines; split it (at most {LONGEST})"))]
}

/// Files of code that are getting long, the longest first.
pub fn long(files: &[File]) -> Vec<(&str, usize)> {
    let mut long: Vec<_> = files
        .iter()
        .filter(|file| is_code(&file.path))
        .map(|file| (file.path.as_str(), file.text.lines().count()))
        .filter(|(_, lines)| (LONG + 1..=LONGEST).contains(lines))
        .collect();
    long.sort_by_key(|(path, lines)| (std::cmp::Reverse(*lines), *path));
    long
}

/// A file's name says what is in it.
pub fn name(file: &File) -> Vec<Finding> {
    let name = file.path.rsplit('/').next().unwrap_or(&file.path);
    let stem = name.split('.').next().unwrap_or(name);
    let empty = ["utils", "util", "helpers", "helper", "misc", "common"].contains(&stem);
    if LEFT_BY_TOOLS.iter().any(|end| name.ends_with(end)) {
        vec![file.at(0, "name", "a tool left this behind; it is not for commits")]
    } else if name == "mod.rs" {
        vec![file.at(0, "name", "name the module's file after the module")]
    } else if empty && is_code(&file.path) {
        vec![file.at(0, "name", format!("`{stem}` says nothing; name the file after what it holds"))]
    } else {
        Vec::new()
    }
}

/// Nothing unexpected at the top of the repository.
pub fn top(files: &[File]) -> Vec<Finding> {
    let entries: BTreeSet<&str> = files.iter().filter_map(|file| file.path.split('/').next()).collect();
    entries
        .into_iter()
        .filter(|entry| !TOP.contains(entry))
        .map(|entry| Finding {
            path: entry.to_owned(),
            line: 0,
            rule: "top",
            message: "does not belong at the top of the repository".to_owned(),
        })
        .collect()
}

/// No path of one machine in a file.
pub fn machine_paths(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in file.lines() {
        for beginning in MACHINE.iter().map(|(a, b)| format!("{a}{b}")) {
            let of_one_machine = text.match_indices(&beginning).any(|(at, _)| {
                // Part of a longer path, such as `src/work/`, or of an address.
                let inner = text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || "._-}/".contains(c));
                let rest = &text[at + beginning.len()..];
                let example = EXAMPLE_HOMES.iter().any(|home| rest.starts_with(home));
                !inner && !example
            });
            if of_one_machine {
                findings.push(file.at(line, "path", format!("`{beginning}` is a path of one machine")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn long_files_are_listed_and_too_long_ones_found() {
        let of = |path: &str, lines: usize| file(path, &"x\n".repeat(lines));
        assert_eq!(size(&of("a.rs", 801)).len(), 1);
        assert_eq!(size(&of("a.rs", 800)), []);
        assert_eq!(size(&of("a.json", 5000)), []);
        assert_eq!(size(&of("ui/src/ipc/bindings.ts", 5000)), []);
        let files = [of("a.rs", 500), of("b.rs", 501), of("c.ts", 700), of("d.rs", 900)];
        assert_eq!(long(&files), [("c.ts", 700), ("b.rs", 501)]);
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        let found = |path: &str| name(&file(path, "")).len();
        assert_eq!([found("a/mod.rs"), found("a/utils.rs"), found("ui/helpers.ts"), found("common.test.ts")], [1; 4]);
        assert_eq!([found("tests/.a.rs.pending-snap"), found("a.rs.orig")], [1; 2]);
        assert_eq!([found("a/modes.rs"), found("common.json"), found("utility.rs")], [0; 3]);
    }

    #[test]
    fn a_stray_file_at_the_top_is_found() {
        let files = [file("src-tauri/a.rs", ""), file("notes.txt", ""), file("scratch/a", ""), file("scratch/b", "")];
        let paths: Vec<_> = top(&files).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["notes.txt", "scratch"]);
    }

    #[test]
    fn a_path_of_one_machine_is_found_and_an_example_is_not() {
        let found = |text: String| machine_paths(&file("a.rs", &text)).len();
        let [work, home] = [MACHINE[0], MACHINE[2]].map(|(a, b)| format!("{a}{b}"));
        assert_eq!(found(format!("open(\"{work}main\")")), 1);
        assert_eq!(found(format!("cd {home}bob/src")), 1);
        assert_eq!(found(format!("{home}you/projects and https://example.org{work}x and src{work}y")), 0);
    }
}
