//! Structured data: JSON, JSON Lines, YAML, TOML, XML, INI. The text is the file's own, by its lines; what is checked is
//! whether it is well formed. Lists of records are tables too.

use crate::decode;
use crate::draft::Draft;
use crate::error::ReadError;
use crate::plain;
use crate::source::Source;
use crate::table::{Cell, Table};
use crate::xml::{self, Node};
use atelier_protocol::document::{DocumentFormat as Format, NoticeKind};
use serde_json::Value;
use std::collections::HashSet;

/// Tables that are looked for in one file.
const TABLES: usize = 50;

pub(crate) fn read(source: &Source<'_>, draft: &mut Draft, format: Format) -> Result<(), ReadError> {
    let text =
        decode::text(&source.bytes, draft).ok_or_else(|| ReadError::damaged(format)("it is no text".to_owned()))?;
    let fence = match format {
        Format::Json | Format::JsonLines => "json",
        Format::Yaml => "yaml",
        Format::Toml => "toml",
        Format::Ini => "ini",
        _ => "xml",
    };
    let broken = match format {
        _ if source.is_cut() => None,
        Format::Json => json(&text, draft),
        Format::JsonLines => json_lines(&text, draft),
        Format::Yaml => yaml(&text, draft),
        Format::Toml => text.parse::<toml::Table>().err().map(|error| error.to_string()),
        Format::Ini => {
            let mut ini = configparser::ini::Ini::new_cs();
            ini.read(text.clone()).err()
        }
        _ => xml_of(&text, draft),
    };
    if let Some(reason) = broken {
        let reason = reason.lines().next().unwrap_or_default().to_owned();
        draft.notice(NoticeKind::Damaged, format!("It is not well-formed {format}: {reason}"));
    }
    plain::lines(&text, draft, Some(fence));
    Ok(())
}

fn json(text: &str, draft: &mut Draft) -> Option<String> {
    match serde_json::from_str::<Value>(text) {
        Err(error) => Some(error.to_string()),
        Ok(value) => {
            tables(&value, "table", draft);
            None
        }
    }
}

fn json_lines(text: &str, draft: &mut Draft) -> Option<String> {
    let (mut records, mut broken) = (Vec::new(), None);
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str::<Value>(line) {
            Ok(value) => records.push(value),
            Err(error) => broken = broken.or_else(|| Some(format!("line {}: {error}", n + 1))),
        }
    }
    tables(&Value::Array(records), "table", draft);
    broken
}

fn yaml(text: &str, draft: &mut Draft) -> Option<String> {
    match serde_saphyr::from_str::<Value>(text) {
        Err(error) => Some(error.to_string()),
        Ok(value) => {
            tables(&value, "table", draft);
            None
        }
    }
}

/// Lists of records, wherever they are.
fn tables(value: &Value, name: &str, draft: &mut Draft) {
    if draft.tables.len() >= TABLES {
        return;
    }
    match value {
        Value::Array(records) if !records.is_empty() && records.iter().all(Value::is_object) => {
            let (mut columns, mut known) = (Vec::new(), HashSet::new());
            for key in records.iter().filter_map(Value::as_object).flat_map(|record| record.keys()) {
                if known.insert(key.as_str()) && columns.len() < 500 {
                    columns.push(key.clone());
                }
            }
            let row = |record: &Value| columns.iter().map(|column| cell(record.get(column))).collect();
            let rows = records.iter().map(row).collect();
            draft.table(Table { name: name.to_owned(), rows, columns: columns.clone() }, None);
        }
        Value::Object(fields) => fields.iter().for_each(|(key, value)| tables(value, key, draft)),
        _ => {}
    }
}

fn cell(value: Option<&Value>) -> Cell {
    match value {
        None | Some(Value::Null) => Cell::Empty,
        Some(Value::Bool(truth)) => Cell::Boolean(*truth),
        Some(Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Cell::Integer(whole),
            (_, Some(number)) => Cell::Number(number),
            _ => Cell::Text(number.to_string()),
        },
        Some(Value::String(text)) => match Cell::of(text) {
            date @ Cell::Date(_) => date,
            _ => Cell::Text(text.clone()),
        },
        Some(nested) => Cell::Text(nested.to_string()),
    }
}

fn xml_of(text: &str, draft: &mut Draft) -> Option<String> {
    let mut entities = HashSet::new();
    let walked = xml::walk(text, |node| {
        if let Node::Entity(name) = node {
            entities.insert(name.to_owned());
        }
    });
    unresolved(&entities, draft);
    walked.err()
}

pub(crate) fn unresolved(entities: &HashSet<String>, draft: &mut Draft) {
    if !entities.is_empty() {
        let text = "Entities that the file declares itself are left as they are: they are never resolved.";
        draft.notice(NoticeKind::Unsafe, text);
    }
}
