//! Opens what is in an index's folder, where it is whole and of this version; else starts anew.
//!
//! Every file of the index carries a checksum that is looked at here: a file that was cut short or changed is found
//! before the first answer, not by it.

use crate::error::IndexError;
use crate::index::lock;
use crate::past::{Past, PastCommit};
use crate::store::{Backlog, CodeTokenizer, Entry, Fields, SCHEMA};
use crate::writing::{Known, Writing};
use atelier_protocol::Hash;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};
use tantivy::directory::MmapDirectory;
use tantivy::schema::{Schema, Value};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{IndexReader, ReloadPolicy, TantivyDocument};

const VERSION_FILE: &str = "index.json";
const PAST_FILE: &str = "past.json";
/// What a new list of commits is written to before it takes the place of the old one.
const NEW_PAST_FILE: &str = "past.json.new";

/// An index that can be used, and what it knows.
pub(crate) struct Opened {
    pub inner: tantivy::Index,
    pub reader: IndexReader,
    pub writing: Writing,
    pub past: Past,
    /// Whether it holds the files of some moment.
    pub committed: bool,
}

pub(crate) fn open(dir: &Path, backlog: &Arc<Backlog>) -> Result<Opened, IndexError> {
    match existing(dir, backlog) {
        Ok(Some(opened)) => Ok(opened),
        Ok(None) => fresh(dir, backlog),
        Err(reason) => {
            tracing::warn!(dir = %dir.display(), reason, "the search index is unusable and is built again");
            fresh(dir, backlog)
        }
    }
}

/// The index that is there; `None` where there is none, an error where it must be built again.
fn existing(dir: &Path, backlog: &Arc<Backlog>) -> Result<Option<Opened>, String> {
    whole(dir, (VERSION_FILE, &version_text()), &Fields::new().0, |inner| {
        let committed = inner.load_metas().map_err(|error| error.to_string())?.payload.is_some();
        let reader = ready(&inner, backlog).map_err(|error| error.to_string())?;
        let writing = Writing::holding(entries(&reader)?);
        Ok(Opened { inner, reader, writing, past: read_past(dir), committed })
    })
}

/// What `make` makes of the index in `dir`, where it is whole, its version file says this and it has these fields; `None` where there is
/// none, an error where it must be built again.
pub(crate) fn whole<T>(
    dir: &Path,
    (version_file, version): (&str, &str),
    fields: &Schema,
    make: impl FnOnce(tantivy::Index) -> Result<T, String>,
) -> Result<Option<T>, String> {
    let Ok(written) = fs::read_to_string(dir.join(version_file)) else { return Ok(None) };
    if written != version {
        return Err("it was written by another version or from another source".to_owned());
    }
    // tantivy panics on some damaged files instead of saying so.
    catch_unwind(AssertUnwindSafe(|| {
        let directory = MmapDirectory::open(dir).map_err(|error| error.to_string())?;
        let inner = tantivy::Index::open(directory).map_err(|error| error.to_string())?;
        if inner.schema() != *fields {
            return Err("its fields are others".to_owned());
        }
        let damaged = inner.validate_checksum().map_err(|error| error.to_string())?;
        if !damaged.is_empty() {
            return Err(format!("{} of its files are damaged", damaged.len()));
        }
        make(inner).map(Some)
    }))
    .unwrap_or_else(|_| Err("reading it panicked".to_owned()))
}

fn entries(reader: &IndexReader) -> Result<HashMap<Arc<str>, Known>, String> {
    let fields = Fields::new().1;
    let mut entries: HashMap<Arc<str>, Known> = HashMap::new();
    let (mut parsed, mut ids) = (HashSet::new(), HashSet::new());
    for segment in reader.searcher().segment_readers() {
        let store = segment.get_store_reader(4).map_err(|error| error.to_string())?;
        for document in store.iter::<TantivyDocument>(segment.alive_bitset()) {
            let document = document.map_err(|error| error.to_string())?;
            let text = |field| document.get_first(field).and_then(|value| value.as_str());
            let id = document.get_first(fields.id).and_then(|value| value.as_u64());
            let (Some(path), Some(id)) = (text(fields.path), id) else {
                return Err("a document lacks its path".to_owned());
            };
            let Some(entry) = text(fields.entry) else {
                parsed.insert(id);
                continue;
            };
            let entry: Entry = serde_json::from_str(entry).map_err(|error| error.to_string())?;
            if entries.insert(path.into(), Known { id, entry, symbols: false }).is_some() || !ids.insert(id) {
                return Err(format!("`{path}` is in it twice"));
            }
        }
    }
    for known in entries.values_mut() {
        known.symbols = parsed.contains(&known.id);
    }
    Ok(entries)
}

