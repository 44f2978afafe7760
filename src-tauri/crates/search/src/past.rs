//! What earlier commits say about files: their messages, as words that lead to the files they touched.
//!
//! Kept in memory only and handed in by the caller, who knows the repository. It orders files; it makes no hit.

use crate::query::Words;
use crate::terms::Terms;
use std::collections::HashMap;

/// An earlier commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastCommit {
    /// Its whole message.
    pub message: String,
    /// The files it touched, with `/`.
    pub paths: Vec<String>,
}

/// Older commits say little about the files of today.
const MOST_COMMITS: usize = 4_000;
/// A commit of more files (a reformatting, a move) says little about each.
const MOST_PATHS: usize = 20;
/// Words of one message that count.
const MOST_TERMS: usize = 200;
/// BM25's usual saturation and length weights.
const K1: f32 = 1.2;
const B: f32 = 0.75;
/// What the logarithm of the number of changes of a file counts.
const CHANGES: f32 = 0.5;

/// For each file, the messages of the commits that touched it.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// Which files a term leads to, and how often it was said of each.
    mentions: HashMap<String, HashMap<u32, u32>>,
    files: Vec<PastFile>,
}

#[derive(Debug)]
struct PastFile {
    path: String,
    /// Terms said of it.
    length: u32,
    changes: u32,
}

impl Past {
    /// The newest commits come first.
    pub(crate) fn of(commits: impl IntoIterator<Item = PastCommit>) -> Self {
        let mut past = Self::default();
        let mut known: HashMap<String, u32> = HashMap::new();
        for commit in commits.into_iter().take(MOST_COMMITS) {
            if commit.paths.is_empty() || commit.paths.len() > MOST_PATHS {
                continue;
            }
            let (mut terms, mut term) = (Terms::of(&commit.message), String::new());
            let mut said: HashMap<String, u32> = HashMap::new();
            let mut length = 0;
            while length < MOST_TERMS && terms.next_into(&mut term).is_some() {
                *said.entry(term.clone()).or_default() += 1;
                length += 1;
            }
            for path in commit.paths {
                let next = u32::try_from(past.files.len()).unwrap_or(u32::MAX);
                let file = *known.entry(path.clone()).or_insert(next);
                if file == next {
                    past.files.push(PastFile { path, length: 0, changes: 0 });
                }
                if let Some(entry) = past.files.get_mut(file as usize) {
                    entry.length = entry.length.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
                    entry.changes = entry.changes.saturating_add(1);
                }
                for (term, count) in &said {
                    let files = match past.mentions.get_mut(term) {
                        Some(files) => files,
                        None => past.mentions.entry(term.clone()).or_default(),
                    };
                    *files.entry(file).or_default() += count;
                }
            }
        }
        past
    }

    /// How well the past of each file fits, by path; only files whose past mentions a word.
    #[expect(clippy::cast_precision_loss, reason = "counts of words and commits, far below 2^24")]
    pub(crate) fn scores(&self, words: &Words) -> HashMap<&str, f32> {
        let mut scores: HashMap<&str, f32> = HashMap::new();
        let all = self.files.len() as f32;
        let usual = self.files.iter().map(|file| file.length as f32).sum::<f32>() / all.max(1.0);
        for files in words.terms.iter().filter_map(|term| self.mentions.get(term)) {
            let with = files.len() as f32;
            let rarity = (1.0 + (all - with + 0.5) / (with + 0.5)).ln();
            for (file, count) in files {
                let Some(file) = self.files.get(*file as usize) else { continue };
                let count = *count as f32;
                let damping = K1 * (1.0 - B + B * file.length as f32 / usual.max(1.0));
                *scores.entry(&file.path).or_default() += rarity * count * (K1 + 1.0) / (count + damping);
            }
        }
        for file in &self.files {
            if let Some(score) = scores.get_mut(&*file.path) {
                *score += CHANGES * (1.0 + file.changes as f32).ln();
            }
        }
        scores
    }
}
