//! The passages of a text: how it is cut into some, and how well each fits a query.

use crate::query::Words;
use crate::terms::Terms;
use std::collections::{HashMap, HashSet};

/// A passage ends where a definition does once it has so many lines.
const ENOUGH: usize = 15;
/// No passage has more lines.
const MOST: usize = 60;
/// Lines that two passages share where a cut goes through the middle of something.
const SHARED: usize = 6;

/// Lines that are shown of a text that fits by its path, title or past alone.
const SHOWN: usize = 20;

/// BM25's usual saturation and length weights.
const K1: f32 = 1.2;
const B: f32 = 0.75;
/// What a term that is being defined counts beyond its mentions; many mentions come close to 2.2.
const DEFINITION: f32 = 1.5;

/// Words that stand directly before the name they define.
const DEFINERS: &[&str] = &[
    "fn",
    "def",
    "class",
    "struct",
    "enum",
    "trait",
    "interface",
    "type",
    "func",
    "function",
    "mod",
    "module",
    "macro",
    "namespace",
    "record",
    "protocol",
    "object",
    "proc",
    "sub",
    "const",
    "static",
    "defmodule",
    "defp",
    "fun",
    "table",
];

/// A passage and how well it fits; lines are 1-based and inclusive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Passage {
    pub lines: [usize; 2],
    pub score: f32,
}

/// First and last line (0-based, inclusive) of each passage, without empty lines around.
pub(crate) fn cut(lines: &[&str]) -> Vec<[usize; 2]> {
    let empty = |at: usize| lines.get(at).is_none_or(|line| line.trim().is_empty());
    let opens = |at: usize| {
        empty(at - 1)
            && lines
                .get(at)
                .and_then(|l| l.chars().next())
                .is_some_and(|c| !c.is_whitespace() && !matches!(c, '}' | ')' | ']'))
    };
    let mut passages = Vec::new();
    let mut start = 0;
    while start < lines.len() {
        let most = start + MOST;
        let (end, next) = if lines.len() <= start + ENOUGH {
            (lines.len(), lines.len())
        } else if let Some(end) = (start + ENOUGH..=most.min(lines.len() - 1)).find(|at| opens(*at)) {
            (end, end)
        } else if lines.len() <= most {
            (lines.len(), lines.len())
        } else if let Some(end) = (start + ENOUGH..=most).rev().find(|at| empty(at - 1)) {
            (end, end)
        } else {
            (most, most - SHARED)
        };
        let first = (start..end).find(|at| !empty(*at));
        let last = (start..end).rfind(|at| !empty(*at));
        if let (Some(first), Some(last)) = (first, last) {
            passages.push([first, last]);
        }
        start = next;
    }
    passages
}

/// Where a term of the query stands.
struct Mention {
    line: usize,
    term: usize,
    position: usize,
    defines: bool,
}

/// The passages of `text` that mention the query, best first; none where a phrase of it is nowhere in the text.
/// `weights` are the terms' rarities.
pub(crate) fn passages(text: &str, words: &Words, weights: &[f32]) -> Vec<Passage> {
    let lines: Vec<&str> = text.lines().collect();
    let (mentions, lengths) = mentions(&lines, words);
    if mentions.is_empty() || !words.phrases.iter().all(|phrase| holds(&mentions, phrase)) {
        return Vec::new();
    }
    let cuts = cut(&lines);
    let length = |[first, last]: [usize; 2]| lengths.get(first..=last).unwrap_or_default().iter().sum::<usize>();
    #[expect(clippy::cast_precision_loss, reason = "counts of terms in a file of at most 1 MiB")]
    let usual = cuts.iter().map(|cut| length(*cut)).sum::<usize>() as f32 / cuts.len().max(1) as f32;
    let mut found: Vec<(bool, Passage)> = cuts
        .into_iter()
        .filter_map(|cut| {
            let from = mentions.partition_point(|mention| mention.line < cut[0]);
            let to = mentions.partition_point(|mention| mention.line <= cut[1]);
            let inside = mentions.get(from..to).filter(|inside| !inside.is_empty())?;
            let mut counts = vec![(0.0f32, 0.0f32); words.terms.len()];
            for mention in inside {
                if let Some((count, bonus)) = counts.get_mut(mention.term) {
                    *count += 1.0;
                    *bonus = if mention.defines { DEFINITION } else { *bonus };
                }
            }
            #[expect(clippy::cast_precision_loss, reason = "counts of terms in a file of at most 1 MiB")]
            let damping = K1 * (1.0 - B + B * length(cut) as f32 / usual.max(1.0));
            let of_term = |(count, bonus): &(f32, f32)| count * (K1 + 1.0) / (count + damping) + bonus;
            let score = counts.iter().zip(weights).map(|(count, weight)| weight * of_term(count)).sum();
            let whole = words.phrases.iter().all(|phrase| holds(inside, phrase));
            Some((whole, Passage { lines: [cut[0] + 1, cut[1] + 1], score }))
        })
        .collect();
    // A phrase may be torn by a cut; then the passages with its words have to do.
    if found.iter().any(|(whole, _)| *whole) {
        found.retain(|(whole, _)| *whole);
    }
    let mut found: Vec<Passage> = found.into_iter().map(|(_, passage)| passage).collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.lines.cmp(&b.lines)));
    found
}