fn fresh(dir: &Path, backlog: &Arc<Backlog>) -> Result<Opened, IndexError> {
    let storage = || IndexError::storage("making the index", dir);
    wipe(dir, VERSION_FILE).map_err(IndexError::storage("deleting the old index", dir))?;
    let directory = MmapDirectory::open(dir).map_err(storage_of(dir))?;
    let inner = tantivy::Index::create(directory, Fields::new().0, tantivy::IndexSettings::default())
        .map_err(storage_of(dir))?;
    let reader = ready(&inner, backlog).map_err(storage_of(dir))?;
    fs::write(dir.join(VERSION_FILE), version_text()).map_err(storage())?;
    let past = read_past(dir);
    Ok(Opened { inner, reader, writing: Writing::default(), past, committed: false })
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

/// Deletes an index's files and nothing else: should the folder be another one by mistake, the rest of it stays. What
/// is known of the past has a checksum of its own and stays too. The threads of a writer that was dropped a moment ago
/// may still be deleting what they merged, so a file that is gone is as good as deleted.
pub(crate) fn wipe(dir: &Path, version: &str) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let segment =
            name.split('.').next().is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()));
        let known = matches!(&*name, "meta.json" | ".managed.json" | NEW_PAST_FILE)
            || name == version
            || name.starts_with(".tantivy-");
        if segment || known {
            or_gone(
                entry.file_type().and_then(|kind| if kind.is_file() { fs::remove_file(entry.path()) } else { Ok(()) }),
            )?;
        }
    }
    Ok(())
}

fn or_gone(done: std::io::Result<()>) -> std::io::Result<()> {
    match done {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[derive(Serialize, Deserialize)]
struct StoredPast<C> {
    schema: u32,
    head: Option<String>,
    commits: C,
}

/// The first line is the hash of the rest.
pub(crate) fn write_past(dir: &Path, past: &Past) -> Result<(), IndexError> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = lock(&ONE_AT_A_TIME);
    let storage = || IndexError::storage("writing what earlier commits say", dir);
    let stored = StoredPast { schema: SCHEMA, head: past.head.clone(), commits: &past.commits };
    let text = serde_json::to_string(&stored).map_err(storage_of(dir))?;
    let new = dir.join(NEW_PAST_FILE);
    let written = fs::File::create(&new).and_then(|mut file| {
        writeln!(file, "{}", Hash::of(text.as_bytes()).as_str())?;
        file.write_all(text.as_bytes())?;
        file.sync_data()
    });
    written.and_then(|()| fs::rename(&new, dir.join(PAST_FILE))).map_err(storage())
}

/// What was kept; nothing where that is damaged or of another version: it is told again then.
fn read_past(dir: &Path) -> Past {
    let read = || {
        let text = fs::read_to_string(dir.join(PAST_FILE)).ok()?;
        let (hash, text) = text.split_once('\n')?;
        let stored: StoredPast<Vec<PastCommit>> =
            (Hash::of(text.as_bytes()).as_str() == hash).then(|| serde_json::from_str(text).ok())??;
        (stored.schema == SCHEMA).then(|| Past::of(stored.head, stored.commits))
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wiping_minds_nobody_who_deletes_the_same_files() {
        let home = tempfile::tempdir().unwrap();
        for n in 0..2_000 {
            fs::write(home.path().join(format!("{n:032x}.idx")), "").unwrap();
        }
        fs::write(home.path().join("letter.txt"), "").unwrap();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| wipe(home.path(), VERSION_FILE));
            wipe(home.path(), VERSION_FILE).unwrap();
            other.join().unwrap().unwrap();
        });
        let left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["letter.txt"]);
    }
}
