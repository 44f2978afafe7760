//! The owner's socket: lets guests in, hands their ops to the handler, and streams the store's frames to them.
//!
//! A guest that sends garbage loses its connection and nobody else's. An op that was taken is performed to its end
//! even where its guest is gone. The socket goes before the lock does.

use crate::error::OpenError;
use crate::journal::Journal;
use crate::owner::{Places, StoreLock};
use crate::wire::{self, FromGuest, FromOwner, GUEST_LINE, Hello, OWNER_LINE};
use atelier_protocol::{Code, Op, Problem, Reply};
use futures_core::future::BoxFuture;
use interprocess::local_socket::ListenerOptions;
use interprocess::local_socket::tokio::prelude::*;
use interprocess::local_socket::tokio::{Listener, Stream};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{BufReader, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at the same time; more wait to be let in.
const CONNECTIONS: usize = 256;
/// Ops of one connection at the same time; more wait to be read.
const OPS: usize = 64;
/// How long ops that were taken may go on when the door closes.
const FAREWELL: Duration = Duration::from_secs(2);

/// Performs the ops of guests.
pub trait OpHandler: Send + Sync + 'static {
    /// Performs one op. Several run at the same time.
    fn handle(&self, op: Op) -> BoxFuture<'_, Result<Reply, Problem>>;
}

/// An open socket. Dropping it closes it at once; [`Door::close`] says farewell.
pub(crate) struct Door {
    stop: CancellationToken,
    abort: CancellationToken,
    tasks: TaskTracker,
    ops: TaskTracker,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
        self.abort.cancel();
    }
}

struct Host {
    hello: Hello,
    journal: Journal,
    handler: Arc<dyn OpHandler>,
    stop: CancellationToken,
    abort: CancellationToken,
    ops: TaskTracker,
}

impl Door {
    pub fn open(
        places: &Places,
        hello: Hello,
        journal: Journal,
        handler: Arc<dyn OpHandler>,
        lock: Arc<StoreLock>,
    ) -> Result<Self, OpenError> {
        let listener = listen(places)
            .map_err(|error| OpenError::Socket { store: places.store.to_string(), reason: error.to_string() })?;
        let door = Self {
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            tasks: TaskTracker::new(),
            ops: TaskTracker::new(),
        };
        let host = Arc::new(Host {
            hello,
            journal,
            handler,
            stop: door.stop.clone(),
            abort: door.abort.clone(),
            ops: door.ops.clone(),
        });
        let tasks = door.tasks.clone();
        door.tasks.spawn(async move {
            // Dropped in reverse: the listener removes its socket while the lock is still ours.
            let _lock = lock;
            let listener = listener;
            tokio::select! {
                () = host.stop.cancelled() => {}
                () = let_in(&listener, &host, &tasks) => {}
            }
        });
        Ok(door)
    }

    /// Takes no more ops, lets those that were taken end for a while, and closes every connection.
    pub async fn close(self) {
        self.stop.cancel();
        self.ops.close();
        self.tasks.close();
        let ended = async {
            self.ops.wait().await;
            self.tasks.wait().await;
        };
        if tokio::time::timeout(FAREWELL, ended).await.is_err() {
            tracing::warn!("an op was still going on when the store was closed");
        }
        self.abort.cancel();
        self.tasks.wait().await;
    }
}

