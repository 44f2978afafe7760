//! Which paths an edit may name.
//!
//! Relative, `/` between segments, inside the project and never inside a git directory, whatever spelling a
//! file system would accept for one. Symbolic links are the reader's and writer's job: nothing is looked up here.

use crate::refusal::Refusal;

/// The longest path that is taken, in bytes.
const LONGEST: usize = 1024;

/// The path as it is used, without a leading `./`; [`Refusal::BadPath`] where an edit may not name it.
pub fn clean(path: &str) -> Result<String, Refusal> {
    let mut rest = path;
    while let Some(shorter) = rest.strip_prefix("./") {
        rest = shorter;
    }
    match fault(rest) {
        None => Ok(rest.to_owned()),
        Some(reason) => Err(Refusal::BadPath { path: path.to_owned(), reason }),
    }
}

fn fault(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("it is empty");
    }
    if path.len() > LONGEST {
        return Some("it is longer than 1,024 bytes");
    }
    if path.starts_with('/') || path.starts_with('~') {
        return Some("it is not relative to the project");
    }
    if path.contains('\\') {
        return Some("it contains a backslash; folders are separated by `/`");
    }
    if path.as_bytes().get(1) == Some(&b':') && path.as_bytes()[0].is_ascii_alphabetic() {
        return Some("it names a drive");
    }
    if path.chars().any(char::is_control) {
        return Some("it contains a control character");
    }
    if path.ends_with('/') {
        return Some("it names a folder");
    }
    path.split('/').find_map(|segment| match segment {
        "" => Some("it contains an empty segment"),
        "." => Some("it contains a `.` segment"),
        ".." => Some("it contains a `..` segment"),
        _ if is_git_directory(segment) => Some("it is inside a git directory"),
        _ => None,
    })
}

/// Whether some file system takes `segment` for `.git`: other case, HFS+ ignored characters, NTFS trailing
/// dots, spaces and streams, and the short name.
fn is_git_directory(segment: &str) -> bool {
    let ignored = |c: &char| !matches!(*c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let name: String = segment.chars().filter(ignored).collect::<String>().to_ascii_lowercase();
    let name = name.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    name == ".git" || name == "git~1"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_inside_the_project_is_taken_as_it_is() {
        for path in
            ["src/lib.rs", "Makefile", ".github/workflows/ci.yml", ".gitignore", "a b/c d.txt", "ä/ö.md", "..a/b.."]
        {
            assert_eq!(clean(path).unwrap(), path);
        }
        assert_eq!(clean("././src/lib.rs").unwrap(), "src/lib.rs");
    }

    #[test]
    fn a_path_that_leaves_the_project_or_touches_git_is_refused() {
        for path in [
            "",
            "./",
            "/etc/passwd",
            "~/x",
            "../x",
            "a/../b",
            "a/./b",
            "a//b",
            "a/",
            "a\\b",
            "C:/x",
            "a\0b",
            "a\nb",
            ".git",
            ".git/config",
            "sub/.git/hooks/x",
            ".GIT/config",
            ".git./config",
            ".git /config",
            "git~1/config",
            ".g\u{200c}it/config",
            ".git::$INDEX_ALLOCATION/config",
        ] {
            assert!(matches!(clean(path), Err(Refusal::BadPath { .. })), "{path:?}");
        }
        assert!(clean(&"a".repeat(1025)).is_err());
    }
}
