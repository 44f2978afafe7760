//! What earlier commits say about files: their messages, as words that lead to the files they touched.
//!
//! Facts are handed in by the caller, who knows the repository, and kept beside the index with the commit they reach to,
//! so that only what is new has to be read again. In memory they are one list of places for each word.

use crate::query::Words;
use crate::terms::Terms;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// An earlier commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastCommit {
    /// Its id.
    pub id: String,
    /// When it was made, in milliseconds since 1970.
    pub at_ms: i64,
    /// Its whole message.
    pub message: String,
    /// The files it touched, with `/`, by the names they have now.
    pub paths: Vec<String>,
}

/// Older commits say little about the files of today.
pub const MOST_COMMITS: usize = 4_000;
/// A commit of more files (a reformatting, a move) says little about each.
pub const MOST_PATHS: usize = 20;
/// Words of one message that count.
const MOST_TERMS: usize = 200;
/// BM25's usual saturation and length weights.
const K1: f32 = 1.2;
const B: f32 = 0.75;
/// Commits whose messages are alike and that are followed to their files.
const ALIKE: usize = 100;
/// Changes for which two files are doubted to belong together.
const DOUBT: f32 = 2.0;
/// Commits after which a change counts a third.
const FADES: f32 = 300.0;

/// All that is known of the past.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// The commit that it reaches to; `None` where nothing was told yet.
    pub head: Option<String>,
    /// Newest first.
    pub commits: Vec<PastCommit>,
    files: Vec<PastFile>,
    numbers: HashMap<String, u32>,
    /// The files of each commit.
    touched: Vec<Vec<u32>>,
    /// Terms of each commit's message that count.
    lengths: Vec<u32>,
    /// Which commits say a term, and how often.
    said: HashMap<Box<str>, Vec<(u32, u16)>>,
    /// How many terms are said of a file, on average.
    usual_file: f32,
    usual_commit: f32,
}

#[derive(Debug, Default)]
struct PastFile {
    path: String,
    /// Terms said of it.
    length: u32,
    /// Its commits, newest first.
    commits: Vec<u32>,
    /// Changes, the newer the more.
    recent: f32,
}

/// What the past says of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Said {
    /// How well all that was said of it fits, by BM25.
    pub fits: f32,
    /// How much it was touched by the commits that fit best.
    pub alike: f32,
}

#[expect(clippy::cast_precision_loss, reason = "counts of words and commits, far below 2^24")]
impl Past {
    /// The newest commits come first; the first 4,000 count.
    pub(crate) fn of(head: Option<String>, commits: impl IntoIterator<Item = PastCommit>) -> Self {
        let fits = |commit: &PastCommit| !commit.paths.is_empty() && commit.paths.len() <= MOST_PATHS;
        let commits: Vec<PastCommit> = commits.into_iter().filter(fits).take(MOST_COMMITS).collect();
        let mut past = Self { head, ..Self::default() };
        for (at, commit) in (0u32..).zip(&commits) {
            let (mut terms, mut term) = (Terms::of(&commit.message), String::new());
            let mut length = 0;
            while length < MOST_TERMS && terms.next_into(&mut term).is_some() {
                let places = match past.said.get_mut(term.as_str()) {
                    Some(places) => places,
                    None => past.said.entry(term.as_str().into()).or_default(),
                };
                match places.last_mut() {
                    Some((last, count)) if *last == at => *count = count.saturating_add(1),
                    _ => places.push((at, 1)),
                }
                length += 1;
            }
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            past.lengths.push(length);
            let mut touched = Vec::with_capacity(commit.paths.len());
            for path in &commit.paths {
                let next = u32::try_from(past.files.len()).unwrap_or(u32::MAX);
                let number = *past.numbers.entry(path.clone()).or_insert(next);
                if number == next {
                    past.files.push(PastFile { path: path.clone(), ..PastFile::default() });
                }
                if let Some(file) = past.files.get_mut(number as usize) {
                    file.length = file.length.saturating_add(length);
                    file.commits.push(at);
                    file.recent += (-(at as f32) / FADES).exp();
                }
                touched.push(number);
            }
            past.touched.push(touched);
        }
        past.usual_file =
            past.files.iter().map(|file| file.length as f32).sum::<f32>() / past.files.len().max(1) as f32;
        past.usual_commit = past.lengths.iter().map(|length| *length as f32).sum::<f32>() / commits.len().max(1) as f32;
        past.commits = commits;
        past
    }

    /// The same with newer commits before it. `moved` are files that these gave other names: from, to.
    pub(crate) fn followed_by(
        &self,
        head: Option<String>,
        newer: impl IntoIterator<Item = PastCommit>,
        moved: &[(String, String)],
    ) -> Self {
        let moved: HashMap<&str, &str> = moved.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        let renamed = self.commits.iter().map(|commit| {
            let now = |path: &String| moved.get(path.as_str()).map_or_else(|| path.clone(), |to| (*to).to_owned());
            PastCommit { paths: commit.paths.iter().map(now).collect(), ..commit.clone() }
        });
        Self::of(head, newer.into_iter().chain(renamed))
    }

