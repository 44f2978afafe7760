//! Attends a running command: hands on its output, keeps its time limit, ends it when it is cancelled.
//!
//! Returns only when the command is gone, and on Linux everything it started.

use crate::SpawnError;
use crate::process::Running;
use std::future::Future;
use std::pin::pin;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::time::Instant;

/// How long the tree may take to end after it was killed.
const KILL_GRACE: Duration = Duration::from_secs(5);
/// How long output may stay open after everything ended; only somebody outside the tree can hold it.
const DRAIN_GRACE: Duration = Duration::from_secs(2);

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself.
    ByItself(ExitStatus),
    /// By its time limit.
    TimedOut,
    /// Because `cancel` resolved.
    Cancelled,
}

/// Runs `command` to its end and hands every chunk of its output to `sink`.
pub(crate) async fn to_the_end(
    command: Command,
    input: Stdio,
    timeout: Duration,
    cancel: impl Future<Output = ()> + Send,
    mut sink: impl FnMut(&[u8]) + Send,
) -> Result<End, SpawnError> {
    let mut cancel = pin!(cancel);
    // What was cancelled before it began is not begun.
    tokio::select! {
        biased;
        () = &mut cancel => return Ok(End::Cancelled),
        () = std::future::ready(()) => {}
    }
    let mut running = Running::start(command, input).await?;
    let mut limit = pin!(tokio::time::sleep(timeout));
    let mut open = true;
    let mut stopped = None;
    let ended = loop {
        tokio::select! {
            chunk = running.output.recv(), if open => match chunk {
                Some(chunk) => sink(&chunk),
                None => open = false,
            },
            ended = running.child.wait() => break ended,
            () = &mut limit => {
                if stopped.is_some() {
                    running.give_up();
                } else {
                    stopped = Some(End::TimedOut);
                    running.kill();
                }
                limit.as_mut().reset(Instant::now() + KILL_GRACE);
            }
            () = &mut cancel, if stopped.is_none() => {
                stopped = Some(End::Cancelled);
                running.kill();
                limit.as_mut().reset(Instant::now() + KILL_GRACE);
            }
        }
    };
    let rest = async {
        while let Some(chunk) = running.output.recv().await {
            sink(&chunk);
        }
    };
    if tokio::time::timeout(DRAIN_GRACE, rest).await.is_err() {
        tracing::warn!("a command's output stayed open after its end");
    }
    let status = ended.map_err(|source| SpawnError::Io { what: "its end could not be waited for", source })?;
    Ok(stopped.unwrap_or(End::ByItself(status)))
}
