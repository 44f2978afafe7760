//! Measures the engine under many runs, on the disk of a given folder: `load runs FOLDER N`, `load live FOLDER N`,
//! `load steps FOLDER N`; one JSON object `{baseline, figures}` on standard output, progress on standard error.
//!
//! The real engine and the real store; the model is the scripted server in a process of its own (`load serve SCRIPT`),
//! and who follows live runs is a guest in another (`load follow FOLDER N`), so that memory is the engine's alone.
//! Started by `cargo xtask bench runs` and `bench steps`.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod live;
mod memory;
mod place;
#[path = "../../../src-tauri/crates/journal/examples/bench/spread.rs"]
mod spread;
mod steps;
mod waiting;

use std::path::PathBuf;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [what, place, rest @ ..] = words.as_slice() else { panic!("what to do, and where") };
    memory::many_files();
    let folder = PathBuf::from(place);
    let count: usize = rest.first().map_or(100, |count| count.parse().expect("a number"));
    let told = match what.as_str() {
        "serve" => return place::serve(&folder).await,
        "follow" => live::follow(&folder, count).await,
        "runs" => waiting::measure(&folder, count).await,
        "live" => live::measure(&folder, count).await,
        "steps" => steps::measure(&folder, count).await,
        other => panic!("`{other}` is not known here"),
    };
    println!("{told}");
}
