//! Turns a [`Reach`] and a mechanism into a command that can be started.
//!
//! On Linux every command, confined or not, runs below a keeper (`keeper`). Elsewhere nothing confines, and asking
//! for it is refused.

use crate::reach::{Reach, Temporary};
use crate::{Mechanism, SpawnError, WayOut};
use std::io::{self, PipeReader};
use std::process::{Command, Stdio};
use tokio::task::JoinHandle;

/// A command ready to be started, its standard input, and where bubblewrap will report.
pub(crate) struct Confined {
    pub command: Command,
    pub input: Stdio,
    pub report: Option<Report>,
}

/// Where bubblewrap reports, and who reads the beginning of it to open the command's way out.
pub(crate) struct Report {
    rest: PipeReader,
    attending: Option<JoinHandle<Result<(), SpawnError>>>,
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
pub(crate) async fn check_report(
    report: Option<Report>,
    mechanism: Mechanism,
    output: &[u8],
) -> Result<(), SpawnError> {
    use crate::bubblewrap::{Started, started};
    let Some(Report { mut rest, attending }) = report else { return Ok(()) };
    let unread = |source| SpawnError::Io { what: "bubblewrap's report cannot be read", source };
    if let Some(attending) = attending {
        attending.await.map_err(|ended| unread(io::Error::other(ended)))??;
    }
    let mut text = String::new();
    // Everybody who could write is gone, so this does not wait.
    io::Read::read_to_string(&mut rest, &mut text).map_err(unread)?;
    match started(&text, output) {
        Started::Yes => Ok(()),
        Started::NoProgram(reason) => {
            Err(SpawnError::Io { what: "its program cannot be started", source: io::Error::other(reason) })
        }
        Started::NotConfined(reason) => Err(SpawnError::NotConfined { mechanism, reason }),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) async fn check_report(_: Option<Report>, _: Mechanism, _: &[u8]) -> Result<(), SpawnError> {
    Ok(())
}

#[cfg(target_os = "linux")]
pub(crate) fn command(mut reach: Reach, mechanism: Mechanism, way_out: Option<WayOut>) -> Result<Confined, SpawnError> {
    use crate::{bubblewrap, fence, keeper, way_out};
    use std::os::fd::AsRawFd;

    let not_confined = |reason: String| SpawnError::NotConfined { mechanism, reason };
    let no_pipe = |source| SpawnError::Io { what: "no pipe for its end", source };
    let (mut report, mut input) = (None, Stdio::null());
    let mut command = match mechanism {
        Mechanism::Bubblewrap => {
            let program = bubblewrap::installed().ok_or_else(|| not_confined("it is not installed".to_owned()))?;
            let (rest, writer) = io::pipe().map_err(no_pipe)?;
            let mut attending = None;
            if let Some(way_out) = way_out {
                let (wait, gate) = io::pipe().map_err(no_pipe)?;
                let begin = rest.try_clone().map_err(no_pipe)?;
                input = wait.into();
                (reach.program, reach.args) = way_out::behind_gate(reach.program, reach.args);
                attending = Some(tokio::task::spawn_blocking(move || way_out::attend(begin, gate, way_out)));
            }
            let mut command = Command::new(program);
            command.args(bubblewrap::arguments(&reach, writer.as_raw_fd()));
            report = Some((Report { rest, attending }, writer));
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
        Mechanism::Landlock => Some(fence::Fence::around(&reach).map_err(not_confined)?),
        Mechanism::Bubblewrap | Mechanism::None => None,
    };
    let (report, writer) = report.unzip();
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
    Ok(Confined { command, input, report })
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn command(reach: Reach, mechanism: Mechanism, _: Option<WayOut>) -> Result<Confined, SpawnError> {
    match mechanism {
        Mechanism::Bubblewrap | Mechanism::Landlock => {
            Err(SpawnError::NotConfined { mechanism, reason: "it exists on Linux only".to_owned() })
        }
        Mechanism::None => {
            let mut command = Command::new(&reach.program);
            command.args(&reach.args).current_dir(&reach.cwd).env_clear().envs(&reach.env);
            Ok(Confined { command, input: Stdio::null(), report: None })
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
