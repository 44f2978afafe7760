//! Runs the real `atelier` program as a user would.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The program under test with the folders and model server of one world.
#[derive(Clone)]
pub struct Cli {
    home: PathBuf,
    project: PathBuf,
    server: String,
}

/// What the program said with `--json`.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub exit: i32,
    /// Its lines.
    pub lines: Vec<Value>,
    /// What it told people.
    pub text: String,
}

impl Said {
    /// The last line, a result or an error.
    pub fn last(&self) -> &Value {
        self.lines.last().unwrap_or(&Value::Null)
    }
    /// The error's code; empty where it ended well.
    pub fn code(&self) -> &str {
        self.last()["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Cli {
    /// The program in a world.
    pub fn new(home: &Path, project: &Path, server: &str) -> Self {
        Self { home: home.to_owned(), project: project.to_owned(), server: server.to_owned() }
    }

    /// The same with another project.
    pub fn at(&self, project: &Path) -> Self {
        Self { project: project.to_owned(), ..self.clone() }
    }

    /// The same with another model server.
    pub fn asking(&self, server: &str) -> Self {
        Self { server: server.to_owned(), ..self.clone() }
    }

    /// The command, ready to be started. Whoever starts a run has looked at what the project brings along.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.plain(&["--server", &self.server]);
        command.args(arguments);
        if arguments.contains(&"run") {
            command.args(["--approve", "project_commands"]);
        }
        command
    }

    /// The same with the model servers of the settings.
    pub fn plain(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(["--json", "--project"])
            .arg(&self.project)
            .args(arguments)
            .env("ATELIER_HOME", &self.home)
            .env("ATELIER_KEYCHAIN", "off")
            .env_remove("ATELIER_SERVER")
            .env_remove("OLLAMA_HOST")
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    #[expect(clippy::expect_used, reason = "a harness fails loudly")]
    pub fn run(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments).output().expect("the program starts"))
    }
}

/// What a command that ended said.
pub fn said(output: Output) -> Said {
    let out = String::from_utf8_lossy(&output.stdout);
    Said {
        exit: output.status.code().unwrap_or(-1),
        lines: out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
        text: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The program: the one that `ATELIER_CLI` names, else built once for all scenarios, because cargo does not build
/// another package's program for a test.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| std::env::var_os("ATELIER_CLI").map_or_else(build, PathBuf::from))
}

#[expect(clippy::expect_used, clippy::panic, reason = "a harness fails loudly")]
fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--locked", "--package", "atelier-cli", "--message-format", "json-render-diagnostics"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo starts");
    let text = String::from_utf8_lossy(&built.stdout);
    let executable = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
        let named = message["target"]["name"] == "atelier";
        message["executable"].as_str().filter(|_| named).map(PathBuf::from)
    });
    executable.unwrap_or_else(|| panic!("`atelier` was not built: {}", built.status))
}
