//! Real commits replayed through every edit format: what is applied exactly, what is refused, what lands in a wrong place.
//!
//! The program that is measured is the real one (`atelier edit apply --batch`); whether a change could have been placed
//! by its text is counted here, by comparing lines, with nothing of the program's. Whole contents are compared.

mod history;
mod noise;
mod peers;
mod write;

use super::{build_programs, record};
use crate::run::Failure;
use crate::workspace;
use history::{CONTEXTS, Change, Hunk, unambiguous};
use noise::{Case, Class, Must};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// How a case ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Exact,
    Refused,
    Wrong,
}

/// Counts of one kind of case.
#[derive(Default, Clone)]
struct Count {
    cases: usize,
    exact: usize,
    refused: usize,
    wrong: usize,
    /// Of the cases whose texts stand once.
    unambiguous: usize,
    exact_of_those: usize,
}

impl Count {
    fn add(&mut self, outcome: Outcome, unambiguous: bool) {
        self.cases += 1;
        self.exact += usize::from(outcome == Outcome::Exact);
        self.refused += usize::from(outcome == Outcome::Refused);
        self.wrong += usize::from(outcome == Outcome::Wrong);
        self.unambiguous += usize::from(unambiguous);
        self.exact_of_those += usize::from(unambiguous && outcome == Outcome::Exact);
    }

    fn value(&self) -> Value {
        let share = |part: usize, of: usize| {
            #[expect(clippy::cast_precision_loss, reason = "a few thousand cases")]
            let percent = if of == 0 { 100.0 } else { 100.0 * part as f64 / of as f64 };
            percent
        };
        json!(format!(
            "{} cases, exact {:.2} %, refused {:.2} %, wrong {}; of {} unambiguous exact {:.2} %",
            self.cases,
            share(self.exact, self.cases),
            share(self.refused, self.cases),
            self.wrong,
            self.unambiguous,
            share(self.exact_of_those, self.unambiguous),
        ))
    }
}

/// A case as the program gets it, and what it must answer.
struct Sent {
    line: String,
    /// The changed files as they must come out.
    expected: Value,
    row: (String, String),
    unambiguous: bool,
}

/// `words`: repositories, and the number of commits of each.
pub fn main(words: &[String], release: bool, built: bool) -> Result<(), Failure> {
    let commits = words.iter().find_map(|word| word.parse::<usize>().ok()).unwrap_or(200);
    let mut repos: Vec<PathBuf> =
        words.iter().filter(|word| word.parse::<usize>().is_err()).map(PathBuf::from).collect();
    if repos.is_empty() {
        repos.push(workspace::root());
    }
    build_programs(&["--quiet", "--package", "atelier-cli"], release, built)?;
    let program = workspace::program(&workspace::metadata()?, "atelier-cli", release)?;
    let mut figures = Map::new();
    let mut clean: BTreeMap<(String, String), Count> = BTreeMap::new();
    let mut noisy: BTreeMap<(String, String), Count> = BTreeMap::new();
    let (mut files, mut left_out, mut cases, mut seconds) = (0, 0, 0, 0.0);
    let mut for_peers = Vec::new();
    for repo in &repos {
        println!("reading {commits} commits of {}", repo.display());
        let history = history::read(repo, commits)?;
        files += history.changes.len();
        left_out += history.left_out;
        let clean_cases = history.changes.iter().flat_map(clean_cases).collect::<Vec<_>>();
        let noisy_cases =
            history.changes.iter().enumerate().flat_map(|(seed, change)| noisy_cases(change, seed)).collect::<Vec<_>>();
        for (sent, counts) in [(&clean_cases, &mut clean), (&noisy_cases, &mut noisy)] {
            let begun = Instant::now();
            cases += sent.len();
            replay(&program, &sent.iter().collect::<Vec<_>>(), counts)?;
            seconds += begun.elapsed().as_secs_f64();
        }
        for_peers.extend(clean_cases);
    }
    figures.insert("changed files".to_owned(), json!(files));
    figures.insert("files left out (not UTF-8 text)".to_owned(), json!(left_out));
    figures.insert("cases".to_owned(), json!(cases));
    figures.insert("seconds for all cases".to_owned(), json!(seconds));
    let wrong: usize = clean.values().chain(noisy.values()).map(|count| count.wrong).sum();
    figures.insert("wrong".to_owned(), json!(wrong));
    for counts in [&clean, &noisy] {
        for ((format, kind), count) in counts {
            println!("{format:15} {kind:34} {}", count.value().as_str().unwrap_or_default());
        }
    }
    let mut by_class: BTreeMap<&str, Count> = BTreeMap::new();
    for ((_, kind), count) in &noisy {
        let sum = by_class.entry(kind).or_default();
        sum.cases += count.cases;
        sum.exact += count.exact;
        sum.refused += count.refused;
        sum.wrong += count.wrong;
        sum.unambiguous += count.unambiguous;
        sum.exact_of_those += count.exact_of_those;
    }
    let rows = clean.iter().map(|((format, kind), count)| (format!("{format}, {kind}"), count.value()));
    figures.insert("formats".to_owned(), Value::Object(rows.collect()));
    let rows = by_class.into_iter().map(|(class, count)| (class.to_owned(), count.value()));
    figures.insert("noise".to_owned(), Value::Object(rows.collect()));
    record::write("edits", &peers::beside(&program, &for_peers)?, &Value::Object(figures))?;
    let low = clean.iter().find(|(_, count)| count.exact_of_those * 1000 < count.unambiguous * 995);
    match low {
        _ if wrong > 0 => Err(Failure::Work(format!("{wrong} edits were applied in a wrong way"))),
        Some(((format, kind), _)) => Err(Failure::Work(format!("too much is refused: {format}, {kind}"))),
        None => Ok(()),
    }
}

