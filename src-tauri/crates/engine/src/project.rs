//! An open project, as a door uses it.

use crate::seat::{FrameStream, Seat};
use atelier_protocol::error::Problem;
use atelier_protocol::ids::{ProjectId, Seq};
use atelier_protocol::op::{Op, Reply};
use std::path::{Path, PathBuf};

/// An open project. Cloning gives another handle on the same seat.
#[derive(Clone)]
pub struct Project {
    pub(crate) id: ProjectId,
    pub(crate) root: PathBuf,
    pub(crate) seat: Seat,
}

impl Project {
    /// The project's id.
    pub fn id(&self) -> &ProjectId {
        &self.id
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether this process owns the project's store now.
    pub fn owns(&self) -> bool {
        self.seat.owns()
    }

    /// Has an op performed by the owner of the project, whoever that is.
    pub async fn submit(&self, op: Op) -> Result<Reply, Problem> {
        self.seat.submit(op).await
    }

    /// The stored events after `after`, then what happens, with drafts; through every change of owner.
    pub fn follow(&self, after: Seq) -> FrameStream {
        self.seat.follow(after)
    }

    /// Leaves the project. Work of this process on its runs ends as it is and can be resumed.
    pub async fn close(&self) {
        self.seat.leave().await;
    }
}
