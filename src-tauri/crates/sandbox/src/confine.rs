//! Turns a [`Reach`] and a mechanism into a command that can be started.
//!
//! On Linux every command, confined or not, runs below a keeper (`keeper`). Elsewhere nothing confines, and asking
//! for it is refused.

use crate::reach::{Reach, Temporary};
use crate::{Mechanism, SpawnError};
use std::io::PipeReader;
use std::process::Command;

/// A command ready to be started, and where bubblewrap will report.
pub(crate) struct Confined {
    pub command: Command,
    pub report: Option<PipeReader>,
}

/// Where `mechanism` puts temporary files.
pub(crate) fn temporary(mechanism: Mechanism) -> Temporary {
    match mechanism {
        Mechanism::Bubblewrap => Temporary::OwnTmp,
        Mechanism::Landlock | Mechanism::None => Temporary::InHome,
    }
}

/// Whether the command got started, from what bubblewrap reported and what was printed.
#[cfg(target_os = "linux")]
pub(crate) fn check_report(report: Option<PipeReader>, mechanism: Mechanism, output: &[u8]) -> Result<(), SpawnError> {
    use crate::bubblewrap::{Started, started};
    let Some(mut report) = report else { return Ok(()) };
    let mut text = String::new();
    // Everybody who could write is gone, so this does not wait.
    std::io::Read::read_to_string(&mut report, &mut text)
        .map_err(|source| SpawnError::Io { what: "bubblewrap's report cannot be read", source })?;
    match started(&text, output) {
        Started::Yes => Ok(()),
        Started::NoProgram(reason) => {
            Err(SpawnError::Io { what: "its program cannot be started", source: std::io::Error::other(reason) })
        }
        Started::NotConfined(reason) => Err(SpawnError::NotConfined { mechanism, reason }),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn check_report(_: Option<PipeReader>, _: Mechanism, _: &[u8]) -> Result<(), SpawnError> {
    Ok(())
}

#[cfg(target_os = "linux")]
pub(crate) fn command(reach: &Reach, mechanism: Mechanism) -> Result<Confined, SpawnError> {
    use crate::{bubblewrap, fence, keeper};
    use std::os::fd::AsRawFd;

    let not_confined = |reason: String| SpawnError::NotConfined { mechanism, reason };
    let io = |source| SpawnError::Io { what: "no pipe for its end", source };
    let mut report = None;
    let mut command = match mechanism {
        Mechanism::Bubblewrap => {
            let program = bubblewrap::installed().ok_or_else(|| not_confined("it is not installed".to_owned()))?;
            let (reader, writer) = std::io::pipe().map_err(io)?;
            let mut command = Command::new(program);
            command.args(bubblewrap::arguments(reach, writer.as_raw_fd()));
            report = Some((reader, writer));
            command
        }
        Mechanism::Landlock | Mechanism::None => {
            let mut command = Command::new(&reach.program);
            command.args(&reach.args).current_dir(&reach.cwd);
            command
        }
    };
    command.env_clear().envs(&reach.env);
    let fence = match mechanism {
        Mechanism::Landlock => Some(fence::Fence::around(reach).map_err(not_confined)?),
        Mechanism::Bubblewrap | Mechanism::None => None,
    };
    let (reader, writer) = report.unzip();
    let parent = std::process::id().cast_signed();
    let before_exec = move || {
        // SAFETY: this is the forked child, with one thread and nothing to lose.
        #[expect(unsafe_code, reason = "see `keeper`")]
        unsafe {
            keeper::keep(parent)?;
        }
        if let Some(writer) = &writer {
            keeper::pass_on(writer.as_raw_fd())?;
        }
        match &fence {
            Some(fence) => fence.close(),
            None => fence::no_new_privileges(),
        }
    };
    // SAFETY: the closure makes system calls only and allocates nothing.
    #[expect(unsafe_code, reason = "the keeper and the fence must be set up between fork and exec")]
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(&mut command, before_exec);
    }
    Ok(Confined { command, report: reader })
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn command(reach: &Reach, mechanism: Mechanism) -> Result<Confined, SpawnError> {
    match mechanism {
        Mechanism::Bubblewrap | Mechanism::Landlock => {
            Err(SpawnError::NotConfined { mechanism, reason: "it exists on Linux only".to_owned() })
        }
        Mechanism::None => {
            let mut command = Command::new(&reach.program);
            command.args(&reach.args).current_dir(&reach.cwd).env_clear().envs(&reach.env);
            Ok(Confined { command, report: None })
        }
    }
}

/// What works here, found out by trying.
#[cfg(target_os = "linux")]
pub(crate) fn detect() -> Mechanism {
    use crate::{bubblewrap, fence};
    match bubblewrap::installed().ok_or("not installed".to_owned()).and_then(|program| bubblewrap::works(&program)) {
        Ok(()) => return Mechanism::Bubblewrap,
        Err(reason) => tracing::info!(reason, "bubblewrap cannot confine commands here"),
    }
    match fence::works() {
        Ok(()) => return Mechanism::Landlock,
        Err(reason) => tracing::info!(reason, "Landlock cannot confine commands here"),
    }
    Mechanism::None
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn detect() -> Mechanism {
    Mechanism::None
}
