//! The real window, driven by clicks and keys only through WebDriver, under a virtual display.
//!
//! Needs `ATELIER_APP`, the program to test; `cargo xtask test` builds it and sets it. Screenshots are kept in
//! `test-artefacts`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail loudly and say why they skip"
)]

mod families;
mod finding;
#[path = "../scenarios/git.rs"]
#[allow(dead_code, reason = "shared with the scenarios, which use all of it")]
mod git;
mod journeys;
mod leaving;
mod models;
mod network;
mod stacking;
mod trusting;
mod window;
