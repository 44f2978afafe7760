//! Projections follow from the history alone: deleted, damaged, of another version or another history, they come back
//! the same. Guards: the journal is the only source of truth; projections can be deleted at any time.
//!
//! Mutants that turn it red: rows or a snapshot that are believed without comparing the history's hash; a batch that is
//! written without looking how far the file is; rows of another version that stay (`projections`, `projection_file`).

use crate::bench::*;
use atelier_journal::{Order, Owned, Projection, ProjectionError, Projections, Rows};
use atelier_protocol::{Envelope, Event, Hash, Seq};
use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Of each first letter, how often it came and the text that came last. `gone` removes the row of its run.
struct Letters {
    version: u32,
    folded: AtomicU64,
}

fn letters(version: u32) -> Arc<Letters> {
    Arc::new(Letters { version, folded: AtomicU64::new(0) })
}

impl Projection for Letters {
    fn name(&self) -> &'static str {
        "letters"
    }
    fn version(&self) -> u32 {
        self.version
    }
    fn keys(&self, event: &Envelope) -> Vec<String> {
        match &event.event {
            Event::Noticed { problem } => problem.message.chars().next().map(String::from).into_iter().collect(),
            _ => Vec::new(),
        }
    }
    fn fold(&self, _: &str, row: Option<&[u8]>, event: &Envelope) -> Option<Vec<u8>> {
        self.folded.fetch_add(1, Ordering::Relaxed);
        let text = text(event);
        if text.ends_with("gone") {
            return None;
        }
        let before = row.map_or(0, |row| row[0]);
        Some([&[before.wrapping_add(1)], text.as_bytes()].concat())
    }
}

/// The number of each event, by number: as many rows as events.
struct Numbers;

impl Projection for Numbers {
    fn name(&self) -> &'static str {
        "numbers"
    }
    fn version(&self) -> u32 {
        1
    }
    fn keys(&self, event: &Envelope) -> Vec<String> {
        vec![format!("{:08}", event.seq.0)]
    }
    fn fold(&self, _: &str, _: Option<&[u8]>, event: &Envelope) -> Option<Vec<u8>> {
        Some(event.payload_hash.as_str().as_bytes().to_vec())
    }
}

async fn opened(owned: &Owned, letters: Arc<Letters>) -> Projections {
    Projections::open(&owned.journal, vec![letters, Arc::new(Numbers)]).await.unwrap()
}

fn all() -> Rows {
    Rows { prefix: String::new(), after: None, order: Order::Rising, limit: usize::MAX }
}

async fn texts(projections: &Projections, rows: Rows) -> Vec<String> {
    let rows = projections.list("letters", rows).await.unwrap();
    rows.into_iter().map(|(key, row)| format!("{key} {} {}", row[0], String::from_utf8_lossy(&row[1..]))).collect()
}

async fn hashes(projections: &Projections) -> Vec<(Hash, u64, Seq)> {
    projections.caught_up().await.unwrap();
    let mut hashes = Vec::new();
    for name in projections.names() {
        let state = projections.hash(name).await.unwrap();
        hashes.push((state.hash, state.rows, state.seq));
    }
    hashes
}

fn file(bench: &Bench) -> PathBuf {
    bench.dir().join("projections.db")
}

/// A store with 400 events, closed.
async fn written() -> Bench {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let notices =
        |from: usize| (from..from + 50).map(|n| notice(&format!("{} {n}", "abcdefg".split_at(n % 7).1))).collect();
    for from in (0..400).step_by(50) {
        owned.journal.append(notices(from)).await.unwrap();
    }
    owned.close().await;
    bench
}

#[tokio::test]
async fn rows_follow_what_is_appended_and_ones_own_writes_are_read() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    owned.journal.append(vec![notice("apple"), notice("bean")]).await.unwrap();
    let projections = opened(&owned, letters(1)).await;
    for text in ["avocado", "cherry", "bgone", "apricot"] {
        owned.journal.append(vec![notice(text), notice_of(&run(1), "doubled")]).await.unwrap();
        projections.caught_up().await.unwrap();
        assert_eq!(projections.hash("letters").await.unwrap().seq, owned.journal.last_seq());
    }
    assert_eq!(texts(&projections, all()).await, ["a 3 apricot", "c 1 cherry", "d 4 doubled"]);
    assert_eq!(projections.get("letters", "c").await.unwrap().as_deref(), Some(&b"\x01cherry"[..]));
    assert_eq!(projections.get("letters", "b").await.unwrap(), None);
    let falling = Rows { after: Some("d".into()), order: Order::Falling, limit: 1, ..all() };
    assert_eq!(texts(&projections, falling).await, ["c 1 cherry"]);
    assert_eq!(texts(&projections, Rows { prefix: "d".into(), ..all() }).await, ["d 4 doubled"]);
    assert_eq!(texts(&projections, Rows { after: Some("a".into()), limit: 1, ..all() }).await, ["c 1 cherry"]);
    let unknown = projections.get("words", "c").await;
    assert!(matches!(unknown, Err(ProjectionError::Unknown { .. })), "{unknown:?}");
}

