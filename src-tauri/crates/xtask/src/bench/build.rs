//! Time of a cold build, into a fresh target folder. Crates are downloaded beforehand.

use super::record;
use crate::run::{self, Failure};
use crate::{node, workspace};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Instant;

pub fn main() -> Result<(), Failure> {
    run::check(workspace::cargo().args(["fetch", "--locked"]))?;
    run::check(node::npm().args(["run", "build"]))?;
    let target = workspace::root().join("target/bench/cold");
    let mut figures = Map::new();
    for profile in ["dev", "release"] {
        for package in ["atelier-cli", "atelier-app"] {
            let cold = build(&target, package, profile, true)?;
            let again = build(&target, package, profile, false)?;
            figures.insert(format!("{package} {profile}"), json!({ "cold_s": cold, "nothing_changed_s": again }));
            // Each takes minutes: what is measured is kept, also where the rest is not waited for.
            record::keep("build", &Value::Null, &Value::Object(figures.clone()))?;
        }
    }
    let _ = std::fs::remove_dir_all(&target); // several gigabytes
    record::write("build", &Value::Null, &Value::Object(figures))
}

/// Seconds that the build took.
fn build(target: &Path, package: &str, profile: &str, fresh: bool) -> Result<f64, Failure> {
    if fresh && target.exists() {
        std::fs::remove_dir_all(target)
            .map_err(|error| Failure::Work(format!("{} cannot be removed: {error}", target.display())))?;
    }
    let begun = Instant::now();
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--locked", "--offline", "--package", package, "--profile", profile]);
    run::check(cargo.env("CARGO_TARGET_DIR", target))?;
    Ok(begun.elapsed().as_secs_f64())
}
