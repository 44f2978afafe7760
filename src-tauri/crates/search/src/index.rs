//! Keeps the index of a folder up to date: what changed since the last refresh is read, everything is committed at once.

use crate::error::IndexError;
use crate::folder::{Folder, Met, now};
use crate::past::{Past, PastCommit};
use crate::store::{Backlog, CodeTokenizer, Content, Entry, Fields, SCHEMA};
use atelier_protocol::view::IndexView;
use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tantivy::directory::MmapDirectory;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::schema::Value;
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, Term};

/// Memory of the one writing thread, in bytes.
const HEAP: usize = 24_000_000;
/// A file changed so short a time before it was read may have been changed again within one tick of the clock.
const TICK: i64 = 2_000_000_000;
/// Files left out that are named; the rest are counted.
const NAMED: usize = 200;
const VERSION_FILE: &str = "index.json";
const LOCK_FILE: &str = "owner.lock";

/// The index of one project. One process at a time; any number of threads.
pub struct Index {
    pub(crate) dir: PathBuf,
    inner: tantivy::Index,
    pub(crate) reader: IndexReader,
    pub(crate) fields: Fields,
    backlog: Arc<Backlog>,
    writing: Mutex<Writing>,
    pub(crate) past: Mutex<Arc<Past>>,
    /// `None` until the first refresh.
    last: Mutex<Option<IndexView>>,
    /// Held as long as the index is open; behind everything else, so that it is given back last.
    _lock: File,
}

struct Writing {
    /// Made by the first refresh that needs it.
    writer: Option<IndexWriter>,
    /// What the last commit holds.
    entries: HashMap<String, Entry>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// What a refresh found.
struct Changes {
    updated: u32,
    removed: u32,
    /// What could not even be named as a file: path and reason.
    faults: Vec<(String, String)>,
}

/// An index that can be used, and what it knows.
struct Opened {
    inner: tantivy::Index,
    reader: IndexReader,
    entries: HashMap<String, Entry>,
    committed: bool,
}

impl Index {
    /// Opens the index in `dir`, which is made if needed. What cannot be read there, or was written by another
    /// version, is deleted and the index starts empty. The folder holds nothing else.
    pub fn open(dir: &Path) -> Result<Self, IndexError> {
        fs::create_dir_all(dir).map_err(IndexError::storage("making the index's folder", dir))?;
        let lock = File::options().create(true).write(true).truncate(false).open(dir.join(LOCK_FILE));
        let lock = lock.map_err(IndexError::storage("opening the index's lock", dir))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(IndexError::Busy { dir: dir.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(IndexError::storage("locking the index", dir)(error)),
        }
        let backlog = Arc::new(Backlog::default());
        let opened = match existing(dir, &backlog) {
            Ok(Some(opened)) => opened,
            Ok(None) => fresh(dir, &backlog)?,
            Err(reason) => {
                tracing::warn!(dir = %dir.display(), reason, "the search index is unusable and is built again");
                fresh(dir, &backlog)?
            }
        };
        let last =
            opened.committed.then(|| view(&opened.entries, Changes { updated: 0, removed: 0, faults: Vec::new() }, 0));
        Ok(Self {
            dir: dir.to_owned(),
            inner: opened.inner,
            reader: opened.reader,
            fields: Fields::new().1,
            backlog,
            writing: Mutex::new(Writing { writer: None, entries: opened.entries }),
            past: Mutex::default(),
            last: Mutex::new(last),
            _lock: lock,
        })
    }

    /// What the last refresh found; an index that was opened with content reports that content.
    pub fn status(&self) -> Result<IndexView, IndexError> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(IndexError::NotReady)
    }

    /// Brings the index to the state of the folder `root` and says what that took.
    ///
    /// Searches go on meanwhile, on the state before. Where it fails, that state stays.
    pub fn refresh(&self, root: &Path) -> Result<IndexView, IndexError> {
        let begun = Instant::now();
        let folder = Folder::open(root).map_err(|source| IndexError::Root { root: root.to_owned(), source })?;
        let mut writing = self.lock_writing();
        match self.update(&mut writing, &folder) {
            Ok(changes) => {
                let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                let view = view(&writing.entries, changes, ms);
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(view.clone());
                Ok(view)
            }
            Err(error) => {
                writing.writer = None; // with it goes everything it did not commit
                self.backlog.clear();
                Err(error)
            }
        }
    }

