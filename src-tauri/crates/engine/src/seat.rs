//! A process's seat at a store: owner or guest, and the change from one to the other.
//!
//! A door never sees the difference. When the owner goes away, the guests try the lock; one becomes the owner and
//! recovers, the others become its guests. Followers go on from their last number, with nothing lost or doubled.

use atelier_journal::{Guest, Journal, OpHandler, Opened, Owned, StoreConfig, open};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Frame, Op, Reply};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Frames that wait for a follower; the store is re-read where it is slower.
const FRAMES: usize = 256;
/// How long to wait before trying again to get a seat.
const RETRY: Duration = Duration::from_millis(200);

/// Makes the handler of a process that has become the owner. `taken_over` is false for the first seat of a door and
/// true where another owner went away while this door was following.
pub(crate) type MakeOwner =
    Box<dyn Fn(Journal, bool) -> BoxFuture<'static, Result<Arc<dyn OpHandler>, Problem>> + Send + Sync>;

/// A process's seat at a store.
#[derive(Clone)]
pub(crate) struct Seat {
    side: watch::Receiver<Side>,
    closing: CancellationToken,
    closed: watch::Receiver<bool>,
}

#[derive(Clone)]
enum Side {
    Owner {
        journal: Journal,
        handler: Arc<dyn OpHandler>,
    },
    Guest(Guest),
    /// The owner went away and no new one is there yet.
    Between,
    Closed,
}

/// Frames of a store, through every change of owner. Ends when the seat is closed.
pub type FrameStream = mpsc::Receiver<Frame>;

impl Seat {
    /// Takes a seat: owner where nobody is, else guest.
    pub(crate) async fn take(config: StoreConfig, make: MakeOwner) -> Result<Seat, Problem> {
        let (first, owned) = sit(&config, &make, false).await?;
        let (sides, side) = watch::channel(first);
        let (done, closed) = watch::channel(false);
        let closing = CancellationToken::new();
        tokio::spawn(keep(config, make, sides, owned, closing.clone(), done));
        Ok(Seat { side, closing, closed })
    }

    /// Whether this process owns the store now.
    pub(crate) fn owns(&self) -> bool {
        matches!(*self.side.borrow(), Side::Owner { .. })
    }

    /// Has an op performed by the owner, whoever that is. What only asks is asked again of a new owner.
    pub(crate) async fn submit(&self, op: Op) -> Result<Reply, Problem> {
        let mut side = self.side.clone();
        loop {
            let now = side.borrow_and_update().clone();
            let answer = match now {
                Side::Owner { handler, .. } => return handler.handle(op).await,
                Side::Guest(guest) => guest.submit(op.clone()).await,
                Side::Between => Err(owner_lost()),
                Side::Closed => return Err(closed()),
            };
            match answer {
                Err(problem) if problem.code == Code::OwnerLost => {
                    let unsent = matches!(*side.borrow(), Side::Between);
                    if !(op.only_asks() || unsent) {
                        return Err(problem);
                    }
                    let waited = tokio::time::timeout(Duration::from_secs(10), side.changed()).await;
                    if !matches!(waited, Ok(Ok(()))) {
                        return Err(problem);
                    }
                }
                answer => return answer,
            }
        }
    }

    /// The stored tail after `after`, then what happens.
    pub(crate) fn follow(&self, after: Seq) -> FrameStream {
        let (frames, stream) = mpsc::channel(FRAMES);
        tokio::spawn(pump(self.side.clone(), after, frames));
        stream
    }

    /// Leaves the store; work of this process on it ends as it is, the lock goes last.
    pub(crate) async fn leave(&self) {
        self.closing.cancel();
        let mut closed = self.closed.clone();
        let _ = closed.wait_for(|done| *done).await;
    }
}

