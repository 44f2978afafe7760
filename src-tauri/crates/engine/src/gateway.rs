//! The way to models for other programs: the same choice, door, ledger and mask as a run has, without a run.
//!
//! What it is asked with is somebody else's: it opens no tool, reads no file, and leaves this machine only where the
//! project of the door has the user's leave.

use crate::project::Project;
use crate::routing::{ANSWER_TOKENS, Looks, decide, permits, prices};
use crate::servers::Lately;
use crate::tab::Line;
use crate::workshop::Workshop;
use atelier_egress::Errand;
use atelier_models::{Chosen, EmbedRequest, Embedded, Prices, context, keeps_to_its_machine, route};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Amount, Route, RouteInputs};
use atelier_protocol::ids::ProjectId;
use atelier_protocol::settings::{ModelChoice, ProviderKind, ProviderSettings, Settings};
use atelier_protocol::view::ProviderView;
use std::borrow::Cow;
use std::sync::PoisonError;

mod chat;
mod kept;

pub use crate::loaded::WaitingCall;
pub use chat::{Answering, Waited};

/// The name that leaves the choice to the router.
pub const AUTO: &str = "auto";
/// The context that a model is loaded with for other programs, where it holds that, in tokens.
const WORKING_CONTEXT: u32 = 16_384;

/// What a call needs of a model.
#[derive(Default)]
struct Want {
    tools: bool,
    /// Tokens of the prompt, at most.
    prompt: u32,
    /// Tokens of answer that are asked for at most.
    output: Option<u32>,
    /// Models that failed at this call, as `provider/model`.
    failed: Vec<String>,
    /// Spreads calls over equals.
    seed: u64,
}

/// A model that makes vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedder {
    /// Its server.
    pub provider: ProviderSettings,
    /// Its name as the server knows it.
    pub model: String,
    /// Whether texts stay on this machine.
    pub local: bool,
}

impl Workshop {
    /// The model that a name means now: `auto`, `server/model`, or a model's own name.
    ///
    /// # Errors
    /// `no_model`, `model_missing`, `model_server_down` or `local_only`, with what to do next.
    pub async fn route(&self, project: Option<&ProjectId>, asked: &str) -> Result<Chosen, Problem> {
        let views = Lately::views_now(&self.shared).await;
        self.route_among(&views, project, asked, &Want::default())
    }

    fn route_among(
        &self,
        views: &[ProviderView],
        project: Option<&ProjectId>,
        asked: &str,
        want: &Want,
    ) -> Result<Chosen, Problem> {
        let settings = self.settings();
        let asked = meant(asked, views, &settings)?;
        let inputs = RouteInputs {
            policy: settings.routing.policy.unwrap_or_default(),
            local_only: settings.local_only,
            asked: asked.or_else(|| settings.model.clone()),
            tools: want.tools,
            prompt: want.prompt,
            output: want.output.unwrap_or(ANSWER_TOKENS),
            failed: want.failed.clone(),
            seed: want.seed,
            ..RouteInputs::default()
        };
        let prices = self.prices(project)?;
        let cards = self.shared.cards.read().unwrap_or_else(PoisonError::into_inner);
        let looks = Looks {
            prices: &prices,
            cards: &cards,
            traffic: &self.shared.traffic,
            permits: &|view| permits(&self.shared.egress, project, view),
            // Nobody is there to be asked.
            said_no: &|view| !permits(&self.shared.egress, project, view),
        };
        let decision = decide(inputs, views, &settings, &looks);
        let chosen = decision.route.as_ref().and_then(|route| atelier_models::chosen(route, &settings));
        let mut chosen = chosen.ok_or_else(|| atelier_models::problem(&decision, views))?;
        chosen.route.context = match chosen.provider.kind {
            ProviderKind::Ollama => {
                let (need, most) = (want.prompt.saturating_add(ANSWER_TOKENS), chosen.route.context);
                // What is longer than the model holds is refused by its server, by name.
                let rung = context::rung(need, WORKING_CONTEXT, most, None).or(most);
                rung.map(|rung| self.shared.lately.context(&chosen.route, rung))
            }
            ProviderKind::OpenAi | ProviderKind::Anthropic => None,
        };
        Ok(chosen)
    }

