//! What the user keeps for all projects.
//!
//! Plain data, re-exported by [`crate::event`].

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A note or snippet of the user's library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct LibraryNote {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub title: String,
    /// Its text.
    pub text: String,
    /// When it was kept, milliseconds since 1970 UTC.
    #[ts(type = "number")]
    pub at_ms: u64,
}
