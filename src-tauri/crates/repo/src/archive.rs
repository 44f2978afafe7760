//! A folder as one compressed tar whose first file lists all others with their hashes.
//!
//! What is read back is compared with that list before anybody uses it: a file that is cut, changed, missing or not listed
//! refuses the whole. Only plain files; nothing leads out of the folder it is unpacked to.

use crate::durable;
use crate::export::temporary;
use crate::fault::{Fault, io};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::hash::Hash;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Component, Path};

/// The list.
const LIST: &str = "manifest.json";
/// A list of more bytes is none of ours.
const MOST_LIST: u64 = 64 << 20;

/// Why a folder could not be packed or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// There is something at that place.
    #[error("{} exists already", .0.display())]
    Exists(std::path::PathBuf),
    /// It is no such file, or not as it was written.
    #[error("{what}")]
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// The disk failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl ArchiveError {
    /// What could not be done, and what the user can do next.
    pub fn problem(&self) -> Problem {
        let (code, hint) = match self {
            ArchiveError::Exists(_) => (Code::BadArgument, "Choose another name, or move that file away."),
            ArchiveError::Damaged { .. } => (Code::StoreDamaged, "Copy or export it again. Nothing was changed here."),
            ArchiveError::Fault(fault) => return fault.problem(),
        };
        Problem::new(code, format!("The file cannot be used: {self}."), hint)
    }
}

#[derive(Serialize, Deserialize)]
struct List {
    schema: u32,
    /// What the archive is, for whoever made it.
    about: serde_json::Value,
    files: BTreeMap<String, Listed>,
}

#[derive(Serialize, Deserialize)]
struct Listed {
    bytes: u64,
    hash: Hash,
}

/// Packs the plain files below `folder`, with what the archive is, into the new file `to`, which appears complete or not at
/// all. Its size in bytes.
pub fn write_archive(folder: &Path, about: serde_json::Value, to: &Path) -> Result<u64, ArchiveError> {
    if to.symlink_metadata().is_ok() {
        return Err(ArchiveError::Exists(to.to_owned()));
    }
    let mut files = BTreeMap::new();
    collect(folder, "", &mut files)?;
    let list = List { schema: 1, about, files };
    let beside = to.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut part = temporary(beside).map_err(io("writing in", beside))?;
    let writing = || io("writing", to);
    let gzip = GzEncoder::new(BufWriter::new(part.as_file_mut()), Compression::default());
    let mut out = tar::Builder::new(gzip);
    let head = |out: &mut tar::Builder<_>, name: &str, bytes: u64, content: &mut dyn Read| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(bytes);
        out.append_data(&mut header, name, content)
    };
    let text = serde_json::to_vec(&list).unwrap_or_default();
    head(&mut out, LIST, text.len() as u64, &mut text.as_slice()).map_err(writing())?;
    for (name, listed) in &list.files {
        let place = folder.join(name);
        let mut file = File::open(&place).map_err(io("reading", &place))?.take(listed.bytes);
        head(&mut out, name, listed.bytes, &mut file).map_err(writing())?;
    }
    let buffered = out.into_inner().and_then(GzEncoder::finish).map_err(writing())?;
    buffered.into_inner().map_err(|e| writing()(e.into_error()))?.sync_all().map_err(writing())?;
    let bytes = part.as_file().metadata().map_err(io("reading", to))?.len();
    part.persist_noclobber(to).map_err(|e| writing()(e.error))?;
    durable::sync_dir(beside)?;
    Ok(bytes)
}

/// Unpacks an archive into the folder `to` and says what it is.
pub fn read_archive(from: &Path, to: &Path) -> Result<serde_json::Value, ArchiveError> {
    let damaged = |what: String| ArchiveError::Damaged { what };
    let cut = |e: std::io::Error| ArchiveError::Damaged { what: format!("it is cut or damaged ({e})") };
    let file = File::open(from).map_err(io("reading", from))?;
    let mut tar = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    let mut entries = tar.entries().map_err(cut)?;
    let first = entries.next().ok_or_else(|| damaged("it is empty".to_owned()))?.map_err(cut)?;
    if first.path().map_err(cut)? != Path::new(LIST) {
        return Err(damaged("it is no exported state".to_owned()));
    }
    let mut text = Vec::new();
    first.take(MOST_LIST).read_to_end(&mut text).map_err(cut)?;
    let list: List = serde_json::from_slice(&text).map_err(|e| damaged(format!("its list cannot be read ({e})")))?;
    if list.schema != 1 {
        return Err(damaged(format!("it is of version {}, which a newer Atelier wrote", list.schema)));
    }
    let mut left = list.files;
    for entry in entries {
        let mut entry = entry.map_err(cut)?;
        let path = entry.path().map_err(cut)?.into_owned();
        let name = path.to_string_lossy().into_owned();
        let plain =
            entry.header().entry_type().is_file() && path.components().all(|part| matches!(part, Component::Normal(_)));
        let Some(listed) = left.remove(&name).filter(|_| plain) else {
            return Err(damaged(format!("it holds `{name}`, which its list does not name")));
        };
        let place = to.join(&path);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).map_err(io("making", folder))?;
        }
        let mut out = BufWriter::new(File::create_new(&place).map_err(io("writing", &place))?);
        let bytes = std::io::copy(&mut (&mut entry).take(listed.bytes.saturating_add(1)), &mut out).map_err(cut)?;
        let written = out.flush().and_then(|()| out.get_ref().sync_all());
        written.map_err(io("writing", &place))?;
        if bytes != listed.bytes || hash_of(&place)? != listed.hash {
            return Err(damaged(format!("`{name}` in it is not as it was written")));
        }
    }
    // What stands behind the last file says whether the whole is as it was written.
    std::io::copy(&mut tar.into_inner(), &mut std::io::sink()).map_err(cut)?;
    match left.keys().next() {
        Some(name) => Err(damaged(format!("`{name}` is missing in it"))),
        None => Ok(list.about),
    }
}

fn collect(folder: &Path, above: &str, files: &mut BTreeMap<String, Listed>) -> Result<(), ArchiveError> {
    for entry in fs::read_dir(folder).map_err(io("reading", folder))? {
        let entry = entry.map_err(io("reading", folder))?;
        let name = format!("{above}{}", entry.file_name().to_string_lossy());
        let place = entry.path();
        if entry.file_type().map_err(io("reading", &place))?.is_dir() {
            collect(&place, &format!("{name}/"), files)?;
            continue;
        }
        let bytes = entry.metadata().map_err(io("reading", &place))?.len();
        files.insert(name, Listed { bytes, hash: hash_of(&place)? });
    }
    Ok(())
}

fn hash_of(place: &Path) -> Result<Hash, Fault> {
    let file = File::open(place).map_err(io("reading", place))?;
    Hash::of_reader(BufReader::new(file)).map_err(io("reading", place))
}
