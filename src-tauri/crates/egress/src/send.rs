//! Sends one request within its time limits.

use crate::policy::{EgressPolicy, Record};
use atelier_protocol::ports::{Http, HttpError, HttpRequest, HttpResponse};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// The door. Cheap to share behind an `Arc`.
pub struct Egress {
    policy: Arc<EgressPolicy>,
    on_request: Box<dyn Fn(Record) + Send + Sync>,
}

impl Egress {
    /// A door under `policy`. `on_request` is told of every request to another machine before it is sent, and of every
    /// refusal; it must not block.
    pub fn new(policy: Arc<EgressPolicy>, on_request: impl Fn(Record) + Send + Sync + 'static) -> Self {
        Self { policy, on_request: Box::new(on_request) }
    }
}

impl Http for Egress {
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>> {
        async move {
            let _ = (&self.policy, &self.on_request);
            Err(HttpError::BadUrl { url: request.url, reason: "not sent yet".into() })
        }
        .boxed()
    }
}
