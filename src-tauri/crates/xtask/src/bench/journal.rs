//! The journal: appends, resuming, opening and projecting, beside a bare fsync on the same disk.
//!
//! The measuring is an example of the journal's crate, so that nothing of the product is linked here.

use super::{build_programs, record};
use crate::run::{self, Failure};
use crate::workspace;
use serde_json::Value;
use std::process::Command;

/// Measures with a large store of `events` events.
pub fn main(events: usize) -> Result<(), Failure> {
    build_programs(&["--package", "atelier-journal", "--example", "journal_bench"], true, false)?;
    let program = workspace::built(&workspace::metadata()?, true).join("examples/journal_bench");
    let folder = workspace::root().join("target/bench/journal");
    let measured = run::output(Command::new(program).arg(&folder).arg(events.to_string()));
    let _ = std::fs::remove_dir_all(&folder); // a gigabyte
    let measured: Value = serde_json::from_slice(&measured?)
        .map_err(|error| Failure::Work(format!("what was measured cannot be read: {error}")))?;
    record::write("journal", &measured["baseline"], &measured["figures"])
}
