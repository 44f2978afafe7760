//! Crash campaigns: what a process that is killed, whose calls fail or whose power is cut loses. All must be nought.
//!
//! The work is done by the program `crash` of the tests' package; here it is built, started and its figures are kept.
//! Each campaign keeps its own record (`crash-kills-feature`, `crash-nth-feature` ...), so that one can be run alone.

use super::{number, record};
use crate::args::Args;
use crate::run::{self, Failure};
use crate::workspace;
use serde_json::Value;
use std::process::{Command, Stdio};

/// Kills where nothing else is asked for: with none lost in so many, fewer than one in a thousand is, at 95 %.
const KILLS: usize = 3000;

pub fn main(args: &Args) -> Result<(), Failure> {
    if !cfg!(target_os = "linux") {
        return Err(Failure::Environment("the library that fails calls is for Linux".to_owned()));
    }
    let seed = number(args, "--seed", 1)?;
    let mut campaigns = Vec::new();
    if args.has("--nth") {
        campaigns.push(("nth", number(args, "--each", 0)?, "feature"));
    }
    let cuts = number(args, "--power", 0)?;
    if cuts > 0 {
        campaigns.push(("power", cuts, "feature"));
    }
    let kills = number(args, "--kills", if campaigns.is_empty() { KILLS } else { 0 })?;
    if kills > 0 {
        // One half of them on a run with a child.
        campaigns.extend([("kills", kills.div_ceil(2), "feature"), ("kills", kills / 2, "reviewed")]);
    }
    let packages = ["atelier-cli", "atelier-tests", "atelier-faults"].map(|name| ["--package", name]).concat();
    run::check(workspace::cargo().args(["build", "--locked", "--bins", "--lib"]).args(packages))?;
    let metadata = workspace::metadata()?;
    let built = workspace::built(&metadata, false);
    let mut found = 0;
    for (campaign, count, flow) in campaigns {
        let mut crash = Command::new(built.join("crash"));
        crash
            .args([campaign, &count.to_string(), &seed.to_string(), flow])
            .env("ATELIER_CLI", workspace::program(&metadata, "atelier-cli", false)?)
            .env("ATELIER_FAULTS", built.join("libatelier_faults.so"))
            .stderr(Stdio::inherit());
        let said = crash.output().map_err(|error| Failure::Environment(error.to_string()))?;
        let last = String::from_utf8_lossy(&said.stdout).lines().last().unwrap_or_default().to_owned();
        let told: Value = serde_json::from_str(&last).map_err(|_| {
            Failure::Work(format!("the campaign `{campaign}` did not come to its end ({})", said.status))
        })?;
        for finding in told["findings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            println!("found: {finding}");
            found += 1;
        }
        record::write(&format!("crash-{campaign}-{flow}"), &Value::Null, &told["figures"])?;
    }
    match found {
        0 => Ok(()),
        found => Err(Failure::Work(format!("{found} findings"))),
    }
}
