//! Reads files of many formats as Markdown whose parts name their place: page, sheet, slide, lines.
//!
//! The rule: what could not be read is said. A file is material somebody else made, so nothing in it is trusted: nothing
//! is unpacked to the disk, nothing is fetched, what it may ask for is bounded ([`serve`] is meant to run in a process of
//! its own, confined by whoever starts it). It is no renderer, and it does not look at pictures.

mod archive;
mod book;
#[cfg(feature = "parquet")]
mod columnar;
mod data;
mod database;
mod decode;
mod detect;
mod draft;
mod error;
mod flow;
mod limits;
mod mail;
mod markup;
mod notebook;
mod pdf;
mod picture;
mod plain;
mod rtf;
mod serve;
mod sheets;
mod slides;
mod source;
mod table;
mod word;
mod xml;

pub use error::ReadError;
pub use limits::FILE as READ;
pub use serve::{Answer, Request, answer, serve};

use atelier_protocol::document::{Document, DocumentFormat as Format, NoticeKind, TableAnswer};
use atelier_protocol::hash::Hash;
use detect::{Detected, Undetected};
use draft::Draft;
use source::Source;
use std::path::Path;

/// The definitions in a text by its file's name: name and lines. Another room knows the languages.
pub type Outline<'a> = &'a dyn Fn(&str, &str) -> Vec<(String, [u32; 2])>;

/// Whether a file's name says that it is more than a text that can be read as it is.
pub fn is_document(name: &str) -> bool {
    use Format::{Docx, Eml, Epub, Mbox, Notebook, Odp, Ods, Odt, Parquet, Pdf, Pptx, Rtf, Sqlite, Xls, Xlsb, Xlsx};
    let format = detect::by_name(name);
    format.is_some_and(|format| {
        matches!(
            format,
            Pdf | Docx
                | Pptx
                | Xlsx
                | Xlsb
                | Xls
                | Odt
                | Ods
                | Odp
                | Rtf
                | Epub
                | Sqlite
                | Parquet
                | Notebook
                | Eml
                | Mbox
        )
    })
}

/// Reads a file.
pub fn read(path: &Path, outline: Outline<'_>) -> Result<Document, ReadError> {
    let source = Source::open(path)?;
    let (format, draft) = drafted(&source, outline)?;
    Ok(Document {
        hash: Hash::of(&source.bytes),
        bytes: source.length,
        format,
        title: draft.title,
        parts: draft.parts,
        tables: draft.tables.iter().map(table::Table::view).collect(),
        notices: draft.notices,
        name: source.name,
    })
}

/// Answers one SELECT over the tables of a file.
pub fn query(path: &Path, sql: &str) -> Result<TableAnswer, ReadError> {
    let source = Source::open(path)?;
    if let Ok(Detected { format: Format::Sqlite, .. }) = detect::detect(&source.name, &source.bytes) {
        return database::query_file(path, sql);
    }
    let (_, draft) = drafted(&source, &|_, _| Vec::new())?;
    if draft.tables.is_empty() {
        return Err(ReadError::Query { reason: "the file has no table".to_owned() });
    }
    database::query_tables(draft.tables, sql)
}

fn drafted(source: &Source<'_>, outline: Outline<'_>) -> Result<(Format, Draft), ReadError> {
    let Detected { format, named } = match detect::detect(&source.name, &source.bytes) {
        Ok(detected) => detected,
        Err(Undetected::Encrypted(format)) => return Err(ReadError::Encrypted { format }),
        Err(Undetected::Other(what)) => return Err(ReadError::Unknown { name: source.name.clone(), what }),
    };
    let mut draft = Draft::default();
    if let Some(named) = named {
        draft.notice(NoticeKind::WrongName, format!("Its name says {named}, its content is {format}."));
    }
    if source.bytes.is_empty() {
        draft.notice(NoticeKind::Damaged, "The file is empty.");
        return Ok((Format::Text, draft));
    }
    match format {
        Format::Pdf => pdf::read(source, &mut draft)?,
        Format::Docx => word::docx(source, &mut draft)?,
        Format::Odt => word::odt(source, &mut draft)?,
        Format::Pptx => slides::pptx(source, &mut draft)?,
        Format::Odp => slides::odp(source, &mut draft)?,
        Format::Xlsx | Format::Xlsb | Format::Xls | Format::Ods => sheets::workbook(source, &mut draft, format)?,
        Format::Rtf => rtf::read(source, &mut draft)?,
        Format::Epub => book::epub(source, &mut draft)?,
        Format::Html => book::html(source, &mut draft)?,
        Format::Markdown | Format::Rst | Format::Asciidoc | Format::Latex | Format::Org => {
            markup::read(source, &mut draft, format)?;
        }
        Format::Csv | Format::Tsv => sheets::delimited(source, &mut draft, format)?,
        Format::Json | Format::JsonLines | Format::Yaml | Format::Toml | Format::Xml | Format::Ini => {
            data::read(source, &mut draft, format)?;
        }
        Format::Sqlite => database::read(source.path, &mut draft)?,
        #[cfg(feature = "parquet")]
        Format::Parquet => columnar::read(source, &mut draft)?,
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => {
            let what = "Parquet; this build was made without the feature `parquet`, and it".to_owned();
            return Err(ReadError::Unknown { name: source.name.clone(), what });
        }
        Format::Notebook => notebook::read(source, &mut draft)?,
        Format::Eml => mail::eml(source, &mut draft)?,
        Format::Mbox => mail::mbox(source, &mut draft)?,
        Format::Zip => archive::zip(source, &mut draft)?,
        Format::Tar => archive::tar(source, &mut draft)?,
        Format::Svg => picture::svg(source, &mut draft)?,
        Format::Png | Format::Jpeg | Format::Gif | Format::Webp => picture::pixels(source, &mut draft, format)?,
        Format::Code | Format::Log | Format::Diff | Format::Text => {
            plain::read(source, &mut draft, format, outline)?;
            if source.is_cut() {
                draft.notice(NoticeKind::Cut, format!("Only the first {} MiB are read.", limits::FILE >> 20));
            }
        }
    }
    Ok((format, draft))
}
