//! Runs commands confined and kills whole process trees.
//!
//! The rule: a command sees a clean environment, writes only where it was told it may, reaches no network, and
//! nothing it started outlives it. What confines it is found out by trying, see [`Sandbox::detect`].
//! Deciding whether a command may run at all, and asking the user, is the engine's job.

mod error;
mod spec;
mod toolchain;

pub use atelier_protocol::event::Mechanism;
pub use error::SpawnError;
pub use spec::{Ran, Spec};
pub use toolchain::Toolchain;

use std::future::Future;

/// A way to confine commands on this machine.
#[derive(Debug, Clone)]
pub struct Sandbox {
    mechanism: Mechanism,
}

impl Sandbox {
    /// Finds out by trying what can confine a command here: bubblewrap, else Landlock, else nothing.
    /// Runs two short processes; blocks for some ten milliseconds.
    pub fn detect() -> Self {
        Self { mechanism: Mechanism::None }
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
        let _ = (cancel, on_output);
        spec.argv.first().ok_or(SpawnError::EmptyCommand)?;
        Err(SpawnError::NotConfined { mechanism: self.mechanism, reason: "not built yet".to_owned() })
    }
}
