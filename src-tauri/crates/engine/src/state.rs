//! The store as a whole: its read models and their hashes, its chain and blobs, copies, and blobs that nothing names.
//!
//! What only asks is answered while runs go on. Nothing here changes the history.

use crate::owner::ProjectOwner;
use atelier_journal::{Chain, Projections};
use atelier_protocol::error::Problem;
use atelier_protocol::hash::Hash;
use atelier_protocol::ids::Seq;
use atelier_protocol::op::Reply;
use atelier_protocol::view::{ProjectionView, StateView, StoreCheck};
use std::path::PathBuf;

impl ProjectOwner {
    /// The read models with their hashes; made anew from the first event on first where that is wanted.
    pub(crate) async fn hash_state(&self, rebuild: bool) -> Result<Reply, Problem> {
        let projections = &self.desk.projections;
        if rebuild {
            for name in projections.names() {
                projections.rebuild(name).await?;
            }
        }
        projections.caught_up().await?;
        Ok(Reply::State(state(projections).await?))
    }

    /// Walks the whole history and its blobs, and makes the read models anew to see whether they come out the same.
    pub(crate) async fn check_store(&self) -> Result<Reply, Problem> {
        let journal = &self.desk.journal;
        let mut findings = Vec::new();
        let events = match journal.verify().await? {
            Chain::Sound { events, .. } => events,
            Chain::Broken { seq, reason } => {
                findings.push(format!("event {seq} is not as it was written: {reason}"));
                seq.0.saturating_sub(1)
            }
        };
        self.desk.projections.caught_up().await?;
        let before = state(&self.desk.projections).await?;
        for name in self.desk.projections.names() {
            self.desk.projections.rebuild(name).await?;
        }
        let after = state(&self.desk.projections).await?;
        if before.seq == after.seq {
            for (was, is) in before.projections.iter().zip(&after.projections).filter(|(was, is)| was.hash != is.hash) {
                findings.push(format!("the read model `{}` was not what the history says; it is now", was.name));
                tracing::warn!(name = %is.name, "a read model was made anew");
            }
        }
        let usage = journal.usage().await?;
        if usage.blob_bytes > usage.blob_limit {
            findings.push(format!(
                "the contents kept take {} bytes, more than {}; `atelier state prune` removes what nothing names",
                usage.blob_bytes, usage.blob_limit
            ));
        }
        let (blobs, blob_bytes, bytes) = (usage.blobs, usage.blob_bytes, usage.bytes);
        Ok(Reply::StoreChecked(StoreCheck { events, blobs, blob_bytes, bytes, findings }))
    }

    /// Copies the store, whole and as of now.
    pub(crate) async fn back_up(&self, to: String) -> Result<Reply, Problem> {
        let copy = self.desk.journal.back_up(PathBuf::from(&to)).await?;
        Ok(Reply::Exported { path: to, bytes: copy.bytes + copy.blob_bytes })
    }

    /// Removes contents that nothing names any more.
    pub(crate) async fn prune(&self) -> Result<Reply, Problem> {
        let pruned = self.desk.journal.prune().await?;
        let findings = vec![format!("{} contents of {} bytes were removed", pruned.removed, pruned.removed_bytes)];
        let events = self.desk.journal.last_seq().0;
        let usage = pruned.usage;
        let (blobs, blob_bytes, bytes) = (usage.blobs, usage.blob_bytes, usage.bytes);
        Ok(Reply::StoreChecked(StoreCheck { events, blobs, blob_bytes, bytes, findings }))
    }
}

/// The read models as they are, in order of their names.
async fn state(projections: &Projections) -> Result<StateView, Problem> {
    let (mut names, mut views, mut last, mut all) = (projections.names(), Vec::new(), Seq(u64::MAX), Vec::new());
    names.sort_unstable();
    for name in names {
        let found = projections.hash(name).await?;
        last = last.min(found.seq);
        all.extend_from_slice(format!("{} {} {}\n", found.name, found.version, found.hash).as_bytes());
        let (version, rows, hash) = (found.version, found.rows, found.hash);
        views.push(ProjectionView { name: name.to_owned(), version, rows, hash });
    }
    Ok(StateView { seq: last, hash: Hash::of(&all), projections: views })
}
