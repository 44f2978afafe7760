//! Sends one request within its time limits.
//!
//! Redirects are answers like any other and never followed, so a header meant for one host cannot reach another.
//! No `Origin` is sent. Requests to this machine take no proxy and one connection each, which ends with the response.

use crate::errand::Errand;
use crate::ledger::{Ids, Ledger, Tally};
use crate::place::Place;
use crate::policy::EgressPolicy;
use atelier_protocol::event::{EgressEntry, EgressNote};
use atelier_protocol::ports::{Http, HttpError, HttpLimits, HttpRequest, HttpResponse, Method};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use reqwest::header::HeaderValue;
use reqwest::{Client, redirect};
use secrecy::ExposeSecret;
use std::collections::HashMap;
use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The purpose of a question about a server itself: what it is, what it has, what it has loaded. It carries nothing of a
/// project.
const ABOUT_THE_SERVER: &str = "models";

/// How long a connection to a server on this machine is kept for the next request. Shorter than any of these servers
/// does (5 s by llama.cpp's, vLLM's and LM Studio's), so that a request does not meet the end of its connection.
const KEPT_OPEN: Duration = Duration::from_secs(2);

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Egress {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) policy: Arc<EgressPolicy>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) ids: Ids,
    /// One client per place and connect limit, because a client has one limit; there are two or three of them.
    clients: Mutex<HashMap<(bool, Duration), Client>>,
}

impl Egress {
    /// A door under `policy` that keeps its record in `ledger`.
    pub fn new(policy: Arc<EgressPolicy>, ledger: Arc<dyn Ledger>) -> Self {
        Self { shared: Arc::new(Shared { policy, ledger, ids: Ids::new(), clients: Mutex::default() }) }
    }

    /// The door for one errand.
    pub fn on(&self, errand: Errand) -> Arc<dyn Http> {
        Arc::new(OnErrand { shared: self.shared.clone(), errand })
    }

    /// Resolves when the ledger has every exchange that has ended.
    pub async fn settled(&self) {
        self.shared.ledger.settled().await;
    }

    /// The rule it keeps.
    pub fn policy(&self) -> &Arc<EgressPolicy> {
        &self.shared.policy
    }
}

impl Http for Egress {
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>> {
        async move { self.shared.exchange(request, &Errand::default()).await }.boxed()
    }
}

struct OnErrand {
    shared: Arc<Shared>,
    errand: Errand,
}

impl Http for OnErrand {
    fn send(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpError>> {
        self.shared.exchange(request, &self.errand).boxed()
    }
}

impl Shared {
    /// Why a request to another machine may not be made; `None` where it may.
    fn refusal(&self, place: &Place, request: &HttpRequest, errand: &Errand) -> Option<HttpError> {
        let host = || place.host.clone();
        if self.policy.local_only() {
            return Some(HttpError::LocalOnly { host: host() });
        }
        if place.is_open() {
            let reason = "another machine is only spoken to over https".to_owned();
            return Some(HttpError::BadUrl { url: request.url.clone(), reason });
        }
        let permitted = || match (&errand.project, &errand.provider) {
            (Some(project), Some(provider)) => self.policy.permits(project, provider, &place.host),
            _ => false,
        };
        let about_itself = request.purpose == ABOUT_THE_SERVER;
        if about_itself || permitted() { None } else { Some(HttpError::NotPermitted { host: host() }) }
    }

    /// Decides about a request and records the decision, before anything is opened. `None` in place of a tally: nothing
    /// is kept about questions that a server on this machine is asked about itself.
    async fn admit(&self, request: &HttpRequest, errand: &Errand) -> Result<(Place, Option<Tally>), HttpError> {
        let bad = |reason: &str| HttpError::BadUrl { url: request.url.clone(), reason: reason.to_owned() };
        let place = Place::of(&request.url).map_err(bad)?;
        let about_itself = request.purpose == ABOUT_THE_SERVER;
        if place.here && about_itself {
            return Ok((place, None));
        }
        let local = place.here && !errand.passed_on;
        let refusal = if local { None } else { self.refusal(&place, request, errand) };
        let entry = EgressEntry {
            id: self.ids.next(),
            purpose: request.purpose.to_owned(),
            role: errand.role.clone(),
            run: errand.run.clone(),
            project: errand.project.clone(),
            provider: errand.provider.clone(),
            host: place.host.clone(),
            local,
            refused: refusal.as_ref().map(ToString::to_string),
            bytes_out: if refusal.is_none() { request.body.len() as u64 } else { 0 },
        };
        let not_recorded = |reason| HttpError::NotRecorded { host: place.host.clone(), reason };
        if let Some(refusal) = refusal {
            if let Err(reason) = self.ledger.keep(EgressNote::Begun { entry }).await {
                return Err(not_recorded(reason));
            }
            return Err(refusal);
        }
        match Tally::begin(&*self.ledger, entry).await {
            Ok(tally) => Ok((place, Some(tally))),
            Err(reason) => Err(not_recorded(reason)),
        }
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
                .pool_idle_timeout(KEPT_OPEN)
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

    async fn exchange(&self, request: HttpRequest, errand: &Errand) -> Result<HttpResponse, HttpError> {
        let (Place { url, host, here }, mut tally) = self.admit(&request, errand).await?;
        let limits = request.limits;
        let client = self.client(here, limits.connect).map_err(|error| failure(&error, &host, limits))?;
        let mut building = match request.method {
            Method::Get => client.get(url),
            Method::Post => client.post(url),
        };
        for (name, value) in &request.headers {
            building = building.header(name, value);
        }
        if let Some((name, value)) = errand.credential.as_ref().and_then(|credential| credential.header_for(&host)) {
            // Marked, so that no layer below prints it or keeps it in a table of headers.
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| HttpError::BadUrl {
                url: host.clone(),
                reason: "its key holds characters that a header cannot carry".to_owned(),
            })?;
            value.set_sensitive(true);
            building = building.header(name, value);
        }
        if !request.body.is_empty() {
            building = building.body(request.body);
        }
        let response = match tokio::time::timeout(limits.head, building.send()).await {
            Ok(sent) => sent.map_err(|error| failure(&error, &host, limits))?,
            Err(_) => return Err(HttpError::Timeout { host, act: "answer", seconds: seconds(limits.head) }),
        };
        let header = |(name, value): (&reqwest::header::HeaderName, &HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let status = response.status().as_u16();
        if let Some(tally) = &mut tally {
            tally.status(status);
        }
        Ok(HttpResponse {
            status,
            headers: response.headers().iter().map(header).collect(),
            body: Box::pin(body(response.bytes_stream().boxed(), host, limits, tally)),
        })
    }
}

/// The body, which must go on within the idle limit.
fn body(
    chunks: stream::BoxStream<'static, Result<Bytes, reqwest::Error>>,
    host: String,
    limits: HttpLimits,
    tally: Option<Tally>,
) -> impl Stream<Item = Result<Bytes, HttpError>> + Send {
    stream::unfold(Some((chunks, host, tally)), move |state| async move {
        let (mut chunks, host, mut tally) = state?;
        match tokio::time::timeout(limits.idle, chunks.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(chunk))) => {
                if let Some(tally) = &mut tally {
                    tally.arrived(chunk.len());
                }
                Some((Ok(chunk), Some((chunks, host, tally))))
            }
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
