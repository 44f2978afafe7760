//! A loopback proxy for programs that have connections of their own: commands with leave to use the network, git.
//!
//! `CONNECT` only (RFC 9110, section 9.3.6), with a pass that names a purpose and hosts; whoever has no pass, or asks for
//! a host it does not name, is refused. What goes through must begin as TLS does. Every tunnel, opened or refused, is in
//! the ledger, and local-only mode ends those that are open. What is inside is not read.

use crate::ledger::Tally;
use crate::send::{Egress, Shared};
use atelier_protocol::event::{EgressEntry, EgressNote};
use atelier_protocol::ids::{ProjectId, RoleId, RunId};
use data_encoding::{BASE64, HEXLOWER};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// The longest head of a request that is read.
const LONGEST_HEAD: usize = 16 * 1024;
/// Until the head has come, and until the other side is reached.
const PATIENCE: Duration = Duration::from_secs(10);
/// A tunnel in which nothing moves for so long is closed.
const IDLE: Duration = Duration::from_secs(300);

/// What a program may reach, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// What it is for, such as `command test` or `push`.
    pub purpose: String,
    /// Hosts, as `host:port`; `host` alone is port 443, and `*.host` is any name below it.
    pub hosts: Vec<String>,
    /// The project.
    pub project: Option<ProjectId>,
    /// The run.
    pub run: Option<RunId>,
    /// The role.
    pub role: Option<RoleId>,
}

impl Pass {
    fn names(&self, host: &str, port: u16) -> bool {
        self.hosts.iter().any(|named| {
            let (name, wanted) = match named.rsplit_once(':') {
                Some((name, digits)) => (name, digits.parse().unwrap_or(0)),
                None => (named.as_str(), 443),
            };
            let fits = match name.strip_prefix("*.") {
                Some(parent) => host.strip_suffix(parent).is_some_and(|below| below.ends_with('.') && below.len() > 1),
                None => name.eq_ignore_ascii_case(host),
            };
            fits && wanted == port
        })
    }
}

/// The proxy. Dropping it closes every tunnel.
pub struct Proxy {
    address: SocketAddr,
    passes: Arc<Passes>,
    listening: AbortHandle,
}

type Passes = Mutex<HashMap<String, Pass>>;

/// A pass that is in force until this is dropped. Tunnels that are open then end with their program.
pub struct Ticket {
    token: String,
    address: SocketAddr,
    passes: Arc<Passes>,
}

impl Ticket {
    /// The variables by which programs find the proxy and show their pass.
    pub fn environment(&self) -> Vec<(String, String)> {
        let url = format!("http://atelier:{}@{}", self.token, self.address);
        let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
        names.iter().map(|name| ((*name).to_owned(), url.clone())).collect()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.passes.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.token);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Proxy {
    /// Opens the proxy of a door on a free port of this machine.
    ///
    /// # Errors
    /// The system gave no port.
    pub async fn open(egress: &Egress) -> io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let passes: Arc<Passes> = Arc::default();
        let (door, known) = (egress.shared.clone(), passes.clone());
        let listening = tokio::spawn(async move {
            // Holds the tunnels, so that they end with the proxy.
            let mut tunnels = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((client, _)) => drop(tunnels.spawn(serve(client, door.clone(), known.clone()))),
                        Err(error) => {
                            tracing::warn!(%error, "the proxy cannot take a connection");
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        }
                    },
                    Some(_) = tunnels.join_next() => {}
                }
            }
        });
        Ok(Proxy { address, passes, listening: listening.abort_handle() })
    }

    /// Lets whoever shows the ticket through to the hosts of the pass.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn admit(&self, pass: Pass) -> io::Result<Ticket> {
        let mut random = [0u8; 24];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let token = HEXLOWER.encode(&random);
        self.passes.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), pass);
        Ok(Ticket { token, address: self.address, passes: self.passes.clone() })
    }
}

/// Why a client is not let through, with the status that says so.
struct Refusal(&'static str, String);

async fn serve(mut client: TcpStream, door: Arc<Shared>, passes: Arc<Passes>) {
    let Ok(Some(head)) = tokio::time::timeout(PATIENCE, head(&mut client)).await else { return };
    let refusal = match tunnel(&mut client, &head, &door, &passes).await {
        Ok(()) => return,
        Err(refusal) => refusal,
    };
    let Refusal(status, why) = refusal;
    let challenge = if status.starts_with("407") { "Proxy-Authenticate: Basic realm=\"atelier\"\r\n" } else { "" };
    let answer = format!(
        "HTTP/1.1 {status}\r\n{challenge}Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{why}",
        why.len()
    );
    let _ = client.write_all(answer.as_bytes()).await;
    let _ = client.shutdown().await;
}

/// The head of a request; `None` where the client went away or said too much.
async fn head(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    // Byte by byte, so that nothing of what follows the head is taken.
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
        if head.len() > LONGEST_HEAD {
            return None;
        }
    }
    String::from_utf8(head).ok()
}

