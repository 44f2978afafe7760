//! Finds the place that a search text was probably meant for, to name it in a refusal. It is never edited.
//!
//! Lines are aligned as a whole (a left-out or invented line costs something, it does not end the match), by
//! the letter pairs they share. What is said about the difference is what a model can act on.

use crate::place::occurrences;
use crate::refusal::{Candidate, shortened};
use similar::{Algorithm, DiffOp};

/// Pairs of lines that are compared at most; beyond, a refusal names no place.
const MOST_PAIRS: usize = 4_000_000;
/// How alike a place must be to be named, from 0 to 1.
const ENOUGH: f32 = 0.55;
/// What a line costs that only the file has; one that only the search text has costs 1.
const FILE_ONLY: f32 = 0.4;

/// The most similar place, where one is similar at all, and in what it differs, as whole sentences.
pub(crate) fn nearest(text: &[u8], search: &str, replace: &[u8]) -> (Option<Candidate>, String) {
    let mut there = occurrences(text, replace, 0);
    if replace.trim_ascii().len() >= 8
        && let (Some(at), None) = (there.next(), there.next())
    {
        let line = |offset: usize| {
            let breaks = memchr::memchr_iter(b'\n', &text[..offset]).count();
            u32::try_from(breaks).unwrap_or(u32::MAX - 1) + 1
        };
        let candidate = Candidate::of(text, [line(at), line(at + replace.len() - 1)], 0);
        return (
            Some(candidate),
            "the replacement stands there already, so the block may have been applied before.".into(),
        );
    }
    let whole = String::from_utf8_lossy(text);
    let file: Vec<&str> = whole.lines().collect();
    let wanted: Vec<&str> = search.lines().collect();
    match aligned(&file, &wanted) {
        None => (None, "no similar lines were found.".to_owned()),
        Some((from, to)) => {
            let differs = difference(file.get(from..to).unwrap_or_default(), &wanted, from);
            let line = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
            (Some(Candidate::of(text, [line(from) + 1, line(to)], 2)), differs)
        }
    }
}

/// The lines `from..to` of the file that are most like `wanted`; `None` where none are like enough.
fn aligned(file: &[&str], wanted: &[&str]) -> Option<(usize, usize)> {
    let filled = wanted.iter().filter(|line| !line.trim().is_empty()).count();
    if filled == 0 || file.is_empty() || file.len().saturating_mul(wanted.len()) > MOST_PAIRS {
        return None;
    }
    let sketches: Vec<Sketch> = file.iter().map(|line| Sketch::of(line)).collect();
    // best[j]: cheapest alignment of the lines of `wanted` so far that ends before line j, and where it starts.
    let mut best: Vec<(f32, usize)> = (0..=file.len()).map(|j| (0.0, j)).collect();
    for line in wanted {
        let sketch = Sketch::of(line);
        let weight = if line.trim().is_empty() { 0.1 } else { 1.0 };
        let mut diagonal = best[0];
        best[0].0 += weight;
        for (j, other) in sketches.iter().enumerate() {
            let matched = (diagonal.0 + weight * (1.0 - sketch.alike(other)), diagonal.1);
            diagonal = best[j + 1];
            let wanted_only = (diagonal.0 + weight, diagonal.1);
            let file_only = (best[j].0 + FILE_ONLY, best[j].1);
            best[j + 1] =
                [matched, wanted_only, file_only].into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or(matched);
        }
    }
    let (end, (cost, start)) = best.into_iter().enumerate().min_by(|a, b| a.1.0.total_cmp(&b.1.0))?;
    #[expect(clippy::cast_precision_loss, reason = "a share of a few thousand lines")]
    let like = 1.0 - cost / filled as f32;
    (like >= ENOUGH && start < end).then_some((start, end))
}

/// The letter pairs of a line without its outer space, hashed into 256 bits.
struct Sketch {
    bits: [u64; 4],
    count: u32,
}

impl Sketch {
    fn of(line: &str) -> Self {
        let mut bits = [0u64; 4];
        let line = line.trim().as_bytes();
        let mut add = |hash: u8| bits[usize::from(hash >> 6)] |= 1 << (hash & 63);
        for pair in line.windows(2) {
            add(pair[0].wrapping_mul(31).wrapping_add(pair[1].wrapping_mul(113)));
        }
        if let [one] = line {
            add(*one);
        }
        let count = bits.iter().map(|word| word.count_ones()).sum();
        Self { bits, count }
    }

    /// From 0 to 1; two empty lines are alike.
    fn alike(&self, other: &Self) -> f32 {
        if self.count + other.count == 0 {
            return 1.0;
        }
        let both: u32 = self.bits.iter().zip(other.bits).map(|(a, b)| (a & b).count_ones()).sum();
        #[expect(clippy::cast_precision_loss, reason = "at most 512")]
        let share = (2 * both) as f32 / (self.count + other.count) as f32;
        // Two lines of code share some pairs by chance.
        if share < 0.5 { 0.0 } else { share }
    }
}

