//! Salvage of really damaged files: whatever is broken, the old folder stays as it is, the new one is a sound store,
//! every event in it is one that was written, and everything that no damage touched is there.
//!
//! Mutants that turn it red (`salvage`): the first row that claims a number is taken; nobody speaks against a row; a row
//! is taken without its payload.

use crate::bench::*;
use atelier_journal::{Append, Chain, CopyError, Mark, Salvaged, salvage};
use atelier_protocol::{Code, Envelope, Event, Problem, Seq};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A closed store with 300 events of three runs, small, of several pages, and spilled; with keys and a consumer.
async fn written() -> (Bench, Vec<Envelope>) {
    let bench = Bench::new();
    let owned = bench.owner().await;
    for number in 0..150_usize {
        let size = match number % 25 {
            7 => 9_000,
            11 => 20_000,
            _ => 40 + number * 3,
        };
        let events =
            vec![notice_of(&run((number % 3) as u8 + 1), &format!("{number} {}", "x".repeat(size))), notice("y")];
        let marks = vec![Mark::Key { scope: "mail".into(), key: format!("k{number}") }];
        owned.journal.append_marked(Append { events, marks, ..Append::default() }).await.unwrap();
    }
    let place = Mark::Offset { consumer: "clerk".into(), from: None, to: Seq(9) };
    owned.journal.append_marked(Append { marks: vec![place], ..Append::default() }).await.unwrap();
    let events = owned.journal.read(None, Seq::ZERO, usize::MAX).await.unwrap();
    owned.close().await;
    (bench, events)
}

fn database(bench: &Bench) -> PathBuf {
    bench.dir().join("journal.db")
}

fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(content(&path));
        } else {
            files.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    files
}

/// Salvages the store, checks what must hold whatever the damage was, and gives the report.
async fn salvaged(bench: &Bench, written: &[Envelope], what: &str) -> Salvaged {
    let before = content(&bench.dir());
    let saved = Bench::at(&bench.root().join("saved"));
    let _ = std::fs::remove_dir_all(saved.root());
    let report = salvage(bench.dir(), saved.dir()).await.unwrap();
    assert!(content(&bench.dir()) == before, "{what}: the old store is left as it is");
    let name = atelier_protocol::StoreId::new(report.store.clone());
    let owned = saved.owner_of(name).await;
    assert!(matches!(owned.journal.verify().await.unwrap(), Chain::Sound { .. }), "{what}");
    let events = owned.journal.read(None, Seq::ZERO, report.last.0 as usize).await.unwrap();
    assert_eq!(report.saved + report.lost, report.last.0, "{what}");
    let mut lost = 0;
    for (event, original) in events.iter().zip(written) {
        let is_notice = matches!(&event.event, Event::Noticed { problem: Problem { code: Code::StoreDamaged, .. } });
        if is_notice {
            lost += 1;
            let seq = event.seq;
            assert!(report.lost_stretches.iter().any(|(first, last)| *first <= seq && seq <= *last), "{what}: {seq}");
        } else {
            assert_eq!(event.event, original.event, "{what}: {}", event.seq);
            assert_eq!((event.at_ms, &event.run, event.cause), (original.at_ms, &original.run, original.cause));
        }
        if lost == 0 {
            assert_eq!(event, original, "{what}: chained as it was");
        }
    }
    let path = saved.dir().join("report.json");
    let text: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(text, serde_json::to_value(&report).unwrap());
    owned.close().await;
    report
}

#[tokio::test]
async fn a_sound_store_is_saved_whole() {
    let (bench, written) = written().await;
    let report = salvaged(&bench, &written, "sound").await;
    let expected = Salvaged {
        store: "home".into(),
        last: Seq(301),
        end_is_known: true,
        saved: 301,
        keys: 150,
        keys_are_all: true,
        consumers: Some(1),
        blobs: 6,
        blob_bytes: report.blob_bytes,
        ..Salvaged::default()
    };
    assert_eq!(report, expected);
    let again = salvage(bench.dir(), bench.root().join("saved/data")).await;
    assert!(matches!(again, Err(CopyError::Exists { .. })), "{again:?}");
}