    /// The price lists that count for calls for a project.
    fn prices(&self, project: Option<&ProjectId>) -> Result<Cow<'static, Prices>, Problem> {
        prices(project.and_then(|project| self.opened(project)).as_ref().map(Project::root))
    }

    /// The model that a name means for vectors: `auto` is the first of this machine that is known to make them.
    ///
    /// # Errors
    /// `no_model` or `model_missing`, with what to do next.
    pub async fn embedder(&self, asked: &str) -> Result<Embedder, Problem> {
        let settings = self.settings();
        let found = |(id, model): (&str, &str)| {
            let provider = settings.providers.iter().find(|server| server.id == id)?.clone();
            let local = keeps_to_its_machine(&provider.base_url, model);
            Some(Embedder { provider, model: model.to_owned(), local })
        };
        let asked = asked.trim();
        if let Some(embedder) = asked.split_once('/').and_then(found) {
            return Ok(embedder);
        }
        let views = Lately::views(&self.shared).await.0;
        let known =
            || views.iter().flat_map(|view| view.embedders.iter().map(move |name| (view.id.as_str(), name.as_str())));
        if asked.is_empty() || asked == AUTO {
            return known().filter_map(found).find(|embedder| embedder.local).ok_or_else(|| {
                Problem::new(
                    Code::NoModel,
                    "No model server on this machine says that it has a model that makes vectors.",
                    "Fetch one, for example with `ollama pull nomic-embed-text`, or ask for `server/model`.",
                )
            });
        }
        // Servers of other kinds do not tell what their models are for.
        let untold = views.iter().filter(|view| view.kind != ProviderKind::Ollama);
        let untold = untold.flat_map(|view| view.models.iter().map(|model| (view.id.as_str(), model.name.as_str())));
        let is_it = |name: &str| is_named(name, asked);
        known().chain(untold).filter(|(_, name)| is_it(name)).find_map(found).ok_or_else(|| {
            Problem::new(
                Code::ModelMissing,
                format!("No model server says that it has a model called `{asked}` that makes vectors."),
                "Ask for `auto`, or for `server/model`.",
            )
            .with_details(known().map(|(id, name)| format!("{id}/{name}")))
        })
    }

    /// Vectors of texts. Dropping the future stops the model.
    ///
    /// # Errors
    /// What the server said, or the door.
    pub async fn embed(
        &self,
        project: Option<&ProjectId>,
        embedder: &Embedder,
        mut request: EmbedRequest,
    ) -> Result<Embedded, Problem> {
        request.model.clone_from(&embedder.model);
        request.passed_on = !embedder.local;
        let tokens = request.texts.iter().map(|text| u64::from(context::most_tokens(text.len()))).sum();
        let (line, chosen) = self.admit_embedding(project, embedder, tokens).await?;
        let http = self.shared.egress.on(self.errand(project, &embedder.provider, embedder.local).await?);
        let server = atelier_models::provider(&embedder.provider, http, self.shared.options.sources.clock.clone());
        let (_turn, _) = self.turn_for(&*server, &chosen).await;
        let made = server.embed(request).await.map_err(|error| error.problem(&embedder.provider, &chosen.model));
        if let Some(mut line) = line {
            let told = made.as_ref().map_or(0, |embedded| embedded.tokens.map_or(tokens, u64::from));
            // No price list knows vectors: what they cost elsewhere is unknown.
            let micros = (embedder.local || made.is_err()).then_some(0);
            line.used(Amount { micros, tokens: told, local_ms: 0 });
            line.ended(made.as_ref().err().map(|problem| problem.code));
        }
        made
    }

    async fn admit_embedding(
        &self,
        project: Option<&ProjectId>,
        embedder: &Embedder,
        tokens: u64,
    ) -> Result<(Option<Line>, Chosen), Problem> {
        let (provider, model) = (embedder.provider.clone(), embedder.model.clone());
        let route =
            Route { provider: provider.id.clone(), model: model.clone(), local: embedder.local, ..Route::default() };
        let chosen = Chosen { provider, model, route };
        let need = Amount { micros: embedder.local.then_some(0), tokens, local_ms: 0 };
        let line = match project.and_then(|project| self.tab(project)) {
            Some(tab) => Some(tab.admit(self.shared.options.sources.call_id(), &chosen, need).await?),
            None => None,
        };
        Ok((line, chosen))
    }

    async fn errand(
        &self,
        project: Option<&ProjectId>,
        server: &ProviderSettings,
        local: bool,
    ) -> Result<Errand, Problem> {
        Ok(Errand {
            project: project.cloned(),
            provider: Some(server.id.clone()),
            passed_on: !local,
            credential: self.shared.keys.credential(server).await?,
            ..Errand::default()
        })
    }
}

/// Whether a model is meant. Ollama's names may come through a server of another kind, such as its OpenAI-style routes.
fn is_named(have: &str, asked: &str) -> bool {
    route::same_name(Some(ProviderKind::Ollama), have, asked)
}

/// The choice that a name means; `None` is the router's.
fn meant(asked: &str, views: &[ProviderView], settings: &Settings) -> Result<Option<ModelChoice>, Problem> {
    let asked = asked.trim();
    if asked.is_empty() || asked == AUTO {
        return Ok(None);
    }
    let choice = |provider: &str, model: &str| ModelChoice { provider: provider.to_owned(), model: model.to_owned() };
    if let Some((provider, model)) = asked.split_once('/')
        && settings.providers.iter().any(|server| server.id == provider)
    {
        return Ok(Some(choice(provider, model)));
    }
    let named = |view: &ProviderView| {
        let model = view.models.iter().find(|model| is_named(&model.name, asked))?;
        Some(choice(&view.id, &model.name)) // as its server calls it
    };
    match views.iter().find_map(named) {
        Some(choice) => Ok(Some(choice)),
        None => Err(Problem::new(
            Code::ModelMissing,
            format!("No model server has a model called `{asked}`."),
            "Ask for `auto`, or for one of `/v1/models`.",
        )
        .with_details(views.iter().flat_map(|view| view.models.iter().map(|m| format!("{}/{}", view.id, m.name))))),
    }
}
