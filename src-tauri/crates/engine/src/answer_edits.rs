//! Edits that a model writes in its answer: which form is agreed, and all of them or none.
//!
//! They are recorded as a call of `apply_edits`, so that policy, questions and recovery are those of every other write. The
//! policy is asked about the files that would really change, whatever paths the model wrote. The new contents are kept
//! before the writes are intended: an interrupted set is finished from them, never worked out a second time.

use crate::files::{self, Staged};
use crate::hands::{applied_text, returned};
use crate::policy::{self, Call};
use crate::role::{Deliverable, Role, Tool};
use crate::run::{Done, Halt, Run};
use crate::tools::{self, Answer};
use atelier_edit::{ChangeSet, Edit, Format, Refusal};
use atelier_models::Message;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Effect, EffectOutcome, Event, Output, ToolCall, Verdict};
use atelier_protocol::hash::Hash;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

/// Whether edits in a role's answers are its work at all.
fn may_write_edits(role: &Role) -> bool {
    role.delivers == Deliverable::Change && role.tools.contains(&Tool::ApplyEdits)
}

/// The form in which a role's model writes edits in its answers; `None` where it edits by tools. What the role's file says
/// comes first, then what was measured of the model, where no tool does the same.
pub(crate) fn agreed(role: &Role, measured: Option<&str>) -> Option<Format> {
    if !may_write_edits(role) {
        return None;
    }
    let measured = measured.and_then(|name| name.parse().ok());
    role.edits.or(measured.filter(|format| !matches!(format, Format::SearchReplace | Format::WholeFile)))
}

/// The edits of a call, from its arguments or from the answer it was found in.
pub(crate) fn edits_of(call: &ToolCall, answer: &str) -> Result<Vec<Edit>, String> {
    let format = tools::text_argument(&call.arguments, "format")?;
    let format: Format = format.parse().map_err(|unknown: atelier_edit::UnknownFormat| unknown.to_string())?;
    let text = call.arguments.get("edits").and_then(Value::as_str).unwrap_or(answer);
    atelier_edit::parse(format, text).map_err(|refusal| words(&refusal.problem()))
}

/// Why a set of edits is not applied.
enum NotApplied {
    /// The role may not touch a file.
    Denied(String),
    /// The edits cannot be read or do not fit.
    Refused(String),
}

/// One file of a set: what it is called, and what it will hold.
struct Ready {
    key: String,
    path: String,
    after: Option<Vec<u8>>,
}

impl Run {
    /// The call that the edits in an answer are; `None` where it has none.
    pub(crate) fn edits_in(&self, role: &Role, text: &str, measured: Option<&str>) -> Option<ToolCall> {
        if !may_write_edits(role) {
            return None;
        }
        let format = match agreed(role, measured) {
            Some(format) => format,
            // Nobody asked for them, but a model that only shows what it would do means it to be done.
            None if !self.has_written() => Format::marked(text)?,
            None => return None,
        };
        let paths: Vec<String> = match atelier_edit::parse(format, text) {
            Ok(edits) => edits.iter().map(|edit| edit.path().to_owned()).collect(),
            Err(refusal) if refusal.nothing => return None,
            Err(_) => Vec::new(),
        };
        let arguments = json!({"format": format.name(), "paths": paths});
        Some(ToolCall { id: String::new(), name: Tool::ApplyEdits.name().to_owned(), arguments })
    }

    fn has_written(&self) -> bool {
        let written = |effect: &Effect| matches!(effect, Effect::WriteFile { .. });
        self.machine.view.checkpoint.as_ref().is_some_and(|point| !point.files.is_empty())
            || self.machine.effects.values().any(|tried| written(&tried.effect))
    }

    /// The verdict about the edits of a call: about each file that they would change.
    pub(crate) fn decide_edits(&self, role: &Role, call: &ToolCall) -> Verdict {
        match self.worked_out(role, call) {
            Ok(set) => policy::decide_all(role, Tool::ApplyEdits, set.files.iter().map(|file| file.path.as_str())),
            Err(NotApplied::Denied(rule)) => Verdict::Deny { rule },
            Err(NotApplied::Refused(_)) => policy::decide_all(role, Tool::ApplyEdits, []),
        }
    }

