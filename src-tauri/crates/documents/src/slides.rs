//! PPTX and ODP: a part for each slide, with its notes.
//!
//! PPTX: ECMA-376 part 1, PresentationML. ODP: OpenDocument 1.3 part 3.

use crate::draft::Draft;
use crate::error::ReadError;
use crate::flow::{Flow, Kind};
use crate::source::{Package, Source};
use crate::word::{refuse_locked, title};
use crate::xml::{self, Node};
use atelier_protocol::document::{Anchor, DocumentFormat};
use std::collections::HashMap;

pub(crate) fn pptx(source: &Source<'_>, draft: &mut Draft) -> Result<(), ReadError> {
    let format = DocumentFormat::Pptx;
    let mut package = Package::open(source, format)?;
    draft.title = title(package.maybe("docProps/core.xml")?.as_deref());
    let presentation = package.text("ppt/presentation.xml")?;
    let targets = relations(package.maybe("ppt/_rels/presentation.xml.rels")?.as_deref());
    let mut order = Vec::new();
    xml::walk(&presentation, |node| {
        if let Node::Open("sldId", attributes) = node {
            // Its own number is `id`, the relation is `r:id`.
            order.extend(attributes.all().find(|(name, _)| name.ends_with(":id")).map(|(_, relation)| relation));
        }
    })
    .map_err(ReadError::damaged(format))?;
    for (n, relation) in (1u32..).zip(order) {
        let Some(target) = targets.get(&relation) else { continue };
        let name = inside("ppt", target);
        let slide = package.text(&name)?;
        let mut flow = Flow::default();
        drawn(&slide, &mut flow).map_err(ReadError::damaged(format))?;
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let of_slide = name.rsplit('/').next().unwrap_or_default().to_owned();
        let related = relations(package.maybe(&format!("{folder}/_rels/{of_slide}.rels"))?.as_deref());
        let notes = related.values().find(|target| target.contains("notesSlide"));
        if let Some(notes) = notes.map(|target| inside(&folder, target))
            && let Some(notes) = package.maybe(&notes)?
        {
            flow.text("Notes:");
            flow.end_paragraph(Kind::Plain);
            drawn(&notes, &mut flow).map_err(ReadError::damaged(format))?;
        }
        flow.into_part(draft, Anchor::Slide { n });
    }
    Ok(())
}

pub(crate) fn odp(source: &Source<'_>, draft: &mut Draft) -> Result<(), ReadError> {
    let format = DocumentFormat::Odp;
    let mut package = Package::open(source, format)?;
    refuse_locked(&mut package, format)?;
    draft.title = title(package.maybe("meta.xml")?.as_deref());
    let content = package.text("content.xml")?;
    let (mut slides, mut flow, mut within): (Vec<Flow>, Option<Flow>, usize) = (Vec::new(), None, 0);
    xml::walk(&content, |node| match (node, &mut flow) {
        (Node::Open("page", _), _) => flow = Some(Flow::default()),
        (Node::Close("page"), _) => slides.extend(flow.take()),
        (Node::Open("p" | "h", _), _) => within += 1,
        (Node::Close("p" | "h"), Some(flow)) => {
            within = within.saturating_sub(1);
            flow.end_paragraph(Kind::Plain);
        }
        (Node::Text(text), Some(flow)) if within > 0 => flow.text(text),
        (Node::Open("s" | "tab", _), Some(flow)) => flow.text(" "),
        _ => {}
    })
    .map_err(ReadError::damaged(format))?;
    for (n, flow) in (1u32..).zip(slides) {
        flow.into_part(draft, Anchor::Slide { n });
    }
    Ok(())
}

/// The texts of a drawing (DrawingML): a shape that is a title is a heading.
fn drawn(xml_text: &str, flow: &mut Flow) -> Result<(), String> {
    let (mut is_title, mut in_text, mut numbering) = (false, false, false);
    xml::walk(xml_text, |node| match node {
        Node::Open("sp", _) => (is_title, numbering) = (false, false),
        Node::Open("ph", attributes) => match attributes.get("type").as_deref() {
            Some("title" | "ctrTitle") => is_title = true,
            Some("sldNum" | "dt" | "ftr") => numbering = true,
            _ => {}
        },
        Node::Open("t", _) => in_text = true,
        Node::Close("t") => in_text = false,
        Node::Text(text) if in_text && !numbering => flow.text(text),
        Node::Open("br", _) => flow.text("\n"),
        Node::Open("tbl", _) => flow.open_table(),
        Node::Open("tr", _) => flow.open_row(),
        Node::Open("tc", _) => flow.open_cell(),
        Node::Close("tbl") => flow.close_table(),
        Node::Close("p") => flow.end_paragraph(if is_title { Kind::Heading(2) } else { Kind::Plain }),
        _ => {}
    })
}

/// The relations of a part: id and target.
fn relations(text: Option<&str>) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let _ = xml::walk(text.unwrap_or_default(), |node| {
        if let Node::Open("Relationship", attributes) = node
            && let (Some(id), Some(target)) = (attributes.get("Id"), attributes.get("Target"))
        {
            found.insert(id, target);
        }
    });
    found
}

/// A target that may begin with `/` or `../`, as an entry's name.
fn inside(folder: &str, target: &str) -> String {
    if let Some(whole) = target.strip_prefix('/') {
        return whole.to_owned();
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}
