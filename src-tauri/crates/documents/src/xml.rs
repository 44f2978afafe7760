//! XML as a walk: elements that open and close, and the text between them.
//!
//! Entities that a file declares are never resolved and nothing is ever fetched, so neither a bomb of entities nor an
//! external one does anything.

use crate::limits;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// What a walk meets.
pub(crate) enum Node<'a> {
    /// An element begins. An element without content is opened and closed.
    Open(&'a str, Attributes<'a>),
    /// An element ends.
    Close(&'a str),
    /// Text.
    Text(&'a str),
    /// An entity that the file declares itself; its name.
    Entity(&'a str),
}

/// The attributes of an element.
pub(crate) struct Attributes<'a>(&'a BytesStart<'a>);

impl Attributes<'_> {
    /// An attribute by its name without prefix.
    pub fn get(&self, local: &str) -> Option<String> {
        self.all().find(|(name, _)| name.rsplit(':').next() == Some(local)).map(|(_, value)| value)
    }

    /// All of them by their whole names.
    pub fn all(&self) -> impl Iterator<Item = (String, String)> {
        self.0.attributes().filter_map(Result::ok).map(|attribute| {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).unwrap_or_else(|_| attribute.value.clone());
            (text_of(attribute.key.as_ref()), value.into_owned())
        })
    }
}

fn text_of(name: impl AsRef<str>) -> String {
    name.as_ref().to_owned()
}

/// Walks through `text`; the error says where it breaks XML's rules. Names come without their prefix.
pub(crate) fn walk(text: &str, mut visit: impl FnMut(Node<'_>)) -> Result<(), String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = Reader::from_str(text);
    let mut depth = 0usize;
    loop {
        let event = reader.read_event().map_err(|error| {
            let line = text.get(..usize::try_from(reader.buffer_position()).unwrap_or(0)).unwrap_or("").lines().count();
            format!("line {line}: {error}")
        })?;
        match event {
            Event::Start(element) => {
                depth += 1;
                if depth > limits::DEPTH {
                    return Err(format!("elements lie in each other more than {} deep", limits::DEPTH));
                }
                visit(Node::Open(element.local_name().as_ref(), Attributes(&element)));
            }
            Event::Empty(element) => {
                visit(Node::Open(element.local_name().as_ref(), Attributes(&element)));
                visit(Node::Close(element.local_name().as_ref()));
            }
            Event::End(element) => {
                depth = depth.saturating_sub(1);
                visit(Node::Close(element.local_name().as_ref()));
            }
            Event::Text(text) => visit(Node::Text(&text.xml10_content())),
            Event::CData(text) => visit(Node::Text(&text.xml10_content())),
            Event::GeneralRef(entity) => match entity.resolve_char_ref() {
                Ok(Some(character)) => visit(Node::Text(character.encode_utf8(&mut [0; 4]))),
                Ok(None) => {
                    let name = entity.xml10_content();
                    match predefined(&name) {
                        Some(text) => visit(Node::Text(text)),
                        None => visit(Node::Entity(&name)),
                    }
                }
                Err(error) => return Err(error.to_string()),
            },
            Event::Eof if depth > 0 => return Err("it ends in the middle of an element".to_owned()),
            Event::Eof => return Ok(()),
            Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
        }
    }
}

fn predefined(name: &str) -> Option<&'static str> {
    Some(match name {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => return None,
    })
}
