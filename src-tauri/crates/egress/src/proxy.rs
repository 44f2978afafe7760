//! A loopback proxy for programs of this machine that have connections of their own, such as git.
//!
//! Any program can find it, so each shows a pass that names a purpose and hosts; whoever has none, or asks for a host it
//! does not name, is refused. Every tunnel, opened or refused, is in the ledger, and local-only mode ends those that are
//! open. A program in the sandbox has a door of its own instead (`WayOut`).

use crate::pass::{Account, Pass};
use crate::request::{self, Asked, IN_THE_OPEN};
use crate::send::{Egress, Shared};
use crate::tunnel::{self, Refusal, Wish};
use data_encoding::HEXLOWER;
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

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
    /// The address of the proxy, with the pass.
    pub fn url(&self) -> String {
        format!("http://atelier:{}@{}", self.token, self.address)
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
        let listening =
            tokio::spawn(tunnel::accept(listener, move |client| serve(client, door.clone(), known.clone())));
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

async fn serve(mut client: TcpStream, door: Arc<Shared>, passes: Arc<Passes>) {
    let Some(head) = request::head(&mut client).await else { return };
    if let Err(refusal) = pass_on(&mut client, &head, &door, &passes).await {
        tunnel::turn_away(&mut client, refusal).await;
    }
}

async fn pass_on(client: &mut TcpStream, head: &str, door: &Shared, passes: &Passes) -> Result<(), Refusal> {
    let Asked::Tunnel(host, port, token) = request::asked(head)? else {
        return Err(Refusal("405 Method Not Allowed", IN_THE_OPEN.to_owned()));
    };
    let token = token.ok_or(Refusal("407 Proxy Authentication Required", "a pass is needed".into()))?;
    let known = passes.lock().unwrap_or_else(PoisonError::into_inner).get(&token).cloned();
    let pass = known.ok_or(Refusal("407 Proxy Authentication Required", "this pass is not in force".into()))?;
    let wish = Wish { door, pass: &pass, account: &Account::default(), host: &host, port };
    wish.open(client, tunnel::ESTABLISHED).await
}
