//! How a model is chosen and what it may cost, as plain values: the decision with everything it was made from, model
//! cards, failure classes, prices and budgets.
//!
//! Re-exported by [`crate::event`]. Nothing here decides; `models` does, and a decision holds all that it needs to be
//! made again from the record alone. Numbers are whole: money is millionths of the currency, shares are thousandths.

use crate::ids::{CallId, RoleId, RunId, Seq};
use crate::settings::{ModelChoice, ProviderKind};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The model chosen for one call, and what follows from the choice for the request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Route {
    /// The provider's id.
    pub provider: String,
    /// The model's name.
    pub model: String,
    /// Whether it runs on this machine.
    pub local: bool,
    /// Context length asked for, in tokens.
    pub context: Option<u32>,
    /// Why this one.
    pub reason: String,
    /// What the call is expected to cost, in millionths of the currency; `None` where no price is known.
    #[serde(default)]
    pub cost: Option<u64>,
    /// At most so many tools are offered; `None` is all of them.
    #[serde(default)]
    pub most_tools: Option<u32>,
    /// The edit format the model was measured to get right; `None` is the usual one.
    #[serde(default)]
    pub edits: Option<String>,
    /// Whether the answer is held to a schema, for models that seldom write a readable tool call by themselves.
    #[serde(default)]
    pub constrained: bool,
}

/// By which rule a model is chosen among those that may be taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum RoutingPolicy {
    /// Only models of this machine.
    LocalOnly,
    /// The cheapest that can do it; this machine costs nothing.
    Cost,
    /// The best measured, whatever it costs.
    Performance,
    /// The best measured for its cost, this machine first among equals.
    #[default]
    Balanced,
}

/// How far the material of a call may travel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Material {
    /// Anywhere.
    Public,
    /// To another machine only with the user's consent for this project.
    #[default]
    Project,
    /// Never off this machine.
    Secret,
}

/// What a choice of a model is made from, besides the candidates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct RouteInputs {
    /// The policy.
    pub policy: RoutingPolicy,
    /// Whether the settings forbid other machines.
    pub local_only: bool,
    /// How far the material may travel.
    pub material: Material,
    /// The role that asks; `None` where no role does.
    pub role: Option<RoleId>,
    /// What the user asked for, with the run or in the settings. Nothing else is taken then.
    pub asked: Option<ModelChoice>,
    /// Whether it was asked for in the settings, not with the run.
    pub in_settings: bool,
    /// Models the role prefers, best first, as `provider/model` or a model's name.
    pub prefer: Vec<String>,
    /// Whether tools must be called.
    pub tools: bool,
    /// Tokens that must fit: prompt and answer.
    pub need: u32,
    /// Tokens of the prompt, for the estimate of the cost.
    pub prompt: u32,
    /// Tokens of answer that are expected at most, for the estimate of the cost.
    pub output: u32,
    /// What may still be spent, in millionths of the currency; `None` is no limit.
    pub budget: Option<u64>,
    /// Whether unusual spending paused calls to other machines.
    pub paused: bool,
    /// Models that failed in this turn's place and are left out, as `provider/model`.
    pub failed: Vec<String>,
    /// Decides among equals, so that the same inputs give the same choice.
    pub seed: u64,
    /// The arm of an experiment that set the policy, as `experiment/arm`.
    pub arm: Option<String>,
}

/// A model that could be taken, with everything the choice looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Candidate {
    /// The provider's id.
    pub provider: String,
    /// The model's name.
    pub model: String,
    /// The wire format of its server.
    pub kind: Option<ProviderKind>,
    /// Whether it runs on this machine; a server of this machine may pass some names on to a cloud.
    pub local: bool,
    /// Whether it can call tools; `None` where the server does not say.
    pub tools: Option<bool>,
    /// The longest context, in tokens.
    pub context: Option<u32>,
    /// What it costs; `None` is unknown. Models of this machine cost time, not money.
    pub price: Option<Price>,
    /// What was measured on this machine.
    pub card: Option<CardShort>,
    /// Whether the user agreed that material of this project goes there.
    pub consented: bool,
    /// Its share among equals.
    pub weight: u32,
    /// Calls under way on its server.
    pub load: u32,
    /// Whether its circuit breaker lets calls through.
    pub health: Health,
    /// Size of its files, in bytes.
    pub bytes: Option<u64>,
    /// Why its server cannot be used at all; empty where it can.
    pub down: String,
}

