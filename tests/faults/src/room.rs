//! A disk with room for so many bytes: what grows a file takes of it, what shortens or removes one gives back.
//!
//! The room is that of this process alone. Blocks and folders take none, so the disk is full a little later than a real one.

use crate::{plan, real, record};
use libc::{c_char, c_int, off64_t};
use std::sync::atomic::{AtomicI64, Ordering};

static TAKEN: AtomicI64 = AtomicI64::new(0);

/// Takes room for a file that shall reach to `end`; whether there was some.
pub fn take(fd: c_int, end: off64_t) -> bool {
    let Some(limit) = limit() else { return true };
    let grown = end - record::plain(fd).map_or(end, |found| found.st_size);
    if grown <= 0 {
        return true;
    }
    let fits = TAKEN.fetch_add(grown, Ordering::SeqCst) + grown <= limit;
    if !fits {
        TAKEN.fetch_sub(grown, Ordering::SeqCst);
    }
    fits
}

/// Gives room back.
pub fn give(bytes: off64_t) {
    TAKEN.fetch_sub(bytes, Ordering::SeqCst);
}

/// What a path gives back when it goes.
pub fn of_path(dir: c_int, path: *const c_char) -> off64_t {
    let ours = || record::absolute(dir, path).is_some_and(|path| record::below(&path));
    let limited = plan::current().is_some_and(|plan| plan.room.is_some());
    let found = if limited && ours() { record::stat_at(dir, path) } else { None };
    found.filter(|found| found.st_mode & libc::S_IFMT == libc::S_IFREG && found.st_nlink == 1).map_or(0, |f| f.st_size)
}

/// Where a write of `count` bytes ends.
pub fn end_of_write(fd: c_int, at: Option<off64_t>, count: usize) -> off64_t {
    let appends = unsafe { libc::fcntl(fd, libc::F_GETFL) } & libc::O_APPEND != 0;
    let from = match at {
        Some(at) => at,
        None if appends => record::stat(fd).map_or(0, |found| found.st_size),
        None => unsafe { libc::lseek64(fd, 0, libc::SEEK_CUR) },
    };
    from.saturating_add(off64_t::try_from(count).unwrap_or(off64_t::MAX))
}

/// How much room there is in all; without the file that says it there is enough.
fn limit() -> Option<i64> {
    let file = plan::current()?.room.as_ref()?;
    let fd = unsafe { real::open64(file.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC, 0) };
    if fd < 0 {
        return None;
    }
    let mut text = [0u8; 20];
    let length = unsafe { libc::read(fd, text.as_mut_ptr().cast(), text.len()) };
    unsafe { libc::close(fd) };
    std::str::from_utf8(text.get(..usize::try_from(length).ok()?)?).ok()?.trim().parse().ok()
}
