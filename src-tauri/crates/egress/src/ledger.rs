//! The record of what left, or was stopped at the door: where it is kept, and the count of one exchange.
//!
//! A request to another machine is kept before it is sent, or it is not sent. One that stays on this machine is kept when
//! it has ended. Room for the end is taken before the beginning, so that no end is lost to a full queue.

use atelier_protocol::event::{EgressEnd, EgressEntry, EgressNote};
use futures_util::future::BoxFuture;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where lines of the ledger are kept.
pub trait Ledger: Send + Sync + 'static {
    /// Keeps a line; resolves when it is kept.
    fn keep(&self, note: EgressNote) -> BoxFuture<'_, Result<(), String>>;
    /// Waits for room for lines that come later.
    fn room(&self) -> BoxFuture<'_, Room>;
    /// Resolves when everything that was given so far is kept, or cannot be. One that keeps lines at once never waits.
    fn settled(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Room for lines that come later. Giving them does not wait.
pub type Room = Box<dyn FnOnce(Vec<EgressNote>) + Send>;

/// A ledger that keeps nothing, so that nothing leaves: for tests and tools that speak to a server of their own on this
/// machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forgetful;

impl Ledger for Forgetful {
    fn keep(&self, note: EgressNote) -> BoxFuture<'_, Result<(), String>> {
        let refused = matches!(&note, EgressNote::Begun { entry } if entry.refused.is_some());
        Box::pin(std::future::ready(if refused { Ok(()) } else { Err("this door keeps no ledger".to_owned()) }))
    }
    fn room(&self) -> BoxFuture<'_, Room> {
        Box::pin(std::future::ready(Box::new(|_| {}) as Room))
    }
}

/// Makes ids that no other process makes.
#[derive(Debug)]
pub(crate) struct Ids {
    start: String,
    next: AtomicU64,
}

impl Ids {
    pub(crate) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: format!("{:x}-{:x}", since.as_micros(), std::process::id()), next: AtomicU64::new(1) }
    }
    pub(crate) fn next(&self) -> String {
        format!("{}-{}", self.start, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// One exchange that was let through. Its end is kept when this is dropped, however that comes.
pub(crate) struct Tally {
    /// The beginning, where it is still to be kept.
    begun: Option<EgressEntry>,
    end: EgressEnd,
    from: Instant,
    room: Option<Room>,
}

impl Tally {
    /// Records the beginning of an exchange, before anything is opened.
    pub(crate) async fn begin(ledger: &dyn Ledger, entry: EgressEntry) -> Result<Tally, String> {
        let room = ledger.room().await;
        let end = EgressEnd { id: entry.id.clone(), status: None, bytes_in: 0, more_out: 0, ms: 0 };
        let begun = if entry.local {
            Some(entry)
        } else {
            ledger.keep(EgressNote::Begun { entry }).await?;
            None
        };
        Ok(Tally { begun, end, from: Instant::now(), room: Some(room) })
    }
    pub(crate) fn status(&mut self, status: u16) {
        self.end.status = Some(status);
    }
    /// Counts what a tunnel carried out.
    pub(crate) fn went(&mut self, bytes: usize) {
        self.end.more_out += bytes as u64;
    }
    pub(crate) fn arrived(&mut self, bytes: usize) {
        self.end.bytes_in += bytes as u64;
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let Some(room) = self.room.take() else { return };
        self.end.ms = u64::try_from(self.from.elapsed().as_millis()).unwrap_or(u64::MAX);
        let begun = self.begun.take().map(|entry| EgressNote::Begun { entry });
        room(begun.into_iter().chain([EgressNote::Ended { end: self.end.clone() }]).collect());
    }
}
