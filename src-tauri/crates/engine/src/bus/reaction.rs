//! Consumers: what listens to which topics, and what it does about a message.
//!
//! A consumer is a file: shipped in `assets/consumers`, added or switched off by one of the same id in the project's
//! `.atelier/consumers`. What it does is declared: tell an object, post a message, queue a job. All of it is records of
//! the store, so handling a message again without recording it has no effect at all.

use crate::objects::template;
use crate::objects::{Expr, Named, Tell, Test, TestWritten};
use atelier_protocol::Problem;
use atelier_protocol::error::Code;
use atelier_protocol::event::{Guarantee, Job, Message, NewEvent, Priority};
use atelier_protocol::ids::Seq;
use atelier_protocol::yaml::{self, YamlError};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::Path;
#[cfg(test)]
use std::sync::Arc;

/// The consumers that ship with Atelier: file name and text.
const SHIPPED: &[(&str, &str)] = &[
    ("consumers/stuck-watch.yaml", include_str!("../../../../../assets/consumers/stuck-watch.yaml")),
    ("consumers/cost-watch.yaml", include_str!("../../../../../assets/consumers/cost-watch.yaml")),
    ("consumers/index-watch.yaml", include_str!("../../../../../assets/consumers/index-watch.yaml")),
];

/// Tries before a message is laid aside, where a consumer's file says nothing.
const ATTEMPTS: u32 = 5;

/// Something that listens.
#[derive(Clone)]
pub struct Consumer {
    /// Its name; its place in the history is kept under it.
    pub id: String,
    /// Patterns of topics.
    pub listens: Vec<String>,
    /// Tries before a message is laid aside.
    pub attempts: u32,
    /// What it does.
    pub reacts: Reacts,
}

/// What a consumer does about a message.
#[derive(Clone)]
pub enum Reacts {
    /// What its file declares.
    Declared {
        /// Whether it does anything.
        when: Vec<Test>,
        /// What.
        does: Vec<Does>,
    },
    /// What a function says. It has no effect of its own.
    #[cfg(test)]
    Code(Arc<React>),
}

/// A consumer as a function.
#[cfg(test)]
pub type React = dyn Fn(&Delivery) -> Result<Reaction, String> + Send + Sync;

/// A message on its way to a consumer.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The number of the event it is, or is made from.
    pub seq: Seq,
    /// When that was recorded.
    pub at_ms: u64,
    /// The message.
    pub message: Message,
    /// Which try, from 1.
    pub attempt: u32,
    /// What the run has used so far, in tokens; for messages about runs.
    pub tokens: Option<u64>,
}

/// What is to be recorded about a message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reaction {
    /// Events as they are.
    pub events: Vec<NewEvent>,
    /// Messages to objects.
    pub tells: Vec<Tell>,
    /// Messages to others.
    pub posts: Vec<Message>,
    /// Work.
    pub jobs: Vec<Job>,
}

impl Reaction {
    /// What it comes to, a line each.
    pub fn lines(&self) -> Vec<String> {
        let told = self.tells.iter().map(|tell| format!("tell {} to {} {}", tell.object, tell.handler, tell.arguments));
        let posted = self.posts.iter().map(|message| format!("post {} {}", message.topic, message.body));
        let queued = self.jobs.iter().map(|job| format!("queue {} {}", job.queue, job.id));
        let kinds = self.events.iter().map(|event| {
            let value = serde_json::to_value(&event.event).unwrap_or_default();
            format!("record {}", value["kind"].as_str().unwrap_or("?"))
        });
        kinds.chain(told).chain(posted).chain(queued).collect()
    }
}

