//! `atelier doctor` and `atelier models`: what this machine has, and what to do about what it lacks.

use crate::args::Args;
use crate::out::{End, Finished, Out, for_people};
use crate::session;
use atelier_engine::{Places, Workshop};
use atelier_protocol::error::{ExitClass, Problem};
use atelier_protocol::event::Mechanism;
use atelier_protocol::view::ProviderView;
use serde_json::json;

pub async fn doctor(args: &Args, out: &Out) -> End {
    let places = Places::of_this_user()?;
    let workshop = session::workshop(args).await?;
    let mut worst = ExitClass::Done;
    out.say(format!("data          {}", places.data.display()));
    let mechanism = workshop.sandbox().await.mechanism();
    out.say(match mechanism {
        Mechanism::Bubblewrap => "sandbox       bubblewrap: commands see no network and write only in the run's tree",
        Mechanism::Landlock => "sandbox       Landlock and seccomp: commands see no network and write only in the run's tree",
        Mechanism::None => {
            "sandbox       none: each command is asked for. Install bubblewrap (`apt-get install bubblewrap`) to confine them"
        }
    });
    let providers = workshop.models().await;
    say_models(&providers, out);
    if providers.iter().all(|p| p.problem.is_some() || p.models.is_empty()) {
        worst = ExitClass::Environment;
        out.say("no model can be used yet; `atelier demo` works without one");
    }
    let project = project(args, &workshop, out).await;
    let project = match project {
        Ok(value) => value,
        Err(problem) => {
            out.say(format!("project       {}", for_people(&problem).trim_end()));
            json!({"problem": problem})
        }
    };
    workshop.close().await;
    let value = json!({
        "data": places.data,
        "sandbox": mechanism,
        "providers": providers,
        "project": project,
    });
    Ok(Finished { value, class: worst })
}

pub async fn models(args: &Args, out: &Out) -> End {
    let workshop = session::workshop(args).await?;
    let providers = workshop.models().await;
    workshop.close().await;
    say_models(&providers, out);
    match providers.iter().find_map(|p| p.problem.clone()) {
        Some(problem) if providers.iter().all(|p| p.problem.is_some()) => Err(problem),
        _ => Ok(Finished::done(json!({"providers": providers}))),
    }
}

async fn project(args: &Args, workshop: &Workshop, out: &Out) -> Result<serde_json::Value, Problem> {
    let open = workshop.open_project(&args.project).await?;
    let reply = open.submit(atelier_protocol::Op::ShowProject).await?;
    let atelier_protocol::Reply::Project(view) = reply else { return Err(crate::out::unexpected()) };
    out.say(format!("project       {} on {}", view.path, view.branch.as_deref().unwrap_or("(detached HEAD)")));
    for check in &view.checks {
        let network = match check.network.as_slice() {
            [] => String::new(),
            hosts => format!("; may reach {} with your permission", hosts.join(", ")),
        };
        out.say(format!("check         {}: {} (from {}){network}", check.name, check.argv.join(" "), check.source));
    }
    if view.checks.is_empty() {
        out.say("check         none declared or found: results will be marked unchecked");
    }
    Ok(json!(view))
}

fn say_models(providers: &[ProviderView], out: &Out) {
    for provider in providers {
        match &provider.problem {
            Some(problem) => {
                out.say(format!("models        {}: {}\n              → {}", provider.id, problem.message, problem.hint))
            }
            None => {
                let version = provider.version.as_deref().unwrap_or("version unknown");
                out.say(format!("models        {} at {} ({version})", provider.id, provider.base_url));
            }
        }
        for model in &provider.models {
            let tools = match model.tools {
                Some(true) => "tools",
                Some(false) => "no tools",
                None => "tools unknown",
            };
            let context = model.context.map_or_else(|| "context unknown".to_owned(), |n| format!("context {n}"));
            let place = if model.local { "this machine" } else { "ANOTHER MACHINE" };
            out.say(format!("              {} — {tools}, {context}, {place}", model.name));
            if let Some(card) = &model.card {
                crate::model_work::tell(card, out);
            }
        }
    }
}
