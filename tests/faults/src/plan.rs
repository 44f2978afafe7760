//! What the environment asks for, read once when the library is loaded.

use crate::class::NAMES;
use std::ffi::{CStr, CString};
use std::sync::OnceLock;

pub struct Plan {
    pub fault: Option<Fault>,
    pub root: Option<Vec<u8>>,
    pub count: Option<CString>,
    pub log: Option<CString>,
    pub room: Option<CString>,
    pub peers: Option<CString>,
    pub skip_sync: bool,
    pid: libc::pid_t,
}

pub struct Fault {
    /// The place of the class in [`NAMES`]; `None` for any.
    pub class: Option<usize>,
    pub n: u64,
    pub what: What,
    /// Whether every call from there on fails.
    pub on: bool,
}

#[derive(Clone, Copy)]
pub enum What {
    Errno(i32),
    Short,
    Kill,
    Killed,
}

static PLAN: OnceLock<Option<Plan>> = OnceLock::new();

/// What is asked for; `None` where nothing is, and in a child before its `exec`.
pub fn current() -> Option<&'static Plan> {
    let plan = PLAN.get_or_init(read).as_ref()?;
    (plan.pid == unsafe { libc::getpid() }).then_some(plan)
}

fn read() -> Option<Plan> {
    let fault = variable(c"ATELIER_FAULT").map(|text| fault(&text.to_string_lossy()));
    let fault = match fault {
        Some(None) => {
            let said = c"ATELIER_FAULT must be class:n:what:once|on\n";
            unsafe { crate::real::write(2, said.as_ptr().cast(), said.count_bytes()) };
            unsafe { libc::_exit(97) }
        }
        other => other.flatten(),
    };
    let plan = Plan {
        fault,
        root: variable(c"ATELIER_FAULT_ROOT").map(CString::into_bytes),
        count: variable(c"ATELIER_FAULT_COUNT"),
        log: variable(c"ATELIER_FAULT_LOG"),
        room: variable(c"ATELIER_FAULT_ROOM"),
        peers: variable(c"ATELIER_FAULT_PEERS"),
        skip_sync: variable(c"ATELIER_FAULT_SYNC").is_some_and(|value| value.as_bytes() == b"skip"),
        pid: unsafe { libc::getpid() },
    };
    let asked = plan.fault.is_some() || plan.count.is_some() || plan.log.is_some();
    (asked || plan.room.is_some() || plan.peers.is_some() || plan.skip_sync).then_some(plan)
}

/// Not by the standard library: the environment is read before `main`.
fn variable(name: &CStr) -> Option<CString> {
    let value = unsafe { libc::getenv(name.as_ptr()) };
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_owned())
}

fn fault(text: &str) -> Option<Fault> {
    let [class, n, what, how] = text.split(':').collect::<Vec<_>>().try_into().ok()?;
    let class = match class {
        "any" => None,
        name => Some(NAMES.iter().position(|known| *known == name)?),
    };
    let on = match how {
        "once" => false,
        "on" => true,
        _ => return None,
    };
    Some(Fault { class, n: n.parse().ok()?, what: what_of(what)?, on })
}

fn what_of(name: &str) -> Option<What> {
    Some(What::Errno(match name {
        "EIO" => libc::EIO,
        "ENOSPC" => libc::ENOSPC,
        "EDQUOT" => libc::EDQUOT,
        "EACCES" => libc::EACCES,
        "EROFS" => libc::EROFS,
        "EINTR" => libc::EINTR,
        "EAGAIN" => libc::EAGAIN,
        "EMFILE" => libc::EMFILE,
        "ENFILE" => libc::ENFILE,
        "ENOMEM" => libc::ENOMEM,
        "EPIPE" => libc::EPIPE,
        "ECONNRESET" => libc::ECONNRESET,
        "ECONNREFUSED" => libc::ECONNREFUSED,
        "SHORT" => return Some(What::Short),
        "KILL" => return Some(What::Kill),
        "KILLED" => return Some(What::Killed),
        _ => return None,
    }))
}
