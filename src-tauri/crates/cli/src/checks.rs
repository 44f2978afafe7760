//! `atelier checks`: what the project brings along to be run, and the user's yes to it before anybody asks.

use crate::args::Args;
use crate::out::{End, Finished, Out, unexpected};
use crate::session;
use atelier_engine::Project;
use atelier_protocol::error::Problem;
use atelier_protocol::event::CommandsView;
use atelier_protocol::op::{Op, Reply};
use clap::Subcommand;
use serde_json::json;

#[derive(Subcommand, Debug)]
pub enum ChecksVerb {
    /// The checks and the set-up as they would run, what would be lent, and whether you allowed it.
    List,
    /// Let all of it run, now and in later runs, until something of it changes.
    Allow,
    /// Take that back: the next run that needs it asks.
    Forbid,
}

pub async fn checks(args: &Args, verb: &ChecksVerb, out: &Out) -> End {
    let (workshop, project) = session::project(args).await?;
    let view = perform(&project, verb).await;
    workshop.close().await;
    let view = view?;
    for one in &view.commands {
        out.say(one.told());
    }
    out.say(standing(&view));
    Ok(Finished::done(json!({"commands": view.commands, "allowed": view.allowed, "hash": view.hash})))
}

async fn perform(project: &Project, verb: &ChecksVerb) -> Result<CommandsView, Problem> {
    let Reply::Commands(view) = project.submit(Op::ShowCommands).await? else { return Err(unexpected()) };
    let allowed = match verb {
        ChecksVerb::List => return Ok(view),
        ChecksVerb::Allow => true,
        ChecksVerb::Forbid => false,
    };
    match project.submit(Op::AllowCommands { hash: view.hash, allowed }).await? {
        Reply::Commands(view) => Ok(view),
        _ => Err(unexpected()),
    }
}

fn standing(view: &CommandsView) -> &'static str {
    match (view.commands.is_empty(), view.allowed) {
        (true, _) => "the project brings nothing along; results are unchecked",
        (false, true) => "allowed, until something of it changes",
        (false, false) => {
            "not allowed yet: a run asks before the first of it (`atelier checks allow` says yes beforehand)"
        }
    }
}
