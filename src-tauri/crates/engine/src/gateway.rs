//! The way to models for other programs: the same choice, door, ledger and mask as a run has, without a run.
//!
//! What it is asked with is somebody else's: it opens no tool, reads no file, and leaves this machine only where the
//! project of the door has the user's leave.

use crate::routing::{ANSWER_TOKENS, Looks, decide, permits, shipped_prices};
use crate::workshop::Workshop;
use atelier_egress::Errand;
use atelier_models::{ChatRequest, Chosen, EmbedRequest, Embedded, ModelStream, context, keeps_to_its_machine, route};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::RouteInputs;
use atelier_protocol::ids::ProjectId;
use atelier_protocol::settings::{ModelChoice, ProviderKind, ProviderSettings, Settings};
use atelier_protocol::view::ProviderView;
use std::sync::PoisonError;

/// The name that leaves the choice to the router.
pub const AUTO: &str = "auto";
/// The context that a model is loaded with for other programs, where it holds that, in tokens.
const WORKING_CONTEXT: u32 = 16_384;

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
        let settings = self.settings();
        let views = self.models().await;
        let asked = meant(asked, &views, &settings)?;
        let inputs = RouteInputs {
            policy: settings.routing.policy.unwrap_or_default(),
            local_only: settings.local_only,
            asked: asked.or_else(|| settings.model.clone()),
            output: ANSWER_TOKENS,
            ..RouteInputs::default()
        };
        let cards = self.shared.cards.read().unwrap_or_else(PoisonError::into_inner).clone();
        let looks = Looks {
            prices: shipped_prices()?,
            cards: &cards,
            traffic: &self.shared.traffic,
            permits: &|view| permits(&self.shared.egress, project, view),
            // Nobody is there to be asked.
            said_no: &|view| !permits(&self.shared.egress, project, view),
        };
        let decision = decide(inputs, &views, &settings, &looks);
        let chosen = decision.route.as_ref().and_then(|route| atelier_models::chosen(route, &settings));
        let mut chosen = chosen.ok_or_else(|| atelier_models::problem(&decision, &views))?;
        chosen.route.context = match chosen.provider.kind {
            ProviderKind::Ollama => context::rung(0, WORKING_CONTEXT, chosen.route.context, None),
            ProviderKind::OpenAi | ProviderKind::Anthropic => None,
        };
        Ok(chosen)
    }

    /// Asks a model that was chosen. Nothing is sent before the stream is polled; dropping it stops the model.
    pub async fn ask(
        &self,
        project: Option<&ProjectId>,
        chosen: &Chosen,
        mut request: ChatRequest,
    ) -> Result<ModelStream, Problem> {
        request.model.clone_from(&chosen.model);
        request.context = request.context.or(chosen.route.context);
        request.passed_on = !chosen.route.local;
        let http = self.shared.egress.on(self.errand(project, &chosen.provider, chosen.route.local).await?);
        Ok(atelier_models::provider(&chosen.provider, http, self.shared.options.sources.clock.clone()).chat(request))
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
        let views = self.models().await;
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
        let http = self.shared.egress.on(self.errand(project, &embedder.provider, embedder.local).await?);
        let server = atelier_models::provider(&embedder.provider, http, self.shared.options.sources.clock.clone());
        server.embed(request).await.map_err(|error| error.problem(&embedder.provider, &embedder.model))
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
    let named = |view: &&ProviderView| view.models.iter().any(|model| is_named(&model.name, asked));
    match views.iter().find(named) {
        Some(view) => Ok(Some(choice(&view.id, asked))),
        None => Err(Problem::new(
            Code::ModelMissing,
            format!("No model server has a model called `{asked}`."),
            "Ask for `auto`, or for one of `/v1/models`.",
        )
        .with_details(views.iter().flat_map(|view| view.models.iter().map(|m| format!("{}/{}", view.id, m.name))))),
    }
}
