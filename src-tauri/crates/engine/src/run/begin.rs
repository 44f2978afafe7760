//! How a step begins: on the base as it is by then, within its rounds, its role told what it is to do.
//!
//! What a role is told at the start is recorded whole with the step; which words it is told in is `prompt`'s part.

use super::{Done, Halt, Run, defect};
use crate::flow::{Kind, Undo};
use crate::machine::Machine;
use crate::role::{Deliverable, Role};
use crate::{prompt, tools};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Event, StepResult};
use atelier_protocol::ids::StepId;

/// Entries of the folder listing in a brief; more are counted.
const BRIEF_FILES: usize = 60;

impl Run {
    pub(super) async fn begin(&mut self, index: usize, step: StepId) -> Done {
        let definition = self.flow.steps[index].clone();
        // What is handed over is what was checked, so it stays where it is until that is done.
        if definition.kind != Kind::HandOver {
            Box::pin(self.follow_base()).await?;
        }
        if step.round() > self.flow.rounds.saturating_add(self.machine.sent_back) {
            return Err(Halt::Fail(out_of_rounds(&self.machine, self.flow.rounds)));
        }
        let (role, brief) = match &definition.kind {
            Kind::Agent { role, .. } => {
                let Some(role) = self.roles.iter().find(|r| r.id == *role).cloned() else {
                    return Err(Halt::Fail(defect("a flow was accepted with a role that does not exist")));
                };
                let brief = self.brief(&role).await?;
                (Some(role.id), brief)
            }
            _ => (None, String::new()),
        };
        let undo = definition.undo.as_ref().map(Undo::words);
        let started = Event::StepStarted { role, title: definition.title, brief, phase: definition.phase, undo };
        self.record_in(Some(&step), vec![started]).await
    }

    async fn brief(&self, role: &Role) -> Result<String, Halt> {
        let declared = self.desk.checks()?;
        let changed = match &self.machine.view.checkpoint {
            Some(point) if !point.files.is_empty() => {
                point.files.iter().map(|file| format!("- {}\n", file.path)).collect()
            }
            _ => String::new(),
        };
        // A first look at the project; a role that goes on with a change knows it already.
        let first = changed.is_empty() && role.delivers != Deliverable::Review;
        let listing = if first { self.listing() } else { String::new() };
        let parts = prompt::Brief { machine: &self.machine, checks: &declared, listing: &listing, changed: &changed };
        let mut brief = prompt::brief(role, &parts);
        if first {
            brief.push_str(&self.shown_at_first(&brief).await);
        }
        Ok(brief)
    }

    fn listing(&self) -> String {
        let files = self.files();
        let names = tools::files_under(&files, &files);
        let mut text: String = names.iter().take(BRIEF_FILES).map(|name| format!("{name}\n")).collect();
        if names.len() > BRIEF_FILES {
            text.push_str(&format!("({} more)\n", names.len() - BRIEF_FILES));
        }
        text
    }
}

/// The last thing that sent work back decides what kind of failure it is.
fn out_of_rounds(machine: &Machine, rounds: u32) -> Problem {
    let (step, reason) = match &machine.ended {
        Some((step, StepResult::SentBack { reason })) => (step.name(), reason.as_str()),
        _ => ("", ""),
    };
    let checked = machine.view.checkpoint.as_ref().map(|point| machine.view.checks_of(&point.tree));
    let failed = checked == Some(atelier_protocol::event::ChecksVerdict::Failed);
    let code = if failed { Code::ChecksFailed } else { Code::ReviewRejected };
    Problem::new(
        code,
        match rounds {
            1 => format!("`{step}` sent the work back. Your files are untouched."),
            rounds => format!("`{step}` sent the work back {rounds} times. Your files are untouched."),
        },
        "Look at the run's changes and checks; start again with a narrower goal, or discard it.",
    )
    .with_details([reason.to_owned()])
}
