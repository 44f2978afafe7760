//! Has the disk begin early with what a sync of the log will have to wait for.
//!
//! A sync takes longer the more was written since the one before it: some hundred kilobytes double it. So a thread asks
//! the system to begin writing whenever some pages have come that no sync has taken along. Nobody waits for it, and it
//! promises nothing: what is on the disk is known after a sync alone, which also reports what failed here. (RocksDB calls
//! this `wal_bytes_per_sync`.) Where the system cannot be asked, nothing changes.

use crate::aside::Aside;
use std::fs::File;
use std::path::Path;

/// Pages after which the disk begins: a fraction of what a sync carries easily.
const PAGES: u32 = 16;

/// Knows when to ask.
pub(crate) struct Ahead {
    /// The thread that asks; `None` where there is nothing to ask.
    thread: Option<Aside>,
    /// The pages of the log that the disk has begun with, or soon will.
    begun: u32,
}

impl Ahead {
    /// For the log at `log`, which must be there.
    pub fn start(log: &Path) -> std::io::Result<Self> {
        if cfg!(not(target_os = "linux")) {
            return Ok(Self { thread: None, begun: 0 });
        }
        let log = File::open(log)?;
        let thread = Aside::start("journal-ahead", move || {
            // Whatever is wrong with the disk, the next sync finds it.
            let _ = begin_to_write(&log);
        })?;
        Ok(Self { thread: Some(thread), begun: 0 })
    }

    /// After a commit that made the log `pages` long, which a sync takes along where it `is_synced`.
    pub fn after_commit(&mut self, pages: u32, is_synced: bool) {
        // A log that has begun anew is shorter.
        let fresh = pages.checked_sub(self.begun).unwrap_or(pages);
        // Refused while it is at work: the next commit asks again.
        let has_begun = is_synced || (fresh >= PAGES && self.thread.as_ref().is_some_and(Aside::ask));
        self.begun = if has_begun { pages } else { pages - fresh };
    }
}

/// Begins to write all of a file that is not on the disk, without waiting for it.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the standard library has no function for this system call (sync_file_range(2))")]
fn begin_to_write(file: &File) -> std::io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: numbers only; the file is open as long as the call lasts.
    let done = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn begin_to_write(_: &File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn the_disk_begins_when_some_pages_have_come_that_no_sync_takes_along() {
        let (begin, asked) = mpsc::sync_channel(1);
        let mut ahead = Ahead { thread: Some(Aside::asking(begin)), begun: 0 };
        let mut asks = |pages, is_synced| {
            ahead.after_commit(pages, is_synced);
            asked.try_recv().is_ok()
        };
        assert_eq!([15, 16, 31].map(|pages| asks(pages, false)), [false, true, false]);
        assert!(!asks(40, true), "the sync writes all there is");
        assert_eq!([55, 56].map(|pages| asks(pages, false)), [false, true]);
        assert_eq!([5, 15, 16].map(|pages| asks(pages, false)), [false, false, true], "the log has begun anew");
    }

    #[test]
    fn what_is_asked_for_in_vain_is_asked_for_again() {
        let (begin, asked) = mpsc::sync_channel(1);
        let mut ahead = Ahead { thread: Some(Aside::asking(begin)), begun: 0 };
        ahead.after_commit(16, false);
        ahead.after_commit(32, false);
        assert_eq!(ahead.begun, 16, "the thread is at work");
        asked.try_recv().unwrap();
        ahead.after_commit(33, false);
        assert_eq!((ahead.begun, asked.try_recv()), (33, Ok(())));
    }

    #[test]
    fn the_system_takes_the_request() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, [7; 100_000]).unwrap();
        begin_to_write(&File::open(&path).unwrap()).unwrap();
    }
}
