//! The shapes that an object's state and a message's arguments must have.
//!
//! A shape in a template is a word (`text`, `integer`, `number`, `boolean`, `any`, each with `?` where it may be
//! null) or one of `{list: ..}`, `{map: ..}`, `{fields: {..}}`, `{one_of: [..]}`, `{text: N}` (at most N bytes).
//! Pure: a value fits or the first place that does not is named.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Anything.
    Any,
    /// Text of at most so many bytes.
    Text(usize),
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// One of these words.
    OneOf(Vec<String>),
    /// A list of such.
    List(Box<Shape>),
    /// Named values of one shape, under any names.
    Map(Box<Shape>),
    /// Named values, each of its shape; no others.
    Fields(BTreeMap<String, Field>),
    /// Null, or such.
    Optional(Box<Shape>),
}

/// One of the named values of a shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// What it must be.
    pub shape: Shape,
    /// What it is where it was not given.
    pub default: Option<Value>,
}

/// Text is as long as it likes where a template says nothing.
const ANY_LENGTH: usize = usize::MAX;

impl Shape {
    /// Reads a shape as a template writes it.
    pub fn read(written: &Value) -> Result<Shape, String> {
        match written {
            Value::String(word) => match word.strip_suffix('?') {
                Some(word) => Ok(Shape::Optional(Box::new(Shape::word(word)?))),
                None => Shape::word(word),
            },
            Value::Object(map) if map.len() == 1 => {
                let (key, inner) = map.iter().next().ok_or("an empty shape")?;
                match (key.as_str(), inner) {
                    ("list", inner) => Ok(Shape::List(Box::new(Shape::read(inner)?))),
                    ("map", inner) => Ok(Shape::Map(Box::new(Shape::read(inner)?))),
                    ("fields", Value::Object(fields)) => Shape::fields(fields),
                    ("one_of", Value::Array(words)) => {
                        let word = |w: &Value| w.as_str().map(str::to_owned).ok_or("`one_of` takes words".to_owned());
                        Ok(Shape::OneOf(words.iter().map(word).collect::<Result<_, _>>()?))
                    }
                    ("text", Value::Number(most)) => {
                        let most = most.as_u64().and_then(|n| usize::try_from(n).ok());
                        Ok(Shape::Text(most.ok_or("`text` takes a number of bytes")?))
                    }
                    _ => Err(format!("`{key}` is not a shape: use list, map, fields, one_of or text")),
                }
            }
            other => Err(format!("`{other}` is not a shape")),
        }
    }

    fn word(word: &str) -> Result<Shape, String> {
        match word {
            "any" => Ok(Shape::Any),
            "text" => Ok(Shape::Text(ANY_LENGTH)),
            "integer" => Ok(Shape::Integer),
            "number" => Ok(Shape::Number),
            "boolean" => Ok(Shape::Boolean),
            _ => Err(format!(
                "`{word}` is not a shape: use text, integer, number, boolean or any, with `?` for optional"
            )),
        }
    }

    /// Reads named values, each a shape or `{is: shape, default: value}`.
    pub fn fields(written: &Map<String, Value>) -> Result<Shape, String> {
        let mut fields = BTreeMap::new();
        for (name, written) in written {
            let (shape, default) = match written {
                Value::Object(map) if map.contains_key("is") => (&map["is"], map.get("default").cloned()),
                shape => (shape, None),
            };
            let shape = Shape::read(shape).map_err(|why| format!("`{name}`: {why}"))?;
            if let Some(default) = &default {
                shape.fits(default).map_err(|why| format!("the default of `{name}`: {why}"))?;
            }
            fields.insert(name.clone(), Field { shape, default });
        }
        Ok(Shape::Fields(fields))
    }

    /// Whether `value` is such; else the first place that is not.
    pub fn fits(&self, value: &Value) -> Result<(), String> {
        self.look(value, &mut Vec::new())
    }

    /// `given` with what was left out: defaults, and null for what may be null. Not yet checked.
    pub fn completed(&self, given: Value) -> Value {
        let (Shape::Fields(fields), Value::Object(mut given)) = (self, given.clone()) else { return given };
        for (name, field) in fields {
            if !given.contains_key(name) {
                match (&field.default, &field.shape) {
                    (Some(default), _) => drop(given.insert(name.clone(), default.clone())),
                    (None, Shape::Optional(_)) => drop(given.insert(name.clone(), Value::Null)),
                    (None, _) => {}
                }
            }
        }
        Value::Object(given)
    }

