//! What was done can be taken back, and that too; what came after it and what the user has not committed stays.
//!
//! Guards: taking back changes exactly the files it said it would, to the byte, and never loses anything.
//! Turns red, for example, when `without` merges from the state before instead of from the one after, or when `withdrawal`
//! leaves out `refuse_dirty`.

use super::handing_over::hand_over;
use crate::fixture::{AT_MS, Project, UserState, files_of, run_id, write};
use crate::land::Act;
use crate::{Accept, AcceptRefusal, Discard, DiscardError, Fault, RunTree, Settled, TreeError};
use atelier_protocol::event::{AcceptMode, Acceptance};
use std::fs;

fn point(tree: &RunTree, label: &str) -> String {
    tree.checkpoint(label, AT_MS).unwrap().commit
}

/// Every file of a tree with its bytes.
fn files(tree: &RunTree) -> UserState {
    let mut state = UserState::new();
    files_of(tree.root(), &mut state);
    state
}

fn back(tree: &RunTree, from: &str, to: &str) -> Result<Vec<String>, TreeError> {
    let seen: Vec<String> = tree.preview_reversal(from, to)?.into_iter().map(|file| file.path).collect();
    let plan = tree.plan_reversal(from, to, "back", AT_MS)?;
    assert_eq!(plan.files.iter().map(|file| file.path.clone()).collect::<Vec<_>>(), seen, "it does what it said");
    tree.reset_to(&plan.to)?;
    assert_eq!(tree.settle_reset(&plan.to), Settled::Landed);
    Ok(seen)
}

#[test]
fn a_step_is_taken_back_to_the_byte_with_what_commands_did_and_later_steps_stay() {
    let project = Project::new(&[("a", "1\n2\n3\n"), (".gitignore", "target/\n")]);
    let tree = project.tree(&run_id(1));
    let base = tree.base();
    write(tree.root(), "a", "1\r\ntwo\n3");
    write(tree.root(), "made/by-command", [0u8, 159, 146, 150]);
    write(tree.root(), "target/cache", "c\n");
    let first = point(&tree, "first");
    write(tree.root(), "b", "later\n");
    let second = point(&tree, "second");
    assert_eq!(back(&tree, &base, &first).unwrap(), ["a", "made/by-command"]);
    let read = |path: &str| fs::read_to_string(tree.root().join(path)).unwrap();
    assert_eq!((read("a"), read("b"), read("target/cache")), ("1\n2\n3\n".into(), "later\n".into(), "c\n".into()));
    assert!(!tree.root().join("made").exists());
    // And again: taking the taking back back.
    let without = point(&tree, "now");
    back(&tree, &second, &without).unwrap();
    assert_eq!(fs::read(tree.root().join("a")).unwrap(), b"1\r\ntwo\n3");
    assert_eq!(fs::read(tree.root().join("made/by-command")).unwrap(), [0u8, 159, 146, 150]);
}

#[test]
fn what_later_steps_built_on_is_refused_by_name_and_nothing_changes() {
    let project = Project::new(&[("a", "1\n"), ("b", "1\n")]);
    let tree = project.tree(&run_id(1));
    write(tree.root(), "a", "2\n");
    let first = point(&tree, "first");
    write(tree.root(), "a", "3\n");
    point(&tree, "second");
    let before = files(&tree);
    match back(&tree, &tree.base(), &first) {
        Err(TreeError::BuiltUpon { paths }) => assert_eq!(paths, ["a"]),
        other => panic!("{other:?}"),
    }
    assert_eq!(files(&tree), before);
    assert!(matches!(back(&tree, &first, &first), Err(TreeError::NothingLeft)));
}

#[test]
fn files_that_no_checkpoint_recorded_are_kept_before_they_are_replaced() {
    let project = Project::new(&[("a", "1\n")]);
    let tree = project.tree(&run_id(1));
    write(tree.root(), "a", "half an edit\n");
    write(tree.root(), "new", "never recorded\n");
    tree.reset_to(&tree.base()).unwrap();
    assert!(!tree.root().join("new").exists());
    let repo = git2::Repository::open_bare(tree.dir().join("repo")).unwrap();
    let kept = repo.references_glob("refs/atelier/before/*").unwrap().next().unwrap().unwrap();
    let files = kept.peel_to_tree().unwrap();
    let text = |name: &str| repo.find_blob(files.get_name(name).unwrap().id()).unwrap().content().to_vec();
    assert_eq!((text("a"), text("new")), (b"half an edit\n".to_vec(), b"never recorded\n".to_vec()));
}

