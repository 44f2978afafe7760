//! Remembers which content a file had when it was last read, so that unchanged files are not read again.
//!
//! An optimisation only: it may be deleted at any time, and is never synced; one that is not whole counts as none. A file
//! counts as unchanged where size, times, inode and mode are the same and the times are not so recent that a later write
//! could have left them as they are (git's "racy" entries). Only systems whose change time a program cannot set are
//! trusted; elsewhere every file is read every time.

use atelier_protocol::Hash;
use git2::Oid;
use std::collections::HashMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The coarsest clock of a file system (FAT) ticks every two seconds: whatever is written later than now bears a time less
/// than that before now.
const TICK: i64 = 2_000_000_000;
/// The first bytes of the memory, with the version of its shape.
const MARK: &[u8] = b"atelier seen 3\n";
/// Bytes of an id.
const ID: usize = 20;
/// Bytes of the checksum at the end.
const SUM: usize = 32;
/// Bytes of an entry before its path.
const HEAD: usize = Stat::SIZE + ID + 4;

/// The memory of one scan and, while it runs, what will be remembered of it.
pub(crate) struct Seen {
    file: PathBuf,
    /// The memory as it was read.
    bytes: Vec<u8>,
    /// Where the entry of each path begins in it.
    before: HashMap<Box<[u8]>, usize>,
    after: Vec<u8>,
    /// Files changed at or after this nanosecond are read again next time.
    fresh: i64,
}

/// What says that a file is as it was: `[mode, mtime, ctime, dev, ino, size]`, the times in nanoseconds since 1970 UTC,
/// which end in the year 2262.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat([i64; 6]);

impl Stat {
    const SIZE: usize = 6 * 8;

    #[cfg(unix)]
    fn of(mode: u32, stat: &Metadata) -> Option<Stat> {
        use std::os::unix::fs::MetadataExt;
        let time = |seconds: i64, nanos: i64| seconds.checked_mul(1_000_000_000)?.checked_add(nanos);
        Some(Stat([
            i64::from(mode),
            time(stat.mtime(), stat.mtime_nsec())?,
            time(stat.ctime(), stat.ctime_nsec())?,
            stat.dev().cast_signed(),
            stat.ino().cast_signed(),
            stat.size().cast_signed(),
        ]))
    }

    #[cfg(not(unix))]
    fn of(_mode: u32, _stat: &Metadata) -> Option<Stat> {
        None
    }

    fn latest(&self) -> i64 {
        self.0[1].max(self.0[2])
    }

    fn write(&self, into: &mut Vec<u8>) {
        self.0.iter().for_each(|number| into.extend_from_slice(&number.to_le_bytes()));
    }
}

impl Seen {
    /// Reads the memory in `file`; one that cannot be read, or not to its end, is an empty one.
    pub(crate) fn open(file: &Path) -> Seen {
        let bytes = std::fs::read(file).unwrap_or_default();
        let before = places(&bytes).unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let fresh = i64::try_from(now).unwrap_or(0).saturating_sub(TICK);
        Seen { file: file.to_owned(), bytes, before, after: MARK.to_vec(), fresh }
    }

    /// The content of a file that has not changed since.
    pub(crate) fn content(&self, path: &[u8], mode: u32, stat: &Metadata) -> Option<Oid> {
        let entry = self.bytes.get(*self.before.get(path)?..)?;
        let mut now = Vec::with_capacity(Stat::SIZE);
        Stat::of(mode, stat)?.write(&mut now);
        (entry.get(..Stat::SIZE)? == now).then(|| Oid::from_bytes(entry.get(Stat::SIZE..Stat::SIZE + ID)?).ok())?
    }

    /// Remembers the content of a file, unless it could still change without a sign.
    pub(crate) fn note(&mut self, path: &[u8], mode: u32, stat: &Metadata, id: Oid) {
        let Some(stat) = Stat::of(mode, stat).filter(|stat| stat.latest() < self.fresh) else { return };
        let Ok(length) = u32::try_from(path.len()) else { return };
        stat.write(&mut self.after);
        self.after.extend_from_slice(id.as_bytes());
        self.after.extend_from_slice(&length.to_le_bytes());
        self.after.extend_from_slice(path);
    }

