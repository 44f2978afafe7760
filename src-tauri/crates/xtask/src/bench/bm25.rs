//! Plain BM25 over the content of files, to compare with: k1 1.2, b 0.75; names are cut into their parts and kept whole.

use std::collections::{HashMap, HashSet};

const K1: f64 = 1.2;
const B: f64 = 0.75;
/// A longer word is data.
const LONGEST: usize = 96;

/// The words of a text, in small letters: `parse_http` and `parseHttp` give `parsehttp`, `parse` and `http`.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in
        text.split(|c: char| c != '_' && !c.is_alphanumeric()).filter(|word| (1..=LONGEST).contains(&word.len()))
    {
        let parts = parts(word);
        if parts.len() > 1 {
            words.push(parts.concat());
        }
        words.extend(parts);
    }
    words
}

fn parts(word: &str) -> Vec<String> {
    let chars: Vec<char> = word.chars().collect();
    let mut parts = vec![String::new()];
    for (at, c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at)).copied().unwrap_or('_');
        let after = chars.get(at + 1).copied().unwrap_or('_');
        let camel = c.is_uppercase() && (before.is_lowercase() || (before.is_uppercase() && after.is_lowercase()));
        if before.is_numeric() != c.is_numeric() || camel || *c == '_' {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut().filter(|_| *c != '_') {
            part.extend(c.to_lowercase());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// The words of some files.
#[derive(Default)]
pub struct Plain {
    /// For each word the files that have it, and how often.
    places: HashMap<String, Vec<(usize, f64)>>,
    lengths: Vec<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "counts of words")]
impl Plain {
    /// Takes in the next file.
    pub fn add(&mut self, text: &str) {
        let words = words(text);
        let file = self.lengths.len();
        self.lengths.push(words.len() as f64);
        let mut counts: HashMap<String, f64> = HashMap::new();
        for word in words {
            *counts.entry(word).or_default() += 1.0;
        }
        for (word, count) in counts {
            self.places.entry(word).or_default().push((file, count));
        }
    }

    /// The files that have a word of the query by their numbers, best first.
    pub fn ranked(&self, query: &str) -> Vec<usize> {
        let all = self.lengths.len() as f64;
        let usual = (self.lengths.iter().sum::<f64>() / all.max(1.0)).max(1.0);
        let mut scores: HashMap<usize, f64> = HashMap::new();
        let distinct: HashSet<String> = words(query).into_iter().collect();
        for places in distinct.iter().filter_map(|word| self.places.get(word)) {
            let with = places.len() as f64;
            let rarity = (1.0 + (all - with + 0.5) / (with + 0.5)).ln();
            for (file, count) in places {
                let length = self.lengths.get(*file).copied().unwrap_or_default();
                let damped = count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length / usual));
                *scores.entry(*file).or_default() += rarity * damped;
            }
        }
        let mut ranked: Vec<(usize, f64)> = scores.into_iter().collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked.into_iter().map(|(file, _)| file).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_and_kept_whole() {
        assert_eq!(
            words("parse_http(HTTPHeader2, x)"),
            ["parsehttp", "parse", "http", "httpheader2", "http", "header", "2", "x"]
        );
    }

    #[test]
    fn the_rare_word_and_the_short_file_come_first() {
        let mut plain = Plain::default();
        for text in ["the common words", "the common words and the rare one among many many others", "the rare"] {
            plain.add(text);
        }
        assert_eq!(plain.ranked("rare"), [2, 1]);
        assert_eq!(plain.ranked("the rare common"), [2, 1, 0]);
        assert_eq!(plain.ranked("nothing"), [0usize; 0]);
    }
}
