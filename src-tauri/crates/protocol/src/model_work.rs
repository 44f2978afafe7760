//! Long work on a model that goes on in the background: fetching it, measuring it.

use crate::error::Problem;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ModelTask {
    /// Its files are fetched. Given up, it goes on where it was.
    Pull,
    /// It is measured on this machine.
    Probe,
}

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum ModelWorkState {
    /// It goes on.
    Running,
    /// It is done.
    Done,
    /// The user stopped it.
    Stopped,
    /// The program ended before it was done.
    Interrupted,
    /// It failed.
    Failed {
        /// Why, and what to do.
        problem: Problem,
    },
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ModelWork {
    /// Its number in this process.
    pub id: u32,
    /// What is done.
    pub task: ModelTask,
    /// The server.
    pub provider: String,
    /// The model's name there.
    pub model: String,
    /// How much is done: bytes of a pull, parts of a measuring.
    pub done: u64,
    /// Of how much; 0 while that is not known.
    pub of: u64,
    /// What goes on at the moment, in a few words.
    pub what: String,
    /// How it stands.
    pub state: ModelWorkState,
}
