//! The door against real sockets: what it lets out, what it refuses, and what it says when a server misbehaves.

#![allow(clippy::unwrap_used)] // a test says so by failing

use atelier_egress::{Egress, EgressPolicy, Record};
use atelier_protocol::ports::{Http, HttpError, HttpLimits, HttpRequest, HttpResponse, Method};
use bytes::Bytes;
use futures_util::StreamExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const LIMITS: HttpLimits =
    HttpLimits { connect: Duration::from_secs(5), head: Duration::from_secs(5), idle: Duration::from_secs(5) };

fn door(local_only: bool) -> (Egress, Arc<Mutex<Vec<Record>>>) {
    let ledger = Arc::new(Mutex::new(Vec::new()));
    let written = ledger.clone();
    let egress =
        Egress::new(Arc::new(EgressPolicy::new(local_only)), move |record| written.lock().unwrap().push(record));
    (egress, ledger)
}

fn get(url: impl Into<String>) -> HttpRequest {
    HttpRequest {
        method: Method::Get,
        url: url.into(),
        headers: Vec::new(),
        body: Bytes::new(),
        purpose: "test",
        limits: LIMITS,
    }
}

/// A server for one connection.
async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Accepts one connection and reads its request up to the end of the announced body.
async fn accept(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return (stream, text);
        }
    }
}

async fn text(response: HttpResponse) -> String {
    let chunks: Vec<Bytes> = response.body.map(|chunk| chunk.unwrap()).collect().await;
    String::from_utf8(chunks.concat()).unwrap()
}

/// The client's and the server's side of an exchange. Where one waits for the other in vain, the test fails.
async fn together<A, B>(client: impl Future<Output = A>, server: impl Future<Output = B>) -> (A, B) {
    let both = async { tokio::join!(client, server) };
    tokio::time::timeout(Duration::from_secs(5), both).await.unwrap()
}

/// How long until the server notices that the client is gone.
async fn until_hang_up(stream: &mut TcpStream) -> Duration {
    let from = Instant::now();
    let mut buffer = [0; 16];
    // A reset is a hang-up too.
    let gone = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut buffer)).await.unwrap();
    assert_eq!(gone.unwrap_or(0), 0);
    from.elapsed()
}

fn error(result: Result<HttpResponse, HttpError>) -> HttpError {
    result.map(|response| response.status).unwrap_err()
}

