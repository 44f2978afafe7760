//! Owner and guests over the real socket.
//!
//! Mutants that turn it red: a socket that others may open; an answer that is sent whatever its size (`door`).

use crate::bench::*;
use atelier_journal::{OpenError, Owned};
use atelier_protocol::op::Frame;
use atelier_protocol::{Code, Op, Reply, Seq};
use std::sync::Arc;
use std::time::Duration;

async fn served(bench: &Bench) -> Owned {
    let mut owned = bench.owner().await;
    owned.serve(Arc::new(Clerk(owned.journal.clone()))).unwrap();
    owned
}

#[tokio::test]
async fn a_guest_asks_and_the_owner_answers() {
    let bench = Bench::new();
    let owned = served(&bench).await;
    let guest = bench.guest().await;
    assert_eq!(guest.epoch(), 1);
    assert_eq!(guest.submit(Op::CancelRun { run: run(1) }).await, Ok(Reply::Done));
    assert_eq!(owned.journal.version(&run(1)).await.unwrap(), 1);
    let Ok(Reply::Events(events)) = guest.submit(Op::ReadEvents { run: None, after: Seq(1), limit: 9 }).await else {
        panic!("no events")
    };
    assert_eq!(events, owned.journal.read(None, Seq(1), 9).await.unwrap());
    let refused = guest.submit(Op::ListRuns { states: Vec::new(), limit: None }).await.unwrap_err();
    assert_eq!((refused.code, refused.hint.as_str()), (Code::WrongState, "Ask for something else."));
}

#[tokio::test]
async fn several_requests_are_in_flight_and_a_stuck_one_holds_up_nobody() {
    let bench = Bench::new();
    let owned = served(&bench).await;
    let guest = bench.guest().await;
    let stuck = tokio::spawn({
        let guest = guest.clone();
        async move { guest.submit(Op::RefreshIndex).await }
    });
    let asks = (0..200u8).map(|number| guest.submit(Op::CancelRun { run: run(number % 5) }));
    assert!(futures_util::future::join_all(asks).await.iter().all(Result::is_ok));
    assert_eq!(owned.journal.last_seq(), Seq(201));
    drop(owned);
    assert_eq!(stuck.await.unwrap().unwrap_err().code, Code::OwnerLost);
}

#[tokio::test]
async fn a_handler_that_breaks_off_answers_with_a_problem() {
    let bench = Bench::new();
    let _owned = served(&bench).await;
    let guest = bench.guest().await;
    assert_eq!(guest.submit(Op::ListModels).await.unwrap_err().code, Code::Internal);
    assert_eq!(guest.submit(Op::CancelRun { run: run(1) }).await, Ok(Reply::Done));
}

#[tokio::test]
async fn an_answer_too_large_for_the_socket_is_a_problem_and_not_the_end() {
    let bench = Bench::new();
    let owned = served(&bench).await;
    let guest = bench.guest().await;
    let hash = owned.journal.put_blob(vec![b'x'; 65 << 20]).await.unwrap();
    assert_eq!(guest.submit(Op::ReadBlob { hash }).await.unwrap_err().code, Code::Internal);
    let hash = owned.journal.put_blob(vec![b'x'; 9 << 20]).await.unwrap();
    assert!(matches!(guest.submit(Op::ReadBlob { hash }).await, Ok(Reply::Blob(text)) if text.len() == 9 << 20));
}

#[tokio::test]
async fn a_guest_follows_the_store_live() {
    let bench = Bench::new();
    let owned = served(&bench).await;
    owned.journal.append(vec![notice("a")]).await.unwrap();
    let guest = bench.guest().await;
    let mut subscription = guest.subscribe(Seq(1));
    let stored = frames_until(&mut subscription, |frame| matches!(frame, Frame::CaughtUp(_))).await;
    owned.journal.publish_draft(draft("thinking"));
    let large = "b".repeat(50_000);
    owned.journal.append(vec![notice(&large)]).await.unwrap();
    let live = frames_until(&mut subscription, is_event(Seq(3))).await;
    assert_eq!(story(&stored), ["2 a", "caught up 2"]);
    assert_eq!(story(&live), ["draft thinking".to_owned(), format!("3 {large}")]);
    owned.close().await;
    assert_eq!(story(&rest(&mut subscription).await), ["lost owner_lost"]);
}

#[tokio::test]
async fn a_guest_that_reads_nothing_holds_up_neither_the_store_nor_its_own_requests() {
    let bench = Bench::new();
    let owned = served(&bench).await;
    let guest = bench.guest().await;
    let mut idle = guest.subscribe(Seq::ZERO);
    for _ in 0..100 {
        owned.journal.append(vec![notice(&"x".repeat(60_000))]).await.unwrap();
    }
    assert_eq!(guest.submit(Op::CancelRun { run: run(1) }).await, Ok(Reply::Done));
    let frames = frames_until(&mut idle, is_event(Seq(102))).await;
    assert!(seqs(&frames).into_iter().eq(1..=102));
}

