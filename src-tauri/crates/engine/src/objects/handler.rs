//! What an object does about a message: declared operations on its state, one after another.
//!
//! Pure: a state, arguments and the same operations give the same state, answer and questions to other objects. Where
//! another object must be asked, the handling pauses and is gone on with by whoever asked it. A handling that is
//! refused has changed nothing.

use crate::objects::trim::{self, Trim};
use crate::objects::words::{Expr, Known, Place};
use serde::Deserialize;
use serde_json::{Map, Value};

/// One operation, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Puts a value at a place.
    Set { at: Place, to: Expr },
    /// Adds to the whole number at a place.
    Add { at: Place, by: Expr },
    /// Puts a value at the end of the list at a place.
    Push { at: Place, value: Expr },
    /// Takes what is at a place away; of a list, the items whose named values are these.
    Remove { at: Place, of: Vec<(String, Expr)> },
    /// Puts named values over those at a place.
    Merge { at: Place, with: Expr },
    /// Goes on only where this holds.
    Require { test: Test, otherwise: Expr },
    /// Gives a value a name.
    Let { name: String, be: Expr },
    /// The items of a list in which all words of a text occur get a name; of an empty text, all.
    Find { at: Place, words: Expr, most: usize, into: String },
    /// Keeps a list within a size: the oldest items become lines of a text.
    Trim(Trim),
    /// Another object handles a message first.
    Call { object: Expr, handler: String, with: Expr, into: Option<String> },
    /// What the teller is told.
    Answer(Expr),
}

/// What must hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// There is something at a place.
    Has(Place),
    /// There is nothing at a place.
    Lacks(Place),
    /// A value is this one.
    Is(Expr, Expr),
    /// A value is not this one.
    IsNot(Expr, Expr),
    /// A number is at least this one.
    AtLeast(Expr, Expr),
    /// A number is at most this one.
    AtMost(Expr, Expr),
}

/// One operation as a template writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    Set(SetWritten),
    Add(AddWritten),
    Push(PushWritten),
    Remove(RemoveWritten),
    Merge(MergeWritten),
    Require(RequireWritten),
    Let(LetWritten),
    Find(FindWritten),
    Trim(trim::Written),
    Call(CallWritten),
    Answer(Value),
}

macro_rules! written {
    ($($name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$meta])* $field: $type,)* }
    )*};
}

