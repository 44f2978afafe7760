//! A folder as one compressed file beside it, and back.
//!
//! At every moment either the folder or a whole archive stands under its own name: the archive is read back and held
//! against the folder before the folder goes, and both take their places by a rename. Where both are there, the folder is
//! the newer. What is packed, and when, is `dormant`'s to know.

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// What packing came to, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Packed {
    /// What was there.
    pub before: u64,
    /// What is there now.
    pub after: u64,
}

impl std::ops::AddAssign for Packed {
    fn add_assign(&mut self, other: Packed) {
        self.before += other.before;
        self.after += other.after;
    }
}

/// Where a folder's archive lies.
pub(crate) fn archive(dir: &Path) -> PathBuf {
    beside(dir, "packed")
}

/// Packs a folder. One that is not there, or is packed already, costs nothing.
pub(crate) fn pack(dir: &Path) -> io::Result<Packed> {
    let whole = archive(dir);
    if !dir.is_dir() {
        return Ok(Packed::default());
    }
    left_over(dir)?;
    let (coming, leaving) = (beside(dir, "packing"), beside(dir, "leaving"));
    let before = write(dir, &coming)?;
    if !holds(&coming, dir)? {
        let _ = fs::remove_file(&coming);
        return Err(io::Error::other("the archive does not hold what is in the folder; somebody works in it"));
    }
    fs::rename(&coming, &whole)?;
    sync_folder(&whole)?;
    // Out of its place at once: a folder that a kill has half removed must not be taken for the newer one.
    fs::rename(dir, &leaving)?;
    gone(&leaving)?;
    Ok(Packed { before, after: whole.metadata()?.len() })
}

/// Brings a folder back from its archive, and says how many bytes that were. Nought where there was nothing to do.
pub(crate) fn unpack(dir: &Path) -> io::Result<u64> {
    left_over(dir)?;
    let whole = archive(dir);
    if !whole.is_file() {
        return Ok(0);
    }
    let mut bytes = 0;
    if !dir.exists() {
        let coming = beside(dir, "unpacking");
        let mut archive = tar::Archive::new(GzDecoder::new(BufReader::new(File::open(&whole)?)));
        archive.set_preserve_mtime(true);
        archive.unpack(&coming)?;
        // The archive goes afterwards.
        atelier_repo::sync_tree(&coming).map_err(io::Error::other)?;
        bytes = size(&coming)?;
        fs::rename(&coming, dir)?;
        sync_folder(dir)?;
    }
    fs::remove_file(&whole)?;
    Ok(bytes)
}

/// Writes the archive of a folder and syncs it; the bytes of the files in it.
fn write(dir: &Path, to: &Path) -> io::Result<u64> {
    let file = BufWriter::new(File::create(to)?);
    let mut builder = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    builder.follow_symlinks(false);
    builder.sparse(false);
    builder.append_dir_all("", dir)?;
    let mut file = builder.into_inner()?.finish()?;
    file.flush()?;
    file.get_ref().sync_all()?;
    size(dir)
}

/// Whether an archive holds a folder: the same names, and in each file the same bytes.
fn holds(archive: &Path, dir: &Path) -> io::Result<bool> {
    let mut wanted: BTreeSet<PathBuf> = below(dir)?.into_iter().map(|(name, _)| name).collect();
    let mut archive = tar::Archive::new(GzDecoder::new(BufReader::new(File::open(archive)?)));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        if name.as_os_str().is_empty() || name == Path::new(".") {
            continue;
        }
        let place = dir.join(&name);
        let same = match entry.header().entry_type() {
            tar::EntryType::Directory => place.is_dir(),
            tar::EntryType::Symlink => {
                entry.link_name()?.is_some_and(|to| fs::read_link(&place).is_ok_and(|is| is == *to))
            }
            _ => same_bytes(&mut entry, &mut BufReader::new(File::open(&place)?))?,
        };
        if !same || !wanted.remove(&name) {
            return Ok(false);
        }
    }
    Ok(wanted.is_empty())
}

/// Everything below a folder, each folder before what is in it: its path in there, and what it is.
pub(crate) fn below(dir: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let (mut met, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(dir.join(&folder))? {
            let entry = entry?;
            let (name, about) = (folder.join(entry.file_name()), entry.metadata()?);
            if about.is_dir() {
                folders.push(name.clone());
            }
            met.push((name, about));
        }
    }
    Ok(met)
}