    fn look<'a>(&'a self, value: &'a Value, at: &mut Vec<&'a str>) -> Result<(), String> {
        let place = |at: &[&str]| if at.is_empty() { "it".to_owned() } else { format!("`{}`", at.join(".")) };
        let wanted = |what: &str, at: &[&str]| Err(format!("{} must be {what}", place(at)));
        match (self, value) {
            (Shape::Any, _) | (Shape::Boolean, Value::Bool(_)) | (Shape::Number, Value::Number(_)) => Ok(()),
            (Shape::Optional(_), Value::Null) => Ok(()),
            (Shape::Optional(inner), value) => inner.look(value, at),
            (Shape::Integer, Value::Number(n)) if n.is_i64() || n.is_u64() => Ok(()),
            (Shape::Text(most), Value::String(text)) if text.len() <= *most => Ok(()),
            (Shape::Text(most), Value::String(text)) => {
                wanted(&format!("at most {most} bytes of text, not {}", text.len()), at)
            }
            (Shape::OneOf(words), Value::String(word)) if words.contains(word) => Ok(()),
            (Shape::List(inner), Value::Array(items)) => items.iter().try_for_each(|item| inner.look(item, at)),
            (Shape::Map(inner), Value::Object(map)) => map.iter().try_for_each(|(name, value)| {
                at.push(name);
                inner.look(value, at)?;
                at.pop();
                Ok(())
            }),
            (Shape::Fields(fields), Value::Object(map)) => {
                if let Some(extra) = map.keys().find(|name| !fields.contains_key(*name)) {
                    let known: Vec<&str> = fields.keys().map(String::as_str).collect();
                    let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
                    return Err(format!("{} has no `{extra}`; it has {known}", place(at)));
                }
                for (name, field) in fields {
                    at.push(name);
                    match map.get(name) {
                        Some(value) => field.shape.look(value, at)?,
                        None if matches!(field.shape, Shape::Optional(_)) => {}
                        None => return Err(format!("{} is missing", place(at))),
                    }
                    at.pop();
                }
                Ok(())
            }
            (Shape::Text(_), _) => wanted("text", at),
            (Shape::Integer, _) => wanted("a whole number", at),
            (Shape::Number, _) => wanted("a number", at),
            (Shape::Boolean, _) => wanted("true or false", at),
            (Shape::OneOf(words), _) => wanted(&format!("one of {}", words.join(", ")), at),
            (Shape::List(_), _) => wanted("a list", at),
            (Shape::Map(_) | Shape::Fields(_), _) => wanted("named values", at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_place_that_does_not_fit_is_named() {
        let written = json!({"fields": {"tasks": {"map": {"fields": {"title": {"text": 5}, "who": "text?"}}}}});
        let shape = Shape::read(&written).unwrap();
        assert_eq!(shape.fits(&json!({"tasks": {"a": {"title": "x", "who": null}, "b": {"title": "y"}}})), Ok(()));
        for (value, why) in [
            (json!([]), "it must be named values"),
            (json!({}), "`tasks` is missing"),
            (json!({"tasks": {}, "more": 1}), "it has no `more`; it has tasks"),
            (json!({"tasks": {"a": {"who": "x"}}}), "`tasks.a.title` is missing"),
            (json!({"tasks": {"a": {"title": 1}}}), "`tasks.a.title` must be text"),
            (json!({"tasks": {"a": {"title": "longer"}}}), "`tasks.a.title` must be at most 5 bytes of text, not 6"),
        ] {
            assert_eq!(shape.fits(&value).unwrap_err(), why);
        }
    }

    #[test]
    fn a_shape_that_is_none_is_refused_with_its_name() {
        for (written, why) in [
            (
                json!("string"),
                "`string` is not a shape: use text, integer, number, boolean or any, with `?` for optional",
            ),
            (json!({"array": "text"}), "`array` is not a shape: use list, map, fields, one_of or text"),
            (json!(3), "`3` is not a shape"),
        ] {
            assert_eq!(Shape::read(&written).unwrap_err(), why);
        }
    }

    #[test]
    fn what_was_left_out_is_filled_in() {
        let written = json!({"by": {"is": "integer", "default": 1}, "why": "text?", "who": "text"});
        let shape = Shape::fields(written.as_object().unwrap()).unwrap();
        let given = shape.completed(json!({"who": "me"}));
        assert_eq!(given, json!({"by": 1, "why": null, "who": "me"}));
        assert_eq!(shape.fits(&given), Ok(()));
        assert_eq!(shape.fits(&shape.completed(json!({}))).unwrap_err(), "`who` is missing");
    }
}
