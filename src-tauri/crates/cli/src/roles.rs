//! `atelier roles`: lists the roles and checks role files.

use crate::args::Args;
use crate::out::{End, Finished, Out};
use atelier_engine::role::{self, Role};
use atelier_engine::sources::ROLES;
use atelier_protocol::error::{Code, Problem};
use clap::Subcommand;
use serde_json::json;
use std::path::PathBuf;

#[derive(Subcommand, Debug)]
pub enum RolesVerb {
    /// The roles of the project.
    List,
    /// Check role files: keys, tools, patterns and the files' own examples.
    Check {
        /// Role files; without any, the shipped ones and the project's.
        files: Vec<PathBuf>,
    },
}

pub fn roles(args: &Args, verb: &RolesVerb, out: &Out) -> End {
    match verb {
        RolesVerb::List => {
            let roles = role::load(ROLES, Some(&args.project))?;
            let mut listed = Vec::new();
            for role in &roles {
                let tools: Vec<&str> = role.tools.iter().map(|tool| tool.name()).collect();
                out.say(format!("{:<18} {:<18} {}", role.id.as_str(), role.title, tools.join(" ")));
                listed.push(json!({"id": role.id, "title": role.title, "tools": tools, "turns": role.turns}));
            }
            Ok(Finished::done(json!({"roles": listed})))
        }
        RolesVerb::Check { files } if files.is_empty() => {
            let roles = role::load(ROLES, Some(&args.project))?;
            out.say(format!("{} roles are right", roles.len()));
            Ok(Finished::done(json!({"checked": roles.len()})))
        }
        RolesVerb::Check { files } => {
            let checked: Vec<Role> = files.iter().map(read).collect::<Result<_, _>>()?;
            for role in &checked {
                out.say(format!("{} is right", role.id));
            }
            Ok(Finished::done(json!({"checked": checked.len()})))
        }
    }
}

fn read(file: &PathBuf) -> Result<Role, Problem> {
    let name = file.to_string_lossy();
    let text = std::fs::read_to_string(file).map_err(|e| {
        Problem::new(Code::RoleInvalid, format!("{name} cannot be read: {e}"), "Name a role file (YAML).")
    })?;
    role::read(&name, &text).map_err(|e| role::problem(&e))
}
