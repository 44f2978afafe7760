//! Undoing what a failed run's steps did, in reverse order.
//!
//! Each undo is an effect like any other: intended, done, settled, and asked of the world after a crash. A step counts
//! as undone only when its undo has landed. What cannot be undone parks the run and says what is left.

use crate::command::{Leave, Order, refused};
use crate::flow::Undo;
use crate::machine::{Done as DoneStep, Machine};
use crate::run::{Done, Halt, Run, defect};
use crate::verify;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Effect, EffectOutcome, Event};
use atelier_protocol::mutant::{self, Mutant};

/// How long a command that undoes a step may take, in milliseconds.
const UNDO_MS: u64 = 600_000;

impl Run {
    pub(crate) async fn undo(&mut self, done: &DoneStep) -> Done {
        let step = Machine::index_of(&self.flow, &done.step).map(|index| &self.flow.steps[index]);
        let Some(undo) = step.and_then(|step| step.undo.clone()) else {
            return Err(Halt::Fail(defect("a step is to be undone whose flow does not say how")));
        };
        let undone = Event::StepUndone { undone: done.step.clone(), how: undo.words() };
        let key = format!("undo:{}", done.step);
        if self.machine.landed(&key) {
            // Done before an interruption, which may have come before the restored tree was recorded.
            let mut told = Vec::new();
            if undo == Undo::Restore {
                let checkpoint = self.checkpoint().await?;
                if self.machine.view.checkpoint.as_ref() != Some(&checkpoint) {
                    told.push(Event::CheckpointMade { checkpoint });
                }
            }
            told.push(undone);
            return self.record_in(Some(&done.step), told).await;
        }
        match undo {
            Undo::Restore => self.restore(&key, done, undone).await,
            Undo::Unpublish => self.unpublish(&key, done, undone).await,
            Undo::Run { argv } => self.undo_by_command(&key, done, &argv, undone).await,
            Undo::Retract => self.retract_task(done, undone).await,
            Undo::End => {
                if self.machine.processes.contains_key(done.step.name()) {
                    self.end_process(done.step.name()).await?;
                }
                self.record_in(Some(&done.step), vec![undone]).await
            }
        }
    }

    async fn restore(&mut self, key: &str, done: &DoneStep, undone: Event) -> Done {
        let commit = done.before.clone().unwrap_or_else(|| self.machine.view.base.commit.clone());
        let effect = Effect::RestoreTree { commit: commit.clone() };
        self.intend(key, done, effect).await?;
        if mutant::is(Mutant::UndoneBeforeUndo) {
            self.landed_undo(key, done, vec![undone]).await?;
            return self
                .desk
                .with_tree(self.tree_run(), move |tree| tree.reset_to(&commit).map_err(|e| e.problem()))
                .await
                .map_err(Halt::from);
        }
        let label = format!("{} undone", done.step);
        let at_ms = self.machine.view.started_at_ms;
        let put_back = self
            .desk
            .with_tree(self.tree_run(), move |tree| {
                tree.reset_to(&commit).map_err(|e| e.problem())?;
                tree.checkpoint(&label, at_ms).map_err(|e| e.problem())
            })
            .await;
        match put_back {
            Ok(checkpoint) => self.landed_undo(key, done, vec![Event::CheckpointMade { checkpoint }, undone]).await,
            Err(problem) => self.not_undone(key, done, problem).await,
        }
    }

    async fn unpublish(&mut self, key: &str, done: &DoneStep, undone: Event) -> Done {
        let view = &self.machine.view;
        let (Some(branch), Some(tip)) = (view.branch.clone(), view.commits.last().map(|commit| commit.id.clone()))
        else {
            return self.record_in(Some(&done.step), vec![undone]).await; // nothing was published
        };
        self.intend(key, done, Effect::RemoveBranch { branch, tip: tip.clone() }).await?;
        let run = self.tree_run().clone();
        let removed = self.desk.with_repo(move |repo| repo.take_back(&run, &tip).map_err(|e| e.problem())).await;
        match removed {
            Ok(()) => self.landed_undo(key, done, vec![undone]).await,
            Err(problem) => self.not_undone(key, done, problem).await,
        }
    }

    async fn undo_by_command(&mut self, key: &str, done: &DoneStep, argv: &[String], undone: Event) -> Done {
        let name = done.step.name();
        match self.leave_for_flow(&format!("undo of {name}"), argv).await? {
            Leave::Given => {}
            Leave::Asked => return Ok(()),
            Leave::Refused => return Err(Halt::Fail(refused(name, argv))),
        }
        if !self.machine.tree_made {
            return Err(Halt::Fail(defect("a command is to undo a step of a run that has no tree")));
        }
        let point = self.checkpoint_recorded().await?;
        let order = Order { name, argv, timeout_ms: UNDO_MS, network: &[] };
        let Some(ended) = self.run_command(key, order, &point.tree).await? else { return Ok(()) };
        let check = self.command_record(Order { name: &format!("undo of {name}"), ..order }, "", ended).await?;
        if !check.passed() {
            let problem = Problem::new(
                Code::ChecksFailed,
                format!("The command that undoes `{}` {}: `{}`.", done.step, verify::ended(&check), argv.join(" ")),
                "Mend what it names, then resume: it is tried again. Cancelling leaves what is left as it is.",
            );
            self.record_in(Some(&done.step), vec![Event::CheckRecorded { check }]).await?;
            return self.not_undone(key, done, problem).await;
        }
        let checkpoint = self.checkpoint().await?;
        let told = vec![Event::CheckRecorded { check }, Event::CheckpointMade { checkpoint }, undone];
        self.landed_undo(key, done, told).await
    }

    async fn intend(&mut self, key: &str, done: &DoneStep, effect: Effect) -> Done {
        self.record_in(Some(&done.step), vec![Event::EffectIntended { key: key.to_owned(), effect }]).await
    }

    async fn landed_undo(&mut self, key: &str, done: &DoneStep, told: Vec<Event>) -> Done {
        let mut events = vec![Event::EffectSettled { key: key.to_owned(), outcome: EffectOutcome::Landed }];
        events.extend(told);
        self.record_in(Some(&done.step), events).await
    }

    async fn not_undone(&mut self, key: &str, done: &DoneStep, problem: Problem) -> Done {
        let outcome = EffectOutcome::NotLanded { problem: Some(problem.clone()) };
        self.record_in(Some(&done.step), vec![Event::EffectSettled { key: key.to_owned(), outcome }]).await?;
        match problem.code {
            Code::OwnerLost | Code::Cancelled => Err(Halt::from(problem)),
            _ => Err(Halt::Fail(problem)), // while undoing, this parks with what is left
        }
    }
}
