//! Measures the engine under many runs, on the disk of a given folder: `load runs FOLDER N`, `load live FOLDER N`,
//! `load steps FOLDER N`, `load gateway FOLDER N PROGRAM [LITELLM]`; one JSON object `{baseline, figures}` on standard output, progress on standard error.
//!
//! The real engine and the real store; the model is the scripted server in a process of its own (`load serve SCRIPT [TRANSCRIPT]`),
//! and who follows live runs is a guest in another (`load follow FOLDER N`), so that memory is the engine's alone.
//! Started by `cargo xtask bench runs`, `bench steps` and `bench gateway`.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod gateway;
mod live;
mod memory;
mod place;
#[path = "../../../src-tauri/crates/journal/examples/journal_bench/spread.rs"]
mod spread;
mod steps;
mod waiting;
mod wire;

use std::path::PathBuf;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [what, place, rest @ ..] = words.as_slice() else { panic!("what to do, and where") };
    memory::many_files();
    let folder = PathBuf::from(place);
    let count = || rest.first().map_or(100, |count| count.parse().expect("a number"));
    let told = match what.as_str() {
        "serve" => return place::serve(&folder, rest.first().map(PathBuf::from)).await,
        "follow" => live::follow(&folder, count()).await,
        "runs" => waiting::measure(&folder, count()).await,
        "live" => live::measure(&folder, count()).await,
        "steps" => steps::measure(&folder, count()).await,
        "gateway" => {
            let program = PathBuf::from(rest.get(1).expect("the program"));
            let plan = gateway::Plan { program, requests: count(), litellm: rest.get(2).map(PathBuf::from) };
            gateway::measure(&folder, &plan).await
        }
        other => panic!("`{other}` is not known here"),
    };
    println!("{told}");
}
