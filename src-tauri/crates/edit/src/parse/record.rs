//! What the objects of the JSON formats mean, and the schemas that a server can hold an answer to.
//!
//! Field names are those of the schema; the names that models use for the same thing elsewhere are taken too.

use super::Format;
use crate::change::{Block, Edit, LineRange, Locator};
use atelier_protocol::hash::Hash;
use serde_json::{Map, Value, json};

const PATH: &[&str] = &["path", "file", "file_path", "filepath", "filename", "file_name"];
const SEARCH: &[&str] = &["search", "old", "old_string", "old_str", "old_text", "find", "original"];
const REPLACE: &[&str] = &["replace", "new", "new_string", "new_str", "new_text", "replacement", "updated"];
const CONTENT: &[&str] = &["content", "contents", "file_text"];
const TEXT: &[&str] = &["text", "replace", "replacement", "new", "new_text", "new_string", "content", "new_content"];
const START: &[&str] = &["start", "start_line", "from", "first", "line", "startLine"];
const END: &[&str] = &["end", "end_line", "last", "endLine"];
const RANGE: &[&str] = &["lines", "range"];
const OLD: &[&str] = &["old", "old_text", "expect", "original", "search"];
const TARGET: &[&str] = &["to", "move_to", "new_path"];
const LIST: &[&str] = &["edits", "hunks", "changes", "blocks", "ranges", "replacements"];
const OP: &[&str] = &["op", "type", "action", "kind", "operation"];

pub(super) fn shape(by_line: bool) -> &'static str {
    if by_line {
        r#"Write {"edits":[{"path":"src/lib.rs","start":3,"end":4,"text":"new lines\n"}]}; `end` is `start - 1` to put lines before line `start`."#
    } else {
        r#"Write {"edits":[{"path":"src/lib.rs","search":"text as it is\n","replace":"new text\n"}]}."#
    }
}

pub(super) fn schema(format: Format) -> Option<Value> {
    let text = json!({"type": "string"});
    let op = |name: &str, fields: &[(&str, Value)], needed: &[&str]| {
        let mut properties = Map::new();
        properties.insert("op".into(), json!({"const": name}));
        properties.insert("path".into(), text.clone());
        properties.extend(fields.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone())));
        let required: Vec<&str> = ["op", "path"].into_iter().chain(needed.iter().copied()).collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    };
    let number = json!({"type": "integer", "minimum": 0});
    let change = match format {
        Format::LineRange => op(
            "replace",
            &[
                ("start", number.clone()),
                ("end", number),
                ("text", text.clone()),
                ("old", text.clone()),
                ("hash", text.clone()),
            ],
            &["start", "end", "text"],
        ),
        Format::HunkList => op(
            "replace",
            &[("search", text.clone()), ("replace", text.clone()), ("hash", text.clone())],
            &["search", "replace"],
        ),
        _ => return None,
    };
    let others = [
        op("create", &[("content", text.clone())], &["content"]),
        op("delete", &[], &[]),
        op("move", &[("to", text.clone())], &["to"]),
    ];
    let any: Vec<Value> = std::iter::once(change).chain(others).collect();
    Some(json!({
        "type": "object",
        "properties": {"edits": {"type": "array", "items": {"anyOf": any}}},
        "required": ["edits"],
        "additionalProperties": false,
    }))
}

type Object = Map<String, Value>;

fn text<'a>(object: &'a Object, names: &[&str]) -> Result<Option<&'a str>, String> {
    match names.iter().find_map(|name| Some((name, object.get(*name)?))) {
        None | Some((_, Value::Null)) => Ok(None),
        Some((_, Value::String(text))) => Ok(Some(text)),
        Some((name, _)) => Err(format!("`{name}` is not a text")),
    }
}

fn number(object: &Object, names: &[&str]) -> Result<Option<u32>, String> {
    match names.iter().find_map(|name| Some((name, object.get(*name)?))) {
        None | Some((_, Value::Null)) => Ok(None),
        Some((name, value)) => {
            let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
            number.and_then(|n| u32::try_from(n).ok()).map(Some).ok_or(format!("`{name}` is not a line number"))
        }
    }
}

/// Whether the object is an edit by itself.
pub(super) fn names_a_file(value: &Value) -> bool {
    value.as_object().is_some_and(|object| PATH.iter().any(|name| object.contains_key(*name)))
}

