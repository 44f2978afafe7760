//! The topics, declared in one place: what each promises, who may post to it, and which are the runs' own.
//!
//! A topic is names separated by `/`; in a pattern `*` stands for one name. What happens to runs is offered as messages
//! that are made from the run's own events when they are read: nothing is recorded twice.

use atelier_protocol::Envelope;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Event, Guarantee, Message, Outcome, StepResult};
use serde_json::{Value, json};

/// A declared topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// Its pattern.
    pub pattern: &'static str,
    /// What it promises.
    pub guarantee: Guarantee,
    /// Who may post to it.
    pub posted: Posted,
}

/// Who may post to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    /// Nobody: its messages are made from other events.
    Derived,
    /// Only the one named second in it.
    BySender,
    /// Anybody.
    ByAnyone,
}

const fn topic(pattern: &'static str, guarantee: Guarantee, posted: Posted) -> Topic {
    Topic { pattern, guarantee, posted }
}

/// Every topic.
pub const TOPICS: &[Topic] = &[
    topic("run/*", Guarantee::AtLeastOnce, Posted::Derived),
    topic("step/*", Guarantee::AtLeastOnce, Posted::Derived),
    topic("approval/*", Guarantee::AtLeastOnce, Posted::Derived),
    topic("object/*/*", Guarantee::AtLeastOnce, Posted::Derived),
    topic("mail/*/*", Guarantee::ExactlyOnce, Posted::BySender),
    topic("note/*", Guarantee::ExactlyOnce, Posted::ByAnyone),
    topic("task/*", Guarantee::AtLeastOnce, Posted::ByAnyone),
    topic("signal/*", Guarantee::AtMostOnce, Posted::ByAnyone),
];

/// Whether a topic, or a pattern, fits a pattern.
pub fn fits(pattern: &str, topic: &str) -> bool {
    let (mut pattern, mut topic) = (pattern.split('/'), topic.split('/'));
    loop {
        match (pattern.next(), topic.next()) {
            (None, None) => return true,
            (Some(p), Some(t)) if p == "*" || p == t => {}
            _ => return false,
        }
    }
}

/// Whether some topic could fit both patterns.
pub fn overlap(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == "*" || b == "*" || a == b => {}
            _ => return false,
        }
    }
}

/// The declared topic that `topic` is one of; a problem names the nearest where there is none.
pub fn declared(topic: &str) -> Result<&'static Topic, Problem> {
    TOPICS.iter().find(|declared| fits(declared.pattern, topic) && is_plain(topic)).ok_or_else(|| unknown(topic))
}

/// Refuses a pattern that no declared topic could fit.
pub fn readable(pattern: &str) -> Result<(), Problem> {
    let fitting = TOPICS.iter().any(|declared| overlap(declared.pattern, pattern));
    if fitting { Ok(()) } else { Err(unknown(pattern)) }
}

/// Refuses a message that its topic does not take. What it leaves open is filled in from the topic.
pub fn admit(mut message: Message) -> Result<Message, Problem> {
    let declared = declared(&message.topic)?;
    let bad = |text: String, hint: &str| Err(Problem::new(Code::BadArgument, text, hint));
    if message.guarantee < declared.guarantee {
        return Err(Problem::new(
            Code::GuaranteeWeaker,
            format!(
                "`{}` promises {}; the message asks for {} only.",
                declared.pattern,
                words(declared.guarantee),
                words(message.guarantee)
            ),
            "Post it with the topic's guarantee, or to `signal/*`, which promises less.",
        ));
    }
    if message.guarantee > declared.guarantee {
        return bad(
            format!("`{}` promises {} and cannot give more.", declared.pattern, words(declared.guarantee)),
            "Post it with the topic's guarantee.",
        );
    }
    let names: Vec<&str> = message.topic.split('/').collect();
    match (declared.posted, names.as_slice()) {
        (Posted::Derived, _) => bad(
            format!("Messages of `{}` are made from what happens; nobody posts them.", declared.pattern),
            "Post to `note/*`, `task/*` or `signal/*`.",
        ),
        (Posted::BySender, [_, from, to]) => {
            if *from != message.from {
                let text = format!("Mail of `{from}` cannot be posted by `{}`.", message.from);
                return bad(text, "A letter is from the one named second in its topic.");
            }
            let to = (*to).to_owned();
            if message.to.as_ref().is_some_and(|other| *other != to) {
                return bad(format!("`{}` is mail to `{to}`.", message.topic), "Name the same receiver in both.");
            }
            message.to = Some(to);
            Ok(message)
        }
        _ => Ok(message),
    }
}

