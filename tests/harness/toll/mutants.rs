//! Shows that the campaigns notice: each rule that they guard is broken in turn, and they must find something, of the kind
//! that breaking it leads to.
//!
//! The program `mutant` breaks the rule; whoever goes on after it does not, unless the rule is one of going on. The same
//! trials find nothing where nothing is broken: that is what the campaigns themselves show.

use super::course::Course;
use super::{Field, Toll};
use atelier_protocol::mutant::Mutant;
use std::path::Path;

/// Power cuts that are made at most.
const CUTS: usize = 120;

/// How a mutant is looked for, and what counts as noticing it.
struct Hunt {
    course: Course,
    way: Way,
    noticed: fn(&Toll) -> bool,
}

enum Way {
    /// Kills at every append.
    Kills,
    /// Power cuts.
    Power,
}

fn hunt(mutant: Mutant) -> Hunt {
    let kills = |course, noticed| Hunt { course, way: Way::Kills, noticed };
    let power = |noticed| Hunt { course: Course::Feature, way: Way::Power, noticed };
    match mutant {
        Mutant::AckBeforeCommit => kills(Course::Feature, |toll| toll.lost > 0),
        Mutant::ToldBeforeSync => power(|toll| toll.lost > 0),
        // The flow's own text is such a blob, and without it nothing goes on.
        Mutant::BlobAfterEvent => kills(Course::Feature, |toll| toll.stuck > 0),
        Mutant::EffectBeforeIntent | Mutant::EffectNotAsked => {
            kills(Course::Feature, |toll| toll.stuck + toll.repeated > 0)
        }
        Mutant::OutcomeBeforeEffect => kills(Course::Feature, |toll| toll.wrong > 0),
        Mutant::UndoneBeforeUndo => kills(Course::Undone, |toll| toll.wrong > 0),
        Mutant::ChildEndAlone => kills(Course::Reviewed, |toll| toll.orphans + toll.stuck > 0),
        Mutant::OrphanLeft => kills(Course::Undone, |toll| toll.orphans > 0),
        Mutant::RefBeforeObjects => power(|toll| toll.wrong + toll.stuck > 0),
    }
}

/// Whether it is the process that goes on which breaks the rule.
pub(super) fn is_of_recovery(mutant: Mutant) -> bool {
    mutant == Mutant::EffectNotAsked
}

/// What became of one mutant.
pub struct Hunted {
    /// The rule that was broken.
    pub mutant: Mutant,
    /// Whether it was noticed.
    pub red: bool,
    /// What was found.
    pub toll: Toll,
}

/// Hunts every mutant, one after the other; `done` is told of each.
pub async fn hunt_all(victim: &Path, workers: usize, seed: u64, done: impl Fn(&Hunted)) -> Vec<Hunted> {
    let mut all = Vec::new();
    for course in Course::ALL {
        let mutants: Vec<Mutant> = Mutant::ALL.into_iter().filter(|mutant| hunt(*mutant).course == course).collect();
        if mutants.is_empty() {
            continue;
        }
        let mut field = Field::prepare(course, victim).await;
        for mutant in mutants {
            field.mutant = Some(mutant);
            let hunted = tokio::task::block_in_place(|| one(&field, mutant, workers, seed));
            done(&hunted);
            all.push(hunted);
        }
    }
    all
}

fn one(field: &Field, mutant: Mutant, workers: usize, seed: u64) -> Hunted {
    let Hunt { way, noticed, .. } = hunt(mutant);
    let toll = match way {
        Way::Kills => field.kill_until(&field.at_every_append(field.course.jobs()[0]), workers, noticed, |_| ()),
        Way::Power => field.cut(&field.record(&format!("{mutant:?}"), false), CUTS, seed, noticed),
    };
    Hunted { mutant, red: noticed(&toll), toll }
}
