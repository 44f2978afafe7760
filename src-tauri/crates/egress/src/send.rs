//! Sends one request within its time limits.
//!
//! Redirects are answers like any other and never followed, so a header meant for one host cannot reach another.
//! No `Origin` is sent. Requests to this machine take no proxy and one connection each, which ends with the response.

use crate::place::Place;
use crate::policy::{EgressPolicy, Record};
use atelier_protocol::ports::{Http, HttpError, HttpLimits, HttpRequest, HttpResponse, Method};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use reqwest::{Client, redirect};
use std::collections::HashMap;
use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The door. Cheap to share behind an `Arc`.
pub struct Egress {
    policy: Arc<EgressPolicy>,
    on_request: Box<dyn Fn(Record) + Send + Sync>,
    /// One client per place and connect limit, because a client has one limit; there are two or three of them.
    clients: Mutex<HashMap<(bool, Duration), Client>>,
}

impl Egress {
    /// A door under `policy`. `on_request` is told of every request to another machine before it is sent, and of every
    /// refusal; it must not block.
    pub fn new(policy: Arc<EgressPolicy>, on_request: impl Fn(Record) + Send + Sync + 'static) -> Self {
        Self { policy, on_request: Box::new(on_request), clients: Mutex::default() }
    }

    /// Decides about a request and records the decision, before anything is opened.
    fn admit(&self, request: &HttpRequest) -> Result<Place, HttpError> {
        let bad = |reason: &str| HttpError::BadUrl { url: request.url.clone(), reason: reason.to_owned() };
        let place = Place::of(&request.url).map_err(bad)?;
        if place.here {
            return Ok(place);
        }
        let refusal = if self.policy.local_only() {
            Some(HttpError::LocalOnly { host: place.host.clone() })
        } else if place.is_open() {
            Some(bad("another machine is only spoken to over https"))
        } else {
            None
        };
        (self.on_request)(Record {
            purpose: request.purpose,
            host: place.host.clone(),
            allowed: refusal.is_none(),
            bytes_out: if refusal.is_none() { request.body.len() as u64 } else { 0 },
        });
        refusal.map_or(Ok(place), Err)
    }

    fn client(&self, here: bool, connect: Duration) -> Result<Client, reqwest::Error> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&(here, connect)) {
            return Ok(client.clone());
        }
        let builder = Client::builder()
            .connect_timeout(connect)
            .redirect(redirect::Policy::none())
            .referer(false)
            .tls_backend_rustls()
            .user_agent(concat!("atelier/", env!("CARGO_PKG_VERSION")));
        let client = if here {
            builder
                .no_proxy()
                .pool_max_idle_per_host(0)
                // Never asks a resolver, which may be told to call another machine by this name.
                .resolve_to_addrs(
                    "localhost",
                    &[SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))],
                )
                // Spares the loading of the system's certificates for plain connections.
                .tls_certs_only([])
                .build()?
        } else {
            builder.https_only(true).build()?
        };
        clients.insert((here, connect), client.clone());
        Ok(client)
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let Place { url, host, here } = self.admit(&request)?;
        let limits = request.limits;
        let client = self.client(here, limits.connect).map_err(|error| failure(&error, &host, limits))?;
        let mut building = match request.method {
            Method::Get => client.get(url),
            Method::Post => client.post(url),
        };
        for (name, value) in &request.headers {
            building = building.header(name, value);
        }
        if !request.body.is_empty() {
            building = building.body(request.body);
        }
        let response = match tokio::time::timeout(limits.head, building.send()).await {
            Ok(sent) => sent.map_err(|error| failure(&error, &host, limits))?,
            Err(_) => return Err(HttpError::Timeout { host, act: "answer", seconds: seconds(limits.head) }),
        };
        let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Ok(HttpResponse {
            status: response.status().as_u16(),
            headers: response.headers().iter().map(header).collect(),
            body: Box::pin(body(response.bytes_stream().boxed(), host, limits)),
        })
    }
}

impl Http for Egress {
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>> {
        self.exchange(request).boxed()
    }
}

/// The body, which must go on within the idle limit.
fn body(
    chunks: stream::BoxStream<'static, Result<Bytes, reqwest::Error>>,
    host: String,
    limits: HttpLimits,
) -> impl Stream<Item = Result<Bytes, HttpError>> + Send {
    stream::unfold(Some((chunks, host)), move |state| async move {
        let (mut chunks, host) = state?;
        match tokio::time::timeout(limits.idle, chunks.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some((chunks, host)))),
            Ok(Some(Err(error))) => Some((Err(failure(&error, &host, limits)), None)),
            Err(_) => {
                let error = HttpError::Timeout { host, act: "go on", seconds: seconds(limits.idle) };
                Some((Err(error), None))
            }
        }
    })
}

fn failure(error: &reqwest::Error, host: &str, limits: HttpLimits) -> HttpError {
    let host = host.to_owned();
    if error.is_connect() && error.is_timeout() {
        return HttpError::Timeout { host, act: "connect", seconds: seconds(limits.connect) };
    }
    let reason = root(error);
    if error.is_connect() {
        HttpError::Connect { host, reason }
    } else if error.is_builder() {
        HttpError::BadUrl { url: error.url().map_or(host, ToString::to_string), reason }
    } else {
        HttpError::Broken { host, reason }
    }
}

/// What lies at the bottom of an error; the layers above only repeat the address.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// A limit in whole seconds, at least one.
fn seconds(limit: Duration) -> u64 {
    (limit.as_millis().div_ceil(1000) as u64).max(1)
}
