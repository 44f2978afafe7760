//! A run that continues another one another way: its history up to an event, and a tree as it was at that event.
//!
//! The history is copied in one append that also intends the tree; the fork's own task makes the tree, so that a killed
//! process leaves no fork or one that goes on. Nothing is done again for the original, and nothing of its is touched.
//! What only concerned the original's process or its publication is left out, so a fork asks anew before it publishes.

use crate::desk::{Desk, blocking};
use crate::flow::{Flow, Kind};
use crate::machine::{Action, Machine};
use crate::replay::{Recorded, Replay, TreeState};
use crate::run::{Done, Halt, Run, defect, read_all};
use crate::setup;
use atelier_protocol::Envelope;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Effect, EffectOutcome, Event, Fork, Grants, NewEvent, Outcome};
use atelier_protocol::ids::{ApprovalId, RunId, Seq};
use atelier_repo::{Files, RunTree};
use std::collections::{HashMap, HashSet};

/// The key of the effect that makes a run's tree.
const TREE: &str = "tree";

/// What a fork is made from.
pub(crate) struct Original {
    /// The run's events, all of them.
    pub own: Vec<Envelope>,
    /// The events of all runs that work in the same tree, in order.
    pub family: Vec<Envelope>,
    /// The run whose tree it is.
    pub tree_of: RunId,
}

/// What a fork needs from outside its events.
pub(crate) struct Wanted {
    /// The fork.
    pub run: RunId,
    /// The last event of the original that is kept; `None` takes the last one that a fork can go on from.
    pub at: Option<Seq>,
    /// When the questions that are open count as rejected, milliseconds since 1970 UTC.
    pub expires_at_ms: u64,
}

impl Original {
    /// Reads a run and those that work in the same tree.
    pub(crate) async fn read(desk: &Desk, run: &RunId) -> Result<Original, Problem> {
        let own = read_all(desk, run, Seq::ZERO).await?;
        let parent = own.first().and_then(|first| match &first.event {
            Event::RunStarted { parent, .. } => parent.as_ref(),
            _ => None,
        });
        let tree_of = parent.map_or_else(|| run.clone(), |parent| parent.root.clone());
        let (mut family, mut left) = (Vec::new(), vec![tree_of.clone()]);
        while let Some(member) = left.pop() {
            let events = if member == *run { own.clone() } else { read_all(desk, &member, Seq::ZERO).await? };
            left.extend(events.iter().filter_map(|event| match &event.event {
                Event::ChildStarted { child, .. } => Some(child.clone()),
                _ => None,
            }));
            family.extend(events);
        }
        family.sort_by_key(|event| event.seq);
        Ok(Original { own, family, tree_of })
    }

    fn base(&self) -> Result<String, Problem> {
        match self.own.first().map(|first| &first.event) {
            Some(Event::RunStarted { base, .. }) => Ok(base.commit.clone()),
            _ => Err(defect("a run does not begin with its start")),
        }
    }

    /// The tree at an event; `None` where there was none yet.
    pub(crate) fn tree_at(&self, flow: &Flow, at: Seq, recorded: &impl Recorded) -> Result<Option<TreeState>, Problem> {
        let upto = self.family.partition_point(|event| event.seq <= at);
        Ok(Replay::new(recorded, &checks_of(flow), &self.base()?).state(&self.family[..upto]))
    }

    /// The events of the fork.
    pub(crate) fn plan(
        &self,
        flow: &Flow,
        wanted: Wanted,
        recorded: Option<&impl Recorded>,
        fresh: impl FnMut() -> ApprovalId,
    ) -> Result<Vec<NewEvent>, Problem> {
        let good = self.points(flow, recorded)?;
        let last = match wanted.at {
            None => good.iter().rposition(|good| *good),
            Some(at) => Some(self.own.partition_point(|event| event.seq <= at)).and_then(|count| count.checked_sub(1)),
        };
        let Some(last) = last.filter(|last| good[*last]) else { return Err(self.nowhere(wanted.at, &good)) };
        let at = self.own[last].seq;
        let mut events = self.copied(&self.own[..=last], flow, &wanted, fresh);
        if let Some(recorded) = recorded
            && let Some(tree) = self.tree_at(flow, at, recorded)?
        {
            let effect = Effect::ForkTree { from: self.tree_of.clone(), commit: tree.commit };
            let intended = Event::EffectIntended { key: TREE.to_owned(), effect };
            events.push(NewEvent::of_run(&wanted.run, None, intended));
        }
        Ok(events)
    }

