//! Runs commands confined and kills whole process trees.
//!
//! The rule: a command sees a clean environment, writes only where it was told it may, reaches no network but who listens
//! at its [`WayOut`], and nothing it started outlives it. What confines it is found out by trying, see [`Sandbox::detect`].
//! Deciding whether a command may run at all, and asking the user, is the engine's job.

mod attend;
mod confine;
mod error;
mod output;
mod process;
mod reach;
mod spec;
mod toolchain;

#[cfg(target_os = "linux")]
mod bubblewrap;
#[cfg(target_os = "linux")]
mod fence;
#[cfg(target_os = "linux")]
mod keeper;
#[cfg(target_os = "linux")]
mod way_out;
#[cfg(not(target_os = "linux"))]
#[path = "no_way_out.rs"]
mod way_out;

pub use atelier_protocol::event::Mechanism;
pub use error::SpawnError;
pub use spec::{Ran, Spec};
pub use toolchain::Toolchain;
pub use way_out::WayOut;

use attend::End;
use confine::Confined;
use output::Capture;
use reach::Reach;
use std::future::Future;
use std::time::Instant;

/// A way to confine commands on this machine.
#[derive(Debug, Clone)]
pub struct Sandbox {
    mechanism: Mechanism,
}

impl Sandbox {
    /// Finds out by trying what can confine a command here: bubblewrap, else Landlock, else nothing.
    /// Runs one or two short processes; blocks for some ten milliseconds.
    pub fn detect() -> Self {
        Self { mechanism: confine::detect() }
    }

    /// A sandbox that uses `mechanism`, whether it works here or not: where it does not, [`Sandbox::run`] fails.
    pub fn with(mechanism: Mechanism) -> Self {
        Self { mechanism }
    }

    /// What confines the commands.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Runs a command to its end, its time limit, or until `cancel` resolves (`token.cancelled()`, or
    /// `std::future::pending()` for never). `on_output` gets every chunk as it comes, uncut.
    ///
    /// Nothing the command started is left when this returns. Dropping the future kills the command too.
    /// Must be called on a tokio runtime with time and I/O enabled.
    pub async fn run(
        &self,
        spec: Spec,
        cancel: impl Future<Output = ()> + Send,
        on_output: impl FnMut(&[u8]) + Send,
    ) -> Result<Ran, SpawnError> {
        self.perform(spec, None, cancel, on_output).await
    }

    /// The same for a command that finds somebody at ports of its loopback, and nobody anywhere else.
    ///
    /// # Errors
    /// Also where this sandbox can give no way out, see [`Sandbox::has_way_out`].
    pub async fn run_with_way_out(
        &self,
        spec: Spec,
        way_out: WayOut,
        cancel: impl Future<Output = ()> + Send,
        on_output: impl FnMut(&[u8]) + Send,
    ) -> Result<Ran, SpawnError> {
        self.has_way_out()?;
        self.perform(spec, Some(way_out), cancel, on_output).await
    }

    /// Whether a command can have a way out that it cannot go around. That takes a network namespace, which bubblewrap
    /// makes. Landlock is no substitute: its rules for connecting name a port, on whatever machine.
    ///
    /// # Errors
    /// Why not.
    pub fn has_way_out(&self) -> Result<(), SpawnError> {
        let reason = match self.mechanism {
            Mechanism::Bubblewrap => return Ok(()),
            Mechanism::Landlock => "it could keep the command to a port, not to a machine",
            Mechanism::None => "nothing would keep the command from going past it",
        };
        Err(SpawnError::NoWayOut { mechanism: self.mechanism, reason: reason.to_owned() })
    }

    async fn perform(
        &self,
        spec: Spec,
        way_out: Option<WayOut>,
        cancel: impl Future<Output = ()> + Send,
        mut on_output: impl FnMut(&[u8]) + Send,
    ) -> Result<Ran, SpawnError> {
        let begun = Instant::now();
        let mechanism = self.mechanism;
        let confined = mechanism != Mechanism::None;
        let home = std::env::home_dir().filter(|home| home.parent().is_some());
        let reach = Reach::of(&spec, home.as_deref(), confine::temporary(mechanism), confined)?;
        let Confined { command, input, report } = confine::command(reach, mechanism, way_out)?;

        let mut capture = Capture::new(spec.max_output);
        let sink = |chunk: &[u8]| {
            capture.push(chunk);
            on_output(chunk);
        };
        let end = attend::to_the_end(command, input, spec.timeout, cancel, sink).await?;
        let output_bytes = capture.seen();
        let output = capture.finish();
        if let End::ByItself(_) = end {
            confine::check_report(report, mechanism, &output).await?;
        }
        let (exit_code, signal) = match end {
            End::ByItself(status) => (status.code(), signal_of(status)),
            End::TimedOut | End::Cancelled => (None, None),
        };
        Ok(Ran {
            exit_code,
            signal,
            timed_out: end == End::TimedOut,
            cancelled: end == End::Cancelled,
            output,
            output_bytes,
            ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            mechanism,
        })
    }
}

#[cfg(unix)]
fn signal_of(status: std::process::ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal_of(_status: std::process::ExitStatus) -> Option<i32> {
    None
}
