//! Records beside the files: found by kind, replaced by key and group, and there after a reopening as they were handed in.
//!
//! Guards: a delivery is on the shelf whole, with how far it reaches, or not at all; a mark never outlives its group.
//! A mutant that turns it red: a commit without its payload.

use atelier_protocol::document::Anchor;
use atelier_protocol::view::{HitKind, Origin};
use atelier_search::{Delivery, Record, Shelf, among};
use std::path::Path;

fn record(key: &str, kind: HitKind, title: &str, text: &str) -> Record {
    Record {
        key: key.to_owned(),
        group: key.split(' ').next().unwrap().to_owned(),
        kind,
        path: "house/manual.pdf".to_owned(),
        title: title.to_owned(),
        text: text.to_owned(),
        hash: atelier_protocol::Hash::of(text.as_bytes()),
        origin: Origin::Part { anchor: Anchor::Page { n: 3 } },
    }
}

fn titles(shelf: &Shelf, query: &str, kinds: &[HitKind]) -> Vec<String> {
    shelf.search(query, kinds, 10).unwrap().into_iter().filter_map(|hit| hit.title).collect()
}

const ALL: &[HitKind] = &[HitKind::Chat, HitKind::Spec, HitKind::Decision, HitKind::Document];

#[test]
fn records_are_found_by_their_kind_with_their_place() {
    let home = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(home.path(), "house").unwrap();
    let records = vec![
        record("a 1", HitKind::Chat, "goal", "Stop the pump when the tank is full"),
        record("a 2", HitKind::Spec, "Stop the pump", "R1. The pump stops within a second"),
        record("b 1", HitKind::Document, "Manual", "intro\n\nThe pump stops by itself at 90 degrees"),
    ];
    shelf.put(Delivery { records, upto: Some(7), ..Delivery::default() }).unwrap();
    assert_eq!(titles(&shelf, "pump", &[HitKind::Chat]), ["goal"]);
    assert_eq!(titles(&shelf, "stopPump", ALL).len(), 3);
    assert_eq!(titles(&shelf, "\"90 degrees\"", ALL), ["Manual"]);
    assert_eq!(titles(&shelf, "\"degrees 90\"", ALL), [""; 0]);
    assert_eq!(titles(&shelf, "nothing like it", ALL), [""; 0]);
    let hit = shelf.search("degrees", ALL, 10).unwrap().remove(0);
    assert_eq!(hit.origin, Some(Origin::Part { anchor: Anchor::Page { n: 3 } }));
    assert!(hit.snippet.contains("90 degrees") && hit.hash.as_str().starts_with("blake3:"));
}

#[test]
fn a_record_takes_the_place_of_its_namesake_and_a_group_goes_whole() {
    let home = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(home.path(), "house").unwrap();
    let put = |delivery| shelf.put(delivery).unwrap();
    put(Delivery {
        records: vec![record("q 1", HitKind::Decision, "question", "valve or pump?")],
        ..Delivery::default()
    });
    let answered = record("q 1", HitKind::Decision, "question", "valve or pump?\nAnswer: the valve");
    put(Delivery { records: vec![answered.clone()], ..Delivery::default() });
    assert_eq!(titles(&shelf, "valve", ALL), ["question"], "once, with its answer");
    assert_eq!(shelf.get("q 1").unwrap(), Some(answered));
    let marks = vec![("file".to_owned(), "read".to_owned())];
    let records = vec![
        record("file 1", HitKind::Document, "old", "boiler"),
        record("file 2", HitKind::Document, "old", "boiler"),
    ];
    put(Delivery { records, marks, ..Delivery::default() });
    let records = vec![record("file 1", HitKind::Document, "new", "boiler")];
    put(Delivery { gone: vec!["file".to_owned()], records, ..Delivery::default() });
    assert_eq!(titles(&shelf, "boiler", ALL), ["new"]);
    assert!(shelf.marks().is_empty(), "the mark went with its group");
}

fn reopened(dir: &Path) -> (u64, usize, usize) {
    let shelf = Shelf::open(dir, "house").unwrap();
    (shelf.upto(), titles(&shelf, "pump", ALL).len(), shelf.marks().len())
}

#[test]
fn what_was_handed_in_is_there_after_a_reopening_and_another_source_starts_empty() {
    let home = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(home.path(), "house").unwrap();
    for n in 1..=40u64 {
        let records = vec![record(&format!("run {n}"), HitKind::Chat, "turn", "the pump again")];
        shelf.put(Delivery { records, upto: Some(n), ..Delivery::default() }).unwrap();
    }
    let marks = vec![("a.pdf".to_owned(), "read".to_owned())];
    shelf.put(Delivery { marks, ..Delivery::default() }).unwrap();
    drop(shelf);
    assert_eq!(reopened(home.path()), (40, 10, 1), "forty small deliveries, ten hits shown, one mark");
    let other = Shelf::open(home.path(), "another house").unwrap();
    assert_eq!((other.upto(), titles(&other, "pump", ALL).len()), (0, 0));
    drop(other);
    // A damaged one is made anew too, and says 0, so that it is handed everything again.
    for entry in std::fs::read_dir(home.path()).unwrap().flatten() {
        if entry.file_name() == "meta.json" {
            std::fs::write(entry.path(), "{").unwrap();
        }
    }
    assert_eq!(reopened(home.path()), (0, 0, 0));
}

#[test]
fn a_few_records_are_ranked_without_a_shelf() {
    let notes = [
        record("n 1", HitKind::Note, "Retry with backoff", "wait twice as long each time"),
        record("n 2", HitKind::Note, "Valve", "retry once, then close the valve"),
        record("n 3", HitKind::Note, "Paint", "two coats"),
    ];
    let found = |query: &str| -> Vec<String> {
        among(query, &notes, 10).unwrap().into_iter().filter_map(|hit| hit.title).collect()
    };
    assert_eq!(found("retry backoff"), ["Retry with backoff", "Valve"]);
    assert_eq!(found("\"the valve\""), ["Valve"]);
    assert_eq!(found("nothing"), [""; 0]);
    assert!(among("->", &notes, 10).is_err() && among("paint", &[], 10).unwrap().is_empty());
}
