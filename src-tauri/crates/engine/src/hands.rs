//! Answers a role's tool call: policy first, then the act, then the record.
//!
//! What only looks is recorded with its answer. What writes is intended, done and settled, so that an interrupted
//! write is asked of the world and never done twice.

use crate::agent;
use crate::answer_edits;
use crate::files::{self, Staged};
use crate::policy::{self, Call};
use crate::reader::Reader;
use crate::role::{Role, Tool};
use crate::run::{Done, Halt, Run};
use crate::tools::{self, Answer};
use atelier_edit::{Block, Edit, Format};
use atelier_protocol::event::{Answer as Said, Ask, Effect, EffectOutcome, Event, Output, ToolCall, Verdict};
use atelier_protocol::hash::Hash;
use atelier_protocol::mutant::{self, Mutant};
use atelier_repo::Tip;
use serde_json::Value;

impl Run {
    pub(crate) async fn call_tool(&mut self, call: ToolCall) -> Done {
        let role = self.role()?.clone();
        let known = self.machine.current.as_ref().and_then(|c| c.talk.verdicts.get(&call.id).cloned());
        let fresh = known.is_none();
        let path = call.arguments.get("path").and_then(Value::as_str);
        let verdict = known.unwrap_or_else(|| match Tool::named(&call.name) {
            Some(Tool::ApplyEdits) => self.decide_edits(&role, &call),
            _ => policy::decide(&role, &Call { tool: &call.name, path }),
        });
        let decided = Event::ToolDecided { id: call.id.clone(), tool: call.name.clone(), verdict: verdict.clone() };
        let before = if fresh { vec![decided] } else { Vec::new() };
        match verdict {
            Verdict::Deny { rule } => {
                let line = one_line(&call);
                self.answer(&call, before, Answer::refused(line, format!("not allowed: {rule}")), Vec::new()).await
            }
            Verdict::Ask { rule } => match self.machine.tool_answer(&call.id) {
                None => self.ask(Ask::Tool { role: role.id.clone(), call, rule }, before).await,
                Some(Said::Reject) => {
                    let answer = Answer::refused(one_line(&call), "the user said no to this call; find another way");
                    self.answer(&call, before, answer, Vec::new()).await
                }
                Some(Said::Approve) => self.act(&role, call, before).await,
            },
            Verdict::Allow { .. } => self.act(&role, call, before).await,
        }
    }

    async fn act(&mut self, role: &Role, call: ToolCall, before: Vec<Event>) -> Done {
        let Some(tool) = Tool::named(&call.name) else {
            return self
                .answer(&call, before, Answer::refused(one_line(&call), "there is no such tool"), Vec::new())
                .await;
        };
        match tool {
            Tool::ListFiles => {
                let answer = tools::list_files(&self.files(), &call.arguments);
                self.answer(&call, before, answer, Vec::new()).await
            }
            Tool::ReadFile => {
                let answer = self.read_file(role, &call.arguments).await;
                self.answer(&call, before, answer, Vec::new()).await
            }
            Tool::Search => {
                let answer = self.search(&call.arguments).await;
                self.answer(&call, before, answer, Vec::new()).await
            }
            Tool::ReadDiff => {
                let answer = self.read_diff().await?;
                self.answer(&call, before, answer, Vec::new()).await
            }
            Tool::EditFile | Tool::WriteFile | Tool::DeleteFile => self.write(tool, call, before).await,
            Tool::ApplyEdits => self.apply_edits(role, call, before).await,
            Tool::RunCheck => self.run_check_tool(call, before).await,
            Tool::Remember | Tool::Recall => self.mind(role, tool, call, before).await,
            Tool::SubmitSpec => match agent::spec_of(&call.arguments) {
                Ok(spec) => {
                    let answer = Answer::done("deliver the specification", "delivered");
                    self.answer(&call, before, answer, vec![Event::SpecWritten { spec }]).await
                }
                Err(why) => {
                    self.answer(&call, before, Answer::refused("deliver the specification", why), Vec::new()).await
                }
            },
            Tool::SubmitReview => {
                let tree = self.machine.view.checkpoint.as_ref().map(|c| c.tree.clone()).unwrap_or_default();
                match agent::review_of(&call.arguments, role, tree) {
                    Ok(review) => {
                        let answer = Answer::done("deliver the review", "delivered");
                        self.answer(&call, before, answer, vec![Event::ReviewRecorded { review }]).await
                    }
                    Err(why) => {
                        self.answer(&call, before, Answer::refused("deliver the review", why), Vec::new()).await
                    }
                }
            }
        }
    }

    /// Records a tool's answer, after `before` and before `told`.
    pub(crate) async fn answer(
        &mut self,
        call: &ToolCall,
        before: Vec<Event>,
        answer: Answer,
        told: Vec<Event>,
    ) -> Done {
        let size = answer.text.len() as u64;
        let output = Output { text: answer.text, bytes: size, full: None };
        let mut events = before;
        events.push(returned(call, answer.line, answer.ok, output));
        events.extend(told);
        self.record(events).await
    }

    /// A text as it is; a file of another format as Markdown, read by a confined process.
    async fn read_file(&self, role: &Role, arguments: &Value) -> Answer {
        let root = self.files();
        let path = arguments.get("path").and_then(Value::as_str).filter(|path| atelier_documents::is_document(path));
        let Some(path) = path else {
            let measured = self.machine.route.as_ref().and_then(|route| route.edits.as_deref());
            let numbered = answer_edits::agreed(role, measured) == Some(Format::LineRange);
            return tools::read_file(&root, arguments, numbered);
        };
        let read = async {
            let place = files::inside(&root, path)?;
            let reader =
                Reader::of_this_program(&self.desk.places, self.desk.sandbox.clone()).map_err(|p| p.message)?;
            reader.read(&place).await.map_err(|problem| problem.message)
        };
        match read.await {
            Ok(document) => tools::read_document(path, &document, arguments),
            Err(why) => Answer::refused(format!("read {path}"), why),
        }
    }

