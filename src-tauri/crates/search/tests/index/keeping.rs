//! How the index keeps up with its folder: guards that it never says what is not so.
//!
//! A mutant that turns it red: `Shared::reconcile` that takes nothing out.

use crate::bench::{Bench, problem};
use atelier_protocol::{Code, Hash};
use atelier_search::{Ask, Index, IndexError};
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn ignored_files_are_not_in_the_index_but_hidden_ones_are() {
    let bench = Bench::indexed(&[
        (".gitignore", "/target\n*.log\n"),
        (".ignore", "private/\n"),
        ("sub/.gitignore", "!keep.log\n"),
        ("src/a.rs", "needle"),
        (".config/b.toml", "needle"),
        ("sub/keep.log", "needle"),
        ("target/c.rs", "needle"),
        ("d.log", "needle"),
        ("private/e.rs", "needle"),
        (".git/f", "needle"),
        ("sub/.git", "needle"),
    ]);
    let mut paths = bench.paths("needle");
    paths.sort();
    assert_eq!(paths, [".config/b.toml", "src/a.rs", "sub/keep.log"]);
}

#[test]
fn ignore_files_above_count_only_inside_one_repository() {
    let home = tempfile::tempdir().unwrap();
    let project = home.path().join("a/project");
    fs::create_dir_all(project.join("built")).unwrap();
    fs::write(project.join("x.rs"), "needle").unwrap();
    fs::write(project.join("built/y.rs"), "needle").unwrap();
    fs::write(home.path().join(".gitignore"), "*.rs\n").unwrap();
    let index = Index::open(&home.path().join("index")).unwrap();
    assert_eq!(index.refresh(&project).unwrap().files, 2, "a stray ignore file above");

    fs::write(home.path().join(".gitignore"), "built\n").unwrap();
    fs::create_dir(home.path().join(".git")).unwrap();
    assert_eq!(index.refresh(&project).unwrap().files, 1, "the repository's own");
}

