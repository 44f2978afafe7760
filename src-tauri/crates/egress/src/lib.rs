//! The only door off the machine.
//!
//! [`Egress`] sends HTTP requests for every other room. In local-only mode a request to another machine fails before a
//! name is looked up or a socket opened; every request to another machine, let through or refused, is told to the ledger.
//! What is asked and answered is not read here.

mod place;
mod policy;
mod send;

pub use policy::{EgressPolicy, Record};
pub use send::Egress;
