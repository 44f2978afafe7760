//! Measures, and writes what was measured with the machine and the commit it was measured on.

mod bm25;
mod build;
mod crash;
mod edits;
mod gateway;
mod goals;
mod journal;
mod localise;
mod memory;
mod oracle;
pub mod record;
mod repo;
mod runs;
mod search;
mod size;
mod table;
mod turn;
mod window;

use crate::args::Args;
use crate::run::{self, Failure};
use crate::workspace;

pub const HELP: &str = "\
cargo xtask bench NAME [RUNS]

  window   time from starting the program to a usable window, and the same for an empty window   (default 7 runs)
  memory   memory of the idle window with all its processes, and of an empty window               (default 3 runs)
  build    time of a cold build of the command line program and of the window
  journal  appends, resuming, opening and projecting a history, beside a bare fsync; RUNS is the events of the large
           store                                                                (default 1000000)
  size     sizes of the release programs
  edits    real commits replayed through every edit format: exact, refused, wrong; the same under noise; a sample beside
           the appliers of Aider and Codex, where those are on the PATH
           `bench edits --repo DIR --commits N` (several folders: this repository and 200 where none is said);
           --debug takes the debug program; ATELIER_BENCH_SHOW=1 prints each wrong or needlessly refused case
  crash    kills, failed calls and power cuts, and what was lost, repeated, orphaned or wrong after them (Linux)
             --kills N (at every event, around every append, then where the seed says; default 3000)  --seed S (default 1)
             --nth (every n-th call of each class fails)  --each K (only K of each class and way)
             --power N (cuts)  --full N (disks with room for a part of the job)
             --mutants (each rule broken in turn: what is not noticed is the finding)
  runs     many open runs: all complete, peak memory, bytes a stored event, beside those of `bench journal`
             --n N (default 10000)  --live (live runs that a guest follows, default 1000)  --debug (the debug program)
  steps    what the engine adds to a step without a model, beside a bare fsync      --n N (questions, default 200)
             (both on the disk of the temporary folder; TMPDIR says another)
  gateway  what `atelier serve` adds to a call, beside direct calls to the same scripted server: latency, first frames, streams,
           cancelling, memory, throughput (Linux)
             --requests N (over which memory is watched, default 100000)  --debug (the debug program)
             --litellm (LiteLLM's proxy too, in a virtual environment below target/; installed on first use)
  localise how often the files that a later commit changes are found by its message, beside plain BM25
             --repo DIR (may be given again, default this one)  --base REV (for each, default 400 commits back, or half of
             the history)  --queries N (default 200)
             --program FILE (default: the command line program, built for release)
  oracle   reference solutions of exercises through the whole program in every edit format, and solutions that must not come
           through      --tasks DIR (default: the 20 of this project)  --seed S (default 1)  --only NAME (may be given again)
             --debug (the debug program)
  repo     run trees beside the git program on 2,400 files, or on a clone of --repo DIR: status, making a tree, a commit of
           200 changed files, rollback                                                                  (default 5 runs)
  search   indexing, queries, saves and idling on a folder of 60,000 files made from cargo's downloaded sources with 4,000
           commits: the index alone, and through `atelier index --watch` and `search --batch`; beside ripgrep
             --repo DIR (a clone of it, or a copy)  --files N  --commits N  --saves N  --edits N  --idle SECONDS
             --debug (the debug programs)
  turn     our own headless turn on the scripted model: process start to first request, peak memory of the tree, size of
           the first request; beside published agents, where they are on the PATH (Linux, default 5 runs)
             --program FILE (default: the command line program, built for release)
  table    puts the figures of target/bench/*.json into src-tauri/ARCHITECTURE.md

crash, edits, gateway, oracle, repo and search take the programs as they are with --built.
Each writes target/bench/NAME.json: commit, machine, baseline, figures. `window` and `memory` build release programs
first and use a virtual display where there is none.
";
/// Set on ourselves when we run below a virtual display that we started.
const INSIDE: &str = "--inside-display";
pub const FLAGS: &[&str] = &[
    INSIDE,
    "--repo=",
    "--base=",
    "--queries=",
    "--program=",
    "--files=",
    "--saves=",
    "--edits=",
    "--idle=",
    "--commits=",
    "--debug",
    "--built",
    "--kills=",
    "--nth",
    "--each=",
    "--power=",
    "--full=",
    "--mutants",
    "--seed=",
    "--n=",
    "--live",
    "--tasks=",
    "--only=",
    "--requests=",
    "--litellm",
];

/// The number that an option gives.
fn number(args: &Args, option: &str, default: usize) -> Result<usize, Failure> {
    match args.values(option).last() {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| Failure::Usage(format!("`{option}` takes a number, not `{text}`"))),
    }
}

/// Builds what is measured, unless the programs are to be taken as they are.
fn build_programs(programs: &[&str], release: bool, built: bool) -> Result<(), Failure> {
    if built {
        return Ok(());
    }
    let mut build = workspace::cargo();
    build.args(["build", "--locked"]).args(programs).args(release.then_some("--release"));
    run::check(&mut build)
}

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
        "edits" => {
            let options = args.values("--repo").chain(args.values("--commits")).map(str::to_owned);
            let words: Vec<String> = args.words.iter().skip(1).cloned().chain(options).collect();
            edits::main(&words, !args.has("--debug"), args.has("--built"))
        }
        "crash" => crash::main(args),
        "runs" => runs::main(args),
        "steps" => runs::steps(args),
        "gateway" => gateway::main(args),
        "localise" => localise::main(args),
        "oracle" => oracle::main(args),
        "repo" => repo::main(args.values("--repo").last().unwrap_or_default(), runs(5)?, args.has("--built")),
        "search" => search::main(args),
        "turn" => turn::main(args, runs(5)?),
        "table" => table::main(),
        _ => Err(Failure::Usage(
            "say what to measure: window, memory, build, journal, size, crash, edits, gateway, runs, steps, localise, search \
             or turn; or table"
                .to_owned(),
        )),
    }
}
