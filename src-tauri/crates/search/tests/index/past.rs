//! What earlier commits say: guards that it orders and finds files, is kept with the index, and lies about none.
//!
//! Mutants that turn it red: `lift_neighbours` that lifts nothing; a `together` that counts one common commit.

use crate::bench::Bench;
use atelier_protocol::Hash;
use atelier_protocol::view::{HitKind, IndexPart};
use atelier_search::{Ask, PastCommit};
use std::fs;

fn commit(id: &str, message: &str, paths: &[&str]) -> PastCommit {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    PastCommit { id: id.to_owned(), at_ms: 0, message: message.to_owned(), paths }
}

fn three() -> Bench {
    let text = "// the cache of pages\n";
    Bench::indexed(&[("a.rs", text), ("b.rs", text), ("c.rs", "nothing of it\n")])
}

#[test]
fn what_earlier_commits_say_of_a_file_counts() {
    let bench = three();
    assert_eq!(bench.paths("cache eviction"), ["a.rs", "b.rs"]);
    let wide: Vec<String> = (0..30).map(|n| format!("{n}.rs")).chain(["a.rs".to_owned()]).collect();
    let wide = PastCommit { paths: wide, ..commit("1", "eviction eviction eviction", &[]) };
    bench.index().remember("h", [commit("2", "Fix eviction order", &["b.rs", "c.rs", "gone.rs"]), wide]).unwrap();
    assert_eq!(bench.paths("cache eviction"), ["b.rs", "a.rs", "c.rs"], "c.rs is found by its past alone");
    let hits = bench.hits("eviction order");
    assert_eq!((&*hits[1].snippet, hits[1].lines), ("nothing of it", [1, 1]), "its beginning is shown");
    bench.index().remember("h", []).unwrap();
    assert_eq!(bench.paths("cache eviction"), ["a.rs", "b.rs"]);
}

#[test]
fn what_is_often_changed_together_with_the_best_is_lifted() {
    let text = "// the cache of pages\n";
    let files = [("a.rs", text), ("b.rs", text), ("m.rs", text), ("n.rs", "nothing of it\n"), ("o.rs", "nor of it\n")];
    let bench = Bench::indexed(&files);
    assert_eq!(bench.paths("cache eviction"), ["a.rs", "b.rs", "m.rs"]);
    let of = |n: usize, paths: &[&str]| commit(&format!("{n}"), "Tidy", paths);
    let together: Vec<PastCommit> = (0..6).map(|n| of(n, &["a.rs", "n.rs", "m.rs"])).collect();
    let mut commits = vec![commit("e", "Evict in order: eviction", &["a.rs"])];
    // b.rs is changed as often, and later, but alone.
    commits.extend((10..16).map(|n| of(n, &["b.rs"])));
    commits.extend(together);
    commits.push(of(9, &["a.rs", "o.rs"]));
    bench.index().remember("h", commits).unwrap();
    assert_eq!(bench.paths("cache eviction"), ["a.rs", "m.rs", "b.rs", "n.rs"], "once together, as o.rs, is chance");
    assert_eq!(bench.paths("\"cache of\"").len(), 3, "where words must follow each other, no neighbour joins");
}

#[test]
fn messages_are_found_as_hits_of_their_own() {
    let bench = three();
    let long = "Fix eviction order\n\nPages were dropped too early.\n";
    bench.index().remember("h", [commit("abc", long, &["b.rs"]), commit("def", "Drop pages", &["a.rs"])]).unwrap();
    let asked = |query, kinds: &[HitKind]| {
        bench.index().search(&bench.root(), Ask { query, limit: 10, kinds, ..Ask::default() }).unwrap().hits
    };
    let hits = asked("pages early", &[HitKind::Commit]);
    assert_eq!(hits.iter().map(|hit| &*hit.path).collect::<Vec<_>>(), ["abc", "def"]);
    assert_eq!((&*hits[0].snippet, hits[0].lines), (long.trim_end(), [1, 3]));
    assert_eq!(hits[0].hash, Hash::of(long.as_bytes()));
    assert_eq!(asked("\"dropped too early\"", &[HitKind::Commit]).len(), 1);
    let all = asked("pages", &[HitKind::Code, HitKind::Commit]);
    assert_eq!(all.len(), 4, "files and messages in one answer: {all:?}");
    assert!(bench.hits("pages").iter().all(|hit| hit.kind == HitKind::Code), "files where nothing is said");
}

