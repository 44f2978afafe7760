//! What the author of a change is told of the user's remarks on it.
//!
//! A remark is anchored by the text of its lines, so that it is found again where the lines moved; where they are gone it
//! says so. Pure but for reading the files that are spoken of.

use atelier_protocol::event::Comment;
use std::fmt::Write;
use std::path::Path;

/// The remarks as the author reads them, each with where its lines are in `root` now.
pub(crate) fn told(remarks: &[Comment], note: &str, root: &Path) -> String {
    let mut text = String::from("The user read the change and asks for more:");
    if !note.trim().is_empty() {
        let _ = write!(text, "\n{}", note.trim());
    }
    for remark in remarks {
        let now = std::fs::read_to_string(root.join(&remark.path)).unwrap_or_default();
        let place = match place(&now, &remark.quote, remark.line) {
            _ if remark.quote.is_empty() => remark.path.clone(),
            Some(line) => format!("{}:{line}", remark.path),
            None => format!("{} (these lines are not there any more)", remark.path),
        };
        let _ = write!(text, "\n\n{place}");
        for line in &remark.quote {
            let _ = write!(text, "\n> {line}");
        }
        let _ = write!(text, "\n{}", remark.text.trim());
    }
    text
}

/// The line, from 1, at which `quote` stands in `text`; of several the one nearest to where it was.
pub(crate) fn place(text: &str, quote: &[String], was: u32) -> Option<u32> {
    let lines: Vec<&str> = text.lines().collect();
    if quote.is_empty() || quote.len() > lines.len() {
        return None;
    }
    let fits = |at: &usize| quote.iter().zip(&lines[*at..]).all(|(quoted, line)| quoted.trim_end() == line.trim_end());
    let found = (0..=lines.len() - quote.len()).filter(fits).filter_map(|at| u32::try_from(at + 1).ok());
    found.min_by_key(|line| line.abs_diff(was))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_follows_its_lines_and_says_where_they_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.rs"), "// new\nfn a() {}\nfn b() {}\n").unwrap();
        let remark = |quote: &str, line| Comment {
            path: "a.rs".to_owned(),
            quote: vec![quote.to_owned()],
            line,
            text: "Say why.".to_owned(),
        };
        let text = told(&[remark("fn a() {}", 1), remark("fn c() {}", 3)], "Nearly.", dir.path());
        insta::assert_snapshot!(text, @r"
        The user read the change and asks for more:
        Nearly.

        a.rs:2
        > fn a() {}
        Say why.

        a.rs (these lines are not there any more)
        > fn c() {}
        Say why.
        ");
    }

    #[test]
    fn of_equal_lines_the_nearest_is_meant() {
        let text = "}\nx\n}\ny\n}\n";
        assert_eq!(place(text, &["}".to_owned()], 4), Some(3));
        assert_eq!(place(text, &["}".to_owned()], 9), Some(5));
    }
}
