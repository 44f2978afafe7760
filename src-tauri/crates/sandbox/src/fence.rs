//! Confines a process with the kernel's own means: Landlock for files, seccomp for sockets.
//!
//! The rules are built before the process is forked; after the fork only system calls are made.
//! A kernel that knows fewer Landlock rights enforces those it knows. Without Landlock there is no fence at all.

use crate::reach::Reach;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The newest Landlock version whose rights were tried here.
const NEWEST: ABI = ABI::V7;

/// Devices every program may use.
const DEVICES: &[&str] =
    &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts"];

/// Rules ready to be put on a process.
pub(crate) struct Fence {
    files: OwnedFd,
    sockets: BpfProgram,
}

impl Fence {
    /// The rules for `reach`; an error says why this machine cannot enforce them.
    pub fn around(reach: &Reach) -> Result<Self, String> {
        let inside = |home: &PathBuf| reach.system.iter().filter(|open| home.starts_with(open)).cloned().collect();
        // Landlock's rules only add, so a machine-wide folder with the user's home in it is not opened at all.
        let closed: Vec<PathBuf> = reach.covered_home.as_ref().map(inside).unwrap_or_default();
        let system = reach.system.iter().filter(|open| !closed.contains(open));
        let readable = system.chain(&reach.read_only).map(PathBuf::as_path).chain([Path::new("/proc")]);
        let files = file_rules(readable, reach.writable.iter().map(PathBuf::as_path)).map_err(|e| e.to_string())?;
        let files: Option<OwnedFd> = files.into();
        let files = files.ok_or("this kernel has no Landlock")?;
        Ok(Self { files, sockets: socket_rules().map_err(|e| e.to_string())? })
    }

    /// Puts the rules on the calling thread, for good. Only makes system calls.
    pub fn close(&self) -> io::Result<()> {
        no_new_privileges()?;
        drop_capabilities()?;
        // SAFETY: a system call on a file descriptor that we own; it touches no memory of ours.
        #[expect(unsafe_code, reason = "the call that makes Landlock's rules binding, safe after a fork")]
        let done = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.files.as_raw_fd(), 0) };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        seccompiler::apply_filter(&self.sockets).map_err(|error| match error {
            seccompiler::Error::Prctl(cause) | seccompiler::Error::Seccomp(cause) => cause,
            _ => io::Error::from_raw_os_error(libc::EINVAL),
        })
    }
}

/// The process and its children can never gain privileges, by set-user-id programs or otherwise.
pub(crate) fn no_new_privileges() -> io::Result<()> {
    // SAFETY: takes plain numbers.
    #[expect(unsafe_code, reason = "prctl has no safe wrapper in the standard library")]
    let done = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Root's powers are not for commands: some of them lead around the rules, such as reading another process's memory.
fn drop_capabilities() -> io::Result<()> {
    /// The header and the data of capset(2), third version.
    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }
    let header = Header { version: 0x2008_0522, pid: 0 };
    let none = [0u32; 6]; // effective, permitted, inheritable; twice 32 bits each
    // SAFETY: system calls on numbers, and on two structures of this stack in the layout that the version asks for.
    #[expect(unsafe_code, reason = "the standard library does not know capabilities")]
    let done = unsafe {
        for capability in 0..64 {
            // Fails for those that do not exist, and for all when we are not privileged: then there is nothing to drop.
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr())
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn file_rules<'a>(
    readable: impl Iterator<Item = &'a Path>,
    writable: impl Iterator<Item = &'a Path>,
) -> Result<RulesetCreated, RulesetError> {
    let all = AccessFs::from_all(NEWEST);
    Ruleset::default()
        // The oldest rights must be there: without them this is no fence.
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(readable, AccessFs::from_read(NEWEST)))?
        .add_rules(path_beneath_rules(writable, all))?
        .add_rules(path_beneath_rules(DEVICES, device_rights()))
}

/// Reading, writing and terminal control, but no new files.
fn device_rights() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev
}

/// No sockets except pairs within the tree, and none of the calls that lead around these rules.
fn socket_rules() -> Result<BpfProgram, seccompiler::BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let refused = [
        libc::SYS_socket,
        // Makes sockets without the call above.
        libc::SYS_io_uring_setup,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        // Takes over sockets that other processes have open.
        libc::SYS_pidfd_getfd,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_open_by_handle_at,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_kexec_load,
        libc::SYS_reboot,
    ];
    let mut denied: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in refused {
        for number in numbers(call) {
            denied.insert(number, Vec::new());
        }
    }
    for flag in [libc::CLONE_NEWUSER, libc::CLONE_NEWNET, libc::CLONE_NEWNS] {
        let flag = u64::from(flag.cast_unsigned());
        let has_flag = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)?;
        for number in numbers(libc::SYS_clone) {
            denied.entry(number).or_default().push(SeccompRule::new(vec![has_flag.clone()])?);
        }
    }
    let forbidden = SeccompAction::Errno(libc::EACCES.cast_unsigned());
    SeccompFilter::new(denied, SeccompAction::Allow, forbidden, arch)?.try_into()
}

/// A call's numbers: on x86-64 a second interface offers most calls under another number.
fn numbers(call: i64) -> Vec<i64> {
    const X32: i64 = 0x4000_0000;
    if cfg!(target_arch = "x86_64") { vec![call, X32 | call] } else { vec![call] }
}

/// Tries whether the fence holds here: a short process closes it around itself and then looks over it.
pub(crate) fn works() -> Result<(), String> {
    const HOLDS: i32 = libc::EXDEV; // a number that neither forking nor the fence itself returns
    let (files, sockets) = (
        file_rules([Path::new("/usr")].into_iter(), std::iter::empty()).map_err(|e| e.to_string())?,
        socket_rules().map_err(|e| e.to_string())?,
    );
    let files: Option<OwnedFd> = files.into();
    let fence = Fence { files: files.ok_or("this kernel has no Landlock")?, sockets };
    let mut command = Command::new("/bin/sh");
    let look = move || {
        fence.close()?;
        let denied = |done: i32| done < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EACCES);
        // SAFETY: system calls on a constant string and plain numbers.
        #[expect(unsafe_code, reason = "only system calls are allowed between fork and exec")]
        let holds = unsafe {
            denied(libc::open(c"/".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY))
                && denied(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0))
        };
        Err(io::Error::from_raw_os_error(if holds { HOLDS } else { libc::EIO }))
    };
    // SAFETY: `look` makes system calls only and allocates nothing.
    #[expect(unsafe_code, reason = "the rules must be tried in a process of their own: they cannot be taken off")]
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(&mut command, look);
    }
    match command.spawn() {
        Err(error) if error.raw_os_error() == Some(HOLDS) => Ok(()),
        Err(error) => Err(format!("the kernel refuses: {error}")),
        Ok(mut child) => {
            let _ = child.kill();
            let _ = child.wait();
            Err("the trial process could not be stopped".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles_for_this_machine_and_names_the_ways_around() {
        assert!(socket_rules().unwrap().len() > 20);
        if cfg!(target_arch = "x86_64") {
            assert_eq!(numbers(libc::SYS_socket), [41, 0x4000_0029]);
        }
    }

    #[test]
    fn the_trial_agrees_with_what_the_kernel_says_of_itself() {
        // SAFETY: asks for the version: no structure is passed.
        #[expect(unsafe_code, reason = "the only way to ask the kernel directly")]
        let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) };
        assert_eq!(works().is_ok(), version >= 1, "version {version}, trial {:?}", works());
    }
}