#[test]
fn hits_are_of_the_kinds_that_were_asked_for() {
    let bench = Bench::indexed(&[("a.rs", "// the cache\n"), ("README.md", "the cache\n"), ("b.toml", "cache = 1\n")]);
    let paths = |kinds: &[HitKind]| -> Vec<String> {
        let found = bench.index().search(&bench.root(), Ask { query: "cache", limit: 10, kinds, ..Ask::default() });
        found.unwrap().hits.into_iter().map(|hit| hit.path).collect()
    };
    assert_eq!(paths(&[HitKind::Doc]), ["README.md"]);
    assert_eq!(paths(&[HitKind::Code]), ["b.toml", "a.rs"], "one defines it, one mentions it");
    assert_eq!(paths(&[]).len(), 3);
    assert_eq!(paths(&[HitKind::Commit]), [""; 0]);
}

#[test]
fn the_past_is_kept_with_the_index_and_continued() {
    let bench = three();
    bench.index().remember("h1", [commit("1", "Fix eviction", &["old.rs"])]).unwrap();
    let bench = bench.opened();
    assert_eq!(bench.index().remembered().as_deref(), Some("h1"));
    let moved = [("old.rs".to_owned(), "c.rs".to_owned())];
    bench.index().remember_newer("h2", [commit("2", "Move it", &["c.rs"])], &moved).unwrap();
    let bench = bench.opened();
    let status = bench.index().status().unwrap();
    assert_eq!((status.commits, status.head.as_deref()), (2, Some("h2")));
    assert_eq!(bench.paths("eviction"), ["c.rs"], "what was said of a file follows it to its new name");
    assert_eq!(bench.index().changed_with("c.rs", 5), []);
}

#[test]
fn files_that_are_changed_together_are_neighbours() {
    let bench = three();
    let commits =
        [commit("1", "x", &["a.rs", "b.rs"]), commit("2", "y", &["a.rs", "b.rs", "c.rs"]), commit("3", "z", &["a.rs"])];
    bench.index().remember("h", commits).unwrap();
    let near = bench.index().changed_with("a.rs", 5);
    assert_eq!(near.iter().map(|(path, _)| &**path).collect::<Vec<_>>(), ["b.rs", "c.rs"]);
    assert!((near[0].1 - 2.0 / 3.0).abs() < 0.01, "{near:?}");
    assert_eq!(bench.index().changed_with("unknown.rs", 5), []);
}

#[test]
fn an_answer_says_that_the_history_is_missing() {
    let bench = three();
    assert_eq!(bench.asked("cache", 5).unwrap().missing, [], "nobody said that there is a history");
    bench.index().at_head(Some("h".to_owned()));
    assert_eq!(bench.asked("cache", 5).unwrap().missing, [IndexPart::History]);
    assert_eq!(bench.index().status().unwrap().missing, [IndexPart::History]);
    bench.index().remember("h", []).unwrap();
    assert_eq!(bench.asked("cache", 5).unwrap().missing, []);
}

#[test]
fn a_damaged_past_is_no_past_and_harms_nothing() {
    let bench = three();
    bench.index().remember("h", [commit("1", "Fix eviction", &["c.rs"])]).unwrap();
    let file = bench.dir().join("past.json");
    let whole = fs::read(&file).unwrap();
    let mut bench = bench;
    for (what, bytes) in [
        ("cut short", whole[..whole.len() / 2].to_vec()),
        ("changed", whole.iter().map(|byte| if *byte == b'F' { b'M' } else { *byte }).collect()),
        ("empty", Vec::new()),
        ("no text", vec![0xff; 50]),
    ] {
        bench.index = None;
        fs::write(&file, bytes).unwrap();
        bench = bench.opened();
        assert_eq!(bench.index().remembered(), None, "{what}");
        assert_eq!(bench.paths("eviction cache"), ["a.rs", "b.rs"], "{what}");
    }
}

#[test]
fn a_file_that_the_past_names_but_the_index_leaves_out_is_no_hit() {
    let bench = Bench::indexed(&[(".gitignore", "secret.rs\n"), ("secret.rs", "eviction\n"), ("a.rs", "other\n")]);
    bench.index().remember("h", [commit("1", "Fix eviction", &["secret.rs", "a.rs"])]).unwrap();
    assert_eq!(bench.paths("eviction"), ["a.rs"]);
}

#[test]
fn a_project_that_is_at_no_commit_any_more_has_no_past() {
    let bench = Bench::indexed(&[("a.rs", "fn word() {}\n")]);
    bench.index().remember("c1", [commit("c1", "Explain the tide", &["a.rs"])]).unwrap();
    bench.index().at_head(Some("c1".to_owned()));
    assert_eq!(bench.paths("tide"), ["a.rs"]);
    bench.index().at_head(None);
    assert!(bench.paths("tide").is_empty());
    assert_eq!((bench.index().remembered(), bench.refresh().commits), (None, 0));
    let bench = bench.opened();
    assert_eq!(bench.index().remembered(), None, "nor has it after it was opened again");
}