/// The first lines of a text that has some.
pub(crate) fn beginning(text: &str) -> Option<Passage> {
    let lines = text.lines().count();
    (lines > 0).then(|| Passage { lines: [1, lines.min(SHOWN)], score: 0.0 })
}

/// Lines of a text, 1-based and inclusive.
pub(crate) fn lines_of(text: &str, [first, last]: [usize; 2]) -> String {
    let lines: Vec<&str> = text.lines().skip(first - 1).take(last + 1 - first).collect();
    lines.join("\n")
}

/// Whether a name is being defined.
#[derive(Clone, Copy)]
enum Naming {
    No,
    /// By the next word.
    Next,
    /// By the word that ends here; its parts are still to come.
    Until(usize),
}

/// The places of the query's terms, by line, and the number of terms of each line.
fn mentions(lines: &[&str], words: &Words) -> (Vec<Mention>, Vec<usize>) {
    let wanted: HashMap<&str, usize> = words.terms.iter().enumerate().map(|(at, term)| (term.as_str(), at)).collect();
    let mut found = Vec::new();
    let mut lengths = Vec::with_capacity(lines.len());
    let mut term = String::new();
    let mut position = 0;
    for (line, text) in lines.iter().enumerate() {
        let mut terms = Terms::of(text);
        let mut length = 0;
        let mut naming = Naming::No;
        while let Some(piece) = terms.next_into(&mut term) {
            length += 1;
            let definer = !piece.whole && DEFINERS.contains(&term.as_str());
            let defines = match naming {
                Naming::Until(end) => piece.from < end,
                Naming::Next => !definer,
                Naming::No => false,
            };
            naming = match naming {
                Naming::Until(_) if defines => naming,
                Naming::Next if defines => Naming::Until(word_end(text, piece.from)),
                _ if definer => Naming::Next,
                _ => Naming::No,
            };
            if let Some(at) = wanted.get(term.as_str()).copied() {
                found.push(Mention { line, term: at, position: position + piece.position, defines });
            }
        }
        position += terms.positions();
        lengths.push(length);
    }
    (found, lengths)
}

fn word_end(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len())
}

/// Whether the parts of a phrase follow each other somewhere.
fn holds(mentions: &[Mention], phrase: &[usize]) -> bool {
    let Some((first, rest)) = phrase.split_first() else { return true };
    let places: HashSet<(usize, usize)> = mentions.iter().map(|mention| (mention.term, mention.position)).collect();
    let stands = |term: usize, position: usize| places.contains(&(term, position));
    mentions
        .iter()
        .filter(|mention| mention.term == *first)
        .any(|mention| (1..).zip(rest).all(|(ahead, term)| stands(*term, mention.position + ahead)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(count: usize, line: impl Fn(usize) -> &'static str) -> Vec<[usize; 2]> {
        let lines: Vec<&str> = (0..count).map(line).collect();
        cut(&lines)
    }

    #[test]
    fn a_text_is_cut_between_definitions() {
        // Definitions of ten lines with an empty line between: two fit what is enough.
        let line = |at: usize| match at % 11 {
            0 => "fn a() {",
            9 => "}",
            10 => "",
            _ => "    body",
        };
        assert_eq!(numbered(55, line), [[0, 20], [22, 42], [44, 53]]);
    }

    #[test]
    fn a_text_without_gaps_is_cut_into_parts_that_share_lines() {
        assert_eq!(numbered(130, |_| "    x"), [[0, 59], [54, 113], [108, 129]]);
        assert_eq!(numbered(60, |_| "x"), [[0, 59]]);
    }

    #[test]
    fn every_line_with_something_on_it_is_in_a_passage() {
        for (count, every) in [(1, 1), (16, 2), (61, 7), (200, 13), (333, 50)] {
            let lines: Vec<&str> = (0..count)
                .map(|at| {
                    if at % every == every - 1 {
                        ""
                    } else if at % 5 == 0 {
                        "x"
                    } else {
                        "  x"
                    }
                })
                .collect();
            let cuts = cut(&lines);
            for (at, _) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
                assert!(cuts.iter().any(|[first, last]| (*first..=*last).contains(&at)), "line {at} of {count}");
            }
            assert!(cuts.iter().all(|[first, last]| last - first < MOST));
        }
        assert_eq!(numbered(0, |_| ""), Vec::<[usize; 2]>::new());
        assert_eq!(numbered(40, |_| " "), Vec::<[usize; 2]>::new());
    }

    #[test]
    fn the_definition_of_a_name_fits_better_than_its_use() {
        let text =
            format!("{}\n\npub const fn parse_it() {{\n    more words here\n}}\n", "    parse_it();\n".repeat(20));
        let words = Words::of("parseIt").unwrap();
        let found = passages(&text, &words, &[1.0, 1.0, 1.0]);
        assert_eq!(found.first().map(|passage| passage.lines), Some([23, 25]), "{found:?}");
    }

    #[test]
    fn a_phrase_must_stand_in_the_passage() {
        let filler = "    x\n".repeat(80);
        let text = format!("header http\n{filler}the http\nheader\n");
        let words = Words::of("\"http header\"").unwrap();
        let found = passages(&text, &words, &[1.0, 1.0]);
        assert_eq!(found.iter().map(|passage| passage.lines).collect::<Vec<_>>(), [[55, 83]]);
    }
}
