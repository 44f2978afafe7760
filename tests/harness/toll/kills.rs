//! Kills: a process is ended by SIGKILL at an append, a call or a time, and a new process goes on.

use super::child::{self, Preload};
use super::seed::Seed;
use super::{Field, Toll, judge};
use crate::job::Ending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Where a process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// Just before the n-th append of a run's events.
    BeforeAppend(u64),
    /// Just after its commit.
    AfterAppend(u64),
    /// Just before the n-th call that changes anything outside the process.
    BeforeCall(u64),
    /// Just after it.
    AfterCall(u64),
    /// So many microseconds after its start.
    After(u64),
}

/// One trial: a job, a blow to it, and where there is one a blow to the process that recovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    /// How the job ends.
    pub ending: Ending,
    /// The blow.
    pub blow: Blow,
    /// The blow to the first process that goes on.
    pub second: Option<Blow>,
}

impl Field {
    /// Every append of an accepted and of a discarded job, before and after.
    pub fn at_every_append(&self) -> Vec<Trial> {
        let mut trials = Vec::new();
        for ending in [Ending::Accept, Ending::Discard] {
            for n in 1..=self.appends {
                trials.extend([Blow::BeforeAppend(n), Blow::AfterAppend(n)].map(|blow| Trial {
                    ending,
                    blow,
                    second: None,
                }));
            }
        }
        trials
    }

    /// Trials drawn from a seed: at calls, at times, and while recovering.
    pub fn drawn(&self, count: usize, seed: u64) -> Vec<Trial> {
        let mut seed = Seed(seed);
        (0..count)
            .map(|_| {
                let ending = if seed.below(4) == 0 { Ending::Discard } else { Ending::Accept };
                let blow = self.draw(&mut seed);
                let second = (seed.below(3) == 0).then(|| self.draw(&mut seed));
                Trial { ending, blow, second }
            })
            .collect()
    }

    fn draw(&self, seed: &mut Seed) -> Blow {
        match seed.below(10) {
            0 => Blow::BeforeAppend(1 + seed.below(self.appends)),
            1 => Blow::AfterAppend(1 + seed.below(self.appends)),
            2..=4 => Blow::BeforeCall(1 + seed.below(self.calls)),
            5..=7 => Blow::AfterCall(1 + seed.below(self.calls)),
            _ => Blow::After(seed.below(600_000)),
        }
    }

    /// Makes trials on `workers` threads. `done` is told after each, with what it found.
    pub fn kill(&self, trials: &[Trial], workers: usize, done: impl Fn(&Toll) + Sync) -> Toll {
        let (next, sum) = (AtomicUsize::new(0), Mutex::new(Toll::default()));
        std::thread::scope(|scope| {
            for worker in 0..workers {
                let (next, sum, done) = (&next, &sum, &done);
                scope.spawn(move || {
                    while let Some(trial) = trials.get(next.fetch_add(1, Ordering::SeqCst)) {
                        let toll = self.kill_one(trial, &format!("kill-{worker}"));
                        let mut sum = sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        sum.add(toll);
                        done(&sum);
                    }
                });
            }
        });
        sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn kill_one(&self, trial: &Trial, name: &str) -> Toll {
        let mut toll = Toll { trials: 1, ..Toll::default() };
        let label = format!("{trial:?}");
        let place = self.place(name);
        let (job, again) = match trial.ending {
            Ending::Accept => ("accept", "resume-accept"),
            Ending::Discard => ("discard", "resume-discard"),
        };
        let mut acked = judge::Acked::new();
        let mut blows = vec![(job, Some(trial.blow))];
        blows.extend(trial.second.map(|blow| (again, Some(blow))));
        blows.push((again, None));
        for (job, blow) in blows {
            let seen = self.struck(&place, job, blow);
            if blow.is_some() && seen.killed() {
                toll.hits += 1;
            } else if seen.exit != Some(0) {
                toll.stuck += 1;
                toll.findings.push(format!("{label}: `{job}`: {}", seen.text()));
            }
            acked.extend(judge::acked(&seen.out));
            let left = child::left_behind(&place.folder);
            if !left.is_empty() {
                toll.orphans += left.len() as u64;
                toll.findings.push(format!("{label}: left behind {left:?}"));
            }
        }
        self.judge(&place, trial.ending, &acked, &label, &mut toll);
        toll
    }

    fn struck(&self, place: &super::Place, job: &str, blow: Option<Blow>) -> child::Seen {
        let fast = Preload::fast(&place.folder);
        let at_call = |n: u64, what: &str| Preload { fault: Some(format!("any:{n}:{what}:once")), ..fast.clone() };
        match blow {
            None => self.play(place, job, None, &fast, None),
            Some(Blow::BeforeAppend(n)) => self.play(place, job, Some(("before", n)), &fast, None),
            Some(Blow::AfterAppend(n)) => self.play(place, job, Some(("after", n)), &fast, None),
            Some(Blow::BeforeCall(n)) => self.play(place, job, None, &at_call(n, "KILL"), None),
            Some(Blow::AfterCall(n)) => self.play(place, job, None, &at_call(n, "KILLED"), None),
            Some(Blow::After(us)) => self.play(place, job, None, &fast, Some(Duration::from_micros(us))),
        }
    }
}
