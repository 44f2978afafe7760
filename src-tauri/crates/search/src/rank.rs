//! Ranks files: what each signal says of a file, and how the signals are weighed.
//!
//! The words of content, path and definitions are of one kind and are added as they are; that sum, the names that a file
//! has as a whole and what earlier commits say are each divided by their best value among the files of the answer, and
//! the weights say what the best of each counts. At last, what is often changed together with the best of them is lifted.
//! The weights were chosen on the later commits of eight repositories and held against eight others
//! (`cargo xtask bench localise`).

use crate::index::Shared;
use crate::kind;
use crate::meaning::Near;
use crate::past::Past;
use crate::query::Words;
use crate::scan::Scanned;
use atelier_protocol::view::HitKind;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use tantivy::collector::TopDocs;
use tantivy::query::{Bm25StatisticsProvider, Query};
use tantivy::schema::Field;
use tantivy::{Searcher, Term};

/// Files that one signal can bring up.
const RANKED: usize = 600;

/// What a word of the path counts against one of the content.
const NAME: f32 = 1.5;
/// What a word of the name of a definition counts beyond its being in the content.
const DEFS: f32 = 0.5;
/// The same where a name or two are all that is asked: who asks for a name asks where it is defined.
const DEFS_OF_A_NAME: f32 = 2.0;
/// Words up to which a query is a name or two.
const NAME_OR_TWO: usize = 2;
/// What it counts to have all names of several parts as they are in the query.
const NAMED: f32 = 0.3;
/// The same where a name or two are all that is asked: more than all else together, so that no file that has only parts
/// of the name comes before one that has the name.
const NAMED_OF_A_NAME: f32 = 4.0;
/// What all that earlier commits said of the file counts against its words.
const SAID: f32 = 0.2;
/// What being touched by the commits that fit best counts against its words.
const ALIKE: f32 = 0.33;
/// What being always changed together with the file that fits best counts against its words.
const TOGETHER: f32 = 0.15;
/// Files whose neighbours are lifted.
const LEADERS: usize = 5;
/// What the logarithm of the number of changes counts.
const CHANGES: f32 = 0.015;
/// What the logarithm of the number of late changes counts.
const RECENT: f32 = 0.05;
/// What it counts that a file is programmed, not data or documentation.
const PROGRAM: f32 = 0.5;
/// What it counts that a file is documentation.
const DOCUMENT: f32 = -0.2;

/// How little the first places count more than the next when rankings are fused.
const RECIPROCAL: f32 = 60.0;

/// A file that may fit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Candidate {
    pub path: Arc<str>,
    /// Higher is better.
    pub score: f32,
    /// Whether the index, or a file that was read for the answer, has a word of the query in its content or path.
    pub certain: bool,
    /// What part of the score it has for whole names where these are all that is asked.
    named: f32,
    /// Whether it fits by more than its content: a file whose content does not fit any more fits by this alone.
    pub beyond: bool,
}

/// What the signals say of a file.
#[derive(Debug, Clone, Copy, Default)]
struct Signals {
    text: f32,
    name: f32,
    defs: f32,
    /// How many of the query's names of several parts it has as a whole.
    names: f32,
    said: f32,
    alike: f32,
}

impl Signals {
    /// The signals by what they are of: words, whole names, what was said, the commits that are alike.
    /// `defs` is what the names of definitions count.
    fn kinds(&self, defs: f32) -> [f32; 4] {
        [self.text + NAME * self.name + defs * self.defs, self.names, self.said, self.alike]
    }
}

/// BM25 is about files, not about the index's documents, of which a file has up to two.
pub(crate) struct OfFiles<'a> {
    pub searcher: &'a Searcher,
    pub files: u64,
}

impl Bm25StatisticsProvider for OfFiles<'_> {
    fn total_num_tokens(&self, field: Field) -> tantivy::Result<u64> {
        self.searcher.total_num_tokens(field)
    }
    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.files.max(1))
    }
    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        // Documents that were deleted but not yet merged away are counted too.
        Ok(self.searcher.doc_freq(term)?.min(self.files.max(1)))
    }
}

