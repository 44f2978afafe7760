//! Reads tool calls that a model wrote into its text, because its server did not recognise them.
//!
//! Nothing is guessed: the whole text must be JSON that names an offered tool, or the text must end in complete
//! `<tool_call>` blocks that do. Anything else stays text.

use crate::chat::ToolSpec;
use serde_json::{Map, Value};

/// A call that stood in a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    pub(crate) name: String,
    pub(crate) arguments: Map<String, Value>,
}

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";

/// The text before the calls, and the calls; `None` where the text is just text.
pub(crate) fn calls_in(text: &str, tools: &[ToolSpec]) -> Option<(String, Vec<Written>)> {
    if tools.is_empty() {
        return None;
    }
    if let Some(at) = text.find(OPEN) {
        return blocks(&text[at..], tools).map(|calls| (text[..at].trim_end().to_owned(), calls));
    }
    calls_of(unfenced(text.trim()), tools).map(|calls| (String::new(), calls))
}

/// One block after the other with nothing else between or after them. The last may lack its end tag, which some models
/// use as their end-of-turn mark; its JSON must be whole all the same.
fn blocks(mut text: &str, tools: &[ToolSpec]) -> Option<Vec<Written>> {
    let mut calls = Vec::new();
    while !text.trim().is_empty() {
        let inner = text.trim_start().strip_prefix(OPEN)?;
        let (block, after) = inner.split_once(CLOSE).unwrap_or((inner, ""));
        calls.extend(calls_of(unfenced(block.trim()), tools)?);
        text = after;
    }
    Some(calls)
}

/// The text without a code fence around all of it.
fn unfenced(text: &str) -> &str {
    let inner = text.strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    let Some(inner) = inner else { return text };
    match inner.split_once('\n') {
        Some((word, rest)) if word.chars().all(char::is_alphanumeric) => rest.trim(),
        _ => inner.trim(),
    }
}

fn calls_of(text: &str, tools: &[ToolSpec]) -> Option<Vec<Written>> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    match serde_json::from_str(text).ok()? {
        Value::Array(items) if !items.is_empty() => items.into_iter().map(|item| call_of(item, tools)).collect(),
        item @ Value::Object(_) => call_of(item, tools).map(|call| vec![call]),
        _ => None,
    }
}

fn call_of(value: Value, tools: &[ToolSpec]) -> Option<Written> {
    let Value::Object(mut map) = value else { return None };
    if let Some(Value::Object(function)) = map.remove("function") {
        map = function;
    }
    let name = map.remove("name")?.as_str()?.to_owned();
    let arguments = map.remove("arguments").or_else(|| map.remove("parameters"))?;
    let arguments = match arguments {
        Value::Object(arguments) => arguments,
        Value::String(text) => serde_json::from_str(&text).ok()?,
        _ => return None,
    };
    // Other keys mean that it is some other document that happens to have a name.
    let only_a_call = map.keys().all(|key| matches!(key.as_str(), "type" | "id"));
    (only_a_call && tools.iter().any(|tool| tool.name == name)).then_some(Written { name, arguments })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Option<(String, Vec<(String, Value)>)> {
        let tool = |name: &str| ToolSpec { name: name.into(), description: String::new(), parameters: json!({}) };
        let (rest, calls) = calls_in(text, &[tool("read_file"), tool("list_files")])?;
        Some((rest, calls.into_iter().map(|call| (call.name, Value::Object(call.arguments))).collect()))
    }
    fn one(rest: &str) -> Option<(String, Vec<(String, Value)>)> {
        Some((rest.to_owned(), vec![("read_file".to_owned(), json!({"path": "a"}))]))
    }

    #[test]
    fn a_call_that_is_the_whole_text_is_a_call() {
        let call = r#"{"name": "read_file", "arguments": {"path": "a"}}"#;
        assert_eq!(read(call), one(""));
        assert_eq!(read(&format!("\n```json\n{call}\n```\n")), one(""));
        assert_eq!(read(&format!("```\n{call}\n```")), one(""));
        assert_eq!(read(&format!("[{call}]")), one(""));
        assert_eq!(read(&format!("<tool_call>\n{call}\n</tool_call>")), one(""));
        assert_eq!(read(r#"{"name":"read_file","parameters":{"path":"a"}}"#), one(""));
        assert_eq!(
            read(r#"{"type":"function","function":{"name":"read_file","arguments":"{\"path\":\"a\"}"}}"#),
            one("")
        );
    }

    #[test]
    fn tagged_calls_may_follow_a_sentence() {
        let call = r#"{"name": "read_file", "arguments": {"path": "a"}}"#;
        assert_eq!(read(&format!("I look.\n<tool_call>{call}</tool_call>")), one("I look."));
        assert_eq!(read(&format!("I look.<tool_call>{call}")), one("I look."));
        let two = format!("<tool_call>{call}</tool_call>\n<tool_call>{call}</tool_call>");
        assert_eq!(read(&two).map(|(_, calls)| calls.len()), Some(2));
    }

    #[test]
    fn everything_else_stays_text() {
        for text in [
            "",
            "I would call read_file.",
            r#"Like this: {"name": "read_file", "arguments": {"path": "a"}}"#,
            r#"{"name": "delete_disk", "arguments": {}}"#,
            r#"{"name": "read_file"}"#,
            r#"{"name": "read_file", "arguments": [1]}"#,
            r#"{"name": "read_file", "arguments": {}, "version": "1.0"}"#,
            r#"[{"name": "read_file", "arguments": {}}, {"name": "other", "arguments": {}}]"#,
            r#"<tool_call>{"name": "read_file", "arguments": {"path": "a"</tool_call>"#,
            r#"<tool_call>{"name": "read_file", "arguments": {}}</tool_call> would be wrong here."#,
            "[]",
            "{}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
