//! `atelier run`: starts a run for a goal and follows it.

use crate::args::Args;
use crate::choices::{Kind, Urgency};
use crate::follow::follow;
use crate::out::{End, Finished, Out, unexpected};
use crate::session;
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Op, Reply};
use serde_json::json;

#[derive(clap::Args, Debug)]
pub struct RunArgs {
    /// What should be different, in a sentence or more.
    pub goal: String,
    /// The model, as `provider/model` or a name on Ollama.
    #[arg(long)]
    pub model: Option<String>,
    /// Answer questions of this kind yes, recorded as your grant.
    #[arg(long = "approve", value_name = "KIND")]
    pub approve: Vec<Kind>,
    /// Answer every other question no.
    #[arg(long)]
    pub deny_asks: bool,
    /// The flow to follow, such as `feature` or `reviewed`, or one of `.atelier/flows`.
    #[arg(long, value_name = "ID")]
    pub flow: Option<String>,
    /// How urgent it is among the runs of the project.
    #[arg(long, value_name = "HOW", default_value = "normal")]
    pub priority: Urgency,
    /// Ask before more tokens than this are used.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub budget_tokens: Option<u64>,
    /// Begin with the changes of this run, which is not accepted yet, and follow them: its id, or `last`.
    #[arg(long, value_name = "RUN")]
    pub on: Option<String>,
    /// Make a repository of the project's folder first, with a commit of the files as they are, where it is none.
    #[arg(long)]
    pub init: bool,
    /// Do not wait: print the run's id and leave it to the window or command that owns the project.
    #[arg(long)]
    pub detach: bool,
}

pub async fn run(args: &Args, run: &RunArgs, out: &Out) -> End {
    let opened = if run.init { session::project_initialised(args).await } else { session::project(args).await };
    let (workshop, project) = opened?;
    if args.server.is_some() && !project.owns() {
        out.say("note: another window or command owns this project; its model servers are used, not --server");
    }
    let on = match &run.on {
        Some(text) => match session::run_id(&project, text).await {
            Ok(on) => Some(on),
            Err(problem) => {
                workshop.close().await;
                return Err(problem);
            }
        },
        None => None,
    };
    let op = Op::StartRun {
        goal: run.goal.clone(),
        model: run.model.as_deref().map(|model| args.model_choice(model)),
        approve: run.approve.iter().map(|kind| (*kind).into()).collect(),
        deny_asks: run.deny_asks,
        flow: run.flow.clone(),
        priority: run.priority.into(),
        budget_tokens: run.budget_tokens,
        on,
    };
    let end = match project.submit(op).await {
        Ok(Reply::Run(id)) if run.detach && !project.owns() => {
            out.say(format!("run {id}"));
            Ok(Finished::done(json!({"run": {"id": id}})))
        }
        Ok(Reply::Run(id)) => {
            out.say(format!("run {id}"));
            follow(&project, &id, Seq::ZERO, out).await
        }
        Ok(_) => Err(unexpected()),
        Err(problem) => Err(problem),
    };
    workshop.close().await;
    end
}
