//! `cargo xtask`: sets a machine up, starts Atelier, runs every check, measures, and writes generated files.
//!
//! Needs nothing but a Rust toolchain and a linker, so that it is the first thing that runs on a fresh machine.
//! It is no part of the product: no `atelier-*` crate is linked here.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool speaks on its standard output")]

mod args;
mod bench;
mod bindings;
mod loopback;
mod node;
mod packages;
mod real_engine;
mod run;
mod setup;
mod start;
mod test;
mod tidy;
mod workspace;

use args::Args;
use run::Failure;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  setup     install what building, starting and testing needs (the part that uses the network)
  start     build Atelier and open its window; without a display, tell the demo on the terminal
  test      run every check there is
  tidy      check the rules of the house that a machine can check
  bindings  write the page's TypeScript from the protocol crate
  bench     measure and write the figures to target/bench

`cargo xtask COMMAND --help` says more.
Exit codes: 0 done; 1 a check failed; 2 wrong usage; 6 the machine lacks something.
";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_else(|| "--help".to_owned());
    match dispatch(&command, words.collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn dispatch(command: &str, words: Vec<String>) -> Result<(), Failure> {
    type Body = fn(&Args) -> Result<(), Failure>;
    let (help, flags, body): (&str, &[&str], Body) = match command {
        "setup" => (setup::HELP, setup::FLAGS, setup::main),
        "start" => (start::HELP, start::FLAGS, start::main),
        "test" => (test::HELP, test::FLAGS, test::main),
        "tidy" => (tidy::HELP, &[], tidy::main),
        "bindings" => (bindings::HELP, &[], bindings::main),
        "bench" => (bench::HELP, bench::FLAGS, bench::main),
        "--help" | "-h" | "help" => {
            print!("{HELP}");
            return Ok(());
        }
        other => return Err(Failure::Usage(format!("there is no command `{other}`; `cargo xtask --help` lists them"))),
    };
    match args::read(words, flags)? {
        None => {
            print!("{help}");
            Ok(())
        }
        Some(args) => body(&args),
    }
}
