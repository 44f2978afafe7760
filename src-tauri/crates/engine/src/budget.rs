//! Limits on what calls to models may use: what a call may use is set aside before it is asked, within every node above
//! it; at four fifths the user is told, at the whole the user is asked.
//!
//! The look and the reserve are one act: who looks at a limit that others share holds the purse until the call's start is
//! recorded.

use crate::desk::Desk;
use crate::run::{Halt, Run};
use crate::spending::{self, DOOR, PROJECT, Row, SPENDING, add};
use atelier_journal::{Order, Rows};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Amount, Ask, BudgetLimits, BudgetNode, BudgetUnit, BudgetView, Event, NewEvent};
use atelier_protocol::ids::{RunId, StepId};
use atelier_protocol::op::Reply;
use std::collections::BTreeSet;
use tokio::sync::OwnedMutexGuard;

/// Rows read at once.
const PAGE: usize = 1000;
/// From this part of a limit on, in hundredths, the user is told.
pub(crate) const NEAR: u64 = 80;

/// A call that may begin, within its limits.
#[derive(Default)]
pub(crate) struct Admitted {
    /// Held so that nobody else looks into a limit that is shared.
    purse: Option<OwnedMutexGuard<()>>,
}

impl Run {
    /// The leave for a call to use so much within every limit above it. Where there is none the user is asked, and the
    /// answer is `None`. Who shares a limit with other runs holds the purse with it, until the call's start is
    /// recorded.
    pub(crate) async fn may_use(&mut self, reserve: &Amount) -> Result<Option<Admitted>, Halt> {
        let step = self.current()?.0.step.clone();
        let mut views = self.desk.budget(Some((&self.id, Some(&step)))).await?;
        let mut admitted = Admitted::default();
        if views.iter().any(is_shared_limit) {
            admitted.purse = Some(self.desk.purse.clone().lock_owned().await);
            views = self.desk.budget(Some((&self.id, Some(&step)))).await?;
        }
        for view in views {
            for (unit, limit) in units(&view.limits) {
                let limit = limit.saturating_add(self.raised(&view.node, unit));
                let used = of(&add(view.spent.clone(), &view.reserved), unit);
                let wanted = of(reserve, unit);
                // A sum that is not known may be anything, so it is over.
                let after = used.zip(wanted).map_or(u64::MAX, |(used, wanted)| used.saturating_add(wanted));
                if used.is_none_or(|used| used >= limit) || after > limit {
                    self.ask_for_more(&view.node, unit, used.unwrap_or(limit), limit, wanted).await?;
                    return Ok(None);
                }
                self.warn(&view.node, unit, after, limit).await?;
            }
        }
        Ok(Some(admitted))
    }

    /// By how much the user raised a limit for this run.
    fn raised(&self, node: &BudgetNode, unit: BudgetUnit) -> u64 {
        let of_it = self.machine.budget.raised.iter().filter(|(of, raised, _)| of == node && *raised == unit);
        of_it.map(|(.., more)| *more).sum()
    }

    async fn ask_for_more(
        &mut self,
        node: &BudgetNode,
        unit: BudgetUnit,
        spent: u64,
        limit: u64,
        wanted: Option<u64>,
    ) -> Result<(), Halt> {
        if self.machine.budget.refused {
            return Err(Halt::Fail(Problem::new(
                Code::BudgetReached,
                format!("{} has used {} of {}.", words(node), amount(spent, unit), amount(limit, unit)),
                "Raise the limit with `atelier models budget set`, and start again.",
            )));
        }
        let more = limit.max(wanted.unwrap_or(0)).max(1);
        let ask = Ask::Budget { spent, limit, more, node: Some(node.clone()), unit };
        self.ask(ask, Vec::new()).await
    }

    /// Says once a run and node that most of a limit is used.
    async fn warn(&mut self, node: &BudgetNode, unit: BudgetUnit, used: u64, limit: u64) -> Result<(), Halt> {
        let label = format!("{} {unit:?}", spending::key(node));
        if u128::from(used) * 100 < u128::from(limit) * u128::from(NEAR) || self.machine.budget.warned.contains(&label)
        {
            return Ok(());
        }
        let problem = Problem::new(
            Code::BudgetNear,
            format!("{} will have used {} of {}.", words(node), amount(used, unit), amount(limit, unit)),
            "At the limit the run asks before it goes on. Look at it with `atelier models budget`.",
        );
        self.record(vec![Event::Noticed { problem: problem.with_details([label]) }]).await
    }

