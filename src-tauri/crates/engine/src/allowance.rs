//! What calls of other programs may use: the owner's side of the door.
//!
//! A door draws calls from an allowance without asking for each; the whole of it counts as set aside, so that no limit is
//! passed, whoever else uses of it. A call that leaves this machine is looked at alone and recorded before it is sent.
//! What has to be asked of the user in a run is refused here: nobody is there to be asked.

use crate::budget::{NEAR, amount, of, units, words};
use crate::desk::Desk;
use crate::spending::add;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{
    Allowance, Amount, BudgetNode, BudgetUnit, BudgetView, Event, LeavingCall, NewEvent, ServedCall,
};
use atelier_protocol::op::Reply;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Calls of one allowance.
const CALLS: u32 = 64;
/// Calls of one allowance where time is limited: how long a call takes is known at its end.
const TIMED_CALLS: u32 = 4;
/// An allowance takes at most this part of what is left, so that others find something.
const PART: u64 = 8;
/// A door that was not heard of for so long is gone, in milliseconds.
const GONE_MS: u64 = 3_600_000;

/// What is set aside for calls of other programs, by door, and when it was last heard of.
#[derive(Default)]
pub(crate) struct Doors(Mutex<BTreeMap<String, (Amount, u64)>>);

impl Doors {
    fn set(&self, door: String, held: Amount, now_ms: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(door, (held, now_ms));
    }

    /// What all doors hold.
    pub(crate) fn held(&self, now_ms: u64) -> Amount {
        let mut doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        doors.retain(|_, (_, heard_ms)| heard_ms.saturating_add(GONE_MS) > now_ms);
        doors.values().fold(NOTHING, |sum, (held, _)| add(sum, held))
    }
}

/// No money, no tokens, no time.
pub(crate) const NOTHING: Amount = Amount { micros: Some(0), tokens: 0, local_ms: 0 };

impl Desk {
    /// Sets aside what calls of a door may use, the next of which needs so much.
    pub(crate) async fn allow_calls(
        &self,
        door: String,
        open: Amount,
        need: Amount,
        leaving: Option<LeavingCall>,
    ) -> Result<Reply, Problem> {
        let _purse = self.purse.lock().await;
        self.doors.set(door.clone(), open.clone(), self.sources.clock.now_ms());
        let views = [self.budget(None).await?.remove(0), self.budget_of_doors().await?];
        let mut allowed = Allowance { micros: None, tokens: None, calls: CALLS };
        for view in &views {
            for (unit, limit) in units(&view.limits) {
                let part = part_of(view, unit, limit, of(&need, unit), leaving.is_some())?;
                match unit {
                    BudgetUnit::Micros => allowed.micros = Some(allowed.micros.map_or(part, |least| least.min(part))),
                    BudgetUnit::Tokens => allowed.tokens = Some(allowed.tokens.map_or(part, |least| least.min(part))),
                    BudgetUnit::LocalSeconds => allowed.calls = TIMED_CALLS,
                }
            }
        }
        if let Some(call) = leaving {
            let row = self.project_row().await?;
            let unusual = row.paused.clone().or_else(|| row.unusual(self.sources.clock.now_ms()));
            if let Some(reason) = unusual {
                return Err(self.pause_cloud(&row, reason).await?);
            }
            self.append(vec![NewEvent::of_store(Event::CallAdmitted { call, reserved: need })]).await?;
            return Ok(Reply::Allowed(Allowance { calls: 1, ..Allowance::default() }));
        }
        let block =
            Amount { micros: Some(allowed.micros.unwrap_or(0)), tokens: allowed.tokens.unwrap_or(0), local_ms: 0 };
        self.doors.set(door, add(open, &block), self.sources.clock.now_ms());
        Ok(Reply::Allowed(allowed))
    }

    /// Records calls of a door that have ended, and what it still holds.
    pub(crate) async fn record_calls(
        &self,
        door: String,
        held: Amount,
        calls: Vec<ServedCall>,
    ) -> Result<Reply, Problem> {
        if !calls.is_empty() {
            self.append(vec![NewEvent::of_store(Event::CallsServed { calls })]).await?;
        }
        // After it is recorded: for a moment it counts twice, never not at all.
        self.doors.set(door, held, self.sources.clock.now_ms());
        Ok(Reply::Done)
    }
}

/// How much of a limit an allowance gets.
fn part_of(view: &BudgetView, unit: BudgetUnit, limit: u64, need: Option<u64>, alone: bool) -> Result<u64, Problem> {
    let used = of(&add(view.spent.clone(), &view.reserved), unit);
    let left = used.map_or(0, |used| limit.saturating_sub(used));
    // A sum or a price that is not known may be anything, so it is over.
    let Some(need) = need.filter(|need| left > 0 && *need <= left) else {
        return Err(reached(&view.node, unit, used.unwrap_or(limit), limit));
    };
    let after = used.unwrap_or(limit).saturating_add(need);
    if u128::from(after) * 100 >= u128::from(limit) * u128::from(NEAR) {
        tracing::warn!("{} will have used {} of {}", words(&view.node), amount(after, unit), amount(limit, unit));
    }
    let many = need.saturating_mul(u64::from(CALLS)).min(left / PART);
    Ok(if alone { need } else { need.max(many) })
}

fn reached(node: &BudgetNode, unit: BudgetUnit, used: u64, limit: u64) -> Problem {
    Problem::new(
        Code::BudgetReached,
        format!("{} has used {} of {}.", words(node), amount(used, unit), amount(limit, unit)),
        "Raise the limit with `atelier models budget set`, or ask for less.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use atelier_protocol::event::BudgetLimits;
    use proptest::prelude::*;

    fn view(spent: u64, reserved: u64, limit: u64) -> BudgetView {
        let tokens = |tokens| Amount { tokens, ..NOTHING };
        BudgetView {
            node: BudgetNode::Door {},
            limits: BudgetLimits { tokens: Some(limit), ..BudgetLimits::default() },
            spent: tokens(spent),
            reserved: tokens(reserved),
            calls: 0,
        }
    }

    proptest! {
        /// Guards: an allowance never passes a limit. Turned red by an allowance of a fixed number of calls.
        #[test]
        fn an_allowance_holds_the_call_and_keeps_within_the_limit(
            spent in 0u64..5_000, reserved in 0u64..5_000, limit in 0u64..20_000, need in 1u64..2_000,
        ) {
            let part = part_of(&view(spent, reserved, limit), BudgetUnit::Tokens, limit, Some(need), false);
            let left = limit.saturating_sub(spent + reserved);
            prop_assert_eq!(part.is_ok(), need <= left);
            if let Ok(part) = part {
                prop_assert!(part >= need && part <= left);
            }
        }
    }

    #[test]
    fn what_is_not_known_is_over_a_limit() {
        let mut view = view(0, 0, 100);
        assert!(part_of(&view, BudgetUnit::Tokens, 100, None, false).is_err());
        view.spent.micros = None;
        assert!(part_of(&view, BudgetUnit::Micros, 100, Some(1), false).is_err());
    }
}
