//! Keeps a list within a size by a stated rule: the oldest items are summed up as lines of a text.
//!
//! The rule: while the list's JSON is larger than `bytes` and more than one item is left, the oldest item goes; what
//! it says becomes one line, cut at `line` bytes. While the text is larger than `text_bytes` its oldest line goes too,
//! and is counted. Nothing is invented, and what is lost is numbered.

use crate::objects::words::{Expr, Known};
use serde::Deserialize;
use serde_json::Value;

/// What is kept, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Trim {
    list: String,
    bytes: usize,
    text: String,
    text_bytes: usize,
    dropped: String,
    says: Expr,
    line: usize,
}

/// The same as a template writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// The list's name in the state.
    list: String,
    /// Bytes it may have as JSON.
    bytes: usize,
    /// The text's name in the state.
    text: String,
    /// Bytes it may have.
    text_bytes: usize,
    /// Where lines that went are counted.
    dropped: String,
    /// What an item says, in terms of `$item`.
    says: Value,
    /// Bytes of one line.
    line: usize,
}

impl Trim {
    /// Reads it.
    pub fn read(w: &Written) -> Result<Trim, String> {
        let says = Expr::read(&w.says)?;
        let mut names = Vec::new();
        says.names(&mut names);
        if let Some(unknown) = names.iter().find(|name| *name != "item") {
            return Err(format!("`${unknown}` stands for nothing here; there is $item"));
        }
        let (list, text, dropped) = (w.list.clone(), w.text.clone(), w.dropped.clone());
        Ok(Trim { list, bytes: w.bytes, text, text_bytes: w.text_bytes, dropped, says, line: w.line })
    }

    /// Keeps the list of `state` within its size.
    pub fn keep(&self, state: &mut Value) -> Result<(), String> {
        let Some(items) = state.get_mut(&self.list).and_then(Value::as_array_mut) else {
            return Err(format!("there is no list `{}`", self.list));
        };
        let mut sizes: Vec<usize> = items.iter().map(|item| item.to_string().len() + 1).collect();
        let mut lines = Vec::new();
        while sizes.iter().sum::<usize>() > self.bytes && items.len() > 1 {
            sizes.remove(0);
            lines.push(self.line_of(items.remove(0)));
        }
        if lines.is_empty() {
            return Ok(());
        }
        let before = state.get(&self.text).and_then(Value::as_str).unwrap_or_default();
        let mut all: Vec<&str> = before.lines().chain(lines.iter().map(String::as_str)).collect();
        let mut dropped = 0u64;
        while all.len() > 1 && all.iter().map(|line| line.len() + 1).sum::<usize>() > self.text_bytes {
            all.remove(0);
            dropped += 1;
        }
        let text = all.join("\n");
        let count = state.get(&self.dropped).and_then(Value::as_u64).unwrap_or(0) + dropped;
        state[&self.text] = text.into();
        state[&self.dropped] = count.into();
        Ok(())
    }

    fn line_of(&self, item: Value) -> String {
        let said = match self.says.value(&Known::from([("item".to_owned(), item)])) {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.len() > self.line {
            true => format!("{}…", &line[..line.floor_char_boundary(self.line)]),
            false => line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_oldest_become_lines_and_the_oldest_lines_are_counted() {
        let written = json!({"list": "l", "bytes": 30, "text": "t", "text_bytes": 12, "dropped": "d",
                             "says": "$item.k: $item.v", "line": 6});
        let trim = Trim::read(&serde_json::from_value(written).unwrap()).unwrap();
        let mut state = json!({"l": [], "t": "", "d": 0});
        for n in 0..5 {
            state["l"].as_array_mut().unwrap().push(json!({"k": n, "v": "é\nlong"}));
            trim.keep(&mut state).unwrap();
        }
        assert_eq!(state, json!({"l": [{"k": 4, "v": "é\nlong"}], "t": "3: é …", "d": 3}));
    }
}
