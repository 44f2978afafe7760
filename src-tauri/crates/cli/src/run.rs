//! `atelier run`: starts a run for a goal and follows it.

use crate::args::{Args, RunArgs};
use crate::follow::follow;
use crate::out::{End, Finished, Out, unexpected};
use crate::session;
use atelier_protocol::ids::Seq;
use atelier_protocol::op::{Op, Reply};
use serde_json::json;

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