fn listen(places: &Places) -> io::Result<Listener> {
    // A dead owner leaves its socket behind. We hold the lock, so no living one listens there.
    #[cfg(unix)]
    match std::fs::remove_file(&places.socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    only_for_the_user(ListenerOptions::new().name(wire::address(places)?))?.create_tokio()
}

#[cfg(target_os = "linux")]
fn only_for_the_user(options: ListenerOptions<'_>) -> io::Result<ListenerOptions<'_>> {
    use interprocess::os::unix::local_socket::ListenerOptionsExt;
    Ok(options.mode(0o600))
}

/// Elsewhere the mode of a socket cannot be set before it exists; its folder is closed to everyone else.
#[cfg(all(unix, not(target_os = "linux")))]
fn only_for_the_user(options: ListenerOptions<'_>) -> io::Result<ListenerOptions<'_>> {
    Ok(options)
}

/// Full access for the pipe's owner and the system, none for anyone else.
#[cfg(windows)]
fn only_for_the_user(options: ListenerOptions<'_>) -> io::Result<ListenerOptions<'_>> {
    use interprocess::os::windows::local_socket::ListenerOptionsExt;
    use interprocess::os::windows::security_descriptor::SecurityDescriptor;
    let text = widestring::U16CString::from_str("D:P(A;;GA;;;OW)(A;;GA;;;SY)").map_err(io::Error::other)?;
    Ok(options.security_descriptor(SecurityDescriptor::deserialize(&text)?))
}

async fn let_in(listener: &Listener, host: &Arc<Host>, tasks: &TaskTracker) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok(stream) => {
                let host = Arc::clone(host);
                tasks.spawn(async move {
                    let _place = place;
                    let over = async {
                        if let Err(error) = attend(stream, &host).await {
                            tracing::debug!(%error, "a guest's connection ended");
                        }
                    };
                    tokio::select! {
                        () = over => {}
                        () = host.abort.cancelled() => {}
                    }
                });
            }
            Err(error) => {
                // Out of file handles, most likely: they come back, and trying at once would only burn time.
                tracing::warn!(%error, "a guest could not be let in");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn attend(stream: Stream, host: &Arc<Host>) -> io::Result<()> {
    let (reading, mut writing) = tokio::io::split(stream);
    let mut reading = BufReader::new(reading);
    wire::write_line(&mut writing, &FromOwner::Hello(host.hello.clone()).into_line()?).await?;
    let Some(first) = next_line(&mut reading, host).await? else { return Ok(()) };
    match first {
        FromGuest::Subscribe { after } => stream_frames(reading, writing, host, after).await,
        FromGuest::Op { .. } => answer_ops(first, reading, writing, host).await,
    }
}

/// The guest's next line; `None` when it is gone or the door closes.
async fn next_line(reading: &mut BufReader<ReadHalf<Stream>>, host: &Host) -> io::Result<Option<FromGuest>> {
    let mut line = Vec::new();
    tokio::select! {
        () = host.stop.cancelled() => Ok(None),
        more = wire::read_line(reading, &mut line, GUEST_LINE) => {
            if !more? {
                return Ok(None);
            }
            FromGuest::parse(&line).map(Some).map_err(io::Error::other)
        }
    }
}

async fn stream_frames(
    mut reading: BufReader<ReadHalf<Stream>>,
    mut writing: WriteHalf<Stream>,
    host: &Arc<Host>,
    after: atelier_protocol::Seq,
) -> io::Result<()> {
    let mut frames = host.journal.subscribe(after);
    let send = async {
        while let Some(frame) = frames.next().await {
            wire::write_line(&mut writing, &FromOwner::Frame(frame).into_line()?).await?;
        }
        Ok(())
    };
    tokio::select! {
        sent = send => sent,
        // A subscriber has nothing more to say: whatever comes, its end included, ends the subscription.
        line = next_line(&mut reading, host) => line.map(|_| ()),
    }
}

async fn answer_ops(
    first: FromGuest,
    mut reading: BufReader<ReadHalf<Stream>>,
    mut writing: WriteHalf<Stream>,
    host: &Arc<Host>,
) -> io::Result<()> {
    let (answers, mut outgoing) = mpsc::channel::<Vec<u8>>(OPS);
    let send = async {
        while let Some(line) = outgoing.recv().await {
            wire::write_line(&mut writing, &line).await?;
        }
        Ok(())
    };
    let take = async move {
        let gate = Arc::new(Semaphore::new(OPS));
        let mut next = Some(first);
        while let Some(line) = next {
            let FromGuest::Op { id, op } = line else { return Err(io::Error::other("a subscription among ops")) };
            let Ok(permit) = Arc::clone(&gate).acquire_owned().await else { break };
            let (handler, answers) = (Arc::clone(&host.handler), answers.clone());
            host.ops.spawn(async move {
                let line = answer(id, perform(handler, *op).await);
                let _ = answers.send(line).await;
                drop(permit);
            });
            next = next_line(&mut reading, host).await?;
        }
        Ok(())
    };
    // Sending ends when the last op that was taken is answered, which is after the taking has ended.
    tokio::try_join!(send, take).map(|_| ())
}

async fn perform(handler: Arc<dyn OpHandler>, op: Op) -> Result<Reply, Problem> {
    // On a task of its own, so that a handler that panics answers too and its guest does not wait for ever.
    let task = tokio::spawn(async move { handler.handle(op).await });
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "an op broke off");
        Err(Problem::new(
            Code::Internal,
            "The owner could not perform this: it broke off half-way.",
            "This is a defect in Atelier; please report it with the log.",
        ))
    })
}

fn answer(id: u64, result: Result<Reply, Problem>) -> Vec<u8> {
    let refused = |message: &str| {
        let problem = Problem::new(Code::Internal, message, "Ask for less at a time.");
        FromOwner::Answer { id, result: Err(problem) }.into_line().unwrap_or_default()
    };
    match (FromOwner::Answer { id, result }).into_line() {
        Ok(line) if line.len() <= OWNER_LINE => line,
        Ok(_) => refused("The answer is too large for the socket."),
        Err(_) => refused("The answer cannot be written as text."),
    }
}
