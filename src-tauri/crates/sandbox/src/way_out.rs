//! Listeners on the loopback of a command that has a network namespace of its own, held by us outside of it.
//!
//! A socket stays in the namespace it was made in. So a helper process joins the command's and makes them there; it shares
//! our table of open files, which is how they come to us. The command waits at a gate until they are there, and whoever it
//! connects to is us or nobody: no other process runs in there, and no file leads out.
//! Facts used: namespaces(7), setns(2), ioctl_ns(2) NS_GET_USERNS, clone(2) CLONE_FILES.

use crate::SpawnError;
use atelier_protocol::event::Mechanism;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Ports where somebody is to listen, and who takes the listeners, in that order. The latter is called on a thread that may
/// block, on the runtime.
pub struct WayOut {
    /// Ports of the command's loopback.
    pub ports: Vec<u16>,
    /// Begins to serve.
    pub serve: Box<dyn FnOnce(Vec<TcpListener>) -> io::Result<()> + Send>,
}

/// The program that waits at the gate, its standard input, and becomes the command; it ends where nobody opens.
const SHELL: &str = "/bin/sh";
const GATE: &str = "read -r _ && exec \"$@\" </dev/null";

/// The command line that waits at the gate first.
pub(crate) fn behind_gate(program: PathBuf, args: Vec<String>) -> (PathBuf, Vec<String>) {
    let before = ["-c", GATE, "sh"].map(str::to_owned);
    let program = program.to_string_lossy().into_owned();
    (SHELL.into(), before.into_iter().chain([program]).chain(args).collect())
}

/// Waits until bubblewrap has reported its process, and opens the gate of the command. Blocks for a moment.
pub(crate) fn attend(mut report: PipeReader, gate: PipeWriter, way_out: WayOut) -> Result<(), SpawnError> {
    let failed =
        |reason: io::Error| SpawnError::NoWayOut { mechanism: Mechanism::Bubblewrap, reason: reason.to_string() };
    let (mut text, mut byte) = (Vec::new(), [0u8]);
    // No further than that: the rest of the report is for whoever waits for the end.
    while byte != *b"}" {
        if report.read(&mut byte).map_err(failed)? == 0 {
            return Ok(()); // it could not be confined, which the rest of the report says
        }
        text.extend(byte);
    }
    match child(&String::from_utf8_lossy(&text)) {
        Some(process) => open(process, gate, way_out).map_err(failed),
        None => Ok(()),
    }
}

fn open(process: libc::pid_t, mut gate: PipeWriter, way_out: WayOut) -> io::Result<()> {
    let listeners = way_out.ports.iter().map(|port| listen(process, *port)).collect::<io::Result<_>>()?;
    (way_out.serve)(listeners)?;
    match gate.write_all(b"\n") {
        // The command is gone, which its end tells.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// The process in the sandbox, from the first line of a report such as `{ "child-pid": 7, "net-namespace": 4026532183 }`.
fn child(report: &str) -> Option<libc::pid_t> {
    let (_, rest) = report.split_once("\"child-pid\":")?;
    rest.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A listener on a port of every address that the network namespace of `process` has: its loopback.
fn listen(process: libc::pid_t, port: u16) -> io::Result<TcpListener> {
    let network = File::open(format!("/proc/{process}/ns/net"))?;
    if network.metadata()?.ino() == std::fs::metadata("/proc/self/ns/net")?.ino() {
        return Err(io::Error::other("the command has no network of its own, so nothing would keep it from this one"));
    }
    // SAFETY: a system call on an open file; it gives a new file, or fails.
    #[expect(unsafe_code, reason = "the standard library does not know namespaces")]
    let users = unsafe {
        let fd = libc::ioctl(network.as_raw_fd(), libc::NS_GET_USERNS);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        File::from(OwnedFd::from_raw_fd(fd))
    };
    // Joining one's own is refused, and not needed: it is root's.
    let own = users.metadata()?.ino() == std::fs::metadata("/proc/self/ns/user")?.ino();
    // Its number in our table is where the helper puts the socket.
    let place = File::open("/dev/null")?;
    // SAFETY: the helper has one thread and a copy of our memory, of which it uses this stack alone; it makes system calls
    // and leaves without running anything else. Only the table of open files is shared.
    #[expect(unsafe_code, reason = "a process can join a user namespace only while it has one thread")]
    let status = unsafe {
        let (flags, none) = (libc::c_long::from(libc::CLONE_FILES | libc::SIGCHLD), libc::c_long::from(0));
        let helper = libc::syscall(libc::SYS_clone, flags, none, none, none, none);
        if helper == 0 {
            let users = (!own).then_some(users.as_raw_fd());
            libc::_exit(inside(users, network.as_raw_fd(), place.as_raw_fd(), port));
        }
        let helper = libc::pid_t::try_from(helper).unwrap_or(-1);
        if helper < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut status = 0;
        while libc::waitpid(helper, &raw mut status, 0) < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        status
    };
    match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
        (true, 0) => Ok(TcpListener::from(OwnedFd::from(place))),
        (true, code) => Err(io::Error::from_raw_os_error(code)),
        (false, _) => Err(io::Error::other("the helper that joins the command's network was killed")),
    }
}

/// The helper's life: 0, or the number of what went wrong.
#[expect(unsafe_code, reason = "system calls on numbers and on one structure of this stack")]
unsafe fn inside(users: Option<libc::c_int>, network: libc::c_int, place: libc::c_int, port: u16) -> libc::c_int {
    // SAFETY: as above; the address is in the layout that its family asks for.
    unsafe {
        let failed = || *libc::__errno_location();
        if users.is_some_and(|users| libc::setns(users, libc::CLONE_NEWUSER) != 0)
            || libc::setns(network, libc::CLONE_NEWNET) != 0
        {
            return failed();
        }
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return failed();
        }
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_port = port.to_be();
        // Every address: the loopback may not be up yet, and is all there will be.
        address.sin_addr.s_addr = libc::INADDR_ANY.to_be();
        let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        let done = libc::bind(socket, (&raw const address).cast(), length) == 0
            && libc::listen(socket, 128) == 0
            && libc::dup3(socket, place, libc::O_CLOEXEC) >= 0;
        let code = if done { 0 } else { failed() };
        libc::close(socket);
        code
    }
}

#[cfg(test)]
mod tests {
    use super::child;

    #[test]
    fn the_process_is_read_off_the_report() {
        assert_eq!(child("{ \"child-pid\": 1508, \"net-namespace\": 4026532183 }"), Some(1508));
        assert_eq!(child("{ \"child-pid\": 7\n}"), Some(7));
        assert_eq!(child(""), None);
        assert_eq!(child("{ \"exit-code\": 1 }"), None);
    }
}
