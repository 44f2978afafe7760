//! Hard rules hold whatever the policy, the role or the weights say; the same inputs give the same choice.
//!
//! Guards: no cloud call without a recorded permission; a limit on money holds; a choice can be made again from its
//! record. Turns red, for example, when `unfit` forgets names that end with `:cloud`, or an unknown price counts as zero.

use super::*;
use atelier_protocol::event::Price;
use atelier_protocol::settings::ModelChoice;
use proptest::prelude::*;

fn price() -> impl Strategy<Value = Option<Price>> {
    prop::option::of((0u64..20_000_000, 0u64..80_000_000).prop_map(|(input, output)| Price {
        input,
        output,
        currency: "USD".into(),
        ..Price::default()
    }))
}

fn card() -> impl Strategy<Value = Option<CardShort>> {
    prop::option::of((0u32..=1000, 0u32..=1000).prop_map(|(tools, edits)| CardShort {
        tools,
        edits,
        ..CardShort::default()
    }))
}

prop_compose! {
    fn candidate()(
        provider in "[ab]",
        model in prop::sample::select(vec!["m:1b", "n:8b", "big:cloud", "large-cloud"]),
        local: bool,
        tools in prop::option::of(any::<bool>()),
        context in prop::option::of(1u32..40_000),
        price in price(),
        card in card(),
        consented: bool,
        weight in 0u32..4,
        load in 0u32..4,
        health in prop::sample::select(vec![Health::Closed, Health::Open { until_ms: 9 }, Health::HalfOpen]),
        down in prop::sample::select(vec!["", "", "", "refused"]),
    ) -> Candidate {
        Candidate {
            provider, model: model.into(), kind: Some(ProviderKind::Ollama), local, tools, context, price, card, consented,
            weight, load, health, bytes: None, down: down.into(),
        }
    }
}

prop_compose! {
    fn inputs()(
        policy in prop::sample::select(vec![
            RoutingPolicy::LocalOnly, RoutingPolicy::Cost, RoutingPolicy::Performance, RoutingPolicy::Balanced,
        ]),
        local_only: bool,
        material in prop::sample::select(vec![Material::Public, Material::Project, Material::Secret]),
        asked in prop::option::of("[ab]"),
        prefer in prop::collection::vec(prop::sample::select(vec!["m:1b", "b/n:8b", "big:cloud"]), 0..2),
        tools: bool,
        need in 1u32..30_000,
        budget in prop::option::of(0u64..2_000_000),
        paused: bool,
        failed in prop::collection::vec(prop::sample::select(vec!["a/m:1b", "b/n:8b"]), 0..2),
        seed: u64,
    ) -> RouteInputs {
        RouteInputs {
            policy, local_only, material, role: None, in_settings: false, tools, need, prompt: need, output: 4096, budget,
            paused, seed, arm: None,
            asked: asked.map(|provider| ModelChoice { provider, model: "m:1b".into() }),
            prefer: prefer.into_iter().map(str::to_owned).collect(),
            failed: failed.into_iter().map(str::to_owned).collect(),
        }
    }
}

