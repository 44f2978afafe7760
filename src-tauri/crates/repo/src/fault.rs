//! The failures that any operation here can have: the disk and git itself.
//!
//! What somebody branches on has a variant of its own in the family of its operation; a [`Fault`] is only told.

use atelier_protocol::error::{Code, Problem};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The disk or git failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A file could not be read or written.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done, such as `writing`.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Another program holds one of the repository's lock files.
    #[error("another program is working in the repository ({doing}: {})", source.message())]
    Locked {
        /// What was being done.
        doing: &'static str,
        /// What git said.
        source: git2::Error,
    },
    /// The repository's own files could not be read or written.
    #[error("{doing}: {}", source.message())]
    Git {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: git2::Error,
    },
}

impl Fault {
    /// What could not be done, and what the user can do next.
    pub fn problem(&self) -> Problem {
        match self {
            Fault::Io { source, .. } if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                Problem::new(
                    Code::DiskFull,
                    format!("The disk is full: {self}."),
                    "Make room on the disk; then go on where it stopped.",
                )
            }
            Fault::Io { .. } => Problem::new(
                Code::Io,
                format!("A file could not be read or written: {self}."),
                "Look at the free space and the permissions of that place, then try again.",
            ),
            Fault::Locked { .. } => Problem::new(
                Code::RepositoryBusy,
                format!("The repository is in use: {self}."),
                "Wait until the other git program is done, then try again.",
            ),
            Fault::Git { .. } => Problem::new(
                Code::GitFailed,
                format!("Git failed: {self}."),
                "Run `git fsck` in the project; where it finds nothing, try again.",
            ),
        }
    }
}

/// Turns a git error into a fault that says what was being done.
pub(crate) fn git(doing: &'static str) -> impl FnOnce(git2::Error) -> Fault {
    move |source| match source.code() {
        git2::ErrorCode::Locked => Fault::Locked { doing, source },
        _ => Fault::Git { doing, source },
    }
}

/// Turns a file error into a fault that says what was being done to which file.
pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Fault {
    move |source| Fault::Io { doing, path: path.to_owned(), source }
}
