//! What scenarios share: a world of temporary folders with a scripted model, steady time and seeded ids; and the
//! campaigns that kill a process, fail its calls and cut its power.
//!
//! Nothing here touches the real home folder, a real model server or the network.

pub mod cli;
pub mod door;
pub mod gguf;
pub mod job;
pub mod oracle;
pub mod playbook;
pub mod real;
pub mod steady;
#[cfg(target_os = "linux")]
pub mod toll;
pub mod victim;
pub mod world;

pub use cli::Cli;
pub use door::Door;
pub use world::World;
