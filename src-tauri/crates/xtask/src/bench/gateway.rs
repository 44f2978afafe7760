//! What the door for other programs (`atelier serve`) adds to a call to a model.
//!
//! The measuring is the program `load` of the tests' package; here it is built, started and its figures are kept.

use super::{build_programs, number, record};
use crate::args::Args;
use crate::run::{self, Failure};
use crate::workspace;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub fn main(args: &Args) -> Result<(), Failure> {
    if !cfg!(target_os = "linux") {
        return Err(Failure::Environment("memory is read from /proc, which is on Linux only".to_owned()));
    }
    let release = !args.has("--debug");
    let requests = number(args, "--requests", 100_000)?;
    if requests < 100 {
        return Err(Failure::Usage("`--requests` is at least 100".to_owned()));
    }
    build_programs(&["--workspace", "--bin", "load", "--bin", "atelier"], release, args.has("--built"))?;
    let metadata = workspace::metadata()?;
    // Not below this repository: the sample project becomes one of its own.
    let folder = std::env::temp_dir().join(format!("atelier-gateway-{}", std::process::id()));
    let mut load = Command::new(workspace::built(&metadata, release).join("load"));
    load.arg("gateway").arg(&folder).arg(requests.to_string());
    load.arg(workspace::program(&metadata, "atelier-cli", release)?);
    if args.has("--litellm") {
        load.arg(litellm()?);
    }
    let said = load.stderr(Stdio::inherit()).output().map_err(|error| Failure::Environment(error.to_string()))?;
    let _ = std::fs::remove_dir_all(&folder); // where it did not come to its end
    let last = String::from_utf8_lossy(&said.stdout).lines().last().unwrap_or_default().to_owned();
    let told: Value = serde_json::from_str(&last)
        .map_err(|_| Failure::Work(format!("the measurement did not come to its end ({})", said.status)))?;
    record::write("gateway", &told["baseline"], &told["figures"])
}

/// LiteLLM's proxy in a virtual environment of its own.
fn litellm() -> Result<PathBuf, Failure> {
    let place = workspace::root().join("target/litellm");
    let program = place.join("bin/litellm");
    if !program.exists() {
        run::check(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
        run::check(Command::new(place.join("bin/pip")).args(["install", "--quiet", "litellm[proxy]"]))?;
    }
    Ok(program)
}
