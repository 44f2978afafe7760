//! Run trees beside the git program on the same files: status, making a tree, a commit of 200 files, rollback.
//!
//! The measuring is an example of the room's crate, so that nothing of the product is linked here.

use super::{build_programs, record};
use crate::run::{self, Failure};
use crate::workspace;
use serde_json::Value;
use std::process::Command;

/// Measures on a clone of `folder`, or on made files where that is empty.
pub fn main(folder: &str, runs: usize, built: bool) -> Result<(), Failure> {
    build_programs(&["--package", "atelier-repo", "--example", "repo_bench"], true, built)?;
    let program = workspace::built(&workspace::metadata()?, true).join("examples/repo_bench");
    let measured = run::output(Command::new(program).arg(folder).arg(runs.to_string()))?;
    let figures: Value = serde_json::from_slice(&measured)
        .map_err(|error| Failure::Work(format!("what was measured cannot be read: {error}")))?;
    record::write("repo", &Value::from("the git program on the same files, taking turns"), &figures)?;
    let held = |name: &str| figures[name].as_bool() == Some(true);
    if held("rollback_byte_identical") && held("user_untouched") {
        return Ok(());
    }
    Err(Failure::Work("a rollback was not exact, or the user's repository was changed".to_owned()))
}
