//! What calls of other programs use: the door's side. Each is set aside before it is asked, and recorded once at its end.
//!
//! Calls draw from an allowance of the project's owner, so that most ask nobody; what they used is recorded in the
//! background, many at once. Room for the record of its end is taken before a call begins.

use crate::allowance::NOTHING;
use crate::project::Project;
use crate::spending::add;
use atelier_models::Chosen;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Allowance, Amount, LeavingCall, ServedCall};
use atelier_protocol::ids::CallId;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::ports::Clock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// For how long an allowance counts. A limit that is set meanwhile holds after that.
const COUNTS: Duration = Duration::from_secs(1);
/// Records that may wait, or be promised.
const WAITING: usize = 4_096;
/// Calls of one record.
const AT_ONCE: usize = 256;

/// What the calls of one project use.
pub(crate) struct Tab {
    door: String,
    project: Project,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Held while more is asked for.
    asking: tokio::sync::Mutex<()>,
    notes: mpsc::Sender<Note>,
}

#[derive(Default)]
struct State {
    allowance: Allowance,
    until_ms: u64,
    /// Calls under way, with what they may still use.
    open: HashMap<CallId, Amount>,
}

impl State {
    /// Takes a call out of the allowance, where it holds that.
    fn take(&mut self, call: &CallId, need: &Amount) -> bool {
        let tokens = self.allowance.tokens.map(|left| left.checked_sub(need.tokens));
        let micros = self.allowance.micros.map(|left| need.micros.and_then(|micros| left.checked_sub(micros)));
        let (Some(calls), false, false) =
            (self.allowance.calls.checked_sub(1), tokens == Some(None), micros == Some(None))
        else {
            return false;
        };
        self.allowance = Allowance { micros: micros.flatten(), tokens: tokens.flatten(), calls };
        self.open.insert(call.clone(), need.clone());
        true
    }
}

enum Note {
    Ended(ServedCall),
    Flush(oneshot::Sender<()>),
}

/// A call that may be asked. Dropped before its end is told, it was given up.
pub(crate) struct Line {
    tab: Arc<Tab>,
    room: Option<mpsc::OwnedPermit<Note>>,
    call: ServedCall,
}

impl Tab {
    pub(crate) fn open(door: String, project: Project, clock: Arc<dyn Clock>) -> Arc<Self> {
        let (notes, waiting) = mpsc::channel(WAITING);
        let (state, asking) = Default::default();
        let tab = Arc::new(Self { door, project, clock, state, asking, notes });
        tokio::spawn(write(Arc::downgrade(&tab), waiting));
        tab
    }

    /// Sets aside what a call may use.
    ///
    /// # Errors
    /// `budget_reached` or `cloud_paused`.
    pub(crate) async fn admit(self: &Arc<Self>, call: CallId, chosen: &Chosen, need: Amount) -> Result<Line, Problem> {
        let room = self.notes.clone().reserve_owned().await.map_err(|_| closed())?;
        if !(chosen.route.local && self.draw(&call, &need)) {
            let _asking = self.asking.lock().await;
            if !(chosen.route.local && self.draw(&call, &need)) {
                self.ask(&call, chosen, &need).await?;
            }
        }
        Ok(Line { tab: self.clone(), room: Some(room), call: served(call, chosen) })
    }

    /// Notes an answer that was kept, for which no model was asked.
    pub(crate) async fn kept(&self, call: CallId, chosen: &Chosen) {
        let call = ServedCall { kept: true, failed: None, ..served(call, chosen) };
        if self.notes.send(Note::Ended(call)).await.is_err() {
            tracing::error!("a kept answer could not be recorded");
        }
    }

    /// Takes a call out of the allowance, where it counts and holds that.
    fn draw(&self, call: &CallId, need: &Amount) -> bool {
        let mut state = self.state();
        self.clock.now_ms() < state.until_ms && state.take(call, need)
    }

