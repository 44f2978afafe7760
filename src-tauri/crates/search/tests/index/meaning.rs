//! Passages that are found by what they mean: fused with words, bound to the text they were made from, kept in a file.
//!
//! Guards: a vector never speaks for other text than it was made from, and either half does without the other.
//! A mutant that turns it red: `is_of` that is always true.

use crate::bench::Bench;
use atelier_protocol::view::{Found, FoundBy};
use atelier_search::{Ask, Meaning};

/// A stand-in for a model: a number for each of a few things, however they are called.
fn vector(text: &str) -> Vec<f32> {
    let things: [&[&str]; 4] = [&["car", "automobile"], &["rain", "weather"], &["pump"], &["zebra"]];
    let text = text.to_lowercase();
    things.iter().map(|names| if names.iter().any(|name| text.contains(name)) { 1.0 } else { 0.05 }).collect()
}

fn bench() -> Bench {
    Bench::indexed(&[
        ("src/vehicle.rs", "/// The automobile of the house.\npub fn drive() {}\n"),
        ("src/sky.rs", "/// Weather over the roof.\npub fn look_up() {}\n"),
        ("src/well.rs", "/// The pump in the cellar.\npub fn draw() {}\n"),
    ])
}

fn taught(bench: &Bench) -> Meaning {
    let meaning = Meaning::open(&bench.home.path().join("vectors"), "model").unwrap();
    learn(bench, &meaning);
    meaning
}

fn learn(bench: &Bench, meaning: &Meaning) -> usize {
    let mut count = 0;
    loop {
        let wanting = meaning.wanting(bench.index(), &bench.root(), 2).unwrap();
        if wanting.is_empty() {
            return count;
        }
        count += wanting.len();
        meaning.learn(wanting.into_iter().map(|passage| (passage.clone(), vector(&passage.text))).collect()).unwrap();
    }
}

fn asked(bench: &Bench, meaning: &Meaning, query: &str) -> Found {
    let near = meaning.nearest(&vector(query), 10);
    bench.index().search(&bench.root(), Ask { query, limit: 10, near: &near, ..Ask::default() }).unwrap()
}

#[test]
fn what_means_the_same_is_found_without_a_common_word_and_the_answer_says_how() {
    let bench = bench();
    let meaning = taught(&bench);
    assert!(bench.hits("car").is_empty(), "no file has the word");
    let found = asked(&bench, &meaning, "car");
    assert_eq!(found.hits[0].path, "src/vehicle.rs");
    assert!(found.hits[0].snippet.contains("automobile"));
    assert_eq!(found.by, [FoundBy::Words, FoundBy::Meaning]);
    assert_eq!(bench.asked("pump", 3).unwrap().by, [FoundBy::Words]);
    // A file that both halves put first stays first; words that must follow each other are a matter of words.
    assert_eq!(asked(&bench, &meaning, "pump").hits[0].path, "src/well.rs");
    assert!(asked(&bench, &meaning, "\"the car\"").hits.is_empty());
    // Nor does what means the same come before the name that was asked for.
    bench.save("notes/list.txt", "car_7\n");
    assert_eq!(asked(&bench, &meaning, "car_7").hits[0].path, "notes/list.txt");
}

#[test]
fn a_vector_does_not_speak_for_other_text() {
    let bench = bench();
    let meaning = taught(&bench);
    bench.save("src/vehicle.rs", "/// A zebra now.\npub fn gallop() {}\n");
    assert!(
        asked(&bench, &meaning, "car").hits.iter().all(|hit| hit.path != "src/vehicle.rs"),
        "it is no car any more"
    );
    bench.settled();
    assert_eq!(learn(&bench, &meaning), 1, "only what is new is asked of the model");
    assert_eq!(asked(&bench, &meaning, "zebra").hits[0].path, "src/vehicle.rs");
    bench.remove("src/vehicle.rs");
    bench.refresh();
    learn(&bench, &meaning);
    assert!(asked(&bench, &meaning, "zebra").hits.iter().all(|hit| hit.path != "src/vehicle.rs"));
}

#[test]
fn vectors_are_kept_up_to_where_a_kill_cut_them_and_belong_to_their_model() {
    let bench = bench();
    let dir = bench.home.path().join("vectors");
    drop(taught(&bench));
    let reopen = |model: &str| {
        let meaning = Meaning::open(&dir, model).unwrap();
        let wanting = meaning.wanting(bench.index(), &bench.root(), 10).unwrap().len();
        (meaning, wanting)
    };
    assert_eq!(reopen("model").1, 0, "nothing is asked again");
    assert_eq!(reopen("another").1, 3, "another model knows nothing of it");
    let file = std::fs::read_dir(&dir).unwrap().flatten().next().unwrap().path();
    let whole = std::fs::read(&file).unwrap();
    let head = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in [0, head / 2, head, head + 10, whole.len() - 41, whole.len() - 1] {
        std::fs::write(&file, &whole[..cut]).unwrap();
        let (meaning, wanting) = reopen("model");
        assert!(wanting > 0, "at {cut}");
        learn(&bench, &meaning);
        drop(meaning);
        assert_eq!(reopen("model").1, 0, "mended after the cut at {cut}");
    }
    let mut changed = whole.clone();
    changed[head + 3] ^= 1;
    std::fs::write(&file, changed).unwrap();
    assert_eq!(reopen("model").1, 3, "what is damaged is made again");
}
