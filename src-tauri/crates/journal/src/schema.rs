//! The tables of a store, version by version.
//!
//! `store` has one row: the store's name, the epoch of its owner, and the number and envelope hash of its last event.
//! `events` is the history; a hash in it is its 32 bytes. A payload above [`SPILL`] bytes is kept as a blob under its
//! hash, and `payload` is null.
//! `runs` (the runs in order of their first event, and how many events each has), `of_run` (which events those are) and
//! `shapes` (which kinds and versions occur) follow from `events` and are written in the same transaction. Runs that are
//! under way at one time have numbers next to each other, so that what is written of all of them is on a few pages: an
//! index over the runs' names would be written on another page for each. `keys` and `offsets` are the marks of appends: what was done once, and how far each
//! consumer has come. They do not follow from `events`.

use rusqlite::Connection;

/// Bytes above which a payload is kept as a blob.
pub(crate) const SPILL: usize = 16 * 1024;

/// What each version of the schema adds to the one before. Steps are only ever added at the end.
const MIGRATIONS: &[&str] = &[
    "CREATE TABLE store (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        name TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        head_seq INTEGER NOT NULL,
        head_hash TEXT NOT NULL
    ) STRICT;
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        v INTEGER NOT NULL,
        run TEXT,
        step TEXT,
        cause INTEGER,
        trace TEXT,
        payload BLOB,
        blob TEXT,
        key_id TEXT,
        payload_hash TEXT NOT NULL,
        prev_hash TEXT NOT NULL,
        CHECK ((payload IS NULL) <> (blob IS NULL))
    ) STRICT;
    CREATE INDEX events_of_run ON events (run, seq) WHERE run IS NOT NULL;",
    "CREATE TABLE runs (
        run TEXT PRIMARY KEY,
        first_seq INTEGER NOT NULL,
        events INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX runs_by_start ON runs (first_seq);
    INSERT INTO runs SELECT run, min(seq), count(*) FROM events WHERE run IS NOT NULL GROUP BY run;
    CREATE TABLE shapes (
        kind TEXT NOT NULL,
        v INTEGER NOT NULL,
        first_seq INTEGER NOT NULL,
        PRIMARY KEY (kind, v)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO shapes SELECT kind, v, min(seq) FROM events GROUP BY kind, v;",
    "CREATE TABLE keys (
        scope TEXT NOT NULL,
        key TEXT NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (scope, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE offsets (
        consumer TEXT PRIMARY KEY,
        seq INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX events_of_store ON events (kind, seq) WHERE run IS NULL;",
    "CREATE TABLE packed (
        seq INTEGER PRIMARY KEY,
        at_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        v INTEGER NOT NULL,
        run TEXT,
        step TEXT,
        cause INTEGER,
        trace TEXT,
        payload BLOB,
        key_id TEXT,
        payload_hash BLOB NOT NULL,
        prev_hash BLOB NOT NULL
    ) STRICT;
    INSERT INTO packed
        SELECT seq, at_ms, kind, v, run, step, cause, trace, payload, key_id,
            coalesce(unhex(substr(payload_hash, 8)), x''), coalesce(unhex(substr(prev_hash, 8)), x'')
        FROM events ORDER BY seq;
    DROP TABLE events;
    ALTER TABLE packed RENAME TO events;
    CREATE INDEX events_of_run ON events (run, seq) WHERE run IS NOT NULL;
    CREATE INDEX events_of_store ON events (kind, seq) WHERE run IS NULL;",
    "DROP INDEX events_of_run;
    DROP TABLE runs;
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        run TEXT NOT NULL UNIQUE,
        first_seq INTEGER NOT NULL,
        events INTEGER NOT NULL
    ) STRICT;
    INSERT INTO runs (run, first_seq, events)
        SELECT run, min(seq), count(*) FROM events WHERE run IS NOT NULL GROUP BY run ORDER BY min(seq);
    CREATE TABLE of_run (
        id INTEGER NOT NULL,
        event INTEGER NOT NULL,
        PRIMARY KEY (id, event)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO of_run SELECT runs.id, events.seq FROM events JOIN runs USING (run) ORDER BY 1, 2;",
];

/// Fills the tables that follow from `events`.
pub(crate) const FROM_EVENTS: &str = "
    INSERT INTO runs (run, first_seq, events)
        SELECT run, min(seq), count(*) FROM events WHERE run IS NOT NULL GROUP BY run ORDER BY min(seq);
    INSERT INTO of_run SELECT runs.id, events.seq FROM events JOIN runs USING (run) ORDER BY 1, 2;
    INSERT INTO shapes SELECT kind, v, min(seq) FROM events GROUP BY kind, v;";

/// The schema version of this build.
pub(crate) const SCHEMA: usize = MIGRATIONS.len();

/// The schema version of a database.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<usize> {
    connection.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)).map(|version| version as usize)
}

/// Brings a database from one schema version to a later one, a transaction a step.
pub(crate) fn migrate(connection: &mut Connection, from: usize, to: usize) -> rusqlite::Result<()> {
    for (index, step) in MIGRATIONS.iter().enumerate().take(to).skip(from) {
        let change = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        change.execute_batch(step)?;
        change.pragma_update(None, "user_version", index as u32 + 1)?;
        change.commit()?;
    }
    let count = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if count("freelist_count")? > count("page_count")? / 4 {
        // A table was written anew, and the pages of the old one would stay in the file.
        connection.execute_batch("VACUUM")?;
    }
    Ok(())
}
