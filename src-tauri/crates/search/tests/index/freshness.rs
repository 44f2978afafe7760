//! The freshness contract: guards that what was saved is found at once, that an answer says which files were read for it
//! and which parts it had to do without, and that a hit carries the hash of the text it was cut from.
//!
//! A mutant that turns it red: a search that does not read the files it was told of (`pending` in `Shared::search`).

use crate::bench::Bench;
use atelier_protocol::Hash;
use atelier_protocol::view::IndexPart;
use atelier_search::Ask;
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn a_save_is_found_at_once_and_the_answer_says_that_it_was_read() {
    let bench = Bench::indexed(&[("a.rs", "needle\n"), ("b.rs", "other\n")]);
    bench.save("b.rs", "other\nneedle needle\n");
    bench.save("new/c.rs", "needle\n");
    let found = bench.asked("needle", 10).unwrap();
    let mut hits: Vec<(String, Hash)> = found.hits.iter().map(|hit| (hit.path.clone(), hit.hash.clone())).collect();
    hits.sort();
    let now = |path: &str| (path.to_owned(), Hash::of(&fs::read(bench.root().join(path)).unwrap()));
    assert_eq!(hits, [now("a.rs"), now("b.rs"), now("new/c.rs")]);
    bench.settled();
    let found = bench.asked("needle", 10).unwrap();
    assert_eq!((found.hits.len(), found.scanned), (3, 0), "the index has them now");
    assert_eq!(bench.index().status().unwrap().files, 3);
    assert_eq!(bench.counts(), [3, 0, 0], "a refresh finds nothing left to do");
}

#[test]
fn what_the_index_says_of_a_changed_file_does_not_count() {
    let bench = Bench::indexed(&[("a.rs", "needle\n"), ("sub/b.rs", "needle\n"), ("sub/c.rs", "needle\n")]);
    bench.save("a.rs", "gone\n");
    fs::remove_dir_all(bench.root().join("sub")).unwrap();
    bench.index().changed(&bench.root(), ["sub".to_owned()]).unwrap();
    assert_eq!(bench.paths("needle"), [""; 0]);
    bench.settled();
    assert_eq!(bench.paths("needle"), [""; 0]);
    assert_eq!(bench.index().status().unwrap().files, 1);
}

#[test]
fn an_ignored_file_that_is_saved_stays_unknown() {
    let bench = Bench::indexed(&[(".gitignore", "/target\n*.log\n"), ("a.rs", "x\n")]);
    bench.save("target/out.rs", "needle\n");
    bench.save("x.log", "needle\n");
    assert_eq!(bench.paths("needle"), [""; 0]);
    bench.settled();
    assert_eq!(bench.paths("needle"), [""; 0]);
    bench.write(".gitignore", "/target\n");
    bench.index().changed(&bench.root(), [".gitignore".to_owned()]).unwrap();
    bench.settled();
    assert_eq!(bench.paths("needle"), ["x.log"], "rules that change bring files in");
}

#[test]
fn a_folder_that_appears_is_taken_in() {
    let bench = Bench::indexed(&[("a.rs", "x\n")]);
    bench.write("new/deep/b.rs", "needle\n");
    bench.index().changed(&bench.root(), ["new".to_owned()]).unwrap();
    bench.settled();
    assert_eq!(bench.paths("needle"), ["new/deep/b.rs"]);
}

#[test]
fn many_saves_at_once_are_all_found() {
    let bench = Bench::indexed(&[("a.rs", "x\n")]);
    let paths: Vec<String> = (0..450).map(|n| format!("d/{n}.rs")).collect();
    for (n, path) in paths.iter().enumerate() {
        bench.write(path, format!("needle{n}\n"));
    }
    bench.index().changed(&bench.root(), paths).unwrap();
    for n in [0, 199, 449] {
        assert_eq!(bench.paths(&format!("needle{n}"))[0], format!("d/{n}.rs"));
    }
    bench.settled();
    assert_eq!(bench.index().status().unwrap().files, 451);
}

#[test]
fn saves_before_the_first_refresh_do_not_make_half_an_index() {
    let bench = Bench::new(&[("a.rs", "needle\n"), ("b.rs", "needle\n")]);
    bench.save("b.rs", "needle\n");
    assert!(bench.asked("needle", 5).is_err(), "not ready is the answer");
    bench.refresh();
    assert_eq!(bench.paths("needle"), ["a.rs", "b.rs"]);
}

