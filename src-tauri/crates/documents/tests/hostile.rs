//! Guards the rule that a file can do nothing but be read: no crash, nothing written, nothing fetched, bounded memory
//! and time, an honest end. Each of these files breaks a reader that trusts it.
//!
//! Mutants that turn it red: leaving out the `take` in `source::Package::bytes`, or the depth in `xml::walk`.

#![allow(clippy::unwrap_used, clippy::panic)]

use atelier_documents::{Answer, ReadError, Request, answer};
use atelier_protocol::document::{Document, NoticeKind};
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fixtures/documents")
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn read(&self, name: &str, bytes: impl AsRef<[u8]>) -> Answer {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        self.ask(&path)
    }
    fn ask(&self, path: &Path) -> Answer {
        let before = listing(self.0.path());
        let answered = answer(&Request::Read { path: path.to_owned() }, &|_, _| Vec::new());
        assert_eq!(listing(self.0.path()), before, "reading wrote something");
        answered
    }
    fn document(&self, name: &str, bytes: impl AsRef<[u8]>) -> Document {
        match self.read(name, bytes) {
            Answer::Document { document } => *document,
            other => panic!("{name}: {other:?}"),
        }
    }
    fn refused(&self, name: &str, bytes: impl AsRef<[u8]>) -> ReadError {
        match self.read(name, bytes) {
            Answer::Refused { error } => error,
            other => panic!("{name} was read: {other:?}"),
        }
    }
}

fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn tells(document: &Document, kind: NoticeKind) -> bool {
    document.notices.iter().any(|notice| notice.kind == kind)
}

fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn names_that_lead_out_of_a_folder_are_listed_and_named() {
    let folder = Folder::new();
    let slip = zip_of(&[("../../evil.sh", b"rm"), ("/etc/passwd", b"root"), ("fine.txt", b"hello")]);
    let zip = folder.document("slip.zip", slip);
    assert_eq!(zip.notices.iter().filter(|notice| notice.kind == NoticeKind::Unsafe).count(), 2, "{:?}", zip.notices);
    assert!(zip.markdown().contains("../../evil.sh"));

    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "innocent", "/etc/shadow").unwrap();
    let tar = folder.document("link.tar", tar.into_inner().unwrap());
    assert!(tar.notices.iter().any(|notice| notice.text.contains("`innocent` is a link to `/etc/shadow`")));
}

#[test]
fn a_bomb_ends_at_the_limit() {
    let folder = Folder::new();
    // 130 MiB of blanks behind an element, as some 130 KiB.
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("word/document.xml", zip::write::SimpleFileOptions::default()).unwrap();
    let blanks = vec![b' '; 1 << 20];
    zip.write_all(b"<document>").unwrap();
    for _ in 0..130 {
        zip.write_all(&blanks).unwrap();
    }
    let bomb = zip.finish().unwrap().into_inner();
    assert!(bomb.len() < 1 << 20);
    let error = folder.refused("bomb.docx", &bomb);
    assert!(matches!(error, ReadError::TooLarge { .. }), "{error}");
    // The same as an archive is listed without being unpacked, and named.
    let listed = folder.document("bomb.zip", zip_of(&[("deep/a.bin", &vec![0; 4 << 20])]));
    assert!(tells(&listed, NoticeKind::Unsafe), "{:?}", listed.notices);
}

#[test]
fn entities_are_never_resolved() {
    let folder = Folder::new();
    let mut bomb = String::from("<?xml version=\"1.0\"?>\n<!DOCTYPE a [\n<!ENTITY a0 \"lol\">\n");
    for n in 1..30 {
        bomb.push_str(&format!("<!ENTITY a{n} \"&a{0};&a{0};&a{0};&a{0};&a{0};&a{0};&a{0};&a{0};\">\n", n - 1));
    }
    bomb.push_str("]>\n<a>&a29;</a>\n");
    let document = folder.document("bomb.xml", &bomb);
    assert!(tells(&document, NoticeKind::Unsafe) && document.markdown().len() < bomb.len() + 200);

    fs::write(folder.0.path().join("secret"), "the secret").unwrap();
    let external = format!(
        "<!DOCTYPE svg [<!ENTITY x SYSTEM \"file://{}/secret\"><!ENTITY y SYSTEM \"http://127.0.0.1:9/\">]>\n\
         <svg><text>a &x; b &y;</text></svg>",
        folder.0.path().display()
    );
    let document = folder.document("external.svg", external);
    assert!(tells(&document, NoticeKind::Unsafe));
    assert!(!serde_json::to_string(&document).unwrap().contains("the secret"));
}

