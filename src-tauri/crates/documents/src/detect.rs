//! What a file is: its bytes say so first, its name where they leave it open.

use crate::decode;
use atelier_protocol::document::DocumentFormat as Format;
use std::io::{Cursor, Read};

/// What the bytes and the name say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detected {
    pub format: Format,
    /// What the name says instead.
    pub named: Option<Format>,
}

/// Something that is recognised and not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undetected {
    /// Encrypted office file in an OLE container.
    Encrypted(Format),
    /// In words, what it is.
    Other(String),
}

/// What a name says.
pub(crate) fn by_name(name: &str) -> Option<Format> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name).to_ascii_lowercase();
    if name.ends_with(".tar.gz") {
        return Some(Format::Tar);
    }
    let (_, ending) = name.rsplit_once('.')?;
    Some(match ending {
        "pdf" => Format::Pdf,
        "docx" | "docm" | "dotx" => Format::Docx,
        "pptx" | "pptm" | "ppsx" => Format::Pptx,
        "xlsx" | "xlsm" | "xltx" => Format::Xlsx,
        "xlsb" => Format::Xlsb,
        "xls" => Format::Xls,
        "odt" | "ott" => Format::Odt,
        "ods" | "ots" => Format::Ods,
        "odp" | "otp" => Format::Odp,
        "rtf" => Format::Rtf,
        "epub" => Format::Epub,
        "html" | "htm" | "xhtml" => Format::Html,
        "md" | "markdown" | "mdx" => Format::Markdown,
        "rst" => Format::Rst,
        "adoc" | "asciidoc" | "asc" => Format::Asciidoc,
        "tex" | "latex" | "ltx" => Format::Latex,
        "org" => Format::Org,
        "csv" => Format::Csv,
        "tsv" | "tab" => Format::Tsv,
        "json" | "geojson" | "webmanifest" => Format::Json,
        "jsonl" | "ndjson" => Format::JsonLines,
        "yaml" | "yml" => Format::Yaml,
        "toml" => Format::Toml,
        "xml" | "xsd" | "xsl" | "rss" | "atom" | "plist" | "bpmn" => Format::Xml,
        "ini" | "cfg" | "conf" | "properties" | "desktop" => Format::Ini,
        "sqlite" | "sqlite3" | "db" | "db3" => Format::Sqlite,
        "parquet" => Format::Parquet,
        "ipynb" => Format::Notebook,
        "eml" => Format::Eml,
        "mbox" => Format::Mbox,
        "zip" | "jar" | "whl" | "vsix" => Format::Zip,
        "tar" | "tgz" => Format::Tar,
        "svg" => Format::Svg,
        "png" => Format::Png,
        "jpg" | "jpeg" => Format::Jpeg,
        "gif" => Format::Gif,
        "webp" => Format::Webp,
        "log" => Format::Log,
        "diff" | "patch" => Format::Diff,
        "txt" | "text" => Format::Text,
        "rs" | "py" | "js" | "mjs" | "cjs" | "jsx" | "ts" | "tsx" | "go" | "java" | "c" | "h" | "cc" | "cpp"
        | "cxx" | "hpp" | "hh" | "cs" | "rb" | "php" | "sh" | "bash" | "css" | "kt" | "swift" | "scala" | "lua"
        | "sql" => Format::Code,
        _ => return None,
    })
}

/// What a file is.
pub(crate) fn detect(name: &str, bytes: &[u8]) -> Result<Detected, Undetected> {
    let named = by_name(name);
    let found = match by_bytes(bytes)? {
        Some(format) => format,
        None if decode::is_binary(bytes) => {
            return Err(Undetected::Other("a binary file of an unknown kind".to_owned()));
        }
        // A text: the name says which, unless it names something that is none.
        None => match named {
            Some(format) if is_text(format) => format,
            _ => by_text(bytes).unwrap_or(Format::Text),
        },
    };
    let other = named.filter(|named| !alike(*named, found));
    Ok(Detected { format: found, named: other })
}