/// The edits of one object: one, or those of a list in it, whose file may be named around them.
pub(super) fn edits_of(value: &Value, by_line: bool) -> Result<Vec<Edit>, String> {
    let Some(object) = value.as_object() else { return Err("this is not an edit".to_owned()) };
    let path = text(object, PATH)?;
    let list = LIST.iter().find_map(|name| object.get(*name)?.as_array());
    let Some(list) = list else {
        let path = path.ok_or("it is not said which file this edit is for")?;
        let mut edits = expected(object, path)?;
        edits.push(edit_of(object, path, by_line)?);
        return Ok(edits);
    };
    let mut edits = match path {
        Some(path) => expected(object, path)?,
        None => Vec::new(),
    };
    for item in list {
        let Some(inner) = item.as_object() else { return Err("an edit in the list is not an object".to_owned()) };
        let path = text(inner, PATH)?.or(path).ok_or("it is not said which file an edit in the list is for")?;
        edits.extend(expected(inner, path)?);
        edits.push(edit_of(inner, path, by_line)?);
    }
    Ok(edits)
}

fn expected(object: &Object, path: &str) -> Result<Vec<Edit>, String> {
    match text(object, &["hash"])? {
        None | Some("") => Ok(Vec::new()),
        Some(hash) => {
            let hash = Hash::parse(hash).ok_or("`hash` is not `blake3:` and 64 hex digits")?;
            Ok(vec![Edit::Expect { path: path.to_owned(), hash }])
        }
    }
}

fn edit_of(object: &Object, path: &str, by_line: bool) -> Result<Edit, String> {
    let path = path.to_owned();
    let op = text(object, OP)?.map(str::to_ascii_lowercase);
    let delete = object.get("delete") == Some(&Value::Bool(true));
    match op.as_deref() {
        Some("delete" | "remove" | "delete_file") => return Ok(Edit::Delete { path }),
        _ if delete => return Ok(Edit::Delete { path }),
        Some("move" | "rename") => {
            let to = text(object, TARGET)?.ok_or("it is not said where the file is to be moved (`to`)")?;
            return Ok(Edit::Move { path, to: to.to_owned() });
        }
        Some("create" | "add" | "new" | "create_file") => {
            let content = text(object, CONTENT)?.or(text(object, TEXT)?).ok_or("a new file lacks its `content`")?;
            return Ok(Edit::Replace { path, blocks: vec![Block::new("", content)] });
        }
        _ => {}
    }
    if let Some(range) = range_of(object)? {
        let new = text(object, TEXT)?.ok_or("a range lacks its `text`")?;
        let old = text(object, OLD)?.map(|old| old.as_bytes().to_vec());
        let (start, end) = range;
        return Ok(Edit::Lines { path, ranges: vec![LineRange { start, end, text: new.as_bytes().to_vec(), old }] });
    }
    if let (Some(search), Some(replace)) = (text(object, SEARCH)?, text(object, REPLACE)?) {
        let [before, after] = [text(object, &["before"])?, text(object, &["after"])?].map(Option::unwrap_or_default);
        let around = |text: &str| [before, text, after].concat().into_bytes();
        return Ok(Edit::Replace {
            path,
            blocks: vec![Block { search: around(search), replace: around(replace), locator: Locator::default() }],
        });
    }
    if let Some(content) = text(object, CONTENT)? {
        return Ok(Edit::Write { path, content: content.as_bytes().to_vec() });
    }
    if let Some(to) = text(object, TARGET)? {
        return Ok(Edit::Move { path, to: to.to_owned() });
    }
    Err(if by_line { "an edit lacks `start`, `end` and `text`" } else { "an edit lacks `search` and `replace`" }
        .to_owned())
}

fn range_of(object: &Object) -> Result<Option<(u32, u32)>, String> {
    if let Some(pair) = RANGE.iter().find_map(|name| object.get(*name)?.as_array()) {
        let numbers: Vec<u32> = pair.iter().filter_map(|n| u32::try_from(n.as_u64()?).ok()).collect();
        return match (numbers.as_slice(), pair.len()) {
            ([start, end], 2) => Ok(Some((*start, *end))),
            _ => Err("a range is two line numbers".to_owned()),
        };
    }
    let Some(start) = number(object, START)? else { return Ok(None) };
    Ok(Some((start, number(object, END)?.unwrap_or(start))))
}
