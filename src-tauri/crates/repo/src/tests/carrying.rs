//! What git holds of runs comes to another clone as it was, and a bundle that is not as it was written changes nothing.
//!
//! Guards: trees, bases and branches of runs are the same after a journey, to the byte and to the commit.
//! Turns red, for example, when `carry_out` leaves out what no checkpoint recorded, or when `carry_in` writes a branch before
//! it has looked whether it is elsewhere.

use super::handing_over::hand_over;
use crate::fixture::{AT_MS, Project, UserState, files_of, run_id, write};
use crate::{CarryError, RunTree, TreeSpec, read_archive, write_archive};
use atelier_protocol::ids::RunId;
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

fn files(root: &Path) -> UserState {
    let mut state = UserState::new();
    files_of(root, &mut state);
    state
}

/// A clone by git2, with what a clone has: the branch and its history.
fn clone(project: &Project) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("elsewhere/clone");
    let repo = git2::Repository::clone(project.root().to_str().unwrap(), &to).unwrap();
    let mut config = repo.config().unwrap();
    config.set_str("user.name", "Ada").unwrap();
    config.set_str("user.email", "ada@example.org").unwrap();
    (dir, to)
}

fn spec(data: &Path, run: &RunId) -> TreeSpec {
    TreeSpec { run: run.clone(), dir: data.join(run.as_str()), base: String::new(), provide: Vec::new() }
}

#[test]
fn runs_are_the_same_in_another_clone_with_what_no_checkpoint_recorded() {
    let project = Project::new(&[("a", "1\n"), (".gitignore", "target/\n")]);
    let open = project.tree(&run_id(1));
    write(open.root(), "made", "recorded\n");
    let point = open.checkpoint("step", AT_MS).unwrap();
    write(open.root(), "half", "not recorded yet\n");
    write(open.root(), "target/cache", "c\n");
    let published = project.tree(&run_id(2));
    write(published.root(), "b", "2\n");
    let plan = hand_over(&project, &published, "add b");
    let runs = [(run_id(1), open.dir().to_owned()), (run_id(2), published.dir().to_owned())];
    let away = tempfile::tempdir().unwrap();
    let bundle = away.path().join("runs.bundle");
    let before = (files(open.root()), project.state());
    project.open().carry_out(&runs, &away.path().join("git"), &bundle).unwrap();
    assert_eq!((files(open.root()), project.state()), before, "looking changes nothing");

    let (_dir, root) = clone(&project);
    let user = crate::UserRepo::open(&root).unwrap();
    let data = away.path().join("data");
    let place = |run: &RunId| spec(&data, run);
    assert_eq!(user.carry_in(&bundle, &away.path().join("in"), &place).unwrap(), 2);
    assert_eq!(user.carry_in(&bundle, &away.path().join("again"), &place).unwrap(), 2, "done again it is the same");
    let tree = RunTree::open(&data.join(run_id(1).as_str())).unwrap();
    let mut wanted = files(open.root());
    wanted.retain(|name, _| !name.contains("target"));
    assert_eq!(files(tree.root()), wanted);
    assert_eq!(tree.checkpoint("step", AT_MS).unwrap().files.len(), 2, "what was not recorded is still to be");
    assert_eq!(tree.file_at(&point.commit, "made").unwrap().unwrap(), b"recorded\n");
    let there = git2::Repository::open(&root).unwrap();
    let branch = format!("refs/heads/{}", plan.branch());
    assert_eq!(there.refname_to_id(&branch).unwrap().to_string(), plan.tip());
    assert!(there.find_reference(&format!("refs/atelier/base/{}", run_id(1))).is_ok());
    // A file of the bundle that a byte was changed in, and one that was cut.
    for (name, change) in [("changed", 0usize), ("cut", 60)] {
        let mut bytes = fs::read(&bundle).unwrap();
        match change {
            0 => *bytes.last_mut().unwrap() ^= 1,
            cut => bytes.truncate(bytes.len() - cut),
        }
        let damaged = away.path().join(name);
        fs::write(&damaged, bytes).unwrap();
        let (_dir, fresh) = clone(&project);
        let state = crate::fixture::user_state(&fresh);
        let user = crate::UserRepo::open(&fresh).unwrap();
        let place = |run: &RunId| spec(&away.path().join(format!("data-{name}")), run);
        let refused = user.carry_in(&damaged, &away.path().join(format!("in-{name}")), &place).unwrap_err();
        assert!(matches!(refused, CarryError::Damaged { .. }), "{refused:?}");
        assert_eq!(crate::fixture::user_state(&fresh), state);
    }
}

