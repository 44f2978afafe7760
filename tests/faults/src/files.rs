//! Files: each call that changes something is met, made and, where a record is kept, recorded.

use crate::class::{Class, Verdict, end, meet};
use crate::plan;
use crate::processes::{fail, sending};
use crate::real;
use crate::record::{self, absolute, below, bytes, path_of};
use crate::room;
use libc::{AT_FDCWD, c_char, c_int, c_uint, c_void, iovec, mode_t, off64_t, size_t, ssize_t};

/// Makes a call, and tells the record of it where it succeeded. Nothing else is recorded in between.
fn made<T: Copy>(
    make: impl FnOnce() -> T,
    succeeded: impl FnOnce(T) -> bool,
    tell: impl FnOnce(&mut record::Log, T),
) -> T {
    let mut log = record::open();
    let result = make();
    if let Some(log) = log.as_deref_mut()
        && succeeded(result)
    {
        let code = unsafe { *libc::__errno_location() };
        tell(log, result);
        unsafe { *libc::__errno_location() = code };
    }
    result
}

/// Meets and makes a call that names a path and answers 0, a descriptor, or -1.
fn on_path(
    class: Class,
    path: Option<Vec<u8>>,
    make: impl FnOnce() -> c_int,
    tell: impl FnOnce(&mut record::Log, &[u8], c_int),
) -> c_int {
    let Some(path) = path.filter(|path| plan::current().is_some() && below(path)) else { return make() };
    let made = |make| made(make, |result| result >= 0, |log, result| tell(log, &path, result));
    match meet(class, || Some(path.clone())) {
        Verdict::Fail(code) => fail(code),
        Verdict::Go | Verdict::Short => made(make),
        Verdict::GoAndEnd => {
            make();
            end()
        }
    }
}

/// Meets and makes a call on an open file.
fn on_file<T>(class: Class, fd: c_int, failed: impl FnOnce(i32) -> T, make: impl FnOnce() -> T) -> T {
    let ours = plan::current().is_some() && path_of(fd).is_some_and(|path| below(&path));
    if !ours {
        return make();
    }
    match meet(class, || path_of(fd)) {
        Verdict::Fail(code) => failed(code),
        Verdict::Go | Verdict::Short => make(),
        Verdict::GoAndEnd => {
            make();
            end()
        }
    }
}

// Opening.

