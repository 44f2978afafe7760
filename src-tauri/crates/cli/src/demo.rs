//! `atelier demo`: the main job on a sample project with a scripted model. Needs no model, key or network.

use crate::args::Args;
use crate::follow::follow;
use crate::out::{End, Finished, Out, environment, unexpected};
use crate::{session, story};
use atelier_engine::{Project, Workshop};
use atelier_protocol::error::{Code, ExitClass, Problem};
use atelier_protocol::event::{AskKind, Priority};
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::{ModelChoice, ProviderKind, ProviderSettings};
use atelier_protocol::view::RunView;
use atelier_stage::{Options, Stage, tour};
use serde_json::json;
use std::path::PathBuf;

/// The id of the scripted server in this process.
const SERVER: &str = "tour";

#[derive(clap::Args, Debug)]
pub struct DemoArgs {
    /// Where to make the sample project; must be empty or new. Without it, a folder in the system's temporary folder.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Stop at the question before hand-over instead of answering it.
    #[arg(long)]
    pub ask: bool,
}

pub async fn demo(args: &Args, demo: &DemoArgs, out: &Out) -> End {
    let folder = folder(demo)?;
    tour::write_sample(&folder).map_err(|e| {
        Problem::new(
            Code::BadArgument,
            format!("The sample project cannot be made in {}: {e}.", folder.display()),
            "Name an empty or new folder with `--dir`.",
        )
    })?;
    let (stage, providers) = match args.providers() {
        Some(providers) => (None, providers),
        None => {
            let script = tour::script().map_err(|e| environment(&format!("The shipped script is wrong: {e}")))?;
            let stage = Stage::start(script, Options::default())
                .await
                .map_err(|e| environment(&format!("The scripted model could not start: {e}")))?;
            let server = ProviderSettings { id: SERVER.to_owned(), kind: ProviderKind::Ollama, base_url: stage.url() };
            (Some(stage), vec![server])
        }
    };
    let scripted = stage.is_some();
    let workshop = session::workshop_with(Some(providers)).await?;
    let end = play(&workshop, &folder, demo, scripted, out).await;
    workshop.close().await;
    if let Some(stage) = stage {
        stage.stop().await;
    }
    end
}

async fn play(workshop: &Workshop, folder: &std::path::Path, demo: &DemoArgs, scripted: bool, out: &Out) -> End {
    workshop.initialise(folder).await?;
    let project = workshop.open_project(folder).await?;
    project.allow_commands().await?; // the sample is Atelier's own
    out.say(format!("sample project: {}", folder.display()));
    if scripted {
        out.say("model: scripted, on this machine; no network is used");
    }
    let approve = if demo.ask { Vec::new() } else { vec![AskKind::HandOver] };
    let model = scripted.then(|| ModelChoice { provider: SERVER.to_owned(), model: "tour:latest".to_owned() });
    let op = Op::StartRun {
        goal: tour::GOAL.to_owned(),
        model,
        approve,
        deny_asks: false,
        flow: None,
        priority: Priority::Normal,
        budget_tokens: None,
        on: None,
    };
    let Reply::Run(run) = project.submit(op).await? else { return Err(unexpected()) };
    let finished = follow(&project, &run, Seq::ZERO, out).await?;
    if finished.class != ExitClass::Done {
        return Ok(finished);
    }
    accept(&project, run, folder, out).await
}

async fn accept(project: &Project, run: atelier_protocol::RunId, folder: &std::path::Path, out: &Out) -> End {
    let Reply::Accepted { branch, commit, .. } =
        project.submit(Op::AcceptRun { run: run.clone(), how: Default::default() }).await?
    else {
        return Err(unexpected());
    };
    let Reply::RunView(view) = project.submit(Op::ShowRun { run, at: None }).await? else { return Err(unexpected()) };
    out.say(format!("accepted: {branch} is at {}\n\nthe result is in {}", story::short(&commit), folder.display()));
    for file in view.checkpoint.iter().flat_map(|point| &point.files) {
        out.say(format!("  {}", story::changed(file)));
    }
    out.say(format!("look with `git -C {0} log --stat`, try `sh {0}/greet.sh Ada Grace`", folder.display()));
    Ok(Finished::done(result(&view, folder, &branch, &commit)))
}

fn result(view: &RunView, folder: &std::path::Path, branch: &str, commit: &str) -> serde_json::Value {
    json!({"project": folder, "run": view, "branch": branch, "commit": commit})
}

fn folder(demo: &DemoArgs) -> Result<PathBuf, Problem> {
    let wrong = |e: std::io::Error| environment(&format!("No folder for the sample project: {e}"));
    match &demo.dir {
        Some(dir) => std::path::absolute(dir).map_err(wrong),
        // Kept after the program ends: the result is what the demo is about.
        None => Ok(tempfile::Builder::new().prefix("atelier-demo-").tempdir().map_err(wrong)?.keep().join("greet")),
    }
}
