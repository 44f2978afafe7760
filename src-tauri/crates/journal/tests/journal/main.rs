//! The journal as the other rooms see it: real files, real sockets, real processes, in temporary folders.

// Everything in here is a test or serves one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod audit;
mod bench;
mod bounds;
mod doors;
mod history;
mod marks;
mod projections;
mod salvage;
mod subscriptions;
mod takeover;
