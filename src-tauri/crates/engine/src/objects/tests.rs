//! Guards: one writer an object, nothing lost or doubled, a circle is named, what was is what is recomputed.
//!
//! Mutants that turn it red: a message that is handled before the one before it is recorded (`tell`); a circle that is
//! not looked for (`work`); an object whose state is looked for where it was first recorded (`Live::apply`).

use super::template::{SHIPPED, TERMINATE};
use super::work::Draft;
use super::*;
use atelier_journal::{Opened, Owned, StoreConfig, open};
use atelier_protocol::ids::StoreId;
use proptest::prelude::*;
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock that stands until it is set.
#[derive(Default)]
pub(crate) struct Hands(pub AtomicU64);

impl Clock for Hands {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// A project's store, opened again and again.
pub(crate) struct Room {
    pub folder: tempfile::TempDir,
    pub clock: Arc<Hands>,
}

impl Room {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: Arc::default() }
    }

    /// A template of the project.
    pub fn template(&self, kind: &str, text: &str) {
        let folder = self.folder.path().join("project/.atelier/objects");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{kind}.yaml")), text).unwrap();
    }

    pub async fn open(&self) -> (Owned, Objects) {
        let config = StoreConfig {
            dir: self.folder.path().join("store"),
            run_dir: self.folder.path().join("run"),
            store: StoreId::new("objects"),
            door: "test".to_owned(),
            clock: self.clock.clone(),
        };
        let Opened::Owner(owned) = open(config).await.unwrap() else { panic!("somebody else owns the store") };
        let objects = Objects::new(owned.journal.clone(), self.clock.clone(), self.folder.path().join("project"));
        (owned, objects)
    }
}

fn tell(object: &str, handler: &str, arguments: Value) -> Tell {
    Tell { object: object.to_owned(), handler: handler.to_owned(), arguments, by: "test".to_owned(), version: None }
}

async fn lives(journal: &Journal) -> Vec<String> {
    let events = journal.read_kinds(&["object_passed"], Seq::ZERO, 100).await.unwrap();
    let life = |event: Envelope| match event.event {
        Event::ObjectPassed { object, life } => Some(format!("{object} {life:?}")),
        _ => None,
    };
    events.into_iter().filter_map(life).collect()
}

#[tokio::test]
async fn every_shipped_template_plays_its_own_cases() {
    for (file, text) in SHIPPED {
        let template = template::read(file, text).unwrap();
        let played = play(None, &template).await.unwrap();
        assert_eq!(played.len(), template.cases.len());
        assert!(played.len() >= 2, "{file} shows too little");
    }
}

