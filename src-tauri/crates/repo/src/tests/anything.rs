//! Whatever a run does to the files, its commits end at the checkpoint and an accept brings exactly that.
//!
//! Turns red, for example, when `put_files` leaves what the checkpoint does not have, or when `write_index` keeps entries
//! that the run removed.

use super::handing_over::unchecked;
use crate::fixture::{AT_MS, Project, run_id, write};
use crate::{Fault, HandOverError, Message};
use atelier_protocol::event::Acceptance;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

/// One act of a run on a path; paths that are folders of one another make files and folders change places.
#[derive(Debug, Clone)]
enum Act {
    Write(&'static str, u8),
    Remove(&'static str),
    Move(&'static str, &'static str),
}

const PATHS: &[&str] =
    &["a", "a/b", "a/b/c", "src/x.rs", "src", "tests/x.rs", "tests", "docs/r.md", "docs", "README.md", "z z"];

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let path = || prop::sample::select(PATHS);
    let act = prop_oneof![
        4 => (path(), 0..4u8).prop_map(|(path, n)| Act::Write(path, n)),
        2 => path().prop_map(Act::Remove),
        2 => (path(), path()).prop_map(|(from, to)| Act::Move(from, to)),
    ];
    prop::collection::vec(act, 1..12)
}

/// Makes room for a file: nothing at its place, and folders above it.
fn clear(root: &Path, path: &str) {
    let mut above = root.to_owned();
    for part in Path::new(path).parent().unwrap().components() {
        above.push(part);
        if above.is_file() {
            fs::remove_file(&above).unwrap();
        }
    }
    crate::paths::remove_all(&root.join(path)).unwrap();
}

fn perform(root: &Path, act: &Act) {
    match act {
        Act::Write(path, n) => {
            clear(root, path);
            write(root, path, format!("line\n{n}\n").repeat(usize::from(*n) * 3));
        }
        Act::Remove(path) => crate::paths::remove_all(&root.join(path)).unwrap(),
        Act::Move(from, to) => {
            if let Ok(content) = fs::read(root.join(from)) {
                fs::remove_file(root.join(from)).unwrap();
                clear(root, to);
                write(root, to, content);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_change_arrives_exactly_and_survives_a_crash_anywhere(acts in acts(), stop in 0..8usize) {
        let project = Project::new(&[
            ("a/b", "ab\n"), ("src/x.rs", "fn x() {}\nfn y() {}\nfn z() {}\n"), ("tests/x.rs", "t\n"), ("docs/r.md", "d\n"),
        ]);
        project.write("untracked", "mine\n");
        let tree = project.tree(&run_id(1));
        acts.iter().for_each(|act| perform(tree.root(), act));
        {
            let repo = tree.repo().unwrap();
            crate::pack::hold_in_memory(&repo).unwrap();
            let before = repo.find_commit(tree.base_id()).unwrap().tree().unwrap();
            let tracked = crate::listing::listing(&repo, &before).unwrap();
            let files = crate::scan::scan(&tree, &repo, &tracked).unwrap();
            let over = crate::scan::write_tree_over(&repo, &before, &tracked, &files).unwrap();
            prop_assert_eq!(over, crate::scan::write_tree(&repo, &files).unwrap(), "only what differs is written, and all of it");
        }
        let point = tree.checkpoint("any", AT_MS).unwrap();
        let start = tree.base();
        tree.reset_to(&start).unwrap();
        prop_assert_eq!(tree.checkpoint("back", AT_MS).unwrap().files.len(), 0);
        tree.reset_to(&point.commit).unwrap();
        prop_assert_eq!(&tree.tree_id().unwrap(), &point.tree);

        let user = project.open();
        let plan = match user.plan_hand_over(&tree, &unchecked(&point), &Message::of("add anything"), AT_MS) {
            Err(HandOverError::NothingChanged) if point.files.is_empty() => return Ok(()),
            other => other.unwrap(),
        };
        user.perform_hand_over(&plan).unwrap();
        let accept = user.plan_accept(&run_id(1), plan.tip(), &Acceptance::default(), AT_MS).unwrap();
        let mut left = stop;
        let _ = user.land(&accept, &mut |_| match left.checked_sub(1) {
            Some(fewer) => {
                left = fewer;
                Ok(())
            }
            None => Err(Fault::Io { doing: "crashing", path: "test".into(), source: std::io::Error::other("test") }),
        });
        user.perform_accept(&accept).unwrap();
        let repo = project.git();
        prop_assert_eq!(repo.head().unwrap().peel_to_tree().unwrap().id().to_string(), point.tree);
        let mut options = git2::StatusOptions::new();
        options.include_untracked(true).recurse_untracked_dirs(true);
        let status = repo.statuses(Some(&mut options)).unwrap();
        let left: Vec<_> = status.iter().map(|s| s.path().unwrap().to_owned()).collect();
        prop_assert_eq!(left, ["untracked"]);
    }
}
