//! Whether events may be recorded for a run that is where it is.
//!
//! Asked before every append: the table of transitions in `protocol` decides, and what has ended stays as it ended.
//! What the fold would leave out is refused here, so that the history never holds it.

use atelier_protocol::Envelope;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Event, NewEvent};
use atelier_protocol::hash::Hash;
use atelier_protocol::ids::StoreId;
use atelier_protocol::view::{Illegal, RunState, RunView};
use std::sync::LazyLock;

/// Why events may not be recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The table does not allow the state that an event leads to.
    #[error(transparent)]
    Transition(#[from] Illegal),
    /// Nothing happens in a run after its end.
    #[error("a run that is {state:?} has ended, so nothing more happens in it")]
    Ended {
        /// How it ended.
        state: RunState,
    },
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Problem::new(
            Code::WrongState,
            format!("This is not possible now: {refused}."),
            "Look at the run with `atelier runs show`.",
        )
    }
}

static NOTHING: LazyLock<Hash> = LazyLock::new(|| Hash::of(b""));

/// Asks for events of one run, in the order in which they are about to be recorded.
pub(crate) fn admit<'a>(view: &RunView, events: impl IntoIterator<Item = &'a NewEvent>) -> Result<(), Refused> {
    let mut after: Option<RunView> = None;
    for new in events {
        let now = after.as_ref().unwrap_or(view);
        if now.state.is_final() && !may_follow_the_end(&new.event) {
            return Err(Refused::Ended { state: now.state });
        }
        if !leads_somewhere(&new.event) {
            continue;
        }
        let envelope = Envelope {
            seq: view.last_seq.next(),
            store: StoreId::home(),
            at_ms: view.updated_at_ms,
            v: new.event.version(),
            run: new.run.clone(),
            step: new.step.clone(),
            cause: None,
            trace: None,
            event: new.event.clone(),
            payload_hash: NOTHING.clone(),
            prev_hash: NOTHING.clone(),
        };
        after.get_or_insert_with(|| view.clone()).try_apply(&envelope)?;
    }
    Ok(())
}

/// What becomes of a run's result is decided after its end.
fn may_follow_the_end(event: &Event) -> bool {
    matches!(
        event,
        Event::RunAccepted { .. }
            | Event::RunDiscarded {}
            | Event::EffectIntended { .. }
            | Event::EffectSettled { .. }
            | Event::Noticed { .. }
            | Event::MessagePosted { .. }
    )
}

/// Whether the fold lets the event change where a run is, or what decides that.
fn leads_somewhere(event: &Event) -> bool {
    matches!(
        event,
        Event::RunInterrupted { .. }
            | Event::RunParked { .. }
            | Event::RunResumed { .. }
            | Event::RunFinished { .. }
            | Event::SlotAwaited { .. }
            | Event::SlotGiven {}
            | Event::CompensationStarted { .. }
            | Event::ChildStarted { .. }
            | Event::ChildEnded { .. }
            | Event::StepStarted { .. }
            | Event::ApprovalRequested { .. }
            | Event::ApprovalSettled { .. }
    )
}
