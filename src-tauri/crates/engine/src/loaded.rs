//! Models on servers of this machine: which runs use them, and whose turn it is where memory holds only one.
//!
//! Calls of one model go together, those of runs and of other programs alike: who wants another one waits while the one that is loaded is at work, or a run still has
//! an answer for it, for so many calls or so long at most; then it is the next one's turn. A model that no run at work uses any
//! more need not stay loaded. Nothing here is recorded; a run that waits says so in its history, a call of the door
//! in its answer, and to whoever asks for the list.

use crate::role::Role;
use crate::run::{Halt, Run};
use crate::workshop::Shared;
use atelier_egress::Errand;
use atelier_models::context::{self, Footprint};
use atelier_models::{Chosen, Provider};
use atelier_protocol::event::{Event, Hold};
use atelier_protocol::ids::RunId;
use atelier_protocol::ports::Clock;
use atelier_protocol::settings::{ProviderKind, ProviderSettings};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// Calls of one model while others wait.
const CALLS: u32 = 8;
/// For how long others wait at most, but for the call that is under way, in milliseconds.
const PATIENCE_MS: u64 = 120_000;

/// A model of a server: the provider's id and the model's name.
pub(crate) type Model = (String, String);

/// The models that runs of this process use.
pub(crate) struct Loaded {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changed: Notify,
    unused: mpsc::UnboundedSender<Model>,
}

#[derive(Default)]
struct State {
    /// Where the models are, by provider.
    servers: BTreeMap<String, ProviderSettings>,
    /// The model whose turn it is, by provider.
    turns: BTreeMap<String, Turn>,
    /// Who waits, in the order they came.
    waiting: VecDeque<Waiting>,
    /// What each run at work uses.
    users: BTreeMap<RunId, Using>,
    tickets: u64,
}

#[derive(Default)]
struct Using {
    models: BTreeSet<Model>,
    /// The model that asked for a tool last and has its answer coming.
    talks: Option<Model>,
}

struct Turn {
    model: String,
    under_way: u32,
    /// Calls that began while others waited.
    calls: u32,
}

struct Waiting {
    ticket: u64,
    model: Model,
    /// `None` for another program.
    run: Option<RunId>,
    since_ms: u64,
}

/// A call that waits for its model's turn.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct WaitingCall {
    /// The server's id in the settings.
    pub provider: String,
    /// The model that is to be asked.
    pub model: String,
    /// The model whose turn it is.
    pub behind: String,
    /// The run that asks; `None` for another program.
    pub run: Option<RunId>,
    /// For how long it has waited, in milliseconds.
    pub ms: u64,
}

/// A run at work, with the models it uses. Dropping it ends that.
pub(crate) struct AtWork {
    loaded: Arc<Loaded>,
    run: RunId,
}

/// The turn for one call. Dropping it ends the call.
pub(crate) struct Permit {
    loaded: Arc<Loaded>,
    model: Model,
}

/// How long a server keeps a model from a call of a run on, which tells it anew with each.
pub(crate) const WHILE_AT_WORK: &str = "30m";
/// How long it is kept when the last run that uses it has ended or waits: for the next goal, not for the night.
const AFTERWARDS: &str = "1m";

/// Lets servers of this machine let go of models that no run at work uses any more.
pub(crate) async fn let_go(shared: Weak<Shared>, mut unused: mpsc::UnboundedReceiver<Model>) {
    while let Some(model) = unused.recv().await {
        let Some(shared) = shared.upgrade() else { return };
        let server = shared.loaded.state().servers.get(&model.0).cloned();
        let Some(server) = server.filter(|_| !shared.loaded.is_used(&model)) else { continue };
        let errand = Errand { provider: Some(server.id.clone()), ..Errand::default() };
        let http = shared.egress.on(errand);
        let server = atelier_models::provider(&server, http, shared.options.sources.clock.clone());
        server.keep(&model.1, AFTERWARDS).await;
    }
}

impl Run {
    /// Ends the turn of a call. A model that asked for a tool is asked again with its answer.
    pub(crate) fn call_ended(&self, permit: Option<Permit>, chosen: &Chosen, asked_for_tools: bool) {
        if let Some(permit) = permit {
            let model = (chosen.provider.id.clone(), chosen.model.clone());
            self.desk.loaded.talks(&self.id, asked_for_tools.then_some(model));
            drop(permit);
        }
    }

