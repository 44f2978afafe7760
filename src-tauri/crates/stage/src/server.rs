//! Listens on loopback and hands every request to the script.

use crate::line::Line;
use crate::routes::Play;
use crate::script::Script;
use crate::transcript::{Bill, Exchange, Transcript, Unmatched};
use atelier_protocol::{Code, Problem};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::fs::OpenOptions;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

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
    transcript: Arc<Transcript>,
    listening: Option<JoinHandle<()>>,
}

impl Stage {
    /// Starts playing `script`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Where the port or the transcript's file cannot be had.
    pub async fn start(script: Script, options: Options) -> Result<Stage, StageError> {
        let bind = |source| StageError::Bind { port: options.port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.map_err(bind)?;
        let port = listener.local_addr().map_err(bind)?.port();
        let file = match options.transcript {
            None => None,
            Some(path) => match OpenOptions::new().create(true).append(true).open(&path) {
                Ok(file) => Some(file),
                Err(source) => return Err(StageError::Transcript { path, source }),
            },
        };
        let transcript = Arc::new(Transcript::new(file));
        let play = Arc::new(Play::new(script, transcript.clone()));
        let listening = Some(tokio::spawn(listen(listener, play)));
        Ok(Stage { port, transcript, listening })
    }
    /// Its address, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
    /// Every exchange so far, in the order of the requests.
    pub fn transcript(&self) -> Vec<Exchange> {
        self.transcript.exchanges()
    }
    /// The exchanges that asked for a chat.
    pub fn chats(&self) -> Vec<Exchange> {
        self.transcript().into_iter().filter(Exchange::is_chat).collect()
    }
    /// What all answers so far cost, by the stage's own count.
    pub fn bill(&self) -> Bill {
        Bill::of(&self.transcript())
    }
    /// The models in the order in which they were loaded, each as often as that was.
    pub fn loads(&self) -> Vec<String> {
        self.transcript.all_loads()
    }
    /// The chats that no turn answers. A test of a script asserts that there is none.
    pub fn unmatched(&self) -> Vec<Unmatched> {
        self.transcript.unmatched()
    }
    /// Stops and waits until the port is free and every connection closed.
    pub async fn stop(mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            // It ends by this abort alone; what is waited for is the freed port.
            let _aborted = listening.await;
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

/// Accepts until it is aborted; the connections are its children and end with it.
async fn listen(listener: TcpListener, play: Arc<Play>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, play.clone()));
                }
                Err(error) => tracing::warn!(%error, "the stage could not accept a connection"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, play: Arc<Play>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "small pieces may be held back");
    }
    let (line, reset) = Line::new(stream);
    let service = service_fn(move |request| {
        let (play, reset) = (play.clone(), reset.clone());
        async move { play.answer(request, reset).await }
    });
    // An error here is a client that hung up or a fault of the script; both are in the transcript.
    if let Err(error) =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(line), service).await
    {
        tracing::debug!(%error, "a connection of the stage was cut");
    }
}
