//! Answers a query: ranks files, then cuts passages from the files as they are now.
//!
//! No hit is made from stored text. A file that changed since it was indexed is read again, and one that is gone
//! gives none. What an answer had to do without is said with it.

use crate::defining::restored;
use crate::error::IndexError;
use crate::folder::Folder;
use crate::index::{Index, Shared};
use crate::keeper::Batch;
use crate::kind;
use crate::meaning::Near;
use crate::passage::{Passage, beginning, lines_of, passages};
use crate::past::Past;
use crate::query::Words;
use crate::rank::{Asked, Candidate, OfFiles, fused};
use crate::scan::Scanned;
use crate::store::Content;
use atelier_protocol::Hash;
use atelier_protocol::view::{Found, FoundBy, Hit, HitKind};
use std::collections::HashMap;
use std::path::Path;
use tantivy::collector::TopDocs;
use tantivy::query::{Bm25StatisticsProvider, TermQuery};
use tantivy::schema::{IndexRecordOption, Value};
use tantivy::{Searcher, TantivyDocument, Term};

/// No answer has more hits.
const MOST_HITS: usize = 200;
/// Files that are looked into beyond the number of hits asked for: a passage can lift a file.
const SPARE: usize = 10;
/// Files that are looked into for words that must follow each other.
const MOST_LOOKED_INTO: usize = 2_000;
/// Passages of one file in one answer; more than one only where there are too few files.
const PER_FILE: usize = 2;
/// What the best passage counts beyond its file.
const PASSAGE: f32 = 0.1;
/// What the message of a commit counts against files.
const MESSAGE: f32 = 1.5;
/// More changed files than this are put into the index before the answer, which is then faster than reading them.
const MOST_SCANNED: usize = 200;

/// What is looked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask<'a> {
    /// Plain words; words in quotes must follow each other.
    pub query: &'a str,
    /// At most so many hits, and at most 200.
    pub limit: usize,
    /// What hits may be cut from; empty means files.
    pub kinds: &'a [HitKind],
    /// Paths that are others under the searched folder than in the index: what a run changed in its tree. They are read
    /// for the answer; what the index says of them does not count.
    pub overlay: &'a [String],
    /// Passages that mean something alike, the nearest first; fused with what the words find.
    pub near: &'a [Near],
}

/// What passages are cut by.
struct Looked<'a> {
    words: &'a Words,
    /// How much each word counts.
    weights: &'a [f32],
    near: &'a [Near],
}

impl Index {
    /// The passages of the folder `root` that fit best.
    pub fn search(&self, root: &Path, ask: Ask<'_>) -> Result<Found, IndexError> {
        self.shared.search(root, ask)
    }
}

impl Shared {
    fn search(&self, root: &Path, ask: Ask<'_>) -> Result<Found, IndexError> {
        let words = Words::of(ask.query)?;
        let files = self.files()?;
        let folder = Folder::open(root).map_err(|source| IndexError::Root { root: root.to_owned(), source })?;
        let past = self.past();
        let mut found = Found { missing: self.missing(&past), ..Found::default() };
        let limit = ask.limit.min(MOST_HITS);
        if limit == 0 {
            return Ok(found);
        }
        if self.pending.len() > MOST_SCANNED {
            self.settle(&folder)?;
        }
        // Told of before the searcher is taken: what is committed in between is read in vain, but nothing is missed.
        let pending = self.pending.paths();
        let searcher = self.reader.searcher();
        let scanned = Scanned::of(&folder, pending.into_iter().chain(ask.overlay.iter().cloned()));
        found.scanned = u32::try_from(scanned.len()).unwrap_or(u32::MAX);
        let stats = OfFiles { searcher: &searcher, files };
        let storage = || IndexError::storage("searching the index", &self.dir);
        if ask.kinds.is_empty() || ask.kinds.iter().any(|kind| kind::is_of_files(*kind)) {
            let asked = Asked { words: &words, kinds: ask.kinds, scanned: &scanned };
            let ranked = self.ranked(&stats, &past, &asked).map_err(storage())?;
            let weights = self.rarities(&stats, &words).map_err(storage())?;
            // Words that must follow each other are a question of words alone.
            let near = if words.phrases.is_empty() { ask.near } else { &[] };
            found.by = if near.is_empty() { vec![FoundBy::Words] } else { vec![FoundBy::Words, FoundBy::Meaning] };
            let ranked = fused(ranked, near, ask.kinds);
            found.hits = self.cut(&searcher, &folder, Looked { words: &words, weights: &weights, near }, ranked, limit);
        }
        if ask.kinds.contains(&HitKind::Commit) {
            found.hits.extend(messages(&past, &words, limit));
            sort(&mut found.hits);
        }
        found.hits.truncate(limit);
        for hit in found.hits.iter_mut().filter(|hit| hit.kind != HitKind::Commit) {
            hit.symbol = self.symbol(&searcher, hit).map_err(storage())?;
        }
        Ok(found)
    }

    /// Puts the changes that were told of into the index now.
    pub(crate) fn settle(&self, folder: &Folder) -> Result<(), IndexError> {
        let batch: Batch = self.pending.now();
        if batch.is_empty() {
            return Ok(());
        }
        self.write(|writing| {
            let paths: Vec<String> = batch.paths().collect();
            let changes = self.follow(writing, folder, &paths)?;
            self.recount(writing, changes);
            Ok(())
        })?;
        self.pending.done(&batch);
        Ok(())
    }

