//! How often the files that a later commit changes are found by its message.
//!
//! For each repository the files of one commit, the base, are checked out into a folder that knows no later commit; the
//! program indexes it with its history and is asked the messages (subject and body) of later commits, merges, releases
//! and dependency bumps left out, that modify 1 to 10 source files. Those files are the truth. Plain BM25 over the same
//! files is asked the same in the same run. Intervals are of the mean over queries, by bootstrap.

use super::bm25::Plain;
use super::goals::{self, Goal};
use super::{number, record};
use crate::args::Args;
use crate::run::{self, Failure};
use crate::workspace;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Commits that follow the base where none is named; half of them where there are fewer than twice as many.
const BACK: usize = 400;
/// A commit that modifies more says too little about each.
const MOST_CHANGED: usize = 10;
/// Files that count of an answer.
const TOP: usize = 10;
/// Samples drawn for an interval.
const SAMPLES: usize = 2_000;
const LARGEST_TEXT: u64 = 1 << 20;

const SOURCES: &[&str] = &[
    "rs", "py", "pyi", "js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts", "go", "java", "kt", "kts", "scala", "c",
    "h", "cc", "cpp", "cxx", "hpp", "hh", "hxx", "cs", "rb", "php", "sh", "bash", "swift", "m", "mm", "lua", "ex",
    "exs", "erl", "hs", "ml", "clj", "dart", "zig", "vue", "svelte", "sql", "pl", "pm", "r", "jl",
];
/// Beginnings of subjects of releases and dependency bumps.
const RELEASES: &[&str] = &[
    "release",
    "bump",
    "prepare",
    "version",
    "chore(deps",
    "chore(release",
    "build(deps",
    "deps:",
    "deps(",
    "update dependenc",
    "upgrade dependenc",
    "[maven-release",
    "merge ",
];
/// Words anywhere in such subjects.
const RELEASE_WORDS: &[&str] = &[" bump ", "changelog", "pre-commit autoupdate"];

/// What the mean over the repositories must hold.
const GOALS: &[Goal] = &[
    Goal::least("/mean/hit_at_1", "hit@1", 0.38, Some(0.50)),
    Goal::least("/mean/hit_at_10", "hit@10", 0.80, Some(0.90)),
    Goal::least("/mean/recall_at_10", "recall@10", 0.68, Some(0.80)),
    Goal::most("/worse_than_plain", "repositories worse than plain BM25", 0.0, None),
];

/// What came of one query: the four figures, 0 to 1 each.
type Outcome = [f64; 4];
const FIGURES: [&str; 4] = ["hit_at_1", "hit_at_5", "hit_at_10", "recall_at_10"];

struct Query {
    commit: String,
    text: String,
    truth: HashSet<String>,
}

pub fn main(args: &Args) -> Result<(), Failure> {
    let mut repos: Vec<PathBuf> = args.values("--repo").map(PathBuf::from).collect();
    if repos.is_empty() {
        repos.push(workspace::root());
    }
    let bases: Vec<&str> = args.values("--base").collect();
    if !bases.is_empty() && bases.len() != repos.len() {
        return Err(Failure::Usage("give --base for every --repo, or for none".to_owned()));
    }
    let most = number(args, "--queries", 200)?;
    let program = program(args)?;
    let (mut figures, mut plain_figures) = (Map::new(), Map::new());
    let (mut all, mut all_plain) = (Vec::new(), Vec::new());
    let mut worse = 0;
    for (at, repo) in repos.iter().enumerate() {
        let name = name_of(repo);
        let base = match bases.get(at) {
            Some(base) => git(repo, &["rev-parse", &format!("{base}^{{commit}}")])?.trim().to_owned(),
            None => base_of(repo)?,
        };
        let scratch = workspace::root().join("target/bench/localise").join(&name);
        let (ours, plain) = measure(repo, &base, most, &program, &scratch)?;
        let _ = std::fs::remove_dir_all(&scratch);
        let better: Vec<f64> = ours.iter().zip(&plain).map(|(ours, plain)| ours[2] - plain[2]).collect();
        let mut figure = told(&ours);
        figure.insert(
            "hit_at_10_minus_plain".to_owned(),
            json!({"mean": mean(&better), "interval_95": interval(&better)}),
        );
        // Worse is what lies below even at the upper end of the interval.
        worse += usize::from(interval(&better)[1] < 0.0);
        figure.insert("queries".to_owned(), json!(ours.len()));
        figure.insert("base".to_owned(), json!(base));
        println!("{name} at {}: {} queries", base.get(..10).unwrap_or(&base), ours.len());
        println!("  atelier    {}", line(&ours));
        println!("  plain BM25 {}", line(&plain));
        figures.insert(name.clone(), Value::Object(figure));
        plain_figures.insert(name, Value::Object(told(&plain)));
        all.push(means(&ours));
        all_plain.push(means(&plain));
    }
    println!("mean over {} repositories\n  atelier    {}\n  plain BM25 {}", all.len(), line(&all), line(&all_plain));
    figures.insert("mean".to_owned(), Value::Object(means_told(&all)));
    figures.insert("worse_than_plain".to_owned(), json!(worse));
    plain_figures.insert("mean".to_owned(), Value::Object(means_told(&all_plain)));
    let figures = Value::Object(figures);
    record::keep("localise", &json!({ "plain_bm25": plain_figures }), &figures)?;
    goals::told(GOALS, &figures);
    println!("\nwrote target/bench/localise.json");
    Ok(())
}

