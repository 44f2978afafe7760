//! Where recorded choices of models stand in the history, and each made again from its own record.

use crate::desk::Desk;
use atelier_journal::{Order, Projection, Rows};
use atelier_models::route;
use atelier_protocol::Envelope;
use atelier_protocol::error::Problem;
use atelier_protocol::event::{Event, RouteEntry};
use atelier_protocol::ids::{RunId, Seq};

/// The name of the projection.
const CHOICES: &str = "choices";
/// Decisions that one answer holds at most.
const MOST_ENTRIES: u32 = 10_000;

/// The numbers of the events that are choices, as keys in their order; the row is the run.
pub struct Choices;

impl Projection for Choices {
    fn name(&self) -> &'static str {
        CHOICES
    }

    fn version(&self) -> u32 {
        1
    }

    fn keys(&self, event: &Envelope) -> Vec<String> {
        match &event.event {
            Event::RouteDecided { .. } => vec![format!("{:016}", event.seq.0)],
            _ => Vec::new(),
        }
    }

    fn fold(&self, _: &str, _: Option<&[u8]>, event: &Envelope) -> Option<Vec<u8>> {
        event.run.as_ref().map(|run| run.as_str().as_bytes().to_vec())
    }
}

impl Desk {
    /// The last recorded choices, oldest first.
    pub(crate) async fn route_entries(&self, run: Option<&RunId>, limit: u32) -> Result<Vec<RouteEntry>, Problem> {
        let limit = limit.min(MOST_ENTRIES) as usize;
        self.projections.caught_up().await?;
        let (mut entries, mut after) = (Vec::new(), None);
        loop {
            let page = Rows { prefix: String::new(), after: after.take(), order: Order::Falling, limit: limit.max(1) };
            let rows = self.projections.list(CHOICES, page).await?;
            let whole = rows.len() == limit.max(1);
            for (key, of) in &rows {
                if run.is_some_and(|run| run.as_str().as_bytes() != of) {
                    continue;
                }
                if entries.len() >= limit {
                    break;
                }
                let seq: u64 = key.parse().unwrap_or(0);
                let found = self.journal.read(None, Seq(seq.saturating_sub(1)), 1).await?;
                entries.extend(found.into_iter().filter_map(entry));
            }
            match rows.into_iter().next_back() {
                Some((last, _)) if whole && entries.len() < limit => after = Some(last),
                _ => break,
            }
        }
        entries.reverse();
        Ok(entries)
    }
}

fn entry(event: Envelope) -> Option<RouteEntry> {
    let Event::RouteDecided { decision } = event.event else { return None };
    let replays = route::replays(&decision);
    Some(RouteEntry { seq: event.seq, at_ms: event.at_ms, run: event.run, decision: *decision, replays })
}
