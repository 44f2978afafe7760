//! The words of Atelier as plain data: ids, ops, events, views, errors, settings, ports.
//!
//! Every other crate speaks in these types, and the page's TypeScript is generated from them.
//! No I/O, no clock, no randomness: what a room needs from outside it takes through [`ports`].

mod again;
mod ask;
pub mod bindings;
mod bus;
mod call;
mod class;
mod consent;
pub mod context;
pub mod day;
mod delivery;
mod diff;
pub mod document;
mod effect;
mod egress;
mod envelope;
pub mod error;
pub mod event;
mod evidence;
mod fact;
mod fold;
#[cfg(test)]
mod fold_tests;
mod found;
mod frame;
pub mod hash;
pub mod ids;
mod library;
mod memory;
mod model_work;
pub mod mutant;
pub mod op;
pub mod ports;
mod project;
mod push;
mod reply;
mod results;
mod review;
mod routing;
mod served;
mod server;
pub mod settings;
mod stack;
mod state;
mod store;
mod undo;
pub mod upcast;
pub mod view;
pub mod yaml;

pub use error::{Code, ExitClass, Problem};
pub use event::{Class, Envelope, Event};
pub use hash::Hash;
pub use ids::{ApprovalId, CallId, ProjectId, RoleId, RunId, Seq, StepId, StoreId};
pub use op::{Op, Reply};
