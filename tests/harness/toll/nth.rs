//! The n-th failure: the real program with its n-th call of a class failing, once or from there on, for n = 1, 2, ...
//! until a run passes in which nothing was left to fail; then again without faults.
//!
//! After SQLite's own out-of-memory and I/O error tests ("How SQLite Is Tested", section 3).

use super::child::{self, Preload, Seen, count};
use super::seed::Seed;
use super::{End, Field, Place, Toll, campaign, judge};
use crate::cli::program;
use crate::job::Job;
use crate::world::user_state;
use atelier_stage::tour;
use std::collections::BTreeMap;
use std::process::Command;

/// What is made to fail, and how.
pub const WAYS: &[(&str, &[&str])] = &[
    ("write", &["EIO:once", "ENOSPC:once", "ENOSPC:on", "EINTR:once", "SHORT:once"]),
    ("sync", &["EIO:once", "EIO:on"]),
    ("rename", &["EIO:once", "EACCES:on"]),
    ("link", &["EIO:once", "EROFS:on"]),
    ("open", &["EMFILE:once", "EACCES:on", "EINTR:once"]),
    ("mkdir", &["ENOSPC:once", "ENOSPC:on"]),
    ("truncate", &["EIO:once", "EIO:on"]),
    ("allocate", &["ENOSPC:once"]),
    ("map", &["ENOMEM:once", "ENOMEM:on"]),
    ("spawn", &["EAGAIN:once", "ENOMEM:on"]),
    ("socket", &["EMFILE:once", "EMFILE:on", "EINTR:once"]),
    ("send", &["ECONNRESET:once", "EPIPE:on", "EINTR:once", "SHORT:once"]),
];

/// Which command of the job is hurt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// `atelier run`.
    Run,
    /// `atelier runs accept`.
    Accept,
}

/// One trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The command that is hurt.
    pub phase: Phase,
    /// The class of calls.
    pub class: &'static str,
    /// Which of them.
    pub n: u64,
    /// `errno:once` or `errno:on`.
    pub how: &'static str,
}

impl Field {
    /// Calls of each class that each command makes when nothing fails.
    pub fn census(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        let mut calls = BTreeMap::new();
        for (phase, name) in [(Phase::Run, "run"), (Phase::Accept, "accept")] {
            let place = if phase == Phase::Run { self.place("census") } else { self.place_with_run("census") };
            let counts = place.folder.join(name);
            self.command(&place, phase, &Preload { count: Some(counts.clone()), ..Preload::fast(&place.folder) });
            let text = std::fs::read_to_string(counts).unwrap_or_default();
            calls.extend(WAYS.iter().map(|(class, _)| ((name, *class), count(&text, class))));
        }
        calls
    }

    /// Every trial there is; some calls more than were counted, since no two runs make quite the same.
    pub fn every_failure(&self) -> Vec<Trial> {
        let census = self.census();
        let mut trials = Vec::new();
        for (phase, name) in [(Phase::Run, "run"), (Phase::Accept, "accept")] {
            for (class, ways) in WAYS {
                let last = census.get(&(name, *class)).map_or(0, |calls| calls + 1 + calls / 20);
                for how in *ways {
                    trials.extend((1..=last).map(|n| Trial { phase, class, n, how }));
                }
            }
        }
        trials
    }

    /// For each class and way, `each` of its trials, drawn from a seed.
    pub fn some_failures(&self, each: usize, seed: u64) -> Vec<Trial> {
        let mut groups: BTreeMap<(bool, &str, &str), Vec<Trial>> = BTreeMap::new();
        for trial in self.every_failure() {
            groups.entry((trial.phase == Phase::Accept, trial.class, trial.how)).or_default().push(trial);
        }
        let mut seed = Seed(seed);
        let mut drawn = Vec::new();
        for mut group in groups.into_values() {
            for _ in 0..each.min(group.len()) {
                drawn.push(group.swap_remove(seed.index(group.len())));
            }
        }
        drawn
    }

    /// Makes trials on `workers` threads. `done` is told after each.
    pub fn fail(&self, trials: &[Trial], workers: usize, done: impl Fn(&Toll) + Sync) -> Toll {
        campaign(trials, workers, |trial, worker| self.fail_one(trial, &format!("nth-{worker}")), |_| false, done)
    }

