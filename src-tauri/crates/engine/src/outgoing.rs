//! What may leave this machine and what did, as the home store's events say.
//!
//! Permissions are folded and kept. The ledger is read from the history when it is asked for, so that a long one makes
//! no program slower to start.

use atelier_journal::Journal;
use atelier_protocol::error::Problem;
use atelier_protocol::event::{CloudPermission, EgressEnd, EgressEntry, EgressRow, EgressTotal, EgressView, Event};
use atelier_protocol::ids::{ApprovalId, ProjectId, RunId, Seq};
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
            Event::CloudRevoked { project, provider, host } => {
                self.held.retain(|p| !is_of(p, project, provider, host.as_deref()));
            }
            _ => {}
        }
    }

    /// Whether there is anything to take back.
    pub(crate) fn has(&self, project: &ProjectId, provider: &str, host: Option<&str>) -> bool {
        self.held.iter().any(|p| is_of(p, project, provider, host))
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
    is_of(one, &other.project, &other.provider, Some(&other.host))
}

/// Whether it is the permission of that project and holder for this host, or for any.
fn is_of(one: &CloudPermission, project: &ProjectId, provider: &str, host: Option<&str>) -> bool {
    one.project == *project && one.provider == provider && host.is_none_or(|host| one.host == host)
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

#[cfg(test)]
mod tests {
    //! Mutants that turn it red: `is_of` that takes the beginning of a host for the host, or any project's.

    use super::*;
    use serde_json::json;

    fn project(n: u8) -> ProjectId {
        ProjectId::new(1, [n; 10])
    }

    fn permitted(n: u8, provider: &str, host: &str) -> Event {
        let (provider, host) = (provider.to_owned(), host.to_owned());
        Event::CloudPermitted { permission: CloudPermission { project: project(n), provider, host, approval: None } }
    }

    fn after(events: &[Event]) -> Vec<String> {
        let mut permissions = Permissions::default();
        events.iter().for_each(|event| permissions.apply(event));
        permissions.held().iter().map(|p| format!("{} {}", p.provider, p.host)).collect()
    }

    #[test]
    fn a_host_is_taken_back_by_itself_and_all_of_a_holder_together() {
        let given = [
            permitted(1, "commands", "a.example:443"),
            permitted(1, "commands", "b.example:443"),
            permitted(1, "far", "a.example:443"),
            permitted(2, "commands", "a.example:443"),
        ];
        let revoked = |host: Option<&str>| Event::CloudRevoked {
            project: project(1),
            provider: "commands".to_owned(),
            host: host.map(str::to_owned),
        };
        let with = |last: Event| after(&[given.as_slice(), &[last]].concat());
        let one = with(revoked(Some("a.example:443")));
        assert_eq!(one, ["commands b.example:443", "far a.example:443", "commands a.example:443"]);
        assert_eq!(with(revoked(None)), ["far a.example:443", "commands a.example:443"]);
        assert_eq!(with(revoked(Some("a.example"))).len(), 4, "a host is named with its port");
    }

    #[test]
    fn an_old_journal_that_names_no_host_means_all_of_them() {
        let old = json!({"kind": "cloud_revoked", "payload": {"project": project(1), "provider": "commands"}});
        let event: Event = serde_json::from_value(old.clone()).unwrap();
        assert_eq!(serde_json::to_value(&event).unwrap(), old, "it is written as it was");
        assert_eq!(after(&[permitted(1, "commands", "a.example:443"), event]), [""; 0]);
    }
}
