//! Keys and consumer offsets: looked at and set inside the writer's transaction, read from anywhere.
//!
//! They are part of the store, not of the history: nothing chains them. A key is never forgotten.

use crate::append::Mark;
use crate::error::AppendError;
use atelier_protocol::Seq;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;

/// What speaks against setting `marks` now.
pub(crate) fn refusal(connection: &Connection, marks: &[Mark]) -> rusqlite::Result<Option<AppendError>> {
    for (index, mark) in marks.iter().enumerate() {
        match mark {
            Mark::Key { scope, key: name } => {
                if let Some(first) = key(connection, scope, name)? {
                    return Ok(Some(AppendError::Repeated { scope: scope.clone(), key: name.clone(), first }));
                }
            }
            Mark::Offset { consumer, from, .. } => {
                // An earlier mark of the same append may have moved it.
                let earlier = marks.iter().take(index).rev().find_map(|mark| match mark {
                    Mark::Offset { consumer: moved, to, .. } if moved == consumer => Some(*to),
                    _ => None,
                });
                let actual = match earlier {
                    Some(to) => Some(to),
                    None => offset(connection, consumer)?,
                };
                if actual != *from {
                    let consumer = consumer.clone();
                    return Ok(Some(AppendError::Moved { consumer, expected: *from, actual }));
                }
            }
        }
    }
    Ok(None)
}

/// Sets marks that nothing speaks against; `first` is what keys are remembered with.
pub(crate) fn set(connection: &Connection, marks: &[Mark], first: Seq) -> rusqlite::Result<()> {
    for mark in marks {
        match mark {
            // Twice the same key in one append is the same key.
            Mark::Key { scope, key } => connection
                .prepare_cached("INSERT OR IGNORE INTO keys (scope, key, seq) VALUES (?1, ?2, ?3)")?
                .execute(params![scope, key, number(first)])?,
            Mark::Offset { consumer, to, .. } => connection
                .prepare_cached("INSERT OR REPLACE INTO offsets (consumer, seq) VALUES (?1, ?2)")?
                .execute(params![consumer, number(*to)])?,
        };
    }
    Ok(())
}

/// The number that a key is remembered with.
pub(crate) fn key(connection: &Connection, scope: &str, key: &str) -> rusqlite::Result<Option<Seq>> {
    connection
        .prepare_cached("SELECT seq FROM keys WHERE scope = ?1 AND key = ?2")?
        .query_row([scope, key], |row| row.get::<_, i64>(0))
        .optional()
        .map(|seq| seq.map(seq_of))
}

/// How far a consumer has come.
pub(crate) fn offset(connection: &Connection, consumer: &str) -> rusqlite::Result<Option<Seq>> {
    connection
        .prepare_cached("SELECT seq FROM offsets WHERE consumer = ?1")?
        .query_row([consumer], |row| row.get::<_, i64>(0))
        .optional()
        .map(|seq| seq.map(seq_of))
}

/// How far each consumer has come.
pub(crate) fn offsets(connection: &Connection) -> rusqlite::Result<BTreeMap<String, Seq>> {
    let mut statement = connection.prepare_cached("SELECT consumer, seq FROM offsets")?;
    statement.query_map([], |row| Ok((row.get(0)?, seq_of(row.get(1)?))))?.collect()
}

fn number(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

fn seq_of(number: i64) -> Seq {
    Seq(number.unsigned_abs())
}
