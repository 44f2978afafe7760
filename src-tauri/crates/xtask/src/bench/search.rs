//! The index on a large folder: how long until it answers, how much it takes, how soon a save is found.
//!
//! Measured twice: the index alone, in one process (`search`'s example `measure`), and through the whole program with its
//! watch. ripgrep is asked the same queries, where it is installed. Files are saved in the folder, so it is a copy.

mod folder;
mod followed;

use super::goals::{self, Goal};
use super::{build_programs, number, record};
use crate::args::Args;
use crate::run::{self, Failure};
use crate::workspace;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What an index of 60,000 files must hold.
const GOALS: &[Goal] = &[
    Goal::most("/lexical_s", "words ready, s", 15.0, Some(6.0)),
    Goal::most("/symbols_s", "definitions ready, s", 60.0, None),
    Goal::most("/peak_rss_mb/all", "peak memory, MB", 400.0, Some(160.0)),
    Goal::most("/index_to_text", "index to text", 1.0, None),
    Goal::most("/query_ms/p50", "query p50, ms", 20.0, Some(5.0)),
    Goal::most("/query_ms/p95", "query p95, ms", 100.0, Some(50.0)),
    Goal::most("/save_to_searchable_ms/p95", "save to searchable p95, ms", 1_000.0, Some(300.0)),
    Goal::most("/most_segments", "segments, most during the edits", 29.0, None),
    Goal::most("/program/ready_s", "program: words ready, s", 15.0, Some(6.0)),
    Goal::most("/program/complete_s", "program: definitions, history ready, s", 60.0, None),
    Goal::most("/program/gaps_not_named", "program: gaps that no answer named", 0.0, None),
    Goal::most("/program/peak_rss_mb", "program: peak memory, MB", 400.0, Some(160.0)),
    Goal::most("/program/query_ms/p50", "program: query p50, ms", 20.0, Some(5.0)),
    Goal::most("/program/query_ms/p95", "program: query p95, ms", 100.0, Some(50.0)),
    Goal::most("/program/query_while_missing_ms/p95", "program: query p95 meanwhile, ms", 100.0, None),
    Goal::most("/program/save_to_searchable_ms/p95", "program: save to searchable p95, ms", 1_000.0, Some(300.0)),
    Goal::most("/program/idle_core_percent", "program: idle, percent of a core", 1.0, None),
    Goal::most("/program/build/further_watches", "program: watches of ignored folders", 0.0, None),
];
/// Queries that ripgrep is asked.
const BESIDE: usize = 20;

pub fn main(args: &Args) -> Result<(), Failure> {
    let scratch = workspace::root().join("target/bench/search");
    let (tree, index, home) = (scratch.join("tree"), scratch.join("index"), scratch.join("home"));
    let _ = fs::remove_dir_all(&scratch);
    let release = !args.has("--debug");
    let programs = ["--workspace", "--bin", "atelier", "--example", "measure"];
    build_programs(&programs, release, args.has("--built"))?;
    let metadata = workspace::metadata()?;
    let built = workspace::built(&metadata, release);

    let (wanted, commits) = (number(args, "--files", 60_000)?, number(args, "--commits", 4_000)?);
    let made = match args.values("--repo").last() {
        Some(repo) => folder::copy_of(Path::new(repo), &tree, commits)?,
        None => folder::from_sources(&tree, wanted, commits)?,
    };
    println!("{} files, {} of them different, {} commits: {}", made.files, made.texts, made.commits, made.how);

    let (saves, edits) = (number(args, "--saves", 200)?, number(args, "--edits", 10_000)?);
    let mut measure = Command::new(built.join("examples/measure").with_extension(std::env::consts::EXE_EXTENSION));
    measure.arg(&tree).arg(&index).args([saves.to_string(), edits.to_string()]);
    let mut figures: Value = serde_json::from_slice(&run::output(&mut measure)?)
        .map_err(|error| Failure::Work(format!("what was measured cannot be read: {error}")))?;
    let queries: Vec<String> =
        figures["queries"].as_array().into_iter().flatten().filter_map(|q| q.as_str()).map(str::to_owned).collect();
    let _ = fs::remove_dir_all(&index);
    let program = followed::measure(&followed::Plan {
        program: &workspace::program(&metadata, "atelier-cli", release)?,
        tree: &tree,
        home: &home,
        queries: &queries,
        saves,
        idle: Duration::from_secs(number(args, "--idle", 20)?.try_into().unwrap_or(u64::MAX)),
    })?;
    if let Some(figures) = figures.as_object_mut() {
        figures.insert("queries".to_owned(), json!(queries.len()));
        figures.insert("different_files".to_owned(), json!(made.texts));
        figures.insert("commits".to_owned(), json!(made.commits));
        figures.insert("folder".to_owned(), json!(made.how));
        figures.insert("program".to_owned(), program);
    }
    let baseline = ripgrep(&tree, &queries);
    let _ = fs::remove_dir_all(&scratch);
    record::write("search", &baseline, &figures)?;
    goals::told(GOALS, &figures);
    Ok(())
}

/// What ripgrep takes for the same words, any of them in any file; null where it is not installed.
fn ripgrep(tree: &Path, queries: &[String]) -> Value {
    if !run::on_path("rg") {
        return json!({ "ripgrep": "not installed" });
    }
    let mut times: Vec<f64> = Vec::new();
    for query in queries.iter().take(BESIDE) {
        let mut ripgrep = Command::new("rg");
        ripgrep.args(["--ignore-case", "--fixed-strings", "--count", "--hidden", "--glob", "!.git"]);
        for word in query.split(' ') {
            ripgrep.args(["-e", word]);
        }
        let begun = Instant::now();
        if ripgrep.arg(tree).stdout(Stdio::null()).status().is_ok() {
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
    }
    json!({ "ripgrep_ms": record::spread(times) })
}
