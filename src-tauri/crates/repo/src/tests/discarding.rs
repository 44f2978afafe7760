//! After a discard the user's repository is what it was before the run.
//!
//! Guards: nothing of a run stays behind, and nothing is removed that somebody still needs. Turns red, for example, when
//! `perform_discard` does not look where the branch is, or when `remove_tree` does not ask whether its work is kept.

use super::handing_over::hand_over;
use crate::fixture::{AT_MS, Project, run_id, write};
use crate::{Discard, DiscardError, Settled, Tip};
use atelier_protocol::event::Acceptance;
use std::fs;

#[test]
fn a_whole_run_and_its_discard_leave_no_trace() {
    let project = Project::new(&[("a", "1\n"), ("src/lib.rs", "x\n"), (".gitignore", "target/\n")]);
    project.write("a", "edited\n");
    project.write("staged", "s\n");
    project.stage("staged");
    project.write("target/cache", "c\n");
    let before = project.state();

    let user = project.open();
    let spec = project.spec(&run_id(1));
    let tree = user.make_tree(&spec).unwrap();
    let untouched = |after: &mut crate::fixture::UserState| after.retain(|name, _| !name.contains("atelier"));
    write(tree.root(), "src/lib.rs", "y\n");
    write(tree.root(), "tests/it.rs", "t\n");
    tree.checkpoint("build.1", AT_MS).unwrap();
    write(tree.root(), "README.md", "# r\n");
    let point = tree.checkpoint("build.2", AT_MS).unwrap();
    tree.diff(&tree.base(), Tip::Files).unwrap();
    tree.reset_to(&point.commit).unwrap();
    let over = hand_over(&project, &tree, "change things");
    user.plan_accept(&run_id(1), over.tip(), &Acceptance::default(), AT_MS).unwrap();
    let mut during = project.state();
    untouched(&mut during);
    assert_eq!(during, before, "before an accept only names of ours are new");

    let discard =
        Discard { run: run_id(1), tip: Some(over.tip().to_owned()), dir: Some(spec.dir.clone()), at_ms: AT_MS };
    assert_eq!(user.settle_discard(&discard), Settled::NotLanded);
    user.perform_discard(&discard).unwrap();
    assert_eq!(project.state(), before);
    assert!(!tree.root().exists(), "only what it takes to bring the run back is kept, in the data folder");
    assert_eq!(user.settle_discard(&discard), Settled::Landed);
    user.perform_discard(&discard).unwrap();
    assert_eq!(project.state(), before);
}

#[test]
fn logs_of_references_go_with_them_whether_or_not_the_user_keeps_any() {
    for (every, has_logs) in [("always", true), ("always", false), ("true", false), ("false", false)] {
        let project = Project::new(&[("a", "1\n")]);
        project.git().config().unwrap().set_str("core.logAllRefUpdates", every).unwrap();
        if !has_logs {
            fs::remove_dir_all(project.path(".git/logs")).unwrap();
        }
        let before = project.state();
        let tree = project.tree(&run_id(1));
        write(tree.root(), "a", "2\n");
        let over = hand_over(&project, &tree, "two");
        let plan = Discard {
            run: run_id(1),
            tip: Some(over.tip().to_owned()),
            dir: Some(tree.dir().to_owned()),
            at_ms: AT_MS,
        };
        project.open().perform_discard(&plan).unwrap();
        assert_eq!(project.state(), before, "logAllRefUpdates = {every}");
    }
}

#[test]
fn another_run_keeps_its_branch_and_base() {
    let project = Project::new(&[("a", "1\n")]);
    let (one, two) = (project.tree(&run_id(1)), project.tree(&run_id(2)));
    write(one.root(), "a", "2\n");
    write(two.root(), "a", "3\n");
    let (first, second) = (hand_over(&project, &one, "two"), hand_over(&project, &two, "three"));
    let plan =
        Discard { run: run_id(1), tip: Some(first.tip().to_owned()), dir: Some(one.dir().to_owned()), at_ms: AT_MS };
    project.open().perform_discard(&plan).unwrap();
    assert_eq!(project.target(&format!("refs/heads/{}", second.branch())).as_deref(), Some(second.tip()));
    assert_eq!(project.target(&format!("refs/heads/{}", first.branch())), None);
    assert!(project.target(&format!("refs/atelier/base/{}", run_id(2))).is_some());
    assert!(two.root().exists() && !one.root().exists());
}