    /// The last event up to `at` and the first after it from which a fork can go on, where there are such.
    pub(crate) fn near(&self, flow: &Flow, at: Seq, recorded: Option<&impl Recorded>) -> Result<Vec<String>, Problem> {
        Ok(self.nearest(at, &self.points(flow, recorded)?))
    }

    fn nearest(&self, at: Seq, good: &[bool]) -> Vec<String> {
        let place = |index: usize| self.own[index].seq;
        let split = self.own.partition_point(|event| event.seq <= at);
        let before = good[..split].iter().rposition(|good| *good).map(place);
        let after = good[split..].iter().position(|good| *good).map(|index| place(split + index));
        before.into_iter().chain(after).map(|seq| seq.to_string()).collect()
    }

    /// For each of the run's events, whether a fork can go on from there.
    fn points(&self, flow: &Flow, recorded: Option<&impl Recorded>) -> Result<Vec<bool>, Problem> {
        let (checks, base) = (checks_of(flow), self.base()?);
        let known = recorded.map(|recorded| Replay::new(recorded, &checks, &base).known(&self.family));
        // Where the tree is gone, only what was before it can be had again.
        let made = self.family.iter().find(|event| makes_tree(&event.event)).map(|event| event.seq);
        let mut machine: Option<Machine> = None;
        let mut undoing = false;
        let mut good = Vec::with_capacity(self.own.len());
        for event in &self.own {
            undoing |= matches!(event.event, Event::CompensationStarted { .. });
            match &mut machine {
                None => machine = Machine::of([event]),
                Some(machine) if !left_out(event, flow) => machine.apply(event),
                Some(_) => {}
            }
            let tree = match &known {
                Some(known) => known.get(&event.seq).copied().unwrap_or(false),
                None => made.is_none_or(|made| event.seq < made),
            };
            let ends = machine.as_ref().is_none_or(|machine| {
                matches!(
                    machine.next(flow),
                    Action::Finish { outcome: Outcome::Failed { .. } | Outcome::Cancelled { .. } }
                )
            });
            good.push(tree && !undoing && !ends);
        }
        Ok(good)
    }

    fn copied(
        &self,
        kept: &[Envelope],
        flow: &Flow,
        wanted: &Wanted,
        mut fresh: impl FnMut() -> ApprovalId,
    ) -> Vec<NewEvent> {
        let settled = settled_effects(kept);
        let ended: HashSet<&RunId> = kept.iter().filter_map(ended_child).collect();
        let answered: HashSet<&ApprovalId> = kept.iter().filter_map(answered).collect();
        let mut asked: HashMap<&ApprovalId, ApprovalId> = HashMap::new();
        let mut effects: HashMap<&str, bool> = HashMap::new();
        let mut events = Vec::with_capacity(kept.len() + 1);
        for envelope in kept.iter().filter(|envelope| !left_out(envelope, flow)) {
            let event = match &envelope.event {
                Event::RunStarted { goal, flow, base, model, grants, priority, budget_tokens, on, .. } => {
                    let at = kept.last().map_or(Seq::ZERO, |last| last.seq);
                    Event::RunStarted {
                        goal: goal.clone(),
                        flow: flow.clone(),
                        base: base.clone(),
                        model: model.clone(),
                        // A grant was given for one run. A fork asks; what was denied beforehand stays denied.
                        grants: Grants { approve: Vec::new(), deny_asks: grants.deny_asks },
                        parent: None,
                        forked: Some(Fork { run: self.own[0].run.clone().unwrap_or_else(|| wanted.run.clone()), at }),
                        priority: *priority,
                        budget_tokens: *budget_tokens,
                        on: on.clone(),
                    }
                }
                Event::EffectIntended { key, effect } => {
                    // What was not settled is decided again, and then done in the fork's own tree.
                    // Its tree is set up anew.
                    let keep = settled.contains(&envelope.seq) && of_the_tree(effect) && !setup::is_key(key);
                    effects.insert(key, keep);
                    if !keep {
                        continue;
                    }
                    envelope.event.clone()
                }
                Event::EffectSettled { key, .. } if !effects.get(key.as_str()).copied().unwrap_or(false) => continue,
                Event::CheckRecorded { check } if setup::is_record(check) => continue,
                Event::ChildStarted { child, .. } if !ended.contains(child) => continue,
                Event::ApprovalRequested { approval, ask, expires_at_ms } => {
                    let id = asked.entry(approval).or_insert_with(&mut fresh).clone();
                    let open = !answered.contains(approval);
                    let expires_at_ms = if open { wanted.expires_at_ms } else { *expires_at_ms };
                    Event::ApprovalRequested { approval: id, ask: ask.clone(), expires_at_ms }
                }
                Event::ApprovalSettled { approval, answer, by, note } => {
                    let Some(id) = asked.get(approval) else { continue };
                    Event::ApprovalSettled { approval: id.clone(), answer: *answer, by: by.clone(), note: note.clone() }
                }
                other => other.clone(),
            };
            let mut copy = NewEvent::of_run(&wanted.run, envelope.step.as_ref(), event);
            copy.cause = Some(envelope.seq);
            events.push(copy);
        }
        events
    }

