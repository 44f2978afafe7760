//! Projections: rows that follow the journal, in a file beside it that can be deleted at any time.
//!
//! One task folds what was committed, in batches, a little behind the journal; [`Projections::caught_up`] waits until
//! everything that was committed before is in. Nothing here changes the journal, and no fold performs an effect. The
//! file that is missing, damaged or of another history is made anew from the first event on.

use crate::error::ProjectionError;
use crate::feed::Feed;
use crate::journal::Journal;
use crate::pool::Pool;
use crate::projection::{KeyedRow, Projection, ProjectionState, Rows};
use crate::projection_file::{self as file, FileError, ProjectionFile};
use crate::reader::Readers;
use crate::snapshots;
use atelier_protocol::{RunId, Seq};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How far behind the projections may be while nobody asks: events that come close together are folded together.
const LAG: Duration = Duration::from_millis(20);
/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The file of a store's projections.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join("projections.db")
}

/// The projections of a store, in the process that owns it. A clone is the same; with the last one the following ends.
#[derive(Clone)]
pub struct Projections {
    inner: Arc<Inner>,
    _guard: Arc<DropGuard>,
}

struct Inner {
    projections: Vec<Arc<dyn Projection>>,
    journal: Arc<Readers>,
    feed: Arc<Feed>,
    /// `None` while the file cannot be opened.
    file: Mutex<Option<ProjectionFile>>,
    pool: Arc<Pool>,
    progress: watch::Sender<Progress>,
    wanted: Notify,
}

/// How far the projections have come.
#[derive(Clone, Default)]
struct Progress {
    reached: Seq,
    /// How often it failed, and why the last time; `None` once it goes on.
    failures: u64,
    failed: Option<ProjectionError>,
    /// Nobody follows the journal any more.
    ended: bool,
}

impl Projections {
    /// Opens the projections of a journal and follows it from now on. Names are unique; rows of a projection that is
    /// not among them are thrown away.
    pub async fn open(journal: &Journal, projections: Vec<Arc<dyn Projection>>) -> Result<Self, ProjectionError> {
        let (readers, feed) = journal.parts();
        let pool = Arc::new(Pool::new(path(readers.dir())));
        let inner = Arc::new(Inner {
            projections,
            journal: readers,
            feed,
            file: Mutex::default(),
            pool,
            progress: watch::Sender::default(),
            wanted: Notify::new(),
        });
        inner.with_file(|_, _| Ok(())).await?;
        let stop = CancellationToken::new();
        tokio::spawn(follow(Arc::clone(&inner), stop.clone()));
        Ok(Self { inner, _guard: Arc::new(stop.drop_guard()) })
    }

    /// Waits until every event that is committed now is in every projection, so that one's own writes are read.
    pub async fn caught_up(&self) -> Result<(), ProjectionError> {
        let target = self.inner.feed.head();
        let mut progress = self.inner.progress.subscribe();
        let failures = progress.borrow().failures;
        self.inner.wanted.notify_one();
        let over = |now: &Progress| now.reached >= target || now.ended || now.failures > failures;
        match progress.wait_for(over).await {
            Ok(now) if now.reached >= target => Ok(()),
            Ok(now) => Err(now.failed.clone().unwrap_or(ProjectionError::Closed)),
            Err(_) => Err(ProjectionError::Closed),
        }
    }

    /// A row by its key; `None` where there is none.
    pub async fn get(&self, projection: &str, key: &str) -> Result<Option<Vec<u8>>, ProjectionError> {
        let name = self.known(projection)?.name();
        let key = key.to_owned();
        self.read(move |connection| file::row(connection, name, &key)).await
    }

    /// Rows in order of their keys.
    pub async fn list(&self, projection: &str, rows: Rows) -> Result<Vec<KeyedRow>, ProjectionError> {
        let name = self.known(projection)?.name();
        self.read(move |connection| file::list(connection, name, &rows)).await
    }

    /// A projection with the hash of its rows. The same history gives the same hash, however often it is made anew.
    pub async fn hash(&self, projection: &str) -> Result<ProjectionState, ProjectionError> {
        let projection = self.known(projection)?;
        self.read(move |connection| file::state(connection, &*projection)).await
    }