    /// The turn for a call to a model of this machine, where memory may not hold it beside the one that is at work.
    pub(crate) async fn turn_for(&mut self, role: &Role, chosen: &Chosen) -> Result<Option<Permit>, Halt> {
        if chosen.provider.kind != ProviderKind::Ollama || !chosen.route.local {
            return Ok(None); // other servers serve the models they were started with
        }
        let model = self.desk.loaded.uses(&self.id, &chosen.provider, &chosen.model);
        let other = match self.desk.loaded.now(Some(&self.id), &model) {
            Ok(permit) => return Ok(Some(permit)),
            Err(other) => other,
        };
        let server = self.server(role, chosen).await?;
        if has_room(&*server, chosen, (self.desk.free_memory)()).await {
            return Ok(None);
        }
        // Nothing is waited for when the run is taken up again: then nobody is at work.
        let until_ms = self.desk.sources.clock.now_ms();
        self.record(vec![Event::CallHeld { hold: Hold::Batch { model: other }, until_ms }]).await?;
        let (loaded, run) = (self.desk.loaded.clone(), self.id.clone());
        tokio::select! {
            permit = loaded.turn(Some(&run), &model) => Ok(Some(permit)),
            () = self.stop.cancelled() => Err(Halt::Stopped),
        }
    }
}

/// Whether a server holds the model beside what it has loaded, or has loaded it. `free` is the memory that is free.
pub(crate) async fn has_room(server: &dyn Provider, chosen: &Chosen, free: Option<u64>) -> bool {
    if server.loaded(&chosen.model).await.is_some() {
        return true;
    }
    let footprint = if free.is_some() { server.footprint(&chosen.model).await } else { None };
    let fits =
        |(free, of): (u64, Footprint)| context::fits_memory(of, free) >= chosen.route.context.unwrap_or(0).max(1);
    free.zip(footprint).is_some_and(fits)
}

/// A place among those who wait. Dropping it gives it up.
struct Place<'a> {
    loaded: &'a Loaded,
    ticket: u64,
}

impl Loaded {
    /// What no run uses any more is told to `unused`.
    pub(crate) fn new(clock: Arc<dyn Clock>, unused: mpsc::UnboundedSender<Model>) -> Arc<Self> {
        Arc::new(Self { clock, state: Mutex::default(), changed: Notify::new(), unused })
    }

    /// Notes that a run at work uses a model.
    pub(crate) fn uses(&self, run: &RunId, server: &ProviderSettings, model: &str) -> Model {
        let model = (server.id.clone(), model.to_owned());
        let mut state = self.state();
        state.servers.insert(server.id.clone(), server.clone());
        state.users.entry(run.clone()).or_default().models.insert(model.clone());
        model
    }

    /// Notes whether a model waits for the answer of a tool that it asked a run for.
    pub(crate) fn talks(&self, run: &RunId, model: Option<Model>) {
        self.state().users.entry(run.clone()).or_default().talks = model;
        self.changed.notify_waiters();
    }

    /// A run that is at work from now on.
    pub(crate) fn at_work(self: &Arc<Self>, run: &RunId) -> AtWork {
        AtWork { loaded: self.clone(), run: run.clone() }
    }

    /// Whether a run at work uses a model.
    pub(crate) fn is_used(&self, model: &Model) -> bool {
        self.state().users.values().any(|used| used.models.contains(model))
    }

    /// The calls that wait now.
    pub(crate) fn waiting(&self) -> Vec<WaitingCall> {
        let now = self.clock.now_ms();
        let state = self.state();
        let told = |waiting: &Waiting| WaitingCall {
            provider: waiting.model.0.clone(),
            model: waiting.model.1.clone(),
            behind: state.turns.get(&waiting.model.0).map_or_else(String::new, |turn| turn.model.clone()),
            run: waiting.run.clone(),
            ms: now.saturating_sub(waiting.since_ms),
        };
        state.waiting.iter().map(told).collect()
    }

    /// The turn for a call, of a run or of another program, or the model that has it.
    pub(crate) fn now(self: &Arc<Self>, run: Option<&RunId>, model: &Model) -> Result<Permit, String> {
        let now = self.clock.now_ms();
        let mut state = self.state();
        match state.before(run, model, u64::MAX, now) {
            None => Ok(self.begin(&mut state, model)),
            Some((other, _)) => Err(other),
        }
    }

