//! The locks that an accept takes in the user's git directory, and what becomes of them when the process is killed.
//!
//! A git program that finds a lock refuses to work until a person removes it, so one that a killed accept left must go,
//! and one of another program must stay. The index's lock is a second name of a file in the accept's own staging folder:
//! the same file is ours. A branch's lock is made by libgit2; one left behind says the commit we meant to move to, or
//! nothing yet, and is still there after a time in which nobody holds such a lock.

use crate::accept::{Accept, AcceptRefusal};
use crate::durable;
use crate::fault::{Fault, io};
use crate::open::{OpenError, UserRepo};
use crate::paths::remove_file;
use atelier_protocol::ids::RunId;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longer than any program holds the lock of a reference; it does so for a write and a rename.
const HELD: Duration = Duration::from_secs(1);

/// What the names of accepts' staging folders begin with.
pub(crate) const STAGING: &str = "atelier-accept-";

/// The name in the staging folder of the index's lock.
const OWN: &str = "held";

/// The index's lock, held. Dropping it without a new index leaves the old one and lets go.
pub(crate) struct Held {
    /// `None` once it has become the index: from then on the lock may be another program's.
    lock: Option<PathBuf>,
    index: PathBuf,
}

impl UserRepo {
    /// Takes the index's lock as git does: whoever makes the file has it.
    pub(crate) fn lock_index(&self, staging: &Path) -> Result<Held, AcceptRefusal> {
        let (lock, own) = (self.git_dir().join("index.lock"), staging.join(OWN));
        remove_file(&own).map_err(io("removing", &own))?;
        File::create_new(&own).map_err(io("writing", &own))?;
        // After a power cut, too, the lock is not there without the name by which it is ours.
        for folder in [staging, self.git_dir()] {
            durable::sync_dir(folder)?;
        }
        let taken = match fs::hard_link(&own, &lock) {
            // Not every file system has second names; there nobody can tell whose a lock is.
            Err(e) if e.kind() != ErrorKind::AlreadyExists => File::create_new(&lock).map(drop),
            linked => linked,
        };
        match taken {
            Ok(()) => Ok(Held { index: self.git_dir().join("index"), lock: Some(lock) }),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Err(OpenError::Locked { lock }.into()),
            Err(e) => Err(io("writing", &lock)(e).into()),
        }
    }

    /// Lets go of the index's lock that a killed accept of `run` left. One of another program stays.
    pub(crate) fn release_index(&self, run: &RunId) -> Result<(), Fault> {
        let (lock, own) = (self.git_dir().join("index.lock"), self.staging(run).join(OWN));
        if !same_file(&lock, &own) {
            return Ok(());
        }
        remove_file(&lock).map_err(io("removing", &lock))?;
        durable::sync_dir(self.git_dir())
    }

    /// Whether the index's lock is that of an accept of ours, at work or killed.
    pub(crate) fn holds_index(&self) -> bool {
        let lock = self.git_dir().join("index.lock");
        let accepts = fs::read_dir(self.git_dir()).into_iter().flatten().flatten();
        accepts
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(STAGING))
            .any(|entry| same_file(&lock, &entry.path().join(OWN)))
    }

    /// Lets go of the lock of the branch that the accept moves, where it was left by ours. Only after its process has ended.
    pub(crate) fn release_branch(&self, plan: &Accept) -> Result<(), Fault> {
        let name = plan.reference();
        let folder = if name == crate::accept::HEAD { self.git_dir() } else { self.common_dir() };
        let lock = folder.join(format!("{name}.lock"));
        let until = Instant::now() + HELD;
        loop {
            match fs::read_to_string(&lock) {
                Ok(text) if text.is_empty() || text.trim_end() == plan.to => {}
                _ => return Ok(()),
            }
            if Instant::now() > until {
                return remove_file(&lock).map_err(io("removing", &lock));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Held {
    /// The index.
    pub(crate) fn index(&self) -> &Path {
        &self.index
    }

    /// Puts a new index in the place of the old one, on the disk with its name: once the branch has moved nobody looks
    /// at it again.
    pub(crate) fn replace(mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Some(lock) = &self.lock else { return Ok(()) };
        let written = File::options().write(true).truncate(true).open(lock).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(io("writing", lock))?;
        fs::rename(lock, &self.index).map_err(io("writing", &self.index))?;
        self.lock = None;
        self.index.parent().map_or(Ok(()), durable::sync_dir)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(lock) = &self.lock {
            let _ = fs::remove_file(lock);
            // The name by which it is ours goes next.
            let _ = self.index.parent().map(durable::sync_dir);
        }
    }
}

#[cfg(unix)]
fn same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |path: &Path| fs::symlink_metadata(path).map(|found| (found.dev(), found.ino())).ok();
    id(one).is_some() && id(one) == id(other)
}

#[cfg(not(unix))]
fn same_file(_: &Path, _: &Path) -> bool {
    false
}
