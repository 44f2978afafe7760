//! The engine under many runs: open ones that wait, live ones that a guest follows, and what a step costs without a model.
//!
//! The measuring is the program `load` of the tests' package, which drives the real engine and store against the scripted
//! server; here it is built, started and its figures are kept (`runs`, `runs-live`, `steps`).

use super::{build_programs, number, record};
use crate::args::Args;
use crate::run::Failure;
use crate::workspace;
use serde_json::Value;
use std::process::{Command, Stdio};

/// Open runs where nothing else is asked for.
const OPEN: usize = 10_000;
/// Live runs.
const LIVE: usize = 1_000;
/// Questions of the one run whose steps are measured.
const STEPS: usize = 200;

/// `bench runs`.
pub fn main(args: &Args) -> Result<(), Failure> {
    if args.has("--live") {
        return measured("runs-live", "live", number(args, "--n", LIVE)?, !args.has("--debug"), &Value::Null);
    }
    let stated = stated();
    if stated.is_null() {
        println!(
            "`cargo xtask bench journal` was not run here, so there are no stated bytes per event to compare with"
        );
    }
    measured("runs", "runs", number(args, "--n", OPEN)?, !args.has("--debug"), &stated)
}

/// `bench steps`.
pub fn steps(args: &Args) -> Result<(), Failure> {
    measured("steps", "steps", number(args, "--n", STEPS)?, !args.has("--debug"), &Value::Null)
}

/// What the last `bench journal` says a stored event takes, and its payload in it.
fn stated() -> Value {
    let file = workspace::root().join("target/bench/journal.json");
    let record: Value =
        std::fs::read_to_string(file).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let large = &record["figures"]["large_store"];
    match &large["stored_bytes_per_event"] {
        Value::Null => Value::Null,
        stored => serde_json::json!({
            "stated_stored_bytes_per_event": stored,
            "stated_payload_bytes_per_event": large["payload_bytes_per_event"],
        }),
    }
}

fn measured(name: &str, what: &str, count: usize, release: bool, beside: &Value) -> Result<(), Failure> {
    if count == 0 {
        return Err(Failure::Usage("`--n` is at least 1".to_owned()));
    }
    build_programs(&["--workspace", "--bin", "load"], release, false)?;
    let program = workspace::built(&workspace::metadata()?, release).join("load");
    // Not below this repository: the sample project becomes one of its own.
    let folder = std::env::temp_dir().join(format!("atelier-load-{}", std::process::id()));
    let mut load = Command::new(program);
    load.arg(what).arg(&folder).arg(count.to_string()).stderr(Stdio::inherit());
    let said = load.output().map_err(|error| Failure::Environment(error.to_string()))?;
    let _ = std::fs::remove_dir_all(&folder); // where it did not come to its end
    let last = String::from_utf8_lossy(&said.stdout).lines().last().unwrap_or_default().to_owned();
    let mut told: Value = serde_json::from_str(&last)
        .map_err(|_| Failure::Work(format!("the measurement did not come to its end ({})", said.status)))?;
    if let (Some(baseline), Some(beside)) = (told["baseline"].as_object_mut(), beside.as_object()) {
        baseline.extend(beside.clone());
    }
    record::write(name, &told["baseline"], &told["figures"])
}
