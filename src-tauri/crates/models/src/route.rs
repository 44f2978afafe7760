//! Chooses the model for a role's calls.
//!
//! Pure: the decision holds its inputs and every candidate, so that it can be made again from the record alone. Hard
//! rules come first (who was asked for, privacy, health, capability, budget), then what the role prefers, then the
//! policy; what is left equal is split by weight, load and seed. Nothing here looks at a server, a clock or a file.

use crate::price;
use atelier_protocol::event::{
    Alternative, Candidate, CardShort, Health, Material, Route, RouteDecision, RouteInputs, RoutingPolicy, Unfit,
};
use atelier_protocol::hash::Hash;
use atelier_protocol::settings::{Experiment, ProviderKind};
use std::cmp::Reverse;

/// Share of right answers that is assumed of a model that was never measured, in thousandths.
const UNMEASURED: u32 = 500;
/// Models whose measured share differs by less than this are equally good to the balanced policy.
const BAND: u32 = 100;
/// A model with a smaller share of right tool calls is weak.
const WEAK: u32 = 700;
/// A model with a smaller share has its answers held to a schema.
const SELDOM: u32 = 400;
/// Tools that a weak model is offered at most.
const FEW_TOOLS: u32 = 8;

/// Decides. With nothing that may be taken, the decision has no route, and each alternative says why.
pub fn decide(inputs: RouteInputs, candidates: Vec<Candidate>) -> RouteDecision {
    let alternatives: Vec<Alternative> = candidates
        .into_iter()
        .map(|candidate| {
            let cost = expected(&inputs, &candidate);
            let unfit = unfit(&inputs, &candidate, cost);
            Alternative { candidate, cost, unfit }
        })
        .collect();
    let fit: Vec<&Alternative> = alternatives.iter().filter(|one| one.unfit.is_none()).collect();
    let best = fit.iter().map(|one| rank(&inputs, one)).min();
    // What ranks the same and is the same model at another place is shared out; other equals stay in their order.
    let first = fit.iter().find(|one| best.as_ref() == Some(&rank(&inputs, one))).copied();
    let chosen = first.map(|first| {
        let same = |one: &&&Alternative| {
            one.candidate.model == first.candidate.model && best.as_ref() == Some(&rank(&inputs, one))
        };
        let equals: Vec<&Alternative> = fit.iter().filter(same).copied().collect();
        share(inputs.seed, &equals).unwrap_or(first)
    });
    let route = chosen.map(|chosen| route(&inputs, chosen, fit.len()));
    RouteDecision { inputs, route, alternatives }
}

/// Whether a recorded decision comes out the same when it is made again. The context length is the session's, fixed after
/// the choice.
pub fn replays(decision: &RouteDecision) -> bool {
    let candidates = decision.alternatives.iter().map(|one| one.candidate.clone()).collect();
    let mut again = decide(decision.inputs.clone(), candidates);
    if let (Some(again), Some(was)) = (&mut again.route, &decision.route) {
        again.context = was.context;
    }
    again == *decision
}

/// The arm of an experiment that a run is in: the same for the same run, however often it is asked.
pub fn arm(experiment: &Experiment, run: &str) -> (RoutingPolicy, String) {
    let draw = seed_of(&format!("{}\0{run}", experiment.name)) % 100;
    let (policy, arm) = if draw < u64::from(experiment.percent_b) { (experiment.b, "b") } else { (experiment.a, "a") };
    (policy, format!("{}/{arm}", experiment.name))
}

/// A number that follows from a text, the same on every machine.
pub fn seed_of(text: &str) -> u64 {
    u64::from_str_radix(&Hash::of(text.as_bytes()).hex()[..15], 16).unwrap_or(0)
}

/// Ollama's names have a tag, and `latest` is the one meant where none is given.
pub fn same_name(kind: Option<ProviderKind>, have: &str, asked: &str) -> bool {
    have == asked || (kind == Some(ProviderKind::Ollama) && have.strip_suffix(":latest") == Some(asked))
}

