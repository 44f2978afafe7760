//! The real engine of the tests: llama.cpp's own server as a Python wheel, in a virtual environment below `target/`.
//!
//! It is for tests only, so a machine where it cannot be had lacks a part of the tests and nothing else; which part and
//! why is said.

use crate::run;
use crate::workspace;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is installed. MIT; about 34 MB, without anything it depends on.
const WHEEL: &str = "xllamacpp==2026.10.11549";

/// The Python that has the engine, installed where it is not. Nothing is downloaded `offline`.
///
/// # Errors
/// With the reason why there is none, in a sentence.
pub fn python(offline: bool) -> Result<PathBuf, String> {
    let folder = workspace::root().join("target").join("real-engine");
    let python = python_in(&folder);
    let stamp = folder.join("installed");
    if python.is_file() && std::fs::read_to_string(&stamp).is_ok_and(|text| text.trim() == WHEEL) {
        return Ok(python);
    }
    if offline {
        return Err(format!("{WHEEL} is not in target/real-engine, and nothing is downloaded offline"));
    }
    let Some(system) = ["python3", "python"].into_iter().find(|name| run::on_path(name)) else {
        return Err(format!("{WHEEL} needs Python 3, which is not on the PATH"));
    };
    quietly(Command::new(system).args(["-m", "venv", "--clear"]).arg(&folder))
        .map_err(|error| format!("no virtual environment could be made (Debian: python3-venv): {error}"))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"];
    quietly(Command::new(&python).args(pip).arg(WHEEL)).map_err(|error| format!("{WHEEL} cannot be had: {error}"))?;
    quietly(Command::new(&python).args(["-c", "import xllamacpp"]))
        .map_err(|error| format!("{WHEEL} does not start on this machine: {error}"))?;
    std::fs::write(&stamp, WHEEL).map_err(|error| format!("{} cannot be written: {error}", stamp.display()))?;
    Ok(python)
}

fn python_in(folder: &Path) -> PathBuf {
    folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}

/// Runs a command to its end; its last words are the error.
fn quietly(command: &mut Command) -> Result<(), String> {
    let done = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if done.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&done.stderr);
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    Err(last.map_or_else(|| done.status.to_string(), |line| line.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_a_failed_command_are_its_error() {
        let failed = quietly(Command::new("sh").args(["-c", "echo one >&2; echo 'no such wheel' >&2; exit 1"]));
        assert_eq!(failed, Err("no such wheel".to_owned()));
        assert_eq!(quietly(&mut Command::new("true")), Ok(()));
    }
}
