//! A real engine: llama.cpp's own server on loopback, serving a model file that a test made.
//!
//! It comes as a Python wheel, which `cargo xtask test` puts into a virtual environment below `target/`. Where that is
//! not, [`python`] says what is missing; a test then prints it and ends, and `cargo xtask test` shows the part as left out.

use crate::playbook::Playbook;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The Python that has the engine.
///
/// # Errors
/// With what is missing, in a sentence.
pub fn python() -> Result<PathBuf, String> {
    let there = std::env::var_os("ATELIER_ENGINE_PYTHON").map_or_else(
        || {
            let folder = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/real-engine").join(folder)
        },
        PathBuf::from,
    );
    if there.is_file() {
        Ok(there)
    } else {
        Err(format!("there is no real engine at {}; `cargo xtask test` puts one there", there.display()))
    }
}

/// A running engine. Dropping it ends it.
pub struct RealEngine {
    process: Child,
    url: String,
    /// Holds the model file; removed at the end.
    _folder: tempfile::TempDir,
}

impl RealEngine {
    /// Serves what a playbook becomes, in a context of so many tokens. `endless` goes on when that is full.
    pub fn start(python: &Path, playbook: &Playbook, context: u32, endless: bool) -> Self {
        let endless = endless.then_some("--endless");
        Self::serving(
            python,
            playbook,
            &["--context", &context.to_string()].into_iter().chain(endless).collect::<Vec<_>>(),
        )
    }

    /// Serves vectors of texts, and no answers.
    pub fn of_vectors(python: &Path, playbook: &Playbook) -> Self {
        Self::serving(python, playbook, &["--vectors"])
    }

    #[expect(clippy::expect_used, clippy::panic, reason = "a harness fails loudly")]
    fn serving(python: &Path, playbook: &Playbook, how: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("atelier-real-").tempdir().expect("a temporary folder");
        let model = folder.path().join("playbook.gguf");
        std::fs::write(&model, playbook.model()).expect("the model file is written");
        let mut process = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("real/serve.py"))
            .arg(&model)
            .args(how)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.path().join("log")).expect("a log"))
            .spawn()
            .expect("the engine starts");
        let lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let ready = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("READY ").map(str::to_owned));
        let Some(url) = ready else {
            let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            panic!("the engine does not serve the model: {log}")
        };
        Self { process, url, _folder: folder }
    }
    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for RealEngine {
    fn drop(&mut self) {
        // It may have ended by itself; nothing is left to do then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
