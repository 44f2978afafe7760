//! What of a project's history can be found: goals, turns, specs, decisions, remarks, as records with their place.
//!
//! Pure: the same events give the same records, so what holds them may be deleted. A question and its answer are one
//! record, of the event that came last.

use crate::prompt;
use atelier_protocol::Envelope;
use atelier_protocol::document::Anchor;
use atelier_protocol::event::{AcceptMode, Actor, Answer, Ask, Event, ProjectCommand, Reviewer};
use atelier_protocol::hash::Hash;
use atelier_protocol::ids::ApprovalId;
use atelier_protocol::view::{HitKind, Origin};
use atelier_search::Record;

/// The record that an event is, or changes. `asked` knows the record of a question.
pub(crate) fn record_of<E>(
    envelope: &Envelope,
    asked: impl FnOnce(&str) -> Result<Option<Record>, E>,
) -> Result<Option<Record>, E> {
    let (kind, title, text) = match &envelope.event {
        Event::RunStarted { goal, parent, .. } => {
            let title = if parent.is_some() { "goal of a child run" } else { "goal" };
            (HitKind::Chat, title.to_owned(), goal.clone())
        }
        Event::CallFinished { text, .. } => (HitKind::Chat, step_of(envelope), text.clone()),
        Event::CommentMade { comment } => (
            HitKind::Chat,
            format!("remark on {}", comment.path),
            format!("{}\n{}", comment.text, comment.quote.join("\n")),
        ),
        Event::SpecWritten { spec } => (HitKind::Spec, spec.title.clone(), prompt::spec_text(spec)),
        Event::ReviewRecorded { review } => {
            let by = match &review.by {
                Reviewer::Role { role } => format!("review by {role}"),
                Reviewer::User => "review by the user".to_owned(),
            };
            (HitKind::Decision, format!("{by}: {}", said(review.answer)), review.notes.clone())
        }
        Event::HandedOver { branch, commits } => {
            let subjects: Vec<&str> = commits.iter().map(|commit| commit.subject.as_str()).collect();
            (HitKind::Decision, format!("handed over as {branch}"), subjects.join("\n"))
        }
        Event::RunAccepted { branch, commit, mode } => {
            let how = match mode {
                AcceptMode::FastForward => "forward",
                AcceptMode::Merge => "as a merge",
                AcceptMode::Squash => "as one commit",
                AcceptMode::Back | AcceptMode::Revert => "back",
            };
            (HitKind::Decision, format!("accepted to {branch}"), format!("Accepted to {branch} {how}: {commit}"))
        }
        Event::RunDiscarded {} => (HitKind::Decision, "discarded".to_owned(), "The result was discarded.".to_owned()),
        Event::ApprovalRequested { approval, ask, .. } => {
            let (title, text) = question(ask);
            return Ok(record(envelope, HitKind::Decision, key_of(approval), title, text));
        }
        Event::ApprovalSettled { approval, answer, by, note } => {
            let key = key_of(approval);
            let before = asked(&key)?;
            let (title, text) = before.map_or_else(Default::default, |before| (before.title, before.text));
            let by = match by {
                Actor::User => "the user",
                Actor::Grant => "a grant",
                Actor::Timeout => "time that ran out",
                Actor::Owner => "Atelier",
            };
            let note = if note.trim().is_empty() { String::new() } else { format!(": {}", note.trim()) };
            let text = format!("{}\nAnswer by {by}: {}{note}", text.trim_end(), said(*answer));
            return Ok(record(envelope, HitKind::Decision, key, title, text));
        }
        _ => return Ok(None),
    };
    let key = format!("event {}", envelope.seq);
    Ok(record(envelope, kind, key, title, text))
}

/// The name of a question's record.
fn key_of(approval: &ApprovalId) -> String {
    format!("question {approval}")
}

fn record(envelope: &Envelope, kind: HitKind, key: String, title: String, text: String) -> Option<Record> {
    let run = envelope.run.clone()?;
    (!text.trim().is_empty()).then(|| Record {
        key,
        group: format!("run {run}"),
        kind,
        path: run.to_string(),
        title,
        text,
        hash: envelope.payload_hash.clone(),
        origin: Origin::Event { run, step: envelope.step.clone(), seq: envelope.seq, at_ms: envelope.at_ms },
    })
}

fn step_of(envelope: &Envelope) -> String {
    envelope.step.as_ref().map_or_else(|| "turn".to_owned(), |step| format!("turn in {step}"))
}

fn said(answer: Answer) -> &'static str {
    match answer {
        Answer::Approve => "yes",
        Answer::Reject => "no",
    }
}

/// What a question is called, and what it says.
fn question(ask: &Ask) -> (String, String) {
    match ask {
        Ask::Question { question, default } => {
            ("question".to_owned(), format!("{question}\nWithout an answer: {default}"))
        }
        Ask::HandOver { files, .. } => {
            let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
            ("hand-over".to_owned(), format!("May the result be handed over?\n{}", paths.join("\n")))
        }
        Ask::ProjectCommands { commands, .. } => {
            let told: Vec<String> = commands.iter().map(ProjectCommand::told).collect();
            ("the project's commands".to_owned(), format!("May these run, until they change?\n{}", told.join("\n")))
        }
        Ask::Command { name, argv, reason, .. } => {
            ("command".to_owned(), format!("May `{}` run for {name}? {reason}", argv.join(" ")))
        }
        Ask::Tool { role, call, rule } => {
            ("tool call".to_owned(), format!("May {role} call {} {}? {rule}", call.name, call.arguments))
        }
        Ask::Budget { spent, limit, more, .. } => {
            ("budget".to_owned(), format!("{spent} of {limit} were used; may {more} more be?"))
        }
        Ask::Cloud { provider, .. } => {
            ("leaving this machine".to_owned(), format!("May the project's material leave for {provider}?"))
        }
    }
}

/// The record of the part of a document at `anchor`, the `at`th of it. `hash` is the file's.
pub(crate) fn document(path: &str, at: usize, hash: &Hash, anchor: Anchor, title: String, text: String) -> Record {
    Record {
        key: format!("file {path} {at}"),
        group: path.to_owned(),
        kind: HitKind::Document,
        path: path.to_owned(),
        title,
        text,
        hash: hash.clone(),
        origin: Origin::Part { anchor },
    }
}
