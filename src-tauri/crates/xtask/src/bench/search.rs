//! The index on a large folder: how long until it answers, how much it takes, how soon a save is found.
//!
//! The folder is a copy, since files are saved in it: of the one that is named, or of text files from the sources that
//! cargo has downloaded, in the order of their paths and from the beginning again until there are enough. ripgrep is
//! asked the same queries, where it is installed.

use super::goals::{self, Goal};
use super::{number, record};
use crate::args::Args;
use crate::run::{self, Failure};
use crate::workspace;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Larger files are left out of the folder that is made.
const LARGEST: u64 = 256 << 10;
const ENDINGS: &[&str] = &[
    "rs", "toml", "md", "c", "h", "cpp", "cc", "hpp", "py", "js", "ts", "go", "java", "json", "yml", "yaml", "sh",
    "txt", "html", "css",
];
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
];
/// Queries that ripgrep is asked.
const BESIDE: usize = 20;

pub fn main(args: &Args) -> Result<(), Failure> {
    let scratch = workspace::root().join("target/bench/search");
    let (tree, index) = (scratch.join("tree"), scratch.join("index"));
    let _ = fs::remove_dir_all(&scratch);
    let wanted = number(args, "--files", 60_000)?;
    let (files, how) = match args.values("--repo").last() {
        Some(repo) => {
            (copied(&mut text_files(Path::new(repo)), Path::new(repo), &tree, usize::MAX)?, format!("a copy of {repo}"))
        }
        None => {
            let sources = cargo_home()?.join("registry/src");
            let how = format!(
                "text files of up to {} KiB from cargo's downloaded sources, repeated until {wanted}",
                LARGEST >> 10
            );
            (copied(&mut text_files(&sources), &sources, &tree, wanted)?, how)
        }
    };
    println!("{files} files: {how}");
    let mut measure = workspace::cargo();
    measure.args([
        "run",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        "atelier-search",
        "--example",
        "measure",
        "--",
    ]);
    let (saves, edits) = (number(args, "--saves", 200)?, number(args, "--edits", 10_000)?);
    measure.arg(&tree).arg(&index).args([saves.to_string(), edits.to_string()]);
    let printed = run::output(&mut measure)?;
    let mut figures: Value = serde_json::from_slice(&printed)
        .map_err(|error| Failure::Work(format!("what was measured cannot be read: {error}")))?;
    let queries: Vec<String> =
        figures["queries"].as_array().into_iter().flatten().filter_map(|q| q.as_str()).map(str::to_owned).collect();
    if let Some(figures) = figures.as_object_mut() {
        figures.insert("queries".to_owned(), json!(queries.len()));
        figures.insert("folder".to_owned(), json!(how));
    }
    let baseline = ripgrep(&tree, &queries);
    let _ = fs::remove_dir_all(&scratch);
    record::write("search", &baseline, &figures)?;
    goals::told(GOALS, &figures);
    Ok(())
}

fn cargo_home() -> Result<PathBuf, Failure> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    home.ok_or_else(|| {
        Failure::Environment("there is no home folder with cargo's sources; name one by --repo".to_owned())
    })
}

fn text_files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            let text =
                path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| ENDINGS.contains(&ending));
            if kind.is_dir() && entry.file_name() != ".git" {
                folders.push(path);
            } else if kind.is_file() && text && entry.metadata().is_ok_and(|data| data.len() <= LARGEST) {
                found.push(path);
            }
        }
    }
    found
}

fn copied(files: &mut [PathBuf], from: &Path, to: &Path, wanted: usize) -> Result<usize, Failure> {
    files.sort();
    let fault = |error: std::io::Error| Failure::Work(format!("{}: {error}", to.display()));
    let mut made = 0;
    for round in 0.. {
        if files.is_empty() || made >= wanted || (round > 0 && wanted == usize::MAX) {
            break;
        }
        for file in files.iter().take(wanted - made) {
            let name = file.strip_prefix(from).unwrap_or(file);
            let place = to.join(format!("part{round}")).join(name);
            fs::create_dir_all(place.parent().unwrap_or(to)).map_err(fault)?;
            fs::copy(file, &place).map_err(fault)?;
            made += 1;
        }
    }
    Ok(made)
}

/// What ripgrep takes for the same words, any of them in any file; null where it is not installed.
fn ripgrep(tree: &Path, queries: &[String]) -> Value {
    if !run::on_path("rg") {
        return json!({ "ripgrep": "not installed" });
    }
    let mut times: Vec<f64> = Vec::new();
    for query in queries.iter().take(BESIDE) {
        let mut ripgrep = Command::new("rg");
        ripgrep.args(["--ignore-case", "--fixed-strings", "--count", "--hidden"]).stdout(Stdio::null());
        for word in query.split(' ') {
            ripgrep.args(["-e", word]);
        }
        let begun = Instant::now();
        if ripgrep.arg(tree).status().is_ok() {
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
    }
    json!({ "ripgrep_ms": record::spread(times) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_filled_until_it_has_enough() {
        let scratch = std::env::temp_dir().join(format!("atelier-xtask-search-{}", std::process::id()));
        let from = scratch.join("from");
        fs::create_dir_all(from.join("sub")).unwrap();
        fs::write(from.join("a.rs"), "a").unwrap();
        fs::write(from.join("sub/b.md"), "b").unwrap();
        fs::write(from.join("c.png"), "no text").unwrap();
        assert_eq!(copied(&mut text_files(&from), &from, &scratch.join("to"), 5).unwrap(), 5);
        let places = ["part0/a.rs", "part0/sub/b.md", "part1/a.rs", "part1/sub/b.md", "part2/a.rs"];
        assert!(places.iter().all(|place| scratch.join("to").join(place).is_file()));
        assert_eq!(copied(&mut text_files(&from), &from, &scratch.join("once"), usize::MAX).unwrap(), 2);
        fs::remove_dir_all(&scratch).unwrap();
    }
}
