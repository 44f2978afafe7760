//! The safety list: whatever state the user's repository is in, a whole run beside it loses and changes nothing of theirs.
//!
//! Each case is a fresh repository in one odd state. A run is made, changed, recorded, handed over, accepted and taken back.
//! It works, or it is refused by name with a way on; and every byte of checkout, index, HEAD, references, configuration and
//! reflogs outside of what the run declares is what it was. A full disk at each write, and a kill between any two, are the
//! campaigns' part (`tests/scenarios/faults.rs`, `seeds.rs`) and `taking_back`'s.
//!
//! Guards: user bytes lost or changed outside the declared set: 0.
//! Turns red, for example, when `land` leaves out `refuse_dirty`, since the plan has looked already, when `write_index` writes a new index instead of
//! touching entries, or when `refuse_busy` no longer looks for a lock.

use super::git_program;
use super::handing_over::hand_over;
use crate::fixture::{AT_MS, Project, UserState, run_id, user_state, write};
use crate::{AcceptRefusal, UserRepo};
use atelier_protocol::error::{Code, Problem};
use atelier_protocol::event::Acceptance;
use std::fs;
use std::path::Path;

/// The files of the user's project at the start of each case.
const FILES: &[(&str, &str)] = &[("run.txt", "1\n2\n3\n"), ("mine.txt", "m\n"), (".gitignore", "ignored/\n")];

/// How a case ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The run arrives and is taken back.
    Works,
    /// The project is not opened.
    NotOpened(Code),
    /// The run is made, but not accepted.
    NotAccepted(Code),
}
use End::{NotAccepted, NotOpened, Works};

/// Performs a whole run in the project, and holds the user's state against what it was.
fn hold(name: &str, project: &Project, expected: End) {
    let root = project.root();
    let before = user_state(root);
    let end = whole_run(name, project, &before);
    match (&end, expected) {
        (Ok(()), Works) => {}
        (Err((stage, problem)), NotOpened(code)) if *stage == "open" => told(name, problem, code),
        (Err((stage, problem)), NotAccepted(code)) if *stage == "accept" => told(name, problem, code),
        _ => panic!("{name}: expected {expected:?}, got {end:?}"),
    }
}

fn told(name: &str, problem: &Problem, code: Code) {
    assert_eq!(problem.code, code, "{name}: {problem:?}");
    assert!(!problem.message.is_empty() && !problem.hint.is_empty(), "{name}: it says why and what to do");
}

fn whole_run(name: &str, project: &Project, before: &UserState) -> Result<(), (&'static str, Problem)> {
    let root = project.root();
    let user = match UserRepo::open(root) {
        Ok(user) => user,
        Err(error) => {
            assert_eq!(user_state(root), *before, "{name}: a refusal comes before the first write");
            return Err(("open", error.problem()));
        }
    };
    let tree = user.make_tree(&project.spec(&run_id(1))).unwrap_or_else(|e| panic!("{name}: {e}"));
    write(tree.root(), "run.txt", "1\ntwo\n3\n");
    write(tree.root(), "made/new.txt", "new\n");
    let over = hand_over(project, &tree, "change things");
    assert_same(name, "a run and its hand-over", before, &user_state(root), false);
    let accept = user.plan_accept(&run_id(1), over.tip(), &Acceptance::default(), AT_MS);
    let accept = match accept.and_then(|plan| user.perform_accept(&plan).map(|()| plan)) {
        Ok(accept) => accept,
        Err(error) => {
            assert_same(name, "a refused accept", before, &user_state(root), false);
            return Err(("accept", error.problem()));
        }
    };
    assert_eq!(project.read("made/new.txt").trim_end(), "new", "{name}");
    assert_same(name, "an accept", before, &user_state(root), true);
    let back = user.plan_withdrawal(&run_id(1), &accept, AT_MS).unwrap_or_else(|e| panic!("{name}: {e}")).accept;
    user.perform_accept(&back).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_same(name, "an accept taken back", before, &user_state(root), true);
    for path in ["run.txt", "made/new.txt"] {
        let key = format!("files {path}");
        assert_eq!(user_state(root).get(&key), before.get(&key), "{name}: {path} is as before, to the byte");
    }
    Ok(())
}

