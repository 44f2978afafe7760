//! The journal: what the owner of a store appends to, reads and subscribes to.
//!
//! Appends go through the one writer; reads go to a few connections of their own. A clone is the same journal. Once
//! the store is closed appends fail and subscriptions end; reads go on to work, blobs too.

use crate::append::{Append, Mark, Receipt};
use crate::backup::{self, BackUp};
use crate::blobs::Blobs;
use crate::chain::{Chain, Walk};
use crate::error::{AppendError, BlobError, CopyError, ReadError};
use crate::feed::Feed;
use crate::group::Encoded;
use crate::marks;
use crate::prune::{self, Pruned, Usage};
use crate::queue::Queue;
use crate::reader::{self, Readers};
use crate::subscribe::{self, Subscription};
use crate::writer::{Queued, Work};
use atelier_protocol::error::Problem;
use atelier_protocol::event::NewEvent;
use atelier_protocol::op::Draft;
use atelier_protocol::{Envelope, Hash, RunId, Seq};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

/// Bytes of payload that may wait to be committed; more wait outside.
const QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// The unit in which that is counted.
const UNIT: usize = 1024;
/// Bytes of one event's payload. A frame of the socket must hold it.
const EVENT_BYTES: usize = 32 * 1024 * 1024;
/// Events, and bytes of payload, that a fold reads at a time.
const PAGE_EVENTS: usize = 4_096;
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Blob files that are written at the same time.
const BLOB_WRITERS: usize = 4;

/// The history of a store, in the process that owns it.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    epoch: u32,
    queue: Arc<Queue>,
    room: Arc<Semaphore>,
    blob_writers: Arc<Semaphore>,
    readers: Arc<Readers>,
    feed: Arc<Feed>,
    runtime: Handle,
}

impl Journal {
    pub(crate) fn new(epoch: u32, queue: Arc<Queue>, readers: Readers, feed: Arc<Feed>) -> Self {
        Self {
            inner: Arc::new(Inner {
                epoch,
                queue,
                room: Arc::new(Semaphore::new(QUEUE_BYTES / UNIT)),
                blob_writers: Arc::new(Semaphore::new(BLOB_WRITERS)),
                readers: Arc::new(readers),
                feed,
                runtime: Handle::current(),
            }),
        }
    }

    /// The epoch of this owner: rises by one with each owner of the store.
    pub fn epoch(&self) -> u32 {
        self.inner.epoch
    }

    /// Appends events, all or none, next to each other. Returns once they are committed as their class demands.
    /// Dropping the future does not take back what is queued. Errors: see [`AppendError`].
    pub async fn append(&self, events: Vec<NewEvent>) -> Result<Receipt, AppendError> {
        self.append_marked(Append { events, ..Append::default() }).await
    }

    /// The same, but only where `run` has exactly `version` events; [`AppendError::Conflict`] otherwise.
    /// The events may be of other runs too.
    pub async fn append_expecting(
        &self,
        run: &RunId,
        version: u64,
        events: Vec<NewEvent>,
    ) -> Result<Receipt, AppendError> {
        self.append_marked(Append { events, expecting: vec![(run.clone(), version)], marks: Vec::new() }).await
    }

    /// Appends events and sets marks, all or none of both, where every expectation holds. Marks without events are as
    /// durable as an event of class full where one of them is a key, and of class normal otherwise.
    pub async fn append_marked(&self, append: Append) -> Result<Receipt, AppendError> {
        let Append { events, expecting, marks } = append;
        if events.is_empty() && marks.is_empty() {
            return Err(AppendError::Empty);
        }
        marks.iter().try_for_each(Mark::check)?;
        let events = events.into_iter().map(Encoded::new).collect::<Result<Vec<_>, _>>()?;
        if let Some(event) = events.iter().find(|event| event.payload.len() > EVENT_BYTES) {
            let (kind, bytes) = (event.kind.clone(), event.payload.len());
            return Err(AppendError::TooLarge { kind, bytes, limit: EVENT_BYTES });
        }
        let bytes = events.iter().map(|event| event.payload.len()).sum::<usize>();
        // An append larger than the whole queue waits until the queue is empty and then goes alone.
        let units = (bytes / UNIT + 1).min(QUEUE_BYTES / UNIT);
        let room = Arc::clone(&self.inner.room).acquire_many_owned(u32::try_from(units).unwrap_or(u32::MAX));
        let room = room.await.map_err(|_| AppendError::Closed)?;
        let events = self.spill(events).await?;
        let (reply, answer) = oneshot::channel();
        let queued = Queued { work: Work { events, expecting, marks }, bytes, reply, room };
        self.inner.queue.append(queued)?;
        answer.await.map_err(|_| AppendError::Closed)?
    }

