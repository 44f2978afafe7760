//! From the run's branch to the user's own, with everything else of the user's left alone.
//!
//! Guards: an accept brings what the run changed and nothing else, whole or not at all, wherever it stops. Turns red, for
//! example, when `land` moves the branch before the index is written, or when `files_in_the_way` is left out.

use super::handing_over::hand_over;
use crate::fixture::{AT_MS, Project, run_id, user_state, write};
use crate::land::Act;
use crate::{Accept, AcceptRefusal, Fault, HandOver, Settled, UserRepo};
use atelier_protocol::error::Code;
use atelier_protocol::event::{AcceptMode, Acceptance};
use std::fs;

/// A run that changed these files (`None` deletes), handed over.
fn handed_over(project: &Project, n: u8, files: &[(&str, Option<&str>)]) -> HandOver {
    let tree = project.tree(&run_id(n));
    for (path, text) in files {
        match text {
            Some(text) => write(tree.root(), path, text),
            None => fs::remove_file(tree.root().join(path)).unwrap(),
        }
    }
    hand_over(project, &tree, "change files")
}

fn plan(project: &Project, n: u8, over: &HandOver) -> Result<Accept, AcceptRefusal> {
    project.open().plan_accept(&run_id(n), over.tip(), &Acceptance::default(), AT_MS)
}

fn accept(project: &Project, n: u8, over: &HandOver) -> Accept {
    let plan = plan(project, n, over).unwrap();
    let user = project.open();
    assert_eq!(user.settle_accept(&plan), Settled::NotLanded);
    user.perform_accept(&plan).unwrap();
    assert_eq!(user.settle_accept(&plan), Settled::Landed);
    plan
}

/// The paths that git sees as not committed, with what it calls their state.
fn status(project: &Project) -> Vec<String> {
    let repo = project.git();
    let mut options = git2::StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true);
    let all = repo.statuses(Some(&mut options)).unwrap();
    all.iter().map(|s| format!("{} {:?}", String::from_utf8_lossy(s.path_bytes()), s.status())).collect()
}

#[test]
fn a_fast_forward_writes_files_index_and_branch_and_leaves_head_alone() {
    let project = Project::new(&[("a", "1\n"), ("b", "2\n"), ("old/c", "3\n")]);
    let over = handed_over(&project, 1, &[("a", Some("one\n")), ("old/c", None), ("new/deep/d", Some("4\n"))]);
    let head = fs::read(project.path(".git/HEAD")).unwrap();
    let plan = accept(&project, 1, &over);
    assert_eq!((plan.mode, plan.branch.as_str(), plan.to.as_str()), (AcceptMode::FastForward, "main", over.tip()));
    assert_eq!(project.head(), over.tip());
    assert_eq!(fs::read(project.path(".git/HEAD")).unwrap(), head);
    assert_eq!((project.read("a"), project.read("new/deep/d")), ("one\n".into(), "4\n".into()));
    assert!(!project.path("old").exists(), "a folder that became empty goes");
    assert_eq!(status(&project), Vec::<String>::new());
    let log = project.git().reflog("HEAD").unwrap();
    assert!(log.get(0).unwrap().message().unwrap().unwrap().ends_with(": Fast-forward"));
    assert_eq!(log.get(0).unwrap().id_new().to_string(), over.tip());
    for args in [["status", "--porcelain"], ["fsck", "--strict"]] {
        if let Some(mut git) = super::git_program() {
            let out = git.current_dir(project.root()).args(args).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&out.stdout), "", "{args:?}");
        }
    }
}