/// Everything of the user's but what was declared. An accept declares two files, their index entries, the branch and its log.
fn assert_same(name: &str, after: &str, before: &UserState, now: &UserState, accepted: bool) {
    let ours = |key: &str| {
        key.contains("refs/heads/atelier") || key.contains("refs/atelier") || key.ends_with("atelier") // names of ours
    };
    let declared = |key: &str| {
        accepted
            && (["files run.txt", "files made", "files made/new.txt", "git index", "git HEAD"].contains(&key)
                || key.ends_with("/index") // that of a linked work tree
                || key.contains("refs/heads/main")
                || key == "ref HEAD")
    };
    for (key, value) in before {
        match now.get(key) {
            Some(other) if other == value || declared(key) => {}
            // A log only grows.
            Some(other) if key.starts_with("git logs") || key.contains("/logs/") => {
                assert!(other.starts_with(value.trim_end_matches('"')), "{name}: {after} rewrote {key}");
            }
            other => assert!(declared(key), "{name}: {after} changed {key}:\n{value}\n{other:?}"),
        }
    }
    for key in now.keys().filter(|key| !before.contains_key(*key)) {
        let log = key.starts_with("git logs") || key.contains("/logs");
        assert!(ours(key) || declared(key) || log, "{name}: {after} left {key}");
    }
}

/// What the index holds of the user's own, with content and mode.
fn entries(project: &Project) -> Vec<String> {
    let index = project.git().index().unwrap();
    let all = index.iter().filter(|e| e.path != b"run.txt" && e.path != b"made/new.txt");
    all.map(|e| format!("{} {:o} {}", String::from_utf8_lossy(&e.path), e.mode, e.id)).collect()
}

fn set(project: &Project, key: &str, value: &str) {
    project.git().config().unwrap().set_str(key, value).unwrap();
}

fn git(folder: &Path, arguments: &[&str]) -> bool {
    let Some(mut git) = git_program() else { return false };
    let out = git.current_dir(folder).args(arguments).output().unwrap();
    assert!(out.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    true
}

#[test]
fn work_that_is_not_committed_stays_where_and_as_it_is() {
    let project = Project::new(FILES);
    project.write("mine.txt", "staged\n");
    project.stage("mine.txt");
    project.write("mine.txt", "staged, and more\r\n");
    project.write("untracked/a", "u\n");
    project.write("ignored/cache", "i\n");
    project.write("added", "a\n");
    project.stage("added");
    fs::remove_file(project.path("added")).unwrap();
    let staged = entries(&project);
    hold("dirty, partly staged, untracked, ignored", &project, Works);
    assert_eq!(entries(&project), staged, "the index is the user's");

    let project = Project::new(FILES);
    project.write("run.txt", "mine, never committed\n");
    hold("dirty where the run writes", &project, NotAccepted(Code::AcceptDirty));
    let project = Project::new(FILES);
    project.write("made/new.txt", "mine, untracked\n");
    hold("untracked where the run writes", &project, NotAccepted(Code::AcceptDirty));
}

#[test]
fn a_head_that_is_detached_moves_alone() {
    let project = Project::new(FILES);
    project.git().set_head_detached(project.git().head().unwrap().target().unwrap()).unwrap();
    hold("detached HEAD", &project, Works);
}

#[test]
fn in_the_middle_of_something_or_locked_nothing_begins() {
    type Make = fn(&Project);
    let cases: &[(&str, Make)] = &[
        ("merge", |p| fs::write(p.path(".git/MERGE_HEAD"), format!("{}\n", p.head())).unwrap()),
        ("rebase", |p| write(p.root(), ".git/rebase-merge/interactive", "")),
        ("rebase by patches", |p| write(p.root(), ".git/rebase-apply/rebasing", "")),
        ("bisect", |p| fs::write(p.path(".git/BISECT_LOG"), "git bisect start\n").unwrap()),
        ("cherry-pick", |p| fs::write(p.path(".git/CHERRY_PICK_HEAD"), format!("{}\n", p.head())).unwrap()),
        ("revert", |p| fs::write(p.path(".git/REVERT_HEAD"), format!("{}\n", p.head())).unwrap()),
        ("live lock", |p| fs::write(p.path(".git/index.lock"), "half an index").unwrap()),
        ("stale lock", |p| {
            let lock = fs::File::create(p.path(".git/index.lock")).unwrap();
            lock.set_modified(std::time::UNIX_EPOCH).unwrap();
        }),
    ];
    for (name, make) in cases {
        let project = Project::new(FILES);
        make(&project);
        hold(name, &project, NotOpened(Code::RepositoryBusy));
    }
}

#[test]
fn what_this_room_cannot_read_right_is_refused_before_the_first_write() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("sparse checkout", &[("core.sparseCheckout", "true")]),
        ("unknown extension", &[("core.repositoryformatversion", "1"), ("extensions.somethingNew", "true")]),
        ("partial clone", &[("extensions.partialClone", "origin"), ("core.repositoryformatversion", "1")]),
        ("promisor", &[("remote.origin.promisor", "true")]),
        ("sha-256", &[("core.repositoryformatversion", "1"), ("extensions.objectFormat", "sha256")]),
        ("reftable", &[("core.repositoryformatversion", "1"), ("extensions.refStorage", "reftable")]),
        ("a later format", &[("core.repositoryformatversion", "2")]),
    ];
    for (name, settings) in cases {
        let project = Project::new(FILES);
        settings.iter().for_each(|(key, value)| set(&project, key, value));
        hold(name, &project, NotOpened(Code::UnsupportedRepository));
    }
    let project = Project::new(FILES);
    set(&project, "core.repositoryformatversion", "1");
    set(&project, "extensions.worktreeConfig", "true");
    hold("extensions.worktreeConfig", &project, Works);
    fs::write(project.path(".git/config.worktree"), "[core]\n\tsparseCheckout = true\n").unwrap();
    hold("sparse by worktree config", &project, NotOpened(Code::UnsupportedRepository));
}

