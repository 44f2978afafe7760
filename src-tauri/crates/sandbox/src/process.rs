//! A running command: started, read, waited for and killed as a whole tree.
//!
//! Each has a thread of its own that starts it and reads its output. The thread stays until the command is gone,
//! because the kernel ties "my parent died" to the thread that started a process, and a runtime's threads come and go.

use crate::SpawnError;
use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc as blocking;
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};

/// How much is read at once.
const CHUNK: usize = 64 * 1024;
/// How many chunks may wait; then the command has to.
const CHUNKS: usize = 16;

/// A command that was started. Dropping it kills the whole tree.
pub(crate) struct Running {
    /// Ends when the command and, on Linux, all it started are gone.
    pub child: Child,
    /// What it prints, standard output and error together; closed at the end.
    pub output: mpsc::Receiver<Vec<u8>>,
    /// Dropped last: lets the thread go.
    _thread: blocking::Sender<()>,
}

impl Running {
    /// Starts `command` with `input` as its standard input. The error is that of starting it.
    pub async fn start(mut command: Command, input: Stdio) -> Result<Self, SpawnError> {
        let (reader, writer) =
            io::pipe().map_err(|source| SpawnError::Io { what: "no pipe for its output", source })?;
        let second = writer.try_clone().map_err(|source| SpawnError::Io { what: "no pipe for its output", source })?;
        command.stdin(input).stdout(writer).stderr(second);
        #[cfg(all(unix, not(target_os = "linux")))]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let (started, starting) = oneshot::channel();
        let (chunks, output) = mpsc::channel(CHUNKS);
        let (hold, held) = blocking::channel::<()>();
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new()
            .name("sandboxed".to_owned())
            .spawn(move || {
                let child = {
                    let _inside = runtime.enter();
                    tokio::process::Command::from(command).spawn() // drops our ends of the pipes with the command
                };
                let running = child.is_ok();
                if started.send(child).is_ok() && running {
                    read(reader, &chunks);
                    drop(chunks);
                    let _ = held.recv(); // an error: the other side is gone, and with it the command
                }
            })
            .map_err(|source| SpawnError::Io { what: "no thread to watch it", source })?;
        let child = starting.await.map_err(|_| SpawnError::Io {
            what: "the thread that starts it ended",
            source: io::ErrorKind::Other.into(),
        })?;
        let child = child.map_err(|source| SpawnError::Io { what: "its program cannot be started", source })?;
        Ok(Self { child, output, _thread: hold })
    }

    /// Asks for the end of the whole tree; `child` then ends.
    pub fn kill(&mut self) {
        let Some(pid) = self.child.id() else { return };
        #[cfg(target_os = "linux")]
        signal(pid, libc::SIGTERM); // to the keeper, which kills the tree and then ends
        #[cfg(all(unix, not(target_os = "linux")))]
        signal_group(pid, libc::SIGKILL);
        #[cfg(not(unix))]
        {
            let _ = pid;
            let _ = self.child.start_kill();
        }
    }

    /// For a keeper that does not end: kills it. Its command gets killed with it by the kernel.
    pub fn give_up(&mut self) {
        let _ = self.child.start_kill();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill(); // does nothing for a command that was waited for
    }
}

/// Passes on what is read until the end, or until nobody listens.
fn read(mut pipe: io::PipeReader, chunks: &mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; CHUNK];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                if chunks.blocking_send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

#[cfg(target_os = "linux")]
fn signal(pid: u32, signal: libc::c_int) {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return };
    // SAFETY: takes plain numbers; the process is ours and not yet waited for, so the number is not reused.
    #[expect(unsafe_code, reason = "the standard library can only send SIGKILL")]
    unsafe {
        libc::kill(pid, signal);
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn signal_group(leader: u32, signal: libc::c_int) {
    let Ok(leader) = libc::pid_t::try_from(leader) else { return };
    // SAFETY: takes plain numbers; the leader is ours and not yet waited for, so the number is not reused.
    #[expect(unsafe_code, reason = "the standard library cannot signal a group")]
    unsafe {
        libc::killpg(leader, signal);
    }
}
