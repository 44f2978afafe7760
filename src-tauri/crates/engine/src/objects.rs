//! Durable objects: named state with one writer, kept as events of the project's history.
//!
//! An object `kind/name` is what its last event says. Messages to objects are handled one after another, in the order
//! they came; what a message does to every object that takes part is appended together. The state is read from the
//! history: a copy in memory only saves reading it again, and leaves memory when nobody tells the object anything.
//! What a kind of object does is declared in its template; nothing here knows any kind.

mod cases;
mod handler;
mod refusal;
mod shape;
pub mod template;
#[cfg(test)]
pub(crate) mod tests;
mod trim;
mod words;
mod work;

pub use cases::play;
pub(crate) use handler::{RequireWritten as TestWritten, Test};
pub use refusal::Refusal;
pub(crate) use words::{Expr, Known as Named};
pub use work::Tell;

use atelier_journal::{Append, AppendError, Journal};
use atelier_protocol::Envelope;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Event, Lifecycle, NewEvent};
use atelier_protocol::hash::Hash;
use atelier_protocol::ids::Seq;
use atelier_protocol::ports::Clock;
use atelier_protocol::view::ObjectView;
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};
use work::{Draft, Known, Shelf, kind_of};

/// The events that objects are made of.
const KINDS: [&str; 3] = ["object_made", "object_changed", "object_passed"];
/// Events read at once.
const PAGE: usize = 500;

/// The objects of a project. A clone is the same objects.
#[derive(Clone)]
pub struct Objects {
    journal: Journal,
    clock: Arc<dyn Clock>,
    root: PathBuf,
    live: Arc<Mutex<Live>>,
}

/// What is known of the objects up to an event.
#[derive(Default)]
struct Live {
    upto: Seq,
    index: BTreeMap<String, Entry>,
    copies: HashMap<String, Copy>,
    /// Whether the events that come are this process's own.
    own: bool,
}

/// An object without its state.
struct Entry {
    version: u64,
    schema: u32,
    template: Hash,
    life: Lifecycle,
    awake: bool,
    /// The event that holds its state.
    state_at: Seq,
}

/// The state of an object in memory.
struct Copy {
    state: Value,
    answer: Value,
    used_ms: u64,
}

/// What messages do, ready to be appended; until it is dropped no other message is handled.
///
/// Append `events` with whatever must happen together with them, and drop this only afterwards. Where they are never
/// appended, the messages were never handled.
pub struct Told {
    /// What is to be appended; empty where nothing changed.
    pub events: Vec<NewEvent>,
    /// The objects that were told, in that order, as they are once it is appended.
    pub views: Vec<ObjectView>,
    _alone: OwnedMutexGuard<Live>,
}

impl Objects {
    /// The objects of the project in `root`.
    pub fn new(journal: Journal, clock: Arc<dyn Clock>, root: PathBuf) -> Self {
        Self { journal, clock, root, live: Arc::default() }
    }

    /// Lets an object handle a message; it is made where it does not exist. Answers once it is recorded.
    pub async fn tell(&self, tell: Tell) -> Result<ObjectView, Problem> {
        let told = self.prepare(vec![tell]).await?;
        let journal = self.journal.clone();
        // A task of its own: the next message must not be handled before this append is over, even where nobody waits.
        let appended = tokio::spawn(async move {
            let Told { events, mut views, _alone } = told;
            if !events.is_empty() {
                journal.append(events).await?;
            }
            Ok::<_, AppendError>(views.pop())
        });
        let view = appended.await.map_err(|e| defect(&format!("a message was not handled to its end: {e}")))??;
        view.ok_or_else(|| defect("a message was handled by nobody"))
    }

