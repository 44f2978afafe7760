//! Recognises a line like `// ... rest of the code unchanged ...` that a model wrote instead of the code.
//!
//! Only a comment with an ellipsis and one of a few phrases counts, and only where the file did not have it before.

use crate::refusal::shortened;
use std::collections::HashSet;

const COMMENTS: &[&str] = &["//", "#", "--", "/*", "<!--", ";", "%", "{/*", "\"\"\""];

const PHRASES: &[&str] = &[
    "rest of",
    "existing",
    "unchanged",
    "remaining",
    "remains the same",
    "same as before",
    "stays the same",
    "omitted",
    "previous code",
    "other code",
    "as before",
    "no changes",
    "not changed",
    "keep the",
];

/// The first such line of `after` that `before` does not have: its number and text.
pub(crate) fn added(before: &[u8], after: &[u8]) -> Option<(u32, String)> {
    let elided = |text: &[u8]| -> Vec<(u32, String)> {
        let text = String::from_utf8_lossy(text);
        (1..)
            .zip(text.lines())
            .filter(|(_, line)| stands_for_code(line))
            .map(|(n, l)| (n, shortened(l.trim())))
            .collect()
    };
    let found = elided(after);
    if found.is_empty() {
        return None;
    }
    let known: HashSet<String> = elided(before).into_iter().map(|(_, line)| line).collect();
    found.into_iter().find(|(_, line)| !known.contains(line))
}

fn stands_for_code(line: &str) -> bool {
    let line = line.trim();
    if line.len() > 200 || !COMMENTS.iter().any(|start| line.starts_with(start)) {
        return false;
    }
    let words = line.trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '.' | '…'));
    let ellipsis = ["...", "…"].iter().any(|dots| words.starts_with(dots) || words.ends_with(dots));
    let words = words.to_lowercase();
    ellipsis && PHRASES.iter().any(|phrase| words.contains(phrase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_stand_for_code_are_recognised() {
        for line in [
            "// ... existing code ...",
            "    # ... rest of the file unchanged",
            "/* ... remaining methods ... */",
            "<!-- ... rest of the page ... -->",
            "// … unchanged …",
            "-- rest of the query stays the same ...",
            "{/* ... existing markup ... */}",
        ] {
            assert!(stands_for_code(line), "{line}");
        }
    }

    #[test]
    fn ordinary_comments_and_code_are_not() {
        for line in [
            "// the rest of the arguments",
            "let rest = [...existing];",
            "# see ... for more",
            "// TODO: ...",
            "print('... existing ...')",
            "## Existing features",
            "// wait for the remaining bytes",
        ] {
            assert!(!stands_for_code(line), "{line}");
        }
    }

    #[test]
    fn a_line_the_file_already_had_is_left_alone() {
        let before = b"a\n# ... rest of it ...\n";
        assert_eq!(added(before, b"b\n# ... rest of it ...\n"), None);
        assert_eq!(added(b"a\n", before), Some((2, "# ... rest of it ...".to_owned())));
    }
}
