//! Picks the model for a run.
//!
//! Pure: same views and settings, same choice. A model that runs on another machine is never taken by itself.

use atelier_protocol::event::Route;
use atelier_protocol::settings::{ModelChoice, ProviderKind, ProviderSettings, Settings};
use atelier_protocol::view::{ModelView, ProviderView};
use atelier_protocol::{Code, Problem};

/// The context that is asked for where the model has as much, in tokens. Enough for a role's prompt with a few files,
/// and small enough that a model of ordinary size still fits an ordinary machine's memory.
pub const WORKING_CONTEXT: u32 = 16_384;

/// A chosen model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Its server.
    pub provider: ProviderSettings,
    /// Its name as the server knows it.
    pub model: String,
    /// What is recorded about the choice.
    pub route: Route,
}

/// Picks `asked`, else the settings' model, else the first model of this machine that can call tools, else the first
/// of this machine. `views` are in the order of preference.
///
/// # Errors
/// `model_server_down`, `model_missing`, `no_model` or `local_only`, with what to do next.
pub fn choose(views: &[ProviderView], asked: Option<&ModelChoice>, settings: &Settings) -> Result<Chosen, Problem> {
    if let Some(asked) = asked {
        return take(views, asked, settings, "it was asked for");
    }
    if let Some(choice) = &settings.model {
        return take(views, choice, settings, "it is chosen in the settings");
    }
    let local = || {
        let usable = views.iter().filter(|view| view.problem.is_none());
        usable.flat_map(|view| view.models.iter().map(move |model| (view, model))).filter(|(_, model)| model.local)
    };
    if let Some((view, model)) = local().find(|(_, model)| model.tools == Some(true)) {
        return Ok(chosen(view, model, "the first model on this machine that can call tools"));
    }
    if let Some((view, model)) = local().find(|(_, model)| model.tools.is_none()).or_else(|| local().next()) {
        return Ok(chosen(view, model, "the first model on this machine; none says that it can call tools"));
    }
    if views.iter().all(|view| view.problem.is_some())
        && let Some(problem) = views.iter().find_map(|view| view.problem.clone())
    {
        return Err(problem);
    }
    if views.is_empty() {
        return Err(Problem::new(
            Code::NoModel,
            "There is no model server in the settings.",
            "Add one in the settings, normally Ollama at http://127.0.0.1:11434.",
        ));
    }
    let elsewhere = views.iter().any(|view| !view.models.is_empty());
    Err(if elsewhere {
        Problem::new(
            Code::NoModel,
            "No model on this machine was found; the servers only have models that run elsewhere.",
            "Fetch a local model, for example with `ollama pull qwen3:8b`, or choose one of the others in the settings.",
        )
    } else {
        Problem::new(
            Code::NoModel,
            "The model servers have no model yet.",
            "Fetch one that can call tools, for example with `ollama pull qwen3:8b`.",
        )
    })
}

fn take(views: &[ProviderView], choice: &ModelChoice, settings: &Settings, why: &str) -> Result<Chosen, Problem> {
    let Some(view) = views.iter().find(|view| view.id == choice.provider) else {
        return Err(Problem::new(
            Code::NoModel,
            format!("There is no model server called `{}` in the settings.", choice.provider),
            "Choose a model of one of the servers in the settings.",
        )
        .with_details(views.iter().map(|view| view.id.clone())));
    };
    if settings.local_only && !view.local {
        return Err(elsewhere(&format!("The model server `{}` is another machine", view.id)));
    }
    if let Some(problem) = &view.problem {
        return Err(problem.clone());
    }
    let Some(model) = view.models.iter().find(|model| same_name(view.kind, &model.name, &choice.model)) else {
        return Err(Problem::new(
            Code::ModelMissing,
            format!("The server at {} does not have the model `{}`.", view.base_url, choice.model),
            match view.kind {
                ProviderKind::Ollama => {
                    format!("Fetch it with `ollama pull {}` or choose another model.", choice.model)
                }
                ProviderKind::OpenAi | ProviderKind::Anthropic => {
                    "Load it in the server or choose another model.".to_owned()
                }
            },
        )
        .with_details(view.models.iter().map(|model| model.name.clone())));
    };
    if settings.local_only && !model.local {
        return Err(elsewhere(&format!("The model `{}` runs on another machine", model.name)));
    }
    Ok(chosen(view, model, why))
}

fn elsewhere(what: &str) -> Problem {
    Problem::new(
        Code::LocalOnly,
        format!("{what}, and local-only mode is on."),
        "Choose a model on this machine, or turn local-only mode off in the settings.",
    )
}

fn chosen(view: &ProviderView, model: &ModelView, why: &str) -> Chosen {
    let context = match view.kind {
        ProviderKind::Ollama => Some(model.context.map_or(WORKING_CONTEXT, |most| most.min(WORKING_CONTEXT))),
        // The length is set when that server starts; it is not asked for with a request.
        ProviderKind::OpenAi | ProviderKind::Anthropic => model.context,
    };
    Chosen {
        provider: ProviderSettings { id: view.id.clone(), kind: view.kind, base_url: view.base_url.clone() },
        model: model.name.clone(),
        route: Route {
            provider: view.id.clone(),
            model: model.name.clone(),
            local: model.local,
            context,
            reason: why.to_owned(),
            ..Route::default()
        },
    }
}

/// Ollama's names have a tag, and `latest` is the one meant where none is given.
fn same_name(kind: ProviderKind, have: &str, asked: &str) -> bool {
    match kind {
        ProviderKind::Ollama => have == asked || have.strip_suffix(":latest") == Some(asked),
        ProviderKind::OpenAi | ProviderKind::Anthropic => have == asked,
    }
}