#[test]
fn files_that_are_no_text_are_left_out_and_named() {
    let bench = Bench::new(&[("a.rs", "word")]);
    bench.write("image.png", b"\x89PNG\0\0word");
    bench.write("latin.txt", b"caf\xe9 word");
    bench.write("big.txt", "word ".repeat(220_000));
    bench.write("min.js", format!("word{}", ";".repeat(20_000)));
    insta::assert_debug_snapshot!(bench.refresh(), @r#"
    IndexView {
        files: 1,
        updated: 5,
        removed: 0,
        skipped: [
            (
                "big.txt",
                "it is larger than 1 MiB",
            ),
            (
                "image.png",
                "it is binary",
            ),
            (
                "latin.txt",
                "it is not UTF-8",
            ),
            (
                "min.js",
                "it has lines of more than 20,000 bytes",
            ),
        ],
        ms: 0,
        pending: 0,
        commits: 0,
        head: None,
        documents: 0,
        meaning: None,
        missing: [],
        watch: Off,
        unpacked: None,
    }
    "#);
    assert_eq!(bench.paths("word"), ["a.rs"]);
    assert_eq!(bench.counts(), [1, 0, 0], "they are not read again");
    bench.write("latin.txt", "now it is text, word");
    assert_eq!(bench.counts(), [2, 1, 0]);
    assert_eq!(bench.opened().index().status().unwrap().skipped.len(), 3, "they are remembered");
}

#[test]
fn the_list_of_files_left_out_is_short() {
    let bench = Bench::new(&[]);
    for n in 0..230 {
        bench.write(&format!("{n}.bin"), b"\0");
    }
    let skipped = bench.refresh().skipped;
    assert_eq!(skipped.len(), 201);
    assert_eq!(skipped[200].1, "30 more files are left out");
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    let bench = Bench::new(&[("a.rs", "inside")]);
    fs::write(bench.home.path().join("secret.rs"), "outside").unwrap();
    std::os::unix::fs::symlink(bench.home.path().join("secret.rs"), bench.root().join("link.rs")).unwrap();
    std::os::unix::fs::symlink(bench.home.path(), bench.root().join("up")).unwrap();
    bench.refresh();
    assert_eq!(bench.paths("outside inside"), ["a.rs"]);

    // A file that becomes a link after it was indexed is not read through it.
    bench.remove("a.rs");
    std::os::unix::fs::symlink(bench.home.path().join("secret.rs"), bench.root().join("a.rs")).unwrap();
    assert_eq!(bench.paths("outside inside"), [""; 0]);
}

#[test]
fn a_refresh_sees_what_was_changed_removed_and_renamed() {
    let bench = Bench::indexed(&[("a.rs", "alpha"), ("b.rs", "beta"), ("c.rs", "gamma")]);
    assert_eq!(bench.counts(), [3, 0, 0]);

    bench.write("a.rs", "delta");
    assert_eq!(bench.counts(), [3, 1, 0]);
    assert_eq!((bench.paths("alpha"), bench.paths("delta")), (vec![], vec!["a.rs".to_owned()]));

    bench.remove("b.rs");
    assert_eq!(bench.counts(), [2, 0, 1]);
    assert_eq!(bench.paths("beta"), [""; 0]);

    fs::rename(bench.root().join("c.rs"), bench.root().join("d.rs")).unwrap();
    assert_eq!(bench.counts(), [2, 1, 1]);
    assert_eq!(bench.paths("gamma"), ["d.rs"]);

    bench.write(".gitignore", "d.rs\n");
    assert_eq!(bench.counts(), [2, 1, 1], "d.rs went, the ignore file came");
}

#[test]
fn a_change_that_keeps_size_and_time_is_seen() {
    let bench = Bench::new(&[("a.rs", "alpha")]);
    let file = bench.root().join("a.rs");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    let set_back = || fs::File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
    set_back();
    bench.refresh();
    fs::write(&file, "gamma").unwrap();
    set_back();
    assert_eq!(bench.counts(), [1, 1, 0]);
    assert_eq!(bench.paths("gamma"), ["a.rs"]);
}

#[test]
fn between_refreshes_no_hit_lies() {
    let bench = Bench::indexed(&[("a.rs", "one\nneedle\n"), ("b.rs", "needle\n"), ("c.rs", "needle\n")]);
    bench.write("a.rs", "one\ntwo\nthree\nneedle moved\n");
    bench.write("b.rs", "gone\n");
    bench.remove("c.rs");
    let hits = bench.hits("needle");
    let hash = Hash::of(b"one\ntwo\nthree\nneedle moved\n");
    assert_eq!(bench.places("needle"), ["a.rs:1-4"]);
    assert_eq!((&*hits[0].snippet, &hits[0].hash), ("one\ntwo\nthree\nneedle moved", &hash));
}

#[test]
fn files_that_went_do_not_use_up_the_answer() {
    let bench = Bench::new(&[("keep.rs", "some other words before the needle\n")]);
    for n in 0..40 {
        bench.write(&format!("needle{n}.rs"), "needle\n");
    }
    bench.refresh();
    for n in 0..40 {
        bench.remove(&format!("needle{n}.rs"));
    }
    assert_eq!(bench.asked("needle", 1).unwrap().hits.len(), 1);
    assert_eq!(bench.asked("needle", 20).unwrap().hits.len(), 1);
}

#[test]
fn an_index_is_there_again_after_it_was_closed() {
    let bench = Bench::indexed(&[("a.rs", "needle"), ("b.rs", "other")]).opened();
    assert_eq!(bench.index().status().unwrap().files, 2);
    assert_eq!(bench.paths("needle"), ["a.rs"]);
    assert_eq!(bench.counts(), [2, 0, 0], "nothing is read in vain");
}

#[test]
fn what_was_not_committed_is_not_there_after_a_crash() {
    let bench = Bench::indexed(&[("a.rs", "needle")]);
    let saved = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(bench.dir()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), saved.path().join(entry.file_name())).unwrap();
    }
    // A segment that no commit names, as a process leaves it that dies while it writes.
    fs::write(saved.path().join("0123456789abcdef0123456789abcdef.store"), b"half").unwrap();
    let index = Index::open(saved.path()).unwrap();
    assert_eq!(index.search(&bench.root(), Ask { query: "needle", limit: 5, ..Ask::default() }).unwrap().hits.len(), 1);
    assert_eq!(index.refresh(&bench.root()).unwrap().updated, 0);
}