#[test]
fn packed_references_are_removed_too() {
    let project = Project::new(&[("a", "1\n")]);
    let tree = project.tree(&run_id(1));
    write(tree.root(), "a", "2\n");
    let over = hand_over(&project, &tree, "two");
    let names = [format!("refs/heads/{}", over.branch()), format!("refs/atelier/base/{}", run_id(1))];
    let mut packed = format!("# pack-refs with: peeled fully-peeled sorted \n{} {}\n", tree.base(), names[1]);
    packed.push_str(&format!("{} {}\n{} refs/heads/main\n", over.tip(), names[0], tree.base()));
    fs::write(project.path(".git/packed-refs"), packed).unwrap();
    for name in &names {
        fs::remove_file(project.path(".git").join(name)).unwrap();
        assert!(project.target(name).is_some());
    }
    let plan = Discard { run: run_id(1), tip: Some(over.tip().to_owned()), dir: None, at_ms: AT_MS };
    project.open().perform_discard(&plan).unwrap();
    assert!(names.iter().all(|name| project.target(name).is_none()));
}

#[test]
fn a_branch_that_the_user_works_on_is_kept() {
    let project = Project::new(&[("a", "1\n")]);
    let tree = project.tree(&run_id(1));
    write(tree.root(), "a", "2\n");
    let over = hand_over(&project, &tree, "two");
    let user = project.open();
    let plan =
        Discard { run: run_id(1), tip: Some(over.tip().to_owned()), dir: Some(tree.dir().to_owned()), at_ms: AT_MS };
    let name = format!("refs/heads/{}", over.branch());

    let linked = project.data().join("linked");
    let repo = project.git();
    let branch = repo.find_reference(&name).unwrap();
    let mut options = git2::WorktreeAddOptions::new();
    options.reference(Some(&branch));
    repo.worktree("side", &linked, Some(&options)).unwrap();
    assert!(matches!(user.perform_discard(&plan), Err(DiscardError::CheckedOut { .. })));

    let base = git2::Oid::from_str(&tree.base()).unwrap();
    repo.reference(&name, base, true, "the user's").unwrap();
    assert!(matches!(user.perform_discard(&plan), Err(DiscardError::BranchElsewhere { .. })));
    assert!(matches!(user.settle_discard(&plan), Settled::Unknown(_)));
    let never = Discard { tip: None, ..plan };
    assert!(matches!(user.perform_discard(&never), Err(DiscardError::BranchElsewhere { .. })));
    assert!(tree.root().exists(), "nothing is removed where the branch is not ours to remove");
}

#[test]
fn a_tree_is_removed_only_when_its_work_is_on_a_branch() {
    let project = Project::new(&[("a", "1\n"), (".gitignore", "target/\n")]);
    let user = project.open();
    let tree = project.tree(&run_id(1));
    write(tree.root(), "a", "2\n");
    write(tree.root(), "target/cache", "c\n");
    let over = hand_over(&project, &tree, "two");
    write(tree.root(), "a", "3\n");
    assert!(matches!(user.remove_tree(tree.dir(), over.tip()), Err(DiscardError::WorkWouldBeLost { .. })));
    write(tree.root(), "a", "2\n");
    let name = format!("refs/heads/{}", over.branch());
    let repo = project.git();
    repo.find_reference(&name).unwrap().delete().unwrap();
    assert!(matches!(user.remove_tree(tree.dir(), over.tip()), Err(DiscardError::WorkWouldBeLost { .. })));
    repo.reference(&name, git2::Oid::from_str(over.tip()).unwrap(), false, "back").unwrap();
    user.remove_tree(tree.dir(), over.tip()).unwrap();
    assert!(!tree.root().exists());
    user.remove_tree(tree.dir(), over.tip()).unwrap();
    user.remove_keep_ref(&run_id(1)).unwrap();
    assert!(!project.path(".git/refs/atelier").exists());
}

#[test]
fn a_folder_that_holds_other_things_of_the_run_is_kept() {
    let project = Project::new(&[("a", "1\n")]);
    let tree = project.tree(&run_id(1));
    write(tree.dir(), "logs/check.txt", "kept\n");
    let plan = Discard { run: run_id(1), tip: None, dir: Some(tree.dir().to_owned()), at_ms: AT_MS };
    project.open().perform_discard(&plan).unwrap();
    assert!(tree.dir().join("logs/check.txt").exists() && !tree.root().exists());
    assert_eq!(project.open().settle_discard(&plan), Settled::Landed);
}
