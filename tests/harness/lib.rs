//! What scenarios share: a world of temporary folders with a scripted model, steady time and seeded ids.
//!
//! Nothing here touches the real home folder, a real model server or the network.

pub mod cli;
pub mod steady;
pub mod world;

pub use cli::Cli;
pub use world::World;