    /// The names of the projections.
    pub fn names(&self) -> Vec<&'static str> {
        self.inner.projections.iter().map(|projection| projection.name()).collect()
    }

    /// Throws a projection's rows away and waits until they are made anew.
    pub async fn rebuild(&self, projection: &str) -> Result<(), ProjectionError> {
        let name = self.known(projection)?.name();
        self.inner.with_file(move |file, _| file.rebuild(name).map_err(FileError::from)).await?;
        self.caught_up().await
    }

    /// Keeps what was folded from a run's events up to `seq`, in the place of an earlier one. `kind` says what it is
    /// and `version` which fold made it. A cache: it may be gone at any time, and is refused where it is too large.
    pub async fn put_snapshot(
        &self,
        run: &RunId,
        kind: &'static str,
        version: u32,
        seq: Seq,
        bytes: Vec<u8>,
    ) -> Result<(), ProjectionError> {
        if bytes.len() > snapshots::LARGEST {
            return Err(ProjectionError::TooLarge { bytes: bytes.len(), limit: snapshots::LARGEST });
        }
        let (run, store) = (run.clone(), self.inner.journal.store().clone());
        self.inner
            .with_file(move |file, journal| {
                match file::hash_at(journal, store.as_str(), seq).map_err(FileError::Journal)? {
                    Some(envelope) => {
                        let snapshot = snapshots::Snapshot { run: &run, kind, version, seq, envelope, bytes: &bytes };
                        snapshot.put(&file.connection).map_err(FileError::from)
                    }
                    None => Ok(()),
                }
            })
            .await
    }

    /// What was kept last for a run, with the last event in it. `None` where there is none, or one that another fold
    /// made, that is not as it was kept, or that is of a history which is not the journal's.
    pub async fn snapshot(
        &self,
        run: &RunId,
        kind: &'static str,
        version: u32,
    ) -> Result<Option<(Seq, Vec<u8>)>, ProjectionError> {
        let run = run.clone();
        let kept = self.read(move |connection| snapshots::get(connection, &run, kind, version)).await?;
        let Some(snapshots::Kept { seq, envelope, bytes }) = kept else { return Ok(None) };
        let store = self.inner.journal.store().clone();
        let now = self.inner.journal.with(move |journal, _| file::hash_at(journal, store.as_str(), seq)).await?;
        Ok((now == Some(envelope)).then_some((seq, bytes)))
    }

    fn known(&self, name: &str) -> Result<Arc<dyn Projection>, ProjectionError> {
        let found = self.inner.projections.iter().find(|projection| projection.name() == name);
        found.cloned().ok_or_else(|| ProjectionError::Unknown { name: name.to_owned() })
    }

    /// Reads the file. One that turns out to be damaged is made anew first, and one that somebody makes anew is waited for.
    async fn read<T: Send + 'static>(
        &self,
        read: impl Fn(&Connection) -> rusqlite::Result<T> + Clone + Send + 'static,
    ) -> Result<T, ProjectionError> {
        let pool = &self.inner.pool;
        let ending = |_| ProjectionError::Closed;
        match pool.with(read.clone()).await.map_err(ending)? {
            Ok(rows) => return Ok(rows),
            Err(error) if file::is_damage(&error) => self.inner.start_anew().await?,
            // Between the old file and the new one there is none, or one without tables. Whoever replaces it is done when
            // the file can be worked on.
            Err(_) => self.inner.with_file(|_, _| Ok(())).await?,
        }
        self.caught_up().await?;
        pool.with(read).await.map_err(ending)?.map_err(ProjectionError::from)
    }
}

impl Inner {
    /// Works on the file, off the async threads; opens it where that failed before.
    async fn with_file<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut ProjectionFile, &Connection) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, ProjectionError> {
        let inner = Arc::clone(self);
        let worked = self.journal.with(move |journal, readers| {
            let mut place = inner.file.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(inner.opened(&mut place, journal, readers).and_then(|file| {
                let result = work(file, journal);
                inner.progress.send_modify(|progress| progress.reached = file.reached());
                result
            }))
        });
        worked.await?.map_err(ProjectionError::from)
    }

    fn opened<'a>(
        &self,
        place: &'a mut Option<ProjectionFile>,
        journal: &Connection,
        readers: &Readers,
    ) -> Result<&'a mut ProjectionFile, FileError> {
        let file = match place.take() {
            Some(file) => file,
            None => {
                let mut file = ProjectionFile::open(self.pool.path(), &self.projections)?;
                file.fit(journal, readers.store().as_str())?;
                file
            }
        };
        Ok(place.insert(file))
    }

    /// Throws the file away and begins a new one.
    async fn start_anew(self: &Arc<Self>) -> Result<(), ProjectionError> {
        tracing::warn!(path = %self.pool.path().display(), "the projections are damaged and made anew");
        let inner = Arc::clone(self);
        let made = self.journal.with(move |journal, readers| {
            let mut place = inner.file.lock().unwrap_or_else(PoisonError::into_inner);
            *place = None;
            inner.pool.forget();
            let removed = file::remove(inner.pool.path()).map_err(FileError::from);
            Ok(removed.and_then(|()| inner.opened(&mut place, journal, readers).map(|_| ())))
        });
        made.await?.map_err(ProjectionError::from)?;
        self.with_file(|_, _| Ok(())).await
    }

    /// Folds what is committed and not folded yet.
    async fn advance(self: &Arc<Self>) -> Result<(), ProjectionError> {
        let mut anew = false;
        loop {
            let head = self.feed.head();
            let inner = Arc::clone(self);
            let batch = self.with_file(move |file, journal| match file.advance(journal, &inner.journal) {
                Err(error) if error.is_damage() => Ok(None),
                other => other.map(Some),
            });
            match batch.await? {
                Some(reached) if reached >= head => return Ok(()),
                Some(_) => {}
                None if anew => {
                    return Err(ProjectionError::Failed { reason: "the file is damaged again and again".into() });
                }
                None => {
                    anew = true;
                    self.start_anew().await?;
                }
            }
        }
    }
}

/// Follows the journal until it is closed or nobody wants the projections any more.
async fn follow(inner: Arc<Inner>, stop: CancellationToken) {
    let mut heads = inner.feed.heads();
    let closed = inner.feed.closed().clone();
    loop {
        heads.mark_unchanged();
        let ending = stop.is_cancelled() || closed.is_cancelled();
        let advanced = tokio::select! {
            biased;
            () = stop.cancelled(), if !ending => continue,
            advanced = inner.advance() => advanced,
        };
        let failed = advanced.err();
        if let Some(error) = &failed {
            tracing::warn!(%error, "the projections are behind");
        }
        let pause = if failed.is_some() { RETRY } else { LAG };
        inner.progress.send_modify(|progress| {
            progress.failures += u64::from(failed.is_some());
            progress.failed = failed;
            progress.ended = ending;
        });
        if ending {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => continue,
            () = closed.cancelled() => continue,
            () = inner.wanted.notified() => continue,
            _ = heads.changed() => {}
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = closed.cancelled() => {}
            () = inner.wanted.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
