//! A command's way out against real sockets: what it reaches, what it is told, and what the ledger says of it.
//!
//! Guards: a command reaches the hosts that the project names and the user permitted, no other machine in local-only mode,
//! and each attempt is on record, whether or not the command says a word about it. Turned red by a `Pass::refusal` that
//! forgets one of the three, and by an `open` that connects before the ledger has it.

use crate::ledger::Kept;
use atelier_egress::{COMMANDS, Egress, EgressPolicy, Pass, WayOut, named_host};
use atelier_protocol::event::{CloudPermission, EgressNote, Reached};
use atelier_protocol::ids::ProjectId;
use std::net::TcpListener;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A plain server that stands for what is outside: answers each line with it.
async fn outside() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut said = [0u8; 64];
            let n = stream.read(&mut said).await.unwrap();
            let _ = stream.write_all(&said[..n]).await;
        }
    });
    port
}

async fn said(port: u16, first: &str, then: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(first.as_bytes()).await.unwrap();
    let mut answer = vec![0u8; 512];
    let mut heard = String::new();
    if !then.is_empty() {
        let n = stream.read(&mut answer).await.unwrap();
        heard.push_str(&String::from_utf8_lossy(&answer[..n]));
        stream.write_all(then.as_bytes()).await.unwrap();
    }
    let _ = stream.shutdown().await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    heard + &String::from_utf8_lossy(&rest)
}

fn connect(place: &str) -> String {
    format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n")
}

