//! A command with a way out finds whoever listens there, and nothing beside it.
//!
//! Guards: what a command with network connects to is a listener that we gave it, whatever address it tries. Turned red by
//! bubblewrap arguments that share the machine's network, and by a gate that opens before the listeners are there.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may fail loudly and say what it leaves out")]

use atelier_sandbox::{Mechanism, Ran, Sandbox, SpawnError, Spec, WayOut};
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

fn spec(folder: &Path, argv: &[&str]) -> Spec {
    let mut spec = Spec::new(argv.iter().copied(), folder, folder.join("home"));
    spec.timeout = Duration::from_secs(60);
    spec
}

/// Says `name` to whoever connects.
fn greets(listener: TcpListener, name: &'static str) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(name.as_bytes()));
        }
    });
}

async fn run(sandbox: &Sandbox, spec: Spec, ports: &[u16]) -> Result<Ran, SpawnError> {
    let serve = |listeners: Vec<TcpListener>| {
        for (listener, name) in listeners.into_iter().zip(["first", "second"]) {
            greets(listener, name);
        }
        Ok(())
    };
    let way_out = WayOut { ports: ports.to_vec(), serve: Box::new(serve) };
    sandbox.run_with_way_out(spec, way_out, std::future::pending(), |_| {}).await
}

/// The sandbox that has a way out, where there is one here.
fn usable() -> Option<Sandbox> {
    let sandbox = Sandbox::detect();
    let bash = Path::new("/bin/bash").exists();
    if sandbox.has_way_out().is_err() || !bash {
        eprintln!("left out: needs bubblewrap, and bash to connect");
        return None;
    }
    Some(sandbox)
}

#[tokio::test]
async fn it_reaches_the_listeners_it_was_given_and_nobody_else() {
    let Some(sandbox) = usable() else { return };
    let folder = tempfile::tempdir().unwrap();
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = outside.local_addr().unwrap().port();
    greets(outside, "outside");
    let hear = "hear() { (exec 3<>/dev/tcp/$1 && cat <&3) 2>/dev/null || echo nobody; echo; }";
    let script = format!(
        "{hear}; hear 127.0.0.1/3128; hear localhost/81; hear 127.0.0.1/{port}; hear 192.0.2.1/443; hear 8.8.8.8/53; cat"
    );
    let argv = ["bash", "-c", &script];
    let ran = run(&sandbox, spec(folder.path(), &argv), &[3128, 81]).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.output), "first\nsecond\nnobody\n\nnobody\n\nnobody\n\n");
    assert!(ran.succeeded(), "its input is empty, so `cat` ends");

    // The control asks for nobody but the one on this machine.
    let script = format!("{hear}; hear 127.0.0.1/{port}");
    let unconfined = Sandbox::with(Mechanism::None);
    let control = unconfined.run(spec(folder.path(), &["bash", "-c", &script]), std::future::pending(), |_| {});
    assert_eq!(String::from_utf8_lossy(&control.await.unwrap().output), "outside\n");
}

#[tokio::test]
async fn exit_codes_and_missing_programs_are_told_as_always() {
    let Some(sandbox) = usable() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ran = run(&sandbox, spec(folder.path(), &["sh", "-c", "exit 7"]), &[3128]).await.unwrap();
    assert_eq!((ran.exit_code, ran.mechanism), (Some(7), Mechanism::Bubblewrap));
    let missing = run(&sandbox, spec(folder.path(), &["no-such-program"]), &[3128]).await;
    assert!(matches!(missing, Err(SpawnError::NotFound { .. })), "{missing:?}");
    let mut slow = spec(folder.path(), &["sleep", "100"]);
    slow.timeout = Duration::from_millis(300);
    assert!(run(&sandbox, slow, &[3128]).await.unwrap().timed_out);
}

#[tokio::test]
async fn a_way_that_cannot_be_served_starts_no_command() {
    let Some(sandbox) = usable() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(folder.path(), &["sh", "-c", "echo began > began"]);
    spec.writable.push(folder.path().to_path_buf());
    let serve = Box::new(|_| Err(std::io::Error::other("no room")));
    let way_out = WayOut { ports: vec![3128], serve };
    let ran = sandbox.run_with_way_out(spec, way_out, std::future::pending(), |_| {}).await;
    let Err(SpawnError::NoWayOut { reason, .. }) = ran else { unreachable!("{ran:?}") };
    assert_eq!(reason, "no room");
    assert!(!folder.path().join("began").exists());
}

#[tokio::test]
async fn what_cannot_keep_a_command_to_it_gives_no_way_out() {
    let folder = tempfile::tempdir().unwrap();
    for mechanism in [Mechanism::Landlock, Mechanism::None] {
        let refused = run(&Sandbox::with(mechanism), spec(folder.path(), &["true"]), &[3128]).await.unwrap_err();
        let problem = atelier_protocol::Problem::from(refused);
        assert_eq!(problem.code, atelier_protocol::Code::NotConfined);
        assert!(problem.hint.contains("Install bubblewrap"), "{problem}");
    }
}
