//! Runs other programs with their output in sight, and says what failed.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Why a command of xtask did not reach its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A check failed, a build broke.
    Work(String),
    /// The command line is wrong.
    Usage(String),
    /// The machine lacks something.
    Environment(String),
    /// Another program ended with this code, and said why itself.
    Passed {
        /// The program.
        program: String,
        /// Its exit code.
        code: u8,
    },
}

impl Failure {
    /// The process's exit code, from the closed list that every door of Atelier uses.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Work(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Environment(_) => 6,
            Failure::Passed { code, .. } => *code,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Work(text) | Failure::Usage(text) | Failure::Environment(text) => f.write_str(text),
            Failure::Passed { program, code } => write!(f, "`{program}` ended with exit code {code}"),
        }
    }
}

/// Prints a heading.
pub fn heading(text: &str) {
    println!("\n== {text}");
}

/// Runs `command` with its output in sight; anything but exit code 0 is a failure.
pub fn check(command: &mut Command) -> Result<(), Failure> {
    let line = line(command);
    println!("$ {line}");
    match status(command)? {
        status if status.success() => Ok(()),
        status => Err(Failure::Work(format!("`{line}` failed ({status})"))),
    }
}

/// Runs `command` with its output in sight and passes on its exit code.
pub fn pass_on(command: &mut Command) -> Result<(), Failure> {
    let line = line(command);
    println!("$ {line}");
    let status = status(command)?;
    match status.code().map(u8::try_from) {
        Some(Ok(0)) => Ok(()),
        Some(Ok(code)) => Err(Failure::Passed { program: line, code }),
        _ => Err(Failure::Work(format!("`{line}` was ended ({status})"))),
    }
}

/// What `command` prints on standard output, where it succeeds. Its standard error stays in sight.
pub fn output(command: &mut Command) -> Result<Vec<u8>, Failure> {
    let line = line(command);
    let done = command.stderr(Stdio::inherit()).output().map_err(|error| cannot_start(&line, &error))?;
    if done.status.success() {
        Ok(done.stdout)
    } else {
        Err(Failure::Work(format!("`{line}` failed ({})", done.status)))
    }
}

/// The first line `command` prints, silently; `None` where it is missing or fails.
pub fn ask(program: &str, args: &[&str]) -> Option<String> {
    let done = Command::new(program).args(args).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&done.stdout);
    done.status.success().then(|| text.lines().next().unwrap_or_default().trim().to_owned())
}

/// Whether `program` is on `PATH`.
pub fn on_path(program: &str) -> bool {
    found(program).is_some()
}

/// Where on `PATH` the program is.
pub fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| is_program(file))
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    ["exe", "cmd", "bat"].iter().any(|end| file.with_extension(end).is_file())
}

fn status(command: &mut Command) -> Result<ExitStatus, Failure> {
    let line = line(command);
    command.status().map_err(|error| cannot_start(&line, &error))
}

fn cannot_start(line: &str, error: &io::Error) -> Failure {
    Failure::Environment(format!("`{line}` cannot be started: {error}"))
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    // Ours and cargo's are given by their place, which says nothing to a reader.
    let program = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(program).chain(command.get_args()).map(|word| word.to_string_lossy());
    let quoted = words.map(|word| if word.contains(' ') { format!("'{word}'") } else { word.into_owned() });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_program_is_named_as_it_would_be_typed() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exit 3"]);
        assert_eq!(check(&mut command).unwrap_err().to_string(), "`sh -c 'exit 3'` failed (exit status: 3)");
        assert_eq!(pass_on(&mut command).unwrap_err().exit_code(), 3);
        let missing = check(&mut Command::new("no-such-program")).unwrap_err();
        assert_eq!(missing.exit_code(), 6, "{missing}");
    }

    #[test]
    fn asking_is_silent_about_what_is_missing() {
        assert_eq!(ask("sh", &["-c", "echo one; echo two"]).as_deref(), Some("one"));
        assert_eq!(ask("sh", &["-c", "exit 1"]), None);
        assert_eq!(ask("no-such-program", &[]), None);
        assert!(on_path("sh") && !on_path("no-such-program"));
    }
}
