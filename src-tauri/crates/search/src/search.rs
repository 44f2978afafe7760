//! Answers a query: ranks files by the index, then cuts passages from the files as they are now.
//!
//! No hit is made from stored text. A file that changed since it was indexed is read again, and one that is gone
//! or does not mention the query any more gives none.

use crate::error::IndexError;
use crate::folder::Folder;
use crate::index::Index;
use crate::passage::{Passage, passages};
use crate::query::Words;
use crate::store::Content;
use atelier_protocol::Hash;
use atelier_protocol::view::Hit;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use tantivy::collector::TopDocs;
use tantivy::schema::Value;
use tantivy::{Searcher, TantivyDocument, Term};

/// No answer has more hits.
const MOST_HITS: usize = 200;
/// Files that are ranked.
const RANKED: usize = 400;
/// Files that are looked into beyond the number of hits asked for: a passage can lift a file.
const SPARE: usize = 20;
/// Passages of one file in one answer.
const PER_FILE: usize = 2;

impl Index {
    /// The passages of the folder `root` that fit `query` best, at most `limit` and at most 200.
    ///
    /// The query is plain words; words in quotes must follow each other.
    pub fn search(&self, root: &Path, query: &str, limit: usize) -> Result<Vec<Hit>, IndexError> {
        let words = Words::of(query)?;
        self.status()?;
        let folder = Folder::open(root).map_err(|source| IndexError::Root { root: root.to_owned(), source })?;
        let limit = limit.min(MOST_HITS);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let searcher = self.reader.searcher();
        let storage = || IndexError::storage("searching the index", &self.dir);
        let weights = self.rarities(&searcher, &words).map_err(storage())?;
        let mut hits = Vec::new();
        let mut opened = 0;
        for (score, path) in self.ranked(&searcher, &words).map_err(storage())? {
            // Files come best first; those that are gone do not use up the answer's share.
            if opened >= limit + SPARE {
                break;
            }
            let path = &*path;
            let Some((Content::Hash(hash), text)) = folder.read(path) else { continue };
            let Some(hash) = Hash::parse(&hash) else { continue };
            opened += 1;
            let mut found = passages(&text, &words, &weights);
            if found.is_empty() && words.phrases.is_empty() {
                found.extend(by_name(path, &text, &words));
            }
            hits.extend(found.iter().take(PER_FILE).enumerate().map(|(at, passage)| Hit {
                path: path.to_owned(),
                lines: passage.lines.map(|line| u32::try_from(line).unwrap_or(u32::MAX)),
                // Further passages of a file stand behind the first of others that fit as well.
                score: if at == 0 { score + passage.score } else { score / 2.0 + passage.score },
                snippet: lines_of(&text, passage.lines),
                hash: hash.clone(),
            }));
        }
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| (&a.path, a.lines).cmp(&(&b.path, b.lines))));
        hits.truncate(limit);
        Ok(hits)
    }

    /// Files that may fit, best first, with their scores: content and path, and what earlier commits say.
    fn ranked(&self, searcher: &Searcher, words: &Words) -> tantivy::Result<Vec<(f32, String)>> {
        let found = searcher.search(&*words.over_files(self.fields), &TopDocs::with_limit(RANKED).order_by_score())?;
        let past = Arc::clone(&self.past.lock().unwrap_or_else(PoisonError::into_inner));
        let past = past.scores(words);
        let mut ranked = Vec::with_capacity(found.len());
        for (score, address) in found {
            let document: TantivyDocument = searcher.doc(address)?;
            let Some(path) = document.get_first(self.fields.path).and_then(|value| value.as_str()) else { continue };
            let past = past.get(path).copied().unwrap_or_default();
            ranked.push((score + past, path.to_owned()));
        }
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        Ok(ranked)
    }

    /// How rare each term is among the files: BM25's inverse document frequency.
    fn rarities(&self, searcher: &Searcher, words: &Words) -> tantivy::Result<Vec<f32>> {
        #[expect(clippy::cast_precision_loss, reason = "a weight; numbers of files are far below 2^24")]
        let rarity = |all: u64, with: u64| (1.0 + (all.saturating_sub(with) as f32 + 0.5) / (with as f32 + 0.5)).ln();
        let all = searcher.num_docs();
        words
            .terms
            .iter()
            .map(|term| Ok(rarity(all, searcher.doc_freq(&Term::from_field_text(self.fields.text, term))?)))
            .collect()
    }
}

/// The beginning of a file that fits by its path alone.
fn by_name(path: &str, text: &str, words: &Words) -> Option<Passage> {
    const SHOWN: usize = 20;
    let (mut terms, mut term) = (crate::terms::Terms::of(path), String::new());
    let mut fits = false;
    while terms.next_into(&mut term).is_some() {
        fits |= words.terms.contains(&term);
    }
    let lines = text.lines().count();
    (fits && lines > 0).then(|| Passage { lines: [1, lines.min(SHOWN)], score: 0.0 })
}

fn lines_of(text: &str, [first, last]: [usize; 2]) -> String {
    let lines: Vec<&str> = text.lines().skip(first - 1).take(last + 1 - first).collect();
    lines.join("\n")
}