#[tokio::test]
async fn when_the_owner_closes_its_guests_notice_and_one_of_them_takes_over() {
    let bench = Bench::new();
    let owned = served(&bench).await;
    let guest = bench.guest().await;
    let (stuck, ()) = tokio::join!(guest.submit(Op::RefreshIndex), async {
        guest.submit(Op::CancelRun { run: run(1) }).await.unwrap();
        owned.close().await;
    });
    let problem = stuck.unwrap_err();
    assert_eq!(problem.code, Code::OwnerLost);
    assert!(problem.hint.starts_with("Try again"), "{problem:?}");
    guest.closed().await;
    assert_eq!(guest.submit(Op::ListRuns { states: Vec::new(), limit: None }).await.unwrap_err().code, Code::OwnerLost);
    assert_eq!(bench.owner().await.journal.epoch(), 2);
}

#[tokio::test]
async fn an_owner_that_is_dropped_lets_the_store_go() {
    let bench = Bench::new();
    let owned = served(&bench).await;
    let guest = bench.guest().await;
    let journal = owned.journal.clone();
    drop(owned);
    guest.closed().await;
    // Opening waits for whoever still holds the lock, so this is an owner at once or never.
    let owned = bench.owner().await;
    assert_eq!(owned.journal.epoch(), 2);
    assert!(journal.append(vec![notice("late")]).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_does_not_serve_is_waited_for_and_then_named() {
    let bench = Bench::new();
    let _owned = bench.owner().await;
    let since = tokio::time::Instant::now();
    let Err(error) = bench.try_open().await else { panic!("opened twice") };
    assert!(matches!(error, OpenError::Unanswered { .. }), "{error}");
    assert!(since.elapsed() >= Duration::from_secs(2), "it gave up after {:?}", since.elapsed());
}

#[tokio::test]
async fn an_owner_that_serves_a_little_later_is_found() {
    let bench = Bench::new();
    let mut owned = bench.owner().await;
    let (guest, ()) = tokio::join!(bench.guest(), async {
        tokio::task::yield_now().await;
        owned.serve(Arc::new(Clerk(owned.journal.clone()))).unwrap();
    });
    assert_eq!(guest.epoch(), 1);
    assert!(owned.serve(Arc::new(Clerk(owned.journal.clone()))).is_err(), "served twice");
}

#[cfg(unix)]
mod socket {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    use tokio::net::UnixStream;

    fn path(bench: &Bench) -> PathBuf {
        let files = std::fs::read_dir(bench.run_dir()).unwrap().map(|file| file.unwrap().path());
        files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "sock")).unwrap()
    }

    #[tokio::test]
    async fn only_the_user_can_reach_the_socket_and_it_goes_with_the_owner() {
        let bench = Bench::new();
        let owned = served(&bench).await;
        let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(path(&bench)), mode(bench.run_dir())), (0o600, 0o700));
        let socket = path(&bench);
        owned.close().await;
        assert!(!socket.exists());
    }

    #[tokio::test]
    async fn a_socket_left_by_a_dead_owner_is_replaced() {
        let bench = Bench::new();
        let owned = served(&bench).await;
        let socket = path(&bench);
        owned.close().await;
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert!(socket.exists());
        let _owned = served(&bench).await;
        assert_eq!(bench.guest().await.epoch(), 2);
    }

    #[tokio::test]
    async fn garbage_ends_its_own_connection_and_no_other() {
        let bench = Bench::new();
        let _owned = served(&bench).await;
        let guest = bench.guest().await;
        let long = vec![b'x'; 9 << 20];
        let op = br#"{"v":1,"id":1,"op":{"op":"cancel_run","run":"0000000005o010000000000000"}}"#;
        let after_an_op = [&op[..], b"\n{\"v\":1,\"subscribe\":0}\n"].concat();
        let other_version = b"{\"v\":2,\"id\":1,\"op\":{\"op\":\"list_runs\"}}\n";
        for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"{\"v\":1}\n", &long, &after_an_op, other_version] {
            let mut stream = BufReader::new(UnixStream::connect(path(&bench)).await.unwrap());
            let mut hello = String::new();
            stream.read_line(&mut hello).await.unwrap();
            assert!(hello.starts_with(r#"{"v":1,"hello":{"store":"home","epoch":1,"#), "{hello}");
            // The owner may hang up before it has read all of it.
            let _ = stream.write_all(garbage).await;
            let mut rest = Vec::new();
            let end = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
            assert!(end.is_ok(), "the connection stayed open");
        }
        assert_eq!(guest.submit(Op::CancelRun { run: run(1) }).await, Ok(Reply::Done));
    }

    #[tokio::test]
    async fn an_owner_of_another_version_is_named() {
        let bench = Bench::new();
        let owned = served(&bench).await;
        let socket = path(&bench);
        // Somebody who holds the lock and speaks a later format.
        std::fs::remove_file(&socket).unwrap();
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let speak = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"{\"v\":9,\"greeting\":{}}\n").await.unwrap();
            stream
        });
        let Err(error) = bench.try_open().await else { panic!("opened") };
        assert!(matches!(error, OpenError::OtherDoor { found: 9, wanted: 1, .. }), "{error}");
        speak.await.unwrap();
        drop(owned);
    }
}