#[tokio::test]
async fn events_that_are_only_in_the_log_are_saved_too() {
    let (bench, _) = written().await;
    let owned = bench.owner().await;
    for number in 0..40 {
        owned.journal.append(vec![notice(&format!("late {number} {}", "z".repeat(number * 200)))]).await.unwrap();
    }
    let written = owned.journal.read(None, Seq::ZERO, usize::MAX).await.unwrap();
    // As a killed process leaves it: the log holds what was appended last.
    let killed = Bench::at(&bench.root().join("killed"));
    std::fs::create_dir_all(killed.dir()).unwrap();
    for file in ["journal.db", "journal.db-wal"] {
        std::fs::copy(bench.dir().join(file), killed.dir().join(file)).unwrap();
    }
    copy_blobs(&bench, &killed);
    owned.close().await;
    let report = salvaged(&killed, &written, "log").await;
    assert_eq!((report.saved, report.lost), (342, 0));
    // The database itself is gone: what the log has is saved all the same.
    std::fs::write(database(&killed), b"").unwrap();
    let report = salvaged(&killed, &written, "log alone").await;
    assert!(report.saved >= 40, "{report:?}");
}

fn copy_blobs(from: &Bench, to: &Bench) {
    for (path, bytes) in content(&from.dir().join("blobs")) {
        let to = to.dir().join(path.strip_prefix(from.dir()).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, bytes).unwrap();
    }
}

#[tokio::test]
async fn a_store_cut_off_at_any_page_keeps_what_is_before_the_cut() {
    let (bench, written) = written().await;
    let whole = std::fs::read(database(&bench)).unwrap();
    let pages = whole.len() / 4096;
    let mut saved = Vec::new();
    // Every seventh page here; the first, the second and the last among them.
    for page in (0..=pages).filter(|page| page % 7 == 1 || *page == 0 || *page == pages) {
        std::fs::write(database(&bench), &whole[..page * 4096]).unwrap();
        saved.push(salvaged(&bench, &written, &format!("cut at page {page}")).await.saved);
    }
    assert!(saved.is_sorted(), "more pages hold more: {saved:?}");
    assert_eq!((saved.first(), saved.last()), (Some(&0), Some(&301)));
}

#[tokio::test]
async fn flipped_bits_cost_no_more_than_the_pages_they_are_in() {
    let (bench, written) = written().await;
    let whole = std::fs::read(database(&bench)).unwrap();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for round in 0..14 {
        let mut bytes = whole.clone();
        let flips = 1 + next(12);
        for _ in 0..flips {
            let at = next(bytes.len());
            bytes[at] ^= 1 << next(8);
        }
        std::fs::write(database(&bench), &bytes).unwrap();
        let report = salvaged(&bench, &written, &format!("round {round}")).await;
        // A page holds at most some forty of these events.
        assert!(report.saved + 40 * flips as u64 >= 301, "round {round}, {flips} flips: {report:?}");
    }
}

#[tokio::test]
async fn the_tree_above_the_rows_is_not_needed() {
    let (bench, written) = written().await;
    let mut bytes = std::fs::read(database(&bench)).unwrap();
    // Every inner page of a tree of rows, and the file's header.
    for page in bytes.chunks_mut(4096).skip(1).filter(|page| page[0] == 0x05) {
        page.fill(0);
    }
    bytes[..100].fill(0);
    std::fs::write(database(&bench), &bytes).unwrap();
    let report = salvaged(&bench, &written, "no tree").await;
    assert_eq!((report.saved, report.lost, report.keys), (301, 0, 150));
    assert!(!report.keys_are_all && report.consumers.is_none(), "{report:?}");
}

#[tokio::test]
async fn an_event_whose_envelope_was_changed_is_lost_and_its_neighbours_are_not() {
    let (bench, written) = written().await;
    let change = "UPDATE events SET at_ms = 5 WHERE seq = 100; UPDATE events SET prev_hash = x'00' WHERE seq = 200;
                  UPDATE events SET payload = x'7b7d' WHERE seq = 250; DELETE FROM events WHERE seq = 270;";
    bench.database().execute_batch(change).unwrap();
    let report = salvaged(&bench, &written, "changed").await;
    let one = |seq| (Seq(seq), Seq(seq));
    assert_eq!(report.lost_stretches, [one(100), one(200), one(250), one(270)]);
    assert_eq!((report.saved, report.lost), (297, 4));
}

#[tokio::test]
async fn damaged_blobs_are_named_and_cost_their_event_alone() {
    let (bench, written) = written().await;
    let files = content(&bench.dir().join("blobs"));
    let (first, second) = (files.keys().next().unwrap(), files.keys().nth(1).unwrap());
    std::fs::write(first, b"other bytes").unwrap();
    std::fs::remove_file(second).unwrap();
    let report = salvaged(&bench, &written, "blobs").await;
    assert_eq!((report.saved, report.lost, report.blobs), (299, 2, 4));
    assert_eq!(report.damaged_blobs, [first.file_name().unwrap().to_str().unwrap()]);
}
