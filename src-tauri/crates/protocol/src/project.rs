//! A project as a screen shows it: its roles, flows and checks, and its place in the list of known ones.
//!
//! Plain data, re-exported by [`crate::view`].

use crate::event::{Mechanism, PriceList};
use crate::ids::{ProjectId, RoleId};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ProjectView {
    /// The project.
    pub id: ProjectId,
    /// Its folder.
    pub path: String,
    /// Its name.
    pub name: String,
    /// The branch that is checked out; `None` where HEAD is detached.
    pub branch: Option<String>,
    /// What confines commands here.
    pub mechanism: Mechanism,
    /// The roles that load.
    pub roles: Vec<RoleView>,
    /// The checks that will run, with where they come from.
    pub checks: Vec<DeclaredCheck>,
    /// The flows that a goal can be given to, by id.
    pub flows: Vec<FlowView>,
    /// The price lists by which money is counted, the first that knows a model counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<Vec<PriceList>>")]
    pub prices: Vec<PriceList>,
}

/// A flow as the screen needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct FlowView {
    /// Its id.
    pub id: String,
    /// Its name on screen.
    pub title: String,
}

/// A role as the screen needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct RoleView {
    /// The role.
    pub id: RoleId,
    /// Its name on screen.
    pub title: String,
    /// Its one-letter badge.
    pub badge: String,
    /// Its hue, 0-359 degrees.
    pub hue: u16,
}

/// A check that will run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct DeclaredCheck {
    /// Its name.
    pub name: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Time limit in milliseconds.
    pub timeout_ms: u64,
    /// The file it was found in, such as `Cargo.toml`.
    pub source: String,
    /// Whether only failures that the base does not have block a change. Else all do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(optional, as = "Option<bool>")]
    pub only_new: bool,
    /// Hosts that it may reach once the user permits them; empty for no network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<Vec<String>>")]
    pub network: Vec<String>,
}

/// A project in the list of known ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct KnownProject {
    /// The project.
    pub id: ProjectId,
    /// Its folder.
    pub path: String,
    /// Its name.
    pub name: String,
    /// Whether searches from other projects find what is in it. The user says so; a project is private until then.
    #[serde(default)]
    pub shared: bool,
}