#[tokio::test]
async fn a_deleted_file_comes_back_with_the_same_hash() {
    let bench = written().await;
    let owned = bench.owner().await;
    let projections = opened(&owned, letters(1)).await;
    let before = hashes(&projections).await;
    assert_eq!(before.iter().map(|(_, rows, seq)| (*rows, *seq)).collect::<Vec<_>>(), [(7, Seq(402)), (402, Seq(402))]);
    drop(projections);
    owned.close().await;
    std::fs::remove_file(file(&bench)).unwrap();

    let owned = bench.owner().await;
    let projections = opened(&owned, letters(1)).await;
    let after = hashes(&projections).await;
    assert_eq!(after[0].0, before[0].0, "no event touched these rows");
    assert_ne!(after[1].0, before[1].0, "the new owner is in these rows");
    projections.rebuild("numbers").await.unwrap();
    projections.rebuild("letters").await.unwrap();
    assert_eq!(hashes(&projections).await, after);
}

#[tokio::test]
async fn what_was_folded_is_not_folded_again_and_another_version_is() {
    let bench = written().await;
    let first = letters(1);
    let owned = bench.owner().await;
    let projections = opened(&owned, Arc::clone(&first)).await;
    let hash = hashes(&projections).await[0].clone().0;
    assert_eq!(first.folded.load(Ordering::Relaxed), 400);
    drop(projections);
    owned.close().await;

    let (second, third) = (letters(1), letters(2));
    for (letters, expected) in [(&second, 0), (&third, 400)] {
        let owned = bench.owner().await;
        let projections = opened(&owned, Arc::clone(letters)).await;
        assert_eq!(hashes(&projections).await[0].0, hash);
        assert_eq!(letters.folded.load(Ordering::Relaxed), expected);
        drop(projections);
        owned.close().await;
    }
}

#[tokio::test]
async fn rows_of_a_history_that_the_journal_does_not_have_are_thrown_away() {
    let bench = written().await;
    let older = bench.root().join("older.db");
    std::fs::copy(bench.dir().join("journal.db"), &older).unwrap();
    let owned = bench.owner().await;
    let projections = opened(&owned, letters(1)).await;
    owned.journal.append(vec![notice("lost with the power")]).await.unwrap();
    let lost = hashes(&projections).await;
    drop(projections);
    owned.close().await;
    // The disk comes back with the journal as it was, and other things happen then.
    std::fs::copy(&older, bench.dir().join("journal.db")).unwrap();
    let owned = bench.owner().await;
    owned.journal.append(vec![notice("other"), notice("things")]).await.unwrap();
    let projections = opened(&owned, letters(1)).await;
    let now = hashes(&projections).await;
    assert_ne!(now[0].0, lost[0].0);
    assert!(projections.get("letters", "l").await.unwrap().is_none());
    assert!(projections.get("letters", "o").await.unwrap().is_some());
    projections.rebuild("letters").await.unwrap();
    assert_eq!(hashes(&projections).await, now);
}