/// The program that is measured: the one that was named, or the command line program built for release.
fn program(args: &Args) -> Result<PathBuf, Failure> {
    if let Some(named) = args.values("--program").last() {
        let file = std::path::absolute(named).map_err(|error| Failure::Usage(format!("{named}: {error}")))?;
        return if file.is_file() { Ok(file) } else { Err(Failure::Usage(format!("there is no program {named}"))) };
    }
    run::check(workspace::cargo().args(["build", "--release", "--locked", "--package", "atelier-cli"]))?;
    workspace::program(&workspace::metadata()?, "atelier-cli", true)
}

fn name_of(repo: &Path) -> String {
    // A git directory without work tree is often called `repo` or `.git`; the folder above says more.
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let own = name(repo);
    match own.as_str() {
        "repo" | ".git" | "" => repo.parent().map(name).unwrap_or_default(),
        _ => own,
    }
}

fn base_of(repo: &Path) -> Result<String, Failure> {
    let all = git(repo, &["rev-list", "--first-parent", "--count", "HEAD"])?.trim().parse().unwrap_or(0);
    let back = BACK.min(all / 2).to_string();
    let base = git(repo, &["rev-list", "--first-parent", "--skip", &back, "-n", "1", "HEAD"])?.trim().to_owned();
    match base.is_empty() {
        false => Ok(base),
        true => Err(Failure::Usage(format!("{} has no history", repo.display()))),
    }
}

fn measure(
    repo: &Path,
    base: &str,
    most: usize,
    program: &Path,
    scratch: &Path,
) -> Result<(Vec<Outcome>, Vec<Outcome>), Failure> {
    let files = scratch.join("files");
    let fault = |error: std::io::Error| Failure::Work(format!("{}: {error}", scratch.display()));
    let _ = std::fs::remove_dir_all(scratch);
    std::fs::create_dir_all(scratch).map_err(fault)?;
    check_out(repo, base, &files)?;

    let mut plain = Plain::default();
    let mut names = Vec::new();
    for name in git(&files, &["ls-files", "-z"])?.split('\0').filter(|name| !name.is_empty()) {
        let file = files.join(name);
        let small = file.symlink_metadata().is_ok_and(|data| data.is_file() && data.len() <= LARGEST_TEXT);
        if let Some(text) = small.then(|| std::fs::read_to_string(&file).ok()).flatten() {
            plain.add(&text);
            names.push(name.to_owned());
        }
    }
    let there: HashSet<&str> = names.iter().map(String::as_str).collect();
    let queries = queries(repo, base, &there, most)?;
    if queries.is_empty() {
        return Err(Failure::Work(format!("no later commit of {} modifies source files of {base}", repo.display())));
    }
    let home = scratch.join("home");
    let mut atelier = Command::new(program);
    atelier.env("ATELIER_HOME", &home).args(["--json", "--project"]).arg(&files);
    let mut index = Command::new(program);
    index.env("ATELIER_HOME", &home).args(["--json", "--project"]).arg(&files).arg("index");
    run::output(&mut index)?;
    atelier.args(["search", "--batch", "-k", &TOP.to_string()]);
    let found = batch(&mut atelier, &queries)?;
    let ours = queries.iter().map(|query| {
        let answer = found.get(&query.commit).cloned().unwrap_or_default();
        outcome(answer.iter().map(String::as_str), &query.truth)
    });
    let ours = ours.collect();
    let of_plain = queries.iter().map(|query| {
        let ranked = plain.ranked(&query.text);
        outcome(ranked.iter().filter_map(|file| names.get(*file)).map(String::as_str), &query.truth)
    });
    Ok((ours, of_plain.collect()))
}

