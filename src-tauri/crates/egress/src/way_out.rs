//! The one way out of a command that runs in a network namespace of its own.
//!
//! Nothing is in that namespace but a loopback, and whoever listens there is this: a proxy on [`WayOut::ports`]'s first port,
//! and each port of this machine that the pass names, under its own number. So no pass is shown: who comes this way is the
//! command. A connection past the proxy finds no route.

use crate::pass::{Account, Pass};
use crate::place::is_here;
use crate::request::{self, Asked, IN_THE_OPEN};
use crate::send::{Egress, Shared};
use crate::tunnel::{self, ESTABLISHED, Refusal, Wish};
use atelier_protocol::event::Reached;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// For how long what is under way may go on when the command has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Where the proxy is, unless the pass names that port of this machine for itself.
const PROXY: u16 = 3128;

/// The way out of one command. Dropping it closes every tunnel.
pub struct WayOut {
    shared: Arc<Inside>,
    /// The proxy's port, then those of this machine.
    listeners: Vec<(u16, Option<String>)>,
    listening: Mutex<Vec<AbortHandle>>,
}

struct Inside {
    door: Arc<Shared>,
    pass: Pass,
    account: Account,
    /// How many connections are open.
    open: watch::Sender<usize>,
}

/// A connection that is open.
struct Open(Arc<Inside>);

impl Open {
    fn new(inside: Arc<Inside>) -> Self {
        inside.open.send_modify(|open| *open += 1);
        Self(inside)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}

impl WayOut {
    /// A way to the hosts of `pass`; it opens with [`WayOut::serve`].
    pub fn new(egress: &Egress, pass: Pass) -> Self {
        let mut here: Vec<(u16, Option<String>)> = Vec::new();
        for (name, port) in pass.ports_here() {
            if here.iter().all(|(known, _)| *known != port) {
                here.push((port, Some(name)));
            }
        }
        let proxy = (PROXY..).find(|port| here.iter().all(|(known, _)| known != port)).unwrap_or(PROXY);
        let shared = Arc::new(Inside {
            door: egress.shared.clone(),
            pass,
            account: Account::default(),
            open: watch::channel(0).0,
        });
        let listeners = [(proxy, None)].into_iter().chain(here).collect();
        Self { shared, listeners, listening: Mutex::default() }
    }

    /// The ports of the command's loopback where somebody is to listen.
    pub fn ports(&self) -> Vec<u16> {
        self.listeners.iter().map(|(port, _)| *port).collect()
    }

    /// The variables by which programs find the proxy. They go to their own loopback without it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let port = self.listeners.first().map_or(PROXY, |(port, _)| *port);
        let url = format!("http://127.0.0.1:{port}");
        let proxies = [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "http_proxy",
            "https_proxy",
            "all_proxy",
            // Programs that read their own settings first.
            "CARGO_HTTP_PROXY",
            "PIP_PROXY",
            "npm_config_proxy",
            "npm_config_https_proxy",
            "YARN_HTTP_PROXY",
            "YARN_HTTPS_PROXY",
        ];
        let direct = ["NO_PROXY", "no_proxy", "npm_config_noproxy"];
        let proxies = proxies.iter().map(|name| ((*name).to_owned(), url.clone()));
        let direct = direct.iter().map(|name| ((*name).to_owned(), "localhost,127.0.0.1,::1".to_owned()));
        // Node itself looks at the variables above only where it is told to.
        let node = ("NODE_USE_ENV_PROXY".to_owned(), "1".to_owned());
        proxies.chain(direct).chain([node]).collect()
    }

    /// Serves the command through listeners on its loopback, in the order of [`WayOut::ports`]. Must be called on a tokio
    /// runtime.
    ///
    /// # Errors
    /// A listener cannot be used.
    pub fn serve(&self, listeners: Vec<TcpListener>) -> io::Result<()> {
        for (listener, (port, host)) in listeners.into_iter().zip(&self.listeners) {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let (inside, port, host) = (self.shared.clone(), *port, host.clone());
            let serving = tunnel::accept(listener, move |client| {
                let (open, host) = (Open::new(inside.clone()), host.clone());
                async move {
                    match host {
                        Some(host) => open.0.carry(client, &host, port).await,
                        None => open.0.proxy(client).await,
                    }
                }
            });
            let task = tokio::spawn(serving).abort_handle();
            self.listening.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        }
        Ok(())
    }

    /// Resolves when what the command said last has gone through, or nobody takes it.
    pub async fn finished(&self) {
        let mut open = self.shared.open.subscribe();
        let _ = tokio::time::timeout(LAST_WORDS, open.wait_for(|open| *open == 0)).await;
    }

    /// What was reached and refused so far, by host.
    pub fn reached(&self) -> Vec<Reached> {
        self.shared.account.all()
    }
}

impl Drop for WayOut {
    fn drop(&mut self) {
        for task in self.listening.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}

impl Inside {
    fn wish<'a>(&'a self, host: &'a str, port: u16) -> Wish<'a> {
        Wish { door: &self.door, pass: &self.pass, account: &self.account, host, port }
    }

    /// A port of this machine. Whoever connects to it is told nothing but what the other side says.
    async fn carry(&self, mut client: TcpStream, host: &str, port: u16) {
        let _ = self.wish(host, port).open(&mut client, b"").await;
    }

    async fn proxy(&self, mut client: TcpStream) {
        let Some(head) = request::head(&mut client).await else { return };
        if let Err(refusal) = self.pass_on(&mut client, &head).await {
            tunnel::turn_away(&mut client, refusal).await;
        }
    }

    async fn pass_on(&self, client: &mut TcpStream, head: &str) -> Result<(), Refusal> {
        match request::asked(head)? {
            Asked::Tunnel(host, port, _) => self.wish(&host, port).open(client, ESTABLISHED).await,
            Asked::Plain(host, port) => {
                let hint =
                    if is_here(&host) { "this machine is asked directly, not through the proxy" } else { IN_THE_OPEN };
                Err(self.wish(&host, port).refused("405 Method Not Allowed", hint.to_owned()).await)
            }
        }
    }
}