#[test]
fn repositories_inside_and_beside_are_left_alone() {
    let project = Project::new(FILES);
    let inner = Project::new(&[("inner", "i\n")]);
    fs::rename(inner.root(), project.path("nested")).unwrap();
    hold("nested repository", &project, Works);

    let project = Project::new(FILES);
    let repo = project.git();
    let mut index = repo.index().unwrap();
    let mut entry = index.get_path(Path::new("mine.txt"), 0).unwrap();
    (entry.path, entry.mode, entry.id) = (b"sub".to_vec(), 0o160_000, repo.head().unwrap().target().unwrap());
    index.add(&entry).unwrap();
    index.write().unwrap();
    fs::create_dir(project.path("sub")).unwrap();
    project.write(".gitmodules", "[submodule \"sub\"]\n\tpath = sub\n\turl = ../sub\n");
    project.commit_all("chore: a submodule");
    hold("submodule", &project, Works);

    let project = Project::new(FILES);
    if git(project.root(), &["worktree", "add", "-b", "side", "../side"]) {
        hold("linked work tree on another branch", &project, Works);
        let side = UserRepo::open(&project.root().join("../side")).unwrap();
        let before = user_state(project.root());
        let tree = side.make_tree(&project.spec(&run_id(2))).unwrap();
        write(tree.root(), "run.txt", "side\n");
        let over = hand_over(&project, &tree, "change the side");
        let plan = side.plan_accept(&run_id(2), over.tip(), &Acceptance::default(), AT_MS).unwrap();
        side.perform_accept(&plan).unwrap();
        let now = user_state(project.root());
        for (key, value) in before.iter().filter(|(key, _)| key.starts_with("files") || *key == "git HEAD") {
            assert_eq!(now.get(key), Some(value), "the first work tree is not the one that is worked in");
        }
    }
    let project = Project::new(FILES);
    project.write("later", "l\n");
    project.commit_all("feat: later");
    let from = format!("file://{}", project.root().display());
    let clone = Project::new(FILES);
    fs::remove_dir_all(clone.root()).unwrap();
    if git(project.root(), &["clone", "--quiet", "--depth", "1", &from, &clone.root().display().to_string()]) {
        set(&clone, "user.name", "Ada");
        set(&clone, "user.email", "ada@example.org");
        hold("shallow clone", &clone, Works);
    }
}

