//! The reading process: takes one request, answers in one line, and is gone.
//!
//! A reader that breaks, runs on or asks for gigabytes ends this process and nothing else. Who starts it confines it to
//! the file and takes away the network.

use crate::{Outline, ReadError, limits, query, read};
use atelier_protocol::document::{Document, DocumentFormat, TableAnswer};
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// What the process is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Read a file.
    Read {
        /// Where it is.
        path: PathBuf,
    },
    /// Answer a query over its tables.
    Query {
        /// Where it is.
        path: PathBuf,
        /// One SELECT.
        sql: String,
    },
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Answer {
    /// The file, read.
    Document {
        /// It.
        document: Box<Document>,
    },
    /// The answer to a query.
    Table {
        /// It.
        table: TableAnswer,
    },
    /// Neither, and why.
    Refused {
        /// Why.
        error: ReadError,
    },
}

/// Answers the request in `text`, within what the process may use. The answer is one line of JSON.
pub fn serve(text: &str, outline: Outline<'_>) -> String {
    bound();
    std::panic::set_hook(Box::new(|_| {})); // what broke is in the answer
    let broken = |reason: String| ReadError::GivenUp { reason };
    let reply = match serde_json::from_str::<Request>(text) {
        Err(error) => Err(broken(format!("the request cannot be read: {error}"))),
        Ok(request) => Ok(answer(&request, outline)),
    };
    let answer = reply.unwrap_or_else(|error| Answer::Refused { error });
    serde_json::to_string(&answer).unwrap_or_else(|error| format!("{{\"is\":\"broken\",\"why\":\"{error}\"}}"))
}

/// Answers a request in this process, unbounded and unconfined: for tests, and for files that are one's own.
pub fn answer(request: &Request, outline: Outline<'_>) -> Answer {
    let work = || match request {
        Request::Read { path } => read(path, outline).map(|document| Answer::Document { document: Box::new(document) }),
        Request::Query { path, sql } => query(path, sql).map(|table| Answer::Table { table }),
    };
    // A reader that panics has met a file that breaks its format's rules in a way nobody thought of.
    let answered = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let (Request::Read { path } | Request::Query { path, .. }) = request;
        let name = path.to_string_lossy();
        let format = crate::detect::by_name(&name).unwrap_or(DocumentFormat::Text);
        Err(ReadError::Damaged { format, reason: "its reader broke off".to_owned() })
    });
    answered.unwrap_or_else(|error| Answer::Refused { error })
}

/// Bounds what this process may use, for good.
fn bound() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let most = |n: u64| Rlimit { current: Some(n), maximum: Some(n) };
        // Best effort: the one who started the process has limits of its own on time and output.
        let _ = setrlimit(Resource::As, most(limits::PROCESS_MEMORY));
        let _ = setrlimit(Resource::Cpu, most(limits::PROCESS_SECONDS));
        let _ = setrlimit(Resource::Core, most(0));
        let _ = setrlimit(Resource::Fsize, most(0));
    }
}
