//! What is read of a project's runs without folding them: rows of the projection, as of everything that is committed.

use crate::desk::Desk;
use crate::digest::{Digest, RUNS};
use crate::questions::QUESTIONS;
use crate::run::unknown;
use atelier_journal::{Order, Rows};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::ids::{ApprovalId, RunId};

/// Rows read at once.
const PAGE: usize = 1000;

impl Desk {
    /// A run in short.
    pub async fn digest(&self, run: &RunId) -> Result<Digest, Problem> {
        self.projections.caught_up().await?;
        match self.projections.get(RUNS, run.as_str()).await? {
            Some(row) => digest(&row),
            None => Err(unknown(run)),
        }
    }

    /// The run that waits for the answer to a question; `None` where nobody does.
    pub async fn asking(&self, approval: &ApprovalId) -> Result<Option<Digest>, Problem> {
        self.projections.caught_up().await?;
        let row = self.projections.get(QUESTIONS, approval.as_str()).await?;
        let run = row.and_then(|row| String::from_utf8(row).ok()).and_then(|run| run.parse::<RunId>().ok());
        let Some(run) = run else { return Ok(None) };
        Ok(Some(self.digest(&run).await?).filter(|digest| !digest.state.is_final()))
    }

    /// The runs that `wanted` takes, newest first or in the order they began, at most `limit`.
    pub async fn digests(
        &self,
        order: Order,
        limit: usize,
        wanted: impl Fn(&Digest) -> bool,
    ) -> Result<Vec<Digest>, Problem> {
        self.projections.caught_up().await?;
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = Rows { prefix: String::new(), after: after.take(), order, limit: PAGE };
            let rows = self.projections.list(RUNS, page).await?;
            for (_, row) in &rows {
                let digest = digest(row)?;
                if found.len() < limit && wanted(&digest) {
                    found.push(digest);
                }
            }
            match rows.into_iter().nth(PAGE - 1) {
                Some((last, _)) if found.len() < limit => after = Some(last),
                _ => return Ok(found),
            }
        }
    }
}

fn digest(row: &[u8]) -> Result<Digest, Problem> {
    serde_json::from_slice(row).map_err(|error| {
        Problem::new(
            Code::StoreFailed,
            format!("A row of the runs cannot be read: {error}."),
            "Make the read models anew with `atelier state hash --rebuild`.",
        )
    })
}