#[test]
fn a_runs_tree_is_searched_by_what_it_changed() {
    let bench = Bench::indexed(&[("a.rs", "needle\n"), ("b.rs", "other\n"), ("c.rs", "needle\n")]);
    let tree = bench.home.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("a.rs"), "nothing\n").unwrap();
    fs::write(tree.join("b.rs"), "needle here\n").unwrap();
    fs::write(tree.join("c.rs"), "needle\n").unwrap();
    let overlay = ["a.rs".to_owned(), "b.rs".to_owned()];
    let found =
        bench.index().search(&tree, Ask { query: "needle", limit: 5, overlay: &overlay, ..Ask::default() }).unwrap();
    let mut paths: Vec<&str> = found.hits.iter().map(|hit| hit.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!((paths, found.scanned), (vec!["b.rs", "c.rs"], 2));
    let mut own = bench.paths("needle");
    own.sort();
    assert_eq!(own, ["a.rs", "c.rs"], "the folder itself is as it was");
}

#[test]
fn definitions_come_later_and_are_named_as_missing_until_then() {
    let bench = Bench::new(&[]);
    for n in 0..100 {
        bench.write(
            &format!("f{n}.rs"),
            format!("// target{n}\n\nstruct Outer{n};\n\nfn target{n}() {{\n    body\n}}\n"),
        );
    }
    assert_eq!(bench.refresh().missing, [IndexPart::Symbols]);
    let before = bench.asked("target7", 1).unwrap();
    assert_eq!((before.missing, before.hits[0].symbol.clone()), (vec![IndexPart::Symbols], None));
    let bench = bench.opened();
    assert_eq!(bench.index().status().unwrap().missing, [IndexPart::Symbols], "it knows after it was opened again");
    assert!(bench.index().complete(&bench.root(), Duration::from_secs(60)).unwrap());
    let after = bench.asked("target7", 1).unwrap();
    assert_eq!((after.missing, after.hits[0].symbol.as_deref()), (vec![], Some("Outer7")));
    let bench = bench.opened();
    assert_eq!(bench.index().status().unwrap().missing, []);
    bench.save("f7.rs", "fn renamed() {\n    target7();\n}\n");
    bench.settled();
    assert_eq!(bench.hits("target7")[0].symbol.as_deref(), Some("renamed"), "few files have theirs at once");
}

#[test]
fn copies_of_a_text_have_their_definitions_each() {
    let text = |n: usize| format!("fn copied{}() {{\n    body();\n}}\n", n % 10);
    let files: Vec<(String, String)> = (0..200).map(|n| (format!("part{n}/same.rs"), text(n))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let bench = Bench::indexed(&files);
    // One that changes before it is its turn harms none of its copies.
    bench.write("part7/same.rs", "fn other() {}\n");
    while !bench.index().complete(&bench.root(), Duration::ZERO).unwrap_or(true) {
        bench.index().complete(&bench.root(), Duration::from_secs(5)).unwrap();
    }
    bench.refresh();
    let hits = bench.index().search(&bench.root(), Ask { query: "copied7", limit: 50, ..Ask::default() }).unwrap().hits;
    let named: Vec<bool> = hits.iter().map(|hit| hit.symbol.as_deref() == Some("copied7")).collect();
    assert!(named[..19].iter().all(|named| *named) && !named[19..].contains(&true), "{named:?}");
}

#[test]
fn the_file_that_defines_a_name_comes_before_those_that_use_it() {
    let uses = "fn caller() {\n    parse_header(1);\n    parse_header(2);\n    parse_header(3);\n}\n";
    let defines = format!("fn parse_header(n: u8) {{\n{}}}\n", "    let something = other_things_here;\n".repeat(12));
    let bench = Bench::indexed(&[("a.rs", uses), ("z.rs", &defines), ("c.rs", "fn other() {}\n")]);
    let hits = bench.hits("parseHeader");
    assert_eq!(hits.iter().map(|hit| hit.path.as_str()).collect::<Vec<_>>(), ["z.rs", "a.rs"]);
    assert_eq!(hits[0].symbol.as_deref(), Some("parse_header"));
}

#[test]
fn definitions_in_many_files_that_were_told_of_come_by_themselves() {
    let bench = Bench::indexed(&[("a.rs", "fn word() {}\n")]);
    let many: Vec<String> = (0..100).map(|n| format!("many{n}.rs")).collect();
    many.iter().for_each(|path| bench.write(path, format!("fn made_in_{}() {{}}\n", path.trim_end_matches(".rs"))));
    bench.index().changed(&bench.root(), many).unwrap();
    bench.settled();
    let until = Instant::now() + Duration::from_secs(60);
    while !bench.index().status().unwrap().missing.is_empty() {
        assert!(Instant::now() < until, "nobody looks for them");
        std::thread::yield_now();
    }
    assert_eq!(bench.hits("made_in_many42")[0].symbol.as_deref(), Some("made_in_many42"));
}
