//! What earlier commits tell of the files that are there now.
//!
//! Guards: files are called by today's names; merges say nothing, and neither does what HEAD does not come from.
//! Turns red, for example, when `history` tells of merges too, does not ask `Names::now`, or takes for known what HEAD does
//! not descend from.

use crate::fixture::Project;
use crate::{History, Told};
use git2::{Signature, Time};

fn told(history: &History) -> Vec<String> {
    history.commits.iter().map(|Told { message, paths, .. }| format!("{message}: {}", paths.join(" "))).collect()
}

#[test]
fn commits_come_newest_first_with_the_files_they_touched() {
    let project = Project::new(&[("a.rs", "a\n"), ("sub/b.rs", "b\n")]);
    project.write("a.rs", "a2\n");
    project.write("sub/deep/c.rs", "c\n");
    project.commit_all("fix: a and c");
    std::fs::remove_file(project.path("sub/b.rs")).unwrap();
    project.commit_all("drop b");
    let history = project.open().history(None, 10, 20).unwrap();
    assert_eq!(told(&history), ["drop b: sub/b.rs", "fix: a and c: a.rs sub/deep/c.rs", "feat: first: a.rs sub/b.rs"]);
    assert_eq!((history.head, history.whole), (project.head(), true));
    assert_eq!(told(&project.open().history(None, 2, 20).unwrap()).len(), 2, "no more than asked for");
    assert_eq!(told(&project.open().history(None, 10, 1).unwrap()), ["drop b: sub/b.rs"], "wide ones are left out");
}

#[test]
fn a_moved_file_keeps_what_was_said_of_it() {
    let project = Project::new(&[("old/a.rs", "one\ntwo\n"), ("old/b.rs", "b\n"), ("x/same.rs", "x\n")]);
    let first = project.head();
    std::fs::create_dir(project.path("mid")).unwrap();
    std::fs::rename(project.path("old/a.rs"), project.path("mid/renamed.rs")).unwrap();
    std::fs::rename(project.path("old/b.rs"), project.path("mid/b.rs")).unwrap();
    project.write("mid/b.rs", "b was rewritten on the way\n");
    project.commit_all("move");
    std::fs::rename(project.path("mid"), project.path("new")).unwrap();
    project.commit_all("move again");
    let history = project.open().history(None, 10, 20).unwrap();
    assert_eq!(told(&history)[2], "feat: first: new/renamed.rs new/b.rs x/same.rs");
    let since = project.open().history(Some(&first), 10, 20).unwrap();
    let pairs: Vec<(&str, &str)> = since.moved.iter().map(|(from, to)| (&**from, &**to)).collect();
    assert_eq!(
        pairs,
        [
            ("mid/b.rs", "new/b.rs"),
            ("mid/renamed.rs", "new/renamed.rs"),
            ("old/a.rs", "new/renamed.rs"),
            ("old/b.rs", "new/b.rs")
        ]
    );
}

#[test]
fn only_what_is_new_is_told_where_the_rest_is_known() {
    let project = Project::new(&[("a.rs", "a\n")]);
    let known = project.head();
    project.write("a.rs", "b\n");
    project.commit_all("second");
    let since = project.open().history(Some(&known), 10, 20).unwrap();
    assert_eq!((told(&since), since.whole), (vec!["second: a.rs".to_owned()], false));
    let nothing = project.open().history(Some(&since.head), 10, 20).unwrap();
    assert_eq!((told(&nothing), nothing.whole), (vec![], false));

    // A history that was rewritten is told anew: what the other one said may be gone.
    let repo = project.git();
    repo.reference("refs/heads/main", git2::Oid::from_str(&known).unwrap(), true, "back").unwrap();
    let rewritten = project.open().history(Some(&since.head), 10, 20).unwrap();
    assert_eq!((told(&rewritten), rewritten.whole), (vec!["feat: first: a.rs".to_owned()], true));
    assert!(project.open().history(Some("not an id"), 10, 20).unwrap().whole);
}

#[test]
fn a_merge_says_nothing_of_its_own() {
    let project = Project::new(&[("a.rs", "a\n")]);
    let repo = project.git();
    let who = Signature::new("Ada", "ada@example.org", &Time::new(1_700_000_100, 0)).unwrap();
    let first = repo.head().unwrap().peel_to_commit().unwrap();
    let mut builder = repo.treebuilder(None).unwrap();
    builder.insert("a.rs", repo.blob(b"b\n").unwrap(), 0o100_644).unwrap();
    let changed = repo.find_tree(builder.write().unwrap()).unwrap();
    let side = repo.commit(None, &who, &who, "side", &changed, &[&first]).unwrap();
    let side = repo.find_commit(side).unwrap();
    repo.commit(Some("HEAD"), &who, &who, "merge of side", &changed, &[&first, &side]).unwrap();
    assert_eq!(told(&project.open().history(None, 10, 20).unwrap()), ["side: a.rs", "feat: first: a.rs"]);
}
