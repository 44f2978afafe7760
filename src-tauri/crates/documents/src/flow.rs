//! Running text on its way to Markdown: paragraphs, headings, lists and tables, cut into parts at the headings.
//!
//! Office formats differ in the names of their elements and agree on what a text is made of.

use crate::draft::Draft;
use crate::table::{Cell, Table, in_a_cell};
use atelier_protocol::document::Anchor;

/// Collects what a walk through an office file meets.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// The text of the part that is being made.
    part: String,
    heading: Option<String>,
    parts: Vec<(Option<String>, String)>,
    /// The paragraph that is being made.
    paragraph: String,
    tables: Vec<Table>,
    /// Rows of the tables that are open, the innermost last.
    open: Vec<Vec<Vec<String>>>,
}

/// What a paragraph is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    /// From 1.
    Heading(u8),
    /// How deep, from 0.
    Item(usize),
}

impl Flow {
    pub fn text(&mut self, text: &str) {
        self.paragraph.push_str(text);
    }

    pub fn end_paragraph(&mut self, kind: Kind) {
        let text = std::mem::take(&mut self.paragraph);
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if let Some(cell) = self.open.last_mut().and_then(|rows| rows.last_mut()).and_then(|row| row.last_mut()) {
            if !cell.is_empty() {
                cell.push(' ');
            }
            cell.push_str(text);
            return;
        }
        match kind {
            Kind::Heading(level) => {
                self.end_part();
                self.heading = Some(text.to_owned());
                self.part = format!("{} {}\n\n", "#".repeat(usize::from(level.clamp(1, 6))), text.replace('\n', " "));
            }
            Kind::Item(depth) => self.part.push_str(&format!("{}- {}\n", "  ".repeat(depth.min(8)), text)),
            Kind::Plain => {
                if self.part.ends_with(|c| c != '\n') || self.part.trim_end().lines().last().is_some_and(is_item) {
                    self.part.push('\n');
                }
                self.part.push_str(text);
                self.part.push_str("\n\n");
            }
        }
    }

    fn end_part(&mut self) {
        let (heading, text) = (self.heading.take(), std::mem::take(&mut self.part));
        if !text.trim().is_empty() {
            self.parts.push((heading, text));
        }
    }

    pub fn open_table(&mut self) {
        self.end_paragraph(Kind::Plain);
        self.open.push(Vec::new());
    }

    pub fn open_row(&mut self) {
        if let Some(rows) = self.open.last_mut() {
            rows.push(Vec::new());
        }
    }

    pub fn open_cell(&mut self) {
        if let Some(row) = self.open.last_mut().and_then(|rows| rows.last_mut()) {
            row.push(String::new());
        }
    }

    pub fn close_table(&mut self) {
        self.end_paragraph(Kind::Plain);
        let Some(rows) = self.open.pop() else { return };
        let cells = rows.into_iter().map(|row| row.iter().map(|cell| Cell::of(cell)).collect()).collect();
        let table = Table::of(format!("table_{}", self.tables.len() + 1), cells);
        if self.open.is_empty() {
            if !self.part.is_empty() && !self.part.ends_with("\n\n") {
                self.part.push('\n');
            }
            self.part.push_str(&table.markdown());
            self.part.push('\n');
            self.tables.push(table);
        } else {
            // A table in a cell is text of the cell.
            let inner: Vec<String> = table.rows.iter().flatten().map(|cell| in_a_cell(&cell.text())).collect();
            self.text(&inner.join(" "));
            self.end_paragraph(Kind::Plain);
        }
    }

    /// Hands all of it to the draft, each part as a section.
    pub fn into_draft(mut self, draft: &mut Draft) {
        self.finish();
        for (n, (heading, text)) in (1u32..).zip(self.parts) {
            draft.part(Anchor::Section { n }, heading, text);
        }
        for table in self.tables {
            draft.table(table, None);
        }
    }

    /// Hands all of it to the draft as one part.
    pub fn into_part(mut self, draft: &mut Draft, anchor: Anchor) {
        self.finish();
        let heading = self.parts.iter().find_map(|(heading, _)| heading.clone());
        let text: Vec<String> = self.parts.into_iter().map(|(_, text)| text).collect();
        draft.part(anchor, heading, text.join("\n"));
        for table in self.tables {
            draft.table(table, None);
        }
    }

    fn finish(&mut self) {
        while !self.open.is_empty() {
            self.close_table();
        }
        self.end_paragraph(Kind::Plain);
        self.end_part();
    }
}

fn is_item(line: &str) -> bool {
    line.trim_start().starts_with("- ")
}
