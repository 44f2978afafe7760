//! Time from starting the program to a usable window, beside that of an empty window.
//!
//! The program prints `mark NAME` as its page gets on, when `ATELIER_READY_MARK` is set, and `mark ready` when it can be
//! used. The time that counts is ours, from just before the start to that line.

use super::record;
use crate::run::{self, Failure};
use crate::{node, test, workspace};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A window that is not usable by then never will be.
const LIMIT: Duration = Duration::from_secs(60);

/// The two programs that are compared.
pub struct Programs {
    /// The window.
    pub app: PathBuf,
    /// A window with nothing in it.
    pub empty: PathBuf,
}

pub fn main(runs: usize, inside: bool) -> Result<(), Failure> {
    let Some(programs) = prepare("window", runs, inside)? else { return Ok(()) };
    let mut times = [Vec::new(), Vec::new()];
    // Alternating, so that a change of the machine's load meets both; the first round warms the disk cache.
    for round in 0..=runs {
        for (times, program) in times.iter_mut().zip([&programs.empty, &programs.app]) {
            let home = fresh_home()?;
            let (app, ms) = Started::until_ready(program, &home)?;
            drop(app);
            println!("{} {} ms{}", file_name(program), ms.round(), if round == 0 { " (not counted)" } else { "" });
            if round > 0 {
                times.push(ms);
            }
        }
    }
    let [empty, app] = times;
    let figures = json!({ "usable_ms": record::spread(app) });
    record::write("window", &json!({ "empty_window_usable_ms": record::spread(empty) }), &figures)
}

/// Builds the programs and makes sure that there is a display; `None` where another process did the measuring.
pub fn prepare(bench: &str, runs: usize, inside: bool) -> Result<Option<Programs>, Failure> {
    if !inside {
        run::check(node::npm().args(["run", "build"]))?;
        release_programs()?;
        let display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
        if cfg!(target_os = "linux") && !display {
            let own = std::env::current_exe().map_err(|error| Failure::Environment(error.to_string()))?;
            let mut again = Command::new(own);
            again.args(["bench", bench, &runs.to_string(), super::INSIDE]).env("LIBGL_ALWAYS_SOFTWARE", "1");
            return run::check(&mut test::on_virtual_display(&again)).map(|()| None);
        }
    }
    let metadata = workspace::metadata()?;
    let empty = workspace::built(&metadata, true).join("examples/empty");
    Ok(Some(Programs { app: workspace::program(&metadata, "atelier-app", true)?, empty }))
}

/// Builds every release program and the empty window in one go: apart, the example brings in what only tests need and
/// half of the rest would be built a second time.
pub fn release_programs() -> Result<(), Failure> {
    let release = ["build", "--release", "--locked", "--workspace", "--bins", "--example", "empty"];
    run::check(workspace::cargo().args(release))
}

/// A data folder with nothing in it.
pub fn fresh_home() -> Result<PathBuf, Failure> {
    let home = workspace::root().join("target/bench/home");
    let _ = std::fs::remove_dir_all(&home);
    std::fs::create_dir_all(&home).map_err(|error| Failure::Work(format!("{}: {error}", home.display())))?;
    Ok(home)
}

pub fn file_name(program: &Path) -> String {
    program.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A program with a window; dropping it ends it and its processes.
pub struct Started {
    child: Child,
}

impl Started {
    /// Starts `program` and waits until it says that it is ready. The time is in milliseconds.
    pub fn until_ready(program: &Path, home: &Path) -> Result<(Self, f64), Failure> {
        let name = file_name(program);
        let mut command = Command::new(program);
        command.env("ATELIER_READY_MARK", "1").env("ATELIER_HOME", home).stdin(Stdio::null()).stdout(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let begun = Instant::now();
        let mut child =
            command.spawn().map_err(|error| Failure::Environment(format!("{name} cannot be started: {error}")))?;
        let output = child.stdout.take();
        let started = Self { child };
        let (ready, is_ready) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output?).lines().map_while(Result::ok) {
                if line == "mark ready" {
                    ready.send(begun.elapsed()).ok()?;
                }
            }
            Some(())
        });
        match is_ready.recv_timeout(LIMIT) {
            Ok(took) => Ok((started, took.as_secs_f64() * 1000.0)),
            Err(_) => Err(Failure::Work(format!("{name} did not say that it is ready within {} s", LIMIT.as_secs()))),
        }
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // The web view's processes are in its group.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-TERM", "--", &group]).stderr(Stdio::null()).status();
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn the_time_counts_until_the_program_says_that_it_is_ready() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("xtask-window-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let program = folder.join("window");
        std::fs::write(&program, "#!/bin/sh\necho mark mounted\necho mark ready\nsleep 1000\n").unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let (started, ms) = Started::until_ready(&program, &folder).unwrap();
        assert!(ms > 0.0 && ms < 30_000.0);
        let pid = started.pid();
        drop(started);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
        std::fs::write(&program, "#!/bin/sh\nexit 1\n").unwrap();
        assert!(Started::until_ready(&program, &folder).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