#[tokio::test]
async fn a_request_to_this_machine_arrives_as_it_was_made_and_needs_no_ledger() {
    let (listener, url) = listen().await;
    let (egress, ledger) = door(true);
    let request = HttpRequest {
        method: Method::Post,
        headers: vec![("content-type".into(), "application/json".into())],
        body: Bytes::from_static(b"{\"a\":1}"),
        ..get(format!("{url}/api/chat"))
    };
    let server = async {
        let (mut stream, request) = accept(&listener).await;
        stream.write_all(b"HTTP/1.1 201 Created\r\nX-Who: me\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        request
    };
    let (sent, seen) = together(egress.send(request), server).await;
    let response = sent.unwrap();
    assert_eq!(response.status, 201);
    assert!(response.headers.contains(&("x-who".into(), "me".into())));
    assert_eq!(text(response).await, "ok");
    assert!(seen.starts_with("POST /api/chat HTTP/1.1\r\n"), "{seen}");
    assert!(seen.ends_with("\r\n\r\n{\"a\":1}"), "{seen}");
    assert!(!seen.to_lowercase().contains("origin"), "{seen}");
    assert_eq!(*ledger.lock().unwrap(), []);
}

#[tokio::test]
async fn localhost_is_this_machine_without_a_look_up() {
    let (listener, url) = listen().await;
    let (egress, _) = door(true);
    let named = url.replace("127.0.0.1", "localhost");
    let server = async {
        let (mut stream, _) = accept(&listener).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    };
    let (sent, ()) = together(egress.send(get(named)), server).await;
    assert_eq!(sent.unwrap().status, 200);
}

#[tokio::test]
async fn in_local_only_mode_another_machine_is_refused_and_the_refusal_recorded() {
    let (egress, ledger) = door(true);
    // Nothing answers at these; a look-up or a socket would take its time or fail otherwise.
    for url in ["https://192.0.2.1/v1/models", "https://models.invalid/v1/models", "http://192.0.2.1:11434/api/tags"] {
        let refused = error(egress.send(HttpRequest { body: Bytes::from_static(b"secret"), ..get(url) }).await);
        assert!(matches!(refused, HttpError::LocalOnly { .. }), "{refused:?}");
    }
    let refused = |host: &str| Record { purpose: "test", host: host.into(), allowed: false, bytes_out: 0 };
    assert_eq!(
        *ledger.lock().unwrap(),
        [refused("192.0.2.1:443"), refused("models.invalid:443"), refused("192.0.2.1:11434")]
    );
}

#[tokio::test]
async fn a_change_of_the_rule_holds_from_the_next_request_on() {
    let policy = Arc::new(EgressPolicy::new(false));
    let egress = Egress::new(policy.clone(), |_| {});
    assert!(!policy.local_only());
    policy.set_local_only(true);
    let refused = error(egress.send(get("https://192.0.2.1/")).await);
    assert_eq!(refused, HttpError::LocalOnly { host: "192.0.2.1:443".into() });
}

#[tokio::test]
async fn another_machine_is_never_spoken_to_in_the_open() {
    let (egress, ledger) = door(false);
    let refused = error(egress.send(get("http://192.0.2.1:11434/api/chat")).await);
    assert!(matches!(&refused, HttpError::BadUrl { reason, .. } if reason.contains("https")), "{refused:?}");
    assert!(!ledger.lock().unwrap()[0].allowed);
}

#[tokio::test]
async fn an_allowed_request_to_another_machine_is_recorded_before_it_is_sent() {
    let (egress, ledger) = door(false);
    let request = HttpRequest { body: Bytes::from_static(b"12345"), ..get("https://models.invalid/v1/chat") };
    let failed = error(egress.send(request).await);
    assert!(!matches!(failed, HttpError::LocalOnly { .. } | HttpError::BadUrl { .. }), "{failed:?}");
    let record = Record { purpose: "test", host: "models.invalid:443".into(), allowed: true, bytes_out: 5 };
    assert_eq!(*ledger.lock().unwrap(), [record]);
}

#[tokio::test]
async fn a_redirect_is_handed_back_and_not_followed() {
    let (first, url) = listen().await;
    let (second, elsewhere) = listen().await;
    let (egress, _) = door(true);
    let server = async {
        let (mut stream, _) = accept(&first).await;
        let answer = format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {elsewhere}/\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    };
    let (sent, ()) = together(egress.send(get(url)), server).await;
    assert_eq!(sent.unwrap().status, 307);
    assert!(tokio::time::timeout(Duration::from_millis(50), second.accept()).await.is_err());
}

#[tokio::test]
async fn nobody_at_the_address_is_no_connection() {
    let (listener, url) = listen().await;
    drop(listener);
    let (egress, _) = door(true);
    let host = url.trim_start_matches("http://").to_owned();
    let failed = error(egress.send(get(url)).await);
    assert!(matches!(&failed, HttpError::Connect { host: named, .. } if *named == host), "{failed:?}");
}

#[tokio::test]
async fn a_server_that_does_not_accept_runs_into_the_connect_limit() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Fills the queue of connections that nobody accepts, until one more has to wait.
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    let (egress, _) = door(true);
    let limits = HttpLimits { connect: Duration::from_millis(150), ..LIMITS };
    let failed = error(egress.send(HttpRequest { limits, ..get(format!("http://{address}/")) }).await);
    assert_eq!(failed, HttpError::Timeout { host: address.to_string(), act: "connect", seconds: 1 });
}

#[tokio::test]
async fn a_server_that_does_not_answer_runs_into_the_head_limit() {
    let (listener, url) = listen().await;
    let (egress, _) = door(true);
    let limits = HttpLimits { head: Duration::from_millis(150), ..LIMITS };
    let (sent, (mut stream, _)) = together(egress.send(HttpRequest { limits, ..get(url) }), accept(&listener)).await;
    assert!(matches!(error(sent), HttpError::Timeout { act: "answer", seconds: 1, .. }));
    until_hang_up(&mut stream).await;
}