/// Bytes of the files below a folder.
fn size(dir: &Path) -> io::Result<u64> {
    Ok(below(dir)?.iter().filter(|(_, about)| about.is_file()).map(|(_, about)| about.len()).sum())
}

fn same_bytes(one: &mut impl Read, other: &mut impl Read) -> io::Result<bool> {
    const AT_ONCE: u64 = 64 << 10;
    let (mut here, mut there) = (Vec::new(), Vec::new());
    loop {
        here.clear();
        there.clear();
        one.by_ref().take(AT_ONCE).read_to_end(&mut here)?;
        other.by_ref().take(AT_ONCE).read_to_end(&mut there)?;
        if here != there {
            return Ok(false);
        }
        if here.is_empty() {
            return Ok(true);
        }
    }
}

/// Makes a rename next to `path` last.
fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Removes what a kill has left half done. Nobody but the owner of a folder packs or unpacks it.
fn left_over(dir: &Path) -> io::Result<()> {
    gone(&beside(dir, "leaving"))?;
    gone(&beside(dir, "unpacking"))?;
    match fs::remove_file(beside(dir, "packing")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn gone(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn beside(dir: &Path, ending: &str) -> PathBuf {
    let mut name = dir.file_name().map(OsString::from).unwrap_or_default();
    name.push(".");
    name.push(ending);
    dir.with_file_name(name)
}

#[cfg(test)]
mod tests {
    //! Guards: a folder comes back to the byte, and at no moment is there neither it nor a whole archive. Mutants: leave
    //! out the comparison in `pack`; take the archive where both are there.

    use super::*;

    fn filled(dir: &Path) {
        fs::create_dir_all(dir.join("a/empty")).unwrap();
        fs::write(dir.join("a/file"), "text ".repeat(50_000)).unwrap();
        fs::write(dir.join(format!("{}.long", "n".repeat(180))), [0, 159, 146, 150]).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::os::unix::fs::symlink("../outside", dir.join("link")).unwrap();
            fs::set_permissions(dir.join("a/file"), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn state(dir: &Path) -> Vec<(PathBuf, String)> {
        let about = |(name, about): (PathBuf, Metadata)| {
            let path = dir.join(&name);
            let bytes = if about.is_file() { fs::read(&path).unwrap().len() } else { 0 };
            let time = about.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            let time = if about.is_file() { time } else { 0 };
            (name, format!("{:?} {bytes} {time} {:?}", about.permissions(), fs::read_link(&path).ok()))
        };
        let mut all: Vec<_> = below(dir).unwrap().into_iter().map(about).collect();
        all.sort();
        all
    }

    #[test]
    fn a_folder_comes_back_as_it_was() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("run.1");
        assert_eq!((pack(&dir).unwrap(), unpack(&dir).unwrap()), (Packed::default(), 0), "nothing is there");
        filled(&dir);
        let before = state(&dir);
        let packed = pack(&dir).unwrap();
        assert!(packed.after * 10 < packed.before && packed.before > 250_000, "{packed:?}");
        assert!(!dir.exists() && archive(&dir).is_file());
        assert_eq!(pack(&dir).unwrap(), Packed::default(), "packed twice, it stays");
        assert_eq!(unpack(&dir).unwrap(), 250_004);
        assert_eq!(state(&dir), before);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn where_both_are_there_the_folder_is_the_newer() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("index");
        filled(&dir);
        pack(&dir).unwrap();
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("newer"), "yes").unwrap();
        assert_eq!(unpack(&dir).unwrap(), 0);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        assert!(!archive(&dir).exists());
    }

    #[test]
    fn an_archive_that_is_cut_short_brings_nothing_and_stays() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("index");
        filled(&dir);
        pack(&dir).unwrap();
        let whole = fs::read(archive(&dir)).unwrap();
        fs::write(archive(&dir), &whole[..whole.len() / 2]).unwrap();
        assert!(unpack(&dir).is_err());
        assert!(!dir.exists() && archive(&dir).exists());
    }

    #[test]
    fn a_folder_in_which_somebody_works_is_not_packed() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("index");
        filled(&dir);
        let coming = beside(&dir, "packing");
        write(&dir, &coming).unwrap();
        assert!(holds(&coming, &dir).unwrap());
        fs::write(dir.join("a/file"), "text ".repeat(49_999)).unwrap();
        assert!(!holds(&coming, &dir).unwrap(), "other bytes");
        write(&dir, &coming).unwrap();
        fs::write(dir.join("more"), "").unwrap();
        assert!(!holds(&coming, &dir).unwrap(), "another file");
    }
}
