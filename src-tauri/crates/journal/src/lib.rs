//! Event history, projections and blobs in SQLite; one owner per store.

mod error;

pub use error::{AppendError, BlobError, OpenError, ReadError};

use atelier_protocol::event::NewEvent;
use atelier_protocol::op::{Draft, Frame};
use atelier_protocol::ports::Clock;
use atelier_protocol::{Envelope, Hash, Op, Problem, Reply, RunId, Seq, StoreId};
use futures_core::future::BoxFuture;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Which store to open, and how.
#[derive(Clone)]
pub struct StoreConfig {
    /// Folder of the store: its database and blobs. Made where missing.
    pub dir: PathBuf,
    /// Folder of locks and sockets, private to the user. Made where missing.
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

/// Opens a store: as its owner where nobody else is, otherwise as a guest of the owner.
pub async fn open(_config: StoreConfig) -> Result<Opened, OpenError> {
    Err(OpenError::Socket { store: String::new(), reason: "not yet".into() })
}

/// The owner's side of a store. Dropping it lets the store go.
pub struct Owned {
    /// The history.
    pub journal: Journal,
}

impl Owned {
    /// Starts answering guests on the store's socket. Call soon after `open`: guests wait about two seconds.
    pub fn serve(&mut self, _handler: Arc<dyn OpHandler>) -> Result<(), OpenError> {
        Ok(())
    }
    /// Stops answering guests, commits what is queued, closes the store, and lets the lock go last.
    pub async fn close(self) {}
}

/// Performs the ops of guests.
pub trait OpHandler: Send + Sync + 'static {
    /// Performs one op.
    fn handle(&self, op: Op) -> BoxFuture<'_, Result<Reply, Problem>>;
}

/// What an append brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// Number of the first event.
    pub first: Seq,
    /// Number of the last event.
    pub last: Seq,
    /// The events as recorded, in order.
    pub events: Vec<Envelope>,
}

/// What a walk over the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// Every event is as it was written.
    Sound {
        /// How many events.
        events: u64,
        /// Hash of the last envelope.
        head: Hash,
    },
    /// An event is not as it was written, or is missing.
    Broken {
        /// The first such event.
        seq: Seq,
        /// What was found.
        reason: String,
    },
}

/// The history of a store, in the process that owns it.
#[derive(Clone)]
pub struct Journal {}

impl Journal {
    /// The epoch of this owner.
    pub fn epoch(&self) -> u32 {
        0
    }
    /// Appends events, all or none. Returns after commit.
    pub async fn append(&self, _events: Vec<NewEvent>) -> Result<Receipt, AppendError> {
        Err(AppendError::Closed)
    }
    /// The same, but only where `run` has exactly `version` events so far.
    pub async fn append_expecting(
        &self,
        _run: &RunId,
        _version: u64,
        _events: Vec<NewEvent>,
    ) -> Result<Receipt, AppendError> {
        Err(AppendError::Closed)
    }
    /// Events after `after`, of one run or of all, at most `limit`, in order.
    pub async fn read(&self, _run: Option<&RunId>, _after: Seq, _limit: usize) -> Result<Vec<Envelope>, ReadError> {
        Ok(Vec::new())
    }
    /// The runs, in order of their first event.
    pub async fn runs(&self) -> Result<Vec<RunId>, ReadError> {
        Ok(Vec::new())
    }
    /// How many events a run has.
    pub async fn version(&self, _run: &RunId) -> Result<u64, ReadError> {
        Ok(0)
    }
    /// Number of the last committed event.
    pub fn last_seq(&self) -> Seq {
        Seq::ZERO
    }
    /// The stored tail after `after`, then `CaughtUp`, then what happens, each event exactly once and in order.
    pub fn subscribe(&self, _after: Seq) -> Subscription {
        Subscription {}
    }
    /// Shows streamed text to whoever is subscribed now. Never stored; laggards may miss it.
    pub fn publish_draft(&self, _draft: Draft) {}
    /// Keeps bytes under their hash.
    pub async fn put_blob(&self, bytes: Vec<u8>) -> Result<Hash, BlobError> {
        Ok(Hash::of(&bytes))
    }
    /// The bytes of a hash; `None` where there are none.
    pub async fn blob(&self, _hash: &Hash) -> Result<Option<Vec<u8>>, BlobError> {
        Ok(None)
    }
    /// Walks the chain from the first event to the last.
    pub async fn verify(&self) -> Result<Chain, ReadError> {
        Ok(Chain::Sound { events: 0, head: Hash::of(b"") })
    }
}

/// Frames of a store, as a stream or by [`Subscription::next`].
pub struct Subscription {}

impl Subscription {
    /// The next frame; `None` after the end.
    pub async fn next(&mut self) -> Option<Frame> {
        None
    }
}

impl futures_core::Stream for Subscription {
    type Item = Frame;
    fn poll_next(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Option<Frame>> {
        Poll::Ready(None)
    }
}

/// A process that asks the owner of a store.
#[derive(Clone)]
pub struct Guest {}

impl Guest {
    /// The epoch of the owner.
    pub fn epoch(&self) -> u32 {
        0
    }
    /// Asks the owner. `Code::OwnerLost` where it goes away before it answers.
    pub async fn submit(&self, _op: Op) -> Result<Reply, Problem> {
        Ok(Reply::Done)
    }
    /// Frames of the store, as [`Journal::subscribe`] gives them; ends with `Frame::Lost` when the owner goes away.
    pub fn subscribe(&self, _after: Seq) -> Subscription {
        Subscription {}
    }
    /// Resolves when the owner has gone away. Open again then.
    pub async fn closed(&self) {}
}