#[test]
fn filters_line_ends_hooks_and_signing_are_kept_or_named() {
    let project = Project::new(FILES);
    project.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    project.write("big.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    project.commit_all("chore: large files");
    project.write("big.bin", [0u8; 4096]);
    hold("LFS pointers beside", &project, Works);
    project.write(".gitattributes", "*.txt filter=lfs\n");
    project.commit_all("chore: text in LFS");
    let project_of_filter = project;
    let over = {
        let tree = project_of_filter.tree(&run_id(3));
        write(tree.root(), "run.txt", "through LFS\n");
        hand_over(&project_of_filter, &tree, "change it")
    };
    let before = project_of_filter.state();
    let plan = project_of_filter.open().plan_accept(&run_id(3), over.tip(), &Acceptance::default(), AT_MS);
    assert!(matches!(plan, Err(AcceptRefusal::Filtered { .. })));
    assert_eq!(project_of_filter.state(), before);

    let project = Project::new(FILES);
    set(&project, "core.autocrlf", "true");
    project.write("run.txt", "1\r\n2\r\n3\r\n");
    project.write("mine.txt", "m\r\n");
    hold("autocrlf", &project, Works);

    #[cfg(unix)]
    for (name, script) in
        [("fail", "exit 1"), ("hang", "sleep 1000"), ("rewrite", "echo spoiled > mine.txt; git add -A")]
    {
        use std::os::unix::fs::PermissionsExt;
        let project = Project::new(FILES);
        for hook in
            ["pre-commit", "commit-msg", "post-commit", "post-checkout", "pre-merge-commit", "reference-transaction"]
        {
            write(project.root(), &format!(".git/hooks/{hook}"), format!("#!/bin/sh\n{script}\n"));
            fs::set_permissions(project.path(&format!(".git/hooks/{hook}")), fs::Permissions::from_mode(0o755))
                .unwrap();
        }
        hold(name, &project, Works);
        assert!(project.open().left_out().unwrap().iter().any(|p| p.message.contains("post-commit")), "it is named");
    }

    let project = Project::new(FILES);
    set(&project, "commit.gpgsign", "true");
    set(&project, "gpg.program", "/no/such/program");
    hold("signing required", &project, Works); // who accepts asks for signatures: `committing`
}

#[cfg(unix)]
#[test]
fn odd_names_links_and_sizes_arrive_and_lead_nowhere() {
    use std::os::unix::ffi::OsStrExt;
    let project = Project::new(FILES);
    for name in [b"new\nline".as_slice(), b"\"quoted\"", b"not-utf8-\xff", b" spaces ", b"-dash"] {
        fs::write(project.root().join(std::ffi::OsStr::from_bytes(name)), "odd\n").unwrap();
    }
    project.commit_all("chore: odd names");
    hold("odd names", &project, Works);

    let project = Project::new(FILES);
    project.write("Case.txt", "c\n");
    project.commit_all("chore: a case");
    fs::rename(project.path("Case.txt"), project.path("case.txt")).unwrap();
    hold("case-only rename, not committed", &project, Works);

    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("new.txt"), "outside\n").unwrap();
    let project = Project::new(FILES);
    std::os::unix::fs::symlink(outside.path(), project.path("made")).unwrap();
    hold("a link where the run needs a folder", &project, NotAccepted(Code::AcceptDirty));
    assert_eq!(fs::read_to_string(outside.path().join("new.txt")).unwrap(), "outside\n");

    let project = Project::new(FILES);
    project.write("huge", vec![b'x'; 40 << 20]);
    hold("a huge file", &project, Works);
}

#[test]
fn what_the_user_does_meanwhile_is_merged_with_or_refused() {
    let project = Project::new(FILES);
    let tree = project.tree(&run_id(1));
    write(tree.root(), "run.txt", "1\ntwo\n3\n");
    let over = hand_over(&project, &tree, "change it");
    let user = project.open();
    let plan = user.plan_accept(&run_id(1), over.tip(), &Acceptance::default(), AT_MS).unwrap();
    project.write("mine.txt", "later\n");
    project.commit_all("feat: meanwhile");
    let before = project.state();
    assert!(matches!(user.perform_accept(&plan), Err(AcceptRefusal::Moved { .. })), "a commit of the user's");
    assert_eq!(project.state(), before);
    let repo = project.git();
    repo.branch("other", &repo.head().unwrap().peel_to_commit().unwrap(), false).unwrap();
    repo.set_head("refs/heads/other").unwrap();
    let before = project.state();
    assert!(matches!(user.perform_accept(&plan), Err(AcceptRefusal::Moved { .. })), "another branch");
    assert_eq!(project.state(), before);
    // Two runs on one repository, one after the other.
    let two = project.open().make_tree(&project.spec(&run_id(2))).unwrap();
    write(two.root(), "made/new.txt", "two\n");
    let second = hand_over(&project, &two, "make it");
    for (n, tip) in [(1, over.tip()), (2, second.tip())] {
        let plan = user.plan_accept(&run_id(n), tip, &Acceptance::default(), AT_MS).unwrap();
        user.perform_accept(&plan).unwrap();
    }
    assert_eq!((project.read("run.txt"), project.read("mine.txt")), ("1\ntwo\n3\n".into(), "later\n".into()));
}

