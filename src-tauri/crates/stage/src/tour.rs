//! The shipped tour: a sample project and the script of a whole run on it.
//!
//! The window's tour, `atelier demo` and the tests play the same one.

use crate::script::Script;
use atelier_protocol::yaml::YamlError;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The goal that the script answers.
pub const GOAL: &str = "Greet several people in one line";

/// The sample project: path, content, and whether it is a program.
const FILES: &[(&str, &str)] = &[
    ("greet.sh", include_str!("../../../../assets/samples/greet/greet.sh")),
    ("README.md", include_str!("../../../../assets/samples/greet/README.md")),
    ("tests/run.sh", include_str!("../../../../assets/samples/greet/tests/run.sh")),
    (".atelier/project.yaml", include_str!("../../../../assets/samples/greet/.atelier/project.yaml")),
];

/// The script of the tour.
///
/// # Errors
/// Never for the shipped text, which a test reads.
pub fn script() -> Result<Script, YamlError> {
    Script::read("assets/stage/tour.yaml", include_str!("../../../../assets/stage/tour.yaml"))
}

/// Writes the sample project into `folder`, which must be empty or not exist yet.
///
/// # Errors
/// Where the folder holds something, or cannot be written.
pub fn write_sample(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    if std::fs::read_dir(folder)?.next().is_some() {
        return Err(std::io::Error::new(std::io::ErrorKind::AlreadyExists, "the folder is not empty"));
    }
    for (path, content) in FILES {
        let place: PathBuf = folder.join(path);
        if let Some(parent) = place.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::File::create(place)?.write_all(content.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_script_reads() {
        assert!(script().unwrap().turns.len() > 8);
    }

    #[test]
    fn a_folder_that_holds_something_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        write_sample(&dir.path().join("new")).unwrap();
        assert!(dir.path().join("new/tests/run.sh").is_file());
        let error = write_sample(&dir.path().join("new")).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    }
}
