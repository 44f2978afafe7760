//! What may leave this machine and what did, as the home store's events say.
//!
//! Permissions are folded and kept. The ledger is read from the history when it is asked for, so that a long one makes
//! no program slower to start.

use atelier_journal::Journal;
use atelier_protocol::error::Problem;
use atelier_protocol::event::{CloudPermission, EgressEnd, EgressEntry, EgressRow, EgressTotal, EgressView, Event};
use atelier_protocol::ids::{ApprovalId, RunId, Seq};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// Requests that one answer holds at most.
const MOST: usize = 10_000;
/// Events that are read at once.
const PAGE: usize = 1_000;

/// What may leave.
#[derive(Default)]
pub(crate) struct Permissions {
    held: Vec<CloudPermission>,
    /// Questions whose yes was kept before, with the host it was kept for.
    counted: HashSet<(ApprovalId, String)>,
}

impl Permissions {
    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::CloudPermitted { permission } => {
                let counted = permission.approval.clone().map(|approval| (approval, permission.host.clone()));
                self.counted.extend(counted);
                self.held.retain(|p| !same(p, permission));
                self.held.push(permission.clone());
            }
            Event::CloudRevoked { project, provider } => {
                self.held.retain(|p| p.project != *project || p.provider != *provider);
            }
            _ => {}
        }
    }

    pub(crate) fn held(&self) -> &[CloudPermission] {
        &self.held
    }

    /// Whether a permission says something new. The yes to a question counts once for each of its hosts.
    pub(crate) fn adds(&self, permission: &CloudPermission) -> bool {
        let counted = permission
            .approval
            .clone()
            .is_some_and(|approval| self.counted.contains(&(approval, permission.host.clone())));
        !counted && !self.held.iter().any(|p| same(p, permission))
    }
}

fn same(one: &CloudPermission, other: &CloudPermission) -> bool {
    one.project == other.project && one.provider == other.provider && one.host == other.host
}

/// The ledger: totals of all there ever was, and the last requests that are `wanted`.
pub(crate) async fn ledger(
    journal: &Journal,
    limit: usize,
    run: Option<&RunId>,
    local: bool,
) -> Result<EgressView, Problem> {
    let wanted = |entry: &EgressEntry| (local || !entry.local) && run.is_none_or(|run| entry.run.as_ref() == Some(run));
    let mut reading = Reading { limit: limit.min(MOST), ..Reading::default() };
    let mut after = Seq::ZERO;
    loop {
        let page = journal.read_kinds(&["egress_recorded", "egress_ended"], after, PAGE).await?;
        let next = page.last().map(|event| event.seq).filter(|_| page.len() == PAGE);
        for envelope in page {
            match envelope.event {
                Event::EgressRecorded { entry } => {
                    let wanted = wanted(&entry);
                    reading.begun(envelope.at_ms, entry, wanted);
                }
                Event::EgressEnded { end } => reading.ended(end),
                _ => {}
            }
        }
        match next {
            Some(next) => after = next,
            None => return Ok(reading.view()),
        }
    }
}

/// The ledger while it is read.
#[derive(Default)]
struct Reading {
    limit: usize,
    totals: BTreeMap<(bool, String), EgressTotal>,
    /// Requests that have not ended, with the total they belong to. A process that was killed leaves some for good.
    open: HashMap<String, (bool, String)>,
    rows: VecDeque<EgressRow>,
    /// The ends of the rows, by request.
    ends: HashMap<String, Option<EgressEnd>>,
}

impl Reading {
    fn begun(&mut self, at_ms: u64, entry: EgressEntry, wanted: bool) {
        let key = (entry.local, entry.host.clone());
        let total = self.totals.entry(key.clone()).or_insert_with(|| EgressTotal {
            host: entry.host.clone(),
            local: entry.local,
            requests: 0,
            refused: 0,
            bytes_out: 0,
            bytes_in: 0,
        });
        total.bytes_out += entry.bytes_out;
        if entry.refused.is_some() {
            total.refused += 1;
        } else {
            total.requests += 1;
            self.open.insert(entry.id.clone(), key);
        }
        if wanted {
            self.ends.insert(entry.id.clone(), None);
            self.rows.push_back(EgressRow { at_ms, entry, end: None });
            if self.rows.len() > self.limit
                && let Some(row) = self.rows.pop_front()
            {
                self.ends.remove(&row.entry.id);
            }
        }
    }

    fn ended(&mut self, end: EgressEnd) {
        if let Some(total) = self.open.remove(&end.id).and_then(|key| self.totals.get_mut(&key)) {
            total.bytes_in += end.bytes_in;
            total.bytes_out += end.more_out;
        }
        if let Some(slot) = self.ends.get_mut(&end.id) {
            *slot = Some(end);
        }
    }

    /// Newest first; totals with those of other machines first.
    fn view(mut self) -> EgressView {
        let ends = &mut self.ends;
        let with_end = |mut row: EgressRow| {
            row.end = ends.remove(&row.entry.id).flatten();
            row
        };
        EgressView {
            rows: self.rows.into_iter().rev().map(with_end).collect(),
            totals: self.totals.into_values().collect(),
        }
    }
}