/// A project with work of the user's that is not committed, and an accepted run beside it.
fn accepted(way: Option<AcceptMode>) -> (Project, Accept, UserState) {
    let project = Project::new(&[("a", "1\n"), ("mine", "1\n"), ("gone", "g\n")]);
    let tree = project.tree(&run_id(1));
    write(tree.root(), "a", "2\n");
    write(tree.root(), "new/b", "b\n");
    fs::remove_file(tree.root().join("gone")).unwrap();
    let over = hand_over(&project, &tree, "change files");
    project.write("mine", "not committed\n");
    project.write("untracked", "u\n");
    project.write("staged", "s\n");
    project.stage("staged");
    let before = project.state();
    let how = Acceptance { way, ..Acceptance::default() };
    let plan = project.open().plan_accept(&run_id(1), over.tip(), &how, AT_MS).unwrap();
    project.open().perform_accept(&plan).unwrap();
    (project, plan, before)
}

/// The user's state without reflogs, which grow, and without stat data in the index.
fn files_and_refs(mut state: UserState) -> UserState {
    state.retain(|name, _| !name.starts_with("git logs") && name != "git index");
    state
}

fn staged(project: &Project) -> Vec<String> {
    let index = project.git().index().unwrap();
    index.iter().map(|e| format!("{} {:o} {}", String::from_utf8_lossy(&e.path), e.mode, e.id)).collect()
}

#[test]
fn an_accept_is_taken_back_and_done_again_beside_uncommitted_work() {
    for way in [None, Some(AcceptMode::Merge), Some(AcceptMode::Squash)] {
        let (project, plan, before) = accepted(way);
        let after = project.state();
        let (user, entries) = (project.open(), staged(&project));
        let seen = user.preview_withdrawal(&run_id(1), &plan).unwrap();
        assert_eq!(project.state(), after, "looking changes nothing");
        let paths: Vec<_> = seen.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a", "gone", "new/b"]);
        let undo = user.plan_withdrawal(&run_id(1), &plan, AT_MS).unwrap().accept;
        assert_eq!(undo.mode, AcceptMode::Back);
        user.perform_accept(&undo).unwrap();
        assert_eq!(user.settle_accept(&undo), Settled::Landed);
        assert_eq!(files_and_refs(project.state()), files_and_refs(before), "{way:?}");
        let redo = user.plan_withdrawal(&run_id(1), &undo, AT_MS).unwrap().accept;
        assert_eq!((redo.mode, &redo.to), (AcceptMode::FastForward, &plan.to));
        user.perform_accept(&redo).unwrap();
        assert_eq!(files_and_refs(project.state()), files_and_refs(after));
        assert_eq!(staged(&project), entries);
    }
}

