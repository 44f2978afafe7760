//! What follows a failed call: the same again after a pause, another model, or a person.
//!
//! Pure. The first piece that was shown commits a stream: it is never asked again behind the reader's back.

use crate::error::CallError;
use atelier_protocol::event::{FailureClass, Hold};
use std::time::Duration;

/// Attempts at one question with one model.
pub const ATTEMPTS: u32 = 3;
/// The pause before the second attempt; twice as long with each.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause of our own.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest wait that a server may ask for; another model is taken instead of waiting longer.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The same request, after a pause.
    Again {
        /// What the pause is for.
        hold: Hold,
        /// How long it is.
        pause: Duration,
    },
    /// Another model, if one may be taken.
    Elsewhere,
    /// A person.
    Person,
}

/// Decides after attempt number `attempt` (from 1) with the same model. `random` spreads those who failed together.
pub fn next(error: &CallError, attempt: u32, shown: bool, random: u64) -> Next {
    match error.class() {
        FailureClass::Ask | FailureClass::FixConfiguration => Next::Person,
        _ if shown => Next::Person,
        FailureClass::FailOver => Next::Elsewhere,
        FailureClass::RetrySame if attempt >= ATTEMPTS => Next::Elsewhere,
        FailureClass::RetrySame => match error.retry_after() {
            Some(wait) if wait > LONGEST_WAIT => Next::Elsewhere,
            Some(pause) => Next::Again { hold: Hold::RetryAfter { attempt: attempt + 1 }, pause },
            None => Next::Again { hold: Hold::Backoff { attempt: attempt + 1 }, pause: backoff(attempt, random) },
        },
    }
}

/// Exponential back-off with equal jitter: half of it is certain, half is drawn.
fn backoff(attempt: u32, random: u64) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
    let half = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX) / 2;
    Duration::from_millis(half + random % (half + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn failed(status: u16, retry_after: Option<u64>) -> CallError {
        CallError::ServerError { status, text: String::new(), retry_after: retry_after.map(Duration::from_secs) }
    }

    #[test]
    fn a_server_is_obeyed_within_a_cap_and_left_beyond_it() {
        let hold = Hold::RetryAfter { attempt: 2 };
        assert_eq!(next(&failed(429, Some(7)), 1, false, 9), Next::Again { hold, pause: Duration::from_secs(7) });
        assert_eq!(next(&failed(429, Some(86_400)), 1, false, 9), Next::Elsewhere);
        assert_eq!(next(&failed(503, None), ATTEMPTS, false, 9), Next::Elsewhere);
    }

    #[test]
    fn what_was_shown_is_never_asked_again_unseen() {
        assert_eq!(next(&failed(500, None), 1, true, 0), Next::Person);
        assert_eq!(next(&CallError::Incomplete { reason: String::new() }, 1, true, 0), Next::Person);
    }

    #[test]
    fn a_wrong_key_is_mended_by_a_person_not_by_a_paid_route() {
        let refused = CallError::KeyRefused { status: 401, text: String::new() };
        assert_eq!(next(&refused, 1, false, 0), Next::Person);
    }

    proptest! {
        #[test]
        fn pauses_grow_are_spread_and_stay_within_their_bounds(attempt in 1u32..40, random: u64) {
            let pause = backoff(attempt, random);
            let whole = FIRST_PAUSE.saturating_mul(1 << (attempt - 1).min(10)).min(LONGEST_PAUSE);
            prop_assert!(pause >= whole / 2 && pause <= whole, "{pause:?} of {whole:?}");
        }
    }
}
