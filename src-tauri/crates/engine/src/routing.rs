//! The model for a role's calls: what it is decided from, when it is decided anew, and what is told about it.
//!
//! A role keeps its model for the whole run, with one context length, until it fails or the run was parked; so a turn is
//! never begun by one model and ended by another. The decision itself is pure and stands in `models::route`.

use crate::cloud;
use crate::desk::Desk;
use crate::flow::Kind;
use crate::role::Role;
use crate::run::{Halt, Run};
use crate::servers;
use crate::sources::PRICES;
use atelier_egress::{Egress, host_of};
use atelier_models::{Chosen, Known, Prices, Provider, Traffic, candidates, context, policy_of, route};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Answer, Event, ModelCard, RouteDecision, RouteInputs, Unfit};
use atelier_protocol::ids::{ProjectId, RoleId};
use atelier_protocol::settings::{ProviderKind, Settings};
use atelier_protocol::view::ProviderView;
use atelier_protocol::yaml::YamlError;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// Tokens kept free for the answer.
pub const ANSWER_TOKENS: u32 = 4096;

/// A project's own price list.
const OWN_PRICES: &str = ".atelier/prices.yaml";

impl Run {
    /// The model that the role already uses; `None` where one is to be chosen.
    pub(crate) fn kept_route(&self, role: &Role) -> Option<Chosen> {
        let route = self.machine.routes.get(&role.id)?;
        let chosen = atelier_models::chosen(route, &(self.desk.settings)())?;
        (route.local || !self.said_no(&chosen.provider.id, &chosen.provider.base_url)).then_some(chosen)
    }

    /// Whether the user said in this run that nothing may leave for a server.
    fn said_no(&self, provider: &str, base_url: &str) -> bool {
        let answer = host_of(base_url).and_then(|host| self.machine.cloud.get(&cloud::key(provider, &host)));
        matches!(answer, Some((_, Answer::Reject)))
    }

    /// The server of a chosen model, asked on behalf of a role.
    pub(crate) async fn server(&self, role: &Role, chosen: &Chosen) -> Result<Arc<dyn Provider>, Halt> {
        let http = self.desk.egress.on(self.errand(Some(&role.id), chosen).await?);
        Ok(atelier_models::provider(&chosen.provider, http, self.desk.sources.clock.clone()))
    }

    /// Chooses a model for a prompt of so many bytes.
    pub(crate) async fn choose(&mut self, role: &Role, prompt_bytes: usize) -> Result<(Chosen, RouteDecision), Halt> {
        let settings = (self.desk.settings)();
        let views = servers::describe(&settings, &self.desk.egress, &self.desk.keys, &self.desk.sources.clock).await;
        let prompt = context::most_tokens(prompt_bytes);
        let (policy, arm) = policy_of(&settings.routing, self.id.as_str());
        let talk = self.machine.current.as_ref().map(|current| &current.talk);
        let (budget, paused) = self.money_left().await?;
        let asked = self.machine.model.clone();
        let inputs = RouteInputs {
            policy,
            role: Some(role.id.clone()),
            in_settings: asked.is_none() && settings.model.is_some(),
            asked: asked.or_else(|| settings.model.clone()),
            prompt,
            need: prompt.saturating_add(ANSWER_TOKENS),
            budget,
            paused,
            failed: talk.map(|talk| talk.failed.clone()).unwrap_or_default(),
            seed: route::seed_of(self.id.as_str()),
            arm,
            ..of_role(role, &settings)
        };
        let mut decision =
            self.desk.decide(inputs, &views, &settings, &|view| self.said_no(&view.id, &view.base_url))?;
        let Some(mut chosen) = decision.route.as_ref().and_then(|route| atelier_models::chosen(route, &settings))
        else {
            let failed = talk.and_then(|talk| talk.problem.clone());
            let problem = failed.unwrap_or_else(|| atelier_models::problem(&decision, &views));
            self.record(vec![Event::RouteDecided { decision: Box::new(decision) }]).await?;
            return Err(Halt::Park(problem));
        };
        if chosen.provider.kind == ProviderKind::Ollama {
            chosen.route.context = Some(self.context_of(role, &chosen, decision.inputs.need).await?);
        }
        decision.route = Some(chosen.route.clone());
        Ok((chosen, decision))
    }

    /// The context length for the session: one value a model, so that no role makes the server load it anew.
    async fn context_of(&self, role: &Role, chosen: &Chosen, need: u32) -> Result<u32, Halt> {
        let most = chosen.route.context;
        let same = |kept: &&atelier_protocol::event::Route| {
            kept.provider == chosen.route.provider && kept.model == chosen.route.model
        };
        let kept = self.machine.routes.values().filter(same).filter_map(|kept| kept.context).max();
        if let Some(kept) = kept.filter(|kept| *kept >= need) {
            return Ok(kept);
        }
        let server = self.server(role, chosen).await?;
        let memory = match (self.desk.free_memory)() {
            Some(free) => server.footprint(&chosen.model).await.map(|footprint| (free, footprint)),
            None => None,
        };
        let memory = match memory {
            Some((free, footprint)) => {
                let loaded = server.loaded(&chosen.model).await.and_then(|loaded| loaded.bytes).unwrap_or(0);
                Some(context::fits_memory(footprint, free.saturating_add(loaded)))
            }
            None => None,
        };
        context::rung(need, self.wanted_context(), most, memory).ok_or_else(|| {
            let limit = most.unwrap_or(u32::MAX).min(memory.unwrap_or(u32::MAX));
            Halt::Park(Problem::new(
                Code::ContextOverflow,
                format!("The prompt needs about {need} tokens, and `{}` holds {limit} here.", chosen.model),
                "Choose a model with a longer context in the settings, then resume; or start again with a narrower goal.",
            ))
        })
    }

