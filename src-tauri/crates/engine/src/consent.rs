//! The leave to run what a project brings along: its checks, declared or found, its set-up, and what it asks to be lent.
//!
//! A project may come from anywhere, so nothing of it runs because its folder was opened: all of it is shown and asked
//! about once, before the first of it is run or lent. The answer is kept in the project's history by the hash of all of it,
//! and of the home, in one append with the answer; whatever changes in it is asked about anew, and what was answered in
//! another home, before the history was exported there and imported here, counts for nothing. A no counts for the run that asked. What may
//! be reached on the network, and commands of flows, are questions of their own (`network`, `command`).

use crate::command::Leave;
use crate::declared::Declared;
use crate::desk::Desk;
use crate::run::{Halt, Run};
use crate::{checks, project::Project};
use atelier_journal::Projection;
use atelier_protocol::Envelope;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Answer, Ask, CommandsView, Event, NewEvent, ProjectCommand};
use atelier_protocol::hash::Hash;
use atelier_protocol::op::{Op, Reply};
use atelier_repo::Provide;
use std::path::Path;

/// The name of the projection.
const ALLOWED: &str = "allowed_commands";

/// The hashes of what may run: a row for each.
pub struct Allowed;

impl Projection for Allowed {
    fn name(&self) -> &'static str {
        ALLOWED
    }

    fn version(&self) -> u32 {
        1
    }

    fn keys(&self, event: &Envelope) -> Vec<String> {
        match &event.event {
            Event::CommandsAllowed { hash } | Event::CommandsForbidden { hash } => vec![hash.to_string()],
            _ => Vec::new(),
        }
    }

    fn fold(&self, _: &str, _: Option<&[u8]>, event: &Envelope) -> Option<Vec<u8>> {
        matches!(event.event, Event::CommandsAllowed { .. }).then(|| b"allowed".to_vec())
    }
}

/// All that the project at `root`, which says that of itself, brings along, in the order in which it is needed.
fn brought(declared: &Declared, root: &Path) -> Vec<ProjectCommand> {
    let lent = declared.provide.iter().cloned().map(|one| match one {
        Provide::Copy(path) => ProjectCommand::Copy { path },
        Provide::Link(path) => ProjectCommand::Link { path },
    });
    let set_up = declared.commands.iter().cloned();
    let set_up = set_up.map(|one| ProjectCommand::SetUp { argv: one.argv, network: one.network });
    let checks = checks::of(declared, root).into_iter().map(|check| ProjectCommand::Check {
        name: check.name,
        argv: check.argv,
        network: check.network,
        source: check.source,
    });
    lent.chain(set_up).chain(checks).collect()
}

/// Where the answer to the question is kept in a run.
pub(crate) fn key(hash: &Hash) -> String {
    format!("project:{hash}")
}

/// What an answer to a question means for the whole project, to be recorded with the answer.
pub(crate) fn follows(ask: &Ask, answer: Answer) -> Option<NewEvent> {
    match (ask, answer) {
        (Ask::ProjectCommands { hash, .. }, Answer::Approve) => {
            Some(NewEvent::of_store(Event::CommandsAllowed { hash: hash.clone() }))
        }
        _ => None,
    }
}

impl Desk {
    /// What the project brings along now, and whether it may run.
    pub(crate) async fn commands(&self) -> Result<CommandsView, Problem> {
        self.commands_of(&*self.declared()?).await
    }

    /// What it brings along by what it says of itself, and whether that may run.
    async fn commands_of(&self, declared: &Declared) -> Result<CommandsView, Problem> {
        let commands = brought(declared, &self.root);
        let text = serde_json::to_vec(&commands).map_err(|e| crate::run::defect(&e.to_string()))?;
        // A yes in a history that comes from elsewhere is somebody else's: it is of another home.
        let mut asked = self.home_mark()?;
        asked.extend(text);
        let hash = Hash::of(&asked);
        self.projections.caught_up().await?;
        let allowed = commands.is_empty() || self.projections.get(ALLOWED, &hash.to_string()).await?.is_some();
        Ok(CommandsView { hash, commands, allowed })
    }

    /// Allows or forbids what the project brings along, as it was looked at.
    pub(crate) async fn allow_commands(&self, hash: &Hash, allowed: bool) -> Result<Reply, Problem> {
        let now = self.commands().await?;
        if now.hash != *hash {
            return Err(Problem::new(
                Code::WrongState,
                "What the project brings along is something else by now, so nothing was allowed or forbidden.",
                "Look at it again with `atelier checks list`.",
            ));
        }
        if now.allowed != allowed && !now.commands.is_empty() {
            let hash = hash.clone();
            let event = if allowed { Event::CommandsAllowed { hash } } else { Event::CommandsForbidden { hash } };
            self.append(vec![NewEvent::of_store(event)]).await?;
        }
        Ok(Reply::Commands(self.commands().await?))
    }

    /// What a tree is given of the user's: nothing that was not allowed.
    pub(crate) async fn provided(&self) -> Result<Vec<Provide>, Problem> {
        let declared = self.declared()?;
        // Nothing asked for needs no look into the history.
        let given = declared.provide.is_empty() || self.commands_of(&declared).await?.allowed;
        Ok(if given { declared.provide.clone() } else { Vec::new() })
    }
}

impl Run {
    /// The leave to run anything that the project brings along.
    pub(crate) async fn leave_for_project(&mut self) -> Result<Leave, Halt> {
        let CommandsView { hash, commands, allowed } = self.desk.commands().await?;
        if allowed {
            return Ok(Leave::Given);
        }
        // A yes that no longer counts has been taken back: it is asked anew.
        if let Some((_, Answer::Reject)) = self.machine.commands.get(&key(&hash)) {
            return Ok(Leave::Refused);
        }
        self.ask(Ask::ProjectCommands { hash, commands }, Vec::new()).await?;
        Ok(Leave::Asked)
    }
}

impl Project {
    /// Allows what the project brings along as it is now, and tells what that is. For who has looked at it, or made it.
    pub async fn allow_commands(&self) -> Result<CommandsView, Problem> {
        let shown = self.submit(Op::ShowCommands).await?;
        let reply = match shown {
            Reply::Commands(CommandsView { hash, .. }) => {
                self.submit(Op::AllowCommands { hash, allowed: true }).await?
            }
            other => other,
        };
        match reply {
            Reply::Commands(view) => Ok(view),
            _ => Err(crate::run::defect("the owner answered something else")),
        }
    }
}

/// The user did not let the project's own commands run.
pub(crate) fn refused() -> Problem {
    Problem::new(
        Code::Rejected,
        "The commands that the project brings along were not allowed to run, so nothing could be set up or checked.",
        "`atelier checks list` shows them. Allow them when asked, or say in `.atelier/project.yaml` what may run \
         (`checks: []` is nothing: the result is then unchecked), and start again.",
    )
}