    /// Takes the messages of earlier commits into account from now on, in place of those given before. The newest
    /// come first; the first 4,000 count. They are not stored: give them again after the index was opened.
    pub fn remember(&self, commits: impl IntoIterator<Item = PastCommit>) {
        let past = Arc::new(Past::of(commits));
        *self.past.lock().unwrap_or_else(PoisonError::into_inner) = past;
    }

    fn lock_writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(|poisoned| {
            let mut writing = poisoned.into_inner();
            writing.writer = None;
            self.backlog.clear();
            self.writing.clear_poison();
            writing
        })
    }

    fn update(&self, writing: &mut Writing, folder: &Folder) -> Result<Changes, IndexError> {
        let Writing { writer, entries: known } = writing;
        let mut entries = HashMap::with_capacity(known.len());
        let (mut updated, mut faults) = (0u32, Vec::new());
        let mut dirty = false;
        for met in folder.walk() {
            let (path, marks) = match met {
                Met::File { path, marks } => (path, marks),
                Met::Fault { path, reason } => {
                    faults.push((path, reason));
                    continue;
                }
            };
            let before = known.get(&path);
            if let Some(entry) = before.filter(|entry| entry.marks == marks && settled(entry)) {
                entries.insert(path, entry.clone());
                continue;
            }
            let seen = now();
            let Some((content, text)) = folder.read(&path) else { continue };
            if before.is_none_or(|entry| entry.content != content) {
                let writer = self.writer(writer)?;
                if before.is_some() {
                    writer.delete_term(Term::from_field_text(self.fields.path, &path));
                }
                let entry = Entry { marks, seen, content: content.clone() };
                self.add(writer, &path, &entry, text)?;
                updated = updated.saturating_add(1);
                dirty = true;
            }
            entries.insert(path, Entry { marks, seen, content });
        }
        let mut removed = 0u32;
        for path in known.keys().filter(|path| !entries.contains_key(*path)) {
            self.writer(writer)?.delete_term(Term::from_field_text(self.fields.path, path));
            removed = removed.saturating_add(1);
            dirty = true;
        }
        let first = self.last.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        if dirty || first {
            let storage = || IndexError::storage("committing the index", &self.dir);
            let mut commit = self.writer(writer)?.prepare_commit().map_err(storage())?;
            commit.set_payload("refreshed");
            commit.commit().map_err(storage())?;
            self.reader.reload().map_err(IndexError::storage("reading the index", &self.dir))?;
        }
        *known = entries;
        Ok(Changes { updated, removed, faults })
    }

