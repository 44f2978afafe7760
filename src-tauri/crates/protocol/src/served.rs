//! What programs that come through the door use of models, as plain values.
//!
//! A door asks the owner of the project for an allowance and draws from it without asking; what its calls used is
//! recorded at their end. What may leave this machine is admitted one by one and recorded before it is sent.

use crate::error::Code;
use crate::ids::CallId;
use crate::routing::Amount;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A call that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct ServedCall {
    /// The call.
    pub call: CallId,
    /// The provider's id.
    pub provider: String,
    /// The model's name there.
    pub model: String,
    /// Whether it ran on this machine.
    pub local: bool,
    /// What it used, as far as that is known.
    pub used: Amount,
    /// Why it brought no answer; `None` where it did.
    #[serde(default)]
    pub failed: Option<Code>,
    /// Whether the answer was kept from an earlier call, so that no model was asked.
    #[serde(default)]
    pub kept: bool,
}

/// A call that is to leave this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct LeavingCall {
    /// The call.
    pub call: CallId,
    /// The provider's id.
    pub provider: String,
    /// The model's name there.
    pub model: String,
}

/// What a door's calls may use without asking again. `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct Allowance {
    /// Money, in millionths of the currency.
    pub micros: Option<u64>,
    /// Tokens of prompt and answer.
    pub tokens: Option<u64>,
    /// So many calls.
    pub calls: u32,
}
