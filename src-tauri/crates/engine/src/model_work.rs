//! Work on models that goes on in the background while the program runs: fetching and measuring them.
//!
//! One piece of work a model at a time. A pull that breaks off is taken up again a few times; one that the program left
//! is remembered in the home store, so that it can be taken up by whoever comes next.

use crate::keys::KeyRing;
use crate::probe::{self, Subject};
use crate::seat::Seat;
use crate::sources::{Sources, free_memory};
use atelier_egress::{Egress, Errand};
use atelier_models::{CallError, context, route};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{FailureClass, ModelTask, ModelWork, ModelWorkState};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::{ModelChoice, ProviderKind, ProviderSettings, Settings};
use atelier_protocol::view::{ModelView, ProviderView};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Attempts at a pull that brings nothing new.
const ATTEMPTS: u32 = 5;
/// The context that a model is measured with, where it holds and memory allows it.
const MEASURED: u32 = 16_384;
/// Pieces of work that are kept in the list after their end.
const KEPT: usize = 20;

/// The work of this process.
#[derive(Default)]
pub(crate) struct Works {
    works: Mutex<Vec<(ModelWork, Ends)>>,
}

/// How work may end before it is done.
#[derive(Clone, Default)]
struct Ends {
    /// The user stops it.
    stop: CancellationToken,
    /// The program ends.
    leave: CancellationToken,
}

/// What the work is done with.
pub(crate) struct Bench {
    pub egress: Egress,
    pub keys: Arc<KeyRing>,
    pub sources: Sources,
    pub home: Seat,
    pub works: Arc<Works>,
}

impl Works {
    fn list(&self) -> std::sync::MutexGuard<'_, Vec<(ModelWork, Ends)>> {
        self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything, the latest last.
    pub fn all(&self) -> Vec<ModelWork> {
        self.list().iter().map(|(work, _)| work.clone()).collect()
    }

    /// Stops work. What is over already stays as it is; `Some` is what nobody is at work on and is to be given up.
    fn stop(&self, id: u32) -> Result<Option<ModelWork>, Problem> {
        let mut list = self.list();
        let Some((work, ends)) = list.iter_mut().find(|(work, _)| work.id == id) else {
            return Err(Problem::new(
                Code::BadArgument,
                format!("There is no work {id} on a model."),
                "List it with `atelier models work`.",
            ));
        };
        ends.stop.cancel();
        let rests = matches!(work.state, ModelWorkState::Interrupted | ModelWorkState::Failed { .. });
        Ok(rests.then(|| {
            work.state = ModelWorkState::Stopped;
            work.clone()
        }))
    }

    /// Leaves everything as it is, when the program ends: the tasks end with it, and nothing is noted as given up.
    pub fn leave(&self) {
        self.list().iter().for_each(|(_, ends)| ends.leave.cancel());
    }

    /// Notes work that an earlier process left.
    pub fn left(&self, pull: &ModelChoice) {
        let work = begun(ModelTask::Pull, &pull.provider, &pull.model, ModelWorkState::Interrupted);
        // Nothing is at work yet that it could be the same as.
        let _ = self.add(work);
    }

    /// Adds a piece of work; the one that is at work on the model already is answered instead.
    fn add(&self, mut work: ModelWork) -> Result<(u32, Ends), u32> {
        let mut list = self.list();
        let same = |other: &ModelWork| other.provider == work.provider && other.model == work.model;
        if let Some((other, _)) = list.iter().find(|(other, _)| same(other) && other.state == ModelWorkState::Running) {
            return Err(other.id);
        }
        // What was left or failed is taken up by this.
        list.retain(|(other, _)| !(same(other) && other.task == work.task));
        let over = list.iter().filter(|(other, _)| other.state != ModelWorkState::Running).count();
        if let Some(first) = list.iter().position(|(o, _)| over >= KEPT && o.state != ModelWorkState::Running) {
            list.remove(first);
        }
        work.id = list.iter().map(|(other, _)| other.id).max().unwrap_or(0) + 1;
        let (id, ends) = (work.id, Ends::default());
        list.push((work, ends.clone()));
        Ok((id, ends))
    }

    fn change(&self, id: u32, change: impl FnOnce(&mut ModelWork)) {
        if let Some((work, _)) = self.list().iter_mut().find(|(work, _)| work.id == id) {
            change(work);
        }
    }
}

fn begun(task: ModelTask, provider: &str, model: &str, state: ModelWorkState) -> ModelWork {
    let (provider, model) = (provider.to_owned(), model.to_owned());
    ModelWork { id: 0, task, provider, model, done: 0, of: 0, what: "begins".to_owned(), state }
}

