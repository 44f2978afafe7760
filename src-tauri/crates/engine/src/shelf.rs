//! Keeps what can be found beside the files: follows the history, and has documents read.
//!
//! Both are done as far as they go within a moment; the rest goes on beside, and the answer names what it lacks. A
//! document is read by the confined reader. Its hits count only while the file is the one that was read.

use crate::desk::{Desk, blocking};
use crate::reader::Reader;
use crate::records;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::hash::Hash;
use atelier_protocol::ids::Seq;
use atelier_protocol::view::{Hit, HitKind, IndexPart};
use atelier_search::{Delivery, Record, Shelf};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How long an answer waits for what is still to be taken in.
const PATIENCE: Duration = Duration::from_secs(2);
/// Events read at once.
const PAGE: usize = 1_000;
/// Documents that are put on the shelf together.
const TOGETHER: usize = 8;
/// Records that are looked through for those whose file is as it was.
const SPARE: usize = 3;

/// What is known of a document without reading it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// The file's marks when it was read.
    marks: String,
    /// Its hash; `None` where it could not be read.
    hash: Option<Hash>,
    /// Why it could not be.
    problem: Option<String>,
}

/// What can be found beside the files, and who works on it.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// Opened on first use.
    shelf: std::sync::Mutex<Option<Arc<Shelf>>>,
    /// Held while the history is followed.
    following: tokio::sync::Mutex<()>,
    /// Held while documents are read.
    reading: tokio::sync::Mutex<()>,
    counted: std::sync::Mutex<Option<Counted>>,
    /// Bytes that came out of archives and were not told yet.
    pub(crate) unpacked: AtomicU64,
}

/// The documents of the folder, as far as they are on the shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Documents {
    /// How many can be found.
    pub count: u32,
    /// Those that were read, with what was wrong.
    pub read: BTreeMap<String, Option<String>>,
    /// How many are not read yet.
    pub unread: usize,
}

/// What was counted when, by the numbers of index and shelf: whoever looks every moment what became of the index does not
/// go through all files each time.
#[derive(Debug)]
struct Counted {
    at: (u64, u64),
    documents: Arc<Documents>,
}

impl Beside {
    fn counted(&self) -> std::sync::MutexGuard<'_, Option<Counted>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether hits of a kind come from elsewhere than the index of files.
pub(crate) fn holds(kind: HitKind) -> bool {
    matches!(kind, HitKind::Chat | HitKind::Spec | HitKind::Decision | HitKind::Document | HitKind::Note)
}

impl Desk {
    /// The records of these kinds that fit best, and what the answer had to do without.
    pub(crate) async fn find_records(
        self: &Arc<Self>,
        queries: &[String],
        limit: u32,
        kinds: &[HitKind],
    ) -> Result<(Vec<Vec<Hit>>, Vec<IndexPart>), Problem> {
        let mut missing = Vec::new();
        let of_history = kinds.iter().any(|kind| *kind != HitKind::Document);
        if of_history && !self.within_patience(|desk| async move { desk.follow_history().await }).await? {
            missing.push(IndexPart::Records);
        }
        if kinds.contains(&HitKind::Document) && !self.read_documents().await? {
            missing.push(IndexPart::Documents);
        }
        let (shelf, kinds, queries, root) = (self.shelf()?, kinds.to_vec(), queries.to_vec(), self.root.clone());
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let found = blocking(move || {
            let mut hashes = HashMap::new();
            let answer = |query: &String| -> Result<Vec<Hit>, Problem> {
                let mut hits = shelf.search(query, &kinds, limit.saturating_mul(SPARE))?;
                hits.retain(|hit| hit.kind != HitKind::Document || is_as_read(&root, hit, &mut hashes));
                hits.truncate(limit);
                Ok(hits)
            };
            queries.iter().map(answer).collect::<Result<Vec<_>, _>>()
        });
        Ok((found.await?, missing))
    }

