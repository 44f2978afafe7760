//! The words of Atelier as plain data: ids, ops, events, views, errors, settings, ports.
//!
//! Every other crate speaks in these types, and the page's TypeScript is generated from them.
//! No I/O, no clock, no randomness: what a room needs from outside it takes through [`ports`].

mod again;
pub mod bindings;
mod bus;
mod class;
mod consent;
pub mod context;
pub mod day;
pub mod document;
mod effect;
mod egress;
pub mod error;
pub mod event;
mod fact;
mod fold;
#[cfg(test)]
mod fold_tests;
mod found;
mod frame;
pub mod hash;
pub mod ids;
mod memory;
mod model_work;
pub mod mutant;
pub mod op;
pub mod ports;
mod push;
mod results;
mod review;
mod routing;
mod served;
pub mod settings;
mod stack;
mod state;
mod undo;
pub mod upcast;
pub mod view;
pub mod yaml;

pub use error::{Code, ExitClass, Problem};
pub use event::{Class, Envelope, Event};
pub use hash::Hash;
pub use ids::{ApprovalId, CallId, ProjectId, RoleId, RunId, Seq, StepId, StoreId};
pub use op::{Op, Reply};
