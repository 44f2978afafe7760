//! From what servers say to candidates, and from a decision to the server that is asked or to what a person can do.
//!
//! Pure. Who is taken is `route`'s part; this is the way into it and out of it.

use crate::price::Prices;
use crate::route::{is_cloud_name, same_name, unfit_words};
use atelier_protocol::event::{
    Candidate, CardShort, Health, ModelCard, Route, RouteDecision, RouteInputs, RoutingPolicy, Unfit,
};
use atelier_protocol::settings::{ModelChoice, ProviderKind, ProviderSettings, Routing, Settings};
use atelier_protocol::view::{ModelView, ProviderView};
use atelier_protocol::{Code, Problem};
use std::collections::BTreeMap;

/// A chosen model and its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Its server.
    pub provider: ProviderSettings,
    /// Its name as the server knows it.
    pub model: String,
    /// What is recorded about the choice.
    pub route: Route,
}

/// What is known of models besides what their servers say.
pub struct Known<'a> {
    /// What tokens cost.
    pub prices: &'a Prices,
    /// What was measured, by digest.
    pub cards: &'a BTreeMap<String, ModelCard>,
    /// Shares of providers.
    pub routing: &'a Routing,
    /// Whether the user agreed that material goes to this server.
    pub consented: &'a dyn Fn(&ProviderView) -> bool,
    /// Calls under way on a provider, and whether calls to a model of it go through.
    pub traffic: &'a dyn Fn(&str, &str) -> (u32, Health),
}

/// The key of a model's card: the digest of its files, else where it is.
pub fn card_key(view: &ProviderView, model: &ModelView) -> String {
    model.digest.clone().unwrap_or_else(|| format!("{}/{}", view.base_url, model.name))
}

/// Everything that could be taken, in the order of the settings. A server that is down stands for the model that was
/// asked of it.
pub fn candidates(views: &[ProviderView], asked: Option<&ModelChoice>, known: &Known<'_>) -> Vec<Candidate> {
    let mut all = Vec::new();
    for view in views {
        let consented = (known.consented)(view);
        let weight = known.routing.weights.get(&view.id).copied().unwrap_or(1);
        if let (Some(problem), Some(asked)) = (&view.problem, asked)
            && asked.provider == view.id
        {
            all.push(Candidate {
                provider: view.id.clone(),
                model: asked.model.clone(),
                kind: Some(view.kind),
                local: view.local,
                consented,
                weight,
                down: problem.message.clone(),
                ..Candidate::default()
            });
        }
        for model in view.models.iter().filter(|_| view.problem.is_none()) {
            let (load, health) = (known.traffic)(&view.id, &model.name);
            all.push(Candidate {
                provider: view.id.clone(),
                model: model.name.clone(),
                kind: Some(view.kind),
                local: view.local && model.local && !is_cloud_name(&model.name),
                tools: model.tools,
                context: model.context,
                price: known.prices.of(&view.id, &model.name),
                card: known.cards.get(&card_key(view, model)).map(short),
                consented,
                weight,
                load,
                health,
                bytes: model.bytes,
                down: String::new(),
            });
        }
    }
    all
}

/// What a choice looks at in a card.
pub fn short(card: &ModelCard) -> CardShort {
    let share = |right: u32, of: u32| (right * 1000).checked_div(of).unwrap_or(0);
    let parts = [card.well_formed, card.right_tool, card.uses_result, card.stops];
    let (right, of) = parts.iter().fold((0, 0), |sum, part| (sum.0 + part.right, sum.1 + part.of));
    // The first of equals: formats are measured in the order in which they are preferred.
    let best = card.edits.iter().rev().max_by_key(|(_, score)| share(score.right, score.of));
    let best = best.filter(|(_, score)| score.right > 0);
    CardShort {
        tools: share(right, of),
        edits: best.map_or(0, |(_, score)| share(score.right, score.of)),
        format: best.map(|(format, _)| format.clone()),
        context: card.context,
        speed: card.speed,
    }
}

/// The policy and arm for a run.
pub fn policy_of(routing: &Routing, run: &str) -> (RoutingPolicy, Option<String>) {
    match &routing.experiment {
        Some(experiment) => {
            let (policy, arm) = crate::route::arm(experiment, run);
            (policy, Some(arm))
        }
        None => (routing.policy.unwrap_or_default(), None),
    }
}

/// The server of a route; `None` where the settings know it no more.
pub fn chosen(route: &Route, settings: &Settings) -> Option<Chosen> {
    let provider = settings.providers.iter().find(|provider| provider.id == route.provider)?.clone();
    Some(Chosen { provider, model: route.model.clone(), route: route.clone() })
}

/// Why nothing could be taken, and what to do.
pub fn problem(decision: &RouteDecision, views: &[ProviderView]) -> Problem {
    match &decision.inputs.asked {
        Some(asked) => asked_for(decision, views, asked),
        None => by_itself(decision, views),
    }
}

