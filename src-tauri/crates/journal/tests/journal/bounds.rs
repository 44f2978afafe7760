//! What a store takes and gives back: backups that are stores, blobs that nothing names, migrations of old stores.
//!
//! Mutants that turn it red: pruning that looks for no names in payloads, or takes young blobs (`prune`); a migration
//! without a copy (`backup`).

use crate::bench::*;
use atelier_journal::{Append, Chain, CopyError, Mark, open_read_only};
use atelier_protocol::event::{NewEvent, Output};
use atelier_protocol::view::RunView;
use atelier_protocol::{Event, Hash, Seq};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

fn blob_file(bench: &Bench, hash: &Hash) -> PathBuf {
    bench.dir().join("blobs").join(&hash.hex()[..2]).join(hash.hex())
}

/// Makes a file look as if it was written so long ago.
fn age(path: &Path, minutes: u64) {
    let file = std::fs::File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(minutes * 60)).unwrap();
}

fn returned(full: &Hash) -> NewEvent {
    let output = Output { text: "head and tail".into(), bytes: 99, full: Some(full.clone()) };
    let event = Event::ToolReturned { id: "1".into(), tool: "run".into(), line: "ran".into(), ok: true, output };
    NewEvent::of_run(&run(1), None, event)
}

#[tokio::test]
async fn a_backup_of_a_store_at_work_is_a_store_of_its_own() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let journal = &owned.journal;
    let output = journal.put_blob(b"the whole output".to_vec()).await.unwrap();
    let marks = vec![Mark::Key { scope: "mail".into(), key: "k".into() }];
    journal.append_marked(Append { events: vec![returned(&output)], marks, ..Append::default() }).await.unwrap();
    journal.append(vec![notice(&"spilled".repeat(5_000))]).await.unwrap();
    // Others append all the while.
    let busy = journal.clone();
    let appending = tokio::spawn(async move {
        for number in 0..300 {
            busy.append(vec![notice_of(&run(2), &format!("{number}")), notice_of(&run(2), "pair")]).await.unwrap();
        }
    });
    let copy = Bench::at(&bench.root().join("copy"));
    let backed_up = journal.back_up(copy.dir()).await.unwrap();
    appending.await.unwrap();
    assert_eq!((backed_up.blobs, backed_up.damaged_blobs.len()), (2, 0));
    let again = journal.back_up(copy.dir()).await;
    assert!(matches!(again, Err(CopyError::Exists { .. })), "{again:?}");

    let restored = copy.owner().await;
    let there = restored.journal.read(None, Seq::ZERO, usize::MAX).await.unwrap();
    let here = journal.read(None, Seq::ZERO, there.len() - 1).await.unwrap();
    assert_eq!(there[..there.len() - 1], here, "the beginning of the same history, and a new owner");
    assert_eq!(backed_up.last, here.last().unwrap().seq);
    assert!(restored.journal.version(&run(2)).await.unwrap().is_multiple_of(2), "no append is there by half");
    assert!(matches!(restored.journal.verify().await.unwrap(), Chain::Sound { .. }));
    assert_eq!(restored.journal.blob(&output).await.unwrap().as_deref(), Some(&b"the whole output"[..]));
    assert_eq!(restored.journal.key("mail", "k").await.unwrap(), Some(Seq(2)));
    assert!(!bench.root().join("copy/data.part").exists());
}

