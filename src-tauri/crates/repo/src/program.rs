//! The user's own git program, for what libgit2 has no part in: signatures, and pushing as the user's remotes are set up.
//!
//! It is found on the path, gets a clean environment with what agents for keys need, runs no hooks and asks nobody on a
//! terminal; whatever it started ends with it. Where it is absent, what needs it is refused by name.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What an agent for keys is found by, and what it asks for a passphrase with.
const KEPT: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "GNUPGHOME",
    "GPG_TTY",
    "GPG_AGENT_INFO",
    "SSH_AUTH_SOCK",
    "SSH_ASKPASS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "DBUS_SESSION_BUS_ADDRESS",
    "PINENTRY_USER_DATA",
    "SYSTEMROOT",
    "USERPROFILE",
    "APPDATA",
];

/// How often is looked whether it has ended.
const TICK: Duration = Duration::from_millis(10);
/// Its words are cut to so much.
const MOST: u64 = 64 * 1024;

/// Why it did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// It is not installed.
    #[error("the program `git` is not on the path")]
    Missing,
    /// It said no.
    #[error("{said}")]
    Failed {
        /// The last of its words.
        said: String,
    },
    /// It took too long.
    #[error("`git` did not end within {} s; it may have waited for a passphrase", patience.as_secs())]
    Late {
        /// The limit.
        patience: Duration,
    },
    /// It could not be started or spoken to.
    #[error("`git` could not be run: {0}")]
    Io(#[from] io::Error),
}

/// One run of it.
pub(crate) struct Call<'a> {
    /// The git directory it works on.
    pub(crate) git_dir: &'a Path,
    /// The folder it starts in.
    pub(crate) folder: &'a Path,
    /// Variables that are set besides.
    pub(crate) env: &'a [(String, String)],
    /// What it reads.
    pub(crate) input: &'a [u8],
    /// After this it is ended.
    pub(crate) patience: Duration,
}

/// The git program.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
}

impl Program {
    /// The one that the path names.
    pub(crate) fn find() -> Result<Program, ProgramError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let names = if cfg!(windows) { ["git.exe", "git.cmd"] } else { ["git", "git"] };
        let places = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
        let mut found = places.flat_map(|folder| names.map(|name| folder.join(name)));
        found.find(|file| file.is_file()).map(|path| Program { path }).ok_or(ProgramError::Missing)
    }

    /// Runs it and answers what it printed.
    pub(crate) fn run(&self, call: &Call<'_>, arguments: &[impl AsRef<OsStr>]) -> Result<String, ProgramError> {
        let mut command = Command::new(&self.path);
        command.env_clear();
        command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(call.env.iter().map(|(name, value)| (name, value)));
        command.env("GIT_DIR", call.git_dir).env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C.UTF-8");
        // Objects are to be on the disk before anything names them.
        let settings = ["core.hooksPath=/dev/null", "core.fsmonitor=false", "gc.auto=0", "core.fsync=all"];
        command.args(settings.iter().flat_map(|setting| ["-c", setting])).args(arguments);
        command.current_dir(call.folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let (out, said) = (reading(child.stdout.take()), reading(child.stderr.take()));
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(call.input); // where it does not read, its words say why
        }
        let status = ended(&mut child, call.patience)?;
        let text = |bytes: Option<Vec<u8>>| String::from_utf8_lossy(&bytes.unwrap_or_default()).trim().to_owned();
        let (out, said) = (text(out.join().ok()), text(said.join().ok()));
        match status.success() {
            true => Ok(out),
            false if said.is_empty() => Err(ProgramError::Failed { said: status.to_string() }),
            false => Err(ProgramError::Failed { said }),
        }
    }
}

fn reading(from: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            let _ = from.by_ref().take(MOST).read_to_end(&mut bytes);
            let _ = io::copy(&mut from, &mut io::sink()); // so that it is not held up
        }
        bytes
    })
}

fn ended(child: &mut Child, patience: Duration) -> Result<std::process::ExitStatus, ProgramError> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if begun.elapsed() > patience {
            end(child);
            return Err(ProgramError::Late { patience });
        }
        std::thread::sleep(TICK);
    }
}

/// Ends it with everything it started.
fn end(child: &mut Child) {
    #[cfg(target_os = "linux")]
    if let Ok(group) = libc::pid_t::try_from(child.id()) {
        #[expect(unsafe_code, reason = "std has no safe call for it")]
        // SAFETY: a plain call; the group is the child's own and the child was not waited for yet.
        let _ = unsafe { libc::killpg(group, libc::SIGKILL) };
    }
    let _ = child.kill();
    let _ = child.wait();
}
