//! PDF: a part for each page. A page without text is a picture of some: that is said, not guessed at.

use crate::draft::Draft;
use crate::error::ReadError;
use crate::limits;
use crate::source::Source;
use atelier_protocol::document::{Anchor, DocumentFormat, NoticeKind};
use pdf_extract::{Document, PlainTextOutput, output_doc_page};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(crate) fn read(source: &Source<'_>, draft: &mut Draft) -> Result<(), ReadError> {
    let format = DocumentFormat::Pdf;
    let damaged = ReadError::damaged(format);
    let bytes = source.whole()?;
    let mut document = Document::load_mem(bytes).map_err(|error| damaged(error.to_string()))?;
    // A document that only limits what may be done with it opens without a password.
    if document.is_encrypted() && document.decrypt("").is_err() {
        return Err(ReadError::Encrypted { format });
    }
    draft.title = title(&document);
    let pages = document.get_pages();
    if pages.is_empty() {
        return Err(damaged("it has no pages".to_owned()));
    }
    let (mut scanned, mut broken) = (Vec::new(), Vec::new());
    for n in pages.keys().copied().take(limits::PAGES as usize) {
        // The reader of a page breaks on some that break the rules; the others can be read.
        let page = catch_unwind(AssertUnwindSafe(|| {
            let mut text = String::new();
            output_doc_page(&document, &mut PlainTextOutput::new(&mut text), n).map(|()| text)
        }));
        match page {
            Ok(Ok(text)) if text.trim().is_empty() => scanned.push(n),
            Ok(Ok(text)) => draft.part(Anchor::Page { n }, None, tidied(&text)),
            Ok(Err(_)) | Err(_) => broken.push(n),
        }
        if draft.is_full() {
            break;
        }
    }
    if pages.len() > limits::PAGES as usize {
        draft.notice(NoticeKind::Cut, format!("Only the first {} of {} pages are read.", limits::PAGES, pages.len()));
    }
    if !scanned.is_empty() {
        let text = format!(
            "{} without text: scanned or empty. Text recognition, or a model that sees pictures, would have to read it.",
            listed(&scanned)
        );
        draft.notice(NoticeKind::Scanned, text);
    }
    if !broken.is_empty() {
        draft.notice(NoticeKind::Damaged, format!("{} could not be read.", listed(&broken)));
    }
    if draft.parts.is_empty() && scanned.is_empty() {
        return Err(damaged("no page could be read".to_owned()));
    }
    Ok(())
}

fn title(document: &Document) -> Option<String> {
    let info = document.trailer.get(b"Info").ok()?;
    let info = match info.as_reference() {
        Ok(id) => document.get_dictionary(id).ok()?,
        Err(_) => info.as_dict().ok()?,
    };
    let bytes = info.get(b"Title").ok()?.as_str().ok()?;
    let text = match bytes.strip_prefix(b"\xfe\xff") {
        Some(wide) => encoding_rs::UTF_16BE.decode_without_bom_handling(wide).0.into_owned(),
        None => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
    };
    // Some writers name what has no name.
    Some(text.trim().to_owned()).filter(|text| !text.is_empty() && text != "untitled")
}

/// Text without trailing blanks and without more than one empty line at a place.
fn tidied(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines().map(str::trim_end) {
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 && !(tidy.is_empty() && line.is_empty()) {
            tidy.push_str(line);
            tidy.push('\n');
        }
    }
    tidy
}

fn listed(pages: &[u32]) -> String {
    let shown: Vec<String> = pages.iter().take(20).map(u32::to_string).collect();
    let rest = pages.len().saturating_sub(20);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{} {}{more}", if pages.len() == 1 { "Page" } else { "Pages" }, shown.join(", "))
}