    /// Waits for the turn.
    pub(crate) async fn turn(self: &Arc<Self>, run: Option<&RunId>, model: &Model) -> Permit {
        let ticket = {
            let mut state = self.state();
            state.tickets += 1;
            let ticket = state.tickets;
            let since_ms = self.clock.now_ms();
            state.waiting.push_back(Waiting { ticket, model: model.clone(), run: run.cloned(), since_ms });
            ticket
        };
        let _place = Place { loaded: self, ticket };
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable(); // before the look, so that no change falls between
            let wait = {
                let now = self.clock.now_ms();
                let mut state = self.state();
                match state.before(run, model, ticket, now) {
                    None => {
                        state.waiting.retain(|waiting| waiting.ticket != ticket);
                        return self.begin(&mut state, model);
                    }
                    Some((_, wait)) => wait,
                }
            };
            match wait {
                Some(ms) => tokio::select! {
                    () = changed => {}
                    () = self.clock.sleep(Duration::from_millis(ms.max(1))) => {}
                },
                None => changed.await,
            }
        }
    }

    fn begin(self: &Arc<Self>, state: &mut State, model: &Model) -> Permit {
        let others = state.waiting.iter().any(|waiting| waiting.model.0 == model.0 && waiting.model.1 != model.1);
        let turn = state.turns.entry(model.0.clone()).or_insert_with(|| Turn::of(&model.1));
        if turn.model != model.1 {
            *turn = Turn::of(&model.1);
        }
        turn.under_way += 1;
        turn.calls += u32::from(others);
        Permit { loaded: self.clone(), model: model.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    fn of(model: &str) -> Self {
        Self { model: model.to_owned(), under_way: 0, calls: 0 }
    }
}

impl State {
    /// Which model goes before a call with this ticket, and after how long that may change by itself; `None` where it
    /// may begin.
    fn before(&self, run: Option<&RunId>, model: &Model, ticket: u64, now_ms: u64) -> Option<(String, Option<u64>)> {
        let turn = self.turns.get(&model.0)?;
        let first_other =
            self.waiting.iter().find(|waiting| waiting.model.0 == model.0 && waiting.model.1 != turn.model);
        let spent = first_other
            .is_some_and(|other| turn.calls >= CALLS || other.since_ms.saturating_add(PATIENCE_MS) <= now_ms);
        if turn.model == model.1 {
            // Its turn goes on, unless it had its share.
            return first_other.filter(|_| spent).map(|other| (other.model.1.clone(), None));
        }
        if let Some(other) = first_other.filter(|other| other.ticket < ticket && other.model != *model) {
            return Some((other.model.1.clone(), None));
        }
        let of_turn = (model.0.clone(), turn.model.clone());
        // A run that wants another model now asks for no more of this one.
        let waits =
            |user: &RunId| run == Some(user) || self.waiting.iter().any(|waiting| waiting.run.as_ref() == Some(user));
        let talks = self.users.iter().any(|(user, using)| using.talks.as_ref() == Some(&of_turn) && !waits(user));
        let patience = first_other.map(|other| other.since_ms.saturating_add(PATIENCE_MS).saturating_sub(now_ms));
        let goes_on = turn.under_way > 0 || (talks && !spent);
        goes_on.then(|| (turn.model.clone(), patience.filter(|ms| *ms > 0)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(turn) = self.loaded.state().turns.get_mut(&self.model.0)
            && turn.model == self.model.1
        {
            turn.under_way = turn.under_way.saturating_sub(1);
        }
        self.loaded.changed.notify_waiters();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.loaded.state().waiting.retain(|waiting| waiting.ticket != self.ticket);
        self.loaded.changed.notify_waiters();
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let using = self.loaded.state().users.remove(&self.run).unwrap_or_default();
        for model in using.models {
            if !self.loaded.is_used(&model) {
                let _ = self.loaded.unused.send(model); // nobody listens where the program ends
            }
        }
        self.loaded.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A clock that stands still until it is set.
    struct Still(AtomicU64);

    impl Clock for Still {
        fn now_ms(&self) -> u64 {
            self.0.load(Ordering::SeqCst)
        }
        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }
    }

    fn room() -> (Arc<Still>, Arc<Loaded>, mpsc::UnboundedReceiver<Model>) {
        let clock = Arc::new(Still(AtomicU64::new(1_000_000)));
        let (unused, told) = mpsc::unbounded_channel();
        (clock.clone(), Loaded::new(clock, unused), told)
    }

    fn model(name: &str) -> Model {
        ("s".to_owned(), name.to_owned())
    }

    fn uses(loaded: &Loaded, run: &RunId, model: &Model) {
        let server = ProviderSettings { id: "s".into(), kind: ProviderKind::Ollama, base_url: String::new() };
        loaded.uses(run, &server, &model.1);
    }

    fn run(n: u8) -> RunId {
        RunId::new(u64::from(n), [n; 10])
    }

    /// Guards: calls of one model go together, and nobody waits for ever. Turned red by a turn that does not count its
    /// calls, and by one that ends with each call.
    #[test]
    fn calls_of_a_model_go_together_but_not_for_ever() {
        let (_, loaded, _told) = room();
        let (x, y) = (model("x"), model("y"));
        let _works = [loaded.at_work(&run(1)), loaded.at_work(&run(2))];
        uses(&loaded, &run(1), &x);
        uses(&loaded, &run(2), &y);
        let first = loaded.now(Some(&run(1)), &x).unwrap();
        assert_eq!(loaded.now(Some(&run(2)), &y).err().as_deref(), Some("x"));
        let (other, wants) = (run(2), y.clone());
        let mut waits = Box::pin(loaded.turn(Some(&other), &wants));
        assert!(waits.as_mut().now_or_never().is_none());
        loaded.talks(&run(1), Some(x.clone()));
        drop(first);
        // x has an answer of a tool coming; its turn lasts so many calls.
        let mut calls = 0;
        while let Ok(permit) = loaded.now(Some(&run(1)), &x) {
            assert!(waits.as_mut().now_or_never().is_none(), "while x is at work");
            drop(permit);
            calls += 1;
        }
        assert_eq!(calls, CALLS);
        let permit = waits.as_mut().now_or_never().expect("now it is y's turn");
        drop(waits);
        assert_eq!(loaded.now(Some(&run(1)), &x).err().as_deref(), Some("y"));
        drop(permit);
    }

    #[test]
    fn a_model_whose_runs_are_gone_or_wait_themselves_makes_room_at_once() {
        let (clock, loaded, mut told) = room();
        let (x, y) = (model("x"), model("y"));
        let work = loaded.at_work(&run(1));
        uses(&loaded, &run(1), &x);
        drop(loaded.now(Some(&run(1)), &x).unwrap());
        loaded.talks(&run(1), Some(x.clone()));
        assert!(loaded.now(Some(&run(2)), &y).is_err(), "an answer for x is coming");
        loaded.talks(&run(1), None);
        drop(loaded.now(Some(&run(2)), &y).expect("x has said its last word"));
        drop(loaded.now(Some(&run(1)), &x).expect("y too"));
        // A tool that takes its time does not hold others up for ever.
        loaded.talks(&run(1), Some(x.clone()));
        let (other, wants) = (run(2), y.clone());
        let mut waits = Box::pin(loaded.turn(Some(&other), &wants));
        assert!(waits.as_mut().now_or_never().is_none());
        clock.0.fetch_add(PATIENCE_MS, Ordering::SeqCst);
        loaded.changed.notify_waiters();
        drop(waits.as_mut().now_or_never().expect("two minutes are over"));
        drop(waits);
        drop(loaded.now(Some(&run(1)), &x).unwrap());
        // The same run goes on with another model.
        uses(&loaded, &run(1), &y);
        drop(loaded.now(Some(&run(1)), &y).expect("it waits for nobody but itself"));
        drop(work);
        let unused: Vec<Model> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        assert_eq!(unused, [x, y]);
    }

    /// Guards: a call of another program takes no model away from a role that is at work, and is not passed over. Turned
    /// red by a door that asks without a turn.
    #[test]
    fn other_programs_wait_as_runs_do_and_runs_for_them() {
        let (clock, loaded, _told) = room();
        let (x, y) = (model("x"), model("y"));
        let _work = loaded.at_work(&run(1));
        uses(&loaded, &run(1), &x);
        let first = loaded.now(Some(&run(1)), &x).unwrap();
        assert_eq!(loaded.now(None, &y).err().as_deref(), Some("x"), "a role's call is under way");
        drop(loaded.now(None, &x).expect("the same model is anybody's"));
        let mut waits = Box::pin(loaded.turn(None, &y));
        assert!(waits.as_mut().now_or_never().is_none());
        clock.0.fetch_add(1_500, Ordering::SeqCst);
        let told = WaitingCall { provider: "s".into(), model: "y".into(), behind: "x".into(), run: None, ms: 1_500 };
        assert_eq!(loaded.waiting(), [told], "and it is seen");
        drop(first);
        let permit = waits.as_mut().now_or_never().expect("the role has said its last word");
        drop(waits);
        assert_eq!(loaded.now(Some(&run(1)), &x).err().as_deref(), Some("y"), "now the role waits");
        drop(permit);
        assert_eq!((loaded.waiting(), loaded.now(Some(&run(1)), &x).is_ok()), (Vec::new(), true));
    }
}
