//! Prints what confines commands on this machine. Fails where nothing does although the kernel could.

use atelier_sandbox::{Mechanism, Sandbox};
use std::io::Write;
use std::process::ExitCode;

/// The first Linux that has Landlock (Linux 5.13, `Documentation/userspace-api/landlock.rst`).
const LANDLOCK_SINCE: (u32, u32) = (5, 13);

fn main() -> ExitCode {
    let mechanism = Sandbox::detect().mechanism();
    let said = match mechanism {
        Mechanism::Bubblewrap => "commands are confined by bubblewrap",
        Mechanism::Landlock => "commands are confined by Landlock and seccomp",
        Mechanism::None => "commands are NOT confined here",
    };
    let _ = writeln!(std::io::stdout(), "sandbox: {said}");
    if mechanism == Mechanism::None && kernel().is_some_and(|version| version >= LANDLOCK_SINCE) {
        let _ = writeln!(std::io::stderr(), "the kernel has Landlock, so something must be able to confine them");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The kernel's version; `None` where this is not Linux.
fn kernel() -> Option<(u32, u32)> {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let mut parts = text.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
