//! The door off the machine against real sockets: requests, programs behind the proxy, commands behind their way out.

#![allow(clippy::unwrap_used)] // a test says so by failing

mod ledger;
mod proxy;
mod requests;
mod way_out;
