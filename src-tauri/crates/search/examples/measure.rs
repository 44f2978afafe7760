//! Measures the index on a folder and prints the figures as JSON; `cargo xtask bench search` runs it.
//!
//! `measure FOLDER INDEX SAVES EDITS`: the index is made anew in INDEX, then asked, then fed with SAVES saved files at
//! 20 a second and EDITS edits as fast as they come. Files of the folder are changed.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a measurement prints, and one that fails counts nothing"
)]

use atelier_search::{Ask, Index};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A save a little slower than that is searchable too late to be used.
const LIMIT: Duration = Duration::from_secs(10);
/// Files that queries are taken from.
const SOURCES: &[&str] = &["rs", "py", "js", "ts", "go", "java", "c", "cc", "cpp", "h"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, dir, saves, edits] = &arguments[..] else {
        return eprintln!("usage: measure FOLDER INDEX SAVES EDITS");
    };
    let (root, dir) = (PathBuf::from(root), PathBuf::from(dir));
    let (saves, edits): (usize, usize) = (saves.parse().unwrap(), edits.parse().unwrap());
    let _ = fs::remove_dir_all(&dir);

    let begun = Instant::now();
    let index = Index::open(&dir).unwrap();
    let view = index.refresh(&root).unwrap();
    let lexical_s = begun.elapsed().as_secs_f64();
    let lexical_rss = peak();
    let lexical_bytes = size(&dir);
    while !index.complete(&root, Duration::from_secs(2)).unwrap() {}
    let symbols_s = begun.elapsed().as_secs_f64();
    let indexed_rss = peak();
    let text: u64 = text_size(&root);
    let again = Instant::now();
    index.refresh(&root).unwrap();
    let unchanged_ms = ms(again.elapsed());

    let (queries, mut times) = (queries(&root), Vec::new());
    for query in queries.iter().chain(&queries) {
        let asked = Instant::now();
        let found = index.search(&root, Ask { query, limit: 10, ..Ask::default() }).unwrap();
        times.push(ms(asked.elapsed()));
        assert!(!found.hits.is_empty(), "nothing found for {query}");
    }
    let counted = times.split_off(queries.len()); // the first round warms the disk cache

    let mut searchable = Vec::new();
    let mut committed = Vec::new();
    for number in 0..saves {
        let begun = Instant::now();
        let word = format!("savedword{}", letters(number));
        let path = format!("atelier-measure/save{}.rs", number % 50);
        save(&root, &path, &format!("//! {word}\n{}", "fn filler() {}\n".repeat(50)));
        index.changed(&root, [path.clone()]).unwrap();
        let mut found_after = None;
        while begun.elapsed() < LIMIT {
            let found = index.search(&root, Ask { query: &word, limit: 3, ..Ask::default() }).unwrap();
            if found.hits.iter().any(|hit| hit.path == path && hit.snippet.contains(&word)) {
                found_after.get_or_insert_with(|| ms(begun.elapsed()));
                if found.scanned == 0 {
                    committed.push(ms(begun.elapsed()));
                    break;
                }
                if begun.elapsed() > Duration::from_millis(50) {
                    break; // the next save is due; how long the commit takes is seen by those that are lucky
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        searchable.push(found_after.unwrap_or(f64::INFINITY));
        std::thread::sleep(Duration::from_millis(50).saturating_sub(begun.elapsed()));
    }

    let begun = Instant::now();
    let mut most_segments = index.segments();
    for number in 0..edits {
        let path = format!("atelier-measure/edit{}.rs", number % 500);
        save(&root, &path, &format!("//! edit {number}\nfn edited_{number}() {{}}\n"));
        index.changed(&root, [path]).unwrap();
        most_segments = most_segments.max(index.segments());
    }
    while index.status().unwrap().pending > 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let edits_s = begun.elapsed().as_secs_f64();
    let last = format!("edited_{}", edits.saturating_sub(1));
    let found = index.search(&root, Ask { query: &last, limit: 1, ..Ask::default() }).unwrap();
    assert!(edits == 0 || found.hits.iter().any(|hit| hit.snippet.contains(&last)), "the last edit is not found");
    let segments = index.segments();
    let bytes = size(&dir);
    let _ = fs::remove_dir_all(root.join("atelier-measure"));
    drop(index);
    let begun = Instant::now();
    let index = Index::open(&dir).unwrap();
    let open_ms = ms(begun.elapsed());
    drop(index);

    #[expect(clippy::cast_precision_loss, reason = "sizes and counts as figures")]
    let (ratio, per_second) = (bytes as f64 / text as f64, f64::from(view.files) / lexical_s);
    println!(
        "{}",
        json!({
            "files": view.files, "left_out": view.skipped.len(), "text_mb": mb(text),
            "lexical_s": lexical_s, "files_per_s": per_second, "symbols_s": symbols_s,
            "lexical_peak_rss_mb": lexical_rss, "peak_rss_mb": indexed_rss, "peak_rss_after_edits_mb": peak(),
            "lexical_index_mb": mb(lexical_bytes), "index_mb": mb(bytes), "index_to_text": ratio,
            "refresh_unchanged_ms": unchanged_ms, "open_ms": open_ms,
            "query_ms": percentiles(counted), "queries": queries,
            "save_to_searchable_ms": percentiles(searchable), "save_to_committed_ms": percentiles(committed),
            "edits": edits, "edits_s": edits_s, "segments": segments, "most_segments": most_segments,
        })
    );
}

fn save(root: &Path, path: &str, text: &str) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// One to four words of the folder's own files: names, and words that many files have.
fn queries(root: &Path) -> Vec<String> {
    let mut files: Vec<PathBuf> = ignore_free(root)
        .into_iter()
        .filter(|file| file.extension().is_some_and(|e| SOURCES.iter().any(|s| e == *s)))
        .collect();
    files.sort();
    let mut queries = Vec::new();
    let step = (files.len() / 100).max(1);
    for (number, file) in files.iter().step_by(step).take(100).enumerate() {
        let text = fs::read_to_string(file).unwrap_or_default();
        let words: Vec<&str> = text.split(|c: char| c != '_' && !c.is_alphanumeric()).filter(|w| w.len() > 3).collect();
        let from = words.len() / 2;
        let query = words.iter().skip(from).take(1 + number % 4).copied().collect::<Vec<_>>().join(" ");
        if !query.is_empty() {
            queries.push(query);
        }
    }
    queries
}

fn ignore_free(root: &Path) -> Vec<PathBuf> {
    let mut walk = ignore::WalkBuilder::new(root);
    walk.hidden(false).git_global(false).require_git(false).filter_entry(|entry| entry.file_name() != ".git");
    walk.build()
        .flatten()
        .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
        .map(ignore::DirEntry::into_path)
        .collect()
}

fn text_size(root: &Path) -> u64 {
    ignore_free(root)
        .iter()
        .filter_map(|file| file.metadata().ok())
        .map(|data| data.len())
        .filter(|len| *len <= 1 << 20)
        .sum()
}

fn size(dir: &Path) -> u64 {
    fs::read_dir(dir).unwrap().flatten().filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "a size as a figure")]
fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The most memory this process had, all and without mapped files, in MB; null where the system does not say.
fn peak() -> Value {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let fields: BTreeMap<&str, &str> = status.lines().filter_map(|line| line.split_once(':')).collect();
    let mb = |name: &str| -> Option<f64> {
        Some(fields.get(name)?.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1000.0)
    };
    json!({ "all": mb("VmHWM"), "now": mb("VmRSS"), "own_now": mb("RssAnon") })
}

/// A number without digits: a word of its own in a name, so that no path that holds the number is a better answer.
fn letters(number: usize) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

fn percentiles(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    let at = |share: usize| values.get((values.len() * share / 100).min(values.len().saturating_sub(1))).copied();
    json!({ "p50": at(50), "p95": at(95), "most": values.last(), "measured": values.len() })
}
