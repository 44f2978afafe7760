//! Opening a store: whoever takes the lock owns it, everyone else becomes a guest of the one who did.
//!
//! An owner that died has let go of the lock, so the next one to open takes over; there is nothing to elect.
//! The lock goes last: after the socket, the queued appends and the database.

use crate::blobs::Blobs;
use crate::door::{Door, OpHandler};
use crate::error::OpenError;
use crate::guest::{Guest, NotConnected};
use crate::journal::Journal;
use crate::owner::{Places, StoreLock};
use crate::queue::Queue;
use crate::reader::Readers;
use crate::store;
use crate::wire::{Hello, VERSION};
use crate::writer::Writer;
use atelier_protocol::StoreId;
use atelier_protocol::ports::Clock;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long an owner may take from its lock to its socket.
const PATIENCE: Duration = Duration::from_secs(2);
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Which store to open, and how.
#[derive(Clone)]
pub struct StoreConfig {
    /// Folder of the store: its database and blobs. Made where missing.
    pub dir: PathBuf,
    /// Folder of locks and sockets, the same for every process of the user. Made where missing, private to the user.
    pub run_dir: PathBuf,
    /// The store.
    pub store: StoreId,
    /// Which program opens it, such as `window` or `cli`.
    pub door: String,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

/// An opened store: this process owns it, or another does.
pub enum Opened {
    /// This process owns the store.
    Owner(Owned),
    /// Another process owns it; ask that one.
    Guest(Guest),
}

/// Opens a store, as its owner where there is none, otherwise as a guest. An owner that does not answer is waited
/// for about two seconds. Errors: see [`OpenError`]; no file of an existing store is changed by an open that fails.
pub async fn open(config: StoreConfig) -> Result<Opened, OpenError> {
    let StoreConfig { dir, run_dir, store, .. } = &config;
    let (dir, run_dir, store) = (dir.clone(), run_dir.clone(), store.clone());
    let places = blocking(move || Places::prepare(&dir, &run_dir, &store)).await?;
    let until = Instant::now() + PATIENCE;
    loop {
        let lock = places.lock.clone();
        if let Some(lock) = blocking(move || StoreLock::take(&lock)).await? {
            return own(config, places, lock).await.map(Opened::Owner);
        }
        let reason = match Guest::connect(&places).await {
            Ok(guest) => return Ok(Opened::Guest(guest)),
            Err(NotConnected::Version(found)) => {
                return Err(OpenError::OtherDoor { store: places.store.to_string(), found, wanted: VERSION });
            }
            Err(NotConnected::Unanswered(reason)) => reason,
        };
        if Instant::now() >= until {
            return Err(OpenError::Unanswered { store: places.store.to_string(), reason });
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
}

async fn own(config: StoreConfig, places: Places, lock: StoreLock) -> Result<Owned, OpenError> {
    let lock = Arc::new(lock);
    let held = Arc::clone(&lock);
    blocking(move || {
        let StoreConfig { dir, store, door, clock, .. } = config;
        let path = store::file(&dir);
        let unusable = |reason: String| OpenError::Io { path: path.clone(), reason };
        let connection = store::open(&dir, &store)?;
        let blobs = Blobs::of_store(&dir);
        blobs.sweep();
        let writer = Writer::take_over(connection, &dir, store.clone(), &door, clock, Arc::clone(&held))
            .map_err(|error| unusable(error.to_string()))?;
        let (epoch, feed) = (writer.epoch(), writer.feed());
        let queue = Queue::start(writer).map_err(|error| unusable(error.to_string()))?;
        let journal = Journal::new(epoch, queue, Readers::new(path.clone(), store, blobs), feed);
        Ok(Owned { journal, door: None, name: door, places, lock: held })
    })
    .await
}

/// Runs `work` on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    let ending = |_| OpenError::Io { path: PathBuf::new(), reason: "the program is ending".into() };
    tokio::task::spawn_blocking(work).await.map_err(ending)?
}

/// The owner's side of a store. Dropping it lets the store go as soon as what was queued is committed.
pub struct Owned {
    /// The history.
    pub journal: Journal,
    door: Option<Door>,
    name: String,
    places: Places,
    lock: Arc<StoreLock>,
}

impl Owned {
    /// Starts to answer guests on the store's socket. Call it soon after [`open`]: guests wait about two seconds.
    /// A store is served once.
    pub fn serve(&mut self, handler: Arc<dyn OpHandler>) -> Result<(), OpenError> {
        if self.door.is_some() {
            let store = self.places.store.to_string();
            return Err(OpenError::Socket { store, reason: "it is served already".into() });
        }
        let hello = Hello {
            store: self.places.store.to_string(),
            epoch: self.journal.epoch(),
            pid: std::process::id(),
            door: self.name.clone(),
        };
        let lock = Arc::clone(&self.lock);
        self.door = Some(Door::open(&self.places, hello, self.journal.clone(), handler, lock)?);
        Ok(())
    }

    /// Stops answering guests, commits what is queued, closes the database, and lets the lock go last.
    /// Ops that were taken may end for two seconds; after that their appends fail.
    pub async fn close(mut self) {
        if let Some(door) = self.door.take() {
            door.close().await;
        }
        self.journal.close().await;
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.door = None;
        self.journal.abandon();
    }
}
