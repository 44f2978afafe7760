//! Recognises a line like `// ... rest of the code unchanged ...` that a model wrote instead of the code.
//!
//! Only a comment with an ellipsis and one of a few phrases counts, and only where the file did not have it before.

use crate::refusal::shortened;
use crate::text::{Level, key, lines};
use std::collections::{HashMap, HashSet};

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

/// Old lines that one line of nothing but dots may not stand for.
const MANY: usize = 3;

/// A line of `new` that is nothing but an ellipsis, that `old` does not have, and in whose place several lines of `old`
/// go: its number in `new`, and the line.
pub(crate) fn stands_alone(old: &[u8], new: &[u8]) -> Option<(u32, String)> {
    let is_dots = |line: &[u8]| matches!(key(Level::Bare, line), b"..." | b"\xe2\x80\xa6");
    let dotted: Vec<usize> = lines(new).enumerate().filter(|(_, line)| is_dots(line)).map(|(at, _)| at).collect();
    if dotted.is_empty() || lines(old).any(is_dots) {
        return None;
    }
    let mut places: HashMap<&[u8], Vec<usize>> = HashMap::new();
    let mut count = 0;
    for (at, line) in lines(old).map(|line| key(Level::Bare, line)).enumerate().filter(|(_, line)| !line.is_empty()) {
        count = at + 1;
        places.entry(line).or_default().push(count);
    }
    let after: Vec<&[u8]> = lines(new).map(|line| key(Level::Bare, line)).collect();
    // Between the known lines around the dots, the old text must have many more than the new one.
    let (start, end) = (vec![0], vec![count + 1]);
    let known = |line: &&[u8]| places.get(*line);
    let swallows = |at: &usize| {
        let above = (0..*at).rev().find_map(|line| Some((line + 1, known(after.get(line)?)?)));
        let below = (at + 1..after.len()).find_map(|line| Some((line + 1, known(after.get(line)?)?)));
        let (new_from, above) = above.unwrap_or((0, &start));
        let (new_to, below) = below.unwrap_or((after.len() + 1, &end));
        let closest = above.iter().filter_map(|a| Some(below.get(below.partition_point(|b| b <= a))? - a)).min();
        // The dots are one of the new lines.
        closest.is_some_and(|apart| apart > MANY + (new_to - new_from).saturating_sub(2))
    };
    let at = dotted.into_iter().find(swallows)?;
    let line = after.get(at).copied().unwrap_or_default();
    Some((u32::try_from(at).unwrap_or(u32::MAX - 1) + 1, String::from_utf8_lossy(line).into_owned()))
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
    fn dots_alone_may_not_take_the_place_of_many_lines() {
        let old = b"a\nb\nc\nd\ne\n";
        assert_eq!(stands_alone(old, b"a\n...\nx\n"), Some((2, "...".to_owned())));
        assert_eq!(stands_alone(old, b"a\nb\n...\nx\n"), None, "two lines for two");
        assert_eq!(stands_alone(old, b"a\n    \xe2\x80\xa6\ne\n"), Some((2, "\u{2026}".to_owned())));
        assert_eq!(stands_alone(old, b"a\nb\nc\nd\ne\ndef f():\n    ...\n"), None, "a new function of Python's");
        assert_eq!(stands_alone(b"a\n...\nb\nc\nd\n", b"...\n"), None);
    }

    #[test]
    fn a_line_the_file_already_had_is_left_alone() {
        let before = b"a\n# ... rest of it ...\n";
        assert_eq!(added(before, b"b\n# ... rest of it ...\n"), None);
        assert_eq!(added(b"a\n", before), Some((2, "# ... rest of it ...".to_owned())));
    }
}
