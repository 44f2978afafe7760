//! Processes and sockets: each call is met, then made.

use crate::class::{Class, Verdict, end, meet};
use crate::{peers, real};
use libc::{c_char, c_int, c_void, size_t, sockaddr, socklen_t, ssize_t};

pub(crate) fn fail(code: i32) -> c_int {
    unsafe { *libc::__errno_location() = code };
    -1
}

/// Makes a call that answers a number, unless it is to fail.
fn call(class: Class, make: impl FnOnce() -> c_int) -> c_int {
    match meet(class, || None) {
        Verdict::Fail(code) => fail(code),
        Verdict::Go | Verdict::Short => make(),
        Verdict::GoAndEnd => {
            make();
            end()
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fork() -> libc::pid_t {
    match meet(Class::Spawn, || None) {
        Verdict::Fail(code) => fail(code),
        Verdict::Go | Verdict::Short => unsafe { real::fork() },
        Verdict::GoAndEnd => match unsafe { real::fork() } {
            0 => 0,
            _ => end(),
        },
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn execve(
    path: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
) -> c_int {
    call(Class::Spawn, || unsafe { real::execve(path, arguments, environment) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn execvp(path: *const c_char, arguments: *const *const c_char) -> c_int {
    call(Class::Spawn, || unsafe { real::execvp(path, arguments) })
}

/// Unlike the others these two answer the errno itself.
fn spawn(make: impl FnOnce() -> c_int) -> c_int {
    match meet(Class::Spawn, || None) {
        Verdict::Fail(code) => code,
        Verdict::Go | Verdict::Short => make(),
        Verdict::GoAndEnd => {
            make();
            end()
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawn(
    pid: *mut libc::pid_t,
    path: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
) -> c_int {
    spawn(|| unsafe { real::posix_spawn(pid, path, actions, attributes, arguments, environment) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawnp(
    pid: *mut libc::pid_t,
    path: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
) -> c_int {
    spawn(|| unsafe { real::posix_spawnp(pid, path, actions, attributes, arguments, environment) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    call(Class::Socket, || unsafe { real::socket(domain, kind, protocol) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn socketpair(domain: c_int, kind: c_int, protocol: c_int, pair: *mut c_int) -> c_int {
    call(Class::Socket, || unsafe { real::socketpair(domain, kind, protocol, pair) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bind(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    call(Class::Socket, || unsafe { real::bind(fd, address, length) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn listen(fd: c_int, waiting: c_int) -> c_int {
    call(Class::Socket, || unsafe { real::listen(fd, waiting) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn connect(fd: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    peers::note("connect", address, length);
    call(Class::Socket, || unsafe { real::connect(fd, address, length) })
}

/// Not met: only whoever is asked for is noted. libc asks name servers by calls of its own that are not seen here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getaddrinfo(
    name: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    found: *mut *mut libc::addrinfo,
) -> c_int {
    peers::note_name(name);
    unsafe { real::getaddrinfo(name, service, hints, found) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn accept(fd: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int {
    call(Class::Socket, || unsafe { real::accept4(fd, address, length, 0) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn accept4(fd: c_int, address: *mut sockaddr, length: *mut socklen_t, flags: c_int) -> c_int {
    call(Class::Socket, || unsafe { real::accept4(fd, address, length, flags) })
}

/// Makes a call that sends `count` bytes.
pub(crate) fn sending(count: size_t, make: impl FnOnce(size_t) -> ssize_t) -> ssize_t {
    match meet(Class::Send, || None) {
        Verdict::Fail(code) => fail(code) as ssize_t,
        Verdict::Go => make(count),
        Verdict::Short => make(count.div_ceil(2)),
        Verdict::GoAndEnd => {
            make(count);
            end()
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn send(fd: c_int, bytes: *const c_void, count: size_t, flags: c_int) -> ssize_t {
    sending(count, |count| unsafe { real::send(fd, bytes, count, flags) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendto(
    fd: c_int,
    bytes: *const c_void,
    count: size_t,
    flags: c_int,
    address: *const sockaddr,
    length: socklen_t,
) -> ssize_t {
    peers::note("send", address, length);
    sending(count, |count| unsafe { real::sendto(fd, bytes, count, flags, address, length) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmsg(fd: c_int, message: *const libc::msghdr, flags: c_int) -> ssize_t {
    if let Some(message) = unsafe { message.as_ref() } {
        peers::note("send", message.msg_name.cast(), message.msg_namelen);
    }
    // A message is sent as a whole.
    sending(0, |_| unsafe { real::sendmsg(fd, message, flags) })
}