#[test]
fn a_branch_that_moved_gets_a_merge_commit() {
    let project = Project::new(&[("a", "1\n2\n3\n4\n5\n6\n7\n"), ("b", "b\n")]);
    let over = handed_over(&project, 1, &[("a", Some("one\n2\n3\n4\n5\n6\n7\n"))]);
    project.write("a", "1\n2\n3\n4\n5\n6\nseven\n");
    let mine = project.commit_all("feat: seven");
    let plan = accept(&project, 1, &over);
    assert_eq!((plan.mode, plan.from.as_str()), (AcceptMode::Merge, mine.as_str()));
    assert_eq!(project.read("a"), "one\n2\n3\n4\n5\n6\nseven\n");
    let repo = project.git();
    let merge = repo.head().unwrap().peel_to_commit().unwrap();
    let parents: Vec<_> = merge.parent_ids().map(|id| id.to_string()).collect();
    assert_eq!(parents, [mine, over.tip().to_owned()]);
    assert_eq!(merge.message().unwrap(), format!("Merge atelier/{}: feat: change files\n", run_id(1)));
    assert_eq!(status(&project), Vec::<String>::new());
    assert!(matches!(self::plan(&project, 1, &over), Err(AcceptRefusal::AlreadyThere)));
}

#[test]
fn a_conflict_is_refused_with_its_files_and_changes_nothing() {
    let project = Project::new(&[("a", "1\n"), ("b", "b\n")]);
    let over = handed_over(&project, 1, &[("a", Some("run\n")), ("b", Some("bb\n"))]);
    project.write("a", "mine\n");
    project.commit_all("feat: mine");
    let before = project.state();
    let problem = plan(&project, 1, &over).unwrap_err().problem();
    assert_eq!((problem.code, problem.details), (Code::AcceptConflict, vec!["a".to_owned()]));
    assert!(problem.hint.contains("by hand"), "{}", problem.hint);
    assert_eq!(project.state(), before);
}

#[test]
fn uncommitted_work_elsewhere_stays_byte_for_byte_and_staged_work_stays_staged() {
    let project = Project::new(&[("a", "1\n"), ("edited", "e\n"), ("staged", "s\n"), ("gone", "g\n"), ("both", "x\n")]);
    let over = handed_over(&project, 1, &[("a", Some("run\n")), ("new", Some("n\n"))]);
    project.write("edited", "my edit\r\n");
    project.write("staged", "my staged\n");
    project.stage("staged");
    project.write("both", "staged\n");
    project.stage("both");
    project.write("both", "and edited again\n");
    project.write("added", "staged new\n");
    project.stage("added");
    project.write("untracked", "u\n");
    fs::remove_file(project.path("gone")).unwrap();
    project.stage("gone");
    let before = status(&project);
    assert_eq!(before.len(), 6, "{before:?}");
    let files = ["edited", "staged", "both", "added", "untracked"].map(|path| project.read(path));
    accept(&project, 1, &over);
    assert_eq!(status(&project), before);
    assert_eq!(["edited", "staged", "both", "added", "untracked"].map(|path| project.read(path)), files);
    assert_eq!((project.read("a"), project.read("new")), ("run\n".into(), "n\n".into()));
}

/// What the user did to the project, and which path it must be refused for.
type Obstacle = (&'static str, fn(&Project), &'static str);