    /// What is said of the files whose past mentions a word, by path.
    pub(crate) fn said(&self, words: &Words) -> HashMap<&str, Said> {
        let mut said: Vec<Said> = vec![Said::default(); self.files.len()];
        let all = self.files.len() as f32;
        let mut counts: HashMap<u32, u32> = HashMap::new();
        for (weight, places) in self.places(words) {
            counts.clear();
            for (commit, count) in places {
                for file in self.touched.get(*commit as usize).into_iter().flatten() {
                    *counts.entry(*file).or_default() += u32::from(*count);
                }
            }
            let rarity = rarity(all, counts.len() as f32);
            for (file, count) in &counts {
                let Some((said, file)) = said.get_mut(*file as usize).zip(self.files.get(*file as usize)) else {
                    continue;
                };
                said.fits += weight * rarity * saturated(*count as f32, file.length as f32 / self.usual_file.max(1.0));
            }
        }
        let alike = self.alike(words);
        let best = alike.first().map_or(1.0, |(score, _)| *score);
        for (score, commit) in alike.into_iter().take(ALIKE) {
            let Some(touched) = self.touched.get(commit as usize) else { continue };
            let share = (score / best).powi(3) / (touched.len() as f32).sqrt();
            for file in touched {
                if let Some(said) = said.get_mut(*file as usize) {
                    said.alike += share;
                }
            }
        }
        let named = self.files.iter().zip(said).filter(|(_, said)| *said != Said::default());
        named.map(|(file, said)| (file.path.as_str(), said)).collect()
    }

    /// The commits that mention a word with how well they fit, best first.
    pub(crate) fn alike(&self, words: &Words) -> Vec<(f32, u32)> {
        let mut scores = vec![0.0f32; self.commits.len()];
        for (weight, places) in self.places(words) {
            let rarity = weight * rarity(self.commits.len() as f32, places.len() as f32);
            for (commit, count) in places {
                let length = self.lengths.get(*commit as usize).map_or(0.0, |length| *length as f32);
                if let Some(score) = scores.get_mut(*commit as usize) {
                    *score += rarity * saturated(f32::from(*count), length / self.usual_commit.max(1.0));
                }
            }
        }
        let mut found: Vec<(f32, u32)> = scores.into_iter().zip(0u32..).filter(|(score, _)| *score > 0.0).collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        found
    }

    /// The weight of each word that some commit says, and the commits.
    fn places<'a>(&'a self, words: &'a Words) -> impl Iterator<Item = (f32, &'a [(u32, u16)])> {
        words.weighted().filter_map(|(term, weight)| Some((weight, self.said.get(term)?.as_slice())))
    }

    /// How often a file was changed, and how much of that was lately.
    pub(crate) fn changes(&self, path: &str) -> (f32, f32) {
        let file = self.numbers.get(path).and_then(|number| self.files.get(*number as usize));
        file.map_or((0.0, 0.0), |file| (file.commits.len() as f32, file.recent))
    }

    /// The files that were changed together with `path` in two commits at least, each with how much they belong together:
    /// between nought and one.
    pub(crate) fn together(&self, path: &str) -> Vec<(&str, f32)> {
        let own = self.changes(path).0;
        let named = self.neighbours(path).into_iter().filter_map(|(other, share)| {
            let both = share * own;
            (both > 1.5).then(|| (other, together(both, own, self.changes(other).0)))
        });
        named.collect()
    }

    /// The files that were changed together with `path`, each with the share of the path's changes that were with it.
    pub(crate) fn neighbours(&self, path: &str) -> Vec<(&str, f32)> {
        let Some(number) = self.numbers.get(path) else { return Vec::new() };
        let Some(file) = self.files.get(*number as usize) else { return Vec::new() };
        let mut counts: HashMap<u32, f32> = HashMap::new();
        for other in file.commits.iter().filter_map(|commit| self.touched.get(*commit as usize)).flatten() {
            if other != number {
                *counts.entry(*other).or_default() += 1.0;
            }
        }
        let all = file.commits.len() as f32;
        let named =
            counts.into_iter().filter_map(|(other, count)| Some((self.files.get(other as usize)?, count / all)));
        named.map(|(file, share)| (file.path.as_str(), share)).collect()
    }
}

/// How much two files belong together: the cosine of their changes, less where few changes speak for it.
fn together(both: f32, one: f32, other: f32) -> f32 {
    both / ((one * other).sqrt() + DOUBT)
}

fn rarity(all: f32, with: f32) -> f32 {
    (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
}

/// BM25's part of one term: its count, damped by how long the text is for its kind.
fn saturated(count: f32, length: f32) -> f32 {
    count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length))
}
