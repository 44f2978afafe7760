//! Follows what changes in a folder, and never loses a change without saying so.
//!
//! The rule: after any storm the listener has been told every path that changed, or [`Change::everything`]. Folders that
//! are ignored cost no watch. Where the system has no watches left it looks around itself from time to time, and says so.
//! It does not read files, and knows of git only which places it is told to mind.

mod inbox;
mod native;
mod rounds;
mod tree;
mod watch;

pub use watch::{Change, Options, Status, Watch, WatchError};
