//! Room kept back for the last words on a full disk.
//!
//! A file of [`BYTES`] lies beside the database. When the disk is full it is given back, so that runs can still record
//! that they stop and what became of effects that were on their way. Until it can be taken again, nothing else is
//! appended; that it can be taken again is how one knows that there is room.

use atelier_protocol::Event;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes that are kept back: enough for hundreds of last words with the pages they touch.
const BYTES: usize = 4 * 1024 * 1024;
/// How often it is tried to take them again.
const BETWEEN_TRIES: Duration = Duration::from_millis(250);

/// The room that is kept back.
pub(crate) struct Reserve {
    path: PathBuf,
    held: bool,
    tried: Option<Instant>,
}

impl Reserve {
    /// Takes the room, unless an earlier owner did. A disk that is full already leaves it untaken.
    pub fn of_store(dir: &Path) -> Self {
        let path = dir.join("reserve");
        let there = fs::metadata(&path).is_ok_and(|file| file.len() == BYTES as u64);
        // Not synced: no store waits for the disk because of it when it is made.
        let held = there || take(&path, |_| Ok(())).is_ok();
        Self { path, held, tried: None }
    }

    /// Whether it was given back.
    pub fn is_spent(&self) -> bool {
        !self.held
    }

    /// Gives the room back; whether there was any.
    pub fn give_back(&mut self) -> bool {
        let given = self.held && fs::remove_file(&self.path).is_ok();
        self.held = false;
        self.tried = Some(Instant::now());
        given
    }

    /// As if time had passed.
    #[cfg(test)]
    pub fn forget_the_last_try(&mut self) {
        self.tried = None;
    }

    /// Tries to take the room again, every now and then; whether it is held now.
    pub fn take_again(&mut self) -> bool {
        if !self.held && self.tried.is_none_or(|tried| tried.elapsed() >= BETWEEN_TRIES) {
            self.tried = Some(Instant::now());
            // Twice the room: what was just given back would do for the reserve and leave nothing for events.
            let probe = self.path.with_extension("probe");
            self.held = take(&self.path, File::sync_data).and_then(|()| take(&probe, File::sync_data)).is_ok();
            let _ = fs::remove_file(&probe);
            if !self.held {
                let _ = fs::remove_file(&self.path);
            }
        }
        self.held
    }
}

fn take(path: &Path, sync: impl Fn(&File) -> io::Result<()>) -> io::Result<()> {
    // Noise: a file system that compresses would keep no room for zeros.
    let mut noise = vec![0; BYTES];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let written = File::create(path).and_then(|mut file| file.write_all(&noise).and_then(|()| sync(&file)));
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Whether an event ends something or tells how it ended, so that it may use the room that is kept back.
pub(crate) fn is_last_word(event: &Event) -> bool {
    matches!(
        event,
        Event::OwnerChanged { .. }
            | Event::RunParked { .. }
            | Event::RunInterrupted { .. }
            | Event::RunFinished { .. }
            | Event::ChildEnded { .. }
            | Event::StepFinished { .. }
            | Event::StepUndone { .. }
            | Event::CallFailed { .. }
            | Event::CallsServed { .. }
            | Event::EffectSettled { .. }
            | Event::JobEnded { .. }
            | Event::BarrierClosed { .. }
            | Event::Noticed { .. }
    )
}