#[test]
fn an_accept_that_the_user_built_on_is_taken_back_by_a_commit() {
    let (project, plan, _) = accepted(None);
    project.write("later", "l\n");
    let on_top = project.commit_all("feat: on top");
    let user = project.open();
    let undo = user.plan_withdrawal(&run_id(1), &plan, AT_MS).unwrap().accept;
    assert_eq!((undo.mode, &undo.from), (AcceptMode::Revert, &on_top));
    user.perform_accept(&undo).unwrap();
    assert_eq!(
        (project.read("a"), project.read("later"), project.read("gone")),
        ("1\n".into(), "l\n".into(), "g\n".into())
    );
    let repo = project.git();
    let head = repo.head().unwrap().peel_to_commit().unwrap();
    assert!(head.message().unwrap().starts_with("revert: "), "{:?}", head.message());
    let again = user.plan_withdrawal(&run_id(1), &undo, AT_MS).unwrap().accept;
    assert_eq!(again.mode, AcceptMode::Back);
    user.perform_accept(&again).unwrap();
    assert_eq!((project.head(), project.read("a")), (on_top, "2\n".into()));
    // Where the same lines were changed since, it is refused.
    project.write("a", "3\n");
    project.commit_all("feat: on the same line");
    match user.plan_withdrawal(&run_id(1), &plan, AT_MS) {
        Err(AcceptRefusal::BuiltUpon { paths }) => assert_eq!(paths, ["a"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn uncommitted_work_in_the_way_and_another_branch_refuse_it() {
    let (project, plan, _) = accepted(None);
    project.write("a", "mine now\n");
    let before = project.state();
    match project.open().plan_withdrawal(&run_id(1), &plan, AT_MS) {
        Err(AcceptRefusal::Dirty { paths }) => assert_eq!(paths, ["a"]),
        other => panic!("{other:?}"),
    }
    assert_eq!(project.state(), before);
    let repo = project.git();
    repo.branch("other", &repo.head().unwrap().peel_to_commit().unwrap(), false).unwrap();
    repo.set_head("refs/heads/other").unwrap();
    let moved = project.open().plan_withdrawal(&run_id(1), &plan, AT_MS);
    assert!(matches!(moved, Err(AcceptRefusal::Moved { .. })));
}

#[test]
fn taking_back_that_stops_before_any_act_is_finished_by_doing_it_again() {
    for stop in 0..12 {
        let (project, plan, before) = accepted(None);
        let user = project.open();
        let undo = user.plan_withdrawal(&run_id(1), &plan, AT_MS).unwrap().accept;
        let mut acts = 0;
        let mut pass = |act: Act| {
            acts += 1;
            let source = || std::io::Error::other(format!("{act:?}"));
            if acts > stop {
                Err(Fault::Io { doing: "stopping at", path: "x".into(), source: source() })
            } else {
                Ok(())
            }
        };
        let stopped = user.land(&undo, &mut pass).is_err();
        let said = user.settle_accept(&undo);
        if said == Settled::NotLanded {
            let again = user.plan_withdrawal(&run_id(1), &plan, AT_MS).unwrap().accept;
            assert_eq!(again, undo);
            user.perform_accept(&again).unwrap();
        } else {
            assert_eq!(said, Settled::Landed);
        }
        user.perform_accept(&undo).unwrap();
        assert_eq!(files_and_refs(project.state()), files_and_refs(before), "stopped before act {stop}");
        if !stopped {
            return;
        }
    }
    panic!("it never came to its end");
}

#[test]
fn a_discarded_run_comes_back_whole_with_work_that_nothing_recorded() {
    let project = Project::new(&[("a", "1\n")]);
    let before = project.state();
    let user = project.open();
    let spec = project.spec(&run_id(1));
    let tree = user.make_tree(&spec).unwrap();
    write(tree.root(), "a", "2\n");
    let over = hand_over(&project, &tree, "change a");
    write(tree.root(), "late", "never recorded\n");
    let (with_run, held) = (project.state(), files(&tree));
    let discard =
        Discard { run: run_id(1), tip: Some(over.tip().to_owned()), dir: Some(spec.dir.clone()), at_ms: AT_MS };
    user.perform_discard(&discard).unwrap();
    assert_eq!(project.state(), before);
    assert_eq!(user.settle_restore(&spec, Some(over.tip())), Settled::NotLanded);
    user.perform_restore(&spec, Some(over.tip())).unwrap();
    assert_eq!(user.settle_restore(&spec, Some(over.tip())), Settled::Landed);
    assert_eq!(files_and_refs(project.state()), files_and_refs(with_run));
    assert_eq!(files(&RunTree::open(&spec.dir).unwrap()), held);
    user.perform_restore(&spec, Some(over.tip())).unwrap();
    user.perform_discard(&discard).unwrap();
    fs::remove_dir_all(spec.dir.join("kept")).unwrap();
    let gone = user.perform_restore(&spec, Some(over.tip()));
    assert!(matches!(gone, Err(DiscardError::NotKept { .. })), "{gone:?}");
    assert_eq!(project.state(), before);
}
