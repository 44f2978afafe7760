//! A zip of a commit's files: in the order of their paths, all with the commit's time, with Unix modes and links.

use super::ExportError;
use crate::fault::{Fault, git};
use crate::listing::{LINK, PROGRAM, SUBMODULE, listing};
use crate::paths::shown;
use git2::{Commit, Repository};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Writes the zip.
pub(super) fn write(repo: &Repository, commit: &Commit<'_>, to: &mut File) -> Result<(), ExportError> {
    let time = dos_time(commit.time().seconds());
    let plain = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).last_modified_time(time);
    let mut zip = ZipWriter::new(BufWriter::new(to));
    let tree = commit.tree().map_err(git("reading the commit"))?;
    for (path, entry) in listing(repo, &tree)? {
        let unnameable = || ExportError::Unnameable { path: shown(&path) };
        let name = std::str::from_utf8(&path).map_err(|_| unnameable())?;
        if entry.mode == SUBMODULE {
            zip.add_directory(name, plain.unix_permissions(0o755)).map_err(failed)?;
            continue;
        }
        let blob = repo.find_blob(entry.id).map_err(git("reading a file's content"))?;
        if entry.mode == LINK {
            let target = std::str::from_utf8(blob.content()).map_err(|_| unnameable())?;
            zip.add_symlink(name, target, plain.unix_permissions(0o777)).map_err(failed)?;
            continue;
        }
        let mode = if entry.mode == PROGRAM { 0o755 } else { 0o644 };
        zip.start_file(name, plain.unix_permissions(mode)).map_err(failed)?;
        zip.write_all(blob.content()).map_err(|e| failed(e.into()))?;
    }
    zip.finish().and_then(|mut out| Ok(out.flush()?)).map_err(failed)?;
    Ok(())
}

fn failed(error: zip::result::ZipError) -> ExportError {
    let source = match error {
        zip::result::ZipError::Io(source) => source,
        other => std::io::Error::other(other),
    };
    Fault::Io { doing: "writing", path: Path::new("the zip").to_owned(), source }.into()
}

/// Seconds since 1970 as a zip has them: UTC, to two seconds, from 1980 to 2107.
fn dos_time(seconds: i64) -> DateTime {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let part = |number: i64| u8::try_from(number).unwrap_or(0);
    let made = u16::try_from(year).ok().and_then(|year| {
        DateTime::from_date_and_time(
            year,
            part(month),
            part(day),
            part(second / 3600),
            part(second / 60 % 60),
            part(second % 60),
        )
        .ok()
    });
    made.unwrap_or_default()
}

/// The date of a day since 1970-01-01 in the Gregorian calendar (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468; // days since 0000-03-01
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(19_675), (2023, 11, 14));
        assert_eq!(civil(11_016), (2000, 2, 29));
        let time = dos_time(1_700_000_000);
        assert_eq!((time.year(), time.month(), time.day(), time.hour(), time.minute()), (2023, 11, 14, 22, 13));
        assert_eq!(dos_time(-5), DateTime::default());
    }
}
