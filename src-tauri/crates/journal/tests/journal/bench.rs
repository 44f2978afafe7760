//! A store in a temporary folder, and short words for the events the tests append.

use atelier_journal::{Guest, Journal, OpHandler, OpenError, Opened, Owned, StoreConfig, Subscription, open};
use atelier_protocol::event::NewEvent;
use atelier_protocol::op::{Draft, Frame, Phase};
use atelier_protocol::ports::Clock;
use atelier_protocol::{CallId, Code, Envelope, Event, Op, Problem, Reply, RunId, Seq, StepId, StoreId};
use futures_core::future::BoxFuture;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock that goes on by a millisecond whenever it is looked at.
pub struct Ticks(AtomicU64);

impl Clock for Ticks {
    fn now_ms(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A store in a temporary folder, or in one that another process made.
pub struct Bench {
    _folder: Option<tempfile::TempDir>,
    root: PathBuf,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { root: folder.path().to_owned(), _folder: Some(folder) }
    }

    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), _folder: None }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn dir(&self) -> PathBuf {
        self.root.join("data")
    }

    pub fn run_dir(&self) -> PathBuf {
        self.root.join("run")
    }

    pub async fn try_open(&self) -> Result<Opened, OpenError> {
        self.try_open_as(StoreId::home()).await
    }

    async fn try_open_as(&self, store: StoreId) -> Result<Opened, OpenError> {
        open(StoreConfig {
            dir: self.dir(),
            run_dir: self.run_dir(),
            store,
            door: "test".into(),
            clock: Arc::new(Ticks(AtomicU64::new(1_000))),
        })
        .await
    }

    pub async fn owner(&self) -> Owned {
        match self.try_open().await.unwrap() {
            Opened::Owner(owned) => owned,
            Opened::Guest(_) => panic!("somebody else owns the store"),
        }
    }

    /// The owner of a store of another name.
    pub async fn owner_of(&self, store: StoreId) -> Owned {
        match self.try_open_as(store).await.unwrap() {
            Opened::Owner(owned) => owned,
            Opened::Guest(_) => panic!("somebody else owns the store"),
        }
    }

    pub async fn guest(&self) -> Guest {
        match self.try_open().await.unwrap() {
            Opened::Guest(guest) => guest,
            Opened::Owner(_) => panic!("nobody owned the store"),
        }
    }

    /// The database, as somebody who tampers with it sees it.
    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.dir().join("journal.db")).unwrap()
    }
}

/// Appends a notice for every op it is asked, except the ones that say otherwise.
pub struct Clerk(pub Journal);

impl OpHandler for Clerk {
    fn handle(&self, op: Op) -> BoxFuture<'_, Result<Reply, Problem>> {
        Box::pin(async move {
            match op {
                // Answered never: the op that is in flight when its owner goes.
                Op::RefreshIndex => std::future::pending().await,
                Op::ListModels => panic!("a handler with a defect"),
                Op::ReadEvents { run, after, limit } => {
                    Ok(Reply::Events(self.0.read(run.as_ref(), after, limit as usize).await?))
                }
                Op::CancelRun { run } => {
                    self.0.append(vec![NewEvent { run: Some(run), ..notice("cancelled") }]).await?;
                    Ok(Reply::Done)
                }
                Op::ReadBlob { hash } => {
                    let blob = self.0.blob(&hash).await?.unwrap_or_default();
                    Ok(Reply::Blob(String::from_utf8_lossy(&blob).into_owned()))
                }
                _ => Err(Problem::new(Code::WrongState, "Not here.", "Ask for something else.")),
            }
        })
    }
}

/// An event of the store.
pub fn notice(text: &str) -> NewEvent {
    NewEvent::of_store(Event::Noticed { problem: Problem::new(Code::Io, text, "") })
}

/// An event of a run.
pub fn notice_of(run: &RunId, text: &str) -> NewEvent {
    NewEvent { run: Some(run.clone()), ..notice(text) }
}

pub fn run(number: u8) -> RunId {
    RunId::new(u64::from(number), [number; 10])
}

/// The text of a notice.
pub fn text(envelope: &Envelope) -> &str {
    match &envelope.event {
        Event::Noticed { problem } => &problem.message,
        Event::OwnerChanged { .. } => "owner",
        _ => "?",
    }
}

pub fn draft(text: &str) -> Draft {
    let call = CallId::new(1, [1; 10]);
    Draft { run: run(1), step: StepId::of("build", 1), call, phase: Phase::Answering, text: text.into() }
}

/// Frames until one satisfies `enough`, that one included. Fails after ten seconds.
pub async fn frames_until(subscription: &mut Subscription, enough: impl Fn(&Frame) -> bool) -> Vec<Frame> {
    let mut frames = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), async {
        while let Some(frame) = subscription.next().await {
            let last = enough(&frame);
            frames.push(frame);
            if last {
                return;
            }
        }
        panic!("the subscription ended after {:?}", story(&frames));
    })
    .await
    .expect("the frame does not come");
    frames
}

/// The rest of the frames, until the subscription ends.
pub async fn rest(subscription: &mut Subscription) -> Vec<Frame> {
    let mut frames = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), async {
        while let Some(frame) = subscription.next().await {
            frames.push(frame);
        }
    })
    .await
    .expect("the subscription does not end");
    frames
}

/// Whether a frame is the event with this number.
pub fn is_event(seq: Seq) -> impl Fn(&Frame) -> bool {
    move |frame| matches!(frame, Frame::Event(envelope) if envelope.seq == seq)
}

/// Numbers of the events among frames.
pub fn seqs(frames: &[Frame]) -> Vec<u64> {
    let events = frames.iter().filter_map(|frame| match frame {
        Frame::Event(envelope) => Some(envelope.seq.0),
        _ => None,
    });
    events.collect()
}

/// Frames in words.
pub fn story(frames: &[Frame]) -> Vec<String> {
    let word = |frame: &Frame| match frame {
        Frame::Event(envelope) => format!("{} {}", envelope.seq, text(envelope)),
        Frame::Draft(draft) => format!("draft {}", draft.text),
        Frame::CaughtUp(seq) => format!("caught up {seq}"),
        Frame::Owner { epoch, .. } => format!("owner {epoch}"),
        Frame::Lost(problem) => format!("lost {}", problem.code),
    };
    frames.iter().map(word).collect()
}