#[test]
fn what_lies_too_deep_is_refused_and_does_not_end_the_stack() {
    let folder = Folder::new();
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(200_000), close.repeat(200_000));
    assert!(matches!(folder.refused("deep.svg", deep("<g>", "</g>")), ReadError::Damaged { .. }));
    assert!(matches!(folder.refused("deep.html", deep("<div>", "</div>")), ReadError::Damaged { .. }));
    assert!(matches!(folder.refused("deep.rtf", format!("{{\\rtf1 {}", deep("{", "}"))), ReadError::Damaged { .. }));
    for (name, text) in
        [("deep.json", deep("[", "]")), ("deep.yaml", deep("[", "]")), ("deep.toml", format!("a = {}", deep("[", "]")))]
    {
        let document = folder.document(name, text);
        assert!(tells(&document, NoticeKind::Damaged), "{name}: {:?}", document.notices);
    }
    let tail = format!("{{\"cells\":[{}", "{\"cell_type\":\"code\",\"source\":".repeat(100_000));
    assert!(matches!(folder.refused("deep.ipynb", tail), ReadError::Damaged { .. }));
}

#[test]
fn a_giant_with_nothing_in_it_takes_no_room() {
    let folder = Folder::new();
    let path = folder.0.path().join("sparse.pdf");
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(folder.ask(&path), Answer::Refused { .. }));
    let path = folder.0.path().join("sparse.zip");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"PK\x03\x04").unwrap();
    file.set_len(1 << 40).unwrap();
    let Answer::Refused { error } = folder.ask(&path) else { panic!("it was read") };
    assert!(matches!(error, ReadError::TooLarge { .. }), "{error}");
    // Of a text that is too long the beginning is read, and that is said.
    let path = folder.0.path().join("long.log");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all("INFO a line of some length that says little\n".repeat(1_600_000).as_bytes()).unwrap();
    let Answer::Document { document } = folder.ask(&path) else { panic!("it was not read") };
    assert!(tells(&document, NoticeKind::Cut));
}

#[test]
fn a_name_does_not_make_a_format() {
    let folder = Folder::new();
    let pdf = fs::read(fixtures().join("report.pdf")).unwrap();
    let document = folder.document("invoice.docx", &pdf);
    assert!(tells(&document, NoticeKind::WrongName) && document.markdown().contains("R1: The pump stops"));
    assert!(tells(&folder.document("page.pdf", "<!doctype html><p>no PDF</p>"), NoticeKind::WrongName));
    assert!(matches!(folder.refused("program.txt", b"\x7fELF\x02\x01\x01\x00"), ReadError::Unknown { .. }));
    assert!(matches!(folder.refused("noise.csv", [0u8, 1, 2, 255].repeat(100)), ReadError::Unknown { .. }));
    let empty = folder.document("empty.pdf", "");
    assert!(empty.parts.is_empty() && !empty.notices.is_empty());
}

#[test]
fn formulas_of_a_table_stay_texts() {
    let folder = Folder::new();
    let text = "name,value\nx,\"=HYPERLINK(\"\"http://evil\"\",\"\"a\"\")\"\ny,@SUM(1)\nz,-1\n";
    let document = folder.document("formula.csv", text);
    assert!(tells(&document, NoticeKind::Unsafe));
    assert!(document.markdown().contains("=HYPERLINK"));
    assert!(!tells(&folder.document("fine.csv", "name,value\nx,-1\ny,-2.5\n"), NoticeKind::Unsafe));
}

#[test]
fn text_without_a_mark_is_still_read() {
    let folder = Folder::new();
    let wide: Vec<u8> = "Grüße, the pump\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let document = folder.document("wide.txt", wide);
    assert!(document.markdown().contains("Grüße, the pump") && tells(&document, NoticeKind::Encoding));
}

#[test]
fn every_file_cut_anywhere_ends_honestly() {
    let folder = Folder::new();
    let begun = Instant::now();
    let mut tried = 0;
    for file in fs::read_dir(fixtures()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let whole = fs::read(&path).unwrap();
        for tenth in 1..10 {
            let cut = &whole[..whole.len() * tenth / 10];
            match folder.read(&name, cut) {
                Answer::Document { .. } => {}
                Answer::Refused { error } => assert!(!error.to_string().is_empty()),
                Answer::Table { .. } => panic!("{name} answered a query"),
            }
            tried += 1;
        }
    }
    assert!(tried > 350, "{tried}");
    // Not a measurement: it would be minutes where a reader runs on.
    assert!(begun.elapsed() < Duration::from_secs(300));
}
