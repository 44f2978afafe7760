//! Checkpoints and checks: the state of the tree, and the evidence about it.
//!
//! A check counts only for the tree it ran on. One that changes tracked files leaves a new tree and is run again,
//! once; a check that changes files twice has failed.

use crate::checks;
use crate::command::{Leave, Order};
use crate::hands::returned;
use crate::run::{Done, Halt, Run};
use crate::tools::Answer;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Check, Checkpoint, Compared, EffectOutcome, Event, StepResult, ToolCall};
use atelier_protocol::view::DeclaredCheck;
use serde_json::Value;

/// Lines of a failed check that the author is told.
const TOLD_LINES: usize = 60;

impl Run {
    /// Records the tree's present state as a commit of the private repository.
    pub(crate) async fn checkpoint(&self) -> Result<Checkpoint, Halt> {
        let label = self.machine.current.as_ref().map_or_else(String::new, |c| c.step.to_string());
        // The run's own start gives the time, so that the same tree is the same commit after an interruption.
        let at_ms = self.machine.view.started_at_ms;
        let point = self
            .desk
            .with_tree(self.tree_run(), move |tree| tree.checkpoint(&label, at_ms).map_err(|e| e.problem()))
            .await?;
        Ok(point)
    }

    /// The checkpoint of the present tree, recorded where it is a new one.
    pub(crate) async fn checkpoint_recorded(&mut self) -> Result<Checkpoint, Halt> {
        let point = self.checkpoint().await?;
        if self.machine.view.checkpoint.as_ref() != Some(&point) {
            self.record(vec![Event::CheckpointMade { checkpoint: point.clone() }]).await?;
        }
        Ok(point)
    }

    /// The check step: every check on the present tree, then the verdict.
    pub(crate) async fn run_checks(&mut self) -> Done {
        let declared = self.desk.checks()?;
        if declared.is_empty() {
            let missing = Event::ChecksMissing { looked_for: checks::looked_for() };
            return self.end_step(vec![missing], StepResult::Done).await;
        }
        if !self.prove().await? {
            return Ok(());
        }
        let tree = self.machine.view.checkpoint.as_ref().map(|point| point.tree.clone()).unwrap_or_default();
        self.judge(&tree).await
    }

    /// Has every declared check recorded on the present tree; not yet where a question had to be asked first.
    pub(crate) async fn prove(&mut self) -> Result<bool, Halt> {
        let declared = self.desk.checks()?;
        let mut point = self.checkpoint_recorded().await?;
        for rerun in [false, true] {
            for check in &declared {
                if self.machine.view.checks.iter().any(|c| c.name == check.name && c.tree == point.tree) {
                    continue; // recorded before an interruption, or by a role on this very tree
                }
                match self.check(check, &point, None).await? {
                    Ran::Recorded => {}
                    Ran::Asked => return Ok(false),
                    Ran::Refused => return Err(Halt::Fail(command_refused(check))),
                }
            }
            let after = self.checkpoint().await?;
            if after.tree == point.tree {
                self.compare(&declared, &point).await?;
                return Ok(true);
            }
            let files: Vec<String> = after.files.iter().map(|f| f.path.clone()).collect();
            if rerun {
                return Err(Halt::Fail(unstable(&files)));
            }
            self.record(vec![Event::CheckpointMade { checkpoint: after.clone() }]).await?;
            point = after;
        }
        Ok(true)
    }

    async fn judge(&mut self, tree: &str) -> Done {
        // A check counts as it ended last: one that a role ran again is judged by that.
        let latest = self.machine.view.latest_checks(tree);
        let failed: Vec<String> = latest.iter().filter(|c| !c.passed()).map(|c| told(c)).collect();
        let result =
            if failed.is_empty() { StepResult::Done } else { StepResult::SentBack { reason: failed.join("\n\n") } };
        self.end_step(Vec::new(), result).await
    }