    /// The longest of the contexts that the flow's roles say they need.
    fn wanted_context(&self) -> u32 {
        let in_flow = |role: &&Role| {
            self.flow.steps.iter().any(|step| matches!(&step.kind, Kind::Agent { role: id, .. } if *id == role.id))
        };
        self.roles.iter().filter(in_flow).map(|role| role.min_context).max().unwrap_or(0)
    }
}

/// What a role's file and the settings say about a choice.
fn of_role(role: &Role, settings: &Settings) -> RouteInputs {
    RouteInputs {
        local_only: settings.local_only,
        material: role.material,
        prefer: role.prefer.clone(),
        tools: true,
        output: ANSWER_TOKENS,
        ..RouteInputs::default()
    }
}

/// What a choice looks at besides its inputs and what servers say.
pub(crate) struct Looks<'a> {
    pub prices: &'a Prices,
    pub cards: &'a BTreeMap<String, ModelCard>,
    pub traffic: &'a Traffic,
    /// Whether material may leave for a server.
    pub permits: &'a dyn Fn(&ProviderView) -> bool,
    /// Whether the user said no to it lately.
    pub said_no: &'a dyn Fn(&ProviderView) -> bool,
}

/// Whether the user gave leave for material of a project to go to a server.
pub(crate) fn permits(egress: &Egress, project: Option<&ProjectId>, view: &ProviderView) -> bool {
    let Some((project, host)) = project.zip(host_of(&view.base_url)) else { return false };
    egress.policy().permits(project, &view.id, &host)
}

/// Decides. A server on another machine is taken where material of the project may leave for it, or where the user named
/// it. Where nothing else can be taken, one is chosen that the user did not say no to: the leave is asked before anything
/// is sent.
pub(crate) fn decide(
    inputs: RouteInputs,
    views: &[ProviderView],
    settings: &Settings,
    looks: &Looks<'_>,
) -> RouteDecision {
    let named = |view: &ProviderView| inputs.asked.as_ref().is_some_and(|asked| asked.provider == view.id);
    let among = |consented: &dyn Fn(&ProviderView) -> bool| {
        let known = Known {
            prices: looks.prices,
            cards: looks.cards,
            routing: &settings.routing,
            consented,
            traffic: &|provider: &str, model: &str| looks.traffic.of(provider, model),
        };
        route::decide(inputs.clone(), candidates(views, inputs.asked.as_ref(), &known))
    };
    let decision = among(&|view| named(view) || ((looks.permits)(view) && !(looks.said_no)(view)));
    if decision.route.is_some() || decision.alternatives.iter().all(|one| one.unfit != Some(Unfit::NoConsent)) {
        return decision;
    }
    among(&|view| named(view) || !(looks.said_no)(view))
}

impl Desk {
    /// Decides from what servers say.
    pub(crate) fn decide(
        &self,
        inputs: RouteInputs,
        views: &[ProviderView],
        settings: &Settings,
        said_no: &dyn Fn(&ProviderView) -> bool,
    ) -> Result<RouteDecision, Problem> {
        let (prices, cards) = (self.prices()?, (self.cards)());
        let permits = |view: &ProviderView| permits(&self.egress, Some(&self.project), view);
        let known = Looks { prices: &prices, cards: &cards, traffic: &self.traffic, permits: &permits, said_no };
        Ok(decide(inputs, views, settings, &known))
    }

    /// The price lists that count in this project.
    pub(crate) fn prices(&self) -> Result<Cow<'static, Prices>, Problem> {
        prices(Some(&self.root))
    }

    /// How a model would be chosen now for a role, with an empty prompt.
    pub(crate) async fn explain_route(&self, role: Option<&RoleId>) -> Result<RouteDecision, Problem> {
        let (settings, roles) = ((self.settings)(), self.roles()?);
        let wanted = role.map_or("developer", RoleId::as_str);
        let Some(role) = roles.iter().find(|role| role.id.as_str() == wanted) else {
            return Err(Problem::new(
                Code::BadArgument,
                format!("There is no role `{wanted}`."),
                "List them with `atelier roles list`.",
            ));
        };
        let views = servers::describe(&settings, &self.egress, &self.keys, &self.sources.clock).await;
        let (budget, paused) = self.project_money().await?;
        let (policy, arm) = policy_of(&settings.routing, "");
        let inputs = RouteInputs {
            policy,
            arm,
            role: Some(role.id.clone()),
            in_settings: settings.model.is_some(),
            asked: settings.model.clone(),
            need: role.min_context,
            prompt: role.min_context.saturating_sub(ANSWER_TOKENS),
            budget,
            paused,
            ..of_role(role, &settings)
        };
        self.decide(inputs, &views, &settings, &|_| false)
    }
}

/// The price lists: that of the project at `root`, where it has one, before the one that ships with Atelier.
pub(crate) fn prices(root: Option<&Path>) -> Result<Cow<'static, Prices>, Problem> {
    static SHIPPED: LazyLock<Result<Prices, YamlError>> = LazyLock::new(|| Prices::read(PRICES.0, PRICES.1));
    let shipped = SHIPPED.as_ref().map_err(wrong_prices)?;
    match root.and_then(|root| std::fs::read_to_string(root.join(OWN_PRICES)).ok()) {
        Some(text) => {
            let own = Prices::read(OWN_PRICES, &text).map_err(|error| wrong_prices(&error))?;
            Ok(Cow::Owned(own.before(shipped)))
        }
        None => Ok(Cow::Borrowed(shipped)),
    }
}

fn wrong_prices(error: &YamlError) -> Problem {
    Problem::new(
        Code::ProjectFileInvalid,
        format!("The price list is wrong: {error}"),
        "Mend the line, or remove the file; then resume.",
    )
}
