//! Requests through the door: what it lets out, what it refuses, and what it says when a server misbehaves.

use crate::ledger::Kept;
use atelier_egress::{Credential, Egress, EgressPolicy, Errand};
use atelier_protocol::event::{CloudPermission, EgressEntry, EgressNote};
use atelier_protocol::ids::ProjectId;
use atelier_protocol::ports::{Http, HttpError, HttpLimits, HttpRequest, HttpResponse, Method};
use bytes::Bytes;
use futures_util::StreamExt;
use secrecy::SecretString;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const LIMITS: HttpLimits =
    HttpLimits { connect: Duration::from_secs(5), head: Duration::from_secs(5), idle: Duration::from_secs(5) };

/// The ledger as a story, a line each.
fn story(ledger: &Kept) -> Vec<String> {
    ledger.lines(|note| {
        Some(match note {
            EgressNote::Begun { entry } => {
                let EgressEntry { purpose, host, local, refused, bytes_out, .. } = entry;
                let where_to = if *local { "here" } else { "away" };
                let what = refused.as_ref().map_or("sent".to_owned(), |why| format!("refused ({why})"));
                format!("{purpose} {where_to} {host}: {what}, {bytes_out} out")
            }
            EgressNote::Ended { end } => format!("ended {:?}, {} in", end.status, end.bytes_in),
        })
    })
}

fn door(local_only: bool) -> (Egress, Kept) {
    let ledger = Kept::default();
    (Egress::new(Arc::new(EgressPolicy::new(local_only)), Arc::new(ledger.clone())), ledger)
}

fn project() -> ProjectId {
    ProjectId::new(1, [7; 10])
}

/// An errand for the project with the server `far`.
fn errand() -> Errand {
    Errand { project: Some(project()), provider: Some("far".into()), ..Errand::default() }
}