    /// The passages of the best files, the best one of each first.
    fn cut(
        &self,
        searcher: &Searcher,
        folder: &Folder,
        Looked { words, weights, near }: Looked<'_>,
        ranked: Vec<Candidate>,
        limit: usize,
    ) -> Vec<Hit> {
        let (mut firsts, mut further) = (Vec::new(), Vec::new());
        let near: HashMap<&str, &Near> = near.iter().map(|near| (&*near.path, near)).collect();
        // Files come best first; those that are gone do not use up the answer's share.
        for Candidate { path, score, certain, beyond, .. } in ranked.into_iter().take(MOST_LOOKED_INTO) {
            if firsts.len() >= limit + SPARE {
                break;
            }
            let known = || searcher.doc_freq(&Term::from_field_text(self.fields.path, &path)).unwrap_or(0) > 0;
            if !certain && !known() {
                continue; // earlier commits tell of it, but it is ignored now or was never a text
            }
            let Some((Content::Hash(hash), text)) = folder.read(&path) else { continue };
            let Some(hash) = Hash::parse(&hash) else { continue };
            let mut cut = passages(&text, words, weights);
            // Lines that are others now do not mean what they meant.
            if cut.is_empty()
                && let Some(near) = near.get(&*path).filter(|near| near.is_of(&text))
            {
                cut.push(Passage { lines: near.lines, score: 0.0 });
            }
            if cut.is_empty() && beyond && words.phrases.is_empty() {
                cut.extend(beginning(&text));
            }
            let best = cut.first().map_or(0.0, |passage| passage.score);
            for (at, passage) in cut.into_iter().take(PER_FILE).enumerate() {
                let hit = Hit {
                    kind: crate::kind::of(&path),
                    path: path.to_string(),
                    lines: passage.lines.map(|line| u32::try_from(line).unwrap_or(u32::MAX)),
                    score,
                    snippet: lines_of(&text, passage.lines),
                    hash: hash.clone(),
                    symbol: None,
                    title: None,
                    origin: None,
                    project: None,
                };
                if at == 0 { firsts.push((best, hit)) } else { further.push(hit) }
            }
        }
        let best = firsts.iter().map(|(passage, _)| *passage).fold(f32::MIN_POSITIVE, f32::max);
        let lift = |(passage, hit): (f32, Hit)| Hit { score: hit.score + PASSAGE * passage / best, ..hit };
        let mut hits: Vec<Hit> = firsts.into_iter().map(lift).collect();
        sort(&mut hits);
        let least = hits.last().map_or(0.0, |hit| hit.score);
        further.sort_by(|a: &Hit, b: &Hit| b.score.total_cmp(&a.score).then_with(|| a.path.cmp(&b.path)));
        // Further passages stand behind every file's first.
        hits.extend(further.into_iter().map(|hit| Hit { score: hit.score.min(least), ..hit }));
        hits
    }

    /// How rare each term is among the files: BM25's inverse document frequency.
    fn rarities(&self, stats: &OfFiles<'_>, words: &Words) -> tantivy::Result<Vec<f32>> {
        #[expect(clippy::cast_precision_loss, reason = "a weight; numbers of files are far below 2^24")]
        let rarity = |all: u64, with: u64| (1.0 + (all.saturating_sub(with) as f32 + 0.5) / (with as f32 + 0.5)).ln();
        let weight = |(term, weight): (&str, f32)| {
            let with = stats.doc_freq(&Term::from_field_text(self.fields.text, term))?;
            Ok(weight * rarity(stats.files, with))
        };
        words.weighted().map(weight).collect()
    }

    /// The innermost definition that holds all lines of a hit, or the first that begins in them.
    fn symbol(&self, searcher: &Searcher, hit: &Hit) -> tantivy::Result<Option<String>> {
        let of_file = TermQuery::new(Term::from_field_text(self.fields.path, &hit.path), IndexRecordOption::Basic);
        for (_, at) in searcher.search(&of_file, &TopDocs::with_limit(4).order_by_score())? {
            let document: TantivyDocument = searcher.doc(at)?;
            let Some(stored) = document.get_first(self.fields.symbols).and_then(|value| value.as_str()) else {
                continue;
            };
            let symbols = restored(stored, hit.hash.as_str());
            let holds = |[first, last]: [u32; 2]| first <= hit.lines[0] && hit.lines[1] <= last;
            let begins = |[first, _]: [u32; 2]| (hit.lines[0]..=hit.lines[1]).contains(&first);
            let around =
                symbols.iter().filter(|(_, lines)| holds(*lines)).min_by_key(|(_, [first, last])| last - first);
            let named = around.or_else(|| symbols.iter().find(|(_, lines)| begins(*lines)));
            if let Some((name, _)) = named {
                return Ok(Some(name.clone()));
            }
        }
        Ok(None)
    }
}

/// The messages of earlier commits that fit.
fn messages(past: &Past, words: &Words, limit: usize) -> Vec<Hit> {
    let alike = past.alike(words);
    let best = alike.first().map_or(1.0, |(score, _)| *score);
    let hit = |(score, at): (f32, u32)| {
        let commit = past.commits.get(at as usize)?;
        let text = commit.message.trim_end();
        let whole = words.phrases.is_empty() || !passages(text, words, &vec![1.0; words.terms.len()]).is_empty();
        let Passage { lines, .. } = beginning(text).filter(|_| whole)?;
        Some(Hit {
            kind: HitKind::Commit,
            path: commit.id.clone(),
            lines: lines.map(|line| u32::try_from(line).unwrap_or(u32::MAX)),
            score: MESSAGE * score / best,
            snippet: lines_of(text, lines),
            hash: Hash::of(commit.message.as_bytes()),
            symbol: None,
            title: None,
            origin: None,
            project: None,
        })
    };
    alike.into_iter().filter_map(hit).take(limit).collect()
}

fn sort(hits: &mut [Hit]) {
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| (&a.path, a.lines).cmp(&(&b.path, b.lines))));
}
