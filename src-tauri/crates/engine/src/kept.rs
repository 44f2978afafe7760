//! The state of a run: from a state that was kept and the events after it, else from the first event on.
//!
//! What is kept is a cache beside the history. The store vouches that it is of this history and as it was written; one
//! of another shape, or none, only makes resuming a long run slower.

use crate::machine::{Machine, VERSION};
use crate::run::unknown;
use atelier_journal::{Journal, Projections};
use atelier_protocol::error::Problem;
use atelier_protocol::ids::{RunId, Seq};

/// What the kept state is called among the snapshots.
const KIND: &str = "machine";
/// Events after which a state is kept: few enough to be folded in no time.
const EVERY: u64 = 2_000;

/// The state of a run as of now.
pub(crate) async fn machine_of(journal: &Journal, projections: &Projections, run: &RunId) -> Result<Machine, Problem> {
    let kept = kept(projections, run).await;
    let (from, after) = kept.as_ref().map_or((0, Seq::ZERO), |machine| (machine.version, machine.last_seq()));
    let folded = journal.fold(Some(run), after, kept, |machine: &mut Option<Machine>, event| match machine {
        Some(machine) => machine.apply(event),
        None => *machine = Machine::of([event]),
    });
    let machine = folded.await?.ok_or_else(|| unknown(run))?;
    if machine.version >= from + EVERY {
        keep(projections, &machine).await;
    }
    Ok(machine)
}

/// Whether a state should be kept, now that a run has come from one version to another.
pub(crate) fn is_due(before: u64, now: u64) -> bool {
    before / EVERY != now / EVERY
}

/// Keeps the state of a run.
pub(crate) async fn keep(projections: &Projections, machine: &Machine) {
    let run = &machine.view.id;
    let bytes = match serde_json::to_vec(machine) {
        Ok(bytes) => bytes,
        Err(error) => return tracing::warn!(%run, %error, "the state of the run cannot be kept"),
    };
    if let Err(error) = projections.put_snapshot(run, KIND, VERSION, machine.last_seq(), bytes).await {
        tracing::warn!(%run, %error, "the state of the run could not be kept");
    }
}

async fn kept(projections: &Projections, run: &RunId) -> Option<Machine> {
    match projections.snapshot(run, KIND, VERSION).await {
        Ok(kept) => kept.and_then(|(_, bytes)| serde_json::from_slice(&bytes).ok()),
        Err(error) => {
            tracing::warn!(%run, %error, "the kept state of the run cannot be read");
            None
        }
    }
}

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;
