//! Runs every check there is, in an order that fails early, and sums them up.

use crate::args::Args;
use crate::bench::record;
use crate::run::{self, Failure};
use crate::setup::{self, Purpose};
use crate::{loopback, node, real_engine, tidy, workspace};
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

pub const HELP: &str = "\
cargo xtask test [--offline] [--keep-going] [--yes]

Sets the machine up (see `cargo xtask setup`), then runs, in this order: formatting, the rules of the house, the
page's types, lints, tests and build, clippy, all Rust tests, the tests against a real engine (a Python wheel that is put
into target/real-engine), the main job with no network but loopback, licences (where cargo-deny is installed), and the
tests of the window on a virtual display. Ends with a table.

  --offline     install and download nothing
  --keep-going  run the remaining parts after one failed
  --yes         do not ask before packages are installed
";
pub const FLAGS: &[&str] = &["--offline", "--keep-going", "--yes"];

/// How a part ended.
enum Outcome {
    Passed,
    LeftOut(String),
    Failed(Failure),
}

/// One line of the table.
struct Line {
    part: &'static str,
    outcome: Outcome,
    took: Duration,
}

type Body<'a> = Box<dyn FnOnce() -> Result<Outcome, Failure> + 'a>;

pub fn main(args: &Args) -> Result<(), Failure> {
    if !args.has("--offline") {
        setup::prepare(Purpose::Everything, args.has("--yes") || std::env::var_os("CI").is_some())?;
    }
    let metadata = workspace::metadata()?;
    // Not below the target folder: a socket's path must be short.
    let home = std::env::temp_dir().join(format!("atelier-test-{}", std::process::id()));
    let bench = Bench { offline: args.has("--offline"), home, metadata };
    let mut lines = Vec::new();
    let mut stopped = false;
    for (part, body) in bench.parts() {
        if stopped {
            lines.push(Line { part, outcome: Outcome::LeftOut("not reached".to_owned()), took: Duration::ZERO });
            continue;
        }
        run::heading(part);
        let begun = Instant::now();
        let outcome = body().unwrap_or_else(Outcome::Failed);
        match &outcome {
            Outcome::Passed => {}
            Outcome::LeftOut(reason) => println!("left out: {reason}"),
            Outcome::Failed(failure) => {
                println!("{part}: {failure}");
                stopped = !args.has("--keep-going");
            }
        }
        lines.push(Line { part, outcome, took: begun.elapsed() });
    }
    let _ = std::fs::remove_dir_all(&bench.home); // there only where a test left something
    print!("\n{}", table(&lines));
    let seconds: serde_json::Map<String, Value> =
        lines.iter().map(|line| (format!("{}, s", line.part), line.took.as_secs_f64().into())).collect();
    record::keep("test", &Value::Null, &Value::Object(seconds))?;
    verdict(lines)
}

/// What the parts share.
struct Bench {
    offline: bool,
    home: std::path::PathBuf,
    metadata: Value,
}

impl Bench {
    fn parts(&self) -> Vec<(&'static str, Body<'_>)> {
        vec![
            ("rustfmt", Box::new(|| passed(run::check(self.cargo("fmt").args(["--all", "--check"]))))),
            ("tidy", Box::new(|| passed(tidy::check()))),
            ("page: types", Box::new(|| self.npm("check"))),
            ("page: lints", Box::new(|| self.npm("lint"))),
            ("page: tests", Box::new(|| self.npm("test"))),
            // Before anything of the shell is compiled: it embeds the page.
            ("page: build", Box::new(|| self.npm("build"))),
            ("clippy", Box::new(|| self.clippy())),
            ("rust tests", Box::new(|| self.rust_tests())),
            ("real engine", Box::new(|| self.real_engine())),
            ("loopback only", Box::new(|| self.loopback_only())),
            ("sandbox", Box::new(|| self.sandbox())),
            ("licences", Box::new(|| self.licences())),
            ("window tests", Box::new(|| self.window_tests())),
        ]
    }

    /// `cargo NAME`, for a test: no model server, no display and no data folder of the user's.
    fn cargo(&self, name: &str) -> Command {
        let mut cargo = workspace::cargo();
        cargo.arg(name).env("ATELIER_HOME", &self.home);
        for outside in ["OLLAMA_HOST", "DISPLAY", "WAYLAND_DISPLAY"] {
            cargo.env_remove(outside);
        }
        cargo
    }

