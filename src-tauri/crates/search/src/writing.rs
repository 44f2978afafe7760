//! Puts files into the index and takes them out. Everything that belongs together is committed at once.
//!
//! tantivy has no primary key: a file is taken out by its path and added again. One writer stays open as long as it
//! works: a writer per edit would leave a segment per edit.

use crate::defining;
use crate::error::IndexError;
use crate::folder::{Folder, Met, now};
use crate::index::Shared;
use crate::kind;
use crate::store::{Backlog, Content, Entry, Marks};
use crate::symbols;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tantivy::directory::error::LockError;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy, NoMergePolicy};
use tantivy::{IndexWriter, TantivyDocument, TantivyError, Term};

/// Memory of a writing thread, in bytes.
const HEAP: usize = 24_000_000;
/// The same while all files are new.
const FIRST_HEAP: usize = 40_000_000;
/// More threads gain nothing: they wait for the files.
pub(crate) const MOST_THREADS: usize = 4;
/// A file changed so short a time before it was read may have been changed again within one tick of the clock.
const TICK: i64 = 2_000_000_000;
/// How long the lock of a writer that is gone may still be held.
const LET_GO: Duration = Duration::from_secs(1);
/// So many new files have their definitions found on the way; more are left for later.
const FEW: usize = 64;

/// The writing side of an index. One at a time has it.
#[derive(Default)]
pub(crate) struct Writing {
    /// Made when it is needed.
    writer: Option<IndexWriter>,
    /// What the last commit holds.
    pub entries: HashMap<Arc<str>, Known>,
    /// Files whose definitions were found after the last commit.
    pub defined: Vec<Arc<str>>,
    /// The next file's number.
    next: u64,
}

/// A file that the last commit holds.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Its number.
    pub id: u64,
    pub entry: Entry,
    /// Whether its definitions are in the index too.
    pub symbols: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub updated: u32,
    pub removed: u32,
    /// What could not even be named as a file: path and reason.
    pub faults: Vec<(String, String)>,
}

/// What the next commit changes in memory.
#[derive(Default)]
struct Batch {
    changes: Changes,
    /// Files that are new or have other content.
    put: HashMap<Arc<str>, Known>,
    gone: Vec<Arc<str>>,
}

impl Writing {
    pub(crate) fn holding(entries: HashMap<Arc<str>, Known>) -> Self {
        let next = entries.values().map(|known| known.id + 1).max().unwrap_or(0);
        Self { entries, next, ..Self::default() }
    }

    /// Forgets what was not committed.
    pub(crate) fn forget(&mut self, backlog: &Backlog) {
        self.writer = None;
        backlog.clear();
        for path in std::mem::take(&mut self.defined) {
            if let Some(known) = self.entries.get_mut(&path) {
                known.symbols = false;
            }
        }
    }

    /// Files of a known language whose definitions are not in the index.
    pub(crate) fn unparsed(&self) -> impl Iterator<Item = (&Arc<str>, &Known)> {
        let lacking = |(path, known): &(&Arc<str>, &Known)| {
            !known.symbols && matches!(known.entry.content, Content::Hash(_)) && symbols::has_grammar(path)
        };
        self.entries.iter().filter(lacking)
    }
}

impl Shared {
    /// Brings the index to the state of the folder: what changed is read, everything is committed at once.
    pub(crate) fn reconcile(&self, writing: &mut Writing, folder: &Folder) -> Result<Changes, IndexError> {
        let first = !self.is_ready();
        let mut batch = Batch::default();
        let mut seen: HashSet<Arc<str>> = HashSet::with_capacity(writing.entries.len());
        for met in folder.walk() {
            let (path, marks) = match met {
                Met::File { path, marks } => (path, marks),
                Met::Fault { path, reason } => {
                    batch.changes.faults.push((path, reason));
                    continue;
                }
            };
            let path = writing.entries.get_key_value(&*path).map_or_else(|| path.into(), |(path, _)| path.clone());
            if self.take_in(writing, folder, &path, marks, &mut batch, first)? {
                seen.insert(path);
            }
        }
        let gone: Vec<Arc<str>> = writing.entries.keys().filter(|path| !seen.contains(*path)).cloned().collect();
        for path in gone {
            self.take_out(writing, path, &mut batch)?;
        }
        self.commit(writing, folder, batch, first)
    }

