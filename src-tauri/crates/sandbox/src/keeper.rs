//! The keeper: a small process between us and a command, which ends whatever the command leaves behind.
//!
//! The rule: nothing outlives the keeper. It adopts every orphan of the tree (it is their *subreaper*), so also a
//! daemon that left the process group and the session is found. It clears the tree when the command ends, when we
//! ask (SIGTERM), and when we die ourselves (the kernel then sends it SIGTERM).
//!
//! It lives in a fork of this program without an exec, so it only makes system calls on its own stack.
//! Facts used: prctl(2) PR_SET_CHILD_SUBREAPER and PR_SET_PDEATHSIG; proc(5) `/proc/thread-self/children`.
#![expect(unsafe_code, reason = "a process between fork and exec can only make system calls; each is stated below")]

use atelier_protocol::mutant::{self, Mutant};
use libc::{c_int, pid_t};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// To be called in a freshly forked child, before it runs a program. Returns only in the process that is to run the
/// program; the caller's process becomes the keeper and never returns.
///
/// `parent` is the process that forked. The keeper ends with the command's own exit code or signal.
///
/// # Safety
/// The calling process must have a single thread and nothing to lose: the keeper leaves without running destructors.
pub(crate) unsafe fn keep(parent: pid_t) -> io::Result<()> {
    // SAFETY: plain system calls on numbers and on memory of this stack; `fork` in a child with one thread.
    unsafe {
        check(libc::setsid())?;
        check(libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))?;
        let signals = block_all();
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        libc::signal(libc::SIGTERM, libc::SIG_DFL);
        if !mutant::is(Mutant::OrphanLeft) {
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM, 0, 0, 0))?;
        }
        if libc::getppid() != parent {
            libc::_exit(0); // it died before the line above
        }
        let keeper = libc::getpid();
        let command = libc::fork();
        check(command)?;
        if command > 0 {
            watch(command, &signals);
        }
        check(libc::setsid())?;
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0))?;
        if libc::getppid() != keeper {
            libc::_exit(0);
        }
        let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core);
        // Files this program has open are not the command's business.
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        let mut none = MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
    Ok(())
}

/// Lets the program that is about to run keep `fd`.
pub(crate) fn pass_on(fd: c_int) -> io::Result<()> {
    // SAFETY: a system call on a number.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) })
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Blocks every signal, so that none is lost and none interrupts; the keeper asks for them.
unsafe fn block_all() -> libc::sigset_t {
    let mut all = MaybeUninit::uninit();
    // SAFETY: `sigfillset` initialises the set.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), ptr::null_mut());
        all.assume_init()
    }
}

/// The keeper's life.
unsafe fn watch(command: pid_t, signals: &libc::sigset_t) -> ! {
    // SAFETY: system calls on numbers and on memory of this stack.
    unsafe {
        close_everything();
        loop {
            loop {
                let mut status = 0;
                let ended = libc::waitpid(-1, &raw mut status, libc::WNOHANG);
                if ended == command {
                    clear(command);
                    end_like(status);
                }
                if ended <= 0 {
                    break;
                }
            }
            if libc::sigwaitinfo(signals, ptr::null_mut()) == libc::SIGTERM {
                clear(command);
                libc::_exit(0);
            }
        }
    }
}

/// The keeper holds nothing open: not the command's output, not the pipe that reports a failed exec.
unsafe fn close_everything() {
    // SAFETY: system calls on numbers; nothing in this process uses a file any more.
    unsafe {
        if libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0) != 0 {
            for fd in 0..65_536 {
                libc::close(fd);
            }
        }
    }
}

/// Kills all children until there are none. Those of a killed child become ours before it can be waited for, so
/// looking again after each one finds them all.
unsafe fn clear(command: pid_t) {
    // SAFETY: system calls on numbers.
    unsafe {
        loop {
            kill_children(command);
            if libc::waitpid(-1, ptr::null_mut(), 0) < 0 {
                return;
            }
        }
    }
}

/// On a kernel that does not list children the command's own group must do.
unsafe fn kill_children(command: pid_t) {
    // SAFETY: a constant path, and a buffer of this stack with its own length.
    unsafe {
        let file = libc::open(c"/proc/thread-self/children".as_ptr(), libc::O_RDONLY);
        if file < 0 {
            libc::kill(-command, libc::SIGKILL);
            return;
        }
        let mut buffer = [0u8; 4096];
        let mut pid: pid_t = 0;
        loop {
            let length = libc::read(file, buffer.as_mut_ptr().cast(), buffer.len());
            let Ok(length) = usize::try_from(length) else { break };
            if length == 0 {
                break;
            }
            for byte in buffer.iter().take(length) {
                if byte.is_ascii_digit() {
                    pid = pid.wrapping_mul(10).wrapping_add(pid_t::from(byte - b'0'));
                } else if pid > 0 {
                    libc::kill(pid, libc::SIGKILL);
                    pid = 0;
                }
            }
        }
        if pid > 0 {
            libc::kill(pid, libc::SIGKILL);
        }
        libc::close(file);
    }
}

/// Ends as the command ended, so that whoever waits for the keeper learns it.
unsafe fn end_like(status: c_int) -> ! {
    // SAFETY: system calls on numbers and on memory of this stack.
    unsafe {
        if libc::WIFSIGNALED(status) {
            let signal = libc::WTERMSIG(status);
            libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
            libc::signal(signal, libc::SIG_DFL);
            let mut none = MaybeUninit::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            libc::kill(libc::getpid(), signal);
            libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
            libc::_exit(128 + signal);
        }
        libc::_exit(libc::WEXITSTATUS(status));
    }
}