    /// Has documents that are new or changed read; whether all of them are on the shelf now.
    pub(crate) async fn read_documents(self: &Arc<Self>) -> Result<bool, Problem> {
        self.within_patience(|desk| async move { desk.take_in_documents().await }).await
    }

    /// The documents of the folder, as far as they are on the shelf.
    pub(crate) async fn documents(self: &Arc<Self>) -> Result<Arc<Documents>, Problem> {
        let (index, shelf, desk) = (self.index()?, self.shelf()?, self.clone());
        // Told of before they are counted: what is written meanwhile is counted again next time.
        let at = (index.written(), shelf.written());
        if let Some(counted) = desk.beside.counted().as_ref().filter(|counted| counted.at == at) {
            return Ok(counted.documents.clone());
        }
        blocking(move || {
            let known = known(&shelf);
            let now = index.files_now(atelier_documents::is_document);
            let whole = now.is_some();
            // Nobody waits for a long write to learn this.
            let wanted =
                now.unwrap_or_else(|| known.iter().map(|(path, known)| (path.clone(), known.marks.clone())).collect());
            let mut documents = Documents { count: 0, read: BTreeMap::new(), unread: 0 };
            for (path, marks) in wanted {
                match known.get(&path).filter(|known| known.marks == marks) {
                    Some(known) => drop(documents.read.insert(path, known.problem.clone())),
                    None => documents.unread += 1,
                }
            }
            let count = documents.read.values().filter(|problem| problem.is_none()).count();
            documents.count = u32::try_from(count).unwrap_or(u32::MAX);
            let documents = Arc::new(documents);
            if whole {
                *desk.beside.counted() = Some(Counted { at, documents: documents.clone() });
            }
            Ok(documents)
        })
        .await
    }

    /// Goes on with work beside; whether it was done within a moment. One work of a desk at a time.
    async fn within_patience<F>(self: &Arc<Self>, work: impl FnOnce(Arc<Self>) -> F) -> Result<bool, Problem>
    where
        F: Future<Output = Result<(), Problem>> + Send + 'static,
    {
        let work = tokio::spawn(work(self.clone()));
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(done)) => done.map(|()| true),
            Ok(Err(_)) | Err(_) => Ok(false),
        }
    }

    /// Takes in what happened since the last time.
    async fn follow_history(self: Arc<Self>) -> Result<(), Problem> {
        let _alone = self.beside.following.lock().await;
        let shelf = self.shelf()?;
        let mut after = Seq(shelf.upto());
        loop {
            let page = self.journal.read(None, after, PAGE).await?;
            let Some(last) = page.last().map(|last| last.seq) else { return Ok(()) };
            let shelf = shelf.clone();
            blocking(move || {
                let mut fresh: BTreeMap<String, Record> = BTreeMap::new();
                for envelope in &page {
                    let before = |key: &str| match fresh.get(key) {
                        Some(record) => Ok(Some(record.clone())),
                        None => shelf.get(key),
                    };
                    if let Some(record) = records::record_of(envelope, before)? {
                        fresh.insert(record.key.clone(), record);
                    }
                }
                // A few events that say nothing are read again next time, which is cheaper than a commit.
                if fresh.is_empty() && page.len() < PAGE {
                    return Ok(());
                }
                let records = fresh.into_values().collect();
                Ok(shelf.put(Delivery { records, upto: Some(last.0), ..Delivery::default() })?)
            })
            .await?;
            after = last;
        }
    }

    /// Reads documents that are new or other than they were, and forgets those that are gone.
    async fn take_in_documents(self: Arc<Self>) -> Result<(), Problem> {
        let _alone = self.beside.reading.lock().await;
        let (index, shelf, root) = (self.index()?, self.shelf()?, self.root.clone());
        let asked = shelf.clone();
        let (wanted, known) =
            blocking(move || Ok((index.files(&root, atelier_documents::is_document)?, known(&asked)))).await?;
        let gone: Vec<String> =
            known.keys().filter(|path| !wanted.iter().any(|(wanted, _)| wanted == *path)).cloned().collect();
        if !gone.is_empty() {
            let shelf = shelf.clone();
            blocking(move || Ok(shelf.put(Delivery { gone, ..Delivery::default() })?)).await?;
        }
        let unread: Vec<(String, String)> = wanted
            .into_iter()
            .filter(|(path, marks)| known.get(path).is_none_or(|known| known.marks != *marks))
            .collect();
        if unread.is_empty() {
            return Ok(());
        }
        let reader = Reader::of_this_program(&self.places, self.sandbox.clone())?;
        for together in unread.chunks(TOGETHER) {
            let mut delivery = Delivery::default();
            for (path, marks) in together {
                read_one(&reader, &self.root, path, marks, &mut delivery).await?;
            }
            let shelf = shelf.clone();
            blocking(move || Ok(shelf.put(delivery)?)).await?;
        }
        Ok(())
    }

    fn shelf(&self) -> Result<Arc<Shelf>, Problem> {
        let mut slot = self.beside.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shelf) = &*slot {
            return Ok(shelf.clone());
        }
        let dir = self.places.shelf(&self.project);
        self.unpack_for_search(&dir);
        let shelf = Arc::new(Shelf::open(&dir, self.project.as_str())?);
        *slot = Some(shelf.clone());
        Ok(shelf)
    }
}