/// Whether a name says that the model is run by the vendor of the server, wherever the server is.
pub fn is_cloud_name(model: &str) -> bool {
    model.ends_with(":cloud") || model.ends_with("-cloud")
}

/// What the call is expected to cost at most.
fn expected(inputs: &RouteInputs, candidate: &Candidate) -> Option<u64> {
    if here(candidate) {
        return Some(0);
    }
    candidate.price.as_ref().map(|price| price::cost(price, inputs.prompt, inputs.output))
}

/// Whether it really runs on this machine.
fn here(candidate: &Candidate) -> bool {
    candidate.local && !is_cloud_name(&candidate.model)
}

/// The first hard rule that forbids a candidate.
fn unfit(inputs: &RouteInputs, candidate: &Candidate, cost: Option<u64>) -> Option<Unfit> {
    let elsewhere = !here(candidate);
    let asked = inputs.asked.as_ref().is_none_or(|asked| {
        asked.provider == candidate.provider && same_name(candidate.kind, &candidate.model, &asked.model)
    });
    let named = format!("{}/{}", candidate.provider, candidate.model);
    let rules = [
        (!asked, Unfit::NotAsked),
        (elsewhere && (inputs.local_only || inputs.policy == RoutingPolicy::LocalOnly), Unfit::LocalOnly),
        (elsewhere && inputs.material == Material::Secret, Unfit::Secret),
        (elsewhere && inputs.material == Material::Project && !candidate.consented, Unfit::NoConsent),
        (!candidate.down.is_empty(), Unfit::Down),
        (inputs.failed.contains(&named), Unfit::Failed),
        (matches!(candidate.health, Health::Open { .. }), Unfit::Resting),
        (inputs.tools && !may_call_tools(candidate), Unfit::Tools),
        (candidate.context.is_some_and(|most| most < inputs.need), Unfit::Context),
        (elsewhere && inputs.paused, Unfit::Paused),
        (elsewhere && inputs.budget.is_some() && cost.is_none(), Unfit::PriceUnknown),
        (inputs.budget.zip(cost).is_some_and(|(left, cost)| cost > left), Unfit::Budget),
    ];
    rules.into_iter().find_map(|(holds, unfit)| holds.then_some(unfit))
}

/// What was measured counts before what the server says. Without tools a model cannot do a role's work.
fn may_call_tools(candidate: &Candidate) -> bool {
    candidate.card.as_ref().map_or(candidate.tools != Some(false), |card| card.tools > 0)
}

/// The order of fit candidates, the best first: preference of the role, certainty of tools, then the policy's own.
fn rank(inputs: &RouteInputs, one: &Alternative) -> (usize, bool, [Reverse<i64>; 4]) {
    let candidate = &one.candidate;
    let full = format!("{}/{}", candidate.provider, candidate.model);
    let is_it = |wanted: &String| *wanted == full || same_name(candidate.kind, &candidate.model, wanted);
    let preferred = inputs.prefer.iter().position(is_it).unwrap_or(inputs.prefer.len());
    let unsure = inputs.tools && candidate.tools != Some(true) && candidate.card.is_none();
    // An unknown price is taken for the highest: it never wins because nobody knows it.
    let cheap = one.cost.map_or(i64::MIN, |cost| -i64::try_from(cost).unwrap_or(i64::MAX));
    let good = i64::from(quality(candidate.card.as_ref()));
    let quick = i64::from(candidate.card.as_ref().and_then(|card| card.speed).unwrap_or(0));
    let own = match inputs.policy {
        RoutingPolicy::Cost => [cheap, good, quick, 0],
        RoutingPolicy::Performance => [good, quick, cheap, 0],
        RoutingPolicy::LocalOnly | RoutingPolicy::Balanced => {
            [good / i64::from(BAND), i64::from(here(candidate)), cheap, quick]
        }
    };
    (preferred, unsure, own.map(Reverse))
}

