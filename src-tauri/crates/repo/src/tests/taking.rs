//! A run is taken as the user wants it: merged, squashed, in parts, or with conflicts settled one by one.
//!
//! Guards: what was chosen arrives to the byte and nothing else does; a commit that is not the checked one says so.
//! Turns red, for example, when `partial` copies the lines of a hunk that was not chosen from the new side.

use super::handing_over::hand_over;
use crate::fixture::{AT_MS, Project, run_id, write};
use crate::{Accept, AcceptRefusal, lint};
use atelier_protocol::event::{AcceptMode, Acceptance, Part, Resolution, Take};
use proptest::prelude::*;
use std::fs;

/// A run that made `new` of the file `f`, handed over; its tip.
fn run(project: &Project, new: &[(&str, Option<&str>)]) -> String {
    let tree = project.tree(&run_id(1));
    for (path, text) in new {
        match text {
            Some(text) => write(tree.root(), path, text),
            None => fs::remove_file(tree.root().join(path)).unwrap(),
        }
    }
    hand_over(project, &tree, "add a thing").tip().to_owned()
}

fn take(project: &Project, tip: &str, how: &Acceptance) -> Result<Accept, AcceptRefusal> {
    let user = project.open();
    let plan = user.plan_accept(&run_id(1), tip, how, AT_MS)?;
    user.perform_accept(&plan)?;
    Ok(plan)
}

fn part(path: &str, hunk: Option<u32>) -> Part {
    Part { path: path.to_owned(), hunk }
}

fn only(parts: Vec<Part>) -> Acceptance {
    Acceptance { only: Some(parts), ..Acceptance::default() }
}

fn message(project: &Project) -> String {
    project.git().head().unwrap().peel_to_commit().unwrap().message().unwrap().to_owned()
}

const OLD: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n19\n20";
const NEW: &str = "1\n2\nthree\n4\n5\n6\n7\n8\n9\n10\n12\n13\n14\n15\n16\n17\n18\n19\n19.5\n20\nno end";

#[test]
fn one_hunk_of_a_file_arrives_and_the_rest_stays_as_it_was() {
    let files: &[(&str, Option<&str>)] = &[("f", Some(NEW)), ("other", Some("o\n"))];
    let taken = |hunks: &[u32]| {
        let project = Project::new(&[("f", OLD)]);
        let tip = run(&project, files);
        take(&project, &tip, &only(hunks.iter().map(|hunk| part("f", Some(*hunk))).collect())).unwrap();
        assert!(!project.path("other").exists());
        assert!(lint(&message(&project)).is_empty(), "{}", message(&project));
        project.read("f")
    };
    assert_eq!(taken(&[0]), OLD.replace("3\n4", "three\n4"));
    assert_eq!(taken(&[1]), OLD.replace("11\n", ""));
    assert_eq!(taken(&[2]), OLD.replace("19\n20", "19\n19.5\n20\nno end"));
    assert_eq!(taken(&[0, 1, 2]), NEW);
}

#[test]
fn whole_files_are_taken_made_moved_or_removed() {
    let project = Project::new(&[("gone", "g\n"), ("kept", "k\n"), ("old", "a\nb\nc\nd\n")]);
    let tip = run(
        &project,
        &[("gone", None), ("kept", None), ("old", None), ("new/name", Some("a\nb\nc\nd\n")), ("made", Some("m\n"))],
    );
    take(&project, &tip, &only(vec![part("gone", None), part("new/name", None)])).unwrap();
    assert!(!project.path("gone").exists() && !project.path("old").exists() && !project.path("made").exists());
    assert_eq!((project.read("kept"), project.read("new/name")), ("k\n".into(), "a\nb\nc\nd\n".into()));
    assert!(message(&project).contains("Atelier-Checks: unchecked"), "{}", message(&project));
    let rest = take(&project, &tip, &Acceptance::default()).unwrap();
    assert_eq!(rest.mode, AcceptMode::Merge, "what is left can be taken later");
    assert!(!project.path("kept").exists() && project.path("made").exists());
}

#[test]
fn a_part_that_is_not_there_and_a_message_out_of_form_are_refused() {
    let project = Project::new(&[("f", OLD)]);
    let tip = run(&project, &[("f", Some(NEW))]);
    let before = project.state();
    for how in [only(vec![part("f", Some(3))]), only(vec![part("g", None)])] {
        assert!(matches!(take(&project, &tip, &how), Err(AcceptRefusal::NoPart { .. })));
    }
    let how = Acceptance { message: Some("Did things.".to_owned()), ..Acceptance::default() };
    match take(&project, &tip, &how) {
        Err(AcceptRefusal::Message { why }) => assert_eq!(why, ["its first line is not `type: subject`"]),
        other => panic!("{other:?}"),
    }
    assert_eq!(project.state(), before);
}