    /// The tool `run_check`.
    pub(crate) async fn run_check_tool(&mut self, call: ToolCall, before: Vec<Event>) -> Done {
        let declared = self.desk.checks()?;
        let names: Vec<&str> = declared.iter().map(|c| c.name.as_str()).collect();
        let wanted = call.arguments.get("name").and_then(Value::as_str).or(match names.as_slice() {
            [only] => Some(only),
            _ => None,
        });
        let Some(check) = declared.iter().find(|c| Some(c.name.as_str()) == wanted).cloned() else {
            let text = if names.is_empty() {
                "this project declares no checks".to_owned()
            } else {
                format!("there is no such check; the checks are: {}", names.join(", "))
            };
            return self.answer(&call, before, Answer::refused("run check", text), Vec::new()).await;
        };
        if !self.machine.tree_made {
            let answer = Answer::refused(format!("run check {}", check.name), "there is no changed tree to check yet");
            return self.answer(&call, before, answer, Vec::new()).await;
        }
        if !before.is_empty() {
            self.record(before).await?;
        }
        let point = self.checkpoint_recorded().await?;
        match self.check(&check, &point, Some(&call)).await? {
            Ran::Recorded | Ran::Asked => Ok(()),
            Ran::Refused => {
                let answer = Answer::refused(format!("run check {}", check.name), "the user said no to running it");
                self.answer(&call, Vec::new(), answer, Vec::new()).await
            }
        }
    }

    /// Runs one check on the tree of `point` and records it; for a tool call, with its answer.
    async fn check(&mut self, check: &DeclaredCheck, point: &Checkpoint, call: Option<&ToolCall>) -> Result<Ran, Halt> {
        let key = match call {
            Some(call) => format!("check:{}:{}", call.id, check.name),
            None => format!("check:{}:{}:{}", self.current()?.0.step, point.tree, check.name),
        };
        match self.leave_for_check(&key, Order::of_check(check)).await? {
            Leave::Given => {}
            Leave::Asked => return Ok(Ran::Asked),
            Leave::Refused => return Ok(Ran::Refused),
        }
        let order = Order::of_check(check);
        let Some(done) = self.run_command(&key, order, &point.tree).await? else { return Ok(Ran::Recorded) };
        let recorded = self.command_record(order, &point.tree, done).await?;
        let mut events = vec![
            Event::EffectSettled { key, outcome: EffectOutcome::Landed },
            Event::CheckRecorded { check: recorded.clone() },
        ];
        if let Some(call) = call {
            let line = format!("run check {}: {}", check.name, ended(&recorded));
            let text = format!("{}\n{}", ended(&recorded), tail(&recorded.output.text));
            let output = atelier_protocol::event::Output { bytes: text.len() as u64, text, full: None };
            events.push(returned(call, line, recorded.passed(), output));
        }
        self.record(events).await?;
        Ok(Ran::Recorded)
    }
}

enum Ran {
    Recorded,
    Asked,
    Refused,
}

pub(crate) fn ended(check: &Check) -> String {
    let compared = check.compared.as_ref().filter(|_| !check.is_of_base());
    if let Some(compared) = compared {
        return format!("failed: {}", against_base(compared));
    }
    match (check.exit_code, check.timed_out) {
        (_, true) => "stopped at its time limit".to_owned(),
        (Some(0), _) => "passed".to_owned(),
        (Some(code), _) => format!("failed with exit code {code}"),
        (None, _) => "ended by a signal".to_owned(),
    }
}

pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TOLD_LINES);
    let mut shown = lines[from..].join("\n");
    if from > 0 {
        shown = format!("({from} lines before these are not shown)\n{shown}");
    }
    shown
}

/// What is old and what is new, in words.
fn against_base(compared: &Compared) -> String {
    let were = |count: u32| match count {
        0 => "none of the failures was there before".to_owned(),
        1 => "1 failure was there before".to_owned(),
        count => format!("{count} failures were there before"),
    };
    match compared.new.as_slice() {
        [] => format!("{}, none is new", were(compared.old)),
        [one] => format!("{}, 1 is new: {one}", were(compared.old)),
        many => format!("{}, {} are new: {}", were(compared.old), many.len(), many.join(", ")),
    }
}

pub(crate) fn told(check: &Check) -> String {
    format!("The check `{}` {}:\n{}", check.name, ended(check), tail(&check.output.text))
}

fn unstable(files: &[String]) -> Problem {
    Problem::new(
        Code::ChecksFailed,
        "A check changes tracked files each time it runs, so no tree can be proved by it.",
        "Commit what the check makes, or ignore it, and start again.",
    )
    .with_details(files.iter().cloned())
}

fn command_refused(check: &DeclaredCheck) -> Problem {
    Problem::new(
        Code::Rejected,
        format!("The check `{}` was not allowed to run, so nothing can be proved.", check.name),
        "Allow it when asked, or with `atelier checks allow`; where nothing confines it, install bubblewrap.",
    )
}
