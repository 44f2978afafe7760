//! Making a run's tree, recording it and putting it back.
//!
//! Guards: a tree is its commit to the byte, and nothing in it or beside it is lost or written through. Turns red, for example,
//! when `keep` makes no reference, or when `make` takes a folder that is there for its own.

use crate::fixture::{AT_MS, Project, run_id, write};
use crate::{RunTree, Settled, Tip, TreeError, TreeSpec};
use atelier_protocol::event::FileStatus;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Path to content of every file below a folder; links and run bits are named.
fn files(root: &Path) -> BTreeMap<String, String> {
    fn walk(top: &Path, folder: &Path, all: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(top).unwrap().to_string_lossy().into_owned();
            if found.is_dir() {
                walk(top, &path, all);
            } else if found.is_symlink() {
                all.insert(name, format!("-> {}", fs::read_link(&path).unwrap().display()));
            } else {
                let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                all.insert(name, format!("{}{text}", if runs(&found) { "* " } else { "" }));
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(root, root, &mut all);
    all
}

#[cfg(unix)]
fn runs(found: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    found.permissions().mode() & 0o100 != 0
}

#[cfg(unix)]
fn make_runnable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn change(tree: &RunTree, path: &str, text: &str) {
    write(tree.root(), path, text);
}

#[test]
fn a_tree_holds_the_commit_byte_for_byte_and_knows_its_run() {
    let project =
        Project::new(&[("src/lib.rs", "one\r\ntwo\n"), ("empty", ""), (".gitattributes", "* text=auto eol=crlf\n")]);
    let run = run_id(1);
    let tree = project.tree(&run);
    let got = files(tree.root());
    let blob = |path: &str| {
        let repo = project.git();
        let commit = repo.head().unwrap().peel_to_commit().unwrap();
        let entry = commit.tree().unwrap().get_path(Path::new(path)).unwrap();
        String::from_utf8(repo.find_blob(entry.id()).unwrap().content().to_vec()).unwrap()
    };
    for path in ["src/lib.rs", "empty", ".gitattributes"] {
        assert_eq!(got[path], blob(path), "{path}");
    }
    assert!(!tree.root().join(".git").exists());
    let again = RunTree::open(tree.dir()).unwrap();
    assert_eq!((again.run(), again.base()), (&run, project.head()));
}

#[test]
fn making_a_tree_twice_keeps_the_work_in_it() {
    let project = Project::new(&[("a", "1")]);
    let (repo, spec) = (project.open(), project.spec(&run_id(1)));
    assert_eq!(repo.settle_tree(&spec), Settled::NotLanded);
    let tree = repo.make_tree(&spec).unwrap();
    assert_eq!(repo.settle_tree(&spec), Settled::Landed);
    change(&tree, "a", "2");
    repo.make_tree(&spec).unwrap();
    assert_eq!(files(tree.root())["a"], "2");
}

#[test]
fn a_half_made_tree_is_made_anew_and_a_foreign_folder_is_left_alone() {
    let project = Project::new(&[("a", "1")]);
    let (repo, spec) = (project.open(), project.spec(&run_id(1)));
    write(&spec.dir, "part/repo/HEAD", "ref: refs/heads/run\n");
    write(&spec.dir, "tree/a", "half");
    assert_eq!(repo.settle_tree(&spec), Settled::NotLanded);
    let tree = repo.make_tree(&spec).unwrap();
    assert_eq!(files(tree.root())["a"], "1");
    assert!(!spec.dir.join("part").exists());

    let other = TreeSpec { dir: project.data().join("other"), ..project.spec(&run_id(2)) };
    write(&other.dir, "tree/precious", "of somebody");
    assert!(matches!(repo.make_tree(&other), Err(TreeError::OtherTree { .. })));
    assert_eq!(fs::read_to_string(other.dir.join("tree/precious")).unwrap(), "of somebody");
    let taken = TreeSpec { run: run_id(3), ..spec };
    assert!(matches!(repo.make_tree(&taken), Err(TreeError::OtherTree { .. })));
    assert!(matches!(repo.settle_tree(&taken), Settled::Unknown(_)));
}

#[test]
fn the_base_survives_when_the_user_rewrites_history() {
    let project = Project::new(&[("a", "1")]);
    let tree = project.tree(&run_id(1));
    assert_eq!(project.target(&format!("refs/atelier/base/{}", run_id(1))), Some(tree.base()));
}

#[test]
fn a_checkpoint_records_what_is_there_and_the_same_work_has_the_same_ids() {
    let project =
        Project::new(&[("keep", "k\n"), ("gone", "g\n"), ("old/name.rs", "fn a() {}\nfn b() {}\nfn c() {}\n")]);
    let work = |run| {
        let tree = project.tree(&run_id(run));
        change(&tree, "keep", "k\nl\n");
        change(&tree, "new/deep", "n");
        fs::remove_file(tree.root().join("gone")).unwrap();
        fs::create_dir_all(tree.root().join("fresh")).unwrap();
        fs::rename(tree.root().join("old/name.rs"), tree.root().join("fresh/name.rs")).unwrap();
        (tree.checkpoint("build.1", AT_MS).unwrap(), tree)
    };
    let (first, tree) = work(1);
    let (second, _) = work(2);
    assert_eq!(first, second, "the same work is the same commit");
    let told: Vec<_> = first
        .files
        .iter()
        .map(|f| (f.path.as_str(), f.old_path.as_deref(), f.status, f.insertions, f.deletions))
        .collect();
    assert_eq!(
        told,
        [
            ("fresh/name.rs", Some("old/name.rs"), FileStatus::Renamed, Some(0), Some(0)),
            ("gone", None, FileStatus::Deleted, Some(0), Some(1)),
            ("keep", None, FileStatus::Modified, Some(1), Some(0)),
            ("new/deep", None, FileStatus::Added, Some(1), Some(0)),
        ]
    );
    assert_eq!(tree.tree_id().unwrap(), first.tree);
    assert_eq!(tree.checkpoint("later", AT_MS + 9_000).unwrap(), first, "nothing changed, so no new commit");
}

#[test]
fn an_untouched_tree_is_at_its_base() {
    let project = Project::new(&[("a", "1")]);
    let point = project.tree(&run_id(1)).checkpoint("start", AT_MS).unwrap();
    assert_eq!((point.commit, point.files.len()), (project.head(), 0));
}

#[test]
fn a_change_within_the_same_tick_and_of_the_same_size_is_seen() {
    let project = Project::new(&[("a", "aaaa")]);
    let tree = project.tree(&run_id(1));
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..30 {
        change(&tree, "a", &format!("{n:04}"));
        assert!(seen.insert(tree.tree_id().unwrap()), "change {n} was missed");
    }
}

#[test]
fn ignored_files_are_not_recorded_unless_tracked_and_survive_a_reset() {
    let project = Project::new(&[(".gitignore", "target/\n*.log\n"), ("a", "1")]);
    fs::write(project.path(".git/info/exclude"), "private\n").unwrap();
    let tree = project.tree(&run_id(1));
    let start = tree.checkpoint("start", AT_MS).unwrap();
    change(&tree, "target/cache", "built");
    change(&tree, "x.log", "log");
    change(&tree, "private", "mine");
    assert_eq!(tree.checkpoint("ignored", AT_MS).unwrap(), start);

    change(&tree, "b", "2");
    change(&tree, ".gitignore", "a\ntarget/\n*.log\n"); // `a` stays tracked
    let second = tree.checkpoint("more", AT_MS).unwrap();
    let paths: Vec<_> = second.files.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(paths, [".gitignore", "b"]);

    tree.reset_to(&start.commit).unwrap();
    let got = files(tree.root());
    let names: Vec<_> = got.keys().map(String::as_str).collect();
    assert_eq!(names, [".gitignore", "a", "private", "target/cache", "x.log"]);
    assert_eq!(got[".gitignore"], "target/\n*.log\n");
    assert_eq!(tree.checkpoint("again", AT_MS).unwrap(), start);
}

#[cfg(unix)]
#[test]
fn run_bits_links_and_odd_names_are_kept() {
    use std::os::unix::ffi::OsStrExt;
    let project = Project::new(&[("run.sh", "#!/bin/sh\n"), ("data", "d")]);
    make_runnable(&project.path("run.sh"));
    std::os::unix::fs::symlink("data", project.path("link")).unwrap();
    project.commit_all("feat: links");
    let tree = project.tree(&run_id(1));
    assert_eq!(files(tree.root())["run.sh"], "* #!/bin/sh\n");
    assert_eq!(files(tree.root())["link"], "-> data");

    make_runnable(&tree.root().join("data"));
    std::os::unix::fs::symlink("/nowhere/at all", tree.root().join("dangling")).unwrap();
    change(&tree, "with space \"and\" 'quotes'\ttab", "x");
    fs::write(tree.root().join(std::ffi::OsStr::from_bytes(b"not-\xff-utf8")), "y").unwrap();
    let point = tree.checkpoint("odd", AT_MS).unwrap();
    let told: Vec<_> = point.files.iter().map(|f| (f.path.as_str(), f.status)).collect();
    assert_eq!(
        told,
        [
            ("dangling", FileStatus::Added),
            ("data", FileStatus::Modified),
            ("not-\u{fffd}-utf8", FileStatus::Added),
            ("with space \"and\" 'quotes'\ttab", FileStatus::Added),
        ]
    );
    let before = files(tree.root());
    tree.reset_to(&tree.base()).unwrap();
    tree.reset_to(&point.commit).unwrap();
    assert_eq!(files(tree.root()), before);
    assert_eq!(tree.diff(&tree.base(), Tip::Files).unwrap().files.len(), 4);
}

#[cfg(unix)]
#[test]
fn a_reset_never_writes_through_a_link_that_leads_out_of_the_tree() {
    let project = Project::new(&[("src/lib.rs", "good"), ("top", "t")]);
    let tree = project.tree(&run_id(1));
    let outside = project.data().join("outside");
    write(&outside, "lib.rs", "precious");
    fs::remove_dir_all(tree.root().join("src")).unwrap();
    std::os::unix::fs::symlink(&outside, tree.root().join("src")).unwrap();
    fs::remove_file(tree.root().join("top")).unwrap();
    std::os::unix::fs::symlink(outside.join("lib.rs"), tree.root().join("top")).unwrap();
    change(&tree, ".gitignore", "src\n"); // so that the link itself is not seen as a change
    tree.checkpoint("hostile", AT_MS).unwrap();
    tree.reset_to(&tree.base()).unwrap();
    assert_eq!(files(tree.root()), BTreeMap::from([("src/lib.rs".into(), "good".into()), ("top".into(), "t".into())]));
    assert_eq!(files(&outside)["lib.rs"], "precious");
}

#[test]
fn a_repository_planted_in_the_tree_has_no_effect() {
    let project = Project::new(&[("a", "1"), ("sub/b", "2")]);
    let before = project.state();
    let tree = project.tree(&run_id(1));
    let marker = project.data().join("marker");
    let hook = format!("#!/bin/sh\ntouch {}\n", marker.display());
    // A whole repository at the root, with hooks, a monitor, filters and another work tree ...
    change(&tree, ".git/HEAD", "ref: refs/heads/main\n");
    change(&tree, ".git/refs/heads/main", &format!("{}\n", project.head()));
    change(&tree, ".git/objects/info/alternates", "/\n");
    change(
        &tree,
        ".git/config",
        "[core]\n\tfsmonitor = /bin/false\n\tworktree = /\n\thooksPath = /\n[filter \"x\"]\n\tclean = /bin/false\n\trequired\n",
    );
    change(&tree, ".git/hooks/post-commit", &hook);
    change(&tree, ".git/info/exclude", "*\n");
    // ... a pointer to the user's own repository in a folder, and one in capitals.
    change(&tree, "sub/.git", &format!("gitdir: {}\n", project.path(".git").display()));
    change(&tree, "other/.GIT/config", "[core]\n\tbare = true\n");
    change(&tree, "other/c", "3");
    change(&tree, ".gitattributes", "* filter=x diff=x text eol=crlf ident\n");
    change(&tree, "sub/b", "$Id$\n");
    let point = tree.checkpoint("hostile", AT_MS).unwrap();
    let paths: Vec<_> = point.files.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(paths, [".gitattributes", "other/c", "sub/b"]);
    let diff = tree.diff(&tree.base(), Tip::Commit(&point.commit)).unwrap();
    assert_eq!(diff.files[2].hunks[0].lines.last().unwrap().text, "$Id$");
    tree.reset_to(&tree.base()).unwrap();
    tree.reset_to(&point.commit).unwrap();
    assert_eq!(files(tree.root())["sub/b"], "$Id$\n", "neither line ends nor keywords are converted");
    assert!(tree.root().join(".git/config").exists(), "what is called .git is left alone");
    assert!(!marker.exists());
    let mut after = project.state();
    after.retain(|name, _| !name.contains("refs/atelier"));
    assert_eq!(after, before);
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_the_ignore_file_is_named_and_a_reset_removes_it() {
    let project = Project::new(&[("a", "1")]);
    let tree = project.tree(&run_id(1));
    fs::create_dir(tree.root().join("d")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", tree.root().join("d/.gitignore")).unwrap();
    let error = tree.checkpoint("pipe", AT_MS).unwrap_err();
    assert!(error.to_string().contains("d/.gitignore"), "{error}");
    tree.reset_to(&tree.base()).unwrap();
    assert_eq!(tree.tree_id().unwrap(), tree.checkpoint("fine", AT_MS).unwrap().tree);
}

#[test]
fn a_tree_of_a_linked_work_tree_and_of_a_borrowing_clone_finds_its_objects() {
    let project = Project::new(&[("a", "1")]);
    let linked = project.data().join("linked");
    fs::create_dir_all(project.data()).unwrap();
    project.git().worktree("side", &linked, None).unwrap();
    let user = crate::UserRepo::open(&linked).unwrap();
    let spec = TreeSpec { dir: project.data().join("t1"), ..project.spec(&run_id(1)) };
    assert_eq!(files(user.make_tree(&spec).unwrap().root())["a"], "1");

    // A clone that borrows all its objects, by a relative name.
    let clone = Project::new(&[("own", "o")]);
    let from_there = "../../../../".to_owned() + project.path(".git/objects").to_str().unwrap().trim_start_matches('/');
    let depth = clone.path(".git/objects").components().count() - 1;
    let relative = "../".repeat(depth) + from_there.trim_start_matches("../");
    fs::write(clone.path(".git/objects/info/alternates"), format!("{relative}\n")).unwrap();
    let spec = TreeSpec { base: project.head(), provide: Vec::new(), dir: clone.data().join("t2"), run: run_id(2) };
    let tree = clone.open().make_tree(&spec).unwrap();
    assert_eq!(files(tree.root())["a"], "1");
}

#[test]
fn a_submodule_stays_at_the_commit_of_the_base() {
    let project = Project::new(&[("a", "1")]);
    let repo = project.git();
    let commit = git2::Oid::from_str(&project.head()).unwrap();
    let mut index = repo.index().unwrap();
    let entry = crate::listing::Entry { mode: crate::listing::SUBMODULE, id: commit };
    index.add(&crate::scan::index_entry(b"vendor/lib", entry)).unwrap();
    let tree_id = index.write_tree().unwrap();
    let head = repo.head().unwrap().peel_to_commit().unwrap();
    let who = repo.signature().unwrap();
    repo.commit(Some("HEAD"), &who, &who, "feat: submodule", &repo.find_tree(tree_id).unwrap(), &[&head]).unwrap();

    let tree = project.tree(&run_id(1));
    assert!(tree.root().join("vendor/lib").is_dir());
    change(&tree, "vendor/lib/x", "unseen");
    change(&tree, "a", "2");
    let point = tree.checkpoint("with submodule", AT_MS).unwrap();
    assert_eq!(point.files.len(), 1);
    tree.reset_to(&tree.base()).unwrap();
    assert_eq!(tree.tree_id().unwrap(), tree_id.to_string());
}

#[test]
fn a_large_file_is_recorded_without_being_held_in_memory_whole() {
    let project = Project::new(&[("a", "1")]);
    let tree = project.tree(&run_id(1));
    fs::File::create(tree.root().join("large")).unwrap().set_len(17 << 20).unwrap();
    let point = tree.checkpoint("large", AT_MS).unwrap();
    assert_eq!((point.files[0].path.as_str(), point.files[0].insertions), ("large", None));
    fs::remove_file(tree.root().join("large")).unwrap();
    tree.reset_to(&point.commit).unwrap();
    assert_eq!(fs::metadata(tree.root().join("large")).unwrap().len(), 17 << 20);
}

#[cfg(unix)]
#[test]
fn a_file_is_read_again_unless_its_remembered_content_is_kept() {
    let project = Project::new(&[("a", "1"), ("b", "2")]);
    let tree = project.tree(&run_id(1));
    change(&tree, "a", "x");
    let real = tree.tree_id().unwrap();
    let remember = |content: git2::Oid| {
        let stat = fs::symlink_metadata(tree.root().join("a")).unwrap();
        let mut memory = crate::seen::Seen::open(&tree.seen_file()).trusting_everything();
        memory.note(b"a", crate::listing::FILE, &stat, content);
        memory.keep();
    };
    let blob = |bytes: &[u8]| git2::Oid::hash_object(git2::ObjectType::Blob, bytes).unwrap();
    remember(blob(b"2"));
    assert_ne!(tree.tree_id().unwrap(), real, "the memory is used where nothing speaks against it");
    remember(blob(b"never stored"));
    assert_eq!(tree.tree_id().unwrap(), real);
    fs::write(tree.seen_file(), "not a memory").unwrap();
    assert_eq!(tree.checkpoint("now", AT_MS).unwrap().tree, real);
}

#[test]
fn work_that_was_only_looked_at_is_still_there_for_a_later_checkpoint() {
    let project = Project::new(&[("a", "1")]);
    let tree = project.tree(&run_id(1));
    change(&tree, "a", "looked at");
    let looked = tree.tree_id().unwrap();
    let loose = |tree: &RunTree| files(&tree.objects()).into_keys().filter(|name| !name.starts_with("info/")).count();
    assert_eq!(loose(&tree), 0, "looking stores nothing");
    assert_eq!(tree.checkpoint("now", AT_MS).unwrap().tree, looked);
    assert_eq!(loose(&tree), 2, "a checkpoint is one pack and its index");
}
