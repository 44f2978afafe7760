//! Oracle replay: reference solutions of exercises, played in every edit format through the real program, and solutions that
//! must not come through. All references must arrive to the byte, and nothing else.
//!
//! The playing is the program `oracle` of the tests' package; here it is built, started and its figures are kept.

use super::{build_programs, number, record};
use crate::args::Args;
use crate::run::Failure;
use crate::workspace;
use serde_json::Value;
use std::process::{Command, Stdio};

pub fn main(args: &Args) -> Result<(), Failure> {
    let seed = number(args, "--seed", 1)?;
    let release = !args.has("--debug");
    let programs = ["--bins", "--package", "atelier-cli", "--package", "atelier-tests"];
    build_programs(&programs, release, args.has("--built"))?;
    let metadata = workspace::metadata()?;
    let mut oracle = Command::new(workspace::built(&metadata, release).join("oracle"));
    oracle
        .arg(args.values("--tasks").last().unwrap_or("tests/fixtures/exercises"))
        .arg(seed.to_string())
        .args(args.values("--only"))
        .current_dir(std::env::current_dir().map_err(|error| Failure::Environment(error.to_string()))?)
        .env("ATELIER_CLI", workspace::program(&metadata, "atelier-cli", release)?)
        .stderr(Stdio::inherit());
    let said = oracle.output().map_err(|error| Failure::Environment(error.to_string()))?;
    let last = String::from_utf8_lossy(&said.stdout).lines().last().unwrap_or_default().to_owned();
    let told: Value = serde_json::from_str(&last)
        .map_err(|_| Failure::Work(format!("the oracle did not come to its end ({})", said.status)))?;
    let findings: Vec<&str> = told["findings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    findings.iter().for_each(|finding| println!("found: {finding}"));
    record::write("oracle", &Value::Null, &told["figures"])?;
    match findings.len() {
        0 => Ok(()),
        found => Err(Failure::Work(format!("{found} findings"))),
    }
}