    /// The same for some paths only. A folder, or a file that says what is ignored, makes it look at everything.
    pub(crate) fn follow(
        &self,
        writing: &mut Writing,
        folder: &Folder,
        paths: &[String],
    ) -> Result<Changes, IndexError> {
        let rules = |path: &String| matches!(path.rsplit('/').next(), Some(".gitignore" | ".ignore"));
        if paths.iter().any(|path| rules(path) || folder.is_folder(path)) {
            return self.reconcile(writing, folder);
        }
        let mut batch = Batch::default();
        let met: HashMap<String, Marks> = folder
            .only(paths.iter().map(String::as_str))
            .filter_map(|met| match met {
                Met::File { path, marks } => Some((path, marks)),
                Met::Fault { .. } => None,
            })
            .collect();
        for path in paths {
            let name = writing.entries.get_key_value(path.as_str()).map(|(path, _)| path.clone());
            let there = match met.get(path) {
                Some(marks) => {
                    let name = name.clone().unwrap_or_else(|| path.as_str().into());
                    self.take_in(writing, folder, &name, *marks, &mut batch, false)?
                }
                None => false,
            };
            match name {
                _ if there => {}
                Some(name) => self.take_out(writing, name, &mut batch)?,
                None => {
                    // It may have been a folder.
                    let inside =
                        |known: &&Arc<str>| known.strip_prefix(path.as_str()).is_some_and(|r| r.starts_with('/'));
                    let inside: Vec<Arc<str>> = writing.entries.keys().filter(inside).cloned().collect();
                    for name in inside {
                        self.take_out(writing, name, &mut batch)?;
                    }
                }
            }
        }
        self.commit(writing, folder, batch, false)
    }

    /// Reads a file that was met, where its marks are not the known ones; whether it is still there.
    fn take_in(
        &self,
        writing: &mut Writing,
        folder: &Folder,
        path: &Arc<str>,
        marks: Marks,
        batch: &mut Batch,
        first: bool,
    ) -> Result<bool, IndexError> {
        let before = writing.entries.get(path);
        if before.is_some_and(|known| known.entry.marks == marks && settled(&known.entry)) {
            return Ok(true);
        }
        let seen = now();
        let Some((content, text)) = folder.read_met(path) else { return Ok(false) };
        let entry = Entry { marks, seen, content };
        if let Some(known) = writing.entries.get_mut(path)
            && known.entry.content == entry.content
        {
            // The index need not know: at worst the file is read once more after it was opened again.
            known.entry = entry;
            return Ok(true);
        }
        let id = match writing.entries.get(path) {
            Some(known) => known.id,
            None => {
                writing.next += 1;
                writing.next - 1
            }
        };
        let replaced = writing.entries.contains_key(path);
        let writer = self.writer(writing, first)?;
        if replaced {
            writer.delete_term(Term::from_field_text(self.fields.path, path));
        }
        self.add_words(writer, path, id, &entry, text)?;
        batch.changes.updated = batch.changes.updated.saturating_add(1);
        batch.put.insert(path.clone(), Known { id, entry, symbols: false });
        Ok(true)
    }

    fn take_out(&self, writing: &mut Writing, path: Arc<str>, batch: &mut Batch) -> Result<(), IndexError> {
        self.writer(writing, false)?.delete_term(Term::from_field_text(self.fields.path, &path));
        batch.changes.removed = batch.changes.removed.saturating_add(1);
        batch.gone.push(path);
        Ok(())
    }

