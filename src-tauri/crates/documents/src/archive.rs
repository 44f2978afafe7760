//! ZIP and TAR: what is in them. Nothing is unpacked to the disk, and names that would leave the folder are named.

use crate::draft::Draft;
use crate::error::ReadError;
use crate::limits;
use crate::source::{Package, Source};
use crate::table::{Cell, Table};
use atelier_protocol::document::{Anchor, DocumentFormat as Format, NoticeKind};
use std::io::{Cursor, Read};

/// What packing saves at most in honest archives; more is a bomb.
const RATIO: u64 = 1_000;

pub(crate) fn zip(source: &Source<'_>, draft: &mut Draft) -> Result<(), ReadError> {
    let damaged = ReadError::damaged(Format::Zip);
    let count = Package::open(source, Format::Zip)?.names().len();
    let mut archive = zip::ZipArchive::new(Cursor::new(&source.bytes)).map_err(|error| damaged(error.to_string()))?;
    let (mut rows, mut packed, mut unpacked, mut locked) = (Vec::new(), 0u64, 0u64, 0usize);
    for at in 0..count {
        let entry = archive.by_index_raw(at).map_err(|error| damaged(error.to_string()))?;
        let name = entry.name().map_or_else(|_| "(a name that is no text)".to_owned(), |name| name.into_owned());
        warn(&name, draft);
        if entry.is_symlink() {
            draft.notice(NoticeKind::Unsafe, format!("`{name}` is a link."));
        }
        locked += usize::from(entry.encrypted());
        packed = packed.saturating_add(entry.compressed_size());
        unpacked = unpacked.saturating_add(entry.size());
        let changed = entry.last_modified().map_or(Cell::Empty, |time| {
            Cell::Date(format!("{:04}-{:02}-{:02}", time.year(), time.month(), time.day()))
        });
        rows.push(vec![Cell::Text(name), Cell::Integer(i64::try_from(entry.size()).unwrap_or(i64::MAX)), changed]);
    }
    if locked > 0 {
        draft.notice(NoticeKind::Encrypted, format!("{locked} of {count} files are locked with a password."));
    }
    if unpacked / RATIO > packed.max(1) {
        let text =
            format!("It would unpack {packed} bytes to {unpacked}: that is a bomb, or nearly nothing but zeros.");
        draft.notice(NoticeKind::Unsafe, text);
    }
    list(rows, draft);
    Ok(())
}

pub(crate) fn tar(source: &Source<'_>, draft: &mut Draft) -> Result<(), ReadError> {
    let damaged = ReadError::damaged(Format::Tar);
    let packed = source.bytes.starts_with(b"\x1f\x8b");
    let bytes: Box<dyn Read> = match packed {
        // What is unpacked is bounded: a bomb ends at the limit.
        true => Box::new(flate2::read::MultiGzDecoder::new(Cursor::new(&source.bytes)).take(limits::UNPACKED)),
        false => Box::new(Cursor::new(&source.bytes)),
    };
    let mut archive = tar::Archive::new(bytes);
    let mut rows = Vec::new();
    for entry in archive.entries().map_err(|error| damaged(error.to_string()))? {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if rows.is_empty() => return Err(damaged(error.to_string())),
            Err(error) => {
                draft.notice(NoticeKind::Damaged, format!("It ends early: {error}"));
                break;
            }
        };
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        warn(&name, draft);
        if let Some(target) = entry.link_name_bytes() {
            let target = String::from_utf8_lossy(&target).into_owned();
            draft.notice(NoticeKind::Unsafe, format!("`{name}` is a link to `{target}`."));
        }
        let header = entry.header();
        rows.push(vec![
            Cell::Text(name),
            Cell::Integer(i64::try_from(entry.size()).unwrap_or(i64::MAX)),
            header.mtime().map_or(Cell::Empty, |seconds| Cell::Date(day(seconds))),
        ]);
        if rows.len() >= limits::ENTRIES {
            draft.notice(NoticeKind::Cut, format!("Only the first {} files are listed.", limits::ENTRIES));
            break;
        }
    }
    if packed && rows.is_empty() {
        return Err(ReadError::Unknown {
            name: source.name.clone(),
            what: "a compressed file that is no archive".to_owned(),
        });
    }
    if source.is_cut() {
        draft.notice(NoticeKind::Cut, format!("Only what is in the first {} MiB is listed.", limits::FILE >> 20));
    }
    list(rows, draft);
    Ok(())
}

fn list(rows: Vec<Vec<Cell>>, draft: &mut Draft) {
    let columns = ["path", "bytes", "changed"].map(str::to_owned).to_vec();
    draft.table(Table { name: "files".to_owned(), columns, rows }, Some(Anchor::Whole));
}

/// A name that would be written somewhere else.
fn warn(name: &str, draft: &mut Draft) {
    let outside = name.starts_with(['/', '\\'])
        || name.split(['/', '\\']).any(|part| part == "..")
        || name.get(1..2) == Some(":");
    if outside {
        draft.notice(NoticeKind::Unsafe, format!("`{name}` would be written outside of the folder it is unpacked to."));
    }
}

/// The day of a moment in seconds since 1970 (civil-from-days, Howard Hinnant's `chrono` algorithms).
fn day(seconds: u64) -> String {
    let days = i64::try_from(seconds / 86_400).unwrap_or(0).min(3_000_000) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}