/// Host and port of a `CONNECT`, and the token of its pass.
fn asked(head: &str) -> Result<(String, u16, String), Refusal> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method != "CONNECT" {
        return Err(Refusal(
            "405 Method Not Allowed",
            "only CONNECT: another machine is only spoken to over TLS".into(),
        ));
    }
    let place = target.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let Some((host, port)) = place.filter(|(host, _)| !host.is_empty()) else {
        return Err(Refusal("400 Bad Request", format!("`{target}` is not host:port")));
    };
    let token = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        let basic = value.trim().strip_prefix("Basic ")?;
        let pair = name.eq_ignore_ascii_case("proxy-authorization").then(|| BASE64.decode(basic.as_bytes()).ok())??;
        Some(String::from_utf8(pair).ok()?.split_once(':')?.1.to_owned())
    });
    let token = token.ok_or(Refusal("407 Proxy Authentication Required", "a pass is needed".into()))?;
    Ok((host.to_ascii_lowercase(), port, token))
}

async fn tunnel(client: &mut TcpStream, head: &str, door: &Shared, passes: &Passes) -> Result<(), Refusal> {
    let (host, port, token) = asked(head)?;
    let known = passes.lock().unwrap_or_else(PoisonError::into_inner).get(&token).cloned();
    let pass = known.ok_or(Refusal("407 Proxy Authentication Required", "this pass is not in force".into()))?;
    let place = format!("{host}:{port}");
    let refused = if door.policy.local_only() {
        Some(format!("{place} is another machine, and local-only mode is on"))
    } else if !pass.names(&host, port) {
        Some(format!("the pass for `{}` does not name {place}", pass.purpose))
    } else {
        None
    };
    let entry = EgressEntry {
        id: door.ids.next(),
        purpose: pass.purpose,
        role: pass.role,
        run: pass.run,
        project: pass.project,
        provider: None,
        host: place.clone(),
        local: false,
        refused: refused.clone(),
        bytes_out: 0,
    };
    let unrecorded = |reason| Refusal("503 Service Unavailable", format!("the ledger cannot be written: {reason}"));
    if let Some(why) = refused {
        door.ledger.keep(EgressNote::Begun { entry }).await.map_err(unrecorded)?;
        return Err(Refusal("403 Forbidden", why));
    }
    let mut tally = Tally::begin(&*door.ledger, entry).await.map_err(unrecorded)?;
    let unreachable = |why: String| Refusal("502 Bad Gateway", format!("{place} cannot be reached: {why}"));
    let connecting = tokio::time::timeout(PATIENCE, connect(&host, port));
    let server =
        connecting.await.map_err(|_| unreachable("no answer".into()))?.map_err(|e| unreachable(e.to_string()))?;
    if client.write_all(b"HTTP/1.1 200 Connection Established\r\n\r\n").await.is_ok() {
        carry(client, server, door, &mut tally).await;
    }
    Ok(())
}

/// Connects to another machine. A name that leads back to this one is refused: a pass is for the outside.
async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found: Vec<SocketAddr> = tokio::net::lookup_host((bare, port)).await?.collect();
    let outside = |address: &&SocketAddr| {
        let ip = address.ip().to_canonical();
        !ip.is_loopback() && !ip.is_unspecified()
    };
    let mut last = io::Error::other("the name leads to this machine");
    for address in found.iter().filter(outside) {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Carries bytes both ways until one side is done, nothing moves for long, or local-only mode is turned on.
async fn carry(client: &mut TcpStream, mut server: TcpStream, door: &Shared, tally: &mut Tally) {
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
        if door.policy.local_only() {
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
                if !begun && from_client[0] != 0x16 {
                    return;
                }
                begun = true;
                if server.write_all(&from_client[..n]).await.is_err() {
                    return;
                }
                tally.went(n);
            }
            (false, n) => {
                if client.write_all(&from_server[..n]).await.is_err() {
                    return;
                }
                tally.arrived(n);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_names_hosts_with_their_ports() {
        let hosts = ["crates.io".to_owned(), "*.example.org".to_owned(), "git.example.org:8443".to_owned()];
        let pass = Pass { purpose: "x".into(), hosts: hosts.into(), project: None, run: None, role: None };
        for (host, port) in
            [("crates.io", 443), ("a.example.org", 443), ("a.b.example.org", 443), ("git.example.org", 8443)]
        {
            assert!(pass.names(host, port), "{host}:{port}");
        }
        for (host, port) in
            [("crates.io", 80), ("example.org", 443), ("evilexample.org", 443), ("crates.io.evil.test", 443)]
        {
            assert!(!pass.names(host, port), "{host}:{port}");
        }
    }
}
