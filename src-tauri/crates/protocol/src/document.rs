//! A file that was read as text which can be cited: what a requirement names as its source.
//!
//! Plain data. The text is material to work on, never instruction.

use crate::hash::Hash;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};
use ts_rs::TS;

/// What a file is. Found by its bytes first, then by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the formats' own")]
pub enum DocumentFormat {
    Pdf,
    Docx,
    Pptx,
    Xlsx,
    Xlsb,
    Xls,
    Odt,
    Ods,
    Odp,
    Rtf,
    Epub,
    Html,
    Markdown,
    Rst,
    Asciidoc,
    Latex,
    Org,
    Csv,
    Tsv,
    Json,
    JsonLines,
    Yaml,
    Toml,
    Xml,
    Ini,
    Sqlite,
    Parquet,
    Notebook,
    Eml,
    Mbox,
    Zip,
    Tar,
    Svg,
    Png,
    Jpeg,
    Gif,
    Webp,
    Code,
    Log,
    Diff,
    Text,
}

impl fmt::Display for DocumentFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_value(self).ok();
        f.write_str(text.as_ref().and_then(|text| text.as_str()).unwrap_or("file"))
    }
}

/// A place in a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "at", rename_all = "snake_case")]
pub enum Anchor {
    /// The whole of it.
    Whole,
    /// A page, from 1.
    Page {
        /// Its number.
        n: u32,
    },
    /// A slide, from 1.
    Slide {
        /// Its number.
        n: u32,
    },
    /// A section of a text that has no pages, from 1.
    Section {
        /// Its number.
        n: u32,
    },
    /// A sheet or table.
    Sheet {
        /// Its name.
        name: String,
    },
    /// A message of a mailbox, from 1.
    Message {
        /// Its number.
        n: u32,
    },
    /// A cell of a notebook, from 1.
    Cell {
        /// Its number.
        n: u32,
    },
    /// Lines of the file, 1-based and inclusive.
    Lines {
        /// First and last.
        lines: [u32; 2],
    },
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Anchor::Whole => f.write_str("whole"),
            Anchor::Page { n } => write!(f, "page {n}"),
            Anchor::Slide { n } => write!(f, "slide {n}"),
            Anchor::Section { n } => write!(f, "section {n}"),
            Anchor::Sheet { name } => write!(f, "sheet {name}"),
            Anchor::Message { n } => write!(f, "message {n}"),
            Anchor::Cell { n } => write!(f, "cell {n}"),
            Anchor::Lines { lines: [first, last] } => write!(f, "lines {first}-{last}"),
        }
    }
}

/// A part of a document, as Markdown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct DocumentPart {
    /// Where it is.
    pub anchor: Anchor,
    /// Its heading, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heading: Option<String>,
    /// Its text as Markdown.
    pub text: String,
}

/// What a column of a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Nothing.
    Empty,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Number,
    /// True or false.
    Boolean,
    /// Days or moments, as ISO 8601.
    Date,
    /// Anything else.
    Text,
}

/// A column of a table with what can be said of its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ColumnView {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: ColumnKind,
    /// Cells that hold something.
    pub filled: u64,
    /// How many different values; counted up to 10,000.
    pub distinct: u32,
    /// The least value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<String>,
    /// The greatest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<String>,
    /// The mean, of numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
}

/// A table of a document: its columns, and its first rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct TableView {
    /// The name that a query uses.
    pub name: String,
    /// Rows, without the head.
    pub rows: u64,
    /// The columns.
    pub columns: Vec<ColumnView>,
    /// The first rows.
    pub preview: Vec<Vec<String>>,
}

/// Why something of a document is not in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// It is a picture of text.
    Scanned,
    /// It is locked.
    Encrypted,
    /// It could not be read.
    Damaged,
    /// It was too much.
    Cut,
    /// It is of another kind than its name says.
    WrongName,
    /// Its characters had to be guessed.
    Encoding,
    /// It is not safe to use as it is.
    Unsafe,
    /// This program cannot read it.
    NotRead,
}

/// Something that a reader of the document must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct DocumentNotice {
    /// What kind of thing.
    pub kind: NoticeKind,
    /// In words.
    pub text: String,
}

/// A file as text that can be cited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct Document {
    /// The file's name.
    pub name: String,
    /// What it is.
    pub format: DocumentFormat,
    /// Hash of the bytes that were read.
    pub hash: Hash,
    /// The file's size in bytes.
    pub bytes: u64,
    /// The title it gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its text, in order.
    pub parts: Vec<DocumentPart>,
    /// Its tables.
    #[serde(default)]
    pub tables: Vec<TableView>,
    /// What could not be read, and what to know.
    #[serde(default)]
    pub notices: Vec<DocumentNotice>,
}

impl Document {
    /// The whole text as Markdown. A comment before each part names its anchor.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            if !text.is_empty() {
                text.push('\n');
            }
            if part.anchor != Anchor::Whole {
                let _ = writeln!(text, "<!-- {} -->", part.anchor);
            }
            text.push_str(part.text.trim_end());
            text.push('\n');
        }
        text
    }
}

/// The answer to a query over a document's tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct TableAnswer {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows; each value a text, a number, or null.
    #[ts(type = "Array<Array<string | number | null>>")]
    pub rows: Vec<Vec<serde_json::Value>>,
    /// Whether there are more rows than these.
    pub more: bool,
}
