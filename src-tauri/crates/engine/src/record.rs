//! The one way by which events of runs get into the history: the table of transitions is asked first.
//!
//! What was asked and what is appended are of the same moment: the append expects every run to have as many events as
//! the row that was asked. Events of the store alone (objects, messages, jobs) go by the bus and the objects, which
//! record nothing of runs.

use crate::desk::{Desk, Moment};
use crate::digest::Digest;
use crate::legal::{self, Refused};
use atelier_journal::{Append, AppendError};
use atelier_protocol::Envelope;
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::{Event, NewEvent};
use atelier_protocol::ids::RunId;

/// Why events are not recorded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unrecorded {
    /// A run is not where they may happen.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The history does not take them.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Where a run is cannot be read.
    #[error("{0}")]
    Unread(Problem),
}

impl From<Unrecorded> for Problem {
    fn from(error: Unrecorded) -> Self {
        match error {
            Unrecorded::Refused(refused) => refused.into(),
            Unrecorded::Append(error) => error.into(),
            Unrecorded::Unread(problem) => problem,
        }
    }
}

impl Desk {
    /// Appends events, all or none, wherever their runs are now.
    pub(crate) async fn append(&self, events: Vec<NewEvent>) -> Result<Vec<Envelope>, Unrecorded> {
        loop {
            match self.append_to(&[], events.clone()).await {
                Err(Unrecorded::Append(AppendError::Conflict { .. })) => {} // something else happened: asked again
                other => return other,
            }
        }
    }

    /// The same for who decided by these rows: [`AppendError::Conflict`] where something else happened in one of the
    /// runs meanwhile. Runs that are not among them are read.
    pub(crate) async fn append_to(
        &self,
        known: &[&Digest],
        events: Vec<NewEvent>,
    ) -> Result<Vec<Envelope>, Unrecorded> {
        let mut expecting: Vec<(RunId, u64)> = Vec::new();
        for event in &events {
            let Some(run) = event.run.as_ref().filter(|run| expecting.iter().all(|(asked, _)| asked != *run)) else {
                continue;
            };
            let read = match known.iter().find(|row| row.id == *run) {
                Some(_) => None,
                None if matches!(event.event, Event::RunStarted { .. }) => None, // it has no row yet
                None => self.row(run).await?,
            };
            let row = known.iter().copied().find(|row| row.id == *run).or(read.as_ref());
            legal::admit(run, row, events.iter().filter(|event| event.run.as_ref() == Some(run)))?;
            expecting.push((run.clone(), row.map_or(0, |row| row.events)));
        }
        if let Some(witness) = &self.witness {
            witness(Moment::Before(&events));
        }
        let receipt = match self.journal.append_marked(Append { events, expecting, marks: Vec::new() }).await {
            // It was to begin, and has begun.
            Err(AppendError::Conflict { run, expected: 0, .. }) => return Err(Refused::Beginning { run }.into()),
            other => other?,
        };
        if let Some(witness) = &self.witness {
            witness(Moment::After(&receipt.events));
        }
        Ok(receipt.events)
    }

    async fn row(&self, run: &RunId) -> Result<Option<Digest>, Unrecorded> {
        match self.digest(run).await {
            Ok(row) => Ok(Some(row)),
            Err(problem) if problem.code == Code::UnknownRun => Ok(None),
            Err(problem) => Err(Unrecorded::Unread(problem)),
        }
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