/// Damages the file in some way that depends on `seed`.
fn damage(path: &std::path::Path, seed: u64) {
    let mut bytes = std::fs::read(path).unwrap();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    match seed % 4 {
        0 => bytes.truncate(next(bytes.len())),
        1 => bytes = b"no database at all".repeat(50),
        _ => {
            for _ in 0..1 + next(40) {
                let at = next(bytes.len());
                bytes[at] ^= 1 << next(8);
            }
        }
    }
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_file_that_sqlite_finds_damaged_is_made_anew() {
    let bench = written().await;
    let owned = bench.owner().await;
    let projections = opened(&owned, letters(1)).await;
    let mut expected = hashes(&projections).await;
    drop(projections);
    owned.close().await;
    for seed in [0, 1, 4, 5, 8] {
        damage(&file(&bench), seed);
        let owned = bench.owner().await;
        let projections = opened(&owned, letters(1)).await;
        let now = hashes(&projections).await;
        assert_eq!(now[0].0, expected[0].0, "seed {seed}");
        assert_eq!(now[1].1, expected[1].1 + 1, "seed {seed}");
        expected = now;
        drop(projections);
        owned.close().await;
    }
}

#[tokio::test]
async fn a_file_that_is_damaged_while_it_is_open_is_made_anew_by_whoever_reads_it() {
    let bench = written().await;
    let owned = bench.owner().await;
    let projections = opened(&owned, letters(1)).await;
    let before = hashes(&projections).await;
    // Everything into the file itself, then noise over every page but the first.
    let tamper = rusqlite::Connection::open(file(&bench)).unwrap();
    tamper.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(tamper);
    let mut bytes = std::fs::read(file(&bench)).unwrap();
    bytes[4096..].fill(0xa5);
    std::fs::write(file(&bench), bytes).unwrap();
    owned.journal.append(vec![notice("after the damage")]).await.unwrap();
    assert!(projections.get("letters", "a").await.unwrap().unwrap().ends_with(b"after the damage"));
    let after = hashes(&projections).await;
    assert_eq!((after[0].1, after[1].1), (before[0].1, before[1].1 + 1));
    projections.rebuild("letters").await.unwrap();
    assert_eq!(hashes(&projections).await, after);
}

#[tokio::test]
async fn a_snapshot_is_given_back_only_where_it_fits() {
    let bench = written().await;
    let owned = bench.owner().await;
    let projections = opened(&owned, letters(1)).await;
    let one = run(1);
    projections.put_snapshot(&one, "view", 3, Seq(100), b"first".to_vec()).await.unwrap();
    projections.put_snapshot(&one, "view", 3, Seq(200), b"folded".to_vec()).await.unwrap();
    projections.put_snapshot(&run(2), "view", 3, Seq(300), b"other".to_vec()).await.unwrap();
    projections.put_snapshot(&run(3), "view", 3, Seq(9_999), b"of no event".to_vec()).await.unwrap();
    let get = async |run: u8, kind, version| {
        projections.snapshot(&crate::bench::run(run), kind, version).await.unwrap().map(|(seq, bytes)| (seq.0, bytes))
    };
    assert_eq!(get(1, "view", 3).await, Some((200, b"folded".to_vec())));
    assert_eq!(get(2, "view", 3).await, Some((300, b"other".to_vec())));
    assert_eq!((get(1, "view", 4).await, get(1, "list", 3).await, get(3, "view", 3).await), (None, None, None));
    // Another byte in the snapshot, another history under it.
    let tamper = rusqlite::Connection::open(file(&bench)).unwrap();
    tamper.execute("UPDATE snapshots SET bytes = x'00' WHERE run = ?1", [one.as_str()]).unwrap();
    assert_eq!(get(1, "view", 3).await, None);
    bench.database().execute("UPDATE events SET at_ms = 7 WHERE seq = 300", []).unwrap();
    assert_eq!(get(2, "view", 3).await, None);
    let huge = projections.put_snapshot(&one, "view", 3, Seq(100), vec![0; 65 << 20]).await;
    assert!(matches!(huge, Err(ProjectionError::TooLarge { .. })), "{huge:?}");
}

#[tokio::test]
async fn snapshots_do_not_grow_beyond_their_bound() {
    let bench = written().await;
    let owned = bench.owner().await;
    let projections = opened(&owned, letters(1)).await;
    for number in 0..10 {
        projections.put_snapshot(&run(number), "view", 1, Seq(1), vec![number; 15 << 20]).await.unwrap();
    }
    let mut kept = Vec::new();
    for number in 0..10 {
        if projections.snapshot(&run(number), "view", 1).await.unwrap().is_some() {
            kept.push(number);
        }
    }
    assert_eq!(kept, [2, 3, 4, 5, 6, 7, 8, 9], "the oldest go first");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_follow_into_the_same_file_fold_every_event_once() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    // As an owner that is about to end, and the one after it, do for a moment.
    let (before, after) = (opened(&owned, letters(1)).await, opened(&owned, letters(1)).await);
    for text in ["ax", "bx", "ayy"] {
        owned.journal.append(vec![notice(text)]).await.unwrap();
        before.caught_up().await.unwrap();
        after.caught_up().await.unwrap();
    }
    assert_eq!(texts(&after, all()).await, ["a 2 ayy", "b 1 bx"]);
    before.rebuild("letters").await.unwrap();
    owned.journal.append(vec![notice("bgone")]).await.unwrap();
    after.caught_up().await.unwrap();
    assert_eq!(texts(&after, all()).await, ["a 2 ayy"]);
    assert_eq!(hashes(&before).await, hashes(&after).await);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// However appends, looks, restarts and rebuilds are mixed, the rows are those of one fold from the beginning.
    #[test]
    fn rows_are_the_fold_of_the_whole_history(
        acts in prop::collection::vec((0..5u8, prop::collection::vec("[a-d]{1}(gone|x|yy)", 1..6)), 1..24),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = Bench::new();
            let mut owned = bench.owner().await;
            let mut projections = opened(&owned, letters(1)).await;
            for (act, texts) in &acts {
                match act {
                    0 => {
                        drop(projections);
                        owned.close().await;
                        owned = bench.owner().await;
                        projections = opened(&owned, letters(1)).await;
                    }
                    1 => projections.rebuild("letters").await.unwrap(),
                    2 => projections.caught_up().await.unwrap(),
                    _ => {
                        owned.journal.append(texts.iter().map(|text| notice(text)).collect()).await.unwrap();
                    }
                }
            }
            projections.caught_up().await.unwrap();
            let fold = letters(1);
            let mut expected = std::collections::BTreeMap::new();
            for event in owned.journal.read(None, Seq::ZERO, usize::MAX).await.unwrap() {
                for key in fold.keys(&event) {
                    let before = expected.remove(&key);
                    if let Some(after) = fold.fold(&key, before.as_deref(), &event) {
                        expected.insert(key, after);
                    }
                }
            }
            let rows = projections.list("letters", all()).await.unwrap();
            assert_eq!(rows, expected.into_iter().collect::<Vec<(String, Vec<u8>)>>());
        });
    }
}
