//! Tables: typed columns, what can be said of their values, and their text.

use crate::limits::{PREVIEW, SHOWN_ROWS};
use atelier_protocol::document::{ColumnKind, ColumnView, TableView};
use std::cmp::Ordering;
use std::collections::HashSet;

/// Different values of a column that are counted.
const DISTINCT: usize = 10_000;
/// Characters of a cell in a preview.
const CELL: usize = 200;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Empty,
    Integer(i64),
    Number(f64),
    Boolean(bool),
    /// ISO 8601.
    Date(String),
    Text(String),
}

/// A table whose first row, where it has names, became the head.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    pub name: String,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

impl Cell {
    /// What a text says: a number, a truth, a date, or itself.
    pub fn of(text: &str) -> Self {
        let plain = text.trim();
        if plain.is_empty() {
            return Self::Empty;
        }
        // `007` and `+49` are names, not numbers.
        let number_like = plain.starts_with(|c: char| c.is_ascii_digit() || c == '-')
            && !(plain.trim_start_matches('-').starts_with('0')
                && plain.trim_start_matches('-').len() > 1
                && !plain.trim_start_matches('-').starts_with("0."));
        if number_like {
            if let Ok(number) = plain.parse::<i64>() {
                return Self::Integer(number);
            }
            if let Some(number) = plain.parse::<f64>().ok().filter(|number| number.is_finite()) {
                return Self::Number(number);
            }
        }
        match plain {
            "true" | "TRUE" | "True" => Self::Boolean(true),
            "false" | "FALSE" | "False" => Self::Boolean(false),
            _ if is_date(plain) => Self::Date(plain.to_owned()),
            _ => Self::Text(text.to_owned()),
        }
    }

    pub fn text(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Integer(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Boolean(truth) => truth.to_string(),
            Self::Date(text) | Self::Text(text) => text.clone(),
        }
    }

    /// Whether a spreadsheet would take the text for a formula.
    pub fn is_formula(&self) -> bool {
        matches!(self, Self::Text(text) if text.len() > 1 && text.starts_with(['=', '+', '-', '@'])
            && !text.starts_with("- ") && !text.starts_with("+ ") && !text.starts_with("--"))
    }

    fn number(&self) -> Option<f64> {
        match self {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a mean and an order; large numbers may lose their last digits"
            )]
            Self::Integer(number) => Some(*number as f64),
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self.number(), other.number()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => self.text().cmp(&other.text()),
        }
    }
}

/// `2024-03-01`, with or without a time.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits =
        |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    let day =
        digits(0..4) && bytes.get(4) == Some(&b'-') && digits(5..7) && bytes.get(7) == Some(&b'-') && digits(8..10);
    day && (bytes.len() == 10 || (matches!(bytes.get(10), Some(b'T' | b' ')) && digits(11..13) && text.len() <= 35))
}

impl Table {
    /// A table of rows, the first of which is its head where all its cells are different texts.
    pub fn of(name: impl Into<String>, mut rows: Vec<Vec<Cell>>) -> Self {
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        let named = rows.first().is_some_and(|first| {
            let texts: HashSet<&str> = first
                .iter()
                .filter_map(|cell| match cell {
                    Cell::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect();
            !first.is_empty() && texts.len() == first.len() && first.len() == width
        });
        let mut columns: Vec<String> = if named { rows.remove(0).iter().map(Cell::text).collect() } else { Vec::new() };
        columns.extend((columns.len()..width).map(|n| format!("column_{}", n + 1)));
        for row in &mut rows {
            row.resize(width, Cell::Empty);
        }
        Self { name: name.into(), columns, rows }
    }

    pub fn view(&self) -> TableView {
        let columns = self.columns.iter().enumerate().map(|(at, name)| self.column(at, name)).collect();
        let shown = |row: &Vec<Cell>| row.iter().map(|cell| shortened(&cell.text())).collect();
        let preview = self.rows.iter().take(PREVIEW).map(shown).collect();
        TableView { name: self.name.clone(), rows: self.rows.len() as u64, columns, preview }
    }

    fn column(&self, at: usize, name: &str) -> ColumnView {
        let cells = || self.rows.iter().filter_map(|row| row.get(at)).filter(|cell| **cell != Cell::Empty);
        let filled = cells().count();
        let all = |fits: fn(&Cell) -> bool| filled > 0 && cells().all(fits);
        let kind = match () {
            () if filled == 0 => ColumnKind::Empty,
            () if all(|cell| matches!(cell, Cell::Integer(_))) => ColumnKind::Integer,
            () if all(|cell| matches!(cell, Cell::Integer(_) | Cell::Number(_))) => ColumnKind::Number,
            () if all(|cell| matches!(cell, Cell::Boolean(_))) => ColumnKind::Boolean,
            () if all(|cell| matches!(cell, Cell::Date(_))) => ColumnKind::Date,
            () => ColumnKind::Text,
        };
        let mut different = HashSet::new();
        for cell in cells() {
            if different.len() >= DISTINCT {
                break;
            }
            different.insert(cell.text());
        }
        let ends = |order: Ordering| {
            let end = cells().fold(None, |end: Option<&Cell>, cell| match end {
                Some(known) if cell.compare(known) != order => Some(known),
                _ => Some(cell),
            });
            end.map(|cell| shortened(&cell.text()))
        };
        let numbers = matches!(kind, ColumnKind::Integer | ColumnKind::Number);
        #[expect(clippy::cast_precision_loss, reason = "a number of rows")]
        let mean = numbers.then(|| cells().filter_map(Cell::number).sum::<f64>() / filled as f64);
        ColumnView {
            name: name.to_owned(),
            kind,
            filled: filled as u64,
            distinct: u32::try_from(different.len()).unwrap_or(u32::MAX),
            least: ends(Ordering::Less),
            most: ends(Ordering::Greater),
            mean,
        }
    }

    /// The first rows as a Markdown table.
    pub fn markdown(&self) -> String {
        if self.columns.is_empty() {
            return String::new();
        }
        let line = |cells: &mut dyn Iterator<Item = String>| {
            let cells: Vec<String> = cells.map(|cell| in_a_cell(&cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut text = line(&mut self.columns.iter().cloned());
        text.push_str(&line(&mut self.columns.iter().map(|_| "---".to_owned())));
        for row in self.rows.iter().take(SHOWN_ROWS) {
            text.push_str(&line(&mut row.iter().map(Cell::text)));
        }
        if self.rows.len() > SHOWN_ROWS {
            text.push_str(&format!("\n{} more rows; a query reads them all.\n", self.rows.len() - SHOWN_ROWS));
        }
        text
    }
}

/// A text that stays within its cell.
pub(crate) fn in_a_cell(text: &str) -> String {
    text.trim().replace('|', "\\|").replace(['\n', '\r'], " ")
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(CELL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
