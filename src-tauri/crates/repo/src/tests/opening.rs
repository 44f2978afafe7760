//! Which folders can be worked on, and what the others are told.
//!
//! Guards: what cannot be read or changed safely is refused by name before the first write. Turns red, for example, when
//! `unsupported` takes an unknown extension for a harmless one, or when `refuse_busy` does not ask what is in progress.

use crate::fixture::{Project, isolate};
use crate::{OpenError, UserRepo};
use atelier_protocol::error::Code;
use git2::Repository;
use std::fs;

fn refusal(project: &Project) -> OpenError {
    let before = project.state();
    let error = UserRepo::open(project.root()).unwrap_err();
    assert_eq!(project.state(), before, "a refusal writes nothing");
    error
}

fn set(project: &Project, key: &str, value: &str) {
    project.git().config().unwrap().set_str(key, value).unwrap();
}

#[test]
fn a_subfolder_opens_the_project_that_contains_it() {
    let project = Project::new(&[("src/deep/lib.rs", "x")]);
    let opened = UserRepo::open(&project.path("src/deep")).unwrap();
    assert_eq!(opened.root(), project.root());
    let base = opened.base().unwrap();
    assert_eq!((base.commit, base.branch.as_deref()), (project.head(), Some("main")));
}

#[test]
fn a_project_is_recognised_by_its_first_commit() {
    let project = Project::new(&[("a", "1")]);
    let first = project.head();
    project.write("a", "2");
    project.commit_all("feat: second");
    let identity = project.open().identity().unwrap();
    assert_eq!(identity.root_commit, first);
    assert_eq!(identity.common_dir, project.path(".git"));
}

#[test]
fn a_folder_without_repository_can_be_initialised_and_then_opens() {
    isolate();
    let dir = tempfile::tempdir().unwrap();
    let problem = UserRepo::open(dir.path()).unwrap_err().problem();
    assert_eq!(problem.code, Code::NotARepository);
    assert!(problem.hint.contains("initialise"), "{}", problem.hint);

    fs::write(dir.path().join("notes.txt"), "hello").unwrap();
    fs::write(dir.path().join(".gitignore"), "*.tmp\n").unwrap();
    fs::write(dir.path().join("scratch.tmp"), "x").unwrap();
    let opened = UserRepo::init(dir.path(), 1_700_000_000_000).unwrap();
    assert_eq!(opened.base().unwrap().branch.as_deref(), Some("main"));
    let repo = Repository::open(dir.path()).unwrap();
    let commit = repo.head().unwrap().peel_to_commit().unwrap();
    let names: Vec<_> = commit.tree().unwrap().iter().map(|e| e.name().unwrap().to_owned()).collect();
    assert_eq!(names, [".gitignore", "notes.txt"]);
    assert_eq!(commit.author().email().unwrap(), "atelier@localhost");
    assert!(repo.statuses(None).unwrap().iter().all(|s| s.status().is_ignored()), "the work tree is clean");
    assert!(matches!(UserRepo::init(dir.path(), 1_700_000_000_000), Err(OpenError::AlreadyARepository { .. })));
}

#[test]
fn a_missing_folder_a_file_and_a_git_directory_are_refused() {
    let project = Project::new(&[("a", "1")]);
    let code = |path| UserRepo::open(&project.path(path)).unwrap_err().problem().code;
    assert_eq!(code("nowhere"), Code::NoFolder);
    assert_eq!(code("a"), Code::NoFolder);
    assert_eq!(code(".git"), Code::NotARepository);
    assert_eq!(code(".git/refs"), Code::NotARepository);
}

#[test]
fn a_bare_repository_and_one_without_commit_are_refused() {
    isolate();
    let dir = tempfile::tempdir().unwrap();
    Repository::init_bare(dir.path().join("bare")).unwrap();
    assert!(matches!(UserRepo::open(&dir.path().join("bare")), Err(OpenError::Bare { .. })));
    Repository::init(dir.path().join("empty")).unwrap();
    let error = UserRepo::open(&dir.path().join("empty")).unwrap_err();
    assert_eq!(error.problem().code, Code::NoCommit);
}

