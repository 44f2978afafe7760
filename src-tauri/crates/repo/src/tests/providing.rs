//! A run's tree gets what the user says it needs besides the commit.
//!
//! Guards: it is never recorded, never changed by way of the tree's own making or removing, and never leads out of the
//! project or the tree. Turns red, for example, when `excluded` no longer reaches the run's repository, or when `lend` makes
//! the folders above without looking at what is there.

use crate::fixture::{Project, run_id, write};
use crate::{Provide, RunTree, TreeError, TreeSpec};
use atelier_protocol::error::Code;
use std::fs;

fn made(project: &Project, provide: &[Provide]) -> Result<RunTree, TreeError> {
    let spec = TreeSpec { provide: provide.to_vec(), ..project.spec(&run_id(1)) };
    project.open().make_tree(&spec)
}

fn copy(path: &str) -> Provide {
    Provide::Copy(path.to_owned())
}

fn link(path: &str) -> Provide {
    Provide::Link(path.to_owned())
}

#[test]
fn what_is_not_committed_is_copied_or_linked_and_never_recorded() {
    let project = Project::new(&[("a", "1\n"), (".gitignore", "node_modules/\n")]);
    project.write(".env", "KEY=1\n");
    project.write("node_modules/x/index.js", "x\n");
    project.write("odd [name]#1/b", "b\n");
    let before = project.state();
    let list = [copy(".env"), link("node_modules"), copy("odd [name]#1"), link("not there")];
    let tree = made(&project, &list).unwrap();
    let read = |path: &str| fs::read_to_string(tree.root().join(path)).unwrap();
    assert_eq!(
        (read(".env"), read("node_modules/x/index.js"), read("odd [name]#1/b")),
        ("KEY=1\n".into(), "x\n".into(), "b\n".into())
    );
    assert!(!tree.root().join("not there").exists());
    write(tree.root(), "a", "2\n");
    let changed: Vec<String> =
        tree.checkpoint("change a", 0).unwrap().files.into_iter().map(|file| file.path).collect();
    assert_eq!(changed, ["a"], "nothing that was given is part of the change");
    tree.reset_to(&project.head()).unwrap();
    assert_eq!((read("a"), read(".env")), ("1\n".into(), "KEY=1\n".into()), "it stays where the tree is put back");
    let base = project.head();
    project.open().remove_tree(tree.dir(), &base).unwrap();
    project.open().remove_keep_ref(&run_id(1)).unwrap();
    assert_eq!(project.state(), before, "what was linked is still the user's, whole");
}

#[test]
fn what_is_committed_leaves_the_project_or_is_gits_is_refused_before_anything_is_made() {
    let project = Project::new(&[("a", "1\n"), ("dir/b", "2\n")]);
    project.write(".env", "KEY=1\n");
    std::os::unix::fs::symlink("/etc", project.path("etc")).unwrap();
    for list in [
        vec![copy("a")],
        vec![copy("dir")],
        vec![link("dir/b/c")],
        vec![copy("../x")],
        vec![copy("/etc/passwd")],
        vec![copy("")],
        vec![copy(".git/config")],
        vec![link("etc"), copy("etc/passwd")],
    ] {
        let error = made(&project, &list).unwrap_err();
        assert!(matches!(error, TreeError::Unprovidable { .. }), "{list:?}: {error}");
        assert_eq!(error.problem().code, Code::ProjectFileInvalid);
    }
    let tree = made(&project, &[copy("etc/passwd")]).unwrap();
    assert!(!tree.root().join("etc").exists(), "a link of the user's is not followed");
}

#[test]
fn a_tree_that_is_there_is_lent_what_it_lacks() {
    let project = Project::new(&[("a", "1\n"), ("docs/b", "2\n")]);
    project.write(".env", "KEY=1\n");
    project.write("deps/x/index.js", "x\n");
    // What the user excludes need not be UTF-8, and still counts afterwards.
    fs::write(project.path(".git/info/exclude"), b"# caf\xe9\nmine\n").unwrap();
    let tree = made(&project, &[copy(".env")]).unwrap();
    let list = [copy(".env"), link("deps"), copy("not there")];
    let before = project.state();
    fs::remove_file(tree.root().join(".env")).unwrap();
    for _ in 0..2 {
        tree.lend(project.root(), &list).unwrap();
    }
    let read = |path: &str| fs::read_to_string(tree.root().join(path)).unwrap();
    assert_eq!((read(".env"), read("deps/x/index.js")), ("KEY=1\n".into(), "x\n".into()));
    write(tree.root(), ".env", "KEY=2\n");
    tree.lend(project.root(), &list).unwrap();
    assert_eq!(read(".env"), "KEY=2\n", "what is there stays");
    write(tree.root(), "a", "2\n");
    write(tree.root(), "mine", "excluded\n");
    assert_eq!(tree.checkpoint("change a", 0).unwrap().files.len(), 1, "nothing that was lent is part of the change");
    assert!(!tree.dir().join("repo/lent").exists());
    assert_eq!(project.state(), before);
    assert!(tree.lend(project.root(), &[copy("a")]).is_ok(), "it is there");
    fs::remove_file(tree.root().join("a")).unwrap();
    let refused = tree.lend(project.root(), &[copy("a")]).unwrap_err();
    assert!(matches!(refused, TreeError::Unprovidable { .. }), "the commit has it: {refused}");
}

#[test]
fn a_link_that_a_run_made_leads_nothing_that_is_lent_out_of_its_tree() {
    let project = Project::new(&[("a", "1\n")]);
    project.write("config/key", "KEY=1\n");
    let tree = made(&project, &[]).unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), tree.root().join("config")).unwrap();
    let refused = tree.lend(project.root(), &[copy("config/key")]).unwrap_err();
    assert!(matches!(refused, TreeError::Unprovidable { .. }), "{refused}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}