/// The text decides in these formats; the others name the place.
fn by_text(format: &str) -> bool {
    !matches!(format, "whole-file" | "line-range")
}

fn clean_cases(change: &Change) -> Vec<Sent> {
    let mut all = Vec::new();
    for format in write::FORMATS {
        for (context, hunks) in CONTEXTS.iter().zip(&change.hunks) {
            if format == "whole-file" && *context != 3 {
                continue;
            }
            let Some(edit) = write::edit(format, change, hunks) else { continue };
            let kind = if by_text(format) { format!("{context} lines of context") } else { "clean".to_owned() };
            let once = !by_text(format) || once(change, hunks);
            if let Some(sent) = sent(format, change, &edit.text(), kind, once) {
                all.push(sent);
            }
        }
    }
    all
}

fn once(change: &Change, hunks: &[Hunk]) -> bool {
    change.before.as_deref().is_none_or(|before| unambiguous(before, hunks))
}

fn noisy_cases(change: &Change, seed: usize) -> Vec<Sent> {
    let mut all = Vec::new();
    let Some(hunks) = change.hunks.last() else { return all };
    let once = once(change, hunks);
    for format in write::FORMATS {
        let after = noise::AFTER.iter().map(|class| (class, false));
        for (class, first) in
            noise::BEFORE.iter().map(|class| (class, true)).chain(after).filter(|(c, _)| c.fits(format))
        {
            all.extend(noisy(format, change, hunks, seed, class, first, once || !by_text(format)));
        }
    }
    all
}

fn noisy(
    format: &'static str,
    change: &Change,
    hunks: &[Hunk],
    seed: usize,
    class: &Class,
    first: bool,
    once: bool,
) -> Option<Sent> {
    let copy = Change {
        id: format!("{} {format} {}", change.id, class.name),
        path: change.path.clone(),
        to: change.to.clone(),
        before: change.before.clone(),
        after: change.after.clone(),
        hunks: Vec::new(),
    };
    let mut case = Case { format, change: copy, hunks: hunks.to_vec(), text: String::new(), seed, skip: false };
    // Written before the file is changed under it, where the edit must not show it.
    if first {
        let of_the_file = class.name.starts_with("file ");
        let clean = noise::written(&case)?.text();
        class.put_on(&mut case);
        case.text = if of_the_file { clean } else { noise::written(&case)?.text() };
    } else {
        case.text = noise::written(&case)?.text();
        class.put_on(&mut case);
    }
    if case.skip {
        return None;
    }
    let must = if class.must == Must::Refuse { "must be refused" } else { "must apply" };
    sent(format, &case.change, &case.text, format!("{} ({must})", class.name), once && class.must == Must::Apply)
}

fn sent(format: &str, change: &Change, text: &str, kind: String, unambiguous: bool) -> Option<Sent> {
    let mut files = Map::new();
    let mut expected = Map::new();
    if let Some(before) = &change.before {
        files.insert(change.path.clone(), json!(before));
    }
    match (&change.to, &change.after) {
        (Some(to), after) => {
            expected.insert(change.path.clone(), Value::Null);
            expected.insert(to.clone(), json!(after));
        }
        (None, after) => _ = expected.insert(change.path.clone(), json!(after)),
    }
    if change.before == change.after && change.to.is_none() {
        return None;
    }
    let line = json!({"id": change.id, "format": format, "files": files, "edit": text}).to_string();
    Some(Sent { line, expected: Value::Object(expected), row: (format.to_owned(), kind), unambiguous })
}

fn outcome(answer: &Value, expected: &Value) -> Outcome {
    match (&answer["refused"], &answer["files"]) {
        (Value::Null, files) if files == expected => Outcome::Exact,
        (Value::Null, _) => Outcome::Wrong,
        _ => Outcome::Refused,
    }
}

/// Sends every case and counts the answers.
fn replay(program: &Path, sent: &[&Sent], counts: &mut BTreeMap<(String, String), Count>) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| Failure::Work(format!("{}: {error}", program.display()));
    let mut command = Command::new(program);
    command.args(["edit", "apply", "--batch"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(cannot)?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Failure::Work("the program has no pipes".to_owned()));
    };
    let answers: Vec<std::io::Result<String>> = std::thread::scope(|scope| {
        scope.spawn(move || {
            for case in sent {
                if writeln!(input, "{}", case.line).is_err() {
                    break;
                }
            }
        });
        BufReader::new(output).lines().collect()
    });
    let _ = child.wait();
    if answers.len() < sent.len() {
        return Err(Failure::Work(format!("{} of {} cases were answered", answers.len(), sent.len())));
    }
    for (case, answer) in sent.iter().zip(answers) {
        let answer: Value = serde_json::from_str(&answer.map_err(cannot)?).unwrap_or_default();
        let outcome = outcome(&answer, &case.expected);
        counts.entry(case.row.clone()).or_default().add(outcome, case.unambiguous);
        let told = outcome == Outcome::Wrong || outcome == Outcome::Refused && case.unambiguous;
        if told && std::env::var_os("ATELIER_BENCH_SHOW").is_some() {
            let name = if outcome == Outcome::Wrong { "WRONG" } else { "refused" };
            println!("{name} {:?} {}\n  {}\n  {}", case.row, answer["refused"]["reason"], case.line, case.expected);
        }
    }
    Ok(())
}
