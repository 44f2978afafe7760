//! Who may be at work: a bounded number of runs of all projects of a process, in a fair order.
//!
//! Projects take turns; within a project the more urgent goes first and equals go in the order they came. Nobody
//! starves: who was passed over [`PATIENCE`] times goes next. A run that waits is an id in a queue, nothing more.
//! It neither starts a run nor records anything; the supervisor does.

use atelier_protocol::event::Priority;
use atelier_protocol::ids::RunId;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// How often the less urgent are passed over before one of them goes.
const PATIENCE: u32 = 8;

/// The slots of a process.
pub struct Scheduler {
    state: Mutex<State>,
}

struct State {
    slots: usize,
    busy: usize,
    lines: BTreeMap<u64, Queue>,
    joined: u64,
    /// The line that was given the last slot.
    last: u64,
}

/// The runs of one project that wait.
struct Queue {
    /// By urgency, the most urgent first.
    classes: [VecDeque<RunId>; 3],
    /// How often each class was passed over since one of it went.
    passed: [u32; 3],
    turns: mpsc::UnboundedSender<Turn>,
}

/// A run whose turn has come.
pub struct Turn {
    /// The run.
    pub run: RunId,
    /// Its slot.
    pub slot: Slot,
}

/// The right to be at work. Dropping it lets the next one go.
pub struct Slot(Arc<Scheduler>);

/// A project's place at the scheduler. Dropping it takes its runs out of the queue.
pub struct Line {
    scheduler: Arc<Scheduler>,
    id: u64,
}

impl Scheduler {
    /// So many runs may be at work, at least one.
    pub fn new(slots: usize) -> Arc<Self> {
        let state = State { slots: slots.max(1), busy: 0, lines: BTreeMap::new(), joined: 0, last: 0 };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// From now on so many. Runs at work go on; fewer are started until it fits.
    pub fn set_slots(self: &Arc<Self>, slots: usize) {
        self.lock().slots = slots.max(1);
        self.give();
    }

    /// A place for one project, and where its turns come. At most as many turns as slots wait there.
    pub fn join(self: &Arc<Self>) -> (Line, mpsc::UnboundedReceiver<Turn>) {
        let (turns, coming) = mpsc::unbounded_channel();
        let mut state = self.lock();
        state.joined += 1;
        let id = state.joined;
        state.lines.insert(id, Queue { classes: Default::default(), passed: [0; 3], turns });
        (Line { scheduler: self.clone(), id }, coming)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives free slots to who waits.
    fn give(self: &Arc<Self>) {
        loop {
            let given = {
                let mut state = self.lock();
                state.next().map(|(turns, run)| (turns, Turn { run, slot: Slot(self.clone()) }))
            };
            // A project that is gone lets its slot go by dropping the turn, outside the lock.
            let Some((turns, turn)) = given else { return };
            drop(turns.send(turn));
        }
    }
}

impl State {
    fn next(&mut self) -> Option<(mpsc::UnboundedSender<Turn>, RunId)> {
        if self.busy >= self.slots {
            return None;
        }
        let after = (Bound::Excluded(self.last), Bound::Unbounded);
        let waits = |(id, queue): (&u64, &Queue)| (!queue.is_empty()).then_some(*id);
        let line = self.lines.range(after).find_map(waits).or_else(|| self.lines.iter().find_map(waits))?;
        let queue = self.lines.get_mut(&line)?;
        let run = queue.pop()?;
        self.last = line;
        self.busy += 1;
        Some((queue.turns.clone(), run))
    }
}

impl Queue {
    fn len(&self) -> usize {
        self.classes.iter().map(VecDeque::len).sum()
    }

    fn is_empty(&self) -> bool {
        self.classes.iter().all(VecDeque::is_empty)
    }

    fn pop(&mut self) -> Option<RunId> {
        let waits = |class: &usize| !self.classes[*class].is_empty();
        let overdue = (0..3).filter(waits).find(|class| self.passed[*class] >= PATIENCE);
        let class = overdue.or_else(|| (0..3).find(waits))?;
        for other in 0..3 {
            self.passed[other] = match self.classes[other].is_empty() {
                _ if other == class => 0,
                true => 0,
                false => self.passed[other] + 1,
            };
        }
        self.classes[class].pop_front()
    }
}

impl Line {
    /// A slot, where one is free and nobody waits for it.
    pub fn now(&self) -> Option<Slot> {
        let mut state = self.scheduler.lock();
        if state.busy >= state.slots {
            return None;
        }
        state.busy += 1;
        state.last = self.id;
        Some(Slot(self.scheduler.clone()))
    }

    /// Whether every slot is taken.
    pub fn is_full(&self) -> bool {
        let state = self.scheduler.lock();
        state.busy >= state.slots
    }

    /// Queues a run; its turn comes where this line was joined.
    pub fn queue(&self, run: RunId, priority: Priority) {
        if let Some(queue) = self.scheduler.lock().lines.get_mut(&self.id) {
            queue.classes[class(priority)].push_back(run);
        }
        self.scheduler.give();
    }

    /// How many would go before a run that is queued now, if no more come.
    pub fn ahead(&self, priority: Priority) -> usize {
        let state = self.scheduler.lock();
        let own = state
            .lines
            .get(&self.id)
            .map_or(0, |queue| queue.classes[..=class(priority)].iter().map(VecDeque::len).sum::<usize>());
        let others = state.lines.iter().filter(|(id, _)| **id != self.id);
        own + others.map(|(_, queue)| queue.len().min(own + 1)).sum::<usize>()
    }

    /// Takes a run out of the queue. Its turn may have come already.
    pub fn leave(&self, run: &RunId) {
        if let Some(queue) = self.scheduler.lock().lines.get_mut(&self.id) {
            queue.classes.iter_mut().for_each(|class| class.retain(|waiting| waiting != run));
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.scheduler.lock().lines.remove(&self.id);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.lock().busy -= 1;
        self.0.give();
    }
}

fn class(priority: Priority) -> usize {
    match priority {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low => 2,
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