    /// `cargo NAME --locked` over the whole workspace: always the same set of packages, so that nothing is compiled
    /// again because another set wants other features.
    fn whole(&self, name: &str) -> Command {
        let mut cargo = self.cargo(name);
        cargo.args(["--workspace", "--locked"]);
        if self.offline {
            // By the environment, because a part may say it once more.
            cargo.env("CARGO_NET_OFFLINE", "true");
        }
        cargo
    }

    fn npm(&self, script: &str) -> Result<Outcome, Failure> {
        if !node::current(&workspace::ui()) {
            node::check()?;
            return Err(Failure::Environment(
                "the page's packages do not match ui/package-lock.json; run `cargo xtask setup`".to_owned(),
            ));
        }
        passed(run::check(node::npm().args(["run", script]).env("CI", "1")))
    }

    fn clippy(&self) -> Result<Outcome, Failure> {
        passed(run::check(self.whole("clippy").args(["--all-targets", "--", "-D", "warnings"])))
    }

    /// All Rust tests but those with a part of their own: library and program tests, test files, examples and documentation.
    fn rust_tests(&self) -> Result<Outcome, Failure> {
        // Tests may run the programs.
        run::check(self.whole("build").arg("--bins"))?;
        let mut cargo = self.whole("test");
        // One red suite says nothing about the others.
        cargo.args(["--no-fail-fast", "--lib", "--bins", "--examples"]);
        for name in test_files(&self.metadata).iter().filter(|name| ![WINDOW, REAL].contains(&name.as_str())) {
            cargo.args(["--test", name]);
        }
        run::check(self.with_programs(&mut cargo)?)?;
        passed(run::check(self.whole("test").arg("--doc")))
    }

    /// What holds with the scripted server holds with a real one.
    fn real_engine(&self) -> Result<Outcome, Failure> {
        let python = match real_engine::python(self.offline) {
            Ok(python) => python,
            Err(reason) => return Ok(Outcome::LeftOut(reason)),
        };
        let mut tests = self.whole("test");
        tests.args(["--test", REAL]).env("ATELIER_ENGINE_PYTHON", python);
        passed(run::check(self.with_programs(&mut tests)?))
    }

    /// The main job needs no network.
    fn loopback_only(&self) -> Result<Outcome, Failure> {
        let mut tests = self.whole("test");
        tests.args(["--test", "scenarios", "main_job"]).env("CARGO_NET_OFFLINE", "true");
        match loopback::only(self.with_programs(&mut tests)?) {
            Ok(mut inside) => passed(run::check(&mut inside)),
            Err(reason) => Ok(Outcome::LeftOut(reason)),
        }
    }

    /// Prints what confined the checks in the tests; fails where nothing does although the kernel could.
    fn sandbox(&self) -> Result<Outcome, Failure> {
        run::check(self.whole("build").args(["--example", "mechanism"]))?;
        let example = workspace::built(&self.metadata, false).join("examples").join("mechanism");
        passed(run::check(&mut Command::new(example)))
    }

    fn licences(&self) -> Result<Outcome, Failure> {
        if run::ask("cargo", &["deny", "--version"]).is_none() {
            return Ok(Outcome::LeftOut(
                "cargo-deny is not installed (`cargo install cargo-deny --locked`)".to_owned(),
            ));
        }
        // Advisories need the network and change without us; they are not part of whether this commit is right.
        passed(run::check(self.cargo("deny").args(["check", "bans", "licenses", "sources"])))
    }

    fn window_tests(&self) -> Result<Outcome, Failure> {
        if !cfg!(target_os = "linux") {
            return Ok(Outcome::LeftOut("they drive WebKitGTK, which is on Linux only".to_owned()));
        }
        run::check(self.whole("build").arg("--bins"))?;
        let mut tests = self.whole("test");
        tests.args(["--test", WINDOW, "--", "--test-threads=1"]);
        self.with_programs(&mut tests)?.env("LIBGL_ALWAYS_SOFTWARE", "1");
        passed(run::check(&mut on_virtual_display(&tests)))
    }

    /// Says where the programs are.
    fn with_programs<'a>(&self, command: &'a mut Command) -> Result<&'a mut Command, Failure> {
        for (name, package) in [("ATELIER_APP", "atelier-app"), ("ATELIER_CLI", "atelier-cli")] {
            command.env(name, workspace::program(&self.metadata, package, false)?);
        }
        Ok(command)
    }
}

/// The test file that needs a display.
const WINDOW: &str = "window";
/// The test file that needs a real engine.
const REAL: &str = "real";

fn passed(result: Result<(), Failure>) -> Result<Outcome, Failure> {
    result.map(|()| Outcome::Passed)
}