    /// Asks the owner for an allowance that holds the call.
    async fn ask(&self, call: &CallId, chosen: &Chosen, need: &Amount) -> Result<(), Problem> {
        let leaving = (!chosen.route.local).then(|| LeavingCall {
            call: call.clone(),
            provider: chosen.provider.id.clone(),
            model: chosen.model.clone(),
        });
        let alone = leaving.is_some();
        let open = self.take_back();
        let op = Op::AllowCalls { door: self.door.clone(), open, need: need.clone(), leaving };
        let Reply::Allowed(allowance) = self.project.submit(op).await? else { return Err(closed()) };
        if alone {
            return Ok(()); // what it may use stands in the history
        }
        let mut state = self.state();
        state.allowance = allowance;
        state.until_ms = self.clock.now_ms() + u64::try_from(COUNTS.as_millis()).unwrap_or(0);
        // What was given for this call is taken for it at once, however late that is.
        if state.take(call, need) { Ok(()) } else { Err(closed()) }
    }

    /// Ends the allowance; what calls under way may still use.
    fn take_back(&self) -> Amount {
        let mut state = self.state();
        state.allowance = Allowance::default();
        state.until_ms = 0;
        state.open.values().fold(NOTHING, add)
    }

    /// What calls under way and the rest of the allowance may still use; and whether there is such a rest.
    fn held(&self) -> (Amount, bool) {
        let mut state = self.state();
        if self.clock.now_ms() >= state.until_ms {
            state.allowance = Allowance::default();
        }
        let Allowance { micros, tokens, calls } = state.allowance;
        let rest = Amount { micros: Some(micros.unwrap_or(0)), tokens: tokens.unwrap_or(0), local_ms: 0 };
        (state.open.values().fold(rest, add), calls > 0)
    }

    /// Resolves when every call that has ended is recorded.
    pub(crate) async fn close(&self) {
        self.take_back();
        let (told, flushed) = oneshot::channel();
        if self.notes.send(Note::Flush(told)).await.is_ok() {
            let _ = flushed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// What it used so far.
    pub(crate) fn used(&mut self, used: Amount) {
        self.call.used = used;
    }

    /// It ended: with an answer, or why without.
    pub(crate) fn ended(mut self, failed: Option<Code>) {
        self.call.failed = failed;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.tab.state().open.remove(&self.call.call);
        if let Some(room) = self.room.take() {
            room.send(Note::Ended(self.call.clone()));
        }
    }
}

/// Records what has ended, and gives back what an allowance has left when it counts no more.
async fn write(tab: std::sync::Weak<Tab>, mut waiting: mpsc::Receiver<Note>) {
    let mut rest = false;
    loop {
        let pause = tab.upgrade().map(|tab| tab.clock.clone());
        let note = match pause.filter(|_| rest) {
            Some(clock) => tokio::select! {
                note = waiting.recv() => note.map(Some),
                () = clock.sleep(COUNTS) => Some(None),
            },
            None => waiting.recv().await.map(Some),
        };
        let Some(first) = note else { return };
        let (mut calls, mut flushed) = (Vec::new(), Vec::new());
        let mut next = first;
        while let Some(note) = next {
            match note {
                Note::Ended(call) => calls.push(call),
                Note::Flush(told) => flushed.push(told),
            }
            next = if calls.len() < AT_ONCE { waiting.try_recv().ok() } else { None };
        }
        let Some(tab) = tab.upgrade() else { return };
        let (held, left) = tab.held();
        rest = left;
        let op = Op::RecordCalls { door: tab.door.clone(), held, calls };
        if let Err(problem) = tab.project.submit(op).await {
            tracing::error!(%problem, "what calls of other programs used could not be recorded");
        }
        for told in flushed {
            let _ = told.send(()); // who wanted to know may be gone
        }
    }
}

/// A call that was given up, until its end is told.
fn served(call: CallId, chosen: &Chosen) -> ServedCall {
    ServedCall {
        call,
        provider: chosen.provider.id.clone(),
        model: chosen.model.clone(),
        local: chosen.route.local,
        used: NOTHING,
        failed: Some(Code::Cancelled),
        kept: false,
    }
}

fn closed() -> Problem {
    Problem::new(Code::Internal, "What the call may use could not be set aside.", "Please report this with the log.")
}
