//! What calls to models used, by node of the budget: project, goal, run, step. An attempt is a call.
//!
//! A row follows from the events. A call's reserve is set aside when it starts and settled once, by the call's id, when
//! it ends; a second end changes nothing. What is not known stays unknown. Limits stop nothing here: `budget` asks.

use atelier_journal::Projection;
use atelier_protocol::Envelope;
use atelier_protocol::event::{Amount, BudgetLimits, BudgetNode, Event, ServedCall};
use atelier_protocol::ids::{CallId, RunId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The name of the projection.
pub const SPENDING: &str = "spending";
/// The key of the project's row.
pub const PROJECT: &str = "project";
/// The key of what other programs use.
pub const DOOR: &str = "door";
/// What the keys of goals begin with.
const GOAL: &str = "goal/";

/// For how long calls to other machines are kept apart, in minutes.
const HOUR: u64 = 60;
/// The stretch that is compared with the rest of the hour, in minutes.
const STRETCH: u64 = 5;
/// A call of another program that was not heard of for so long has ended with its door, in milliseconds.
const FORGOTTEN_MS: u64 = 3_600_000;
/// Tokens in a stretch that are never unusual.
const USUAL: u64 = 200_000;
/// So many times what the rest of the hour explains is unusual.
const TIMES: u64 = 10;

/// What a node used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The run at the top of the goal it belongs to, for the row of a run.
    pub root: Option<RunId>,
    /// The runs that were started or forked for this one, for the row of a goal.
    #[serde(default)]
    pub members: BTreeSet<RunId>,
    /// What it may use.
    pub limits: BudgetLimits,
    /// Money of calls whose cost is known.
    pub micros: u64,
    /// Calls whose cost is not known.
    pub unknown: u32,
    /// Tokens.
    pub tokens: u64,
    /// Time on this machine's models.
    pub local_ms: u64,
    /// Calls that were settled.
    pub calls: u32,
    /// Calls under way.
    pub open: BTreeMap<CallId, Open>,
    /// Tokens sent to and got from other machines in the last hour, by minute.
    pub elsewhere: BTreeMap<u64, u64>,
    /// Why other machines are not asked at the moment.
    pub paused: Option<String>,
}

/// A call under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// `None` for a call of another program.
    run: Option<RunId>,
    reserved: Amount,
    local: bool,
    prompt_bytes: u64,
    #[serde(default)]
    at_ms: u64,
}

impl Row {
    /// What was used.
    pub fn spent(&self) -> Amount {
        let micros = (self.unknown == 0).then_some(self.micros);
        Amount { micros, tokens: self.tokens, local_ms: self.local_ms }
    }

    /// What is set aside.
    pub fn reserved(&self) -> Amount {
        self.open.values().fold(Amount { micros: Some(0), ..Amount::default() }, |sum, open| add(sum, &open.reserved))
    }

    /// What is unusual about the tokens that went to and came from other machines; `None` where nothing is.
    pub fn unusual(&self, now_ms: u64) -> Option<String> {
        let now = now_ms / 60_000;
        let sum = |from: u64, to: u64| -> u64 {
            let minutes = now.saturating_sub(from)..now.saturating_sub(to).saturating_add(u64::from(to == 0));
            self.elsewhere.range(minutes).map(|(_, tokens)| tokens).sum()
        };
        let (lately, before) = (sum(STRETCH - 1, 0), sum(HOUR, STRETCH - 1));
        let explained = USUAL.max(TIMES * before * STRETCH / (HOUR - STRETCH));
        (lately > explained).then(|| {
            format!("{lately} tokens went to and came from other machines within {STRETCH} minutes; up to {explained} were usual")
        })
    }

    fn apply(&mut self, of_goal: bool, event: &Envelope, run: Option<&RunId>) {
        match &event.event {
            Event::RunStarted { .. } if of_goal => self.members.extend(run.cloned()),
            Event::RunStarted { .. } => self.root = works_for(event).or(run).cloned(),
            Event::CallStarted { call, route, prompt, reserved, .. }
            | Event::SummaryAsked { call, route, prompt, reserved, .. } => {
                let Some(run) = run else { return };
                let prompt_bytes = prompt.parts.iter().map(|part| u64::from(part.bytes)).sum();
                let (run, reserved, local) = (Some(run.clone()), reserved.clone(), route.local);
                let open = Open { run, reserved, local, prompt_bytes, at_ms: event.at_ms };
                self.open.insert(call.clone(), open);
            }
            Event::CallFinished { call, text, thinking, usage, cost, .. } => {
                let Some(open) = self.open.remove(call) else { return };
                let guess = |bytes: u64| bytes.div_ceil(3);
                let prompt = usage.prompt_tokens.map_or(guess(open.prompt_bytes), u64::from);
                let output = usage.output_tokens.map_or(guess((text.len() + thinking.len()) as u64), u64::from);
                let micros = if open.local { Some(0) } else { *cost };
                let local_ms = if open.local { usage.total_ms } else { 0 };
                self.settle(event.at_ms, open.local, &Amount { micros, tokens: prompt + output, local_ms });
            }
            Event::CallFailed { call, used, .. } => {
                let Some(open) = self.open.remove(call) else { return };
                self.settle(event.at_ms, open.local, used);
            }
            Event::MemorySummarised { summary } => {
                let Some(open) = summary.call.as_ref().and_then(|call| self.open.remove(call)) else { return };
                self.settle(event.at_ms, open.local, &summary.used);
            }
            Event::CallAdmitted { call, reserved } => {
                self.settle_forgotten(event.at_ms);
                let reserved = reserved.clone();
                let open = Open { run: None, reserved, local: false, prompt_bytes: 0, at_ms: event.at_ms };
                self.open.insert(call.call.clone(), open);
            }
            Event::CallsServed { calls } => {
                for ServedCall { call, local, used, .. } in calls {
                    self.open.remove(call);
                    self.settle(event.at_ms, *local, used);
                }
            }
            // What was under way ended with its process, or is over.
            Event::RunInterrupted { .. } | Event::RunFinished { .. } => {
                self.open.retain(|_, open| open.run.as_ref() != run);
            }
            Event::BudgetSet { limits, .. } => self.limits = *limits,
            Event::CloudPaused { reason } => self.paused = Some(reason.clone()),
            Event::CloudResumed {} => {
                self.paused = None;
                self.elsewhere.clear();
            }
            _ => {}
        }
    }

