//! The guest's side of a store: asks the owner over its socket and notices when it goes away.
//!
//! One connection carries the ops and their answers; each subscription has a connection of its own, so a reader that
//! is slow holds up nothing else. Nothing is tried again here: what was in flight when the owner went may have been
//! done, and only the caller knows whether it may be asked twice.

use crate::owner::Places;
use crate::subscribe::Subscription;
use crate::wire::{self, BadLine, FromGuest, FromOwner, GUEST_LINE, Hello, OWNER_LINE};
use atelier_protocol::op::Frame;
use atelier_protocol::{Code, Op, Problem, Reply, Seq};
use interprocess::local_socket::tokio::Stream;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{BufReader, ReadHalf, WriteHalf};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How long an owner that accepted a connection may take to say hello.
const HELLO: Duration = Duration::from_secs(2);
/// Ops on their way to the owner; more wait.
const OUTGOING: usize = 64;

/// A process that asks the owner of a store. A clone is the same guest.
#[derive(Clone)]
pub struct Guest {
    inner: Arc<Inner>,
}

struct Inner {
    places: Places,
    hello: Hello,
    next_id: AtomicU64,
    outgoing: mpsc::Sender<Vec<u8>>,
    shared: Arc<Shared>,
    runtime: Handle,
}

/// What the guest and its reading task share.
#[derive(Default)]
struct Shared {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<Reply, Problem>>>>,
    gone: CancellationToken,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.gone.cancel();
    }
}

/// Why no connection came about.
pub(crate) enum NotConnected {
    /// Nobody answers there now; it may be worth another try.
    Unanswered(String),
    /// The owner speaks another version.
    Version(u32),
}

impl Guest {
    pub(crate) async fn connect(places: &Places) -> Result<Self, NotConnected> {
        let (hello, mut reading, mut writing) = greet(places).await?;
        let (outgoing, mut lines) = mpsc::channel::<Vec<u8>>(OUTGOING);
        let shared = Arc::new(Shared::default());
        let (receiver, sender) = (Arc::clone(&shared), shared.gone.clone());
        tokio::spawn(async move {
            let talk = async {
                while let Some(line) = lines.recv().await {
                    wire::write_line(&mut writing, &line).await?;
                }
                Ok::<_, io::Error>(())
            };
            tokio::select! {
                _ = talk => {}
                () = sender.cancelled() => {}
            }
            sender.cancel();
        });
        tokio::spawn(async move {
            tokio::select! {
                () = receiver.receive(&mut reading) => {}
                () = receiver.gone.cancelled() => {}
            }
            receiver.end();
        });
        let (places, runtime) = (places.clone(), Handle::current());
        Ok(Self { inner: Arc::new(Inner { places, hello, next_id: AtomicU64::new(1), outgoing, shared, runtime }) })
    }

    /// The epoch of the owner.
    pub fn epoch(&self) -> u32 {
        self.inner.hello.epoch
    }

    /// Asks the owner. `Code::OwnerLost` where it goes away before it answers: the op may have been performed or not.
    pub async fn submit(&self, op: Op) -> Result<Reply, Problem> {
        let id = self.inner.next_id.fetch_add(1, Ordering::Relaxed);
        let line = FromGuest::Op { id, op: Box::new(op) }
            .into_line()
            .map_err(|error| Problem::new(Code::Internal, format!("The request cannot be written: {error}."), ""))?;
        if line.len() > GUEST_LINE {
            let message = format!("The request has {} bytes; the owner takes {GUEST_LINE}.", line.len());
            return Err(Problem::new(Code::BadArgument, message, "Ask with a shorter text."));
        }
        let (answer, answered) = oneshot::channel();
        let shared = &self.inner.shared;
        shared.waiting().insert(id, answer);
        // Only now: whoever ends the connection marks it gone first and then sends everyone away who waits.
        if shared.gone.is_cancelled() || self.inner.outgoing.send(line).await.is_err() {
            shared.waiting().remove(&id);
            return Err(self.lost());
        }
        answered.await.unwrap_or_else(|_| Err(self.lost()))
    }

