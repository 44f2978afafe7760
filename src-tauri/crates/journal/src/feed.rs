//! What happens live: committed events and drafts, told to whoever is subscribed now.
//!
//! An event of class full is told once the disk has it, and whatever was committed after it is told after it: nobody
//! acts on an event that a power loss can take back, and everybody hears of events in their order. Readers of the store
//! itself, such as projections, are told of a commit at once.
//!
//! The feed remembers nothing. Who falls behind loses its place in it and reads the store instead, so an event can be
//! late but never missing; a draft is lost. Events above [`INLINE`] bytes are only announced by number, so that a
//! slow subscriber cannot make the feed hold much memory.

use atelier_protocol::error::Problem;
use atelier_protocol::op::Draft;
use atelier_protocol::{Envelope, Seq};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

/// Messages a subscriber may be behind.
const BEHIND: usize = 512;

/// Payload bytes of a group above which only its last number is told.
pub(crate) const INLINE: usize = 16 * 1024;

/// One message of the feed.
#[derive(Clone)]
pub(crate) enum Live {
    /// Events, in their order.
    Events(Arc<[Envelope]>),
    /// There are events up to this one; the store has them.
    UpTo(Seq),
    /// Nothing more will come of what was begun: the history cannot be written.
    Failed(Problem),
    /// Text that was published when `after` was the last event told.
    Draft { after: Seq, draft: Draft },
}

/// An append that is committed and to be told.
pub(crate) struct News {
    last: Seq,
    live: Live,
}

/// The live end of a journal.
pub(crate) struct Feed {
    /// The last event that is committed.
    head: watch::Sender<Seq>,
    /// The last event that was told.
    told: Mutex<Seq>,
    listeners: broadcast::Sender<Live>,
    closed: CancellationToken,
}

impl Feed {
    pub fn new(head: Seq) -> Self {
        Self {
            head: watch::Sender::new(head),
            told: Mutex::new(head),
            listeners: broadcast::Sender::new(BEHIND),
            closed: CancellationToken::new(),
        }
    }

    /// The last event that is committed.
    pub fn head(&self) -> Seq {
        *self.head.borrow()
    }

    /// The last event that was told.
    pub fn told(&self) -> Seq {
        *self.lock()
    }

    /// Tells that there is more, to those who read the store themselves.
    pub fn heads(&self) -> watch::Receiver<Seq> {
        self.head.subscribe()
    }

    /// Listens from now on; the number is that of the last event that will not be told.
    pub fn listen(&self) -> (broadcast::Receiver<Live>, Seq) {
        let told = self.lock();
        (self.listeners.subscribe(), *told)
    }

    /// Takes note of committed events, `bytes` of payload in all, and gives what is to be told of them. Copies them
    /// only where somebody listens.
    pub fn committed(&self, events: &[Envelope], bytes: usize) -> Option<News> {
        let last = events.last()?.seq;
        let inline = bytes <= INLINE && self.listeners.receiver_count() > 0;
        self.head.send_replace(last);
        Some(News { last, live: if inline { Live::Events(events.into()) } else { Live::UpTo(last) } })
    }

    /// Tells whoever is subscribed now.
    pub fn tell(&self, news: News) {
        // Held while sending, so that the last number, events and drafts are in one order for everybody.
        let mut told = self.lock();
        *told = news.last;
        // Nobody listening is no error.
        let _ = self.listeners.send(news.live);
    }

    pub fn failed(&self, problem: &Problem) {
        let _told = self.lock();
        let _ = self.listeners.send(Live::Failed(problem.clone()));
    }

    pub fn draft(&self, draft: Draft) {
        let told = self.lock();
        let _ = self.listeners.send(Live::Draft { after: *told, draft });
    }

    fn lock(&self) -> MutexGuard<'_, Seq> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancelled when the store is closed.
    pub fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}