/// The files of `base` in a repository whose references and HEAD know nothing later.
fn check_out(repo: &Path, base: &str, files: &Path) -> Result<(), Failure> {
    let repo = std::path::absolute(repo).map_err(|error| Failure::Usage(error.to_string()))?;
    let mut clone = Command::new("git");
    clone.args(["clone", "--quiet", "--shared", "--no-checkout", "--no-tags"]).arg(repo).arg(files);
    run::output(&mut clone)?;
    git(files, &["-c", "advice.detachedHead=false", "checkout", "--quiet", "--force", "-B", "base", base])?;
    for name in git(files, &["for-each-ref", "--format=%(refname)"])?.lines() {
        if name != "refs/heads/base" {
            git(files, &["update-ref", "--no-deref", "-d", name])?;
        }
    }
    Ok(())
}

fn git(repo: &Path, arguments: &[&str]) -> Result<String, Failure> {
    let output = run::output(Command::new("git").arg("-C").arg(repo).args(arguments))?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}

/// Later commits as questions, the oldest first.
fn queries(repo: &Path, base: &str, there: &HashSet<&str>, most: usize) -> Result<Vec<Query>, Failure> {
    let range = format!("{base}..HEAD");
    let format = "--format=%x01%H%x02%B%x02";
    let log = ["log", "--no-merges", "--reverse", "--no-renames", "--name-status", "-z", format, &range];
    let text = git(repo, &log)?;
    let mut queries = Vec::new();
    for commit in text.split('\u{1}').skip(1) {
        let mut parts = commit.splitn(3, '\u{2}');
        let (Some(id), Some(message), Some(changes)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let changes: Vec<&str> = changes.split('\0').map(str::trim).filter(|part| !part.is_empty()).collect();
        let modified = changes.chunks(2).filter_map(|pair| match pair {
            ["M", path] if is_source(path) => Some(*path),
            _ => None,
        });
        let modified: Vec<&str> = modified.collect();
        let truth: HashSet<String> =
            modified.iter().filter(|path| there.contains(**path)).map(|p| (*p).to_owned()).collect();
        let counts = (1..=MOST_CHANGED).contains(&modified.len()) && !truth.is_empty() && !is_release(message);
        if counts && message.chars().any(char::is_alphanumeric) {
            queries.push(Query { commit: id.to_owned(), text: message.trim().to_owned(), truth });
        }
        if queries.len() >= most {
            break;
        }
    }
    Ok(queries)
}

fn is_source(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').is_some_and(|(_, ending)| SOURCES.contains(&ending.to_lowercase().as_str()))
}

fn is_release(message: &str) -> bool {
    let subject = message.lines().next().unwrap_or_default().to_lowercase();
    let numbered =
        subject.trim_start_matches('v').split('.').take(2).filter(|part| part.parse::<u32>().is_ok()).count();
    numbered == 2
        || RELEASES.iter().any(|begin| subject.starts_with(begin))
        || RELEASE_WORDS.iter().any(|word| format!(" {subject} ").contains(word))
}

/// The paths of each answer by the query's commit, each once, best first.
fn batch(atelier: &mut Command, queries: &[Query]) -> Result<HashMap<String, Vec<String>>, Failure> {
    let fault = |error: std::io::Error| Failure::Work(format!("the program could not be asked: {error}"));
    let mut running = atelier.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(fault)?;
    let questions: String =
        queries.iter().map(|query| format!("{}\n", json!({"id": query.commit, "query": query.text}))).collect();
    let mut input = running.stdin.take().ok_or_else(|| Failure::Work("the program has no input".to_owned()))?;
    let writing = std::thread::spawn(move || input.write_all(questions.as_bytes()));
    let done = running.wait_with_output().map_err(fault)?;
    let _ = writing.join();
    if !done.status.success() {
        return Err(Failure::Work(format!("the program ended with {}", done.status)));
    }
    let mut found = HashMap::new();
    for answer in
        String::from_utf8_lossy(&done.stdout).lines().filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        let Some(id) = answer["id"].as_str() else { continue };
        let mut paths: Vec<String> = Vec::new();
        for path in answer["hits"].as_array().into_iter().flatten().filter_map(|hit| hit["path"].as_str()) {
            if !paths.iter().any(|known| known == path) {
                paths.push(path.to_owned());
            }
        }
        found.insert(id.to_owned(), paths);
    }
    match found.len() == queries.len() {
        true => Ok(found),
        false => Err(Failure::Work(format!("{} of {} questions were answered", found.len(), queries.len()))),
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most ten files")]
fn outcome<'a>(answer: impl Iterator<Item = &'a str>, truth: &HashSet<String>) -> Outcome {
    let places: Vec<usize> =
        answer.take(TOP).enumerate().filter(|(_, path)| truth.contains(*path)).map(|(at, _)| at).collect();
    let within = |top: usize| f64::from(u8::from(places.iter().any(|at| *at < top)));
    [within(1), within(5), within(TOP), places.len() as f64 / truth.len() as f64]
}

fn column(outcomes: &[Outcome], at: usize) -> Vec<f64> {
    outcomes.iter().map(|outcome| outcome[at]).collect()
}

#[expect(clippy::cast_precision_loss, reason = "hundreds of queries")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn means(outcomes: &[Outcome]) -> Outcome {
    [0, 1, 2, 3].map(|at| mean(&column(outcomes, at)))
}