    /// Handles messages without recording what they do: all of them, or none where one is refused.
    pub async fn prepare(&self, tells: Vec<Tell>) -> Result<Told, Problem> {
        let mut alone = self.live.clone().lock_owned().await;
        alone.catch_up(&self.journal).await?;
        let kinds = template::load(Some(&self.root))?;
        let now = self.clock.now_ms();
        let mut shelf = Store { journal: &self.journal, live: &mut alone, now };
        let mut draft = Draft::new(&kinds, &mut shelf);
        let mut views = Vec::new();
        for tell in &tells {
            views.push(draft.tell(tell).await?);
        }
        let events = std::mem::take(&mut draft.events).into_iter().map(NewEvent::of_store).collect();
        Ok(Told { events, views, _alone: alone })
    }

    /// An object as it is, or as it was after an event.
    pub async fn show(&self, object: &str, at: Option<Seq>) -> Result<ObjectView, Problem> {
        kind_of(object)?;
        let unknown = || Problem::from(Refusal::Unknown { object: object.to_owned() });
        let Some(at) = at else {
            let mut live = self.live.clone().lock_owned().await;
            live.catch_up(&self.journal).await?;
            let mut shelf = Store { journal: &self.journal, live: &mut live, now: self.clock.now_ms() };
            return shelf.get(object).await?.map(|known| known.view(object)).ok_or_else(unknown);
        };
        let (mut then, mut state) = (Live::default(), None);
        let mut full = true;
        while full && then.upto < at {
            let page = self.journal.read_kinds(&KINDS, then.upto, PAGE).await?;
            full = page.len() == PAGE;
            for event in page.into_iter().take_while(|event| event.seq <= at) {
                then.upto = event.seq;
                if object_of(&event.event) == Some(object) {
                    then.apply(&event);
                    state = state_of(event.event).or(state);
                }
            }
            full &= then.upto < at;
        }
        let entry = then.index.get(object).ok_or_else(unknown)?;
        let (state, answer) = state.ok_or_else(unknown)?;
        Ok(entry.known(state, answer).view(object))
    }

    /// Every object with its state.
    pub async fn list(&self) -> Result<Vec<ObjectView>, Problem> {
        let mut live = self.live.clone().lock_owned().await;
        live.catch_up(&self.journal).await?;
        let names: Vec<String> = live.index.keys().cloned().collect();
        let mut shelf = Store { journal: &self.journal, live: &mut live, now: self.clock.now_ms() };
        let mut views = Vec::new();
        for object in names {
            views.extend(shelf.get(&object).await?.map(|known| known.view(&object)));
        }
        Ok(views)
    }

    /// Lets objects leave memory that nobody told anything for as long as their kinds say; answers which.
    pub async fn rest(&self) -> Result<Vec<String>, Problem> {
        let mut live = self.live.clone().lock_owned().await;
        live.catch_up(&self.journal).await?;
        let kinds = template::load(Some(&self.root))?;
        let now = self.clock.now_ms();
        let idle = |object: &str, copy: &Copy| {
            let kind = object.split_once('/').and_then(|(kind, _)| kinds.get(kind));
            now.saturating_sub(copy.used_ms) >= kind.map_or(0, |kind| kind.idle_ms)
        };
        let mut resting: Vec<String> =
            live.copies.iter().filter(|(object, copy)| idle(object, copy)).map(|(object, _)| object.clone()).collect();
        resting.sort();
        live.copies.retain(|object, _| !resting.contains(object));
        resting.retain(|object| live.index.get(object).is_some_and(|entry| entry.awake));
        let points = |object: &String| {
            let passed = |life| NewEvent::of_store(Event::ObjectPassed { object: object.clone(), life });
            [passed(Lifecycle::Idle), passed(Lifecycle::Hibernating)]
        };
        let events: Vec<NewEvent> = resting.iter().flat_map(points).collect();
        if !events.is_empty() {
            self.journal.append_marked(Append { events, ..Append::default() }).await?;
        }
        Ok(resting)
    }
}

