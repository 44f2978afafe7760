//! What the user chose: models, privacy, look.

use crate::routing::RoutingPolicy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use ts_rs::TS;

/// The user's settings, kept in the home store as whole values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Never open a socket to another machine.
    pub local_only: bool,
    /// Model servers, in order of preference.
    pub providers: Vec<ProviderSettings>,
    /// The model that runs use unless told otherwise; `None` lets the first usable one be taken.
    pub model: Option<ModelChoice>,
    /// How models are chosen, and how fast they may be asked.
    pub routing: Routing,
    /// What a search goes by besides words.
    pub search: SearchSettings,
    /// What roles remember of their conversations.
    pub memory: MemorySettings,
    /// When what is kept of projects is packed.
    pub packing: PackingSettings,
    /// How the window looks.
    pub theme: Theme,
    /// How many runs of all projects may be at work at the same time; others wait for their turn.
    pub active_runs: u32,
    /// How long an unanswered approval waits before it is rejected, in milliseconds.
    #[ts(type = "number")]
    pub approval_timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            local_only: true,
            providers: vec![ProviderSettings {
                id: "ollama".into(),
                kind: ProviderKind::Ollama,
                base_url: "http://127.0.0.1:11434".into(),
            }],
            model: None,
            routing: Routing::default(),
            search: SearchSettings::default(),
            memory: MemorySettings::default(),
            packing: PackingSettings::default(),
            theme: Theme::System,
            active_runs: 8,
            approval_timeout_ms: 24 * 60 * 60 * 1000,
        }
    }
}

/// Where a model server is and how it speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// The name it is chosen by.
    pub id: String,
    /// The wire format.
    pub kind: ProviderKind,
    /// Scheme, host, port and optional path, without a trailing slash.
    pub base_url: String,
}

/// The wire format of a model server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// Ollama's native routes (`/api/chat`).
    Ollama,
    /// OpenAI-style chat completions (`/v1/chat/completions`).
    OpenAi,
    /// Anthropic's messages (`/v1/messages`).
    Anthropic,
}

/// A model of a provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct ModelChoice {
    /// The provider's id in the settings.
    pub provider: String,
    /// The model's name as the server knows it.
    pub model: String,
}

/// How models are chosen, and how fast they may be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default, deny_unknown_fields)]
pub struct Routing {
    /// The policy; `None` takes models of this machine first and none of another machine by itself.
    pub policy: Option<RoutingPolicy>,
    /// Two policies tried side by side.
    pub experiment: Option<Experiment>,
    /// Shares of providers that serve the same model, by provider id; without one it is 1. 0 is taken only where nothing
    /// else is left.
    pub weights: BTreeMap<String, u32>,
    /// Limits on how fast models are asked.
    pub rates: Vec<RateLimit>,
    /// Which answers are kept for the same question of another program.
    pub kept: KeptAnswers,
}

/// Which answers are kept, to be given again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default, deny_unknown_fields)]
pub struct KeptAnswers {
    /// Whether any are.
    pub on: bool,
    /// For how long, in seconds.
    pub for_s: u32,
    /// Gives an answer to a like question too; `None` to the same one only.
    pub like: Option<Box<LikeQuestions>>,
}

impl Default for KeptAnswers {
    fn default() -> Self {
        Self { on: true, for_s: 24 * 60 * 60, like: None }
    }
}

/// Which questions are like enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct LikeQuestions {
    /// The model that makes their vectors.
    pub by: ModelChoice,
    /// The cosine of their vectors is at least this, in thousandths.
    pub floor: u32,
}

/// Two policies, each for a share of the runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Its name. Runs are split by it and their id, so that the split stays the same.
    pub name: String,
    /// The policy of the first arm.
    pub a: RoutingPolicy,
    /// The policy of the second arm.
    pub b: RoutingPolicy,
    /// How many of a hundred runs are in the second arm.
    pub percent_b: u32,
}

/// A limit on how fast models are asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Whose calls are counted.
    pub of: RateScope,
    /// The provider's or role's id; `None` is each for itself.
    #[serde(default)]
    pub id: Option<String>,
    /// Calls a minute.
    #[serde(default)]
    pub calls: Option<u32>,
    /// Tokens of prompt and answer a minute.
    #[serde(default)]
    pub tokens: Option<u32>,
}

/// Whose calls a rate limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum RateScope {
    /// Calls to a provider.
    Provider,
    /// Calls of a role.
    Role,
    /// Calls of a run.
    Run,
}

/// What a search goes by besides words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default, deny_unknown_fields)]
pub struct SearchSettings {
    /// The model that makes vectors of passages, so that what means the same is found too; `None` goes by words alone.
    pub meaning: Option<ModelChoice>,
}

/// What roles remember of their conversations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default, deny_unknown_fields)]
pub struct MemorySettings {
    /// Tokens that a role's conversation may have before its older part is told in short; `None` is three quarters of the
    /// context.
    pub tokens: Option<u32>,
}

/// When what is kept of projects that nobody works on is packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default, deny_unknown_fields)]
pub struct PackingSettings {
    /// A window packs by itself what nobody has opened for so many days, at least 1; `None` never.
    pub after_days: Option<u32>,
}

impl Default for PackingSettings {
    fn default() -> Self {
        Self { after_days: Some(60) }
    }
}

/// Light, dark, or as the system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// Follow the system.
    System,
    /// Always dark.
    Dark,
    /// Always light.
    Light,
}
