//! Stands before libc in a program under test: counts its calls by class, fails or kills at the n-th, records writes.
//!
//! Loaded with `LD_PRELOAD`, told by environment variables, and silent without them:
//! - `ATELIER_FAULT=class:n:what:once|on` fails the n-th call of a class (`any` for all), only that one or every one from
//!   there. `what` is an errno (`EIO` ...), `SHORT` (half of a write is done), `KILL` (the process ends before the call) or
//!   `KILLED` (after it). Classes are those of [`class::Class`].
//! - `ATELIER_FAULT_ROOT=folder` limits calls on files to those below the folder.
//! - `ATELIER_FAULT_COUNT=file` appends the counts when the process ends, as `class=n` words on one line, and the
//!   class and path of what was failed.
//! - `ATELIER_FAULT_ROOM=file` lets files below the folder grow by as many bytes as the file says, see `room`; without the
//!   file there is enough.
//! - `ATELIER_FAULT_SYNC=skip` syncs nothing and says that it did: a fast disk for kills, a lying one for power cuts.
//! - `ATELIER_FAULT_LOG=file` records every change below the folder with its data, see `record`.
//! - `ATELIER_FAULT_PEERS=file` appends each address that is connected or sent to, see `peers`.
//!
//! It sees libc's functions as the program, SQLite and libgit2 call them. It does not see system calls made without
//! libc, `vfork`, or what child processes do (a child before its `exec` passes through unseen).
//! Not part of the product; on other systems it is empty.
#![cfg(target_os = "linux")]
#![allow(
    unsafe_code,
    reason = "to take the place of a C function is unsafe by nature; nothing else here is, and no product links this"
)]
#![allow(missing_docs, clippy::missing_safety_doc, reason = "the exported functions are libc's own")]

mod class;
mod files;
mod peers;
mod plan;
mod processes;
mod real;
mod record;
mod room;