#[tokio::test]
async fn pruning_removes_what_nothing_names_and_nothing_else() {
    let bench = Bench::new();
    let owned = bench.owner().await;
    let journal = &owned.journal;
    let put = async |text: String| journal.put_blob(text.into_bytes()).await.unwrap();
    let named = put("named by an event".into()).await;
    let listed = put("named by a blob that an event names".into()).await;
    let list = put(format!("a list: [{listed}]")).await;
    let waiting = put("its event is on its way".into()).await;
    let dropped = put("named by nothing".into()).await;
    let again = put("named by nothing until it is put again".into()).await;
    let awaited = put("named by a blob whose event is on its way".into()).await;
    let young_list = put(format!("{awaited}")).await;
    journal.append(vec![returned(&named), returned(&list), notice(&"spilled".repeat(5_000))]).await.unwrap();
    let spilled = journal.read(None, Seq(3), 1).await.unwrap().remove(0).payload_hash;
    for old in [&named, &listed, &list, &dropped, &again, &awaited, &spilled] {
        age(&blob_file(&bench, old), 61);
    }
    age(&blob_file(&bench, &waiting), 59);
    put("named by nothing until it is put again".into()).await;

    let before = journal.usage().await.unwrap();
    let pruned = journal.prune().await.unwrap();
    assert_eq!((before.blobs, pruned.removed, pruned.usage.blobs), (9, 1, 8));
    assert_eq!(pruned.removed_bytes, "named by nothing".len() as u64);
    assert_eq!(before.blob_bytes - pruned.removed_bytes, pruned.usage.blob_bytes);
    assert_eq!(journal.blob(&dropped).await.unwrap(), None);
    for kept in [&named, &listed, &list, &waiting, &again, &awaited, &young_list, &spilled] {
        assert!(journal.blob(kept).await.unwrap().is_some(), "{kept}");
    }
    assert!(matches!(journal.verify().await.unwrap(), Chain::Sound { .. }));
}

/// A copy of the store that the first version wrote, in a folder of its own.
fn first_store() -> Bench {
    let bench = Bench::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fixtures/stores/first");
    copy(&from, &bench.dir());
    bench
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test]
async fn a_store_of_the_first_version_is_backed_up_migrated_and_read_with_todays_shapes() {
    let bench = first_store();
    let name = open_read_only(bench.dir()).await.unwrap();
    // Read by who does not own it, before anything is changed.
    let before = name.read(Seq::ZERO, 10_000).await.unwrap();
    assert!(matches!(name.verify().await.unwrap(), Chain::Sound { events, .. } if events == before.len() as u64));
    let store = name.store().clone();
    drop(name);

    let owned = bench.owner_of(store.clone()).await;
    let events = owned.journal.read(None, Seq::ZERO, 10_000).await.unwrap();
    assert_eq!(events.len(), before.len() + 1);
    assert!(matches!(owned.journal.verify().await.unwrap(), Chain::Sound { .. }));
    let runs = owned.journal.runs().await.unwrap();
    assert!(!runs.is_empty());
    for run in &runs {
        let events = owned.journal.read(Some(run), Seq::ZERO, 10_000).await.unwrap();
        assert_eq!(events[0].v, 1, "the envelope says what was written");
        let Event::RunStarted { parent, forked, budget_tokens, .. } = &events[0].event else { panic!("{run}") };
        assert_eq!((parent, forked, budget_tokens), (&None, &None, &None));
        let view = RunView::of(&events).unwrap();
        assert!(view.state.is_final(), "{:?}", view.state);
    }
    // And it goes on: today's events stand behind the old ones.
    owned.journal.append(vec![notice("today")]).await.unwrap();
    assert!(matches!(owned.journal.verify().await.unwrap(), Chain::Sound { .. }));
    owned.close().await;

    let backup = bench.dir().join("backup").join(format!("journal-2-{}.db", before.len()));
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fixtures/stores/first/journal.db");
    let rows = |path: &Path| -> Vec<(i64, String, String)> {
        let database = rusqlite::Connection::open(path).unwrap();
        let mut rows = database.prepare("SELECT seq, payload_hash, prev_hash FROM events ORDER BY seq").unwrap();
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(rows(&backup), rows(&original));
}

#[tokio::test]
async fn of_the_copies_from_before_migrations_only_the_last_few_are_kept() {
    let bench = first_store();
    let folder = bench.dir().join("backup");
    std::fs::create_dir(&folder).unwrap();
    for number in 1..=4 {
        let old = folder.join(format!("journal-1-{number}.db"));
        std::fs::write(&old, b"an older copy").unwrap();
        age(&old, 100 - number);
    }
    std::fs::write(folder.join("mine.txt"), b"the user's").unwrap();
    let store = open_read_only(bench.dir()).await.unwrap();
    let last = store.read(Seq::ZERO, 10_000).await.unwrap().len();
    bench.owner_of(store.store().clone()).await.close().await;
    let mut kept: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    kept.sort();
    assert_eq!(kept, ["journal-1-3.db", "journal-1-4.db", &format!("journal-2-{last}.db"), "mine.txt"]);
}