/// What the first bytes say; texts leave it open.
fn by_bytes(bytes: &[u8]) -> Result<Option<Format>, Undetected> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    let format = if bytes.get(..1024).unwrap_or(bytes).windows(5).any(|five| five == b"%PDF-") {
        Format::Pdf
    } else if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
        package(bytes)
    } else if starts(b"SQLite format 3\0") {
        Format::Sqlite
    } else if starts(b"PAR1") {
        Format::Parquet
    } else if starts(b"\x89PNG\r\n\x1a\n") {
        Format::Png
    } else if starts(b"\xff\xd8\xff") {
        Format::Jpeg
    } else if starts(b"GIF87a") || starts(b"GIF89a") {
        Format::Gif
    } else if starts(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Format::Webp
    } else if starts(b"{\\rtf") {
        Format::Rtf
    } else if starts(b"\x1f\x8b") || bytes.get(257..262) == Some(b"ustar") {
        Format::Tar
    } else if starts(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        return compound(bytes).map(Some);
    } else if starts(b"7z\xbc\xaf\x27\x1c") {
        return Err(Undetected::Other("a 7-Zip archive".to_owned()));
    } else if starts(b"Rar!") {
        return Err(Undetected::Other("a RAR archive".to_owned()));
    } else if starts(b"\x7fELF") || starts(b"MZ") {
        return Err(Undetected::Other("a program".to_owned()));
    } else {
        return Ok(None);
    };
    Ok(Some(format))
}

/// What a ZIP holds says what it is.
fn package(bytes: &[u8]) -> Format {
    let Ok(mut archive) = zip::ZipArchive::new(Cursor::new(bytes)) else { return Format::Zip };
    let mut kind = String::new();
    if let Ok(entry) = archive.by_name("mimetype") {
        let _ = entry.take(100).read_to_string(&mut kind);
    }
    match kind.trim() {
        "application/vnd.oasis.opendocument.text" => return Format::Odt,
        "application/vnd.oasis.opendocument.spreadsheet" => return Format::Ods,
        "application/vnd.oasis.opendocument.presentation" => return Format::Odp,
        "application/epub+zip" => return Format::Epub,
        _ => {}
    }
    let has = |name: &str| archive.index_for_name(name).is_some();
    match () {
        () if has("word/document.xml") => Format::Docx,
        () if has("ppt/presentation.xml") => Format::Pptx,
        () if has("xl/workbook.bin") => Format::Xlsb,
        () if has("xl/workbook.xml") => Format::Xlsx,
        () if has("META-INF/container.xml") => Format::Epub,
        () => Format::Zip,
    }
}

/// An OLE container names its streams in UTF-16.
fn compound(bytes: &[u8]) -> Result<Format, Undetected> {
    let has = |name: &str| {
        let wide: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        bytes.windows(wide.len()).any(|part| part == wide)
    };
    if has("EncryptedPackage") {
        return Err(Undetected::Encrypted(Format::Docx));
    }
    if has("Workbook") || has("Book") {
        return Ok(Format::Xls);
    }
    Err(Undetected::Other(match () {
        () if has("WordDocument") => "a Word file of before 2007".to_owned(),
        () if has("PowerPoint Document") => "a PowerPoint file of before 2007".to_owned(),
        () => "a container of an unknown kind".to_owned(),
    }))
}

/// What a text whose name says nothing seems to be.
fn by_text(bytes: &[u8]) -> Option<Format> {
    let head = String::from_utf8_lossy(bytes.get(..2048).unwrap_or(bytes));
    let head = head.trim_start_matches('\u{feff}').trim_start();
    let lower = head.to_ascii_lowercase();
    match () {
        () if lower.starts_with("<!doctype html") || lower.starts_with("<html") => Some(Format::Html),
        () if lower.contains("<svg") && lower.starts_with('<') => Some(Format::Svg),
        () if lower.starts_with("<?xml") => Some(Format::Xml),
        () if head.starts_with("diff --git ") || (head.starts_with("--- ") && head.contains("\n+++ ")) => {
            Some(Format::Diff)
        }
        () if head.starts_with("From ") && lower.contains("\nfrom:") => Some(Format::Mbox),
        () if lower.starts_with("received:") || (lower.starts_with("from:") && lower.contains("\nsubject:")) => {
            Some(Format::Eml)
        }
        () if head.starts_with('{') || head.starts_with('[') => {
            serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok().then_some(Format::Json)
        }
        () => None,
    }
}

fn is_text(format: Format) -> bool {
    !matches!(
        format,
        Format::Pdf
            | Format::Docx
            | Format::Pptx
            | Format::Xlsx
            | Format::Xlsb
            | Format::Xls
            | Format::Odt
            | Format::Ods
            | Format::Odp
            | Format::Epub
            | Format::Sqlite
            | Format::Parquet
            | Format::Zip
            | Format::Tar
            | Format::Png
            | Format::Jpeg
            | Format::Gif
            | Format::Webp
            | Format::Rtf
    )
}

/// Whether a name that says one is no lie about the other.
fn alike(named: Format, found: Format) -> bool {
    named == found || (found == Format::Text && is_text(named)) || (named == Format::Text && is_text(found))
}
