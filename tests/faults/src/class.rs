//! The classes of calls, and the answer to each: go on, or fail so.

use crate::{plan, real, record};
use std::sync::atomic::{AtomicU64, Ordering};

/// What kind of call. Writes count on plain files; what goes to a socket counts as sending.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Class {
    Write,
    Sync,
    Rename,
    Link,
    Open,
    Mkdir,
    Truncate,
    Allocate,
    Map,
    Spawn,
    Socket,
    Send,
}

pub const NAMES: [&str; 12] =
    ["write", "sync", "rename", "link", "open", "mkdir", "truncate", "allocate", "map", "spawn", "socket", "send"];

static COUNTS: [AtomicU64; NAMES.len()] = [const { AtomicU64::new(0) }; NAMES.len()];
static ALL: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);

/// What becomes of a call.
pub enum Verdict {
    /// It is made.
    Go,
    /// It is made, and then the process ends.
    GoAndEnd,
    /// It fails with this errno.
    Fail(i32),
    /// Half of what was to be written is written.
    Short,
}

/// Counts a call and says what becomes of it. `name` is only asked for the report of a failure.
pub fn meet(class: Class, name: impl FnOnce() -> Option<Vec<u8>>) -> Verdict {
    let Some(plan) = plan::current() else { return Verdict::Go };
    let of_class = COUNTS[class as usize].fetch_add(1, Ordering::SeqCst) + 1;
    let of_all = ALL.fetch_add(1, Ordering::SeqCst) + 1;
    let Some(fault) = &plan.fault else { return Verdict::Go };
    let n = match fault.class {
        None => of_all,
        Some(wanted) if wanted == class as usize => of_class,
        Some(_) => return Verdict::Go,
    };
    if !(n == fault.n || (fault.on && n > fault.n)) {
        return Verdict::Go;
    }
    if FAILED.fetch_add(1, Ordering::SeqCst) == 0 {
        note(plan, class, n, name().unwrap_or_default());
    }
    match fault.what {
        plan::What::Errno(code) => Verdict::Fail(code),
        plan::What::Short => Verdict::Short,
        plan::What::Kill => end(),
        plan::What::Killed => Verdict::GoAndEnd,
    }
}

/// Ends this process as a power switch would.
pub fn end() -> ! {
    loop {
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
}

/// Writes down which call was the first to fail, at once: the process may not come to its end.
fn note(plan: &plan::Plan, class: Class, n: u64, name: Vec<u8>) {
    let mut line = format!("failed={} n={n} ", NAMES[class as usize]).into_bytes();
    line.extend(name);
    line.push(b'\n');
    append(plan, &line);
}

/// Appends the counts.
pub fn report() {
    let Some(plan) = plan::current() else { return };
    record::close();
    let mut line = format!("counts failures={} any={}", FAILED.load(Ordering::SeqCst), ALL.load(Ordering::SeqCst));
    for (name, count) in NAMES.iter().zip(&COUNTS) {
        line.push_str(&format!(" {name}={}", count.load(Ordering::SeqCst)));
    }
    line.push('\n');
    append(plan, line.as_bytes());
}

fn append(plan: &plan::Plan, line: &[u8]) {
    let Some(file) = &plan.count else { return };
    unsafe {
        let fd = real::open64(file.as_ptr(), libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC, 0o600);
        if fd >= 0 {
            real::write(fd, line.as_ptr().cast(), line.len());
            libc::close(fd);
        }
    }
}

#[used]
#[unsafe(link_section = ".fini_array")]
static AT_END: extern "C" fn() = at_end;

extern "C" fn at_end() {
    report();
}
