//! From a reviewed checkpoint to a branch of the user's repository.
//!
//! Guards: the branch ends at exactly what was reviewed and holds all it needs; no branch of the user moves. Turns red, for
//! example, when `plan_hand_over` does not compare the tree, `copy_commits` leaves files out, or `publish` does not look
//! where the branch is.

use crate::fixture::{AT_MS, Project, run_id, write};
use crate::{Checks, Fault, HandOver, HandOverError, Message, ReviewProof, ReviewedPatch, RunTree, Settled, branch_of};
use atelier_protocol::event::{Check, Checkpoint, Mechanism, Output};
use atelier_protocol::ids::ApprovalId;
use std::fs;

/// The patch of a checkpoint that the user looked at; nothing was checked.
pub(super) fn unchecked(point: &Checkpoint) -> ReviewedPatch {
    ReviewedPatch::new(point, Checks::NoneDeclared, ReviewProof::ByUser, ApprovalId::new(1, [0; 10])).unwrap()
}

/// Records the tree and hands it over.
pub(super) fn hand_over(project: &Project, tree: &RunTree, subject: &str) -> HandOver {
    let point = tree.checkpoint("build.1", AT_MS).unwrap();
    let plan = project.open().plan_hand_over(tree, &unchecked(&point), &Message::of(subject), AT_MS).unwrap();
    project.open().perform_hand_over(&plan).unwrap();
    plan
}

fn names_and_text(project: &Project, commit: &str) -> Vec<String> {
    let repo = project.git();
    let commit = repo.find_commit(git2::Oid::from_str(commit).unwrap()).unwrap();
    let files = crate::listing::listing(&repo, &commit.tree().unwrap()).unwrap();
    files.keys().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
}

