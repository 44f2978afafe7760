//! A document as it is being read: collects parts, tables and notices, within limits.

use crate::limits;
use crate::table::Table;
use atelier_protocol::document::{Anchor, DocumentNotice, DocumentPart, NoticeKind};

/// A document as it is being read.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub title: Option<String>,
    pub parts: Vec<DocumentPart>,
    pub tables: Vec<Table>,
    pub notices: Vec<DocumentNotice>,
    bytes: usize,
    cells: usize,
    full: bool,
}

impl Draft {
    /// Adds a part where it holds something and there is room.
    pub fn part(&mut self, anchor: Anchor, heading: Option<String>, text: impl Into<String>) {
        let mut text: String = text.into();
        if text.trim().is_empty() || self.full {
            return;
        }
        let room = limits::TEXT - self.bytes;
        if text.len() > room {
            let mut end = room;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            self.full = true;
            self.notice(
                NoticeKind::Cut,
                format!("The text from {anchor} on is left out: more than {} MiB are not read.", limits::TEXT >> 20),
            );
        }
        self.bytes += text.len();
        self.parts.push(DocumentPart { anchor, heading: heading.filter(|heading| !heading.trim().is_empty()), text });
    }

    /// Whether no more text is taken.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Adds a table, and its text where `shown` says at which anchor.
    pub fn table(&mut self, mut table: Table, shown: Option<Anchor>) {
        let room = limits::CELLS.saturating_sub(self.cells) / table.columns.len().max(1);
        if table.rows.len() > room {
            table.rows.truncate(room);
            let text = format!("Of the table `{}` only the first {room} rows are read.", table.name);
            self.notice(NoticeKind::Cut, text);
        }
        self.cells += table.rows.len() * table.columns.len();
        if let Some(anchor) = shown {
            let heading = match &anchor {
                Anchor::Sheet { name } => Some(name.clone()),
                _ => None,
            };
            self.part(anchor, heading, table.markdown());
        }
        if table.rows.iter().flatten().any(|cell| cell.is_formula()) {
            let text = format!(
                "Cells of `{}` begin with `=`, `+`, `-` or `@`: they are texts here, but a spreadsheet would compute them.",
                table.name
            );
            self.notice(NoticeKind::Unsafe, text);
        }
        self.tables.push(table);
    }

    /// Tells something, once.
    pub fn notice(&mut self, kind: NoticeKind, text: impl Into<String>) {
        let notice = DocumentNotice { kind, text: text.into() };
        if self.notices.len() < 100 && !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }
}
