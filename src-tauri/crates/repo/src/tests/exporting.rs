//! What is written out can be read back by others.
//!
//! Mutants that turn it red: a zip that forgets what may be run, or has the time at which it is written (`zip`); an unfinished
//! file that stays, or one that takes the place of what is there (`export`).

use super::handing_over::hand_over;
use crate::ExportError;
use crate::fixture::{Project, run_id, write};
use atelier_protocol::op::ExportFormat;
use git2::{Oid, Repository};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};

fn project() -> Project {
    let project = Project::new(&[("a", "1\n"), ("src/lib.rs", "x\n"), ("empty", ""), ("with space \"q\"", "s\n")]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        project.write("run.sh", "#!/bin/sh\n");
        fs::set_permissions(project.path("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("src/lib.rs", project.path("link")).unwrap();
    }
    project.commit_all("feat: second");
    fs::create_dir_all(project.data()).unwrap();
    project
}

/// Path to mode and content of a commit.
fn committed(project: &Project, commit: &str) -> BTreeMap<String, (u32, Vec<u8>)> {
    let repo = project.git();
    let tree = repo.find_commit(Oid::from_str(commit).unwrap()).unwrap().tree().unwrap();
    let files = crate::listing::listing(&repo, &tree).unwrap();
    let content = |id| repo.find_blob(id).unwrap().content().to_vec();
    files.into_iter().map(|(path, e)| (String::from_utf8(path).unwrap(), (e.mode, content(e.id)))).collect()
}

#[test]
fn a_zip_holds_the_files_of_the_commit_and_is_the_same_every_time() {
    let project = project();
    project.write("a", "uncommitted\n");
    let (one, two) = (project.data().join("one.zip"), project.data().join("two.zip"));
    let before = project.state();
    let exported = project.open().export(None, ExportFormat::Zip, &one).unwrap();
    project.open().export(Some(&project.head()), ExportFormat::Zip, &two).unwrap();
    assert_eq!(project.state(), before);
    assert_eq!(exported.bytes, fs::metadata(&one).unwrap().len());
    assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());

    let committed_at = zip::DateTime::from_date_and_time(2023, 11, 14, 22, 13, 20).unwrap();
    let mut zip = zip::ZipArchive::new(fs::File::open(&one).unwrap()).unwrap();
    let mut found = BTreeMap::new();
    for index in 0..zip.len() {
        let mut file = zip.by_index(index).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(file.last_modified(), Some(committed_at));
        let mode = match file.unix_mode().unwrap() {
            mode if mode & 0o170_000 == 0o120_000 => 0o120_000,
            mode => 0o100_000 | (mode & 0o777),
        };
        found.insert(file.name().unwrap().into_owned(), (mode, bytes));
    }
    assert_eq!(found, committed(&project, &project.head()));
}

#[test]
fn a_bundle_holds_the_whole_history_and_its_branch() {
    let project = project();
    let tree = project.tree(&run_id(1));
    write(tree.root(), "new/file", "n\n");
    let over = hand_over(&project, &tree, "add a file");
    for (name, commit, branch) in
        [("head", None, "main".to_owned()), ("run", Some(over.tip()), over.branch().to_owned())]
    {
        let file = project.data().join(format!("{name}.bundle"));
        let exported = project.open().export(commit, ExportFormat::Bundle, &file).unwrap();
        let commit = commit.map_or_else(|| project.head(), str::to_owned);
        let bytes = fs::read(&file).unwrap();
        assert_eq!(exported.bytes, bytes.len() as u64);
        let end = bytes.windows(2).position(|w| w == b"\n\n").unwrap();
        let header = String::from_utf8(bytes[..end].to_vec()).unwrap();
        assert_eq!(header, format!("# v2 git bundle\n{commit} HEAD\n{commit} refs/heads/{branch}"));

        // The pack alone makes a repository that has the commit, its files and its whole history.
        let copy = Repository::init_bare(project.data().join(format!("{name}.git"))).unwrap();
        let mut indexer = git2::Indexer::new(None, &copy.path().join("objects/pack"), 0, true).unwrap();
        indexer.write_all(&bytes[end + 2..]).unwrap();
        indexer.commit().unwrap();
        let mut walk = copy.revwalk().unwrap();
        walk.push(Oid::from_str(&commit).unwrap()).unwrap();
        assert_eq!(walk.filter_map(Result::ok).count(), if name == "head" { 2 } else { 3 });
        let files = copy.find_commit(Oid::from_str(&commit).unwrap()).unwrap().tree().unwrap();
        let list = crate::listing::listing(&copy, &files).unwrap();
        assert_eq!(list.len(), committed(&project, &commit).len());
        list.values().for_each(|entry| drop(copy.find_blob(entry.id).unwrap()));
        clone_with_git(&file, &project.data().join(name), &project, &commit);
    }
}

fn clone_with_git(bundle: &std::path::Path, to: &std::path::Path, project: &Project, commit: &str) {
    let Some(mut git) = super::git_program() else { return };
    let out = git.arg("clone").arg("-q").arg(bundle).arg(to).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for (path, (_, content)) in committed(project, commit).iter().filter(|(_, (mode, _))| *mode != 0o120_000) {
        assert_eq!(&fs::read(to.join(path)).unwrap(), content, "{path}");
    }
}

#[test]
fn nothing_is_overwritten_and_no_half_file_stays() {
    let project = project();
    let there = project.data().join("there.zip");
    fs::write(&there, "precious").unwrap();
    let user = project.open();
    assert!(matches!(user.export(None, ExportFormat::Zip, &there), Err(ExportError::Exists { .. })));
    assert_eq!(fs::read_to_string(&there).unwrap(), "precious");
    let none = user.export(Some(&"0".repeat(40)), ExportFormat::Zip, &project.data().join("x.zip"));
    assert!(matches!(none, Err(ExportError::NoCommit { .. })));
    assert!(user.export(None, ExportFormat::Zip, &project.data().join("no/folder/x.zip")).is_err());
    fs::write(project.path(".git/shallow"), format!("{}\n", project.head())).unwrap();
    let shallow = project.open().export(None, ExportFormat::Bundle, &project.data().join("x.bundle"));
    assert!(matches!(shallow, Err(ExportError::Shallow)), "{shallow:?}");
    let names: Vec<_> = fs::read_dir(project.data()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["there.zip"]);
}

#[cfg(unix)]
#[test]
fn a_name_that_a_zip_cannot_hold_is_refused_by_name() {
    use std::os::unix::ffi::OsStrExt;
    let project = project();
    fs::write(project.root().join(std::ffi::OsStr::from_bytes(b"\xff")), "x").unwrap();
    project.commit_all("feat: odd");
    let error = project.open().export(None, ExportFormat::Zip, &project.data().join("x.zip")).unwrap_err();
    assert!(error.problem().hint.contains("bundle"), "{error}");
}
