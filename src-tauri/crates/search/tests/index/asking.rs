//! What a query finds, and how hits are cut: guards that a hit has what was asked for, in the lines it names.
//!
//! Mutants that turn it red: phrases that are not looked for in the text (`passage::passages`); whole names that count
//! nothing (`rank::NAMED_OF_A_NAME`).

use crate::bench::{Bench, problem};
use atelier_protocol::{Code, Hash};
use atelier_search::IndexError;
use std::fs;

#[test]
fn an_index_that_was_never_refreshed_says_so() {
    let bench = Bench::new(&[("a.rs", "word")]);
    let error = bench.asked("word", 5).unwrap_err();
    insta::assert_debug_snapshot!(problem(error), @r#"
    Problem {
        code: WrongState,
        message: "The project is not indexed yet.",
        hint: "Refresh the index, or wait until that is done, and search again.",
        details: [],
    }
    "#);
    assert!(matches!(bench.index().status(), Err(IndexError::NotReady)));
}

#[test]
fn an_empty_project_is_an_answer_too() {
    let bench = Bench::indexed(&[]);
    assert_eq!(bench.places("word"), [""; 0]);
    assert_eq!(bench.opened().index().status().unwrap().files, 0);
}

#[test]
fn a_query_without_words_is_refused() {
    let bench = Bench::indexed(&[("a.rs", "word")]);
    for query in ["", "  ", "\"\"", "->"] {
        let error = bench.asked(query, 5).unwrap_err();
        assert_eq!(problem(error).code, Code::QueryInvalid, "{query:?}");
    }
    insta::assert_debug_snapshot!(problem(bench.asked("::", 5).unwrap_err()), @r#"
    Problem {
        code: QueryInvalid,
        message: "`::` has no word to look for.",
        hint: "Give at least one word or name, such as `parse header`.",
        details: [],
    }
    "#);
}

#[test]
fn a_name_is_found_however_it_is_written() {
    let bench =
        Bench::indexed(&[("src/a.rs", "fn parse_http_header(text: &str) {}\n"), ("src/b.ts", "const other = 1;\n")]);
    for query in ["http header", "parseHttpHeader", "parse_http_header", "PARSE-HTTP-HEADER", "header"] {
        assert_eq!(bench.places(query), ["src/a.rs:1-1"], "{query}");
    }
}

#[test]
fn a_file_that_has_the_whole_name_comes_before_those_that_have_its_parts() {
    let mut files: Vec<(String, String)> = (0..40)
        .map(|n| (format!("src/x11_monitor_{n}.rs"), "let x = 11; // x11 saved word 11 x\n".repeat(9)))
        .collect();
    files.extend((0..200).map(|n| (format!("src/other{n}.rs"), format!("fn other{n}() {{}}\n"))));
    let padding = "nothing of that sort is said in these lines\n".repeat(200);
    files.push(("data/list.json".into(), format!("{padding}\"savedword11x\"\n{padding}")));
    files.push(("src/x11/saved/word/eleven.rs".into(), "// saved word 11 x, saved_word, x11\n".repeat(20)));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let bench = Bench::indexed(&files);
    for query in ["savedword11x", "savedword_11x", "savedword11x x11_monitor"] {
        assert_eq!(bench.paths(query)[0], "data/list.json", "{query}");
    }
    bench.save("src/late.rs", "// savedword11x\n");
    assert_eq!(
        bench.paths("savedword11x")[..2],
        ["src/late.rs", "data/list.json"],
        "one that is not committed yet too"
    );
}

#[test]
fn nothing_in_a_query_is_syntax() {
    let bench = Bench::indexed(&[("a.rs", "fn main() { println!(\"AND OR NOT\"); }\n")]);
    for query in [
        "main()",
        "fn main() {",
        "println!(",
        "a:main",
        "ma[in main",
        "main AND",
        "+main -x",
        "\"main",
        "main~2^3",
        "*main?",
    ] {
        assert_eq!(bench.paths(query), ["a.rs"], "{query}");
    }
}

#[test]
fn words_of_the_path_count() {
    let bench = Bench::indexed(&[
        ("src/router/dispatch.rs", "pub fn go() {}\n"),
        ("src/other.rs", "// mentions the router once, among many other words that make this text longer\n"),
        ("docs/empty.md", ""),
    ]);
    assert_eq!(bench.paths("router"), ["src/router/dispatch.rs", "src/other.rs"]);
    assert_eq!(bench.paths("dispatch.rs")[0], "src/router/dispatch.rs");
    assert_eq!(bench.paths("empty"), [""; 0], "a file without lines has no passage");
}

#[test]
fn quoted_words_must_follow_each_other() {
    let bench = Bench::indexed(&[("a.md", "the quick brown fox\n"), ("b.md", "brown is the quick fox\n")]);
    assert_eq!(bench.paths("\"quick brown\""), ["a.md"]);
    assert_eq!(bench.paths("quick brown").len(), 2);
    assert_eq!(bench.paths("\"fox quick\""), [""; 0]);
}

#[test]
fn a_hit_is_the_lines_of_the_file_it_names() {
    let text: String = (1..=300)
        .map(|n| match n % 25 {
            0 => "\n".to_owned(),
            1 => format!("fn block_{n}() {{\n"),
            _ => format!("    let v{n} = {n}; // filler\r\n"),
        })
        .collect();
    let bench = Bench::indexed(&[("src/long.rs", &text), ("src/short.rs", "one\ntwo\nblock")]);
    let hits = bench.hits("block_101 v120");
    assert!(!hits.is_empty());
    for hit in &hits {
        let file = fs::read_to_string(bench.root().join(&hit.path)).unwrap();
        let [first, last] = hit.lines.map(|line| line as usize);
        let lines: Vec<&str> = file.lines().collect();
        assert_eq!(hit.snippet, lines[first - 1..last].join("\n"));
        assert_eq!(hit.hash, Hash::of(file.as_bytes()));
    }
    assert!(hits[0].snippet.contains("fn block_101") && hits[0].snippet.contains("v120"), "{}", hits[0].snippet);
    assert_eq!(bench.places("two"), ["src/short.rs:1-3"]);
}

#[test]
fn a_file_gives_at_most_two_hits_and_the_best_comes_first() {
    let one = "fn target() {\n    body\n}\n\n".repeat(60);
    let bench = Bench::indexed(&[("many.rs", &one), ("few.rs", "// target\n")]);
    let paths = bench.paths("target");
    assert_eq!(paths.iter().filter(|path| *path == "many.rs").count(), 2);
    assert!(paths.contains(&"few.rs".to_owned()));
    let hits = bench.hits("target");
    assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
    assert_eq!(bench.asked("target", 1).unwrap().hits.len(), 1);
    assert_eq!(bench.asked("target", 0).unwrap().hits.len(), 0);
}
