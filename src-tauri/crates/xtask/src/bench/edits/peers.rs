//! Appliers of published tools on a sample of the same cases, where they are on the `PATH`; which are missing is said.
//!
//! Aider is asked through its own Python (search and replace, unified diffs), Codex by the door through which its
//! program applies patches. Both may change some files and then fail: what they report as failed counts as refused.

use super::{Count, Outcome, Sent};
use crate::run::{self, Failure};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Cases a format and size of context: they take a twentieth to a fifth of a second each.
const SAMPLE: usize = 300;
const AIDER: &str = include_str!("aider.py");

/// What each does with a sample of the cases, and ours beside it: figures by tool, format and context.
pub fn beside(program: &Path, cases: &[Sent]) -> Result<Value, Failure> {
    let mut rows: BTreeMap<&(String, String), Vec<&Sent>> = BTreeMap::new();
    for case in cases.iter().filter(|case| case.expected.as_object().is_some_and(|files| !files.is_empty())) {
        rows.entry(&case.row).or_default().push(case);
    }
    let mut figures = Map::new();
    let (aider, codex) = (python_of("aider"), run::found("codex"));
    for (name, found) in [("aider", aider.is_some()), ("codex", codex.is_some())] {
        if !found {
            println!("{name} is not installed");
            figures.insert(name.to_owned(), json!("not installed"));
        }
    }
    for (row, all) in rows {
        let step = all.len().div_ceil(SAMPLE).max(1);
        let sample: Vec<&Sent> = all.into_iter().step_by(step).collect();
        let theirs = match (row.0.as_str(), &aider, &codex) {
            ("search-replace" | "unified-diff", Some(python), _) => ("aider", by_aider(python, &sample)?),
            ("apply-patch", _, Some(codex)) => ("codex", by_codex(codex, &sample)?),
            _ => continue,
        };
        let mut ours = BTreeMap::new();
        super::replay(program, &sample, &mut ours)?;
        let ours = ours.remove(row).unwrap_or_default();
        for (tool, count) in [theirs, ("atelier", ours)] {
            println!("{tool:15} {} {:24} {}", row.0, row.1, count.value().as_str().unwrap_or_default());
            figures.insert(format!("{tool}, {}, {}", row.0, row.1), count.value());
        }
    }
    Ok(Value::Object(figures))
}

fn by_aider(python: &Path, sample: &[&Sent]) -> Result<Count, Failure> {
    let cannot = |error: std::io::Error| Failure::Work(format!("{}: {error}", python.display()));
    let mut child = Command::new(python)
        .args(["-c", AIDER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(cannot)?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Failure::Work("the program has no pipes".to_owned()));
    };
    let mut count = Count::default();
    let mut answers = BufReader::new(output).lines();
    for case in sample {
        writeln!(input, "{}", case.line).map_err(cannot)?;
        let answer = answers.next().and_then(Result::ok).unwrap_or_default();
        let answer: Value = serde_json::from_str(&answer)
            .map_err(|error| Failure::Work(format!("Aider's answer cannot be read: {error}")))?;
        count.add(super::outcome(&answer, &case.expected), case.unambiguous);
    }
    drop(input);
    let _ = child.wait();
    Ok(count)
}

fn by_codex(codex: &Path, sample: &[&Sent]) -> Result<Count, Failure> {
    let folder = std::env::temp_dir().join(format!("atelier-bench-codex-{}", std::process::id()));
    let mut count = Count::default();
    for case in sample {
        let cannot = |error: std::io::Error| Failure::Work(format!("{}: {error}", folder.display()));
        let asked: Value = serde_json::from_str(&case.line).unwrap_or_default();
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).map_err(cannot)?;
        for (path, text) in asked["files"].as_object().into_iter().flatten() {
            let file = folder.join(path);
            file.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(cannot)?;
            std::fs::write(&file, text.as_str().unwrap_or_default()).map_err(cannot)?;
        }
        let patch = asked["edit"].as_str().unwrap_or_default();
        let mut command = Command::new(codex);
        command.args(["--codex-run-as-apply-patch", patch]).current_dir(&folder);
        let done = command.output().map_err(cannot)?;
        let as_expected = case.expected.as_object().into_iter().flatten().all(|(path, text)| {
            let there = std::fs::read_to_string(folder.join(path)).ok();
            there.as_deref() == text.as_str()
        });
        let outcome = match (done.status.success(), as_expected) {
            (false, _) => Outcome::Refused,
            (true, true) => Outcome::Exact,
            (true, false) => Outcome::Wrong,
        };
        count.add(outcome, case.unambiguous);
    }
    let _ = std::fs::remove_dir_all(&folder);
    Ok(count)
}

/// The interpreter that a Python program's first line names.
fn python_of(program: &str) -> Option<PathBuf> {
    let text = std::fs::read_to_string(run::found(program)?).ok()?;
    let python = PathBuf::from(text.lines().next()?.strip_prefix("#!")?.trim());
    python.is_file().then_some(python)
}
