//! libc's own functions, found behind ours.

use libc::{c_char, c_int, c_void, iovec, mode_t, off64_t, size_t, ssize_t};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Declares functions of this module that call the next of their name.
macro_rules! behind {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {$(
        pub unsafe fn $name($($argument: $type),*) -> $result {
            static ADDRESS: AtomicUsize = AtomicUsize::new(0);
            let mut address = ADDRESS.load(Ordering::Relaxed);
            if address == 0 {
                let name = concat!(stringify!($name), "\0");
                address = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr().cast()) } as usize;
                if address == 0 {
                    unsafe { libc::abort() }
                }
                ADDRESS.store(address, Ordering::Relaxed);
            }
            let next: unsafe extern "C" fn($($type),*) -> $result = unsafe { std::mem::transmute(address) };
            unsafe { next($($argument),*) }
        }
    )*};
}

behind! {
    open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    write(fd: c_int, bytes: *const c_void, count: size_t) -> ssize_t;
    pwrite64(fd: c_int, bytes: *const c_void, count: size_t, at: off64_t) -> ssize_t;
    writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t;
    pwritev64(fd: c_int, parts: *const iovec, count: c_int, at: off64_t) -> ssize_t;
    copy_file_range(from: c_int, from_at: *mut off64_t, to: c_int, to_at: *mut off64_t, count: size_t, flags: libc::c_uint) -> ssize_t;
    sendfile64(to: c_int, from: c_int, at: *mut off64_t, count: size_t) -> ssize_t;
    fsync(fd: c_int) -> c_int;
    fdatasync(fd: c_int) -> c_int;
    sync_file_range(fd: c_int, at: off64_t, count: off64_t, flags: libc::c_uint) -> c_int;
    syncfs(fd: c_int) -> c_int;
    msync(address: *mut c_void, count: size_t, flags: c_int) -> c_int;
    renameat2(from_dir: c_int, from: *const c_char, to_dir: c_int, to: *const c_char, flags: libc::c_uint) -> c_int;
    linkat(from_dir: c_int, from: *const c_char, to_dir: c_int, to: *const c_char, flags: c_int) -> c_int;
    symlinkat(target: *const c_char, dir: c_int, path: *const c_char) -> c_int;
    unlinkat(dir: c_int, path: *const c_char, flags: c_int) -> c_int;
    mkdirat(dir: c_int, path: *const c_char, mode: mode_t) -> c_int;
    ftruncate64(fd: c_int, length: off64_t) -> c_int;
    truncate64(path: *const c_char, length: off64_t) -> c_int;
    fallocate64(fd: c_int, mode: c_int, at: off64_t, count: off64_t) -> c_int;
    posix_fallocate64(fd: c_int, at: off64_t, count: off64_t) -> c_int;
    fchmod(fd: c_int, mode: mode_t) -> c_int;
    chmod(path: *const c_char, mode: mode_t) -> c_int;
    mmap64(address: *mut c_void, count: size_t, protection: c_int, flags: c_int, fd: c_int, at: off64_t) -> *mut c_void;
    munmap(address: *mut c_void, count: size_t) -> c_int;
    fork() -> libc::pid_t;
    execve(path: *const c_char, arguments: *const *const c_char, environment: *const *const c_char) -> c_int;
    execvp(path: *const c_char, arguments: *const *const c_char) -> c_int;
    posix_spawn(pid: *mut libc::pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void, arguments: *const *mut c_char, environment: *const *mut c_char) -> c_int;
    posix_spawnp(pid: *mut libc::pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void, arguments: *const *mut c_char, environment: *const *mut c_char) -> c_int;
    socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    socketpair(domain: c_int, kind: c_int, protocol: c_int, pair: *mut c_int) -> c_int;
    bind(fd: c_int, address: *const libc::sockaddr, length: libc::socklen_t) -> c_int;
    listen(fd: c_int, waiting: c_int) -> c_int;
    connect(fd: c_int, address: *const libc::sockaddr, length: libc::socklen_t) -> c_int;
    getaddrinfo(name: *const c_char, service: *const c_char, hints: *const libc::addrinfo, found: *mut *mut libc::addrinfo) -> c_int;
    accept4(fd: c_int, address: *mut libc::sockaddr, length: *mut libc::socklen_t, flags: c_int) -> c_int;
    send(fd: c_int, bytes: *const c_void, count: size_t, flags: c_int) -> ssize_t;
    sendto(fd: c_int, bytes: *const c_void, count: size_t, flags: c_int, address: *const libc::sockaddr, length: libc::socklen_t) -> ssize_t;
    sendmsg(fd: c_int, message: *const libc::msghdr, flags: c_int) -> ssize_t;
}