    fn worked_out(&self, role: &Role, call: &ToolCall) -> Result<ChangeSet, NotApplied> {
        let edits = edits_of(call, self.last_answer()).map_err(NotApplied::Refused)?;
        let root = self.files();
        let denied: RefCell<HashMap<String, String>> = RefCell::default();
        let read = |path: &str| match policy::decide(role, &Call { tool: Tool::ApplyEdits.name(), path: Some(path) }) {
            Verdict::Deny { rule } => {
                denied.borrow_mut().insert(path.to_owned(), rule);
                Err("the role may not touch it".to_owned())
            }
            _ => files::writable(&root, path).and_then(|place| files::read(&place)),
        };
        atelier_edit::apply(read, &edits).map_err(|refusal| {
            let rule = match &refusal {
                Refusal::Unreadable { path, .. } => denied.borrow_mut().remove(path),
                _ => None,
            };
            rule.map_or_else(|| NotApplied::Refused(words(&refusal.problem())), NotApplied::Denied)
        })
    }

    /// The text of the model's last turn.
    fn last_answer(&self) -> &str {
        let messages = self.machine.current.as_ref().map(|current| current.talk.messages.as_slice());
        let last = messages.unwrap_or_default().iter().rev().find(|m| matches!(m, Message::Assistant { .. }));
        last.map_or("", Message::text)
    }

    /// Applies the edits of a call that the policy lets through.
    pub(crate) async fn apply_edits(&mut self, role: &Role, call: ToolCall, before: Vec<Event>) -> Done {
        if self.begun(&call).next().is_some() {
            return self.finish_edits(call, before).await;
        }
        let line = "apply edits";
        let set = match self.worked_out(role, &call) {
            Ok(set) => set,
            Err(NotApplied::Denied(rule)) => {
                return self
                    .answer(&call, before, Answer::refused(line, format!("not allowed: {rule}")), Vec::new())
                    .await;
            }
            Err(NotApplied::Refused(why)) => {
                return self.answer(&call, before, Answer::refused(line, why), Vec::new()).await;
            }
        };
        let hash = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| Hash::of(bytes));
        let (mut intended, mut ready, mut told) = (before, Vec::new(), Vec::new());
        for change in set.files.into_iter().filter(|change| change.before != change.after) {
            if let Some(after) = &change.after {
                self.desk.journal.put_blob(after.clone()).await.map_err(Problem::from)?;
            }
            told.push(format!("{}: {}", change.path, applied_text(&change)));
            let key = key(&call, &change.path);
            let (before, after) = (hash(&change.before), hash(&change.after));
            let effect = Effect::WriteFile { path: change.path.clone(), before, after };
            intended.push(Event::EffectIntended { key: key.clone(), effect });
            ready.push(Ready { key, path: change.path, after: change.after });
        }
        if ready.is_empty() {
            return self.answer(&call, intended, Answer::refused(line, "nothing would change"), Vec::new()).await;
        }
        self.record(intended).await?;
        self.put_all(&call, ready, told).await
    }

    /// The files of a call that were intended before an interruption, and whether each was written.
    fn begun<'a>(&'a self, call: &ToolCall) -> impl Iterator<Item = (&'a String, &'a Effect, bool)> {
        let prefix = key(call, "");
        self.machine
            .effects
            .iter()
            .filter(move |(key, _)| key.starts_with(&prefix))
            .map(|(key, tried)| (key, &tried.effect, tried.outcome == Some(EffectOutcome::Landed)))
    }

    /// What an interruption left undone of a set.
    async fn finish_edits(&mut self, call: ToolCall, before: Vec<Event>) -> Done {
        let (mut intended, mut ready, mut told) = (before, Vec::new(), Vec::new());
        let begun: Vec<(String, Effect, bool)> =
            self.begun(&call).map(|(key, effect, landed)| (key.clone(), effect.clone(), landed)).collect();
        for (key, effect, landed) in begun {
            let Effect::WriteFile { path, after, .. } = &effect else { continue };
            told.push(format!("{path}: written"));
            if landed {
                continue;
            }
            let content = match after {
                None => None,
                Some(hash) => match self.desk.journal.blob(hash).await.map_err(Problem::from)? {
                    Some(bytes) => Some(bytes),
                    None => return Err(Halt::Park(lost(path))),
                },
            };
            ready.push(Ready { key: key.clone(), path: path.clone(), after: content });
            intended.push(Event::EffectIntended { key, effect });
        }
        if !intended.is_empty() {
            self.record(intended).await?;
        }
        self.put_all(&call, ready, told).await
    }

    /// Writes every new content beside its file first, so that a full disk changes nothing; then puts them in place, and
    /// removes what goes last, so that the content of a file that moves is never only in memory.
    async fn put_all(&mut self, call: &ToolCall, ready: Vec<Ready>, told: Vec<String>) -> Done {
        let root = self.files();
        let moves = moves(&edits_of(call, self.last_answer()).unwrap_or_default());
        let mut outcomes: Vec<(String, Result<(), Problem>)> = Vec::new();
        let staged: Vec<_> = ready.iter().map(|file| prepare(&root, file)).collect();
        let all = staged.iter().all(Result::is_ok);
        let mut removed_last: Vec<(&Ready, Result<Option<Staged>, Problem>)> = ready.iter().zip(staged).collect();
        removed_last.sort_by_key(|(file, _)| file.after.is_none());
        let mut failed = false;
        for (file, staged) in removed_last {
            let result = match staged {
                Err(problem) => Err(problem),
                // One that could not be prepared keeps all from being put.
                Ok(_) if !all || failed => continue,
                Ok(staged) => put(&root, file, staged, moves.get(&file.path)),
            };
            failed |= result.is_err();
            outcomes.push((file.key.clone(), result));
        }
        let problem = outcomes.iter().find_map(|(_, result)| result.as_ref().err().cloned());
        let mut events: Vec<Event> = ready
            .iter()
            .map(|file| {
                let outcome = match outcomes.iter().find(|(key, _)| *key == file.key) {
                    Some((_, Ok(()))) => EffectOutcome::Landed,
                    Some((_, Err(problem))) => EffectOutcome::NotLanded { problem: Some(problem.clone()) },
                    None => EffectOutcome::NotLanded { problem: None },
                };
                Event::EffectSettled { key: file.key.clone(), outcome }
            })
            .collect();
        if problem.is_none() {
            let names: Vec<&str> = told.iter().filter_map(|line| line.split(": ").next()).collect();
            let line = match names.as_slice() {
                few @ ([_] | [_, _] | [_, _, _]) => format!("edit {}", few.join(", ")),
                many => format!("edit {} files", many.len()),
            };
            let text = told.join("\n");
            events.push(returned(call, line, true, Output { bytes: text.len() as u64, text, full: None }));
        }
        self.record(events).await?;
        match problem {
            None => Ok(()),
            Some(problem) if problem.code == Code::DiskFull => Err(Halt::Park(problem)),
            Some(problem) => Err(Halt::from(problem)),
        }
    }
}