/// What is ranked.
pub(crate) struct Asked<'a> {
    pub words: &'a Words,
    /// What hits may be cut from.
    pub kinds: &'a [HitKind],
    /// Files that are ranked by their text as it is now; what the index says of them does not count.
    pub scanned: &'a Scanned,
}

impl Shared {
    /// Files that may fit, best first.
    pub(crate) fn ranked(
        &self,
        stats: &OfFiles<'_>,
        past: &Past,
        asked: &Asked<'_>,
    ) -> tantivy::Result<Vec<Candidate>> {
        let Asked { words, kinds, scanned } = *asked;
        let kind = match kinds.iter().filter(|kind| kind::is_of_files(**kind)).collect::<Vec<_>>()[..] {
            [only] => Some(Term::from_field_text(self.fields.kind, kind::word(*only))),
            _ => None,
        };
        let mut found: HashMap<Arc<str>, Signals> = HashMap::new();
        let mut note = |query: &dyn Query, set: fn(&mut Signals, f32)| -> tantivy::Result<()> {
            for (score, path) in self.best(stats, query)? {
                if !scanned.hides(&path) {
                    set(found.entry(path).or_default(), score);
                }
            }
            Ok(())
        };
        note(&*words.in_text(self.fields.text, kind.clone()), |signals, score| signals.text = score)?;
        if words.phrases.is_empty() {
            note(&*words.any_in(self.fields.name, kind.clone()), |signals, score| signals.name = score)?;
            note(&*words.any_in(self.fields.defs, kind.clone()), |signals, score| signals.defs = score)?;
        }
        for query in words.each_name_in([self.fields.text, self.fields.name], kind.as_ref()) {
            note(&*query, |signals, _| signals.names += 1.0)?;
        }
        for (path, text, name, names) in scanned.scores(self.fields, stats, words)? {
            found.insert(path, Signals { text, name, names, ..Signals::default() });
        }
        let certain: HashSet<Arc<str>> = found.keys().cloned().collect();
        for (path, said) in past.said(words) {
            let known = match found.get_mut(path) {
                Some(known) => known,
                // Where words must follow each other, only a text that has them can fit.
                None if words.phrases.is_empty() && !scanned.hides(path) => found.entry(path.into()).or_default(),
                None => continue,
            };
            (known.said, known.alike) = (said.fits, said.alike);
        }
        let name_or_two = words.count() <= NAME_OR_TWO;
        let (defs, named) = if name_or_two { (DEFS_OF_A_NAME, NAMED_OF_A_NAME) } else { (DEFS, NAMED) };
        let best = found.values().fold([f32::MIN_POSITIVE; 4], |best, signals| {
            let mut most = best;
            most.iter_mut().zip(signals.kinds(defs)).for_each(|(most, value)| *most = most.max(value));
            most
        });
        let fits = |path: &str| kinds.is_empty() || kinds.contains(&kind::of(path));
        let mut ranked: Vec<Candidate> = found
            .into_iter()
            .filter(|(path, _)| fits(path))
            .map(|(path, signals)| {
                let parts = signals.kinds(defs).into_iter().zip(best).zip([1.0, named, SAID, ALIKE]);
                let score: f32 = parts.map(|((value, best), weight)| weight * value / best).sum();
                let score = score + standing(past, &path);
                let certain = certain.contains(&path);
                let beyond = signals.name + signals.said + signals.alike > 0.0;
                let named = if name_or_two { named * signals.names / best[1] } else { 0.0 };
                Candidate { path, score, certain, named, beyond }
            })
            .collect();
        sort(&mut ranked);
        // Where words must follow each other, only a text that has them can fit.
        let joins = |path: &str| words.phrases.is_empty() && !scanned.hides(path) && fits(path);
        lift_neighbours(past, &mut ranked, joins);
        Ok(ranked)
    }

