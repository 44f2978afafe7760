//! A subscription: the stored tail, then the mark that it is over, then what happens, without a gap or a repeat.
//!
//! Each subscription is a task that reads the store page by page and then listens to the feed. It sends into a short
//! queue and waits while that is full: an event is never dropped for a slow reader. When the feed has moved on
//! meanwhile, the task reads the store again from the last event it sent. A draft is dropped when the queue is full
//! and when an event that came after it was sent already.

use crate::error::ReadError;
use crate::feed::{Feed, Live};
use crate::reader::Readers;
use atelier_protocol::error::Problem;
use atelier_protocol::op::Frame;
use atelier_protocol::{Envelope, Seq};
use futures_core::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::mpsc;

/// Frames that wait for a slow reader.
const QUEUE: usize = 64;
const PAGE_EVENTS: usize = 256;
const PAGE_BYTES: usize = 1024 * 1024;

/// Frames of a store, as a stream or one by one. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    frames: mpsc::Receiver<Frame>,
}

impl Subscription {
    pub(crate) fn channel() -> (mpsc::Sender<Frame>, Self) {
        let (sender, frames) = mpsc::channel(QUEUE);
        (sender, Self { frames })
    }

    /// The next frame; `None` after the store was closed or a `Frame::Lost`. A call may be dropped without loss.
    pub async fn next(&mut self) -> Option<Frame> {
        self.frames.recv().await
    }
}

impl Stream for Subscription {
    type Item = Frame;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Frame>> {
        self.frames.poll_recv(context)
    }
}

/// Why a subscription's task stops.
enum Stop {
    /// Nobody reads it any more.
    Dropped,
    /// The store cannot be read.
    Unreadable(ReadError),
    /// The store cannot be written, so that what is waited for may never come.
    Unwritable(Problem),
}

/// Feeds one subscription until its reader or the store is gone.
pub(crate) async fn follow(readers: Arc<Readers>, feed: Arc<Feed>, after: Seq, frames: mpsc::Sender<Frame>) {
    let mut follower = Follower { readers, feed, last: after, frames };
    let problem = match follower.run().await {
        Err(Stop::Unreadable(error)) => error.into(),
        Err(Stop::Unwritable(problem)) => problem,
        Err(Stop::Dropped) | Ok(()) => return,
    };
    let _ = follower.frames.send(Frame::Lost(problem)).await;
}

struct Follower {
    readers: Arc<Readers>,
    feed: Arc<Feed>,
    /// The last event that was sent.
    last: Seq,
    frames: mpsc::Sender<Frame>,
}

impl Follower {
    async fn run(&mut self) -> Result<(), Stop> {
        let (mut live, head) = self.feed.listen();
        self.catch_up(head).await?;
        self.send(Frame::CaughtUp(self.last.max(head))).await?;
        loop {
            let told = tokio::select! {
                biased;
                () = self.frames.closed() => return Ok(()),
                told = live.recv() => told,
                () = self.feed.closed().cancelled() => match live.try_recv() {
                    Ok(told) => Ok(told),
                    Err(TryRecvError::Lagged(missed)) => Err(RecvError::Lagged(missed)),
                    Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(()),
                },
            };
            match told {
                Ok(Live::Events(events)) => self.forward(&events).await?,
                Ok(Live::UpTo(seq)) => self.catch_up(seq).await?,
                Ok(Live::Draft { after, draft }) if after >= self.last => {
                    let _ = self.frames.try_send(Frame::Draft(draft));
                }
                Ok(Live::Draft { .. }) => {}
                Ok(Live::Failed(problem)) => return Err(Stop::Unwritable(problem)),
                Err(RecvError::Lagged(_)) => self.catch_up(self.feed.told()).await?,
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }

    async fn forward(&mut self, events: &[Envelope]) -> Result<(), Stop> {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
        if first.seq > self.last.next() {
            return self.catch_up(last.seq).await;
        }
        let sent = self.last;
        for event in events.iter().filter(|event| event.seq > sent) {
            self.last = event.seq;
            self.send(Frame::Event(Box::new(event.clone()))).await?;
        }
        Ok(())
    }

    /// Sends the stored events up to `upto`.
    async fn catch_up(&mut self, upto: Seq) -> Result<(), Stop> {
        while self.last < upto {
            let page = self.readers.envelopes(None, self.last, upto, PAGE_EVENTS, PAGE_BYTES);
            let page = page.await.map_err(Stop::Unreadable)?;
            if page.is_empty() {
                let reason = format!("event {} is missing", self.last.next());
                return Err(Stop::Unreadable(ReadError::Damaged { seq: self.last.next(), reason }));
            }
            for event in page {
                self.last = event.seq;
                self.send(Frame::Event(Box::new(event))).await?;
            }
        }
        Ok(())
    }

    async fn send(&self, frame: Frame) -> Result<(), Stop> {
        self.frames.send(frame).await.map_err(|_| Stop::Dropped)
    }
}