    fn fail_one(&self, trial: &Trial, name: &str) -> Toll {
        let mut toll = Toll { trials: 1, ..Toll::default() };
        let Trial { phase, class, n, how } = trial;
        let place = match phase {
            Phase::Run => self.place(name),
            Phase::Accept => self.place_with_run(name),
        };
        let fast = Preload::fast(&place.folder);
        let mut acked = judge::Acked::new();
        let before = user_state(&place.project);
        let counts = place.folder.join("counts");
        let hurt = Preload { fault: Some(format!("{class}:{n}:{how}")), count: Some(counts.clone()), ..fast.clone() };
        let seen = self.command(&place, *phase, &hurt);
        acked.extend(judge::acked(&seen.out));
        let report = std::fs::read_to_string(counts).unwrap_or_default();
        let failed = report.lines().find(|line| line.starts_with("failed=")).unwrap_or_default().to_owned();
        toll.hits = u64::from(!failed.is_empty());
        let label = format!("{} {phase:?} {class}:{n}:{how} ({failed})", self.course.name());
        if let Some(why) = unnamed(&seen) {
            toll.unnamed += 1;
            toll.findings.push(format!("{label}: {why}: {}", seen.text()));
        }
        if seen.hung {
            toll.stuck += 1;
            toll.findings.push(format!("{label}: came to no end: {}", seen.text()));
        }
        let moved = End::of(&place.project).log != self.end_of(Job::Discard).log;
        judge::left_behind(&place.folder, &label, &mut toll);
        let after = user_state(&place.project);
        if *phase == Phase::Run && (moved || differs(&before, &after).is_some()) {
            toll.wrong += 1;
            toll.findings.push(format!("{label}: the user's files changed: {:?}", differs(&before, &after)));
        }
        let again = self.play(&place, "resume-accept", None, &fast, None);
        if again.exit != Some(0) {
            toll.stuck += 1;
            toll.findings.push(format!("{label}: first {}; and then {}", seen.text(), again.text()));
        }
        acked.extend(judge::acked(&again.out));
        self.judge(&place, Job::Accept, &acked, &label, &mut toll);
        toll
    }

    /// The real program does one command of the job.
    pub(super) fn command(&self, place: &Place, phase: Phase, preload: &Preload) -> Seen {
        let mut command = Command::new(program());
        command
            .args(["--json", "--server", &self.world.stage.url(), "--project"])
            .arg(&place.project)
            .env("ATELIER_HOME", &place.home);
        match phase {
            Phase::Run => {
                command.args(["run", tour::GOAL, "--approve", "hand_over", "--approve", "project_commands"]);
                match self.course.flow() {
                    Some(flow) => command.args(["--approve", "command", "--flow", flow]),
                    None => &mut command,
                }
            }
            Phase::Accept => command.args(["runs", "accept", "last"]),
        };
        preload.of(&mut command);
        child::run(&mut command, None)
    }
}

/// What is wrong with how a program ended; a problem with a name is not.
fn unnamed(seen: &Seen) -> Option<&'static str> {
    if seen.err.contains("panicked") {
        return Some("it panicked");
    }
    match seen.exit {
        Some(0..=8) => {}
        Some(_) => return Some("its exit code means nothing"),
        None if seen.hung => return None,
        None => return Some("it was killed by a signal"),
    }
    let last: serde_json::Value =
        seen.out.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    match (last["type"].as_str(), last["error"]["code"].as_str(), seen.exit) {
        (Some("result"), _, _) | (Some("error"), Some(_), _) => None,
        // Arguments and folders are looked at before anything is printed as JSON.
        _ if seen.err.contains("error: ") => None,
        _ => Some("it said nothing about it"),
    }
}

/// The first path of the user's that is not as it was. Branches and keep-refs of runs are ours.
pub(super) fn differs(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) -> Option<String> {
    let ours = |path: &str| {
        [".git/refs/heads/atelier", ".git/refs/atelier", ".git/logs/refs/heads/atelier"]
            .iter()
            .any(|start| path.starts_with(start))
            || path == ".git/logs/"
            || path == ".git/logs/refs/"
            || path == ".git/logs/refs/heads/"
    };
    let paths = before.keys().chain(after.keys());
    paths.filter(|path| !ours(path)).find(|path| before.get(*path) != after.get(*path)).cloned()
}
