//! Files that are ranked by their text as it is now, because what the index holds of them is not so any more: changes
//! that are not committed yet, and the files that a run's tree has changed.

use crate::folder::{Folder, Met};
use crate::query::Words;
use crate::rank::OfFiles;
use crate::store::{Content, Fields};
use crate::terms::Terms;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tantivy::Term;
use tantivy::query::Bm25StatisticsProvider;
use tantivy::schema::Field;

/// A path, how well its content and how well the path fit, and how many whole names either has.
pub(crate) type Scored = (Arc<str>, f32, f32, f32);

/// BM25's usual saturation and length weights, as the index uses them.
const K1: f32 = 1.2;
const B: f32 = 0.75;

/// The files of an answer that were read for it.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// Paths that what the index says of does not count; a folder stands for what is in it.
    hidden: BTreeSet<String>,
    files: Vec<(Arc<str>, String)>,
}

impl Scanned {
    /// Reads those of `paths` that are files of the folder and not ignored.
    pub(crate) fn of(folder: &Folder, paths: impl IntoIterator<Item = String>) -> Self {
        let hidden: BTreeSet<String> = paths.into_iter().collect();
        if hidden.is_empty() {
            return Self::default();
        }
        let met = folder.only(hidden.iter().map(String::as_str));
        let files = met.filter_map(|met| match met {
            Met::File { path, .. } => match folder.read(&path)? {
                (Content::Hash(_), text) => Some((path.into(), text)),
                (Content::Skipped(_), _) => None,
            },
            Met::Fault { .. } => None,
        });
        let files = files.collect();
        Self { hidden, files }
    }

    /// How many files were read.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether what the index says of a path does not count.
    pub(crate) fn hides(&self, path: &str) -> bool {
        if self.hidden.is_empty() {
            return false;
        }
        let above = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        self.hidden.contains(path) || above.into_iter().any(|folder| self.hidden.contains(folder))
    }

    /// The files that have one of the words.
    pub(crate) fn scores(&self, fields: Fields, stats: &OfFiles<'_>, words: &Words) -> tantivy::Result<Vec<Scored>> {
        if self.files.is_empty() {
            return Ok(Vec::new());
        }
        let (text, name) = (Scale::of(fields.text, stats, words)?, Scale::of(fields.name, stats, words)?);
        #[expect(clippy::cast_precision_loss, reason = "a handful of names")]
        let scored = self.files.iter().map(|(path, content)| {
            let names = words.names_held([content, path]) as f32;
            (path.clone(), text.score(content), name.score(path), names)
        });
        Ok(scored.filter(|(_, text, name, _)| *text > 0.0 || *name > 0.0).collect())
    }
}

/// BM25 of a field with the index's numbers.
struct Scale<'a> {
    /// Each word with its weight times its rarity.
    weights: HashMap<&'a str, f32>,
    usual: f32,
}

impl<'a> Scale<'a> {
    #[expect(clippy::cast_precision_loss, reason = "weights; exact numbers do not matter")]
    fn of(field: Field, stats: &OfFiles<'_>, words: &'a Words) -> tantivy::Result<Self> {
        let all = stats.files.max(1) as f32;
        let mut weights = HashMap::new();
        for (term, weight) in words.weighted() {
            let with = stats.doc_freq(&Term::from_field_text(field, term))? as f32;
            weights.insert(term, weight * (1.0 + (all - with + 0.5) / (with + 0.5)).ln());
        }
        Ok(Self { weights, usual: stats.total_num_tokens(field)? as f32 / all })
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of words in a file of at most 1 MiB")]
    fn score(&self, text: &str) -> f32 {
        let (mut terms, mut term, mut length) = (Terms::of(text), String::new(), 0usize);
        let mut counts: HashMap<&str, f32> = HashMap::new();
        while terms.next_into(&mut term).is_some() {
            length += 1;
            if let Some((known, _)) = self.weights.get_key_value(term.as_str()) {
                *counts.entry(known).or_default() += 1.0;
            }
        }
        let damping = K1 * (1.0 - B + B * length as f32 / self.usual.max(1.0));
        counts.iter().map(|(term, count)| self.weights[term] * count * (K1 + 1.0) / (count + damping)).sum()
    }
}
