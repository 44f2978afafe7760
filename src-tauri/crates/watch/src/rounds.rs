//! Looking around from time to time, where the system tells nothing: what is different from the last round.

use crate::tree;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What a file looked like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    len: u64,
    changed: Option<SystemTime>,
    inode: u64,
}

/// All files as they looked in the last round.
#[derive(Debug, Default)]
pub(crate) struct Rounds(HashMap<PathBuf, Look>);

impl Rounds {
    /// Looks around and says what is different.
    pub fn next(&mut self, root: &Path, marks: &[PathBuf]) -> Vec<PathBuf> {
        let mut now = HashMap::with_capacity(self.0.len());
        let marked = marks.iter().filter_map(|mark| Some((mark.clone(), mark.symlink_metadata().ok()?)));
        for (path, metadata) in tree::walk(root).chain(marked).filter(|(_, metadata)| !metadata.is_dir()) {
            #[cfg(unix)]
            let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
            #[cfg(not(unix))]
            let inode = 0;
            now.insert(path, Look { len: metadata.len(), changed: metadata.modified().ok(), inode });
        }
        let new = now.iter().filter(|(path, look)| self.0.get(*path) != Some(look)).map(|(path, _)| path.clone());
        let gone = self.0.keys().filter(|path| !now.contains_key(*path)).cloned();
        let different = new.chain(gone).collect();
        self.0 = now;
        different
    }
}