    /// The money that may still be spent for this run, and whether other machines are left alone at the moment.
    pub(crate) async fn money_left(&self) -> Result<(Option<u64>, bool), Halt> {
        let step = self.machine.current.as_ref().map(|current| current.step.clone());
        let views = self.desk.budget(Some((&self.id, step.as_ref()))).await?;
        Ok((left(&views, |view| self.raised(&view.node, BudgetUnit::Micros)), self.desk.paused().await?.is_some()))
    }

    /// Leaves other machines alone, for every run, where what went to them lately is not explained by the time before.
    pub(crate) async fn watch_spending(&self) -> Result<(), Halt> {
        let row = self.desk.project_row().await?;
        let Some(reason) = row.unusual(self.desk.sources.clock.now_ms()) else { return Ok(()) };
        Err(Halt::Park(self.desk.pause_cloud(&row, reason).await?))
    }
}

impl Desk {
    /// What a node used, as of what the read model has seen.
    async fn spending(&self, key: &str) -> Result<Row, Problem> {
        let row = self.projections.get(SPENDING, key).await?;
        Ok(row.and_then(|row| serde_json::from_slice(&row).ok()).unwrap_or_default())
    }

    /// What the project used, as of everything that is committed.
    pub(crate) async fn project_row(&self) -> Result<Row, Problem> {
        self.projections.caught_up().await?;
        self.spending(PROJECT).await
    }

    /// Why other machines are not asked at the moment.
    pub(crate) async fn paused(&self) -> Result<Option<String>, Problem> {
        Ok(self.project_row().await?.paused)
    }

    /// Leaves other machines alone from now on; what is said about it.
    pub(crate) async fn pause_cloud(&self, row: &Row, reason: String) -> Result<Problem, Problem> {
        if row.paused.is_none() {
            let event = NewEvent::of_store(Event::CloudPaused { reason: reason.clone() });
            self.append(vec![event]).await.map_err(Problem::from)?;
        }
        Ok(Problem::new(
            Code::CloudPaused,
            format!("Calls to other machines are paused: {reason}."),
            "Look at `atelier models budget`; with `atelier models budget resume` they go on, then resume the run.",
        ))
    }

    /// The money that may still be spent in the project.
    pub(crate) async fn project_money(&self) -> Result<(Option<u64>, bool), Problem> {
        let views = self.budget(None).await?;
        Ok((left(&views, |_| 0), self.paused().await?.is_some()))
    }

    /// The nodes from the project down to a run and its step.
    pub(crate) async fn budget(&self, of: Option<(&RunId, Option<&StepId>)>) -> Result<Vec<BudgetView>, Problem> {
        // Looked at first: what is recorded meanwhile is counted twice for a moment, never not at all.
        let at_doors = self.doors.held(self.sources.clock.now_ms());
        let project = self.project_row().await?;
        let mut views = vec![with(view(BudgetNode::Project, &project), &at_doors)];
        let Some((run, step)) = of else { return Ok(views) };
        let node = BudgetNode::Run { run: run.clone() };
        let own = self.spending(&spending::key(&node)).await?;
        let root = self.top_of(own.root.clone().unwrap_or_else(|| run.clone())).await?;
        views.push(self.goal(root).await?);
        views.push(view(node, &own));
        if let Some(step) = step {
            let node = BudgetNode::Step { run: run.clone(), step: step.to_string() };
            let row = self.spending(&spending::key(&node)).await?;
            views.push(view(node, &row));
        }
        Ok(views)
    }

    /// What other programs used and may.
    pub(crate) async fn budget_of_doors(&self) -> Result<BudgetView, Problem> {
        let at_doors = self.doors.held(self.sources.clock.now_ms());
        self.projections.caught_up().await?;
        Ok(with(view(BudgetNode::Door {}, &self.spending(DOOR).await?), &at_doors))
    }

    /// The run at the top: a fork of a fork belongs to the first.
    async fn top_of(&self, mut run: RunId) -> Result<RunId, Problem> {
        for _ in 0..32 {
            let row = self.spending(&spending::key(&BudgetNode::Run { run: run.clone() })).await?;
            match row.root {
                Some(root) if root != run => run = root,
                _ => break,
            }
        }
        Ok(run)
    }

    /// The sum of all runs that work for a goal.
    async fn goal(&self, root: RunId) -> Result<BudgetView, Problem> {
        let node = BudgetNode::Goal { run: root.clone() };
        let mut sum = view(node.clone(), &self.spending(&spending::key(&node)).await?);
        let (mut members, mut next) = (BTreeSet::from([root.clone()]), vec![root]);
        while let Some(run) = next.pop() {
            let row = self.spending(&spending::key(&BudgetNode::Run { run: run.clone() })).await?;
            sum.spent = add(sum.spent, &row.spent());
            sum.reserved = add(sum.reserved, &row.reserved());
            sum.calls += row.calls;
            let for_it = self.spending(&spending::key(&BudgetNode::Goal { run })).await?.members;
            next.extend(for_it.into_iter().filter(|member| members.insert(member.clone())));
        }
        Ok(sum)
    }