fn asked_for(decision: &RouteDecision, views: &[ProviderView], asked: &ModelChoice) -> Problem {
    let Some(view) = views.iter().find(|view| view.id == asked.provider) else {
        return Problem::new(
            Code::NoModel,
            format!("There is no model server called `{}` in the settings.", asked.provider),
            "Choose a model of one of the servers in the settings.",
        )
        .with_details(views.iter().map(|view| view.id.clone()));
    };
    if decision.inputs.local_only && !view.local {
        return elsewhere(&format!("The model server `{}` is another machine", view.id));
    }
    if let Some(problem) = &view.problem {
        return problem.clone();
    }
    let named = decision.alternatives.iter().find(|one| {
        one.candidate.provider == view.id && same_name(Some(view.kind), &one.candidate.model, &asked.model)
    });
    let Some(named) = named else {
        return Problem::new(
            Code::ModelMissing,
            format!("The server at {} does not have the model `{}`.", view.base_url, asked.model),
            match view.kind {
                ProviderKind::Ollama => {
                    format!("Fetch it with `ollama pull {}` or choose another model.", asked.model)
                }
                ProviderKind::OpenAi | ProviderKind::Anthropic => {
                    "Load it in the server or choose another model.".to_owned()
                }
            },
        )
        .with_details(view.models.iter().map(|model| model.name.clone()));
    };
    match named.unfit {
        Some(unfit) => refused(&decision.inputs, unfit, &named.candidate),
        None => elsewhere("It is not known why no model was taken"),
    }
}

fn by_itself(decision: &RouteDecision, views: &[ProviderView]) -> Problem {
    if views.is_empty() {
        return Problem::new(
            Code::NoModel,
            "There is no model server in the settings.",
            "Add one in the settings, normally Ollama at http://127.0.0.1:11434.",
        );
    }
    if views.iter().all(|view| view.problem.is_some())
        && let Some(problem) = views.iter().find_map(|view| view.problem.clone())
    {
        return problem;
    }
    // The rule that stopped the candidate that came furthest says most.
    let furthest =
        decision.alternatives.iter().filter_map(|one| Some((one.unfit?, &one.candidate))).max_by_key(|x| x.0);
    let problem = match furthest {
        None => Problem::new(
            Code::NoModel,
            "The model servers have no model yet.",
            "Fetch one that can call tools, for example with `ollama pull qwen3:8b`.",
        ),
        Some((Unfit::LocalOnly | Unfit::NoConsent | Unfit::Secret, _)) => Problem::new(
            Code::NoModel,
            "No model on this machine was found; the servers only have models that run elsewhere.",
            "Fetch a local model, for example with `ollama pull qwen3:8b`, or choose one of the others in the settings.",
        ),
        Some((unfit, candidate)) => refused(&decision.inputs, unfit, candidate),
    };
    let why = decision.alternatives.iter().filter_map(|one| {
        let candidate = &one.candidate;
        Some(format!("{}/{}: {}", candidate.provider, candidate.model, unfit_words(one.unfit?)))
    });
    problem.with_details(why)
}

fn refused(inputs: &RouteInputs, unfit: Unfit, candidate: &Candidate) -> Problem {
    let model = &candidate.model;
    let (code, hint) = match unfit {
        Unfit::LocalOnly => return elsewhere(&format!("The model `{model}` runs on another machine")),
        Unfit::Secret | Unfit::NoConsent => {
            (Code::Denied, "Agree to it for this project, or choose a model on this machine.".to_owned())
        }
        Unfit::Tools => (Code::NoModel, "Choose a model that can call tools, for example `qwen3:8b`.".to_owned()),
        Unfit::Context => (
            Code::ContextOverflow,
            format!(
                "About {} tokens are needed. Choose a model with a longer context in the settings, then resume; or start \
                 again with a narrower goal.",
                inputs.need
            ),
        ),
        Unfit::Resting | Unfit::Failed => {
            (Code::ModelServerError, "Look at its server, then resume the run: it is tried again at once.".to_owned())
        }
        Unfit::Budget | Unfit::PriceUnknown => (
            Code::BudgetReached,
            "Raise the limit with `atelier models budget`, add the price to `.atelier/prices.yaml`, or choose a model on \
             this machine."
                .to_owned(),
        ),
        Unfit::Paused => (Code::CloudPaused, "Look at `atelier models budget`; `--resume` goes on.".to_owned()),
        Unfit::NotAsked | Unfit::Down => (Code::NoModel, "Choose another model.".to_owned()),
    };
    Problem::new(code, format!("`{model}` cannot be taken: {}.", unfit_words(unfit)), hint)
}

fn elsewhere(what: &str) -> Problem {
    Problem::new(
        Code::LocalOnly,
        format!("{what}, and local-only mode is on."),
        "Choose a model on this machine, or turn local-only mode off in the settings.",
    )
}
