//! The store's schema, migrations and refusals, over real files.

use super::*;
use crate::chain::Link;
use atelier_protocol::{Hash, RunId};
use std::collections::BTreeMap;

/// A store's folder with a database of schema `schema` in it.
fn made(schema: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    make(&file(folder.path()), &StoreId::home(), schema).unwrap();
    folder
}

/// Appends a row as the build of that schema would have.
fn put(folder: &Path, kind: &str, v: u32, run: Option<&str>, payload: &str) {
    let connection = Connection::open(file(folder)).unwrap();
    let head = reader::head(&connection).unwrap();
    let payload_hash = Hash::of(payload.as_bytes());
    let link = Link {
        seq: head.seq.next(),
        store: "home",
        at_ms: 1,
        kind,
        v,
        run,
        step: None,
        cause: None,
        trace: None,
        key_id: None,
        payload_hash: &payload_hash,
        prev_hash: &head.hash,
    };
    let seq = link.seq.0 as i64;
    let schema = schema::version(&connection).unwrap();
    // Hashes were texts once.
    let stored = |hash: &Hash| match schema {
        ..4 => rusqlite::types::Value::from(hash.to_string()),
        _ => rusqlite::types::Value::from(hash.bytes().unwrap().to_vec()),
    };
    connection
        .execute(
            "INSERT INTO events (seq, at_ms, kind, v, run, payload, payload_hash, prev_hash)
             VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![seq, kind, v, run, payload.as_bytes(), stored(&payload_hash), stored(&head.hash)],
        )
        .unwrap();
    connection.execute("UPDATE store SET head_seq = ?1, head_hash = ?2", params![seq, link.hash().as_str()]).unwrap();
    if schema >= 2 {
        connection.execute("INSERT OR IGNORE INTO shapes VALUES (?1, ?2, ?3)", params![kind, v, seq]).unwrap();
    }
}

/// Every file of a folder with its content.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

const NOTICE: &str = r#"{"problem":{"code":"io","message":"m","hint":"h"}}"#;
const RUN: &str = "00000000000000000000000000";

#[test]
fn a_store_of_the_first_schema_is_brought_up_to_date_with_its_history() {
    let folder = made(1);
    put(folder.path(), "noticed", 1, None, NOTICE);
    put(folder.path(), "noticed", 1, Some(RUN), NOTICE);
    put(folder.path(), "run_discarded", 1, Some(RUN), "{}");

    let connection = open(folder.path(), &StoreId::home()).unwrap();

    assert_eq!(schema::version(&connection).unwrap(), SCHEMA);
    let list = |sql: &str| -> Vec<String> {
        connection.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(list("SELECT run || ' ' || first_seq || ' ' || events FROM runs"), [format!("{RUN} 2 2")]);
    assert_eq!(list("SELECT kind || ' ' || v || ' ' || first_seq FROM shapes"), ["noticed 1 1", "run_discarded 1 3"]);
    let numbers = |run: Option<&RunId>| -> Vec<u64> {
        let rows = reader::rows(&connection, run, Seq::ZERO, Seq(99), 9, usize::MAX).unwrap();
        rows.iter().map(|row| row.seq.0).collect()
    };
    assert_eq!((numbers(None), numbers(Some(&RUN.parse().unwrap()))), (vec![1, 2, 3], vec![2, 3]));
}

#[test]
fn a_store_of_a_newer_schema_is_named_and_left_alone() {
    let folder = made(SCHEMA);
    Connection::open(file(folder.path())).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = content(folder.path());
    let Err(OpenError::Newer { what, .. }) = open(folder.path(), &StoreId::home()) else { panic!("it was opened") };
    assert_eq!(what, "schema 99, this version knows 5");
    assert_eq!(content(folder.path()), before);
}

#[test]
fn an_event_of_an_unknown_kind_or_version_makes_the_store_newer() {
    for (kind, v, payload) in [("plan_written", 1, "{}"), ("noticed", 2, NOTICE), ("noticed", 1, r#"{"other":1}"#)] {
        let folder = made(SCHEMA);
        put(folder.path(), "run_discarded", 1, None, "{}");
        put(folder.path(), kind, v, None, payload);
        let before = content(folder.path());
        let Err(OpenError::Newer { what, .. }) = open(folder.path(), &StoreId::home()) else { panic!("{kind} {v}") };
        assert_eq!(what, format!("event `{kind}` version {v}"));
        assert_eq!(content(folder.path()), before);
    }
}

#[test]
fn a_damaged_file_is_reported_and_never_written_over() {
    type Damage = (&'static str, fn(&Path));
    let damage: [Damage; 6] = [
        ("empty", |db| std::fs::write(db, b"").unwrap()),
        ("no database", |db| std::fs::write(db, b"these are not the bytes of a database".repeat(100)).unwrap()),
        ("cut short", |db| {
            let bytes = std::fs::read(db).unwrap();
            std::fs::write(db, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("another program's", |db| {
            std::fs::remove_file(db).unwrap();
            Connection::open(db).unwrap().execute_batch("CREATE TABLE t (c)").unwrap();
        }),
        ("last event gone", |db| {
            Connection::open(db).unwrap().execute("DELETE FROM events WHERE seq = 2", []).unwrap();
        }),
        ("last event changed", |db| {
            Connection::open(db).unwrap().execute("UPDATE events SET at_ms = 0 WHERE seq = 2", []).unwrap();
        }),
    ];
    for (name, damage) in damage {
        let folder = made(SCHEMA);
        put(folder.path(), "noticed", 1, None, NOTICE);
        put(folder.path(), "noticed", 1, None, NOTICE);
        damage(&file(folder.path()));
        let before = content(folder.path());
        let opened = open(folder.path(), &StoreId::home());
        assert!(matches!(opened, Err(OpenError::Damaged { .. })), "{name}: {opened:?}");
        assert_eq!(content(folder.path()), before, "{name}");
    }
}

#[test]
fn a_log_without_its_database_is_damage_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("journal.db-wal");
    std::fs::write(&log, b"committed events").unwrap();
    assert!(matches!(open(folder.path(), &StoreId::home()), Err(OpenError::Damaged { .. })));
    assert_eq!(content(folder.path()), BTreeMap::from([(log, b"committed events".to_vec())]));
}

#[test]
fn the_file_of_another_store_is_refused() {
    let folder = made(SCHEMA);
    let opened = open(folder.path(), &StoreId::new("other"));
    assert!(matches!(opened, Err(OpenError::OtherStore { .. })), "{opened:?}");
}

#[test]
fn a_store_whose_making_was_interrupted_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("journal.db.new"), b"half").unwrap();
    let connection = open(folder.path(), &StoreId::home()).unwrap();
    assert_eq!(reader::head(&connection).unwrap().store, "home");
    assert!(!folder.path().join("journal.db.new").exists());
}