fn means_told(outcomes: &[Outcome]) -> Map<String, Value> {
    FIGURES.iter().zip(means(outcomes)).map(|(name, mean)| ((*name).to_owned(), json!(mean))).collect()
}

fn told(outcomes: &[Outcome]) -> Map<String, Value> {
    let figure = |(at, name): (usize, &&str)| {
        let values = column(outcomes, at);
        ((*name).to_owned(), json!({"mean": mean(&values), "interval_95": interval(&values)}))
    };
    FIGURES.iter().enumerate().map(figure).collect()
}

fn line(outcomes: &[Outcome]) -> String {
    let part = |(at, name): (usize, &&str)| {
        let values = column(outcomes, at);
        let [low, high] = interval(&values);
        format!("{name} {:.3} [{low:.3} {high:.3}]", mean(&values))
    };
    FIGURES.iter().enumerate().map(part).collect::<Vec<_>>().join("  ")
}

/// Where the mean lies in 95 of 100 samples drawn from the values, always the same ones.
fn interval(values: &[f64]) -> [f64; 2] {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below.max(1) as u64).unwrap_or_default()
    };
    let mut sampled: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            mean(
                &values.iter().map(|_| values.get(next(values.len())).copied().unwrap_or_default()).collect::<Vec<_>>(),
            )
        })
        .collect();
    sampled.sort_by(f64::total_cmp);
    let at = |share: usize| sampled.get(SAMPLES * share / 1000).copied().unwrap_or_default();
    [at(25), at(975)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_counts_files_among_the_first_ten() {
        let truth: HashSet<String> = ["a", "b"].map(str::to_owned).into();
        assert_eq!(outcome(["a", "x"].into_iter(), &truth), [1.0, 1.0, 1.0, 0.5]);
        assert_eq!(outcome(["x", "y", "z", "p", "q", "b", "a"].into_iter(), &truth), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(outcome(["x"; 10].into_iter().chain(["a"]), &truth), [0.0; 4]);
    }

    #[test]
    fn releases_and_bumps_are_no_questions() {
        for subject in
            ["Release 2.0", "v1.2.3", "1.0.4", "Bump serde from 1 to 2", "chore(deps): x", "Update CHANGELOG.md"]
        {
            assert!(is_release(subject), "{subject}");
        }
        for subject in ["fix: crash on empty input", "1 more test", "v2 of the parser", "Bumpy road handling is fixed"]
        {
            assert_eq!(is_release(subject), subject.starts_with("Bump"), "{subject}");
        }
        assert!(is_source("a/b.RS") && !is_source("rs") && !is_source("a.md"));
    }

    #[test]
    fn an_interval_holds_the_mean() {
        let values: Vec<f64> = (0..200).map(|n| f64::from(u8::from(n % 4 == 0))).collect();
        let [low, high] = interval(&values);
        assert!(low < 0.25 && 0.25 < high && high - low < 0.15, "{low} {high}");
        assert_eq!(interval(&[1.0; 30]), [1.0, 1.0]);
    }
}
