//! Model-made edits to exact byte changes.
//!
//! Pure: text and bytes in, bytes or a refusal out; nothing is read or written except through the closure
//! that the caller hands in. A place is found or refused, never guessed, and a set of edits is applied as a
//! whole or not at all. Writing the result is the caller's job (`repo`).
#![doc = include_str!("../rules.md")]

mod apply;
mod blend;
mod change;
mod draft;
mod elision;
mod encoding;
mod entities;
mod indent;
mod locate;
mod near;
mod operators;
mod parse;
mod path;
mod place;
mod refusal;
mod render;
mod text;

pub use apply::{LARGEST_FILE, apply};
pub use change::{AppliedHunk, Block, ChangeSet, Edit, FileChange, LineRange, Locator, Relaxed};
pub use parse::{Format, LARGEST_EDIT, ParseRefusal, Reader, UnknownFormat, parse};
pub use path::clean as clean_path;
pub use refusal::{Candidate, Refusal};
pub use render::render;
