//! The search index of a project, which never answers with something that is not there.
//!
//! One document per file; a query ranks files first (content, path and, where given, the messages of earlier commits,
//! each by BM25) and then the passages inside them, which are cut from the file as it is now. What the index holds is disposable: it is made from the folder and
//! can be made again. It is not a watcher (somebody calls [`Index::refresh`]) and knows nothing of git.

mod error;
mod folder;
mod index;
mod passage;
mod past;
mod query;
mod search;
mod store;
mod terms;

pub use error::IndexError;
pub use index::Index;
pub use past::PastCommit;
