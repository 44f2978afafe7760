//! Why a command could not be started.
//!
//! A command that started and failed is not an error; it is a [`crate::Ran`].

use atelier_protocol::event::Mechanism;
use atelier_protocol::{Code, Problem};
use std::path::PathBuf;

/// Why a command was not run.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The argument list has no program.
    #[error("the command is empty")]
    EmptyCommand,
    /// The program is nowhere on the command's `PATH`, or not visible to it.
    #[error("`{program}` cannot be run: it is not found on this machine's PATH or not executable")]
    NotFound {
        /// The program as it was asked for.
        program: String,
    },
    /// A folder that the command needs does not exist.
    #[error("`{path}` does not exist or is not absolute, so the command was not started")]
    NoFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The mechanism cannot confine here.
    #[error("the command was not started: {} cannot confine it ({reason})", name(*mechanism))]
    NotConfined {
        /// What was to confine it.
        mechanism: Mechanism,
        /// What it said.
        reason: String,
    },
    /// Its only way to the network cannot be made.
    #[error("the command was not started: {} cannot give it a way to the network ({reason})", name(*mechanism))]
    NoWayOut {
        /// What was to confine it.
        mechanism: Mechanism,
        /// Why not.
        reason: String,
    },
    /// The operating system refused.
    #[error("the command was not started: {what}: {source}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The cause.
        source: std::io::Error,
    },
}

fn name(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Bubblewrap => "bubblewrap",
        Mechanism::Landlock => "Landlock",
        Mechanism::None => "nothing",
    }
}

impl From<SpawnError> for Problem {
    fn from(error: SpawnError) -> Self {
        let (code, hint) = match &error {
            SpawnError::EmptyCommand => (Code::BadArgument, "Give a program and its arguments.".to_owned()),
            SpawnError::NotFound { program } => {
                (Code::ProgramMissing, format!("Install `{program}`, or change the command in the project's checks."))
            }
            SpawnError::NoFolder { .. } => {
                (Code::NoFolder, "Check that the folder is there, then try again.".to_owned())
            }
            SpawnError::NotConfined { .. } => (
                Code::NotConfined,
                "Install bubblewrap (`apt install bubblewrap`), or allow this command to run unconfined.".to_owned(),
            ),
            SpawnError::NoWayOut { .. } => (
                Code::NotConfined,
                "Install bubblewrap (`apt install bubblewrap`) and see that this user may make namespaces, or take `network` \
                 off the command in `.atelier/project.yaml`."
                    .to_owned(),
            ),
            SpawnError::Io { .. } => {
                (Code::Io, "Try again; `atelier doctor` shows what this machine lacks.".to_owned())
            }
        };
        Problem::new(code, error.to_string(), hint)
    }
}
