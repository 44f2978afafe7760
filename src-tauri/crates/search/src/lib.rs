//! The search index of a project, which never answers with something that is not there.
//!
//! A query ranks files (content, path, definitions, and what earlier commits say of them) and then the passages inside
//! them, which are cut from the files as they are now. What the index holds is disposable: it is made from the folder
//! and can be made again. It is not a watcher (somebody calls [`Index::refresh`] or [`Index::changed`]) and knows nothing
//! of git: commits are handed in as plain data ([`Index::remember`]).

mod context;
mod defining;
mod error;
mod folder;
mod index;
mod keeper;
mod kind;
mod languages;
mod meaning;
mod opening;
mod passage;
mod past;
mod query;
mod rank;
mod scan;
mod search;
mod shelf;
mod store;
mod symbols;
mod terms;
mod writing;

pub use context::Want;
pub use error::IndexError;
pub use index::Index;
pub use meaning::{Learned, MOST_PASSAGES, Meaning, Near, Unlearned};
pub use past::{MOST_COMMITS, MOST_PATHS, PastCommit};
pub use search::Ask;
pub use shelf::{Delivery, Record, Shelf, among};
pub use symbols::outline;
