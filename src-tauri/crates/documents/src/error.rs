//! Why a file could not be read as a document.

use atelier_protocol::document::DocumentFormat;
use atelier_protocol::{Code, Problem};
use serde::{Deserialize, Serialize};

/// Why there is no document. Plain data, because it crosses from the reading process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum ReadError {
    /// The file cannot be opened.
    #[error("`{name}` cannot be opened: {reason}")]
    Open {
        /// The file.
        name: String,
        /// The cause.
        reason: String,
    },
    /// Its kind is none that is read.
    #[error("`{name}` is {what}, which is not read here")]
    Unknown {
        /// The file.
        name: String,
        /// What it seems to be.
        what: String,
    },
    /// It is locked.
    #[error("the {format} file is locked with a password")]
    Encrypted {
        /// What it is.
        format: DocumentFormat,
    },
    /// It breaks the rules of its format.
    #[error("the {format} file is damaged: {reason}")]
    Damaged {
        /// What it should be.
        format: DocumentFormat,
        /// The cause.
        reason: String,
    },
    /// It is more than is read.
    #[error("it is too much to read: {what}")]
    TooLarge {
        /// What is too large, and the limit.
        what: String,
    },
    /// A query that cannot be answered.
    #[error("the query cannot be answered: {reason}")]
    Query {
        /// The cause, with the tables there are.
        reason: String,
    },
    /// The process that read it did not come to an end.
    #[error("reading it was given up: {reason}")]
    GivenUp {
        /// What happened.
        reason: String,
    },
}

impl ReadError {
    /// A broken rule of `format`.
    pub(crate) fn damaged(format: DocumentFormat) -> impl Fn(String) -> Self {
        move |reason| Self::Damaged { format, reason }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        let (code, hint) = match &error {
            ReadError::Open { .. } => (Code::Io, "See whether the file exists and may be read."),
            ReadError::Unknown { .. } => (
                Code::DocumentUnknown,
                "Save it in a format that is read, such as PDF, DOCX, XLSX, ODT, HTML, Markdown or CSV.",
            ),
            ReadError::Encrypted { .. } => (Code::DocumentEncrypted, "Save a copy without a password, and read that."),
            ReadError::Damaged { .. } => {
                (Code::DocumentDamaged, "Open it with the program that made it, save it again, and read that.")
            }
            ReadError::TooLarge { .. } => (Code::DocumentTooLarge, "Give the part that matters as a file of its own."),
            ReadError::Query { .. } => {
                (Code::QueryInvalid, "Write one SELECT over the tables that `atelier documents read` lists.")
            }
            ReadError::GivenUp { .. } => {
                (Code::DocumentDamaged, "The file makes its reader break or run on. Nothing was harmed; save it anew.")
            }
        };
        let text = error.to_string();
        let mut chars = text.chars();
        let message: String = chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).chain(['.']).collect();
        Problem::new(code, message, hint)
    }
}
