//! Appends as they are committed: order, versions, fencing, durability, full disks.

use super::*;
use crate::feed::Live;
use crate::store;
use atelier_protocol::{Code, Problem};
use futures_core::future::BoxFuture;
use std::path::Path;
use tokio::sync::Semaphore;

struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> u64 {
        43_200_000
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A writer of the store in `folder`, under a lock that keeps nobody out.
pub(super) fn writer(folder: &Path, lock: &str) -> Writer {
    writer_with(folder, lock, Arc::new(Noon))
}

pub(crate) fn writer_with(folder: &Path, lock: &str, clock: Arc<dyn Clock>) -> Writer {
    let lock = Arc::new(StoreLock::take(&folder.join(lock)).unwrap().unwrap());
    let connection = store::open(folder, &StoreId::home()).unwrap();
    Writer::take_over(connection, folder, StoreId::home(), "test", clock, lock).unwrap()
}

pub(crate) fn notice(text: &str) -> NewEvent {
    NewEvent::of_store(Event::Noticed { problem: Problem::new(Code::Io, text, "") })
}

/// An event of class full.
pub(crate) fn full() -> NewEvent {
    NewEvent::of_run(&run(1), None, Event::RunDiscarded {})
}

pub(super) fn run(number: u8) -> RunId {
    RunId::new(1, [number; 10])
}

pub(crate) type Wanted = (Option<(RunId, u64)>, Vec<NewEvent>);

pub(crate) type Answered = oneshot::Receiver<Result<Receipt, AppendError>>;

/// An append on its way, and where its answer comes.
pub(crate) fn queued((expecting, events): Wanted) -> (Queued, Answered) {
    let (reply, answer) = oneshot::channel();
    let events: Vec<_> = events.into_iter().map(|event| Encoded::new(event).unwrap()).collect();
    let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let bytes = events.iter().map(|event| event.payload.len()).sum();
    let expecting = expecting.into_iter().collect();
    (Queued { work: Work { events, expecting, marks: Vec::new() }, bytes, reply, room }, answer)
}

/// Commits appends as one group, which threads sync, and gives what each was answered.
pub(super) fn commit(writer: &mut Writer, appends: Vec<Wanted>) -> Vec<Result<Receipt, AppendError>> {
    commit_by(writer, appends, false)
}

/// The same, synced on this thread where nobody else is at it and it `may_wait`.
pub(super) fn commit_by(
    writer: &mut Writer,
    appends: Vec<Wanted>,
    may_wait: bool,
) -> Vec<Result<Receipt, AppendError>> {
    let (group, answers): (_, Vec<_>) = appends.into_iter().map(queued).unzip();
    drop(writer.commit(group, may_wait));
    answers.into_iter().map(|answer| answer.blocking_recv().unwrap()).collect()
}

fn kinds(writer: &Writer) -> Vec<String> {
    let rows = reader::rows(&writer.connection, None, Seq::ZERO, Seq(LAST_SEQ), 100, usize::MAX).unwrap();
    rows.into_iter().map(|row| format!("{} {}", row.seq, row.kind)).collect()
}

#[test]
fn an_owner_whose_epoch_is_over_appends_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = writer(folder.path(), "a.lock");
    assert!(commit(&mut first, vec![(None, vec![notice("mine")])])[0].is_ok());
    let mut second = writer(folder.path(), "b.lock");
    assert_eq!((first.epoch(), second.epoch()), (1, 2));
    for _ in 0..2 {
        let answers = commit(&mut first, vec![(None, vec![notice("late")]), (None, vec![notice("later")])]);
        assert!(
            answers.iter().all(|answer| matches!(answer, Err(AppendError::Fenced { ours: 1, theirs: 2 }))),
            "{answers:?}"
        );
    }
    assert!(commit(&mut second, vec![(None, vec![notice("new")])])[0].is_ok());
    assert_eq!(kinds(&second), ["1 owner_changed", "2 noticed", "3 owner_changed", "4 noticed"]);
}

#[test]
fn a_conflict_fails_alone_and_sees_what_its_group_wrote_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), "a.lock");
    let event = || vec![NewEvent { run: Some(run(1)), ..notice("n") }];
    let answers = commit(
        &mut writer,
        vec![(Some((run(1), 0)), event()), (Some((run(1), 0)), event()), (Some((run(1), 1)), event())],
    );
    assert_eq!(answers[0].as_ref().unwrap().last, Seq(2));
    assert!(matches!(answers[1], Err(AppendError::Conflict { expected: 0, actual: 1, .. })), "{answers:?}");
    assert_eq!(answers[2].as_ref().unwrap().last, Seq(3));
}

#[test]
fn a_full_append_is_answered_after_a_sync_and_a_normal_one_without() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), "a.lock");
    for _ in 0..3 {
        commit(&mut writer, vec![(None, vec![notice("normal")])]);
    }
    assert_eq!(writer.syncer.syncs(), 0);
    commit(&mut writer, vec![(None, vec![notice("normal")]), (None, vec![notice("normal"), full()])]);
    assert_eq!(writer.syncer.syncs(), 1);
    commit(&mut writer, vec![(None, vec![full()]), (None, vec![full()])]);
    assert_eq!(writer.syncer.syncs(), 2, "one sync answers all who wait");
}