#[tokio::test]
async fn a_case_that_does_not_hold_is_named() {
    let text = SHIPPED[1].1.replace("state: { count: 3 }", "state: { count: 4 }");
    let problem = play(None, &template::read("counter.yaml", &text).unwrap()).await.unwrap_err();
    assert!(problem.message.contains("`counts up and down` does not hold: the state is {\"count\":3}"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_concurrent_increments_are_a_hundred_also_across_a_kill() {
    let room = Room::new();
    for round in 1..=2 {
        let (owned, objects) = room.open().await;
        // Others write meanwhile, so that what a message does waits for its turn to be recorded.
        let journal = owned.journal.clone();
        let others = tokio::spawn(async move {
            let notice = || NewEvent::of_store(Event::Noticed { problem: Problem::new(Code::Internal, "noise", "") });
            while journal.append(vec![notice()]).await.is_ok() {}
        });
        let tells = (0..50).map(|_| {
            let objects = objects.clone();
            tokio::spawn(async move { objects.tell(tell("counter/c", "add", Value::Null)).await })
        });
        for told in futures_util::future::join_all(tells).await {
            told.unwrap().unwrap();
        }
        others.abort();
        let view = objects.show("counter/c", None).await.unwrap();
        assert_eq!((view.state, view.version), (json!({"count": 50 * round}), 50 * round + 1));
        // Dropped, not closed: what was acknowledged is in the store.
        drop(owned);
        drop(objects);
    }
}

#[tokio::test]
async fn a_refused_message_changes_nothing() {
    let room = Room::new();
    let (owned, objects) = room.open().await;
    objects.tell(tell("counter/c", "add", Value::Null)).await.unwrap();
    let before = owned.journal.last_seq();
    for (tell, code, words) in [
        (tell("counter/c", "add", json!({"by_how_much": -9})), Code::ObjectInvalid, "never goes below zero"),
        (tell("counter/c", "add", json!({"by": 1})), Code::ObjectInvalid, "it has no `by`; it has by_how_much"),
        (tell("counter/c", "double", Value::Null), Code::ObjectInvalid, "it knows add, reset, terminate"),
        (tell("counters/c", "add", Value::Null), Code::ObjectInvalid, "there are board, counter, memory"),
        (tell("counter", "add", Value::Null), Code::ObjectInvalid, "is not the name of an object"),
        (tell("counter/a/b", "add", Value::Null), Code::ObjectInvalid, "is not the name of an object"),
        (
            Tell { version: Some(1), ..tell("counter/c", "add", Value::Null) },
            Code::ObjectChanged,
            "has version 2, 1 was",
        ),
        (
            Tell { version: Some(2), ..tell("counter/d", "add", Value::Null) },
            Code::ObjectChanged,
            "has version 0, 2 was",
        ),
    ] {
        let problem = objects.tell(tell).await.unwrap_err();
        assert_eq!(problem.code, code, "{problem}");
        assert!(problem.message.contains(words), "{problem}");
    }
    assert_eq!(owned.journal.last_seq(), before);
    let told = objects.tell(Tell { version: Some(2), ..tell("counter/c", "add", Value::Null) }).await.unwrap();
    assert_eq!((told.version, told.answer), (3, json!(2)));
}

#[tokio::test]
async fn what_was_prepared_and_never_appended_never_happened() {
    let room = Room::new();
    let (owned, objects) = room.open().await;
    objects.tell(tell("counter/c", "add", Value::Null)).await.unwrap();
    drop(objects.prepare(vec![tell("counter/c", "add", Value::Null)]).await.unwrap());
    let told =
        objects.prepare(vec![tell("counter/c", "add", Value::Null), tell("board/b", "add", json!({"title": "t"}))]);
    let told = told.await.unwrap();
    assert_eq!((told.views[0].version, told.views[1].answer.clone()), (3, json!("t1")));
    let Told { events, _alone, .. } = told;
    owned.journal.append(events).await.unwrap();
    drop(_alone);
    assert_eq!(objects.show("counter/c", None).await.unwrap().state, json!({"count": 2}));
    assert_eq!(objects.list().await.unwrap().len(), 2);
}

const CALLER: &str = "
schema: 1
kind: caller
about: Calls the object it is told to.
version: 1
state: { calls: integer, last: any }
first: { calls: 0, last: null }
handlers:
  ask:
    takes: { whom: text, then: text? }
    does:
      - add: { at: calls, by: 1 }
      - call: { object: $whom, handler: ask, with: { whom: $then }, into: said }
      - set: { at: last, to: $said }
  count:
    takes: { whom: text }
    does:
      - call: { object: $whom, handler: add, into: first }
      - call: { object: $whom, handler: add, with: { by_how_much: 2 }, into: second }
      - set: { at: last, to: [$first, $second] }
      - answer: $second
";

#[tokio::test]
async fn objects_that_call_each_other_in_a_circle_are_named_and_nothing_hangs() {
    let room = Room::new();
    room.template("caller", CALLER);
    let (owned, objects) = room.open().await;
    let before = owned.journal.last_seq();
    let problem =
        objects.tell(tell("caller/a", "ask", json!({"whom": "caller/b", "then": "caller/a"}))).await.unwrap_err();
    assert_eq!(problem.code, Code::ObjectCycle);
    assert!(problem.message.contains("caller/a → caller/b → caller/a"), "{problem}");
    assert_eq!(owned.journal.last_seq(), before);
    // Two that call a third at the same time do not wait for each other.
    let (one, two) = tokio::join!(
        objects.tell(tell("caller/a", "count", json!({"whom": "counter/c"}))),
        objects.tell(tell("caller/b", "count", json!({"whom": "counter/c"}))),
    );
    assert_eq!((one.unwrap().answer, two.unwrap().answer), (json!(3), json!(6)));
    assert_eq!(objects.show("caller/a", None).await.unwrap().state, json!({"calls": 0, "last": [1, 3]}));
}

#[tokio::test]
async fn an_object_rests_wakes_moves_on_and_ends() {
    let room = Room::new();
    let tally = SHIPPED[1].1.replace("kind: counter", "kind: tally").replace("cases:", "idle_s: 60\ncases:");
    room.template("tally", &tally);
    let (owned, objects) = room.open().await;
    objects.tell(tell("tally/t", "add", Value::Null)).await.unwrap();
    room.clock.0.store(59_000, Ordering::SeqCst);
    assert!(objects.rest().await.unwrap().is_empty());
    room.clock.0.store(60_000, Ordering::SeqCst);
    assert_eq!(objects.rest().await.unwrap(), ["tally/t"]);
    assert!(objects.rest().await.unwrap().is_empty());
    assert_eq!(objects.show("tally/t", None).await.unwrap().life, Lifecycle::Hibernating);
    objects.tell(tell("tally/t", "add", Value::Null)).await.unwrap();

    let newer = tally
        .replace("version: 1", "version: 2")
        .replace("count: integer", "count: integer\n  since: text")
        .replace("first: { count: 0 }", "first: { count: 0, since: now }")
        .replace("cases:", "migrations:\n  - from: 1\n    does:\n      - set: { at: since, to: before }\ncases:");
    room.template("tally", &newer);
    let moved = objects.tell(tell("tally/t", "add", Value::Null)).await.unwrap();
    assert_eq!((moved.state, moved.schema, moved.version), (json!({"count": 3, "since": "before"}), 2, 5));
    room.template("tally", &tally);
    let problem = objects.tell(tell("tally/t", "add", Value::Null)).await.unwrap_err();
    assert!(problem.message.contains("a state of version 2, its template is of version 1"), "{problem}");
    room.template("tally", &newer);
    objects.tell(tell("tally/t", TERMINATE, Value::Null)).await.unwrap();
    let problem = objects.tell(tell("tally/t", "add", Value::Null)).await.unwrap_err();
    assert!(problem.message.contains("was ended for good"), "{problem}");
    let passed: Vec<String> = lives(&owned.journal).await;
    let wanted = [
        "Created",
        "Initialising",
        "Active",
        "Idle",
        "Hibernating",
        "Waking",
        "Active",
        "Updating",
        "Active",
        "Terminating",
    ];
    assert_eq!(passed, wanted.map(|life| format!("tally/t {life}")));
}

#[tokio::test]
async fn a_migration_is_played_by_a_case() {
    let text = SHIPPED[1].1.replace("version: 1", "version: 2").replace(
        "cases:",
        "migrations:\n  - from: 1\n    does:\n      - add: { at: count, by: 10 }\ncases:
  - name: an older one moves on
    from: { version: 1, state: { count: 1 } }
    tell:\n      - handler: add
    state: { count: 12 }",
    );
    // `add` after the migration from 1 to 11.
    assert_eq!(play(None, &template::read("c.yaml", &text).unwrap()).await.unwrap().len(), 4);
}

/// What every object was after each event, by the history; and by handling every message from outside anew.
async fn both_ways(room: &Room, owned: &Owned, objects: &Objects) -> Result<(), String> {
    let kinds = template::load(Some(&room.folder.path().join("project"))).map_err(|e| e.to_string())?;
    let events = owned.journal.read_kinds(&KINDS, Seq::ZERO, 10_000).await.map_err(|e| e.to_string())?;
    let mut shelf = cases::Scratch::default();
    let mut at = 0;
    while let Some(event) = events.get(at) {
        // The events of one message end with the change of the object that was told.
        let Some(end) = events[at..]
            .iter()
            .position(|event| matches!(&event.event, Event::ObjectChanged { by, .. } if by == "test"))
        else {
            return Err(format!("{:?} belongs to no message", event.event));
        };
        let Event::ObjectChanged { object, handler, arguments, .. } = &events[at + end].event else { continue };
        let mut draft = Draft::new(&kinds, &mut shelf);
        draft.tell(&tell(object, handler, arguments.clone())).await.map_err(|e| e.to_string())?;
        let recorded: Vec<&Event> = events[at..=at + end].iter().map(|event| &event.event).collect();
        if draft.events.iter().collect::<Vec<_>>() != recorded {
            return Err(format!("recorded {recorded:?}\ncomputed {:?}", draft.events));
        }
        let after = std::mem::take(&mut draft.objects);
        shelf.0.extend(after);
        for (object, known) in &shelf.0 {
            let then = objects.show(object, Some(events[at + end].seq)).await.map_err(|e| e.to_string())?;
            if (then.version, &then.state) != (known.version, &known.state) {
                return Err(format!("{object} after {} is {then:?}, not {known:?}", events[at + end].seq));
            }
        }
        at += end + 1;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_an_object_was_is_what_handling_everything_anew_gives(
        steps in proptest::collection::vec((0..6usize, 0..3usize, "[a-z ]{0,12}"), 1..25)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let room = Room::new();
            room.template("caller", CALLER);
            let (owned, objects) = room.open().await;
            for (what, which, text) in steps {
                let (object, handler, with) = match what {
                    0 => (format!("counter/{which}"), "add", json!({"by_how_much": which + 1})),
                    1 => ("board/b".to_owned(), "add", json!({"title": text})),
                    2 => ("board/b".to_owned(), "move", json!({"task": format!("t{which}"), "to": "done"})),
                    3 => ("memory/m".to_owned(), "remember", json!({"topic": which.to_string(), "text": text})),
                    4 => (format!("caller/{which}"), "count", json!({"whom": "counter/0"})),
                    _ => (format!("counter/{which}"), "add", json!({"by_how_much": -1})),
                };
                let before = owned.journal.last_seq();
                if objects.tell(tell(&object, handler, with)).await.is_ok() {
                    continue;
                }
                prop_assert_eq!(owned.journal.last_seq(), before);
            }
            both_ways(&room, &owned, &objects).await.map_err(TestCaseError::fail)
        })?;
    }
}
