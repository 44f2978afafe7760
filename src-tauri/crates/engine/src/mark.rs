//! A number that only this home knows, made once.
//!
//! A history can be exported and imported elsewhere, and what its user allowed there goes with it. What must not be
//! passed off as allowed here is recorded together with this number. It is no secret of the user's and opens nothing.

use crate::desk::Desk;
use crate::files::Staged;
use crate::sources::Sources;
use atelier_protocol::error::{Code, Problem};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

const FILE: &str = "home.mark";
const BYTES: usize = 32;

impl Desk {
    /// The number of this home.
    pub(crate) fn home_mark(&self) -> Result<Vec<u8>, Problem> {
        let unusable = |error: io::Error| {
            Problem::new(
                Code::Io,
                format!("{} cannot be used: {error}.", self.places.data.join(FILE).display()),
                "See that the folder may be written. Where the file is damaged, delete it: you are asked again what may run.",
            )
        };
        of_home(&self.places.data, &self.sources).map_err(unusable)
    }
}

fn of_home(data: &Path, sources: &Sources) -> io::Result<Vec<u8>> {
    let file = data.join(FILE);
    match fs::read(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Ok(mark) if mark.len() != BYTES => return Err(io::Error::new(ErrorKind::InvalidData, "it is not whole")),
        found => return found,
    }
    // Where two make it at once, one is asked once more what may run.
    let mark: Vec<u8> = (0..BYTES / 8).flat_map(|_| sources.random().to_be_bytes()).collect();
    Staged::beside(&file, &mark)?.put()?;
    fs::read(&file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_has_one_number_and_another_home_another() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let sources = Sources::of_the_machine();
        let mark = |home: &tempfile::TempDir| of_home(home.path(), &sources);
        let first = mark(&one).unwrap();
        assert_eq!((first.len(), &mark(&one).unwrap()), (BYTES, &first));
        assert_ne!(mark(&other).unwrap(), first);
        assert_eq!(fs::read_dir(one.path()).unwrap().count(), 1, "nothing is left beside it");
        fs::write(one.path().join(FILE), "half").unwrap();
        assert_eq!(mark(&one).unwrap_err().kind(), ErrorKind::InvalidData, "it is not made again by itself");
    }
}
