//! Confines a command with bubblewrap: own namespaces, a root made of read-only folders, no network.
//!
//! The arguments are pure data made from a [`Reach`]. Later mounts cover earlier ones, so folders are opened from
//! the outermost to the innermost.

use crate::reach::Reach;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the program is, if it is installed. Looked for in the machine-wide folders only: a folder that a project
/// put on `PATH` must not decide what confines it.
pub(crate) fn installed() -> Option<PathBuf> {
    ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap", "/run/current-system/sw/bin/bwrap"]
        .iter()
        .map(PathBuf::from)
        .find(|file| file.is_file())
}

/// Tries whether it works here: a short process with the namespaces of a real command.
pub(crate) fn works(program: &Path) -> Result<(), String> {
    let mut trial = Command::new(program);
    trial.args(isolation()).args(["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
    trial.args(["--", "/bin/sh", "-c", ":"]);
    let done = trial.env_clear().stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).trim().to_owned()) }
}

/// Everything but the files.
fn isolation() -> [&'static str; 7] {
    ["--unshare-all", "--die-with-parent", "--new-session", "--hostname", "atelier", "--cap-drop", "ALL"]
}

/// How a folder is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Open {
    Read,
    Write,
}

/// The arguments up to and including the command. `status_fd` is where bubblewrap reports what became of it.
pub(crate) fn arguments(reach: &Reach, status_fd: i32) -> Vec<OsString> {
    let mut args: Vec<OsString> = isolation().iter().map(OsString::from).collect();
    let mut add = |parts: &[&Path]| args.extend(parts.iter().map(|part| part.as_os_str().to_owned()));
    let word = Path::new;
    add(&[word("--json-status-fd"), word(&status_fd.to_string())]);
    for folder in &reach.system {
        // `/bin` and the like are links on most machines, and stay links inside.
        match folder.read_link() {
            Ok(target) => add(&[word("--symlink"), &target, folder]),
            Err(_) => add(&[word("--ro-bind"), folder, folder]),
        }
    }
    add(&[word("--proc"), word("/proc"), word("--dev"), word("/dev")]);
    for private in ["/tmp", "/var/tmp", "/run/user"] {
        add(&[word("--tmpfs"), word(private)]);
    }
    if let Some(home) = &reach.covered_home {
        add(&[word("--tmpfs"), home]);
    }
    for (folder, open) in outermost_first(reach) {
        let source = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
        let verb = match open {
            Open::Read => "--ro-bind",
            Open::Write => "--bind",
        };
        add(&[word(verb), &source, folder]);
    }
    add(&[word("--remount-ro"), word("/"), word("--chdir"), &reach.cwd, word("--"), &reach.program]);
    args.extend(reach.args.iter().map(OsString::from));
    args
}

/// Folders from the outermost in; one that is asked for both ways is writable.
fn outermost_first(reach: &Reach) -> Vec<(&Path, Open)> {
    let read = reach.read_only.iter().map(|path| (path.as_path(), Open::Read));
    let write = reach.writable.iter().map(|path| (path.as_path(), Open::Write));
    let mut folders: Vec<(&Path, Open)> = read.chain(write).collect();
    folders.sort_by_key(|(path, open)| (path.components().count(), *path, *open));
    folders.dedup();
    folders
}

/// How far bubblewrap got.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Started {
    /// The command ran.
    Yes,
    /// It was confined, but its program could not be started.
    NoProgram(String),
    /// It could not be confined.
    NotConfined(String),
}

/// How far bubblewrap got, from what it reported in `status` and what was printed.
pub(crate) fn started(status: &str, output: &[u8]) -> Started {
    // It writes an exit code there only for a command that it could start.
    if status.contains("\"exit-code\"") {
        return Started::Yes;
    }
    let output = String::from_utf8_lossy(output);
    let said = output.lines().find_map(|line| line.strip_prefix("bwrap: "));
    match said.map(|said| (said, said.strip_prefix("execvp "))) {
        Some((_, Some(program))) => Started::NoProgram(program.to_owned()),
        Some((said, None)) => Started::NotConfined(said.to_owned()),
        None => Started::NotConfined("it ended without starting the command".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn inner_folders_are_opened_after_outer_ones_and_writing_wins() {
        let reach = Reach {
            system: Vec::new(),
            read_only: vec!["/w/tree/.git".into(), "/w".into(), "/w/both".into()],
            writable: vec!["/w/tree".into(), "/w/both".into()],
            covered_home: None,
            cwd: "/w/tree".into(),
            env: BTreeMap::new(),
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), "exit".to_owned()],
        };
        let order: Vec<_> =
            outermost_first(&reach).into_iter().map(|(path, open)| (path.to_str().unwrap(), open)).collect();
        assert_eq!(
            order,
            [
                ("/w", Open::Read),
                ("/w/both", Open::Read),
                ("/w/both", Open::Write),
                ("/w/tree", Open::Write),
                ("/w/tree/.git", Open::Read),
            ]
        );
        let args = arguments(&reach, 9);
        let tail: Vec<_> = args[args.len() - 5..].iter().map(|arg| arg.to_str().unwrap()).collect();
        assert_eq!(tail, ["/w/tree", "--", "/bin/sh", "-c", "exit"]);
        assert!(args.iter().any(|arg| arg == "--unshare-all"));
    }

    #[test]
    fn a_command_that_failed_is_told_from_one_that_was_not_started() {
        assert_eq!(
            started("{ \"child-pid\": 7 }\n{ \"exit-code\": 1 }\n", b"bwrap: said by the command"),
            Started::Yes
        );
        let no_program = started("{ \"child-pid\": 7 }\n", b"bwrap: execvp x: No such file or directory\n");
        assert_eq!(no_program, Started::NoProgram("x: No such file or directory".to_owned()));
        let refused = started("", b"bwrap: Creating new namespace failed: Operation not permitted\n");
        assert_eq!(refused, Started::NotConfined("Creating new namespace failed: Operation not permitted".to_owned()));
        assert_eq!(started("", b""), Started::NotConfined("it ended without starting the command".to_owned()));
    }

    #[test]
    fn a_bubblewrap_that_fails_is_not_used_and_its_reason_is_kept() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bwrap");
        std::fs::write(&file, "#!/bin/sh\necho 'bwrap: no namespaces for you' >&2\nexit 1\n").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(works(&file), Err("bwrap: no namespaces for you".to_owned()));
        assert!(works(&folder.path().join("gone")).is_err());
    }
}