async fn sit(config: &StoreConfig, make: &MakeOwner, taken_over: bool) -> Result<(Side, Option<Owned>), Problem> {
    match open(config.clone()).await? {
        Opened::Guest(guest) => Ok((Side::Guest(guest), None)),
        Opened::Owner(mut owned) => {
            // Guests are answered from the first moment; what they ask waits until recovery is done.
            let (ready, made) = watch::channel(None);
            owned.serve(Arc::new(Recovering { made }))?;
            let handler = make(owned.journal.clone(), taken_over).await?;
            ready.send_replace(Some(handler.clone()));
            Ok((Side::Owner { journal: owned.journal.clone(), handler }, Some(owned)))
        }
    }
}

/// Answers guests by the handler that is being made.
struct Recovering {
    made: watch::Receiver<Option<Arc<dyn OpHandler>>>,
}

impl OpHandler for Recovering {
    fn handle(&self, op: Op) -> BoxFuture<'_, Result<Reply, Problem>> {
        let mut made = self.made.clone();
        Box::pin(async move {
            let handler = match made.wait_for(Option::is_some).await {
                Ok(handler) => handler.clone(),
                Err(_) => None, // recovery failed, and this process lets the store go
            };
            match handler {
                Some(handler) => handler.handle(op).await,
                None => Err(owner_lost()),
            }
        })
    }
}

/// Keeps the seat until it is left: notices a lost owner and sits down again.
async fn keep(
    config: StoreConfig,
    make: MakeOwner,
    sides: watch::Sender<Side>,
    mut owned: Option<Owned>,
    closing: CancellationToken,
    done: watch::Sender<bool>,
) {
    loop {
        let guest = match &*sides.borrow() {
            Side::Guest(guest) => Some(guest.clone()),
            _ => None,
        };
        match guest {
            None => closing.cancelled().await,
            Some(guest) => tokio::select! {
                () = guest.closed() => {}
                () = closing.cancelled() => {}
            },
        }
        if closing.is_cancelled() {
            break;
        }
        sides.send_replace(Side::Between);
        loop {
            match sit(&config, &make, true).await {
                Ok((side, now_owned)) => {
                    owned = now_owned;
                    sides.send_replace(side);
                    break;
                }
                Err(problem) => tracing::warn!(store = %config.store, %problem, "no seat at the store yet"),
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = closing.cancelled() => break,
            }
        }
        if closing.is_cancelled() {
            break;
        }
    }
    sides.send_replace(Side::Closed); // drops the handler and with it the tasks of runs
    if let Some(owned) = owned {
        owned.close().await;
    }
    done.send_replace(true);
}

/// Hands frames to one follower, from one owner to the next.
async fn pump(mut side: watch::Receiver<Side>, mut after: Seq, frames: mpsc::Sender<Frame>) {
    loop {
        let now = side.borrow_and_update().clone();
        let (epoch, mine, mut stream) = match now {
            Side::Owner { journal, .. } => (journal.epoch(), true, journal.subscribe(after)),
            Side::Guest(guest) => (guest.epoch(), false, guest.subscribe(after)),
            Side::Between => {
                if side.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Side::Closed => return,
        };
        if frames.send(Frame::Owner { epoch, mine }).await.is_err() {
            return;
        }
        loop {
            tokio::select! {
                frame = stream.next() => match frame {
                    Some(Frame::Lost(problem)) if problem.code != Code::OwnerLost => {
                        let _ = frames.send(Frame::Lost(problem)).await;
                        return;
                    }
                    Some(Frame::Lost(_)) | None => break,
                    Some(frame) => {
                        if let Frame::Event(event) = &frame {
                            after = event.seq;
                        }
                        if frames.send(frame).await.is_err() {
                            return;
                        }
                    }
                },
                changed = side.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    break;
                }
                () = frames.closed() => return,
            }
        }
        // The stream ended before the seat noticed: wait for the change rather than ask a dead owner again.
        if matches!(&*side.borrow(), Side::Guest(_)) && !side.has_changed().unwrap_or(true) {
            let _ = tokio::time::timeout(RETRY, side.changed()).await;
        }
    }
}

fn owner_lost() -> Problem {
    Problem::new(Code::OwnerLost, "The process that owns the project went away.", "Try again in a moment.")
}

fn closed() -> Problem {
    Problem::new(Code::OwnerLost, "The project is closed.", "Open it again.")
}