impl Bench {
    /// Stops work. A pull that rests is given up.
    pub async fn stop(self, id: u32) -> Result<(), Problem> {
        if let Some(work) = self.works.stop(id)?
            && work.task == ModelTask::Pull
        {
            self.note(&work.provider, &work.model, Some(false)).await;
        }
        Ok(())
    }

    /// Begins to fetch a model.
    pub async fn pull(self, settings: &Settings, provider: Option<&str>, model: &str) -> Result<u32, Problem> {
        let server = ollama(settings, provider)?.clone();
        if model.trim().is_empty() {
            return Err(Problem::new(Code::BadArgument, "No model is named.", "Name one, such as `qwen3:8b`."));
        }
        let model = model.trim().to_owned();
        let (id, ends) = match self.works.add(begun(ModelTask::Pull, &server.id, &model, ModelWorkState::Running)) {
            Ok(added) => added,
            Err(id) => return Ok(id),
        };
        self.note(&server.id, &model, None).await;
        tokio::spawn(async move {
            let state = tokio::select! {
                pulled = self.pull_on(id, &server, &model) => match pulled {
                    Ok(()) => ModelWorkState::Done,
                    Err(error) => ModelWorkState::Failed { problem: not_fetched(&error, &server, &model) },
                },
                () = ends.stop.cancelled() => ModelWorkState::Stopped,
                () = ends.leave.cancelled() => return,
            };
            // One that failed is not given up: it is there to be taken up until somebody does or stops it.
            match state {
                ModelWorkState::Done => self.note(&server.id, &model, Some(true)).await,
                ModelWorkState::Stopped => self.note(&server.id, &model, Some(false)).await,
                _ => {}
            }
            self.works.change(id, |work| work.state = state);
        });
        Ok(id)
    }

    /// Fetches, and takes it up again where it broke off, as long as that brings something.
    async fn pull_on(&self, id: u32, server: &ProviderSettings, model: &str) -> Result<(), CallError> {
        let http = self.egress.on(Errand { provider: Some(server.id.clone()), ..Errand::default() });
        let (mut failures, mut most) = (0, 0);
        loop {
            let works = self.works.clone();
            let mut came = 0;
            let mut told = |pulled: atelier_models::Pulled| {
                came = came.max(pulled.done);
                works.change(id, |work| {
                    (work.done, work.of, work.what) = (pulled.done, pulled.of, pulled.status);
                });
            };
            let error = match atelier_models::pull(&*http, &server.base_url, model, &mut told).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            failures = if came > most { 1 } else { failures + 1 };
            most = most.max(came);
            let again = matches!(error, CallError::Incomplete { .. }) || error.class() == FailureClass::RetrySame;
            if !again || failures >= ATTEMPTS {
                return Err(error);
            }
            self.works.change(id, |work| work.what = format!("it broke off and is taken up again: {error}"));
            self.sources.clock.sleep(Duration::from_millis(500 << failures)).await;
        }
    }

    async fn note(&self, provider: &str, model: &str, ended: Option<bool>) {
        let op = Op::NotePull { provider: provider.to_owned(), model: model.to_owned(), ended };
        if let Err(problem) = self.home.submit(op).await {
            tracing::warn!(%problem, "a pull is not noted; after a restart it is not known");
        }
    }

    /// Begins to measure a model.
    pub async fn probe(
        self,
        settings: &Settings,
        views: Vec<ProviderView>,
        provider: Option<&str>,
        model: &str,
        wanted: Option<u32>,
    ) -> Result<u32, Problem> {
        let (view, model) = find(&views, provider, model)?;
        let Some(server) = settings.providers.iter().find(|server| server.id == view.id).cloned() else {
            return Err(Problem::new(Code::NoModel, "The server is not in the settings any more.", "Choose another."));
        };
        let work = begun(ModelTask::Probe, &view.id, &model.name, ModelWorkState::Running);
        let (id, ends) = match self.works.add(work) {
            Ok(added) => added,
            Err(id) => return Ok(id),
        };
        let (digest, model) = (atelier_models::card_key(view, model), model.clone());
        tokio::spawn(async move {
            let state = tokio::select! {
                measured = self.measure(id, &server, &model, digest, wanted) => match measured {
                    Ok(()) => ModelWorkState::Done,
                    Err(problem) => ModelWorkState::Failed { problem },
                },
                () = ends.stop.cancelled() => ModelWorkState::Stopped,
                () = ends.leave.cancelled() => return,
            };
            self.works.change(id, |work| work.state = state);
        });
        Ok(id)
    }

