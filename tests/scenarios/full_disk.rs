//! On a full disk a run stops cleanly and says so; when there is room it goes on, and nothing that was recorded is lost.
//!
//! The disk is the library of faults, which gives files so much room and no more; a real small file system needs rights
//! that a developer's machine may not give. At full length: `cargo xtask bench crash --full 200`. Turns red, for example,
//! when a run that could not be recorded is taken as parked, or when a process that stays does not try again.

use atelier_tests::job::Job;
use atelier_tests::toll::Field;
use atelier_tests::toll::child::Preload;
use atelier_tests::toll::course::Course;
use std::path::Path;

async fn field() -> Field {
    Field::prepare(Course::Feature, Path::new(env!("CARGO_BIN_EXE_victim"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_on_a_full_disk_says_so_and_its_run_goes_on_with_room() {
    let field = field().await;
    let rooms = [0, 300_000, 4_500_000, 8_700_000, 9_000_000, 9_300_000];
    let toll = tokio::task::block_in_place(|| field.fill(&rooms, 2, |_| ()));
    eprintln!("{}", toll.figures("full disks"));
    assert!(toll.is_clean(), "{}\n{}", toll.figures("full disks"), toll.findings.join("\n"));
    assert!(toll.hits >= 4, "only {} did not fit", toll.hits);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stays_goes_on_by_itself_when_there_is_room() {
    let field = field().await;
    // How much the job needs is not known to the byte: less and less room is given until it does not do.
    let full = tokio::task::block_in_place(|| (0..12).any(|less| stays(&field, 9_000_000 - less * 100_000)));
    assert!(full, "there was always room");
}

/// Lets the job work with so much room, and makes room when it says that there is none. Whether it said so.
fn stays(field: &Field, room: u64) -> bool {
    let place = field.place(&format!("stays-{room}"));
    let file = field.world.folder.path().join(format!("stays-{room}.room"));
    std::fs::write(&file, room.to_string()).unwrap();
    let preload = Preload { room: Some(file.clone()), ..Preload::fast(&place.folder) };
    // Whoever follows the run is told; then somebody makes room.
    let seen = field.play_and(&place, Job::Stay.word(), &preload, |line| {
        if line.starts_with("full ") {
            let _ = std::fs::remove_file(&file);
        }
    });
    assert_eq!(seen.exit, Some(0), "with room for {room}: {}", seen.text());
    let mut toll = atelier_tests::toll::Toll::default();
    field.judge(&place, Job::Accept, &atelier_tests::toll::judge::acked(&seen.out), "stays", &mut toll);
    assert!(toll.is_clean(), "{}", toll.findings.join("\n"));
    seen.out.contains("full The disk is full")
}