proptest! {
    #[test]
    fn what_is_chosen_breaks_no_rule_and_nothing_is_chosen_only_where_nothing_is_left(
        inputs in inputs(),
        candidates in prop::collection::vec(candidate(), 0..8),
    ) {
        let decision = decide(inputs.clone(), candidates.clone());
        let Some(route) = &decision.route else {
            prop_assert!(decision.alternatives.iter().all(|one| one.unfit.is_some()));
            return Ok(());
        };
        let taken: Vec<&Alternative> = decision.alternatives.iter()
            .filter(|one| one.unfit.is_none() && one.candidate.provider == route.provider && one.candidate.model == route.model)
            .collect();
        prop_assert!(!taken.is_empty(), "what is chosen is among the fit");
        for one in taken.iter().filter(|one| one.cost == route.cost).take(1) {
            let candidate = &one.candidate;
            let elsewhere = !candidate.local || candidate.model.ends_with("cloud");
            prop_assert_eq!(route.local, !elsewhere);
            if elsewhere {
                prop_assert!(!inputs.local_only && inputs.policy != RoutingPolicy::LocalOnly, "local only");
                prop_assert!(inputs.material != Material::Secret, "secret");
                prop_assert!(candidate.consented || inputs.material == Material::Public, "consent");
                prop_assert!(!inputs.paused, "paused");
                if let Some(left) = inputs.budget {
                    prop_assert!(one.cost.is_some_and(|cost| cost <= left), "{:?} of {left}", one.cost);
                }
            }
            let rests = matches!(candidate.health, Health::Open { .. });
            prop_assert!(!rests && candidate.down.is_empty(), "its server is unwell");
            prop_assert!(candidate.context.is_none_or(|most| most >= inputs.need));
            if let Some(asked) = &inputs.asked {
                prop_assert_eq!(&candidate.provider, &asked.provider);
            }
        }
    }

    #[test]
    fn the_same_record_gives_the_same_choice(
        inputs in inputs(),
        candidates in prop::collection::vec(candidate(), 0..8),
    ) {
        let decision = decide(inputs, candidates);
        prop_assert!(replays(&decision));
        let text = serde_json::to_string(&decision).unwrap();
        prop_assert!(replays(&serde_json::from_str(&text).unwrap()), "from its record too");
    }

    #[test]
    fn the_cost_policy_never_takes_what_is_dearer_than_another_that_is_as_sure(
        inputs in inputs(),
        candidates in prop::collection::vec(candidate(), 1..8),
    ) {
        let inputs = RouteInputs { policy: RoutingPolicy::Cost, prefer: Vec::new(), tools: false, ..inputs };
        let decision = decide(inputs, candidates);
        let Some(route) = &decision.route else { return Ok(()) };
        let cheapest = decision.alternatives.iter().filter(|one| one.unfit.is_none()).filter_map(|one| one.cost).min();
        prop_assert_eq!(route.cost, cheapest);
    }
}

fn plain(provider: &str, model: &str) -> Candidate {
    Candidate {
        provider: provider.into(),
        model: model.into(),
        kind: Some(ProviderKind::OpenAi),
        local: true,
        tools: Some(true),
        weight: 1,
        ..Candidate::default()
    }
}

#[test]
fn endpoints_of_one_model_share_the_calls_by_weight_and_load() {
    let candidates = |load| {
        let heavy = Candidate { weight: 3, load, ..plain("a", "m") };
        vec![heavy, plain("b", "m"), Candidate { weight: 0, ..plain("c", "m") }, plain("d", "other")]
    };
    let mut shares = std::collections::BTreeMap::new();
    for (seed, load) in (0..4000u64).map(|seed| (seed, 0)).chain((0..4000).map(|seed| (seed, 2))) {
        let route = decide(RouteInputs { seed, ..RouteInputs::default() }, candidates(load)).route.unwrap();
        *shares.entry((load, route.provider)).or_insert(0) += 1;
    }
    let share = |load, provider: &str| shares.get(&(load, provider.to_owned())).copied().unwrap_or(0);
    assert_eq!((share(0, "a"), share(0, "b"), share(0, "c"), share(0, "d")), (3000, 1000, 0, 0));
    assert_eq!((share(2, "a"), share(2, "b")), (2000, 2000), "two calls under way make a third of the weight");
}

#[test]
fn an_experiment_splits_runs_by_their_id_and_keeps_them_there() {
    let experiment =
        Experiment { name: "x".into(), a: RoutingPolicy::Cost, b: RoutingPolicy::Performance, percent_b: 30 };
    let arms: Vec<_> = (0..1000).map(|n| arm(&experiment, &format!("run{n}"))).collect();
    let in_b = arms.iter().filter(|(policy, _)| *policy == RoutingPolicy::Performance).count();
    assert!((230..370).contains(&in_b), "{in_b} of 1000");
    assert_eq!(arms[7], arm(&experiment, "run7"));
    assert!(arms.iter().all(|(policy, arm)| arm == if *policy == RoutingPolicy::Cost { "x/a" } else { "x/b" }));
}

#[test]
fn a_weak_model_gets_few_tools_and_its_best_edit_format() {
    let card = CardShort { tools: 350, edits: 900, format: Some("whole-file".into()), ..CardShort::default() };
    let weak = Candidate { card: Some(card), ..plain("a", "m") };
    let route = decide(RouteInputs { tools: true, ..RouteInputs::default() }, vec![weak]).route.unwrap();
    assert_eq!((route.most_tools, route.edits.as_deref(), route.constrained), (Some(8), Some("whole-file"), true));
    let route = decide(RouteInputs::default(), vec![plain("a", "m")]).route.unwrap();
    assert_eq!((route.most_tools, route.edits, route.constrained), (None, None, false));
}