    /// Frames of the store as the owner's journal gives them, over a connection of their own. Ends with
    /// `Frame::Lost` when the owner goes away.
    pub fn subscribe(&self, after: Seq) -> Subscription {
        let (frames, subscription) = Subscription::channel();
        let guest = (self.inner.places.clone(), self.inner.hello.clone());
        self.inner.runtime.spawn(async move {
            let (places, hello) = guest;
            tokio::select! {
                () = frames.closed() => {}
                () = relay(&places, &hello, after, &frames) => {
                    let _ = frames.send(Frame::Lost(lost(&hello))).await;
                }
            }
        });
        subscription
    }

    /// Resolves when the owner has gone away. Open the store again then.
    pub async fn closed(&self) {
        self.inner.shared.gone.cancelled().await;
    }

    fn lost(&self) -> Problem {
        lost(&self.inner.hello)
    }
}

fn lost(hello: &Hello) -> Problem {
    let message = format!(
        "The process that owns the store `{}` ({}, process {}) went away before it answered.",
        hello.store, hello.door, hello.pid
    );
    Problem::new(Code::OwnerLost, message, "Try again: another process takes over in a moment.")
}

impl Shared {
    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Result<Reply, Problem>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out answers until the connection ends or makes no sense.
    async fn receive(&self, reading: &mut BufReader<ReadHalf<Stream>>) {
        let mut line = Vec::new();
        while let Ok(true) = wire::read_line(reading, &mut line, OWNER_LINE).await {
            let Ok(FromOwner::Answer { id, result }) = FromOwner::parse(&line) else { return };
            // Nobody waits for it any more where the asker was dropped.
            if let Some(answer) = self.waiting().remove(&id) {
                let _ = answer.send(result);
            }
        }
    }

    fn end(&self) {
        self.gone.cancel();
        self.waiting().clear();
    }
}

type Greeted = (Hello, BufReader<ReadHalf<Stream>>, WriteHalf<Stream>);

/// Connects and reads the owner's hello.
async fn greet(places: &Places) -> Result<Greeted, NotConnected> {
    let unanswered = |error: io::Error| NotConnected::Unanswered(error.to_string());
    let stream = wire::connect(places).await.map_err(unanswered)?;
    let (reading, writing) = tokio::io::split(stream);
    let mut reading = BufReader::new(reading);
    let mut line = Vec::new();
    let read = tokio::time::timeout(HELLO, wire::read_line(&mut reading, &mut line, OWNER_LINE));
    match read.await {
        Err(_) => return Err(NotConnected::Unanswered("it does not say hello".into())),
        Ok(read) => {
            if !read.map_err(unanswered)? {
                return Err(NotConnected::Unanswered("it closed the connection".into()));
            }
        }
    }
    match FromOwner::parse(&line) {
        Ok(FromOwner::Hello(hello)) if hello.store == places.store.as_str() => Ok((hello, reading, writing)),
        Ok(FromOwner::Hello(hello)) => {
            Err(NotConnected::Unanswered(format!("its socket is that of the store `{}`", hello.store)))
        }
        Ok(_) | Err(BadLine::Garbage) => Err(NotConnected::Unanswered("it does not say hello".into())),
        Err(BadLine::Version(found)) => Err(NotConnected::Version(found)),
    }
}

/// Relays the frames of a subscription until the owner is gone or nobody reads them.
async fn relay(places: &Places, owner: &Hello, after: Seq, frames: &mpsc::Sender<Frame>) {
    let Ok((hello, mut reading, mut writing)) = greet(places).await else { return };
    if hello.epoch != owner.epoch {
        // A new owner: what this guest knows of the old one is over.
        return;
    }
    let Ok(line) = FromGuest::Subscribe { after }.into_line() else { return };
    if wire::write_line(&mut writing, &line).await.is_err() {
        return;
    }
    let mut line = Vec::new();
    while let Ok(true) = wire::read_line(&mut reading, &mut line, OWNER_LINE).await {
        let Ok(FromOwner::Frame(frame)) = FromOwner::parse(&line) else { return };
        if frames.send(frame).await.is_err() {
            return;
        }
    }
}