written! {
    SetWritten { at: String, to: Value, }
    AddWritten { at: String, by: Value, }
    PushWritten { at: String, value: Value, }
    RemoveWritten { at: String, #[serde(default)] of: Map<String, Value>, }
    MergeWritten { at: String, with: Value, }
    RequireWritten {
        #[serde(default)] has: Option<String>,
        #[serde(default)] lacks: Option<String>,
        #[serde(default)] that: Option<Value>,
        #[serde(default)] is: Option<Value>,
        #[serde(default)] is_not: Option<Value>,
        #[serde(default)] at_least: Option<Value>,
        #[serde(default)] at_most: Option<Value>,
        #[serde(default)] otherwise: Value,
    }
    LetWritten { name: String, be: Value, }
    FindWritten { at: String, words: Value, most: usize, into: String, }
    CallWritten { object: Value, handler: String, #[serde(default)] with: Map<String, Value>, #[serde(default)] into: Option<String>, }
}

impl Act {
    /// Reads an operation. `names` are those that stand for something here; what it names is added.
    pub fn read(written: &Written, names: &mut Vec<String>) -> Result<Act, String> {
        let act = Act::parse(written)?;
        let mut used = Vec::new();
        act.names(&mut used);
        if let Some(unknown) = used.iter().find(|name| !names.contains(name)) {
            return Err(format!("`${unknown}` stands for nothing here; there are {}", names.join(", ")));
        }
        let named = match &act {
            Act::Let { name, .. } => Some(name),
            Act::Find { into, .. } => Some(into),
            Act::Call { into, .. } => into.as_ref(),
            _ => None,
        };
        if let Some(name) = named {
            if names.contains(name) {
                return Err(format!("`{name}` stands for something already"));
            }
            names.push(name.clone());
        }
        Ok(act)
    }

    fn parse(written: &Written) -> Result<Act, String> {
        Ok(match written {
            Written::Set(w) => Act::Set { at: Place::read(&w.at)?, to: Expr::read(&w.to)? },
            Written::Add(w) => Act::Add { at: Place::read(&w.at)?, by: Expr::read(&w.by)? },
            Written::Push(w) => Act::Push { at: Place::read(&w.at)?, value: Expr::read(&w.value)? },
            Written::Remove(w) => {
                let of = w.of.iter().map(|(name, value)| Ok((name.clone(), Expr::read(value)?)));
                Act::Remove { at: Place::read(&w.at)?, of: of.collect::<Result<_, String>>()? }
            }
            Written::Merge(w) => Act::Merge { at: Place::read(&w.at)?, with: Expr::read(&w.with)? },
            Written::Require(w) if w.otherwise.is_null() => {
                return Err("`require` does not say what holds `otherwise`".to_owned());
            }
            Written::Require(w) => Act::Require { test: Test::read(w)?, otherwise: Expr::read(&w.otherwise)? },
            Written::Let(w) => Act::Let { name: w.name.clone(), be: Expr::read(&w.be)? },
            Written::Find(w) => {
                Act::Find { at: Place::read(&w.at)?, words: Expr::read(&w.words)?, most: w.most, into: w.into.clone() }
            }
            Written::Trim(w) => Act::Trim(Trim::read(w)?),
            Written::Call(w) => Act::Call {
                object: Expr::read(&w.object)?,
                handler: w.handler.clone(),
                with: Expr::read(&Value::Object(w.with.clone()))?,
                into: w.into.clone(),
            },
            Written::Answer(value) => Act::Answer(Expr::read(value)?),
        })
    }

    fn names(&self, found: &mut Vec<String>) {
        match self {
            Act::Set { at, to: value } | Act::Add { at, by: value } | Act::Push { at, value } => {
                at.names(found);
                value.names(found);
            }
            Act::Merge { at, with: value } | Act::Find { at, words: value, .. } => {
                at.names(found);
                value.names(found);
            }
            Act::Remove { at, of } => {
                at.names(found);
                of.iter().for_each(|(_, value)| value.names(found));
            }
            Act::Require { test, otherwise } => {
                test.names(found);
                otherwise.names(found);
            }
            Act::Let { be: value, .. } | Act::Answer(value) => value.names(found),
            Act::Call { object, with, .. } => {
                object.names(found);
                with.names(found);
            }
            Act::Trim(_) => {}
        }
    }
}

impl Test {
    /// Reads a test.
    pub fn read(w: &RequireWritten) -> Result<Test, String> {
        let expr = |value: &Option<Value>| value.as_ref().map(Expr::read).transpose();
        let that = expr(&w.that)?;
        let tests = [
            w.has.as_deref().map(Place::read).transpose()?.map(Test::Has),
            w.lacks.as_deref().map(Place::read).transpose()?.map(Test::Lacks),
            that.clone().zip(expr(&w.is)?).map(|(a, b)| Test::Is(a, b)),
            that.clone().zip(expr(&w.is_not)?).map(|(a, b)| Test::IsNot(a, b)),
            that.clone().zip(expr(&w.at_least)?).map(|(a, b)| Test::AtLeast(a, b)),
            that.zip(expr(&w.at_most)?).map(|(a, b)| Test::AtMost(a, b)),
        ];
        let mut tests = tests.into_iter().flatten();
        match (tests.next(), tests.next()) {
            (Some(test), None) => Ok(test),
            _ => Err("`require` takes one of has, lacks, or that with is, is_not, at_least or at_most".to_owned()),
        }
    }

    /// The first words of the names in it.
    pub fn names(&self, found: &mut Vec<String>) {
        match self {
            Test::Has(at) | Test::Lacks(at) => at.names(found),
            Test::Is(a, b) | Test::IsNot(a, b) | Test::AtLeast(a, b) | Test::AtMost(a, b) => {
                a.names(found);
                b.names(found);
            }
        }
    }

    /// Whether it holds.
    pub fn holds(&self, state: &Value, known: &Known) -> bool {
        let number = |value: Value| value.as_f64();
        match self {
            Test::Has(at) => find(state, &at.steps(known)).is_some_and(|value| !value.is_null()),
            Test::Lacks(at) => find(state, &at.steps(known)).is_none_or(Value::is_null),
            Test::Is(a, b) => a.value(known) == b.value(known),
            Test::IsNot(a, b) => a.value(known) != b.value(known),
            Test::AtLeast(a, b) => number(a.value(known)).zip(number(b.value(known))).is_some_and(|(a, b)| a >= b),
            Test::AtMost(a, b) => number(a.value(known)).zip(number(b.value(known))).is_some_and(|(a, b)| a <= b),
        }
    }
}

/// A message being handled.
pub struct Handling<'a> {
    acts: &'a [Act],
    next: usize,
    known: Known,
    into: Option<String>,
    answer: Value,
}

/// How far a handling came.
#[derive(Debug, Clone, PartialEq)]
pub enum Pause {
    /// It is done.
    Done {
        /// The new state.
        state: Value,
        /// What the teller is told.
        answer: Value,
    },
    /// Another object must handle a message first.
    Call {
        /// The object.
        object: String,
        /// Its handler.
        handler: String,
        /// What it is told.
        arguments: Value,
    },
}

/// The names that every handler knows besides its arguments.
pub const NAMES: [&str; 3] = ["state", "by", "object"];

impl<'a> Handling<'a> {
    /// Begins to handle a message.
    pub fn new(acts: &'a [Act], object: &str, state: Value, arguments: &Value, by: &str) -> Self {
        let mut known: Known = match arguments {
            Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            _ => Known::new(),
        };
        known.insert("state".to_owned(), state);
        known.insert("by".to_owned(), by.into());
        known.insert("object".to_owned(), object.into());
        Self { acts, next: 0, known, into: None, answer: Value::Null }
    }

    /// Takes what the object that was asked answered.
    pub fn answered(&mut self, answer: Value) {
        if let Some(name) = self.into.take() {
            self.known.insert(name, answer);
        }
    }

    /// Goes on to the end or to the next question. Errors say in words why the message is refused.
    pub fn go_on(&mut self) -> Result<Pause, String> {
        while let Some(act) = self.acts.get(self.next) {
            self.next += 1;
            if let Act::Call { object, handler, with, into } = act {
                self.into.clone_from(into);
                let Value::String(object) = object.value(&self.known) else {
                    return Err(format!("`call` of `{handler}` names no object"));
                };
                return Ok(Pause::Call { object, handler: handler.clone(), arguments: with.value(&self.known) });
            }
            self.act(act)?;
        }
        let state = self.known.get("state").cloned().unwrap_or(Value::Null);
        Ok(Pause::Done { state, answer: self.answer.take() })
    }

    fn act(&mut self, act: &Act) -> Result<(), String> {
        let known = &self.known;
        match act {
            Act::Set { at, to } => {
                let (steps, value) = (at.steps(known), to.value(known));
                *self.place(at, &steps)? = value;
            }
            Act::Add { at, by } => {
                let (steps, by) = (at.steps(known), by.value(known));
                let by = by.as_i64().ok_or_else(|| format!("`add` takes a whole number, not {by}"))?;
                let place = self.place(at, &steps)?;
                let now = match &*place {
                    Value::Null => 0,
                    value => value.as_i64().ok_or_else(|| format!("`{}` is no whole number", at.written))?,
                };
                let sum = now.checked_add(by).ok_or_else(|| format!("`{}` would become too large", at.written))?;
                *place = sum.into();
            }
            Act::Push { at, value } => {
                let (steps, value) = (at.steps(known), value.value(known));
                match self.place(at, &steps)? {
                    Value::Array(items) => items.push(value),
                    place @ Value::Null => *place = Value::Array(vec![value]),
                    _ => return Err(format!("`{}` is no list", at.written)),
                }
            }
            Act::Remove { at, of } => {
                let steps = at.steps(known);
                let of: Vec<(String, Value)> = of.iter().map(|(n, e)| (n.clone(), e.value(known))).collect();
                self.remove(at, &steps, &of)?;
            }
            Act::Merge { at, with } => {
                let (steps, with) = (at.steps(known), with.value(known));
                let Value::Object(with) = with else { return Err("`merge` takes named values".to_owned()) };
                match self.place(at, &steps)? {
                    Value::Object(map) => map.extend(with),
                    place @ Value::Null => *place = Value::Object(with),
                    _ => return Err(format!("`{}` has no named values", at.written)),
                }
            }
            Act::Require { test, otherwise } => {
                if !test.holds(self.state(), known) {
                    return Err(match otherwise.value(known) {
                        Value::String(text) => text,
                        other => other.to_string(),
                    });
                }
            }
            Act::Let { name, be } => {
                let value = be.value(known);
                self.known.insert(name.clone(), value);
            }
            Act::Find { at, words, most, into } => {
                let words = words.value(known);
                let words: Vec<String> =
                    words.as_str().unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
                let list = find(self.state(), &at.steps(known)).and_then(Value::as_array);
                let found = list.into_iter().flatten().rev().filter(|item| mentions(item, &words)).take(*most).cloned();
                let found = Value::Array(found.collect());
                self.known.insert(into.clone(), found);
            }
            Act::Trim(trim) => {
                if let Some(state) = self.known.get_mut("state") {
                    trim.keep(state)?;
                }
            }
            Act::Answer(value) => self.answer = value.value(known),
            Act::Call { .. } => {} // paused at before
        }
        Ok(())
    }

    fn state(&self) -> &Value {
        self.known.get("state").unwrap_or(&Value::Null)
    }

    /// The place that `steps` lead to; the last name is made where it is not there yet.
    fn place(&mut self, at: &Place, steps: &[String]) -> Result<&mut Value, String> {
        let mut place = self.known.entry("state".to_owned()).or_insert(Value::Null);
        let last = steps.len().saturating_sub(1);
        for (n, step) in steps.iter().enumerate() {
            let Value::Object(map) = place else { return Err(format!("there is no `{}`", at.written)) };
            place = match n == last {
                true => map.entry(step.clone()).or_insert(Value::Null),
                false => map.get_mut(step).ok_or_else(|| format!("there is no `{step}`"))?,
            };
        }
        Ok(place)
    }

    fn remove(&mut self, at: &Place, steps: &[String], of: &[(String, Value)]) -> Result<(), String> {
        if !of.is_empty() {
            let Value::Array(items) = self.place(at, steps)? else {
                return Err(format!("`{}` is no list", at.written));
            };
            items.retain(|item| !of.iter().all(|(name, value)| item.get(name) == Some(value)));
            return Ok(());
        }
        let Some((last, before)) = steps.split_last() else { return Ok(()) };
        let mut place = self.known.entry("state".to_owned()).or_insert(Value::Null);
        for step in before {
            place = place.get_mut(step).ok_or_else(|| format!("there is no `{step}`"))?;
        }
        let removed = place.as_object_mut().and_then(|map| map.remove(last));
        removed.map(|_| ()).ok_or_else(|| format!("there is no `{last}`"))
    }
}

fn find<'a>(state: &'a Value, steps: &[String]) -> Option<&'a Value> {
    steps.iter().try_fold(state, |at, step| at.get(step))
}

/// Whether every word occurs somewhere in the texts of `item`.
fn mentions(item: &Value, words: &[String]) -> bool {
    fn texts(value: &Value, text: &mut String) {
        match value {
            Value::String(part) => {
                text.push_str(&part.to_lowercase());
                text.push('\n');
            }
            Value::Array(items) => items.iter().for_each(|item| texts(item, text)),
            Value::Object(map) => map.values().for_each(|item| texts(item, text)),
            _ => {}
        }
    }
    let mut text = String::new();
    texts(item, &mut text);
    words.iter().all(|word| text.contains(word))
}
