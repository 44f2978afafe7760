//! What happens live: committed events and drafts, told to whoever is subscribed now.
//!
//! The feed remembers nothing. Who falls behind loses its place in it and reads the store instead, so an event can be
//! late but never missing; a draft is lost. Events above [`INLINE`] bytes are only announced by number, so that a
//! slow subscriber cannot make the feed hold much memory.

use atelier_protocol::error::Problem;
use atelier_protocol::op::Draft;
use atelier_protocol::{Envelope, Seq};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

/// Messages a subscriber may be behind.
const BEHIND: usize = 512;

/// Payload bytes of a group above which only its last number is told.
pub(crate) const INLINE: usize = 16 * 1024;

/// One message of the feed.
#[derive(Clone)]
pub(crate) enum Live {
    /// Events were committed.
    Events(Arc<[Envelope]>),
    /// Events up to this one were committed; the store has them.
    UpTo(Seq),
    /// Nothing more will come of what was begun: the history cannot be written.
    Failed(Problem),
    /// Text that was published when `after` was the last event.
    Draft { after: Seq, draft: Draft },
}

/// The live end of a journal.
pub(crate) struct Feed {
    head: Mutex<Seq>,
    heads: watch::Sender<Seq>,
    listeners: broadcast::Sender<Live>,
    closed: CancellationToken,
}

impl Feed {
    pub fn new(head: Seq) -> Self {
        Self {
            head: Mutex::new(head),
            heads: watch::Sender::new(head),
            listeners: broadcast::Sender::new(BEHIND),
            closed: CancellationToken::new(),
        }
    }

    pub fn head(&self) -> Seq {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that there is more, to those who read the store themselves.
    pub fn heads(&self) -> watch::Receiver<Seq> {
        self.heads.subscribe()
    }

    /// Listens from now on; the number is that of the last event that will not be told.
    pub fn listen(&self) -> (broadcast::Receiver<Live>, Seq) {
        let head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        (self.listeners.subscribe(), *head)
    }

    /// Tells of committed events, `bytes` of payload in all. Copies them only where somebody listens.
    pub fn committed(&self, events: &[Envelope], bytes: usize) {
        let Some(last) = events.last().map(|event| event.seq) else { return };
        let inline = bytes <= INLINE && self.listeners.receiver_count() > 0;
        let live = if inline { Live::Events(events.into()) } else { Live::UpTo(last) };
        // Held while sending, so that head, events and drafts are in one order for everybody.
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        *head = last;
        self.heads.send_replace(last);
        // Nobody listening is no error.
        let _ = self.listeners.send(live);
    }

    pub fn failed(&self, problem: &Problem) {
        let _head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.listeners.send(Live::Failed(problem.clone()));
    }

    pub fn draft(&self, draft: Draft) {
        let head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.listeners.send(Live::Draft { after: *head, draft });
    }

    /// Cancelled when the store is closed.
    pub fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}
