//! Oracle replay at full length: `oracle FOLDER SEED [EXERCISE ...]`. Progress goes to standard error; the last line of
//! standard output is `{figures, findings}`.
//!
//! `cargo xtask bench oracle` runs it. What it finds is a failure: its exit code is 1 then.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to whoever started it")]

use atelier_tests::oracle::{Part, exercise, play, write};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::ExitCode;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, seed, only @ ..] = words.as_slice() else { return usage() };
    let Ok(seed) = seed.parse::<u64>() else { return usage() };
    let exercises = match exercise::all(Path::new(folder)) {
        Ok(all) => all,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let exercises: Vec<_> = exercises.into_iter().filter(|one| only.is_empty() || only.contains(&one.name)).collect();
    let (mut figures, mut findings) = (Map::new(), Vec::new());
    let mut fault = |what: &str, found: &[String]| {
        findings.extend(found.iter().map(|finding| format!("{what}: {finding}")));
    };
    for format in write::FORMATS {
        let (mut exact, mut own) = (0, Vec::new());
        for (at, one) in exercises.iter().enumerate() {
            let played = play(one, format, Part::Reference, seed.wrapping_add(at as u64)).await;
            eprintln!("{format} {}: {} ms, its tests {} ms", one.name, played.wall_ms, played.tests_ms);
            exact += usize::from(played.findings.is_empty());
            own.push(played.own_ms());
            fault(&format!("{format} {}", one.name), &played.findings);
        }
        figures.insert(
            format.to_owned(),
            json!({
                "exercises": exercises.len(), "exact_percent": percent(exact, exercises.len()), "own_ms": spread(own),
            }),
        );
    }
    let (mut tried, mut refused) = (0, 0);
    for (at, one) in exercises.iter().enumerate() {
        let wrong = one.wrong.keys().map(|name| Part::Wrong(name));
        for (nth, part) in wrong.chain([Part::EditsTests, Part::SaysSuccess]).enumerate() {
            let format = write::FORMATS[(at + nth) % write::FORMATS.len()];
            let played = play(one, format, part, seed.wrapping_add(at as u64)).await;
            eprintln!(
                "{part:?} {}: {}",
                one.name,
                if played.findings.is_empty() { "refused" } else { "NOT AS IT MUST BE" }
            );
            tried += 1;
            refused += usize::from(played.findings.is_empty());
            fault(&format!("{format} {} {part:?}", one.name), &played.findings);
        }
    }
    figures.insert("must_not_come_through".to_owned(), json!({"tried": tried, "refused": refused}));
    println!("{}", json!({"figures": figures, "findings": findings}));
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn percent(part: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { 100.0 * part as f64 / of as f64 }
}

/// Median, least and most.
fn spread(mut values: Vec<u64>) -> Value {
    values.sort_unstable();
    let Some((least, most)) = values.first().zip(values.last()) else { return Value::Null };
    json!({"median": values[values.len() / 2], "least": least, "most": most, "runs": values.len()})
}

fn usage() -> ExitCode {
    eprintln!("oracle FOLDER SEED [EXERCISE ...]");
    ExitCode::from(2)
}
