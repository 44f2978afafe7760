//! `atelier documents`: files of other formats as Markdown with anchors, and queries over their tables.
//!
//! Needs no project. The reading is done by this program in a process of its own, confined to the file.

use crate::out::{End, Finished, Out};
use atelier_engine::reader::Reader;
use atelier_protocol::document::{ColumnKind, TableView};
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Subcommand, Debug)]
pub enum DocumentsVerb {
    /// A file as Markdown; a comment before each part says which page, sheet, slide or lines it is of.
    Read {
        /// The file.
        file: PathBuf,
    },
    /// Answer one SELECT (SQLite's SQL) over the tables of a file.
    Query {
        /// The file: a spreadsheet, CSV, JSON, SQLite file, or another with tables.
        file: PathBuf,
        /// The query, such as `select kind, count(*) from "Sensors" group by kind`.
        sql: String,
    },
}

pub async fn documents(verb: &DocumentsVerb, out: &Out) -> End {
    let reader = Reader::of_this_user().await?;
    match verb {
        DocumentsVerb::Read { file } => {
            let document = reader.read(file).await?;
            out.say(document.markdown());
            for table in &document.tables {
                out.say(described(table));
            }
            for notice in &document.notices {
                out.say(format!("note: {}", notice.text));
            }
            Ok(Finished::done(json!({ "markdown": document.markdown(), "document": document })))
        }
        DocumentsVerb::Query { file, sql } => {
            let answer = reader.query(file, sql).await?;
            out.say(answer.columns.join("\t"));
            for row in &answer.rows {
                let cells: Vec<String> = row.iter().map(shown).collect();
                out.say(cells.join("\t"));
            }
            if answer.more {
                out.say("there are more rows; limit the query to see others");
            }
            Ok(Finished::done(json!(answer)))
        }
    }
}

/// A table's columns with what can be said of their values.
fn described(table: &TableView) -> String {
    let mut text = format!("table `{}`: {} rows", table.name, table.rows);
    for column in &table.columns {
        let kind = match column.kind {
            ColumnKind::Empty => "empty",
            ColumnKind::Integer => "integer",
            ColumnKind::Number => "number",
            ColumnKind::Boolean => "boolean",
            ColumnKind::Date => "date",
            ColumnKind::Text => "text",
        };
        text.push_str(&format!("\n  {}: {kind}, {} filled, {} different", column.name, column.filled, column.distinct));
        if let (Some(least), Some(most)) = (&column.least, &column.most) {
            text.push_str(&format!(", {least} to {most}"));
        }
        if let Some(mean) = column.mean {
            text.push_str(&format!(", mean {mean:.4}"));
        }
    }
    text
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
