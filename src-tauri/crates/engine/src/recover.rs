//! Taking over a project: what a former owner left open is settled, what was at work is marked or goes on.
//!
//! Only rows are read, never whole runs, so that a project with very many runs opens at once.

use crate::accept;
use crate::digest::Digest;
use crate::owner::{ProjectOwner, Recovery};
use atelier_journal::Order;
use atelier_protocol::error::Problem;
use atelier_protocol::event::{Actor, Event, NewEvent};
use atelier_protocol::view::{Disposition, RunState};

/// Runs whose marks are one append.
const AT_ONCE: usize = 256;

impl ProjectOwner {
    /// Settles what was left open, and marks or resumes what was at work.
    pub(crate) async fn recover(&self, recovery: Recovery) -> Result<(), Problem> {
        let stacked = |digest: &Digest| digest.on.is_some() && digest.disposition == Disposition::Pending;
        let open = |digest: &Digest| !digest.state.is_final() || digest.deciding || stacked(digest);
        let mut open = self.desk.digests(Order::Rising, usize::MAX, open).await?;
        for digest in open.iter().filter(|digest| digest.deciding) {
            if let Err(problem) = accept::recover(&self.desk, &digest.id).await {
                self.tell(&digest.id, Event::Noticed { problem }).await?;
            }
        }
        let stacks = open.iter().filter_map(|digest| digest.on.clone().map(|on| (digest.id.clone(), on)));
        self.desk.know_stacks(stacks).await;
        open.retain(|digest| !digest.state.is_final());
        let epoch = self.desk.journal.epoch();
        let resumes = recovery == Recovery::Resume;
        for some in open.chunks(AT_ONCE) {
            let mut marks = Vec::new();
            for digest in some {
                let left = digest.state.is_at_work();
                if left {
                    marks.push(NewEvent::of_run(&digest.id, None, Event::RunInterrupted { epoch }));
                }
                if resumes && (left || digest.state == RunState::Interrupted) {
                    let resumed = Event::RunResumed { by: Actor::Owner, epoch };
                    marks.push(NewEvent::of_run(&digest.id, None, resumed));
                }
            }
            if !marks.is_empty() {
                self.desk.append_to(&some.iter().collect::<Vec<_>>(), marks).await?;
            }
        }
        self.go_on_with(open, resumes).await;
        Ok(())
    }

    /// Those that were in the queue first, in their order.
    async fn go_on_with(&self, mut open: Vec<Digest>, resumes: bool) {
        open.sort_by_key(|digest| (digest.state != RunState::WaitsForSlot, digest.last_seq));
        for digest in &open {
            let state = digest.state;
            let goes_on = match state {
                RunState::Parked | RunState::Indeterminate => false,
                RunState::Interrupted => resumes,
                _ if state.is_at_work() => resumes,
                _ => resumes || self.attends,
            };
            if !goes_on {
                continue;
            }
            if state == RunState::WaitsForSlot {
                self.supervisor.queue(&digest.id, digest.priority);
            } else if state.waits_for_user() {
                self.supervisor.wake_at(&digest.id, digest.expires_at_ms().unwrap_or(0));
            } else if state != RunState::WaitsForChild // whose child wakes it
                && let Err(problem) = self.attend(&digest.id).await
            {
                tracing::warn!(run = %digest.id, %problem, "a run could not be taken up");
            }
        }
    }
}