    async fn read_diff(&self) -> Result<Answer, Halt> {
        let Some(point) = self.machine.view.checkpoint.clone() else {
            return Ok(Answer::done("read the diff", "nothing was changed yet"));
        };
        let base = self.machine.view.base.commit.clone();
        let diff = self
            .desk
            .with_tree(self.tree_run(), move |tree| {
                tree.diff(&base, Tip::Commit(&point.commit)).map_err(|e| e.problem())
            })
            .await?;
        Ok(Answer::done(format!("read the diff: {} files", diff.files.len()), tools::diff_text(&diff)))
    }

    async fn write(&mut self, tool: Tool, call: ToolCall, before: Vec<Event>) -> Done {
        let asked = call.arguments.get("path").and_then(Value::as_str).unwrap_or_default();
        let path = policy::clean(asked);
        let line = format!("{} {path}", verb(tool));
        let key = format!("write:{}:{path}", call.id);
        if self.machine.landed(&key) {
            // Done before an interruption; only the answer was not recorded.
            return self.answer(&call, before, Answer::done(line, "done"), Vec::new()).await;
        }
        let root = self.files();
        let place = match files::writable(&root, &path) {
            Ok(place) => place,
            Err(why) => return self.answer(&call, before, Answer::refused(line, why), Vec::new()).await,
        };
        let edit = match edit_of(tool, &path, &call.arguments) {
            Ok(edit) => edit,
            Err(why) => return self.answer(&call, before, Answer::refused(line, why), Vec::new()).await,
        };
        let changed = match atelier_edit::apply(|_| files::read(&place), &[edit]) {
            Ok(set) => set.files.into_iter().next(),
            Err(refusal) => {
                let problem = refusal.problem();
                let mut text = format!("{}\n{}", problem.message, problem.hint);
                for detail in &problem.details {
                    text.push('\n');
                    text.push_str(detail);
                }
                return self.answer(&call, before, Answer::refused(line, text), Vec::new()).await;
            }
        };
        let Some(change) = changed else {
            return self.answer(&call, before, Answer::refused(line, "nothing would change"), Vec::new()).await;
        };
        let hash = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|b| Hash::of(b));
        let effect = Effect::WriteFile { path, before: hash(&change.before), after: hash(&change.after) };
        let mut intended = before;
        intended.push(Event::EffectIntended { key: key.clone(), effect });
        if mutant::is(Mutant::OutcomeBeforeEffect) {
            intended.push(Event::EffectSettled { key: key.clone(), outcome: EffectOutcome::Landed });
        }
        self.record(intended).await?;
        let told = applied_text(&change);
        let written = match &change.after {
            Some(bytes) => Staged::beside(&place, bytes).and_then(Staged::put),
            None => files::remove(&place),
        };
        let (answer, result) = match written {
            Ok(()) => (Answer::done(line, told), Ok(())),
            Err(e) => {
                let text = format!("the file could not be written: {e}");
                (Answer::refused(line, text), Err(files::problem(&place.to_string_lossy(), &e)))
            }
        };
        match result {
            Ok(()) => {
                let output = Output { bytes: answer.text.len() as u64, text: answer.text, full: None };
                let told = vec![returned(&call, answer.line, answer.ok, output)];
                if mutant::is(Mutant::OutcomeBeforeEffect) {
                    return self.record(told).await;
                }
                self.settled(&key, Ok(()), told).await
            }
            Err(problem) => self.settled(&key, Err(problem), Vec::new()).await,
        }
    }
}

/// The event that answers `call`.
pub(crate) fn returned(call: &ToolCall, line: String, ok: bool, output: Output) -> Event {
    Event::ToolReturned { id: call.id.clone(), tool: call.name.clone(), line, ok, output }
}

fn verb(tool: Tool) -> &'static str {
    match tool {
        Tool::WriteFile => "write",
        Tool::DeleteFile => "delete",
        _ => "edit",
    }
}

fn one_line(call: &ToolCall) -> String {
    let paths = call.arguments.get("paths").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    match call.arguments.get("path").and_then(Value::as_str) {
        Some(path) => format!("{} {path}", call.name),
        None => [call.name.as_str()].into_iter().chain(paths.take(3)).collect::<Vec<_>>().join(" "),
    }
}

pub(crate) fn edit_of(tool: Tool, path: &str, arguments: &Value) -> Result<Edit, String> {
    let text = |name: &str| tools::text_argument(arguments, name).map(str::to_owned);
    let path = path.to_owned();
    Ok(match tool {
        Tool::WriteFile => Edit::Write { path, content: text("content")?.into_bytes() },
        Tool::DeleteFile => Edit::Delete { path },
        _ => Edit::Replace { path, blocks: vec![Block::new(text("search")?, text("replace")?)] },
    })
}

pub(crate) fn applied_text(change: &atelier_edit::FileChange) -> String {
    let places: Vec<String> = change
        .applied
        .iter()
        .map(|hunk| {
            let note = hunk.relaxed.map(|relaxed| format!(" ({relaxed})")).unwrap_or_default();
            format!("lines {}-{}{note}", hunk.lines[0], hunk.lines[1])
        })
        .collect();
    match (&change.before, &change.after) {
        (_, None) => "deleted".to_owned(),
        (None, Some(_)) => "written as a new file".to_owned(),
        (Some(_), Some(_)) if places.is_empty() => "written".to_owned(),
        (Some(_), Some(_)) => format!("changed, now at {}", places.join(", ")),
    }
}
