//! The model servers and what they have, as they told when they were last asked.
//!
//! Plain data, re-exported by [`crate::view`]. What was measured about a model is its card, in `routing`.

use crate::error::Problem;
use crate::event::ModelCard;
use crate::settings::ProviderKind;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A model server and what it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ProviderView {
    /// Its id in the settings.
    pub id: String,
    /// The wire format.
    pub kind: ProviderKind,
    /// Its address.
    pub base_url: String,
    /// Whether its address is this machine.
    pub local: bool,
    /// The server's version, where it tells.
    pub version: Option<String>,
    /// Its models.
    pub models: Vec<ModelView>,
    /// Models that make vectors and do not chat, where the server tells.
    #[serde(default)]
    pub embedders: Vec<String>,
    /// Why it cannot be used now.
    pub problem: Option<Problem>,
}

/// A model of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ModelView {
    /// Its name.
    pub name: String,
    /// Whether it runs on this machine; a server may pass some names on to a cloud.
    pub local: bool,
    /// Whether it can call tools; `None` where the server does not say.
    pub tools: Option<bool>,
    /// Whether it thinks aloud; `None` where the server does not say.
    pub thinking: Option<bool>,
    /// The longest context it was made for, in tokens.
    pub context: Option<u32>,
    /// Size on disk in bytes.
    pub bytes: Option<u64>,
    /// Digest of its files, where the server tells.
    #[serde(default)]
    pub digest: Option<String>,
    /// What was measured about it on this machine.
    #[serde(default)]
    pub card: Option<ModelCard>,
}
