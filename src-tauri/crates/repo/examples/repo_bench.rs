//! Measures run trees beside the git program on the same files, and prints the times as JSON.
//!
//! `repo_bench [DIR] [RUNS]`: a repository to clone and measure on, else one of 2,400 made files. Times are milliseconds; each
//! pair takes turns, so that both see the same disk. git is as the machine has it; run trees sync what they write.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement prints, and fails loudly")]

use atelier_protocol::ids::RunId;
use atelier_repo::{TreeSpec, UserRepo};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const FILES: usize = 2_400;
const CHANGED: usize = 200;

fn git(folder: &Path, arguments: &[&str]) -> String {
    let out = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "gc.auto=0"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(out.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

fn timed<T>(into: &mut Vec<f64>, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    into.push(began.elapsed().as_secs_f64() * 1000.0);
    done
}

/// Files of about 12 KB with lines that differ, in folders three deep.
fn make(root: &Path) {
    for n in 0..FILES {
        let file = root.join(format!("part{}/area{}/file{n}.txt", n % 12, n % 60));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let text: String =
            (0..300).map(|line| format!("line {line} of file {n}: {}\n", n * 7919 + line * 104_729)).collect();
        fs::write(file, text).unwrap();
    }
    git(root, &["init", "--quiet", "--initial-branch=main"]);
    git(root, &["add", "-A"]);
    git(root, &["commit", "--quiet", "-m", "feat: many files"]);
}

fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let kind = entry.file_type().unwrap();
            if entry.file_name() == ".git" {
                continue; // in a linked work tree it is a file
            }
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                all.insert(entry.path().strip_prefix(root).unwrap().to_owned(), fs::read(entry.path()).unwrap());
            }
        }
    }
    all
}

fn change(root: &Path, round: usize) {
    for path in files(root).keys().step_by(files(root).len().div_ceil(CHANGED)) {
        let mut text = fs::read(root.join(path)).unwrap();
        text.extend(format!("changed in round {round}\n").into_bytes());
        fs::write(root.join(path), text).unwrap();
    }
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (from, runs) = (arguments.next().filter(|dir| !dir.is_empty()), arguments.next());
    let runs: usize = runs.and_then(|runs| runs.parse().ok()).unwrap_or(5);
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap().join("project");
    match from {
        Some(from) => drop(git(dir.path(), &["clone", "--quiet", "--no-hardlinks", &from, "project"])),
        None => {
            fs::create_dir(&root).unwrap();
            make(&root);
        }
    }
    let user = UserRepo::open(&root).unwrap();
    let base = user.head_commit().unwrap();
    let count = files(&root).len();
    let before = (files(&root), git(&root, &["rev-parse", "HEAD"]), fs::read(root.join(".git/index")).unwrap());
    let [mut tree, mut worktree, mut status, mut git_status, mut commit, mut git_commit, mut back, mut git_back] =
        std::array::from_fn(|_| Vec::new());
    let mut exact = true;
    for round in 0..runs {
        let mut id = [0; 10];
        id[0] = u8::try_from(round % 256).unwrap();
        let run = RunId::new(1_700_000_000_000, id);
        let spec =
            TreeSpec { run, dir: dir.path().join(format!("run{round}")), base: base.clone(), provide: Vec::new() };
        let theirs = dir.path().join(format!("worktree{round}"));
        timed(&mut worktree, || git(&root, &["worktree", "add", "--quiet", "--detach", &theirs.display().to_string()]));
        let ours = timed(&mut tree, || user.make_tree(&spec).unwrap());
        let clean = files(ours.root());
        // Both remember files by time: one that was written in this very moment is read again by either.
        std::thread::sleep(std::time::Duration::from_millis(2_100));
        ours.tree_id().unwrap();
        git(&theirs, &["status", "--porcelain"]);
        timed(&mut git_status, || git(&theirs, &["status", "--porcelain"]));
        timed(&mut status, || ours.tree_id().unwrap());
        change(ours.root(), round);
        change(&theirs, round);
        timed(&mut git_commit, || {
            git(&theirs, &["add", "-A"]);
            git(&theirs, &["commit", "--quiet", "-m", "feat: change files"])
        });
        timed(&mut commit, || ours.checkpoint("change files", 1_700_000_000_000).unwrap());
        timed(&mut git_back, || git(&theirs, &["reset", "--quiet", "--hard", &base]));
        timed(&mut back, || ours.reset_to(&base).unwrap());
        exact &= files(ours.root()) == clean;
        git(&root, &["worktree", "remove", "--force", &theirs.display().to_string()]);
        fs::remove_dir_all(&spec.dir).unwrap();
    }
    let after = (files(&root), git(&root, &["rev-parse", "HEAD"]), fs::read(root.join(".git/index")).unwrap());
    let pair = |ours: Vec<f64>, theirs: Vec<f64>| {
        let (ours, theirs) = (middle(ours), middle(theirs));
        format!(r#"{{"ms":{ours:.1},"git_ms":{theirs:.1},"ratio":{:.2}}}"#, ours / theirs)
    };
    println!(
        r#"{{"files":{count},"changed":{CHANGED},"runs":{runs},"status":{},"make_tree":{},"commit":{},"rollback":{},"rollback_byte_identical":{exact},"user_untouched":{}}}"#,
        pair(status, git_status),
        pair(tree, worktree),
        pair(commit, git_commit),
        pair(back, git_back),
        after == before,
    );
}
