//! JSON as a server writes it: which key comes first, what stands between, which characters are escaped.

use serde_json::Value;
use std::fmt::Write;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Without spaces.
    Plain,
    /// Without spaces, and with `<`, `>` and `&` escaped, as Go's standard library does.
    Go,
    /// With a space after each colon and comma, as Python's standard library does.
    Python,
}

/// Writes a document. Keys stand in this order; those that are not in it come last, sorted.
pub(crate) fn write(document: &Value, style: Style, order: &[&str]) -> String {
    let mut text = String::new();
    put(document, style, order, &mut text);
    if style == Style::Go {
        // None of them is anything but part of a string.
        text = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    }
    text
}

fn put(value: &Value, style: Style, order: &[&str], text: &mut String) {
    let comma = if style == Style::Python { ", " } else { "," };
    match value {
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { comma });
                put(item, style, order, text);
            }
            text.push(']');
        }
        Value::Object(map) => {
            let rank = |key: &str| order.iter().position(|known| *known == key).unwrap_or(order.len());
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| rank(key));
            text.push('{');
            for (at, (key, item)) in entries.into_iter().enumerate() {
                text.push_str(if at == 0 { "" } else { comma });
                put(&Value::String(key.clone()), style, order, text);
                text.push_str(if style == Style::Python { ": " } else { ":" });
                put(item, style, order, text);
            }
            text.push('}');
        }
        other => {
            // Writing to a string cannot fail.
            let _ = write!(text, "{other}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_stand_in_the_given_order_and_the_rest_is_sorted() {
        let document = json!({"a": [1, {"z": 1, "b": "<&>"}], "id": "x", "c": null});
        assert_eq!(
            write(&document, Style::Go, &["id", "c", "z"]),
            r#"{"id":"x","c":null,"a":[1,{"z":1,"b":"\u003c\u0026\u003e"}]}"#
        );
        assert_eq!(
            write(&document, Style::Python, &["a"]),
            r#"{"a": [1, {"b": "<&>", "z": 1}], "c": null, "id": "x"}"#
        );
        assert_eq!(write(&document, Style::Plain, &[]), document.to_string());
    }
}
