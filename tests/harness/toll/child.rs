//! A process under test: started with the library of faults in front of it, watched, and killed at a chosen time.

use super::LIMIT;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What the library of faults is told.
#[derive(Debug, Clone, Default)]
pub struct Preload {
    /// `class:n:what:once|on`.
    pub fault: Option<String>,
    /// Only calls on files below it count.
    pub root: PathBuf,
    /// Where the counts go.
    pub count: Option<PathBuf>,
    /// Where changes are recorded.
    pub log: Option<PathBuf>,
    /// A file that says how many bytes there is room for.
    pub room: Option<PathBuf>,
    /// Where whom it tries to reach is written.
    pub peers: Option<PathBuf>,
    /// Whether nothing is synced. A killed process does not need it, and it is what takes the time.
    pub skip_sync: bool,
}

impl Preload {
    /// A disk that needs no time to sync.
    pub fn fast(root: &Path) -> Preload {
        Preload { root: root.to_owned(), skip_sync: true, ..Preload::default() }
    }

    /// Puts the library before a command.
    pub fn of(&self, command: &mut Command) {
        command.env("LD_PRELOAD", library()).env("ATELIER_FAULT_ROOT", &self.root);
        if let Some(fault) = &self.fault {
            command.env("ATELIER_FAULT", fault);
        }
        if let Some(count) = &self.count {
            command.env("ATELIER_FAULT_COUNT", count);
        }
        if let Some(log) = &self.log {
            command.env("ATELIER_FAULT_LOG", log);
        }
        if let Some(room) = &self.room {
            command.env("ATELIER_FAULT_ROOM", room);
        }
        if let Some(peers) = &self.peers {
            command.env("ATELIER_FAULT_PEERS", peers);
        }
        if self.skip_sync {
            command.env("ATELIER_FAULT_SYNC", "skip");
        }
    }
}

/// The number behind `name=` in the last line of counts.
pub fn count(text: &str, name: &str) -> u64 {
    let line = text.lines().rfind(|line| line.starts_with("counts ")).unwrap_or_default();
    let found = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    found.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// What was seen of a process.
#[derive(Debug, Default)]
pub struct Seen {
    /// Its exit code; `None` where it was killed.
    pub exit: Option<i32>,
    /// Whether it had to be killed because it came to no end.
    pub hung: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Seen {
    /// What it says is not as it must be.
    pub fn wrong(&self) -> impl Iterator<Item = &str> {
        self.out.lines().filter_map(|line| line.strip_prefix("wrong "))
    }

    /// Whether a signal ended it.
    pub fn killed(&self) -> bool {
        self.exit.is_none() && !self.hung
    }

    /// All it said, for a finding.
    pub fn text(&self) -> String {
        let tail = |text: &str| {
            text.lines().rev().take(6).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(" | ")
        };
        format!("exit {:?}; {}; {}", self.exit, tail(&self.out), tail(&self.err)).chars().take(1500).collect()
    }
}

/// Runs a process to its end, to `kill_after`, or to the limit of all patience.
pub fn run(command: &mut Command, kill_after: Option<Duration>) -> Seen {
    run_and(command, kill_after, |_| ())
}

/// The same, and shows each line of its standard output as it is said.
#[expect(clippy::expect_used, reason = "a harness fails loudly")]
pub fn run_and(command: &mut Command, kill_after: Option<Duration>, see: impl FnMut(&str) + Send) -> Seen {
    let mut child = command
        .env_remove("OLLAMA_HOST")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let (out, err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let out = scope.spawn(|| read(out, see));
        let err = scope.spawn(|| read(err, |_| ()));
        let mut hung = false;
        let status = match kill_after {
            Some(time) => {
                std::thread::sleep(time);
                let _ = child.kill();
                child.wait().ok()
            }
            None => wait(&mut child, LIMIT).or_else(|| {
                hung = true;
                let _ = child.kill();
                child.wait().ok()
            }),
        };
        let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
        Seen { exit: status.and_then(|status| status.code()), hung, out, err }
    })
}

fn wait(child: &mut Child, limit: Duration) -> Option<std::process::ExitStatus> {
    let until = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            _ if Instant::now() > until => return None,
            _ => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// All that comes out of a pipe, shown line by line.
fn read(pipe: Option<impl Read>, mut see: impl FnMut(&str)) -> String {
    let (mut lines, mut all) = (pipe.map(BufReader::new), String::new());
    let mut line = Vec::new();
    while let Some(Ok(1..)) = lines.as_mut().map(|lines| lines.read_until(b'\n', &mut line)) {
        let text = String::from_utf8_lossy(&line);
        see(text.trim_end());
        all.push_str(&text);
        line.clear();
    }
    all
}

/// A process that should have gone.
#[derive(Debug)]
pub struct Left {
    pid: i32,
    /// What it is.
    #[expect(dead_code, reason = "for a finding")]
    words: String,
}

impl Left {
    /// Ends it.
    pub fn end(&self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.pid) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Processes that have to do with `folder` and are still there after a time in which they could have gone.
pub fn left_behind(folder: &Path) -> Vec<Left> {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let found = working_in(folder);
        if found.is_empty() || Instant::now() > until {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn working_in(folder: &Path) -> Vec<Left> {
    let wanted = folder.to_string_lossy().into_owned();
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).filter(|pid| *pid != own) else {
            continue;
        };
        let read = |name: &str| {
            String::from_utf8_lossy(&std::fs::read(entry.path().join(name)).unwrap_or_default()).into_owned()
        };
        let folder = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let words = read("cmdline");
        if words.contains(&wanted) || read("environ").contains(&wanted) || folder.starts_with(&wanted) {
            found.push(Left { pid, words: words.replace('\0', " ") });
        }
    }
    found
}

/// The library: the one that `ATELIER_FAULTS` names, else built once.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| std::env::var_os("ATELIER_FAULTS").map_or_else(build, PathBuf::from))
}

#[expect(clippy::expect_used, clippy::panic, reason = "a harness fails loudly")]
fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--locked", "--package", "atelier-faults", "--message-format", "json-render-diagnostics"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo starts");
    let text = String::from_utf8_lossy(&built.stdout);
    let file = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
        let named = message["target"]["name"] == "atelier_faults";
        message["filenames"][0].as_str().filter(|_| named).map(PathBuf::from)
    });
    file.unwrap_or_else(|| panic!("the library of faults was not built: {}", built.status))
}
