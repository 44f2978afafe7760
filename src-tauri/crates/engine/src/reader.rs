//! Reads files of other formats in a process of their own, confined to the file and without network.
//!
//! The program starts itself again ([`serve_if_asked`], first thing in `main`), so that a reader that breaks, runs on or
//! asks for gigabytes costs that process and nothing else.

use crate::places::Places;
use atelier_documents::{Answer, ReadError, Request};
use atelier_protocol::document::{Document, TableAnswer};
use atelier_protocol::error::{Code, Problem};
use atelier_sandbox::{Sandbox, Spec};
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// The argument that makes the program a reader.
const READER: &str = "--as-document-reader";
/// How long a reader may work.
const PATIENCE: Duration = Duration::from_secs(90);
/// Bytes of an answer.
const ANSWER: usize = 64 << 20;

/// A way to read documents.
#[derive(Debug, Clone)]
pub struct Reader {
    program: PathBuf,
    home: PathBuf,
    sandbox: Sandbox,
}

/// Does a reader's work where the program was started as one. Nothing else of the program may have begun.
pub fn serve_if_asked(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if arguments.next()? != READER {
        return None;
    }
    let request = arguments.next().unwrap_or_default();
    let line = atelier_documents::serve(&request.to_string_lossy(), &atelier_search::outline);
    let said = writeln!(std::io::stdout(), "{line}");
    Some(if said.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Reader {
    /// The reader of a program that opens no workshop.
    pub async fn of_this_user() -> Result<Self, Problem> {
        let places = Places::of_this_user()?;
        let sandbox = crate::desk::blocking(|| Ok(Sandbox::detect())).await?;
        Self::of_this_program(&places, sandbox)
    }

    /// The reader that this program is too.
    pub fn of_this_program(places: &Places, sandbox: Sandbox) -> Result<Self, Problem> {
        let program = std::env::current_exe().map_err(|error| {
            Problem::new(Code::Io, format!("The program cannot find itself: {error}"), "Start it by its whole path.")
        })?;
        Ok(Self { program, home: places.reader_home(), sandbox })
    }

    /// A file as text with anchors.
    pub async fn read(&self, file: &Path) -> Result<Document, Problem> {
        let path = real(file)?;
        match self.ask(&Request::Read { path: path.clone() }, &path).await? {
            Answer::Document { document } => Ok(*document),
            other => Err(refused(other)),
        }
    }

    /// The answer to one SELECT over a file's tables.
    pub async fn query(&self, file: &Path, sql: &str) -> Result<TableAnswer, Problem> {
        let path = real(file)?;
        match self.ask(&Request::Query { path: path.clone(), sql: sql.to_owned() }, &path).await? {
            Answer::Table { table } => Ok(table),
            other => Err(refused(other)),
        }
    }

    async fn ask(&self, request: &Request, file: &Path) -> Result<Answer, Problem> {
        std::fs::create_dir_all(&self.home).map_err(|error| {
            let message = format!("The folder {} cannot be made: {error}", self.home.display());
            Problem::new(Code::Io, message, "Check free space and permissions.")
        })?;
        let request = serde_json::to_string(request).map_err(|error| given_up(error.to_string()))?;
        let program = self.program.to_string_lossy().into_owned();
        let mut spec = Spec::new([program, READER.to_owned(), request], &self.home, &self.home);
        spec.read_only = vec![file.to_owned(), self.program.clone()];
        spec.timeout = PATIENCE;
        spec.max_output = ANSWER;
        let ran = self.sandbox.run(spec, std::future::pending(), |_| {}).await.map_err(Problem::from)?;
        if ran.timed_out {
            return Err(given_up(format!("it took more than {} s", PATIENCE.as_secs())));
        }
        if ran.output_bytes > ANSWER as u64 {
            return Err(given_up("what it makes of the file is too large".to_owned()));
        }
        if !ran.succeeded() {
            tracing::debug!(output = %String::from_utf8_lossy(&ran.output), "a document's reader broke off");
            return Err(given_up("it broke off, or asked for more memory or time than it may have".to_owned()));
        }
        serde_json::from_slice(&ran.output).map_err(|error| given_up(format!("its answer cannot be read: {error}")))
    }
}

/// Where a file really is, so that what the reader may open is the file and no link to another.
fn real(file: &Path) -> Result<PathBuf, Problem> {
    file.canonicalize().map_err(|error| {
        let name = file.to_string_lossy().into_owned();
        Problem::from(ReadError::Open { name, reason: error.to_string() })
    })
}

fn given_up(reason: String) -> Problem {
    Problem::from(ReadError::GivenUp { reason })
}

fn refused(answer: Answer) -> Problem {
    match answer {
        Answer::Refused { error } => Problem::from(error),
        Answer::Document { .. } | Answer::Table { .. } => given_up("it answered something else".to_owned()),
    }
}
