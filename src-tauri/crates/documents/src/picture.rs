//! Pictures: what can be said of them without looking. SVG is text and is read for its words.

use crate::data::unresolved;
use crate::decode;
use crate::draft::Draft;
use crate::error::ReadError;
use crate::source::Source;
use crate::xml::{self, Node};
use atelier_protocol::document::{Anchor, DocumentFormat, NoticeKind};
use std::collections::HashSet;
use std::io::Cursor;

pub(crate) fn pixels(source: &Source<'_>, draft: &mut Draft, format: DocumentFormat) -> Result<(), ReadError> {
    let size = imagesize::blob_size(&source.bytes).map_err(|error| ReadError::damaged(format)(error.to_string()))?;
    let mut text = format!("{format} picture, {} x {} pixels, {} bytes\n", size.width, size.height, source.length);
    let exif = exif::Reader::new().continue_on_error(true).read_from_container(&mut Cursor::new(&source.bytes));
    if let Ok(exif) = exif.or_else(|error| error.distill_partial_result(|_| ())) {
        for field in exif.fields().take(60) {
            let value: String = field.display_value().with_unit(&exif).to_string().chars().take(200).collect();
            text.push_str(&format!("- {}: {value}\n", field.tag));
        }
    }
    draft.part(Anchor::Whole, None, text);
    draft.notice(
        NoticeKind::NotRead,
        "What the picture shows is not in the text; a model that sees pictures can look at it.",
    );
    Ok(())
}

pub(crate) fn svg(source: &Source<'_>, draft: &mut Draft) -> Result<(), ReadError> {
    let format = DocumentFormat::Svg;
    let text =
        decode::text(&source.bytes, draft).ok_or_else(|| ReadError::damaged(format)("it is no text".to_owned()))?;
    let (mut open, mut words, mut size, mut entities) = (Vec::new(), Vec::new(), None, HashSet::new());
    let (mut title, mut script, mut said) = (None, false, String::new());
    xml::walk(&text, |node| match node {
        Node::Open(name, attributes) => {
            if name == "svg" && size.is_none() {
                let of = |name: &str| attributes.get(name);
                size = of("viewBox").or_else(|| Some(format!("{} x {}", of("width")?, of("height")?)));
            }
            script |= name == "script";
            open.push(name.to_owned());
            said.clear();
        }
        Node::Text(part) => said.push_str(part),
        Node::Close(name) => {
            open.pop();
            let text = said.trim().to_owned();
            said.clear();
            match name {
                _ if text.is_empty() => {}
                "title" if title.is_none() => title = Some(text),
                "desc" | "text" | "tspan" | "title" => words.push(format!("- {text}")),
                _ => {}
            }
        }
        Node::Entity(name) => drop(entities.insert(name.to_owned())),
    })
    .map_err(ReadError::damaged(format))?;
    unresolved(&entities, draft);
    if script {
        draft.notice(NoticeKind::Unsafe, "The drawing has a script; it is not run and not shown.");
    }
    let size = size.map_or_else(String::new, |size| format!(", view {size}"));
    draft.part(Anchor::Whole, title.clone(), format!("Drawing{size}\n{}\n", words.join("\n")));
    draft.title = title;
    Ok(())
}
