//! Keeps the egress ledger in the home store, whoever owns that.
//!
//! One task writes; what waits is written in one append. The queue is bounded: a request waits for room before it is
//! sent, and room for its end is taken with it.

use crate::seat::Seat;
use atelier_egress::{Ledger, Room};
use atelier_protocol::error::Problem;
use atelier_protocol::event::EgressNote;
use atelier_protocol::op::Op;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

/// Lines that may wait, or be promised.
const WAITING: usize = 4_096;
/// Lines of one append.
const AT_ONCE: usize = 256;

/// Who wants to know when a line is kept.
type Waiter = oneshot::Sender<Result<(), String>>;

/// The egress ledger in the home store.
pub(crate) struct HomeLedger {
    lines: mpsc::Sender<(Vec<EgressNote>, Option<Waiter>)>,
}

impl HomeLedger {
    pub(crate) fn new(home: Seat) -> Self {
        let (lines, waiting) = mpsc::channel(WAITING);
        tokio::spawn(write(home, waiting));
        Self { lines }
    }

    async fn told(&self, notes: Vec<EgressNote>) -> Result<(), String> {
        let (waiter, kept) = oneshot::channel();
        let closed = || "the ledger is closed".to_owned();
        self.lines.send((notes, Some(waiter))).await.map_err(|_| closed())?;
        kept.await.map_err(|_| closed())?
    }
}

impl Ledger for HomeLedger {
    fn keep(&self, note: EgressNote) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(self.told(vec![note]))
    }

    fn room(&self) -> BoxFuture<'_, Room> {
        let lines = self.lines.clone();
        Box::pin(async move {
            match lines.reserve_owned().await {
                Ok(place) => Box::new(move |notes| drop(place.send((notes, None)))) as Room,
                Err(_) => Box::new(|_| {}) as Room, // the program is about to end, and the request fails with it
            }
        })
    }

    fn settled(&self) -> BoxFuture<'_, ()> {
        // That a line could not be kept is logged where it happens.
        Box::pin(async { drop(self.told(Vec::new()).await) })
    }
}

async fn write(home: Seat, mut waiting: mpsc::Receiver<(Vec<EgressNote>, Option<Waiter>)>) {
    while let Some((mut notes, waiter)) = waiting.recv().await {
        let mut waiters: Vec<Waiter> = waiter.into_iter().collect();
        while notes.len() < AT_ONCE
            && let Ok((more, waiter)) = waiting.try_recv()
        {
            notes.extend(more);
            waiters.extend(waiter);
        }
        let kept = if notes.is_empty() { Ok(()) } else { keep(&home, notes).await };
        if let Err(problem) = &kept {
            tracing::error!(%problem, "the egress ledger could not be written");
        }
        for waiter in waiters {
            let _ = waiter.send(kept.as_ref().map_err(ToString::to_string).copied());
        }
    }
}

async fn keep(home: &Seat, notes: Vec<EgressNote>) -> Result<(), Problem> {
    home.submit(Op::RecordEgress { notes }).await.map(|_| ())
}
