//! The crash campaigns at full length: `crash kills N SEED`, `crash nth EACH SEED` (0 is every call), `crash power CUTS
//! SEED`; a flow may follow. Progress goes to standard error; the last line of standard output is `{figures, findings}`.
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
    use atelier_tests::toll::{Field, Toll, child};
    use serde_json::{Value, json};
    use std::process::ExitCode;
    use std::time::Instant;

    /// Trials that are made beside each other.
    const WORKERS: usize = 2;

    pub async fn main() -> ExitCode {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [campaign, count, seed, rest @ ..] = words.as_slice() else { return usage() };
        let (Ok(count), Ok(seed)) = (count.parse::<usize>(), seed.parse::<u64>()) else { return usage() };
        let flow = rest.first().map(|flow| if flow == "reviewed" { "reviewed" } else { "feature" });
        let victim = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("victim")));
        let Some(victim) = victim.filter(|victim| victim.exists()) else { return usage() };
        child::library();
        atelier_tests::cli::program();
        let field = Field::prepare(flow, &victim).await;
        let begun = Instant::now();
        let (toll, more) = tokio::task::block_in_place(|| match campaign.as_str() {
            "kills" => kills(&field, count, seed),
            "nth" => nth(&field, count, seed),
            "power" => power(&field, count, seed),
            _ => (Toll::default(), Value::Null),
        });
        if toll.trials == 0 {
            return usage();
        }
        let mut figures = toll.figures();
        figures["seed"] = json!(seed);
        figures["seconds"] = json!(begun.elapsed().as_secs());
        if let (Value::Object(figures), Value::Object(more)) = (&mut figures, more) {
            figures.extend(more);
        }
        println!("{}", json!({"figures": figures, "findings": toll.findings}));
        if toll.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn kills(field: &Field, count: usize, seed: u64) -> (Toll, Value) {
        let mut trials = field.at_every_append();
        trials.truncate(count);
        trials.extend(field.drawn(count - trials.len(), seed));
        let toll = field.kill(&trials, WORKERS, progress);
        (
            toll,
            json!({"events of the job": field.events, "appends of the job": field.appends, "calls of the job": field.calls}),
        )
    }

    fn nth(field: &Field, each: usize, seed: u64) -> (Toll, Value) {
        let trials = if each == 0 { field.every_failure() } else { field.some_failures(each, seed) };
        eprintln!("{} trials", trials.len());
        (field.fail(&trials, WORKERS, progress), Value::Null)
    }

    fn power(field: &Field, cuts: usize, seed: u64) -> (Toll, Value) {
        let recorded = field.record("power", false);
        let (changes, syncs, unseen) = (recorded.changes(), recorded.syncs(), recorded.unseen().to_vec());
        let mut toll = field.cut(&recorded, cuts, seed, progress);
        if !unseen.is_empty() {
            toll.stuck += 1;
            toll.findings.push(format!("the record is blind to {unseen:?}"));
        }
        (toll, json!({"changes recorded": changes, "syncs recorded": syncs}))
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
        eprintln!("usage: crash (kills N | nth EACH | power CUTS) SEED [reviewed]");
        ExitCode::from(2)
    }
}