    /// Why there is no fork at that event, and where there is one.
    fn nowhere(&self, at: Option<Seq>, good: &[bool]) -> Problem {
        let run = self.own.first().and_then(|first| first.run.as_ref()).map_or_else(String::new, ToString::to_string);
        let at = at.unwrap_or_else(|| self.own.last().map_or(Seq::ZERO, |last| last.seq));
        let near = self.nearest(at, good);
        let why = if self.own.first().is_none_or(|first| first.seq > at) {
            format!("Run {run} begins after event {at}.")
        } else {
            format!(
                "Run {run} cannot be continued from event {at}: what its tree held there is not on record, or nothing was left to do."
            )
        };
        let hint = match near.as_slice() {
            [] => "Start a new run for the same goal.".to_owned(),
            [only] => format!("Fork it with `--at {only}`."),
            [before, after, ..] => format!("Fork it with `--at {before}` or `--at {after}`."),
        };
        Problem::new(Code::ForkPoint, why, hint).with_details(near)
    }
}

impl Run {
    /// Makes the tree of a fork, as the original's was; of that one only what is recorded is read.
    pub(crate) async fn fork_tree(&mut self) -> Done {
        let Some(Fork { run, at }) = self.machine.view.forked.clone() else {
            return Err(Halt::Fail(defect("a run that is no fork was to get a fork's tree")));
        };
        let original = Original::read(&self.desk, &run).await?;
        let from = self.desk.places.tree(&self.desk.project, &original.tree_of);
        let (flow, tree_of) = (self.flow.clone(), original.tree_of.clone());
        let opened = from.clone();
        let state = blocking(move || {
            let tree = RunTree::open(&opened).map_err(|error| error.problem())?;
            original.tree_at(&flow, at, &tree)
        });
        let Some(state) = state.await? else {
            return Err(Halt::Fail(defect("a fork's tree was to be made of a run that had none")));
        };
        let effect = Effect::ForkTree { from: tree_of, commit: state.commit.clone() };
        self.record_in(None, vec![Event::EffectIntended { key: TREE.to_owned(), effect }]).await?;
        let spec = self.tree_spec().await?;
        let made = self.desk.with_repo(move |repo| {
            let tree = RunTree::open(&from).map_err(|error| error.problem())?;
            repo.fork_tree(&spec, &tree, &state.commit, &state.files).map(|_| ()).map_err(|error| error.problem())
        });
        let made = made.await;
        if made.is_ok() && !self.set_up().await? {
            // A question is open; the answer begins it again.
            let outcome = EffectOutcome::NotLanded { problem: None };
            return self.record_in(None, vec![Event::EffectSettled { key: TREE.to_owned(), outcome }]).await;
        }
        self.settled(TREE, made, Vec::new()).await?;
        self.start_again().await
    }
}

