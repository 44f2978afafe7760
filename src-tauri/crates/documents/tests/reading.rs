//! Every format, in a file that another program wrote (`tests/fixtures/documents`), read as it is meant to be read.
//!
//! Guards: what a file says comes out whole, each part under an anchor that leads back to its place, and what could not be
//! read or had to be guessed is said. Mutants that turn it red: pages that are counted from nought (`pdf`); a draft that
//! keeps no notices (`Draft::notice`).

#![allow(clippy::unwrap_used, clippy::panic)]

use atelier_documents::{Answer, Request, answer};
use atelier_protocol::document::{Document, NoticeKind};
use std::fmt::Write;
use std::path::PathBuf;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fixtures/documents").join(name)
}

fn outline(_: &str, text: &str) -> Vec<(String, [u32; 2])> {
    let lines = (1u32..).zip(text.lines());
    lines
        .filter_map(|(n, line)| Some((line.trim().strip_prefix("pub fn ")?.split('(').next()?.to_owned(), [n, n])))
        .collect()
}

fn read(name: &str) -> Document {
    match answer(&Request::Read { path: fixture(name) }, &outline) {
        Answer::Document { document } => *document,
        other => panic!("{name}: {other:?}"),
    }
}

fn story(document: &Document) -> String {
    let mut text = format!("{} ({})", document.format, document.bytes);
    if let Some(title) = &document.title {
        let _ = write!(text, " “{title}”");
    }
    let _ = write!(text, "\n\n{}", document.markdown());
    for table in &document.tables {
        let _ = writeln!(text, "\ntable {}: {} rows", table.name, table.rows);
        for column in &table.columns {
            let _ = writeln!(text, "  {}", serde_json::to_string(column).unwrap());
        }
    }
    for notice in &document.notices {
        let _ = writeln!(text, "\n{:?}: {}", notice.kind, notice.text);
    }
    text
}

macro_rules! stories {
    ($($test:ident: $($file:literal)+;)*) => {
        $(#[test]
        fn $test() {
            $(insta::assert_snapshot!($file, story(&read($file)));)+
        })*
        const TOLD: &[&str] = &[$($($file),+),*];
    };
}

stories! {
    pages_and_paragraphs: "report.pdf" "report.docx" "report.odt" "report.rtf" "book.epub";
    slides: "talk.pptx" "talk.odp";
    sheets: "sensors.xlsx" "sensors.xls" "sensors.ods" "sensors.csv" "sensors.tsv";
    marked_up_texts: "report.html" "report.md" "report.rst" "report.adoc" "report.tex" "report.org";
    structured_data: "sensors.json" "sensors.jsonl" "settings.yaml" "settings.toml" "settings.xml" "settings.ini" "sensors.sqlite";
    letters_and_notebooks: "letter.eml" "letters.mbox" "analysis.ipynb";
    archives: "bundle.zip" "bundle.tar" "bundle.tar.gz";
    pictures: "drawing.svg" "picture.png" "picture.jpg" "picture.gif" "picture.webp";
    plain_texts: "control.rs" "pump.log" "change.diff" "notes.txt";
    what_had_to_be_guessed: "utf16.txt" "latin1.txt" "scanned.pdf";
}

#[test]
fn what_is_locked_is_said_to_be() {
    for name in ["encrypted.pdf", "encrypted.docx"] {
        let Answer::Refused { error } = answer(&Request::Read { path: fixture(name) }, &outline) else {
            panic!("{name} was read without its password");
        };
        assert!(error.to_string().contains("locked with a password"), "{name}: {error}");
    }
}

#[test]
fn a_page_without_text_is_said_to_be_scanned() {
    let scanned = read("scanned.pdf");
    assert!(scanned.parts.is_empty());
    assert!(scanned.notices.iter().any(|notice| notice.kind == NoticeKind::Scanned));
}

#[test]
fn every_file_of_the_folder_is_read_here() {
    let elsewhere = ["README.md", "make.py", "encrypted.pdf", "encrypted.docx", "sensors.parquet"];
    for file in std::fs::read_dir(fixture("")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(TOLD.contains(&name.as_str()) || elsewhere.contains(&name.as_str()), "{name} has no story");
    }
    assert!(TOLD.len() > 30);
}

#[cfg(feature = "parquet")]
#[test]
fn columns() {
    insta::assert_snapshot!("sensors.parquet", story(&read("sensors.parquet")));
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_build_without_parquet_says_so() {
    let refused = answer(&Request::Read { path: fixture("sensors.parquet") }, &outline);
    assert!(
        matches!(&refused, Answer::Refused { error } if error.to_string().contains("feature `parquet`")),
        "{refused:?}"
    );
}

fn query(name: &str, sql: &str) -> String {
    match answer(&Request::Query { path: fixture(name), sql: sql.to_owned() }, &outline) {
        Answer::Table { table } => serde_json::to_string(&table).unwrap(),
        Answer::Refused { error } => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tables_of_every_format_answer_the_same_query() {
    for (file, table) in [
        ("sensors.csv", "sensors"),
        ("sensors.tsv", "sensors"),
        ("sensors.xlsx", "Sensors"),
        ("sensors.xls", "Sensors"),
        ("sensors.ods", "Sensors"),
        ("sensors.json", "sensors"),
        ("sensors.jsonl", "table"),
        ("sensors.sqlite", "sensors"),
        ("report.docx", "table_1"),
        ("report.odt", "table_1"),
    ] {
        let sql =
            format!("select kind, count(*) as n, max(\"limit\") as most from \"{table}\" group by kind order by kind");
        let found = query(file, &sql);
        let wanted = r#"{"columns":["kind","n","most"],"rows":[["heat",2,39"#;
        assert!(found.starts_with(wanted), "{file}: {found}");
        assert!(found.contains(r#"["level",1,120"#) && found.contains(r#"["wind",1,14.25]"#), "{file}: {found}");
    }
}

#[test]
fn a_query_can_only_read_and_says_what_there_is() {
    assert!(query("sensors.csv", "select * from nothing").contains(r#"the tables are "sensors""#));
    assert!(query("sensors.sqlite", "delete from sensors").contains("cannot be answered"));
    assert!(query("sensors.csv", "drop table sensors").contains("only reading"));
    assert!(query("sensors.csv", "attach '/tmp/other.db' as other").contains("cannot be answered"));
    assert!(query("notes.txt", "select 1").contains("no table"));
    let endless = "with recursive n(x) as (select 1 union all select x + 1 from n) select x from n";
    let answered: serde_json::Value = serde_json::from_str(&query("sensors.csv", endless)).unwrap();
    assert_eq!((answered["rows"].as_array().unwrap().len(), &answered["more"]), (1000, &true.into()));
}