    /// Answers what was used and what may be.
    pub(crate) async fn show_budget(&self, run: Option<&RunId>) -> Result<Reply, Problem> {
        let mut nodes = self.budget(run.map(|run| (run, None))).await?;
        if let Some(run) = run {
            let prefix = format!("step/{run}/");
            let page = Rows { prefix: prefix.clone(), after: None, order: Order::Rising, limit: PAGE };
            for (key, row) in self.projections.list(SPENDING, page).await? {
                let Ok(row) = serde_json::from_slice::<Row>(&row) else { continue };
                let step = key.strip_prefix(&prefix).unwrap_or_default().to_owned();
                nodes.push(view(BudgetNode::Step { run: run.clone(), step }, &row));
            }
        }
        let doors = self.budget_of_doors().await?;
        if doors.calls > 0 || doors.limits != BudgetLimits::default() {
            nodes.insert(1, doors);
        }
        Ok(Reply::Budget { nodes, paused: self.paused().await? })
    }

    /// Limits a node.
    pub(crate) async fn set_budget(&self, node: BudgetNode, limits: BudgetLimits) -> Result<Reply, Problem> {
        if matches!(node, BudgetNode::Attempt { .. }) {
            return Err(Problem::new(
                Code::BadArgument,
                "A single call has no limit of its own.",
                "Limit its step, run, goal or the project.",
            ));
        }
        self.append(vec![NewEvent::of_store(Event::BudgetSet { node, limits })]).await?;
        self.show_budget(None).await
    }

    /// Lets other machines be asked again.
    pub(crate) async fn resume_cloud(&self) -> Result<Reply, Problem> {
        if self.paused().await?.is_some() {
            self.append(vec![NewEvent::of_store(Event::CloudResumed {})]).await?;
        }
        self.show_budget(None).await
    }
}

/// Whether other runs use of a limit of this node.
fn is_shared_limit(view: &BudgetView) -> bool {
    matches!(view.node, BudgetNode::Project | BudgetNode::Goal { .. }) && units(&view.limits).next().is_some()
}

/// A node with what is set aside for the calls of other programs.
fn with(mut view: BudgetView, at_doors: &Amount) -> BudgetView {
    view.reserved = add(view.reserved, at_doors);
    view
}

fn view(node: BudgetNode, row: &Row) -> BudgetView {
    BudgetView { node, limits: row.limits, spent: row.spent(), reserved: row.reserved(), calls: row.calls }
}

/// The limits that are set.
pub(crate) fn units(limits: &BudgetLimits) -> impl Iterator<Item = (BudgetUnit, u64)> {
    [
        (BudgetUnit::Micros, limits.micros),
        (BudgetUnit::Tokens, limits.tokens),
        (BudgetUnit::LocalSeconds, limits.local_s),
    ]
    .into_iter()
    .filter_map(|(unit, limit)| Some((unit, limit?)))
}

pub(crate) fn of(amount: &Amount, unit: BudgetUnit) -> Option<u64> {
    match unit {
        BudgetUnit::Micros => amount.micros,
        BudgetUnit::Tokens => Some(amount.tokens),
        BudgetUnit::LocalSeconds => Some(amount.local_ms / 1000),
    }
}

/// The least that any limit on money leaves; `None` where none is set.
fn left(views: &[BudgetView], raised: impl Fn(&BudgetView) -> u64) -> Option<u64> {
    let of_node = |view: &BudgetView| {
        let limit = view.limits.micros?.saturating_add(raised(view));
        let used = add(view.spent.clone(), &view.reserved).micros;
        Some(used.map_or(0, |used| limit.saturating_sub(used)))
    };
    views.iter().filter_map(of_node).min()
}

pub(crate) fn words(node: &BudgetNode) -> String {
    match node {
        BudgetNode::Project => "The project".to_owned(),
        BudgetNode::Door {} => "The door for other programs".to_owned(),
        BudgetNode::Goal { .. } => "The goal".to_owned(),
        BudgetNode::Run { .. } => "The run".to_owned(),
        BudgetNode::Step { step, .. } => format!("The step `{step}`"),
        BudgetNode::Attempt { .. } => "The call".to_owned(),
    }
}

pub(crate) fn amount(n: u64, unit: BudgetUnit) -> String {
    match unit {
        BudgetUnit::Micros => format!("{}.{:06} of money", n / 1_000_000, n % 1_000_000),
        BudgetUnit::Tokens => format!("{n} tokens"),
        BudgetUnit::LocalSeconds => format!("{n} s on this machine"),
    }
}