    /// What a door that ended in its midst has left open counts as it was set aside.
    fn settle_forgotten(&mut self, at_ms: u64) {
        let forgotten = |open: &Open| open.run.is_none() && open.at_ms.saturating_add(FORGOTTEN_MS) < at_ms;
        let gone: Vec<CallId> =
            self.open.iter().filter(|(_, open)| forgotten(open)).map(|(call, _)| call.clone()).collect();
        for open in gone.iter().filter_map(|call| self.open.remove(call)).collect::<Vec<_>>() {
            self.settle(at_ms, open.local, &open.reserved);
        }
    }

    fn settle(&mut self, at_ms: u64, local: bool, used: &Amount) {
        self.calls += 1;
        self.tokens += used.tokens;
        self.local_ms += used.local_ms;
        match used.micros {
            Some(micros) => self.micros += micros,
            None => self.unknown += 1,
        }
        if !local {
            let minute = at_ms / 60_000;
            *self.elsewhere.entry(minute).or_default() += used.tokens;
            self.elsewhere = self.elsewhere.split_off(&minute.saturating_sub(HOUR));
        }
    }
}

/// The run that a run which starts works for: the top of its tree, or the one it was forked from.
fn works_for(event: &Envelope) -> Option<&RunId> {
    let Event::RunStarted { parent, forked, .. } = &event.event else { return None };
    parent.as_ref().map(|parent| &parent.root).or(forked.as_ref().map(|fork| &fork.run))
}

/// The sum; unknown and known make unknown.
pub fn add(sum: Amount, more: &Amount) -> Amount {
    Amount {
        micros: sum.micros.zip(more.micros).map(|(a, b)| a.saturating_add(b)),
        tokens: sum.tokens.saturating_add(more.tokens),
        local_ms: sum.local_ms.saturating_add(more.local_ms),
    }
}

/// The key of a node's row.
pub fn key(node: &BudgetNode) -> String {
    match node {
        BudgetNode::Project => PROJECT.to_owned(),
        BudgetNode::Door {} => DOOR.to_owned(),
        BudgetNode::Goal { run } => format!("{GOAL}{run}"),
        BudgetNode::Run { run } => format!("run/{run}"),
        BudgetNode::Step { run, step } => format!("step/{run}/{step}"),
        BudgetNode::Attempt { call } => format!("attempt/{call}"),
    }
}

/// Rows by node.
pub struct Spending;

impl Projection for Spending {
    fn name(&self) -> &'static str {
        SPENDING
    }

    fn version(&self) -> u32 {
        2
    }

    fn keys(&self, event: &Envelope) -> Vec<String> {
        let run = |run: &RunId| key(&BudgetNode::Run { run: run.clone() });
        match (&event.event, &event.run) {
            (Event::BudgetSet { node, .. }, _) => vec![key(node)],
            (Event::CloudPaused { .. } | Event::CloudResumed {}, _) => vec![PROJECT.to_owned()],
            (Event::CallAdmitted { .. } | Event::CallsServed { .. }, _) => vec![PROJECT.to_owned(), DOOR.to_owned()],
            (Event::RunStarted { .. }, Some(id)) => {
                let goal = works_for(event).map(|above| key(&BudgetNode::Goal { run: above.clone() }));
                [run(id)].into_iter().chain(goal).collect()
            }
            (
                Event::CallStarted { .. }
                | Event::CallFinished { .. }
                | Event::CallFailed { .. }
                | Event::SummaryAsked { .. }
                | Event::MemorySummarised { .. },
                Some(id),
            ) => {
                let step = event.step.as_ref().map(|step| BudgetNode::Step { run: id.clone(), step: step.to_string() });
                [PROJECT.to_owned(), run(id)].into_iter().chain(step.iter().map(key)).collect()
            }
            (Event::RunInterrupted { .. } | Event::RunFinished { .. }, Some(id)) => vec![PROJECT.to_owned(), run(id)],
            _ => Vec::new(),
        }
    }

    fn fold(&self, key: &str, row: Option<&[u8]>, event: &Envelope) -> Option<Vec<u8>> {
        let mut row: Row = row.and_then(|row| serde_json::from_slice(row).ok()).unwrap_or_default();
        row.apply(key.starts_with(GOAL), event, event.run.as_ref());
        serde_json::to_vec(&row).ok()
    }
}

#[cfg(test)]
#[path = "spending_tests.rs"]
mod tests;
