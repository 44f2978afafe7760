//! Finds the definitions of files that are in the index by their words only, as long as there is time.
//!
//! Copies of a text are looked at once. What was found is committed every some thousand files and at the end: a commit
//! after every moment's work would leave as many segments to be merged. Until the last is committed, answers name the
//! definitions as missing.

use crate::error::IndexError;
use crate::folder::Folder;
use crate::index::{Shared, lock};
use crate::languages;
use crate::store::Content;
use crate::symbols::{self, Symbol};
use crate::writing::{Known, MOST_THREADS, Writing};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tantivy::IndexWriter;

/// Files whose definitions are committed together.
const TOGETHER: usize = 8_000;

/// Files of one text and language.
type Copies = Vec<(Arc<str>, Known)>;

impl Shared {
    /// Finds definitions until all are there or it is time; whether all are.
    pub(crate) fn parse(&self, writing: &mut Writing, folder: &Folder, until: Instant) -> Result<bool, IndexError> {
        let work = copies(writing);
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let writer = self.writer(writing, false)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            let parse = || -> Result<(), IndexError> {
                while Instant::now() < until {
                    let Some(copies) = work.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                    // Those that changed are read anew by the next refresh; they do not lack definitions until then.
                    if let Some(found) = copies.iter().find_map(|(path, known)| definitions(folder, path, known)) {
                        copies
                            .iter()
                            .try_for_each(|(path, known)| self.add_definitions(writer, path, known, &found))?;
                    }
                    lock(&done).extend(copies.iter().map(|(path, _)| path.clone()));
                }
                Ok(())
            };
            let threads: Vec<_> = (0..cores.min(MOST_THREADS)).map(|_| scope.spawn(parse)).collect();
            let ended = |joined: std::thread::Result<_>| {
                let broken = "a thread that looks for definitions broke";
                joined.unwrap_or_else(|_| Err(IndexError::storage("finding definitions", &self.dir)(broken)))
            };
            threads.into_iter().try_for_each(|thread| ended(thread.join()))
        })?;
        for path in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
            if let Some(known) = writing.entries.get_mut(&path) {
                known.symbols = true;
                writing.defined.push(path);
            }
        }
        let left = writing.unparsed().count();
        if writing.defined.len() >= TOGETHER || (left == 0 && !writing.defined.is_empty()) {
            self.seal(writing, false)?;
            self.reader.reload().map_err(IndexError::storage("reading the index", &self.dir))?;
        }
        self.unparsed.store(left, Ordering::Relaxed);
        Ok(left == 0)
    }

    /// Adds what a file defines.
    pub(crate) fn add_definitions(
        &self,
        writer: &IndexWriter,
        path: &str,
        known: &Known,
        found: &[Symbol],
    ) -> Result<(), IndexError> {
        let mut document = self.keyed(path, known.id);
        let names: Vec<&str> = found.iter().map(|symbol| symbol.name.as_str()).collect();
        document.add_text(self.fields.defs, names.join("\n"));
        document.add_text(self.fields.symbols, stored(&known.entry.content, found));
        writer.add_document(document).map_err(IndexError::storage("writing the index", &self.dir))?;
        Ok(())
    }
}

/// The files that lack definitions, those of one text and language together.
fn copies(writing: &Writing) -> Vec<Copies> {
    let mut copies: HashMap<(&str, Option<usize>), Copies> = HashMap::new();
    for (path, known) in writing.unparsed() {
        if let Content::Hash(hash) = &known.entry.content {
            copies.entry((hash.as_str(), languages::of(path))).or_default().push((path.clone(), known.clone()));
        }
    }
    copies.into_values().collect()
}

/// What a file defines; `None` where it is not any more what the index holds.
pub(crate) fn definitions(folder: &Folder, path: &str, known: &Known) -> Option<Vec<Symbol>> {
    let (content, text) = folder.read(path)?;
    let same = content == known.entry.content && matches!(content, Content::Hash(_));
    same.then(|| symbols::symbols(path, &text))
}

/// Definitions as the index keeps them: the hash of the text that they are in, then each on a line.
fn stored(content: &Content, symbols: &[Symbol]) -> String {
    let mut text = String::new();
    if let Content::Hash(hash) = content {
        text.push_str(hash);
    }
    for Symbol { name, lines: [first, last], .. } in symbols {
        text.push_str(&format!("\n{first} {last} {name}"));
    }
    text
}

/// The definitions in what [`stored`] made; nothing where they are of another text.
pub(crate) fn restored(text: &str, hash: &str) -> Vec<(String, [u32; 2])> {
    let mut lines = text.lines();
    if lines.next() != Some(hash) {
        return Vec::new();
    }
    let of_line = |line: &str| {
        let mut parts = line.splitn(3, ' ');
        let (first, last) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some((parts.next()?.to_owned(), [first, last]))
    };
    lines.filter_map(of_line).collect()
}
