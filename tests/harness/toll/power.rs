//! Power cuts: a job is recorded once; then, for any point of the record, the disk is rebuilt as it could be when the
//! power had gone there, and the real program opens it.
//!
//! What must hold: every event of class full that was told before the cut is there, and with it all before it; both
//! stores open and their chains are sound with every blob they name; git finds nothing missing; the job ends the same.

use super::child::{self, Preload, Seen};
use super::disk::{Disk, Entry, entries};
use super::seed::Seed;
use super::{Field, Place, Toll, git, judge};
use crate::cli::program;
use crate::job::Job;
use atelier_protocol::Class;
use atelier_stage::tour;
use std::collections::BTreeSet;
use std::process::Command;

/// A recorded job.
pub struct Recorded {
    place: Place,
    before: Disk,
    entries: Vec<Entry>,
    /// Whether the disk lied: nothing that was synced is on it.
    lies: bool,
    unseen: Vec<String>,
}

impl Recorded {
    /// How many changes there are; the power can go before each, and after the last.
    pub fn changes(&self) -> usize {
        self.entries.len()
    }

    /// How many of them are syncs.
    pub fn syncs(&self) -> usize {
        self.entries.iter().filter(|entry| entry.op == b'S').count()
    }

    /// What the record did not see of the job: there must be nothing.
    pub fn unseen(&self) -> &[String] {
        &self.unseen
    }
}

impl Field {
    /// Records a job that is accepted. With `lies` syncs do nothing, which must be noticed.
    #[expect(clippy::panic, reason = "a harness fails loudly")]
    pub fn record(&self, name: &str, lies: bool) -> Recorded {
        let place = self.place(name);
        let before = Disk::of(&place.folder);
        let log = self.world.folder.path().join(format!("{name}.log"));
        let _ = std::fs::remove_file(&log);
        let preload =
            Preload { log: Some(log.clone()), skip_sync: lies, root: place.folder.clone(), ..Preload::default() };
        let played = match self.mutant {
            Some(_) => vec![self.play(&place, Job::Accept.word(), None, &preload, None)],
            None => [
                &["run", tour::GOAL, "--approve", "hand_over", "--approve", "project_commands"][..],
                &["runs", "accept", "last"],
            ]
            .map(|arguments| self.program(&place, arguments, &preload))
            .into(),
        };
        if let Some(seen) = played.iter().find(|seen| seen.exit != Some(0)) {
            panic!("{}", seen.text());
        }
        let entries = entries(&std::fs::read(log).unwrap_or_default());
        let mut after = before.clone();
        entries.iter().for_each(|entry| after.change(entry));
        let unseen = after.blind_to(&place.folder);
        Recorded { place, before, entries, lies, unseen }
    }

    fn program(&self, place: &Place, arguments: &[&str], preload: &Preload) -> Seen {
        let mut command = Command::new(program());
        command
            .args(["--json", "--server", &self.world.stage.url(), "--project"])
            .arg(&place.project)
            .args(arguments)
            .env("ATELIER_HOME", &place.home);
        preload.of(&mut command);
        child::run(&mut command, None)
    }

    /// Cuts the power `cuts` times, at points and with losses drawn from a seed, until it is `enough`.
    pub fn cut(&self, recorded: &Recorded, cuts: usize, seed: u64, enough: impl Fn(&Toll) -> bool) -> Toll {
        let mut seed = Seed(seed);
        // In order, so that the disk is brought on only once.
        let points: BTreeSet<(usize, u64)> =
            (0..cuts).map(|_| (seed.index(recorded.changes() + 1), seed.draw())).collect();
        let (mut disk, mut at, mut said) = (recorded.before.clone(), 0, Vec::new());
        let mut toll = Toll::default();
        for (point, loss) in points {
            for entry in &recorded.entries[at..point] {
                disk.change(entry);
                if entry.op == b'P' {
                    said.extend_from_slice(&entry.one);
                }
            }
            at = point;
            toll.add(self.cut_one(recorded, &disk, &said, point, loss));
            if enough(&toll) {
                break;
            }
        }
        toll
    }

    fn cut_one(&self, recorded: &Recorded, disk: &Disk, said: &[u8], point: usize, loss: u64) -> Toll {
        let mut toll = Toll { trials: 1, hits: 1, ..Toll::default() };
        let place = &recorded.place;
        let lies = if recorded.lies { ", lying disk" } else { "" };
        let label = format!("power cut before change {point}, loss {loss}{lies}");
        disk.after_power_cut(&place.folder, &mut Seed(loss));
        let acked = sure(&String::from_utf8_lossy(said));
        let fast = Preload::fast(&place.folder);
        match judge::events(&place.home) {
            Ok(events) => {
                // One that was cut off may hold children that are not at their end yet.
                let mut now = Toll::default();
                judge::history(&events, &acked, &label, &mut now);
                toll.add(Toll { orphans: 0, ..now });
            }
            Err(why) => {
                toll.lost += 1;
                toll.findings.push(format!("{label}: the store is damaged: {why}"));
            }
        }
        let fsck = git(&place.project, &["fsck", "--no-dangling", "--no-progress"]);
        if !fsck.trim().is_empty() {
            toll.wrong += 1;
            toll.findings.push(format!("{label}: git fsck: {}", fsck.trim()));
        }
        let listed = self.program(place, &["runs", "list"], &fast);
        if listed.exit != Some(0) {
            toll.stuck += 1;
            toll.findings.push(format!("{label}: {}", listed.text()));
            return toll;
        }
        let again = self.play(place, "resume-accept", None, &fast, None);
        if again.exit != Some(0) {
            toll.stuck += 1;
            toll.findings.push(format!("{label}: {}", again.text()));
            return toll;
        }
        self.judge(place, Job::Accept, &acked, &label, &mut toll);
        toll
    }
}

/// What was told and may not be lost: all up to the last event of class full.
fn sure(said: &str) -> judge::Acked {
    let mut acked = judge::acked(said);
    let full_of = |line| match judge::told(line) {
        Some(told) => told.full.then_some(told.seq),
        None => judge::event_of(line).filter(|event| event.event.class() == Class::Full).map(|event| event.seq.0),
    };
    let last_full = said.lines().filter_map(full_of).max();
    acked.retain(|(seq, _)| last_full.is_some_and(|last| *seq <= last));
    acked
}