    /// The best files for a query over the index, with their scores.
    fn best(&self, stats: &OfFiles<'_>, query: &dyn Query) -> tantivy::Result<Vec<(f32, Arc<str>)>> {
        let top = TopDocs::with_limit(RANKED).order_by_score();
        let found = stats.searcher.search_with_statistics_provider(query, &top, stats)?;
        let mut columns = HashMap::new();
        let mut best = Vec::with_capacity(found.len());
        for (score, at) in found {
            let column = match columns.entry(at.segment_ord) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(slot) => {
                    slot.insert(stats.searcher.segment_reader(at.segment_ord).fast_fields().u64("id")?)
                }
            };
            let Some(id) = column.first(at.doc_id) else { continue };
            let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
            best.extend(names.get(&id).map(|path| (score, path.clone())));
        }
        Ok(best)
    }
}

/// Two rankings as one, by reciprocal rank: a file counts 1 / (60 + its place) in each, so that neither's scale matters
/// (Cormack, Clarke and Buettcher, SIGIR 2009). Scaled so that the first of both has 2. Whole names that were asked for
/// count as before: what means the same is not what has the name.
pub(crate) fn fused(ranked: Vec<Candidate>, near: &[Near], kinds: &[HitKind]) -> Vec<Candidate> {
    if near.is_empty() {
        return ranked;
    }
    #[expect(clippy::cast_precision_loss, reason = "places up to some hundreds")]
    let share = |at: usize| RECIPROCAL / (RECIPROCAL + at as f32);
    let mut places: HashMap<Arc<str>, usize> = HashMap::new();
    let mut all: Vec<Candidate> = Vec::with_capacity(ranked.len());
    for (at, candidate) in ranked.into_iter().enumerate() {
        places.insert(candidate.path.clone(), all.len());
        all.push(Candidate { score: share(at) + candidate.named, ..candidate });
    }
    let wanted = near.iter().filter(|near| kinds.is_empty() || kinds.contains(&kind::of(&near.path)));
    for (at, near) in wanted.enumerate() {
        match places.get(&near.path).and_then(|place| all.get_mut(*place)) {
            Some(known) => known.score += share(at),
            None => all.push(Candidate { path: near.path.clone(), score: share(at), ..Candidate::default() }),
        }
    }
    sort(&mut all);
    all
}

fn sort(ranked: &mut [Candidate]) {
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.path.cmp(&b.path)));
}

/// Lifts the files that were often changed together with those that fit best, the better they fit. A file that fits by
/// nothing else joins where it may.
fn lift_neighbours(past: &Past, ranked: &mut Vec<Candidate>, joins: impl Fn(&str) -> bool) {
    let best = ranked.first().map_or(0.0, |first| first.score);
    if best <= 0.0 {
        return;
    }
    let mut lifts: HashMap<&str, f32> = HashMap::new();
    for leader in ranked.iter().take(LEADERS) {
        for (path, share) in past.together(&leader.path) {
            let lift = lifts.entry(path).or_default();
            *lift = lift.max(share * leader.score / best);
        }
    }
    for candidate in ranked.iter_mut() {
        if let Some(lift) = lifts.remove(&*candidate.path) {
            candidate.score += TOGETHER * lift;
        }
    }
    let joining = lifts.into_iter().filter(|(path, _)| joins(path)).map(|(path, lift)| Candidate {
        path: path.into(),
        score: TOGETHER * lift + standing(past, path),
        beyond: true,
        ..Candidate::default()
    });
    ranked.extend(joining);
    sort(ranked);
}

/// What counts for a file whatever is asked.
fn standing(past: &Past, path: &str) -> f32 {
    let (changes, recent) = past.changes(path);
    let of_kind = match kind::of(path) {
        HitKind::Doc => DOCUMENT,
        _ if kind::is_data(path) => 0.0,
        _ => PROGRAM,
    };
    CHANGES * changes.ln_1p() + RECENT * recent.ln_1p() + of_kind
}
