//! Handles messages to objects and to the objects those call: what is recorded, and what each is afterwards.
//!
//! All of it is one draft: the events of every object that took part are appended together or not at all. An object
//! that is asked while it waits for the asker's answer is a circle and is refused by name; nothing ever hangs.

use crate::objects::handler::{Handling, Pause};
use crate::objects::refusal::Refusal;
use crate::objects::template::{TERMINATE, Template, is_kind};
use atelier_protocol::error::Problem;
use atelier_protocol::event::{Event, Lifecycle};
use atelier_protocol::hash::Hash;
use atelier_protocol::view::ObjectView;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Objects that may wait for each other in a chain.
const DEEPEST: usize = 8;

/// A message to an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Tell {
    /// The object, as `kind/name`.
    pub object: String,
    /// The handler.
    pub handler: String,
    /// What it is told: named values, or null for none.
    pub arguments: Value,
    /// Who tells: a door, a role, a consumer.
    pub by: String,
    /// Only where the object has this version; 0 is only where it does not exist.
    pub version: Option<u64>,
}

/// An object as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Raised by one with each change.
    pub version: u64,
    /// Version of the state's schema.
    pub schema: u32,
    /// Hash of the template it was handled by last.
    pub template: Hash,
    /// Where it is in its life.
    pub life: Lifecycle,
    /// Whether this process holds it.
    pub awake: bool,
    /// Its state.
    pub state: Value,
    /// What the last message answered.
    pub answer: Value,
}

impl Known {
    /// It as a screen shows it.
    pub fn view(&self, object: &str) -> ObjectView {
        ObjectView {
            object: object.to_owned(),
            version: self.version,
            schema: self.schema,
            life: self.life,
            state: self.state.clone(),
            answer: self.answer.clone(),
        }
    }
}

/// Where objects are kept.
pub trait Shelf: Send {
    /// An object as the history says; `None` where there is none.
    fn get<'a>(&'a mut self, object: &'a str) -> BoxFuture<'a, Result<Option<Known>, Problem>>;
}

/// What messages will have done once it is recorded.
pub struct Draft<'a> {
    kinds: &'a BTreeMap<String, Template>,
    shelf: &'a mut dyn Shelf,
    /// The objects that took part, as they will be.
    pub objects: BTreeMap<String, Known>,
    /// What is to be recorded, in order.
    pub events: Vec<Event>,
    waiting: Vec<String>,
}

impl<'a> Draft<'a> {
    /// An empty draft.
    pub fn new(kinds: &'a BTreeMap<String, Template>, shelf: &'a mut dyn Shelf) -> Self {
        Self { kinds, shelf, objects: BTreeMap::new(), events: Vec::new(), waiting: Vec::new() }
    }

    /// Handles a message from outside. After a refusal the draft is of no use.
    pub async fn tell(&mut self, tell: &Tell) -> Result<ObjectView, Refusal> {
        if let Some(expected) = tell.version {
            kind_of(&tell.object)?;
            let actual = self.look(&tell.object).await?.map_or(0, |known| known.version);
            if actual != expected {
                return Err(Refusal::Stale { object: tell.object.clone(), expected, actual });
            }
        }
        let answer = self.handle(&tell.object, &tell.handler, tell.arguments.clone(), &tell.by).await?;
        let known = self.objects.get(&tell.object);
        let mut view = known
            .map(|known| known.view(&tell.object))
            .ok_or_else(|| Refusal::Unknown { object: tell.object.clone() })?;
        view.answer = answer;
        Ok(view)
    }

    async fn look(&mut self, object: &str) -> Result<Option<Known>, Refusal> {
        match self.objects.get(object) {
            Some(known) => Ok(Some(known.clone())),
            None => self.shelf.get(object).await.map_err(Refusal::Store),
        }
    }

