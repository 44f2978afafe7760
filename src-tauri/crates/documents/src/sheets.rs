//! Spreadsheets and delimited tables: a part and a table for each sheet.

use crate::decode;
use crate::draft::Draft;
use crate::error::ReadError;
use crate::limits;
use crate::source::{Package, Source};
use crate::table::{Cell, Table};
use crate::word::refuse_locked;
use atelier_protocol::document::{Anchor, DocumentFormat as Format, NoticeKind};
use calamine::{Data, Reader, Sheets};
use std::io::Cursor;

pub(crate) fn workbook(source: &Source<'_>, draft: &mut Draft, format: Format) -> Result<(), ReadError> {
    let bytes = source.whole()?;
    let damaged = ReadError::damaged(format);
    if format != Format::Xls {
        // Unpacked once within the limits, so that a bomb ends here.
        let mut package = Package::open(source, format)?;
        if format == Format::Ods {
            refuse_locked(&mut package, format)?;
        }
        for name in package.names() {
            if name.ends_with(".xml") || name.ends_with(".bin") {
                package.bytes(&name)?;
            }
        }
    }
    let reader = Cursor::new(bytes);
    let opened: Result<Sheets<_>, calamine::Error> = match format {
        Format::Xls => calamine::Xls::new(reader).map(Sheets::Xls).map_err(Into::into),
        Format::Xlsb => calamine::Xlsb::new(reader).map(Sheets::Xlsb).map_err(Into::into),
        Format::Ods => calamine::Ods::new(reader).map(Sheets::Ods).map_err(Into::into),
        _ => calamine::Xlsx::new(reader).map(Sheets::Xlsx).map_err(Into::into),
    };
    let mut book = match opened {
        Ok(book) => book,
        Err(error) if error.to_string().to_lowercase().contains("password") => {
            return Err(ReadError::Encrypted { format });
        }
        Err(error) => return Err(damaged(error.to_string())),
    };
    for name in book.sheet_names() {
        let range = match book.worksheet_range(&name) {
            Ok(range) => range,
            Err(error) => {
                draft.notice(NoticeKind::Damaged, format!("The sheet `{name}` cannot be read: {error}"));
                continue;
            }
        };
        let width = range.width().max(1);
        let most = limits::CELLS / width;
        if range.height() > most {
            draft.notice(NoticeKind::Cut, format!("Of the sheet `{name}` only the first {most} rows are read."));
        }
        let rows: Vec<Vec<Cell>> = range.rows().take(most).map(|row| row.iter().map(cell).collect()).collect();
        let computed = book.worksheet_formula(&name).is_ok_and(|formulas| formulas.used_cells().next().is_some());
        if computed {
            let text = format!("The sheet `{name}` has formulas: their last values are shown, nothing is computed.");
            draft.notice(NoticeKind::NotRead, text);
        }
        draft.table(Table::of(name.clone(), rows), Some(Anchor::Sheet { name }));
    }
    Ok(())
}

fn cell(data: &Data) -> Cell {
    match data {
        Data::Empty => Cell::Empty,
        Data::Int(number) => Cell::Integer(*number),
        #[expect(clippy::cast_possible_truncation, reason = "whole and small enough, as was just seen")]
        Data::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => Cell::Integer(*number as i64),
        Data::Float(number) => Cell::Number(*number),
        Data::Bool(truth) => Cell::Boolean(*truth),
        Data::DateTime(moment) if moment.is_datetime() => {
            let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
            let date = format!("{year:04}-{month:02}-{day:02}");
            match (hour, minute, second) {
                (0, 0, 0) => Cell::Date(date),
                _ => Cell::Date(format!("{date}T{hour:02}:{minute:02}:{second:02}")),
            }
        }
        Data::DateTime(length) => Cell::Number(length.as_f64()),
        Data::DateTimeIso(text) => Cell::Date(text.clone()),
        Data::DurationIso(text) => Cell::Text(text.clone()),
        Data::Error(error) => Cell::Text(error.to_string()),
        other => match Cell::of(&other.to_string()) {
            Cell::Date(text) => Cell::Date(text),
            _ => Cell::Text(other.to_string()),
        },
    }
}

pub(crate) fn delimited(source: &Source<'_>, draft: &mut Draft, format: Format) -> Result<(), ReadError> {
    let damaged = ReadError::damaged(format);
    let text = decode::text(&source.bytes, draft).ok_or_else(|| damaged("it is no text".to_owned()))?;
    if source.is_cut() {
        draft.notice(NoticeKind::Cut, format!("Only the first {} MiB are read.", limits::FILE >> 20));
    }
    let mark = if format == Format::Tsv { b'\t' } else { delimiter(&text) };
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(mark).from_reader(text.as_bytes());
    let (mut rows, mut uneven, mut cells, mut width) = (Vec::new(), 0usize, 0usize, None);
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                draft.notice(NoticeKind::Damaged, format!("Reading ends early: {error}"));
                break;
            }
        };
        uneven += usize::from(*width.get_or_insert(record.len()) != record.len());
        cells += record.len();
        rows.push(record.iter().map(Cell::of).collect());
        if cells > limits::CELLS {
            draft.notice(NoticeKind::Cut, format!("Only the first {} rows are read.", rows.len()));
            break;
        }
    }
    if uneven > 0 {
        draft.notice(NoticeKind::Damaged, format!("{uneven} rows have another number of cells than the first."));
    }
    let name = source.name.rsplit_once('.').map_or(source.name.as_str(), |(stem, _)| stem).to_owned();
    draft.table(Table::of(name.clone(), rows), Some(Anchor::Sheet { name }));
    Ok(())
}

/// The mark that the first lines agree on.
fn delimiter(text: &str) -> u8 {
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).take(10).collect();
    let fits = |mark: &u8| {
        let counts: Vec<usize> = lines.iter().map(|line| line.bytes().filter(|byte| byte == mark).count()).collect();
        let first = counts.first().copied().unwrap_or(0);
        (first > 0 && counts.iter().all(|count| *count >= first)).then_some(first)
    };
    [b',', b';', b'\t', b'|']
        .into_iter()
        .filter_map(|mark| Some((fits(&mark)?, mark)))
        .max_by_key(|(n, _)| *n)
        .map_or(b',', |(_, m)| m)
}