    fn commit(
        &self,
        writing: &mut Writing,
        folder: &Folder,
        mut batch: Batch,
        first: bool,
    ) -> Result<Changes, IndexError> {
        if batch.put.len() <= FEW {
            let writer = self.writer(writing, first)?;
            for (path, known) in &mut batch.put {
                if symbols::has_grammar(path) {
                    let found = defining::definitions(folder, path, known);
                    known.symbols = found.is_some();
                    found.map_or(Ok(()), |found| self.add_definitions(writer, path, known, &found))?;
                }
            }
        }
        let dirty = first || !batch.put.is_empty() || !batch.gone.is_empty();
        if dirty {
            self.seal(writing, first)?;
        }
        {
            let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
            for (path, known) in &batch.put {
                names.insert(known.id, path.clone());
            }
            // An index that is still searched as it was finds no path for these, so it finds no hit in them.
            for known in batch.gone.iter().filter_map(|path| writing.entries.remove(path)) {
                names.remove(&known.id);
            }
        }
        writing.entries.extend(batch.put);
        if dirty {
            self.reader.reload().map_err(IndexError::storage("reading the index", &self.dir))?;
        }
        self.unparsed.store(writing.unparsed().count(), Ordering::Relaxed);
        Ok(batch.changes)
    }

    pub(crate) fn seal(&self, writing: &mut Writing, first: bool) -> Result<(), IndexError> {
        let storage = || IndexError::storage("committing the index", &self.dir);
        let mut commit = self.writer(writing, first)?.prepare_commit().map_err(storage())?;
        commit.set_payload("refreshed");
        commit.commit().map_err(storage())?;
        writing.defined.clear();
        if first {
            writing.writer = None; // the next one has less memory and merges
        }
        Ok(())
    }

    pub(crate) fn writer<'a>(&self, writing: &'a mut Writing, first: bool) -> Result<&'a mut IndexWriter, IndexError> {
        match &mut writing.writer {
            Some(writer) => Ok(writer),
            slot => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                let options = IndexWriterOptions::builder()
                    .num_worker_threads(if first { cores.min(MOST_THREADS) } else { 1 })
                    .memory_budget_per_thread(if first { FIRST_HEAP } else { HEAP })
                    .num_merge_threads(1)
                    .build();
                let since = Instant::now();
                let writer: IndexWriter = loop {
                    match self.inner.writer_with_options(options.clone()) {
                        // Who owns the index is settled; the writer before this one has let go of the lock, but a program
                        // that is just being started holds a copy of every open file for a moment.
                        Err(TantivyError::LockFailure(LockError::LockBusy, _)) if since.elapsed() < LET_GO => {
                            std::thread::sleep(Duration::from_millis(5));
                        }
                        made => break made.map_err(IndexError::storage("writing the index", &self.dir))?,
                    }
                };
                if first {
                    writer.set_merge_policy(Box::new(NoMergePolicy)); // an answer now, fewer segments later
                } else {
                    // Every commit adds a small segment: merged early, and sooner where many documents are dead.
                    let mut policy = LogMergePolicy::default();
                    policy.set_min_num_segments(4);
                    policy.set_del_docs_ratio_before_merge(0.3);
                    writer.set_merge_policy(Box::new(policy));
                }
                Ok(slot.insert(writer))
            }
        }
    }

    pub(crate) fn keyed(&self, path: &str, id: u64) -> TantivyDocument {
        let mut document = TantivyDocument::default();
        document.add_text(self.fields.path, path);
        document.add_u64(self.fields.id, id);
        document.add_text(self.fields.kind, kind::word(kind::of(path)));
        document
    }

    fn add_words(
        &self,
        writer: &IndexWriter,
        path: &str,
        id: u64,
        entry: &Entry,
        text: String,
    ) -> Result<(), IndexError> {
        let mut document = self.keyed(path, id);
        let stored = serde_json::to_string(entry).map_err(IndexError::storage("describing a file", &self.dir))?;
        document.add_text(self.fields.entry, stored);
        if matches!(entry.content, Content::Hash(_)) {
            document.add_text(self.fields.name, path);
            self.backlog.add(text.len());
            document.add_text(self.fields.text, text);
        }
        writer.add_document(document).map_err(IndexError::storage("writing the index", &self.dir))?;
        Ok(())
    }
}

/// Whether enough time lay between the file's last change and its reading for the marks to tell.
fn settled(entry: &Entry) -> bool {
    entry.marks.mtime.max(entry.marks.ctime).saturating_add(TICK) < entry.seen
}

/// Whether a path is one of a folder itself.
impl Folder {
    pub(crate) fn is_folder(&self, path: &str) -> bool {
        self.place(Path::new(path)).symlink_metadata().is_ok_and(|found| found.is_dir())
    }
}
