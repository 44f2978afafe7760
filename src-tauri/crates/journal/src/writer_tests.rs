//! Appends as they are committed: order, versions, fencing, durability, full disks.

use super::*;
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
fn writer(folder: &Path, lock: &str) -> Writer {
    let lock = Arc::new(StoreLock::take(&folder.join(lock)).unwrap().unwrap());
    let connection = store::open(folder, &StoreId::home()).unwrap();
    Writer::take_over(connection, StoreId::home(), "test", Arc::new(Noon), lock).unwrap()
}

fn notice(text: &str) -> NewEvent {
    NewEvent::of_store(Event::Noticed { problem: Problem::new(Code::Io, text, "") })
}

fn run(number: u8) -> RunId {
    RunId::new(1, [number; 10])
}

type Wanted = (Option<(RunId, u64)>, Vec<NewEvent>);

/// Commits appends as one group and gives what each was answered.
fn commit(writer: &mut Writer, appends: Vec<Wanted>) -> Vec<Result<Receipt, AppendError>> {
    let room = Arc::new(Semaphore::new(100));
    let mut answers = Vec::new();
    let group = appends
        .into_iter()
        .map(|(expecting, events): Wanted| {
            let (reply, answer) = oneshot::channel();
            answers.push(answer);
            let events: Vec<_> = events.into_iter().map(|event| Encoded::new(event).unwrap()).collect();
            let room = Arc::clone(&room).try_acquire_owned().unwrap();
            let bytes = events.iter().map(|event| event.payload.len()).sum();
            let expecting = expecting.into_iter().collect();
            Queued { work: Work { events, expecting, marks: Vec::new() }, bytes, reply, room }
        })
        .collect();
    writer.commit(group);
    answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect()
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
fn a_group_is_synced_when_any_of_its_events_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), "a.lock");
    let level = |writer: &Writer| -> u32 {
        writer.connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap()
    };
    const NORMAL: u32 = 1;
    const FULL: u32 = 2;
    assert_eq!(level(&writer), FULL);
    commit(&mut writer, vec![(None, vec![notice("normal")])]);
    assert_eq!(level(&writer), NORMAL);
    let discarded = NewEvent::of_run(&run(1), None, Event::RunDiscarded {});
    commit(&mut writer, vec![(None, vec![notice("normal")]), (None, vec![notice("normal"), discarded])]);
    assert_eq!(level(&writer), FULL);
    commit(&mut writer, vec![(None, vec![notice("normal")])]);
    assert_eq!(level(&writer), NORMAL);
}

#[test]
fn a_full_disk_fails_the_group_whole_and_space_heals_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), "a.lock");
    let pages: u32 = writer.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    let limit = |writer: &Writer, pages: u32| {
        writer.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    };
    limit(&writer, pages);
    let large = || notice(&"x".repeat(10_000));
    let answers = commit(&mut writer, vec![(None, vec![notice("small")]), (None, vec![large(), large(), large()])]);
    assert!(answers.iter().all(|answer| matches!(answer, Err(AppendError::DiskFull))), "{answers:?}");
    assert_eq!(kinds(&writer), ["1 owner_changed"]);
    limit(&writer, pages + 100);
    assert_eq!(commit(&mut writer, vec![(None, vec![large()])])[0].as_ref().unwrap().first, Seq(2));
    assert_eq!(reader::head(&writer.connection).unwrap().seq, Seq(2));
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
    let event = Encoded::new(NewEvent::of_run(&run(1), None, Event::RunDiscarded {})).unwrap();
    assert_eq!((event.kind.as_str(), event.payload.as_slice()), ("run_discarded", &b"{}"[..]));
    let event = Encoded::new(notice("\",\"payload\":{}}")).unwrap();
    assert_eq!(event.kind, "noticed");
    let payload: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
    assert_eq!(payload["problem"]["message"], "\",\"payload\":{}}");
}
