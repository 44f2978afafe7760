//! What the world says about an effect whose outcome was not recorded.

use atelier_protocol::event::EffectOutcome;

/// The answer of a `settle_*` question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It is done, completely.
    Landed,
    /// It is not done, or not completely; performing it (again) is safe.
    NotLanded,
    /// It cannot be known; what was found. For the user to decide, never to be repeated.
    Unknown(String),
}

impl From<Settled> for EffectOutcome {
    fn from(settled: Settled) -> Self {
        match settled {
            Settled::Landed => EffectOutcome::Landed,
            Settled::NotLanded => EffectOutcome::NotLanded { problem: None },
            Settled::Unknown(found) => EffectOutcome::Unknown { found },
        }
    }
}
