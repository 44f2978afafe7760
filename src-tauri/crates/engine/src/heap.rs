//! How the process keeps memory that it does not use.
//!
//! glibc gives threads heaps of their own, up to eight for each core, and each keeps what was once used in it. The
//! threads here come and go with the work, so that after the definitions of a large folder were found more lay in such
//! heaps than was in use.

/// Heaps for all threads together: as many as work hard at once.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAPS: i32 = 4;

/// Lets the threads share a few heaps. To be called before there are any.
pub fn share() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "the C library is asked; the standard library has no word for it")]
    // SAFETY: it changes a number of the allocator's (mallopt(3)) and is called before other threads are started.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, HEAPS);
    }
}
