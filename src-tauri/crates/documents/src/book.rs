//! EPUB and HTML as Markdown. Scripts and styles are left out; nothing is fetched.

use crate::decode;
use crate::draft::Draft;
use crate::error::ReadError;
use crate::limits;
use crate::source::{Package, Source};
use crate::table::{Cell, Table};
use crate::xml::{self, Node};
use atelier_protocol::document::{Anchor, DocumentFormat, NoticeKind};
use std::collections::HashMap;

pub(crate) fn html(source: &Source<'_>, draft: &mut Draft) -> Result<(), ReadError> {
    let format = DocumentFormat::Html;
    let text =
        decode::text(&source.bytes, draft).ok_or_else(|| ReadError::damaged(format)("it is no text".to_owned()))?;
    draft.title = between(&text, "<title", "</title");
    let markdown = markdown(&text, draft).map_err(ReadError::damaged(format))?;
    sections(&markdown, draft);
    Ok(())
}

pub(crate) fn epub(source: &Source<'_>, draft: &mut Draft) -> Result<(), ReadError> {
    let format = DocumentFormat::Epub;
    let mut package = Package::open(source, format)?;
    if package.maybe("META-INF/encryption.xml")?.is_some_and(|text| text.contains("EncryptedData")) {
        draft.notice(NoticeKind::Encrypted, "Parts of the book are locked and may be missing.");
    }
    let container = package.text("META-INF/container.xml")?;
    let mut root = None;
    xml::walk(&container, |node| {
        if let Node::Open("rootfile", attributes) = node {
            root = root.take().or(attributes.get("full-path"));
        }
    })
    .map_err(ReadError::damaged(format))?;
    let root = root.ok_or_else(|| ReadError::damaged(format)("it names no content".to_owned()))?;
    let content = package.text(&root)?;
    draft.title = crate::word::title(Some(&content));
    let (mut items, mut spine) = (HashMap::new(), Vec::new());
    xml::walk(&content, |node| match node {
        Node::Open("item", attributes) => {
            if let (Some(id), Some(href)) = (attributes.get("id"), attributes.get("href")) {
                items.insert(id, href);
            }
        }
        Node::Open("itemref", attributes) => spine.extend(attributes.get("idref")),
        _ => {}
    })
    .map_err(ReadError::damaged(format))?;
    let folder = root.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    for (n, id) in (1u32..).zip(spine.into_iter().take(limits::ENTRIES)) {
        let Some(chapter) = items.get(&id) else { continue };
        let Some(text) = package.maybe(&format!("{folder}{chapter}"))? else {
            draft.notice(NoticeKind::Damaged, format!("The chapter `{chapter}` is missing."));
            continue;
        };
        let markdown = markdown(&text, draft).map_err(ReadError::damaged(format))?;
        let heading =
            markdown.lines().find_map(|line| line.strip_prefix('#')).map(|l| l.trim_start_matches('#').trim());
        let heading = heading.map(str::to_owned);
        draft.part(Anchor::Section { n }, heading, markdown);
    }
    Ok(())
}

/// HTML as Markdown, with its tables.
pub(crate) fn markdown(html: &str, draft: &mut Draft) -> Result<String, String> {
    if deepest(html) > limits::DEPTH * 5 {
        return Err("its elements lie in each other too deep".to_owned());
    }
    let converter =
        htmd::HtmlToMarkdown::builder().skip_tags(vec!["script", "style", "head", "noscript", "template"]).build();
    let text = converter.convert(html).map_err(|error| error.to_string())?;
    for rows in tables(&text) {
        let rows = rows.into_iter().map(|row| row.iter().map(|cell| Cell::of(cell)).collect()).collect();
        let n = draft.tables.len() + 1;
        draft.table(Table::of(format!("table_{n}"), rows), None);
    }
    Ok(text)
}

/// Markdown cut into sections at its headings.
pub(crate) fn sections(markdown: &str, draft: &mut Draft) {
    let (mut n, mut part, mut heading, mut fenced) = (1, String::new(), None, false);
    for line in markdown.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let marks = line.bytes().take_while(|byte| *byte == b'#').count();
        if !fenced && (1..=6).contains(&marks) && line.as_bytes().get(marks) == Some(&b' ') {
            if !part.trim().is_empty() {
                draft.part(Anchor::Section { n }, heading.take(), std::mem::take(&mut part));
                n += 1;
            }
            heading = Some(line[marks..].trim().to_owned());
        }
        part.push_str(line);
        part.push('\n');
    }
    draft.part(Anchor::Section { n }, heading, part);
}

/// The tables of a Markdown text, as rows of texts.
fn tables(markdown: &str) -> Vec<Vec<Vec<String>>> {
    let (mut found, mut rows): (Vec<Vec<Vec<String>>>, Vec<Vec<String>>) = (Vec::new(), Vec::new());
    for line in markdown.lines().chain([""]) {
        let line = line.trim();
        if line.starts_with('|') && line.ends_with('|') && line.len() > 1 {
            let cells: Vec<String> = line[1..line.len() - 1].split('|').map(|cell| cell.trim().to_owned()).collect();
            if !cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':' | ' '))) {
                rows.push(cells);
            }
        } else if rows.len() > 1 {
            found.push(std::mem::take(&mut rows));
        } else {
            rows.clear();
        }
    }
    found
}

/// How deep open tags can lie in each other at most; a converter that calls itself would run out of stack.
fn deepest(html: &str) -> usize {
    let (mut depth, mut most) = (0usize, 0usize);
    let bytes = html.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        if *byte != b'<' {
            continue;
        }
        match bytes.get(at + 1) {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(next) if next.is_ascii_alphabetic() => {
                let name: String = html[at + 1..].chars().take_while(char::is_ascii_alphanumeric).collect();
                const VOID: &[&str] = &[
                    "br", "hr", "img", "input", "meta", "link", "col", "wbr", "area", "source", "p", "li", "td", "tr",
                    "th",
                ];
                if !VOID.contains(&name.to_ascii_lowercase().as_str()) {
                    depth += 1;
                    most = most.max(depth);
                }
            }
            _ => {}
        }
    }
    most
}

fn between(text: &str, open: &str, close: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let from = lower.find(open)?;
    let from = from + lower[from..].find('>')? + 1;
    let to = from + lower[from..].find(close)?;
    Some(text[from..to].trim().to_owned()).filter(|text| !text.is_empty())
}