#[test]
fn uncommitted_work_in_the_way_is_refused_with_its_files_and_changes_nothing() {
    let obstacles: [Obstacle; 11] = [
        ("an edit", |p| p.write("a", "mine\n"), "a"),
        (
            "a staged edit put back in the file",
            |p| {
                p.write("a", "mine\n");
                p.stage("a");
                p.write("a", "1\n");
            },
            "a",
        ),
        ("a removal", |p| fs::remove_file(p.path("a")).unwrap(), "a"),
        (
            "a staged removal",
            |p| {
                fs::remove_file(p.path("a")).unwrap();
                p.stage("a");
                p.write("a", "1\n");
            },
            "a",
        ),
        ("an edit of a file that the run deletes", |p| p.write("dead", "mine\n"), "dead"),
        ("an untracked file where the run has one", |p| p.write("new/file", "mine\n"), "new/file"),
        (
            "an ignored file where the run has one",
            |p| {
                crate::fixture::write(&p.path(".git"), "info/exclude", "new/\n");
                p.write("new/file", "mine\n");
            },
            "new/file",
        ),
        ("an untracked file where the run has a folder", |p| p.write("new", "mine\n"), "new"),
        ("a folder with files where the run has a file", |p| p.write("top/mine", "mine\n"), "top/mine"),
        (
            "a staged file where the run has a folder",
            |p| {
                p.write("new", "mine\n");
                p.stage("new");
                fs::remove_file(p.path("new")).unwrap();
            },
            "new",
        ),
        (
            "a file that is to be added",
            |p| {
                p.write("top", "x");
                let mut index = p.git().index().unwrap();
                let id = p.git().blob(b"other").unwrap();
                index
                    .add(&crate::scan::index_entry(b"top", crate::listing::Entry { mode: crate::listing::FILE, id }))
                    .unwrap();
                index.write().unwrap();
                fs::remove_file(p.path("top")).unwrap();
            },
            "top",
        ),
    ];
    for (what, obstruct, path) in obstacles {
        let project = Project::new(&[("a", "1\n"), ("dead", "d\n"), ("c", "c\n")]);
        let over = handed_over(
            &project,
            1,
            &[("a", Some("run\n")), ("dead", None), ("new/file", Some("n\n")), ("top", Some("t\n"))],
        );
        let planned = plan(&project, 1, &over).unwrap();
        obstruct(&project);
        let before = project.state();
        let problem = plan(&project, 1, &over).expect_err(what).problem();
        assert_eq!((problem.code, problem.details), (Code::AcceptDirty, vec![path.to_owned()]), "{what}");
        let error = project.open().perform_accept(&planned).expect_err(what);
        assert!(matches!(error, AcceptRefusal::Dirty { .. }), "{what}: {error}");
        assert_eq!(project.state(), before, "{what}");
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_the_user_replaced_by_a_link_is_never_written_through() {
    let project = Project::new(&[("src/a", "1\n"), ("src/b", "2\n")]);
    let over = handed_over(&project, 1, &[("src/a", None), ("src/new", Some("n\n"))]);
    let outside = project.data().join("outside");
    write(&outside, "a", "1\n");
    fs::remove_dir_all(project.path("src")).unwrap();
    std::os::unix::fs::symlink(&outside, project.path("src")).unwrap();
    let problem = plan(&project, 1, &over).unwrap_err().problem();
    assert_eq!(problem.code, Code::AcceptDirty);
    assert!(outside.join("a").exists());
}

#[test]
fn a_detached_head_moves_itself() {
    let project = Project::new(&[("a", "1\n")]);
    let repo = project.git();
    repo.set_head_detached(git2::Oid::from_str(&project.head()).unwrap()).unwrap();
    let over = handed_over(&project, 1, &[("a", Some("2\n"))]);
    let plan = accept(&project, 1, &over);
    assert_eq!(plan.branch, "HEAD");
    assert!(repo.head_detached().unwrap());
    assert_eq!(project.head(), over.tip());
    assert_eq!(project.target("refs/heads/main"), Some(plan.from));
    assert_eq!(status(&project), Vec::<String>::new());
}

#[test]
fn a_linked_work_tree_accepts_on_its_own_branch() {
    let project = Project::new(&[("a", "1\n")]);
    let linked = project.data().join("linked");
    fs::create_dir_all(project.data()).unwrap();
    project.git().worktree("side", &linked, None).unwrap();
    let main = user_state(project.root());
    let user = UserRepo::open(&linked).unwrap();
    let over = handed_over(&project, 1, &[("a", Some("2\n")), ("b", Some("3\n"))]);
    let plan = user.plan_accept(&run_id(1), over.tip(), &Acceptance::default(), AT_MS).unwrap();
    user.perform_accept(&plan).unwrap();
    assert_eq!(plan.branch, "side");
    assert_eq!(fs::read_to_string(linked.join("b")).unwrap(), "3\n");
    assert_eq!(project.target("refs/heads/side").as_deref(), Some(over.tip()));
    assert_eq!((project.head(), project.read("a")), (plan.from, "1\n".into()));
    let after = user_state(project.root());
    for name in main.keys().filter(|name| name.starts_with("files ") || *name == "git index" || *name == "git HEAD") {
        assert_eq!(after[name], main[name], "{name}");
    }
}

#[test]
fn line_ends_are_those_the_user_has_asked_git_for() {
    let project = Project::new(&[(".gitattributes", "*.txt text eol=crlf\n"), ("a.txt", "1\r\n"), ("raw", "1\n")]);
    let over =
        handed_over(&project, 1, &[("a.txt", Some("1\n2\n")), ("raw", Some("1\r\n2\n")), ("b.txt", Some("b\n"))]);
    accept(&project, 1, &over);
    assert_eq!(project.read("a.txt"), "1\r\n2\r\n");
    assert_eq!(project.read("b.txt"), "b\r\n");
    assert_eq!(project.read("raw"), "1\r\n2\n");
    assert_eq!(status(&project), Vec::<String>::new());
}

#[test]
fn a_file_with_a_filter_program_is_refused_by_name() {
    let project = Project::new(&[(".gitattributes", "*.bin filter=lfs\n"), ("a.bin", "pointer\n"), ("b", "1\n")]);
    let over = handed_over(&project, 1, &[("a.bin", Some("other\n"))]);
    let problem = plan(&project, 1, &over).unwrap_err().problem();
    assert_eq!((problem.code, problem.details), (Code::UnsupportedRepository, vec!["a.bin".to_owned()]));
    let harmless = handed_over(&project, 2, &[("b", Some("2\n"))]);
    accept(&project, 2, &harmless);
    let planted = handed_over(&project, 3, &[("sub/.gitattributes", Some("* filter=evil\n"))]);
    assert!(matches!(plan(&project, 3, &planted), Err(AcceptRefusal::Filtered { .. })));
}

#[cfg(unix)]
#[test]
fn run_bits_links_odd_names_and_changes_of_kind_arrive() {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;
    let project =
        Project::new(&[("tool", "#!\n"), ("was-file", "f\n"), ("was-folder/x", "x\n"), ("was-link-target", "t\n")]);
    let tree = project.tree(&run_id(1));
    let root = tree.root().to_owned();
    fs::set_permissions(root.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(root.join("was-file")).unwrap();
    write(&root, "was-file/inside", "i\n");
    fs::remove_dir_all(root.join("was-folder")).unwrap();
    fs::write(root.join("was-folder"), "now a file\n").unwrap();
    std::os::unix::fs::symlink("tool", root.join("link")).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"odd \xff \"name\"");
    fs::write(root.join(odd), "o\n").unwrap();
    fs::write(root.join("empty"), "").unwrap();
    let over = hand_over(&project, &tree, "change kinds");
    accept(&project, 1, &over);
    assert!(fs::metadata(project.path("tool")).unwrap().permissions().mode() & 0o111 != 0);
    assert_eq!(project.read("was-file/inside"), "i\n");
    assert_eq!(project.read("was-folder"), "now a file\n");
    assert_eq!(fs::read_link(project.path("link")).unwrap(), std::path::Path::new("tool"));
    assert_eq!(fs::read_to_string(project.root().join(odd)).unwrap(), "o\n");
    assert_eq!(project.read("empty"), "");
    assert_eq!(status(&project), Vec::<String>::new());
}

#[test]
fn an_accept_that_stops_before_any_act_is_finished_by_performing_it_again() {
    let make = || {
        let project = Project::new(&[("a", "1\n"), ("dead", "d\n"), ("mine", "m\n")]);
        let over = handed_over(&project, 1, &[("a", Some("run\n")), ("dead", None), ("new/file", Some("n\n"))]);
        project.write("mine", "uncommitted\n");
        let plan = plan(&project, 1, &over).unwrap();
        (project, plan)
    };
    let mut acts = Vec::new();
    let (whole, plan) = make();
    whole
        .open()
        .land(&plan, &mut |act| {
            acts.push(act);
            Ok(())
        })
        .unwrap();
    assert_eq!(
        acts,
        [
            Act::Stage,
            Act::Remove("dead".into()),
            Act::Put("a".into()),
            Act::Put("new/file".into()),
            Act::Index,
            Act::Branch,
            Act::CleanUp
        ]
    );
    let content = |project: &Project| {
        let mut state = project.state();
        state.retain(|name, _| name.starts_with("files ") || name.starts_with("ref "));
        (state, status(project), project.path(".git").read_dir().unwrap().count())
    };
    for stop in acts {
        let (project, plan) = make();
        let user = project.open();
        let stopped = user.land(&plan, &mut |act| match act == stop {
            true => Err(Fault::Io { doing: "crashing", path: "test".into(), source: std::io::Error::other("test") }),
            false => Ok(()),
        });
        assert!(stopped.is_err(), "{stop:?}");
        let moved = stop == Act::CleanUp;
        assert_eq!(user.settle_accept(&plan), if moved { Settled::Landed } else { Settled::NotLanded }, "{stop:?}");
        assert_eq!(project.head() == plan.to, moved, "the branch moves last: {stop:?}");
        user.perform_accept(&plan).unwrap();
        assert_eq!(content(&project), content(&whole), "{stop:?}");
    }
}

#[test]
fn an_accept_whose_branch_is_no_longer_there_is_refused() {
    let project = Project::new(&[("a", "1\n")]);
    let over = handed_over(&project, 1, &[("a", Some("2\n"))]);
    let planned = plan(&project, 1, &over).unwrap();
    project.write("b", "b\n");
    project.commit_all("feat: meanwhile");
    assert!(matches!(project.open().perform_accept(&planned), Err(AcceptRefusal::Moved { .. })));
    assert!(matches!(project.open().settle_accept(&planned), Settled::Unknown(_)));
    let repo = project.git();
    repo.branch("other", &repo.head().unwrap().peel_to_commit().unwrap(), false).unwrap();
    repo.set_head("refs/heads/other").unwrap();
    assert!(matches!(project.open().perform_accept(&planned), Err(AcceptRefusal::Moved { .. })));
}

#[test]
fn an_accept_counts_as_landed_when_the_user_has_committed_on_top() {
    let project = Project::new(&[("a", "1\n")]);
    let over = handed_over(&project, 1, &[("a", Some("2\n"))]);
    let plan = accept(&project, 1, &over);
    project.write("b", "b\n");
    project.commit_all("feat: on top");
    assert_eq!(project.open().settle_accept(&plan), Settled::Landed);
    project.open().perform_accept(&plan).unwrap();
}

#[test]
fn a_locked_index_is_busy_and_nothing_is_written() {
    let project = Project::new(&[("a", "1\n")]);
    let over = handed_over(&project, 1, &[("a", Some("2\n"))]);
    let planned = plan(&project, 1, &over).unwrap();
    let user = project.open();
    fs::write(project.path(".git/index.lock"), "").unwrap();
    let problem = user.perform_accept(&planned).unwrap_err().problem();
    assert_eq!(problem.code, Code::RepositoryBusy);
    assert_eq!(project.read("a"), "1\n");
}

#[cfg(unix)]
#[test]
fn the_locks_that_a_killed_accept_left_are_let_go_and_those_of_others_are_not() {
    let project = Project::new(&[("a", "1\n")]);
    let over = handed_over(&project, 1, &[("a", Some("2\n"))]);
    let planned = plan(&project, 1, &over).unwrap();
    let staging = project.path(&format!(".git/atelier-accept-{}", run_id(1)));
    fs::create_dir(&staging).unwrap();
    fs::write(staging.join("held"), "").unwrap();
    fs::hard_link(staging.join("held"), project.path(".git/index.lock")).unwrap();
    let branch_lock = project.path(".git/refs/heads/main.lock");
    for left in [String::new(), format!("{}\n", planned.to)] {
        fs::write(&branch_lock, left).unwrap();
        assert_eq!(project.open().settle_accept(&planned), Settled::NotLanded);
        assert!(!branch_lock.exists() && !project.path(".git/index.lock").exists());
    }
    fs::write(&branch_lock, format!("{}\n", planned.from)).unwrap();
    assert_eq!(project.open().settle_accept(&planned), Settled::NotLanded);
    assert!(branch_lock.exists(), "another program's lock stays");
    fs::remove_file(&branch_lock).unwrap();
    project.open().perform_accept(&planned).unwrap();
    assert_eq!(project.read("a"), "2\n");
    assert_eq!(status(&project), Vec::<String>::new());
}