#[test]
fn a_damaged_index_is_built_again() {
    type Chosen = fn(&str) -> bool;
    let damages: [(&str, Chosen); 4] = [
        ("meta", |name| name == "meta.json"),
        ("store", |name| name.ends_with(".store")),
        ("terms", |name| name.ends_with(".term")),
        ("version", |name| name == "index.json"),
    ];
    for (what, damaged) in damages {
        let mut bench = Bench::indexed(&[("a.rs", "needle")]);
        bench.index = None;
        let mut hurt = 0;
        for entry in fs::read_dir(bench.dir()).unwrap() {
            let entry = entry.unwrap();
            if damaged(&entry.file_name().to_string_lossy()) {
                let mut bytes = fs::read(entry.path()).unwrap();
                let middle = bytes.len() / 3;
                bytes[middle] ^= 0x5a;
                bytes.truncate(bytes.len() - 2);
                fs::write(entry.path(), bytes).unwrap();
                hurt += 1;
            }
        }
        assert!(hurt > 0, "{what}");
        let bench = bench.opened();
        assert!(matches!(bench.index().status(), Err(IndexError::NotReady)), "{what}");
        assert_eq!(bench.counts(), [1, 1, 0], "{what}");
        assert_eq!(bench.paths("needle"), ["a.rs"], "{what}");
    }
}

#[test]
fn other_files_in_the_folder_survive_a_rebuild() {
    let mut bench = Bench::indexed(&[("a.rs", "needle")]);
    bench.index = None;
    fs::write(bench.dir().join("letter.txt"), "keep me").unwrap();
    fs::write(bench.dir().join("meta.json"), "{").unwrap();
    let bench = bench.opened();
    assert_eq!(fs::read_to_string(bench.dir().join("letter.txt")).unwrap(), "keep me");
}

#[test]
fn an_index_has_one_owner() {
    let bench = Bench::indexed(&[("a.rs", "needle")]);
    let error = Index::open(&bench.dir()).unwrap_err();
    let problem = problem(error);
    assert_eq!(
        problem.message.replace(&*bench.dir().to_string_lossy(), "DIR"),
        "The index in `DIR` is in use by another process."
    );
    assert_eq!(bench.opened().paths("needle"), ["a.rs"], "free again once it is closed");
}

#[test]
fn a_folder_that_is_gone_is_an_error_and_empties_nothing() {
    let bench = Bench::indexed(&[("a.rs", "needle")]);
    let away = bench.home.path().join("away");
    fs::rename(bench.root(), &away).unwrap();
    assert_eq!(problem(bench.index().refresh(&bench.root()).unwrap_err()).code, Code::NoFolder);
    fs::rename(&away, bench.root()).unwrap();
    assert_eq!(bench.counts(), [1, 0, 0]);
}

#[test]
fn many_small_refreshes_do_not_pile_up_segments() {
    let bench = Bench::indexed(&[("base.rs", "base")]);
    for n in 0..30 {
        bench.write(&format!("f{}.rs", n % 7), format!("needle{n}"));
        bench.refresh();
    }
    let segments = || {
        let meta = fs::read_to_string(bench.dir().join("meta.json")).unwrap();
        meta.matches("segment_id").count()
    };
    // Merges go on beside the refreshes; a last one waits for nothing but them.
    let deadline = Instant::now() + Duration::from_secs(10);
    while segments() > 8 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(segments() <= 8, "{} segments", segments());
    assert_eq!(bench.paths("needle29")[0], "f1.rs");
    assert_eq!(bench.index().status().unwrap().files, 8);
}

#[test]
fn searches_go_on_while_the_index_is_refreshed() {
    let bench = Bench::indexed(&[("a.rs", "needle")]);
    std::thread::scope(|scope| {
        let refreshing = scope.spawn(|| {
            for n in 0..20 {
                bench.write(&format!("f{n}.rs"), "needle");
                bench.refresh();
            }
        });
        while !refreshing.is_finished() {
            assert!(!bench.paths("needle").is_empty());
        }
    });
    assert_eq!(bench.counts(), [21, 0, 0]);
}

#[test]
fn two_thousand_files_are_indexed_in_seconds() {
    let bench = Bench::new(&[]);
    for n in 0..2000 {
        let text = format!(
            "//! Part {n}.\n\nuse crate::part_{};\n\npub fn handle_request_{n}(value: u32) -> u32 {{\n    value + {n}\n}}\n",
            n / 2
        );
        bench.write(&format!("src/d{}/part_{n}.rs", n % 40), text);
    }
    let view = bench.index().refresh(&bench.root()).unwrap();
    assert_eq!((view.files, view.updated), (2000, 2000));
    assert!(view.ms < 10_000, "{} ms", view.ms);
    assert_eq!(bench.places("handleRequest1234")[0], "src/d34/part_1234.rs:1-7");
    let again = bench.index().refresh(&bench.root()).unwrap();
    assert!(again.ms < 3_000, "{} ms without a change", again.ms);
}
