//! After an interruption: asks the world what became of an effect whose outcome is not recorded.
//!
//! Landed or not landed is recorded and the run goes on; what cannot be known is parked, never repeated.

use crate::files;
use crate::run::{Done, Halt, Run, defect};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Effect, EffectOutcome, Event};
use atelier_protocol::hash::Hash;
use atelier_repo::Settled;

impl Run {
    pub(crate) async fn settle(&mut self, key: &str) -> Done {
        let Some(tried) = self.machine.effects.get(key).cloned() else {
            return Err(Halt::Fail(defect("an effect was to be settled that was never intended")));
        };
        let settled = match &tried.effect {
            Effect::MakeTree { .. } | Effect::ForkTree { .. } => {
                let spec = self.tree_spec().await?;
                match self.desk.with_repo(move |repo| Ok(repo.settle_tree(&spec))).await? {
                    Settled::Landed if self.sets_up()? => Settled::NotLanded, // what is done of it is not done again
                    other => other,
                }
            }
            Effect::WriteFile { path, before, after } => self.settle_write(path, before.as_ref(), after.as_ref()),
            Effect::RunCommand { .. } => {
                // Confined to the tree: put it back to the state the command was given and run it again. A tree that is
                // still being set up is put back at the end of that.
                if let Some(point) = self.machine.view.checkpoint.clone().filter(|_| self.machine.tree_made) {
                    self.desk
                        .with_tree(self.tree_run(), move |tree| tree.reset_to(&point.commit).map_err(|e| e.problem()))
                        .await?;
                }
                Settled::NotLanded
            }
            Effect::HandOver { branch, tip } => {
                let (branch, tip) = (branch.clone(), tip.clone());
                self.desk.with_repo(move |repo| Ok(repo.settle_hand_over(&branch, &tip))).await?
            }
            Effect::RestoreTree { commit } => {
                let commit = commit.clone();
                let has = move |tree: &atelier_repo::RunTree| Ok(tree.settle_reset(&commit));
                self.desk.with_tree(self.tree_run(), has).await?
            }
            Effect::RemoveBranch { tip, .. } => {
                let (run, tip) = (self.tree_run().clone(), tip.clone());
                self.desk.with_repo(move |repo| Ok(repo.settle_take_back(&run, &tip))).await?
            }
            // It lives in the owner's process: what is not there now died with the owner before.
            Effect::StartProcess { name, .. } => match self.desk.processes.runs(&self.id, name) {
                true => Settled::Landed,
                false => Settled::NotLanded,
            },
            Effect::EndProcess { name } => match self.desk.processes.runs(&self.id, name) {
                true => Settled::NotLanded,
                false => Settled::Landed,
            },
            Effect::Rebase { .. } => return Box::pin(self.settle_rebase()).await,
            Effect::Accept { .. } | Effect::Discard { .. } | Effect::Undo { .. } | Effect::Push { .. } => {
                return Err(Halt::Park(defect("what the user does to a run was left open in one that is at work")));
            }
        };
        let step = tried.step.clone();
        let (outcome, halt) = match settled {
            Settled::Landed => (EffectOutcome::Landed, None),
            Settled::NotLanded => (EffectOutcome::NotLanded { problem: None }, None),
            Settled::Unknown(found) => {
                (EffectOutcome::Unknown { found: found.clone() }, Some(indeterminate(key, &found)))
            }
        };
        self.record_in(step.as_ref(), vec![Event::EffectSettled { key: key.to_owned(), outcome }]).await?;
        halt.map_or(Ok(()), |problem| Err(Halt::Park(problem)))
    }

    fn settle_write(&self, path: &str, before: Option<&Hash>, after: Option<&Hash>) -> Settled {
        let place = match files::writable(&self.files(), path) {
            Ok(place) => place,
            Err(why) => return Settled::Unknown(why),
        };
        let now = match files::read(&place) {
            Ok(bytes) => bytes.map(|bytes| Hash::of(&bytes)),
            Err(why) => return Settled::Unknown(format!("`{path}` cannot be read: {why}")),
        };
        if now.as_ref() == after {
            Settled::Landed
        } else if now.as_ref() == before {
            Settled::NotLanded
        } else {
            Settled::Unknown(format!("`{path}` has neither the content before nor the one after"))
        }
    }
}

fn indeterminate(key: &str, found: &str) -> Problem {
    Problem::new(
        Code::Indeterminate,
        format!("It cannot be known whether `{key}` was done before the interruption: {found}."),
        "Look at the run's changes. Resuming goes on from what is there now; discarding throws the tree away.",
    )
}
