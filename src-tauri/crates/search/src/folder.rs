//! The files of a project's folder: which ones count, what marks they bear, and their text.
//!
//! Ignore files are obeyed, version control's own folders are left out, links are never followed out of the folder.

use crate::store::{Content, Marks};
use atelier_protocol::Hash;
use ignore::WalkBuilder;
use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A larger file is left out.
const LARGEST: u64 = 1 << 20;
/// A text with a longer line is generated; its lines cannot be shown.
const LONGEST_LINE: usize = 20_000;
/// How far a file is looked into for the zero byte that makes it binary.
const LOOKED_INTO: usize = 8 << 10;

/// Something that a walk met.
pub(crate) enum Met {
    /// A file with a path that can be named.
    File { path: String, marks: Marks },
    /// Something that can only be reported.
    Fault { path: String, reason: String },
}

/// A project's folder by its real path.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let real = fs::canonicalize(root)?;
        if !fs::metadata(&real)?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        fs::read_dir(&real)?;
        Ok(Self(real))
    }

    /// Where a path of the folder is.
    pub(crate) fn place(&self, path: &Path) -> PathBuf {
        self.0.join(path)
    }

    /// Every file that is not ignored, in no particular order.
    pub(crate) fn walk(&self) -> impl Iterator<Item = Met> + '_ {
        self.walked(|_| true)
    }

    /// Those of `paths` that are files and not ignored. Looks into the folders on the way to them and no others: the
    /// same rules as [`Folder::walk`], without its price.
    pub(crate) fn only<'a>(&'a self, paths: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = Met> + 'a {
        let mut wanted = HashSet::new();
        for path in paths {
            let mut place = self.0.clone();
            wanted.insert(place.clone());
            for part in path.split('/') {
                place.push(part);
                wanted.insert(place.clone());
            }
        }
        let wanted = Arc::new(wanted);
        self.walked(move |path| wanted.contains(path))
    }

    fn walked(&self, wanted: impl Fn(&Path) -> bool + Send + Sync + 'static) -> impl Iterator<Item = Met> + '_ {
        // Ignore files above the folder count only where they are of the same repository: a `*` in the home
        // folder's would hide every project.
        let inside_a_repository =
            !self.0.join(".git").exists() && self.0.ancestors().skip(1).any(|above| above.join(".git").exists());
        WalkBuilder::new(&self.0)
            .hidden(false)
            .git_global(false)
            .require_git(false)
            .parents(inside_a_repository)
            .follow_links(false)
            .filter_entry(move |entry| {
                !matches!(entry.file_name().to_str(), Some(".git" | ".hg" | ".svn" | ".jj")) && wanted(entry.path())
            })
            .build()
            .filter_map(|met| match met {
                Err(fault) => Some(self.fault(&fault)),
                Ok(entry) if !entry.file_type().is_some_and(|kind| kind.is_file()) => None,
                Ok(entry) => Some(self.met(entry.path())),
            })
    }

    fn met(&self, path: &Path) -> Met {
        let shown = path.strip_prefix(&self.0).unwrap_or(path);
        let Some(named) = name_of(shown) else {
            return Met::Fault {
                path: shown.to_string_lossy().into_owned(),
                reason: "its path is not UTF-8".to_owned(),
            };
        };
        match fs::symlink_metadata(path) {
            Ok(metadata) => Met::File { path: named, marks: marks(&metadata) },
            Err(error) => Met::Fault { path: named, reason: format!("it could not be read: {error}") },
        }
    }

    fn fault(&self, fault: &ignore::Error) -> Met {
        fn path_of(fault: &ignore::Error) -> Option<&Path> {
            match fault {
                ignore::Error::WithPath { path, .. } => Some(path),
                ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
                _ => None,
            }
        }
        let path = path_of(fault).map(|path| path.strip_prefix(&self.0).unwrap_or(path).to_string_lossy().into_owned());
        Met::Fault { path: path.unwrap_or_default(), reason: format!("it could not be read: {fault}") }
    }

    /// The text of a file and its hash, or why it is left out; `None` where it is not there any more.
    pub(crate) fn read(&self, path: &str) -> Option<(Content, String)> {
        self.read_at(path, self.inside(path))
    }

    /// The same of a file that a walk has just met, so that no folder on the way is a link.
    pub(crate) fn read_met(&self, path: &str) -> Option<(Content, String)> {
        self.read_at(path, Ok(self.0.join(path)))
    }

    fn read_at(&self, path: &str, file: io::Result<PathBuf>) -> Option<(Content, String)> {
        let skipped = |reason: String| Some((Content::Skipped(reason), String::new()));
        if atelier_sensitive::is_for_keys(path) && file.as_ref().is_ok_and(|file| file.exists()) {
            return skipped("it is a file for keys".to_owned());
        }
        let mut bytes = Vec::new();
        match file.and_then(|file| fs::File::open(file)?.take(LARGEST + 1).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return skipped(format!("it could not be read: {error}")),
        }
        if bytes.len() as u64 > LARGEST {
            return skipped("it is larger than 1 MiB".to_owned());
        }
        if memchr::memchr(0, bytes.get(..LOOKED_INTO).unwrap_or(&bytes)).is_some() {
            return skipped("it is binary".to_owned());
        }
        let hash = Hash::of(&bytes);
        match String::from_utf8(bytes) {
            Err(_) => skipped("it is not UTF-8".to_owned()),
            Ok(text) if text.lines().any(|line| line.len() > LONGEST_LINE) => {
                skipped("it has lines of more than 20,000 bytes".to_owned())
            }
            Ok(text) => Some((Content::Hash(hash.as_str().to_owned()), text)),
        }
    }

    /// The real path of a regular file that is in the folder without a link on the way.
    fn inside(&self, path: &str) -> io::Result<PathBuf> {
        let file = self.0.join(path);
        let folder = file.parent().map_or_else(|| Ok(self.0.clone()), fs::canonicalize)?;
        if !folder.starts_with(&self.0) || !fs::symlink_metadata(&file)?.is_file() {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        Ok(file)
    }
}

/// A relative path with `/`; `None` where it is not UTF-8.
fn name_of(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.components().map(|part| part.as_os_str().to_str()).collect();
    parts.map(|parts| parts.join("/"))
}

fn nanoseconds(time: SystemTime) -> i64 {
    let signed = |duration: std::time::Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    time.duration_since(UNIX_EPOCH).map_or_else(|before| -signed(before.duration()), signed)
}

/// Now, in nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    nanoseconds(SystemTime::now())
}

fn marks(metadata: &Metadata) -> Marks {
    #[cfg(unix)]
    let (ctime, inode) = {
        use std::os::unix::fs::MetadataExt;
        (metadata.ctime().saturating_mul(1_000_000_000).saturating_add(metadata.ctime_nsec()), metadata.ino())
    };
    #[cfg(not(unix))]
    let (ctime, inode) = (0, 0);
    Marks { len: metadata.len(), mtime: metadata.modified().map_or(0, nanoseconds), ctime, inode }
}
