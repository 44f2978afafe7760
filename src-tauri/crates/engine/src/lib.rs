//! Roles, policy, flows, runs, approvals, effects and recovery.
//!
//! A door opens a [`Workshop`] and a [`Project`] in it, submits ops and follows frames. Whether this process
//! owns the project's store or is a guest of another that does makes no difference to the door.
//! A run is a fold of its events: what to do next is decided from the journal alone, so any owner can go on.

mod accept;
mod agent;
mod alarm;
mod allowance;
mod answer_edits;
mod answers;
mod asking;
mod attend;
mod budget;
mod bus;
pub mod checks;
mod choices;
mod cloud;
mod command;
mod compare;
mod consent;
mod declared;
mod deliver;
mod desk;
mod digest;
mod dormant;
mod elsewhere;
mod family;
pub mod files;
mod finding;
pub mod flow;
mod fork;
mod freshness;
mod gateway;
mod hands;
pub mod heap;
mod home;
mod hooks;
mod kept;
pub mod keys;
mod leaks;
mod ledger;
mod legal;
mod library;
mod licence;
mod loaded;
mod looking;
pub mod machine;
#[cfg(test)]
mod machine_tests;
mod mark;
mod meaning;
mod mend;
mod mind;
mod model_work;
mod network;
pub mod objects;
mod operations;
mod outgoing;
mod owner;
mod packed;
pub mod places;
pub mod policy;
mod probe;
mod processes;
mod project;
mod prompt;
mod push;
mod questions;
pub mod reader;
mod reads;
mod record;
mod records;
mod recover;
mod remarks;
mod replay;
mod results;
pub mod role;
mod room;
mod routing;
mod rulebook;
mod run;
mod scheduler;
mod seat;
mod servers;
mod settle;
mod setup;
mod shelf;
pub mod sources;
mod spending;
mod stack;
mod stall;
mod state;
mod summary;
mod supervisor;
mod tab;
mod take_back;
pub mod talk;
mod tools;
mod undo;
mod verify;
mod whole;
mod wish;
mod workshop;

pub use atelier_egress::{COMMANDS, host_of};
pub use network::declared_hosts;
/// What doors need to tell of models.
pub mod models {
    pub use atelier_models::route::unfit_words;
    pub use atelier_models::{PRESETS, Preset};
}

pub use answers::{Counts, Found as FoundAnswer, KeptView};
pub use desk::{Moment, Witness};
pub use gateway::{AUTO, Answering, Embedder, Waited, WaitingCall};
pub use mend::Idle;
pub use packed::Packed;
pub use places::Places;
pub use project::Project;
pub use seat::FrameStream;
pub use sources::Sources;
pub use whole::ImportedState;
pub use workshop::{Workshop, WorkshopOptions};
