//! Which model is taken of what servers say, and what a person reads when none can be or a call fails.

#![allow(clippy::unwrap_used)] // a test says so by failing

use atelier_models::{CallError, Known, Prices, candidates, problem, route};
use atelier_protocol::event::{FailureClass, Health, Route, RouteDecision, RouteInputs};
use atelier_protocol::settings::{ModelChoice, ProviderKind, ProviderSettings, Settings};
use atelier_protocol::view::{ModelView, ProviderView};
use atelier_protocol::{Code, Problem};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

fn model(name: &str, tools: Option<bool>) -> ModelView {
    ModelView { name: name.into(), local: true, tools, ..ModelView::default() }
}

fn view(id: &str, models: Vec<ModelView>) -> ProviderView {
    ProviderView {
        id: id.into(),
        kind: ProviderKind::Ollama,
        base_url: "http://127.0.0.1:11434".into(),
        local: true,
        version: None,
        models,
        embedders: Vec::new(),
        problem: None,
    }
}

fn down(id: &str) -> ProviderView {
    let problem = Problem::new(Code::ModelServerDown, format!("{id} is down."), "Start it.");
    ProviderView { problem: Some(problem), ..view(id, Vec::new()) }
}

fn choice(provider: &str, model: &str) -> ModelChoice {
    ModelChoice { provider: provider.into(), model: model.into() }
}

/// The model and why, or the code and what to do.
fn pick(views: &[ProviderView], asked: Option<&ModelChoice>, settings: &Settings) -> String {
    match decide(views, asked, settings).0 {
        Ok(route) => format!("{}/{}: {}", route.provider, route.model, route.reason),
        Err(problem) => format!("{}: {} {}", problem.code, problem.message, problem.hint),
    }
}

fn decide(
    views: &[ProviderView],
    asked: Option<&ModelChoice>,
    settings: &Settings,
) -> (Result<Route, Problem>, RouteDecision) {
    let wanted = asked.or(settings.model.as_ref());
    let known = Known {
        prices: &Prices::default(),
        cards: &BTreeMap::new(),
        routing: &settings.routing,
        consented: &|view| wanted.is_some_and(|wanted| wanted.provider == view.id),
        traffic: &|_, _| (0, Health::Closed),
    };
    let inputs = RouteInputs {
        local_only: settings.local_only,
        in_settings: asked.is_none() && wanted.is_some(),
        asked: wanted.cloned(),
        tools: true,
        ..RouteInputs::default()
    };
    let decision = route::decide(inputs, candidates(views, wanted, &known));
    (decision.route.clone().ok_or_else(|| problem(&decision, views)), decision)
}