#[test]
fn a_branch_that_is_elsewhere_refuses_all_before_the_first_write() {
    let project = Project::new(&[("a", "1\n")]);
    let tree = project.tree(&run_id(1));
    write(tree.root(), "b", "2\n");
    let plan = hand_over(&project, &tree, "add b");
    let away = tempfile::tempdir().unwrap();
    let bundle = away.path().join("runs.bundle");
    project.open().carry_out(&[(run_id(1), tree.dir().to_owned())], &away.path().join("git"), &bundle).unwrap();
    let (_dir, root) = clone(&project);
    let repo = git2::Repository::open(&root).unwrap();
    let head = repo.head().unwrap().target().unwrap();
    repo.reference(&format!("refs/heads/{}", plan.branch()), head, true, "mine").unwrap();
    let before = crate::fixture::user_state(&root);
    let data = away.path().join("data");
    let place = |run: &RunId| spec(&data, run);
    let refused = crate::UserRepo::open(&root).unwrap().carry_in(&bundle, &away.path().join("in"), &place).unwrap_err();
    assert!(matches!(refused, CarryError::Elsewhere { .. }), "{refused:?}");
    assert_eq!(crate::fixture::user_state(&root), before);
    assert!(!data.exists());
}

/// Guards: what is unpacked is what was packed, or it is refused, also where the damage came before the compression, whose
/// own sum is right then. A mutant that turns it red: `read_archive` compares only the sizes.
#[test]
fn an_archive_is_read_back_whole_or_refused_wherever_it_is_damaged() {
    let away = tempfile::tempdir().unwrap();
    let folder = away.path().join("folder");
    write(&folder, "a/b", "x".repeat(5000));
    write(&folder, "c", [0u8, 1, 2, 255]);
    let file = away.path().join("file");
    let about = serde_json::json!({"kind": "test"});
    let bytes = write_archive(&folder, about.clone(), &file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().len(), bytes);
    assert!(write_archive(&folder, about.clone(), &file).is_err(), "nothing is written over");
    let out = away.path().join("out");
    assert_eq!(read_archive(&file, &out).unwrap(), about);
    assert_eq!(files(&out), files(&folder));
    let read = |name: &str, bytes: &[u8]| {
        let damaged = away.path().join(name);
        fs::write(&damaged, bytes).unwrap();
        let into = away.path().join(format!("out of {name}"));
        let said = read_archive(&damaged, &into);
        // Some bytes say nothing about the files (a time, a system, what fills up).
        said.is_ok().then(|| assert_eq!(files(&into), files(&folder), "{name}"))
    };
    let whole = fs::read(&file).unwrap();
    let mut plain = Vec::new();
    GzDecoder::new(whole.as_slice()).read_to_end(&mut plain).unwrap();
    let compressed = |plain: &[u8]| {
        let mut bytes = Vec::new();
        GzEncoder::new(plain, Compression::fast()).read_to_end(&mut bytes).unwrap();
        bytes
    };
    let changed = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 0x10;
        bytes
    };
    for at in (0..whole.len()).step_by(whole.len() / 40 + 1) {
        assert!(read(&format!("cut at {at}"), &whole[..at]).is_none(), "cut at {at}");
        read(&format!("changed at {at}"), &changed(&whole, at));
    }
    assert!(read("compressed anew", &compressed(&plain)).is_some());
    for at in (0..plain.len()).step_by(plain.len() / 80 + 1) {
        read(&format!("changed at {at} and compressed anew"), &compressed(&changed(&plain, at)));
    }
}
