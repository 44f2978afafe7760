//! Whether events may be recorded for a run that is where it is.
//!
//! Pure, and asked before every append (`record`): the table of transitions in `protocol` decides, and what has ended
//! stays as it ended. What the fold would leave out is refused here, so that the history never holds it.

use crate::digest::Digest;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Event, NewEvent};
use atelier_protocol::ids::{RunId, Seq};
use atelier_protocol::view::{Illegal, RunState};

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
    /// A run begins with its start, once.
    #[error("run {run} would not begin with its start, or would begin twice")]
    Beginning {
        /// The run.
        run: RunId,
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

/// Asks for events of one run, in the order in which they are about to be recorded. `row` is the run as it is; `None`
/// for one that has no events.
pub(crate) fn admit<'a>(
    run: &RunId,
    row: Option<&Digest>,
    events: impl IntoIterator<Item = &'a NewEvent>,
) -> Result<(), Refused> {
    let mut after = row.cloned();
    for new in events {
        let begins = matches!(new.event, Event::RunStarted { .. });
        match &mut after {
            None => {
                let beginning = || Refused::Beginning { run: run.clone() };
                after = Some(Digest::begins(run, &new.event, 0, Seq::ZERO).ok_or_else(beginning)?);
            }
            Some(_) if begins => return Err(Refused::Beginning { run: run.clone() }),
            Some(now) if now.state.is_final() && !may_follow_the_end(&new.event) => {
                return Err(Refused::Ended { state: now.state });
            }
            Some(now) => now.happens(&new.event, new.step.as_ref(), Seq::ZERO)?,
        }
    }
    Ok(())
}

/// What becomes of a run's result is decided after its end.
fn may_follow_the_end(event: &Event) -> bool {
    matches!(
        event,
        Event::RunAccepted { .. }
            | Event::RunDiscarded {}
            | Event::OperationUndone { .. }
            | Event::RunRebased { .. }
            | Event::RebaseHeld { .. }
            | Event::CheckpointMade { .. }
            | Event::CommentMade { .. }
            | Event::EffectIntended { .. }
            | Event::EffectSettled { .. }
            | Event::Noticed { .. }
            | Event::MessagePosted { .. }
    )
}
