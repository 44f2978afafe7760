//! Measures, and writes what was measured with the machine and the commit it was measured on.

mod build;
mod edits;
mod journal;
mod memory;
pub mod record;
mod size;
mod table;
mod window;

use crate::args::Args;
use crate::run::Failure;

pub const HELP: &str = "\
cargo xtask bench NAME [RUNS]

  window   time from starting the program to a usable window, and the same for an empty window   (default 7 runs)
  memory   memory of the idle window with all its processes, and of an empty window               (default 3 runs)
  build    time of a cold build of the command line program and of the window
  journal  appends, resuming, opening and projecting a history, beside a bare fsync; RUNS is the events of the large
           store                                                                (default 1000000)
  size     sizes of the release programs
  edits    real commits replayed through every edit format: exact, refused, wrong; the same under noise
           `bench edits --repo DIR --commits N` (several folders: this repository and 200 where none is said);
           --debug takes the debug program, --built takes it as it is; ATELIER_BENCH_SHOW=1 prints each wrong or needlessly refused case
  table    puts the figures of target/bench/*.json into src-tauri/ARCHITECTURE.md

Each writes target/bench/NAME.json: commit, machine, baseline, figures. `window` and `memory` build release programs
first and use a virtual display where there is none.
";
/// Set on ourselves when we run below a virtual display that we started.
const INSIDE: &str = "--inside-display";
pub const FLAGS: &[&str] = &[INSIDE, "--repo", "--commits", "--debug", "--built"];

pub fn main(args: &Args) -> Result<(), Failure> {
    let name = args.words.first().map_or("", String::as_str);
    let runs = |default: usize| match args.words.get(1).map(|word| word.parse::<usize>()) {
        None => Ok(default),
        Some(Ok(runs)) if (1..=1000).contains(&runs) => Ok(runs),
        Some(_) => Err(Failure::Usage("RUNS is a number from 1 to 1000".to_owned())),
    };
    match name {
        "window" => window::main(runs(7)?, args.has(INSIDE)),
        "memory" => memory::main(runs(3)?, args.has(INSIDE)),
        "build" => build::main(),
        "journal" => journal::main(match args.words.get(1).map(|word| word.parse()) {
            None => 1_000_000,
            Some(Ok(events)) if (1_000..=100_000_000).contains(&events) => events,
            Some(_) => return Err(Failure::Usage("the number of events is from 1000 to 100000000".to_owned())),
        }),
        "size" => size::main(),
        "edits" => edits::main(args.words.get(1..).unwrap_or_default(), !args.has("--debug"), args.has("--built")),
        "table" => table::main(),
        _ => Err(Failure::Usage(
            "say what to measure: window, memory, build, journal, size or edits; or table".to_owned(),
        )),
    }
}