#[test]
fn nothing_is_answered_with_success_once_a_sync_failed() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), "a.lock");
    writer.ended.set(AppendError::Failed { reason: "the log cannot be synced".into() }).unwrap();
    let answers = commit(&mut writer, vec![(None, vec![notice("normal")])]);
    assert!(matches!(answers[0], Err(AppendError::Failed { .. })), "{answers:?}");
    assert_eq!(kinds(&writer), ["1 owner_changed"]);
}

/// A normal append, a full one, and a normal one again.
fn mixed() -> Vec<Wanted> {
    vec![(None, vec![notice("first")]), (None, vec![full()]), (None, vec![notice("last")])]
}

/// The numbers that were told to a listener.
fn heard(mut live: tokio::sync::broadcast::Receiver<Live>) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Ok(news) = live.try_recv() {
        let Live::Events(events) = news else { panic!("small events are told whole") };
        numbers.extend(events.iter().map(|event| event.seq.0));
    }
    numbers
}

#[test]
fn what_is_committed_after_a_full_append_is_told_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), "a.lock");
    let feed = writer.feed();
    let (live, _) = feed.listen();
    for _ in 0..20 {
        commit(&mut writer, mixed());
    }
    // Everything is told by then.
    drop(writer);
    assert_eq!(heard(live), (2..62).collect::<Vec<_>>());
    assert_eq!(feed.told(), feed.head());
}

/// A writer whose log is a file that can be opened and not synced.
#[cfg(unix)]
pub(super) fn writer_that_cannot_sync(folder: &Path) -> Writer {
    let mut writer = writer(folder, "a.lock");
    writer.syncer = Syncer::start(Path::new("/dev/null"), writer.feed(), Arc::clone(&writer.ended)).unwrap();
    writer
}

/// Guards: nobody is told of a full event that the disk may not have. Telling at the commit turns it red.
#[test]
#[cfg(unix)]
fn a_full_event_is_not_told_before_it_is_synced_and_neither_is_what_follows_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer_that_cannot_sync(folder.path());
    let feed = writer.feed();
    let (live, _) = feed.listen();
    let answers = commit(&mut writer, mixed());
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true], "{answers:?}");
    drop(writer);
    assert_eq!((heard(live), feed.told(), feed.head()), (vec![2], Seq(2), Seq(4)));
}

/// Lets the database have so many pages and no more.
fn limit(writer: &Writer, pages: u32) {
    writer.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
}

fn pages(writer: &Writer) -> u32 {
    writer.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap()
}

/// An event that asks for more room than a full disk has.
fn large(text: &str) -> NewEvent {
    NewEvent::of_run(&run(1), None, Event::TurnCorrected { message: text.repeat(10_000) })
}

#[test]
fn a_full_disk_stops_all_but_last_words_until_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), "a.lock");
    let reserve = folder.path().join("reserve");
    assert_eq!(std::fs::metadata(&reserve).unwrap().len(), 4 << 20);
    limit(&writer, pages(&writer));

    let parked = || NewEvent::of_run(&run(2), None, Event::RunParked { problem: Problem::new(Code::DiskFull, "", "") });
    let answers = commit(&mut writer, vec![(None, vec![large("x"), parked()]), (None, vec![parked()])]);
    assert!(matches!(answers[0], Err(AppendError::DiskFull)), "{answers:?}");
    assert_eq!(answers[1].as_ref().unwrap().first, Seq(2));
    assert!(!reserve.exists(), "it is given back");
    assert_eq!(kinds(&writer), ["1 owner_changed", "2 run_parked"], "and nothing is there by half");

    // No room for the reserve, some for the database, as after it was given back: only last words have it.
    std::fs::create_dir(&reserve).unwrap();
    limit(&writer, pages(&writer) + 100);
    let answers = commit(&mut writer, vec![(None, vec![large("y")]), (None, vec![parked()])]);
    assert!(matches!(answers[0], Err(AppendError::DiskFull)), "{answers:?}");
    assert_eq!(answers[1].as_ref().unwrap().first, Seq(3));

    // Room at last: it is noticed without a restart.
    std::fs::remove_dir(&reserve).unwrap();
    writer.reserve.forget_the_last_try();
    assert_eq!(commit(&mut writer, vec![(None, vec![large("z")])])[0].as_ref().unwrap().first, Seq(4));
    assert!(reserve.exists());
    assert_eq!(reader::head(&writer.connection).unwrap().seq, Seq(4));
}

#[test]
fn numbers_end_where_a_page_could_not_hold_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), "a.lock");
    writer.head = Seq(LAST_SEQ - 1);
    let answers = commit(&mut writer, vec![(None, vec![notice("a"), notice("b")]), (None, vec![notice("c")])]);
    assert!(matches!(&answers[0], Err(AppendError::Failed { .. })), "{answers:?}");
    assert_eq!(answers[1].as_ref().unwrap().last, Seq(LAST_SEQ));
}

#[test]
fn an_event_is_taken_apart_into_kind_and_payload() {
    let event = Encoded::new(full()).unwrap();
    assert_eq!((event.kind.as_str(), event.payload.as_slice()), ("run_discarded", &b"{}"[..]));
    let event = Encoded::new(notice("\",\"payload\":{}}")).unwrap();
    assert_eq!(event.kind, "noticed");
    let payload: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
    assert_eq!(payload["problem"]["message"], "\",\"payload\":{}}");
}
