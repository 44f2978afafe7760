//! The crash campaigns at full length: `crash kills N SEED COURSE`, `crash nth EACH SEED COURSE` (0 is every call), `crash
//! power CUTS SEED COURSE`, `crash full ROOMS SEED COURSE`, `crash mutants 0 SEED`. Progress goes to standard error; the
//! last line of standard output is `{figures, findings}`.
//!
//! `cargo xtask bench crash` runs it. What it finds is a failure: its exit code is 1 then.

use std::process::ExitCode;

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    ExitCode::from(6)
}

#[cfg(target_os = "linux")]
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    linux::main().await
}

#[cfg(target_os = "linux")]
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to whoever started it")]
mod linux {
    use atelier_tests::toll::course::Course;
    use atelier_tests::toll::seed::Seed;
    use atelier_tests::toll::{Field, Toll, child, mutants};
    use serde_json::{Map, Value, json};
    use std::path::Path;
    use std::process::ExitCode;
    use std::time::Instant;

    /// Trials that are made beside each other.
    const WORKERS: usize = 2;
    /// Rooms are drawn below this; a little more than a whole job needs.
    const MOST_ROOM: u64 = 16 << 20;

    pub async fn main() -> ExitCode {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [campaign, count, seed, rest @ ..] = words.as_slice() else { return usage() };
        let (Ok(count), Ok(seed)) = (count.parse::<usize>(), seed.parse::<u64>()) else { return usage() };
        let Some(course) = rest.first().map_or(Some(Course::Feature), |name| Course::named(name)) else {
            return usage();
        };
        let victim = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("victim")));
        let Some(victim) = victim.filter(|victim| victim.exists()) else {
            eprintln!("the program `victim` is not beside this one: `cargo xtask bench crash` builds both");
            return ExitCode::from(2);
        };
        child::library();
        atelier_tests::cli::program();
        if campaign == "mutants" {
            return hunt(&victim, seed).await;
        }
        let field = Field::prepare(course, &victim).await;
        let begun = Instant::now();
        let (toll, mut figures) = match tokio::task::block_in_place(|| match campaign.as_str() {
            "kills" => Some(kills(&field, count, seed)),
            "nth" => Some(nth(&field, count, seed)),
            "power" => Some(power(&field, count, seed)),
            "full" => Some(full(&field, count, seed)),
            _ => None,
        }) {
            Some((toll, Value::Object(figures))) if toll.trials > 0 => (toll, figures),
            _ => return usage(),
        };
        figures.insert("seed".to_owned(), json!(seed));
        figures.insert("seconds".to_owned(), json!(begun.elapsed().as_secs()));
        println!("{}", json!({"figures": figures, "findings": toll.findings}));
        if toll.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Kills at every event and around every append, then where the seed says, until there are `count`.
    fn kills(field: &Field, count: usize, seed: u64) -> (Toll, Value) {
        let mut told = field.at_every_event();
        told.truncate(count);
        let mut toll = field.kill(&told, WORKERS, progress);
        let at_events = toll.hits;
        if count >= told.len() && at_events != told.len() as u64 {
            toll.stuck += 1;
            toll.findings.push(format!("killed at {at_events} of {} events", told.len()));
        }
        let mut trials: Vec<_> = field.course.jobs().iter().flat_map(|job| field.at_every_append(*job)).collect();
        trials.truncate(left(count, &toll));
        let mut seed = Seed(seed);
        loop {
            let before = toll.hits;
            trials.extend(field.drawn(left(count, &toll).saturating_sub(trials.len()), &mut seed));
            toll.add(field.kill(&trials, WORKERS, progress));
            trials.clear();
            if left(count, &toll) == 0 || toll.hits == before {
                break;
            }
        }
        let more = json!({
            "events": field.events.clone().count(), "killed at events": at_events, "appends": field.appends,
            "calls": field.calls,
        });
        let all = merged(toll.figures("kills"), more);
        (toll, all)
    }

    fn left(count: usize, toll: &Toll) -> usize {
        count.saturating_sub(usize::try_from(toll.hits).unwrap_or(usize::MAX))
    }

    fn nth(field: &Field, each: usize, seed: u64) -> (Toll, Value) {
        let trials = if each == 0 { field.every_failure() } else { field.some_failures(each, seed) };
        eprintln!("{} trials", trials.len());
        let toll = field.fail(&trials, WORKERS, progress);
        let figures = toll.figures("failed calls");
        (toll, figures)
    }

    fn power(field: &Field, cuts: usize, seed: u64) -> (Toll, Value) {
        let recorded = field.record("power", false);
        let more = json!({"changes recorded": recorded.changes(), "syncs recorded": recorded.syncs()});
        let unseen = recorded.unseen().to_vec();
        let mut toll = field.cut(&recorded, cuts, seed, |toll| {
            progress(toll);
            false
        });
        if !unseen.is_empty() {
            toll.stuck += 1;
            toll.findings.push(format!("the record is blind to {unseen:?}"));
        }
        let figures = merged(toll.figures("power cuts"), more);
        (toll, figures)
    }

    fn full(field: &Field, rooms: usize, seed: u64) -> (Toll, Value) {
        let mut seed = Seed(seed);
        let rooms: Vec<u64> = (0..rooms).map(|_| seed.below(MOST_ROOM)).collect();
        let toll = field.fill(&rooms, WORKERS, progress);
        let figures = toll.figures("full disks");
        (toll, figures)
    }

    /// Breaks every rule in turn. That one goes unnoticed is the finding.
    async fn hunt(victim: &Path, seed: u64) -> ExitCode {
        if !victim.with_file_name("mutant").exists() {
            return usage();
        }
        let hunted = mutants::hunt_all(victim, WORKERS, seed, |hunted| {
            let colour = if hunted.red { "red" } else { "GREEN" };
            let found = hunted.toll.findings.first().map_or("", String::as_str);
            let found: String = found.chars().take(160).collect();
            eprintln!("{:?}: {colour} after {} trials: {found}", hunted.mutant, hunted.toll.trials);
        });
        let hunted = hunted.await;
        let mut figures = Map::new();
        for one in &hunted {
            figures.insert(format!("{:?}", one.mutant), json!({"noticed": one.red, "trials": one.toll.trials}));
        }
        let unnoticed = hunted.iter().filter(|hunted| !hunted.red);
        let unnoticed: Vec<String> = unnoticed.map(|hunted| format!("{:?} goes unnoticed", hunted.mutant)).collect();
        println!("{}", json!({"figures": figures, "findings": unnoticed}));
        if unnoticed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn merged(one: Value, other: Value) -> Value {
        match (one, other) {
            (Value::Object(mut one), Value::Object(other)) => {
                one.extend(other);
                Value::Object(one)
            }
            (one, _) => one,
        }
    }

    fn progress(toll: &Toll) {
        if toll.trials.is_multiple_of(100) {
            eprintln!("{} trials, {} hits, {} findings", toll.trials, toll.hits, toll.findings.len());
        }
        if std::env::var_os("CRASH_TELL").is_some()
            && let Some(last) = toll.findings.last()
        {
            eprintln!("  {last}");
        }
    }

    fn usage() -> ExitCode {
        eprintln!("usage: crash (kills N | nth EACH | power CUTS | full ROOMS | mutants 0) SEED [COURSE]");
        ExitCode::from(2)
    }
}