impl Live {
    async fn catch_up(&mut self, journal: &Journal) -> Result<(), Problem> {
        let head = journal.last_seq();
        while self.upto < head {
            let page = journal.read_kinds(&KINDS, self.upto, PAGE).await?;
            let more = page.len() == PAGE;
            page.iter().for_each(|event| self.apply(event));
            if !more {
                self.upto = self.upto.max(head);
            }
        }
        self.own = true;
        Ok(())
    }

    fn apply(&mut self, envelope: &Envelope) {
        self.upto = envelope.seq;
        match &envelope.event {
            Event::ObjectMade { object, template, schema, state } => {
                let entry = Entry {
                    version: 1,
                    schema: *schema,
                    template: template.clone(),
                    life: Lifecycle::Initialising,
                    awake: self.own,
                    state_at: envelope.seq,
                };
                self.index.insert(object.clone(), entry);
                self.hold(object, state, &Value::Null, envelope.at_ms);
            }
            Event::ObjectChanged { object, version, template, schema, state, answer, .. } => {
                if let Some(entry) = self.index.get_mut(object) {
                    entry.version = *version;
                    entry.schema = *schema;
                    entry.template = template.clone();
                    entry.state_at = envelope.seq;
                }
                self.hold(object, state, answer, envelope.at_ms);
            }
            Event::ObjectPassed { object, life } => {
                if let Some(entry) = self.index.get_mut(object) {
                    entry.life = *life;
                    match life {
                        Lifecycle::Active => entry.awake = self.own,
                        Lifecycle::Hibernating | Lifecycle::Terminating => {
                            entry.awake = false;
                            self.copies.remove(object);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn hold(&mut self, object: &str, state: &Value, answer: &Value, at_ms: u64) {
        if self.own {
            let copy = Copy { state: state.clone(), answer: answer.clone(), used_ms: at_ms };
            self.copies.insert(object.to_owned(), copy);
        }
    }
}

impl Entry {
    fn known(&self, state: Value, answer: Value) -> Known {
        Known {
            version: self.version,
            schema: self.schema,
            template: self.template.clone(),
            life: self.life,
            awake: self.awake,
            state,
            answer,
        }
    }
}

/// The objects of the history.
struct Store<'a> {
    journal: &'a Journal,
    live: &'a mut Live,
    now: u64,
}

impl Shelf for Store<'_> {
    fn get<'a>(&'a mut self, object: &'a str) -> BoxFuture<'a, Result<Option<Known>, Problem>> {
        Box::pin(async move {
            let Some(entry) = self.live.index.get(object) else { return Ok(None) };
            if let Some(copy) = self.live.copies.get_mut(object) {
                copy.used_ms = self.now;
                return Ok(Some(entry.known(copy.state.clone(), copy.answer.clone())));
            }
            let before = Seq(entry.state_at.0.saturating_sub(1));
            let event = self.journal.read(None, before, 1).await?.pop();
            let (state, answer) = event
                .and_then(|event| state_of(event.event))
                .ok_or_else(|| defect(&format!("the state of `{object}` is not where it was recorded")))?;
            let known = entry.known(state.clone(), answer.clone());
            if entry.awake {
                self.live.copies.insert(object.to_owned(), Copy { state, answer, used_ms: self.now });
            }
            Ok(Some(known))
        })
    }
}

/// The object an event is about.
pub(crate) fn object_of(event: &Event) -> Option<&str> {
    match event {
        Event::ObjectMade { object, .. } | Event::ObjectChanged { object, .. } | Event::ObjectPassed { object, .. } => {
            Some(object)
        }
        _ => None,
    }
}

fn state_of(event: Event) -> Option<(Value, Value)> {
    match event {
        Event::ObjectMade { state, .. } => Some((state, Value::Null)),
        Event::ObjectChanged { state, answer, .. } => Some((state, answer)),
        _ => None,
    }
}

fn defect(message: &str) -> Problem {
    Problem::new(Code::Internal, message, "This is a defect in Atelier; please report it with the log.")
}