/// Share of tool tasks and edits it did right, tools counting twice.
fn quality(card: Option<&CardShort>) -> u32 {
    card.map_or(UNMEASURED, |card| (2 * card.tools + card.edits) / 3)
}

/// Shares equals out by weight and load. The same seed, the same place. Weight 0 is taken only where nothing else is.
fn share<'a>(seed: u64, equals: &[&'a Alternative]) -> Option<&'a Alternative> {
    let weight = |one: &Alternative| u64::from(one.candidate.weight) * 1000 / (1 + u64::from(one.candidate.load));
    let total: u64 = equals.iter().map(|one| weight(one)).sum();
    if total == 0 {
        return equals.first().copied();
    }
    let mut at = seed % total;
    for one in equals {
        match at.checked_sub(weight(one)) {
            Some(rest) => at = rest,
            None => return Some(one),
        }
    }
    None
}

fn route(inputs: &RouteInputs, chosen: &Alternative, fit: usize) -> Route {
    let candidate = &chosen.candidate;
    let card = candidate.card.as_ref();
    Route {
        provider: candidate.provider.clone(),
        model: candidate.model.clone(),
        local: here(candidate),
        context: candidate.context,
        reason: reason(inputs, chosen, fit),
        cost: chosen.cost,
        most_tools: card.filter(|card| card.tools < WEAK).map(|_| FEW_TOOLS),
        edits: card.and_then(|card| card.format.clone()),
        constrained: card.is_some_and(|card| card.tools < SELDOM),
    }
}

/// Why, in a few words.
fn reason(inputs: &RouteInputs, chosen: &Alternative, fit: usize) -> String {
    let candidate = &chosen.candidate;
    let mut why = match (&inputs.asked, rank(inputs, chosen).0) {
        (Some(_), _) if inputs.in_settings => "it is chosen in the settings".to_owned(),
        (Some(_), _) => "it was asked for".to_owned(),
        (None, at) if at < inputs.prefer.len() => "the role prefers it".to_owned(),
        (None, _) => {
            let place = if here(candidate) { "on this machine" } else { "on another machine" };
            let able = match (inputs.tools, candidate.tools, &candidate.card) {
                (true, _, Some(card)) => format!("measured: {} of 1000 tool tasks right", card.tools),
                (true, Some(true), None) => "it can call tools".to_owned(),
                (true, _, None) => "whether it can call tools is not known".to_owned(),
                (false, ..) => "no tools are needed".to_owned(),
            };
            let policy = match inputs.policy {
                RoutingPolicy::LocalOnly => "local only",
                RoutingPolicy::Cost => "lowest cost",
                RoutingPolicy::Performance => "best performance",
                RoutingPolicy::Balanced => "balanced",
            };
            format!("{policy}, {place}; {able}; {fit} could be taken")
        }
    };
    if let Some(arm) = &inputs.arm {
        why.push_str(&format!("; experiment {arm}"));
    }
    if let Some(failed) = inputs.failed.last() {
        why.push_str(&format!("; in the place of {failed}, which failed"));
    }
    if candidate.health == Health::HalfOpen {
        why.push_str("; a trial after failures");
    }
    why
}

/// Why a candidate may not be taken, for people.
pub fn unfit_words(unfit: Unfit) -> &'static str {
    match unfit {
        Unfit::NotAsked => "another model was asked for",
        Unfit::LocalOnly => "it runs on another machine, and only this one may be used",
        Unfit::Secret => "the material never leaves this machine",
        Unfit::NoConsent => "you did not agree that material of this project goes there",
        Unfit::Down => "its server cannot be used",
        Unfit::Failed => "it failed in this place already",
        Unfit::Resting => "it failed too often and rests",
        Unfit::Tools => "it cannot call tools",
        Unfit::Context => "the prompt does not fit its context",
        Unfit::Budget => "it would cost more than may be spent",
        Unfit::PriceUnknown => "its price is not known, and a limit on money is set",
        Unfit::Paused => "calls to other machines are paused after unusual spending",
    }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
