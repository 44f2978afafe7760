//! SQLite files, and SQL over any table. A file is opened read-only and in place; nothing is ever written to it.

use crate::draft::Draft;
use crate::error::ReadError;
use crate::limits;
use crate::table::{Cell, Table};
use atelier_protocol::document::{Anchor, DocumentFormat, NoticeKind, TableAnswer};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// Rows of a table that are read for its view.
const VIEWED: usize = 10_000;
/// What a query may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Characters of a value in an answer.
const VALUE: usize = 10_000;

pub(crate) fn read(path: &Path, draft: &mut Draft) -> Result<(), ReadError> {
    let damaged = |error: rusqlite::Error| ReadError::damaged(DocumentFormat::Sqlite)(error.to_string());
    let database = open(path)?;
    for (name, sql) in tables(&database).map_err(damaged)? {
        let count: i64 =
            match database.query_row(&format!("SELECT count(*) FROM {}", quoted(&name)), [], |row| row.get(0)) {
                Ok(count) => count,
                Err(error) => {
                    draft.notice(NoticeKind::Damaged, format!("The table `{name}` cannot be read: {error}"));
                    continue;
                }
            };
        let select = format!("SELECT * FROM {} LIMIT {VIEWED}", quoted(&name));
        match rows(&database, &select) {
            Ok((columns, rows)) => {
                if let Some(sql) = sql {
                    draft.part(
                        Anchor::Sheet { name: name.clone() },
                        Some(name.clone()),
                        format!("{count} rows\n\n```sql\n{sql}\n```\n"),
                    );
                }
                if usize::try_from(count).unwrap_or(usize::MAX) > rows.len() {
                    let text =
                        format!("The view of `{name}` is of its first {VIEWED} of {count} rows; a query reads all.");
                    draft.notice(NoticeKind::Cut, text);
                }
                draft.table(Table { name: name.clone(), columns, rows }, Some(Anchor::Sheet { name }));
            }
            Err(error) => draft.notice(NoticeKind::Damaged, format!("The table `{name}` cannot be read: {error}")),
        }
    }
    Ok(())
}

/// Answers a query over the file itself.
pub(crate) fn query_file(path: &Path, sql: &str) -> Result<TableAnswer, ReadError> {
    answer(open(path)?, sql)
}

/// Answers a query over tables.
pub(crate) fn query_tables(tables: Vec<Table>, sql: &str) -> Result<TableAnswer, ReadError> {
    let wrong = |error: rusqlite::Error| ReadError::Query { reason: error.to_string() };
    let mut database = Connection::open_in_memory().map_err(wrong)?;
    let filling = database.transaction().map_err(wrong)?;
    for table in tables {
        let columns: Vec<String> = unique(&table.columns).iter().map(|column| quoted(column)).collect();
        if columns.is_empty() {
            continue;
        }
        filling
            .execute(&format!("CREATE TABLE {} ({})", quoted(&table.name), columns.join(", ")), [])
            .map_err(wrong)?;
        let places = vec!["?"; columns.len()].join(", ");
        let mut insert =
            filling.prepare(&format!("INSERT INTO {} VALUES ({places})", quoted(&table.name))).map_err(wrong)?;
        for row in table.rows {
            insert.execute(params_from_iter(row.into_iter().map(value))).map_err(wrong)?;
        }
    }
    filling.commit().map_err(wrong)?;
    answer(database, sql)
}

fn value(cell: Cell) -> rusqlite::types::Value {
    use rusqlite::types::Value;
    match cell {
        Cell::Empty => Value::Null,
        Cell::Integer(number) => Value::Integer(number),
        Cell::Number(number) => Value::Real(number),
        Cell::Boolean(truth) => Value::Integer(truth.into()),
        Cell::Date(text) | Cell::Text(text) => Value::Text(text),
    }
}