/// What the choice looks at in a model card. Thousandths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct CardShort {
    /// Share of tool tasks it did right.
    pub tools: u32,
    /// Share of edits it got right in its best format.
    pub edits: u32,
    /// Its best edit format; `None` where it got none right.
    pub format: Option<String>,
    /// Context it was seen to use, in tokens.
    pub context: Option<u32>,
    /// Tokens of answer a second.
    pub speed: Option<u32>,
}

/// Whether calls go through to a provider's account and model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "health", rename_all = "snake_case")]
pub enum Health {
    /// They do.
    #[default]
    Closed,
    /// They do not, until then.
    Open {
        /// Milliseconds since 1970 UTC.
        until_ms: u64,
    },
    /// One may be tried.
    HalfOpen,
}

/// Why a model may not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Unfit {
    /// It is not the one that was asked for.
    NotAsked,
    /// It runs on another machine, and only this one may be used.
    LocalOnly,
    /// The material never leaves this machine.
    Secret,
    /// The user did not agree that material of this project goes there.
    NoConsent,
    /// Its server cannot be used.
    Down,
    /// It failed in this place already.
    Failed,
    /// Its circuit breaker is open.
    Resting,
    /// It cannot call tools.
    Tools,
    /// The prompt does not fit its context.
    Context,
    /// It would cost more than may be spent.
    Budget,
    /// A limit on spending is set and its price is unknown.
    PriceUnknown,
    /// Unusual spending paused calls to other machines.
    Paused,
}

/// A candidate as it was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Alternative {
    /// The candidate.
    pub candidate: Candidate,
    /// What the call is expected to cost there; `None` is unknown.
    pub cost: Option<u64>,
    /// Why it may not be taken; `None` where it may.
    pub unfit: Option<Unfit>,
}

/// A choice of a model with all it was made from. Made again from `inputs` and the alternatives' candidates, it is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct RouteDecision {
    /// What it was made from.
    pub inputs: RouteInputs,
    /// What was chosen; `None` where nothing may be taken.
    pub route: Option<Route>,
    /// All candidates, the chosen one among them, in the order of the providers.
    pub alternatives: Vec<Alternative>,
}

/// What is to be done about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The same request may succeed a little later.
    RetrySame,
    /// Another model or account may do it; this one will not soon.
    FailOver,
    /// Only the user can decide: another model, a smaller prompt, more money.
    Ask,
    /// Something is set up wrongly and must be mended before any call.
    FixConfiguration,
}

/// What holds a call back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "hold", rename_all = "snake_case")]
pub enum Hold {
    /// The pause before the same request is tried again.
    Backoff {
        /// The attempt that follows.
        attempt: u32,
    },
    /// The server said how long to wait.
    RetryAfter {
        /// The attempt that follows.
        attempt: u32,
    },
    /// A limit of calls or tokens a minute.
    Rate {
        /// Whose, such as `provider openai`.
        of: String,
    },
    /// Another role's turn on a model that does not fit into memory beside this one's.
    Batch {
        /// The model that is at work.
        model: String,
    },
}

/// The server's context is not what this side believes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ContextMismatch {
    /// What does not agree.
    pub kind: MismatchKind,
    /// Context length that was asked for.
    pub asked: Option<u32>,
    /// Context length the server says it has loaded.
    pub loaded: Option<u32>,
    /// The least tokens that the prompt can have been, by our own count.
    pub counted: u32,
    /// Prompt tokens the server says it evaluated.
    pub evaluated: Option<u32>,
}

/// What does not agree about a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum MismatchKind {
    /// Fewer tokens were read than the prompt has: a part of it was dropped.
    PromptCut,
    /// The server loaded a shorter context than was asked for.
    ShorterContext,
}

/// What was left out of a prompt so that it fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Compaction {
    /// Messages that are only named now.
    pub left_out: Vec<LeftOut>,
    /// Tokens before, by our own count.
    pub before: u32,
    /// Tokens after.
    pub after: u32,
    /// The whole of what was left out, as a blob.
    pub blob: crate::hash::Hash,
}