#[test]
fn a_squash_is_one_commit_of_the_checked_files_and_a_merge_keeps_the_runs_own() {
    for (way, parents) in [(AcceptMode::Squash, 1), (AcceptMode::Merge, 2)] {
        let project = Project::new(&[("src/a.rs", "a\n")]);
        let tip = run(&project, &[("src/a.rs", Some("b\n")), ("tests/t.rs", Some("t\n"))]);
        let how = Acceptance { way: Some(way), ..Acceptance::default() };
        assert_eq!(take(&project, &tip, &how).unwrap().mode, way);
        let repo = project.git();
        let head = repo.head().unwrap().peel_to_commit().unwrap();
        assert_eq!((head.parent_count(), project.read("tests/t.rs")), (parents, "t\n".to_owned()));
    }
    let project = Project::new(&[("a", "a\n")]);
    let tip = run(&project, &[("a", Some("b\n"))]);
    project.write("b", "b\n");
    project.commit_all("feat: meanwhile");
    let how = Acceptance { way: Some(AcceptMode::FastForward), ..Acceptance::default() };
    assert!(matches!(take(&project, &tip, &how), Err(AcceptRefusal::NotForward)));
    let how = Acceptance {
        way: Some(AcceptMode::Squash),
        message: Some("feat(core)!: bring both together".to_owned()),
        ..Acceptance::default()
    };
    take(&project, &tip, &how).unwrap();
    assert_eq!(message(&project), "feat(core)!: bring both together\n");
    assert_eq!((project.read("a"), project.read("b")), ("b\n".into(), "b\n".into()));
}

#[test]
fn conflicts_are_shown_with_both_sides_and_settled_one_by_one() {
    let project = Project::new(&[("a", "1\n2\n3\n"), ("b", "b\n"), ("c", "c\n")]);
    let tip = run(&project, &[("a", Some("1\nrun\n3\n")), ("b", None), ("c", Some("run\n")), ("d", Some("d\n"))]);
    project.write("a", "1\nmine\n3\n");
    project.write("b", "mine\n");
    project.write("c", "mine\n");
    project.commit_all("feat: mine");
    let before = project.state();
    let shown = project.open().conflicts(&tip).unwrap();
    assert_eq!(project.state(), before);
    insta::assert_debug_snapshot!(shown.iter().map(|c| (&c.path, &c.yours, &c.run, &c.merged)).collect::<Vec<_>>());
    let settled = |path: &str, take: Take| Resolution { path: path.to_owned(), take };
    let mut how = Acceptance {
        resolved: vec![settled("a", Take::Text { text: "1\nboth\n3\n".to_owned() }), settled("b", Take::Run)],
        ..Acceptance::default()
    };
    match take(&project, &tip, &how) {
        Err(AcceptRefusal::Conflict { paths }) => assert_eq!(paths, ["c"]),
        other => panic!("{other:?}"),
    }
    assert_eq!(project.state(), before, "one that is left refuses the whole");
    how.resolved.push(settled("c", Take::Yours));
    take(&project, &tip, &how).unwrap();
    assert_eq!(
        (project.read("a"), project.read("c"), project.read("d")),
        ("1\nboth\n3\n".into(), "mine\n".into(), "d\n".into())
    );
    assert!(!project.path("b").exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Hunks that are taken one after the other add up to the whole, whatever the lines.
    #[test]
    fn all_hunks_together_are_the_whole_file(
        old in prop::collection::vec("[ab]{0,2}", 0..40), new in prop::collection::vec("[ab]{0,2}", 0..40), end in any::<bool>()
    ) {
        let text = |lines: &[String], end: bool| lines.join("\n") + if end { "\n" } else { "" };
        let (old, new) = (text(&old, true), text(&new, end));
        prop_assume!(old != new);
        let project = Project::new(&[("f", &old)]);
        let tip = run(&project, &[("f", Some(&new))]);
        let base = project.head();
        let count = project.open().diff(&base, &tip).unwrap().files[0].hunks.len();
        let parts = (0..u32::try_from(count).unwrap()).map(|hunk| part("f", Some(hunk))).collect();
        take(&project, &tip, &only(parts)).unwrap();
        prop_assert_eq!(project.read("f"), new);
    }
}
