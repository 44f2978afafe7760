//! Whole-house scenarios: the engine and the program on real repositories with a scripted model.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail loudly and say why they skip"
)]

mod answers;
mod bad_input;
mod batching;
mod bus;
mod carrying;
#[cfg(unix)]
mod committing;
mod comparing;
#[cfg(target_os = "linux")]
mod crash;
mod documents;
mod door;
mod fault_matrix;
#[cfg(target_os = "linux")]
mod faults;
mod finding;
mod flows;
mod forking;
#[cfg(target_os = "linux")]
mod full_disk;
mod git;
mod leaving;
mod limits;
mod main_job;
mod model_work;
mod models;
#[cfg(target_os = "linux")]
mod network;
#[cfg(unix)]
mod oracle;
mod ownership;
mod program;
#[cfg(target_os = "linux")]
mod reaching;
mod recording;
mod remembering;
mod repository;
mod scheduling;
mod secrets;
#[cfg(target_os = "linux")]
mod seeds;
mod serving;
mod sharing;
mod stacking;
mod store;
mod trusting;
mod unconfined;
mod undoing;
