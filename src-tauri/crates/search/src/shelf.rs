//! What can be found beside the files of a project: what was said and decided in its runs, and its documents.
//!
//! Records are handed in with the place they come from; each has a key and belongs to a group, and groups are replaced
//! whole. Everything handed in at once is committed at once, together with how far the source was followed, so that
//! after a kill it goes on from there. Disposable: what cannot be read is deleted and handed in again.

use crate::error::IndexError;
use crate::opening;
use crate::passage::{beginning, lines_of, passages};
use crate::query::Words;
use crate::store::CodeTokenizer;
use crate::terms::Terms;
use atelier_protocol::Hash;
use atelier_protocol::view::{Hit, HitKind, Origin};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use tantivy::collector::TopDocs;
use tantivy::directory::MmapDirectory;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::query::{BooleanQuery, BoostQuery, ConstScoreQuery, Occur, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions, Value};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, Term};

/// The version of what is stored. A shelf of another version is made anew.
const SCHEMA: u32 = 1;
const VERSION_FILE: &str = "shelf.json";
/// Memory of the writing thread, in bytes: the least that tantivy takes.
const HEAP: usize = 15_000_000;
/// What a word of the title counts against one of the text.
const TITLE: f32 = 1.5;
/// What the record that fits best counts against files.
const RECORD: f32 = 1.5;
/// Records that are looked into for one answer.
const RANKED: usize = 300;
/// Segments after which the writer waits until they are merged.
const SEGMENTS: usize = 12;

/// A text with the place it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name: a record takes the place of another with the same.
    pub key: String,
    /// What it belongs to.
    pub group: String,
    /// What it is.
    pub kind: HitKind,
    /// The file, or the id of the run.
    pub path: String,
    /// What it is called.
    pub title: String,
    /// Its text.
    pub text: String,
    /// Hash of what it was made from.
    pub hash: Hash,
    /// Where it can be looked up.
    pub origin: Origin,
}

/// What is put on a shelf, or taken from it, at once.
#[derive(Debug, Default)]
pub struct Delivery {
    /// Groups that go, with their marks.
    pub gone: Vec<String>,
    /// Records that come, after those have gone.
    pub records: Vec<Record>,
    /// Marks of groups: what is to be known of each without reading it.
    pub marks: Vec<(String, String)>,
    /// How far the source was followed; `None` leaves it.
    pub upto: Option<u64>,
}

#[derive(Clone, Copy)]
struct Fields {
    key: Field,
    group: Field,
    kind: Field,
    title: Field,
    text: Field,
    /// [`Record`] as JSON; of a mark the mark.
    stored: Field,
}

impl Fields {
    fn new() -> (Schema, Self) {
        let mut schema = Schema::builder();
        let indexing =
            TextFieldIndexing::default().set_tokenizer("text").set_index_option(IndexRecordOption::WithFreqs);
        let terms = TextOptions::default().set_indexing_options(indexing);
        let fields = Self {
            key: schema.add_text_field("key", STRING),
            group: schema.add_text_field("group", STRING | STORED),
            kind: schema.add_text_field("kind", STRING),
            title: schema.add_text_field("title", terms.clone()),
            text: schema.add_text_field("text", terms),
            stored: schema.add_text_field("stored", STORED),
        };
        (schema.build(), fields)
    }
}

/// The kind of documents that hold a mark.
const MARK: &str = "mark";

