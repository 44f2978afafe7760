//! Writes a commit out: a zip of its files, or a git bundle with its history.
//!
//! The same commit gives the same zip, byte for byte. Reads the user's repository only.

use crate::durable;
use crate::fault::{Fault, git, io};
use crate::open::{OpenError, UserRepo};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::op::ExportFormat;
use git2::Oid;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

mod bundle;
mod zip;

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
    /// A zip cannot hold a file of that name.
    #[error("a zip cannot hold `{path}`, whose name or link target is not Unicode")]
    Unnameable {
        /// The file.
        path: String,
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
            ExportError::Unnameable { .. } => (Code::BadArgument, "Export a bundle, which holds every name."),
            ExportError::Shallow => (Code::UnsupportedRepository, "Run `git fetch --unshallow`, or export a zip."),
            ExportError::Open(error) => return error.problem(),
            ExportError::Fault(fault) => return fault.problem(),
        };
        Problem::new(code, format!("The export was not written: {self}."), hint)
    }
}

impl UserRepo {
    /// Writes `commit` (a full id; `None`: what is checked out) as `format` to the new file `to`. The file appears complete
    /// or not at all.
    pub fn export(&self, commit: Option<&str>, format: ExportFormat, to: &Path) -> Result<Exported, ExportError> {
        let repo = self.repo()?;
        let commit = match commit {
            Some(id) => {
                let none = |_| ExportError::NoCommit { commit: id.to_owned() };
                Oid::from_str(id).and_then(|id| repo.find_commit(id)).map_err(none)?
            }
            None => {
                let (_, id) = self.head_of(&repo)?;
                repo.find_commit(id).map_err(git("reading HEAD"))?
            }
        };
        if to.symlink_metadata().is_ok() {
            return Err(ExportError::Exists { path: to.to_owned() });
        }
        let folder = to.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut part = temporary(folder).map_err(io("writing in", folder))?;
        match format {
            ExportFormat::Zip => zip::write(&repo, &commit, part.as_file_mut())?,
            ExportFormat::Bundle => bundle::write(self, &repo, &commit, part.as_file_mut())?,
        }
        part.as_file().sync_all().map_err(io("syncing", to))?;
        let bytes = part.as_file().metadata().map_err(io("reading", to))?.len();
        part.persist_noclobber(to).map_err(|e| match e.error.kind() {
            ErrorKind::AlreadyExists => ExportError::Exists { path: to.to_owned() },
            _ => io("writing", to)(e.error).into(),
        })?;
        durable::sync_dir(folder)?;
        Ok(Exported { path: to.to_owned(), bytes })
    }
}

/// A file beside the target, with the permissions a new file usually gets.
fn temporary(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".atelier-export-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666)); // less the umask
    }
    builder.tempfile_in(folder)
}