    fn writer<'a>(&self, slot: &'a mut Option<IndexWriter>) -> Result<&'a mut IndexWriter, IndexError> {
        match slot {
            Some(writer) => Ok(writer),
            None => {
                let options = IndexWriterOptions::builder()
                    .num_worker_threads(1)
                    .memory_budget_per_thread(HEAP)
                    .num_merge_threads(1)
                    .build();
                let writer: IndexWriter = self
                    .inner
                    .writer_with_options(options)
                    .map_err(IndexError::storage("writing the index", &self.dir))?;
                // Every refresh adds a small segment: merged early, and sooner where many documents are dead.
                let mut policy = LogMergePolicy::default();
                policy.set_min_num_segments(4);
                policy.set_del_docs_ratio_before_merge(0.3);
                writer.set_merge_policy(Box::new(policy));
                Ok(slot.insert(writer))
            }
        }
    }

    fn add(&self, writer: &IndexWriter, path: &str, entry: &Entry, text: String) -> Result<(), IndexError> {
        let mut document = TantivyDocument::default();
        document.add_text(self.fields.path, path);
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

fn view(entries: &HashMap<String, Entry>, changes: Changes, ms: u64) -> IndexView {
    let Changes { updated, removed, faults: mut skipped } = changes;
    let mut files = 0u32;
    for (path, entry) in entries {
        match &entry.content {
            Content::Hash(_) => files = files.saturating_add(1),
            Content::Skipped(reason) => skipped.push((path.clone(), reason.clone())),
        }
    }
    skipped.sort();
    if skipped.len() > NAMED {
        let more = skipped.len() - NAMED;
        skipped.truncate(NAMED);
        skipped.push(("...".to_owned(), format!("{more} more files are left out")));
    }
    IndexView { files, updated, removed, skipped, ms }
}

/// The index that is there; `None` where there is none, an error where it must be built again.
fn existing(dir: &Path, backlog: &Arc<Backlog>) -> Result<Option<Opened>, String> {
    let version = match fs::read_to_string(dir.join(VERSION_FILE)) {
        Ok(version) => version,
        Err(_) => return Ok(None),
    };
    if version != version_text() {
        return Err("it was written by another version".to_owned());
    }
    // tantivy panics on some damaged files instead of saying so.
    catch_unwind(AssertUnwindSafe(|| {
        let directory = MmapDirectory::open(dir).map_err(|error| error.to_string())?;
        let inner = tantivy::Index::open(directory).map_err(|error| error.to_string())?;
        if inner.schema() != Fields::new().0 {
            return Err("its fields are others".to_owned());
        }
        let damaged = inner.validate_checksum().map_err(|error| error.to_string())?;
        if !damaged.is_empty() {
            return Err(format!("{} of its files are damaged", damaged.len()));
        }
        let committed = inner.load_metas().map_err(|error| error.to_string())?.payload.is_some();
        let reader = ready(&inner, backlog).map_err(|error| error.to_string())?;
        let entries = entries(&reader)?;
        Ok(Some(Opened { inner, reader, entries, committed }))
    }))
    .unwrap_or_else(|_| Err("reading it panicked".to_owned()))
}

fn entries(reader: &IndexReader) -> Result<HashMap<String, Entry>, String> {
    let fields = Fields::new().1;
    let mut entries = HashMap::new();
    for segment in reader.searcher().segment_readers() {
        let store = segment.get_store_reader(4).map_err(|error| error.to_string())?;
        for document in store.iter::<TantivyDocument>(segment.alive_bitset()) {
            let document = document.map_err(|error| error.to_string())?;
            let text = |field| document.get_first(field).and_then(|value| value.as_str());
            let (Some(path), Some(entry)) = (text(fields.path), text(fields.entry)) else {
                return Err("a document lacks its path".to_owned());
            };
            let entry: Entry = serde_json::from_str(entry).map_err(|error| error.to_string())?;
            if entries.insert(path.to_owned(), entry).is_some() {
                return Err(format!("`{path}` is in it twice"));
            }
        }
    }
    Ok(entries)
}

fn fresh(dir: &Path, backlog: &Arc<Backlog>) -> Result<Opened, IndexError> {
    let storage = || IndexError::storage("making the index", dir);
    wipe(dir).map_err(IndexError::storage("deleting the old index", dir))?;
    let directory = MmapDirectory::open(dir).map_err(storage_of(dir))?;
    let inner = tantivy::Index::create(directory, Fields::new().0, tantivy::IndexSettings::default())
        .map_err(storage_of(dir))?;
    let reader = ready(&inner, backlog).map_err(storage_of(dir))?;
    fs::write(dir.join(VERSION_FILE), version_text()).map_err(storage())?;
    Ok(Opened { inner, reader, entries: HashMap::new(), committed: false })
}

fn storage_of<E: ToString>(dir: &Path) -> impl FnOnce(E) -> IndexError {
    IndexError::storage("making the index", dir)
}

fn ready(inner: &tantivy::Index, backlog: &Arc<Backlog>) -> tantivy::Result<IndexReader> {
    inner.tokenizers().register("name", TextAnalyzer::from(CodeTokenizer::default()));
    inner.tokenizers().register("text", TextAnalyzer::from(CodeTokenizer::counted(backlog)));
    inner.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()
}

fn version_text() -> String {
    format!("{{\"schema\":{SCHEMA}}}\n")
}

/// Deletes an index's files and nothing else: should the folder be another one by mistake, the rest of it stays.
fn wipe(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let segment =
            name.split('.').next().is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()));
        let known = matches!(&*name, "meta.json" | ".managed.json" | VERSION_FILE) || name.starts_with(".tantivy-");
        if entry.file_type()?.is_file() && (segment || known) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