fn key(call: &ToolCall, path: &str) -> String {
    format!("write:{}:{path}", call.id)
}

/// Where each moved file comes from, by where it goes.
fn moves(edits: &[Edit]) -> HashMap<String, String> {
    let moved = edits.iter().filter_map(|edit| match edit {
        Edit::Move { path, to } => Some((policy::clean(to), policy::clean(path))),
        _ => None,
    });
    moved.collect()
}

fn prepare(root: &Path, file: &Ready) -> Result<Option<Staged>, Problem> {
    let Some(bytes) = &file.after else { return Ok(None) };
    let place = files::writable(root, &file.path).map_err(|why| unwritten(&file.path, &why))?;
    Staged::beside(&place, bytes).map(Some).map_err(|error| files::problem(&file.path, &error))
}

fn put(root: &Path, file: &Ready, staged: Option<Staged>, from: Option<&String>) -> Result<(), Problem> {
    let Some(staged) = staged else {
        let place = files::writable(root, &file.path).map_err(|why| unwritten(&file.path, &why))?;
        return files::remove(&place).map_err(|error| files::problem(&file.path, &error));
    };
    // A file that is moved keeps its mode.
    let mode = from.and_then(|from| std::fs::metadata(root.join(from)).ok());
    let kept = mode.map_or(Ok(()), |meta| staged.set_permissions(meta.permissions()));
    kept.and_then(|()| staged.put()).map_err(|error| files::problem(&file.path, &error))
}

fn unwritten(path: &str, why: &str) -> Problem {
    Problem::new(
        Code::Io,
        format!("`{path}` could not be written in the run's tree: {why}"),
        "Check free space and permissions of the data folder, then resume.",
    )
}

fn lost(path: &str) -> Problem {
    Problem::new(
        Code::Indeterminate,
        format!("The new content of `{path}` was kept for an interruption and is not there any more."),
        "Fork the run from an earlier event, or discard it and start again.",
    )
}

fn words(problem: &Problem) -> String {
    let mut text = format!("{}\n{}", problem.message, problem.hint);
    for detail in &problem.details {
        text.push('\n');
        text.push_str(detail);
    }
    text
}