#[tokio::test]
async fn it_reaches_what_is_named_and_permitted_and_is_told_why_not() {
    let server = outside().await;
    let project = ProjectId::new(1, [7; 10]);
    let (here, named) = (format!("127.0.0.1:{server}"), "registry.invalid:443".to_owned());
    let permit = |host: &str| CloudPermission {
        project: project.clone(),
        provider: COMMANDS.to_owned(),
        host: host.to_owned(),
        approval: None,
    };
    let ledger = Kept::default();
    let policy = Arc::new(EgressPolicy::new(false));
    policy.set_permissions(vec![permit(&here), permit(&named)]);
    let egress = Egress::new(policy.clone(), Arc::new(ledger.clone()));
    let hosts = [here.as_str(), "registry.invalid", "asked.invalid"].map(|host| named_host(host).unwrap()).to_vec();
    let pass = Pass {
        purpose: "command it".into(),
        hosts,
        holder: Some(COMMANDS.into()),
        project: Some(project.clone()),
        run: None,
        role: None,
    };
    let way_out = WayOut::new(&egress, pass);
    assert_eq!(way_out.ports(), [3128, server], "the proxy, and the port of this machine under its own number");
    let listeners: Vec<TcpListener> =
        way_out.ports().iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let port = |n: usize| listeners[n].local_addr().unwrap().port();
    let (proxy, direct) = (port(0), port(1));
    way_out.serve(listeners).unwrap();

    assert_eq!(said(direct, "hello", "").await, "hello");
    let through = said(proxy, &connect(&here), "hello").await;
    assert!(through.starts_with("HTTP/1.1 200") && through.ends_with("hello"), "{through}");
    for (place, status, why) in [
        ("registry.invalid:443", "502", "cannot be reached"),
        ("other.invalid:443", "403", "does not name"),
        ("asked.invalid:443", "403", "have no permission"),
        ("127.0.0.1:1", "403", "does not name"),
    ] {
        let told = said(proxy, &connect(place), "").await;
        assert!(told.starts_with(&format!("HTTP/1.1 {status}")) && told.contains(why), "{place}: {told}");
    }
    let plain = said(proxy, "GET http://registry.invalid/x HTTP/1.1\r\n\r\n", "").await;
    assert!(plain.starts_with("HTTP/1.1 405") && plain.contains("over TLS"), "{plain}");
    policy.set_local_only(true);
    let locked = said(proxy, &connect("registry.invalid:443"), "").await;
    assert!(locked.contains("local-only mode is on"), "{locked}");
    assert_eq!(said(direct, "again", "").await, "again", "this machine is no other machine");
    policy.set_permissions(Vec::new());
    assert_eq!(said(direct, "gone", "").await, "", "taken back while it runs");

    let reached: Vec<String> =
        way_out.reached().into_iter().map(|one| line(&one).replace(&server.to_string(), "PORT")).collect();
    insta::assert_snapshot!(reached.join("\n"), @r"
    127.0.0.1:1: refused 1 (the pass for `command it` does not name 127.0.0.1:1)
    127.0.0.1:PORT: reached 3, 15 out, 15 in
    127.0.0.1:PORT: refused 1 (commands of this project have no permission for 127.0.0.1:PORT)
    asked.invalid:443: refused 1 (commands of this project have no permission for asked.invalid:443)
    other.invalid:443: refused 1 (the pass for `command it` does not name other.invalid:443)
    registry.invalid:443: reached 1, 0 out, 0 in
    registry.invalid:443: refused 1 (registry.invalid:443 is another machine, and local-only mode is on)
    registry.invalid:80: refused 1 (only CONNECT: another machine is only spoken to over TLS)
    ");
    drop(way_out);
    let lines = ledger.lines(|note| {
        let EgressNote::Begun { entry } = note else { return None };
        let place = if entry.local { "here" } else { "away" };
        Some(format!("{} {place} {}", entry.purpose, entry.refused.as_deref().unwrap_or("let through")))
    });
    assert_eq!(lines.len(), 10, "each attempt, however it ended: {lines:#?}");
    assert!(lines.iter().all(|line| line.starts_with("command it ")));
}

#[tokio::test]
async fn what_is_taken_back_ends_what_is_open_too() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let (project, host) = (ProjectId::new(1, [7; 10]), format!("127.0.0.1:{server}"));
    let permission =
        CloudPermission { project: project.clone(), provider: COMMANDS.into(), host: host.clone(), approval: None };
    let policy = Arc::new(EgressPolicy::new(true));
    policy.set_permissions(vec![permission]);
    let egress = Egress::new(policy.clone(), Arc::new(Kept::default()));
    let holder = Some(COMMANDS.to_owned());
    let pass = Pass { purpose: "x".into(), hosts: vec![host], holder, project: Some(project), run: None, role: None };
    let way_out = WayOut::new(&egress, pass);
    let listeners: Vec<TcpListener> =
        way_out.ports().iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let direct = listeners[1].local_addr().unwrap().port();
    way_out.serve(listeners).unwrap();

    let mut stream = TcpStream::connect(("127.0.0.1", direct)).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut heard = [0u8; 5];
    stream.read_exact(&mut heard).await.unwrap();
    policy.set_permissions(Vec::new());
    let _ = stream.write_all(b"again").await;
    let more = stream.read(&mut [0u8; 5]).await.unwrap_or(0);
    assert_eq!((&heard, more), (b"hello", 0), "the connection ends and nothing comes back");
    let all = way_out.reached();
    assert_eq!(all.iter().map(|one| one.bytes_out).sum::<u64>(), 5, "{all:?}");
}

fn line(one: &Reached) -> String {
    match &one.refused {
        Some(why) => format!("{}: refused {} ({why})", one.host, one.times),
        None => format!("{}: reached {}, {} out, {} in", one.host, one.times, one.bytes_out, one.bytes_in),
    }
}

#[tokio::test]
async fn programs_find_the_proxy_by_their_usual_variables() {
    let egress = Egress::new(Arc::new(EgressPolicy::new(true)), Arc::new(Kept::default()));
    let hosts = vec!["localhost:3128".to_owned()];
    let pass = Pass { purpose: "x".into(), hosts, holder: None, project: None, run: None, role: None };
    let way_out = WayOut::new(&egress, pass);
    assert_eq!(way_out.ports(), [3129, 3128], "a port that the pass names is its own");
    let environment = way_out.environment();
    let value = |name: &str| environment.iter().find(|(known, _)| known == name).unwrap().1.as_str();
    assert_eq!((value("https_proxy"), value("CARGO_HTTP_PROXY")), ("http://127.0.0.1:3129", "http://127.0.0.1:3129"));
    assert_eq!(value("NO_PROXY"), "localhost,127.0.0.1,::1");
}