#[tokio::test]
async fn a_body_that_does_not_go_on_runs_into_the_idle_limit_after_what_came_before() {
    let (listener, url) = listen().await;
    let (egress, _) = door(true);
    let limits = HttpLimits { idle: Duration::from_millis(150), ..LIMITS };
    let server = async {
        let (mut stream, _) = accept(&listener).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await.unwrap();
        stream
    };
    let (sent, mut stream) = together(egress.send(HttpRequest { limits, ..get(url) }), server).await;
    let mut body = sent.unwrap().body;
    assert_eq!(body.next().await, Some(Ok(Bytes::from_static(b"abc"))));
    assert!(matches!(body.next().await, Some(Err(HttpError::Timeout { act: "go on", seconds: 1, .. }))));
    assert_eq!(body.next().await, None);
    until_hang_up(&mut stream).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_broken_after_what_came_before() {
    let (listener, url) = listen().await;
    let (egress, _) = door(true);
    let server = async {
        let (mut stream, _) = accept(&listener).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await.unwrap();
    };
    let (sent, ()) = together(egress.send(get(url)), server).await;
    let mut body = sent.unwrap().body;
    assert_eq!(body.next().await, Some(Ok(Bytes::from_static(b"abc"))));
    assert!(matches!(body.next().await, Some(Err(HttpError::Broken { .. }))));
    assert_eq!(body.next().await, None);
}

#[tokio::test]
async fn what_is_no_http_is_broken() {
    let (listener, url) = listen().await;
    let (egress, _) = door(true);
    let server = async {
        let (mut stream, _) = accept(&listener).await;
        stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await.unwrap();
    };
    let (sent, ()) = together(egress.send(get(url)), server).await;
    assert!(matches!(error(sent), HttpError::Broken { .. }));
}

#[tokio::test]
async fn dropping_the_response_hangs_up_within_100_ms() {
    let (listener, url) = listen().await;
    let (egress, _) = door(true);
    // A busy machine may delay one try; three in a row it does not.
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let server = async {
            let (mut stream, _) = accept(&listener).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await.unwrap();
            stream
        };
        let (sent, mut stream) = together(egress.send(get(url.clone())), server).await;
        let mut response = sent.unwrap();
        assert_eq!(response.body.next().await, Some(Ok(Bytes::from_static(b"abc"))));
        drop(response);
        fastest = fastest.min(until_hang_up(&mut stream).await);
    }
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
}

#[tokio::test]
async fn giving_up_before_the_head_hangs_up_within_100_ms() {
    let (listener, url) = listen().await;
    let (egress, _) = door(true);
    let egress = Arc::new(egress);
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let (egress, url) = (egress.clone(), url.clone());
        let asking = tokio::spawn(async move { egress.send(get(url)).await.map(|response| response.status) });
        let (mut stream, _) = accept(&listener).await;
        asking.abort();
        fastest = fastest.min(until_hang_up(&mut stream).await);
    }
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
}

#[tokio::test]
async fn tls_with_a_stranger_on_this_machine_fails_without_a_panic() {
    let (listener, url) = listen().await;
    let (egress, _) = door(true);
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"this is not TLS").await.unwrap();
    };
    let (sent, ()) = together(egress.send(get(url.replace("http:", "https:"))), server).await;
    let failed = error(sent);
    assert!(matches!(failed, HttpError::Connect { .. }), "{failed:?}");
}

/// Runs another test of this file as a process of its own, under a proxy setting that leads nowhere.
#[test]
fn a_proxy_in_the_environment_is_not_taken_for_this_machine() {
    let test = "a_request_to_this_machine_arrives_as_it_was_made_and_needs_no_ledger";
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        again.env(name, "http://127.0.0.1:9");
    }
    let done = again.args(["--exact", test]).env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    assert!(String::from_utf8_lossy(&done.stdout).contains("1 passed"));
}