/// The plan was free of the user's work; what it meets is not.
#[test]
fn what_is_done_between_the_plan_and_the_yes_is_in_the_way_too() {
    type Make = fn(&Project);
    let cases: &[(&str, &[&str], Make)] = &[
        ("edited", &["run.txt"], |p| p.write("run.txt", "1\n2\nmine\n")),
        ("staged, and put back", &["run.txt"], |p| {
            p.write("run.txt", "1\n2\nmine\n");
            p.stage("run.txt");
            p.write("run.txt", "1\n2\n3\n");
        }),
        ("removed", &["run.txt"], |p| fs::remove_file(p.path("run.txt")).unwrap()),
        ("made", &["made/new.txt"], |p| p.write("made/new.txt", "mine\n")),
        ("made where a folder is needed", &["made"], |p| p.write("made", "mine\n")),
    ];
    for (name, in_the_way, make) in cases {
        let project = Project::new(FILES);
        let tree = project.tree(&run_id(1));
        write(tree.root(), "run.txt", "1\ntwo\n3\n");
        write(tree.root(), "made/new.txt", "new\n");
        let over = hand_over(&project, &tree, "change things");
        let user = project.open();
        let plan = user.plan_accept(&run_id(1), over.tip(), &Acceptance::default(), AT_MS).unwrap();
        make(&project);
        let before = project.state();
        let refused = user.perform_accept(&plan).unwrap_err();
        assert!(matches!(&refused, AcceptRefusal::Dirty { paths } if paths == in_the_way), "{name}: {refused:?}");
        assert_eq!(project.state(), before, "{name}");
    }
}

#[test]
fn a_corrupted_pack_is_named_and_nothing_is_written() {
    let project = Project::new(FILES);
    if !git(project.root(), &["gc", "--quiet"]) {
        return;
    }
    let packs = fs::read_dir(project.path(".git/objects/pack")).unwrap().flatten();
    let pack = packs.map(|e| e.path()).find(|p| p.extension().is_some_and(|e| e == "pack")).unwrap();
    let length = fs::metadata(&pack).unwrap().len();
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, vec![0u8; usize::try_from(length).unwrap()]).unwrap();
    let files = |state: UserState| state.into_iter().filter(|(key, _)| key.starts_with("files")).collect::<Vec<_>>();
    let before = files({
        let mut state = UserState::new();
        crate::fixture::files_of(project.root(), &mut state);
        state
    });
    let made = UserRepo::open(project.root()).map_err(|e| e.problem());
    let made = made.and_then(|user| {
        user.make_tree(&crate::TreeSpec {
            run: run_id(1),
            dir: project.data().join("run"),
            base: "0".repeat(40),
            provide: Vec::new(),
        })
        .map_err(|e| e.problem())
    });
    let problem = made.expect_err("it cannot be read");
    assert!(!problem.hint.is_empty(), "{problem:?}");
    let mut after = UserState::new();
    crate::fixture::files_of(project.root(), &mut after);
    assert_eq!(files(after), before);
}

/// Root ignores permissions, so this test's child runs as nobody.
#[cfg(unix)]
#[test]
fn a_git_directory_that_may_not_be_written_is_named_and_nothing_changes() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    const CHILD: &str = "ATELIER_TEST_UNPRIVILEGED";
    let privileged = fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0);
    if privileged && std::env::var_os(CHILD).is_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let program = folder.path().join("test");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let name = "tests::safety::a_git_directory_that_may_not_be_written_is_named_and_nothing_changes";
        let out = std::process::Command::new(&program)
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .env("TMPDIR", folder.path())
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .uid(65_534)
            .gid(65_534)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&out.stderr));
        return;
    }
    let project = Project::new(FILES);
    let tree = project.tree(&run_id(1));
    write(tree.root(), "run.txt", "two\n");
    let over = hand_over(&project, &tree, "change it");
    let every = |mode: u32| {
        let mut folders = vec![project.path(".git")];
        while let Some(folder) = folders.pop() {
            let inside = fs::read_dir(&folder).unwrap().flatten().map(|e| e.path()).filter(|p| p.is_dir());
            folders.extend(inside.collect::<Vec<_>>());
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    let before = project.state();
    every(0o555);
    let user = project.open();
    let made = user.make_tree(&crate::TreeSpec {
        run: run_id(2),
        dir: project.data().join("two"),
        base: project.head(),
        provide: Vec::new(),
    });
    let accepted = user
        .plan_accept(&run_id(1), over.tip(), &Acceptance::default(), AT_MS)
        .and_then(|plan| user.perform_accept(&plan));
    every(0o755);
    let problems = [made.map(|_| ()).map_err(|e| e.problem()), accepted.map_err(|e| e.problem())];
    for problem in problems {
        let problem = problem.expect_err("it may not be written");
        assert!(!problem.hint.is_empty(), "{problem:?}");
    }
    assert_eq!(project.state(), before);
}
