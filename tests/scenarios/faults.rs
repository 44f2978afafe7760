//! When the system fails a call, or the power goes, nothing acknowledged is lost and the user is told what happened.
//!
//! A slice with fixed seeds; at full length: `cargo xtask bench crash --nth` and `--power 1000`. The rules guarded: a
//! failure has a name, nothing hangs, the user's files stay as they are until an accept, and what was told is on the
//! disk. That a disk which lies about its syncs is noticed shows that the last of them is looked at.

use atelier_tests::toll::course::Course;
use atelier_tests::toll::{Field, Toll};
use std::path::Path;

async fn field() -> Field {
    Field::prepare(Course::Feature, Path::new(env!("CARGO_BIN_EXE_victim"))).await
}

fn clean(toll: &Toll) {
    assert!(toll.is_clean(), "{}\n{}", toll.figures("blows"), toll.findings.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_call_fails_the_user_is_told_and_the_run_goes_on_afterwards() {
    let field = field().await;
    let toll = tokio::task::block_in_place(|| field.fail(&field.some_failures(1, 11), 2, |_| ()));
    eprintln!("{}", toll.figures("failed calls"));
    clean(&toll);
    assert!(toll.hits > 30, "only {} calls failed", toll.hits);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_power_cut_everything_that_was_promised_is_there() {
    let field = field().await;
    tokio::task::block_in_place(|| {
        let recorded = field.record("power", false);
        assert_eq!(recorded.unseen(), [""; 0], "the record knows every file that was changed");
        let toll = field.cut(&recorded, 12, 3, |_| false);
        eprintln!("{} changes, {} syncs; {}", recorded.changes(), recorded.syncs(), toll.figures("power cuts"));
        clean(&toll);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_lies_about_its_syncs_is_noticed() {
    let field = field().await;
    let toll = tokio::task::block_in_place(|| field.cut(&field.record("lies", true), 12, 5, |toll| toll.lost > 0));
    assert!(toll.lost > 0, "{}", toll.figures("power cuts"));
}