    /// Writes the memory down, where it is another one now. Failing to is no failure of the scan.
    pub(crate) fn keep(mut self) {
        let kept = self.bytes.len().checked_sub(SUM).and_then(|end| self.bytes.get(..end));
        if kept == Some(self.after.as_slice()) && !self.before.is_empty() {
            return;
        }
        let sum = sum(&self.after);
        self.after.extend_from_slice(&sum);
        let new = self.file.with_extension("new");
        if let Err(error) = std::fs::write(&new, &self.after).and_then(|()| std::fs::rename(&new, &self.file)) {
            tracing::debug!(%error, "the file memory of a tree was not written");
        }
    }
}

#[cfg(test)]
impl Seen {
    /// Takes every file for one that was written long ago.
    pub(crate) fn trusting_everything(self) -> Seen {
        Seen { fresh: i64::MAX, ..self }
    }
}

fn sum(body: &[u8]) -> [u8; SUM] {
    Hash::of(body).bytes().unwrap_or_default()
}

/// Where each path's entry begins; `None` where the memory is not whole.
fn places(bytes: &[u8]) -> Option<HashMap<Box<[u8]>, usize>> {
    let end = bytes.len().checked_sub(SUM)?;
    let (body, sum) = bytes.split_at_checked(end)?;
    if !body.starts_with(MARK) || self::sum(body) != sum {
        return None;
    }
    let mut found = HashMap::with_capacity(body.len() / 110);
    let mut at = MARK.len();
    while at < body.len() {
        let length: [u8; 4] = body.get(at + HEAD - 4..at + HEAD)?.try_into().ok()?;
        let next = at + HEAD + usize::try_from(u32::from_le_bytes(length)).ok()?;
        found.insert(body.get(at + HEAD..next)?.into(), at);
        at = next;
    }
    Some(found)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use git2::ObjectType;

    fn id(text: &str) -> Oid {
        Oid::hash_object(ObjectType::Blob, text.as_bytes()).unwrap()
    }

    /// Guards: a file is never taken for unchanged that could have changed. A mutant that turns it red: `note` without its
    /// filter, or `content` that does not compare all of the entry.
    #[test]
    fn a_memory_holds_what_was_noted_and_none_of_it_where_a_byte_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let (file, memory) = (dir.path().join("a"), dir.path().join("seen"));
        std::fs::write(&file, "one").unwrap();
        let stat = std::fs::symlink_metadata(&file).unwrap();
        let note = |fresh: i64| {
            let mut seen = Seen { fresh, ..Seen::open(&memory) };
            seen.note(b"a", 0o100_644, &stat, id("one"));
            seen.keep();
            Seen::open(&memory).content(b"a", 0o100_644, &stat)
        };
        assert_eq!(note(0), None, "it may be written again in this very moment");
        assert_eq!(note(i64::MAX), Some(id("one")));
        let seen = Seen::open(&memory);
        assert_eq!((seen.content(b"b", 0o100_644, &stat), seen.content(b"a", 0o100_755, &stat)), (None, None));
        std::fs::write(&file, "two!").unwrap();
        assert_eq!(seen.content(b"a", 0o100_644, &std::fs::symlink_metadata(&file).unwrap()), None);
        let whole = std::fs::read(&memory).unwrap();
        for at in 0..whole.len() {
            let mut wrong = whole.clone();
            wrong[at] ^= 1;
            std::fs::write(&memory, wrong).unwrap();
            assert_eq!(Seen::open(&memory).content(b"a", 0o100_644, &stat), None, "byte {at}");
            std::fs::write(&memory, &whole[..at]).unwrap();
            assert_eq!(Seen::open(&memory).content(b"a", 0o100_644, &stat), None, "only {at} bytes");
        }
    }
}