/// One thing that a consumer does.
#[derive(Clone)]
pub enum Does {
    /// Tells an object.
    Tell { object: Expr, handler: String, with: Expr },
    /// Posts a message.
    Post { topic: Expr, guarantee: Guarantee, body: Expr },
    /// Queues a job, once per message.
    Queue { queue: String, body: Expr },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema")]
    _schema: u32,
    id: String,
    #[serde(default, rename = "about")]
    _about: String,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    listens: Vec<String>,
    #[serde(default)]
    attempts: Option<u32>,
    #[serde(default)]
    when: Vec<TestWritten>,
    #[serde(default)]
    does: Vec<DoesWritten>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum DoesWritten {
    Tell(TellWritten),
    Post(PostWritten),
    Queue(QueueWritten),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TellWritten {
    object: Value,
    handler: String,
    #[serde(default)]
    with: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PostWritten {
    topic: String,
    #[serde(default)]
    body: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueWritten {
    queue: String,
    #[serde(default)]
    body: Value,
}

/// The names that a consumer's file knows.
const NAMES: [&str; 6] = ["topic", "from", "run", "seq", "tokens", "body"];

/// Reads and checks one consumer file; `None` where it switches the consumer off.
fn read(file: &str, text: &str) -> Result<(String, Option<Consumer>), YamlError> {
    let parsed: File = yaml::read(file, text)?;
    let wrong = |needle: &str, message: String| YamlError {
        file: file.to_owned(),
        line: yaml::line_of(text, needle),
        column: 0,
        message,
    };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if parsed.id.is_empty() || !parsed.id.bytes().all(plain) {
        return Err(wrong("id:", format!("`id: {}` must be lower-case letters, digits and `-`", parsed.id)));
    }
    if !parsed.enabled {
        return Ok((parsed.id, None));
    }
    if parsed.listens.is_empty() {
        return Err(wrong("listens:", "`listens` names no topic".to_owned()));
    }
    for pattern in &parsed.listens {
        super::topics::readable(pattern).map_err(|problem| wrong(pattern, problem.message))?;
    }
    let known = |used: Vec<String>| match used.iter().find(|name| !NAMES.contains(&name.as_str())) {
        Some(name) => Err(format!("`${name}` stands for nothing here; there are {}", NAMES.join(", "))),
        None => Ok(()),
    };
    let expr = |written: &Value| {
        let expr = Expr::read(written)?;
        let mut used = Vec::new();
        expr.names(&mut used);
        known(used).map(|()| expr)
    };
    let when = parsed.when.iter().map(|written| {
        let test = Test::read(written)?;
        let mut used = Vec::new();
        test.names(&mut used);
        known(used).map(|()| test)
    });
    let when = when.collect::<Result<Vec<_>, String>>().map_err(|why| wrong("when:", why))?;
    let does = parsed.does.iter().map(|does| {
        Ok(match does {
            DoesWritten::Tell(w) => Does::Tell {
                object: expr(&w.object)?,
                handler: w.handler.clone(),
                with: expr(&Value::Object(w.with.clone()))?,
            },
            DoesWritten::Post(w) => {
                let declared = super::topics::declared(&w.topic.replace('$', "")).map_err(|p| p.message)?;
                if declared.posted != super::topics::Posted::ByAnyone {
                    return Err(format!("a consumer cannot post to `{}`", declared.pattern));
                }
                let topic = expr(&Value::String(w.topic.clone()))?;
                Does::Post { topic, guarantee: declared.guarantee, body: expr(&w.body)? }
            }
            DoesWritten::Queue(w) => Does::Queue { queue: w.queue.clone(), body: expr(&w.body)? },
        })
    });
    let does = does.collect::<Result<Vec<_>, String>>().map_err(|why| wrong("does:", why))?;
    if does.is_empty() {
        return Err(wrong("does:", "it does nothing; write `enabled: false` to switch it off".to_owned()));
    }
    let consumer = Consumer {
        id: parsed.id.clone(),
        listens: parsed.listens,
        attempts: parsed.attempts.unwrap_or(ATTEMPTS).max(1),
        reacts: Reacts::Declared { when, does },
    };
    Ok((parsed.id, Some(consumer)))
}

/// The consumers of a project: the shipped ones, with those of `<project>/.atelier/consumers` in their place.
pub fn load(project: &Path) -> Result<Vec<Consumer>, Problem> {
    let mut consumers: Vec<(String, Option<Consumer>)> = Vec::new();
    for (file, text) in SHIPPED {
        consumers.push(read(file, text).map_err(|e| problem(&e))?);
    }
    for path in template::yaml_files(&project.join(".atelier/consumers")) {
        let name = format!(".atelier/consumers/{}", path.file_name().unwrap_or_default().to_string_lossy());
        let text = std::fs::read_to_string(&path).map_err(|e| {
            Problem::new(Code::ProjectFileInvalid, format!("{name} cannot be read: {e}"), "Mend or remove the file.")
        })?;
        let read = read(&name, &text).map_err(|e| problem(&e))?;
        consumers.retain(|(id, _)| *id != read.0);
        consumers.push(read);
    }
    Ok(consumers.into_iter().filter_map(|(_, consumer)| consumer).collect())
}

fn problem(error: &YamlError) -> Problem {
    Problem::new(
        Code::ProjectFileInvalid,
        format!("The consumer's file is wrong: {error}"),
        "Mend the line and open the project again.",
    )
}

impl Consumer {
    /// Whether it listens to a topic.
    pub fn hears(&self, topic: &str) -> bool {
        self.listens.iter().any(|pattern| super::topics::fits(pattern, topic))
    }

    /// Whether what it does depends on what a run has used.
    pub fn wants_tokens(&self) -> bool {
        let (when, does) = match &self.reacts {
            Reacts::Declared { when, does } => (when, does),
            #[cfg(test)]
            Reacts::Code(_) => return false,
        };
        let mut used = Vec::new();
        when.iter().for_each(|test| test.names(&mut used));
        for does in does {
            match does {
                Does::Tell { object, with, .. } => {
                    object.names(&mut used);
                    with.names(&mut used);
                }
                Does::Post { body, .. } | Does::Queue { body, .. } => body.names(&mut used),
            }
        }
        used.iter().any(|name| name == "tokens")
    }

    /// What is to be recorded about a message. Pure.
    pub fn react(&self, delivery: &Delivery) -> Result<Reaction, String> {
        let (when, does) = match &self.reacts {
            #[cfg(test)]
            Reacts::Code(code) => return code(delivery),
            Reacts::Declared { when, does } => (when, does),
        };
        let message = &delivery.message;
        let run = message.correlation.clone().unwrap_or_default();
        let known: Named = [
            ("topic", Value::from(message.topic.clone())),
            ("from", message.from.clone().into()),
            ("run", run.into()),
            ("seq", delivery.seq.0.into()),
            ("tokens", delivery.tokens.map_or(Value::Null, Value::from)),
            ("body", message.body.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let mut reaction = Reaction::default();
        if !when.iter().all(|test| test.holds(&Value::Null, &known)) {
            return Ok(reaction);
        }
        let text = |expr: &Expr| expr.value(&known).as_str().map(str::to_owned).ok_or("a name is not text".to_owned());
        for does in does {
            match does {
                Does::Tell { object, handler, with } => reaction.tells.push(Tell {
                    object: text(object)?,
                    handler: handler.clone(),
                    arguments: with.value(&known),
                    by: self.id.clone(),
                    version: None,
                }),
                Does::Post { topic, guarantee, body } => reaction.posts.push(Message {
                    topic: text(topic)?,
                    guarantee: *guarantee,
                    from: self.id.clone(),
                    to: None,
                    key: Some(format!("{}/{}", self.id, delivery.seq)),
                    reply_to: Some(delivery.seq),
                    correlation: message.correlation.clone(),
                    body: body.value(&known),
                }),
                Does::Queue { queue, body } => reaction.jobs.push(Job {
                    id: format!("{}-{}", self.id, delivery.seq),
                    queue: queue.clone(),
                    priority: Priority::Normal,
                    due_ms: delivery.at_ms,
                    every_ms: None,
                    most_attempts: 3,
                    body: body.value(&known),
                }),
            }
        }
        Ok(reaction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn about(topic: &str, body: Value, tokens: u64) -> Delivery {
        let message = Message {
            topic: topic.to_owned(),
            guarantee: Guarantee::AtLeastOnce,
            from: "run/r".to_owned(),
            to: None,
            key: None,
            reply_to: None,
            correlation: Some("r".to_owned()),
            body,
        };
        Delivery { seq: Seq(7), at_ms: 5, message, attempt: 1, tokens: Some(tokens) }
    }

    #[test]
    fn the_shipped_consumers_do_what_their_files_say() {
        let empty = tempfile::tempdir().unwrap();
        let consumers = load(empty.path()).unwrap();
        let of = |id: &str| consumers.iter().find(|c| c.id == id).unwrap();
        let stuck = of("stuck-watch").react(&about("run/failed", json!({"message": "no model"}), 0)).unwrap();
        assert_eq!(stuck.lines(), ["tell board/team to add {\"title\":\"Look at run r (run/failed): no model\"}"]);
        let cost = of("cost-watch");
        assert!(cost.wants_tokens() && !of("stuck-watch").wants_tokens());
        assert_eq!(cost.react(&about("run/done", json!({}), 10)).unwrap(), Reaction::default());
        let told = cost.react(&about("run/done", json!({}), 900_000)).unwrap();
        assert_eq!(told.posts.len(), 1);
        assert_eq!((told.posts[0].topic.as_str(), told.posts[0].correlation.as_deref()), ("note/cost", Some("r")));
        assert_eq!(told.posts[0].body["tokens"], json!(900_000));
        let index = of("index-watch").react(&about("run/accepted", json!({}), 0)).unwrap();
        assert_eq!(index.lines(), ["queue index.refresh index-watch-7"]);
    }

    #[test]
    fn a_projects_file_switches_one_off_and_a_wrong_one_is_named() {
        let project = tempfile::tempdir().unwrap();
        let folder = project.path().join(".atelier/consumers");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a.yaml"), "schema: 1\nid: cost-watch\nenabled: false\n").unwrap();
        let ids: Vec<String> = load(project.path()).unwrap().into_iter().map(|c| c.id).collect();
        assert_eq!(ids, ["stuck-watch", "index-watch"]);
        for (text, why) in [
            ("schema: 1\nid: x\nlistens: [runs/*]\n", "a.yaml:3: There is no topic `runs/*`"),
            ("schema: 1\nid: x\nlistens: [run/*]\ndoes:\n  - post: { topic: mail/a/b }\n", "cannot post to `mail/*/*`"),
            (
                "schema: 1\nid: x\nlistens: [run/*]\ndoes:\n  - queue: { queue: q, body: $what }\n",
                "`$what` stands for nothing",
            ),
            ("schema: 1\nid: x\nlistens: [run/*]\n", "it does nothing"),
        ] {
            std::fs::write(folder.join("a.yaml"), text).unwrap();
            let problem = load(project.path()).err().unwrap();
            assert!(problem.message.contains(why), "{problem}");
        }
    }
}
