//! A full disk: the real program works where there is room for so many bytes, is told that there is room, and goes on.
//!
//! What must hold: the program ends with `disk_full` and says what to do, or with what it was asked for; the user's files
//! are as they were; what was told is there; and once there is room the job ends the same.

use super::child::Preload;
use super::nth::Phase;
use super::{Field, Toll, campaign, judge};
use crate::job::Job;
use crate::world::user_state;

impl Field {
    /// Makes a trial for each room, in bytes. `done` is told after each. A hit is a job that did not fit.
    pub fn fill(&self, rooms: &[u64], workers: usize, done: impl Fn(&Toll) + Sync) -> Toll {
        campaign(rooms, workers, |room, worker| self.fill_one(*room, &format!("full-{worker}")), |_| false, done)
    }

    fn fill_one(&self, room: u64, name: &str) -> Toll {
        let mut toll = Toll { trials: 1, ..Toll::default() };
        let place = self.place(name);
        let label = format!("room for {room} bytes");
        let (before, file) = (user_state(&place.project), self.world.folder.path().join(format!("{name}.room")));
        let fast = Preload::fast(&place.folder);
        let full = std::fs::write(&file, room.to_string()).is_ok();
        let seen = self.command(&place, Phase::Run, &Preload { room: full.then(|| file.clone()), ..fast.clone() });
        let fits = seen.exit == Some(0);
        toll.hits = u64::from(!fits);
        // What libgit2 could not write is told in its words.
        let said =
            seen.out.contains("\"disk_full\"") || seen.err.contains("full") || seen.err.contains("No space left");
        let told = seen.exit == Some(6) && said;
        if !(fits || told) {
            toll.unnamed += 1;
            toll.findings.push(format!("{label}: it does not say that the disk is full: {}", seen.text()));
        }
        if let Some(path) = super::nth::differs(&before, &user_state(&place.project)) {
            toll.wrong += 1;
            toll.findings.push(format!("{label}: the user's {path} changed"));
        }
        let mut acked = judge::acked(&seen.out);
        let again = self.play(&place, "resume-accept", None, &fast, None);
        if again.exit != Some(0) {
            toll.stuck += 1;
            toll.findings.push(format!("{label}: first {}; and then {}", seen.text(), again.text()));
        }
        acked.extend(judge::acked(&again.out));
        self.judge(&place, Job::Accept, &acked, &label, &mut toll);
        toll
    }
}
