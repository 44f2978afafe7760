//! Whom the program tries to reach: a line for each address that it names to the system, before the call is made, so
//! that an attempt whose failure nobody hears of counts like any other.

use crate::{plan, real};
use libc::{c_char, c_int, sockaddr, socklen_t};
use std::ffi::CStr;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Appends whom a call is for, such as `connect 127.0.0.1:11434` or `connect unix /run/x`.
pub(crate) fn note(call: &str, address: *const sockaddr, length: socklen_t) {
    if plan::current().is_some_and(|plan| plan.peers.is_some())
        && let Some(peer) = named(address, length)
    {
        append(&format!("{call} {peer}\n"));
    }
}

/// Appends a name that is looked up, such as `resolve example.org`.
pub(crate) fn note_name(name: *const c_char) {
    if !name.is_null() {
        append(&format!("resolve {}\n", unsafe { CStr::from_ptr(name) }.to_string_lossy()));
    }
}

fn append(line: &str) {
    let Some(file) = plan::current().and_then(|plan| plan.peers.as_ref()) else { return };
    unsafe {
        let code = *libc::__errno_location();
        let fd = real::open64(file.as_ptr(), libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC, 0o600);
        if fd >= 0 {
            real::write(fd, line.as_ptr().cast(), line.len());
            libc::close(fd);
        }
        *libc::__errno_location() = code;
    }
}

/// An address as a person reads it; `None` where there is none, as for bytes on a connection that is there already.
fn named(address: *const sockaddr, length: socklen_t) -> Option<String> {
    let length = length as usize;
    if address.is_null() || length < size_of::<libc::sa_family_t>() {
        return None;
    }
    let family = c_int::from(unsafe { (*address).sa_family });
    match family {
        libc::AF_INET if length >= size_of::<libc::sockaddr_in>() => {
            let address = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
            Some(SocketAddr::from((ip, u16::from_be(address.sin_port))).to_string())
        }
        libc::AF_INET6 if length >= size_of::<libc::sockaddr_in6>() => {
            let address = unsafe { address.cast::<libc::sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
            Some(SocketAddr::from((ip, u16::from_be(address.sin6_port))).to_string())
        }
        libc::AF_UNIX => {
            let path = crate::record::bytes(address.cast(), length).get(size_of::<libc::sa_family_t>()..)?;
            let path: Vec<u8> =
                path.iter().copied().skip_while(|byte| *byte == 0).take_while(|byte| *byte != 0).collect();
            Some(format!("unix {}", String::from_utf8_lossy(&path)))
        }
        family => Some(format!("family {family}")),
    }
}
