//! Power loss: what the disk was not told to keep may be there, in part or not at all.
//!
//! The files are looked at after every commit. At a loss each sector that changed since the last sync is, by a coin,
//! the old or the new one. Guards: an acknowledged full append survives, no append is there by half, the chain holds.
//!
//! The mutant that turns it red: a full append that is answered like a normal one (`Writer::answer`).

use super::tests::{commit_by, full, notice, writer};
use super::*;
use std::path::PathBuf;

const SECTOR: usize = 512;

/// The database and its log.
#[derive(Clone, Default, PartialEq)]
struct Files {
    database: Vec<u8>,
    log: Vec<u8>,
}

impl Files {
    fn of(dir: &Path) -> Self {
        let read = |path: PathBuf| std::fs::read(path).unwrap_or_default();
        Self { database: read(store::file(dir)), log: read(store::log(dir)) }
    }

    /// What may be on the disk when this was synced last and `now` was written since.
    fn lost(&self, now: &Files, coin: &mut impl FnMut() -> bool) -> Self {
        let mut synced = self.clone();
        // A log that begins anew has its first sector synced before anything follows it.
        if synced.log.get(..32) != now.log.get(..32) {
            let header = now.log.get(..SECTOR).unwrap_or_default();
            synced.log.resize(synced.log.len().max(header.len()), 0);
            synced.log[..header.len()].copy_from_slice(header);
        }
        Self { database: mixed(&synced.database, &now.database, coin), log: mixed(&synced.log, &now.log, coin) }
    }
}

fn mixed(old: &[u8], new: &[u8], coin: &mut impl FnMut() -> bool) -> Vec<u8> {
    let longer = old.len().max(new.len());
    let mut bytes = vec![0; if coin() { new.len() } else { longer.min(old.len().max(SECTOR)) }];
    for at in (0..bytes.len()).step_by(SECTOR) {
        let from = if coin() { new } else { old };
        let end = bytes.len().min(at + SECTOR);
        // What one of both does not have is what a file has that was made longer and not written: zeros.
        if let Some(part) = from.get(at..end.min(from.len())) {
            bytes[at..at + part.len()].copy_from_slice(part);
        }
    }
    bytes
}

/// The last event of the store made of these files, which must be sound.
fn opened(files: &Files, what: &str) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(store::file(folder.path()), &files.database).unwrap();
    std::fs::write(store::log(folder.path()), &files.log).unwrap();
    let connection = store::open(folder.path(), &StoreId::home()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let rows = reader::rows(&connection, None, Seq::ZERO, Seq(LAST_SEQ), usize::MAX >> 1, usize::MAX).unwrap();
    let mut hash = crate::chain::genesis();
    for (row, seq) in rows.iter().zip(1..) {
        assert_eq!((row.seq, &row.prev_hash), (Seq(seq), &hash), "{what}");
        hash = row.link("home").hash();
    }
    assert_eq!(reader::head(&connection).unwrap().hash, hash, "{what}");
    rows.len() as u64
}

#[test]
fn a_power_loss_takes_nothing_that_was_acknowledged_as_full_and_tears_nothing() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), "a.lock");
    let mut synced = Files::of(folder.path());
    // Where appends end, and the last event that must survive.
    let (mut ends, mut safe, mut syncs) = (vec![1], 1, 0);
    let (mut losses, mut lost_something) = (0, 0);
    for round in 0..60 {
        let is_full = next(4) == 0;
        let mut events: Vec<_> = (0..1 + next(3)).map(|_| notice(&"x".repeat(next(3_000) as usize))).collect();
        if is_full {
            events.push(full());
        }
        let by_itself = next(2) == 0;
        let last = commit_by(&mut writer, vec![(None, events)], by_itself).remove(0).unwrap().last.0;
        ends.push(last);
        let now = Files::of(folder.path());
        if writer.syncer.syncs() > syncs {
            syncs = writer.syncer.syncs();
            synced.log.clone_from(&now.log);
        }
        if is_full {
            safe = last;
        }
        for image in 0..2 {
            let what = format!("round {round}, loss {image}");
            let survived = opened(&synced.lost(&now, &mut || next(2) == 0), &what);
            assert!(survived >= safe, "{what}: event {safe} was acknowledged, {survived} is the last");
            assert!(ends.contains(&survived), "{what}: {survived} is in the middle of an append");
            losses += 1;
            lost_something += u32::from(survived < last);
        }
        if next(10) == 0 {
            // SQLite syncs the log, moves its pages, and syncs the database.
            synced.log.clone_from(&now.log);
            writer.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
            let moved = Files::of(folder.path());
            let survived = opened(&synced.lost(&moved, &mut || next(2) == 0), &format!("round {round}, moving"));
            assert_eq!(survived, last, "what was synced before its pages were moved is whole");
            (synced, safe) = (moved, last);
        }
    }
    assert!(lost_something > losses / 10, "the disk must lose something for this to mean anything: {lost_something}");
}