/// In what the found lines differ from the wanted ones. `from` is the index of the first in the file.
fn difference(found: &[&str], wanted: &[&str], from: usize) -> String {
    let same = |alike: fn(&str) -> String| {
        found.len() == wanted.len() && found.iter().zip(wanted).all(|(a, b)| alike(a) == alike(b))
    };
    if same(|line| line.trim().to_owned())
        && let Some((a, b)) = found.iter().zip(wanted).find(|(a, b)| a.trim_end() != b.trim_end())
    {
        return format!(
            "only the indentation differs: the file has {} where the search text has {}.",
            indentation(a),
            indentation(b)
        );
    }
    if same(|line| line.split_whitespace().collect()) {
        return "only spaces inside the lines differ.".to_owned();
    }
    if same(|line| line.trim().to_lowercase()) {
        return "only upper and lower case differ.".to_owned();
    }
    if same(|line| line.trim().chars().map(plain).collect()) {
        return "only typographic characters (quotes, dashes, spaces) differ.".to_owned();
    }
    let a: Vec<&str> = found.iter().map(|line| line.trim_end()).collect();
    let b: Vec<&str> = wanted.iter().map(|line| line.trim_end()).collect();
    let mut said = Vec::new();
    let mut left_out = 0;
    let in_file =
        |index: usize| format!("line {} of the file, `{}`", from + index + 1, shortened(a.get(index).unwrap_or(&"")));
    let in_search = |index: usize| format!("`{}`", shortened(b.get(index).unwrap_or(&"")));
    for op in similar::capture_diff_slices(Algorithm::Myers, &a, &b) {
        match op {
            DiffOp::Equal { .. } => {}
            DiffOp::Replace { old_index, old_len, new_index, new_len } if old_len == new_len => {
                said.extend((0..old_len).map(|at| {
                    format!("for {}, the search text has {}", in_file(old_index + at), in_search(new_index + at))
                }));
            }
            _ => {
                said.extend(op.old_range().map(|at| format!("the search text lacks {}", in_file(at))));
                said.extend(op.new_range().map(|at| format!("the file lacks {}", in_search(at))));
            }
        }
    }
    if said.len() > 6 {
        left_out = said.len() - 6;
        said.truncate(6);
    }
    let rest = if left_out > 0 { format!("; {left_out} more lines differ") } else { String::new() };
    format!("the nearest lines differ: {}{rest}.", said.join("; "))
}

fn indentation(line: &str) -> String {
    let space = &line[..line.len() - line.trim_start().len()];
    let count = |wanted: char| space.chars().filter(|c| *c == wanted).count();
    let counted = |number: usize, name: &str| format!("{number} {name}{}", if number == 1 { "" } else { "s" });
    match (count('\t'), count(' ')) {
        (0, 0) => "none".to_owned(),
        (tabs, 0) => counted(tabs, "tab"),
        (0, spaces) => counted(spaces, "space"),
        (tabs, spaces) => format!("{} and {}", counted(tabs, "tab"), counted(spaces, "space")),
    }
}

fn plain(c: char) -> char {
    match c {
        '\u{2018}' | '\u{2019}' => '\'',
        '\u{201c}' | '\u{201d}' => '"',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{a0}' | '\u{2009}' | '\u{202f}' => ' ',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "fn main() {\n\tlet total = 1;\n\tprintln!(\"{total}\");\n}\n\nfn other() {\n    todo\n}\n";

    fn near(search: &str) -> (Option<[u32; 2]>, String) {
        let (place, differs) = nearest(FILE.as_bytes(), search, b"");
        (place.map(|candidate| candidate.lines), differs)
    }

    #[test]
    fn indentation_is_named_as_such() {
        insta::assert_debug_snapshot!(near("    let total = 1;\n    println!(\"{total}\");\n"), @r#"
        (
            Some(
                [
                    2,
                    3,
                ],
            ),
            "only the indentation differs: the file has 1 tab where the search text has 4 spaces.",
        )
        "#);
    }

    #[test]
    fn a_left_out_line_is_shown() {
        insta::assert_debug_snapshot!(near("fn main() {\n\tprintln!(\"{total}\");\n}\n"), @r#"
        (
            Some(
                [
                    1,
                    4,
                ],
            ),
            "the nearest lines differ: the search text lacks line 2 of the file, `\tlet total = 1;`.",
        )
        "#);
    }

    #[test]
    fn a_changed_word_is_shown() {
        insta::assert_debug_snapshot!(near("fn other(x: u8) {\n    todo\n}\n"), @r#"
        (
            Some(
                [
                    6,
                    8,
                ],
            ),
            "the nearest lines differ: for line 6 of the file, `fn other() {`, the search text has `fn other(x: u8) {`.",
        )
        "#);
    }

    #[test]
    fn text_from_elsewhere_has_no_place() {
        insta::assert_debug_snapshot!(near("SELECT * FROM users WHERE id = ?;\n"), @r#"
        (
            None,
            "no similar lines were found.",
        )
        "#);
    }

    #[test]
    fn a_block_that_was_applied_before_is_recognised() {
        let (place, differs) = nearest(FILE.as_bytes(), "\tlet sum = 1;\n", b"\tlet total = 1;\n");
        insta::assert_debug_snapshot!((place.map(|c| c.lines), differs), @r#"
        (
            Some(
                [
                    2,
                    2,
                ],
            ),
            "the replacement stands there already, so the block may have been applied before.",
        )
        "#);
    }

    #[test]
    fn a_huge_file_names_no_place_instead_of_taking_minutes() {
        let text = "let a = 1;\n".repeat(100_000);
        assert_eq!(nearest(text.as_bytes(), &"let b = 1;\n".repeat(50), b"").0, None);
    }
}
