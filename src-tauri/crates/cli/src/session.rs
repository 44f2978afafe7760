//! Opens the engine for one command.

use crate::args::Args;
use atelier_engine::{Project, Workshop, WorkshopOptions};
use atelier_protocol::RunId;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::op::{Op, Reply};
use atelier_protocol::settings::ProviderSettings;

/// The workshop of this command.
pub async fn workshop(args: &Args) -> Result<Workshop, Problem> {
    workshop_with(args.providers()).await
}

/// The workshop with model servers of our own.
pub async fn workshop_with(providers: Option<Vec<ProviderSettings>>) -> Result<Workshop, Problem> {
    let options = WorkshopOptions { providers, ..WorkshopOptions::of_this_user("cli", false)? };
    Workshop::open(options).await
}

/// The workshop and the project of this command.
pub async fn project(args: &Args) -> Result<(Workshop, Project), Problem> {
    let workshop = workshop(args).await?;
    let opened = workshop.open_project(&args.project).await;
    with_project(workshop, opened).await
}

/// The same, after a folder that is no repository was made one; only when the user asked for it.
pub async fn project_initialised(args: &Args) -> Result<(Workshop, Project), Problem> {
    let workshop = workshop(args).await?;
    let mut opened = workshop.open_project(&args.project).await;
    if opened.as_ref().is_err_and(|problem| problem.code == Code::NotARepository) {
        opened = match workshop.initialise(&args.project).await {
            Ok(()) => workshop.open_project(&args.project).await,
            Err(problem) => Err(problem),
        };
    }
    with_project(workshop, opened).await
}

/// A workshop whose project could not be opened is closed.
async fn with_project(workshop: Workshop, opened: Result<Project, Problem>) -> Result<(Workshop, Project), Problem> {
    match opened {
        Ok(project) => Ok((workshop, project)),
        Err(problem) => {
            workshop.close().await;
            Err(problem)
        }
    }
}

/// Performs one op on the project and leaves it.
pub async fn ask(args: &Args, op: Op) -> Result<Reply, Problem> {
    let (workshop, project) = project(args).await?;
    let reply = project.submit(op).await;
    workshop.close().await;
    reply
}

/// The run that was meant: an id, or `last`.
pub async fn run_id(project: &Project, text: &str) -> Result<RunId, Problem> {
    if text != "last" {
        return text.parse().map_err(|e| {
            Problem::new(Code::UnknownRun, format!("{e}."), "List the runs with `atelier runs list`, or say `last`.")
        });
    }
    match project.submit(Op::ListRuns { states: Vec::new(), limit: None }).await? {
        // The last that the user started: its children go with it.
        Reply::Runs(runs) => runs.into_iter().find(|run| run.parent.is_none()).map(|run| run.id).ok_or_else(|| {
            Problem::new(Code::UnknownRun, "This project has no runs yet.", "Start one with `atelier run \"GOAL\"`.")
        }),
        _ => Err(crate::out::unexpected()),
    }
}
