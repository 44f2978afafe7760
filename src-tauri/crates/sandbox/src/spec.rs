//! What is asked of the sandbox and what comes back.
//!
//! Plain data. Paths are absolute; output is bytes, because a command may print anything.

use atelier_protocol::event::Mechanism;
use std::path::PathBuf;
use std::time::Duration;

/// A command and what it may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Program and arguments. A program without `/` is looked up in the `PATH` the command gets;
    /// one with `/` is taken relative to `cwd`.
    pub argv: Vec<String>,
    /// The folder it starts in. Absolute, must exist; readable even where it is in neither list.
    pub cwd: PathBuf,
    /// Folders and files it may change. Absolute, must exist.
    pub writable: Vec<PathBuf>,
    /// More folders and files it may read. Absolute; those that do not exist are skipped.
    /// One that lies below a writable folder is protected by bubblewrap only: Landlock's rules can only add.
    pub read_only: Vec<PathBuf>,
    /// Its private `HOME`, writable. Made where it is missing.
    pub home: PathBuf,
    /// Variables on top of the clean environment (`PATH HOME TMPDIR LANG TERM CI`); these win.
    pub env: Vec<(String, String)>,
    /// After this long the whole process tree is killed.
    pub timeout: Duration,
    /// At most so many bytes of output are kept: the head and the tail, with a line between that says how much
    /// was left out.
    pub max_output: usize,
}

impl Spec {
    /// A command in `cwd` with a private `home`, nothing else writable, ten minutes, 256 KiB of output.
    pub fn new(
        argv: impl IntoIterator<Item = impl Into<String>>,
        cwd: impl Into<PathBuf>,
        home: impl Into<PathBuf>,
    ) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            cwd: cwd.into(),
            writable: Vec::new(),
            read_only: Vec::new(),
            home: home.into(),
            env: Vec::new(),
            timeout: Duration::from_secs(600),
            max_output: 256 * 1024,
        }
    }
}

/// A command that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code; `None` where a signal, the time limit or cancelling ended it.
    /// bubblewrap itself reports a command that died of signal N as exit code 128+N.
    pub exit_code: Option<i32>,
    /// The signal that ended it by itself; `None` where we killed it.
    pub signal: Option<i32>,
    /// Whether the time limit ended it.
    pub timed_out: bool,
    /// Whether it was cancelled.
    pub cancelled: bool,
    /// Standard output and error in the order they came, cut to `max_output`.
    pub output: Vec<u8>,
    /// How many bytes there were before cutting.
    pub output_bytes: u64,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// What confined it.
    pub mechanism: Mechanism,
}

impl Ran {
    /// Whether it ended by itself with exit code zero.
    pub fn succeeded(&self) -> bool {
        self.exit_code == Some(0) && !self.timed_out && !self.cancelled
    }
}