/// A guarantee in words.
pub fn words(guarantee: Guarantee) -> &'static str {
    match guarantee {
        Guarantee::AtMostOnce => "at most once",
        Guarantee::AtLeastOnce => "at least once",
        Guarantee::ExactlyOnce => "exactly once",
    }
}

/// The message that an event is, or stands for; `None` for one that nobody is told.
pub fn message_of(envelope: &Envelope) -> Option<Message> {
    let (topic, body) = match &envelope.event {
        Event::MessagePosted { message } => return Some(message.clone()),
        Event::RunStarted { goal, parent, .. } => {
            ("run/started".to_owned(), json!({"goal": goal, "parent": parent.as_ref().map(|parent| &parent.run)}))
        }
        Event::RunFinished { outcome: Outcome::Done } => ("run/done".to_owned(), json!({})),
        Event::RunFinished { outcome: Outcome::Failed { problem } } => ("run/failed".to_owned(), json!(problem)),
        Event::RunFinished { outcome: Outcome::Cancelled { problem } } => ("run/cancelled".to_owned(), json!(problem)),
        Event::RunParked { problem } => ("run/parked".to_owned(), json!(problem)),
        Event::RunInterrupted { .. } => ("run/interrupted".to_owned(), json!({})),
        Event::RunResumed { .. } => ("run/resumed".to_owned(), json!({})),
        Event::StallNoticed { turns, ms, last } => {
            ("run/stalled".to_owned(), json!({"turns": turns, "ms": ms, "last": last}))
        }
        Event::HandedOver { branch, commits } => {
            ("run/handed_over".to_owned(), json!({"branch": branch, "commits": commits.len()}))
        }
        Event::RunAccepted { branch, commit, .. } => {
            ("run/accepted".to_owned(), json!({"branch": branch, "commit": commit}))
        }
        Event::OperationUndone { undo } => {
            ("run/undone".to_owned(), json!({"operation": undo.operation, "change": undo.change}))
        }
        Event::RunRebased { rebase } => ("run/rebased".to_owned(), json!({"from": rebase.from, "to": rebase.to})),
        Event::RebaseHeld { held } => ("run/held".to_owned(), json!(held.problem)),
        Event::RunDiscarded {} => ("run/discarded".to_owned(), json!({})),
        Event::StepStarted { role, title, .. } => ("step/started".to_owned(), json!({"role": role, "title": title})),
        Event::StepFinished { result } => {
            let end = match result {
                StepResult::Done => "step/done",
                StepResult::SentBack { .. } => "step/sent_back",
                StepResult::Failed { .. } => "step/failed",
            };
            (end.to_owned(), json!(result))
        }
        Event::ApprovalRequested { approval, ask, .. } => {
            ("approval/asked".to_owned(), json!({"approval": approval, "kind": ask.kind()}))
        }
        Event::ApprovalSettled { approval, answer, .. } => {
            ("approval/settled".to_owned(), json!({"approval": approval, "answer": answer}))
        }
        Event::ObjectChanged { object, version, handler, by, .. } => {
            (format!("object/{object}"), json!({"version": version, "handler": handler, "by": by}))
        }
        _ => return None,
    };
    let guarantee = declared(&topic).map_or(Guarantee::AtLeastOnce, |declared| declared.guarantee);
    let run = envelope.run.as_ref().map(ToString::to_string);
    let from = match (&run, &envelope.event) {
        (Some(run), _) => format!("run/{run}"),
        (None, Event::ObjectChanged { object, .. }) => object.clone(),
        _ => "owner".to_owned(),
    };
    let body = with_step(body, envelope);
    Some(Message { topic, guarantee, from, to: None, key: None, reply_to: None, correlation: run, body })
}

