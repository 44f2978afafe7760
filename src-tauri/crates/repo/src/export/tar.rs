//! A compressed tar (POSIX.1-2001 pax where a name needs it) of a commit's files: in the order of their paths, all with the
//! commit's time and no owner. It holds every name that git can have.

use super::ExportError;
use crate::fault::{Fault, git};
use crate::listing::{LINK, PROGRAM, SUBMODULE, listing};
use crate::paths::{shown, to_os};
use flate2::Compression;
use flate2::write::GzEncoder;
use git2::{Commit, Repository};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use tar::{Builder, EntryType, Header};

/// Writes the archive.
pub(super) fn write(repo: &Repository, commit: &Commit<'_>, to: &mut File) -> Result<(), ExportError> {
    let failed =
        |source| ExportError::from(Fault::Io { doing: "writing", path: Path::new("the tar").to_owned(), source });
    let time = u64::try_from(commit.time().seconds()).unwrap_or(0);
    let mut out = Builder::new(GzEncoder::new(BufWriter::new(to), Compression::default()));
    let tree = commit.tree().map_err(git("reading the commit"))?;
    for (path, entry) in listing(repo, &tree)? {
        let name = to_os(&path).ok_or_else(|| ExportError::Unnameable { path: shown(&path) })?;
        let mut header = Header::new_gnu();
        header.set_mtime(time);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        if entry.mode == SUBMODULE {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o755);
            out.append_data(&mut header, &name, std::io::empty()).map_err(failed)?;
            continue;
        }
        let blob = repo.find_blob(entry.id).map_err(git("reading a file's content"))?;
        if entry.mode == LINK {
            let target = to_os(blob.content()).ok_or_else(|| ExportError::Unnameable { path: shown(&path) })?;
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            out.append_link(&mut header, &name, &target).map_err(failed)?;
            continue;
        }
        header.set_mode(if entry.mode == PROGRAM { 0o755 } else { 0o644 });
        header.set_size(blob.size() as u64);
        out.append_data(&mut header, &name, blob.content()).map_err(failed)?;
    }
    let mut gzip = out.into_inner().map_err(failed)?;
    gzip.flush().map_err(failed)?;
    gzip.finish().and_then(|mut file| file.flush()).map_err(failed)?;
    Ok(())
}
