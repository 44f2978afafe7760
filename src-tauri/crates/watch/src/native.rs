//! The system's own watches: one for each folder that counts.

use crate::inbox::Inbox;
use crate::tree;
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Config, ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Watches on folders.
pub(crate) struct Native {
    watcher: RecommendedWatcher,
    folders: HashSet<PathBuf>,
    most: usize,
}

/// Why a watch could not be set.
pub(crate) enum Failed {
    /// There are none left.
    Exhausted,
    /// For another reason.
    Other(String),
}

impl Native {
    pub fn new(inbox: &Arc<Inbox>, most: usize) -> Result<Self, Failed> {
        let inbox = Arc::clone(inbox);
        let tell = move |event: notify::Result<Event>| match event {
            Ok(event) if event.need_rescan() => inbox.everything(),
            Ok(event) if changes(event.kind) => inbox.paths(event.paths),
            Ok(_) => {}
            Err(error) if matches!(error.kind, ErrorKind::MaxFilesWatch) => inbox.exhausted(),
            Err(_) => inbox.everything(),
        };
        let watcher = RecommendedWatcher::new(tell, Config::default().with_follow_symlinks(false)).map_err(failed)?;
        Ok(Self { watcher, folders: HashSet::new(), most })
    }

    /// How many folders are watched.
    pub fn len(&self) -> usize {
        self.folders.len()
    }

    /// Watches a folder; one that went away meanwhile is no failure.
    pub fn add(&mut self, folder: &Path) -> Result<(), Failed> {
        if self.folders.contains(folder) {
            return Ok(());
        }
        if self.folders.len() >= self.most {
            return Err(Failed::Exhausted);
        }
        match self.watcher.watch(folder, RecursiveMode::NonRecursive).map_err(failed) {
            Ok(()) => {
                self.folders.insert(folder.to_owned());
                Ok(())
            }
            Err(_) if !folder.exists() => Ok(()),
            Err(Failed::Other(reason)) => {
                tracing::warn!(%reason, folder = %folder.display(), "a folder cannot be watched");
                Ok(())
            }
            Err(exhausted) => Err(exhausted),
        }
    }

    /// Watches every folder under `root` that counts and lets go of all others, except `also`.
    pub fn all(&mut self, root: &Path, also: &[PathBuf]) -> Result<(), Failed> {
        let wanted: HashSet<PathBuf> = tree::walk(root)
            .filter(|(_, metadata)| metadata.is_dir())
            .map(|(path, _)| path)
            .chain(also.iter().cloned())
            .collect();
        for gone in self.folders.difference(&wanted).cloned().collect::<Vec<_>>() {
            self.forget(&gone);
        }
        wanted.iter().try_for_each(|folder| self.add(folder))
    }

    /// Lets go of a folder and what is below it: it was removed, or has another name now, under which its watches would
    /// go on telling the old one.
    pub fn forget(&mut self, folder: &Path) {
        let below: Vec<PathBuf> = self.folders.iter().filter(|known| known.starts_with(folder)).cloned().collect();
        for known in below {
            self.folders.remove(&known);
            let _ = self.watcher.unwatch(&known); // the system lets go of removed folders by itself
        }
    }

    /// Whether a folder, or one below it, is watched.
    pub fn knows(&self, folder: &Path) -> bool {
        self.folders.contains(folder)
    }
}

/// Whether something is different after such an event. Reading is told too, and is none.
fn changes(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

fn failed(error: notify::Error) -> Failed {
    match error.kind {
        ErrorKind::MaxFilesWatch => Failed::Exhausted,
        // Too many instances, or open files: the same to the user, who is told which.
        ErrorKind::Io(cause) if matches!(cause.raw_os_error(), Some(23 | 24 | 28)) => Failed::Exhausted,
        _ => Failed::Other(error.to_string()),
    }
}