#[test]
fn a_hand_over_publishes_semantic_commits_and_touches_nothing_else() {
    let project = Project::new(&[("src/lib.rs", "fn a() {}\n"), ("src/probe.rs", "// a probe\nfn p() {}\n")]);
    let before = project.state();
    let run = run_id(1);
    let tree = project.tree(&run);
    write(tree.root(), "src/lib.rs", "fn a() {}\nfn b() {}\n");
    write(tree.root(), "README.md", "# It\n");
    fs::create_dir(tree.root().join("tests")).unwrap();
    fs::rename(tree.root().join("src/probe.rs"), tree.root().join("tests/probe.rs")).unwrap(); // across groups
    let point = tree.checkpoint("build.1", AT_MS).unwrap();

    let check = Check {
        name: "cargo-test".into(),
        argv: vec!["cargo".into(), "test".into()],
        tree: point.tree.clone(),
        exit_code: Some(0),
        timed_out: false,
        ms: 5,
        output: Output::default(),
        mechanism: Mechanism::Bubblewrap,
        tests: None,
        compared: None,
        reached: Vec::new(),
    };
    let rule = ReviewProof::NotRequired { rule: "quick fix".into() };
    let patch = ReviewedPatch::new(&point, Checks::Passed(vec![check]), rule, ApprovalId::new(1, [0; 10])).unwrap();
    let user = project.open();
    let plan = user.plan_hand_over(&tree, &patch, &Message::of("Add b."), AT_MS).unwrap();
    assert_eq!(
        user.plan_hand_over(&tree, &patch, &Message::of("Add b."), AT_MS).unwrap(),
        plan,
        "plans are repeatable"
    );
    assert_eq!(user.settle_hand_over(plan.branch(), plan.tip()), Settled::NotLanded);
    user.perform_hand_over(&plan).unwrap();
    user.perform_hand_over(&plan).unwrap();
    assert_eq!(user.settle_hand_over(plan.branch(), plan.tip()), Settled::Landed);

    assert_eq!(plan.branch(), branch_of(&run));
    assert_eq!(project.target(&format!("refs/heads/{}", plan.branch())).as_deref(), Some(plan.tip()));
    let subjects: Vec<_> = plan.commits().iter().map(|c| c.subject.as_str()).collect();
    assert_eq!(subjects, ["feat: add b", "test: cover adding b", "docs: describe adding b"]);
    let repo = project.git();
    let tip = repo.find_commit(git2::Oid::from_str(plan.tip()).unwrap()).unwrap();
    assert_eq!(tip.tree_id().to_string(), point.tree, "the last commit is exactly what was reviewed");
    assert_eq!((tip.author().name().unwrap(), tip.author().when().seconds()), ("Ada", 1_700_000_000));
    insta::assert_snapshot!(tip.message().unwrap().replace(run.as_str(), "RUN"), @r"
    docs: describe adding b

    Atelier-Run: RUN
    Atelier-Checks: cargo-test
    Atelier-Review: not required: quick fix
    ");
    assert_eq!(names_and_text(&project, &plan.commits()[0].id), ["src/lib.rs", "src/probe.rs"]);
    assert_eq!(names_and_text(&project, &plan.commits()[1].id), ["src/lib.rs", "tests/probe.rs"]);

    let mut after = project.state();
    after.retain(|name, _| !name.contains("atelier"));
    assert_eq!(after, before);
}

#[test]
fn the_branch_holds_everything_it_needs_without_the_private_repository() {
    let project = Project::new(&[("a/b/c", "1"), ("big", &"line\n".repeat(1000))]);
    let tree = project.tree(&run_id(1));
    write(tree.root(), "a/b/d", "2");
    write(tree.root(), "e/f", "3");
    let plan = hand_over(&project, &tree, "add files");
    fs::remove_dir_all(tree.dir()).unwrap();
    assert_eq!(names_and_text(&project, plan.tip()), ["a/b/c", "a/b/d", "big", "e/f"]);
    let repo = project.git();
    let commit = repo.find_commit(git2::Oid::from_str(plan.tip()).unwrap()).unwrap();
    for entry in crate::listing::listing(&repo, &commit.tree().unwrap()).unwrap().values() {
        repo.find_blob(entry.id).unwrap();
    }
}

#[test]
fn a_crash_before_any_act_is_finished_by_performing_again() {
    for stop_at in ["pack", "branch"] {
        let project = Project::new(&[("a", "1")]);
        let tree = project.tree(&run_id(1));
        write(tree.root(), "a", "2");
        let point = tree.checkpoint("build.1", AT_MS).unwrap();
        let user = project.open();
        let plan = user.plan_hand_over(&tree, &unchecked(&point), &Message::of("change a"), AT_MS).unwrap();
        let stopped = user.publish(&plan, &mut |stage| match stage {
            at if at == stop_at => {
                Err(Fault::Io { doing: "crashing", path: at.into(), source: std::io::Error::other("test") })
            }
            _ => Ok(()),
        });
        assert!(stopped.is_err());
        assert_eq!(user.settle_hand_over(plan.branch(), plan.tip()), Settled::NotLanded);
        user.perform_hand_over(&plan).unwrap();
        assert_eq!(user.settle_hand_over(plan.branch(), plan.tip()), Settled::Landed);
    }
}

#[test]
fn the_lock_that_a_killed_hand_over_left_on_the_runs_branch_is_in_nobodys_way() {
    let project = Project::new(&[("a", "1")]);
    write(&project.path(".git"), &format!("refs/heads/{}.lock", crate::branch_of(&run_id(1))), "");
    write(&project.path(".git"), &format!("refs/atelier/base/{}.lock", run_id(1)), "");
    let tree = project.tree(&run_id(1));
    write(tree.root(), "a", "2");
    let plan = hand_over(&project, &tree, "change a");
    assert_eq!(project.open().settle_hand_over(plan.branch(), plan.tip()), Settled::Landed);
}

#[test]
fn nothing_changed_and_a_state_of_another_run_are_refused() {
    let project = Project::new(&[("a", "1")]);
    let (one, two) = (project.tree(&run_id(1)), project.tree(&run_id(2)));
    let user = project.open();
    let start = one.checkpoint("start", AT_MS).unwrap();
    let error = user.plan_hand_over(&one, &unchecked(&start), &Message::of("x"), AT_MS).unwrap_err();
    assert!(matches!(error, HandOverError::NothingChanged));
    write(one.root(), "a", "2");
    let point = one.checkpoint("build.1", AT_MS).unwrap();
    let error = user.plan_hand_over(&two, &unchecked(&point), &Message::of("x"), AT_MS).unwrap_err();
    assert!(matches!(error, HandOverError::Tree(_) | HandOverError::OtherRun), "{error}");
    let forged = Checkpoint { tree: start.tree.clone(), ..point };
    let error = user.plan_hand_over(&one, &unchecked(&forged), &Message::of("x"), AT_MS).unwrap_err();
    assert!(matches!(error, HandOverError::OtherRun));
}

#[test]
fn a_branch_of_the_user_is_never_moved() {
    let project = Project::new(&[("a", "1")]);
    let head = git2::Oid::from_str(&project.head()).unwrap();
    let tree = project.tree(&run_id(1));
    write(tree.root(), "a", "2");
    let point = tree.checkpoint("build.1", AT_MS).unwrap();
    let user = project.open();
    let plan = user.plan_hand_over(&tree, &unchecked(&point), &Message::of("x"), AT_MS).unwrap();

    let name = format!("refs/heads/{}", plan.branch());
    project.git().reference(&name, head, false, "the user's").unwrap();
    assert!(matches!(user.perform_hand_over(&plan), Err(HandOverError::BranchElsewhere { .. })));
    assert!(matches!(user.settle_hand_over(plan.branch(), plan.tip()), Settled::Unknown(_)));
    assert_eq!(project.target(&name), Some(project.head()));

    project.git().find_reference(&name).unwrap().delete().unwrap();
    project.git().reference("refs/heads/atelier", head, false, "the user's").unwrap();
    let error = user.perform_hand_over(&plan).unwrap_err();
    assert!(error.to_string().contains("`atelier` takes the name"), "{error}");
}

#[test]
fn a_file_that_takes_the_place_of_a_folder_across_groups_ends_as_reviewed() {
    let project = Project::new(&[("docs/a.md", "long enough to be found again\n"), ("tests", "a file\n"), ("x", "1")]);
    let tree = project.tree(&run_id(1));
    fs::remove_dir_all(tree.root().join("docs")).unwrap();
    fs::write(tree.root().join("docs"), "now a file\n").unwrap();
    fs::remove_file(tree.root().join("tests")).unwrap();
    write(tree.root(), "tests/x.rs", "now a folder\n");
    let plan = hand_over(&project, &tree, "rearrange");
    let point = tree.checkpoint("end", AT_MS).unwrap();
    let repo = project.git();
    let tip = repo.find_commit(git2::Oid::from_str(plan.tip()).unwrap()).unwrap();
    assert_eq!(tip.tree_id().to_string(), point.tree);
}