fn open_at(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let make = || unsafe { real::openat64(dir, path, flags, mode) };
    let writes = flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_CREAT != 0;
    if !writes {
        return make();
    }
    let given = if flags & libc::O_TRUNC != 0 { room::of_path(dir, path) } else { 0 };
    let was_there = record::open().is_some().then(|| record::stat_at(dir, path).is_some());
    let opened = on_path(Class::Open, absolute(dir, path), make, |log, path, fd| {
        let Some(found) = record::stat(fd) else { return };
        if was_there == Some(false) && flags & libc::O_CREAT != 0 {
            log.put(b'C', found.st_ino, found.st_mode.into(), path, b"");
        } else if flags & libc::O_TRUNC != 0 {
            log.put(b'T', found.st_ino, 0, b"", b"");
        }
    });
    if opened >= 0 {
        room::give(given);
    }
    opened
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    open_at(AT_FDCWD, path, flags, mode)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    open_at(AT_FDCWD, path, flags, mode)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    open_at(dir, path, flags, mode)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    open_at(dir, path, flags, mode)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn creat(path: *const c_char, mode: mode_t) -> c_int {
    open_at(AT_FDCWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn creat64(path: *const c_char, mode: mode_t) -> c_int {
    open_at(AT_FDCWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode)
}

// Writing.

/// Meets and makes a write of `count` bytes that `gather` gives; `at` is the place, or where the file stands.
fn writing(
    fd: c_int,
    count: size_t,
    at: Option<off64_t>,
    gather: impl Fn() -> Vec<u8>,
    make: impl FnOnce(size_t) -> ssize_t,
) -> ssize_t {
    if plan::current().is_none() {
        return make(count);
    }
    let told = |count| {
        made(
            || make(count),
            |written| written > 0,
            |log, written| {
                let whole = gather();
                let done = &whole[..(written as usize).min(whole.len())];
                if fd == 1 {
                    return log.put(b'P', 0, 0, done, b"");
                }
                let at = at.unwrap_or_else(|| unsafe { libc::lseek64(fd, 0, libc::SEEK_CUR) } - written as off64_t);
                log.wrote(fd, at as u64, done);
            },
        )
    };
    let kind = record::stat(fd).map(|found| found.st_mode & libc::S_IFMT);
    if kind == Some(libc::S_IFSOCK) {
        return sending(count, told);
    }
    if kind != Some(libc::S_IFREG) || !path_of(fd).is_some_and(|path| below(&path)) {
        return told(count);
    }
    match meet(Class::Write, || path_of(fd)) {
        Verdict::Fail(code) => fail(code) as ssize_t,
        Verdict::Go if !room::take(fd, room::end_of_write(fd, at, count)) => fail(libc::ENOSPC) as ssize_t,
        Verdict::Go => told(count),
        Verdict::Short => told(count.div_ceil(2)),
        Verdict::GoAndEnd => {
            told(count);
            end()
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, from: *const c_void, count: size_t) -> ssize_t {
    writing(fd, count, None, || bytes(from, count).to_vec(), |count| unsafe { real::write(fd, from, count) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(fd: c_int, from: *const c_void, count: size_t, at: off64_t) -> ssize_t {
    unsafe { pwrite64(fd, from, count, at) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(fd: c_int, from: *const c_void, count: size_t, at: off64_t) -> ssize_t {
    let make = |count| unsafe { real::pwrite64(fd, from, count, at) };
    writing(fd, count, Some(at), || bytes(from, count).to_vec(), make)
}

fn gathered(parts: *const iovec, count: c_int) -> Vec<u8> {
    let parts = unsafe { std::slice::from_raw_parts(parts, count as usize) };
    parts.iter().flat_map(|part| bytes(part.iov_base, part.iov_len)).copied().collect()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    let whole = if count > 0 { gathered(parts, count).len() } else { 0 };
    writing(
        fd,
        whole,
        None,
        || gathered(parts, count),
        |wanted| {
            if wanted == whole {
                return unsafe { real::writev(fd, parts, count) };
            }
            let all = gathered(parts, count);
            unsafe { real::write(fd, all.as_ptr().cast(), wanted) }
        },
    )
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev64(fd: c_int, parts: *const iovec, count: c_int, at: off64_t) -> ssize_t {
    let whole = if count > 0 { gathered(parts, count).len() } else { 0 };
    let make = |_| unsafe { real::pwritev64(fd, parts, count, at) };
    writing(fd, whole, Some(at), || gathered(parts, count), make)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwritev(fd: c_int, parts: *const iovec, count: c_int, at: off64_t) -> ssize_t {
    unsafe { pwritev64(fd, parts, count, at) }
}

/// While a record is kept or faults are asked for, data goes the way that is seen.
fn by_hand() -> bool {
    plan::current().is_some()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_at: *mut off64_t,
    to: c_int,
    to_at: *mut off64_t,
    count: size_t,
    flags: c_uint,
) -> ssize_t {
    if by_hand() {
        return fail(libc::ENOSYS) as ssize_t;
    }
    unsafe { real::copy_file_range(from, from_at, to, to_at, count, flags) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendfile64(to: c_int, from: c_int, at: *mut off64_t, count: size_t) -> ssize_t {
    if by_hand() {
        return fail(libc::EINVAL) as ssize_t;
    }
    unsafe { real::sendfile64(to, from, at, count) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendfile(to: c_int, from: c_int, at: *mut off64_t, count: size_t) -> ssize_t {
    unsafe { sendfile64(to, from, at, count) }
}

// Syncing.

fn syncing(fd: c_int, make: impl FnOnce() -> c_int) -> c_int {
    on_file(Class::Sync, fd, fail, || {
        if plan::current().is_some_and(|plan| plan.skip_sync) {
            return 0;
        }
        made(
            make,
            |done| done == 0,
            |log, _| {
                if let Some(found) = record::stat(fd) {
                    log.put(b'S', found.st_ino, 0, b"", b"");
                }
            },
        )
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    syncing(fd, || unsafe { real::fsync(fd) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    syncing(fd, || unsafe { real::fdatasync(fd) })
}

/// Promises nothing about names and sizes, so nothing is recorded as synced.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sync_file_range(fd: c_int, at: off64_t, count: off64_t, flags: c_uint) -> c_int {
    on_file(Class::Sync, fd, fail, || unsafe { real::sync_file_range(fd, at, count, flags) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn syncfs(fd: c_int) -> c_int {
    on_file(Class::Sync, fd, fail, || {
        made(|| unsafe { real::syncfs(fd) }, |done| done == 0, |log, _| log.put(b'A', 0, 0, b"", b""))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn msync(address: *mut c_void, count: size_t, flags: c_int) -> c_int {
    let tell = |log: &mut record::Log, _| log.map_synced(address as usize, count);
    made(|| unsafe { real::msync(address, count, flags) }, |done| done == 0, tell)
}

// Names.

#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat2(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
    flags: c_uint,
) -> c_int {
    let make = || unsafe { real::renameat2(from_dir, from, to_dir, to, flags) };
    let given = room::of_path(to_dir, to);
    let done = on_path(Class::Rename, absolute(to_dir, to), make, |log, to, _| {
        log.put(b'R', 0, 0, &absolute(from_dir, from).unwrap_or_default(), to);
    });
    if done == 0 {
        room::give(given);
    }
    done
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn renameat(from_dir: c_int, from: *const c_char, to_dir: c_int, to: *const c_char) -> c_int {
    unsafe { renameat2(from_dir, from, to_dir, to, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    unsafe { renameat2(AT_FDCWD, from, AT_FDCWD, to, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn linkat(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
    flags: c_int,
) -> c_int {
    let make = || unsafe { real::linkat(from_dir, from, to_dir, to, flags) };
    on_path(Class::Link, absolute(to_dir, to), make, |log, to, _| {
        log.put(b'L', 0, 0, &absolute(from_dir, from).unwrap_or_default(), to);
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn link(from: *const c_char, to: *const c_char) -> c_int {
    unsafe { linkat(AT_FDCWD, from, AT_FDCWD, to, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn symlinkat(target: *const c_char, dir: c_int, path: *const c_char) -> c_int {
    on_path(
        Class::Link,
        absolute(dir, path),
        || unsafe { real::symlinkat(target, dir, path) },
        |log, whole, _| {
            let Some(found) = record::stat_at(dir, path) else { return };
            let target = unsafe { std::ffi::CStr::from_ptr(target) }.to_bytes();
            log.put(b'C', found.st_ino, found.st_mode.into(), whole, target);
        },
    )
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn symlink(target: *const c_char, path: *const c_char) -> c_int {
    unsafe { symlinkat(target, AT_FDCWD, path) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlinkat(dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    let make = || unsafe { real::unlinkat(dir, path, flags) };
    let given = room::of_path(dir, path);
    let done = on_path(Class::Link, absolute(dir, path), make, |log, path, _| log.put(b'U', 0, 0, path, b""));
    if done == 0 {
        room::give(given);
    }
    done
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    unsafe { unlinkat(AT_FDCWD, path, 0) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    unsafe { unlinkat(AT_FDCWD, path, libc::AT_REMOVEDIR) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdirat(dir: c_int, path: *const c_char, mode: mode_t) -> c_int {
    on_path(
        Class::Mkdir,
        absolute(dir, path),
        || unsafe { real::mkdirat(dir, path, mode) },
        |log, whole, _| {
            if let Some(found) = record::stat_at(dir, path) {
                log.put(b'C', found.st_ino, found.st_mode.into(), whole, b"");
            }
        },
    )
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    unsafe { mkdirat(AT_FDCWD, path, mode) }
}

fn mode_told(log: &mut record::Log, found: Option<libc::stat64>) {
    if let Some(found) = found {
        log.put(b'M', found.st_ino, found.st_mode.into(), b"", b"");
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn chmod(path: *const c_char, mode: mode_t) -> c_int {
    let ours = absolute(AT_FDCWD, path).is_some_and(|path| below(&path));
    made(
        || unsafe { real::chmod(path, mode) },
        |done| done == 0 && ours,
        |log, _| {
            mode_told(log, record::stat_at(AT_FDCWD, path));
        },
    )
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fchmod(fd: c_int, mode: mode_t) -> c_int {
    made(|| unsafe { real::fchmod(fd, mode) }, |done| done == 0, |log, _| mode_told(log, record::plain(fd)))
}

// Lengths.

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate64(fd: c_int, length: off64_t) -> c_int {
    on_file(Class::Truncate, fd, fail, || {
        let cut = record::plain(fd).map_or(0, |found| (found.st_size - length).max(0));
        room::give(cut);
        made(
            || unsafe { real::ftruncate64(fd, length) },
            |done| done == 0,
            |log, _| {
                if let Some(found) = record::plain(fd) {
                    log.put(b'T', found.st_ino, length as u64, b"", b"");
                }
            },
        )
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate(fd: c_int, length: off64_t) -> c_int {
    unsafe { ftruncate64(fd, length) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn truncate64(path: *const c_char, length: off64_t) -> c_int {
    let make = || unsafe { real::truncate64(path, length) };
    on_path(Class::Truncate, absolute(AT_FDCWD, path), make, |log, _, _| {
        if let Some(found) = record::stat_at(AT_FDCWD, path) {
            log.put(b'T', found.st_ino, length as u64, b"", b"");
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn truncate(path: *const c_char, length: off64_t) -> c_int {
    unsafe { truncate64(path, length) }
}

fn allocated(fd: c_int, at: off64_t, count: off64_t) -> impl FnOnce(&mut record::Log, c_int) {
    move |log, _| {
        // Longer by zeroes, as a cut to the new length would make it; never shorter.
        if let Some(found) = record::plain(fd)
            && found.st_size <= at + count
        {
            log.put(b'T', found.st_ino, found.st_size as u64, b"", b"");
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fallocate64(fd: c_int, mode: c_int, at: off64_t, count: off64_t) -> c_int {
    on_file(Class::Allocate, fd, fail, || {
        if mode == 0 && !room::take(fd, at.saturating_add(count)) {
            return fail(libc::ENOSPC);
        }
        made(|| unsafe { real::fallocate64(fd, mode, at, count) }, |done| done == 0, allocated(fd, at, count))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fallocate(fd: c_int, mode: c_int, at: off64_t, count: off64_t) -> c_int {
    unsafe { fallocate64(fd, mode, at, count) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_fallocate64(fd: c_int, at: off64_t, count: off64_t) -> c_int {
    on_file(
        Class::Allocate,
        fd,
        |code| code,
        || match room::take(fd, at.saturating_add(count)) {
            true => {
                made(|| unsafe { real::posix_fallocate64(fd, at, count) }, |done| done == 0, allocated(fd, at, count))
            }
            false => libc::ENOSPC,
        },
    )
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_fallocate(fd: c_int, at: off64_t, count: off64_t) -> c_int {
    unsafe { posix_fallocate64(fd, at, count) }
}

// Mappings.

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap64(
    address: *mut c_void,
    count: size_t,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    at: off64_t,
) -> *mut c_void {
    let make = || unsafe { real::mmap64(address, count, protection, flags, fd, at) };
    let writes = fd >= 0 && flags & libc::MAP_SHARED != 0 && protection & libc::PROT_WRITE != 0;
    if !writes {
        return make();
    }
    let failed = |code| {
        fail(code);
        libc::MAP_FAILED
    };
    on_file(Class::Map, fd, failed, || {
        made(
            make,
            |place| place != libc::MAP_FAILED,
            |log, place| {
                log.mapped(place as usize, count, fd, at as u64);
            },
        )
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn mmap(
    address: *mut c_void,
    count: size_t,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    at: off64_t,
) -> *mut c_void {
    unsafe { mmap64(address, count, protection, flags, fd, at) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn munmap(address: *mut c_void, count: size_t) -> c_int {
    if let Some(mut log) = record::open() {
        log.unmapped(address as usize, count);
    }
    unsafe { real::munmap(address, count) }
}
