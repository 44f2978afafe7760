//! The proxy against real sockets: who is let through, and what the ledger says of it.
//!
//! Guards: a program reaches the hosts of its pass and no other, and none in local-only mode. Turned red by a `tunnel`
//! that connects before it asks, and by a `connect` that takes a name's every address.

use crate::ledger::Kept;
use atelier_egress::{Egress, EgressPolicy, Pass, Proxy, named_host};
use atelier_protocol::event::EgressNote;
use data_encoding::BASE64;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn story(ledger: &Kept) -> Vec<String> {
    ledger.lines(|note| {
        Some(match note {
            EgressNote::Begun { entry } => {
                format!("{} {} {}", entry.purpose, entry.host, entry.refused.as_deref().unwrap_or("let through"))
            }
            EgressNote::Ended { end } => format!("ended {} out {} in", end.more_out, end.bytes_in),
        })
    })
}

fn pass(hosts: &[&str]) -> Pass {
    let hosts = hosts.iter().map(|host| named_host(host).unwrap()).collect();
    Pass { purpose: "push".into(), hosts, holder: None, project: None, run: None, role: None }
}

/// The proxy's address and the token of a ticket, as a program reads them.
fn shown(url: &str) -> (String, String) {
    let url = url.strip_prefix("http://atelier:").unwrap();
    let (token, address) = url.split_once('@').unwrap();
    (address.to_owned(), token.to_owned())
}

/// What the proxy answers to a request.
async fn ask(address: &str, request: String) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn connect(place: &str, token: &str) -> String {
    let basic = BASE64.encode(format!("atelier:{token}").as_bytes());
    format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\nProxy-Authorization: Basic {basic}\r\n\r\n")
}

#[tokio::test]
async fn a_program_reaches_what_its_pass_names_and_nothing_else() {
    let ledger = Kept::default();
    let egress = Egress::new(Arc::new(EgressPolicy::new(false)), Arc::new(ledger.clone()));
    let proxy = Proxy::open(&egress).await.unwrap();
    let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // An address that leads to this machine and does not say so.
    let here = format!("0.0.0.0:{}", inside.local_addr().unwrap().port());
    let ticket = proxy.admit(pass(&["named.invalid", &here])).unwrap();
    let (address, token) = shown(&ticket.url());

    let status = |answer: String| answer.split(' ').nth(1).unwrap_or_default().to_owned();
    assert_eq!(status(ask(&address, "CONNECT named.invalid:443 HTTP/1.1\r\n\r\n".to_owned()).await), "407");
    assert_eq!(status(ask(&address, connect("named.invalid:443", "guessed")).await), "407");
    assert_eq!(status(ask(&address, "GET http://named.invalid/ HTTP/1.1\r\n\r\n".to_owned()).await), "405");
    assert_eq!(status(ask(&address, connect("nothing", &token)).await), "400");
    assert_eq!(story(&ledger), [""; 0], "who shows no pass is nobody's");

    assert_eq!(status(ask(&address, connect("other.invalid:443", &token)).await), "403");
    assert_eq!(status(ask(&address, connect("named.invalid:80", &token)).await), "403");
    assert_eq!(status(ask(&address, connect("named.invalid:443", &token)).await), "502");
    let back = ask(&address, connect(&here, &token)).await;
    assert!(back.contains("502") && back.contains("leads to this machine"), "{back}");
    egress.policy().set_local_only(true);
    assert_eq!(status(ask(&address, connect("named.invalid:443", &token)).await), "403");
    drop(ticket);
    assert_eq!(status(ask(&address, connect("named.invalid:443", &token)).await), "407");

    assert_eq!(
        story(&ledger),
        [
            "push other.invalid:443 the pass for `push` does not name other.invalid:443".to_owned(),
            "push named.invalid:80 the pass for `push` does not name named.invalid:80".to_owned(),
            "push named.invalid:443 let through".to_owned(),
            "ended 0 out 0 in".to_owned(),
            format!("push {here} let through"),
            "ended 0 out 0 in".to_owned(),
            "push named.invalid:443 named.invalid:443 is another machine, and local-only mode is on".to_owned(),
        ]
    );
}