    /// Puts large payloads on the disk before the events that name them are queued.
    async fn spill(&self, events: Vec<Encoded>) -> Result<Vec<Encoded>, AppendError> {
        if !events.iter().any(Encoded::spills) {
            return Ok(events);
        }
        let written = self.with_blobs(move |blobs| {
            for event in events.iter().filter(|event| event.spills()) {
                blobs.put(&event.payload)?;
            }
            Ok::<_, BlobError>(events)
        });
        written.await.ok_or(AppendError::Closed)?.map_err(|error| match error {
            BlobError::DiskFull { .. } => AppendError::DiskFull,
            error => AppendError::Failed { reason: error.to_string() },
        })
    }

    /// Runs `work` where it may block; `None` when the program is ending.
    async fn with_blobs<T: Send + 'static>(&self, work: impl FnOnce(&Blobs) -> T + Send + 'static) -> Option<T> {
        let permit = Arc::clone(&self.inner.blob_writers).acquire_owned().await.ok()?;
        let readers = Arc::clone(&self.inner.readers);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(readers.blobs())
        })
        .await
        .ok()
    }

    /// Events after `after`, of one run or of all, at most `limit`, in order. Fewer mean that there are no more.
    pub async fn read(&self, run: Option<&RunId>, after: Seq, limit: usize) -> Result<Vec<Envelope>, ReadError> {
        self.inner.readers.envelopes(run.cloned(), after, Seq(u64::MAX), limit, usize::MAX).await
    }

    /// Folds every event after `after`, of one run or of all, that is committed now or meanwhile. The next events are
    /// read while those before are folded, so this is the fastest way through a long run.
    pub async fn fold<S>(
        &self,
        run: Option<&RunId>,
        mut after: Seq,
        mut state: S,
        mut fold: impl FnMut(&mut S, &Envelope),
    ) -> Result<S, ReadError> {
        let read = |after| {
            let (readers, run) = (Arc::clone(&self.inner.readers), run.cloned());
            tokio::spawn(async move { readers.envelopes(run, after, Seq(u64::MAX), PAGE_EVENTS, PAGE_BYTES).await })
        };
        let ending = |_| ReadError::Failed { reason: "the program is ending".into() };
        let mut page = read(after).await.map_err(ending)??;
        while let Some(last) = page.last() {
            after = last.seq;
            let next = read(after);
            page.iter().for_each(|event| fold(&mut state, event));
            page = next.await.map_err(ending)??;
        }
        Ok(state)
    }

    /// Events outside any run that are of one of these kinds (as on the wire, such as `message_posted`), after
    /// `after`, at most `limit`, in order. Fewer mean that there are no more.
    pub async fn read_kinds(&self, kinds: &[&str], after: Seq, limit: usize) -> Result<Vec<Envelope>, ReadError> {
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        self.inner.readers.of_kinds(kinds, after, limit).await
    }

    /// The number that a key is remembered with: that of the first event appended with it. `None` where it is unused.
    pub async fn key(&self, scope: &str, key: &str) -> Result<Option<Seq>, ReadError> {
        let (scope, key) = (scope.to_owned(), key.to_owned());
        let read = move |connection: &Connection| marks::key(connection, &scope, &key);
        self.inner.readers.with(move |connection, _| read(connection).map_err(reader::failed)).await
    }

    /// The last event that a consumer is done with; `None` where it never began.
    pub async fn offset(&self, consumer: &str) -> Result<Option<Seq>, ReadError> {
        let consumer = consumer.to_owned();
        let read = move |connection: &Connection| marks::offset(connection, &consumer);
        self.inner.readers.with(move |connection, _| read(connection).map_err(reader::failed)).await
    }

    /// The same of every consumer.
    pub async fn offsets(&self) -> Result<BTreeMap<String, Seq>, ReadError> {
        self.inner.readers.with(|connection, _| marks::offsets(connection).map_err(reader::failed)).await
    }

    /// The runs, in order of their first event.
    pub async fn runs(&self) -> Result<Vec<RunId>, ReadError> {
        self.inner.readers.runs().await
    }

    /// How many events a run has; zero for one that is unknown.
    pub async fn version(&self, run: &RunId) -> Result<u64, ReadError> {
        self.inner.readers.version(run.clone()).await
    }

    /// Number of the last committed event.
    pub fn last_seq(&self) -> Seq {
        self.inner.feed.head()
    }

    /// Stored events after `after`, then `Frame::CaughtUp`, then live events and drafts. Each event comes exactly
    /// once and in order; drafts may be missed. Ends when the store is closed; `Frame::Lost` where it cannot be read.
    pub fn subscribe(&self, after: Seq) -> Subscription {
        let (frames, subscription) = Subscription::channel();
        let (readers, feed) = (Arc::clone(&self.inner.readers), Arc::clone(&self.inner.feed));
        self.inner.runtime.spawn(subscribe::follow(readers, feed, after, frames));
        subscription
    }

    /// Tells whoever is subscribed now that work has stopped because its outcome cannot be recorded: nobody would wait
    /// for an event that can never come. Their subscriptions end with `Frame::Lost`.
    pub fn tell_failed(&self, problem: &Problem) {
        self.inner.feed.failed(problem);
    }

    /// Shows streamed text to whoever is subscribed now. It is never stored, and laggards may miss it.
    pub fn publish_draft(&self, draft: Draft) {
        self.inner.feed.draft(draft);
    }

    /// Keeps bytes under their hash. Returns once they are on the disk; the same bytes are kept once.
    pub async fn put_blob(&self, bytes: Vec<u8>) -> Result<Hash, BlobError> {
        self.with_blobs(move |blobs| blobs.put(&bytes)).await.unwrap_or_else(|| Err(ending()))
    }

    /// The bytes of a hash, checked against it; `None` where there are none.
    pub async fn blob(&self, hash: &Hash) -> Result<Option<Vec<u8>>, BlobError> {
        let hash = hash.clone();
        self.with_blobs(move |blobs| blobs.get(&hash)).await.unwrap_or_else(|| Err(ending()))
    }

    /// Copies the whole store, as of now, into a folder that does not exist yet. The copy is a store itself. Appends
    /// go on meanwhile.
    pub async fn back_up(&self, to: PathBuf) -> Result<BackUp, CopyError> {
        let copy =
            move |connection: &Connection, readers: &Readers| Ok(backup::whole(connection, readers.blobs(), &to));
        match self.inner.readers.with(copy).await {
            Ok(copied) => copied,
            Err(error) => Err(CopyError::Io { path: PathBuf::new(), reason: error.to_string() }),
        }
    }

    /// Removes blobs that no event names, unless they were put within the last hour.
    pub async fn prune(&self) -> Result<Pruned, ReadError> {
        self.inner.readers.with(prune::prune).await
    }

    /// What the store takes on the disk, and what its blobs should not exceed.
    pub async fn usage(&self) -> Result<Usage, ReadError> {
        self.inner.readers.with(|_, readers| prune::usage(readers.dir(), readers.blobs())).await
    }

    /// Walks the chain from the first event to the one that is last now, payloads and blobs included, and names the
    /// first event that is not as it was written.
    pub async fn verify(&self) -> Result<Chain, ReadError> {
        Walk::whole(&self.inner.readers).await
    }

    /// What a part of this crate needs that follows the journal.
    pub(crate) fn parts(&self) -> (Arc<Readers>, Arc<Feed>) {
        (Arc::clone(&self.inner.readers), Arc::clone(&self.inner.feed))
    }

    /// Commits what is queued, closes the database, and ends the subscriptions.
    pub(crate) async fn close(&self) {
        self.inner.queue.close();
        self.inner.queue.ended().cancelled().await;
        self.inner.room.close();
        self.inner.feed.closed().cancel();
    }

    /// The same without waiting: the database is closed when those in the queue are committed.
    pub(crate) fn abandon(&self) {
        self.inner.queue.close();
        self.inner.room.close();
        self.inner.feed.closed().cancel();
    }
}

fn ending() -> BlobError {
    BlobError::Io { path: std::path::PathBuf::new(), reason: "the program is ending".into() }
}
