//! One connection of a program that has a pass, from its wish to its last byte.
//!
//! What it asks for is decided and recorded before anything is opened. Another machine is spoken to over TLS only, and a
//! name that leads back to this machine is refused unless the pass names this machine. What is inside is not read.

use crate::ledger::Tally;
use crate::pass::{Account, Pass};
use crate::place::is_here;
use crate::send::Shared;
use atelier_protocol::event::{EgressEntry, EgressNote};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Until the head of a request has come, and until the other side is reached.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// A tunnel in which nothing moves for so long is closed.
const IDLE: Duration = Duration::from_secs(300);

/// Why a client is not let through, with the status that says so.
pub(crate) struct Refusal(pub(crate) &'static str, pub(crate) String);

/// Takes connections until it is dropped, and ends those that are open with it.
pub(crate) async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut tunnels = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => drop(tunnels.spawn(serve(client))),
                Err(error) => {
                    tracing::warn!(%error, "a connection of a program cannot be taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = tunnels.join_next() => {}
        }
    }
}

/// What a client of a proxy is told once its tunnel is there.
pub(crate) const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection Established\r\n\r\n";

/// What a client asks for.
pub(crate) struct Wish<'a> {
    pub(crate) door: &'a Shared,
    pub(crate) pass: &'a Pass,
    pub(crate) account: &'a Account,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
}

impl Wish<'_> {
    fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn entry(&self, refused: Option<String>) -> EgressEntry {
        let pass = self.pass.clone();
        EgressEntry {
            id: self.door.ids.next(),
            purpose: pass.purpose,
            role: pass.role,
            run: pass.run,
            project: pass.project,
            provider: None,
            host: self.place(),
            local: is_here(self.host),
            refused,
            bytes_out: 0,
        }
    }

    /// Records that it was refused.
    pub(crate) async fn refused(&self, status: &'static str, why: String) -> Refusal {
        self.account.tried(&self.place(), Some(&why));
        match self.door.ledger.keep(EgressNote::Begun { entry: self.entry(Some(why.clone())) }).await {
            Ok(()) => Refusal(status, why),
            Err(reason) => unrecorded(&reason),
        }
    }

    /// Opens the tunnel, if it may be, and carries what goes through it to its end. `greeting` is what the client is told
    /// once the other side is there.
    pub(crate) async fn open(&self, client: &mut TcpStream, greeting: &[u8]) -> Result<(), Refusal> {
        if let Some(why) = self.pass.refusal(self.host, self.port, &self.door.policy) {
            return Err(self.refused("403 Forbidden", why).await);
        }
        let place = self.place();
        self.account.tried(&place, None);
        let begun = Tally::begin(&*self.door.ledger, self.entry(None)).await;
        let mut tally = begun.map_err(|reason| unrecorded(&reason))?;
        let unreachable = |why: String| Refusal("502 Bad Gateway", format!("{place} cannot be reached: {why}"));
        let connecting = tokio::time::timeout(PATIENCE, connect(self.host, self.port));
        let server =
            connecting.await.map_err(|_| unreachable("no answer".into()))?.map_err(|e| unreachable(e.to_string()))?;
        if client.write_all(greeting).await.is_ok() {
            self.carry(client, server, &place, &mut tally).await;
        }
        Ok(())
    }

    /// Carries bytes both ways until one side is done, nothing moves for long, or it would not be let through any more:
    /// local-only mode was turned on, or the permission taken back.
    async fn carry(&self, client: &mut TcpStream, mut server: TcpStream, place: &str, tally: &mut Tally) {
        let away = !is_here(self.host);
        let (mut from_client, mut from_server) = (vec![0u8; 16 * 1024], vec![0u8; 16 * 1024]);
        let (mut open_out, mut begun) = (true, false);
        loop {
            let moved = tokio::time::timeout(IDLE, async {
                tokio::select! {
                    read = client.read(&mut from_client), if open_out => read.map(|n| (true, n)),
                    read = server.read(&mut from_server) => read.map(|n| (false, n)),
                }
            });
            let Ok(Ok((out, n))) = moved.await else { return };
            if self.pass.refusal(self.host, self.port, &self.door.policy).is_some() {
                return;
            }
            match (out, n) {
                (true, 0) => {
                    open_out = false;
                    let _ = server.shutdown().await;
                }
                (false, 0) => return,
                (true, n) => {
                    // A TLS record of a handshake (RFC 8446, section 5.1).
                    if away && !begun && from_client[0] != 0x16 {
                        return;
                    }
                    begun = true;
                    // Counted first: who hears the answer may look at once.
                    tally.went(n);
                    self.account.moved(place, n, 0);
                    if server.write_all(&from_client[..n]).await.is_err() {
                        return;
                    }
                }
                (false, n) => {
                    tally.arrived(n);
                    self.account.moved(place, 0, n);
                    if client.write_all(&from_server[..n]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

fn unrecorded(reason: &str) -> Refusal {
    Refusal("503 Service Unavailable", format!("the ledger cannot be written: {reason}"))
}

/// Connects. This machine is never looked up, and a name that leads back to it without saying so is refused.
async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found: Vec<SocketAddr> = match host {
        "localhost" => vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()],
        _ => tokio::net::lookup_host((bare, port)).await?.collect(),
    };
    let meant = |address: &&SocketAddr| {
        let ip = address.ip().to_canonical();
        is_here(host) || !(ip.is_loopback() || ip.is_unspecified())
    };
    let mut last = io::Error::other("the name leads to this machine");
    for address in found.iter().filter(meant) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Answers a client that is not let through.
pub(crate) async fn turn_away(client: &mut TcpStream, Refusal(status, why): Refusal) {
    let challenge = if status.starts_with("407") { "Proxy-Authenticate: Basic realm=\"atelier\"\r\n" } else { "" };
    let answer = format!(
        "HTTP/1.1 {status}\r\n{challenge}Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{why}",
        why.len()
    );
    let _ = client.write_all(answer.as_bytes()).await;
    let _ = client.shutdown().await;
}
