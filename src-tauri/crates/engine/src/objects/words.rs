//! Values and places as a template writes them: `$name` stands for what is known when a message is handled.
//!
//! A string that is one name and nothing else is that value as it is; names within other text are written out. What
//! a message brings is only ever a value: it is never read for names, and never splits a place.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What names stand for while a message is handled.
pub type Known = BTreeMap<String, Value>;

/// A value as a template writes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// As it stands.
    Literal(Value),
    /// What a name stands for.
    Name(Vec<String>),
    /// Text with names in it.
    Text(Vec<Piece>),
    /// A list.
    List(Vec<Expr>),
    /// Named values.
    Map(Vec<(String, Expr)>),
}

/// A piece of text.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// As it stands.
    Plain(String),
    /// What a name stands for, written out.
    Name(Vec<String>),
}

impl Expr {
    /// Reads a value.
    pub fn read(written: &Value) -> Result<Expr, String> {
        Ok(match written {
            Value::String(text) => match pieces(text)?.as_slice() {
                [] => Expr::Literal(Value::String(String::new())),
                [Piece::Plain(text)] => Expr::Literal(Value::String(text.clone())),
                [Piece::Name(name)] => Expr::Name(name.clone()),
                pieces => Expr::Text(pieces.to_vec()),
            },
            Value::Array(items) => Expr::List(items.iter().map(Expr::read).collect::<Result<_, _>>()?),
            Value::Object(map) => Expr::Map(
                map.iter()
                    .map(|(name, value)| Ok((name.clone(), Expr::read(value)?)))
                    .collect::<Result<_, String>>()?,
            ),
            plain => Expr::Literal(plain.clone()),
        })
    }

    /// The value, with names as they stand in `known`. A place that is not there is null.
    pub fn value(&self, known: &Known) -> Value {
        match self {
            Expr::Literal(value) => value.clone(),
            Expr::Name(name) => look_up(name, known),
            Expr::Text(pieces) => Value::String(written_out(pieces, known)),
            Expr::List(items) => Value::Array(items.iter().map(|item| item.value(known)).collect()),
            Expr::Map(map) => {
                Value::Object(map.iter().map(|(name, item)| (name.clone(), item.value(known))).collect::<Map<_, _>>())
            }
        }
    }

    /// The first words of the names in it.
    pub fn names(&self, found: &mut Vec<String>) {
        match self {
            Expr::Literal(_) => {}
            Expr::Name(name) => found.extend(name.first().cloned()),
            Expr::Text(pieces) => names_of(pieces, found),
            Expr::List(items) => items.iter().for_each(|item| item.names(found)),
            Expr::Map(map) => map.iter().for_each(|(_, item)| item.names(found)),
        }
    }
}

/// A place in an object's state: names separated by `.`, each plain or with `$names` in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    steps: Vec<Vec<Piece>>,
    /// As it is written.
    pub written: String,
}

impl Place {
    /// Reads a place.
    pub fn read(written: &str) -> Result<Place, String> {
        let steps = written.split('.').map(pieces).collect::<Result<Vec<_>, _>>()?;
        if steps.iter().any(Vec::is_empty) {
            return Err(format!("`{written}` is not a place: names separated by `.`"));
        }
        Ok(Place { steps, written: written.to_owned() })
    }

    /// Its steps, with names as they stand in `known`.
    pub fn steps(&self, known: &Known) -> Vec<String> {
        self.steps.iter().map(|step| written_out(step, known)).collect()
    }

    /// The first words of the names in it.
    pub fn names(&self, found: &mut Vec<String>) {
        self.steps.iter().for_each(|step| names_of(step, found));
    }
}

fn names_of(pieces: &[Piece], found: &mut Vec<String>) {
    for piece in pieces {
        if let Piece::Name(name) = piece {
            found.extend(name.first().cloned());
        }
    }
}

fn look_up(name: &[String], known: &Known) -> Value {
    let Some((first, rest)) = name.split_first() else { return Value::Null };
    let mut at = known.get(first);
    for step in rest {
        at = at.and_then(|value| value.get(step));
    }
    at.cloned().unwrap_or(Value::Null)
}

fn written_out(pieces: &[Piece], known: &Known) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Plain(plain) => text.push_str(plain),
            Piece::Name(name) => match look_up(name, known) {
                Value::String(value) => text.push_str(&value),
                Value::Null => {}
                value => text.push_str(&value.to_string()),
            },
        }
    }
    text
}

/// Cuts text at its names. `$$` is a dollar sign; a dot belongs to a name only where a word follows it.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find('$') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            plain.push('$');
            rest = after;
            continue;
        }
        let mut name = Vec::new();
        loop {
            let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
            if end == 0 {
                return Err(format!("`{text}` has a `$` without a name; write `$$` for the sign itself"));
            }
            name.push(rest[..end].to_owned());
            rest = &rest[end..];
            match rest.strip_prefix('.').filter(|after| after.starts_with(word)) {
                Some(after) => rest = after,
                None => break,
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Plain(std::mem::take(&mut plain)));
        }
        pieces.push(Piece::Name(name));
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Plain(plain));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn known() -> Known {
        [
            ("id".to_owned(), json!("a.$by")),
            ("by".to_owned(), json!("qa")),
            ("state".to_owned(), json!({"n": {"m": 3}})),
        ]
        .into()
    }

    #[test]
    fn a_name_alone_is_the_value_and_within_text_it_is_written_out() {
        for (written, value) in [
            (json!("$state.n"), json!({"m": 3})),
            (json!("t$state.n.m"), json!("t3")),
            (json!("by $by."), json!("by qa.")),
            (json!("5 $$"), json!("5 $")),
            (json!({"list": ["$by", 1]}), json!({"list": ["qa", 1]})),
            (json!("$state.none"), json!(null)),
        ] {
            assert_eq!(Expr::read(&written).unwrap().value(&known()), value, "{written}");
        }
        assert!(Expr::read(&json!("a $ b")).is_err());
    }

    #[test]
    fn what_a_message_brings_never_splits_a_place_nor_names_anything() {
        let place = Place::read("tasks.$id.title").unwrap();
        assert_eq!(place.steps(&known()), ["tasks", "a.$by", "title"]);
        assert_eq!(Expr::read(&json!("$id")).unwrap().value(&known()), json!("a.$by"));
        assert!(Place::read("a..b").is_err());
    }
}
