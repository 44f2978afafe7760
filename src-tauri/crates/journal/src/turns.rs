//! How soon the system runs a thread that everyone waits for.
//!
//! A thread that wakes may have to wait until another one's slice of a processor is over, some milliseconds, which is
//! longer than a sync of the log. A thread whose own slice is short goes first (EEVDF, Linux 6.12 and later); it has no
//! larger share of the processors. Where the system cannot, nothing changes.

/// The shortest slice that Linux grants, in nanoseconds.
#[cfg(target_os = "linux")]
const SHORTEST: u64 = 100_000;

/// From now on this thread has short turns, and has them soon.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the C library has no function for this system call (sched_setattr(2))")]
pub(crate) fn short_and_soon() {
    let size = u32::try_from(size_of::<libc::sched_attr>()).unwrap_or_default();
    // SAFETY: numbers only, for which zero is a value.
    let mut own: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is as large as is said, and lives as long as the call.
    let known = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut own, size, 0) } == 0;
    let normal = i64::from(own.sched_policy) == i64::from(libc::SCHED_OTHER);
    if known && normal {
        // Whatever else was chosen for the thread, such as its niceness, stays.
        own.sched_runtime = SHORTEST;
        // SAFETY: the structure is one that the system filled, and lives as long as the call.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const own, 0) };
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn short_and_soon() {}
