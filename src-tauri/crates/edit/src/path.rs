//! Which paths an edit may name.
//!
//! Relative, `/` between segments, inside the project and never inside a git directory, whatever spelling a
//! file system would accept for one. Symbolic links are the reader's and writer's job: nothing is looked up here.

use crate::refusal::Refusal;
use std::collections::HashMap;

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

/// The paths of one set of edits, as they are used.
///
/// A path from another machine's root (`/home/you/project/src/lib.rs`, `C:\\project\\src\\lib.rs`) is the file that it
/// ends with, where the project has exactly one such; what was cut off is then the root for new files too.
#[derive(Default)]
pub(crate) struct Paths {
    known: HashMap<String, String>,
    root: Option<String>,
}

impl Paths {
    /// The path of a file that may be there.
    pub(crate) fn resolve(
        &mut self,
        path: &str,
        read: impl Fn(&str) -> Result<Option<Vec<u8>>, Refusal>,
    ) -> Result<String, Refusal> {
        if let Some(known) = self.known.get(path) {
            return Ok(known.clone());
        }
        let refused = match clean(path) {
            Ok(clean) => {
                self.known.insert(path.to_owned(), clean.clone());
                return Ok(clean);
            }
            Err(refused) => refused,
        };
        if let Ok(new) = self.resolve_new(path) {
            return Ok(new);
        }
        let Some(ends) = ends_of(path) else { return Err(refused) };
        let mut there = Vec::new();
        for end in ends {
            if read(&end).is_ok_and(|file| file.is_some()) {
                there.push(end);
            }
        }
        match there.as_slice() {
            [] => Err(refused),
            [one] => {
                let slashed = path.replace('\\', "/");
                self.root = slashed.strip_suffix(one.as_str()).filter(|root| !root.is_empty()).map(str::to_owned);
                self.known.insert(path.to_owned(), one.clone());
                Ok(one.clone())
            }
            _ => Err(Refusal::ManyFiles { path: path.to_owned(), candidates: there }),
        }
    }

    /// The path of a file that is to be made.
    pub(crate) fn resolve_new(&self, path: &str) -> Result<String, Refusal> {
        let slashed = path.replace('\\', "/");
        let inside = self.root.as_deref().and_then(|root| slashed.strip_prefix(root));
        clean(inside.unwrap_or(path))
    }
}

/// What a path from some root may be called in the project, the longest first; `None` where it is not such a path or
/// touches what no edit may.
fn ends_of(path: &str) -> Option<Vec<String>> {
    let slashed = path.replace('\\', "/");
    let drive = slashed.as_bytes().get(1) == Some(&b':') && slashed.as_bytes()[0].is_ascii_alphabetic();
    let body = if drive { &slashed[2..] } else { slashed.as_str() };
    if path.len() > LONGEST || path.chars().any(char::is_control) {
        return None;
    }
    let absolute = body.starts_with('/');
    if !absolute && (drive || !path.contains('\\')) {
        return None;
    }
    let segments: Vec<&str> = body.trim_start_matches('/').split('/').collect();
    let whole = segments.join("/");
    fault(&whole).is_none().then(|| {
        let deepest = if absolute { segments.len() } else { 1 };
        (0..deepest).map(|from| segments.get(from..).unwrap_or_default().join("/")).collect()
    })
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

    #[test]
    fn a_path_from_another_root_is_the_one_file_it_ends_with() {
        let files = ["src/lib.rs", "lib.rs", "a/src/b.rs", "config"];
        let read = |path: &str| Ok(files.contains(&path).then(Vec::new));
        let of = |path: &str| Paths::default().resolve(path, read);
        assert_eq!(of("/home/you/project/a/src/b.rs").unwrap(), "a/src/b.rs");
        assert_eq!(of("/lib.rs").unwrap(), "lib.rs");
        assert_eq!(of("C:\\project\\a\\src\\b.rs").unwrap(), "a/src/b.rs");
        assert_eq!(of("a\\src\\b.rs").unwrap(), "a/src/b.rs");
        assert!(matches!(of("/x/src/lib.rs"), Err(Refusal::ManyFiles { candidates, .. }) if candidates.len() == 2));
        for path in ["/x/.git/config", "/x/../config", "/etc/passwd", "x\\config"] {
            assert!(matches!(of(path), Err(Refusal::BadPath { .. })), "{path}");
        }
        let mut paths = Paths::default();
        assert!(paths.resolve("/p/new.rs", read).is_err());
        assert_eq!(paths.resolve("/p/a/src/b.rs", read).unwrap(), "a/src/b.rs");
        assert_eq!(paths.resolve("/p/new.rs", read).unwrap(), "new.rs", "the root is known by now");
    }
}
