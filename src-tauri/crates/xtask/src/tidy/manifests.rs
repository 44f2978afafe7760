//! Every dependency says why it is there, at the end of its line.

use super::{File, Finding};

/// Finds dependency lines without a comment. Our own crates need none in the workspace's table, where they are only
/// given a place.
pub fn why(file: &File) -> Vec<Finding> {
    if file.path != "Cargo.toml" && !file.path.ends_with("/Cargo.toml") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut inside = false;
    let mut open_list = false;
    for (line, text) in file.lines() {
        let text = text.trim();
        if text.starts_with('[') && !open_list {
            inside = text.trim_end_matches(']').ends_with("dependencies");
            continue;
        }
        if !inside || text.is_empty() || text.starts_with('#') {
            continue;
        }
        // A list over several lines belongs to the dependency that began it.
        let continued = open_list;
        open_list = opens(text, continued);
        let place_only = file.path == "Cargo.toml" && text.starts_with("atelier-");
        let ends_here = !open_list;
        if ends_here && !place_only && comment(text).is_none_or(|why| why.trim().is_empty()) {
            let name = text.split(['=', '.', ' ']).next().unwrap_or(text);
            let name = if continued { "a dependency" } else { name };
            findings.push(file.at(line, "why", format!("{name} does not say why it is there (`# ...` at the end)")));
        }
    }
    findings
}

/// What follows a `#` that is not inside quotes.
fn comment(line: &str) -> Option<&str> {
    let mut quoted = false;
    for (at, character) in line.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '#' if !quoted => return Some(&line[at + 1..]),
            _ => {}
        }
    }
    None
}

/// Whether a list or table is still open after `line`.
fn opens(line: &str, before: bool) -> bool {
    let code = comment(line).map_or(line, |why| &line[..line.len() - why.len() - 1]);
    let count = |c: char| code.matches(c).count();
    let (opened, closed) = (count('[') + count('{'), count(']') + count('}'));
    if before { closed <= opened } else { opened > closed }
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn a_dependency_without_a_reason_is_found_by_its_line() {
        let text = "\
[package]
name = \"x\"

[dependencies]
serde = \"1\" # wire format
# a heading
bytes.workspace = true
git2 = { version = \"0.21\", features = [
  \"vendored\",
] } # objects
url = \"2#3\"

[target.'cfg(unix)'.dev-dependencies]
libc.workspace = true #

[lints]
workspace = true
";
        let found: Vec<_> = why(&file("a/Cargo.toml", text)).iter().map(|f| (f.line, f.message.clone())).collect();
        let says = |name: &str| format!("{name} does not say why it is there (`# ...` at the end)");
        assert_eq!(found, [(7, says("bytes")), (11, says("url")), (14, says("libc"))]);
    }

    #[test]
    fn other_files_and_the_places_of_our_own_crates_are_left_alone() {
        let table = "[workspace.dependencies]\natelier-edit = { path = \"edit\" }\n";
        assert_eq!(why(&file("Cargo.toml", table)), []);
        assert_eq!(why(&file("README.md", "[dependencies]\nserde = 1")), []);
    }
}