fn permit(host: &str) -> Vec<CloudPermission> {
    vec![CloudPermission { project: project(), provider: "far".into(), host: host.into(), approval: None }]
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
async fn a_request_to_this_machine_arrives_as_it_was_made_and_is_counted() {
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
    let host = url.trim_start_matches("http://");
    assert_eq!(story(&ledger), [format!("test here {host}: sent, 7 out"), "ended Some(201), 2 in".to_owned()]);
}

#[tokio::test]
async fn what_a_server_on_this_machine_is_asked_about_itself_is_not_kept() {
    let (listener, url) = listen().await;
    let (egress, ledger) = door(true);
    let server = async {
        let (mut stream, _) = accept(&listener).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    };
    let (sent, ()) = together(egress.send(HttpRequest { purpose: "models", ..get(url) }), server).await;
    assert_eq!(sent.unwrap().status, 200);
    assert_eq!(story(&ledger), [""; 0]);
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
    let refused =
        |host: &str| format!("test away {host}: refused ({host} is another machine, and local-only mode is on), 0 out");
    let hosts = ["192.0.2.1:443", "models.invalid:443", "192.0.2.1:11434"];
    assert_eq!(story(&ledger), hosts.map(refused));
}

#[tokio::test]
async fn a_change_of_the_rule_holds_from_the_next_request_on() {
    let (egress, _) = door(false);
    assert!(!egress.policy().local_only());
    egress.policy().set_local_only(true);
    let refused = error(egress.send(get("https://192.0.2.1/")).await);
    assert_eq!(refused, HttpError::LocalOnly { host: "192.0.2.1:443".into() });
}

#[tokio::test]
async fn another_machine_is_never_spoken_to_in_the_open() {
    let (egress, ledger) = door(false);
    egress.policy().set_permissions(permit("192.0.2.1:11434"));
    let refused = error(egress.on(errand()).send(get("http://192.0.2.1:11434/api/chat")).await);
    assert!(matches!(&refused, HttpError::BadUrl { reason, .. } if reason.contains("https")), "{refused:?}");
    assert_eq!(story(&ledger).len(), 1);
}

/// Guards: no material leaves without a recorded permission. Turned red by a `refusal` that forgets the host, the
/// server or the project, and by one that lets an errand without a project pass.
#[tokio::test]
async fn material_goes_only_where_project_server_and_host_are_permitted() {
    let (egress, ledger) = door(false);
    egress.policy().set_permissions(permit("models.invalid:443"));
    let another = Errand { project: Some(ProjectId::new(2, [8; 10])), ..errand() };
    let other_server = Errand { provider: Some("farther".into()), ..errand() };
    for (errand, url) in [
        (Errand::default(), "https://models.invalid/v1/chat"),
        (another, "https://models.invalid/v1/chat"),
        (other_server, "https://models.invalid/v1/chat"),
        (errand(), "https://models.invalid:8443/v1/chat"),
        (errand(), "https://elsewhere.invalid/v1/chat"),
    ] {
        let refused = error(egress.on(errand).send(get(url)).await);
        assert!(matches!(refused, HttpError::NotPermitted { .. }), "{refused:?}");
    }
    assert!(story(&ledger).iter().all(|line| line.contains("it was not permitted")), "{:?}", story(&ledger));

    let permitted = error(egress.on(errand()).send(get("https://models.invalid/v1/chat")).await);
    assert!(
        matches!(permitted, HttpError::Connect { .. }),
        "no name is looked up here, but it was tried: {permitted:?}"
    );
    egress.policy().set_permissions(Vec::new());
    let revoked = error(egress.on(errand()).send(get("https://models.invalid/v1/chat")).await);
    assert!(matches!(revoked, HttpError::NotPermitted { .. }), "{revoked:?}");
}

#[tokio::test]
async fn a_server_here_that_passes_material_on_needs_the_permission_too() {
    let (listener, url) = listen().await;
    let host = listener.local_addr().unwrap().to_string();
    let (egress, ledger) = door(true);
    let passed_on = || Errand { passed_on: true, ..errand() };
    let refused = error(egress.on(passed_on()).send(get(url.clone())).await);
    assert!(matches!(refused, HttpError::LocalOnly { .. }), "{refused:?}");
    egress.policy().set_local_only(false);
    let refused = error(egress.on(passed_on()).send(get(url.clone())).await);
    assert!(matches!(refused, HttpError::NotPermitted { .. }), "{refused:?}");
    egress.policy().set_permissions(permit(&host));
    let server = async {
        let (mut stream, _) = accept(&listener).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    };
    let (sent, ()) = together(egress.on(passed_on()).send(get(url)), server).await;
    assert_eq!(sent.unwrap().status, 200);
    assert_eq!(story(&ledger)[2..3], [format!("test away {host}: sent, 0 out")]);
}

#[tokio::test]
async fn a_permitted_request_to_another_machine_is_recorded_before_it_is_sent() {
    let (egress, ledger) = door(false);
    egress.policy().set_permissions(permit("models.invalid:443"));
    let request = HttpRequest { body: Bytes::from_static(b"12345"), ..get("https://models.invalid/v1/chat") };
    let failed = error(egress.on(errand()).send(request).await);
    assert!(matches!(failed, HttpError::Connect { .. }), "{failed:?}");
    assert_eq!(story(&ledger), ["test away models.invalid:443: sent, 5 out", "ended None, 0 in"]);
}

#[tokio::test]
async fn what_cannot_be_recorded_does_not_leave() {
    let ledger = Kept::that_is_full();
    let egress = Egress::new(Arc::new(EgressPolicy::new(false)), Arc::new(ledger));
    egress.policy().set_permissions(permit("models.invalid:443"));
    let failed = error(egress.on(errand()).send(get("https://models.invalid/v1/chat")).await);
    assert!(matches!(failed, HttpError::NotRecorded { .. }), "{failed:?}");
}

/// Guards: a redirect never carries a key to another host. Turned red by a client that follows redirects together with
/// a key that is set as a header of the client.
#[tokio::test]
async fn a_key_goes_to_its_host_and_is_not_carried_on_by_a_redirect() {
    let (first, url) = listen().await;
    let (second, elsewhere) = listen().await;
    let (egress, _) = door(true);
    let key = || Credential::new(&url, "authorization", "Bearer ", SecretString::from("sk-planted")).map(Arc::new);
    let with_key = || egress.on(Errand { credential: key(), ..Errand::default() });
    let server = async {
        let (mut stream, request) = accept(&first).await;
        let answer = format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {elsewhere}/\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        request
    };
    let door = with_key();
    let (sent, request) = together(door.send(get(url.clone())), server).await;
    assert_eq!(sent.unwrap().status, 307);
    assert!(request.contains("authorization: Bearer sk-planted\r\n"), "{request}");
    // Whoever follows by hand with the same errand does not take the key along either.
    let server = async {
        let (mut stream, request) = accept(&second).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        request
    };
    let (_, request) = together(door.send(get(elsewhere.clone())), server).await;
    assert!(!request.contains("planted"), "{request}");
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

/// Runs another test of this program as a process of its own, under a proxy setting that leads nowhere.
#[test]
fn a_proxy_in_the_environment_is_not_taken_for_this_machine() {
    let test = "requests::a_request_to_this_machine_arrives_as_it_was_made_and_is_counted";
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        again.env(name, "http://127.0.0.1:9");
    }
    let done = again.args(["--exact", test]).env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    assert!(String::from_utf8_lossy(&done.stdout).contains("1 passed"));
}
