//! DOCX and ODT: running text with headings, lists and tables. A section is what stands between two headings.
//!
//! DOCX: ECMA-376 part 1, WordprocessingML. ODT: OpenDocument 1.3 part 3.

use crate::draft::Draft;
use crate::error::ReadError;
use crate::flow::{Flow, Kind};
use crate::source::{Package, Source};
use crate::xml::{self, Node};
use atelier_protocol::document::{DocumentFormat, NoticeKind};
use std::collections::HashMap;

pub(crate) fn docx(source: &Source<'_>, draft: &mut Draft) -> Result<(), ReadError> {
    let format = DocumentFormat::Docx;
    let mut package = Package::open(source, format)?;
    draft.title = title(package.maybe("docProps/core.xml")?.as_deref());
    let styles = headings(package.maybe("word/styles.xml")?.as_deref());
    let document = package.text("word/document.xml")?;
    let mut flow = Flow::default();
    let (mut kind, mut in_text, mut removed, mut pictures) = (Kind::Plain, false, 0usize, 0usize);
    xml::walk(&document, |node| match node {
        Node::Open("p", _) => kind = Kind::Plain,
        Node::Open("pStyle", attributes) => {
            if let Some(style) = attributes.get("val").and_then(|style| styles.get(&style).copied()) {
                kind = style;
            }
        }
        Node::Open("outlineLvl", attributes) => {
            if let Some(level) = attributes.get("val").and_then(|level| level.parse::<u8>().ok()).filter(|l| *l < 9) {
                kind = Kind::Heading(level + 1);
            }
        }
        Node::Open("numPr", _) if kind == Kind::Plain => kind = Kind::Item(0),
        Node::Open("ilvl", attributes) => {
            if let (Kind::Item(_), Some(depth)) = (kind, attributes.get("val").and_then(|depth| depth.parse().ok())) {
                kind = Kind::Item(depth);
            }
        }
        Node::Open("del", _) => removed += 1,
        Node::Close("del") => removed = removed.saturating_sub(1),
        Node::Open("t", _) => in_text = true,
        Node::Close("t") => in_text = false,
        Node::Text(text) if in_text && removed == 0 => flow.text(text),
        Node::Open("tab", _) => flow.text(" "),
        Node::Open("br" | "cr", _) => flow.text("\n"),
        Node::Open("blip", _) => pictures += 1,
        Node::Close("p") => flow.end_paragraph(kind),
        Node::Open("tbl", _) => flow.open_table(),
        Node::Open("tr", _) => flow.open_row(),
        Node::Open("tc", _) => flow.open_cell(),
        Node::Close("tbl") => flow.close_table(),
        _ => {}
    })
    .map_err(ReadError::damaged(format))?;
    flow.into_draft(draft);
    if pictures > 0 {
        draft.notice(NoticeKind::NotRead, format!("{pictures} pictures are not in the text."));
    }
    Ok(())
}

pub(crate) fn odt(source: &Source<'_>, draft: &mut Draft) -> Result<(), ReadError> {
    let format = DocumentFormat::Odt;
    let mut package = Package::open(source, format)?;
    refuse_locked(&mut package, format)?;
    draft.title = title(package.maybe("meta.xml")?.as_deref());
    let content = package.text("content.xml")?;
    let mut flow = Flow::default();
    let (mut level, mut lists, mut pictures) = (None, 0usize, 0usize);
    let mut within = 0usize;
    xml::walk(&content, |node| match node {
        Node::Open("h", attributes) => {
            within += 1;
            level = Some(attributes.get("outline-level").and_then(|level| level.parse().ok()).unwrap_or(1));
        }
        Node::Close("h") => {
            within = within.saturating_sub(1);
            flow.end_paragraph(Kind::Heading(level.take().unwrap_or(1)));
        }
        Node::Open("p", _) => within += 1,
        Node::Close("p") => {
            within = within.saturating_sub(1);
            flow.end_paragraph(if lists > 0 { Kind::Item(lists - 1) } else { Kind::Plain });
        }
        Node::Open("list", _) => lists += 1,
        Node::Close("list") => lists = lists.saturating_sub(1),
        Node::Text(text) if within > 0 => flow.text(text),
        Node::Open("s" | "tab", _) => flow.text(" "),
        Node::Open("line-break", _) => flow.text("\n"),
        Node::Open("image", _) => pictures += 1,
        Node::Open("table", _) => flow.open_table(),
        Node::Open("table-row", _) => flow.open_row(),
        Node::Open("table-cell", _) => flow.open_cell(),
        Node::Close("table") => flow.close_table(),
        _ => {}
    })
    .map_err(ReadError::damaged(format))?;
    flow.into_draft(draft);
    if pictures > 0 {
        draft.notice(NoticeKind::NotRead, format!("{pictures} pictures are not in the text."));
    }
    Ok(())
}

/// An OpenDocument says in its list of files which of them are locked.
pub(crate) fn refuse_locked(package: &mut Package<'_>, format: DocumentFormat) -> Result<(), ReadError> {
    match package.maybe("META-INF/manifest.xml")? {
        Some(manifest) if manifest.contains("encryption-data") => Err(ReadError::Encrypted { format }),
        _ => Ok(()),
    }
}

/// The title in the properties of an office file (Dublin Core).
pub(crate) fn title(properties: Option<&str>) -> Option<String> {
    let (mut title, mut inside) = (String::new(), false);
    let _ = xml::walk(properties?, |node| match node {
        Node::Open("title", _) => inside = true,
        Node::Close("title") => inside = false,
        Node::Text(text) if inside => title.push_str(text),
        _ => {}
    });
    Some(title.trim().to_owned()).filter(|title| !title.is_empty())
}

/// Styles that are headings or items of lists.
fn headings(styles: Option<&str>) -> HashMap<String, Kind> {
    let mut found = HashMap::new();
    let mut style = None;
    let _ = xml::walk(styles.unwrap_or_default(), |node| match node {
        Node::Open("style", attributes) => style = attributes.get("styleId"),
        Node::Close("style") => style = None,
        Node::Open("name", attributes) => {
            let name = attributes.get("val").unwrap_or_default().to_lowercase();
            let kind = match name.strip_prefix("heading ") {
                Some(level) => level.parse().ok().map(Kind::Heading),
                None if name == "title" => Some(Kind::Heading(1)),
                None if name.starts_with("list bullet") || name.starts_with("list number") => {
                    let depth = name.rsplit(' ').next().and_then(|depth| depth.parse::<usize>().ok()).unwrap_or(1);
                    Some(Kind::Item(depth.saturating_sub(1)))
                }
                None => None,
            };
            if let (Some(style), Some(kind)) = (&style, kind) {
                found.insert(style.clone(), kind);
            }
        }
        _ => {}
    });
    found
}
