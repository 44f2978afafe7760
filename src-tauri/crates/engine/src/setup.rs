//! Makes a new tree ready to work in: what the project lends to it, then the commands that the project names.
//!
//! All of it belongs to one effect, the making of the tree, a fork's too: it has landed when the last command has passed.
//! After a crash the commands that are recorded as passed are not run again. What they leave in files that are not ignored
//! is put back as it was before the first of them, so a set-up is never part of a run's change.

use crate::command::{Leave, Order};
use crate::declared::Command;
use crate::desk::Desk;
use crate::run::{Done, Halt, Run};
use crate::{command, consent, verify};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Check, Effect, EffectOutcome, Event};
use atelier_repo::{Provide, RunTree};
use std::path::PathBuf;

/// What the names of its commands begin with.
const NAME: &str = "set up: ";

impl Run {
    /// Runs the project's set-up commands in the tree, those that did not pass yet. `false` where a question had to be
    /// asked first.
    pub(crate) async fn set_up(&mut self) -> Result<bool, Halt> {
        let declared = self.desk.declared()?;
        let commands = &declared.commands;
        if commands.is_empty() {
            return Ok(true);
        }
        // A fork's files are not all in a checkpoint.
        let keep = |tree: &RunTree| tree.keep_as("set-up").map_err(|e| e.problem());
        let before = self.desk.with_tree(self.tree_run(), keep).await?;
        for (place, one) in commands.iter().enumerate() {
            let (key, name) = (key(place), name(one));
            if self.machine.landed(&key) {
                continue;
            }
            let order = Order { name: &name, argv: &one.argv, timeout_ms: one.timeout_ms, network: &one.network };
            match self.leave_for_check(&key, order).await? {
                Leave::Given => {}
                Leave::Asked => return Ok(false),
                Leave::Refused => return Err(Halt::Fail(command::refused(&name, &one.argv))),
            }
            // One that cannot be started has parked the run by now.
            let Some(ended) = self.run_command(&key, order, "").await? else { return Ok(false) };
            let check = self.command_record(order, "", ended).await?;
            let passed = check.passed();
            let outcome = match passed {
                true => EffectOutcome::Landed,
                false => EffectOutcome::NotLanded { problem: Some(failed(&check)) },
            };
            let told = vec![Event::EffectSettled { key, outcome }, Event::CheckRecorded { check: check.clone() }];
            self.record(told).await?;
            if !passed {
                return Err(Halt::Park(failed(&check)));
            }
        }
        let back = move |tree: &RunTree| tree.put_files(&before).map_err(|e| e.problem());
        self.desk.with_tree(self.tree_run(), back).await?;
        Ok(true)
    }

    /// Whether there is a set-up: a tree that is there may then not be ready yet.
    pub(crate) fn sets_up(&self) -> Result<bool, Problem> {
        Ok(!self.desk.declared()?.commands.is_empty())
    }

    pub(crate) async fn make_tree(&mut self) -> Done {
        // A tree is given nothing, and nothing is run in it, without the user's word.
        match self.leave_for_project().await? {
            Leave::Given => {}
            Leave::Asked => return Ok(()), // the answer begins it again
            Leave::Refused => return Err(Halt::Fail(consent::refused())),
        }
        if self.machine.forks_tree() {
            return self.fork_tree().await;
        }
        Box::pin(self.follow_base()).await?;
        self.borrow_base().await?;
        let effect = Effect::MakeTree { base: self.machine.view.base.commit.clone() };
        self.record(vec![Event::EffectIntended { key: "tree".to_owned(), effect }]).await?;
        let spec = self.tree_spec().await?;
        let made = self.desk.with_repo(move |repo| repo.make_tree(&spec).map(|_| ()).map_err(|e| e.problem())).await;
        if made.is_ok() && !self.set_up().await? {
            // A question is open; the answer begins it again.
            let outcome = EffectOutcome::NotLanded { problem: None };
            return self.record(vec![Event::EffectSettled { key: "tree".to_owned(), outcome }]).await;
        }
        self.settled("tree", made, Vec::new()).await
    }
}

impl Desk {
    /// What commands may read beside their tree, because the tree links to it.
    pub(crate) async fn lent(&self) -> Result<Vec<PathBuf>, Problem> {
        let links = self.provided().await?.into_iter();
        Ok(links
            .filter_map(|one| match one {
                Provide::Link(path) => Some(self.root.join(path)),
                Provide::Copy(_) => None,
            })
            .collect())
    }
}

fn key(place: usize) -> String {
    format!("setup:{place}")
}

/// Whether the effect of that key is a part of a set-up.
pub(crate) fn is_key(key: &str) -> bool {
    key.starts_with("setup:")
}

fn name(command: &Command) -> String {
    format!("{NAME}{}", command.argv.join(" "))
}

/// Whether it is the record of a command of a set-up.
pub(crate) fn is_record(check: &Check) -> bool {
    check.tree.is_empty() && check.name.starts_with(NAME)
}

fn failed(check: &Check) -> Problem {
    Problem::new(
        Code::ChecksFailed,
        format!("The project's set-up `{}` {}.", check.argv.join(" "), verify::ended(check)),
        "Mend the list `setup` in `.atelier/project.yaml`, or what the command names, then resume the run. A command has \
         no network unless it names its hosts (`network: [registry.npmjs.org]`).",
    )
    .with_details([verify::tail(&check.output.text)])
}
