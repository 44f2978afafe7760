//! The shape of a body: what stays when ids, dates, durations, counts and texts are masked.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// JSON with its keys in the order they came in.
enum Node {
    /// A number, a word, or nothing.
    Leaf(Value),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Node;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Leaf(Value::Null))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Leaf(value.into()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Leaf(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Leaf(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Leaf(value.into()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Leaf(value.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = list.next_element()? {
                    nodes.push(node);
                }
                Ok(Node::List(nodes))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut nodes = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    nodes.push(entry);
                }
                Ok(Node::Map(nodes))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The lines of a body, masked; neighbours of one shape count as one.
pub fn lines(body: &str) -> Vec<String> {
    let mut shapes: Vec<String> = Vec::new();
    let mut named = String::new();
    for line in body.lines().filter(|line| !line.is_empty()) {
        if line.starts_with("event: ") {
            named = format!("{line} ");
            continue;
        }
        let (start, document) = line.strip_prefix("data: ").map_or(("", line), |rest| ("data: ", rest));
        let mut shape = std::mem::take(&mut named) + start;
        match serde_json::from_str::<Node>(document) {
            Ok(node) => put("", &node, &mut shape),
            Err(_) => shape.push_str(document),
        }
        if shapes.last() != Some(&shape) {
            shapes.push(shape);
        }
    }
    shapes
}

/// How it is written: spaces between tokens, escapes of letters that need none, and how it ends.
pub fn writing(body: &str) -> String {
    let mut quoted = false;
    let mut escaped = false;
    let mut spaced = 0;
    let mut before = ' ';
    for letter in
        body.lines().filter(|line| !line.starts_with("event: ")).flat_map(|l| l.trim_start_matches("data: ").chars())
    {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ' ' if !quoted && matches!(before, ':' | ',') => spaced = 1,
            _ => {}
        }
        before = letter;
    }
    let end = &body[body.trim_end().len()..];
    format!("spaced {spaced}, escaped {}, end {end:?}", body.contains("\\u003c"))
}

const IDS: [&str; 12] = [
    "id",
    "request_id",
    "created_at",
    "modified_at",
    "expires_at",
    "digest",
    "call_id",
    "item_id",
    "system_fingerprint",
    "parameter_size",
    "bytes",
    "owner",
];
const TEXTS: [&str; 15] = [
    "arguments",
    "content",
    "thinking",
    "reasoning",
    "reasoning_content",
    "text",
    "partial_json",
    "response",
    "delta",
    "modelfile",
    "template",
    "parameters",
    "rendered_template",
    "token",
    "stop",
];
const PLACES: [&str; 5] = ["index", "output_index", "content_index", "sequence_number", "code"];

fn put(key: &str, node: &Node, shape: &mut String) {
    match node {
        Node::Leaf(Value::Number(_)) if !PLACES.contains(&key) || key == "sequence_number" => shape.push('#'),
        Node::Leaf(Value::String(_)) if IDS.contains(&key) => shape.push('~'),
        Node::Leaf(Value::String(text)) if TEXTS.contains(&key) && !text.is_empty() => shape.push_str("\"text\""),
        Node::Leaf(Value::String(text)) => word(text, shape),
        Node::Leaf(other) => shape.push_str(&other.to_string()),
        // The model's own, with its keys in the model's order.
        Node::Map(_) if key == "arguments" => shape.push_str("{arguments}"),
        Node::List(items) => {
            let mut shapes: Vec<String> = Vec::new();
            for item in items {
                let mut own = String::new();
                put(key, item, &mut own);
                if shapes.last() != Some(&own) {
                    shapes.push(own);
                }
            }
            shape.push_str(&format!("[{}]", shapes.join(",")));
        }
        Node::Map(entries) => {
            shape.push('{');
            for (key, item) in entries {
                shape.push_str(&format!("{key}:"));
                put(key, item, shape);
                shape.push(' ');
            }
            shape.push('}');
        }
    }
}

/// A word that means something. Counts in a sentence are masked; a document in a string is looked into.
fn word(text: &str, shape: &mut String) {
    if let Ok(node @ Node::Map(_)) = serde_json::from_str::<Node>(text) {
        shape.push_str("in a string ");
        put("", &node, shape);
        return;
    }
    let text = text.strip_prefix("pulling ").filter(|rest| rest.len() == 12).map_or(text, |_| "pulling a layer");
    let masked: String = text.chars().map(|letter| if letter.is_ascii_digit() { '#' } else { letter }).collect();
    let mut short = masked;
    while short.contains("##") {
        short = short.replace("##", "#");
    }
    shape.push_str(&format!("{short:?}"));
}
