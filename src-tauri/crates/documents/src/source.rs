//! The bytes of a file on their way to being read, and what a package holds.

use crate::error::ReadError;
use crate::limits;
use atelier_protocol::document::DocumentFormat;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// A file's bytes.
pub(crate) struct Source<'a> {
    /// Its name, without folders.
    pub name: String,
    /// Where it is; a database is read in place.
    pub path: &'a Path,
    /// The bytes, or the first of them.
    pub bytes: Vec<u8>,
    /// How many there are.
    pub length: u64,
}

impl<'a> Source<'a> {
    /// Opens a regular file and reads as much of it as is read of any.
    pub fn open(path: &'a Path) -> Result<Self, ReadError> {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let open = |reason: std::io::Error| ReadError::Open { name: name.clone(), reason: reason.to_string() };
        let length = std::fs::metadata(path).map_err(open)?;
        if !length.is_file() {
            return Err(ReadError::Open { name, reason: "it is not a regular file".to_owned() });
        }
        let mut bytes = Vec::new();
        File::open(path).and_then(|file| file.take(limits::FILE).read_to_end(&mut bytes)).map_err(open)?;
        Ok(Self { name, path, bytes, length: length.len() })
    }

    /// Whether the bytes are not all there are.
    pub fn is_cut(&self) -> bool {
        self.length > self.bytes.len() as u64
    }

    /// Refuses a file of which only a part was read, where a part is nothing.
    pub fn whole(&self) -> Result<&[u8], ReadError> {
        if self.is_cut() {
            let what = format!("the file has {} MiB, and at most {} are read", self.length >> 20, limits::FILE >> 20);
            return Err(ReadError::TooLarge { what });
        }
        Ok(&self.bytes)
    }
}

/// A ZIP of which entries are read by name, within what may be unpacked. Nothing is ever written.
pub(crate) struct Package<'a> {
    archive: zip::ZipArchive<Cursor<&'a [u8]>>,
    format: DocumentFormat,
    left: u64,
}

impl<'a> Package<'a> {
    pub fn open(source: &'a Source<'_>, format: DocumentFormat) -> Result<Self, ReadError> {
        let archive = zip::ZipArchive::new(Cursor::new(source.whole()?));
        let archive = archive.map_err(|error| ReadError::damaged(format)(error.to_string()))?;
        if archive.len() > limits::ENTRIES {
            return Err(ReadError::TooLarge { what: format!("it holds {} files", archive.len()) });
        }
        Ok(Self { archive, format, left: limits::UNPACKED })
    }

    /// The names of all entries.
    pub fn names(&self) -> Vec<String> {
        self.archive.file_names().filter_map(Result::ok).map(|name| name.into_owned()).collect()
    }

    /// The bytes of an entry; `None` where there is none of that name.
    pub fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        let format = self.format;
        let entry = match self.archive.by_name(name) {
            Ok(entry) => entry,
            Err(zip::result::ZipError::FileNotFound) => return Ok(None),
            Err(zip::result::ZipError::UnsupportedArchive(why)) if why.contains("assword") => {
                return Err(ReadError::Encrypted { format });
            }
            Err(error) => return Err(ReadError::damaged(format)(format!("`{name}`: {error}"))),
        };
        let mut bytes = Vec::new();
        let read = entry.take(self.left + 1).read_to_end(&mut bytes);
        read.map_err(|error| ReadError::damaged(format)(format!("`{name}`: {error}")))?;
        let read = bytes.len() as u64;
        if read > self.left {
            let what = format!("it unpacks to more than {} MiB", limits::UNPACKED >> 20);
            return Err(ReadError::TooLarge { what });
        }
        self.left -= read;
        Ok(Some(bytes))
    }

    /// The text of an entry that must be there.
    pub fn text(&mut self, name: &str) -> Result<String, ReadError> {
        match self.bytes(name)? {
            Some(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            None => Err(ReadError::damaged(self.format)(format!("`{name}` is missing"))),
        }
    }

    /// The text of an entry that may be missing.
    pub fn maybe(&mut self, name: &str) -> Result<Option<String>, ReadError> {
        Ok(self.bytes(name)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }
}
