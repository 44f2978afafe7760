//! What can go wrong with an index.

use atelier_protocol::{Code, Problem};
use std::io;
use std::path::{Path, PathBuf};

/// Why there is no answer, or no refresh.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It was never refreshed, so nothing can be said about the project.
    #[error("the project is not indexed yet")]
    NotReady,
    /// Another process works on the same index.
    #[error("the index in `{}` is in use by another process", dir.display())]
    Busy {
        /// The index's folder.
        dir: PathBuf,
    },
    /// The query has no word in it.
    #[error("{}", if query.trim().is_empty() { "the query is empty".to_owned() } else { format!("`{query}` has no word to look for") })]
    NoWords {
        /// The query.
        query: String,
    },
    /// The project's folder cannot be read.
    #[error("the folder `{}` cannot be read: {source}", root.display())]
    Root {
        /// The folder.
        root: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The index's files cannot be read or written.
    #[error("{doing} failed in `{}`: {reason}", dir.display())]
    Storage {
        /// What was being done.
        doing: &'static str,
        /// The index's folder.
        dir: PathBuf,
        /// The cause.
        reason: String,
    },
}

impl IndexError {
    pub(crate) fn storage<E: ToString>(doing: &'static str, dir: &Path) -> impl FnOnce(E) -> Self {
        move |cause| Self::Storage { doing, dir: dir.to_owned(), reason: cause.to_string() }
    }
}

impl From<IndexError> for Problem {
    fn from(error: IndexError) -> Problem {
        let (code, hint) = match &error {
            IndexError::NotReady => {
                (Code::WrongState, "Refresh the index, or wait until that is done, and search again.")
            }
            IndexError::Busy { .. } => {
                (Code::StoreFailed, "Close the other window or command on this project, or ask it instead.")
            }
            IndexError::NoWords { .. } => {
                (Code::QueryInvalid, "Give at least one word or name, such as `parse header`.")
            }
            IndexError::Root { .. } => (Code::NoFolder, "See whether the folder still exists and may be read."),
            IndexError::Storage { .. } => (
                Code::StoreFailed,
                "See whether the disk is full or read-only. The index can be deleted at any time; it is built again.",
            ),
        };
        let text = error.to_string();
        let mut chars = text.chars();
        let message: String = chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).chain(['.']).collect();
        Problem::new(code, message, hint)
    }
}
