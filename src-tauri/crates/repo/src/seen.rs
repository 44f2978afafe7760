//! Remembers which content a file had when it was last read, so that unchanged files are not read again.
//!
//! An optimisation only: it may be deleted at any time. A file counts as unchanged where size, times, inode and mode
//! are the same and the times are not so recent that a later write could have left them as they are. Only systems
//! whose change time a program cannot set are trusted; elsewhere every file is read every time.

use git2::{Index, IndexEntry, IndexTime, Oid};
use std::fs::Metadata;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The coarsest clock of a file system (FAT) ticks every two seconds.
const TICK_SECONDS: i64 = 2;

/// The memory of one scan and, while it runs, what will be remembered of it.
pub(crate) struct Seen {
    before: Option<Index>,
    after: Vec<IndexEntry>,
    /// Files changed at or after this second are read again next time.
    fresh: i64,
}

impl Seen {
    /// Reads the memory in `file`; an unreadable one is an empty one.
    pub(crate) fn open(file: &Path) -> Seen {
        let before = if cfg!(unix) {
            Index::open(file).ok().or_else(|| {
                let _ = std::fs::remove_file(file);
                Index::open(file).ok()
            })
        } else {
            None
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Seen { before, after: Vec::new(), fresh: i64::try_from(now).unwrap_or(i64::MAX) - TICK_SECONDS }
    }

    /// The content of a file that has not changed since.
    pub(crate) fn content(&self, path: &[u8], mode: u32, stat: &Metadata) -> Option<Oid> {
        let known = self.before.as_ref()?.get_path(&crate::paths::to_os(path)?, 0)?;
        let now = stat_entry(path, mode, stat, known.id)?;
        let same = known.mtime.seconds() != 0
            && known.mtime == now.mtime
            && known.ctime == now.ctime
            && known.file_size == now.file_size
            && (known.ino, known.dev, known.mode) == (now.ino, now.dev, now.mode);
        same.then_some(known.id)
    }

    /// Remembers the content of a file.
    pub(crate) fn note(&mut self, path: &[u8], mode: u32, stat: &Metadata, id: Oid) {
        let Some(mut entry) = stat_entry(path, mode, stat, id) else { return };
        let latest = entry.mtime.seconds().max(entry.ctime.seconds());
        if i64::from(latest) >= self.fresh {
            entry.mtime = IndexTime::new(0, 0);
        }
        self.after.push(entry);
    }

    /// Writes the memory down. Failing to is no failure of the scan.
    pub(crate) fn keep(self) {
        let Some(mut index) = self.before else { return };
        let written = index.clear().and_then(|()| {
            for entry in &self.after {
                index.add(entry)?;
            }
            index.write()
        });
        if let Err(e) = written {
            tracing::debug!(error = %e.message(), "the file memory of a tree was not written");
        }
    }
}

/// An index entry with the file's stat data, as git keeps it; `None` where the system has none that can be trusted.
pub(crate) fn stat_entry(path: &[u8], mode: u32, stat: &Metadata, id: Oid) -> Option<IndexEntry> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // git keeps the low 32 bits of each.
        let low = |number: u64| u32::try_from(number & 0xffff_ffff).unwrap_or(0);
        let time = |seconds: i64, nanos: i64| {
            IndexTime::new(i32::try_from(seconds).unwrap_or(0), u32::try_from(nanos).unwrap_or(0))
        };
        Some(IndexEntry {
            ctime: time(stat.ctime(), stat.ctime_nsec()),
            mtime: time(stat.mtime(), stat.mtime_nsec()),
            dev: low(stat.dev()),
            ino: low(stat.ino()),
            mode,
            uid: stat.uid(),
            gid: stat.gid(),
            file_size: low(stat.size()),
            id,
            flags: 0,
            flags_extended: 0,
            path: path.to_vec(),
        })
    }
    #[cfg(not(unix))]
    {
        let _ = (path, mode, stat, id);
        None
    }
}