/// A run's tree as the replay reads it.
impl Recorded for RunTree {
    fn file(&self, commit: &str, path: &str) -> Result<Option<Vec<u8>>, String> {
        self.file_at(commit, path).map_err(|error| error.to_string())
    }
    fn tree_with(&self, commit: &str, files: &Files) -> Result<String, String> {
        RunTree::tree_with(self, commit, files).map_err(|error| error.to_string())
    }
}

/// What concerns only the process that worked on the original, its publication, or those who listened.
fn left_out(envelope: &Envelope, flow: &Flow) -> bool {
    let publishes = |kind: &Kind| matches!(kind, Kind::Approve | Kind::HandOver);
    let of_publication = envelope
        .step
        .as_ref()
        .is_some_and(|step| Machine::index_of(flow, step).is_some_and(|index| publishes(&flow.steps[index].kind)));
    of_publication
        || matches!(
            envelope.event,
            Event::RunInterrupted { .. }
                | Event::RunParked { .. }
                | Event::RunResumed { .. }
                | Event::RunFinished { .. }
                | Event::SlotAwaited { .. }
                | Event::SlotGiven {}
                | Event::StallNoticed { .. }
                | Event::CompensationStarted { .. }
                | Event::StepUndone { .. }
                | Event::HandedOver { .. }
                | Event::RunAccepted { .. }
                | Event::RunDiscarded {}
                | Event::OperationUndone { .. }
                | Event::CommentMade { .. }
                | Event::MessagePosted { .. }
                | Event::MessageDead { .. }
                | Event::DeadReplayed { .. }
                | Event::BarrierOpened { .. }
                | Event::VoteCast { .. }
                | Event::BarrierClosed { .. }
                | Event::JobQueued { .. }
                | Event::JobLeased { .. }
                | Event::JobEnded { .. }
                | Event::ObjectMade { .. }
                | Event::ObjectChanged { .. }
                | Event::ObjectPassed { .. }
        )
}

/// Whether what the effect did is in the tree, and so in the fork's tree too.
fn of_the_tree(effect: &Effect) -> bool {
    match effect {
        Effect::WriteFile { .. } | Effect::RunCommand { .. } | Effect::RestoreTree { .. } => true,
        // What was started is started anew in the fork's tree, as after an interruption.
        Effect::StartProcess { .. } | Effect::EndProcess { .. } => true,
        // The tree itself is the fork's own.
        Effect::MakeTree { .. } | Effect::ForkTree { .. } => false,
        // What the user took back of a tree is in its next checkpoint.
        Effect::HandOver { .. }
        | Effect::RemoveBranch { .. }
        | Effect::Accept { .. }
        | Effect::Discard { .. }
        | Effect::Undo { .. }
        | Effect::Rebase { .. }
        | Effect::Push { .. } => false,
    }
}

fn makes_tree(event: &Event) -> bool {
    matches!(event, Event::EffectIntended { effect: Effect::MakeTree { .. } | Effect::ForkTree { .. }, .. })
}

/// The intents among these events whose outcome is among them too.
fn settled_effects(events: &[Envelope]) -> HashSet<Seq> {
    let mut open: HashMap<&str, Seq> = HashMap::new();
    let mut settled = HashSet::new();
    for envelope in events {
        match &envelope.event {
            Event::EffectIntended { key, .. } => drop(open.insert(key, envelope.seq)),
            Event::EffectSettled { key, .. } => settled.extend(open.remove(key.as_str())),
            _ => {}
        }
    }
    settled
}

fn ended_child(envelope: &Envelope) -> Option<&RunId> {
    match &envelope.event {
        Event::ChildEnded { child, .. } => Some(child),
        _ => None,
    }
}

fn answered(envelope: &Envelope) -> Option<&ApprovalId> {
    match &envelope.event {
        Event::ApprovalSettled { approval, .. } => Some(approval),
        _ => None,
    }
}

fn checks_of(flow: &Flow) -> HashSet<String> {
    let checks = flow.steps.iter().filter(|step| step.kind == Kind::Check);
    checks.map(|step| step.id.clone()).collect()
}
