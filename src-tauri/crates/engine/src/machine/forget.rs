//! What a machine no longer needs: a long run stays as small as a short one.
//!
//! Only what no later decision asks is dropped; the history keeps all of it.

use super::Machine;
use atelier_protocol::event::{Ask, Effect};
use atelier_protocol::view::{Item, TurnState};

impl Machine {
    /// Drops what only the step that ended needed.
    pub(super) fn forget_step(&mut self) {
        let last = self.view.steps.len().saturating_sub(1);
        self.view.steps.drain(..last);
        for step in &mut self.view.steps {
            step.items.clear();
            step.brief.clear();
        }
        self.effects.retain(|_, tried| {
            tried.outcome.is_none()
                || tried.step.is_none()
                || matches!(tried.effect, Effect::MakeTree { .. } | Effect::ForkTree { .. } | Effect::HandOver { .. })
        });
        let hand_over = self.view.approvals.iter().rposition(|a| matches!(a.ask, Ask::HandOver { .. }));
        let mut at = 0;
        self.view.approvals.retain(|asked| {
            at += 1;
            asked.answer.is_none() || Some(at - 1) == hand_over
        });
    }

    /// Drops items that are in the conversation as well. The call that is open is told by its item.
    pub(super) fn forget_items(&mut self) {
        for step in &mut self.view.steps {
            step.items.retain(|item| matches!(item, Item::Turn { state: TurnState::Open, .. }));
        }
    }

    /// Drops checks and reviews of other trees than the present one, and all but the last of each.
    pub(super) fn forget_evidence(&mut self) {
        let view = &mut self.view;
        let Some(tree) = view.checkpoint.as_ref().map(|point| point.tree.clone()) else { return };
        let latest: Vec<_> = view.latest_checks(&tree).into_iter().cloned().collect();
        view.checks = latest;
        if let Some(last) = view.reviews.pop() {
            view.reviews.clear();
            view.reviews.push(last);
        }
    }
}
