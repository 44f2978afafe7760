//! The record of every change below a folder, from which a state after a power cut can be rebuilt.
//!
//! Each entry is `op, a, b, length of one, length of two` (u8, u64, u64, u32, u32, little-endian), then one and two. A file
//! or folder is named by its inode, which a new `C` gives to another; names are absolute paths.
//! - `C` path one was made: inode a, mode b; two is a symbolic link's target
//! - `W` file a, at offset b, was written with one; `T` file a was cut to b bytes; `M` a has mode b
//! - `S` file or folder a was synced; `A` everything was
//! - `R` path one became two; `L` path two is another name of one; `U` path one is gone
//! - `P` one was printed on standard output
//!
//! One entry at a time: what is recorded is the order in which the calls were made.

use crate::{plan, real};
use libc::{c_char, c_int, c_void};
use std::ffi::CStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

static LOG: Mutex<Log> = Mutex::new(Log { fd: -1, maps: Vec::new() });

pub struct Log {
    fd: c_int,
    /// Writable shared mappings of files: address, length, inode, offset.
    maps: Vec<(usize, usize, u64, u64)>,
}

/// The log, where one is kept. While it is held no other change is made.
pub fn open() -> Option<MutexGuard<'static, Log>> {
    let path = plan::current()?.log.as_ref()?;
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    if log.fd < 0 {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
        log.fd = unsafe { real::open64(path.as_ptr(), flags, 0o600) };
        if log.fd < 0 {
            unsafe { libc::abort() }
        }
    }
    Some(log)
}

pub fn close() {
    if let Some(mut log) = open() {
        log.unmapped(0, usize::MAX);
    }
}

impl Log {
    pub fn put(&self, op: u8, a: u64, b: u64, one: &[u8], two: &[u8]) {
        let mut entry = Vec::with_capacity(25 + one.len() + two.len());
        entry.push(op);
        entry.extend(a.to_le_bytes());
        entry.extend(b.to_le_bytes());
        entry.extend((one.len() as u32).to_le_bytes());
        entry.extend((two.len() as u32).to_le_bytes());
        entry.extend(one);
        entry.extend(two);
        let mut rest = entry.as_slice();
        while !rest.is_empty() {
            match unsafe { real::write(self.fd, rest.as_ptr().cast(), rest.len()) } {
                written if written > 0 => rest = &rest[written as usize..],
                // A gap in the record would make every later verdict worthless.
                _ => unsafe { libc::abort() },
            }
        }
    }

    pub fn wrote(&self, fd: c_int, at: u64, bytes: &[u8]) {
        if let Some(found) = plain(fd) {
            self.put(b'W', found.st_ino, at, bytes, b"");
        }
    }

    pub fn mapped(&mut self, address: usize, count: usize, fd: c_int, at: u64) {
        if let Some(found) = plain(fd) {
            // Beyond the file's end there is nothing to read.
            let there = usize::try_from((found.st_size as u64).saturating_sub(at)).unwrap_or(0);
            self.maps.push((address, count.min(there), found.st_ino, at));
        }
    }

    /// What was written through mappings within a range of addresses.
    pub fn map_synced(&self, address: usize, count: usize) {
        for &(start, length, inode, at) in &self.maps {
            if start >= address && start < address.saturating_add(count) {
                let bytes = unsafe { std::slice::from_raw_parts(start as *const u8, length) };
                self.put(b'W', inode, at, bytes, b"");
            }
        }
    }

    pub fn unmapped(&mut self, address: usize, count: usize) {
        self.map_synced(address, count);
        self.maps.retain(|(start, ..)| !(*start >= address && *start < address.saturating_add(count)));
    }
}

/// An open plain file that counts.
pub fn plain(fd: c_int) -> Option<libc::stat64> {
    let found = stat(fd)?;
    (found.st_mode & libc::S_IFMT == libc::S_IFREG && below(&path_of(fd)?)).then_some(found)
}

pub fn stat(fd: c_int) -> Option<libc::stat64> {
    let mut found = std::mem::MaybeUninit::uninit();
    (unsafe { libc::fstat64(fd, found.as_mut_ptr()) } == 0).then(|| unsafe { found.assume_init() })
}

pub fn stat_at(dir: c_int, path: *const c_char) -> Option<libc::stat64> {
    let mut found = std::mem::MaybeUninit::uninit();
    let done = unsafe { libc::fstatat64(dir, path, found.as_mut_ptr(), libc::AT_SYMLINK_NOFOLLOW) };
    (done == 0).then(|| unsafe { found.assume_init() })
}

/// Whether a path is one that counts.
pub fn below(path: &[u8]) -> bool {
    let Some(plan) = plan::current() else { return false };
    plan.root.as_ref().is_none_or(|root| {
        path.strip_prefix(root.as_slice()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    })
}

/// Where an open file is.
pub fn path_of(fd: c_int) -> Option<Vec<u8>> {
    let link = format!("/proc/self/fd/{fd}\0");
    let mut bytes = vec![0u8; 4096];
    let length = unsafe { libc::readlink(link.as_ptr().cast(), bytes.as_mut_ptr().cast::<c_char>(), bytes.len()) };
    bytes.truncate(usize::try_from(length).ok()?);
    Some(bytes)
}

/// A path from the top.
pub fn absolute(dir: c_int, path: *const c_char) -> Option<Vec<u8>> {
    if path.is_null() {
        return None;
    }
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    if path.starts_with(b"/") {
        return Some(path.to_vec());
    }
    let mut whole = if dir == libc::AT_FDCWD {
        let mut bytes = vec![0u8; 4096];
        if unsafe { libc::getcwd(bytes.as_mut_ptr().cast(), bytes.len()) }.is_null() {
            return None;
        }
        bytes.truncate(bytes.iter().position(|byte| *byte == 0)?);
        bytes
    } else {
        path_of(dir)?
    };
    whole.push(b'/');
    whole.extend(path);
    Some(whole)
}

pub fn bytes<'a>(from: *const c_void, count: usize) -> &'a [u8] {
    unsafe { std::slice::from_raw_parts(from.cast(), count) }
}