/// SQLite does not tell `Name` from `name`.
fn unique(columns: &[String]) -> Vec<String> {
    let mut known: Vec<String> = Vec::with_capacity(columns.len());
    for column in columns {
        let taken = |name: &str| known.iter().any(|known| known.eq_ignore_ascii_case(name));
        let mut name = column.clone();
        let mut n = 1;
        while taken(&name) {
            n += 1;
            name = format!("{column}_{n}");
        }
        known.push(name);
    }
    known
}

fn open(path: &Path) -> Result<Connection, ReadError> {
    let damaged = |error: rusqlite::Error| ReadError::damaged(DocumentFormat::Sqlite)(error.to_string());
    // `immutable`: no lock, no journal, no file beside it is looked at or made.
    let address: String = path.to_string_lossy().bytes().fold("file:".to_owned(), |mut address, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => address.push(char::from(byte)),
            other => address.push_str(&format!("%{other:02X}")),
        }
        address
    });
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(format!("{address}?immutable=1"), flags).map_err(damaged)?;
    // The file is somebody's: its views and triggers may not call what has effects.
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(damaged)?;
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false).map_err(damaged)?;
    Ok(database)
}

/// Tables and views with their definitions.
fn tables(database: &Connection) -> rusqlite::Result<Vec<(String, Option<String>)>> {
    let mut statement = database.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         ORDER BY type, name LIMIT 1000",
    )?;
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    found.collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

type Rows = (Vec<String>, Vec<Vec<Cell>>);

fn rows(database: &Connection, select: &str) -> rusqlite::Result<Rows> {
    let mut statement = database.prepare(select)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let (mut found, mut rows) = (statement.query([])?, Vec::new());
    while let Some(row) = found.next()? {
        let cell = |at: usize| {
            Ok(match row.get_ref(at)? {
                ValueRef::Null => Cell::Empty,
                ValueRef::Integer(number) => Cell::Integer(number),
                ValueRef::Real(number) => Cell::Number(number),
                ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Blob(bytes) => Cell::Text(format!("({} bytes)", bytes.len())),
            })
        };
        rows.push((0..columns.len()).map(cell).collect::<rusqlite::Result<_>>()?);
    }
    Ok((columns, rows))
}

/// One statement that only reads, within its time.
fn answer(mut database: Connection, sql: &str) -> Result<TableAnswer, ReadError> {
    let unready = |error: rusqlite::Error| ReadError::Query { reason: error.to_string() };
    let until = Instant::now() + PATIENCE;
    database.progress_handler(10_000, Some(move || Instant::now() > until)).map_err(unready)?;
    database.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0).map_err(unready)?;
    let database = &database;
    let wrong = |error: rusqlite::Error| {
        let known: Vec<String> =
            tables(database).unwrap_or_default().into_iter().map(|(name, _)| quoted(&name)).collect();
        let tables = if known.is_empty() {
            "there are no tables".to_owned()
        } else {
            format!("the tables are {}", known.join(", "))
        };
        ReadError::Query { reason: format!("{error}; {tables}") }
    };
    let refused = |what: &str| ReadError::Query { reason: what.to_owned() };
    let mut statement = database.prepare(sql).map_err(wrong)?;
    if !statement.readonly() {
        return Err(refused("it would change something, and only reading is done here"));
    }
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    if columns.is_empty() {
        return Err(refused("it asks for nothing"));
    }
    let (mut found, mut rows, mut more) = (statement.query([]).map_err(wrong)?, Vec::new(), false);
    while let Some(row) = found.next().map_err(wrong)? {
        if rows.len() == limits::ANSWER {
            more = true;
            break;
        }
        let cell = |at: usize| {
            Ok(match row.get_ref(at)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number) => Value::from(number),
                ValueRef::Real(number) => Value::from(number),
                ValueRef::Text(text) => {
                    Value::from(String::from_utf8_lossy(text).chars().take(VALUE).collect::<String>())
                }
                ValueRef::Blob(bytes) => Value::from(format!("({} bytes)", bytes.len())),
            })
        };
        rows.push((0..columns.len()).map(cell).collect::<rusqlite::Result<Vec<Value>>>().map_err(wrong)?);
    }
    Ok(TableAnswer { columns, rows, more })
}