/// The names of all test files of the workspace, each once.
fn test_files(metadata: &Value) -> Vec<String> {
    let packages = workspace::package_names(metadata);
    let mut names: Vec<String> =
        packages.iter().flat_map(|package| workspace::target_names(metadata, package, "test")).collect();
    names.sort();
    names.dedup();
    names
}

/// The same command on a virtual display of its own, with a message bus of its own.
pub fn on_virtual_display(command: &Command) -> Command {
    let mut display = Command::new("xvfb-run");
    display.args(["--auto-servernum", "--server-args", "-screen 0 1280x900x24", "dbus-run-session", "--"]);
    display.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        display.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => display.env(name, value),
            None => display.env_remove(name),
        };
    }
    display
}

fn table(lines: &[Line]) -> String {
    let mut text = format!("{:<14} {:<9} {:>8}\n", "part", "result", "seconds");
    for Line { part, outcome, took } in lines {
        let (result, note) = match outcome {
            Outcome::Passed => ("passed", String::new()),
            Outcome::LeftOut(reason) => ("left out", format!("  {reason}")),
            Outcome::Failed(_) => ("FAILED", String::new()),
        };
        text.push_str(&format!("{part:<14} {result:<9} {:>8.1}{note}\n", took.as_secs_f64()));
    }
    text
}

/// The last line: the first failure decides.
fn verdict(lines: Vec<Line>) -> Result<(), Failure> {
    let failed: Vec<&str> =
        lines.iter().filter(|line| matches!(line.outcome, Outcome::Failed(_))).map(|line| line.part).collect();
    let names = failed.join(", ");
    match lines
        .into_iter()
        .find_map(|line| if let Outcome::Failed(failure) = line.outcome { Some(failure) } else { None })
    {
        None => {
            println!("\nAll parts passed.");
            Ok(())
        }
        Some(Failure::Environment(text)) => Err(Failure::Environment(format!("failed: {names}. {text}"))),
        Some(other) => Err(Failure::Work(format!("failed: {names}. {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(part: &'static str, outcome: Outcome) -> Line {
        Line { part, outcome, took: Duration::from_millis(1234) }
    }

    #[test]
    fn the_table_says_what_passed_failed_and_was_left_out() {
        let lines = [
            line("rustfmt", Outcome::Passed),
            line("clippy", Outcome::Failed(Failure::Work("x".to_owned()))),
            line("licences", Outcome::LeftOut("not installed".to_owned())),
        ];
        let expected = "\
part           result     seconds
rustfmt        passed         1.2
clippy         FAILED         1.2
licences       left out       1.2  not installed
";
        assert_eq!(table(&lines), expected);
    }

    #[test]
    fn one_failed_part_fails_the_whole_and_is_named() {
        assert_eq!(verdict(vec![line("a", Outcome::Passed), line("b", Outcome::LeftOut(String::new()))]), Ok(()));
        let failed = verdict(vec![
            line("clippy", Outcome::Failed(Failure::Work("`cargo clippy` failed".to_owned()))),
            line("page: tests", Outcome::Failed(Failure::Work("y".to_owned()))),
        ])
        .unwrap_err();
        assert_eq!(failed.to_string(), "failed: clippy, page: tests. `cargo clippy` failed");
        assert_eq!(failed.exit_code(), 1);
        let lacks = verdict(vec![line("page: types", Outcome::Failed(Failure::Environment("no Node".to_owned())))]);
        assert_eq!(lacks.unwrap_err().exit_code(), 6);
    }

    #[test]
    fn test_files_of_all_packages_are_found_once() {
        let test = |name: &str| json!({ "kind": ["test"], "name": name });
        let metadata = json!({ "packages": [
            { "name": "a", "targets": [test("window"), test("story")] },
            { "name": "b", "targets": [test("story"), { "kind": ["lib"], "name": "b" }] },
        ]});
        assert_eq!(test_files(&metadata), ["story", "window"]);
    }

    #[test]
    fn a_command_keeps_its_words_folder_and_variables_on_the_virtual_display() {
        let mut command = Command::new("cargo");
        command.args(["test", "--test", "window"]).current_dir("/w").env("A", "1").env_remove("DISPLAY");
        let display = on_virtual_display(&command);
        let words: Vec<_> = display.get_args().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(words[4..], ["--", "cargo", "test", "--test", "window"]);
        assert_eq!(display.get_current_dir(), Some(std::path::Path::new("/w")));
        assert_eq!(display.get_envs().count(), 2);
    }
}