#[test]
fn what_cannot_be_read_safely_is_refused_by_name() {
    let cases = [
        ("core.sparseCheckout", "true", "a sparse checkout"),
        ("extensions.partialClone", "origin", "extensions.partialclone = origin"),
        ("remote.origin.promisor", "true", "remote.origin.promisor = true"),
        ("extensions.objectFormat", "sha256", "extensions.objectformat = sha256"),
        ("extensions.refStorage", "reftable", "extensions.refstorage = reftable"),
        ("extensions.ofTheFuture", "x", "extensions.ofthefuture = x"),
        ("core.repositoryFormatVersion", "7", "format version 7"),
    ];
    for (key, value, named) in cases {
        let project = Project::new(&[("a", "1")]);
        set(&project, key, value);
        let problem = refusal(&project).problem();
        assert_eq!(problem.code, Code::UnsupportedRepository, "{key}");
        assert!(problem.message.contains(named), "{key}: {}", problem.message);
    }
}

#[test]
fn a_harmless_extension_is_accepted() {
    let project = Project::new(&[("a", "1")]);
    set(&project, "core.repositoryFormatVersion", "1");
    set(&project, "extensions.worktreeConfig", "true");
    set(&project, "extensions.objectFormat", "sha1");
    assert!(UserRepo::open(project.root()).is_ok());
    fs::write(project.path(".git/config.worktree"), "[core]\n\tsparseCheckout = true\n").unwrap();
    assert!(matches!(refusal(&project), OpenError::Sparse { .. }));
}

#[test]
fn work_in_progress_and_a_held_lock_are_busy() {
    let cases = [
        ("MERGE_HEAD", "a merge"),
        ("CHERRY_PICK_HEAD", "a cherry-pick"),
        ("REVERT_HEAD", "a revert"),
        ("BISECT_LOG", "a bisect"),
        ("rebase-merge/interactive", "a rebase"),
        ("rebase-apply/applying", "applying patches"),
        ("index.lock", "index.lock"),
    ];
    for (file, named) in cases {
        let project = Project::new(&[("a", "1")]);
        crate::fixture::write(&project.path(".git"), file, format!("{}\n", project.head()));
        let problem = refusal(&project).problem();
        assert_eq!(problem.code, Code::RepositoryBusy, "{file}");
        assert!(problem.message.contains(named), "{file}: {}", problem.message);
    }
}

#[test]
fn a_linked_work_tree_is_a_project_of_its_own_with_shared_objects() {
    let project = Project::new(&[("a", "1")]);
    let linked = project.data();
    project.git().worktree("side", &linked, None).unwrap();
    let opened = UserRepo::open(&linked).unwrap();
    assert_eq!(opened.root(), fs::canonicalize(&linked).unwrap());
    assert_eq!(opened.common_dir(), project.path(".git"));
    assert_eq!(opened.base().unwrap().branch.as_deref(), Some("side"));
}

#[cfg(unix)]
#[test]
fn what_will_not_happen_here_is_said_by_name() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::new(&[("a", "1")]);
    assert_eq!(project.open().left_out().unwrap(), []);
    let hook = project.path(".git/hooks/post-merge");
    crate::fixture::write(&project.path(".git"), "hooks/post-merge", "#!/bin/sh\nexit 1\n");
    crate::fixture::write(&project.path(".git"), "hooks/post-commit", "not executable\n");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    project.write("media/.gitattributes", "*.png filter=lfs\n");
    project.commit_all("feat: media");
    let told: Vec<_> = project.open().left_out().unwrap().into_iter().map(|problem| problem.message).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    These git hooks of the project are not told when a run is accepted: post-merge.
    Filter programs such as LFS are not run; media/.gitattributes names some.
    ");
}

#[cfg(unix)]
#[test]
#[expect(clippy::print_stdout, reason = "whoever reads the test's output must see what was left out")]
fn a_repository_of_another_user_is_refused_as_git_does() {
    let project = Project::new(&[("a", "1")]);
    let given_away = [project.root().to_owned(), project.path(".git")]
        .iter()
        .all(|folder| std::os::unix::fs::chown(folder, Some(12_345), None).is_ok());
    if !given_away {
        println!("only root can give files away: left out");
        return;
    }
    let problem = UserRepo::open(project.root()).unwrap_err().problem();
    assert_eq!(problem.code, Code::UnsupportedRepository);
    assert!(problem.hint.contains("safe.directory"), "{}", problem.hint);
}
