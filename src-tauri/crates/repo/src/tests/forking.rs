//! The tree of a fork: exactly a checkpoint of another run with some files changed, and independent of that run.
//!
//! Guards: forking never touches the original's tree; what a fork holds does not go with the original.
//! Turns red, for example, when `make` lets a fork borrow the original's objects instead of copying them.

use crate::fixture::{AT_MS, Project, run_id, write};
use crate::{Files, RunTree, Settled, TreeError, TreeSpec};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => {
                    all.insert(
                        path.strip_prefix(root).unwrap().to_string_lossy().into_owned(),
                        fs::read(path).unwrap(),
                    );
                }
            }
        }
    }
    all
}

fn changed(all: &[(&str, Option<&str>)]) -> Files {
    all.iter().map(|(path, text)| ((*path).to_owned(), text.map(|text| text.as_bytes().to_vec()))).collect()
}

#[test]
fn a_fork_holds_a_checkpoint_with_files_changed_and_lives_without_its_original() {
    let project = Project::new(&[("a.txt", "a\n"), ("b.txt", "b\n"), ("deep/c.txt", "c\n")]);
    let original = project.tree(&run_id(1));
    write(original.root(), "a.txt", "a1\n");
    let first = original.checkpoint("one", AT_MS).unwrap();
    write(original.root(), "a.txt", "a2\n");
    write(original.root(), "new.txt", "n\n");
    let second = original.checkpoint("two", AT_MS).unwrap();
    write(original.root(), "a.txt", "a3, not recorded\n");
    let before = files(&project.spec(&run_id(1)).dir);

    let spec = project.spec(&run_id(2));
    assert_eq!(project.open().settle_tree(&spec), Settled::NotLanded);
    let edits = changed(&[("b.txt", Some("b2\n")), ("deep/c.txt", None), ("more/d.txt", Some("d\n"))]);
    let fork = project.open().fork_tree(&spec, &original, &first.commit, &edits).unwrap();
    assert_eq!(project.open().settle_tree(&spec), Settled::Landed);
    let texts: Vec<(String, String)> =
        files(fork.root()).into_iter().map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap())).collect();
    insta::assert_debug_snapshot!(texts, @r#"
    [
        (
            "a.txt",
            "a1\n",
        ),
        (
            "b.txt",
            "b2\n",
        ),
        (
            "more/d.txt",
            "d\n",
        ),
    ]
    "#);
    assert_eq!(files(&project.spec(&run_id(1)).dir), before, "the original was touched");
    assert_eq!(original.tree_with(&first.commit, &edits).unwrap(), fork.tree_id().unwrap());

    // Repeating it finds it there; the original may go; work goes on from the checkpoint.
    project.open().fork_tree(&spec, &original, &first.commit, &edits).unwrap();
    fs::remove_dir_all(&project.spec(&run_id(1)).dir).unwrap();
    let fork = RunTree::open(&spec.dir).unwrap();
    let third = fork.checkpoint("three", AT_MS).unwrap();
    fork.reset_to(&first.commit).unwrap();
    assert_eq!(files(fork.root()).keys().collect::<Vec<_>>(), ["a.txt", "b.txt", "deep/c.txt"]);
    fork.reset_to(&third.commit).unwrap();
    assert_eq!(third.files.len(), 4, "against the base: {:?}", third.files);
    assert!(
        matches!(fork.reset_to(&second.commit), Err(TreeError::NoCommit { .. })),
        "later checkpoints are not its own"
    );
}

#[test]
fn a_file_is_read_from_a_checkpoint_without_looking_at_the_tree() {
    let project = Project::new(&[("a.txt", "a\n"), ("deep/c.txt", "c\n")]);
    let tree = project.tree(&run_id(1));
    write(tree.root(), "a.txt", "a1\n");
    let point = tree.checkpoint("one", AT_MS).unwrap();
    write(tree.root(), "a.txt", "later\n");
    let at = |path: &str| tree.file_at(&point.commit, path).unwrap().map(|b| String::from_utf8(b).unwrap());
    assert_eq!((at("a.txt").as_deref(), at("deep/c.txt").as_deref()), (Some("a1\n"), Some("c\n")));
    assert_eq!((at("deep"), at("none")), (None, None));
    assert_eq!(tree.tree_with(&point.commit, &Files::new()).unwrap(), point.tree);
    assert!(matches!(tree.file_at(&"0".repeat(40), "a.txt"), Err(TreeError::NoCommit { .. })));
}

#[test]
fn a_half_made_fork_is_replaced_and_another_runs_place_is_not() {
    let project = Project::new(&[("a.txt", "a\n")]);
    let original = project.tree(&run_id(1));
    let spec = project.spec(&run_id(2));
    fs::create_dir_all(spec.dir.join("part/tree")).unwrap();
    fs::write(spec.dir.join("part/tree/left"), "over").unwrap();
    let base = original.base();
    let fork = project.open().fork_tree(&spec, &original, &base, &changed(&[("a.txt", Some("z\n"))])).unwrap();
    assert_eq!(files(fork.root()), BTreeMap::from([("a.txt".to_owned(), b"z\n".to_vec())]));
    let taken = TreeSpec { run: run_id(3), ..spec };
    assert!(matches!(
        project.open().fork_tree(&taken, &original, &base, &Files::new()),
        Err(TreeError::OtherTree { .. })
    ));
}
