//! Who syncs, and that everyone is answered and told whoever it is.
//!
//! Guards: nobody is told or answered before the disk has it, and nobody waits in vain. Telling at the commit, and a sync
//! that is forgotten where it is given up, turn it red.

#[cfg(unix)]
use super::tests::writer_that_cannot_sync;
use super::tests::{Answered, full, notice, queued, writer};
use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Commits one event of somebody who would sync.
fn commit(writer: &mut Writer, event: NewEvent) -> (Option<Due>, Answered) {
    let (append, answer) = queued((None, vec![event]));
    (writer.commit(vec![append], true), answer)
}

fn number(mut answer: Answered) -> Option<u64> {
    answer.try_recv().ok().map(|answer| answer.unwrap().last.0)
}

#[test]
fn who_appends_syncs_where_nobody_is_waited_for_and_the_writer_goes_on_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), "a.lock");
    let feed = writer.feed();
    let (due, mut first) = commit(&mut writer, full());
    let due = due.expect("nobody else waits");
    let (nothing, second) = commit(&mut writer, notice("normal"));
    assert!(nothing.is_none(), "it waits for no sync");
    assert_eq!(number(second), Some(3), "and is answered at once");
    assert!(first.try_recv().is_err(), "nothing is synced yet");
    assert_eq!(feed.told(), Seq(1), "what comes after it is not told before it");
    drop(due);
    assert_eq!((number(first), feed.told(), writer.syncer.syncs()), (Some(2), Seq(3), 1));
    assert!(!writer.syncer.is_busy());
}

#[test]
fn who_comes_during_a_sync_is_answered_by_a_thread_and_with_it_those_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), "a.lock");
    let feed = writer.feed();
    let (due, first) = commit(&mut writer, full());
    let (none, second) = commit(&mut writer, full());
    assert!(due.is_some() && none.is_none());
    assert_eq!(second.blocking_recv().unwrap().unwrap().last, Seq(3));
    assert_eq!(number(first), Some(2), "one sync answers everyone who came before it began");
    drop(due);
    let (due, third) = commit(&mut writer, full());
    drop(due.expect("nobody waits any more"));
    assert_eq!((number(third), feed.told()), (Some(4), Seq(4)));
}

#[test]
fn closing_waits_for_whoever_syncs() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), "a.lock");
    let feed = writer.feed();
    let (due, first) = commit(&mut writer, full());
    let closing = std::thread::spawn(move || writer.close());
    for _ in 0..10_000 {
        std::thread::yield_now();
        assert!(!closing.is_finished(), "somebody is not answered yet");
    }
    drop(due);
    closing.join().unwrap();
    assert_eq!((number(first), feed.told()), (Some(2), Seq(2)));
}

#[test]
fn a_sync_that_is_given_up_is_done_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), "a.lock");
    let (due, first) = commit(&mut writer, full());
    let broke = catch_unwind(AssertUnwindSafe(|| {
        let _due = due;
        panic!("on the way to the disk");
    }));
    assert!(broke.is_err());
    assert_eq!(number(first), Some(2));
    writer.close();
}

#[test]
#[cfg(unix)]
fn once_its_sync_failed_nobody_is_told_and_nothing_is_appended_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer_that_cannot_sync(folder.path());
    let feed = writer.feed();
    let (due, mut first) = commit(&mut writer, full());
    drop(due.unwrap());
    let failed = first.try_recv().unwrap();
    assert!(matches!(failed, Err(AppendError::Failed { ref reason }) if reason.contains("synced")), "{failed:?}");
    let (none, mut later) = commit(&mut writer, notice("normal"));
    assert!(none.is_none() && later.try_recv().unwrap().is_err());
    assert_eq!((feed.told(), feed.head()), (Seq(1), Seq(2)));
}
