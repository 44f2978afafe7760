//! The only door off the machine.
//!
//! [`Egress`] sends HTTP requests for every other room. In local-only mode a request to another machine fails before a
//! name is looked up or a socket opened; else material of a project goes only where the user permitted it. Every request,
//! let through or refused, is told to the [`Ledger`]. What is asked and answered is not read here.

mod errand;
mod ledger;
mod pass;
mod place;
mod policy;
mod proxy;
mod request;
mod send;
mod tunnel;
mod way_out;

pub use errand::{Credential, Errand};
pub use ledger::{Forgetful, Ledger, Room};
pub use pass::{Pass, named_host};
pub use place::is_here;
pub use policy::{COMMANDS, EgressPolicy, host_of};
pub use proxy::{Proxy, Ticket};
pub use send::Egress;
pub use way_out::WayOut;