fn with_step(mut body: Value, envelope: &Envelope) -> Value {
    if let (Some(step), Value::Object(fields)) = (&envelope.step, &mut body) {
        fields.insert("step".to_owned(), step.as_str().into());
    }
    body
}

fn is_plain(topic: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    topic.split('/').all(|name| !name.is_empty() && name.len() <= 80 && name.bytes().all(plain))
}

fn unknown(topic: &str) -> Problem {
    let mut near: Vec<(usize, &str)> = TOPICS.iter().map(|t| (distance(topic, t.pattern), t.pattern)).collect();
    near.sort();
    let near: Vec<String> = near.into_iter().take(3).map(|(_, pattern)| format!("`{pattern}`")).collect();
    Problem::new(
        Code::UnknownMessage,
        format!("There is no topic `{topic}`; the nearest are {}.", near.join(", ")),
        "List them with `atelier bus topics`; `*` stands for one name of letters, digits, `_`, `-` and `.`.",
    )
}

/// How many changes of one letter make one text the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let changed = corner + usize::from(a != *b);
            corner = row[j + 1];
            row[j + 1] = changed.min(corner + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(topic: &str, guarantee: Guarantee, from: &str) -> Message {
        let (topic, from) = (topic.to_owned(), from.to_owned());
        Message { topic, guarantee, from, to: None, key: None, reply_to: None, correlation: None, body: json!(null) }
    }

    #[test]
    fn a_message_below_its_topics_promise_is_refused_and_so_is_an_unknown_topic() {
        use Guarantee::{AtLeastOnce, AtMostOnce, ExactlyOnce};
        for (topic, guarantee, from, code, words) in [
            (
                "task/index",
                AtMostOnce,
                "user",
                Code::GuaranteeWeaker,
                "promises at least once; the message asks for at most once",
            ),
            ("mail/a/b", AtLeastOnce, "a", Code::GuaranteeWeaker, "promises exactly once"),
            ("signal/x", ExactlyOnce, "user", Code::BadArgument, "cannot give more"),
            ("run/failed", AtLeastOnce, "user", Code::BadArgument, "nobody posts them"),
            ("mail/a/b", ExactlyOnce, "c", Code::BadArgument, "Mail of `a` cannot be posted by `c`"),
            ("mails/a/b", ExactlyOnce, "a", Code::UnknownMessage, "the nearest are `mail/*/*`"),
            ("task/*", AtLeastOnce, "user", Code::UnknownMessage, "no topic `task/*`"),
            ("task/", AtLeastOnce, "user", Code::UnknownMessage, "no topic `task/`"),
        ] {
            let problem = admit(letter(topic, guarantee, from)).unwrap_err();
            assert_eq!(problem.code, code, "{problem}");
            assert!(problem.message.contains(words), "{problem}");
        }
        let taken = admit(letter("mail/a/b", ExactlyOnce, "a")).unwrap();
        assert_eq!(taken.to.as_deref(), Some("b"));
    }

    #[test]
    fn a_star_stands_for_one_name() {
        assert!(fits("run/*", "run/done") && !fits("run/*", "run") && !fits("run/*", "run/a/b"));
        assert!(overlap("*/done", "run/*") && !overlap("*/done", "mail/*/*"));
        assert!(readable("mail/*/qa_tester").is_ok() && readable("letters/*").is_err());
    }

    #[test]
    fn every_derived_message_has_a_declared_topic() {
        assert_eq!(distance("mails", "mail"), 1);
        for topic in ["run/started", "step/done", "approval/asked", "object/board/team"] {
            assert_eq!(declared(topic).unwrap().posted, Posted::Derived);
        }
    }
}
