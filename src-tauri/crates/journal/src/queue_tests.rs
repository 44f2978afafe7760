//! Who commits what, and that everyone is answered.
//!
//! The clock is looked at once in each group, so it tells who commits, and it can hold a commit up. Guards: an append
//! that comes while somebody commits is not forgotten. Not waking the thread for what is left turns it red.

use super::*;
use crate::append::Receipt;
use crate::writer::tests::{Answered, full, notice, queued, writer_with};
use atelier_protocol::ports::Clock;
use futures_core::future::BoxFuture;
use std::sync::mpsc;
use tempfile::TempDir;

/// Says which thread commits, and lets it go on when it is told how.
struct Gate {
    committing: mpsc::Sender<Option<String>>,
    go_on: Mutex<mpsc::Receiver<Go>>,
}

enum Go {
    On,
    /// The writer breaks off.
    Wrong,
}

impl Clock for Gate {
    fn now_ms(&self) -> u64 {
        self.committing.send(std::thread::current().name().map(str::to_owned)).unwrap();
        let go = lock(&self.go_on).recv();
        assert!(matches!(go, Ok(Go::On)), "the clock broke");
        43_200_000
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A queue whose commits are held up.
struct Held {
    queue: Arc<Queue>,
    committing: mpsc::Receiver<Option<String>>,
    go_on: mpsc::Sender<Go>,
    folder: TempDir,
}

impl Held {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (told, committing) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel();
        let clock = Gate { committing: told, go_on: Mutex::new(goes_on) };
        // Who owns the store now is the first event.
        go_on.send(Go::On).unwrap();
        let writer = writer_with(folder.path(), "lock", Arc::new(clock));
        committing.recv().unwrap();
        Self { queue: Queue::start(writer).unwrap(), committing, go_on, folder }
    }

    /// Appends on a thread of this name, which is held up in its commit when this returns.
    fn begin(&self, name: &str) -> (std::thread::JoinHandle<()>, Answered) {
        let (append, answer) = queued((None, vec![notice(name)]));
        let queue = Arc::clone(&self.queue);
        let append = move || queue.append(append).unwrap();
        let thread = std::thread::Builder::new().name(name.into()).spawn(append).unwrap();
        assert_eq!(self.who(), name);
        (thread, answer)
    }

    /// Appends one event of class full here and now.
    fn append_full(&self) -> Answered {
        let (append, answer) = queued((None, vec![full()]));
        self.go(Go::On);
        self.queue.append(append).unwrap();
        self.who();
        answer
    }

    /// Appends while somebody else commits.
    fn join(&self, text: &str) -> Answered {
        let (append, mut answer) = queued((None, vec![notice(text)]));
        self.queue.append(append).unwrap();
        assert!(answer.try_recv().is_err(), "nobody can have committed it");
        answer
    }

    /// The thread that commits next.
    fn who(&self) -> String {
        self.committing.recv_timeout(Duration::from_secs(20)).expect("somebody commits").unwrap()
    }

    fn go(&self, go: Go) {
        self.go_on.send(go).unwrap();
    }

    fn close(self) -> TempDir {
        self.queue.close();
        while !self.queue.ended().is_cancelled() {
            std::thread::yield_now();
        }
        let (append, _) = queued((None, vec![notice("too late")]));
        assert!(matches!(self.queue.append(append), Err(AppendError::Closed)));
        self.folder
    }
}

fn number(answer: Answered) -> u64 {
    answer.blocking_recv().unwrap().unwrap().last.0
}

fn is_closed(answer: Answered) -> bool {
    answer.blocking_recv().is_err()
}

#[test]
fn who_appends_alone_commits_on_its_own_thread_and_is_answered_at_once() {
    let held = Held::new();
    let (caller, mut answer) = held.begin("caller");
    held.go(Go::On);
    caller.join().unwrap();
    let receipt: Receipt = answer.try_recv().unwrap().unwrap();
    assert_eq!(receipt.last.0, 2);
    held.close();
}

#[test]
fn who_comes_while_somebody_commits_is_committed_too_and_together_with_others() {
    let held = Held::new();
    let (caller, first) = held.begin("caller");
    let (second, third) = (held.join("second"), held.join("third"));
    held.go(Go::On);
    // Held up for longer than a turn or not: either of both takes the next two, in one group.
    assert!(["caller", "journal-writer"].contains(&held.who().as_str()));
    held.go(Go::On);
    assert_eq!([first, second, third].map(number), [2, 3, 4]);
    caller.join().unwrap();
    held.close();
}

#[test]
fn what_is_left_when_a_turn_is_over_is_committed_by_the_thread() {
    let held = Held::new();
    let (caller, first) = held.begin("caller");
    let since = Instant::now();
    let second = held.join("second");
    while since.elapsed() <= TURN {
        std::hint::spin_loop();
    }
    held.go(Go::On);
    assert_eq!(held.who(), "journal-writer");
    caller.join().unwrap();
    assert_eq!(number(first), 2, "who did the work is answered and free while the others are committed");
    held.go(Go::On);
    assert_eq!(number(second), 3);
    held.close();
}

#[test]
fn closing_commits_what_is_in_the_queue_and_takes_nothing_more() {
    let held = Held::new();
    let (caller, first) = held.begin("caller");
    let second = held.join("second");
    held.queue.close();
    held.go(Go::On);
    held.go(Go::On);
    assert_eq!([first, second].map(number), [2, 3]);
    caller.join().unwrap();
    let folder = held.close();
    assert!(!crate::store::log(folder.path()).exists(), "the database file alone is the whole history");
}

#[test]
fn who_appends_a_full_event_syncs_it_where_its_runtime_has_other_threads() {
    let held = Held::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let held = runtime.block_on(async {
        let append = async move {
            let mut answer = held.append_full();
            assert_eq!(answer.try_recv().unwrap().unwrap().last.0, 2, "it is on the disk when this goes on");
            held
        };
        tokio::spawn(append).await.unwrap()
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // One that has no others must not stand still, so a thread of the journal's own does it.
    let answer = runtime.block_on(async { held.append_full().await });
    assert_eq!(answer.unwrap().unwrap().last.0, 3);
    assert_eq!(number(held.append_full()), 4, "and so it is without a runtime");
    held.close();
}

#[test]
fn a_writer_that_breaks_off_leaves_nobody_waiting() {
    let held = Held::new();
    let (caller, first) = held.begin("caller");
    let second = held.join("second");
    held.go(Go::Wrong);
    caller.join().expect("it takes no caller with it");
    assert!(is_closed(first) && is_closed(second));
    held.close();
}