    /// Boxed, since a handler may call another object.
    fn handle<'b>(
        &'b mut self,
        object: &'b str,
        handler: &'b str,
        arguments: Value,
        by: &'b str,
    ) -> BoxFuture<'b, Result<Value, Refusal>> {
        Box::pin(async move {
            let kind = kind_of(object)?;
            if self.waiting.iter().any(|waits| waits == object) {
                return Err(Refusal::Cycle { circle: self.chain(object) });
            }
            if self.waiting.len() >= DEEPEST {
                return Err(Refusal::TooDeep { most: DEEPEST, chain: self.chain(object) });
            }
            let kinds = self.kinds;
            let template = kinds.get(kind).ok_or_else(|| Refusal::UnknownKind {
                kind: kind.to_owned(),
                known: kinds.keys().cloned().collect::<Vec<_>>().join(", "),
            })?;
            let mut known = self.awake(object, template).await?;
            if handler == TERMINATE {
                known.life = Lifecycle::Terminating;
                self.passed(object, Lifecycle::Terminating);
                self.objects.insert(object.to_owned(), known);
                return Ok(Value::Null);
            }
            let Some(declared) = template.handlers.get(handler) else {
                let mut names: Vec<&str> = template.handlers.keys().map(String::as_str).collect();
                names.push(TERMINATE);
                return Err(Refusal::UnknownHandler {
                    object: object.to_owned(),
                    handler: handler.to_owned(),
                    known: names.join(", "),
                });
            };
            let not_taken =
                |why: String| Refusal::NotTaken { object: object.to_owned(), handler: handler.to_owned(), why };
            let given = if arguments.is_null() { Value::Object(Map::new()) } else { arguments };
            let given = declared.takes.completed(given);
            declared.takes.fits(&given).map_err(not_taken)?;
            self.waiting.push(object.to_owned());
            let mut handling = Handling::new(&declared.does, object, known.state.clone(), &given, by);
            let (state, answer) = loop {
                match handling.go_on().map_err(not_taken)? {
                    Pause::Done { state, answer } => break (state, answer),
                    Pause::Call { object: other, handler, arguments } => {
                        let answer = self.handle(&other, &handler, arguments, object).await?;
                        handling.answered(answer);
                    }
                }
            };
            self.waiting.pop();
            if state != known.state {
                self.change(
                    object,
                    template,
                    &mut known,
                    Change { handler, arguments: given, by, state, answer: &answer },
                )?;
            }
            known.answer = answer.clone();
            self.objects.insert(object.to_owned(), known);
            Ok(answer)
        })
    }

    /// The object, made where it is not there, brought back from the store where it left memory, and moved to the
    /// template's version where its state is older.
    async fn awake(&mut self, object: &str, template: &Template) -> Result<Known, Refusal> {
        let Some(mut known) = self.look(object).await? else {
            self.passed(object, Lifecycle::Created);
            self.passed(object, Lifecycle::Initialising);
            self.events.push(Event::ObjectMade {
                object: object.to_owned(),
                template: template.hash.clone(),
                schema: template.version,
                state: template.first.clone(),
            });
            self.passed(object, Lifecycle::Active);
            return Ok(Known {
                version: 1,
                schema: template.version,
                template: template.hash.clone(),
                life: Lifecycle::Active,
                awake: true,
                state: template.first.clone(),
                answer: Value::Null,
            });
        };
        if known.life == Lifecycle::Terminating {
            return Err(Refusal::Ended { object: object.to_owned() });
        }
        if known.schema > template.version {
            let (found, known) = (known.schema, template.version);
            return Err(Refusal::Newer { object: object.to_owned(), found, known });
        }
        let asleep = !known.awake;
        if asleep {
            self.passed(object, Lifecycle::Waking);
        }
        let old = known.schema < template.version;
        if old {
            self.passed(object, Lifecycle::Updating);
            let misfit = |why: String| Refusal::Misfit { object: object.to_owned(), why };
            let mut state = known.state.clone();
            for from in known.schema..template.version {
                let acts = template.migrations.get(&from).map_or(&[][..], Vec::as_slice);
                let mut handling = Handling::new(acts, object, state, &Value::Null, "template");
                state = match handling.go_on().map_err(misfit)? {
                    Pause::Done { state, .. } => state,
                    Pause::Call { .. } => return Err(misfit("a migration asks no other object".to_owned())),
                };
            }
            let change = Change { handler: "", arguments: Value::Null, by: "template", state, answer: &Value::Null };
            self.change(object, template, &mut known, change)?;
        } else if known.template != template.hash {
            let misfit = |why: String| Refusal::Misfit { object: object.to_owned(), why };
            template.state.fits(&known.state).map_err(misfit)?;
        }
        if asleep || old {
            self.passed(object, Lifecycle::Active);
        }
        (known.awake, known.life) = (true, Lifecycle::Active);
        Ok(known)
    }

    fn change(
        &mut self,
        object: &str,
        template: &Template,
        known: &mut Known,
        change: Change<'_>,
    ) -> Result<(), Refusal> {
        let misfit = |why: String| Refusal::Misfit { object: object.to_owned(), why };
        template.state.fits(&change.state).map_err(misfit)?;
        let bytes = change.state.to_string().len();
        if bytes > template.most_bytes {
            return Err(Refusal::TooLarge { object: object.to_owned(), bytes, limit: template.most_bytes });
        }
        known.version += 1;
        known.schema = template.version;
        known.template = template.hash.clone();
        known.state = change.state.clone();
        self.events.push(Event::ObjectChanged {
            object: object.to_owned(),
            version: known.version,
            handler: change.handler.to_owned(),
            arguments: change.arguments,
            by: change.by.to_owned(),
            template: template.hash.clone(),
            schema: template.version,
            state: change.state,
            answer: change.answer.clone(),
        });
        Ok(())
    }

    fn passed(&mut self, object: &str, life: Lifecycle) {
        self.events.push(Event::ObjectPassed { object: object.to_owned(), life });
    }

    fn chain(&self, last: &str) -> String {
        let mut chain = self.waiting.clone();
        chain.push(last.to_owned());
        chain.join(" → ")
    }
}

struct Change<'a> {
    handler: &'a str,
    arguments: Value,
    by: &'a str,
    state: Value,
    answer: &'a Value,
}

/// The kind in an object's name.
pub fn kind_of(object: &str) -> Result<&str, Refusal> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    object
        .split_once('/')
        .filter(|(kind, name)| is_kind(kind) && !name.is_empty() && name.len() <= 80 && name.bytes().all(plain))
        .map(|(kind, _)| kind)
        .ok_or_else(|| Refusal::NoName { object: object.to_owned() })
}