    async fn measure(
        &self,
        id: u32,
        server: &ProviderSettings,
        model: &ModelView,
        digest: String,
        wanted: Option<u32>,
    ) -> Result<(), Problem> {
        let passed_on = !model.local;
        let credential = self.keys.credential(server).await?;
        let errand = Errand { provider: Some(server.id.clone()), passed_on, credential, ..Errand::default() };
        let asked = atelier_models::provider(server, self.egress.on(errand), self.sources.clock.clone());
        let memory = match (free_memory(), asked.footprint(&model.name).await) {
            (Some(free), Some(footprint)) => Some(context::fits_memory(footprint, free)),
            _ => None,
        };
        let context = match wanted {
            Some(wanted) => wanted.min(model.context.unwrap_or(u32::MAX)),
            None => context::rung(0, MEASURED, model.context, memory).unwrap_or(MEASURED),
        };
        let subject = Subject {
            server: &*asked,
            model: &model.name,
            digest,
            context,
            tools: model.tools != Some(false),
            at_ms: self.sources.clock.now_ms(),
        };
        let works = self.works.clone();
        let mut told = |progress: probe::Progress| {
            works.change(id, |work| {
                (work.done, work.of, work.what) = (progress.done.into(), progress.of.into(), progress.what);
            });
        };
        let card = probe::measure(&subject, &mut told).await?;
        match self.home.submit(Op::RecordCard { card: Box::new(card) }).await? {
            Reply::Done => Ok(()),
            other => {
                Err(Problem::new(Code::Internal, format!("The card was answered by {other:?}."), "Please report this."))
            }
        }
    }
}

/// Why a model is not here. The server tells all that goes wrong with a registry in words only.
fn not_fetched(error: &CallError, server: &ProviderSettings, model: &str) -> Problem {
    let CallError::ServerError { text, .. } = error else { return error.problem(server, model) };
    Problem::new(
        Code::ModelServerError,
        format!("`{model}` could not be fetched: {text}."),
        "Look whether the name is right and the server reaches its registry; then fetch it again.",
    )
}

/// The server that fetches.
fn ollama<'a>(settings: &'a Settings, wanted: Option<&str>) -> Result<&'a ProviderSettings, Problem> {
    let of_kind = |server: &&ProviderSettings| server.kind == ProviderKind::Ollama;
    match wanted {
        None => settings.providers.iter().find(of_kind).ok_or_else(|| {
            let hint = "Add one in the settings, normally Ollama at http://127.0.0.1:11434.";
            Problem::new(Code::NoModel, "No server of the settings can fetch models: only Ollama does.", hint)
        }),
        Some(id) => match settings.providers.iter().find(|server| server.id == id) {
            Some(server) if of_kind(&server) => Ok(server),
            Some(server) => Err(Problem::new(
                Code::BadArgument,
                format!("`{}` does not fetch models: only Ollama does.", server.id),
                "Load the model there in its own way.",
            )),
            None => Err(no_server(id, settings.providers.iter().map(|server| server.id.clone()))),
        },
    }
}

fn no_server(id: &str, known: impl Iterator<Item = String>) -> Problem {
    let hint = "Name one of the servers in the settings.";
    Problem::new(Code::NoModel, format!("There is no model server called `{id}` in the settings."), hint)
        .with_details(known)
}

/// The model that is meant, and its server.
fn find<'a>(
    views: &'a [ProviderView],
    provider: Option<&str>,
    model: &str,
) -> Result<(&'a ProviderView, &'a ModelView), Problem> {
    if let Some(id) = provider.filter(|id| views.iter().all(|view| view.id != *id)) {
        return Err(no_server(id, views.iter().map(|view| view.id.clone())));
    }
    let meant = || views.iter().filter(|view| provider.is_none_or(|id| view.id == id));
    for view in meant() {
        if let Some(found) = view.models.iter().find(|have| route::same_name(Some(view.kind), &have.name, model)) {
            return Ok((view, found));
        }
    }
    if let Some(problem) = meant().find_map(|view| view.problem.clone()) {
        return Err(problem);
    }
    Err(Problem::new(
        Code::ModelMissing,
        format!("No server has the model `{model}`."),
        format!("Fetch it with `atelier models pull {model}`, or name one of these."),
    )
    .with_details(meant().flat_map(|view| view.models.iter().map(|model| model.name.clone()))))
}
