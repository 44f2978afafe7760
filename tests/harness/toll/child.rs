//! A process under test: started with the library of faults in front of it, watched, and killed at a chosen time.

use super::LIMIT;
use serde_json::Value;
use std::io::Read;
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
#[expect(clippy::expect_used, reason = "a harness fails loudly")]
pub fn run(command: &mut Command, kill_after: Option<Duration>) -> Seen {
    let mut child = command
        .env_remove("OLLAMA_HOST")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let out = reader(child.stdout.take());
    let err = reader(child.stderr.take());
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
    let text = |thread: std::thread::JoinHandle<String>| thread.join().unwrap_or_default();
    Seen { exit: status.and_then(|status| status.code()), hung, out: text(out), err: text(err) }
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

fn reader(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Processes that have to do with `folder` and are still there after a time in which they could have gone.
pub fn left_behind(folder: &Path) -> Vec<String> {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let found = working_in(folder);
        if found.is_empty() || Instant::now() > until {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn working_in(folder: &Path) -> Vec<String> {
    let wanted = folder.to_string_lossy().into_owned();
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if !pid.bytes().all(|byte| byte.is_ascii_digit()) || pid == own {
            continue;
        }
        let read = |name: &str| {
            String::from_utf8_lossy(&std::fs::read(entry.path().join(name)).unwrap_or_default()).into_owned()
        };
        let folder = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let words = read("cmdline");
        if words.contains(&wanted) || read("environ").contains(&wanted) || folder.starts_with(&wanted) {
            found.push(format!("{pid} {}", words.replace('\0', " ")));
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