/// A message that a prompt only names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct LeftOut {
    /// Its place in the conversation after the brief.
    pub at: u32,
    /// What it was, with its size and hash.
    pub part: crate::call::PromptPart,
}

/// Done of tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Score {
    /// How often it was right.
    pub right: u32,
    /// How often it was tried.
    pub of: u32,
}

/// What was measured about a model on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ModelCard {
    /// The digest of the model's files; where the server has none, its address and name.
    pub digest: String,
    /// The provider it was measured at.
    pub provider: String,
    /// Its name there.
    pub model: String,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// Tool calls that could be read.
    pub well_formed: Score,
    /// Calls of the tool that the task needs.
    pub right_tool: Score,
    /// Answers that use what the tool returned.
    pub uses_result: Score,
    /// Turns that end when the work is done.
    pub stops: Score,
    /// Edits by format.
    pub edits: Vec<(String, Score)>,
    /// The longest prompt whose beginning and end it still knew, in tokens.
    pub context: Option<u32>,
    /// Tokens of prompt a second.
    pub prompt_speed: Option<u32>,
    /// Tokens of answer a second.
    pub speed: Option<u32>,
    /// Memory while loaded, in bytes.
    pub memory: Option<u64>,
    /// The context it was measured with, in tokens.
    pub measured_context: Option<u32>,
}

/// What tokens cost, in millionths of the currency for a million tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Price {
    /// Prompt.
    pub input: u64,
    /// Answer.
    pub output: u64,
    /// Prompt read from the server's cache; `None` is as `input`.
    #[serde(default)]
    pub cached: Option<u64>,
    /// The currency.
    pub currency: String,
    /// The day it was looked up.
    pub as_of: String,
}

/// A price list that is in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct PriceList {
    /// Its file.
    pub file: String,
    /// The day its prices were looked up, as `2026-11-28`.
    pub as_of: String,
    /// The currency.
    pub currency: String,
}

impl PriceList {
    /// How many days before a time in milliseconds since 1970 its prices were looked up; `None` where that is to come.
    pub fn days_old(&self, now_ms: u64) -> Option<u64> {
        (now_ms / 86_400_000).checked_sub(crate::day::day(&self.as_of)?)
    }
}

/// An amount of what calls use up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default)]
pub struct Amount {
    /// Money in millionths of the currency; `None` is unknown, never zero.
    pub micros: Option<u64>,
    /// Tokens of prompt and answer.
    pub tokens: u64,
    /// Time on this machine's models, in milliseconds.
    pub local_ms: u64,
}

/// How much a node of the budget may use; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetLimits {
    /// Money in millionths of the currency.
    pub micros: Option<u64>,
    /// Tokens of prompt and answer.
    pub tokens: Option<u64>,
    /// Seconds on this machine's models.
    pub local_s: Option<u64>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum BudgetUnit {
    /// Money in millionths of the currency.
    Micros,
    /// Tokens.
    #[default]
    Tokens,
    /// Seconds on this machine's models.
    LocalSeconds,
}

/// A node of the budget: the project, other programs at the door, a goal with all runs that
/// work for it, a run, a step, an attempt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(tag = "node", rename_all = "snake_case")]
pub enum BudgetNode {
    /// Everything in the project.
    Project,
    /// What other programs use through the door.
    Door {},
    /// A run at the top with its forks, children and their children.
    Goal {
        /// The run at the top.
        run: RunId,
    },
    /// One run.
    Run {
        /// The run.
        run: RunId,
    },
    /// One step of a run.
    Step {
        /// The run.
        run: RunId,
        /// The step.
        step: String,
    },
    /// One attempt.
    Attempt {
        /// The call.
        call: CallId,
    },
}

/// A node of the budget as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct BudgetView {
    /// The node.
    pub node: BudgetNode,
    /// What it may use.
    pub limits: BudgetLimits,
    /// What was used.
    pub spent: Amount,
    /// What calls that are under way may use at most.
    pub reserved: Amount,
    /// Requests that were settled.
    pub calls: u32,
}

/// A recorded choice of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct RouteEntry {
    /// The event.
    pub seq: Seq,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// The run.
    pub run: Option<RunId>,
    /// The choice.
    pub decision: RouteDecision,
    /// Whether the same inputs give the same choice today.
    pub replays: bool,
}
