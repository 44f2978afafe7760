//! A store as a whole: its read models with their hashes, its state as one file, and what a look at it found.
//!
//! Plain data, re-exported by [`crate::view`].

use crate::hash::Hash;
use crate::ids::Seq;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The read models of a store, each with a hash over all its rows: rebuilt from zero they must come out the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct StateView {
    /// The last event they contain.
    pub seq: Seq,
    /// Hash over the hashes of all of them.
    pub hash: Hash,
    /// Each of them.
    pub projections: Vec<ProjectionView>,
}

/// One read model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ProjectionView {
    /// Its name.
    pub name: String,
    /// The version of its fold.
    pub version: u32,
    /// Its rows.
    pub rows: u64,
    /// Hash over its rows, in order of their keys.
    pub hash: Hash,
}

/// A file that holds the whole state of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct StateFile {
    /// Where it is.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// The last event in it.
    pub events: Seq,
    /// Runs whose trees or commits it holds.
    pub runs: u64,
    /// The hash of the read models, which must come out the same where it is imported.
    pub hash: Hash,
}

/// What a look at a whole store found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct StoreCheck {
    /// Events whose chain, payloads and blobs are as they were written.
    pub events: u64,
    /// Blobs kept, and their size in bytes.
    pub blobs: u64,
    /// Size of the blobs.
    pub blob_bytes: u64,
    /// Size of the database.
    pub bytes: u64,
    /// What is wrong, in words; empty for a sound store.
    pub findings: Vec<String>,
}
