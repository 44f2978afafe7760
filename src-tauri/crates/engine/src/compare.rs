//! A failed check beside the same check on the base, where the project says that only what failed by this change blocks it.
//!
//! The base is put into the run's own tree for as long as the command takes, so that everything that is not committed
//! (installed packages, build caches) is as for the check itself. All of that is one effect: after a crash the tree is put
//! back to its checkpoint, as for any command. Where failures cannot be compared by name, all of them block.

use crate::command::Order;
use crate::results;
use crate::run::{Done, Halt, Run};
use atelier_protocol::event::{Check, Checkpoint, Compared, EffectOutcome, Event, Mechanism, TestResults};
use atelier_protocol::view::DeclaredCheck;

impl Run {
    /// Records, of each check that fails on the tree of `point` and names its failures, which of them are new.
    pub(crate) async fn compare(&mut self, declared: &[DeclaredCheck], point: &Checkpoint) -> Done {
        let failed = |check: &Check| !check.passed() && !check.timed_out && check.compared.is_none();
        let latest = self.machine.view.latest_checks(&point.tree).into_iter().filter(|check| failed(check));
        let failing: Vec<Check> = latest.cloned().collect();
        for check in failing {
            let Some(now) = check.tests.clone().filter(|tests| tests.failed > 0) else { continue };
            let same = |one: &&DeclaredCheck| one.only_new && one.name == check.name && one.argv == check.argv;
            let Some(same) = declared.iter().find(same) else {
                continue;
            };
            let Some(base) = self.on_base(same, point).await? else { continue };
            if let Some(compared) = compared(&base, &now) {
                self.record(vec![Event::CheckRecorded { check: Check { compared: Some(compared), ..check } }]).await?;
            }
        }
        Ok(())
    }

    /// The check on the base: as it was recorded, else it runs now. `None` where it cannot.
    async fn on_base(&mut self, check: &DeclaredCheck, point: &Checkpoint) -> Result<Option<Check>, Halt> {
        if let Some(known) =
            self.machine.on_base.iter().find(|known| known.name == check.name && known.argv == check.argv)
        {
            return Ok(Some(known.clone()));
        }
        // Each run of a command that nothing confines is asked for; one that only compares is not worth a question.
        if self.desk.sandbox.mechanism() == Mechanism::None {
            return Ok(None);
        }
        let base = self.machine.view.base.commit.clone();
        let tree = {
            let base = base.clone();
            self.desk.with_tree(self.tree_run(), move |tree| tree.tree_of(&base).map_err(|e| e.problem())).await?
        };
        let key = format!("base:{}:{}", self.current()?.0.step, check.name);
        let order = Order::of_check(check);
        self.intend_command(&key, order, &tree).await?;
        let ran = match self.put_at(base).await {
            Ok(()) => self.run_intended(&key, order).await,
            Err(halt) => Err(halt),
        };
        self.put_at(point.commit.clone()).await?;
        let Some(ended) = ran? else { return Ok(None) };
        let mut recorded = self.command_record(order, &tree, ended).await?;
        let old = recorded.tests.as_ref().map_or(0, |tests| tests.failed);
        recorded.compared = Some(Compared { tree, old, new: Vec::new() });
        let settled = Event::EffectSettled { key, outcome: EffectOutcome::Landed };
        self.record(vec![settled, Event::CheckRecorded { check: recorded.clone() }]).await?;
        Ok(Some(recorded))
    }

    async fn put_at(&self, commit: String) -> Done {
        let put = move |tree: &atelier_repo::RunTree| tree.reset_to(&commit).map_err(|e| e.problem());
        Ok(self.desk.with_tree(self.tree_run(), put).await?)
    }
}

fn compared(base: &Check, now: &TestResults) -> Option<Compared> {
    let new = results::new_failures(base.tests.as_ref()?, now)?;
    let old = u32::try_from(now.failures.len() - new.len()).unwrap_or(u32::MAX);
    Some(Compared { tree: base.tree.clone(), old, new })
}
