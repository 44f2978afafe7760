//! Writes a commit out: its files as a zip, a compressed tar or a plain folder, or a git bundle with its history.
//!
//! The same commit gives the same zip, byte for byte. Reads the user's repository only.

use crate::fault::{Fault, git, io};
use crate::listing::listing;
use crate::open::{OpenError, UserRepo};
use crate::run_tree::TreeError;
use crate::{durable, put};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::op::ExportFormat;
use git2::Oid;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub(crate) mod bundle;
mod tar;
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
    /// A file cannot be written here.
    #[error(transparent)]
    Tree(#[from] TreeError),
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
            ExportError::Unnameable { .. } => (Code::BadArgument, "Export a tar or a bundle, which hold every name."),
            ExportError::Shallow => (Code::UnsupportedRepository, "Run `git fetch --unshallow`, or export a zip."),
            ExportError::Tree(error) => return error.problem(),
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
        if format == ExportFormat::Folder {
            return self.export_folder(&repo, &commit, folder, to);
        }
        let mut part = temporary(folder).map_err(io("writing in", folder))?;
        match format {
            ExportFormat::Zip => zip::write(&repo, &commit, part.as_file_mut())?,
            ExportFormat::TarGz => tar::write(&repo, &commit, part.as_file_mut())?,
            ExportFormat::Bundle => bundle::write(self, &repo, &commit, part.as_file_mut())?,
            ExportFormat::Folder => {} // written above
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

impl UserRepo {
    /// The files as they are in the commit, in a new folder that appears complete or not at all.
    fn export_folder(
        &self,
        repo: &git2::Repository,
        commit: &git2::Commit<'_>,
        beside: &Path,
        to: &Path,
    ) -> Result<Exported, ExportError> {
        let part =
            tempfile::Builder::new().prefix(".atelier-export-").tempdir_in(beside).map_err(io("writing in", beside))?;
        let files = part.path().join("files");
        std::fs::create_dir(&files).map_err(io("making", &files))?;
        let tree = commit.tree().map_err(git("reading the commit"))?;
        let mut bytes = 0;
        for (path, entry) in listing(repo, &tree)? {
            put::put(repo, &files, &path, entry)?;
            bytes += repo.find_blob(entry.id).map_or(0, |blob| blob.size() as u64);
        }
        durable::sync_tree(&files)?;
        if to.symlink_metadata().is_ok() {
            return Err(ExportError::Exists { path: to.to_owned() });
        }
        std::fs::rename(&files, to).map_err(io("writing", to))?;
        durable::sync_dir(beside)?;
        Ok(Exported { path: to.to_owned(), bytes })
    }
}

/// A file beside the target, with the permissions a new file usually gets.
pub(crate) fn temporary(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".atelier-export-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666)); // less the umask
    }
    builder.tempfile_in(folder)
}