#[test]
fn asked_before_settings_before_the_first_that_can_call_tools() {
    let views = [
        down("off"),
        view("a", vec![model("plain:1b", Some(false)), model("unsure:1b", None)]),
        view("b", vec![model("able:latest", Some(true)), model("other:8b", Some(true))]),
    ];
    let mut settings = Settings::default();
    let mut lines = vec![pick(&views, None, &settings)];
    settings.model = Some(choice("a", "plain:1b"));
    lines.push(pick(&views, None, &settings));
    settings.model = Some(choice("a", "unsure:1b"));
    lines.push(pick(&views, None, &settings));
    lines.push(pick(&views, Some(&choice("b", "able")), &settings));
    lines.push(pick(&views[..2], None, &Settings::default()));
    lines.push(pick(&[view("a", vec![model("plain:1b", Some(false))])], None, &Settings::default()));
    insta::assert_snapshot!(lines.join("\n"), @r"
    b/able:latest: balanced, on this machine; it can call tools; 3 could be taken
    no_model: `plain:1b` cannot be taken: it cannot call tools. Choose a model that can call tools, for example `qwen3:8b`.
    a/unsure:1b: it is chosen in the settings
    b/able:latest: it was asked for
    a/unsure:1b: balanced, on this machine; whether it can call tools is not known; 1 could be taken
    no_model: `plain:1b` cannot be taken: it cannot call tools. Choose a model that can call tools, for example `qwen3:8b`.
    ");
}

#[test]
fn what_cannot_be_chosen_says_why_and_what_to_do() {
    let settings = Settings::default();
    let cloud = ModelView { local: false, ..model("big:cloud", Some(true)) };
    let far =
        ProviderView { local: false, base_url: "https://models.example".into(), ..view("far", vec![cloud.clone()]) };
    let compatible = ProviderView { kind: ProviderKind::OpenAi, ..view("lab", vec![model("x", None)]) };
    let views = [view("a", vec![model("m:1b", Some(true)), cloud.clone()]), down("off"), far.clone(), compatible];
    let lines = [
        pick(&views, Some(&choice("a", "missing:7b")), &settings),
        pick(&views, Some(&choice("lab", "missing")), &settings),
        pick(&views, Some(&choice("off", "m")), &settings),
        pick(&views, Some(&choice("who", "m")), &settings),
        pick(&views, Some(&choice("a", "big:cloud")), &settings),
        pick(&views, Some(&choice("far", "big:cloud")), &settings),
        pick(&[down("off")], None, &settings),
        pick(&[view("a", Vec::new())], None, &settings),
        pick(&[], None, &settings),
        pick(&[view("a", vec![cloud.clone()])], None, &Settings { local_only: false, ..Settings::default() }),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r"
    model_missing: The server at http://127.0.0.1:11434 does not have the model `missing:7b`. Fetch it with `ollama pull missing:7b` or choose another model.
    model_missing: The server at http://127.0.0.1:11434 does not have the model `missing`. Load it in the server or choose another model.
    model_server_down: off is down. Start it.
    no_model: There is no model server called `who` in the settings. Choose a model of one of the servers in the settings.
    local_only: The model `big:cloud` runs on another machine, and local-only mode is on. Choose a model on this machine, or turn local-only mode off in the settings.
    local_only: The model server `far` is another machine, and local-only mode is on. Choose a model on this machine, or turn local-only mode off in the settings.
    model_server_down: off is down. Start it.
    no_model: The model servers have no model yet. Fetch one that can call tools, for example with `ollama pull qwen3:8b`.
    no_model: There is no model server in the settings. Add one in the settings, normally Ollama at http://127.0.0.1:11434.
    no_model: No model on this machine was found; the servers only have models that run elsewhere. Fetch a local model, for example with `ollama pull qwen3:8b`, or choose one of the others in the settings.
    ");
    let open = Settings { local_only: false, ..Settings::default() };
    assert!(!decide(&views, Some(&choice("a", "big:cloud")), &open).0.unwrap().local);
}

#[test]
fn every_failure_has_a_message_and_a_way_on() {
    let text = || "the server's words".to_owned();
    let error = |status| CallError::ServerError { status, text: text(), retry_after: None };
    let errors = [
        CallError::ServerDown { reason: text() },
        CallError::BadAddress { reason: text() },
        CallError::ModelMissing { text: text() },
        error(500),
        error(503),
        CallError::KeyRefused { status: 401, text: text() },
        CallError::Exhausted { text: text(), retry_after: None },
        CallError::OutOfMemory { text: text() },
        CallError::Overflow { text: text() },
        CallError::Timeout { act: "answer", seconds: 600 },
        CallError::Incomplete { reason: text() },
        CallError::MalformedCall { name: "read_file".into(), raw: "{".into(), usage: None },
        CallError::Unreadable { text: text() },
        CallError::LocalOnly { host: "far.example:443".into() },
        CallError::TooLong { limit: 8_388_608 },
        CallError::Unsupported { what: text() },
    ];
    let mut lines = Vec::new();
    for kind in [ProviderKind::Ollama, ProviderKind::OpenAi] {
        let settings = ProviderSettings { id: "a".into(), kind, base_url: "http://127.0.0.1:11434".into() };
        for error in &errors {
            let problem = error.problem(&settings, "qwen3:8b");
            assert!(problem.message.ends_with('.') && problem.hint.ends_with('.'), "{problem:?}");
            lines.push(format!("{:?}, {}: {} {}", error.class(), problem.code, problem.message, problem.hint));
        }
    }
    let distinct: BTreeSet<String> = lines.into_iter().collect();
    insta::assert_snapshot!(distinct.into_iter().collect::<Vec<_>>().join("\n"), @r"
    Ask, context_overflow: The prompt does not fit the context of `qwen3:8b`. Choose a model with a longer context, or make the goal smaller.
    FailOver, account_exhausted: The account at http://127.0.0.1:11434 is used up: the server's words. Add to the account, or choose another server in the settings; then resume.
    FailOver, answer_invalid: `qwen3:8b` called `read_file` with arguments that cannot be read, so nothing was done. Resume the run to ask again, or choose a model that calls tools more reliably.
    FailOver, answer_invalid: `qwen3:8b` wrote a single piece of more than 8388608 bytes. Resume the run to ask again, or choose another model.
    FailOver, model_missing: The server at http://127.0.0.1:11434 does not have the model `qwen3:8b`. Fetch it with `ollama pull qwen3:8b` or choose another model.
    FailOver, model_missing: The server at http://127.0.0.1:11434 does not have the model `qwen3:8b`. Load it in the server or choose another model.
    FailOver, model_server_down: No model server answers at http://127.0.0.1:11434. Start Ollama (`ollama serve`) or choose another server in the settings.
    FailOver, model_server_down: No model server answers at http://127.0.0.1:11434. Start the server or choose another one in the settings.
    FailOver, model_server_error: `qwen3:8b` cannot do what is asked of it: the server's words. Choose another model: one that can call tools for a step, one that makes vectors for embeddings.
    FailOver, model_server_error: `qwen3:8b` does not fit into the memory of the machine of http://127.0.0.1:11434. Close other programs, or choose a smaller model or context; then resume the run.
    FailOver, model_timeout: The model server at http://127.0.0.1:11434 did not answer within 600 s. The model may be too large for this machine, or busy. Resume the run, or choose a smaller model.
    FixConfiguration, key_refused: The model server at http://127.0.0.1:11434 refused the request. Check the key and the server's access rules, or choose another server in the settings.
    FixConfiguration, local_only: far.example:443 is another machine, and local-only mode is on. Choose a server on this machine, or turn local-only mode off in the settings.
    FixConfiguration, model_server_down: The address http://127.0.0.1:11434 of model server `a` cannot be used: the server's words. Correct the address in the settings.
    FixConfiguration, model_server_error: What the server at http://127.0.0.1:11434 answers cannot be read. Check that the address and the kind of server in the settings fit together.
    RetrySame, answer_incomplete: The answer of `qwen3:8b` broke off before it was complete. Resume the run to ask again.
    RetrySame, model_server_error: The model server at http://127.0.0.1:11434 failed while running `qwen3:8b`: the server's words. Look at the server's own log. A smaller model or context may help; then resume the run.
    RetrySame, model_server_error: The model server at http://127.0.0.1:11434 is busy. Wait a moment and resume the run.
    ");
    assert_eq!(error(429).class(), FailureClass::RetrySame);
    assert_eq!(error(418).class(), FailureClass::FailOver);
    assert_eq!(CallError::Timeout { act: "go on", seconds: 1 }.class(), FailureClass::RetrySame);
    let told = CallError::ServerError { status: 429, text: text(), retry_after: Some(Duration::from_secs(9)) };
    assert_eq!(told.retry_after(), Some(Duration::from_secs(9)));
}
