//! What a room takes from another room or from the machine, as small traits.
//!
//! No leaf names another leaf; `engine` and the programs hand these in.

use bytes::Bytes;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use std::pin::Pin;
use std::time::Duration;

/// Wall-clock and waiting, so that tests can step time.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970 UTC.
    fn now_ms(&self) -> u64;
    /// Resolves after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// Random bytes, so that a seed reproduces a run.
pub trait Entropy: Send + Sync + 'static {
    /// Ten fresh random bytes, the random part of an id.
    fn ten_bytes(&self) -> [u8; 10];
}

/// An HTTP request. `url` is absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET` or `POST`.
    pub method: Method,
    /// Absolute address.
    pub url: String,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Bytes,
    /// Why it is made, for the egress ledger.
    pub purpose: &'static str,
    /// Time limits.
    pub limits: HttpLimits,
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
}

/// Time limits of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Until the connection stands.
    pub connect: Duration,
    /// From sending until the response's head; must allow for loading a model.
    pub head: Duration,
    /// Between two chunks of the body.
    pub idle: Duration,
}

/// A response whose body streams. Dropping it closes the connection.
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Header names (lower case) and values.
    pub headers: Vec<(String, String)>,
    /// The body as it arrives.
    pub body: Pin<Box<dyn Stream<Item = Result<Bytes, HttpError>> + Send>>,
}

/// Why a request brought no (whole) response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Policy forbids this host; no socket was opened.
    #[error("{host} is another machine, and local-only mode is on")]
    LocalOnly {
        /// The host.
        host: String,
    },
    /// The user has not permitted material to leave for this host; no socket was opened.
    #[error("nothing may be sent to {host}: it was not permitted")]
    NotPermitted {
        /// The host.
        host: String,
    },
    /// The ledger could not be written, so nothing was sent.
    #[error("the request to {host} could not be recorded, so it was not made: {reason}")]
    NotRecorded {
        /// The host.
        host: String,
        /// The cause.
        reason: String,
    },
    /// The address is not one that can be requested.
    #[error("`{url}` cannot be requested: {reason}")]
    BadUrl {
        /// The address.
        url: String,
        /// Why.
        reason: String,
    },
    /// No connection.
    #[error("no connection to {host}: {reason}")]
    Connect {
        /// Host and port.
        host: String,
        /// The cause.
        reason: String,
    },
    /// A time limit passed.
    #[error("{host} did not {act} within {seconds} s")]
    Timeout {
        /// Host and port.
        host: String,
        /// `connect`, `answer` or `go on`.
        act: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// The connection broke after the request was sent.
    #[error("the connection to {host} broke: {reason}")]
    Broken {
        /// Host and port.
        host: String,
        /// The cause.
        reason: String,
    },
}

/// Sends HTTP requests. Implemented by `egress`.
pub trait Http: Send + Sync + 'static {
    /// Sends a request and resolves with the response's head.
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>>;
}