/// The records of one project. One process at a time; any number of threads.
pub struct Shelf {
    dir: PathBuf,
    inner: tantivy::Index,
    reader: IndexReader,
    fields: Fields,
    writing: Mutex<Option<IndexWriter>>,
    /// What the last commit holds.
    marks: RwLock<BTreeMap<String, String>>,
    upto: RwLock<u64>,
    written: AtomicU64,
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Shelf {
    /// Opens the shelf in `dir`, which is made if needed. `source` names what it follows: one that followed another
    /// source, cannot be read, or is of another version is deleted and starts empty.
    pub fn open(dir: &Path, source: &str) -> Result<Self, IndexError> {
        fs::create_dir_all(dir).map_err(IndexError::storage("making the shelf's folder", dir))?;
        match Self::existing(dir, source) {
            Ok(Some(shelf)) => return Ok(shelf),
            Ok(None) => {}
            Err(reason) => {
                tracing::warn!(dir = %dir.display(), reason, "a shelf of records is unusable and is made again");
            }
        }
        opening::wipe(dir, VERSION_FILE).map_err(IndexError::storage("deleting the old shelf", dir))?;
        let shelf = Self::fresh(dir).map_err(IndexError::storage("making the shelf", dir))?;
        fs::write(dir.join(VERSION_FILE), version_text(source))
            .map_err(IndexError::storage("making the shelf", dir))?;
        Ok(shelf)
    }

    fn fresh(dir: &Path) -> tantivy::Result<Self> {
        let directory = MmapDirectory::open(dir)?;
        Self::of(dir, tantivy::Index::create(directory, Fields::new().0, tantivy::IndexSettings::default())?)
    }

    fn existing(dir: &Path, source: &str) -> Result<Option<Self>, String> {
        opening::whole(dir, (VERSION_FILE, &version_text(source)), &Fields::new().0, |inner| {
            Self::of(dir, inner).map_err(|error| error.to_string())
        })
    }

    fn of(dir: &Path, inner: tantivy::Index) -> tantivy::Result<Self> {
        inner.tokenizers().register("text", TextAnalyzer::from(CodeTokenizer::default()));
        let reader: IndexReader = inner.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let fields = Fields::new().1;
        let upto = inner.load_metas()?.payload.and_then(|upto| upto.parse().ok()).unwrap_or(0);
        let mut marks = BTreeMap::new();
        let searcher = reader.searcher();
        let of_marks = TermQuery::new(Term::from_field_text(fields.kind, MARK), IndexRecordOption::Basic);
        for at in searcher.search(&of_marks, &tantivy::collector::DocSetCollector)? {
            let document: TantivyDocument = searcher.doc(at)?;
            let text = |field| document.get_first(field).and_then(|value| value.as_str()).unwrap_or_default();
            marks.insert(text(fields.group).to_owned(), text(fields.stored).to_owned());
        }
        Ok(Self {
            dir: dir.to_owned(),
            inner,
            reader,
            fields,
            writing: Mutex::default(),
            marks: RwLock::new(marks),
            upto: RwLock::new(upto),
            written: AtomicU64::default(),
        })
    }

    /// How far the source was followed; 0 where nothing was.
    pub fn upto(&self) -> u64 {
        *self.upto.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The marks of all groups that have one.
    pub fn marks(&self) -> BTreeMap<String, String> {
        self.marks.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A number that is another one as soon as [`Shelf::marks`] may give something else.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Takes a delivery in: all of it or nothing. It is searchable when this returns.
    pub fn put(&self, delivery: Delivery) -> Result<(), IndexError> {
        let storage = || IndexError::storage("writing the shelf", &self.dir);
        let mut slot = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.write(&mut slot, &delivery).map_err(storage());
        if done.is_err() {
            *slot = None; // with it goes what was not committed
            return done;
        }
        if self.reader.searcher().segment_readers().len() > SEGMENTS
            && let Some(writer) = slot.take()
        {
            writer.wait_merging_threads().map_err(storage())?;
            self.reader.reload().map_err(storage())?;
        }
        Ok(())
    }

    fn write(&self, slot: &mut Option<IndexWriter>, delivery: &Delivery) -> tantivy::Result<()> {
        let fields = self.fields;
        let writer = match slot {
            Some(writer) => writer,
            None => {
                let options = IndexWriterOptions::builder()
                    .num_worker_threads(1)
                    .memory_budget_per_thread(HEAP)
                    .num_merge_threads(1)
                    .build();
                let writer: IndexWriter = self.inner.writer_with_options(options)?;
                let mut policy = LogMergePolicy::default();
                policy.set_min_num_segments(4);
                writer.set_merge_policy(Box::new(policy));
                slot.insert(writer)
            }
        };
        for group in &delivery.gone {
            writer.delete_term(Term::from_field_text(fields.group, group));
        }
        for (group, mark) in &delivery.marks {
            let key = format!("{MARK} {group}");
            writer.delete_term(Term::from_field_text(fields.key, &key));
            let mut document = TantivyDocument::default();
            document.add_text(fields.key, key);
            document.add_text(fields.group, group);
            document.add_text(fields.kind, MARK);
            document.add_text(fields.stored, mark);
            writer.add_document(document)?;
        }
        for record in &delivery.records {
            writer.delete_term(Term::from_field_text(fields.key, &record.key));
            let mut document = TantivyDocument::default();
            document.add_text(fields.key, &record.key);
            document.add_text(fields.group, &record.group);
            document.add_text(fields.kind, crate::kind::word(record.kind));
            document.add_text(fields.title, &record.title);
            document.add_text(fields.text, &record.text);
            let stored = serde_json::to_string(record).map_err(|error| {
                tantivy::TantivyError::InvalidArgument(format!("a record cannot be stored: {error}"))
            })?;
            document.add_text(fields.stored, stored);
            writer.add_document(document)?;
        }
        let upto = delivery.upto.unwrap_or_else(|| self.upto());
        let mut commit = writer.prepare_commit()?;
        commit.set_payload(&upto.to_string());
        commit.commit()?;
        self.reader.reload()?;
        let mut marks = self.marks.write().unwrap_or_else(PoisonError::into_inner);
        delivery.gone.iter().for_each(|group| drop(marks.remove(group)));
        marks.extend(delivery.marks.iter().cloned());
        self.written.fetch_add(1, Ordering::AcqRel);
        *self.upto.write().unwrap_or_else(PoisonError::into_inner) = upto;
        Ok(())
    }

    /// The record of that name.
    pub fn get(&self, key: &str) -> Result<Option<Record>, IndexError> {
        let named = TermQuery::new(Term::from_field_text(self.fields.key, key), IndexRecordOption::Basic);
        let found = self.found(&named, 1).map_err(IndexError::storage("reading the shelf", &self.dir))?;
        Ok(found.into_iter().next().map(|(_, record)| record))
    }

    /// The records of these kinds that fit best.
    pub fn search(&self, query: &str, kinds: &[HitKind], limit: usize) -> Result<Vec<Hit>, IndexError> {
        let words = Words::of(query)?;
        if limit == 0 {
            return Ok(Vec::new());
        }
        let fields = self.fields;
        let of_kinds = kinds.iter().map(|kind| -> (Occur, Box<dyn Query>) {
            let term = Term::from_field_text(fields.kind, crate::kind::word(*kind));
            (Occur::Should, Box::new(TermQuery::new(term, IndexRecordOption::Basic)))
        });
        let of_kinds = Box::new(ConstScoreQuery::new(Box::new(BooleanQuery::new(of_kinds.collect())), 0.0));
        let mut any: Vec<(Occur, Box<dyn Query>)> = vec![(Occur::Should, words.in_text(fields.text, None))];
        if words.phrases.is_empty() {
            any.push((Occur::Should, Box::new(BoostQuery::new(words.any_in(fields.title, None), TITLE))));
        }
        let wanted = BooleanQuery::new(vec![(Occur::Must, Box::new(BooleanQuery::new(any))), (Occur::Must, of_kinds)]);
        let found = self.found(&wanted, RANKED).map_err(IndexError::storage("searching the shelf", &self.dir))?;
        Ok(hits(found, &words, limit))
    }

    fn found(&self, query: &dyn Query, most: usize) -> tantivy::Result<Vec<(f32, Record)>> {
        let searcher = self.reader.searcher();
        let mut found = Vec::new();
        for (score, at) in searcher.search(query, &TopDocs::with_limit(most).order_by_score())? {
            let document: TantivyDocument = searcher.doc(at)?;
            let stored = document.get_first(self.fields.stored).and_then(|value| value.as_str()).unwrap_or_default();
            // A mark is no record.
            found.extend(serde_json::from_str(stored).ok().map(|record| (score, record)));
        }
        Ok(found)
    }
}

/// The best of a few records, which are ranked as they are, by BM25 with the usual weights.
#[expect(clippy::cast_precision_loss, reason = "counts of words and records, far below 2^24")]
pub fn among(query: &str, records: &[Record], limit: usize) -> Result<Vec<Hit>, IndexError> {
    const K1: f32 = 1.2;
    const B: f32 = 0.75;
    let words = Words::of(query)?;
    let counted: Vec<(HashMap<usize, f32>, f32)> = records.iter().map(|record| counts(record, &words)).collect();
    let usual = counted.iter().map(|(_, length)| length).sum::<f32>() / counted.len().max(1) as f32;
    let with = |term: usize| counted.iter().filter(|(counts, _)| counts.contains_key(&term)).count() as f32;
    let all = counted.len() as f32;
    let weights: Vec<f32> = words
        .weighted()
        .enumerate()
        .map(|(term, (_, weight))| weight * (1.0 + (all - with(term) + 0.5) / (with(term) + 0.5)).ln())
        .collect();
    let score = |(counts, length): &(HashMap<usize, f32>, f32)| -> f32 {
        let damping = K1 * (1.0 - B + B * length / usual.max(1.0));
        counts.iter().map(|(term, count)| weights[*term] * count * (K1 + 1.0) / (count + damping)).sum()
    };
    let scored = counted.iter().map(score).zip(records).filter(|(score, _)| *score > 0.0);
    let mut found: Vec<(f32, Record)> = scored.map(|(score, record)| (score, record.clone())).collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    Ok(hits(found, &words, limit))
}

/// How often a record has each of the words, and how many it has in all. Those of its title count more.
fn counts(record: &Record, words: &Words) -> (HashMap<usize, f32>, f32) {
    let (mut counts, mut length, mut term) = (HashMap::new(), 0.0, String::new());
    for (text, weight) in [(&record.title, TITLE), (&record.text, 1.0)] {
        let mut terms = Terms::of(text);
        while terms.next_into(&mut term).is_some() {
            length += 1.0;
            if let Some(at) = words.terms.iter().position(|known| *known == term) {
                *counts.entry(at).or_default() += weight;
            }
        }
    }
    (counts, length)
}

/// The best passage of each record. Of two that fit alike, the one with more of the words goes first.
fn hits(found: Vec<(f32, Record)>, words: &Words, limit: usize) -> Vec<Hit> {
    let best = found.first().map_or(1.0, |(score, _)| score.max(f32::MIN_POSITIVE));
    let even = vec![1.0; words.terms.len()];
    let mut hits: Vec<Hit> = found
        .into_iter()
        .filter_map(|(score, record)| {
            let cut = passages(&record.text, words, &even).into_iter().next();
            let passage = match cut {
                Some(passage) => passage,
                None if words.phrases.is_empty() => beginning(&record.text)?,
                None => return None,
            };
            Some(Hit {
                kind: record.kind,
                score: RECORD * score / best * covered(&record, words),
                lines: passage.lines.map(|line| u32::try_from(line).unwrap_or(u32::MAX)),
                snippet: lines_of(&record.text, passage.lines),
                path: record.path,
                hash: record.hash,
                symbol: None,
                title: Some(record.title),
                origin: Some(record.origin),
                project: None,
            })
        })
        .collect();
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| (&a.path, a.lines).cmp(&(&b.path, b.lines))));
    hits.truncate(limit);
    hits
}

/// What share of the query's words, by weight, a record has.
fn covered(record: &Record, words: &Words) -> f32 {
    let mut has = HashSet::new();
    let mut term = String::new();
    for text in [&record.title, &record.text] {
        let mut terms = Terms::of(text);
        while terms.next_into(&mut term).is_some() {
            if words.terms.contains(&term) && !has.contains(term.as_str()) {
                has.insert(term.clone());
            }
        }
    }
    let all: f32 = words.weighted().map(|(_, weight)| weight).sum();
    words.weighted().filter(|(term, _)| has.contains(*term)).map(|(_, weight)| weight).sum::<f32>() / all
}

fn version_text(source: &str) -> String {
    format!("{}\n", serde_json::json!({"schema": SCHEMA, "source": source}))
}
