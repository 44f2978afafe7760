//! Parquet: its columns and rows as a table. Only in builds with the feature `parquet`.

use crate::draft::Draft;
use crate::error::ReadError;
use crate::limits;
use crate::source::Source;
use crate::table::{Cell, Table};
use atelier_protocol::document::{Anchor, DocumentFormat, NoticeKind};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

pub(crate) fn read(source: &Source<'_>, draft: &mut Draft) -> Result<(), ReadError> {
    let damaged = |error: parquet::errors::ParquetError| ReadError::damaged(DocumentFormat::Parquet)(error.to_string());
    let bytes = bytes::Bytes::copy_from_slice(source.whole()?);
    let reader = SerializedFileReader::new(bytes).map_err(damaged)?;
    let schema = reader.metadata().file_metadata().schema();
    let columns: Vec<String> = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
    let most = limits::CELLS / columns.len().max(1);
    let mut rows = Vec::new();
    for row in reader.get_row_iter(None).map_err(damaged)? {
        if rows.len() == most {
            draft.notice(NoticeKind::Cut, format!("Only the first {most} rows are read."));
            break;
        }
        let row = row.map_err(damaged)?;
        rows.push(row.get_column_iter().map(|(_, field)| cell(field)).collect());
    }
    let name = source.name.rsplit_once('.').map_or(source.name.as_str(), |(stem, _)| stem).to_owned();
    draft.table(Table { name: name.clone(), columns, rows }, Some(Anchor::Sheet { name }));
    Ok(())
}

fn cell(field: &Field) -> Cell {
    match field {
        Field::Null => Cell::Empty,
        Field::Bool(truth) => Cell::Boolean(*truth),
        Field::Byte(number) => Cell::Integer((*number).into()),
        Field::Short(number) => Cell::Integer((*number).into()),
        Field::Int(number) => Cell::Integer((*number).into()),
        Field::Long(number) => Cell::Integer(*number),
        Field::UByte(number) => Cell::Integer((*number).into()),
        Field::UShort(number) => Cell::Integer((*number).into()),
        Field::UInt(number) => Cell::Integer((*number).into()),
        Field::Float(number) => Cell::Number((*number).into()),
        Field::Double(number) => Cell::Number(*number),
        Field::Str(text) => match Cell::of(text) {
            date @ Cell::Date(_) => date,
            _ => Cell::Text(text.clone()),
        },
        Field::Date(_) | Field::TimestampMillis(_) | Field::TimestampMicros(_) => Cell::Date(field.to_string()),
        Field::Bytes(bytes) => Cell::Text(format!("({} bytes)", bytes.len())),
        other => Cell::Text(other.to_string()),
    }
}