/// Reads a document into a delivery. What is wrong with the file is kept with it; what is wrong here ends the work.
async fn read_one(
    reader: &Reader,
    root: &Path,
    path: &str,
    marks: &str,
    delivery: &mut Delivery,
) -> Result<(), Problem> {
    let mut known = Known { marks: marks.to_owned(), hash: None, problem: None };
    delivery.gone.push(path.to_owned());
    match reader.read(&root.join(path)).await {
        Ok(document) => {
            known.hash = Some(document.hash.clone());
            let name = document.title.clone().unwrap_or_else(|| document.name.clone());
            for (at, part) in document.parts.into_iter().enumerate() {
                let title = match part.heading {
                    Some(heading) if heading != name => format!("{name}: {heading}"),
                    _ => name.clone(),
                };
                delivery.records.push(records::document(path, at, &document.hash, part.anchor, title, part.text));
            }
            let text = delivery.records.iter().any(|record| record.group == path && !record.text.trim().is_empty());
            if !text {
                known.problem =
                    Some(document.notices.first().map_or_else(|| "it holds no text".to_owned(), |n| n.text.clone()));
            }
        }
        Err(problem) if is_of_the_file(problem.code) => known.problem = Some(problem.message),
        Err(problem) => return Err(problem),
    }
    let mark = serde_json::to_string(&known).map_err(|error| {
        Problem::new(Code::Internal, format!("A document's mark cannot be written: {error}."), "Please report this.")
    })?;
    delivery.marks.push((path.to_owned(), mark));
    Ok(())
}

/// Whether reading the file again would end the same.
fn is_of_the_file(code: Code) -> bool {
    code.as_str().starts_with("document_")
}

fn known(shelf: &Shelf) -> BTreeMap<String, Known> {
    shelf.marks().into_iter().filter_map(|(path, mark)| Some((path, serde_json::from_str(&mark).ok()?))).collect()
}

/// Whether the file of a hit is the one that was read.
fn is_as_read(root: &Path, hit: &Hit, hashes: &mut HashMap<String, Option<Hash>>) -> bool {
    let now = hashes.entry(hit.path.clone()).or_insert_with(|| hash_of(&root.join(&hit.path)));
    now.as_ref() == Some(&hit.hash)
}

fn hash_of(file: &Path) -> Option<Hash> {
    let mut bytes = Vec::new();
    std::fs::File::open(file).and_then(|file| file.take(atelier_documents::READ).read_to_end(&mut bytes)).ok()?;
    Some(Hash::of(&bytes))
}
