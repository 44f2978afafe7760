//! Kills: a process is ended by SIGKILL at an event, an append, a call or a time, and a new process goes on.

use super::child::{self, Preload};
use super::course::Course;
use super::seed::Seed;
use super::{Field, Toll, campaign, judge};
use crate::job::Job;

/// Where a process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// When the event of this number is told to who follows the store.
    AtEvent(u64),
    /// Just before the n-th append of a run's events.
    BeforeAppend(u64),
    /// Just after its commit.
    AfterAppend(u64),
    /// Just before the n-th call that changes anything outside the process.
    BeforeCall(u64),
    /// Just after it.
    AfterCall(u64),
    /// After so many thousandths of the time that the whole job takes.
    After(u64),
}

/// One trial: a job, a blow to it, and where there is one a blow to the process that recovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    /// What is done.
    pub job: Job,
    /// The blow.
    pub blow: Blow,
    /// The blow to the first process that goes on.
    pub second: Option<Blow>,
}

impl Field {
    /// Every event of the course's first job, when it is told.
    pub fn at_every_event(&self) -> Vec<Trial> {
        let job = self.course.jobs()[0];
        self.events.clone().map(|n| Trial { job, blow: Blow::AtEvent(n), second: None }).collect()
    }

    /// Every append of a job, before and after.
    pub fn at_every_append(&self, job: Job) -> Vec<Trial> {
        let both = |n| [Blow::BeforeAppend(n), Blow::AfterAppend(n)];
        (1..=self.appends).flat_map(both).map(|blow| Trial { job, blow, second: None }).collect()
    }

    /// Trials drawn from a seed: at appends, at calls, at times, and while recovering.
    pub fn drawn(&self, count: usize, seed: &mut Seed) -> Vec<Trial> {
        let jobs = self.course.jobs();
        (0..count)
            .map(|_| {
                let job = if seed.below(4) == 0 { jobs[jobs.len() - 1] } else { jobs[0] };
                let blow = self.draw(seed);
                let second = (seed.below(3) == 0).then(|| self.draw(seed));
                Trial { job, blow, second }
            })
            .collect()
    }

    fn draw(&self, seed: &mut Seed) -> Blow {
        match seed.below(10) {
            0 => Blow::BeforeAppend(1 + seed.below(self.appends)),
            1 => Blow::AfterAppend(1 + seed.below(self.appends)),
            2..=4 => Blow::BeforeCall(1 + seed.below(self.calls)),
            5..=7 => Blow::AfterCall(1 + seed.below(self.calls)),
            _ => Blow::After(seed.below(1000)),
        }
    }

    /// Makes trials on `workers` threads. `done` is told after each, with what was found so far.
    pub fn kill(&self, trials: &[Trial], workers: usize, done: impl Fn(&Toll) + Sync) -> Toll {
        self.kill_until(trials, workers, |_| false, done)
    }

    /// The same, until it is `enough`.
    pub fn kill_until(
        &self,
        trials: &[Trial],
        workers: usize,
        enough: impl Fn(&Toll) -> bool + Sync,
        done: impl Fn(&Toll) + Sync,
    ) -> Toll {
        campaign(trials, workers, |trial, worker| self.kill_one(trial, &format!("kill-{worker}")), enough, done)
    }

    fn kill_one(&self, trial: &Trial, name: &str) -> Toll {
        let mut toll = Toll { trials: 1, ..Toll::default() };
        let label = format!("{} {trial:?}", self.course.name());
        let place = self.place_for(trial.job, name);
        let (job, again) = (trial.job.word().to_owned(), format!("resume-{}", trial.job.word()));
        let mut acked = judge::Acked::new();
        let mut blows = vec![(&job, Some(trial.blow))];
        blows.extend(trial.second.map(|blow| (&again, Some(blow))));
        blows.push((&again, None));
        for (job, blow) in blows {
            let seen = self.struck(&place, job, blow);
            if blow.is_some() && seen.killed() {
                toll.hits += 1;
            } else if seen.exit != Some(0) {
                toll.stuck += 1;
                toll.findings.push(format!("{label}: `{job}`: {}", seen.text()));
            }
            for wrong in seen.wrong() {
                toll.wrong += 1;
                toll.findings.push(format!("{label}: `{job}`: {wrong}"));
            }
            acked.extend(judge::acked(&seen.out));
            judge::left_behind(&place.folder, &label, &mut toll);
        }
        self.judge(&place, trial.job, &acked, &label, &mut toll);
        if self.course == Course::Forked {
            self.judge_original(&place, name, &label, &mut toll);
        }
        toll
    }

    fn struck(&self, place: &super::Place, job: &str, blow: Option<Blow>) -> child::Seen {
        let fast = Preload::fast(&place.folder);
        let at_call = |n: u64, what: &str| Preload { fault: Some(format!("any:{n}:{what}:once")), ..fast.clone() };
        match blow {
            None => self.play(place, job, None, &fast, None),
            Some(Blow::AtEvent(n)) => self.play(place, job, Some(("told", n)), &fast, None),
            Some(Blow::BeforeAppend(n)) => self.play(place, job, Some(("before", n)), &fast, None),
            Some(Blow::AfterAppend(n)) => self.play(place, job, Some(("after", n)), &fast, None),
            Some(Blow::BeforeCall(n)) => self.play(place, job, None, &at_call(n, "KILL"), None),
            Some(Blow::AfterCall(n)) => self.play(place, job, None, &at_call(n, "KILLED"), None),
            Some(Blow::After(share)) => {
                let time = self.took.mul_f64(f64::from(u32::try_from(share).unwrap_or(0)) / 1000.0);
                self.play(place, job, None, &fast, Some(time))
            }
        }
    }
}
