//! Crash campaigns: what a process that is killed, whose calls fail or whose power is cut loses. All must be nought.
//!
//! The work is done by the program `crash` of the tests' package; here it is built, started and its figures are kept.
//! Each campaign keeps its own record (`crash-kills-feature`, `crash-nth-feature` ...), so that one can be run alone.

use super::{build_programs, number, record};
use crate::args::Args;
use crate::run::{self, Failure};
use crate::workspace;
use serde_json::Value;
use std::process::{Command, Stdio};

/// Kills where nothing else is asked for: with none lost in so many, fewer than one in a thousand is, at 95 %.
const KILLS: usize = 3000;
/// How kills are shared out, in hundredths: a run that is accepted or discarded, one that a child run judges, one that
/// fails and is undone, a fork, one whose edits are in an answer, and a run that stands on another.
const SHARES: [(&str, usize); 6] =
    [("feature", 30), ("reviewed", 20), ("undone", 15), ("forked", 10), ("answered", 10), ("stacked", 15)];
/// What is counted, and must be nought.
const COUNTS: [&str; 6] =
    ["lost acknowledgements", "repeated effects", "orphaned children", "wrong trees", "stuck", "unnamed errors"];

/// One campaign: its name, how much of it, on which course.
type Campaign = (&'static str, usize, &'static str);

pub fn main(args: &Args) -> Result<(), Failure> {
    if !cfg!(target_os = "linux") {
        return Err(Failure::Environment("the library that fails calls is for Linux".to_owned()));
    }
    let seed = number(args, "--seed", 1)?;
    let campaigns = asked(args)?;
    let packages = ["atelier-cli", "atelier-tests", "atelier-faults"].map(|name| ["--package", name]).concat();
    build_programs(&[&["--bins", "--lib"], packages.as_slice()].concat(), false, args.has("--built"))?;
    if args.has("--mutants") {
        // Only this one program: the others are never built with rules that can be broken.
        let mutant = ["--package", "atelier-tests", "--features", "mutants", "--bin", "mutant"];
        run::check(workspace::cargo().args(["build", "--locked"]).args(mutant))?;
    }
    let metadata = workspace::metadata()?;
    let built = workspace::built(&metadata, false);
    let (mut found, mut table) = (0, Vec::new());
    for (campaign, count, course) in campaigns {
        let mut crash = Command::new(built.join("crash"));
        crash
            .args([campaign, &count.to_string(), &seed.to_string(), course])
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
        record::keep(&format!("crash-{campaign}-{course}"), &Value::Null, &told["figures"])?;
        table.push(line(campaign, course, &told["figures"]));
    }
    println!("\n{}\n\nwrote target/bench/crash-*.json", table.join("\n"));
    match found {
        0 => Ok(()),
        found => Err(Failure::Work(format!("{found} findings"))),
    }
}

/// The campaigns that the arguments ask for; kills where they ask for none.
fn asked(args: &Args) -> Result<Vec<Campaign>, Failure> {
    let mut campaigns: Vec<Campaign> = Vec::new();
    if args.has("--nth") {
        let each = number(args, "--each", 0)?;
        campaigns.extend([("nth", each, "feature"), ("nth", each, "reviewed")]);
    }
    for (option, campaign) in [("--power", "power"), ("--full", "full")] {
        match number(args, option, 0)? {
            0 => {}
            count => campaigns.push((campaign, count, "feature")),
        }
    }
    if args.has("--mutants") {
        campaigns.push(("mutants", 0, "feature"));
    }
    let kills = number(args, "--kills", if campaigns.is_empty() { KILLS } else { 0 })?;
    if kills > 0 {
        campaigns.extend(SHARES.map(|(course, share)| ("kills", (kills * share).div_ceil(100), course)));
    }
    Ok(campaigns)
}

/// What a campaign found, in a line.
fn line(campaign: &str, course: &str, figures: &Value) -> String {
    let mut parts = Vec::new();
    if let (Some(events), Some(at)) = (figures["events"].as_u64(), figures["killed at events"].as_u64()) {
        parts.push(format!("killed at {at} of {events} events"));
    }
    for blow in ["trials", "kills", "failed calls", "power cuts", "full disks"] {
        parts.extend(figures[blow].as_u64().map(|count| format!("{count} {blow}")));
    }
    parts.extend(COUNTS.iter().filter_map(|name| Some(format!("{} {name}", figures[*name].as_u64()?))));
    if campaign == "mutants" {
        let each = figures.as_object().into_iter().flatten();
        let colour = |one: &Value| if one["noticed"] == true { "red" } else { "GREEN" };
        parts.extend(each.map(|(mutant, one)| format!("{mutant} {}", colour(one))));
    }
    parts.extend(figures["seconds"].as_u64().map(|seconds| format!("{seconds} s")));
    format!("{campaign} {course}: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::line;
    use serde_json::json;

    #[test]
    fn a_campaign_is_told_in_a_line() {
        let kills =
            json!({"events": 40, "killed at events": 40, "trials": 90, "kills": 100, "lost acknowledgements": 0});
        let told = "kills forked: killed at 40 of 40 events, 90 trials, 100 kills, 0 lost acknowledgements";
        assert_eq!(line("kills", "forked", &kills), told);
        let mutants = json!({"AckBeforeCommit": {"noticed": false}, "OrphanLeft": {"noticed": true}});
        assert_eq!(line("mutants", "feature", &mutants), "mutants feature: AckBeforeCommit GREEN, OrphanLeft red");
    }
}
