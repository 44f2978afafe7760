//! Model-made edits to exact byte changes.
//!
//! Pure: text and bytes in, bytes or a refusal out; nothing is read or written except through the closure
//! that the caller hands in. A place is found or refused, never guessed, and a set of edits is applied as a
//! whole or not at all. Writing the result is the caller's job (`repo`).

mod apply;
mod change;
mod elision;
mod near;
mod parse;
mod path;
mod place;
mod refusal;
mod render;

pub use apply::apply;
pub use change::{AppliedHunk, Block, ChangeSet, Edit, FileChange, Relaxed};
pub use parse::{Format, ParseRefusal, UnknownFormat, parse};
pub use path::clean as clean_path;
pub use refusal::{Candidate, Refusal};
pub use render::render;
